import type { ExecutionContext } from 'ava';

import { type Accounts, onMachine, ranOn, remoteShell } from './accounts.js';
import { type Ended, start } from './process.js';
import { client, type Client, program } from './product.js';
import { startServer, type TestServer } from './server.js';
import { dir, workDir } from './temp.js';

/** Users and groups where the client is. */
export const near: Accounts = {
  users: { root: 0, alice: 1000, bob: 1001, toor: 1003, carol: 1004 },
  groups: { root: 0, alice: 1000, bobs: 1001, staff: 1005 },
};

/** Those where the server is. */
export const far: Accounts = {
  users: { root: 0, alice: 2000, carol: 3000, backup: 4500 },
  groups: { root: 0, alice: 2000, staff: 2500 },
};

export interface Machines {
  readonly work: string;
  readonly served: string;
  readonly server: TestServer;
  readonly user: Client;
  readonly here: readonly string[];
  readonly shell: string;
  /** Runs the command here, and asserts that it succeeds. */
  readonly ours: (...words: readonly string[]) => Promise<Ended>;
  /** The same with rsync, whose other end is at the other machine. */
  readonly theirs: (...words: readonly string[]) => void;
}

/** A server on one machine, a client on another. */
export async function machines(t: ExecutionContext, rights?: string): Promise<Machines> {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const there = onMachine(work, 'far', far);
  const here = onMachine(work, 'near', near);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    clients: [user],
    under: there,
    ...(rights === undefined ? {} : { rights }),
  });
  const shell = remoteShell(work, there);
  const ours = async (...words: readonly string[]): Promise<Ended> => {
    const [first = '', ...rest] = [...here, process.execPath, program, ...words];
    return start(t, first, rest, { env: user.env }).ended;
  };
  const theirs = (...words: readonly string[]): void => {
    const ran = ranOn(here, ['rsync', '-e', shell, ...words]);
    if (ran.status !== 0) throw new Error(`rsync ${words.join(' ')}: ${ran.stderr}`);
  };
  return { work, served, server, user, here, shell, ours, theirs };
}
