// Snapshots: --snapshot, --keep-….
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';

import { DeleteRefusedError, sync } from '../dist/index.js';
import { contentOf, copied, make, randomTrees, shape } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { canMount, codeOf, failure, long, mountTmpfs, rejection, setup } from './helpers/setup.js';
import { hasStrace, killedAt } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { sawOneOrTwo, startTreeReader } from './helpers/tree-reader.js';
import { names } from './helpers/walk.js';

const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/;

const all = (series: string): string[] => readdirSync(series).toSorted();

const snapshots = (series: string): string[] => all(series).filter((name) => NAME.test(name));

/** What a series holds, its snapshots called by their numbers. */
function numbered(series: string): string {
  return snapshots(series).reduce(
    (text, name, index) => text.replaceAll(name, String(index + 1)),
    JSON.stringify(shape(series)),
  );
}

judged('a series is what rsync makes with --link-dest, names of one inode and all', async (t) => {
  t.log(`seed ${seed}`);
  const { work, served, url, client: user } = await setup(t);
  const random = new Random(t.title);
  for (const [round, flags] of [['-a'], ['-aH'], ['-ac'], ['-a', '--exclude=a*']].entries()) {
    const states = [1, 2, 3].map((number) =>
      randomTrees(random, `${work}/${round}state${number}`, ['s', 'd'], { plain: true }),
    );
    for (const way of ['local', 'push', 'pull'] as const) {
      const base = `${work}/${round}${way}`;
      const judge = `${base}judge`;
      for (const path of [base, judge]) mkdirSync(path);
      const from = way === 'pull' ? `${served}/source` : `${base}/source`;
      const series = way === 'push' ? `${served}/series` : `${base}/series`;
      for (const path of [`${served}/source`, `${served}/series`]) rmSync(path, { recursive: true, force: true });
      for (const [index, state] of states.entries()) {
        rmSync(from, { recursive: true, force: true });
        // What the first two states have in common is what did not change.
        copied(`${index === 1 ? state : (states[0] ?? state)}/s`, from);
        if (index === 1) rsync('-a', '--force', `${states[0]}/s/`, `${from}/`);
        const source = way === 'pull' ? url('source/') : `${from}/`;
        const goal = way === 'push' ? url('series') : series;
        const ran = await cli(t, user, [...flags, '--snapshot', '-i', source, goal]);
        const label = `${round} ${way} ${index} ${flags.join(' ')}`;
        t.is(ran.code, 0, `${label}: ${ran.stderr}`);
        const previous = index === 0 ? [] : [`--link-dest=${judge}/${index}`];
        rsync(...flags, '-i', ...previous, `${from}/`, `${judge}/${index + 1}`);
        t.is(snapshots(series).length, index + 1, label);
        t.is(all(series).length, index + 1, label);
        t.deepEqual(JSON.parse(numbered(series)), shape(judge), label);
      }
    }
  }
});

judged(
  'the result names the snapshot, what it is linked to can be said, and a directory arrives under its name',
  async (t) => {
    const { work, served, url, access } = await setup(t);
    make(work, { 's/a': 'a', 's/sub/b': 'b' });
    const options = { ...access, into: true };
    const first = await sync(`${work}/s`, url('d'), { ...options, snapshot: {} });
    const second = await sync(`${work}/s`, url('d'), { ...options, snapshot: { previous: false } });
    const [one = '', two = ''] = snapshots(`${served}/d`);
    t.deepEqual(
      [first.snapshot, second.snapshot],
      [
        { name: one, removed: [] },
        { name: two, removed: [] },
      ],
    );
    t.deepEqual(first.warnings, []);
    const inode = (name: string): number => lstatSync(`${served}/d/${name}/s/sub/b`).ino;
    t.not(inode(one), inode(two));
    const third = await sync(`${work}/s`, url('d'), { ...options, snapshot: { previous: one } });
    t.is(inode(third.snapshot?.name ?? ''), inode(one));
    const fourth = await sync(`${work}/s`, url('d'), { ...options, snapshot: {} });
    t.is(inode(fourth.snapshot?.name ?? ''), inode(one));
    const dry = await sync(`${work}/s`, url('d'), { ...options, snapshot: {}, dryRun: true });
    t.deepEqual([dry.snapshot, dry.stats.bytesToTransfer], [undefined, 0]);
    t.is(all(`${served}/d`).length, 4);
  },
);

