import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

import { inspect } from 'node:util';

import type { ExecutionContext } from 'ava';

import { SparsyncError } from '../../dist/index.js';

import { type Client, client } from './product.js';
import { type ServerOptions, startServer, type TestServer } from './server.js';
import { dir, workDir } from './temp.js';

/** The sizes that the documents name instead of the small ones: `npm run test:long`. */
export const long: boolean = process.env['SPARSYNC_TEST_LONG'] === '1';

/** The small size, or with `npm run test:long` the one that is promised. */
export function scaled<T>(small: T, promised: T): T {
  return long ? promised : small;
}

/** Who may mount file systems and act for other users. */
export const isRoot = process.getuid?.() === 0;

/** What an API call needs to reach a test server as a test client. */
export interface Access {
  readonly identity: { readonly keyPath: string };
  readonly trust: { readonly pin: string };
}

export interface Setup {
  readonly work: string;
  /** The folder that the server offers as `root`. */
  readonly served: string;
  readonly server: TestServer;
  readonly client: Client;
  readonly access: Access;
  /** The address of a path below `root`. */
  readonly url: (path?: string) => string;
}

export function accessOf(client: Client, server: TestServer): Access {
  return { identity: { keyPath: client.keyPath }, trust: { pin: server.pin } };
}

/** A server process that offers one folder, and a client that may do anything there. */
export async function setup(t: ExecutionContext, options: Partial<ServerOptions> = {}): Promise<Setup> {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], ...options });
  return {
    work,
    served,
    server,
    client: user,
    access: accessOf(user, server),
    url: (path) => (path === undefined ? server.url('root') : server.url('root', path)),
  };
}

/** What a promise rejects with; fails when it does not. */
export async function rejection(t: ExecutionContext, promise: PromiseLike<unknown>, label = ''): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return t.fail(`${label}${label === '' ? '' : ': '}it resolved`);
}

/** The error of a class that a promise rejects with; fails on any other outcome. */
export async function failure<E extends Error>(
  t: ExecutionContext,
  promise: PromiseLike<unknown>,
  kind: abstract new (...args: never[]) => E,
  label?: string,
): Promise<E> {
  const error = await rejection(t, promise, label);
  if (error instanceof kind) {
    t.pass();
    return error;
  }
  return t.fail(`${label === undefined ? '' : `${label}: `}not ${kind.name} but ${inspect(error)}`);
}

/** The code of an error of the package; of anything else, what it is. */
export function codeOf(error: unknown): string {
  return error instanceof SparsyncError ? error.code : inspect(error);
}

/** Mounts a small file system in memory at `path` for the time of a test; false where that is not permitted. */
export function mountTmpfs(t: ExecutionContext, path: string, options: string): boolean {
  mkdirSync(path, { recursive: true });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status === 0;
  if (mounted) t.teardown(() => spawnSync('umount', ['-l', path]));
  return mounted;
}

/** Mounts a file system in memory that holds no extended attributes at `path` for the time of a test. */
export function mountRamfs(t: ExecutionContext, path: string): void {
  mkdirSync(path, { recursive: true });
  const mounted = spawnSync('mount', ['-t', 'ramfs', 'ramfs', path], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`cannot mount ${path}: ${mounted.stderr}`);
  t.teardown(() => spawnSync('umount', ['-l', path]));
}

/** Whether this process may mount at all, tried out in a namespace that ends with the trial. */
export const canMount =
  isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', '/mnt']).status === 0;
