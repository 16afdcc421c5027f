import { ConfigError } from '../errors.js';
import { bytesOf, joinBytes, textOf } from '../paths.js';
import { checkEnds } from '../placement.js';
import type { Ends } from '../placement.js';
import { daemonModule, parseShellPlace } from '../shell.js';
import type { ShellPlace } from '../shell.js';
import { parseTarget } from '../target.js';
import type { Target } from '../target.js';
import type { ParsedFlags, Word } from './parse.js';

/** Takes SRC... and DEST apart. */
export function endsOf(operands: readonly Word[]): Ends {
  const last = operands.at(-1);
  const locations = operandLocations(operands.slice(0, -1));
  const [first, ...others] = locations.map((location) => parseTarget(location, 'SRC or DEST'));
  if (last === undefined || first === undefined) {
    throw new ConfigError(operands.length === 0 ? 'SRC and DEST are missing' : 'DEST is missing');
  }
  const target = operandTarget(last);
  const ends: Ends = { sources: [first, ...others], destination: others.length > 0 ? asDirectory(target) : target };
  checkEnds(ends);
  return ends;
}

/** Several sources can only go into a directory. */
function asDirectory(target: Target): Target {
  if (target.kind === 'remote') return { ...target, trailingSlash: true };
  return { kind: 'local', path: joinBytes(target.path, Buffer.from('/')) };
}

/** Takes SRC or DEST apart: URLs, and rsync's `[user@]host:path`. */
export function operandTarget(word: Word): Target {
  return parseTarget(operandLocation(word), 'SRC or DEST');
}

/** SRC or DEST as the API takes it. */
export function operandLocation(word: Word, before?: ShellPlace): Word | ShellPlace {
  const bytes = typeof word === 'string' ? bytesOf(word) : word;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(textOf(bytes.subarray(0, 40)))?.[1]?.toLowerCase();
  if (scheme === 'rsync') throw daemonModule(bytes);
  return (scheme === undefined ? parseShellPlace(bytes, before) : undefined) ?? word;
}

/** The sources: one that begins with a colon is on the host of the one before. */
export function operandLocations(words: readonly Word[]): (Word | ShellPlace)[] {
  let before: ShellPlace | undefined;
  return words.map((word) => {
    const location = operandLocation(word, before);
    if (typeof location === 'object' && 'host' in location) before = location;
    return location;
  });
}

/** Adds the port of `--port` to URLs among the operands that have none. */
export function withPort(flags: ParsedFlags): void {
  const port = flags.number('port', 1);
  if (port === undefined) return;
  if (port > 65_535) throw new ConfigError(`--port must be a port from 1 to 65535, not ${port}`);
  for (const [at, word] of flags.operands.entries()) {
    const bytes = Buffer.from(word);
    const end = /^sparsync:\/\/(?:\[[^\]]*\]|[^:/[]+)(?=\/|$)/i.exec(bytes.toString('latin1'))?.[0].length;
    if (end === undefined) continue;
    flags.operands[at] = Buffer.concat([bytes.subarray(0, end), Buffer.from(`:${port}`), bytes.subarray(end)]);
  }
}

/** Whether the source is only listed: on request, or because there is no destination. */
export function listsOnly(flags: ParsedFlags): boolean {
  return flags.on('list-only') || (flags.operands.length === 1 && flags.words('read-batch').length === 0);
}
