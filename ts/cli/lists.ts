import { closeSync, readFileSync } from 'node:fs';

import { ConfigError, messageOf } from '../errors.js';
import { bytesOf, textOf } from '../paths.js';
import type { ParsedFlags, Word } from './parse.js';

/** The entries of the list that `--files-from` names (`-` is standard input). */
async function readList(flags: ParsedFlags, file: Word): Promise<Buffer[]> {
  const path = typeof file === 'string' ? bytesOf(file) : file;
  let content: Buffer;
  try {
    content = textOf(path) === '-' ? readFileSync(0) : await contentOf(path);
  } catch (error) {
    // As in rsync, a missing file is a mistake in the command.
    throw new ConfigError(`cannot read the list of --files-from: ${messageOf(error)}`, { cause: error });
  }
  return entriesOf(flags, content);
}

/** What is in a file to which no symlink of others leads. */
async function contentOf(path: Uint8Array): Promise<Buffer> {
  const { namedFiles } = await import('../named-files.js');
  const descriptor = (await namedFiles()).openToRead(path);
  try {
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The entries of a list with this content: one a line, or with `--from0` one before each NUL. As in rsync, LF and CR both end a line,
 * what stands in it behind a NUL is passed over, and so are entries that are empty or begin with `#` or `;`.
 */
export function entriesOf(flags: ParsedFlags, content: Buffer): Buffer[] {
  const entries = flags.on('from0')
    ? parts([content], 0)
    : parts(parts([content], 0x0a), 0x0d).map((line) => parts([line], 0)[0] ?? line);
  return entries.filter((entry) => entry.length > 0 && entry[0] !== 0x23 && entry[0] !== 0x3b);
}

/** What stands between the bytes of this value. */
function parts(contents: readonly Buffer[], separator: number): Buffer[] {
  const all: Buffer[] = [];
  for (const content of contents) {
    for (let start = 0; start < content.length;) {
      const found = content.indexOf(separator, start);
      const end = found === -1 ? content.length : found;
      all.push(content.subarray(start, end));
      start = end + 1;
    }
  }
  return all;
}

/**
 * The paths that `--files-from` lists; `undefined` for a list on the server, which is read when the connection is made.
 */
export async function filesFromOf(flags: ParsedFlags): Promise<readonly Uint8Array[] | undefined> {
  const file = flags.words('files-from').at(-1);
  if (file === undefined) return undefined;
  return remoteListOf(flags) === undefined ? readList(flags, file) : [];
}

/** The value of `--files-from` for a list on the server: a URL, or `:FILE` with the path below the root, or `HOST:FILE`. */
export function remoteListOf(flags: ParsedFlags): string | undefined {
  const word = flags.words('files-from').at(-1);
  const text = word === undefined ? undefined : textOf(word);
  if (text === undefined || !/^[^/]*:/.test(text)) return undefined;
  return text;
}

/** Refuses a list on the server where nothing is transferred. */
export function refuseRemoteList(flags: ParsedFlags): void {
  if (remoteListOf(flags) !== undefined) throw new ConfigError('--files-from=:FILE is for a sync alone');
}
