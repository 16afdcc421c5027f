import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import { cli, exit, quietly } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { canMount, isRoot, mountRamfs, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';
import { judgedEachWay } from './helpers/ways.js';

/** Whether this user may be root of a user namespace of his own. */
function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--user', '--map-root-user', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

judgedWhere(isRoot && canUnshare())('an id that cannot be set costs its attribute, not the content', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`);
  const large = new Random(t.title).bytes(1 << 20);
  writeFileSync(`${source}/small`, 'small');
  writeFileSync(`${source}/large`, large);
  writeFileSync(`${source}/sub/plain`, 'plain');
  symlinkSync('small', `${source}/link`);
  for (const name of ['small', 'large', 'sub', 'link']) execFileSync('chown', ['-h', '4242', `${source}/${name}`]);
  chownSync(`${source}/sub/plain`, 0, 0);
  const user = client(work);
  const copy = () =>
    start(t, 'unshare', ['--user', '--map-root-user', process.execPath, program, '-a', `${source}/`, `${work}/copy/`], {
      env: user.env,
    }).ended;
  // The second run has nothing to copy, and has the same to tell.
  for (const run of ['first', 'second']) {
    const ended = await copy();
    t.is(ended.code, exit.partial, `${run}: ${ended.stderr}`);
    const told = ended.stderr.split('\n').filter((line) => /^\w+: .*Invalid argument/.test(line));
    t.deepEqual(
      told.map((line) => line.slice(0, line.indexOf(':'))).toSorted(),
      ['large', 'link', 'small', 'sub'],
      `${run}: each path is told once: ${ended.stderr}`,
    );
    for (const line of told) t.regex(line, /: chown \d+: Invalid argument/);
    t.is(readFileSync(`${work}/copy/small`, 'utf8'), 'small');
    t.true(readFileSync(`${work}/copy/large`).equals(large));
    t.is(readFileSync(`${work}/copy/sub/plain`, 'utf8'), 'plain');
    for (const name of ['small', 'large', 'sub', 'link', 'sub/plain']) {
      const [from, to] = [lstatSync(`${source}/${name}`), lstatSync(`${work}/copy/${name}`)];
      t.deepEqual([to.mode, Math.trunc(to.mtimeMs / 1000)], [from.mode, Math.trunc(from.mtimeMs / 1000)], name);
    }
  }
});

judgedWhere(isRoot)('a push without the right to owners says so once, and names the right', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete' });
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'x');
  chownSync(`${source}/f`, 1234, 5678);
  for (const run of ['first', 'no change']) {
    const ended = await cli(t, user, ['-a', `${source}/`, url('tree')]);
    t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], run);
    t.regex(ended.stderr, /^warning: owners and groups are not preserved: .*"owner".*\n$/, run);
  }
  t.is(statSync(`${served}/tree/f`).uid, 0);
  await quietly(t, user, ['-rlpt', `${source}/`, url('tree')]);
  await quietly(t, user, ['-aq', `${source}/`, url('tree')]);
  const owner = client(work, 'owner');
  const server = await startServer(t, { home: dir(work, 'other'), roots: { root: served }, clients: [owner] });
  await quietly(t, owner, ['-a', `${source}/`, server.url('root', 'owned')]);
  t.is(statSync(`${served}/owned/f`).uid, 1234);
});

judgedEachWay(
  'what is not a regular file and is not carried is told as by rsync, without -v',
  async (t, { work, served, url, client: user }) => {
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    writeFileSync(`${source}/sub/f`, 'x');
    symlinkSync('f', `${source}/sub/link`);
    execFileSync('mkfifo', [`${source}/sub/pipe`]);
    for (const from of [`${source}/`, source]) {
      const told = execFileSync('rsync', ['-rpt', from, `${work}/judge`], { encoding: 'utf8' });
      t.regex(told, /link/);
      // Told in each run, also when the destination has what was not carried.
      for (const flags of ['-rpt', '-rpt', '-rptv']) {
        for (const to of [url('tree'), `${work}/local`]) {
          const ended = await cli(t, user, [flags, from, to]);
          t.is(ended.code, exit.ok, ended.stderr);
          const skipped = ended.stdout.split('\n').filter((line) => line.startsWith('skipping'));
          t.deepEqual(skipped.toSorted(), told.trim().split('\n').toSorted(), `${flags} ${to}`);
        }
      }
      const pulled = await cli(t, user, ['-rpt', url('tree/'), `${work}/pulled`]);
      t.is(pulled.stdout, '');
    }
    await quietly(t, user, ['-rptq', `${source}/`, url('tree')]);
    execFileSync('cp', ['-a', `${source}/.`, `${served}/equal`]);
    const equal = await cli(t, user, ['-rpt', `${source}/`, url('equal')]);
    t.is(equal.stdout.split('\n').filter((line) => line.startsWith('skipping')).length, 2, equal.stdout);
  },
);

judgedWhere(canMount && spawnSync('setfattr', ['--version']).status === 0)(
  'what a file system cannot hold is told once for it, and for each entry with --strict-attributes',
  async (t) => {
    const { work, served, url, client: user } = await setup(t);
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    for (const name of ['a', 'b', 'sub/c', 'sub']) {
      if (name !== 'sub') writeFileSync(`${source}/${name}`, 'content');
      execFileSync('setfattr', ['-n', 'user.a', '-v', '1', `${source}/${name}`]);
    }
    mountRamfs(t, `${work}/bare`);
    mountRamfs(t, `${served}/bare`);
    for (const to of [`${work}/bare`, url('bare')]) {
      for (const round of ['first', 'again']) {
        const ended = await cli(t, user, ['-rtX', `${source}/`, to]);
        t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], `${to}, ${round}: ${ended.stderr}`);
        t.regex(
          ended.stderr,
          /^warning: .*extended attributes are not preserved: the destination's file system cannot hold them.*setxattr.*\n$/,
          `${to}, ${round}`,
        );
      }
      const strict = await cli(t, user, ['-rtX', '--strict-attributes', `${source}/`, to]);
      t.is(strict.code, exit.partial, strict.stderr);
      for (const name of ['a', 'b', 'sub/c', 'sub']) {
        t.regex(strict.stderr, new RegExp(`^${name}: .*setxattr user\\.a: Operation not supported`, 'm'), to);
      }
      t.notRegex(strict.stderr, /^warning:/m);
    }
    const judge = spawnSync('rsync', ['-rtX', `${source}/`, `${work}/bare/`]);
    t.is(judge.status, exit.partial, 'rsync fails for each');
  },
);

/** The kernel answers as for FAT, which has no room for owners and modes: as if a right were missing. */
const LIKE_FAT = [
  ['-e', 'trace=fchmod,fchmodat,fchown,fchownat,fstatfs'],
  ['-e', 'inject=fchmod,fchmodat,fchown,fchownat:error=EPERM'],
  ['-e', 'inject=fstatfs:poke_exit=@arg2=444d000000000000'],
] as const;

judgedWhere(isRoot && hasStrace)(
  'a file system that has no room for owners and modes, as FAT, is told once for each, and a missing right for each entry',
  async (t) => {
    const { work, client: user } = await setup(t);
    const source = dir(work, 'source');
    mkdirSync(`${source}/sub`);
    for (const name of ['a', 'b', 'sub/c']) writeFileSync(`${source}/${name}`, 'content');
    for (const name of ['a', 'b', 'sub/c', 'sub']) {
      chmodSync(`${source}/${name}`, 0o777);
      chownSync(`${source}/${name}`, 4242, 4242);
    }
    const run = (injected: readonly (readonly string[])[], to: string, ...flags: string[]) => {
      const [strace = '', ...words] = straced('/dev/null', injected.flat());
      const args = [process.execPath, program, '-rptgo', ...flags, `${source}/`, `${work}/${to}/`];
      return start(t, strace, [...words, ...args], { env: user.env }).ended;
    };
    for (const round of ['first', 'again']) {
      const lenient = await run(LIKE_FAT, 'fat');
      t.is(lenient.code, exit.ok, `${round}: ${lenient.stderr}`);
      t.deepEqual(
        lenient.stderr
          .trimEnd()
          .split('\n')
          .map(
            (line) =>
              /^warning: \S+: (.*) are not preserved: the destination's file system cannot hold them/.exec(line)?.[1] ??
              line,
          )
          .toSorted(),
        ['owners and groups', 'permission bits'],
        `${round}: ${lenient.stderr}`,
      );
    }
    for (const [injected, to, flags] of [
      [LIKE_FAT, 'strict', ['--strict-attributes']],
      [LIKE_FAT.slice(0, 2), 'other', []],
    ] as const) {
      const ended = await run(injected, to, ...flags);
      t.is(ended.code, exit.partial, ended.stderr);
      t.notRegex(ended.stderr, /^warning:/m);
      for (const name of ['a', 'b', 'sub/c', 'sub']) t.regex(ended.stderr, new RegExp(`^${name}: .*chown`, 'm'), to);
      t.is(readFileSync(`${work}/${to}/sub/c`, 'utf8'), 'content');
    }
  },
);
