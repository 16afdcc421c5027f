// --keep-dirlinks: symlinks of the destination that are written through where the source has directories.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { PartialSyncError, sync } from '../dist/index.js';
import { judged } from './helpers/judge.js';
import { asRsync, file, link, randomLinks, settle } from './helpers/links.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { accessOf, failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

/** A source with directories where the destination has symlinks, and one symlink where it has one as well. */
function grow(root: string): void {
  for (const path of ['src/d/deep/er', 'src/e', 'src/g', 'src/h', 'src/new']) {
    mkdirSync(`${root}/${path}`, { recursive: true });
  }
  for (const path of ['d/f', 'd/deep/x', 'd/deep/er/y', 'e/z', 'g/w', 'h/v', 'new/n']) file(`${root}/src/${path}`);
  link(`${root}/src/l`, 'd');
  settle(root, 'src/d/deep/er', 'src/d/deep', 'src/d', 'src/e', 'src/g', 'src/h', 'src/new', 'src');
}

function fill(destination: string): void {
  for (const path of ['in/extradir/deep', 'in2', 'in3/er']) mkdirSync(`${destination}/${path}`, { recursive: true });
  for (const path of ['in/extra', 'in/extradir/deep/x', 'in/f', 'in2/extra', 'in3/er/extra', 'plain']) {
    file(`${destination}/${path}`, `of the destination: ${path}`);
  }
  for (const [path, target] of [
    ['d', 'in'],
    ['in/deep', '../in3'],
    ['e', 'plain'],
    ['g', 'nothing'],
    ['h', './in2/'],
    ['l', 'in2'],
    ['x', 'in2'],
  ] as const)
    link(`${destination}/${path}`, target);
  settle(destination, 'in3/er', 'in3', 'in2', 'in/extradir/deep', 'in/extradir', 'in');
}

judgedEachWay(
  'symlinks to directories are written through where the source has directories, as by rsync',
  async (t, ready) => {
    grow(ready.work);
    grow(ready.served);
    // rsync cannot set the attributes of such a directory unless it is told to trust every symlink, and then gives the time of
    // the directory to the symlink.
    const judgeFlags = (flags: readonly string[]): string[] => [...flags, '--insecure-links'];
    const rules = ['--filter=P /in*', '--filter=P /plain'];
    await asRsync(
      t,
      ready,
      [['-K'], ['-K', '--delete', ...rules], ['-K', '-c'], ['-K', '--existing']].map((flags) => ({
        flags,
        source: 'src/',
        fill,
        judgeFlags: judgeFlags(flags),
        anyTime: true,
      })),
    );
    t.is(readlinkSync(`${ready.work}/made-local0/d`), 'in');
    t.is(readlinkSync(`${ready.work}/made-local0/in/deep`), '../in3');
    t.true(existsSync(`${ready.work}/made-local1/in3/er/y`));
    t.false(existsSync(`${ready.work}/made-local1/in/extra`));
  },
);

judgedEachWay('a source under its own name is written through a symlink of that name', async (t, ready) => {
  grow(ready.work);
  grow(ready.served);
  const fill = (destination: string): void => {
    mkdirSync(`${destination}/in`);
    link(`${destination}/src`, 'in');
  };
  await asRsync(t, ready, [
    { flags: ['-K'], source: 'src', fill, judgeFlags: ['-K', '--insecure-links'], anyTime: true },
  ]);
  t.true(existsSync(`${ready.work}/made-local0/in/d/f`));
});

judgedEachWay('rules of directories are those of what symlinks lead to', async (t, ready) => {
  grow(ready.work);
  grow(ready.served);
  const rules = ['--filter=P /in*', '--filter=P /plain', '--filter=: .rules'];
  const withRules = (destination: string): void => {
    fill(destination);
    file(`${destination}/in/.rules`, 'P extra\nP .rules\n');
    settle(destination, 'in');
  };
  const flags = ['-K', '--delete', ...rules];
  await asRsync(t, ready, [
    { flags, source: 'src/', fill: withRules, judgeFlags: [...flags, '--insecure-links'], anyTime: true },
  ]);
  t.true(existsSync(`${ready.work}/made-local0/in/extra`));
});

