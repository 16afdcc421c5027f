// --prune-empty-dirs: directories that hold nothing but directories are left out, as with rsync.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { judged, judgedWhere, rsync, rsyncSays } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { scaled, setup } from './helpers/setup.js';
import { hasStrace } from './helpers/strace.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

const env = { SPARSYNC_GUARDS: 'off' };

/** Directories in chains, few of them with anything else in them. */
function grow(random: Random, root: string, depth: number): void {
  mkdirSync(root, { recursive: true });
  for (const name of ['a', 'b', 'c', 'tmp']) {
    if (depth > 0 && random.oneIn(2)) grow(random, `${root}/${name}`, depth - 1);
  }
  if (random.oneIn(6)) writeFileSync(`${root}/file`, 'x');
  if (random.oneIn(6)) writeFileSync(`${root}/x.tmp`, 'y');
  if (random.oneIn(12)) symlinkSync(random.pick(['nowhere', 'file']), `${root}/link`);
  if (random.oneIn(6)) symlinkSync(random.pick(['a', 'b', 'tmp']), `${root}/to-directory`);
  if (random.oneIn(12)) writeFileSync(`${root}/.rules`, random.pick(['- file\n', 'P b\n', '- tmp/\n', '+ *\n']));
  utimesSync(root, 1_600_000_000, 1_600_000_000);
}

const WORDS: ReadonlyArray<readonly string[]> = [
  ['--exclude=*.tmp'],
  ['--exclude=tmp/'],
  ['--filter=P tmp/'],
  ['--filter=-r /a/b/'],
  ['--filter=H file'],
  ['--filter=: .rules'],
  ['--filter=: .rules', '--exclude=link'],
  ['--include=*/', '--include=file', '--exclude=*'],
  ['--delete'],
  ['--delete', '--delete-excluded'],
  ['--existing'],
  ['-O'],
  ['-L'],
  ['-k'],
  ['--safe-links'],
  ['--no-l'],
];

// Seen red with a look that ends at the first sub-directory, with one that asks no rules, and without what protects.
judged(
  'what holds nothing but directories is left out, pushed, pulled and here, and told to be equal then',
  async (t) => {
    t.timeout(240_000);
    t.log(`seed ${seed}`);
    const { work, served, url, client: user } = await setup(t);
    const random = new Random(t.title);
    let pruned = 0;
    for (let round = 0; round < scaled(8, 100); round += 1) {
      const source = `${served}/source`;
      const trees = [`${work}/local`, `${work}/pulled`, `${served}/pushed`];
      const judge = `${work}/judge`;
      for (const tree of [source, judge, ...trees]) rmSync(tree, { recursive: true, force: true });
      grow(random, source, 4);
      if (random.oneIn(2)) {
        grow(random, judge, 4);
        for (const tree of trees) rsync('-a', `${judge}/`, `${tree}/`);
      }
      const drawn = Array.from({ length: random.below(4) }, () => random.pick(WORDS)).flat();
      const words = ['-am', ...new Set(drawn)];
      const label = `round ${round}, seed ${seed}: ${words.join(' ')}`;
      const said = spawnSync('rsync', [...words, `${source}/`, `${judge}/`], { encoding: 'utf8' });
      t.true([0, 23].includes(said.status ?? -1), said.stderr);
      // A second run may delete more: where a file of rules was replaced, the old one decided in the first.
      const judgedAgain = `${work}/judge-again`;
      rmSync(judgedAgain, { recursive: true, force: true });
      rsync('-aH', `${judge}/`, `${judgedAgain}/`);
      const saidAgain = spawnSync('rsync', [...words, '-i', `${source}/`, `${judgedAgain}/`], { encoding: 'utf8' });
      for (const [from, to, tree] of [
        [`${source}/`, `${work}/local/`, `${work}/local`],
        [url('source/'), `${work}/pulled/`, `${work}/pulled`],
        [`${source}/`, url('pushed/'), `${served}/pushed`],
      ] as const) {
        const ran = await cli(t, user, [...words, from, to], { env });
        t.is(ran.code, said.status, `${label}: ${ran.stderr} ${said.stderr}`);
        // What has to stay where something is deleted has the time of that.
        const times = words.includes('-O') || words.includes('--delete') ? ['-O'] : [];
        t.is(rsync('-ainc', '--delete', ...times, `${judge}/`, `${tree}/`), '', `${label}: ${tree}`);
        const again = await cli(t, user, [...words, '-i', from, to], { env });
        const deleted = saidAgain.stdout.match(/^\*deleting .*\n/gm)?.join('') ?? '';
        t.is(again.stdout.replaceAll(/^skipping .*\n/gm, ''), deleted, `${label}: ${tree}, again`);
      }
      const whole = `${work}/whole`;
      rmSync(whole, { recursive: true, force: true });
      spawnSync('rsync', [...words.map((word) => (word === '-am' ? '-a' : word)), `${source}/`, `${whole}/`]);
      if (walk(whole).size > walk(judge).size) pruned += 1;
    }
    t.true(pruned > 0, 'something was left out');
  },
);

judged('a directory of many that are empty is left out, as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  for (let at = 0; at < 12_000; at += 1) mkdirSync(`${work}/source/many/${at % 9}/${at}`, { recursive: true });
  mkdirSync(`${work}/source/some`);
  writeFileSync(`${work}/source/some/file`, '');
  rsync('-am', `${work}/source/`, `${work}/judge/`);
  await quietly(t, user, ['-am', `${work}/source/`, `${work}/ours/`]);
  t.deepEqual([...walk(`${work}/ours`).keys()], [...walk(`${work}/judge`).keys()]);
});

