// What clients replace or delete is kept by a server that keeps versions, whatever their options, and where none of them reaches it.
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { ConfigError, serve } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { client } from './helpers/product.js';
import { startServer, type ServerOptions } from './helpers/server.js';
import { canMount, failure, mountTmpfs, setup, type Setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** A server that keeps versions beside its root. */
function keeping(t: ExecutionContext, options: Partial<ServerOptions> = {}): Promise<Setup> {
  return setup(t, { ...options, args: ['--versions', ...(options.args ?? [])] });
}

/** Puts files, by their paths, below a folder. */
function put(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(`${folder}/${path}`.replace(/\/[^/]*$/, ''), { recursive: true });
    writeFileSync(`${folder}/${path}`, content);
  }
}

/** What is below a folder, by path: the contents of files. */
function held(folder: string): Record<string, string> {
  const found = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
  const paths = found.filter((each) => each.isFile()).map((each) => `${each.parentPath}/${each.name}`);
  return Object.fromEntries(
    paths.toSorted().map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]),
  );
}

/** The versions, by their paths without the directory of their run. */
function kept({ served }: Setup): Record<string, string> {
  const all = Object.entries(held(`${served}.versions`));
  return Object.fromEntries(all.map(([path, content]) => [path.replace(/^[^/]*\//, ''), content]));
}

const OLD = { f: 'the old f', 'd/g': 'the old g' };

interface Case {
  readonly what: string;
  /** What is sent. */
  readonly source: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  /** What stands there before, besides. */
  readonly there?: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly serve?: readonly string[];
}

const CHANGED = { f: 'a new f which is longer', 'd/g': 'a new g which is longer' };

const CASES: readonly Case[] = [
  { what: 'replaced', source: CHANGED, args: [], versions: OLD },
  { what: 'replaced late', source: CHANGED, args: ['--delay-updates'], versions: OLD },
  { what: 'written in place', source: CHANGED, args: ['--inplace'], versions: OLD },
  { what: 'appended to', source: CHANGED, args: ['--append'], versions: OLD },
  { what: 'deleted', source: {}, args: ['--delete', '--allow-mass-delete'], versions: OLD },
  { what: 'deleted before', source: { x: '' }, args: ['--delete-before', '--allow-mass-delete'], versions: OLD },
  { what: 'a directory by a file', source: { d: 'a file' }, args: ['--force'], versions: { 'd/g': OLD['d/g'] } },
  { what: 'a file by a directory', source: { 'f/x': '' }, args: ['--force'], versions: { f: OLD.f } },
  {
    what: 'replaced with backups, and an earlier backup too',
    source: { f: CHANGED.f },
    args: ['--backup'],
    there: { 'f~': 'the backup of f' },
    versions: { f: OLD.f, 'f~': 'the backup of f' },
  },
  {
    what: 'replaced with a directory of backups, and what was there',
    source: { f: CHANGED.f },
    args: ['--backup', '--backup-dir=/backups'],
    there: { 'backups/f': 'the backup of f' },
    versions: { f: OLD.f, 'backups/f': 'the backup of f' },
  },
  {
    what: 'a missing source',
    source: {},
    args: ['--delete-missing-args'],
    versions: {},
  },
  { what: 'replaced under fake-super', source: CHANGED, args: [], versions: OLD, serve: ['--fake-super'] },
  { what: 'only looked at', source: CHANGED, args: ['-n'], versions: {} },
  { what: 'an attribute', source: OLD, args: ['--size-only', '--chmod=F600'], versions: {} },
];

for (const { what, source, args, there, versions, serve: words } of CASES) {
  test(`kept is what loses its content: ${what}`, async (t) => {
    const here = await keeping(t, words === undefined ? {} : { args: words });
    put(here.served, { ...OLD, ...there });
    const from = dir(here.work, 'source');
    put(from, source);
    const ended = await cli(t, here.client, ['-rt', ...args, `${from}/`, here.url()]);
    t.is(ended.code, exit.ok, ended.stderr);
    t.deepEqual(kept(here), versions);
    if (Object.keys(versions).length > 0) {
      const [run = ''] = readdirSync(`${here.served}.versions`);
      t.regex(run, /^\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\dZ-client0$/);
      t.is(statSync(`${here.served}.versions/${run}`).mode & 0o777, 0o700);
    }
    t.deepEqual(
      readdirSync(here.served).filter((name) => name.startsWith('.sps-')),
      [],
    );
  });
}

test('kept are symlinks, what a pull removes at its source, and what was replaced in one second', async (t) => {
  const here = await keeping(t);
  const { work, served, client: user, url } = here;
  const from = dir(work, 'source');
  put(served, { f: 'one' });
  symlinkSync('old', `${served}/l`);
  symlinkSync('new', `${from}/l`);
  for (const content of ['the second', 'the third one']) {
    put(from, { f: content });
    t.is((await cli(t, user, ['-rlt', `${from}/`, url()])).code, exit.ok);
  }
  t.is((await cli(t, user, ['-rt', '--remove-source-files', url('f'), `${dir(work, 'to')}/`])).code, exit.ok);
  t.deepEqual(Object.values(held(`${served}.versions`)).toSorted(), ['one', 'the second', 'the third one'].toSorted());
  const links = readdirSync(`${served}.versions`, { recursive: true, withFileTypes: true });
  t.is(links.filter((each) => each.isSymbolicLink()).length, 1);
});

test('no client reaches versions, and none of its options passes them by', async (t) => {
  const here = await keeping(t);
  const { work, served, server, client: user, url } = here;
  const from = dir(work, 'source');
  put(served, OLD);
  put(from, CHANGED);
  t.is((await cli(t, user, ['-rt', `${from}/`, url()])).code, exit.ok);
  const before = held(`${served}.versions`);
  t.deepEqual(Object.values(before).toSorted(), Object.values(OLD).toSorted());
  symlinkSync(`${served}.versions`, `${served}/link`);
  const to = dir(work, 'to');
  const attempts: readonly (readonly string[])[] = [
    [`${server.url('root')}/../served.versions/`, `${to}/`],
    [server.url('served.versions'), `${to}/`],
    ['--copy-links', `${url('link')}/`, `${to}/`],
    ['--copy-unsafe-links', `${url()}/`, `${to}/`],
    ['--delete', '--allow-mass-delete', `${dir(work, 'empty')}/`, url('link/')],
    ['--keep-dirlinks', '--delete', '--allow-mass-delete', `${from}/`, url('link/x')],
    ['--backup', '--backup-dir=/../served.versions', `${from}/`, url()],
    ['--publish', `${from}/`, url('d')],
    ['--snapshot', '--keep-last=1', `${from}/`, url('series')],
  ];
  for (const words of attempts) {
    await cli(t, user, ['-rt', ...words]);
    t.deepEqual(held(`${served}.versions`), before, words.join(' '));
    t.false(Object.values(held(to)).includes(OLD.f), words.join(' '));
  }
  const roots = await cli(t, user, ['--list-only', server.url()]);
  t.false(roots.stdout.includes('versions'));
  const refused = await cli(t, user, ['-rt', '--publish', `${from}/`, url('d')]);
  t.is(refused.code, exit.unauthorized);
  t.true(refused.stderr.includes('keeps versions'), refused.stderr);
});

test('a file with further names is not written over, for one of them may be a version', async (t) => {
  const { work, served, client: user, url } = await keeping(t);
  const from = dir(work, 'source');
  put(served, OLD);
  linkSync(`${served}/f`, `${served}/other`);
  put(from, { f: CHANGED.f });
  const ended = await cli(t, user, ['-rt', '--inplace', `${from}/`, url()]);
  t.is(ended.code, exit.partial, ended.stderr);
  t.is(readFileSync(`${served}/f`, 'utf8'), OLD.f);
});

test('versions that a client would reach, or that are elsewhere, are refused at the start', async (t) => {
  const work = workDir(t);
  const [root, other] = [dir(work, 'root'), dir(work, 'other')];
  const start = (roots: Parameters<typeof serve>[0]['roots']) => serve({ roots, anonymous: true });
  for (const roots of [
    { root: { path: root, versions: `${root}/versions` } },
    { root: { path: root, versions: root } },
    { root: { path: root, versions: work } },
    { root: { path: root, versions: true as const }, above: work },
    { root: { path: root, versions: `${other}/in` }, other },
    ...(canMount ? [{ root: { path: root, versions: '/dev/shm' } }] : []),
  ]) {
    await failure(t, start(roots), ConfigError, JSON.stringify(roots));
  }
  await failure(t, start({ root: { path: root, versions: `${work}/none/deep` } }), Error);
  const server = await start({ root: { path: root, versions: true }, other });
  await server.close();
  t.is(statSync(`${root}.versions`).mode & 0o777, 0o700);
});

(canMount ? test : test.skip)(
  'where there is no room for a version nothing is changed, and another file system in the root is copied from',
  async (t) => {
    const work = workDir(t);
    const disk = dir(work, 'disk');
    t.true(mountTmpfs(t, disk, 'size=1m'));
    const served = dir(disk, 'served');
    const user = client(work);
    const server = await startServer(t, {
      home: work,
      roots: { root: served },
      clients: [user],
      args: [`--versions=${dir(disk, 'kept')}`],
    });
    const from = dir(work, 'source');
    const old = 'x'.repeat(600_000);
    put(served, { f: old });
    put(from, { f: 'y'.repeat(600_001) });
    const ended = await cli(t, user, ['-rt', '--inplace', '--no-whole-file', `${from}/`, server.url('root')]);
    t.not(ended.code, exit.ok);
    t.true(readFileSync(`${served}/f`, 'utf8') === old);

    const sub = dir(served, 'sub');
    t.true(mountTmpfs(t, sub, 'size=1m'));
    put(sub, { g: 'the old g' });
    put(from, { 'sub/g': 'another g, longer' });
    t.is((await cli(t, user, ['-rt', `${from}/sub/`, server.url('root', 'sub')])).code, exit.ok);
    t.deepEqual(Object.values(held(`${disk}/kept`)), ['the old g']);
    t.true(existsSync(`${disk}/kept/root`), 'each root has its own');
  },
);
