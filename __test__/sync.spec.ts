import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { ExecutionContext } from 'ava';

import { connect, sync, type SyncResult } from '../dist/index.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { accessOf, canMount, codeOf, isRoot, long, mountTmpfs, rejection, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree, TreeMaker } from './helpers/tree.js';
import { names, touched, walk } from './helpers/walk.js';

const modules = fileURLToPath(new URL('../node_modules', import.meta.url));

/** Counters that say that something was done to the destination. */
function done(result: SyncResult): Record<string, number> {
  const { stats } = result;
  return Object.fromEntries(
    Object.entries({
      filesTransferred: stats.filesTransferred,
      filesDeleted: stats.filesDeleted,
      directoriesCreated: stats.directoriesCreated,
      directoriesDeleted: stats.directoriesDeleted,
      symlinksCreated: stats.symlinksCreated,
      attrsChanged: stats.attrsChanged,
      filesFailed: stats.filesFailed,
      bytesTransferred: stats.bytesTransferred,
    }).filter(([, value]) => value !== 0),
  );
}

/** Makes `b` equal to `a` twice: the first run must do it, the second must see that, say so and touch nothing. */
async function twice(
  t: ExecutionContext,
  run: () => PromiseLike<SyncResult>,
  a: string,
  b: string,
): Promise<SyncResult> {
  const before = walk(a);
  const first = await run();
  t.deepEqual(first.failures, []);
  assertEqual(t, a, b);
  t.deepEqual(touched(before, walk(a)), [], 'the source was touched');
  const settled = walk(b);
  const second = await run();
  t.deepEqual(done(second), {});
  t.deepEqual(touched(settled, walk(b)), [], 'the second run touched the destination');
  t.deepEqual(touched(before, walk(a)), [], 'the second run touched the source');
  t.is(second.stats.entriesSource, second.stats.entriesDestination);
  return first;
}

/** A tree as a system has it. By default some two thousand entries of it; whole, in place, when long. */
function systemTree(t: ExecutionContext, work: string): string {
  if (long) return '/usr/share';
  const copy = dir(work, 'system');
  let room = 2500;
  for (const name of existsSync('/usr/share') ? readdirSync('/usr/share').sort() : []) {
    const path = `/usr/share/${name}`;
    const count = statSync(path).isDirectory() ? names(path).length : 1;
    if (count > room) continue;
    room -= count;
    execFileSync('cp', ['-a', '--', path, copy]);
  }
  mkdirSync(`${copy}/empty/nested/empty`, { recursive: true });
  symlinkSync('/nowhere', `${copy}/dangling`);
  t.log(`${names(copy).length} entries`);
  return copy;
}

judged('push and pull of a system tree: equal by rsync, and the second run touches nothing', async (t) => {
  t.timeout(600_000);
  const { work, served, access, url } = await setup(t);
  const source = systemTree(t, work);
  const first = await twice(t, () => sync(source, url('pushed'), access), source, `${served}/pushed`);
  // The root itself is no entry.
  t.is(first.stats.entriesSource, walk(source).size - 1);
  await twice(t, () => sync(url('pushed'), `${work}/pulled`, access), `${served}/pushed`, `${work}/pulled`);
});

judged('push and pull of node_modules', async (t) => {
  t.timeout(600_000);
  const { work, served, access, url } = await setup(t);
  const source = long ? modules : `${modules}/ava`;
  await twice(t, () => sync(source, url('pushed'), access), source, `${served}/pushed`);
  await twice(t, () => sync(url('pushed'), `${work}/pulled`, access), `${served}/pushed`, `${work}/pulled`);
});

