// Hard links as rsync -H has them: what has several names in the source has as many at the destination, is read once, sent
// once, and never told to be there when it is not.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { connect, plan, sync, verify } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere, rsync } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { canMount, isRoot, mountTmpfs, scaled, setup } from './helpers/setup.js';
import { attach, hasStrace, straced } from './helpers/strace.js';
import { TreeMaker } from './helpers/tree.js';
import { at, touched, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

/** The names of each inode that has several, in order. */
function links(root: string): string[][] {
  const groups = new Map<bigint, string[]>();
  for (const [path, { ino, kind }] of walk(root)) {
    if (kind !== 'directory') groups.set(ino, [...(groups.get(ino) ?? []), path]);
  }
  return [...groups.values()].filter(({ length }) => length > 1);
}

/** Asserts that trees are equal to rsync -H, and that what the source links is linked. */
function assertLinked(t: ExecutionContext, source: string, destination: string, label: string): void {
  assertEqual(t, source, destination, { label });
  t.is(rsync('-aHinc', '--delete', `${source}/`, `${destination}/`), '', `${label}: rsync -H would change something`);
  const of = new Map([...walk(destination)].map(([path, { ino }]) => [path, ino]));
  const apart = links(source).filter((names) => new Set(names.map((name) => of.get(name))).size !== 1);
  t.deepEqual(apart, [], `${label}: these are not linked`);
}

/** Gives entries further names, here and there, and breaks links. */
function relink(random: Random, root: string, changes: number, names: readonly string[]): void {
  for (let left = changes; left > 0; left -= 1) {
    const tree = [...walk(root)];
    const entries = tree.filter(([, { kind }]) => kind !== 'directory');
    const parents = tree.filter(([path, { kind }]) => kind === 'directory' && path.length < 2000);
    if (entries.length === 0) return;
    const [path, entry] = random.pick(entries);
    const [parent] = random.pick(parents);
    const name = at(root, `${parent === '' ? '' : `${parent}/`}${random.pick(names)}${random.below(1000)}`);
    if (random.oneIn(4) && entry.kind === 'file') {
      // Other content in its place.
      const copy = Buffer.concat([
        at(root, path).subarray(0, at(root, path).lastIndexOf(0x2f) + 1),
        Buffer.from('copy'),
      ]);
      if (existsSync(copy)) continue;
      const input = Buffer.concat([at(root, path), Buffer.from('\0'), copy, Buffer.from('\0')]);
      const script =
        'IFS= read -r -d "" a && IFS= read -r -d "" b && cp -p -- "$a" "$b" && echo >> "$b" && mv -f -- "$b" "$a"';
      spawnSync('bash', ['-c', script], { input, env: { ...process.env, LC_ALL: 'C' } });
    } else if (!existsSync(name)) linkSync(at(root, path), name);
  }
}

/**
 * Removes what is linked in the destination and not in the source: it stays linked, and an attribute of one name is then
 * one of all, which rsync too sets in turns, run after run.
 */
function removeForeignLinks(source: string, destination: string): void {
  const of = walk(source);
  for (const names of links(destination)) {
    if (new Set(names.map((name) => of.get(name)?.ino)).size > 1)
      names.forEach((name) => rmSync(at(destination, name)));
  }
}

const rounds = scaled(6, 60);

// Seen red with a name that stays what it was when its first name gets new content.
judgedEachWay(
  `${rounds} rounds of random trees with hard links: pushed, pulled and here, equal after each`,
  async (t, { work, served, access, url }) => {
    t.timeout(scaled(300_000, 3_600_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const maker = new TreeMaker(random, 1 << 20);
    const [source, remote, pulled, local] = [`${work}/source`, `${served}/tree`, `${work}/pulled`, `${work}/local`];
    maker.generate(source, scaled(80, 800));
    const options = { ...access, delete: true, allowMassDelete: true, hardLinks: true };
    const there = url('tree');
    for (let round = 0; round < rounds; round += 1) {
      relink(random, source, random.between(1, 25), ['0', 'link', 'z']);
      const compare = random.pick(['quick', 'content'] as const);
      await sync(source, there, { ...options, compare });
      assertLinked(t, source, remote, `round ${round}, pushed`);
      await sync(there, pulled, { ...options, compare });
      assertLinked(t, source, pulled, `round ${round}, pulled`);
      await sync(source, local, { ...options, compare });
      assertLinked(t, source, local, `round ${round}, here`);
      const before = walk(remote);
      const { stats } = await sync(source, there, { ...options, compare });
      t.deepEqual([stats.hardLinksCreated, stats.filesTransferred, stats.attrsChanged], [0, 0, 0], `round ${round}`);
      t.deepEqual(touched(before, walk(remote)), [], `round ${round}`);
      maker.mutate(source, random.between(1, 8));
      for (const tree of [remote, pulled, local]) {
        maker.mutate(tree, random.between(0, 6));
        relink(random, tree, random.between(0, 6), ['1', 'there', 'y']);
        removeForeignLinks(source, tree);
      }
    }
  },
);

/** Makes files: a name with its content, or `=` and the name that it is a link to; times tell generations apart. */
function make(root: string, files: Readonly<Record<string, string>>, time = 1_600_000_000): void {
  mkdirSync(root, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const path = `${root}/${name}`;
    mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
    if (content === '/') mkdirSync(path, { recursive: true });
    else if (content.startsWith('=')) linkSync(`${root}/${content.slice(1)}`, path);
    else if (content.startsWith('->')) symlinkSync(content.slice(2), path);
    else writeFileSync(path, content);
    if (content !== '/') lutimesSync(path, time, time);
  }
}

/** Content and links of a tree, as text. */
function shown(root: string): string[] {
  const tree = [...walk(root)].filter(([, { kind }]) => kind !== 'directory');
  const first = new Map<bigint, string>();
  return tree.map(([path, { ino, kind, target }]) => {
    const leader = first.get(ino);
    if (leader !== undefined) return `${path} = ${leader}`;
    first.set(ino, path);
    return `${path}: ${kind === 'symlink' ? target : readFileSync(`${root}/${path}`, 'utf8')}`;
  });
}

interface Case {
  readonly what: string;
  readonly source: Readonly<Record<string, string>>;
  readonly destination?: Readonly<Record<string, string>>;
  /** The destination's time, where it is newer. */
  readonly time?: number;
  readonly flags?: readonly string[];
}

const newer = 1_650_000_000;

const cases: readonly Case[] = [
  { what: 'all new', source: { a: 'one', b: '=a', 'd/e/c': '=a', 'd/x': 'x', 'y/x': '=d/x' } },
  { what: 'symlinks', source: { l: '->q', 'd/m': '=l' } },
  { what: 'a link is missing', source: { a: 'one', b: '=a' }, destination: { a: 'one', b: 'one' } },
  {
    what: 'a link leads elsewhere',
    source: { a: 'one', b: '=a', c: 'two' },
    destination: { a: 'one', c: 'two', b: '=c' },
  },
  { what: 'what is linked there alone', source: { a: 'one', b: 'one' }, destination: { a: 'one', b: '=a' } },
  {
    what: 'what is linked there alone changes',
    source: { a: 'other', b: 'one' },
    destination: { a: 'one', b: '=a' },
  },
  { what: 'the first name is gone', source: { b: 'one', c: '=b' }, destination: { a: 'one', b: '=a', c: '=a' } },
  {
    what: 'the first name is gone, and deleted (CVE-2011-1097)',
    source: { b: 'one', c: '=b' },
    destination: { a: 'one', b: '=a', c: '=a' },
    flags: ['--delete'],
  },
  { what: 'an earlier name is new', source: { a: 'one', b: '=a' }, destination: { b: 'one' } },
  { what: 'the first name is left out', source: { a: 'one', b: '=a', c: '=a' }, flags: ['--exclude=a'] },
  {
    what: 'a partner is left out',
    source: { a: 'one', b: '=a' },
    destination: { a: 'one', keep: '=a' },
    flags: ['--exclude=keep', '--delete'],
  },
  { what: 'what is too large', source: { a: 'large', b: '=a', c: 'x', d: '=c' }, flags: ['--max-size=3'] },
  {
    what: 'the first exists and differs',
    source: { a: 'one', b: '=a', c: '=a' },
    destination: { a: 'other' },
    flags: ['--ignore-existing'],
  },
  {
    what: 'the second exists and differs',
    source: { a: 'one', b: '=a', c: '=a' },
    destination: { b: 'other' },
    flags: ['--ignore-existing'],
  },
  {
    what: 'the first exists and is equal',
    source: { a: 'one', b: '=a' },
    destination: { a: 'one' },
    flags: ['--ignore-existing'],
  },
  {
    what: 'the first is newer there',
    source: { a: 'one', b: '=a', c: '=a' },
    destination: { a: 'other' },
    time: newer,
    flags: ['-u'],
  },
  {
    what: 'the second is newer there',
    source: { a: 'one', b: '=a' },
    destination: { b: 'other' },
    time: newer,
    flags: ['-u'],
  },
  {
    what: 'a directory stands in the place of the second',
    source: { a: 'one', b: '=a' },
    destination: { 'b/c': 'x' },
    flags: ['--delete'],
  },
  {
    what: 'a directory stands in the place of the first',
    source: { a: 'one', b: '=a' },
    destination: { 'a/c': 'x' },
    flags: ['--delete'],
  },
  { what: 'a symlink stands there', source: { a: 'one', b: '=a' }, destination: { a: '->b', b: '->a' } },
  { what: 'without times', source: { a: 'one', b: '=a' }, destination: { a: 'old', b: '=a' }, flags: ['--no-times'] },
  { what: 'by content', source: { a: 'one', b: '=a' }, destination: { a: 'two', b: '=a' }, flags: ['-c'] },
  { what: 'by size', source: { a: 'one', b: '=a' }, destination: { a: 'two', b: 'two' }, flags: ['--size-only'] },
];

judgedEachWay(
  'each rule about hard links is rsync’s: what is left alone, left out, in the way, linked already',
  async (t, { work, served, client: user, url }) => {
    for (const [index, { what, source, destination = {}, time, flags = [] }] of cases.entries()) {
      const [from, judge] = [`${served}/${index}/source`, `${work}/${index}/judge`];
      make(from, source);
      const trees = {
        here: `${work}/${index}/here`,
        pushed: `${served}/${index}/pushed`,
        pulled: `${work}/${index}/pulled`,
      };
      for (const tree of [judge, ...Object.values(trees)]) make(tree, destination, time);
      rsync('-aH', ...flags, `${from}/`, `${judge}/`);
      const all = ['-aH', '--allow-mass-delete', ...flags];
      await quietly(t, user, [...all, `${from}/`, trees.here]);
      await quietly(t, user, [...all, `${from}/`, url(`${index}/pushed`)]);
      await quietly(t, user, [...all, url(`${index}/source/`), trees.pulled]);
      for (const [name, tree] of Object.entries(trees)) t.deepEqual(shown(tree), shown(judge), `${what}, ${name}`);
    }
  },
);

judgedEachWay('several sources are linked across, as by rsync', async (t, { work, served, client: user, url }) => {
  make(served, { 'one/a': 'x', 'one/d/b': '=one/a', 'two/c': '=one/a', 'two/a': 'hidden', 'two/e': '=two/a' });
  rsync('-aH', `${served}/one/`, `${served}/two/`, `${work}/judge/`);
  await quietly(t, user, ['-aH', `${served}/one/`, `${served}/two/`, `${work}/here`]);
  await quietly(t, user, ['-aH', url('one/'), url('two/'), `${work}/pulled`]);
  await quietly(t, user, ['-aH', `${served}/one/`, `${served}/two/`, url('pushed')]);
  for (const tree of [`${work}/here`, `${work}/pulled`, `${served}/pushed`])
    t.deepEqual(shown(tree), shown(`${work}/judge`));
});

/** The columns of `-i`, sorted: which name of several comes first is not the same for both. */
function columns(output: string): string[] {
  const lines = output.split('\n').filter((line) => line !== '' && !line.startsWith('created directory'));
  return lines.map((line) => line.slice(0, 11)).toSorted();
}

judged('links are itemized and counted as by rsync, planned, and compared by verify', async (t) => {
  const { work, client: user } = await setup(t);
  const source = `${work}/source`;
  make(source, { a: 'one', b: '=a', 'd/c': '=a', l: '->a', 'd/m': '=l' });
  const changes: Array<[string, () => void]> = [
    ['all new', () => undefined],
    ['nothing', () => undefined],
    ['content', () => (writeFileSync(`${source}/a`, 'changed'), utimesSync(`${source}/a`, 1e9, 1e9))],
    ['mode', () => chmodSync(`${source}/b`, 0o600)],
    ['broken there', () => ['ours', 'theirs'].forEach((name) => unlinked(`${work}/${name}/d/c`))],
  ];
  for (const [what, change] of changes) {
    change();
    const items = [];
    const planned = plan(source, `${work}/ours`, { hardLinks: true });
    for await (const { hardLinkTo } of planned) if (hardLinkTo !== undefined) items.push(hardLinkTo.path);
    const ran = await cli(t, user, ['-aHi', `${source}/`, `${work}/ours`]);
    t.is(ran.code, exit.ok, ran.stderr);
    t.deepEqual(columns(ran.stdout), columns(rsync('-aHi', `${source}/`, `${work}/theirs`)), what);
    assertLinked(t, source, `${work}/ours`, what);
    const made = ran.stdout.split('\n').flatMap((line) => / => (.*)$/.exec(line)?.slice(1) ?? []);
    t.deepEqual(items, made, `${what}: the plan`);
    t.is((await planned.result).stats.hardLinksCreated, made.length, what);
  }
  unlinked(`${work}/ours/b`);
  for (const hardLinks of [false, true]) {
    const found = [];
    for await (const item of verify(source, `${work}/ours`, { hardLinks })) {
      if (item.kind === 'file') found.push([item.path, item.reasons, item.hardLinkTo]);
    }
    t.deepEqual(found, hardLinks ? [['b', ['hard-link'], { path: 'a' }]] : []);
  }
});

/** Makes a name a file of its own. */
function unlinked(path: string): void {
  spawnSync('sh', ['-c', 'cp -p "$1" "$1.new" && mv -f "$1.new" "$1"', 'unlinked', path]);
}

judgedWhere(hasStrace)('no content is read twice, whatever is compared', async (t) => {
  const { work, client: user, url } = await setup(t);
  const source = `${work}/source`;
  make(source, {
    'one-a': 'x'.repeat(300_000),
    'd/one-b': '=one-a',
    'd/e/one-c': '=one-a',
    'two-a': 'y',
    'two-b': '=two-a',
  });
  const opened = async (args: readonly string[]): Promise<number[]> => {
    const [first = '', ...words] = straced(`${work}/trace`, ['-e', 'trace=open,openat,openat2']);
    const run = start(t, first, [...words, process.execPath, program, ...args], { env: user.env });
    t.is((await run.ended).code, exit.ok);
    const lines = readFileSync(`${work}/trace`, 'utf8').split('\n');
    return ['one-', 'two-'].map((name) => lines.filter((line) => line.includes(`"${name}`)).length);
  };
  t.deepEqual(await opened(['-aH', `${source}/`, url('tree')]), [1, 1], 'a first run reads each once');
  t.deepEqual(await opened(['-aH', `${source}/`, url('tree')]), [0, 0], 'one without a change reads none');
  t.deepEqual(await opened(['-aHc', `${source}/`, url('tree')]), [1, 1], 'one that compares content reads each once');
});

// Seen red with digests over what is not the same at both ends.
judged('a push without a change takes one round trip, and so does a pull', async (t) => {
  t.timeout(120_000);
  const { work, access, server } = await setup(t);
  const source = `${work}/source`;
  make(source, { a: 'one', b: '=a', 'd/c': '=a', 'd/e/f': '=a', l: '->a', 'd/m': '=l' });
  await using relay = await Relay.start({ to: server.port, delayMs: 100 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const options = { delete: true, hardLinks: true };
  await connection.push(source, 'root/tree', options);
  for (const run of [
    () => connection.push(source, 'root/tree', options),
    () => connection.pull('root/tree', source, options),
  ]) {
    let least = Infinity;
    for (let turn = 0; turn < 20 && least > 1.5; turn += 1) {
      relay.watch();
      await run();
      least = Math.min(least, relay.roundTrips());
    }
    t.true(least <= 1.5, `${least} round trips`);
  }
  await connection.close();
});

/** The paths that a run tells of as hard links that are none. */
function told(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => line.includes('hard link') && !line.startsWith('error['));
  return lines.map((line) => line.replace(/:.*$/, ''));
}

for (const error of ['EMLINK', 'EPERM', 'EIO'] as const) {
  judgedWhere(hasStrace)(
    `a link that cannot be made (${error}) is told, costs itself alone, and is made by the next run`,
    async (t) => {
      const { work, served, server, client: user, url } = await setup(t);
      const source = `${work}/source`;
      make(source, { a: 'one', b: '=a', 'd/c': '=a', e: 'two', f: '=e', x: 'alone' });
      const failing = await attach(t, server.pid, `${work}/trace`, [
        '-e',
        'trace=linkat',
        '-e',
        `inject=linkat:error=${error}`,
      ]);
      const ran = await cli(t, user, ['-aH', `${source}/`, url('tree')]);
      await failing.stop();
      t.is(ran.code, exit.partial);
      const paths = told(ran.stderr);
      t.deepEqual(paths.toSorted(), ['b', 'd/c', 'f'], ran.stderr);
      t.deepEqual(shown(`${served}/tree`), ['a: one', 'e: two', 'x: alone']);
      await quietly(t, user, ['-aH', `${source}/`, url('tree')]);
      assertLinked(t, source, `${served}/tree`, error);
    },
  );
}

judgedWhere(canMount)(
  'where a link would lead to another file system it fails as in rsync, and the rest arrives',
  async (t) => {
    const { work, client: user } = await setup(t);
    const source = `${work}/source`;
    make(source, { a: 'one', 'm/b': '=a', 'm/c': '=a', 'm/x': 'two', 'm/y': '=m/x' });
    if (!mountTmpfs(t, `${work}/copy/m`, 'size=1m')) return;
    const ran = await cli(t, user, ['-aH', `${source}/`, `${work}/copy`]);
    t.is(ran.code, exit.partial);
    t.deepEqual(told(ran.stderr), ['m/b', 'm/c'], ran.stderr);
    t.deepEqual(shown(`${work}/copy`), ['a: one', 'm/x: two', 'm/y = m/x']);
  },
);

judgedWhere(hasStrace)(
  'what leads a link and does not arrive costs the links too, and is put right by the next run',
  async (t) => {
    const { work, served, server, client: user, url } = await setup(t);
    const source = `${work}/source`;
    const tree = `${served}/tree`;
    make(source, { a: 'one', b: '=a', 'd/c': '=a', x: 'alone' });
    make(tree, { a: 'old', b: '=a' }, 1_500_000_000);
    const failing = await attach(t, server.pid, `${work}/trace`, [
      '-e',
      'trace=renameat,renameat2,rename',
      '-e',
      'inject=renameat,renameat2,rename:error=EIO',
    ]);
    const ran = await cli(t, user, ['-aH', `${source}/`, url('tree')]);
    await failing.stop();
    t.is(ran.code, exit.partial);
    t.deepEqual(told(ran.stderr), ['b', 'd/c'], ran.stderr);
    t.deepEqual(shown(tree), ['a: old', 'b = a']);
    await quietly(t, user, ['-aH', `${source}/`, url('tree')]);
    assertLinked(t, source, tree, 'the next run');
  },
);

judged('a key that may only add names gets no link to what was there before', async (t) => {
  const { work, served, client: user, url } = await setup(t, { rights: 'append' });
  const source = `${work}/source`;
  make(source, { a: 'one', b: '=a', c: '=a', 'new-a': 'two', 'new-b': '=new-a' });
  make(`${served}/tree`, { a: 'one' });
  const before = lstatSync(`${served}/tree/a`);
  const ran = await cli(t, user, ['-rltH', `${source}/`, url('tree')]);
  t.is(ran.code, exit.partial);
  t.deepEqual(told(ran.stderr), ['b', 'c'], ran.stderr);
  t.deepEqual(shown(`${served}/tree`), ['a: one', 'b: one', 'c = b', 'new-a: two', 'new-b = new-a']);
  const after = lstatSync(`${served}/tree/a`);
  t.deepEqual([after.ino, after.nlink, after.ctimeMs], [before.ino, 1, before.ctimeMs]);
});

/** Takes from root what lets it read and write everything; anyone else is subject to modes already. */
const drop = isRoot
  ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-dac_override,-dac_read_search']
  : ['env'];
const canDrop = spawnSync(drop[0] ?? '', [...drop.slice(1), 'true']).status === 0;

judgedWhere(canDrop)('links lead from and into directories of one’s own that nobody may write to', async (t) => {
  const { work, client: user } = await setup(t);
  const source = `${work}/source`;
  make(source, { 'closed/a': 'one', 'other/b': '=closed/a', 'other/c': 'two', 'closed/d': '=closed/a' });
  for (const name of ['closed', 'other']) chmodSync(`${source}/${name}`, 0o555);
  const run = async (): Promise<void> => {
    const words = [...drop.slice(1), process.execPath, program, '-aH', `${source}/`, `${work}/copy`];
    const ended = await start(t, drop[0] ?? '', words, { env: user.env }).ended;
    t.deepEqual([ended.code, ended.stderr], [exit.ok, '']);
  };
  await run();
  assertLinked(t, source, `${work}/copy`, 'new');
  chmodSync(`${work}/copy/other`, 0o755);
  unlinked(`${work}/copy/other/b`);
  chmodSync(`${work}/copy/other`, 0o555);
  await run();
  assertLinked(t, source, `${work}/copy`, 'again');
});

judgedEachWay('without hardLinks every name is a file of its own', async (t, { work, client: user, served, url }) => {
  const source = `${work}/source`;
  make(source, { a: 'one', b: '=a' });
  await quietly(t, user, ['-a', `${source}/`, url('tree')]);
  t.deepEqual(shown(`${served}/tree`), ['a: one', 'b: one']);
});
