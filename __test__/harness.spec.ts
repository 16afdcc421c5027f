// The judges, judged: whatever a test here relies on to turn red does turn red.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  lutimesSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { Bystander, CertifiedTree, certify, versionOf } from './helpers/certified.js';
import { type Bound, judge, red } from './helpers/gate.js';
import { assertEqual, judged, rsyncSays } from './helpers/judge.js';
import { start, until } from './helpers/process.js';
import { Random, seed } from './helpers/random.js';
import { ping, Relay } from './helpers/relay.js';
import { countCalls } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';
import { TreeMaker } from './helpers/tree.js';
import { differences, touched, walk } from './helpers/walk.js';

/** A copy by another tool, with everything. */
function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', '--no-preserve=links', '--', from, to]);
}

/** Returns when the clock of the file system has moved, which it does in steps of some milliseconds. */
function clockMoves(t: ExecutionContext): void {
  const probe = `${workDir(t)}/probe`;
  writeFileSync(probe, '');
  const now = () => {
    chmodSync(probe, 0o600);
    return statSync(probe, { bigint: true }).ctimeNs;
  };
  const before = now();
  while (now() === before);
}

judged('a faithful copy of a random tree is judged equal', (t) => {
  const work = workDir(t);
  t.log(`seed ${seed}`);
  const maker = new TreeMaker(new Random(t.title));
  maker.generate(`${work}/a`, 300);
  maker.mutate(`${work}/a`, 40);
  copy(`${work}/a`, `${work}/b`);
  assertEqual(t, `${work}/a`, `${work}/b`);
});

judged('each planted difference is seen by our walk, and by rsync where rsync looks', (t) => {
  const work = workDir(t);
  const plain = dir(work, 'plain');
  mkdirSync(`${plain}/sub/empty`, { recursive: true });
  writeFileSync(`${plain}/sub/file`, 'hello');
  symlinkSync('file', `${plain}/sub/link`);
  for (const path of ['sub/file', 'sub/empty', 'sub', '']) utimesSync(`${plain}/${path}`, 1e9, 1e9);
  lutimesSync(`${plain}/sub/link`, 1e9, 1e9);

  const plants: Record<string, (root: string) => void> = {
    'one byte, size and time kept': (root) => {
      writeFileSync(`${root}/sub/file`, 'hellp');
      utimesSync(`${root}/sub/file`, 1e9, 1e9);
    },
    truncated: (root) => writeFileSync(`${root}/sub/file`, 'hell'),
    'a file missing': (root) => rmSync(`${root}/sub/file`),
    'an extra file': (root) => writeFileSync(`${root}/sub/.file.x1`, ''),
    'an empty directory missing': (root) => rmdirSync(`${root}/sub/empty`),
    'a file mode': (root) => chmodSync(`${root}/sub/file`, 0o600),
    'a directory mode': (root) => chmodSync(`${root}/sub/empty`, 0o700),
    'a file time': (root) => utimesSync(`${root}/sub/file`, 1e9 + 1, 1e9 + 1),
    'a directory time': (root) => utimesSync(`${root}/sub/empty`, 1e9 + 1, 1e9 + 1),
    'a symlink time': (root) => lutimesSync(`${root}/sub/link`, 1e9 + 1, 1e9 + 1),
    'a symlink target': (root) => {
      rmSync(`${root}/sub/link`);
      symlinkSync('elsewhere', `${root}/sub/link`);
      lutimesSync(`${root}/sub/link`, 1e9, 1e9);
    },
    'another type': (root) => {
      rmSync(`${root}/sub/file`);
      mkdirSync(`${root}/sub/file`);
    },
  };
  for (const [name, plant] of Object.entries(plants)) {
    const root = `${work}/${name}`;
    copy(plain, root);
    t.is(rsyncSays(plain, root), '', `${name}: before`);
    t.deepEqual(differences(walk(plain, { content: true }), walk(root, { content: true })), [], `${name}: before`);
    plant(root);
    t.not(rsyncSays(plain, root), '', `${name}: rsync`);
    t.not(differences(walk(plain, { content: true }), walk(root, { content: true })).length, 0, `${name}: walk`);
  }

  const root = `${work}/nanoseconds`;
  copy(plain, root);
  execFileSync('touch', ['-d', '@1000000000.000000001', `${root}/sub/file`]);
  t.is(differences(walk(plain, { content: true }), walk(root, { content: true })).length, 1, 'one nanosecond');
});

