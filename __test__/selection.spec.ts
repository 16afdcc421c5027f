import { lutimesSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { names } from './helpers/walk.js';
import { judgedEachWay, type Place } from './helpers/ways.js';

/** A source, and copies of one destination: for the command, by way of a server and on this machine, and for rsync. */
function trees(work: string, served: string): { source: string; pushed: string; local: string; judge: string } {
  const source = dir(work, 'source');
  const made = { source, pushed: `${served}/tree`, local: `${work}/local`, judge: `${work}/judge` };
  mkdirSync(`${source}/sub`);
  for (const size of [0, 1, 1024, 1499, 1500, 1501, 4096]) writeFileSync(`${source}/${size}`, 'n'.repeat(size));
  writeFileSync(`${source}/sub/old`, 'newer content');
  writeFileSync(`${source}/sub/new`, 'new');
  symlinkSync('new', `${source}/sub/link`);
  // Times of another second than that of the run: rsync's rule sets none that are equal in whole seconds.
  lutimesSync(`${source}/sub/link`, 1_650_000_000, 1_650_000_000);
  for (const name of ['sub', '']) utimesSync(`${source}/${name}`, 1_650_000_000, 1_650_000_000);
  for (const destination of [made.pushed, made.local, made.judge]) {
    mkdirSync(`${destination}/sub`, { recursive: true });
    writeFileSync(`${destination}/sub/old`, 'old');
    writeFileSync(`${destination}/1501`, 'old');
    writeFileSync(`${destination}/extra`, 'extra');
    symlinkSync('elsewhere', `${destination}/sub/link`);
    lutimesSync(`${destination}/sub/link`, 1_600_000_000, 1_600_000_000);
    for (const name of ['sub/old', '1501', 'extra', 'sub', '']) {
      utimesSync(`${destination}/${name}`, 1_600_000_000, 1_600_000_000);
    }
  }
  return made;
}

/** The flags do what rsync does with them, over a server and on this machine. */
async function asRsync(
  t: ExecutionContext,
  { work, served, url, client: user }: Place,
  flags: readonly string[],
  judgeFlags: readonly string[] = flags,
): Promise<void> {
  for (const tree of ['source', 'local', 'judge', 'fresh', 'pulled', 'expected'])
    rmSync(`${work}/${tree}`, { recursive: true, force: true });
  for (const tree of ['tree', 'fresh']) rmSync(`${served}/${tree}`, { recursive: true, force: true });
  const { source, pushed, local, judge } = trees(work, served);
  rsync('-a', ...judgeFlags, `${source}/`, `${judge}/`);
  await quietly(t, user, ['-rlpt', ...flags, `${source}/`, url('tree')]);
  await quietly(t, user, ['-a', ...flags, `${source}/`, `${local}/`]);
  for (const destination of [pushed, local]) assertEqual(t, judge, destination, { label: flags.join(' ') });
  // Everything granted, and a second run that finds nothing to do.
  rsync('-a', ...judgeFlags, `${source}/`, `${work}/fresh/`);
  for (let run = 0; run < 2; run += 1) await quietly(t, user, ['-rlpt', ...flags, `${source}/`, url('fresh')]);
  assertEqual(t, `${work}/fresh`, `${served}/fresh`, { label: `${flags.join(' ')}, fresh` });
  await quietly(t, user, ['-rlpt', ...flags, url('fresh/'), `${work}/pulled`]);
  rsync('-a', ...judgeFlags, `${served}/fresh/`, `${work}/expected/`);
  assertEqual(t, `${work}/expected`, `${work}/pulled`, { label: `${flags.join(' ')}, pulled` });
}

judgedEachWay('--ignore-existing leaves alone what the destination has', async (t, place) => {
  await asRsync(t, place, ['--ignore-existing']);
  await asRsync(t, place, ['--ignore-existing', '--delete']);
});

judgedEachWay('--no-ignore-existing takes it back', async (t, place) => {
  await asRsync(t, place, ['--ignore-existing', '--no-ignore-existing'], []);
});

judgedEachWay('--max-size leaves larger files alone, at both ends', async (t, place) => {
  for (const size of ['1500', '1.5K', '1.5kb', '0', '1KiB', '1500-1', '1k+1', '1M'])
    await asRsync(t, place, [`--max-size=${size}`]);
  await asRsync(t, place, ['--max-size=1500', '--delete']);
  await asRsync(t, place, ['--max-size=1500', '--ignore-existing']);
});

judgedEachWay('--min-size leaves smaller files alone, at both ends', async (t, place) => {
  for (const size of ['1500', '0', '1M']) await asRsync(t, place, [`--min-size=${size}`]);
  await asRsync(t, place, ['--min-size=1500', '--max-size=1500', '--delete']);
});

judgedEachWay('--existing makes nothing that the destination does not have', async (t, place) => {
  await asRsync(t, place, ['--existing']);
  await asRsync(t, place, ['--ignore-non-existing', '--delete']);
  await asRsync(t, place, ['--existing', '--ignore-existing']);
});

judgedEachWay('--existing goes into no directory that is missing', async (t, { work, served, url, client: user }) => {
  const source = dir(work, 'source');
  for (const path of ['new/deep', 'old/deep', 'file']) {
    mkdirSync(`${source}/${path}`, { recursive: true });
    writeFileSync(`${source}/${path}/content`, path);
  }
  for (const path of ['new', 'old/deep', 'old', 'file', '']) {
    utimesSync(`${source}/${path}`, 1_650_000_000, 1_650_000_000);
  }
  const destinations = [`${work}/judge`, `${served}/tree`, `${work}/local`];
  for (const destination of destinations) {
    mkdirSync(`${destination}/old/deep`, { recursive: true });
    writeFileSync(`${destination}/old/deep/content`, 'earlier');
    // Something else of that name is there: it gives way, and what is new below the directory is not made.
    writeFileSync(`${destination}/file`, '');
    for (const path of ['old/deep', 'old', '']) utimesSync(`${destination}/${path}`, 1_600_000_000, 1_600_000_000);
  }
  rsync('-a', '--existing', `${source}/`, `${work}/judge/`);
  const pushed = await cli(t, user, ['-rlptv', '--existing', `${source}/`, url('tree')]);
  t.is(pushed.code, 0);
  t.notRegex(pushed.stdout, /new/);
  await quietly(t, user, ['-a', '--existing', `${source}/`, `${work}/local/`]);
  for (const destination of destinations.slice(1)) assertEqual(t, `${work}/judge`, destination);
});

judgedEachWay('--ignore-times transfers what looks the same', async (t, { work, served, url, client: user }) => {
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'right');
  utimesSync(`${source}/file`, 1_600_000_000, 1_600_000_000);
  for (const destination of [dir(served, 'tree'), dir(work, 'local')]) {
    writeFileSync(`${destination}/file`, 'wrong');
    utimesSync(`${destination}/file`, 1_600_000_000, 1_600_000_000);
  }
  for (const [flags, content] of [
    [[], 'wrong'],
    [['-I', '--size-only'], 'wrong'],
    [['-I', '--ignore-existing'], 'wrong'],
    [['-I'], 'right'],
  ] as const) {
    await quietly(t, user, ['-rlpt', ...flags, `${source}/`, url('tree')]);
    await quietly(t, user, ['-a', ...flags, `${source}/`, `${work}/local/`]);
    for (const destination of [`${served}/tree`, `${work}/local`]) {
      t.is(readFileSync(`${destination}/file`, 'utf8'), content, flags.join(' '));
    }
  }
  // What rsync prints for it, and that a run finds it again each time.
  const printed = rsync('-aiI', `${source}/`, `${work}/local/`);
  t.is((await cli(t, user, ['-aiI', `${source}/`, `${work}/local/`])).stdout, printed);
  t.is((await cli(t, user, ['-rlptiI', `${source}/`, url('tree')])).stdout, printed.replace('>', '<'));
});

