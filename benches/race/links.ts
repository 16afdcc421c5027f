// The ways between both ends: loopback, and a veth pair between two network namespaces.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { cpus } from 'node:os';

import { APART, shaped } from './knobs.js';
import type { LinkName } from './knobs.js';
import { atEnd, mustRun, startService } from './processes.js';
import type { Service } from './processes.js';

/** A network namespace. */
export interface Namespace {
  name: string;
  path: string;
  /** The cores of what runs there, as `taskset` takes them; undefined for all. */
  cores: string | undefined;
}

/** How the two ends reach each other. */
export interface Link {
  name: LinkName;
  /** The address of the far end. */
  address: string;
  /** Where clients run; undefined is where the harness is. */
  near?: Namespace;
  /** Where servers run. */
  far?: Namespace;
  /** Bytes that have crossed the link in both directions, where it carries nothing else. */
  bytes?: () => number;
  /** What the near end has sent since the last look, where the link is shaped. */
  look?: () => Promise<Sent>;
}

/** The name of a link in paths, which URLs and sshd's settings hold as well: a "%" means something there. */
export const inPath = ({ name }: Link): string => name.replaceAll('%', 'pc');

/** What a shaped link says of one direction. */
export interface Sent {
  /** What half of the packets waited at most. */
  waitMs: number;
  flows: Array<{ protocol: number; from: number; to: number; bytes: number }>;
}

/** Puts a namespace before a command, for what stays or is not measured. */
export function within(namespace: Namespace | undefined, command: readonly string[]): [string, string[]] {
  return onCores(namespace, namespace === undefined ? command : ['ip', 'netns', 'exec', namespace.name, ...command]);
}

/** Keeps a command on the cores of a namespace. */
export function onCores(namespace: Namespace | undefined, command: readonly string[]): [string, string[]] {
  const cores = namespace?.cores;
  const [program = '', ...args] = cores === undefined ? command : ['taskset', '--cpu-list', cores, ...command];
  return [program, args];
}

/** The cores of either end, half of them each. */
function halves(): { near: string; far: string } {
  const all = cpus().length;
  if (all < 2) throw new Error(`${APART} needs a core for each end`);
  const half = Math.floor(all / 2);
  return { near: `0-${half - 1}`, far: `${half}-${all - 1}` };
}

/** A TCP port that nobody has; in a namespace of our own any is. */
export async function freePort(link: Link): Promise<number> {
  if (link.far !== undefined) return 20_000 + Math.floor(Math.random() * 20_000);
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, link.address, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port');
  return address.port;
}

/** Ethernet's. */
const MTU = 1500;

let made = 0;

/** Makes a link. Throws with the reason where it cannot be made. `programs` has the one that shapes. */
export async function openLink(name: LinkName, programs: string): Promise<Link> {
  if (name === 'loopback') return { name, address: '127.0.0.1' };
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root');
  if (spawnSync('ip', ['-V']).status !== 0) throw new Error('ip (iproute2) is not installed');
  made += 1;
  const near = `spsbench-n-${process.pid}-${made}`;
  const far = `spsbench-f-${process.pid}-${made}`;
  const ip = (...args: string[]): Promise<unknown> => mustRun('ip', args);
  for (const namespace of [near, far]) {
    await ip('netns', 'add', namespace);
    atEnd(() => void spawnSync('ip', ['netns', 'del', namespace]));
    await ip('-n', namespace, 'link', 'set', 'lo', 'up');
  }
  const bad = shaped(name);
  const device = bad === undefined ? 'bench' : 'sps0';
  let shaper: Service | undefined;
  if (bad === undefined) {
    const pair = `link add bench mtu ${MTU} type veth peer bench mtu ${MTU} netns ${far}`;
    await ip('-n', near, ...pair.split(' '));
  } else {
    shaper = await startService(`${programs}/shaped-link`, [near, far, `mtu=${MTU}`, ...bad.shape.split(' ')], {
      stdio: 'pipe',
    });
  }
  for (const [namespace, address] of [
    [near, '10.213.7.1/30'],
    [far, '10.213.7.2/30'],
  ] as const) {
    await ip('-n', namespace, 'address', 'add', address, 'dev', device);
    await ip('-n', namespace, 'link', 'set', device, 'up');
    if (bad !== undefined) {
      const route = `route replace 10.213.7.0/30 dev ${device} congctl ${bad.congestion}`;
      await ip('-n', namespace, ...route.split(' '));
    }
  }
  const cores = name === APART ? halves() : undefined;
  const namespace = (of: string, its: string | undefined): Namespace => ({
    name: of,
    path: `/run/netns/${of}`,
    cores: its,
  });
  return {
    name,
    address: '10.213.7.2',
    near: namespace(near, cores?.near),
    far: namespace(far, cores?.far),
    bytes: () => countedBytes(near, device),
    ...(shaper === undefined ? {} : { look: async () => JSON.parse(await shaper.ask('look')) as Sent }),
  };
}

function countedBytes(namespace: string, device: string): number {
  const { stdout } = spawnSync('ip', ['-n', namespace, '-s', '-j', 'link', 'show', device], { encoding: 'utf8' });
  const [link] = JSON.parse(stdout) as [{ stats64: { rx: { bytes: number }; tx: { bytes: number } } }];
  return link.stats64.rx.bytes + link.stats64.tx.bytes;
}

/** Whether the kernel carries what is in a file system in memory. */
export function fileSystemOf(path: string): string {
  let best: { at: string; type: string } = { at: '', type: 'unknown' };
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, at = '', type = ''] = line.split(' ');
    const holds = path === at || path.startsWith(at === '/' ? '/' : `${at}/`);
    if (holds && at.length >= best.at.length) best = { at, type };
  }
  return best.type;
}
