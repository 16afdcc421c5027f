// Which paths of a source belong to a run: --relative, --files-from, --dirs and --mkpath, judged by what rsync makes of them.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lutimesSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  chmodSync,
  cpSync,
} from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { ConfigError, connect, plan, sync } from '../dist/index.js';
import { cli, exit, startCli } from './helpers/cli.js';
import { judged, rsyncSays } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { judgedEachWay, type Place } from './helpers/ways.js';

/** A source `src` below `root`, with modes and times that nobody has by default. */
function grow(root: string): void {
  for (const path of ['src/a/b/c', 'src/e/f', 'src/empty']) mkdirSync(`${root}/${path}`, { recursive: true });
  for (const path of ['src/a/b/c/f1', 'src/a/b/f2', 'src/e/f/f3', 'src/top', 'src/a b']) {
    writeFileSync(`${root}/${path}`, path);
    utimesSync(`${root}/${path}`, 1_500_000_000, 1_500_000_000);
  }
  symlinkSync('a', `${root}/src/link`);
  chmodSync(`${root}/src/a`, 0o711);
  chmodSync(`${root}/src/a/b`, 0o750);
  for (const [index, path] of ['a/b/c', 'a/b', 'a', 'e/f', 'e', 'empty', '.'].entries()) {
    utimesSync(`${root}/src/${path}`, 1_400_000_000 + index, 1_400_000_000 + index);
  }
}

/** What a destination holds before a run, so that a deletion can be seen. */
function fill(destination: string): void {
  for (const path of ['src/a/x', 'a/x', 'a/b/y', 'e/f']) mkdirSync(`${destination}/${path}`, { recursive: true });
  for (const path of ['top2', 'a/b/extra', 'e/f/extra', 'src/a/extra']) {
    writeFileSync(`${destination}/${path}`, 'x');
    utimesSync(`${destination}/${path}`, 1_300_000_000, 1_300_000_000);
  }
  for (const path of ['src/a/x', 'src/a', 'src', 'a/x', 'a/b/y', 'a/b', 'a', 'e/f', 'e']) {
    utimesSync(`${destination}/${path}`, 1_300_000_000, 1_300_000_000);
  }
}

/** What rsync would change, but for times of directories that neither run has set. */
function differs(judge: string, destination: string): string {
  const isNew = (path: string): boolean => statSync(path).mtimeMs > 1_600_000_000_000;
  const isUnset = (line: string): boolean => {
    const path = /^\.d\.\.t\.* (.*)$/.exec(line)?.[1];
    return path !== undefined && isNew(`${judge}/${path}`) && isNew(`${destination}/${path}`);
  };
  const lines = rsyncSays(judge, destination).split('\n');
  return lines.filter((line) => !isUnset(line)).join('\n');
}

interface Case {
  readonly flags: readonly string[];
  readonly sources: readonly string[];
  /** Lines of the list of `--files-from`. */
  readonly list?: string;
  readonly filled?: boolean;
  /** Symlinks of the destination, each with what it leads to, before all else that it holds. */
  readonly links?: Readonly<Record<string, string>>;
  readonly code?: number;
}