judged('a rule removes what it does not keep, and nothing that is no snapshot', async (t) => {
  const { work, served, url, access, client: user } = await setup(t);
  make(work, { 's/a': 'a' });
  const old = ['2024-01-01T00-00-00Z', '2025-03-01T10-00-00Z', '2025-03-02T10-00-00Z', '2025-03-02T11-00-00Z'];
  const strange = {
    '2025-03-02T11-00-00Z.kept/x': 'x',
    '2025-02-30T00-00-00Z/x': 'x',
    'daily.0/x': 'x',
    '2023-01-01T00-00-00Z': 'a file',
  };
  for (const [place, base] of [
    ['local', `${work}/d`],
    ['push', `${served}/d`],
  ] as const) {
    make(base, { ...Object.fromEntries(old.map((name) => [`${name}/a`, name])), ...strange });
    chmodSync(`${base}/${old[1]}`, 0o555);
    symlinkSync('daily.0', `${base}/2022-01-01T00-00-00Z`);
    const goal = place === 'push' ? url('d') : base;
    const snapshot = { keep: { last: 1, daily: 2, yearly: 3 } };
    const made = await sync(`${work}/s`, goal, { ...access, snapshot });
    const name = made.snapshot?.name ?? '';
    t.deepEqual(made.snapshot?.removed.toSorted(), [old[1], old[2]], place);
    const left = [...Object.keys(strange).map((path) => path.replace(/\/.*/, '')), '2022-01-01T00-00-00Z'];
    t.deepEqual(all(base), [...left, old[0] ?? '', old[3] ?? '', name].toSorted(), place);
    const ran = await cli(t, user, ['-av', '--snapshot', '--keep-last=1', `${work}/s/`, goal]);
    t.is(ran.code, 0, ran.stderr);
    t.deepEqual(snapshots(base).filter((each) => lstatSync(`${base}/${each}`).isDirectory()).length, 2, place);
    t.regex(ran.stdout, new RegExp(`^removed snapshot ${old[0]}$`, 'm'), place);
    t.regex(ran.stdout, /^made snapshot \d{4}/m, place);
  }
});

judged('a snapshot of a moment to come is neither linked to, counted nor removed', async (t) => {
  const { work } = await setup(t);
  const [later, last] = ['2999-01-01T00-00-00Z', '2999-01-02T00-00-00Z'];
  make(work, { 's/a': 'a', [`d/${later}/a`]: 'a', [`d/${last}/a`]: 'a', 'd/2024-01-01T00-00-00Z/a': 'a' });
  const made = await sync(`${work}/s`, `${work}/d`, { snapshot: { keep: { last: 1 } } });
  const name = made.snapshot?.name ?? '';
  t.deepEqual(made.snapshot?.removed, ['2024-01-01T00-00-00Z']);
  t.deepEqual(all(`${work}/d`), [name, later, last]);
  t.is(lstatSync(`${work}/d/${last}/a`).nlink, 1);
  const told = made.warnings.filter(({ message }) => message.includes('is in the future'));
  t.deepEqual(told.map(({ path }) => String(path)).toSorted(), [later, last]);
});

const USER = 12_345;

judgedWhere(canBecome)(
  'where content could not be read no snapshot is removed, and one that cannot be opened is no base',
  async (t) => {
    const { work, client: user } = await setup(t);
    const home = `${work}/home`;
    const old = ['2024-01-01T00-00-00Z', '2024-01-02T00-00-00Z'] as const;
    make(home, { 's/a': 'a', 's/secret': 'x', [`d/${old[0]}/a`]: 'a', [`d/${old[1]}/a`]: 'a' });
    for (const path of [work.replace(/\/[^/]*$/, ''), work]) chmodSync(path, 0o755);
    for (const path of ['', ...names(home)]) chownSync(`${home}/${path}`, USER, USER);
    chmodSync(`${home}/s/secret`, 0);
    chmodSync(`${home}/d/${old[1]}`, 0);
    const env = { ...user.env, HOME: home };
    const from = (source: string, ...words: string[]) => {
      const command = [process.execPath, program, '-a', '--snapshot', ...words, `${source}/`, `${home}/d`];
      return start(t, 'setpriv', [...becoming(USER), ...command], { env }).ended;
    };
    const run = (...words: string[]) => from(`${home}/s`, ...words);
    // Nobody knows what is in the one that cannot be opened, and so nothing takes its place that is empty.
    const unmounted = await from(dir(work, 'empty'), '--keep-last=1');
    t.is(unmounted.code, exit.deleteRefused, unmounted.stderr);
    t.deepEqual(all(`${home}/d`), [...old]);
    const ran = await run('--keep-last=1');
    t.is(ran.code, exit.partial, ran.stderr);
    t.regex(ran.stderr, /no other one was removed/);
    t.regex(ran.stderr, /2024-01-02T00-00-00Z: the snapshot cannot be opened/);
    t.is(all(`${home}/d`).length, 3);
    t.is(lstatSync(`${home}/d/${old[0]}/a`).nlink, 2);
    const again = await run('--keep-last=1', '--ignore-errors');
    t.is(again.code, exit.partial, again.stderr);
    t.is(all(`${home}/d`).length, 1, all(`${home}/d`).join(' '));
  },
);

