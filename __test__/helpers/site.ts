import { writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { serve } from '../../dist/index.js';
import type { InviteOptions, Server, ServerEvent } from '../../dist/index.js';

import { dir, workDir } from './temp.js';

export interface Site {
  readonly work: string;
  readonly served: string;
  readonly keys: string;
  readonly server: Server;
  readonly address: string;
  readonly events: ServerEvent[];
  readonly options: InviteOptions;
}

/** A server in this process, into which nobody is let yet. */
export async function site(t: ExecutionContext, ...allow: readonly string[]): Promise<Site> {
  const work = workDir(t);
  const served = dir(work, 'served');
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  const keyPath = `${work}/server.config/key.pem`;
  const events: ServerEvent[] = [];
  const server = await serve({
    roots: { root: served },
    identity: { keyPath },
    allow,
    authorizedKeysPath: keys,
    log: (event) => events.push(event),
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  const address = `127.0.0.1:${server.port}`;
  return { work, served, keys, server, address, events, options: { authorizedKeysPath: keys, keyPath } };
}

/** The files of a guest, his alone. */
export function guest(work: string, name: string): { identity: { keyPath: string }; knownHosts: string } {
  return { identity: { keyPath: `${work}/${name}/key.pem` }, knownHosts: `${work}/${name}/known_hosts` };
}

/** A folder with one file. */
export function source(work: string): string {
  const folder = dir(work, 'source');
  writeFileSync(`${folder}/file`, 'content');
  return folder;
}