/** Runs a case by rsync, and locally, as a push and as a pull by us. */
async function asRsync(t: ExecutionContext, place: Place, cases: readonly Case[]): Promise<void> {
  const { work, served, url, rsh, client: user } = place;
  // A root of a server is where paths begin; over ssh the part to be left out is marked.
  const there = (source: string): string => url(rsh === undefined || source.includes('/./') ? source : `./${source}`);
  grow(work);
  grow(served);
  for (const [index, { flags, sources, list, filled = false, links = {}, code = 0 }] of cases.entries()) {
    const label = `${flags.join(' ')} ${sources.join(' ')} ${JSON.stringify(list ?? '')}`;
    const listed = list === undefined ? [] : [`--files-from=${work}/list`];
    if (list !== undefined) writeFileSync(`${work}/list`, list);
    const made = (name: string, root = work): string => {
      const path = dir(root, `${name}${index}`);
      for (const [link, target] of Object.entries(links)) {
        if (!target.startsWith('.')) mkdirSync(`${path}/${target}`);
        symlinkSync(target, `${path}/${link}`);
        lutimesSync(`${path}/${link}`, 1_300_000_000, 1_300_000_000);
      }
      if (filled) fill(path);
      // What neither sets is the same at both.
      utimesSync(path, 1_200_000_000, 1_200_000_000);
      return path;
    };
    const judge = made('judge');
    const said = spawnSync('rsync', [...flags, ...listed, ...sources, `${judge}/`], { cwd: work, encoding: 'utf8' });
    t.is(said.status, code, `${label}: ${said.stderr}`);
    const here = { cwd: work, env: { SPARSYNC_GUARDS: 'off' } };
    const check = async (destination: string, args: readonly string[], how: string): Promise<void> => {
      const ran = await startCli(t, user, [...flags, ...listed, ...args], here).ended;
      t.is(ran.code, code, `${label}, ${how}: ${ran.stderr}`);
      t.is(differs(judge, destination), '', `${label}, ${how}`);
    };
    const local = made('local');
    await check(local, [...sources, `${local}/`], 'local');
    const pushed = made('pushed', served);
    await check(pushed, [...sources, url(`pushed${index}/`)], 'push');
    const pulled = made('pulled');
    await check(pulled, [...sources.map(there), `${pulled}/`], 'pull');
    // A second run has nothing to do, and a comparison finds nothing.
    if (code === 0 && flags.includes('-aR')) {
      const again = await startCli(t, user, ['-i', ...flags, ...listed, ...sources, `${local}/`], here).ended;
      t.is(again.stdout, '', `${label}, again`);
    }
  }
}

judgedEachWay('-R: a source arrives under its path, or the part behind /./', async (t, place) => {
  await asRsync(t, place, [
    { flags: ['-aR'], sources: ['src/a/b/'] },
    { flags: ['-aR'], sources: ['src/./a/b'] },
    { flags: ['-aR'], sources: ['src/./a/b/f2', 'src/e/./f'] },
    { flags: ['-aR'], sources: ['src/./a/b/f2', 'src/./a/b/c', 'src/./top', 'src/./a b'] },
    { flags: ['-aR'], sources: ['src/a/.'] },
    { flags: ['-aR'], sources: ['src/./'] },
    { flags: ['-aR'], sources: ['src/./', 'src/./a/b'] },
    { flags: ['-aR'], sources: ['src/./a/nope', 'src/./top'], code: 23 },
    { flags: ['-rptR'], sources: ['src/./a/b/f2'] },
    { flags: ['-ptR'], sources: ['src/./a/b/f2', 'src/./top'] },
  ]);
});

judged('-R: the part behind /./, also where a source begins with ./', async (t) => {
  const { work, client: user } = await setup(t);
  grow(work);
  for (const [index, source] of ['./src/./a/b', '././src/a/b/f2'].entries()) {
    const [judge, ours] = [dir(work, `judge${index}`), dir(work, `ours${index}`)];
    t.is(spawnSync('rsync', ['-aR', source, `${judge}/`], { cwd: work }).status, 0);
    const ran = await startCli(t, user, ['-aR', source, `${ours}/`], { cwd: work }).ended;
    t.is(ran.code, exit.ok, ran.stderr);
    t.is(differs(judge, ours), '', source);
  }
});

judgedEachWay('-R with --delete removes nothing beside the way', async (t, place) => {
  await asRsync(t, place, [
    { flags: ['-aR', '--delete'], sources: ['src/./a/b'], filled: true },
    { flags: ['-aR', '--delete'], sources: ['src/./a/b', 'src/./e'], filled: true },
    { flags: ['-aR', '--delete'], sources: ['src/a/b/c'], filled: true },
  ]);
});