judged(
  'empty directories, times of symlinks and directories, nanoseconds, years before 1970 and after 2038',
  async (t) => {
    const { work, served, access, url } = await setup(t);
    const source = dir(work, 'source');
    mkdirSync(`${source}/a/empty`, { recursive: true });
    chmodSync(`${source}/a/empty`, 0o711);
    writeFileSync(`${source}/a/file`, 'content');
    writeFileSync(`${source}/a/none`, '');
    symlinkSync('file', `${source}/a/link`);
    symlinkSync('/nowhere at all', `${source}/dangling`);
    symlinkSync('.', `${source}/loop`);
    execFileSync('touch', [
      '-h',
      '-d',
      '@1234567890.123456789',
      `${source}/a/file`,
      `${source}/a/link`,
      `${source}/loop`,
    ]);
    execFileSync('touch', ['-h', '-d', '@4102444800.000000001', `${source}/a/none`]);
    execFileSync('touch', ['-h', '-d', '@-86400.5', `${source}/dangling`]);
    execFileSync('touch', ['-d', '@1111111111.999999999', `${source}/a/empty`, `${source}/a`, source]);
    await twice(t, () => sync(source, url('tree'), access), source, `${served}/tree`);
    await twice(t, () => sync(url('tree'), `${work}/back`, access), source, `${work}/back`);
  },
);

judged('a trailing slash means nothing in the API', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 2, files: 3 });
  for (const [from, to] of [
    ['source', 'one'],
    ['source/', 'two'],
    ['source', 'three/'],
    ['source/', 'four/'],
  ] as const) {
    await sync(`${work}/${from}`, url(to), access);
    assertEqual(t, `${work}/source`, `${served}/${to.replace('/', '')}`, { label: to });
  }
});

judged('into: true has the rule of rsync, for directories, with a slash, and for files', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 2, files: 3 });
  const options = { ...access, into: true };

  mkdirSync(`${served}/a`);
  await sync(`${work}/source`, url('a'), options);
  assertEqual(t, `${work}/source`, `${served}/a/source`);

  await sync(`${work}/source/`, url('b'), options);
  assertEqual(t, `${work}/source`, `${served}/b`);

  mkdirSync(`${served}/c`);
  await sync(`${work}/source/dir0000/file00001`, url('c'), options);
  t.deepEqual(names(`${served}/c`), ['file00001']);

  await sync(`${work}/source/dir0000/file00001`, url('c/other name'), options);
  t.is(readFileSync(`${served}/c/other name`, 'utf8'), readFileSync(`${work}/source/dir0000/file00001`, 'utf8'));

  mkdirSync(`${work}/d`);
  await sync(url('c/file00001'), `${work}/d`, options);
  t.deepEqual(names(`${work}/d`), ['file00001']);
});

judged('a single file is pushed and pulled under the name that is given', async (t) => {
  const { work, served, access, url } = await setup(t);
  writeFileSync(`${work}/file`, new Random(t.title).bytes(300_000));
  utimesSync(`${work}/file`, 1e9, 1e9);
  await sync(`${work}/file`, url('name'), access);
  t.deepEqual(readFileSync(`${served}/name`), readFileSync(`${work}/file`));
  t.is(statSync(`${served}/name`).mtimeMs, 1e12);
  await sync(url('name'), `${work}/back`, access);
  t.deepEqual(readFileSync(`${work}/back`), readFileSync(`${work}/file`));

  const inode = statSync(`${served}/name`, { bigint: true });
  t.deepEqual(done(await sync(`${work}/file`, url('name'), access)), {});
  t.is(statSync(`${served}/name`, { bigint: true }).ctimeNs, inode.ctimeNs);

  writeFileSync(`${work}/file`, 'shorter');
  await sync(`${work}/file`, url('name'), access);
  t.is(readFileSync(`${served}/name`, 'utf8'), 'shorter');
  t.deepEqual(readdirSync(served), ['name']);
});

judged('two local folders, by the same engine', async (t) => {
  const work = workDir(t);
  t.log(`seed ${seed}`);
  const maker = new TreeMaker(new Random(t.title));
  maker.generate(`${work}/a`, 300);
  await twice(t, () => sync(`${work}/a`, `${work}/b`), `${work}/a`, `${work}/b`);
  maker.mutate(`${work}/a`, 20);
  maker.mutate(`${work}/b`, 20);
  await sync(`${work}/a`, `${work}/b`, { delete: true, allowMassDelete: true });
  assertEqual(t, `${work}/a`, `${work}/b`);
});

