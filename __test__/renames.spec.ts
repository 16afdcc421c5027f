// Files that were moved are taken from where they were: --detect-renames.
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { ConfigError, DeleteRefusedError, sync, type SyncOptions, type SyncResult } from '../dist/index.js';
import { besideRsync, copied, make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { failure, setup, type Setup } from './helpers/setup.js';
import { type Tree, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const MIB = 1 << 20;

const WAYS = ['local', 'push', 'pull'] as const;

let runs = 0;

/** Syncs a copy of `work/s` to a copy of `work/d` in one way, and gives the result and the destination's folder. */
async function moved(
  { work, served, url, access }: Setup,
  way: (typeof WAYS)[number],
  options: SyncOptions = {},
): Promise<{ result: SyncResult; destination: string; source: string; before: Tree }> {
  runs += 1;
  const [near, far] = [`${work}/near${runs}`, `${served}/far${runs}`];
  const source = copied(`${work}/s`, way === 'pull' ? far : near);
  const destination = copied(`${work}/d`, way === 'push' ? far : `${near}d`);
  const from = way === 'pull' ? url(`far${runs}/`) : `${near}/`;
  const to = way === 'push' ? url(`far${runs}`) : destination;
  const before = walk(destination);
  const result = await sync(from, to, { ...access, delete: true, detectRenames: true, ...options });
  return { result, destination, source, before };
}

function renamed(t: ExecutionContext, { stats }: SyncResult, files: number, bytes: number): void {
  t.deepEqual([stats.filesRenamed, stats.bytesRenamed, stats.filesFailed], [files, bytes, 0]);
}

judged('a file and a directory that moved cost metadata only, and stay the same inodes', async (t) => {
  const set = await setup(t);
  const random = new Random(t.title);
  make(set.work, { 's/b/keep': 'keep', 's/z/': '', 'd/b/keep': 'keep' });
  mkdirSync(`${set.work}/d/a/deep`, { recursive: true });
  writeFileSync(`${set.work}/d/z.bin`, random.bytes(100 * MIB));
  for (const name of ['1', '2', '3']) writeFileSync(`${set.work}/d/a/deep/${name}`, random.bytes(50_000));
  copied(`${set.work}/d/z.bin`, `${set.work}/s/b/moved.bin`);
  copied(`${set.work}/d/a`, `${set.work}/s/z/y`);
  chmodSync(`${set.work}/s/b/moved.bin`, 0o640);
  for (const way of WAYS) {
    const size = 100 * MIB + 150_000;
    const { result, source, destination, before } = await moved(set, way);
    renamed(t, result, 4, size);
    t.is(result.stats.bytesTransferred, 0);
    t.true(result.stats.bytesSent + result.stats.bytesReceived < 64 << 10, JSON.stringify(result.stats));
    assertEqual(t, source, destination);
    const found = walk(destination).get('b/moved.bin');
    t.is(found?.ino, before.get('z.bin')?.ino);
  }
});

judged('what has the size and the time of a file that went, and other content, is sent', async (t) => {
  const set = await setup(t);
  for (const [size, made] of [
    [1000, 'small'],
    [3 * MIB, 'large'],
  ] as const) {
    for (const [place, fill] of [
      ['s/new', 'n'],
      ['d/old', 'o'],
    ] as const) {
      make(set.work, { [`${place}/${made}`]: fill.repeat(size) });
    }
  }
  for (const way of WAYS) {
    const { result, destination, source } = await moved(set, way);
    renamed(t, result, 0, 0);
    t.is(result.stats.bytesTransferred, 3 * MIB + 1000);
    assertEqual(t, source, destination);
  }
});

judgedEachWay('random trees with random moves become what rsync makes of them', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 4; round += 1) {
    const model = `${set.work}/model${round}`;
    for (let count = 0; count < 60; count += 1) {
      const path = `s/${random.pick(['a', 'b', 'a/c', 'b/c/d'])}/${count}`;
      make(model, { [`${path}@${1_600_000_000 + random.below(2)}`]: 'x'.repeat(random.below(4)) + random.below(3) });
    }
    copied(`${model}/s`, `${model}/d`);
    for (let count = 0; count < 25; count += 1) {
      const all = [...walk(`${model}/s`)].filter(([path]) => path !== '');
      const [path, entry] = random.pick(all);
      const to = `${random.pick(['', 'a/', 'new/', 'b/e/'])}${random.pick([path.slice(path.lastIndexOf('/') + 1), `n${count}`])}`;
      if (to.startsWith(`${path}/`) || path === to) continue;
      if (random.oneIn(8)) rmSync(`${model}/s/${path}`, { recursive: true });
      else if (!walkable(`${model}/s`, to)) {
        mkdirSync(`${model}/s/${to}`.slice(0, `${model}/s/${to}`.lastIndexOf('/')), { recursive: true });
        renameSync(`${model}/s/${path}`, `${model}/s/${to}`);
        if (entry.kind === 'file' && random.oneIn(4)) chmodSync(`${model}/s/${to}`, 0o600);
      }
    }
    const flags = random.pick([['-ai'], ['-rti'], ['-ai', '-b'], ['-aHi'], ['-ai', '--delay-updates'], ['-ai', '-c']]);
    await besideRsync(t, set, { model, flags: [...flags, '--delete'], ownFlags: ['--detect-renames'] });
  }
});

