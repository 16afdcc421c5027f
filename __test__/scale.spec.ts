// A tree of a million files (by default of some thousands): memory of both processes, in a first run, one without a
// change, and one that deletes everything.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { cli } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { statusKib } from './helpers/process.js';
import { canMount, long, mountTmpfs, scaled, setup } from './helpers/setup.js';
import { names } from './helpers/walk.js';

const files = scaled(20_000, 1_000_000);
const limitKib = 256 * 1024;

const peak = pathToFileURL(new URL('helpers/peak.mjs', import.meta.url).pathname).href;

/** Every fourth file has content: a file in memory takes a page as soon as it has a byte. */
function manyFiles(root: string): void {
  for (let at = 0; at < files; at += 1) {
    const directory = `${root}/${String(Math.floor(at / 1000)).padStart(4, '0')}`;
    if (at % 1000 === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/file-${String(at).padStart(7, '0')}.txt`, at % 4 === 0 ? `content ${at}` : '');
  }
}

function entriesOf(root: string): number {
  return Number(execFileSync('sh', ['-c', 'find "$1" | wc -l', 'count', root], { encoding: 'utf8' })) - 1;
}

// Seen red with a limit of 32 MiB, which Node alone exceeds.
judged(`${files} files: every process stays within 256 MiB`, async (t) => {
  t.timeout(scaled(300_000, 7_200_000));
  const { work, served, server, url, client: user } = await setup(t);
  const source = `${work}/source`;
  // Memory shared by the whole machine has room for some million entries: a million three times over gets its own.
  if (long && canMount) {
    for (const path of [source, `${served}/tree`, `${work}/copy`]) t.true(mountTmpfs(t, path, 'size=8g,nr_inodes=0'));
  }
  manyFiles(source);
  const entries = entriesOf(source);

  const run = async (what: string, args: readonly string[]): Promise<void> => {
    const peakFile = `${work}/peak`;
    const begun = performance.now();
    const ran = await cli(t, user, args, {
      env: { NODE_OPTIONS: `--import=${peak}`, SPARSYNC_TEST_PEAK_FILE: peakFile },
    });
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    t.deepEqual([ran.code, ran.signal, ran.stderr], [0, null, ''], what);
    const clientKib = Number(readFileSync(peakFile, 'utf8'));
    const serverKib = statusKib(server.pid, 'VmHWM');
    t.log(
      `${what}: VmHWM of the client ${(clientKib / 1024).toFixed(0)} MiB, of the server ${(serverKib / 1024).toFixed(0)} MiB (${seconds} s)`,
    );
    t.true(clientKib > 0 && clientKib <= limitKib, `${what}: the client took ${clientKib} KiB`);
    t.true(serverKib > 0 && serverKib <= limitKib, `${what}: the server took ${serverKib} KiB`);
  };

  // The walk in JavaScript would take gigabytes for a million: there rsync judges alone, without reading content.
  const equal = (from: string, to: string): void => {
    if (!long) assertEqual(t, from, to, { wholeSeconds: true });
    else t.is(execFileSync('rsync', ['-ain', '--delete', `${from}/`, `${to}/`], { encoding: 'utf8' }), '');
  };

  await run('first push', ['-a', `${source}/`, url('tree')]);
  t.is(entriesOf(`${served}/tree`), entries);
  equal(source, `${served}/tree`);
  await run('push without a change', ['-a', '--delete', `${source}/`, url('tree')]);
  await run('plan of a first run', ['-ain', '--json', `${source}/`, url('planned')]);

  // No more than two such trees at a time.
  execFileSync('find', [source, '-mindepth', '1', '-delete']);
  await run('first pull', ['-a', url('tree/'), `${work}/copy`]);
  t.is(entriesOf(`${work}/copy`), entries);
  equal(`${served}/tree`, `${work}/copy`);
  await run('pull without a change', ['-a', '--delete', url('tree/'), `${work}/copy`]);

  await run('push that deletes everything', ['-a', '--delete', '--allow-mass-delete', `${source}/`, url('tree')]);
  t.deepEqual(names(`${served}/tree`), []);
  await run('pull that deletes everything', ['-a', '--delete', '--allow-mass-delete', url('tree/'), `${work}/copy`]);
  t.deepEqual(names(`${work}/copy`), []);
});

judged('one directory with very many files', async (t) => {
  t.timeout(scaled(300_000, 3_600_000));
  const { work, served, server, url, client: user } = await setup(t);
  const source = `${work}/source`;
  mkdirSync(source);
  for (let at = 0; at < scaled(10_000, 200_000); at += 1) writeFileSync(`${source}/file-with-a-longer-name-${at}`, '');
  for (const what of ['first', 'again']) {
    const ran = await cli(t, user, ['-a', '--delete', `${source}/`, url('tree')]);
    t.deepEqual([ran.code, ran.stderr], [0, ''], what);
  }
  assertEqual(t, source, `${served}/tree`, { wholeSeconds: true });
  t.true(statusKib(server.pid, 'VmHWM') <= limitKib);
});

judged('directories below one another, as deep as paths go and deeper', async (t) => {
  t.timeout(300_000);
  const { work, served, url, client: user } = await setup(t);
  // Made by a program that changes into each: the whole path is longer than a system call takes.
  const make =
    'cd "$1" && for i in $(seq "$2"); do mkdir "directory-$i" && cd "directory-$i" || exit 1; done; echo deep > file';
  mkdirSync(`${work}/source`);
  execFileSync('bash', ['-c', make, 'make', `${work}/source`, String(scaled(500, 3000))]);
  const ran = await cli(t, user, ['-a', `${work}/source/`, url('tree')]);
  t.deepEqual([ran.code, ran.stderr.slice(0, 300)], [0, '']);
  const look = 'cd "$1" && find . -printf "%p %y %m\\n" | sort | sha256sum';
  const seen = (root: string): string => execFileSync('bash', ['-c', look, 'look', root], { encoding: 'utf8' });
  t.is(seen(`${served}/tree`), seen(`${work}/source`));
  const again = await cli(t, user, ['-ai', '--delete', `${work}/source/`, url('tree')]);
  t.deepEqual([again.code, again.stdout], [0, '']);
  // Removed here by the sync itself: what follows could not.
  execFileSync('rm', ['-rf', `${work}/source/directory-1`]);
  const gone = await cli(t, user, ['-a', '--delete', '--allow-mass-delete', `${work}/source/`, url('tree')]);
  t.deepEqual([gone.code, gone.stderr], [0, '']);
  t.deepEqual(names(`${served}/tree`), []);
});
