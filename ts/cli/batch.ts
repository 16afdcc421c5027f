import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

import { ConfigError, ioError } from '../errors.js';
import { absolute, bytesOf, textOf } from '../paths.js';
import type { Ends } from '../placement.js';
import { shellQuoted } from '../shell.js';
import { endsOf } from './operands.js';
import type { ParsedFlags, Word } from './parse.js';
import { SYNC_FLAGS } from './transfer-flags.js';

/** Flags that a batch contains already, or that only concern the run that writes it. */
const NOT_IN_SCRIPT = new Set(
  `write-batch only-write-batch filter exclude include exclude-from include-from files-from from0 cvs-exclude gitignore relative
  implied-dirs rsh rsync-path remote-option chmod log-file profile`.split(/\s+/),
);

/** The ends of a run that writes a batch or reads one. */
export function batchEnds(flags: ParsedFlags): Ends {
  const read = flags.words('read-batch').at(-1);
  if (read !== undefined) {
    if (flags.operands.length !== 1) throw new ConfigError('--read-batch takes DEST alone: the batch is the source');
    if (flags.on('list-only')) throw new ConfigError('--read-batch and --list-only cannot be combined');
    return endsOf([batchPath(read), ...flags.operands]);
  }
  if (flags.operands.length < 2 || flags.on('list-only')) throw new ConfigError('a batch needs SRC and DEST');
  return endsOf(flags.operands);
}

/** The file of a batch that is read; as with rsync a dash stands for standard input. */
function batchPath(given: Word): Uint8Array {
  const path = bytes(given);
  return path.length === 1 && path[0] === 0x2d ? Buffer.from('/dev/stdin') : absolute(path);
}

/** As rsync does: beside a batch that was written, a shell script that applies it to the destination that it is given. */
export function writeScript(flags: ParsedFlags): void {
  const file = flags.words('only-write-batch').at(-1) ?? flags.words('write-batch').at(-1);
  if (file === undefined || flags.on('dry-run')) return;
  const script = Buffer.concat([Buffer.from(absolute(bytes(file))), Buffer.from('.sh')]);
  const words: Word[] = [];
  // Flags that imply others come first, so that what is said about the others themselves counts.
  for (const { name, value } of SYNC_FLAGS.toSorted(
    (a, b) => Number(b.implies !== undefined) - Number(a.implies !== undefined),
  )) {
    if (NOT_IN_SCRIPT.has(name)) continue;
    if (value !== undefined) for (const word of flags.words(name)) words.push(joined(`--${name}=`, word));
    else if (flags.times(name) > 0) for (let at = 0; at < flags.times(name); at += 1) words.push(`--${name}`);
    else if (flags.spelled(name)) words.push(`--no-${name}`);
  }
  const all = ['sparsync', ...words, joined('--read-batch=', file)].flatMap((word) => [quoted(word), Buffer.from(' ')]);
  // A destination that is given is one word, whatever is in it.
  const first = [Buffer.from('[ $# -gt 0 ] || set -- '), quoted(flags.operands.at(-1) ?? ''), Buffer.from('\n')];
  const last = Buffer.from('"$1"\n');
  const temporary = Buffer.concat([script, Buffer.from(`.${randomBytes(6).toString('hex')}.tmp`)]);
  try {
    writeFileSync(temporary, Buffer.concat([...first, ...all, last]), { mode: 0o700, flag: 'wx' });
    renameSync(temporary, script);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw ioError('cannot write the script beside the batch', error, textOf(script));
  }
}

const bytes = (word: Word): Uint8Array => (typeof word === 'string' ? bytesOf(word) : word);

const joined = (before: string, word: Word): Uint8Array => Buffer.concat([Buffer.from(before), bytes(word)]);

/** A word as a shell reads it. */
function quoted(word: Word): Buffer {
  return Buffer.from(shellQuoted(Buffer.from(bytes(word)).toString('latin1')), 'latin1');
}
