// QUIC beside the pipe of a real sshd on loopback.
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { connect, sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual } from './helpers/judge.js';
import { wired } from './helpers/networks.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { canMount, codeOf } from './helpers/setup.js';
import { overSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';

/** More than goes over the pipe before QUIC is asked for, and more than it holds on its way. */
const LARGE = randomBytes(5_000_000);

/** Slow enough that QUIC stands before all of it has gone. */
const SLOW = '--bwlimit=8000k';

async function setup(t: ExecutionContext) {
  const work = workDir(t);
  const [user, sshd] = [client(work), await startSshd(t, work)];
  const source = dir(work, 'source');
  plainTree(source, { directories: 3, files: 30 });
  for (const name of ['large', 'larger']) writeFileSync(`${source}/${name}`, LARGE);
  const env = { SPARSYNC_STATE_DIR: `${work}/state` };
  const run = (...args: string[]) => cli(t, user, ['-a', '--delete', '-v', '-v', '-e', sshd.rsh, ...args], { env });
  return { work, user, sshd, source, run, env };
}

const told = (stderr: string): string => /^.*transport: (.*)$/m.exec(stderr)?.[1] ?? stderr;

overSsh('content moves to QUIC in either direction, and what changes nothing never asks for it', async (t) => {
  const { work, source, run } = await setup(t);
  const there = `box:${work}/there/`;
  const pushed = await run(SLOW, `${source}/`, there);
  t.is(pushed.code, 0, pushed.stderr);
  t.is(told(pushed.stderr), 'quic (box)');
  assertEqual(t, source, `${work}/there`);
  const pulled = await run(SLOW, there, `${work}/back/`);
  t.is(told(pulled.stderr), 'quic (box)');
  assertEqual(t, source, `${work}/back`);
  t.is(told((await run(`${source}/`, there)).stderr), 'pipe (box)');
  appendFileSync(`${source}/large`, 'little');
  t.is(told((await run(`${source}/`, there)).stderr), 'pipe (box)');
  assertEqual(t, source, `${work}/there`);
  rmSync(`${work}/there`, { recursive: true });
  t.is(told((await run('--transport=pipe', `${source}/`, there)).stderr), 'pipe (box)');
  assertEqual(t, source, `${work}/there`);
});

overSsh('it can be required, at the ports that are named, and for a confined key', async (t) => {
  const { work, sshd, source, run } = await setup(t);
  const there = `box:${work}/there/`;
  const required = await run('--transport=quic', '--quic-ports=61000-61999', `${source}/`, there);
  t.deepEqual([required.code, told(required.stderr)], [0, 'quic (box)']);
  assertEqual(t, source, `${work}/there`);
  for (const args of [['--transport=tcp'], ['--quic-ports=9-8'], ['--quic-ports=0'], ['--quic-ports=x']]) {
    t.is((await run(...args, `${source}/`, there)).code, exit.usage, args.join(' '));
  }
  t.is((await run('--transport=quic', '--quic-ports=1023', `${source}/`, there)).code, exit.usage);
  sshd.authorize(`command="sparsync-remote --stdio --no-quic",restrict `);
  const without = await run('--transport=quic', `${source}/`, there);
  t.is(without.code, exit.connect, without.stderr);
  t.is(told((await run(`${source}/`, `box:${work}/other/`)).stderr), 'pipe (box; UDP: refused)');
  await t.throwsAsync(connect('sparsync://127.0.0.1:9', { transport: 'pipe' }), { code: 'ERR_SPARSYNC_CONFIG' });
  sshd.authorize(`command="sparsync-remote --stdio --root ${work}/there --read-only",restrict `);
  await using connection = await connect('ssh://box', { rsh: sshd.rsh, transport: 'quic' });
  await connection.pull('.', `${work}/back`);
  t.is(connection.transport, 'quic');
  assertEqual(t, source, `${work}/back`);
  t.is(await connection.push(source, 'in').then(() => '', codeOf), 'ERR_SPARSYNC_SCOPE');
});

const overSshElsewhere = canMount ? overSsh : test.serial.skip;

overSshElsewhere('where UDP does not get through nothing is lost, and it is remembered', async (t) => {
  const { near, far, farAddress, ip, inside } = wired(t, 'spssh', '10.213.10');
  const work = workDir(t);
  const user = client(work);
  const sshd = await startSshd(t, work, { elsewhere: { address: farAddress, inside: inside(far) } });
  const source = dir(work, 'source');
  writeFileSync(`${source}/large`, randomBytes(12_000_000));
  const run = async (...args: string[]): Promise<[number | null, string]> => {
    rmSync(`${work}/there`, { recursive: true, force: true });
    const words = [program, '-a', '-vv', '-e', sshd.rsh, ...args, `${source}/`, `box:${work}/there/`];
    const [first = '', ...rest] = [...inside(near), process.execPath, ...words];
    const env = { ...user.env, SPARSYNC_STATE_DIR: `${work}/state` };
    const { code, stderr } = await start(t, first, rest, { env }).ended;
    if (code === 0) assertEqual(t, source, `${work}/there`);
    return [code, told(stderr)];
  };
  t.deepEqual(await run(SLOW), [0, 'quic (box)']);
  ip(`-n ${far} rule add ipproto udp blackhole`);
  // It takes longer than the other end is waited for, so that its silence is seen.
  t.deepEqual(await run('--bwlimit=1000k'), [0, 'pipe (box; UDP: silent)']);
  t.deepEqual(await run(), [0, 'pipe (box; UDP: silent-lately)']);
  const [code, why] = await run('--transport=quic');
  t.true(code === exit.connect || code === exit.connectTimeout, why);
  t.regex(why, /content cannot go over QUIC/);
});

/** The processes with this folder in their environment or command that hold UDP sockets. */
function udpHolders(folder: string): string[] {
  const inodes = new Set(
    ['udp', 'udp6'].flatMap((name) =>
      readFileSync(`/proc/net/${name}`, 'latin1')
        .split('\n')
        .map((line) => `socket:[${line.trim().split(/\s+/)[9] ?? ''}]`),
    ),
  );
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const started = ['environ', 'cmdline'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join('');
        if (!started.includes(folder)) return false;
        return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
      } catch {
        return false;
      }
    });
}

overSsh('after a run nobody listens any more', async (t) => {
  const { work, source, sshd } = await setup(t);
  const options = { rsh: sshd.rsh, transport: 'quic' } as const;
  const job = sync(source, `ssh://box${work}/there`, options);
  let beside: string[] = [];
  for await (const event of job) {
    if (event.type === 'connected') beside = udpHolders(work);
  }
  t.is((await job).transport, 'quic');
  t.is(beside.length, 1, 'the other end has a socket meanwhile');
  await until('the other end to go', () => udpHolders(work).length === 0);
  t.deepEqual(udpHolders(work), []);
});
