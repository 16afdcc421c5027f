// Large files between two folders, which the kernel copies: their holes, what it cannot do, a source that changes meanwhile, and
// --verify-copies.
import { mkdirSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { PartialSyncError, sync } from '../dist/index.js';
import { make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { canMount, mountTmpfs, rejection, type Setup, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { names } from './helpers/walk.js';

const MIB = 1 << 20;

/** Files of more than a pack: noise, one with holes before, in and behind its data, and one that is a hole. */
function makeSource(t: ExecutionContext, work: string): void {
  const random = new Random(t.title);
  make(work, { 's/sub/small': 'small', 's/empty': '' });
  writeFileSync(`${work}/s/large`, random.bytes(5 * MIB + 7));
  writeFileSync(`${work}/s/sub/medium`, random.bytes(200_000));
  const holes = openSync(`${work}/s/holes`, 'w');
  for (const at of [MIB, 3 * MIB]) writeSync(holes, random.bytes(MIB / 2), 0, MIB / 2, at);
  truncateSync(`${work}/s/holes`, 6 * MIB);
  writeFileSync(`${work}/s/hole`, '');
  truncateSync(`${work}/s/hole`, MIB);
}

/** Runs the command with calls of a kind traced, and some that fail. */
async function traced(t: ExecutionContext, { work, client: user }: Setup, words: string[], faults: string[] = []) {
  const trace = `${work}/trace`;
  const options = ['trace=copy_file_range,ioctl', ...faults].flatMap((one) => ['-e', one]);
  const [strace = '', ...rest] = straced(trace, [...options, process.execPath, program, ...words]);
  const ran = await start(t, strace, rest, { env: user.env }).ended;
  return { ran, trace: readFileSync(trace, 'latin1') };
}

const fails = (call: string, error: string): string => `inject=${call}:error=${error}`;

judgedWhere(hasStrace)('large files are copied by the kernel, with their holes', async (t) => {
  const set = await setup(t);
  const { work } = set;
  makeSource(t, work);
  const { ran, trace } = await traced(t, set, ['-a', `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.regex(trace, /FICLONE|copy_file_range/);
  assertEqual(t, `${work}/s`, `${work}/d`);
  for (const name of ['holes', 'hole'])
    t.true(statSync(`${work}/d/${name}`).blocks <= statSync(`${work}/s/${name}`).blocks, name);
});

judgedWhere(hasStrace)(
  'what the kernel does not do is done by reading and writing, and a full disk is told',
  async (t) => {
    const set = await setup(t);
    const { work, client: user } = set;
    makeSource(t, work);
    const unshared = fails('ioctl', 'EOPNOTSUPP');
    for (const error of ['EXDEV', 'EIO', 'EINVAL']) {
      const into = `${work}/${error}`;
      const { ran } = await traced(
        t,
        set,
        ['-a', `${work}/s/`, `${into}/`],
        [unshared, fails('copy_file_range', error)],
      );
      t.deepEqual([ran.code, ran.stderr], [0, ''], error);
      assertEqual(t, `${work}/s`, into, { label: error });
    }
    const words = ['-a', `${work}/s/`, `${work}/full/`];
    const { ran } = await traced(t, set, words, [unshared, fails('copy_file_range', 'ENOSPC')]);
    t.not(ran.code, 0);
    t.regex(ran.stderr, /No space left/);
    t.is((await cli(t, user, words)).code, 0);
    assertEqual(t, `${work}/s`, `${work}/full`);
  },
);

judgedWhere(canMount)('between two file systems too', async (t) => {
  const { work, client: user } = await setup(t);
  makeSource(t, work);
  mkdirSync(`${work}/other`);
  if (!mountTmpfs(t, `${work}/other`, 'size=64m')) throw new Error('cannot mount');
  const ran = await cli(t, user, ['-a', `${work}/s/`, `${work}/other/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  assertEqual(t, `${work}/s`, `${work}/other/d`);
});

judgedWhere(hasStrace)('--verify-copies hashes, and lets the kernel copy nothing', async (t) => {
  const set = await setup(t);
  const { work } = set;
  makeSource(t, work);
  const { ran, trace } = await traced(t, set, ['-a', '--verify-copies', `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.notRegex(trace, /FICLONE|copy_file_range/);
  assertEqual(t, `${work}/s`, `${work}/d`);
});

judged('what is written over, sparse, limited, delayed or staged arrives as well', async (t) => {
  const { work, client: user } = await setup(t);
  makeSource(t, work);
  const old = new Random('old');
  for (const flags of [
    ['--inplace'],
    ['-S'],
    ['--bwlimit=100M'],
    ['--delay-updates'],
    ['-T', `${work}/tmp`],
    ['--no-whole-file'],
  ]) {
    rmSync(`${work}/d`, { recursive: true, force: true });
    make(work, { 'd/sub/': '', 'tmp/': '' });
    writeFileSync(`${work}/d/large`, old.bytes(6 * MIB));
    writeFileSync(`${work}/d/sub/medium`, old.bytes(MIB));
    const ran = await cli(t, user, ['-a', ...flags, `${work}/s/`, `${work}/d/`]);
    t.deepEqual([ran.code, ran.stderr], [0, ''], flags.join(' '));
    assertEqual(t, `${work}/s`, `${work}/d`, { label: flags.join(' ') });
  }
});

judged('a file that changes all the time does not arrive as a mix', async (t) => {
  const { work } = await setup(t);
  make(work, { 's/': '' });
  writeFileSync(`${work}/s/f`, Buffer.alloc(48 * MIB, 1));
  const script = `const fs = require('fs'), file = fs.openSync(process.argv[1], 'r+');
    for (let n = 1; ; n = n % 250 + 1) fs.writeSync(file, Buffer.alloc(4096, n), 0, 4096, (n % 97) * 4096 * 100);`;
  const writer = start(t, process.execPath, ['-e', script, `${work}/s/f`]);
  await until('it to change', () => readFileSync(`${work}/s/f`).includes(2));
  const error = await rejection(t, sync(`${work}/s`, `${work}/d`, { durability: 'none' }));
  writer.kill('SIGKILL');
  await writer.ended;
  if (!(error instanceof PartialSyncError)) throw error;
  t.deepEqual(
    error.result.failures.map(({ code }) => code),
    ['changed'],
  );
  t.deepEqual(names(`${work}/d`), []);
});
