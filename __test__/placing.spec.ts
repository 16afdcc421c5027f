// Where files are until they have their names, and when they get them: --temp-dir, --delay-updates, --fsync; and how fast and how
// long a run goes: --bwlimit, --stop-at, --stop-after.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { sync } from '../dist/index.js';
import { besideRsync, make, randomTrees } from './helpers/beside.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { judged, judgedWhere, rsyncSays } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { canMount, codeOf, mountTmpfs, rejection, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { names } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

judgedEachWay('--temp-dir, --delay-updates and --fsync leave what rsync leaves', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (const flags of [['-T', 'tmp'], ['--delay-updates'], ['--fsync'], ['--delay-updates', '--delete']]) {
    const model = randomTrees(random, `${set.work}/model${flags.join('')}`, ['s', 'd']);
    mkdirSync(`${model}/d/tmp`);
    await besideRsync(t, set, { model, flags: ['-ai', ...flags] });
  }
});

judged('with --delay-updates no name changes before all content has come', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'new', 'd/a@1500000000': 'old' });
  writeFileSync(`${work}/s/z`, Buffer.alloc(8 << 20));
  const flags = ['-a', '--delay-updates', '--bwlimit=1M', `${work}/s/`, `${work}/d/`];
  const running = startCli(t, user, flags);
  const unfinished = (): string[] => names(`${work}/d`).filter((name) => name.startsWith('.sps-'));
  await until('the first file to be complete', () => unfinished().length >= 2);
  t.is(readFileSync(`${work}/d/a`, 'utf8'), 'old');
  running.kill('SIGINT');
  t.is((await running.ended).code, exit.aborted);
  t.is(readFileSync(`${work}/d/a`, 'utf8'), 'old');
  // The large file is gone on with.
  t.deepEqual(
    names(`${work}/d`).filter((name) => !name.endsWith('.part')),
    ['a'],
  );
});

judged('--partial-dir keeps parts in that directory, goes on from there, and leaves nothing behind', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/sub/x': 'x' });
  make(served, { 'd/sub/.part/mine': 'mine' });
  writeFileSync(`${work}/s/sub/f`, new Random(t.title).bytes(12 << 20));
  for (const [dir, place] of [
    ['.part', 'd/sub/.part'],
    ['/parts', 'parts'],
  ] as const) {
    const flags = ['-a', `--partial-dir=${dir}`, '--delete', '-z', `${work}/s/`, url('d')];
    const running = startCli(t, user, [...flags, '--bwlimit=4M']);
    const kept = (): string[] =>
      existsSync(`${served}/${place}`) ? names(`${served}/${place}`).filter((name) => name.endsWith('.part')) : [];
    const bytes = (): number => kept().reduce((sum, name) => sum + statSync(`${served}/${place}/${name}`).size, 0);
    await until('a part to be there', () => bytes() > 5 << 20);
    running.kill('SIGINT');
    await running.ended;
    const ran = await cli(t, user, [...flags, '--stats', '--lock-wait=10']);
    t.is(ran.code, 0, ran.stderr);
    t.regex(ran.stdout, /Matched data: [1-9]/, dir);
    t.deepEqual(kept(), [], dir);
    t.true(readFileSync(`${served}/d/sub/f`).equals(readFileSync(`${work}/s/sub/f`)), dir);
    if (dir === '.part') t.is(readFileSync(`${served}/d/sub/.part/mine`, 'utf8'), 'mine');
    rmSync(`${served}/d/sub/f`);
  }
  for (const bad of ['../out', '..', '.'])
    t.not((await cli(t, user, ['-a', `--partial-dir=${bad}`, `${work}/s/`, url('e')])).code, 0, bad);
});

