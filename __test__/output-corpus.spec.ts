import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { cli } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { STATES, comparable, figures, makeSource, outputCases } from './helpers/output-corpus.js';
import type { OutputCase } from './helpers/output-corpus.js';
import { freePort } from './helpers/port.js';
import { start } from './helpers/process.js';
import { type Client, client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { long } from './helpers/setup.js';
import { hasSsh, startSshd } from './helpers/sshd.js';
import { dir, workDir } from './helpers/temp.js';

/** Runs at a time. */
const AT_ONCE = 4;

/** An rsync daemon that serves `path` as `m`. */
async function startDaemon(t: ExecutionContext, work: string, path: string): Promise<string> {
  const port = await freePort();
  const lines = [
    `port = ${port}`,
    'address = 127.0.0.1',
    'use chroot = no',
    'munge symlinks = no',
    'max verbosity = 4',
    '[m]',
    `path = ${path}`,
    'read only = no',
  ];
  if (process.getuid?.() === 0) lines.push('uid = root', 'gid = root');
  writeFileSync(`${work}/rsyncd.conf`, `${lines.join('\n')}\n`);
  const daemon = spawn(
    'rsync',
    ['--daemon', '--no-detach', `--config=${work}/rsyncd.conf`, `--log-file=${work}/rsyncd.log`],
    {
      stdio: 'ignore',
    },
  );
  t.teardown(() => daemon.kill('SIGKILL'));
  const url = `rsync://127.0.0.1:${port}/m`;
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await start(t, 'rsync', [`${url}/`], {}).ended).code === 0) return url;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the rsync daemon does not answer');
}

/** How both programs reach the folders of a corpus that are not here: an address for each, and what leads there. */
interface Reached {
  readonly theirs: string;
  readonly ours: string;
  readonly by: readonly string[];
}

type Reach = (given: { work: string; theirs: string; ours: string; user: Client }) => Promise<Reached>;

async function printsAsRsync(t: ExecutionContext, given: readonly OutputCase[], reach: Reach): Promise<void> {
  t.timeout(600_000);
  const masks = figures();
  const work = workDir(t);
  const [theirs, ours] = [dir(work, 'theirs'), dir(work, 'ours')];
  const user = client(work);
  const reached = await reach({ work, theirs, ours, user });
  const env = { LC_ALL: 'C.UTF-8', TZ: 'UTC', SPARSYNC_GUARDS: 'off' };

  const differ: object[] = [];
  const run = async ({ way, state, options }: OutputCase, at: number): Promise<void> => {
    const label = `${at}: ${way} ${state} ${options}`;
    const at1 = `case${at}`;
    for (const place of [theirs, ours]) {
      const folder = dir(place, at1);
      makeSource(`${folder}/s`);
      STATES[state](`${folder}/s`, `${folder}/d`);
    }
    const ends = (url: string): string[] => [
      ...reached.by,
      way === 'pull' ? `${url}/${at1}/s/` : 's/',
      way === 'push' ? `${url}/${at1}/d/` : 'd/',
    ];
    const words = options.split(' ');
    const expected = await start(t, 'rsync', [...words, ...ends(reached.theirs)], { cwd: `${theirs}/${at1}`, env })
      .ended;
    const found = await cli(t, user, [...words, ...ends(reached.ours)], { cwd: `${ours}/${at1}`, env });
    // Where paths of the machine are shown they are those of either's own folder.
    const printed = [found.stdout, expected.stdout.replaceAll(`${theirs}/`, `${ours}/`)];
    const [got = [], wanted = []] = printed.map((stdout) => comparable(stdout, masks, options));
    if (found.code === expected.code && got.join('\n') === wanted.join('\n')) return;
    differ.push({ label, codes: [found.code, expected.code], stderr: found.stderr, got, wanted });
  };

  const only = process.env['SPARSYNC_TEST_ONLY'];
  const queue = given
    .map((each, at) => [each, at] as const)
    .filter(([each]) => only === undefined || `${each.way} ${each.state} ${each.options}`.includes(only));
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await run(...next);
    }),
  );
  t.deepEqual(differ, []);
}

judged('what the command prints is what rsync prints, byte for byte, but for figures of the wire', async (t) => {
  const cases = outputCases();
  t.true(cases.length >= 200, `${cases.length} runs`);
  await printsAsRsync(t, cases, async ({ work, theirs, ours, user }) => {
    const server = await startServer(t, { home: work, roots: { m: ours }, clients: [user] });
    return { theirs: await startDaemon(t, work, theirs), ours: server.url('m'), by: [] };
  });
});

judgedWhere(hasSsh)('so it is where both go through a real sshd', async (t) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const cases = outputCases().filter(({ way }) => way !== 'local' && (long || random.oneIn(4)));
  await printsAsRsync(t, cases, async ({ work, theirs, ours }) => {
    const { rsh } = await startSshd(t, work, { shared: true });
    return { theirs: `box:${theirs}`, ours: `box:${ours}`, by: ['-e', rsh] };
  });
});
