import type { ExecutionContext } from 'ava';

import type { ConnectOptions } from '../../dist/index.js';

import { judgedWhere } from './judge.js';
import { type Client, client } from './product.js';
import { Random } from './random.js';
import { long, setup } from './setup.js';
import { hasSsh, startSshd } from './sshd.js';
import { dir, workDir } from './temp.js';

/** A folder that the command syncs with, whatever leads there. */
export interface Place {
  readonly work: string;
  /** The folder itself. */
  readonly served: string;
  readonly client: Client;
  /** The address of a path below the folder. */
  readonly url: (path?: string) => string;
  /** The command that leads rsync to the same folder, where it is one. */
  readonly rsh?: string;
}

/** The same, for the API as well. */
export interface Reach extends Place {
  /** What a call needs besides the address. */
  readonly access: ConnectOptions;
  /** Where a connection leads, and a path below the folder as that connection names it. */
  readonly address: string;
  readonly named: (path: string) => string;
}

/** One of so many tests also goes over ssh in the short form; in the long one all do. */
const SAMPLE = 8;

async function throughServer(t: ExecutionContext, rights?: string): Promise<Reach> {
  const ready = await setup(t, rights === undefined ? {} : { rights });
  return { ...ready, address: ready.server.url(), named: (path) => `root/${path}` };
}

async function throughSshd(t: ExecutionContext): Promise<Reach> {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  // One connection for all: what ssh takes to log in is not in question.
  const { rsh } = await startSshd(t, work, { shared: true });
  return {
    work,
    served,
    client: { ...user, env: { ...user.env, RSYNC_RSH: rsh } },
    access: { rsh },
    url: (path) => `ssh://box${served}${path === undefined ? '' : `/${path}`}`,
    address: `ssh://box${served}`,
    named: (path) => path,
    rsh,
  };
}

type Run = (t: ExecutionContext, reach: Reach) => Promise<void>;

/** What a server lets the clients of a test do, and where it can be judged at all. */
export interface Conditions {
  readonly rights?: string;
  readonly where?: boolean;
}

/** Declares a test that rsync judges, to a server of this package, and, drawn by its title, through a real sshd. */
export function judgedEachWay(title: string, run: Run, { rights, where = true }: Conditions = {}): void {
  judgedWhere(where)(title, async (t) => run(t, await throughServer(t, rights)));
  const overSsh = `${title} (through sshd)`;
  if (!long && !new Random(overSsh).oneIn(SAMPLE)) return;
  judgedWhere(where && hasSsh)(overSsh, async (t) => run(t, await throughSshd(t)));
}