judged('a size that is none is a mistake on the command line', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const size of ['', 'x', '1X', '-1', '1.2.3', '9999P', '1k+2']) {
    const ran = await cli(t, user, ['-a', `--max-size=${size}`, `${source}/`, url('tree')]);
    t.is(ran.code, exit.usage, size);
    t.regex(ran.stderr, /max-size/, size);
  }
  t.deepEqual(names(served), []);
});

judged('--modify-window looks at whole seconds, whatever parts of a second there are', async (t) => {
  const { work, client } = await setup(t);
  const times = [10.1, 10.9, 11.1, 11.9, 12.0, 12.1];
  const sources = dir(work, 'source');
  const [ours, theirs] = [dir(work, 'ours'), dir(work, 'theirs')];
  for (const [first, there] of times.flatMap((first) => times.map((there) => [first, there] as const))) {
    for (const [tree, time, content] of [
      [sources, first, 'new content'],
      [ours, there, 'old'],
      [theirs, there, 'old'],
    ] as const) {
      const name = `${tree}/${first}-${there}`;
      for (const [path, text] of [
        [name, content],
        [`${name}-same`, 'same'],
      ] as const) {
        writeFileSync(path, text);
        utimesSync(path, time, time);
      }
      symlinkSync('nowhere', `${name}-link`);
      lutimesSync(`${name}-link`, time, time);
    }
  }
  for (const tree of [sources, ours, theirs]) utimesSync(tree, 1_600_000_000, 1_600_000_000);
  for (const window of ['1', '2']) {
    for (const update of [[], ['-u']]) {
      const flags = ['-rltni', ...update, `--modify-window=${window}`, `${sources}/`];
      const said = await cli(t, client, [...flags, `${ours}/`]);
      t.is(said.stdout, rsync(...flags, `${theirs}/`), flags.join(' '));
    }
  }
});
