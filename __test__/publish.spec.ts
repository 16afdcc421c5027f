// Trees that are published: --publish, --keep-previous.
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { sync } from '../dist/index.js';
import { contentOf, copied, make, randomTrees, shape } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { canMount, long, mountTmpfs, type Setup, setup } from './helpers/setup.js';
import { hasStrace, killedAt } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { sawOneOrTwo, startTreeReader } from './helpers/tree-reader.js';
import { names } from './helpers/walk.js';

const unfinished = (folder: string): string[] => names(folder).filter((name) => /(?:^|\/)\.sps-/.test(name));

/** Runs on a copy of a model, by each way: what is run, where it stands, and the words of its ends. */
function publishings({ work, served, url }: Setup, model: string, round: number) {
  return [
    { way: 'local', base: `${work}/local${round}` },
    { way: 'push', base: `${served}/push${round}` },
    { way: 'pull', base: `${work}/pull${round}` },
  ].map(({ way, base }) => {
    copied(model, base);
    if (way === 'pull') copied(model, `${served}/pull${round}`);
    const from = way === 'pull' ? url(`pull${round}/s/`) : `${base}/s/`;
    const to = way === 'push' ? url(`push${round}/d/`) : `${base}/d/`;
    return { way, base, ends: [from, to] };
  });
}

judged('what is published is what the same run leaves without it', async (t) => {
  t.log(`seed ${seed}`);
  const set = await setup(t);
  const { work, client: user } = set;
  const random = new Random(t.title);
  for (let round = 0; round < 6; round += 1) {
    const model = randomTrees(random, `${work}/model${round}`, ['s', 'd'], { plain: true });
    const flags = ['-a', ...random.pick([[], ['--delete'], ['--delete', '--exclude=a*'], ['-c']])];
    const judge = copied(model, `${work}/judge${round}`);
    const env = { ...user.env, SPARSYNC_GUARDS: 'off' };
    const plain = await cli(t, user, [...flags, `${judge}/s/`, `${judge}/d/`], { env });
    for (const { way, base, ends } of publishings(set, model, round)) {
      const ran = await cli(t, user, [...flags, '--publish', ...ends], { env });
      const label = `${round} ${way} ${flags.join(' ')}`;
      t.is(ran.code, plain.code, `${label}: ${ran.stderr}`);
      // Where a path fails nothing is published.
      const wanted = plain.code === 0 ? `${judge}/d` : `${model}/d`;
      t.deepEqual(shape(`${base}/d`), shape(wanted), label);
      t.deepEqual(unfinished(base), [], label);
    }
  }
});

judged('the old tree is kept as it was where that is asked for, and an equal one stays', async (t) => {
  const { work, served, url, access } = await setup(t);
  make(work, { 's/same': 'same', 's/mode%600': 'mode', 's/changed': 'new', 's/sub/x': 'x' });
  make(served, {
    'd/same': 'same',
    'd/mode%644': 'mode',
    'd/changed@1500000000': 'old',
    'd/sub/x': 'x',
    'd/only': '1',
  });
  const before = shape(`${served}/d`);
  const options = { ...access, delete: true, publish: true, keepPrevious: true };
  await sync(`${work}/s`, url('d'), options);
  t.deepEqual(shape(`${served}/d.previous`), before);
  t.is(rsync('-ainc', '--delete', `${work}/s/`, `${served}/d/`), '');
  t.is(lstatSync(`${served}/d/same`).ino, lstatSync(`${served}/d.previous/same`).ino);
  const { ino } = lstatSync(`${served}/d`);
  await sync(`${work}/s`, url('d'), options);
  t.is(lstatSync(`${served}/d`).ino, ino);
  writeFileSync(`${work}/s/changed`, 'newer');
  await sync(`${work}/s`, url('d'), options);
  t.is(readFileSync(`${served}/d.previous/changed`, 'utf8'), 'new');
  writeFileSync(`${work}/s/changed`, 'newest');
  await sync(`${work}/s`, url('d'), { ...options, keepPrevious: false });
  t.is(readFileSync(`${served}/d.previous/changed`, 'utf8'), 'new');
  t.is(readFileSync(`${served}/d/changed`, 'utf8'), 'newest');
  t.is(lstatSync(`${served}/d/sub/x`).nlink, 2);
  t.deepEqual(readdirSync(served).toSorted(), ['d', 'd.previous']);
});

