// Exit codes of what goes wrong on the way, as rsync has them: both are led into the same trouble.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { make } from './helpers/beside.js';
import { exit, startCli } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { freePort } from './helpers/port.js';
import { type Ended, type Running, start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { dir, workDir } from './helpers/temp.js';
import { names } from './helpers/walk.js';

/** Files that take seconds at the rate of {@link SLOWLY}, compressed or not, so that the run is met under way. */
function slowTree(path: string): string {
  for (const name of ['a', 'z']) writeFileSync(`${path}/${name}`, randomBytes(1 << 20));
  return path;
}

const SLOWLY = '--bwlimit=200';

async function begun(ran: Running, to: string): Promise<void> {
  await until('something to be under way', () => ran.over() || names(to).length > 0);
}

judged('a signal ends a run with 20, here and in rsync', async (t: ExecutionContext) => {
  const work = workDir(t);
  const user = client(work);
  slowTree(dir(work, 's'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const to = { theirs: dir(work, `theirs${signal}`), ours: dir(work, `ours${signal}`) };
    const theirs = start(t, 'rsync', ['-a', SLOWLY, 's/', to.theirs], { cwd: work });
    const ours = startCli(t, user, ['-a', SLOWLY, 's/', to.ours], { cwd: work });
    await Promise.all([begun(theirs, to.theirs), begun(ours, to.ours)]);
    for (const ran of [theirs, ours]) ran.kill(signal);
    t.deepEqual([(await ours.ended).code, exit.aborted], [(await theirs.ended).code, exit.aborted], signal);
  }
});

judged('a source that goes away while a run is under way ends it with 24, here and in rsync', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const codes = await Promise.all(
    (['theirs', 'ours'] as const).map(async (who) => {
      const source = slowTree(dir(work, `${who}.s`));
      const to = dir(work, `${who}.d`);
      const words = ['-a', SLOWLY, `${source}/`, to];
      const ran = who === 'theirs' ? start(t, 'rsync', words) : startCli(t, user, [...words, '--lanes=1']);
      await begun(ran, to);
      rmSync(`${source}/z`);
      return (await ran.ended).code;
    }),
  );
  t.deepEqual(codes, [exit.vanished, exit.vanished]);
});

judged('nobody at the port is 10, here and in rsync', async (t) => {
  const work = workDir(t);
  const user = client(work);
  dir(work, 's');
  const port = await freePort();
  const theirs = await start(t, 'rsync', ['-a', `${work}/s/`, `rsync://127.0.0.1:${port}/m/`]).ended;
  const ours = await startCli(t, user, [
    '-a',
    `--pin=${user.publicKey}`,
    `${work}/s/`,
    `sparsync://127.0.0.1:${port}/m/`,
  ]).ended;
  t.deepEqual([ours.code, exit.connect], [theirs.code, exit.connect], ours.stderr);
});

judged(
  'an end of another version is 2, and one whose words are none of the protocol 12, here and in rsync',
  async (t) => {
    const work = workDir(t);
    const user = client(work);
    dir(work, 's');
    const script = (name: string, text: string): string => {
      writeFileSync(`${work}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
      return `${work}/${name}`;
    };
    for (const [code, theirs, ours] of [
      // What each says first: rsync's a number of four bytes.
      [exit.version, 'printf "\\001\\000\\000\\000"; exec cat >&2', 'printf "\\0SPSY-9\\n"; exec cat >&2'],
      [exit.protocol, 'printf "\\040\\000\\000\\000"; exit 0', 'printf "\\0SPSY"; exit 0'],
    ] as const) {
      const words = (shell: string): string[] => ['-a', '-e', shell, `${work}/s/`, 'box:d/'];
      const expected = await start(t, 'rsync', words(script(`theirs${code}`, theirs))).ended;
      const found = await startCli(t, user, words(script(`ours${code}`, ours))).ended;
      t.deepEqual([found.code, code], [expected.code, code], `${found.stderr} | ${expected.stderr}`);
    }
  },
);

judged('a peer that stops is 30 after --timeout, here and in rsync', async (t) => {
  const work = workDir(t);
  const user = client(work);
  slowTree(dir(work, 's'));
  const served = dir(work, 'served');
  const server = await startServer(t, { home: work, roots: { m: served }, clients: [user] });
  slowTree(dir(served, 's'));
  const ours = startCli(t, user, ['-a', SLOWLY, '--timeout=2', `${work}/s/`, server.url('m')]);
  const pulls = startCli(t, user, ['-a', SLOWLY, '--timeout=2', `${server.url('m')}/s/`, `${work}/pulled`]);
  await begun(ours, served);
  await begun(pulls, `${work}/pulled`);
  server.kill('SIGSTOP');
  t.teardown(() => server.kill('SIGCONT'));
  // What rsync talks to is a remote shell that leads to nobody who answers.
  writeFileSync(`${work}/silent`, '#!/bin/sh\nexec sleep 8 2>/dev/null\n', { mode: 0o755 });
  const theirs = start(t, 'rsync', ['-a', '--timeout=2', '-e', `${work}/silent`, `${work}/s/`, 'box:d/']);
  const codes = [(await ours.ended).code, (await pulls.ended).code, (await theirs.ended).code];
  t.deepEqual(codes, [exit.timeout, exit.timeout, exit.timeout], `${ours.stderr()}${pulls.stderr()}`);
});

/** What rsync and the command end a run in a folder with. */
async function ends(
  t: ExecutionContext,
  work: string,
  words: readonly string[],
  as: readonly string[] = [],
): Promise<Ended> {
  const user = client(work);
  const [first = '', ...rest] = [...as, 'rsync', ...words];
  const theirs = await start(t, first, rest, { cwd: `${work}/in` }).ended;
  const [command = '', ...more] = [...as, process.execPath, program, ...words];
  const ours = await start(t, command, more, { cwd: `${work}/in`, env: user.env }).ended;
  t.is(ours.code, theirs.code, `${words.join(' ')}: ${ours.stderr}; rsync: ${theirs.stderr}`);
  return ours;
}

judged('a destination that is none is 3, and one that cannot be made 11, here and in rsync', async (t) => {
  const work = workDir(t);
  make(`${work}/in`, { 's/a': 'a', file: 'f', 'to-file': '-> file', 'to-nothing': '-> none' });
  for (const to of ['file', 'file/x', 'to-file', 'to-file/', 'to-file/x', 'to-nothing', 'to-nothing/', 'to-nothing/x'])
    t.false((await ends(t, work, ['-a', 's/', to])).stderr.includes('authorized_keys'), to);
  for (const to of ['to-file/', 'to-nothing/', 'file/x']) await ends(t, work, ['-a', 's/a', to]);
  for (const to of ['file', 'file/x', 'file/x/y', 'to-file/x', 'to-nothing/x'])
    await ends(t, work, ['-a', '--mkpath', 's/', to]);
});

judgedWhere(canBecome)(
  'what may not be entered is 23 as a source and 3 as a destination, here and in rsync',
  async (t) => {
    const work = workDir(t);
    make(`${work}/in`, { 's/a': 'a', 'd/': '', 'locked/in/f': 'f' });
    chmodSync(`${work}/in/locked`, 0);
    chmodSync(dirname(work), 0o755);
    spawnSync('chown', ['-R', '12345:12345', work]);
    const as = ['setpriv', ...becoming(12_345)];
    for (const from of ['locked/', 'locked', 'locked/in', 'locked/in/']) await ends(t, work, ['-a', from, 'd'], as);
    for (const to of ['locked', 'locked/', 'locked/x']) await ends(t, work, ['-a', 's/', to], as);
    await ends(t, work, ['-a', '--mkpath', 's/', 'locked/x/y'], as);
  },
);

judgedWhere(canBecome)('a failure names the top, and a path of this machine with its first slash', async (t) => {
  const work = workDir(t);
  make(`${work}/in`, { 's/a': 'a', 'd/': '', 'locked/f': 'f' });
  chmodSync(`${work}/in/locked`, 0);
  chmodSync(dirname(work), 0o755);
  spawnSync('chown', ['-R', '12345:12345', work]);
  chownSync(`${work}/in/s`, 0, 0);
  const as = ['setpriv', ...becoming(12_345)];
  const several = await ends(t, work, ['-a', 's/', 'locked/', 'd'], as);
  t.regex(several.stderr, new RegExp(`^${work}/in/locked: cannot open`, 'm'));
  t.regex(several.stderr, new RegExp(`the first being "${work}/in/locked": cannot open`));
  t.regex((await ends(t, work, ['-a', '--super', 's/', 'd'], as)).stderr, /^\.: chown /m);
});