judgedEachWay(
  'directories on the way are in no filter, and have their attributes unless --no-implied-dirs',
  async (t, place) => {
    await asRsync(t, place, [
      { flags: ['-aR', '--no-implied-dirs'], sources: ['src/./a/b/f2'] },
      { flags: ['-aR', '--no-implied-dirs'], sources: ['src/./a/b/f2'], filled: true },
      { flags: ['-aR', '--exclude=a'], sources: ['src/./a/b/f2', 'src/./top'] },
      { flags: ['-aR', '--exclude=/a/b/c'], sources: ['src/./a/b'] },
      { flags: ['-aR', '--exclude=f?'], sources: ['src/./a', 'src/./e'] },
    ]);
  },
);

// Seen red with directories in the places of the symlinks.
judgedEachWay(
  '--no-implied-dirs writes through symlinks to directories on the way, as rsync does',
  async (t, place) => {
    const flags = ['-aR', '--no-implied-dirs'];
    const [way, list] = [{ links: { a: 'real' } }, { sources: ['src/'], list: 'a/b/f2\n' }];
    await asRsync(t, place, [
      { flags, sources: ['src/./a/b/f2'], ...way },
      { flags, sources: ['src/./a/b/c', 'src/./e/f/f3'], ...way, filled: true },
      { flags: [...flags, '--delete'], sources: ['src/./a/b/'], ...way, filled: true },
      { flags: [...flags, '-c'], sources: ['src/./a/b/f2', 'src/./top'], ...way, filled: true },
      { flags: ['-a', '--no-implied-dirs'], ...list, ...way, filled: true },
      // A symlink that is named itself gives way, and one that leads out stays.
      { flags, sources: ['src/./a'], ...way },
      { flags: ['-aR'], sources: ['src/./a/b/f2'], ...way },
      { flags, sources: ['src/./a/b/f2'], links: { a: '../..' }, code: 23 },
    ]);
    t.is(readlinkSync(`${place.work}/local0/a`), 'real');
    t.true(existsSync(`${place.work}/local0/real/b/f2`));
    t.is(readlinkSync(`${place.work}/local7/a`), '../..');
  },
);

judged('symlinks on the way to a source of this machine are followed, and refused on a server', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  grow(work);
  grow(served);
  for (const source of ['src/./link/b/f2', 'src/./link/']) {
    for (const name of ['judge', 'local']) {
      rmSync(`${work}/${name}`, { recursive: true, force: true });
      utimesSync(dir(work, name), 1, 1);
    }
    t.is(spawnSync('rsync', ['-aR', source, 'judge/'], { cwd: work }).status, 0);
    t.is((await startCli(t, user, ['-aR', source, 'local/'], { cwd: work }).ended).code, 0);
    t.is(differs(`${work}/judge`, `${work}/local`), '', source);
  }
  const refused = await cli(t, user, ['-aR', url('src/./link/b/f2'), `${work}/pulled/`]);
  t.not(refused.code, 0);
  t.regex(refused.stderr, /symlink/);
  t.false(existsSync(`${work}/pulled/link/b/f2`));
});

judgedEachWay('--files-from: only what is listed, and -a goes into no directory of it', async (t, place) => {
  const from = (list: string, flags: readonly string[] = ['-a']): Case => ({ flags, sources: ['src/'], list });
  await asRsync(t, place, [
    from('a/b/f2\ntop\na b\n'),
    from('a/b\n'),
    from('a/b/\n'),
    from('a/b\n', ['-a', '-r']),
    from('.\n'),
    from('./\n'),
    from('.\n', ['-ar']),
    from('nope\ntop\ne\n', ['-a']).list === undefined ? from('') : { ...from('nope\ntop\ne\n'), code: 23 },
    from('/a/b/f2\r\n\n# comment\n; another\ne/../top'),
    from('a/b/f2\na/b/\na\ne/f/../f/f3\n'),
    from('a/b/f2\0top\0#x\0', ['-a0']),
    from('a/b/f2\ne/f\n', ['-a', '--no-R']),
    from('a/b/f2\n', ['-a', '--no-implied-dirs']),
    from('a\ntop\n', ['-a', '--exclude=top']),
    { ...from('a/b/\n', ['-a', '--delete']), filled: true },
    { ...from('a/b/\n', ['-ar', '--delete']), filled: true },
  ]);
});