judged('sources, implied directories, lists and -d are pruned as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  for (const path of ['empty/below', 'some/deep/er', 'some/none', 'half/a', 'half/b']) {
    mkdirSync(`${work}/src/${path}`, { recursive: true });
  }
  writeFileSync(`${work}/src/some/deep/er/file`, 'x');
  symlinkSync('nowhere', `${work}/src/half/b/link`);
  writeFileSync(`${work}/list`, 'empty\nsome/none\nhalf/\nsome/deep\n');
  for (const [number, words] of [
    ['-am', 'src/'],
    ['-am', 'src'],
    ['-am', 'src/empty'],
    ['-am', 'src/empty', 'src/some'],
    ['-amR', 'src/empty/below', 'src/some/none'],
    ['-amR', 'src/./some/none', 'src/./half'],
    ['-amR', '--no-implied-dirs', 'src/./some/deep', 'src/empty'],
    ['-dm', 'src/'],
    ['-dm', 'src/some/deep/er/'],
    ['-am', '--files-from=list', 'src/'],
    ['-rm', 'src/'],
    ['-rm', '--files-from=list', 'src/'],
  ].entries()) {
    const label = words.join(' ');
    const said = spawnSync('rsync', [...words, `judge${number}/`], { cwd: work, encoding: 'utf8' });
    const ran = await startCli(t, user, [...words, `local${number}/`], { cwd: work, env }).ended;
    t.is(ran.code, said.status, `${label}: ${ran.stderr} ${said.stderr}`);
    const differs = rsync('-rlpinc', '--delete', `${work}/judge${number}/`, `${work}/local${number}/`);
    t.is(differs, '', label);
  }
});

judgedWhere(hasStrace)('a chain of directories is read twice, whatever its length', async (t) => {
  const { work, client: user } = await setup(t);
  const deep = Array.from({ length: 60 }, (_, at) => `d${at}`).join('/');
  mkdirSync(`${work}/src/${deep}`, { recursive: true });
  writeFileSync(`${work}/src/${deep}/file`, 'x');
  const ran = spawnSync(
    'strace',
    ['-f', '-c', '-e', 'trace=getdents64', '-o', `${work}/calls`, process.execPath, program, '-am', 'src/', 'local/'],
    { cwd: work, env: { ...process.env, ...user.env }, encoding: 'utf8' },
  );
  t.is(ran.status, 0, ran.stderr);
  const calls = Number(
    spawnSync('awk', ['/getdents64/ { print $4 }', `${work}/calls`], { encoding: 'utf8' }).stdout.trim(),
  );
  // Two for each listing, and two of the walk of a destination that is empty.
  t.true(calls > 60 && calls < 60 * 6, `${calls} listings`);
});

const USER = 65_534;

judgedWhere(canBecome)('what a plain user may not read counts as empty, is told, and nothing is deleted', async (t) => {
  const { work } = await setup(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const home = dir(work, 'home');
  for (const path of ['a/closed', 'b/closed', 'c/d']) mkdirSync(`${home}/src/${path}`, { recursive: true });
  writeFileSync(`${home}/src/b/file`, 'x');
  for (const tree of ['judge', 'local']) mkdirSync(`${home}/${tree}/old`, { recursive: true });
  spawnSync('chown', ['-R', `${USER}:${USER}`, home]);
  for (const path of ['a/closed', 'b/closed']) chmodSync(`${home}/src/${path}`, 0);
  const run = (command: readonly string[]) =>
    start(t, 'setpriv', [...becoming(USER), ...command], { cwd: home, env: { ...env, HOME: home } }).ended;
  const said = await run(['rsync', '-am', '--delete', 'src/', 'judge/']);
  const ran = await run([process.execPath, program, '-am', '--delete', 'src/', 'local/']);
  t.is(said.code, 23, said.stderr);
  t.is(ran.code, exit.partial, ran.stderr);
  t.regex(ran.stderr, /a\/closed/);
  t.regex(ran.stderr, /b\/closed/);
  t.is(rsyncSays(`${home}/judge`, `${home}/local`), '');
  // Trees at random, in which something cannot be read.
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < scaled(4, 100); round += 1) {
    for (const tree of ['src', 'judge', 'local']) rmSync(`${home}/${tree}`, { recursive: true, force: true });
    grow(random, `${home}/src`, 4);
    if (random.oneIn(2)) grow(random, `${home}/judge`, 3);
    else mkdirSync(`${home}/judge`);
    rsync('-a', `${home}/judge/`, `${home}/local/`);
    const words = ['-amO', ...new Set(Array.from({ length: random.below(3) }, () => random.pick(WORDS)).flat())];
    const label = `round ${round}, seed ${seed}: ${words.join(' ')}`;
    spawnSync('chown', ['-R', `${USER}:${USER}`, `${home}/src`, `${home}/judge`, `${home}/local`]);
    const folders = readdirSync(`${home}/src`, { recursive: true, withFileTypes: true }).filter((one) =>
      one.isDirectory(),
    );
    for (const { parentPath, name } of folders)
      if (name !== 'tmp' && random.oneIn(8)) chmodSync(`${parentPath}/${name}`, 0);
    const [theirs, ours] = [
      await run(['rsync', ...words, 'src/', 'judge/']),
      await run([process.execPath, program, ...words, 'src/', 'local/']),
    ];
    t.is(ours.code, theirs.code, `${label}: ${ours.stderr} ${theirs.stderr}`);
    t.is(rsync('-aincO', '--delete', `${home}/judge/`, `${home}/local/`), '', label);
  }
});