/** Whether something stands at a path. */
function walkable(root: string, path: string): boolean {
  return statSync(`${root}/${path}`, { throwIfNoEntry: false }) !== undefined;
}

judged('what moved is not lost to the guard, and nothing is taken where it refuses', async (t) => {
  const set = await setup(t);
  for (let count = 0; count < 150; count += 1) make(set.work, { [`d/old/${count}`]: `content ${count}` });
  copied(`${set.work}/d/old`, `${set.work}/s`);
  mkdirSync(`${set.work}/s2`);
  renameSync(`${set.work}/s`, `${set.work}/s2/new`);
  mkdirSync(`${set.work}/s2/old`);
  renameSync(`${set.work}/s2`, `${set.work}/s`);
  for (const way of WAYS) {
    const { result, source, destination } = await moved(set, way);
    t.is(result.stats.filesRenamed, 150);
    assertEqual(t, source, destination);
    await failure(t, moved(set, way, { detectRenames: false }), DeleteRefusedError);
  }
  for (let count = 5; count < 150; count += 1) rmSync(`${set.work}/s/new/${count}`);
  await failure(t, moved(set, 'push'), DeleteRefusedError);
  t.is(statSync(`${set.served}/far${runs}/new/1`).nlink, 1);
});

judged('a file of equal size and time that is another one keeps nothing from the guard', async (t) => {
  const set = await setup(t);
  make(set.work, { 's/m/': '', 's/keep': 'k', 'd/keep': 'k' });
  for (let count = 0; count < 150; count += 1) make(set.work, { [`d/m/${count}`]: `old ${count + 1000}` });
  for (let count = 0; count < 60; count += 1) make(set.work, { [`s/n/${count}`]: `new ${count + 1000}` });
  for (const way of WAYS) {
    await failure(t, moved(set, way), DeleteRefusedError, way);
    const there = readdirSync(way === 'push' ? `${set.served}/far${runs}/m` : `${set.work}/near${runs}d/m`);
    t.is(there.length, 150, way);
  }
});

judged('a backup, a file with further names and one that would not be as new are copied', async (t) => {
  const set = await setup(t);
  make(set.work, { 's/new/f': 'content', 'd/old/f': 'content', 'd/keep/': '', 's/keep/g': 'same', 'd/keep/g': 'same' });
  for (const way of WAYS) {
    const { result, destination } = await moved(set, way, { backup: true });
    renamed(t, result, 1, 7);
    t.is(readFileSync(`${destination}/old/f~`, 'utf8'), 'content');
    t.not(statSync(`${destination}/old/f~`).ino, statSync(`${destination}/new/f`).ino);
  }
  rmSync(`${set.work}/d/keep/g`);
  linkSync(`${set.work}/d/old/f`, `${set.work}/d/keep/g`);
  make(set.work, { 's/keep/g': 'content' });
  chmodSync(`${set.work}/s/new/f`, 0o600);
  for (const way of WAYS) {
    const { result, source, destination } = await moved(set, way);
    t.is(result.stats.filesRenamed, 1);
    t.not(statSync(`${destination}/keep/g`).ino, statSync(`${destination}/new/f`).ino);
    assertEqual(t, source, destination);
  }
});

judged('it takes the right to read, and that something is deleted', async (t) => {
  const set = await setup(t, { rights: 'write,delete' });
  make(set.work, { 's/new/f': 'content', 'd/old/f': 'content' });
  const ran = await cli(t, set.client, ['-a', '--delete', '--detect-renames', `${set.work}/s/`, set.url('d')]);
  t.not(ran.code, 0);
  t.regex(ran.stderr, /may not read/);
  const error = await failure(t, moved(set, 'local', { delete: false }), ConfigError);
  t.regex(error.message, /detectRenames needs delete/);
  t.regex((await failure(t, moved(set, 'local', { publish: true }), ConfigError)).message, /detectRenames and publish/);
});

judged('a plan and a dry run show what rsync would do, and the plan is done', async (t) => {
  const set = await setup(t);
  make(set.work, { 's/new/f': 'content', 'd/old/f': 'content' });
  utimesSync(`${set.work}/s/new`, 1_500_000_000, 1_500_000_000);
  const flags = ['-ai', '--delete', '--detect-renames', `${set.work}/s/`, `${set.work}/d/`];
  const dry = await cli(t, set.client, ['-n', ...flags]);
  const planned = await cli(t, set.client, [`--plan=${set.work}/plan`, ...flags]);
  const applied = await cli(t, set.client, [`--apply=${set.work}/plan`, ...flags]);
  t.deepEqual([dry.code, planned.code, applied.code], [0, 0, 0], planned.stderr + applied.stderr);
  // What is deleted is told last where renames are looked for, and by a dry run as rsync does.
  const sorted = (text: string): string[] => text.split('\n').toSorted();
  t.deepEqual(sorted(applied.stdout), sorted(dry.stdout));
  assertEqual(t, `${set.work}/s`, `${set.work}/d`);
});