// Seen red with the whole entry as the path.
judgedEachWay('--files-from: the part of an entry behind /./ is the path under which it arrives', async (t, place) => {
  const from = (list: string, flags: readonly string[] = ['-a']): Case => ({ flags, sources: ['src/'], list });
  await asRsync(t, place, [
    from('a/./b/f2\n'),
    from('a/./b\n'),
    from('a/./b/\n'),
    from('a/./b\n', ['-ar']),
    from('e/./\n'),
    from('a/./\n', ['-ar']),
    from('e/f/.//\n'),
    from('./a/./b/./f2\na//./b/c/f1\n/a/./b/../b/c\n'),
    from('a/../e/./f/f3\na/b/./f2\n'),
    // One file from two places, and two files of one name.
    from('a/./b/f2\na/b/f2\n'),
    from('a/b/f2\na/./b/f2\n'),
    from('a/b/c/./f1\ne/f/./f3\na/b\n'),
    from('a/b/c/./\ne/./f/\n'),
    from('a/b/./\na/b/f2\n'),
    from('a/b/./\na/b/f2\ne/./f\n', ['-ar']),
    { ...from('nope/./x\ntop\na/./nope\n'), code: 23 },
    { ...from('a/./nope\n'), code: 23 },
    { ...from('a/./../e/f\n'), code: 23 },
    from('a/./b/f2\ne/f\n', ['-a', '--no-R']),
    from('a/./b/f2\ne/./f/f3\n', ['-a', '--no-implied-dirs']),
    from('a/./b/f2\0e/./f/f3\0', ['-a0']),
    from('a/./b\ne/./f\n', ['-ar', '--exclude=/b/c', '--exclude=f3']),
    { ...from('a/./b/\n', ['-ar', '--delete']), filled: true },
    { ...from('a/./b/\ne/./f\n', ['-ar', '--delete']), filled: true },
  ]);
});

// Seen red with the top left as it was.
judgedEachWay('--files-from: an entry that begins with ./ carries the top, as lists of find do', async (t, place) => {
  const from = (list: string, flags: readonly string[] = ['-a']): Case => ({ flags, sources: ['src/'], list });
  await asRsync(t, place, [
    from('./top\n'),
    from('./a/b/f2\n./e/f/f3\ntop\n'),
    from('./a/b/f2\n./e/f\n', ['-ar']),
    from('./../top\n'),
    from('/./top\n', ['-ar']),
    from('././top\n'),
    from('a/././b/f2\n'),
    from('a/././b\ne/./f\n', ['-ar']),
    from('a/././b/f2\ne/./f\n'),
    from('./a/b/f2\n', ['-a', '--no-implied-dirs']),
    from('./a/b/f2\n', ['-a', '--no-R']),
    { ...from('./a/b/\n', ['-ar', '--delete']), filled: true },
    { ...from('./nope\n./top\n'), code: 23 },
  ]);
});

