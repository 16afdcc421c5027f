// A destination that is too small says so before anything is written, with what is needed and what is free.
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';

import { NoSpaceError, sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judgedWhere } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, canMount, failure, mountTmpfs } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { touched, walk } from './helpers/walk.js';

judgedWhere(canMount)(
  'too few bytes and too few entries, on a push and on a pull: refused before the first write',
  async (t) => {
    const work = workDir(t);
    const [served, here] = [`${work}/served`, `${work}/here`];
    t.true(mountTmpfs(t, served, 'size=2m,nr_inodes=150'));
    t.true(mountTmpfs(t, here, 'size=2m,nr_inodes=150'));
    const user = client(work);
    const large = dir(work, 'large');
    writeFileSync(`${large}/one`, new Random(t.title).bytes(5 << 20));
    plainTree(`${work}/many`, { directories: 3, files: 100 });
    const server = await startServer(t, {
      home: work,
      roots: { root: served, large, many: `${work}/many` },
      clients: [user],
    });
    const access = accessOf(user, server);
    writeFileSync(`${served}/kept`, 'old');
    writeFileSync(`${here}/kept`, 'old');
    const [before, beforeHere] = [walk(served), walk(here)];

    for (const [what, run] of [
      ['push', () => sync(large, server.url('root', 'tree'), access)],
      ['pull', () => sync(server.url('large'), `${here}/tree`, access)],
      ['local', () => sync(large, `${here}/tree`)],
    ] as const) {
      const error = await failure(t, run(), NoSpaceError, what);
      t.is(error.code, 'ERR_SPARSYNC_NO_SPACE');
      t.false(error.retryable);
      t.true((error.needBytes ?? 0) >= 5 << 20, `${what}: needs ${error.needBytes}`);
      t.true((error.freeBytes ?? Infinity) <= 2 << 20, `${what}: has ${error.freeBytes}`);
      t.is(error.side, what === 'push' ? 'remote' : 'local');
    }
    for (const [what, run] of [
      ['push', () => sync(`${work}/many`, server.url('root', 'tree'), access)],
      ['pull', () => sync(server.url('many'), `${here}/tree`, access)],
    ] as const) {
      const error = await failure(t, run(), NoSpaceError, what);
      t.true((error.needEntries ?? 0) >= 303, `${what}: needs ${error.needEntries}`);
      t.true((error.freeEntries ?? Infinity) <= 150, `${what}: has ${error.freeEntries}`);
    }
    const ran = await cli(t, user, ['-a', `${large}/`, server.url('root', 'tree')]);
    t.is(ran.code, exit.io);
    t.regex(ran.stderr, /NO_SPACE/);
    t.deepEqual(touched(before, walk(served)), [], 'something was written at the server');
    t.deepEqual(touched(beforeHere, walk(here)), [], 'something was written here');
  },
);

judgedWhere(canMount)('a tree that fits by what it replaces is no question of space', async (t) => {
  const work = workDir(t);
  const served = `${work}/served`;
  t.true(mountTmpfs(t, served, 'size=4m'));
  const user = client(work);
  const source = dir(work, 'source');
  for (const name of ['a', 'b', 'c']) writeFileSync(`${source}/${name}`, new Random(name).bytes(900_000));
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const access = accessOf(user, server);
  await sync(source, server.url('root', 'tree'), access);
  // Nothing to do needs no space, however little there is.
  writeFileSync(`${served}/ballast`, new Random('ballast').bytes(1_200_000));
  await sync(source, server.url('root', 'tree'), access);
  assertEqual(t, source, `${served}/tree`);
});

judgedWhere(canMount)('what a run tells is told once, also when its need had to be counted first', async (t) => {
  const work = workDir(t);
  const [served, here] = [`${work}/served`, `${work}/here`];
  // Far less than the disk of the sources holds, so only counting tells whether a run fits.
  t.true(mountTmpfs(t, served, 'size=4m'));
  t.true(mountTmpfs(t, here, 'size=4m'));
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'content');
  symlinkSync('file', `${source}/left out`);
  const server = await startServer(t, { home: work, roots: { root: served, source }, clients: [user] });
  const options = { ...accessOf(user, server), links: false };
  for (const [what, run] of [
    ['push', () => sync(source, server.url('root', 'tree'), options)],
    ['pull', () => sync(server.url('source'), `${here}/pulled`, options)],
    ['local', () => sync(source, `${here}/copied`, options)],
  ] as const) {
    const result = await run();
    t.deepEqual(
      result.warnings.map((warning) => warning.path),
      ['left out'],
      what,
    );
    t.is(result.stats.filesTransferred, 1, what);
  }
});