test('what a symlink that is written through leads to is not deleted, nor replaced', async (t) => {
  const { work, url, access, served } = await setup(t);
  const source = dir(work, 'src');
  mkdirSync(`${source}/d/sub`, { recursive: true });
  for (const path of ['d/f', 'd/sub/g', 'file']) file(`${source}/${path}`);
  const lead = (made: string, target: string): void => {
    mkdirSync(`${made}/${target}/extra`, { recursive: true });
    mkdirSync(`${made}/other`);
    file(`${made}/${target}/gone`);
    link(`${made}/d`, target);
  };
  const options = { keepDirLinks: true, delete: true, allowMassDelete: true };
  for (const deleteAfter of [false, true]) {
    const name = `deleted-after-${deleteAfter}`;
    for (const [made, to] of [
      [`${work}/${name}`, `${work}/${name}`],
      [`${served}/${name}`, url(name)],
    ] as const) {
      lead(made, 'aside/deep');
      const all = { ...options, deleteAfter, ...(to === made ? {} : access) };
      const dry = await sync(source, to, { ...all, dryRun: true });
      const result = await sync(source, to, all);
      t.is(result.stats.filesDeleted, dry.stats.filesDeleted);
      t.is(result.stats.directoriesDeleted, dry.stats.directoriesDeleted);
      t.deepEqual([...walk(`${made}/aside`).keys()].toSorted(), ['', 'deep', 'deep/f', 'deep/sub', 'deep/sub/g']);
      t.false(existsSync(`${made}/other`));
      t.regex(result.warnings.map(({ message }) => message).join(), /what a symlink leads to/);
    }
  }
  lead(`${work}/made`, 'file');
  const error = await failure(t, sync(source, `${work}/made`, options), PartialSyncError);
  t.regex(error.result.failures[0]?.message ?? '', /written to through a symlink/);
  t.true(existsSync(`${work}/made/file/sub/g`));
});

judgedEachWay('random trees are written through symlinks as by rsync', async (t, ready) => {
  t.log(`seed ${seed}`);
  for (let round = 0; round < scaled(3, 60); round += 1) {
    const random = new Random(`dirlinks ${round}`);
    for (const top of [ready.work, ready.served]) rmSync(`${top}/src`, { recursive: true, force: true });
    randomLinks(random, dir(ready.work, 'src'));
    spawnSync('rsync', ['-aH', '--delete', 'src/', `${ready.served}/src/`], { cwd: ready.work });
    const directories = [...walk(`${ready.work}/src`)].flatMap(([path, { kind }]) =>
      kind === 'directory' && path !== '' ? [path] : [],
    );
    const linked = directories.filter(() => random.oneIn(2));
    const extra = linked.filter(() => random.oneIn(2));
    // A symlink to a folder of its own stands for each of some directories, those of others among them.
    const replaced = (destination: string): void => {
      for (const [index, path] of linked.entries()) {
        mkdirSync(`${destination}/in${index}`, { recursive: true });
        if (extra.includes(path)) {
          mkdirSync(`${destination}/in${index}/gone`);
          for (const name of ['extra', 'gone/extra']) file(`${destination}/in${index}/${name}`);
        }
      }
      for (const [index, path] of linked.entries()) {
        mkdirSync(dirname(`${destination}/${path}`), { recursive: true });
        link(`${destination}/${path}`, `${'../'.repeat(depth(destination, path))}in${index}`);
      }
    };
    for (const name of ['judge0', 'made-local0', 'made-pull0']) {
      rmSync(`${ready.work}/${name}`, { recursive: true, force: true });
    }
    rmSync(`${ready.served}/made0`, { recursive: true, force: true });
    const flags = ['-K', ...(random.oneIn(2) ? ['--delete', '--filter=P /in*'] : [])];
    const one = { flags, source: 'src/', fill: replaced, judgeFlags: [...flags, '--insecure-links'], anyTime: true };
    await asRsync(t, ready, [one]);
  }
});

/** How many directories are really above an entry of a destination, where symlinks lead on the way. */
function depth(destination: string, path: string): number {
  const parent = realpathSync(dirname(`${destination}/${path}`));
  return parent.split('/').length - realpathSync(destination).split('/').length;
}

const LEADS_OUT = 'a symlink is in its place that leads out of what may be written here';

/** What a run with symlinks that lead out of the destination told, by the path. */
async function told(t: Parameters<typeof workDir>[0], run: PromiseLike<unknown>): Promise<Record<string, string>> {
  const error = await failure(t, run, PartialSyncError);
  return Object.fromEntries(error.result.failures.map(({ path, message }) => [path, message]));
}

