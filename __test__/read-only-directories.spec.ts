// Directories that one owns and may not write to, list or search: what rsync does in them is done in them.
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { ExecutionContext } from 'ava';

import { judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';
import { type Tree, walk } from './helpers/walk.js';

const USER = 12_345;

/** Makes files below `root`, the directories of which get their modes last. */
function make(root: string, files: Readonly<Record<string, string>>, modes: Readonly<Record<string, number>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const all = ['', ...(readdirSync(root, { recursive: true }) as string[])];
  for (const path of all) chownSync(join(root, path), USER, USER);
  for (const [path, mode] of Object.entries(modes)) chmodSync(join(root, path), mode);
}

/** A folder of the user's, with room for a server's key and state. */
function ownDir(parent: string, name: string): string {
  const made = dir(parent, name);
  for (const path of [made, dir(made, 'server.config'), dir(made, 'server.state')]) chownSync(path, USER, USER);
  return made;
}

/** Pushes to a server that runs as the user and offers `served`. */
async function push(
  t: ExecutionContext,
  from: Client,
  to: { home: string; name: string; durability: string; args: readonly string[]; served: string },
): Promise<void> {
  const server = await startServer(t, {
    home: ownDir(to.home, to.name),
    roots: { root: to.served },
    clients: [from],
    args: ['--durability', to.durability],
    under: ['setpriv', ...becoming(USER)],
    env: { HOME: to.home },
  });
  const pushed = await start(t, process.execPath, [program, ...to.args, server.url('root')], { env: from.env }).ended;
  t.is(pushed.code, 0, pushed.stderr);
  await server.stop();
}

/** The environment of a client that keeps everything in this folder. */
const envIn = (home: string): Record<string, string> => ({
  HOME: home,
  SPARSYNC_CONFIG_DIR: `${home}/config`,
  SPARSYNC_STATE_DIR: `${home}/state`,
});

const shown = (tree: Tree): string[] =>
  [...tree].map(([path, entry]) => `${path} ${entry.kind} ${entry.mode.toString(8)} ${entry.hash ?? ''}`).toSorted();

judgedWhere(canBecome)(
  'a directory of mode 0555 is deleted from, deleted whole and written to, as by rsync',
  async (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const source = dir(work, 'source');
    make(
      source,
      { 'd/kept': 'kept', 'd/old': 'new content', 'd/new': 'new', 'e/kept': 'kept' },
      { d: 0o555, e: 0o755 },
    );
    const before = (root: string): void => {
      mkdirSync(root);
      const files = { 'd/kept': 'kept', 'd/old': 'old', 'd/extra': 'extra', 'd/sub/extra': 'extra', 'e/kept': 'kept' };
      make(
        root,
        { ...files, 'e/extra': 'extra', 'gone/a': 'a', 'gone/deep/b': 'b' },
        { 'd/sub': 0o555, d: 0o555, e: 0o555, 'gone/deep': 0o555, gone: 0o555 },
      );
    };
    const home = ownDir(work, 'home');
    const env = envIn(home);
    for (const options of [
      ['-a', '--delete'],
      ['-rt', '--delete'],
    ]) {
      const label = options[0] ?? '';
      const [judge, local, served] = [`${work}/judge${label}`, `${work}/local${label}`, `${work}/served${label}`];
      for (const root of [judge, local, served]) before(root);
      const rsync = await start(t, 'setpriv', [...becoming(USER), 'rsync', ...options, `${source}/`, judge]).ended;
      t.is(rsync.code, 0, rsync.stderr);
      const copied = await start(
        t,
        'setpriv',
        [...becoming(USER), process.execPath, program, ...options, `${source}/`, local],
        { env },
      ).ended;
      t.deepEqual([copied.code, copied.stderr], [0, ''], `${label}, here`);
      t.deepEqual(shown(walk(local, { content: true })), shown(walk(judge, { content: true })), `${label}, here`);

      await push(t, client(work, `client${label}`), {
        home,
        name: `server${label}`,
        durability: 'none',
        args: [...options, `${source}/`],
        served,
      });
      t.deepEqual(shown(walk(served, { content: true })), shown(walk(judge, { content: true })), `${label}, pushed`);
    }
    t.is(statSync(`${work}/local-a/d`).mode & 0o7777, 0o555);
  },
);

judgedWhere(canBecome)(
  "a directory of one's own of mode 0555 is written to with --temp-dir and --partial-dir",
  async (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const source = dir(work, 'source');
    make(source, { 'd/large': 'large'.repeat(1 << 20), 'd/small': 'small' }, { d: 0o555 });
    const home = ownDir(work, 'home');
    const env = envIn(home);
    for (const [index, options] of [
      ['-T', dir(home, 'tmp')],
      ['--partial-dir=.part'],
      ['--partial-dir', dir(home, 'parts')],
    ].entries()) {
      for (const place of ['tmp', 'parts']) chownSync(dir(home, place), USER, USER);
      const destination = `${work}/destination${index}`;
      make(dir(work, `destination${index}`), { 'd/small': 'old' }, { d: 0o555 });
      const args = ['-a', '--verify-copies', ...options, `${source}/`, destination];
      const ran = await start(t, 'setpriv', [...becoming(USER), process.execPath, program, ...args], { env }).ended;
      t.deepEqual([ran.code, ran.stderr], [0, ''], options.join(' '));
      t.deepEqual(
        shown(walk(destination, { content: true })),
        shown(walk(source, { content: true })),
        options.join(' '),
      );
    }
  },
);

/** The same tree with the modes of directories left out, which rsync widens for good where it sets none. */
const withoutModes = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/ directory [0-7]+ /, ' directory '));

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

