// Files that are written over where they stand: --inplace, --append, --append-verify.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { sync } from '../dist/index.js';
import { besideRsync, make, randomTrees } from './helpers/beside.js';
import { cli, exit, startCli } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { until } from './helpers/process.js';
import { Random, seed } from './helpers/random.js';
import { codeOf, isRoot, rejection, setup } from './helpers/setup.js';
import { judgedEachWay } from './helpers/ways.js';

const MIB = 1 << 20;

// Seen red with a file that is renamed over what is there.
judged('a file that is written over keeps its inode and its links, small and large, longer and shorter', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const random = new Random(t.title);
  for (const [from, to, way] of [
    [10, 3, 'small'],
    [3, 10, 'longer'],
    [3 * MIB, MIB, 'large'],
    [MIB, 3 * MIB, 'larger'],
  ] as const) {
    make(work, { [`${way}/x`]: '' });
    make(served, { [`${way}/x`]: '' });
    writeFileSync(`${served}/${way}/f`, random.bytes(from));
    const holes = Buffer.concat([random.bytes(to >> 1), Buffer.alloc(to - (to >> 1))]);
    writeFileSync(`${work}/${way}/f`, holes);
    const before = lstatSync(`${served}/${way}/f`).ino;
    const ran = await cli(t, user, ['-a', '--inplace', `${work}/${way}/`, url(way)]);
    t.deepEqual([ran.code, ran.stderr], [0, ''], way);
    t.is(lstatSync(`${served}/${way}/f`).ino, before, way);
    t.true(readFileSync(`${served}/${way}/f`).equals(holes), way);
  }
  make(work, { 's/f': 'new content', 'd/f@1500000000': 'old' });
  linkSync(`${work}/d/f`, `${work}/d/g`);
  t.is((await cli(t, user, ['-a', '--inplace', `${work}/s/`, `${work}/d/`])).code, 0);
  t.is(readFileSync(`${work}/d/g`, 'utf8'), 'new content');
});

judged('in place with -S, and with holes of the source, what is right already does not travel', async (t) => {
  const { work, served, url, access, client: user } = await setup(t);
  const random = new Random(t.title);
  const parts = Array.from({ length: 6 }, () => random.bytes(2 * MIB));
  const old = Buffer.concat(parts);
  const [zeros, changed] = [Buffer.alloc(MIB), random.bytes(8192)];
  // Zeros in place of data, what is right behind them, a change, and zeros at the end.
  const content = Buffer.concat([...parts.slice(0, 2), zeros, old.subarray(5 * MIB)]);
  changed.copy(content, 7 * MIB);
  zeros.copy(content, 11 * MIB);
  for (const [name, holes, flags] of [
    ['zeros', false, ['-S']],
    ['holes', true, ['-S']],
    ['plain', true, []],
  ] as const) {
    make(work, { [`${name}/x`]: '', [`${name}-back/x`]: '' });
    make(served, { [`${name}/x`]: '' });
    writeFileSync(`${work}/${name}/f`, content);
    if (holes) execFileSync('fallocate', ['-d', `${work}/${name}/f`]);
    for (const tree of [`${served}/${name}`, `${work}/${name}-back`]) {
      writeFileSync(`${tree}/f`, old);
      utimesSync(`${tree}/f`, 1, 1);
    }
    const options = { ...access, inplace: true, sparse: flags.length > 0, compression: 'never' as const };
    const pushed = await sync(`${work}/${name}`, url(name), options);
    const pulled = await sync(url(name), `${work}/${name}-back`, options);
    for (const [tree, { stats }] of [
      [`${served}/${name}`, pushed],
      [`${work}/${name}-back`, pulled],
    ] as const) {
      t.true(readFileSync(`${tree}/f`).equals(content), name);
      // Zeros that are no holes at the source travel.
      t.true(stats.bytesTransferred < MIB / 2 + (holes ? 0 : 2 * MIB), `${name}: ${stats.bytesTransferred}`);
      t.true(lstatSync(`${tree}/f`).blocks * 512 <= 10 * MIB + 65_536, `${name}: ${lstatSync(`${tree}/f`).blocks}`);
    }
    t.is((await cli(t, user, ['-ac', '--inplace', ...flags, `${work}/${name}/`, url(name)])).stdout, '', name);
  }
});

judgedEachWay('random trees in place are as rsync leaves them', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 6; round += 1) {
    const model = randomTrees(random, `${set.work}/model${round}`, ['s', 'd'], { plain: true });
    const flags = ['-ai', '--inplace', '--delete', ...random.pick([[], ['-c'], ['--backup-dir=kept']])];
    await besideRsync(t, set, { model, flags, ways: ['local', random.pick(['push', 'pull'])] });
  }
});

judgedEachWay(
  '--append adds what is missing, sends no more than that, and leaves longer files alone',
  async (t, set) => {
    const { work, served, access, url, client: user } = set;
    const whole = new Random(t.title).bytes(3 * MIB);
    make(work, { 's/x': '', 's/short': 'ab', 's/same': 'new' });
    make(served, { 'd/x': '', 'd/short@1500000000': 'longer', 'd/same@1500000000': 'old' });
    writeFileSync(`${work}/s/grown`, whole);
    writeFileSync(`${work}/s/other`, whole);
    writeFileSync(`${served}/d/grown`, whole.subarray(0, 2 * MIB));
    writeFileSync(`${served}/d/other`, Buffer.alloc(2 * MIB));
    const { stats } = await sync(`${work}/s`, url('d'), { ...access, append: true, compression: 'never' });
    t.true(readFileSync(`${served}/d/grown`).equals(whole));
    t.true(readFileSync(`${served}/d/other`).equals(whole));
    t.is(readFileSync(`${served}/d/short`, 'utf8'), 'longer');
    t.is(readFileSync(`${served}/d/same`, 'utf8'), 'old');
    t.true(stats.bytesTransferred <= 4 * MIB + 100);
    const model = make(`${work}/model`, {
      's/log': 'one\ntwo\n',
      's/new': 'n',
      'd/log@1500000000': 'one\n',
      'd/x': 'x',
    });
    for (const flag of ['--append', '--append-verify']) await besideRsync(t, set, { model, flags: ['-ai', flag] });
    t.is((await cli(t, user, ['-a', '--append', '--delay-updates', `${work}/s/`, `${work}/e/`])).code, exit.usage);
  },
);