judged('where a path fails the old tree stays, and so it is told', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'new', 's/b': 'a file', 'd/a@1500000000': 'old', 'd/b/full': '' });
  const before = shape(`${work}/d`);
  const ran = await cli(t, user, ['-a', '--publish', `${work}/s/`, `${work}/d/`]);
  t.is(ran.code, exit.partial);
  t.regex(ran.stderr, /not published/);
  t.deepEqual(shape(`${work}/d`), before);
  t.deepEqual(unfinished(work), []);
});

judged(
  'what cannot change places, or would write into what stands there, is refused before anything is written',
  async (t) => {
    const { work, served, url, client: user } = await setup(t);
    make(work, { 's/a': 'new', 's/f': 'f', 'd/a@1500000000': 'old' });
    make(served, { 'a@1500000000': 'old' });
    const before = [shape(work), shape(served)].map((tree) => JSON.stringify(tree));
    for (const [flags, from, to, why] of [
      [['--inplace'], 's/', 'd/', /publish and inplace/],
      [['-b'], 's/', 'd/', /publish and backup/],
      [['-K'], 's/', 'd/', /publish and keepDirLinks/],
      [['--remove-source-files'], 's/', 'd/', /publish and removeSourceFiles/],
      [[], 's/f', 'd/a', /publish and a single file/],
      [[], 's/', url(), /it is the top of a root/],
    ] as const) {
      const ran = await cli(t, user, [
        '-a',
        '--publish',
        ...flags,
        `${work}/${from}`,
        to.includes(':') ? to : `${work}/${to}`,
      ]);
      t.not(ran.code, 0, `${flags.join()} ${to}`);
      t.regex(ran.stderr, why);
    }
    t.deepEqual(
      [shape(work), shape(served)].map((tree) => JSON.stringify(tree)),
      before,
    );
  },
);

judged('while a tree is published nobody writes to what it is in, and its neighbours are published too', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'p/d/f@1500000000': 'old', 'p/e/f@1500000000': 'old', 'one/x': 'x' });
  writeFileSync(`${work}/s/large`, new Random(t.title).bytes(4 << 20));
  const job = sync(`${work}/s`, `${work}/p/d`, { publish: true, bwlimit: 1000 });
  await until('the run to begin', () => unfinished(`${work}/p`).length > 0);
  for (const [from, to] of [
    ['one/', 'p/'],
    ['one/', 'p/d/'],
  ] as const) {
    const ran = await cli(t, user, ['-a', `${work}/${from}`, `${work}/${to}`]);
    t.is(ran.code, exit.busy, `${to}: ${ran.stderr}`);
  }
  const beside = await cli(t, user, ['-a', '--publish', `${work}/one/`, `${work}/p/e/`]);
  t.is(beside.code, exit.ok, beside.stderr);
  job.setBwlimit(0);
  await job;
  t.deepEqual(readdirSync(`${work}/p`).toSorted(), ['d', 'e']);
  t.is(readFileSync(`${work}/p/d/f`, 'utf8'), 'new');
});

judged('a key that may not delete, and a prefix itself, publish nothing', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write' });
  make(work, { 's/a': 'new' });
  make(served, { 'd/a@1500000000': 'old' });
  const ran = await cli(t, user, ['-a', '--publish', `${work}/s/`, url('d')]);
  t.not(ran.code, 0);
  t.regex(ran.stderr, /rights to write and to delete/);
  t.is(readFileSync(`${served}/d/a`, 'utf8'), 'old');
  const narrow = client(work, 'narrow');
  const allow = [`narrow ${narrow.publicKey} root=root/in allow=read,write,delete`];
  const server = await startServer(t, { home: dir(work, 'second'), roots: { root: served }, allow });
  narrow.trust(server.port, server.pin);
  make(served, { 'in/a@1500000000': 'old', 'in/d/a@1500000000': 'old' });
  for (const [path, code] of [
    ['in', exit.usage],
    ['in/d', exit.ok],
  ] as const) {
    const published = await cli(t, narrow, ['-a', '--publish', `${work}/s/`, server.url('root', path)]);
    t.is(published.code, code, published.stderr);
    t.is(readFileSync(`${served}/${path}/a`, 'utf8'), code === exit.ok ? 'new' : 'old');
    if (code !== exit.ok) t.regex(published.stderr, /the top of a root, or of what the key may use/);
  }
  t.deepEqual([unfinished(served), readdirSync(served).toSorted()], [[], ['d', 'in']]);
});