test('a touch, a chmod to the same mode and a rename back are seen in the snapshot', (t) => {
  const work = workDir(t);
  const plants: Record<string, () => void> = {
    chmod: () => chmodSync(`${work}/file`, 0o644),
    utimes: () => utimesSync(`${work}/file`, 1e9, 1e9),
    rename: () => {
      renameSync(`${work}/file`, `${work}/other`);
      renameSync(`${work}/other`, `${work}/file`);
    },
  };
  for (const [name, plant] of Object.entries(plants)) {
    writeFileSync(`${work}/file`, 'x');
    chmodSync(`${work}/file`, 0o644);
    utimesSync(`${work}/file`, 1e9, 1e9);
    const before = walk(work);
    t.deepEqual(touched(before, walk(work)), [], name);
    clockMoves(t);
    plant();
    t.not(touched(before, walk(work)).length, 0, name);
  }
});

test('the generator makes every kind of oddity, and the same tree from the same seed', (t) => {
  const work = workDir(t);
  for (const name of ['a', 'b']) {
    const maker = new TreeMaker(new Random('same', 'fixed'));
    maker.generate(`${work}/${name}`, 1500);
  }
  const tree = walk(`${work}/a`, { content: true });
  const shape = (root: string): string[] =>
    [...walk(root, { content: true })].map(([p, e]) => `${p} ${e.kind} ${e.mode} ${e.target ?? ''} ${e.hash ?? ''}`);
  t.deepEqual(shape(`${work}/a`), shape(`${work}/b`));

  const bases = [...tree.keys()].map((path) => path.slice(path.lastIndexOf('/') + 1));
  const entries = [...tree.values()];
  const kinds: Record<string, boolean> = {
    newline: bases.some((name) => name.includes('\n')),
    'not UTF-8': bases.some((name) => Buffer.from(name, 'latin1').toString().includes('\ufffd')),
    'leading hyphen': bases.some((name) => name.startsWith('-')),
    '255 bytes': bases.some((name) => name.length === 255),
    'leading dots': bases.some((name) => name.startsWith('..')),
    'control characters': bases.some((name) => name.includes('\x1b')),
    deep: [...tree.keys()].some((path) => path.split('/').length > 6),
    'empty directory': [...tree].some(
      ([path, e]) => e.kind === 'directory' && ![...tree.keys()].some((p) => p.startsWith(`${path}/`)),
    ),
    'empty file': entries.some((e) => e.kind === 'file' && e.size === 0n),
    'large file': entries.some((e) => e.size > 1n << 20n),
    'absolute symlink': entries.some((e) => e.target?.startsWith('/') === true),
    'dangling symlink': entries.some((e) => e.target === 'does not exist'),
    '1970': entries.some((e) => e.mtimeNs < 2_000_000_000n),
    'after 2038': entries.some((e) => e.mtimeNs > 2_147_483_648_000_000_000n),
    nanoseconds: entries.some((e) => e.mtimeNs % 1000n !== 0n),
    'odd modes': entries.some((e) => e.kind === 'file' && (e.mode & 0o600) === 0o400),
  };
  for (const [kind, there] of Object.entries(kinds)) t.true(there, kind);
});

test('a version certifies itself: cut, mixed, moved or overwritten in place it is torn', (t) => {
  const one = certify('a/file', 1, 100_000);
  const two = certify('a/file', 2, 100_257);
  t.is(versionOf('a/file', one), 1);
  t.is(versionOf('a/file', two), 2);
  t.is(versionOf('a/other', one), undefined);
  t.is(versionOf('a/file', one.subarray(0, 50_000)), undefined);
  t.is(versionOf('a/file', Buffer.alloc(0)), undefined);
  t.is(versionOf('a/file', Buffer.alloc(100_000)), undefined);
  t.is(versionOf('a/file', Buffer.concat([two.subarray(0, 50_000), one.subarray(50_000)])), undefined);
});

test('a sync that writes in place turns the kill checker red', async (t) => {
  const work = workDir(t);
  const tree = new CertifiedTree(
    new Map([
      ['a/one', 500_000],
      ['two', 300_000],
    ]),
  );
  tree.write(`${work}/source`, 2);
  tree.write(`${work}/destination`, 1);
  t.deepEqual(tree.torn(`${work}/destination`, [1, 2], { mayBeAbsent: false }), []);
  const writer = start(t, process.execPath, [
    fileURLToPath(new URL('helpers/in-place-writer.mjs', import.meta.url)),
    `${work}/source`,
    `${work}/destination`,
  ]);
  await until('half a file', () => writer.stdout().includes('half of'));
  writer.kill('SIGKILL');
  await writer.ended;
  t.deepEqual(tree.torn(`${work}/destination`, [1, 2], { mayBeAbsent: false }), ['a/one: torn']);

  t.deepEqual(tree.strangers(`${work}/destination`), []);
  writeFileSync(`${work}/destination/a/.one.tmp`, '');
  t.deepEqual(tree.strangers(`${work}/destination`), ['a/.one.tmp']);
});