judged('-R: a source that begins with ./ carries the top, as rsync does', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  grow(work);
  const cwd = `${work}/src`;
  chmodSync(cwd, 0o700);
  for (const [index, words] of [
    ['-aR', './top'],
    ['-aR', './a/b', 'top'],
    ['-aR', 'a/././b', './e/f/f3'],
    ['-aR', '--delete', './a'],
    ['-dlptR', './a/b/', './top'],
    ['-dlptR', './top'],
    ['-aR', '--exclude=/a/b/c', './a/b', './a/nope'],
    // Without the attributes of the top.
    ['-aR', '././top'],
    ['-aR', '--no-implied-dirs', './top'],
    ['-lptR', './top'],
  ].entries()) {
    const [judge, local, pushed] = [
      dir(work, `judge${index}`),
      dir(work, `local${index}`),
      dir(served, `push${index}`),
    ];
    for (const tree of [judge, local, pushed]) {
      mkdirSync(`${tree}/own`);
      utimesSync(tree, 1_200_000_000, 1_200_000_000);
    }
    const { status } = spawnSync('rsync', [...words, `${judge}/`], { cwd });
    for (const [to, tree] of [
      [`${local}/`, local],
      [url(`push${index}/`), pushed],
    ] as const) {
      const ran = await startCli(t, user, [...words, to], { cwd }).ended;
      t.is(ran.code, status, `${words.join(' ')} ${to}: ${ran.stderr}`);
      t.is(differs(judge, tree), '', `${words.join(' ')} ${to}`);
    }
  }
});

/** Pulls sources of a server with flags, and compares with what rsync makes of the same here. */
async function pullsAsRsync(
  t: ExecutionContext,
  { work, url, client }: Place,
  cases: readonly (readonly [flags: readonly string[], ...sources: readonly string[]])[],
): Promise<void> {
  for (const [index, [flags, ...sources]] of cases.entries()) {
    const [judge, pulled] = [dir(work, `judge${index}`), dir(work, `pulled${index}`)];
    t.is(spawnSync('rsync', [...flags, ...sources, `${judge}/`], { cwd: work }).status, 0);
    const ran = await cli(t, client, [...flags, ...sources.map((source) => url(source)), `${pulled}/`]);
    t.is(ran.code, 0, ran.stderr);
    t.is(differs(judge, pulled), '', `${flags.join(' ')} ${sources.join(' ')}`);
  }
}

judgedEachWay('-L and -k let -R pass a symlink on the way on a server', async (t, place) => {
  grow(place.work);
  grow(place.served);
  await pullsAsRsync(t, place, [
    [['-aRL'], 'src/./link/b'],
    [['-aRk'], 'src/./link/b/f2', 'src/./top'],
    [['-aRL'], 'src/./link/'],
  ]);
});

// Seen red with the symlink alone.
judgedEachWay('-R DIR/ goes into what a symlink leads to, on a server as well', async (t, place) => {
  for (const root of [place.work, place.served]) {
    grow(root);
    symlinkSync('../e', `${root}/src/a/out`);
  }
  await pullsAsRsync(t, place, [
    [['-aR'], 'src/./link/'],
    [['-aR'], 'src/./a/out/', 'src/./top'],
    [['-aR'], 'src/a/./out/'],
    [['-aR', '--no-implied-dirs'], 'src/./a/out/'],
    [['-aR', '--exclude=f3'], 'src/./a/out/', 'src/./link/'],
  ]);
});

judgedEachWay('-d carries directories without going into them', async (t, place) => {
  await asRsync(t, place, [
    { flags: ['-dlpt'], sources: ['src/'] },
    { flags: ['-dlpt'], sources: ['src/a', 'src/e/', 'src/top'] },
    { flags: ['-dlpt', '--delete'], sources: ['src/'], filled: true },
    { flags: ['-dlpt', '--delete'], sources: ['src/a', 'src/e/'], filled: true },
    { flags: ['-dlpt', '--exclude=a'], sources: ['src/'] },
  ]);
});