judged('a part that a run without --inplace kept does not take the place of what is written over', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/': '' });
  make(served, { 'd/f@1500000000': 'old' });
  writeFileSync(`${work}/s/f`, new Random(t.title).bytes(12 * MIB));
  const flags = ['-a', '-z', `${work}/s/`, url('d')];
  const running = startCli(t, user, [...flags, '--bwlimit=4M']);
  const part = (): string | undefined => readdirSync(`${served}/d`).find((name) => name.endsWith('.part'));
  await until('a part to be there', () => statSync(`${served}/d/${part() ?? 'f'}`).size > 5 * MIB);
  running.kill('SIGINT');
  await running.ended;
  const before = lstatSync(`${served}/d/f`).ino;
  const ran = await cli(t, user, [...flags, '--inplace', '--lock-wait=10']);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.is(lstatSync(`${served}/d/f`).ino, before);
  t.deepEqual(readdirSync(`${served}/d`), ['f']);
  t.true(readFileSync(`${served}/d/f`).equals(readFileSync(`${work}/s/f`)));
});

judged('a server refuses what has further hard links, and keys that may only add', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/f': 'new content', 's/g': 'g' });
  make(served, { 'd/f@1500000000': 'old', 'other/': '' });
  linkSync(`${served}/d/f`, `${served}/other/f`);
  const ran = await cli(t, user, ['-a', '--inplace', `${work}/s/`, url('d')]);
  t.is(ran.code, exit.partial);
  t.is(readFileSync(`${served}/other/f`, 'utf8'), 'old');
  t.is(readFileSync(`${served}/d/g`, 'utf8'), 'g');
  const adding = await setup(t, { rights: 'read,append' });
  make(adding.work, { 's/f': 'new' });
  for (const options of [{ inplace: true }, { append: true }]) {
    const error = await rejection(t, sync(`${adding.work}/s`, adding.url('d'), { ...adding.access, ...options }));
    t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE');
  }
});

judgedWhere(isRoot)('what is written over lends no rights of its owner, even if the run is cut', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write' });
  make(work, { 's/tool': 'x' });
  writeFileSync(`${work}/s/tool`, Buffer.concat([Buffer.from('new'), randomBytes(8 << 20)]));
  mkdirSync(`${served}/d`);
  writeFileSync(`${served}/d/tool`, Buffer.alloc(8 << 20, 'old'));
  chmodSync(`${served}/d/tool`, 0o4755);
  const run = startCli(t, user, ['-rI', '--inplace', '--bwlimit=1M', `${work}/s/`, url('d/')]);
  const first = (): string => readFileSync(`${served}/d/tool`).subarray(0, 3).toString();
  await until(`the first bytes to be written over; it said ${run.stderr()}`, () => first() === 'new' || run.over());
  t.false(run.over(), run.stderr());
  run.kill('SIGKILL');
  await run.ended.catch(() => undefined);
  t.is(lstatSync(`${served}/d/tool`).mode & 0o7777, 0o755);
});

judgedWhere(isRoot)('a backup and a version of what is written over keep its set-id bits', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write', args: ['--versions'] });
  make(work, { 's/tool': 'new content', 'd/tool@1500000000': 'old' });
  make(served, { 'd/tool@1500000000': 'old' });
  for (const root of [`${work}/d`, `${served}/d`]) chmodSync(`${root}/tool`, 0o6755);
  const here = await cli(t, user, ['-rt', '--inplace', '-b', `${work}/s/`, `${work}/d/`]);
  t.deepEqual([here.code, here.stderr], [0, '']);
  const modeOf = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);
  t.deepEqual([modeOf(`${work}/d/tool~`), modeOf(`${work}/d/tool`)], ['6755', '755']);
  const there = await cli(t, user, ['-rt', '--inplace', `${work}/s/`, url('d/')]);
  t.deepEqual([there.code, there.stderr], [0, '']);
  const [run = ''] = readdirSync(`${served}.versions`);
  t.deepEqual([modeOf(`${served}.versions/${run}/d/tool`), modeOf(`${served}/d/tool`)], ['6755', '755']);
});

judgedWhere(canBecome)('a user writes over read-only files of his own, and over no others', async (t) => {
  const set = await setup(t);
  const as = ['setpriv', ...becoming(12_345)];
  const files = {
    's/a': 'new content',
    's/b%444': 'new content',
    'd/a@1500000000%444': 'new',
    'd/b@1500000000%400': 'new',
  };
  const model = make(`${set.work}/model`, files);
  const foreign = make(`${set.work}/foreign`, files);
  spawnSync('chown', ['-R', '12345:12345', set.work, set.served]);
  chownSync(`${foreign}/d/a`, 0, 0);
  for (const flags of [['-ai'], ['-rti'], ['-ai', '-b']])
    for (const how of ['--inplace', '--append'])
      await besideRsync(t, set, { model, flags: [...flags, how], as, ways: ['local', 'pull'] });
  await besideRsync(t, set, { model: foreign, flags: ['-rti', '--inplace'], as, ways: ['local'] });
});
