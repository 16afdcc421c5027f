import { lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import type { Connection } from '../connection.js';
import { ConfigError, IoError, NotFoundError } from '../errors.js';
import type { TransferOptions } from '../options.js';
import { bytesOf, joinBytes } from '../paths.js';
import { remoteEnd } from '../placement.js';
import type { Ends } from '../placement.js';
import { pipeParts } from '../shell.js';
import { machineOf, parseTarget } from '../target.js';
import type { RemoteTarget } from '../target.js';
import { entriesOf, remoteListOf } from './lists.js';
import type { ParsedFlags } from './parse.js';

/** The most bytes of a list: more than the paths of a request, since it may have comments. */
const LIST_BYTES_MAX = 64 << 20;

/** The options of a sync, with the paths of a list that `--files-from` names on the server. */
export async function withRemoteList(
  flags: ParsedFlags,
  ends: Ends,
  connection: Connection | undefined,
  transfer: TransferOptions,
): Promise<TransferOptions> {
  const list = remoteListOf(flags);
  if (list === undefined) return transfer;
  const remote = remoteEnd(ends);
  if (connection === undefined || remote === undefined) {
    throw new ConfigError('--files-from=:FILE is a file on the server, and neither SRC nor DEST is on one');
  }
  return { ...transfer, filesFrom: entriesOf(flags, await fetched(connection, placeOf(list, remote), transfer)) };
}

/** Root and path of the list. */
function placeOf(list: string, remote: RemoteTarget): Uint8Array {
  const other = 'a different server than SRC and DEST';
  if (/^(?:sparsync|ssh):\/\//i.test(list)) {
    const target = parseTarget(list, '--files-from');
    if (target.kind !== 'remote' || machineOf(target) !== machineOf(remote))
      throw new ConfigError(`--files-from names ${other}`);
    return joinBytes(Buffer.from(target.root), target.path);
  }
  const [, user, host, file = ''] = /^(?:([^@:]*)@)?(\[[^\]]*\]|[^:]*):(.*)$/s.exec(list) ?? [];
  const isOther = host !== '' && host?.replace(/^\[(.*)\]$/, '$1') !== remote.host;
  const isAnother =
    user !== undefined && !(remote.via !== undefined && 'user' in remote.via && remote.via.user === user);
  if (isOther || isAnother)
    throw new ConfigError(`--files-from=${list} names ${other}, or is a file here: write that as ./…`);
  if (remote.via === undefined) return joinBytes(Buffer.from(remote.root), bytesOf(file.replace(/^\/+/, '')));
  const { root, path } = pipeParts({ host: 'host', path: file }, '--files-from');
  return joinBytes(Buffer.from(root), path);
}

/**
 * The content of a regular file on the server. It is transferred like any file: with the rights, and below the prefix,
 * of the key.
 */
async function fetched(connection: Connection, path: Uint8Array, { timeoutMs }: TransferOptions): Promise<Buffer> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new IoError(`cannot read the list of --files-from: ${why}`, { code: 'ERR_SPARSYNC_IO', cause });
  };
  const found = await connection.stat(path, { timeoutMs }).catch((error: unknown) => {
    if (error instanceof NotFoundError) return refuse('the server has no such file', error);
    throw error;
  });
  if (found.kind !== 'file') return refuse('it is not a regular file');
  if (found.size > LIST_BYTES_MAX) return refuse(`it has more than ${LIST_BYTES_MAX} bytes`);
  // The import is not at the top, because it takes longer than all modules of a sync, and few runs have such a list.
  const { tmpdir } = await import('node:os');
  const folder = mkdtempSync(join(tmpdir(), 'sparsync-list-'));
  try {
    const file = join(folder, 'list');
    const left = { links: false, devices: false, specials: false, perms: false, recursive: false, partial: false };
    await connection.pull(path, file, { ...left, maxSize: LIST_BYTES_MAX, durability: 'none', timeoutMs });
    return lstatSync(file, { throwIfNoEntry: false })?.isFile() === true
      ? readFileSync(file)
      : refuse('it is not a regular file');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