judgedWhere(canMount)('a mount point, and a tree that holds one, are refused', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'new' });
  for (const place of ['mounted', 'd/deep/mounted']) {
    if (!mountTmpfs(t, `${work}/${place}`, 'size=1m')) throw new Error('cannot mount');
    const { mtimeNs } = statSync(work, { bigint: true });
    const ran = await cli(t, user, ['-a', '--publish', `${work}/s/`, `${work}/${place.replace(/\/.*/, '')}/`]);
    t.is(ran.code, exit.usage, ran.stderr);
    t.regex(ran.stderr, place === 'mounted' ? /it is a mount point/ : /another file system.*directory without one/);
    if (place !== 'mounted') t.regex(ran.stderr, /deep\/mounted/);
    t.deepEqual([unfinished(work), statSync(work, { bigint: true }).mtimeNs], [[], mtimeNs], 'nothing was made there');
  }
});

judged('through a symlink the directory that it leads to is exchanged', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'new', 'real/d/a@1500000000': 'old' });
  symlinkSync('real/d', `${work}/link`);
  t.is((await cli(t, user, ['-a', '--publish', `${work}/s/`, `${work}/link/`])).code, 0);
  t.is(readFileSync(`${work}/real/d/a`, 'utf8'), 'new');
  t.true(lstatSync(`${work}/link`).isSymbolicLink());
  t.deepEqual(readdirSync(`${work}/real`), ['d']);
});

judged('an old tree that cannot be kept stays where it is', async (t) => {
  const { work, client: user } = await setup(t);
  const name = 'd'.repeat(250);
  make(work, { 's/a': 'new', [`${name}/a@1500000000`]: 'old', [`${name}/only`]: '1' });
  const before = shape(`${work}/${name}`);
  const { ino } = lstatSync(`${work}/${name}`);
  const words = ['-a', '--delete', '--publish', '--keep-previous', `${work}/s/`, `${work}/${name}/`];
  const ran = await cli(t, user, words);
  t.not(ran.code, 0);
  t.regex(ran.stderr, /the old tree cannot be kept/);
  t.deepEqual(shape(`${work}/${name}`), before);
  t.is(lstatSync(`${work}/${name}`).ino, ino);
  t.deepEqual(unfinished(work), []);
});

const USER = 12_345;

/** A folder in which a plain user publishes `s` to `d`, and how. */
async function ofUser(t: ExecutionContext) {
  const { work, client: user } = await setup(t);
  const home = `${work}/home`;
  mkdirSync(home);
  for (const path of [work.replace(/\/[^/]*$/, ''), work]) chmodSync(path, 0o755);
  const owned = (): void => {
    for (const path of ['', ...names(home)]) chownSync(`${home}/${path}`, USER, USER);
  };
  const env = { ...user.env, HOME: home };
  const words = ['-a', '--delete', '--publish', `${home}/s/`, `${home}/d/`];
  const publish = () => start(t, 'setpriv', [...becoming(USER), process.execPath, program, ...words], { env }).ended;
  return { home, owned, publish };
}

judgedWhere(canBecome)("a plain user's directories that he may not write to are published and removed", async (t) => {
  const { home, owned, publish } = await ofUser(t);
  make(home, { 's/ro/f': 'f', 's/ro/deep/g': 'g', 's/version': '0' });
  owned();
  for (const path of ['ro/deep', 'ro']) chmodSync(`${home}/s/${path}`, 0o555);
  for (const number of [1, 2, 3]) {
    writeFileSync(`${home}/s/version`, 'x'.repeat(number));
    const ran = await publish();
    t.is(ran.code, 0, `${number}: ${ran.stderr}`);
    t.is(rsync('-ainc', '--delete', `${home}/s/`, `${home}/d/`), '', `${number}`);
    t.deepEqual(unfinished(home), [], `${number}`);
  }
});