judgedEachWay(
  '--mkpath makes what is missing above the destination',
  async (t, { work, served, url, client: user }) => {
    grow(work);
    for (const [source, place] of [
      ['src/', 'x/y/z'],
      ['src', 'x/y/z'],
      ['src/top', 'x/y/z'],
      ['src/top', 'x/y/z/'],
    ] as const) {
      for (const path of [`${work}/judge`, `${work}/local`, `${served}/pushed`])
        rmSync(path, { recursive: true, force: true });
      dir(work, 'judge');
      dir(work, 'local');
      dir(served, 'pushed');
      const refused = await startCli(t, user, ['-rlpt', source, `local/${place}`], { cwd: work }).ended;
      t.is(refused.code, exit.io, `${source} ${place}`);
      t.false(existsSync(`${work}/local/x`));
      t.is(spawnSync('rsync', ['-rlpt', '--mkpath', source, `judge/${place}`], { cwd: work }).status, 0);
      for (const destination of [`local/${place}`, url(`pushed/${place}`)]) {
        const made = await startCli(t, user, ['-rlpt', '--mkpath', source, destination], { cwd: work }).ended;
        t.is(made.code, 0, made.stderr);
      }
      t.is(differs(`${work}/judge/x/y`, `${work}/local/x/y`), '');
      t.is(differs(`${work}/judge/x/y`, `${served}/pushed/x/y`), '');
    }
  },
);

judged('what had to be made for a destination is told as by rsync', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  grow(work);
  for (const [flags, source, place] of [
    ['-rlti', 'src', 'there/'],
    ['-rlti', 'src', 'new/'],
    ['-rlti', 'src/', 'new/'],
    ['-rlpti', 'src/', 'x/y/'],
    ['-rlti', 'src/', 'x/y/'],
    ['-rlti', 'src', 'x/y/'],
  ] as const) {
    const trees = [`${work}/judge`, `${work}/local`, `${served}/pushed`];
    for (const path of trees) {
      rmSync(path, { recursive: true, force: true });
      mkdirSync(`${path}/there`, { recursive: true });
    }
    const all = place.startsWith('x') ? [flags, '--mkpath'] : [flags];
    const judge = spawnSync('rsync', [...all, source, `judge/${place}`], { cwd: work, encoding: 'utf8' });
    t.is(judge.status, 0, judge.stderr);
    for (const [name, root, to] of [
      ['local', trees[1], `local/${place}`],
      ['pushed', trees[2], url(`pushed/${place}`)],
    ] as const) {
      const ran = await startCli(t, user, [...all, source, to], { cwd: work }).ended;
      const label = `${name} ${all.join(' ')} ${source} ${place}`;
      t.is(ran.code, 0, `${label}: ${ran.stderr}`);
      t.is(ran.stdout.replaceAll(/^</gm, '>').replaceAll(name, 'judge'), judge.stdout, label);
      t.is(differs(`${work}/judge`, String(root)), '', label);
    }
  }
});

judged('random lists select what rsync selects', async (t) => {
  const random = new Random(seed);
  const names = ['a', 'b', 'c'];
  const cases = Array.from({ length: scaled(10, 100) }, (): Case => {
    const paths = Array.from({ length: random.between(1, 6) }, () => {
      const path = Array.from({ length: random.between(1, 3) }, () => random.pick(names)).join('/');
      return random.oneIn(3) ? `${path}/` : path;
    });
    const flags = random.pick([['-a'], ['-ar'], ['-a', '--delete'], ['-ar', '--delete']]);
    return { flags, sources: ['tree/'], list: `${paths.join('\n')}\n`, filled: random.oneIn(2) };
  });
  const { work, client: user } = await setup(t);
  for (const one of names) {
    for (const two of names) {
      mkdirSync(`${work}/tree/${one}/${two}`, { recursive: true });
      for (const three of names) writeFileSync(`${work}/tree/${one}/${two}/${three}`, three);
    }
  }
  cpSync(`${work}/tree/a`, `${work}/tree/b/copy`, { recursive: true });
  for (const path of ['a/a', 'a', 'b', 'c/c', 'c', '.'])
    utimesSync(`${work}/tree/${path}`, 1_400_000_000, 1_400_000_000);
  for (const [index, { flags, sources, list = '', filled = false }] of cases.entries()) {
    const label = `seed ${seed}, ${index}: ${flags.join(' ')} ${JSON.stringify(list)}`;
    writeFileSync(`${work}/list`, list);
    const both = ['judge', 'local'].map((name) => {
      const path = dir(work, `${name}${index}`);
      if (filled) fill(path);
      utimesSync(path, 1_200_000_000, 1_200_000_000);
      return path;
    });
    const [judge = '', local = ''] = both;
    const args = [...flags, '--files-from=list', ...sources];
    const said = spawnSync('rsync', [...args, `${judge}/`], { cwd: work });
    const ran = await startCli(t, user, [...args, `${local}/`], { cwd: work, env: { SPARSYNC_GUARDS: 'off' } }).ended;
    t.is(ran.code, said.status, `${label}: ${ran.stderr}`);
    t.is(differs(judge, local), '', label);
  }
});

