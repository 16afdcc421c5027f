import { lstat, stat } from 'node:fs';

import { ConfigError, SparsyncError } from './errors.js';
import { absolute, baseName, joinBytes, namesContent } from './paths.js';
import type { RemoteTarget, Target } from './target.js';

/** Source and destination of a run. */
export interface Ends {
  readonly source: Target;
  readonly destination: Target;
}

/** Where exactly the engine reads and writes. */
export interface Placement {
  readonly direction: 'push' | 'pull' | 'local';
  /** The end on this machine; for a run on one machine its source. */
  readonly localPath: Uint8Array;
  /** The destination of a run on one machine; empty otherwise. */
  readonly localDestination: Uint8Array;
  readonly root: string;
  readonly remotePath: Uint8Array;
  /**
   * Whether the source is something with a name of its own and no directory, a symlink to one among them: the engine
   * puts it below the destination where that is a directory.
   */
  readonly into: boolean;
  /** Whether the directory that holds the destination may be made, when that is all that is missing. */
  readonly makeParent: boolean;
}

/** Tells whether a path of the server is a directory. */
export type RemoteProbe = (remote: RemoteTarget) => Promise<boolean>;

/** Rejects pairs that no single run can serve. */
export function checkEnds({ source, destination }: Ends): void {
  if (source.kind === 'remote' && destination.kind === 'remote') {
    throw new ConfigError('source and destination are both on servers: one of them must be a local path');
  }
  for (const end of [source, destination]) {
    if (end.kind === 'remote' && end.root === '') {
      throw new ConfigError('the URL names no root, as in sparsync://host/root: a server has no default one');
    }
  }
}

/**
 * Applies rsync's rule where it is asked for: a source whose last component is a name is put below the destination
 * under that name. For a single file the engine decides, because only it sees the destination.
 */
export async function place(ends: Ends, into: boolean, probe: RemoteProbe): Promise<Placement> {
  const { source, destination } = ends;
  const nested = into && !meansContent(source);
  const directory = nested && (await isDirectory(source, probe));
  const name = baseName(source.path);
  // A slash after the destination says that it is a directory, also when it is not there yet.
  const below = directory || (nested && endsWithSlash(destination));
  const goal = (path: Uint8Array): Uint8Array => (directory ? joinBytes(path, name) : path);

  // A slash at the end says that the source is a directory, or leads to one.
  const itself = (path: Uint8Array): Uint8Array =>
    into && meansContent(source) ? Buffer.concat([absolute(path), Buffer.from('/')]) : absolute(path);

  // `sync SRC NEW` makes NEW and puts SRC below it: the place that the user named is one level above the destination.
  const rest = { into: nested && !directory, makeParent: below };
  if (source.kind === 'local' && destination.kind === 'local') {
    return {
      direction: 'local',
      localPath: itself(source.path),
      localDestination: goal(absolute(destination.path)),
      root: '',
      remotePath: new Uint8Array(),
      ...rest,
    };
  }
  const remote = source.kind === 'remote' ? source : destination;
  const local = source.kind === 'local' ? source : destination;
  if (remote.kind !== 'remote' || local.kind !== 'local') throw new ConfigError('one end must be a local path');
  const push = local === source;
  return {
    direction: push ? 'push' : 'pull',
    localPath: push ? itself(local.path) : goal(absolute(local.path)),
    localDestination: new Uint8Array(),
    root: remote.root,
    remotePath: push ? goal(remote.path) : remote.path,
    ...rest,
  };
}

/** Whether the source stands for what is in it: it ends with a slash, or is a root or a dot. */
export function meansContent(source: Target): boolean {
  return source.kind === 'local' ? namesContent(source.path) : source.trailingSlash || source.path.length === 0;
}

function endsWithSlash(target: Target): boolean {
  return target.kind === 'local' ? target.path.at(-1) === 0x2f : target.trailingSlash;
}

/** Whether the source is a directory. One that is not there is none: the engine will say so. */
export async function isDirectory(source: Target, probe: RemoteProbe): Promise<boolean> {
  if (source.kind === 'remote') return source.path.length === 0 || probe(source);
  const path = Buffer.from(absolute(source.path));
  const look = meansContent(source) ? stat : lstat;
  return new Promise((resolve) => {
    look(path, (error, info) => resolve(error === null && info.isDirectory()));
  });
}

/** A probe that asks what stands at the path. One that is not there, or that this key may not know, is no directory. */
export function directoryProbe(stat: (remote: RemoteTarget) => Promise<{ kind: string } | undefined>): RemoteProbe {
  return async (remote) => {
    try {
      const found = await stat(remote);
      return found?.kind === 'directory';
    } catch (error) {
      if (error instanceof SparsyncError && !error.retryable) return false;
      throw error;
    }
  };
}