test('the watch on what lies outside sees a read-only change of mode and a new name', (t) => {
  const work = workDir(t);
  const bystander = new Bystander(`${work}/outside`);
  t.deepEqual(bystander.touched(), []);
  clockMoves(t);
  chmodSync(`${work}/outside/secret`, 0o644);
  t.not(bystander.touched().length, 0);
  const other = new Bystander(`${work}/other`);
  appendFileSync(`${work}/other/new`, '');
  t.not(other.touched().length, 0);
});

test('the relay delays, loses, cuts and counts', async (t) => {
  // However slow the machine is, a delayed datagram is never early.
  const far = await ping(20);
  t.true(far >= 40, `${far} ms`);

  const echo = createSocket('udp4');
  const asked: number[] = [];
  echo.on('message', (_, from) => asked.push(from.port));
  echo.bind(0, '127.0.0.1');
  await once(echo, 'listening');
  const random = new Random(t.title, 'fixed');
  await using relay = await Relay.start({
    to: echo.address().port,
    delayMs: 10,
    loss: 0.5,
    draw: () => random.below(1000) / 1000,
  });
  const client = createSocket('udp4');
  let answers = 0;
  client.on('message', () => (answers += 1));
  relay.watch();
  for (let i = 0; i < 200; i += 1) client.send('x', relay.port, '127.0.0.1');
  await until('all of them at the relay', () => relay.datagrams.up === 200);
  await until('what is not lost', () => asked.length === 200 - relay.lost.up);
  for (const port of asked) echo.send('x', port, '127.0.0.1');
  await until('the answers', () => answers === 200 - relay.lost.up - relay.lost.down && answers > 0);
  t.true(relay.lost.up > 60 && relay.lost.up < 140);
  // Two hundred in a row and their answers are one round trip.
  t.is(relay.roundTrips(), 1);
  relay.cut = true;
  client.send('x', relay.port, '127.0.0.1');
  await until('the datagram at the relay', () => relay.datagrams.up === 201);
  t.is(relay.lost.up + answers + relay.lost.down, 201);
  client.close();
  echo.close();
});

test('the gate sees too much and too little, what was not measured, and what has no bound', (t) => {
  const bounds: readonly Bound[] = [
    { figure: 'calls', most: [10, 5, 7], least: [8, 0, 1], why: 'of the trial' },
    { figure: 'bytes', most: [100, 0, 0], why: 'of the trial' },
  ];
  const good = { calls: [10, 0, 1], bytes: [0, 0, 0] } as const;
  t.deepEqual(judge(bounds, good), []);
  t.deepEqual(
    judge(bounds, { ...good, calls: [7, 6, 1] }).map(({ text }) => text),
    ['calls, first: 7, less than 8 (of the trial)', 'calls, same: 6, more than 5 (of the trial)'],
  );
  t.deepEqual(red(bounds, { ...good, bytes: [100, 0, 1] }), ['bytes']);
  t.deepEqual(red(bounds, { ...good, bytes: [Number.NaN, 0, 0] }), ['bytes']);
  t.deepEqual(red(bounds, { calls: good.calls }), ['bytes']);
  t.deepEqual(red(bounds, { ...good, more: [0, 0, 0] }), ['more']);
});

test('calls of a trace are counted once, by what they are for and where', (t) => {
  const work = workDir(t);
  const lines = [
    '7 statx(5</tree/a>, "b", AT_SYMLINK_NOFOLLOW, STATX_SIZE,  <unfinished ...>',
    '8 pread64(6</tree/a/b>,  <unfinished ...>',
    '7 <... statx resumed>{stx_size=0})       = 0',
    '8 <... pread64 resumed>""..., 100, 0)    = 100',
    '7 openat2(4</tree>, "a", {flags=O_RDONLY}, 24) = 5</tree/a>',
    '7 openat(AT_FDCWD</home>, "/tree", O_RDONLY) = 4</tree>',
    '7 openat(AT_FDCWD</home>, "/tree-of-another", O_RDONLY) = 4</tree-of-another>',
    '7 write(3<anon_inode:[eventfd]>, ""..., 8) = 8',
    '7 sendmsg(9<UDP:[127.0.0.1:1->127.0.0.1:2]>, {msg_name=NULL}, 0) = 1200',
    '7 execve("/tree/program", [], 0x0) = 0',
    '7 +++ exited with 0 +++',
  ];
  writeFileSync(`${work}/trace`, lines.join('\n'));
  const { look, read, open, write, total, elsewhere, network } = countCalls(`${work}/trace`, '/tree');
  t.deepEqual(
    { look, read, open, write, total, elsewhere, network },
    { look: 1, read: 1, open: 2, write: 0, total: 4, elsewhere: 1, network: 1 },
  );
});
