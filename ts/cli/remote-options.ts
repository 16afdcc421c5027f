import { ConfigError } from '../errors.js';
import { textOf } from '../paths.js';
import { REMOTE_OPTIONS } from './flag-values.js';
import { FOREIGN_FLAGS } from './foreign-flags.js';
import { operandTarget } from './operands.js';
import { parseFlags } from './parse.js';
import type { Flag, ParsedFlags } from './parse.js';

type Role = 'receiver' | 'sender';

/** Options that one role alone looks at. */
const LOOKED_AT: Readonly<Record<Role, ReadonlySet<string>>> = {
  receiver: new Set(
    `keep-dirlinks omit-dir-times omit-link-times super strict-attributes preallocate temp-dir partial-dir fsync durability write-devices
    ignore-errors force max-delete allow-mass-delete delay-updates backup backup-dir suffix mkpath`.split(/\s+/),
  ),
  sender: new Set('open-noatime bwlimit skip-compress copy-devices changing snapshot-read'.split(' ')),
};

/** Why some are not taken. */
const REASONS: Readonly<Record<string, string>> = {
  'log-file': 'a server writes a log of its own (serve --log-file)',
  'log-file-format': 'a server writes a log of its own (serve --log-file)',
};

/** Whether some of what `--remote-option` has are options of the command. */
export function hasRemoteOptions(flags: ParsedFlags): boolean {
  return flags.words('remote-option').some((word) => !REMOTE_OPTIONS.includes(textOf(word)));
}

/**
 * What a command line says, with what `--remote-option` has for the other side alone. An option that one role alone looks at is the
 * same for the other side as for both, where that has the role.
 */
export function withRemoteOptions(flags: readonly Flag[], given: ParsedFlags): ParsedFlags {
  const words = given.words('remote-option');
  const role = otherRole(given);
  const options = words.filter((word) => !REMOTE_OPTIONS.includes(textOf(word)));
  for (const option of options) checkOption(flags, textOf(option), role);
  const all = parseFlags(flags, options);
  const flag = flags.find(({ name }) => name === 'remote-option');
  if (flag === undefined) return all;
  all.remove(flag);
  for (const word of words) if (!options.includes(word)) all.add(flag, word);
  all.fill(given, []);
  all.operands.push(...given.operands);
  return all;
}

/** What the other side is in this run. */
function otherRole(given: ParsedFlags): Role {
  const [first, ...others] = given.operands.map(operandTarget);
  const last = others.at(-1) ?? first;
  // What is read from a batch has no source; what is listed has no destination.
  const isDestination = others.length > 0 || given.text('read-batch') !== undefined;
  if (isDestination && last?.kind === 'remote') return 'receiver';
  if (first?.kind === 'remote') return 'sender';
  throw new ConfigError('--remote-option needs a remote side: SRC and DEST are both on this machine');
}

function checkOption(flags: readonly Flag[], option: string, role: Role): void {
  if (!option.startsWith('-')) {
    throw new ConfigError(`--remote-option takes an option, which begins with a dash, not ${JSON.stringify(option)}`);
  }
  // What is no option of the command is refused as everywhere.
  if (parseFlags(flags, [option], FOREIGN_FLAGS).operands.length > 0) {
    throw new ConfigError(`--remote-option takes one option, not ${JSON.stringify(option)}`);
  }
  for (const name of namesIn(flags, option)) {
    if (LOOKED_AT[role].has(name)) continue;
    const other = role === 'receiver' ? 'sender' : 'receiver';
    const why =
      REASONS[name] ??
      (LOOKED_AT[other].has(name)
        ? `only a ${other} looks at it, and the other side is the ${role}`
        : `it is not an option of one side alone; give --${name} itself`);
    throw new ConfigError(`--remote-option does not take --${name}: ${why}`);
  }
}

/** The names of the flags in a word. */
function namesIn(flags: readonly Flag[], option: string): string[] {
  if (option.startsWith('--')) {
    const name = option.slice(2).replace(/=.*$/s, '');
    const named = flags.find((flag) => flag.name === name || `no-${flag.name}` === name || `no-${flag.short}` === name);
    return [named?.name ?? name];
  }
  const letters = Array.from(option.slice(1), (letter) => flags.find(({ short }) => short === letter));
  const end = letters.findIndex((flag) => flag?.value !== undefined && flag.bare === undefined);
  return letters.slice(0, end === -1 ? undefined : end + 1).flatMap((flag) => flag?.name ?? []);
}