judgedWhere(canMount)('a snapshot that cannot be removed keeps none of the older ones', async (t) => {
  const { work, client: user } = await setup(t);
  const old = ['2022-01-01T00-00-00Z', '2023-01-01T00-00-00Z'] as const;
  make(work, { 's/a': 'a', [`d/${old[0]}/a`]: 'a', [`d/${old[1]}/`]: '' });
  if (!mountTmpfs(t, `${work}/d/${old[1]}`, 'size=1m')) throw new Error('cannot mount');
  const ran = await cli(t, user, ['-a', '--snapshot', '--keep-last=1', `${work}/s/`, `${work}/d`]);
  t.is(ran.code, exit.partial, ran.stderr);
  t.regex(ran.stderr, /2023-01-01T00-00-00Z: the snapshot could not be removed/);
  t.deepEqual(all(`${work}/d`).slice(0, -1), [old[1]]);
});

judged('a key that may only add makes snapshots and removes none; linking takes the right to read', async (t) => {
  for (const [rights, snapshot, code] of [
    ['read,append', {}, undefined],
    ['read,write', {}, undefined],
    ['read,append', { keep: { last: 1 } }, 'ERR_SPARSYNC_SCOPE'],
    ['read,write', { keep: { last: 1 } }, 'ERR_SPARSYNC_SCOPE'],
    ['append', {}, 'ERR_SPARSYNC_SCOPE'],
    ['append', { previous: false }, undefined],
    ['read,append,delete', { keep: { last: 1 } }, undefined],
  ] as const) {
    const { work, served, access, url } = await setup(t, { rights });
    make(work, { 's/a': 'a', 's/sub/b': 'b' });
    const label = `${rights} ${JSON.stringify(snapshot)}`;
    const run = async () => sync(`${work}/s`, url('d'), { ...access, snapshot });
    if (code !== undefined) {
      t.is(codeOf(await rejection(t, run(), label)), code, label);
      t.deepEqual(all(served), [], label);
      continue;
    }
    await run();
    await run();
    const made = snapshots(`${served}/d`);
    t.is(made.length, 'keep' in snapshot ? 1 : 2, label);
    t.is(rsync('-ainc', '--delete', `${work}/s/`, `${served}/d/${made.at(-1)}/`), '', label);
    t.is(lstatSync(`${served}/d/${made[0]}/a`).nlink, made.length === 2 && !('previous' in snapshot) ? 2 : 1, label);
  }
});

judged('what cannot go with a snapshot is refused, and so is a rule that keeps nothing', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/f': 'f' });
  for (const [flags, from, why] of [
    [['--inplace'], 's/', /snapshot and inplace/],
    [['-b'], 's/', /snapshot and backup/],
    [['--publish'], 's/', /snapshot and publish/],
    [['--compare-dest=x'], 's/', /snapshot and compareDest/],
    [['--remove-source-files'], 's/', /snapshot and removeSourceFiles/],
    [[], 's/f', /snapshot and a single file/],
    [['--keep-daily=0', '--keep-last=0'], 's/', /keeps nothing/],
    [['--keep-daily=-1'], 's/', /--keep-daily/],
    [['--link-dest=../../..'], 's/', /leads out/],
  ] as const) {
    const ran = await cli(t, user, ['-a', '--snapshot', ...flags, `${work}/${from}`, url('d')]);
    t.not(ran.code, 0, flags.join());
    t.regex(ran.stderr, why);
  }
  const alone = await cli(t, user, ['-a', '--keep-daily=3', `${work}/s/`, url('d')]);
  t.is(alone.code, exit.usage);
  t.regex(alone.stderr, /--keep-daily needs --snapshot/);
  t.deepEqual(
    all(served).filter((name) => name !== 'd'),
    [],
  );
});

