// `gitignore: true` leaves out what git says that it ignores, and nothing else.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { connect, explain, sync } from '../dist/index.js';
import { cli } from './helpers/cli.js';
import { Random, seed } from './helpers/random.js';
import { scaled, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

const hasGit = spawnSync('git', ['--version']).status === 0;
const judgedByGit = hasGit ? test.serial : test.serial.skip;

const NAMES = ['a', 'b', 'foo', 'bar', 'a.o', 'foo.tmp', 'x y', '#c', '!d', 'ab', 'build', 'é', '[z]', 'A'];

const DIRECTORIES = new Set(['a', 'foo', 'build', 'ab']);

const PIECES = [
  'a',
  'b',
  'foo',
  'bar',
  '*',
  '**',
  '?',
  '/',
  '*.o',
  '*.tmp',
  'build/',
  '/a',
  '**/',
  '/**',
  '[ab]',
  '[!a]',
].concat([
  'x y',
  '\\#c',
  '\\!d',
  '#c',
  '!d',
  '\\[z\\]',
  '[z]',
  'é',
  'A',
  '\\a',
  '[a-b]',
  ' ',
  '\\ ',
  '.',
  '[[:upper:]]',
]);

function grow(random: Random, root: string, depth: number, ignore: boolean): void {
  mkdirSync(root, { recursive: true });
  for (const name of NAMES) {
    if (random.oneIn(3)) continue;
    if (!DIRECTORIES.has(name)) writeFileSync(`${root}/${name}`, '');
    else if (depth > 0) grow(random, `${root}/${name}`, depth - 1, random.oneIn(2));
  }
  if (ignore) writeFileSync(`${root}/.gitignore`, patterns(random));
}

function patterns(random: Random): string {
  const pattern = (): string => Array.from({ length: 1 + random.below(4) }, () => random.pick(PIECES)).join('');
  const line = (): string => `${random.oneIn(4) ? '!' : ''}${pattern()}${random.oneIn(8) ? ' ' : ''}`;
  return Array.from({ length: 1 + random.below(4) }, line).join(random.oneIn(6) ? '\r\n' : '\n');
}

function git(root: string, args: readonly string[], input?: string): string {
  const ran = spawnSync('git', ['-c', 'core.excludesFile=/dev/null', ...args], {
    cwd: root,
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
    env: {
      ...process.env,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CEILING_DIRECTORIES: `${root}/..`,
    },
  });
  if (ran.error !== undefined) throw ran.error;
  return ran.stdout;
}

/** What is left of a tree when all is gone that git ignores. */
function leftByGit(root: string): string[] {
  const paths = left(root);
  const ignored = new Set(git(root, ['check-ignore', '--no-index', '-z', '--stdin'], paths.join('\0')).split('\0'));
  return paths.filter((path) => !ignored.has(path));
}

function left(root: string): string[] {
  return [...walk(root).keys()]
    .filter((path) => path !== '' && !/^\.git(\/|$)/.test(path))
    .map((path) => Buffer.from(path, 'latin1').toString('utf8'))
    .sort();
}

judgedByGit('random trees and patterns: what is left out is what git check-ignore names', async (t) => {
  t.timeout(scaled(240_000, 1_800_000));
  t.log(`seed ${seed}`);
  const { work, served, access, server } = await setup(t);
  const random = new Random(t.title);
  const connection = await connect(server.url(), access);
  let [decided, files] = [0, 0];
  for (let round = 0; round < scaled(200, 1000); round += 1) {
    const repository = `${served}/repository`;
    const [copy, pulled] = [`${work}/copy`, `${work}/pulled`];
    for (const tree of [repository, copy, pulled]) rmSync(tree, { recursive: true, force: true });
    grow(random, repository, 2, true);
    git(repository, ['init', '-q']);
    if (random.oneIn(2)) writeFileSync(`${repository}/.git/info/exclude`, patterns(random));
    const expected = leftByGit(repository);
    const options = { gitignore: true, times: false, perms: false };
    await sync(repository, copy, options);
    await connection.pull('root/repository', pulled, options);
    const label = `round ${round}, seed ${seed}`;
    t.deepEqual(left(copy), expected, label);
    t.deepEqual(left(pulled), expected, label);
    if (expected.length < left(repository).length) decided += 1;
    // A part of a repository follows the files above it.
    if (existsSync(`${copy}/foo`)) {
      rmSync(`${work}/part`, { recursive: true, force: true });
      await sync(`${repository}/foo`, `${work}/part`, options);
      const part = expected.filter((path) => path.startsWith('foo/')).map((path) => path.slice('foo/'.length));
      t.deepEqual(left(`${work}/part`), part, `${label}: a part`);
      files += 1;
    }
  }
  t.true(decided > 5 && files > 2, `${decided} of the trees lost something, ${files} parts`);
  await connection.close();
});

judgedByGit('patterns are bytes, and a symlink in the tree is no file of patterns, as in git', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const folder of ['real', 'linked', 'bytes']) mkdirSync(`${source}/${folder}`);
  for (const name of ['caf\xe9', 'x\xff', 'caf\xc3\xa9', 'b', 'cafe']) {
    for (const folder of ['linked', 'bytes']) writeFileSync(Buffer.from(`${source}/${folder}/${name}`, 'latin1'), '');
  }
  writeFileSync(`${source}/bytes/.gitignore`, Buffer.from('caf\xe9\n*\xff\ncaf[\xc3-\xc4]?\n', 'latin1'));
  writeFileSync(`${source}/real/patterns`, 'b\n');
  symlinkSync('../real/patterns', `${source}/linked/.gitignore`);
  git(source, ['init', '-q']);
  rmSync(`${source}/.git/info/exclude`, { force: true });
  writeFileSync(`${work}/exclude`, 'cafe\n');
  symlinkSync(`${work}/exclude`, `${source}/.git/info/exclude`);
  const names = [...walk(source).keys()].filter((path) => path !== '' && !/^\.git(\/|$)/.test(path));
  const input = Buffer.from(names.join('\0'), 'latin1');
  const asked = spawnSync('git', ['check-ignore', '--no-index', '-z', '--stdin'], { cwd: source, input });
  const ignored = new Set(asked.stdout.toString('latin1').split('\0'));
  t.is(ignored.size, 6, 'four in one folder, one in the other, and what is behind the last NUL');
  const ran = await cli(t, user, ['-rl', '--gitignore', '--exclude=/.git', `${source}/`, `${work}/copy/`]);
  t.regex(ran.stderr, /linked\/\.gitignore: the file of filter rules is ignored/);
  const found = [...walk(`${work}/copy`).keys()].filter((path) => path !== '').toSorted();
  t.deepEqual(found, names.filter((path) => !ignored.has(path)).toSorted());
});

