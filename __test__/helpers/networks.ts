import { spawnSync } from 'node:child_process';

import type { ExecutionContext } from 'ava';

import { start, until } from './process.js';
import { type Client, program } from './product.js';
import { dir } from './temp.js';

/** Two networks that have nothing in common until they are linked. */
export interface Networks {
  readonly near: string;
  readonly far: string;
  /** Runs `ip`, and asserts that it succeeds. */
  readonly ip: (words: string) => void;
}

/** Makes two network namespaces for the time of a test; `prefix` tells those of its spec from others'. */
export function networks(t: ExecutionContext, prefix: string): Networks {
  const [near, far] = ['n', 'f'].map((end) => `${prefix}-${end}-${process.pid}`) as [string, string];
  const ip = (words: string): void => void t.is(spawnSync('ip', words.split(' ')).status, 0, words);
  for (const name of [near, far]) {
    ip(`netns add ${name}`);
    t.teardown(() => void spawnSync('ip', ['netns', 'del', name]));
  }
  return { near, far, ip };
}

/** Two networks that a cable joins, with an address each. */
export interface Wired extends Networks {
  readonly nearAddress: string;
  readonly farAddress: string;
  /** The words that lead a command into one of them. */
  readonly inside: (name: string) => string[];
}

/** The same, joined; `subnet` is the first three numbers of their addresses. */
export function wired(t: ExecutionContext, prefix: string, subnet: string): Wired {
  const two = networks(t, prefix);
  const { near, far, ip } = two;
  const [nearAddress, farAddress] = [`${subnet}.1`, `${subnet}.2`];
  ip(`link add sp0 netns ${near} type veth peer name sp1 netns ${far}`);
  for (const [name, end, address] of [
    [near, 'sp0', nearAddress],
    [far, 'sp1', farAddress],
  ] as const) {
    ip(`-n ${name} address add ${address}/30 dev ${end}`);
    ip(`-n ${name} link set ${end} up`);
    ip(`-n ${name} link set lo up`);
  }
  return { ...two, nearAddress, farAddress, inside: (name) => ['ip', 'netns', 'exec', name] };
}

/** Starts a server in a network, on the usual port, whose `root` is `served` below `work`; gives its key. */
export async function serveInside(
  t: ExecutionContext,
  inside: readonly string[],
  address: string,
  { work, user, args = [] }: { readonly work: string; readonly user: Client; readonly args?: readonly string[] },
): Promise<string> {
  const [first, ...rest] = [...inside, process.execPath, program, 'serve', '--listen', `${address}:28792`];
  const given = ['--allow', `me ${user.publicKey}`, '--root', `root=${dir(work, 'served')}`, ...args];
  const server = start(t, first, [...rest, ...given], {
    env: { SPARSYNC_CONFIG_DIR: `${work}/server.config`, SPARSYNC_STATE_DIR: `${work}/server.state` },
  });
  await until('the server', () => server.stdout().includes('serving') || server.over());
  return /ed25519:\S+/.exec(server.stdout())?.[0] ?? '';
}