judged('a path that fails does not keep the rest from being a snapshot, and an empty source makes none', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/b': 'b', 'd/2024-01-01T00-00-00Z/a': 'a', 'd/2023-01-01T00-00-00Z/a': 'a' });
  symlinkSync('nowhere', `${work}/s/broken`);
  const ran = await cli(t, user, ['-aL', '--snapshot', '--keep-last=1', `${work}/s/`, `${work}/d`]);
  t.is(ran.code, exit.partial, ran.stderr);
  const [, , made = ''] = snapshots(`${work}/d`);
  t.deepEqual(all(`${work}/d/${made}`), ['a', 'b']);
  t.regex(ran.stderr, /no other one was removed/);
  for (const name of ['a', 'b', 'broken']) rmSync(`${work}/s/${name}`);
  const error = await failure(
    t,
    sync(`${work}/s`, `${work}/d`, { snapshot: { keep: { last: 1 } } }),
    DeleteRefusedError,
  );
  t.regex(error.message, /the source is empty/);
  t.is(all(`${work}/d`).length, 3);
  const allowed = await sync(`${work}/s`, `${work}/d`, { snapshot: {}, allowMassDelete: true });
  t.deepEqual(all(`${work}/d/${allowed.snapshot?.name}`), []);
});

/** A tree in which every file says which version it is of, and one that stays. */
function version(root: string, number: number): void {
  rmSync(root, { recursive: true, force: true });
  const own = ['a', 'sub/c', 'sub/deep/d'].map((name) => [name, contentOf(number)]);
  make(root, { 'same@1500000000': 'same', 'sub/same@1500000000': 'same', ...Object.fromEntries(own) });
}

judgedWhere(hasStrace)(
  'killed at any call it leaves no half of a snapshot, who looks all the time sees none, and the next run goes on',
  async (t) => {
    const { work, client: user } = await setup(t);
    version(`${work}/s`, 2);
    version(`${work}/old`, 1);
    const outcomes = new Set<string>();
    const reader = startTreeReader(t, ['a', 'sub/c', 'sub/deep/d']);
    for (const [calls, most, step] of [
      ['mkdirat,linkat', 12, 3],
      ['renameat2,renameat', 10, 1],
      ['unlinkat', 12, 2],
      ['utimensat,fchmod', 8, 4],
      ['syncfs', 1, 1],
      ['fsync', 1, 1],
    ] as const) {
      for (let at = 1; at <= most; at += long ? 1 : step) {
        // The reader may see nothing of how it is made ready, nor of how it goes.
        const series = dir(work, `${calls}${at}`);
        const words = ['-a', '--snapshot', '--keep-last=2', `${work}/s/`, series];
        for (const name of ['2024-01-01T00-00-00Z', '2025-01-01T00-00-00Z']) copied(`${work}/old`, `${series}/${name}`);
        await reader.lookAt(`${series}/*`);
        const ran = await killedAt(t, user, words, { calls, at });
        const label = `${calls} ${at}`;
        const is = (tree: string, name: string): boolean =>
          rsync('-ainc', '--delete', `${work}/${tree}/`, `${series}/${name}/`) === '';
        const found = snapshots(series);
        const wrong = found.filter((name) => !is(name < '2025-06' ? 'old' : 's', name));
        t.deepEqual(wrong, [], label);
        outcomes.add(`${ran.signal === null && ran.code === 0 ? 'ended' : 'killed'} ${found.length}`);
        const next = await cli(t, user, words);
        t.is(next.code, 0, `${label}: ${next.stderr}`);
        const left = all(series);
        t.is(left.length, 2, `${label}: ${left.join(' ')}`);
        t.true(is('s', left[1] ?? ''), label);
        t.is(readFileSync(`${series}/${left[1]}/same`, 'utf8'), 'same');
        t.true(lstatSync(`${series}/${left[1]}/same`).nlink === 2, label);
      }
    }
    t.true(outcomes.has('killed 2') && outcomes.has('killed 3'), [...outcomes].join(', '));
    sawOneOrTwo(t, await reader.end());
  },
);
