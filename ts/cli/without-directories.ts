import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Connection } from '../connection.js';
import type { TransferOptions } from '../options.js';
import { isDirectory, meansContent, placeRelative } from '../placement.js';
import type { Ends, RemoteProbe } from '../placement.js';
import { SparsyncError } from '../errors.js';
import type { RemoteTarget, Target } from '../target.js';
import { arrivesAsDirectory, displayName } from './arrival.js';
import { safeBytes } from './names.js';

/** What tells where sources of a server lead. */
export interface Asked {
  readonly connection: Connection | undefined;
  readonly probe: RemoteProbe;
  /** The path of a source as the connection takes it. */
  readonly pathOf: (source: RemoteTarget) => Uint8Array;
}

/** What is left without -r: the sources that are no directories, nor symlinks to one that are followed. */
export async function withoutDirectories(
  { sources, destination }: Ends,
  transfer: TransferOptions,
  asked: Asked,
): Promise<{ readonly ends: Ends | undefined; readonly skipped: readonly string[] }> {
  const kept: Target[] = [];
  const skipped: string[] = [];
  for (const source of sources) {
    if (await isSkipped(source, transfer, asked)) skipped.push(nameOf(source, transfer));
    else kept.push(source);
  }
  const [first, ...others] = kept;
  return { ends: first === undefined ? undefined : { sources: [first, ...others], destination }, skipped };
}

/** The name of a source as rsync shows it: its path with -R, and that of a directory's content a dot. */
function nameOf(source: Target, { relative }: TransferOptions): string {
  if (relative !== true) return meansContent(source) ? '.' : displayName(source);
  const path = safeBytes(placeRelative(source).below);
  return path === '' ? '.' : path;
}

async function isSkipped(source: Target, transfer: TransferOptions, asked: Asked): Promise<boolean> {
  const { copyLinks, copyDirLinks } = transfer;
  // What --copy-unsafe-links follows is made, empty, as by rsync.
  if (source.kind === 'local') return arrivesAsDirectory(source, { copyLinks, copyDirLinks }, asked.probe);
  if (await isDirectory(source, asked.probe)) return true;
  const isFollowed = source.trailingSlash || copyLinks === true || copyDirLinks === true;
  if (!isFollowed || (await asked.probe(source)) !== 'symlink') return false;
  return leadsToDirectory(source, transfer, asked);
}

/** Where a symlink of a server leads only a run tells: the first entry of one that changes nothing. */
async function leadsToDirectory(
  source: RemoteTarget,
  { copyLinks, copyDirLinks, timeoutMs }: TransferOptions,
  { connection, pathOf }: Asked,
): Promise<boolean> {
  const nowhere = `${join(tmpdir(), `sparsync-list-${process.pid}`)}/`;
  const job = connection?.pull(pathOf(source), nowhere, {
    dryRun: true,
    // As the run will have it: what -L or -k makes of a name is told of the name in its directory alone.
    into: !source.trailingSlash,
    recursive: false,
    dirs: true,
    links: true,
    copyLinks,
    copyDirLinks,
    timeoutMs,
    // Of the directory itself alone is to be known.
    filter: source.trailingSlash ? [{ exclude: '*' }] : [],
    events: { items: true },
  });
  if (job === undefined) return false;
  let isFound: boolean | undefined;
  try {
    for await (const event of job) if (event.type === 'item') isFound ??= event.kind === 'directory';
    await job;
  } catch (error) {
    // The run itself tells why.
    if (!(error instanceof SparsyncError)) throw error;
  }
  return isFound === true;
}