judgedWhere(canBecome)("nobody gets another's directory by publishing a tree that holds it", async (t) => {
  for (const [path, uid, gid] of [
    ['d/theirs', 0, 0],
    ['d/theirs', USER, 0],
    ['d', 0, 0],
  ] as const) {
    const { home, owned, publish } = await ofUser(t);
    make(home, { 's/a': 'new', 'd/a@1500000000': 'old', 'd/theirs/': '' });
    owned();
    chownSync(`${home}/${path}`, uid, gid);
    const before = shape(`${home}/d`);
    const { ino } = lstatSync(`${home}/d`);
    const ran = await publish();
    t.not(ran.code, 0, path);
    t.regex(ran.stderr, /publish: cannot share.*not permitted/i, path);
    if (path !== 'd') t.regex(ran.stderr, /theirs/);
    t.deepEqual(shape(`${home}/d`), before, path);
    t.is(lstatSync(`${home}/d`).ino, ino, path);
    t.deepEqual(unfinished(home), [], path);
  }
});

const FILES = ['a', 'b', 'sub/c', 'sub/deep/d', 'z'];

/** A tree in which every file says which version it is of, and each of these groups of names is one file. */
function version(root: string, number: number, groups: readonly (readonly string[])[] = []): void {
  rmSync(root, { recursive: true, force: true });
  make(root, Object.fromEntries(FILES.map((name) => [name, contentOf(number)])));
  linkGroups(root, groups);
}

function linkGroups(root: string, groups: readonly (readonly string[])[]): void {
  for (const [first = '', ...others] of groups)
    for (const name of others) {
      rmSync(`${root}/${name}`, { force: true });
      linkSync(`${root}/${first}`, `${root}/${name}`);
    }
}

judged(
  'hard links are published as they are, and what shares an inode with the old tree keeps its attributes there',
  async (t) => {
    t.log(`seed ${seed}`);
    const set = await setup(t);
    const { work, client: user } = set;
    const random = new Random(t.title);
    for (let round = 0; round < 6; round += 1) {
      const model = randomTrees(random, `${work}/model${round}`, ['s', 'd'], { plain: true });
      const both = names(`${model}/s`).filter((name) => lstatSync(`${model}/s/${name}`).isFile());
      for (const tree of ['s', 'd']) {
        // What stands on both sides, alike but for modes and for what is linked to what.
        for (const name of ['same1', 'same2', 'same3', 'in/same4', 'in/same5'])
          make(model, { [`${tree}/${name}@1500000000`]: 'the same' });
        linkGroups(`${model}/${tree}`, [
          ['same1', ...random.pick([['same2'], ['same2', 'in/same4'], ['in/same5', 'same3']])],
        ]);
        linkGroups(`${model}/${tree}`, random.pick([[], [['in/same4', 'same3']]]));
        chmodSync(`${model}/${tree}/same1`, random.pick([0o644, 0o600]));
      }
      linkGroups(`${model}/s`, [both.filter(() => random.oneIn(3))]);
      const env = { ...user.env, SPARSYNC_GUARDS: 'off' };
      const flags = ['-aHc', ...random.pick([[], ['--delete']])];
      const judge = copied(model, `${work}/judge${round}`);
      const plain = await cli(t, user, [...flags, `${judge}/s/`, `${judge}/d/`], { env });
      const before = shape(`${model}/d`);
      for (const { way, base, ends } of publishings(set, model, round)) {
        const ran = await cli(t, user, [...flags, '--publish', '--keep-previous', ...ends], { env });
        const label = `${round} ${way} ${flags.join(' ')}`;
        t.is(ran.code, plain.code, `${label}: ${ran.stderr}`);
        if (plain.code !== 0) continue;
        // A run in place gives names that the source does not link what the last of them has; here each has its own.
        t.is(rsync('-aHinc', ...flags.slice(1), `${model}/s/`, `${base}/d/`), '', label);
        t.deepEqual(shape(`${base}/d.previous`), before, `${label}: the old tree`);
        t.deepEqual(unfinished(base), [], label);
      }
    }
  },
);

