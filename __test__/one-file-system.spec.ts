// --one-file-system: what is mounted in a source is not gone into, and what is mounted in a destination is not deleted.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { startCli } from './helpers/cli.js';
import { judgedWhere, rsyncSays } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { canMount, mountTmpfs, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { judgedEachWay } from './helpers/ways.js';

const judged = judgedWhere(canMount);

/** A tree with another file system in it, and one more below that. */
function grow(t: ExecutionContext, root: string): void {
  mkdirSync(`${root}/a/deep`, { recursive: true });
  writeFileSync(`${root}/a/file`, 'of this file system');
  mountTmpfs(t, `${root}/a/mounted`, 'size=1m');
  mkdirSync(`${root}/a/mounted/sub`);
  writeFileSync(`${root}/a/mounted/other`, 'of another one');
  mountTmpfs(t, `${root}/z`, 'size=1m');
  writeFileSync(`${root}/z/other`, 'of a third');
  for (const path of ['a/deep', 'a/mounted', 'a', 'z', '.']) {
    utimesSync(`${root}/${path}`, 1_500_000_000, 1_500_000_000);
  }
}

judgedEachWay(
  '-x carries directories where another file system begins, and nothing in them',
  async (t, { work, served, url, client: user }) => {
    grow(t, `${work}/src`);
    grow(t, `${served}/src`);
    const env = { SPARSYNC_GUARDS: 'off' };
    for (const [index, [flags, source]] of (
      [
        [['-ax'], 'src/'],
        [['-ax'], 'src'],
        [['-ax'], 'src/a/mounted'],
        [['-axR'], 'src/./a/mounted/'],
        [['-ax', '--delete'], 'src/'],
        [['-axx'], 'src/'],
        [['-axx'], 'src/a/mounted'],
        [['-axx', '--delete'], 'src/'],
        [['-axxm'], 'src/'],
        [['-axm'], 'src/'],
        [['-axx', '--no-x', '-x'], 'src/'],
      ] as const
    ).entries()) {
      const label = `${flags.join(' ')} ${source}`;
      const made = ['judge', 'local', 'pulled'].map((name) => `${work}/${name}${index}`);
      const [judge = '', local = '', pulled = ''] = made;
      for (const destination of [...made, `${served}/pushed${index}`]) {
        // It stays where the source is not gone into, and is deleted where it is.
        mkdirSync(`${destination}/z/kept`, { recursive: true });
        mkdirSync(`${destination}/a/extra`, { recursive: true });
        for (const path of ['z/kept', 'z', 'a/extra', 'a', '.']) utimesSync(`${destination}/${path}`, 1, 1);
      }
      const said = spawnSync('rsync', [...flags, source, `${judge}/`], { cwd: work, encoding: 'utf8' });
      t.is(said.status, 0, said.stderr);
      const run = async (args: readonly string[], destination: string): Promise<void> => {
        const ran = await startCli(t, user, [...flags, ...args], { cwd: work, env }).ended;
        t.is(ran.code, 0, `${label}: ${ran.stderr}`);
        const differs = rsyncSays(judge, destination);
        // The top has its time from the source only where it is what is in the source.
        const isTop = source === 'src/';
        t.is(isTop ? differs : differs.replace(/^\.d\.\.t\.+ \.\/\n/, ''), '', label);
      };
      await run([source, `${local}/`], local);
      await run([source, url(`pushed${index}/`)], `${served}/pushed${index}`);
      await run([url(source), `${pulled}/`], pulled);
      const again = await startCli(t, user, [...flags, '-i', source, `${local}/`], { cwd: work, env }).ended;
      t.is(again.stdout, '', `${label}, again`);
    }
  },
);

judgedWhere(canMount && canBecome)('so it does for a plain user, who may not look into what is mounted', async (t) => {
  const { work, client: user } = await setup(t);
  const uid = 65_534;
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  const state = dir(work, 'state');
  grow(t, `${work}/src`);
  spawnSync('chown', ['-R', `${uid}:${uid}`, `${work}/src`, state]);
  chownSync(`${work}/src/z`, 0, 0);
  chmodSync(`${work}/src/z`, 0o700);
  const env = { ...user.env, SPARSYNC_GUARDS: 'off', SPARSYNC_STATE_DIR: state };
  for (const [at, [flags, source]] of (
    [
      ['-ax', 'src/'],
      ['-ax --delete', 'src/'],
      ['-axx', 'src/'],
      ['-ax', 'src'],
      ['-axR', 'src/./a/mounted/'],
    ] as const
  ).entries()) {
    const [judge, own] = ['judge', 'own'].map((name) => {
      const path = dir(work, `${name}${at}`);
      mkdirSync(`${path}/a/extra`, { recursive: true });
      spawnSync('chown', ['-R', `${uid}:${uid}`, path]);
      return path;
    });
    if (judge === undefined || own === undefined) return;
    const run = (command: readonly string[], to: string) =>
      start(t, 'setpriv', [...becoming(uid), ...command, ...flags.split(' '), source, `${to}/`], { cwd: work, env })
        .ended;
    const theirs = await run(['rsync'], judge);
    const ours = await run([process.execPath, program], own);
    t.is(ours.code, theirs.code, `${flags} ${source}: ${ours.stderr} | ${theirs.stderr}`);
    t.is(rsyncSays(judge, own).replace(/^\.d\.\.t\.+ \.\/\n/, ''), '', `${flags} ${source}`);
  }
});

judged('-x deletes nothing that is mounted in the destination', async (t) => {
  const { work, client: user } = await setup(t);
  mkdirSync(`${work}/src/both`, { recursive: true });
  for (const name of ['judge', 'local']) {
    mkdirSync(`${work}/${name}/only/here`, { recursive: true });
    writeFileSync(`${work}/${name}/only/extra`, 'x');
    for (const path of ['both', 'only/here']) {
      mountTmpfs(t, `${work}/${name}/${path}`, 'size=1m');
      writeFileSync(`${work}/${name}/${path}/kept`, 'x');
    }
  }
  spawnSync('rsync', ['-ax', '--delete', 'src/', 'judge/'], { cwd: work });
  const env = { SPARSYNC_GUARDS: 'off' };
  const ran = await startCli(t, user, ['-ax', '--delete', 'src/', 'local/'], { cwd: work, env }).ended;
  t.is(ran.code, 0, ran.stderr);
  for (const path of ['both/kept', 'only/here/kept']) {
    t.true(existsSync(`${work}/judge/${path}`), path);
    t.true(existsSync(`${work}/local/${path}`), path);
  }
  t.deepEqual(readdirSync(`${work}/local/only`), readdirSync(`${work}/judge/only`));
  // Without it, all of it goes that can.
  await startCli(t, user, ['-a', '--delete', 'src/', 'local/'], { cwd: work, env }).ended;
  t.false(existsSync(`${work}/local/both/kept`));
});