judged('several clients at once, each with a key of its own to a subtree of its own', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  t.log(`seed ${seed}`);
  const users = Array.from({ length: 6 }, (_, i) => client(work, `client${i}`));
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: users.map((user, i) => `user${i} ${user.publicKey} root=root/tree${i} allow=read,write,delete,special`),
  });
  const maker = new TreeMaker(new Random(t.title));
  for (const i of users.keys()) maker.generate(`${work}/source${i}`, 150);
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(
      users.map((user, i) =>
        sync(`${work}/source${i}`, server.url('root', `tree${i}`), {
          ...accessOf(user, server),
          delete: true,
          allowMassDelete: true,
        }),
      ),
    );
    for (const i of users.keys()) {
      assertEqual(t, `${work}/source${i}`, `${served}/tree${i}`, { label: `round ${round}, client ${i}` });
      maker.mutate(`${work}/source${i}`, 5);
    }
  }
  t.deepEqual(
    readdirSync(served).sort(),
    users.map((_, i) => `tree${i}`),
  );
});

judged('one connection serves many syncs, one after another and at once, and lists', async (t) => {
  const { work, served, access, server } = await setup(t);
  plainTree(`${work}/source`, { directories: 3, files: 20 });
  symlinkSync('dir0000', `${work}/source/link`);
  chmodSync(`${work}/source/dir0001`, 0o700);
  lutimesSync(`${work}/source/link`, 1e9, 1e9);
  const connection = await connect(server.url(), access);
  try {
    for (let i = 0; i < 20; i += 1) {
      writeFileSync(`${work}/source/dir0000/changing`, 'x'.repeat(i));
      await connection.push(`${work}/source`, 'root/tree');
      assertEqual(t, `${work}/source`, `${served}/tree`, { label: `push ${i}` });
    }
    await Promise.all([
      connection.push(`${work}/source`, 'root/second'),
      connection.push(`${work}/source`, 'root/third'),
      connection.pull('root/tree', `${work}/back`),
    ]);
    for (const copy of [`${served}/second`, `${served}/third`, `${work}/back`]) {
      assertEqual(t, `${work}/source`, copy, { label: copy });
    }

    const listed = await connection.list('root/tree');
    t.deepEqual(
      Object.entries(Object.fromEntries(listed.map(({ name, kind }) => [name, kind]))).toSorted(([a], [b]) =>
        a < b ? -1 : 1,
      ),
      [
        ['dir0000', 'directory'],
        ['dir0001', 'directory'],
        ['dir0002', 'directory'],
        ['link', 'symlink'],
      ],
    );
    t.is(listed.find(({ name }) => name === 'dir0001')?.mode ?? 0, 0o700);
    const file = (await connection.list('root/tree/dir0000')).find(({ name }) => name === 'changing');
    t.is(file?.size, 19);
    t.like(await connection.stat('root/tree/dir0001'), { kind: 'directory', size: 0, mode: 0o700 });
    t.like(await connection.stat('root/tree/dir0000/changing'), { kind: 'file', size: 19 });
    t.is((await connection.stat('root/tree/link')).kind, 'symlink');
    const missing = await rejection(t, connection.stat('root/tree/none'));
    t.is(codeOf(missing), 'ERR_SPARSYNC_NOT_FOUND');
    t.deepEqual(
      (await connection.list('')).map(({ name }) => name),
      ['root'],
    );
  } finally {
    await connection.close();
  }
  await connection.close();
  const error = await rejection(t, connection.push(`${work}/source`, 'root/tree'));
  t.is(codeOf(error), 'ERR_SPARSYNC_CLOSED');
});

judged('two connections to one server share nothing: closing one leaves the other', async (t) => {
  const { work, served, access, server } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 5 });
  const one = await connect(server.url(), access);
  const other = await connect(server.url(), access);
  await one.close();
  await other.push(`${work}/source`, 'root/tree');
  await other.close();
  assertEqual(t, `${work}/source`, `${served}/tree`);
});