judgedWhere(canMount)('what is in a folder with a blank in its name is not counted first for that', async (t) => {
  const work = workDir(t);
  const served = `${work}/served`;
  t.true(mountTmpfs(t, served, 'size=4m'));
  for (const name of ['a b', 'plain']) writeFileSync(`${dir(served, name)}/file`, name);
  const user = client(work);
  const log = `${work}/log`;
  const args = ['--log-file', log, '--log-format', 'json'];
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], args });
  for (const name of ['a b', 'plain']) await sync(server.url('root', name), `${work}/${name}`, accessOf(user, server));
  const pulls = (): string[] => readFileSync(log, 'utf8').match(/"path":"[^"]*","dryRun":(?:true|false)/g) ?? [];
  await until('both in the log', () => pulls().some((line) => line.includes('plain')));
  t.deepEqual(pulls(), ['"path":"a b","dryRun":false', '"path":"plain","dryRun":false']);
});

judgedWhere(canMount)('a disk that fills up in mid-run by somebody else keeps every old file', async (t) => {
  const work = workDir(t);
  const served = `${work}/served`;
  t.true(mountTmpfs(t, served, 'size=12m'));
  const user = client(work);
  const source = dir(work, 'source');
  mkdirSync(`${served}/tree`);
  for (let i = 0; i < 40; i += 1) {
    writeFileSync(`${source}/file${i}`, new Random(`new${i}`).bytes(200_000));
    writeFileSync(`${served}/tree/file${i}`, `old ${i}`);
  }
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const access = accessOf(user, server);
  // Nothing gets through while this process fills the disk, for the relay is a part of it.
  await using relay = await Relay.start({ to: server.port });
  const job = sync(source, relay.url('root', 'tree'), access);
  const outcome = failure(t, job.result, NoSpaceError);
  await relay.passed('up', 1 << 20);
  t.throws(() => writeFileSync(`${served}/ballast`, Buffer.alloc(12 << 20)), { code: 'ENOSPC' });
  t.is((await outcome).side, 'remote');
  for (let i = 0; i < 40; i += 1) {
    const found = readFileSync(`${served}/tree/file${i}`);
    const whole = found.equals(readFileSync(`${source}/file${i}`)) || found.toString() === `old ${i}`;
    t.true(whole, `file${i} is neither old nor new`);
  }
});

judgedWhere(canMount)('what may fit is not refused, and what surely does not is', async (t) => {
  const work = workDir(t);
  const [served, source] = [`${work}/served`, dir(work, 'source')];
  t.true(mountTmpfs(t, served, 'size=2m'));
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user] });
  const bytes = (name: string, size: number): Uint8Array => new Random(name).bytes(size);
  const seven = (state: string): Readonly<Record<string, Uint8Array>> =>
    Object.fromEntries(Array.from({ length: 7 }, (_, at) => [`f${at}`, bytes(`${state}${at}`, 180_000)]));
  const [old, fresh] = [bytes('old', 1_400_000), bytes('fresh', 1_400_000)];
  const holes = 64 << 20;
  for (const [what, args, before, after] of [
    ['in place', ['-a', '--inplace'], { f: old }, { f: fresh }],
    ['appended', ['-a', '--append'], { f: old }, { f: Buffer.concat([old, Buffer.from('..')]) }],
    ['one by one', ['-a'], seven('old'), seven('fresh')],
    ['holes', ['-a'], {}, { f: holes }],
    ['holes by --sparse', ['-aS'], {}, { f: holes }],
    ['beside the old one', ['-a'], { f: old }, { f: fresh }],
    ['beside it, too', ['-a'], { f: old, small: bytes('small', 9) }, { f: fresh, small: bytes('other', 8) }],
  ] as const) {
    // A server flushes what it has written before any of it takes its name.
    const goals = [`${served}/tree`, ...(what === 'one by one' ? [] : [server.url('root', 'tree')])];
    for (const goal of goals) {
      rmSync(`${served}/tree`, { recursive: true, force: true });
      rmSync(source, { recursive: true });
      for (const [folder, all] of [
        [dir(served, 'tree'), before],
        [dir(work, 'source'), after],
      ] as const) {
        for (const [name, content] of Object.entries(all)) {
          writeFileSync(`${folder}/${name}`, typeof content === 'number' ? '' : content);
          if (typeof content === 'number') truncateSync(`${folder}/${name}`, content);
          if (folder !== source) utimesSync(`${folder}/${name}`, 1, 1);
        }
      }
      const untouched = walk(served);
      const ran = await cli(t, user, [...args, `${source}/`, goal]);
      if (what.startsWith('beside')) {
        t.is(ran.code, exit.io, `${what} ${goal}: ${ran.stderr}`);
        t.regex(ran.stderr, /nothing was written/, what);
        t.deepEqual(touched(untouched, walk(served)), [], what);
      } else {
        t.is(ran.code, exit.ok, `${what} ${goal}: ${ran.stderr}`);
        assertEqual(t, source, `${served}/tree`);
      }
    }
  }
});
