// Access times: carried as by rsync -U, and left as they are at the source with --open-noatime.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';

import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { judgedEachWay } from './helpers/ways.js';

const names = ['f', 'd/g', 'large', 'p'];

const modified = 1_000_000_000;

/** Whole seconds of the access time of each of some paths. */
function atimes(root: string, of: readonly string[] = names): Record<string, number> {
  return Object.fromEntries(of.map((name) => [name, Math.trunc(lstatSync(`${root}/${name}`).atimeMs / 1000)]));
}

function touch(root: string, seconds: number): void {
  for (const name of [...names, 'd', '.']) utimesSync(`${root}/${name}`, seconds, modified);
  lutimesSync(`${root}/link`, seconds, modified);
}

function make(source: string): void {
  mkdirSync(`${source}/d`);
  writeFileSync(`${source}/f`, 'content');
  writeFileSync(`${source}/d/g`, 'content');
  writeFileSync(`${source}/large`, 'x'.repeat(300_000));
  symlinkSync('f', `${source}/link`);
  execFileSync('mkfifo', [`${source}/p`]);
  touch(source, 1_100_000_000);
}

const shown = (output: string): string[] =>
  output
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('created') && !line.includes(' link'))
    .map((line) => line.replace(/^</, '>'))
    .toSorted();

judgedEachWay(
  '-U carries access times of all but directories, as rsync does, here and through a server',
  async (t, { work, served, url, client: user }) => {
    const source = dir(work, 'source');
    make(source);
    // Each run reads files, which may change the source's own.
    const run = async (to: string, tree: string, atime: number, flags = '-aUi'): Promise<void> => {
      touch(source, atime);
      const judge = rsync(flags, `${source}/`, `${work}/theirs/`);
      touch(source, atime);
      const before = atimes(source);
      const ran = await cli(t, user, [flags, `${source}/`, to]);
      t.is(ran.code, exit.ok, ran.stderr);
      t.deepEqual(shown(ran.stdout), shown(judge), `${to} ${atime}`);
      if (flags.includes('U')) t.deepEqual(atimes(tree), before, `${to} ${atime}`);
    };
    for (const [to, tree] of [
      [`${work}/ours`, `${work}/ours`],
      [url('tree'), `${served}/tree`],
    ] as const) {
      execFileSync('rm', ['-rf', `${work}/theirs`]);
      for (const atime of [1_100_000_000, 1_100_000_000, 1_200_000_000, -5]) await run(to, tree, atime);
      touch(tree, 1_300_000_000);
      touch(`${work}/theirs`, 1_300_000_000);
      await run(to, tree, 1_200_000_000);
      t.is(Math.trunc(lstatSync(`${tree}/link`).atimeMs / 1000), 1_200_000_000);
      await run(to, tree, 1_200_000_000, '-ai');
    }
    touch(`${served}/tree`, 1_400_000_000);
    const before = atimes(`${served}/tree`);
    await quietly(t, user, ['-aU', url('tree/'), `${work}/pulled`]);
    t.deepEqual(atimes(`${work}/pulled`), before, 'pull');
  },
);

test('--open-noatime leaves the access times of what is read', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  // Tests may live in memory, where each reading is noted as on a disk.
  const source = dir(work, 'source');
  make(source);
  const old = 1_000_000_000 - 100;
  const read = ['f', 'd/g', 'large'];
  touch(source, old);
  await quietly(t, user, ['-a', '--open-noatime', `${source}/`, url('tree')]);
  t.deepEqual(atimes(source, read), { f: old, 'd/g': old, large: old });
  for (const tree of [source, `${served}/tree`]) touch(tree, old);
  await quietly(t, user, ['-ac', '--open-noatime', `${source}/`, url('tree')]);
  for (const tree of [source, `${served}/tree`]) {
    t.deepEqual(atimes(tree, read), { f: old, 'd/g': old, large: old }, tree);
  }
  await quietly(t, user, ['-ac', `${source}/`, `${work}/copy`]);
  t.log(`without it: ${JSON.stringify(atimes(source, read))}`);
});

judged('-UU leaves them too, as with rsync, and -U alone does not', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  make(source);
  const old = 1_000_000_000 - 100;
  const read = ['f', 'd/g', 'large'];
  for (const flags of ['-aUU', '-aU']) {
    touch(source, old);
    rsync(flags, `${source}/`, `${work}/theirs${flags}`);
    const isKept = (): boolean => read.every((name) => atimes(source, read)[name] === old);
    const theirs = isKept();
    touch(source, old);
    await quietly(t, user, [flags, `${source}/`, `${work}/ours${flags}`]);
    t.is(isKept(), theirs, flags);
    t.deepEqual(atimes(`${work}/ours${flags}`), atimes(`${work}/theirs${flags}`), flags);
  }
});

judgedWhere(canBecome)(
  'a plain user carries access times, and leaves those of what is his, as with rsync',
  async (t) => {
    const { work, client: user } = await setup(t);
    const uid = 65_534;
    for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
    const source = dir(work, 'source');
    make(source);
    for (const path of ['.', 'd', 'd/g', 'f', 'large', 'p', 'link']) lchownSync(`${source}/${path}`, uid, uid);
    const env = { ...user.env, SPARSYNC_STATE_DIR: dir(work, 'state') };
    chownSync(env.SPARSYNC_STATE_DIR, uid, uid);
    const old = modified - 100;
    for (const [at, flags] of ['-aU', '-aU --open-noatime', '-aUU', '-a --open-noatime', '-acU'].entries()) {
      const outcomes: object[] = [];
      for (const command of [['rsync'], [process.execPath, program]]) {
        const to = dir(work, `to${at}.${command.length}`);
        chownSync(to, uid, uid);
        touch(source, old);
        const words = [...becoming(uid), ...command, ...flags.split(' '), `${source}/`, `${to}/`];
        const { code } = await start(t, 'setpriv', words, { env }).ended;
        const carried = flags.includes('U') ? atimes(to) : {};
        // What was read has the moment of that, which is another one for each of the two.
        const left = Object.entries(atimes(source, ['f', 'd/g', 'large'])).map(([name, time]) => [name, time === old]);
        outcomes.push({ code, carried, left });
      }
      t.deepEqual(outcomes[1], outcomes[0], flags);
      t.is(Reflect.get(outcomes[0] ?? {}, 'code'), exit.ok, flags);
    }
  },
);

test('-N is refused with its reason, as rsync refuses it', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const flag of ['-N', '--crtimes']) {
    const ran = await cli(t, user, ['-a', flag, `${source}/`, `${work}/copy`]);
    t.is(ran.code, exit.usage);
    t.regex(ran.stderr, /is not supported: Linux cannot set the time at which a file was created/);
  }
});