judgedWhere(canMount)('a temporary directory on another file system is copied from', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f@1500000000%640': 'content', 'd/': '' });
  if (!mountTmpfs(t, `${work}/other`, 'size=1m')) throw new Error('cannot mount');
  const ran = await cli(t, user, ['-a', '-T', `${work}/other`, `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.is(readFileSync(`${work}/d/f`, 'utf8'), 'content');
  t.deepEqual(names(`${work}/other`), []);
});

judgedWhere(canMount && hasStrace)(
  'what a temporary directory on another file system held is flushed where it comes to be, before it gets its name',
  async (t) => {
    const { work, client: user } = await setup(t);
    make(work, { 's/f': 'content', 'd/': '' });
    if (!mountTmpfs(t, `${work}/other`, 'size=1m')) throw new Error('cannot mount');
    const [strace = '', ...words] = straced(`${work}/trace`, ['-y', '-e', 'trace=fsync,renameat,syncfs']);
    const args = ['-a', '--fsync', '-T', `${work}/other`, `${work}/s/`, `${work}/d/`];
    const ran = await start(t, strace, [...words, process.execPath, program, ...args], { env: user.env }).ended;
    t.deepEqual([ran.code, ran.stderr], [0, '']);
    const calls = readFileSync(`${work}/trace`, 'latin1').split('\n');
    const flushed = calls.findIndex((call) => call.includes(`${work}/d/.sps-`) && call.includes('fsync('));
    const named = calls.findIndex((call) => call.includes('renameat(') && call.includes('"f")'));
    t.true(flushed !== -1 && flushed < named, calls.join('\n'));
  },
);

judgedWhere(canMount && hasStrace)('a durable run flushes every file system that it writes to', async (t) => {
  const { work, client: user } = await setup(t);
  const files = Array.from({ length: 12 }, (_, index) => `f${index}`);
  for (const place of ['s', 's/mnt']) make(work, Object.fromEntries(files.map((name) => [`${place}/${name}`, 'new'])));
  make(work, { 'd/f0@1500000000': 'old' });
  for (const place of ['d/mnt', 'aside'])
    if (!mountTmpfs(t, `${work}/${place}`, 'size=1m')) throw new Error('cannot mount');
  const [strace = '', ...words] = straced(`${work}/trace`, ['-y', '-e', 'trace=fsync,syncfs']);
  const flags = ['-a', '--durability=run', '-b', `--backup-dir=${work}/aside`, `${work}/s/`, `${work}/d/`];
  const ran = await start(t, strace, [...words, process.execPath, program, ...flags], { env: user.env }).ended;
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  const calls = readFileSync(`${work}/trace`, 'latin1');
  for (const place of ['d', 'd/mnt', 'aside'])
    t.true(new RegExp(`syncfs\\(\\d+<${work}/${place}>`).test(calls), `${place}: ${calls}`);
  const flushed = calls.match(new RegExp(`fsync\\(\\d+<${work}/d/mnt/\\.sps-`, 'g')) ?? [];
  t.is(flushed.length, files.length, calls);
});

judged('a part beside its target is gone on with in a run that has a temporary directory', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/': '' });
  make(served, { 'd/': '', 'tmp/': '' });
  writeFileSync(`${work}/s/f`, new Random(t.title).bytes(12 << 20));
  const flags = ['-a', '-z', `${work}/s/`, url('d')];
  const running = startCli(t, user, [...flags, '--bwlimit=4M']);
  const kept = (): string[] => names(`${served}/d`).filter((name) => name.endsWith('.part'));
  await until('a part to be there', () => kept().some((name) => statSync(`${served}/d/${name}`).size > 5 << 20));
  running.kill('SIGINT');
  await running.ended;
  const ran = await cli(t, user, [...flags, '-T', '/tmp', '--stats', '--lock-wait=10']);
  t.is(ran.code, 0, ran.stderr);
  t.regex(ran.stdout, /Matched data: [1-9]/);
  t.deepEqual([names(`${served}/d`), names(`${served}/tmp`)], [['f'], []]);
  t.true(readFileSync(`${served}/d/f`).equals(readFileSync(`${work}/s/f`)));
});

judged('a temporary directory that is not there is told before anything is written', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'f', 'd/': '' });
  const ran = await cli(t, user, ['-a', '--temp-dir=none', `${work}/s/`, `${work}/d/`]);
  t.is(ran.code, exit.usage);
  t.false(existsSync(`${work}/d/f`));
});

judged('CVE-2026-70460: --temp-dir and --partial-dir do not lead out of a served root', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/f': 'f', 'outside/': '' });
  make(served, { 'd/': '' });
  symlinkSync(`${work}/outside`, `${served}/out`);
  for (const flag of [
    '--temp-dir=../../outside',
    '--temp-dir=../out',
    '--partial-dir=/../outside',
    '--partial-dir=/out',
  ]) {
    const ran = await cli(t, user, ['-a', flag, `${work}/s/`, url('d')]);
    t.is(ran.code, exit.unauthorized, `${flag}: ${ran.stderr}`);
    t.deepEqual(names(`${served}/d`), [], flag);
  }
  // A relative one is in each directory, and leads down.
  const ran = await cli(t, user, ['-a', '--partial-dir=../../outside', `${work}/s/`, url('d')]);
  t.is(ran.code, exit.usage);
  t.deepEqual(names(`${work}/outside`), []);
});

for (const way of ['push', 'pull', 'here'] as const)
  judged(`--bwlimit takes the time that it says (${way})`, async (t) => {
    const { work, served, url, client: user } = await setup(t);
    const [source, from] = way === 'pull' ? [`${served}/s`, url('s/')] : [`${work}/s`, `${work}/s/`];
    mkdirSync(source);
    writeFileSync(`${source}/f`, new Random(t.title).bytes(1 << 20));
    const started = process.hrtime.bigint();
    const to = way === 'push' ? url('d') : `${work}/d`;
    const ran = await cli(t, user, ['-a', '--bwlimit=1024', from, to]);
    t.deepEqual([ran.code, ran.stderr], [0, '']);
    // A lower bound alone: how long a machine takes besides is not in question.
    t.true(process.hrtime.bigint() - started > 900_000_000n);
  });

judged('a run ends at its time, and says so', async (t) => {
  const { work } = await setup(t);
  mkdirSync(`${work}/s`);
  writeFileSync(`${work}/s/f`, Buffer.alloc(4 << 20));
  const options = { bwlimit: 200_000, stopAt: new Date(Date.now() + 300), compression: 'never' } as const;
  const error = await rejection(t, sync(`${work}/s`, `${work}/d`, options));
  t.is(codeOf(error), 'ERR_SPARSYNC_TIMEOUT');
  t.deepEqual(
    names(`${work}/d`).filter((name) => name === 'f'),
    [],
  );
});

judged('times of --stop-at and --stop-after are checked', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'f' });
  const run = async (flag: string): Promise<number | null> =>
    (await cli(t, user, ['-a', flag, `${work}/s/`, `${work}/d/`])).code;
  for (const bad of ['--stop-at=x', '--stop-at=2020-1-1T0:00', '--stop-at=25:00', '--stop-at=1:60', '--stop-after=0'])
    t.is(await run(bad), exit.usage, bad);
  const year = new Date().getFullYear() + 1;
  for (const good of [`--stop-at=${year}-12-31T23:59`, `--stop-at=${year}/1/2`, '--stop-after=5'])
    t.is(await run(good), 0, good);
});

judgedWhere(hasStrace)('--fsync flushes each file', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/b': 'b', 's/c': 'c' });
  const trace = `${work}/trace`;
  const words = [program, '-a', '--fsync', `${work}/s/`, `${work}/d/`];
  const [first = '', ...rest] = [...straced(trace, ['-e', 'trace=fsync']), process.execPath, ...words];
  t.is((await start(t, first, rest, { env: user.env }).ended).code, 0);
  t.true((readFileSync(trace, 'utf8').match(/fsync\(/g) ?? []).length >= 3);
});

judged('files of one name, size and time do not meet in one --partial-dir for all', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const random = new Random(t.title);
  for (const [number, root] of [work, served].entries()) mkdirSync(`${root}/parts${number}`);
  for (let i = 0; i < 6; i += 1) {
    mkdirSync(`${work}/s/${i}`, { recursive: true });
    writeFileSync(`${work}/s/${i}/big`, random.bytes(5 << 20));
    utimesSync(`${work}/s/${i}/big`, 1_600_000_000, 1_600_000_000);
  }
  await quietly(t, user, ['-a', `--partial-dir=${work}/parts0`, `${work}/s/`, `${work}/d/`]);
  await quietly(t, user, ['-a', '--partial-dir=/parts1', `${work}/s/`, url('d/')]);
  for (const destination of [`${work}/d`, `${served}/d`]) t.is(rsyncSays(`${work}/s`, destination), '');
});

test('a directory that is there is no --partial-dir to be removed', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  mkdirSync(`${work}/s`);
  writeFileSync(`${work}/s/big`, Buffer.alloc(5 << 20, 1));
  mkdirSync(`${served}/d/keep`, { recursive: true });
  await quietly(t, user, ['-a', '--partial-dir=keep', `${work}/s/`, url('d/')]);
  t.true(existsSync(`${served}/d/keep`));
  await quietly(t, user, ['-aI', '--partial-dir=made', `${work}/s/`, url('d/')]);
  t.false(existsSync(`${served}/d/made`));
});