judged('the API selects by the same rules', async (t) => {
  const work = workDir(t);
  grow(work);
  await sync(`${work}/src/./a/b`, `${work}/one`, { relative: true });
  t.true(existsSync(`${work}/one/a/b/c/f1`));
  t.false(existsSync(`${work}/one/top`));
  await sync(`${work}/src`, `${work}/two`, { filesFrom: ['a/b/c', 'top'] });
  t.true(existsSync(`${work}/two/a/b/c/f1`));
  t.false(existsSync(`${work}/two/a/b/f2`));
  await sync(`${work}/src`, `${work}/three`, { recursive: false, dirs: true });
  t.true(existsSync(`${work}/three/a`));
  t.false(existsSync(`${work}/three/a/b`));
  const paths: string[] = [];
  for await (const { path } of plan(`${work}/src`, `${work}/four`, { filesFrom: [Buffer.from('top')] }))
    paths.push(path);
  t.deepEqual(paths, ['top']);
});

test('what /./ stands behind may be no ASCII, on a kept connection as in a URL', async (t) => {
  const { work, served, url, access } = await setup(t);
  mkdirSync(`${served}/äääö/öl/in`, { recursive: true });
  writeFileSync(`${served}/äääö/öl/in/file`, 'x');
  await using connection = await connect(url(), access);
  const ways = {
    text: () => connection.pull('äääö/./öl/in', `${work}/text`, { relative: true }),
    bytes: () => connection.pull(Buffer.from('äääö/./öl/in'), `${work}/bytes`, { relative: true }),
    url: () => sync(`${url()}/%C3%A4%C3%A4%C3%A4%C3%B6/./öl/in`, `${work}/url`, { ...access, relative: true }),
  };
  for (const [name, pull] of Object.entries(ways)) {
    await pull();
    t.true(existsSync(`${work}/${name}/öl/in/file`), name);
  }
});

test('what cannot be selected is refused by name', async (t) => {
  const work = workDir(t);
  grow(work);
  const refused = (options: object, source: string | string[] = `${work}/src`): Promise<ConfigError> =>
    failure(t, sync(source, `${work}/dst`, options), ConfigError);
  t.regex((await refused({ filesFrom: ['a'] }, [`${work}/src`, `${work}/src/a`])).message, /one source/);
  t.regex((await refused({ filesFrom: 'a' })).message, /filesFrom/);
  t.regex((await refused({ filesFrom: [''] })).message, /filesFrom\[0\]/);
  t.regex((await refused({ relative: true }, `${work}/./src/../src`)).message, /cannot contain "\.\."/);
  const many = Array.from({ length: 168_000 }, (_, index) => `${'x'.repeat(200)}${index}`);
  t.regex((await refused({ filesFrom: many })).message, /33554432 bytes/);
  await t.throwsAsync(sync(`${work}/src/top`, `${work}/dst`, { filesFrom: ['a'] }), { message: /not a directory/ });
});