judged('names of bytes reach the other side through the address, percent-encoded', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 2 });
  await sync(`${work}/source`, url('%ff%0a%20x'), access);
  t.deepEqual(
    readdirSync(served, { encoding: 'buffer' }).map((name) => name.toString('latin1')),
    ['\xff\n x'],
  );
  await sync(url('%ff%0a%20x'), Buffer.concat([Buffer.from(`${work}/`), Buffer.from([0xfe])]), access);
  t.true(names(work).includes('\xfe/dir0000/file00001'));
});

judged('the options that choose what is carried are obeyed', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 2 });
  symlinkSync('dir0000', `${work}/source/link`);
  writeFileSync(`${work}/source/top`, 'top');
  chmodSync(`${work}/source/top`, 0o600);
  utimesSync(`${work}/source/top`, 1e9, 1e9);

  await sync(`${work}/source`, url('no links'.replace(' ', '-')), { ...access, links: false });
  t.false(names(`${served}/no-links`).includes('link'));

  await sync(`${work}/source`, url('no-times'), { ...access, times: false });
  t.not(statSync(`${served}/no-times/top`).mtimeMs, 1e12);

  await sync(`${work}/source`, url('flat'), { ...access, recursive: false });
  t.false(names(`${served}/flat`).includes('dir0000/file00000'));

  await sync(`${work}/source`, url('update'), access);
  writeFileSync(`${served}/update/top`, 'newer at the destination');
  const result = await sync(`${work}/source`, url('update'), { ...access, update: true });
  t.is(readFileSync(`${served}/update/top`, 'utf8'), 'newer at the destination');
  t.true(result.stats.filesSkipped >= 1);
});

judgedWhere(isRoot)('new files in a setgid directory get its group', async (t) => {
  const { work, served, access, url } = await setup(t);
  mkdirSync(`${served}/shared`);
  chownSync(`${served}/shared`, 0, 12_345);
  chmodSync(`${served}/shared`, 0o2775);
  mkdirSync(`${work}/source`);
  chmodSync(`${work}/source`, 0o2775);
  writeFileSync(`${work}/source/small`, 'x');
  writeFileSync(`${work}/source/large`, new Random(t.title).bytes(3 << 20));
  await sync(`${work}/source`, url('shared'), access);
  for (const name of ['small', 'large']) t.is(statSync(`${served}/shared/${name}`).gid, 12_345, name);
});

judgedWhere(isRoot)('owner and group are kept when asked for, and only then', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 1 });
  chownSync(`${work}/source/dir0000/file00000`, 1234, 5678);
  await sync(`${work}/source`, url('plain'), access);
  t.is(statSync(`${served}/plain/dir0000/file00000`).uid, 0);
  const user = client(work, 'owner');
  const server = await startServer(t, {
    home: dir(work, 'other'),
    roots: { root: served },
    allow: [`owner ${user.publicKey} allow=read,write,delete,owner`],
  });
  await sync(`${work}/source`, server.url('root', 'owned'), {
    ...accessOf(user, server),
    owner: true,
    group: true,
  });
  const stat = statSync(`${served}/owned/dir0000/file00000`);
  t.deepEqual([stat.uid, stat.gid], [1234, 5678]);
});

judgedWhere(canMount)('a file system mounted below the destination is written into', async (t) => {
  const { work, served, access, url } = await setup(t);
  plainTree(`${work}/source`, { directories: 3, files: 10 });
  if (!mountTmpfs(t, `${served}/tree/dir0001`, 'size=4m')) {
    t.fail('mount');
    return;
  }
  await sync(`${work}/source`, url('tree'), access);
  assertEqual(t, `${work}/source`, `${served}/tree`);
  t.not(statSync(`${served}/tree/dir0001`).dev, statSync(`${served}/tree/dir0000`).dev);
});
