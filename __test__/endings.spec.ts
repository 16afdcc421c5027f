// However a run over ssh or into a container ends, nothing of it runs on or lies around: with each way to the other end, whatever carries
// the content.
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { exit } from './helpers/cli.js';
import { type Container, startContainer } from './helpers/container.js';
import { assertEqual } from './helpers/judge.js';
import { wired } from './helpers/networks.js';
import { type Ended, type Running, start, until } from './helpers/process.js';
import { client, type Client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { canMount, long, mountTmpfs } from './helpers/setup.js';
import { hasSsh, type Sshd, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { names } from './helpers/walk.js';

const ENDINGS = ['success', 'error', 'interrupted', 'near end killed', 'far end killed'] as const;

const WAYS = ['installed', 'put for good', 'put for one run'] as const;

const CARRIERS = ['pipe', 'quic', 'pipe, UDP blocked'] as const;

interface Case {
  readonly ending: (typeof ENDINGS)[number];
  readonly way: (typeof WAYS)[number];
  readonly carrier: (typeof CARRIERS)[number];
}

/** All of them in the long form; in the short one each ending, way and carrier is there with another one of the others. */
function cases(random: Random, ways: readonly Case['way'][], carriers: readonly Case['carrier'][]): Case[] {
  const all = ENDINGS.flatMap((ending) => ways.flatMap((way) => carriers.map((carrier) => ({ ending, way, carrier }))));
  if (long) return all;
  const [first, second] = [random.below(ways.length), random.below(carriers.length)];
  return all.filter(
    ({ ending, way, carrier }) =>
      (ENDINGS.indexOf(ending) + first) % ways.length === ways.indexOf(way) &&
      (ENDINGS.indexOf(ending) + Math.floor(ENDINGS.indexOf(ending) / ways.length) + second) % carriers.length ===
        carriers.indexOf(carrier),
  );
}

/** One place to sync to, and what can be seen there. */
interface Far {
  readonly name: string;
  /** The words of the command, before its ends. */
  readonly flags: readonly string[];
  /** The words before the command. */
  readonly near: readonly string[];
  /** A folder there as it is named there, and as it is seen from here. */
  readonly folder: string;
  readonly seen: string;
  /** A folder with less room than the source takes, as it is named there. */
  readonly small: string;
  /** The processes there that only a run can have started. */
  readonly processes: () => number[];
  /** What was put there, by its names. */
  readonly put: () => string[];
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** The processes of this machine that a client of this test has started, or is. */
function clientsOf(user: Client): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`SPARSYNC_CONFIG_DIR=${user.configDir}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function endsClean(t: ExecutionContext, work: string, far: Far, { ending, way }: Case): Promise<void> {
  const label = `${far.name}: ${ending}, ${way}`;
  const user = client(work);
  const source = `${work}/source`;
  const bootstrap = { installed: [], 'put for good': ['--bootstrap'], 'put for one run': ['--bootstrap=temp'] }[way];
  const begin = (to: string, ...more: string[]): Running => {
    const words = [program, '-a', '--delete', '--lock-wait=10', ...far.flags, ...bootstrap, ...more];
    const [first, ...rest] = [...far.near, process.execPath, ...words, `${source}/`, `box:${to}/`];
    return start(t, first, rest, { env: { ...user.env, SPARSYNC_STATE_DIR: `${work}/state` } });
  };
  const isGone = (): boolean => far.processes().length === 0 && clientsOf(user).length === 0;
  const settled = async (ended: Ended): Promise<void> => {
    await until(`all to end (${label}): ${ended.stderr}`, isGone);
    const kept = way === 'put for good' ? 1 : 0;
    t.is(far.put().length, kept, `${label}: ${far.put().join()}`);
  };
  if (ending === 'success' || ending === 'error') {
    const ended = await begin(ending === 'error' ? far.small : far.folder).ended;
    if (ending === 'success') t.is(ended.code, 0, `${label}: ${ended.stderr}`);
    else t.not(ended.code, 0, label);
    await settled(ended);
    if (ending === 'error') return;
  } else {
    const running = begin(far.folder, '--bwlimit=2000');
    await until(
      label,
      () => running.over() || (existsSync(far.seen) && names(far.seen).some((n) => n.endsWith('.part'))),
    );
    if (ending === 'far end killed') {
      const [pid, ...others] = far.processes().filter((each) => commandOf(each) === 'sparsync-remote');
      t.deepEqual(others, [], label);
      if (pid === undefined) throw new Error(`${label}: there is no other end`);
      process.kill(pid, 'SIGKILL');
    } else if (ending === 'interrupted') running.kill('SIGINT');
    else {
      // The client itself, whatever leads it into its network.
      const pid = clientsOf(user).find((each) => /^(?:node|MainThread|sparsync)/.test(commandOf(each)));
      process.kill(pid ?? running.pid, 'SIGKILL');
    }
    const ended = await running.ended;
    if (ending === 'interrupted') t.is(ended.code, exit.aborted, label);
    else t.not(ended.code, 0, label);
    await settled(ended);
    const again = await begin(far.folder).ended;
    t.is(again.code, 0, `${label}: ${again.stderr}`);
    await settled(again);
  }
  assertEqual(t, source, far.seen, { label });
  rmSync(far.seen, { recursive: true });
}

function makeSource(t: ExecutionContext, work: string): void {
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, new Random(t.title).bytes(6_000_000));
  for (let at = 0; at < 20; at += 1) writeFileSync(`${source}/small${at}`, `${at}`);
}

const where = canMount ? test.serial : test.serial.skip;
const overSsh = hasSsh ? where : test.serial.skip;

overSsh('over ssh', async (t) => {
  t.timeout(600_000);
  t.log(`seed ${seed}`);
  const { near, far, farAddress, ip, inside } = wired(t, 'spends', '10.213.18');
  const work = workDir(t);
  makeSource(t, work);
  if (!mountTmpfs(t, `${work}/small`, 'size=1m')) throw new Error('cannot mount');
  const elsewhere = { address: farAddress, inside: inside(far) };
  const [temporary, cache] = [dir(work, 'tmp'), `${work}/cache`];
  const environment = `TMPDIR=${temporary} XDG_CACHE_HOME=${cache}`;
  const full = await startSshd(t, dir(work, 'full'), { elsewhere, environment });
  const bare = await startSshd(t, dir(work, 'bare'), { elsewhere, environment, bare: true });
  const sessions = ({ pid }: Sshd): number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && isBelow(Number(name), pid))
      .map(Number);
  let isBlocked = false;
  for (const each of cases(new Random(t.title), WAYS, CARRIERS)) {
    if ((each.carrier === 'pipe, UDP blocked') !== isBlocked) {
      isBlocked = !isBlocked;
      ip(`-n ${far} rule ${isBlocked ? 'add' : 'del'} ipproto udp blackhole`);
    }
    const sshd = each.way === 'installed' ? full : bare;
    rmSync(cache, { recursive: true, force: true });
    rmSync(`${work}/state`, { recursive: true, force: true });
    const transport = { pipe: ['--transport=pipe'], quic: ['--transport=quic'], 'pipe, UDP blocked': [] };
    await endsClean(
      t,
      work,
      {
        name: each.carrier,
        flags: ['-e', sshd.rsh, ...transport[each.carrier]],
        near: inside(near),
        folder: `${work}/there`,
        seen: `${work}/there`,
        small: `${work}/small`,
        processes: () => sessions(sshd),
        put: () => [temporary, `${cache}/sparsync`].flatMap((folder) => (existsSync(folder) ? names(folder) : [])),
      },
      each,
    );
  }
});

/** Whether a process descends from another one. */
function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1;) {
    let parent = 0;
    try {
      parent = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${at}/status`, 'latin1'))?.[1] ?? 0);
    } catch {
      return false;
    }
    if (parent === ancestor) return true;
    at = parent;
  }
  return false;
}

where('into a container', async (t) => {
  t.timeout(600_000);
  t.log(`seed ${seed}`);
  const work = workDir(t);
  makeSource(t, work);
  const container = await startContainer(t, work);
  const put = ({ files }: Container): string[] =>
    ['tmp', 'home/.cache/sparsync'].flatMap((name) =>
      existsSync(`${files}/${name}`) ? names(`${files}/${name}`) : [],
    );
  for (const each of cases(new Random(t.title), ['put for good', 'put for one run'], ['pipe'])) {
    rmSync(`${container.files}/home/.cache`, { recursive: true, force: true });
    await endsClean(
      t,
      work,
      {
        name: 'container',
        flags: ['-e', container.enter],
        near: [],
        folder: '/mnt/there',
        seen: `${container.files}/there`,
        small: '/proc/none',
        processes: container.guests,
        put: () => put(container),
      },
      each,
    );
  }
});