judgedWhere(canBecome)(
  "directories of one's own that may not be listed or searched are written to, the top as well, and get their modes back",
  async (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const source = dir(work, 'source');
    make(source, { 'd/kept': 'kept', 'd/old': 'new content', 'd/new': 'new', 'd/file': 'file', 'e/f': 'f' }, {});
    const home = ownDir(work, 'home');
    const env = envIn(home);
    const user = client(work, 'client');
    const cases = [
      { d: 0o300, top: 0o755 },
      { d: 0o311, top: 0o755 },
      { d: 0o600, top: 0o755 },
      { d: 0o000, top: 0o755 },
      { d: 0o755, top: 0o300 },
      { d: 0o311, top: 0o311 },
    ];
    const byCase = async (name: string, options: readonly string[], modes: (typeof cases)[number]): Promise<void> => {
      const before = (root: string, inside: number): void => {
        mkdirSync(root);
        const files = { 'd/kept': 'kept', 'd/old': 'old', 'd/sub/extra': 'extra', 'e/f': 'f', 'd/file/inside': 'in' };
        make(root, files, { 'd/sub': inside, 'd/file': inside, d: modes.d, '': modes.top });
      };
      const [judge, local, served] = [`${work}/judge-${name}`, `${work}/local-${name}`, `${work}/served-${name}`];
      // rsync cannot delete such a directory, we can.
      before(judge, 0o755);
      for (const root of [local, served]) before(root, modes.d);
      const as = (...command: string[]): ReturnType<typeof start> =>
        start(t, 'setpriv', [...becoming(USER), ...command], { env });
      const rsync = await as('rsync', ...options, `${source}/`, judge).ended;
      t.is(rsync.code, 0, rsync.stderr);
      const copied = await as(process.execPath, program, ...options, `${source}/`, local).ended;
      t.deepEqual([copied.code, copied.stderr], [0, ''], `${name}, here`);
      await push(t, user, {
        home,
        name: `server-${name}`,
        durability: 'run',
        args: [...options, `${source}/`],
        served,
      });
      const carriesModes = options.includes('-a');
      const told = (root: string): string[] => {
        const lines = shown(walk(root, { content: true }));
        return carriesModes ? lines : withoutModes(lines);
      };
      for (const root of [local, served]) {
        t.deepEqual(told(root), told(judge), `${name}: ${root}`);
        const expected = carriesModes ? [modeOf(source), '755'] : [modes.top.toString(8), modes.d.toString(8)];
        t.deepEqual([modeOf(root), modeOf(`${root}/d`)], expected, `${name}: ${root}`);
      }
      // What is equal is looked at again, and not reported as different.
      const again = await as(process.execPath, program, '-i', ...options, `${source}/`, local).ended;
      t.deepEqual([again.code, again.stdout, again.stderr], [0, '', ''], `${name}, again`);
    };
    for (const [index, modes] of cases.entries()) {
      await byCase(`a${index}`, ['-a', '--delete'], modes);
      await byCase(`rt${index}`, ['-rt', '--delete'], modes);
    }
  },
);

judgedWhere(canBecome && hasStrace)(
  'directories that were made usable get their modes back when the run fails',
  async (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const [source, destination] = [dir(work, 'source'), dir(work, 'destination')];
    make(source, { 'd/in/new': 'new' }, {});
    make(destination, { 'd/in/old': 'old', 'e/f': 'f' }, { 'd/in': 0o300, d: 0o311, e: 0, '': 0o311 });
    const home = ownDir(work, 'home');
    const env = envIn(home);
    const fault = ['-e', 'trace=renameat,renameat2', '-e', 'inject=renameat,renameat2:error=ENOSPC'];
    const command = [
      'setpriv',
      ...becoming(USER),
      process.execPath,
      program,
      '-a',
      '--delete',
      `${source}/`,
      destination,
    ];
    const [strace = '', ...words] = straced(`${work}/trace`, [...fault, ...command]);
    const { code, stderr } = await start(t, strace, words, { env }).ended;
    t.is(code, 11, stderr);
    t.deepEqual(
      ['', '/d', '/d/in', '/e'].map((path) => modeOf(`${destination}${path}`)),
      ['311', '311', '300', '0'],
    );
  },
);

judgedWhere(canBecome)('a file goes into a directory that may only be searched, and comes out of one', async (t) => {
  const work = workDir(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const tree = dir(work, 'tree');
  make(tree, { 'closed/in/file': 'file', 'closed/one': 'one', 'open/old': 'old' }, { closed: 0o311 });
  const foreign = dir(work, 'foreign');
  chmodSync(foreign, 0o733);
  const home = ownDir(work, 'home');
  const env = envIn(home);
  const copies = [
    [`${tree}/closed/one`, `${tree}/open/`],
    [`${tree}/closed/in`, `${tree}/open/`],
    [`${tree}/open/old`, `${tree}/closed/`],
    [`${tree}/open/`, `${tree}/closed/new`],
    [`${tree}/open/old`, `${foreign}/`],
  ];
  for (const [from = '', to = ''] of copies) {
    for (const durability of ['none', 'run', 'file']) {
      const words = [program, '-a', '--durability', durability, from, to];
      const { code, stderr } = await start(t, 'setpriv', [...becoming(USER), process.execPath, ...words], {
        env,
      }).ended;
      t.deepEqual([code, stderr], [0, ''], `${from} ${to} ${durability}`);
    }
  }
  const found = walk(tree, { content: true });
  t.deepEqual(
    ['open/one', 'open/in/file', 'closed/old', 'closed/new/old', 'closed/new/in/file'].filter(
      (path) => !found.has(path),
    ),
    [],
  );
  t.deepEqual(readdirSync(foreign), ['old']);
  t.is(modeOf(`${tree}/closed`), '311');
});
