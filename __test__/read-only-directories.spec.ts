// Directories that one owns and may not write to: what rsync does in them is done in them.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { type Tree, walk } from './helpers/walk.js';

const USER = 12_345;

const asUser: readonly string[] = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];

const canBecome = isRoot && spawnSync('setpriv', [...asUser.slice(1), 'true']).status === 0;

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
    const env = { HOME: home, SPARSYNC_CONFIG_DIR: `${home}/config`, SPARSYNC_STATE_DIR: `${home}/state` };
    for (const options of [
      ['-a', '--delete'],
      ['-rt', '--delete'],
    ]) {
      const label = options[0] ?? '';
      const [judge, local, served] = [`${work}/judge${label}`, `${work}/local${label}`, `${work}/served${label}`];
      for (const root of [judge, local, served]) before(root);
      const rsync = await start(t, 'setpriv', [...asUser.slice(1), 'rsync', ...options, `${source}/`, judge]).ended;
      t.is(rsync.code, 0, rsync.stderr);
      const copied = await start(
        t,
        'setpriv',
        [...asUser.slice(1), process.execPath, program, ...options, `${source}/`, local],
        { env },
      ).ended;
      t.deepEqual([copied.code, copied.stderr], [0, ''], `${label}, here`);
      t.deepEqual(shown(walk(local, { content: true })), shown(walk(judge, { content: true })), `${label}, here`);

      const user = client(work, `client${label}`);
      const server = await startServer(t, {
        home: ownDir(home, `server${label}`),
        roots: { root: served },
        clients: [user],
        args: ['--durability', 'none'],
        under: asUser,
        env: { HOME: home },
      });
      const pushed = await start(t, process.execPath, [program, ...options, `${source}/`, server.url('root')], {
        env: user.env,
      }).ended;
      t.is(pushed.code, 0, pushed.stderr);
      t.deepEqual(shown(walk(served, { content: true })), shown(walk(judge, { content: true })), `${label}, pushed`);
      await server.stop();
    }
    t.is(statSync(`${work}/local-a/d`).mode & 0o7777, 0o555);
  },
);