test('a symlink that leads out stays, is told, and nothing arrives below it (CVE-2014-9512, CVE-2024-12087)', async (t) => {
  const { work, served, url, access } = await setup(t);
  const outside = dir(work, 'outside');
  const source = dir(work, 'src');
  mkdirSync(`${source}/d/sub`, { recursive: true });
  for (const path of ['d/f', 'd/sub/g', 'top']) file(`${source}/${path}`);
  // What a sender has had made in an earlier run.
  for (const [index, target] of [outside, '../../../outside', `${work}/none`, '/'].entries()) {
    for (const [made, to] of [
      [`${work}/local${index}`, `${work}/local${index}`],
      [`${served}/pushed${index}`, url(`pushed${index}`)],
      [`${work}/pulled${index}`, ''],
    ] as const) {
      mkdirSync(made, { recursive: true });
      link(`${made}/d`, target);
      const options = { ...(to.startsWith('/') ? {} : access), keepDirLinks: true };
      if (to === '') await sync(source, url('origin'), access);
      const failures = await told(
        t,
        Promise.resolve(to === '' ? sync(url('origin'), made, options) : sync(source, to, options)),
      );
      t.is(failures['d'], LEADS_OUT);
      t.deepEqual(Object.keys(failures).toSorted(), ['d', 'd/f', 'd/sub', 'd/sub/g']);
      t.is(readlinkSync(`${made}/d`), target);
      t.true(existsSync(`${made}/top`));
      t.deepEqual(readdirSync(outside), []);
    }
  }
});

test('at a server symlinks are written through below the prefix of the key alone', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  for (const path of ['mine/tree', 'mine/beside', 'other', 'mine/.hid'])
    mkdirSync(`${served}/${path}`, { recursive: true });
  const user = client(work);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [`me ${user.publicKey} root=root/mine allow=read,write,delete`],
    args: ['--exclude=.hid'],
  });
  const source = dir(work, 'src');
  for (const path of ['in', 'out', 'hid']) {
    mkdirSync(`${source}/${path}`);
    file(`${source}/${path}/f`);
  }
  link(`${served}/mine/tree/in`, '../beside');
  link(`${served}/mine/tree/out`, '../../other');
  link(`${served}/mine/tree/hid`, '../.hid');
  const run = sync(source, server.url('root', 'mine/tree'), { ...accessOf(user, server), keepDirLinks: true });
  t.deepEqual(Object.keys(await told(t, Promise.resolve(run))).toSorted(), ['hid', 'hid/f', 'out', 'out/f']);
  t.true(existsSync(`${served}/mine/beside/f`));
  t.deepEqual([readdirSync(`${served}/other`), readdirSync(`${served}/mine/.hid`)], [[], []]);
});

const flipper = fileURLToPath(new URL('helpers/flipper.mjs', import.meta.url));

judged(
  'a directory that is written through flips to a symlink that leads out: nothing gets out (CVE-2026-29518)',
  async (t) => {
    t.timeout(scaled(300_000, 3_600_000));
    const { work, served, url, access } = await setup(t);
    const outside = dir(work, 'outside');
    file(`${outside}/f0`, 'not yours');
    const source = dir(work, 'src');
    mkdirSync(`${source}/d`);
    mkdirSync(`${served}/tree/real`, { recursive: true });
    link(`${served}/tree/d`, 'real');
    const race = start(t, process.execPath, [flipper, `${served}/tree/d`, outside], { input: null });
    for (let round = 0; round < scaled(20, 500); round += 1) {
      for (let count = 0; count < 10; count += 1) file(`${source}/d/f${count}`, `round ${round} ${count}`);
      const options = { ...access, keepDirLinks: true, delete: round % 2 === 0, allowMassDelete: true };
      await sync(source, url('tree'), { ...options, filter: [{ protect: '/real' }] }).catch(() => undefined);
      t.deepEqual(readdirSync(outside), ['f0'], `round ${round}`);
      t.is(readFileSync(`${outside}/f0`, 'utf8'), 'not yours', `round ${round}`);
    }
    race.child.stdin?.end();
    await race.ended;
  },
);

test('without it a symlink gives way to a directory, and with it a directory never does to a symlink', async (t) => {
  const { work } = await setup(t);
  const source = dir(work, 'src');
  mkdirSync(`${source}/d`);
  file(`${source}/d/f`);
  const made = dir(work, 'made');
  mkdirSync(`${made}/real`);
  link(`${made}/d`, 'real');
  await sync(source, made);
  t.true(lstatSync(`${made}/d`).isDirectory());
  t.deepEqual(readdirSync(`${made}/real`), []);
  rmSync(`${source}/d`, { recursive: true });
  link(`${source}/d`, 'elsewhere');
  await sync(source, made, { keepDirLinks: true, delete: true, allowMassDelete: true });
  t.is(readlinkSync(`${made}/d`), 'elsewhere');
});
