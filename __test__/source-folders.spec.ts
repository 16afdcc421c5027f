// The folders that sources are in: they need only be searched, and each is held open once however much of it is asked for.
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { differences, walk } from './helpers/walk.js';

const ours = [process.execPath, program];

/** Runs a command where no process has more than 1024 files open. */
const UNDER_LIMIT = ['-c', 'ulimit -n 1024; exec "$@"', 'sh'];

judgedWhere(canBecome)('a plain user sends what is in a folder that he may only search, as with rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const uid = 65_534;
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  const home = dir(work, 'home');
  mkdirSync(`${home}/alice/public`, { recursive: true });
  for (const name of ['alice/a', 'alice/b', 'alice/public/c']) writeFileSync(`${home}/${name}`, name);
  chmodSync(`${home}/alice`, 0o711);
  const env = { ...user.env, SPARSYNC_STATE_DIR: dir(work, 'state') };
  chownSync(env.SPARSYNC_STATE_DIR, uid, uid);
  for (const [at, words] of [
    ['-r', 'alice/a', 'alice/public'],
    ['-rR', 'alice/a', 'alice/public/c'],
    ['-aR', 'alice/b', 'alice/public'],
    ['-rR', 'alice/a'],
  ].entries()) {
    const trees: string[] = [];
    for (const command of [['rsync'], ours]) {
      const to = dir(work, `to${at}.${command.length}`);
      chownSync(to, uid, uid);
      trees.push(to);
      const { code, stderr } = await start(t, 'setpriv', [...becoming(uid), ...command, ...words, `${to}/`], {
        cwd: home,
        env,
      }).ended;
      t.deepEqual({ code, stderr }, { code: exit.ok, stderr: '' }, `${command.at(-1) ?? ''} ${words.join(' ')}`);
      utimesSync(to, 1, 1);
    }
    const [judge = '', tree = ''] = trees;
    const of = (root: string): ReturnType<typeof walk> => walk(root, { content: true });
    const times = words.includes('-aR');
    const named = (root: string): string[] => readdirSync(root, { recursive: true }).map(String).toSorted();
    t.deepEqual(named(tree), named(judge), words.join(' '));
    if (times) t.deepEqual(differences(of(judge), of(tree), { wholeSeconds: true }), [], words.join(' '));
  }
});

judgedWhere(true)(
  'thousands of names of hundreds of folders arrive where few files may be open, as with rsync',
  async (t) => {
    const { work, client: user } = await setup(t);
    const source = dir(work, 'source');
    const names: string[] = [];
    for (let at = 0; at < 3000; at += 1) {
      const name = `d${at % 500}/f${at}`;
      if (at < 500) mkdirSync(`${source}/d${at}`);
      writeFileSync(`${source}/${name}`, name);
      names.push(name);
    }
    const list = `${work}/list`;
    writeFileSync(list, names.join('\n'));
    const trees: string[] = [];
    for (const command of [['rsync'], ours]) {
      const to = `${work}/to.${command.length}`;
      trees.push(to);
      const words = [...UNDER_LIMIT, ...command, '-t', '--no-R', `--files-from=${list}`, `${source}/`, `${to}/`];
      const { code, stderr } = await start(t, 'sh', words, { env: user.env }).ended;
      t.deepEqual({ code, stderr }, { code: exit.ok, stderr: '' }, command.at(-1));
      utimesSync(to, 1, 1);
    }
    const [judge = '', tree = ''] = trees;
    t.is(readdirSync(tree).length, 3000);
    t.deepEqual(differences(walk(judge, { content: true }), walk(tree, { content: true }), { wholeSeconds: true }), []);

    // More folders than may be open are told as that, before anything is written.
    for (let at = 500; at < 1500; at += 1) {
      mkdirSync(`${source}/d${at}`);
      writeFileSync(`${source}/d${at}/g${at}`, '');
      names.push(`d${at}/g${at}`);
    }
    writeFileSync(list, names.join('\n'));
    const words = [...UNDER_LIMIT, ...ours, '-t', '--no-R', `--files-from=${list}`, `${source}/`, `${work}/never/`];
    const { code, stderr } = await start(t, 'sh', words, { env: user.env }).ended;
    t.is(code, exit.limit, stderr);
    t.regex(stderr, /in more directories than this process may hold open \(ulimit -n\)/);
    t.false(existsSync(`${work}/never`));
  },
);