test('each end has its own files: what the destination ignores is not deleted, unless that is asked for', async (t) => {
  const { work } = await setup(t);
  const [source, destination] = [dir(work, 'src'), dir(work, 'dest')];
  for (const tree of [source, destination]) {
    mkdirSync(`${tree}/sub`);
    for (const name of ['a.log', 'keep.log', 'sub/b.log', 'c']) writeFileSync(`${tree}/${name}`, tree);
    writeFileSync(`${tree}/.gitignore`, '*.log\n!keep.log\n');
  }
  for (const name of ['only.log', 'only']) writeFileSync(`${destination}/${name}`, '');
  const options = { gitignore: true, delete: true, allowMassDelete: true, compare: 'content' as const };
  const [here, there] = await explain(source, destination, 'sub/b.log', { gitignore: true });
  const file = `${source.slice(1)}/.gitignore`;
  t.deepEqual([here.included, here.rule, here.file, here.line, there.included], [false, '*.log', file, 1, false]);
  t.is((await explain(source, destination, 'keep.log', { gitignore: true }))[0].rule, '!keep.log');
  // A rule of the filter goes before what git ignores.
  t.true((await explain(source, destination, 'a.log', { gitignore: true, filter: ['+ a.*'] }))[0].included);
  await sync(source, destination, options);
  t.deepEqual(
    ['only.log', 'only', 'a.log'].map((name) => existsSync(`${destination}/${name}`)),
    [true, false, true],
  );
  const again = await sync(source, destination, options);
  t.deepEqual([again.stats.filesTransferred, again.stats.filesDeleted], [0, 0]);
  await sync(source, destination, { ...options, deleteExcluded: true });
  t.deepEqual(left(destination), ['.gitignore', 'c', 'keep.log', 'sub']);
});