judged('who looks all the time sees one tree at every look', async (t) => {
  const { work, served, url, access } = await setup(t);
  version(`${served}/d`, 1);
  const reader = startTreeReader(t, FILES);
  await reader.lookAt(`${served}/d`);
  for (let number = 2; number <= 12; number += 1) {
    version(`${work}/s`, number);
    await sync(`${work}/s`, url('d'), { ...access, delete: true, publish: true, keepPrevious: true });
  }
  const { looks, seen } = await reader.end();
  t.true(looks > 20);
  // What is removed while it is held open is older than the one before.
  t.deepEqual(
    Object.keys(seen).filter((versions) => !/^\d+$/.test(versions) && !/^\d+\+missing$/.test(versions)),
    [],
    JSON.stringify(seen),
  );
});

for (const flags of [['-a'], ['-aH']])
  judgedWhere(hasStrace)(
    `killed at any call it leaves the old or the new tree, who looks all the time sees no other, and the next run cleans up (${flags.join(' ')})`,
    async (t) => {
      const { work, client: user } = await setup(t);
      version(`${work}/s`, 2, [
        ['a', 'sub/c'],
        ['b', 'z'],
      ]);
      version(`${work}/old`, 1, [['a', 'b', 'sub/deep/d']]);
      for (const tree of ['s', 'old']) {
        make(work, { [`${tree}/same@1500000000`]: 'the same' });
        linkGroups(`${work}/${tree}`, [['same', 'sub/same']]);
      }
      chmodSync(`${work}/s/same`, 0o600);
      make(work, { 'old/only/here': '1\n' });
      chmodSync(`${work}/old/a`, 0o600);
      const outcomes = new Set<string>();
      const reader = startTreeReader(t, FILES);
      for (const [calls, most, step] of [
        ['mkdirat,linkat', 24, 5],
        ['renameat2,renameat', 12, 1],
        ['unlinkat', 24, 3],
        ['utimensat,fchmod', 12, 5],
        ['syncfs,fsync', 3, 1],
      ] as const) {
        for (let at = 1; at <= most; at += long ? 1 : step) {
          // The reader may see nothing of how it is made ready, nor of how it goes.
          const place = dir(work, `${calls}${at}`);
          copied(`${work}/old`, `${place}/d`);
          make(place, { 'd.previous/older/a': '0\n', 'd.previous/b': '0\n' });
          // Every other time the destination is named by a symlink.
          symlinkSync('d', `${place}/link`);
          const words = [...flags, '--delete', '--publish', '--keep-previous', `${work}/s/`];
          const to = at % 2 === 0 ? `${place}/d/` : `${place}/link/`;
          await reader.lookAt(to);
          const ran = await killedAt(t, user, [...words, to], { calls, at });
          const label = `${calls} ${at}`;
          const found = JSON.stringify(shape(`${place}/d`));
          const is = (name: string): boolean =>
            found === JSON.stringify(shape(`${work}/${name}`)) ||
            rsync(`${flags.join('')}inc`, '--delete', `${work}/${name}/`, `${place}/d/`) === '';
          t.true(is('old') || is('s'), `${label}: ${found}`);
          outcomes.add(`${ran.signal === null && ran.code === 0 ? 'ended' : 'killed'} ${is('s') ? 'new' : 'old'}`);
          const wasNew = is('s');
          const next = await cli(t, user, [...flags, '--delete', '--publish', `${work}/s/`, to]);
          t.is(next.code, 0, `${label}: ${next.stderr}`);
          t.true(is('s'), label);
          t.deepEqual(unfinished(place), [], label);
          t.true(lstatSync(`${place}/link`).isSymbolicLink(), label);
          if (wasNew) t.deepEqual(shape(`${place}/d.previous`), shape(`${work}/old`), label);
        }
      }
      t.true(outcomes.has('killed old') && outcomes.has('killed new'), [...outcomes].join(', '));
      sawOneOrTwo(t, await reader.end());
    },
  );
