// POSIX ACLs, as rsync -A has them: compared, set, removed, and one thing with the mode.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { sync } from '../dist/index.js';
import { copied, make } from './helpers/beside.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, itemizedLines, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { canMount, mountRamfs, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { TreeMaker } from './helpers/tree.js';
import { at, walk } from './helpers/walk.js';
import { dumped as dumpedXattrs, hasAcls } from './helpers/xattrs.js';

const USER = 65_534;
const judgedWithAcls = judgedWhere(hasAcls);

function setfacl(...args: string[]): void {
  execFileSync('setfacl', args);
}

/** All ACLs below `root`, a file after the other, as the kernel has them. */
const dumped = (root: string): string => dumpedXattrs(root, '^system\\.posix_acl');

function fill(source: string): void {
  mkdirSync(`${source}/d`);
  for (const name of ['f', 'd/g', 'masked']) writeFileSync(`${source}/${name}`, 'content');
  execFileSync('mkfifo', [`${source}/pipe`]);
  symlinkSync('f', `${source}/link`);
}

judgedWithAcls('each change of an ACL is made and itemized as by rsync -A', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  fill(source);
  const [ours, theirs] = [`${work}/ours`, `${work}/theirs`];
  const here = (...args: string[]): void => setfacl(...args.slice(0, -1), `${source}/${args.at(-1)}`);
  const there = (...args: string[]): void =>
    [ours, theirs].forEach((tree) => setfacl(...args.slice(0, -1), `${tree}/${args.at(-1)}`));
  const changes: Array<[string, () => void]> = [
    ['none', () => undefined],
    ['a user', () => here('-m', 'u:7:rw', 'f')],
    ['nothing', () => undefined],
    ['a group and another right', () => here('-m', 'g:9:r,u:7:r', 'f')],
    ['of a directory', () => here('-m', 'u:7:rwx', 'd')],
    ['a default one', () => here('-d', '-m', 'u:8:rwx', 'd')],
    ['new in a directory with a default one', () => writeFileSync(`${source}/d/new`, 'content')],
    ['a directory in it', () => mkdirSync(`${source}/d/inner`)],
    ['of a FIFO', () => here('-m', 'u:7:r', 'pipe')],
    ['of the top', () => here('-m', 'u:7:rx', '.')],
    ['a mask alone', () => here('-m', 'm::rw', 'masked')],
    ['the mode alone', () => chmodSync(`${source}/f`, 0o604)],
    ['a mode with a set-id bit', () => chmodSync(`${source}/f`, 0o6754)],
    ['a mode with it and an ACL', () => (chmodSync(`${source}/f`, 0o4711), here('-m', 'u:11:x', 'f'))],
    ['with its content', () => (writeFileSync(`${source}/f`, 'more content'), here('-m', 'u:12:x', 'f'))],
    ['with its content and its mode', () => (writeFileSync(`${source}/f`, 'content'), here('-m', 'u:12:rw', 'f'))],
    ['one entry less', () => here('-x', 'u:7', 'f')],
    ['none any more', () => here('-b', 'f')],
    ['no default one any more', () => here('-k', 'd')],
    [
      'only there',
      () => (there('-m', 'u:99:rwx', 'f'), there('-m', 'u:99:rwx', 'd'), there('-d', '-m', 'u:99:r', 'd')),
    ],
    ['another one there', () => there('-m', 'u:7:rwx', 'pipe')],
  ];
  for (const [what, change] of changes) {
    change();
    // Times of directories differ with what was made in them, and are not in question.
    for (const path of ['', 'd']) utimesSync(`${source}/${path}`, 1_100_000_000, 1_100_000_000);
    const ran = await cli(t, user, ['-aAi', `${source}/`, ours]);
    t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], what);
    const judge = rsync('-aAi', `${source}/`, theirs);
    t.deepEqual(itemizedLines(ran.stdout), itemizedLines(judge), what);
    t.is(dumped(ours), dumped(source), what);
    assertEqual(t, source, ours, { label: what, wholeSeconds: true });
    t.is(rsync('-aAinc', '--delete', `${source}/`, `${ours}/`), '', what);
    await quietly(t, user, ['-aAi', `${source}/`, ours]);
  }
  here('-m', 'u:13:r', 'f');
  t.not((await cli(t, user, ['verify', '-A', `${source}/`, ours])).code, exit.ok);
  t.is((await cli(t, user, ['verify', `${source}/`, ours])).code, exit.ok);
});

judgedWithAcls('what a default ACL hands down is not left on what is made below it', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  fill(source);
  setfacl('-m', 'u:7:r', `${source}/d/g`);
  writeFileSync(`${source}/large`, 'x'.repeat(300_000));
  for (const flags of ['-aA', '-rA']) {
    const [ours, theirs] = ['ours', 'theirs'].map((name) => dir(work, `${name}${flags}`)) as [string, string];
    for (const parent of [ours, theirs]) setfacl('-d', '-m', 'u:99:rwx,g:98:rwx', parent);
    await quietly(t, user, [flags, '--no-D', '--no-l', '--exclude=pipe', '--exclude=link', source, ours]);
    rsync(flags, '--no-D', '--no-l', '--exclude=pipe', '--exclude=link', source, theirs);
    t.is(dumped(ours), dumped(theirs), flags);
    t.is(dumped(`${ours}/source`), dumped(source), flags);
  }
});

const rounds = scaled(4, 40);

judgedWithAcls(`${rounds} rounds of a random tree with ACLs and attributes, equal after each`, async (t) => {
  t.timeout(scaled(300_000, 3_600_000));
  const {
    work,
    served,
    access,
    server,
    url,
    client: user,
  } = await setup(t, {
    rights: 'read,write,delete,owner,special,acls',
  });
  const random = new Random(t.title);
  const maker = new TreeMaker(random, 1 << 16);
  const [source, remote] = [`${work}/source`, `${served}/tree`];
  maker.generate(source, scaled(80, 800));
  const scatter = (root: string, oneIn: number): void => {
    for (const [path, { kind }] of walk(root)) {
      if (kind === 'symlink' || kind === 'other' || !random.oneIn(oneIn)) continue;
      const entries = Array.from({ length: random.between(1, 3) }, () => {
        const perms = random.pick(['r', 'rw', 'rx', 'rwx', '-']);
        return `${random.pick(['u', 'g'])}:${random.between(1, 9)}:${perms}`;
      }).join(',');
      const args = random.oneIn(4) ? ['-b'] : ['-m', entries];
      const where = at(root, path).toString('latin1');
      const run = (...all: string[]) => spawnSync('setfacl', [...all, '--', Buffer.from(where, 'latin1').toString()]);
      run(...args);
      if (kind === 'directory' && random.oneIn(2)) run('-d', '-m', entries);
    }
  };
  const options = { ...access, delete: true, allowMassDelete: true, acls: true, owner: true, group: true };
  for (let round = 0; round < rounds; round += 1) {
    scatter(source, 3);
    await sync(source, server.url('root', 'tree'), { ...options, compare: random.pick(['quick', 'content'] as const) });
    assertEqual(t, source, remote, { label: `round ${round}` });
    t.is(rsync('-aAinc', '--delete', `${source}/`, `${remote}/`), '', `round ${round}, rsync -A`);
    t.is(dumped(remote), dumped(source), `round ${round}`);
    const again = await sync(source, server.url('root', 'tree'), options);
    t.deepEqual([again.stats.attrsChanged, again.stats.filesTransferred], [0, 0], `round ${round}`);
    maker.mutate(source, random.between(1, 8));
    maker.mutate(remote, random.between(0, 8));
    scatter(remote, 4);
  }
  await quietly(t, user, ['-aA', '--delete', '--allow-mass-delete', `${source}/`, url('tree')]);
  await quietly(t, user, ['-aA', url('tree/'), `${work}/back`]);
  t.is(dumped(`${work}/back`), dumped(source));
});

judgedWithAcls('a key without the right leaves ACLs as they are there, and the right is named once', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner,special,xattrs' });
  const source = dir(work, 'source');
  fill(source);
  await quietly(t, user, ['-aA', `${source}/`, url('tree')]);
  for (const path of ['f', 'd', 'pipe']) setfacl('-m', 'u:7:rw', `${source}/${path}`);
  setfacl('-d', '-m', 'u:7:rw', `${source}/d`);
  setfacl('-m', 'u:99:r', `${served}/tree/masked`);
  const before = dumped(served);
  for (const run of ['first', 'again']) {
    const ended = await cli(t, user, ['-aAX', `${source}/`, url('tree')]);
    t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], run);
    t.regex(ended.stderr, /^warning: ACLs are not preserved: .*"acls".*\n$/, run);
    t.is(dumped(served), before, run);
  }
  // To fetch them takes no right.
  setfacl('-m', 'u:98:r', `${served}/tree/f`);
  await quietly(t, user, ['-aA', url('tree/'), `${work}/back`]);
  t.is(dumped(`${work}/back`), dumped(`${served}/tree`));
});

judgedWhere(hasAcls && canBecome)('a plain user sets the ACLs of what is his, as with rsync', async (t) => {
  const work = workDir(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  fill(source);
  for (const path of ['f', 'd', 'd/g']) setfacl('-m', 'u:7:rw', `${source}/${path}`);
  setfacl('-d', '-m', 'u:7:rw', `${source}/d`);
  chmodSync(`${source}/d/g`, 0o444);
  for (const name of ['ours', 'theirs', 'home']) chownSync(dir(work, name), USER, USER);
  const become = becoming(USER);
  const env = { SPARSYNC_CONFIG_DIR: `${work}/home/config`, SPARSYNC_STATE_DIR: `${work}/home/state` };
  for (const run of ['first', 'again']) {
    const args = [...become, process.execPath, program, '-aA', `${source}/`, `${work}/ours`];
    const ours = await start(t, 'setpriv', args, { env }).ended;
    t.deepEqual([ours.code, ours.stdout, ours.stderr], [exit.ok, '', ''], run);
    execFileSync('setpriv', [...become, 'rsync', '-aA', `${source}/`, `${work}/theirs`]);
    t.is(dumped(`${work}/ours`), dumped(`${work}/theirs`), run);
    t.is(dumped(`${work}/ours`), dumped(source), run);
    t.is(statSync(`${work}/ours/d/g`).mode & 0o777, 0o444);
  }
});

judgedWhere(hasAcls && canMount)(
  'a file system without ACLs is told of once for it, and for each entry with --strict-attributes',
  async (t) => {
    const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner,special,acls' });
    const source = dir(work, 'source');
    fill(source);
    for (const path of ['f', 'd', 'd/g']) setfacl('-m', 'u:7:rw', `${source}/${path}`);
    setfacl('-d', '-m', 'u:7:rw', `${source}/d`);
    mountRamfs(t, `${work}/bare`);
    mountRamfs(t, `${served}/bare`);
    for (const to of [`${work}/bare`, url('bare')]) {
      for (const round of ['first', 'again']) {
        const ended = await cli(t, user, ['-rltDA', `${source}/`, to]);
        t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], `${to}, ${round}: ${ended.stderr}`);
        t.regex(
          ended.stderr,
          /^warning: .*ACLs are not preserved: .*cannot hold them.*posix_acl.*\n$/,
          `${to}, ${round}`,
        );
      }
      const strict = await cli(t, user, ['-rltDA', '--strict-attributes', `${source}/`, to]);
      t.is(strict.code, exit.partial, strict.stderr);
      for (const name of ['f', 'd', 'd/g']) {
        t.regex(strict.stderr, new RegExp(`^${name}: .*posix_acl_access: Operation not supported`, 'm'), to);
      }
      t.notRegex(strict.stderr, /^warning:/m);
    }
  },
);

// Where the group has what the mask has, rsync gives it what the mode of the destination has (docs/rsync.md).
judgedWithAcls('-A --no-perms sets ACLs under the mode that an entry has, as rsync does', async (t) => {
  const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner,special,xattrs,acls' });
  const acls = ['', 'u:1000:rwx,g::r,m::rx', 'u:4321:r,g::-,m::rwx', 'g:7:rw,g::x,m::r'];
  const [source, start] = [dir(work, 'source'), dir(work, 'start')];
  for (const [at, [theirs, ours]] of acls.flatMap((one) => acls.map((other) => [one, other] as const)).entries()) {
    for (const [root, acl, mode] of [
      [source, theirs, 640],
      [start, ours, 664],
    ] as const) {
      make(root, { [`f${at}%${mode}`]: 'f', [`d${at}/g%${mode}`]: root });
      if (root === source) make(root, { [`new${at}%${mode}`]: 'new' });
      const all = [`f${at}`, `d${at}`, `d${at}/g`, ...(root === source ? [`new${at}`] : [])];
      if (acl !== '') setfacl('-m', acl, ...all.map((name) => `${root}/${name}`));
    }
  }
  const flags = ['-aAi', '--no-perms'];
  const judge = copied(start, `${work}/judge`);
  const said = itemizedLines(rsync(...flags, `${source}/`, judge));
  copied(source, `${served}/source`);
  for (const [root, from, to] of [
    [`${work}/local`, source, `${work}/local`],
    [`${served}/pushed`, source, url('pushed')],
    [`${work}/pulled`, url('source'), `${work}/pulled`],
  ] as const) {
    copied(start, root);
    const ran = await cli(t, user, [...flags, `${from}/`, to]);
    t.is(ran.code, exit.ok, ran.stderr);
    t.deepEqual(itemizedLines(ran.stdout.replaceAll(/^</gm, '>')), said, to);
    t.is(dumped(root), dumped(judge), to);
    const modes = (tree: string): string[] => [...walk(tree)].map(([path, { mode }]) => `${path} ${mode.toString(8)}`);
    t.deepEqual(modes(root), modes(judge), to);
    t.is((await cli(t, user, [...flags, `${from}/`, to])).stdout, '', to);
  }
});

judgedWithAcls(
  'without -p a default ACL decides what becomes of the mode of a new file, however large it is',
  async (t) => {
    const { work, served, url, client: user } = await setup(t);
    const source = dir(work, 'source');
    for (const [name, size] of [
      ['small', 10],
      ['large', 300_000],
    ] as const) {
      for (const mode of [0o755, 0o444, 0o600]) {
        writeFileSync(`${source}/${name}${mode}`, Buffer.alloc(size, name));
        chmodSync(`${source}/${name}${mode}`, mode);
      }
    }
    const made = (root: string, name: string): string => {
      execFileSync('setfacl', ['-m', 'd:u::rwx,d:u:4321:r-x,d:g::r-x,d:m::r-x,d:o::---', dir(root, name)]);
      return `${root}/${name}`;
    };
    const theirs = made(work, 'theirs');
    rsync('-rlt', `${source}/`, theirs);
    const ours = made(work, 'ours');
    await quietly(t, user, ['-rlt', `${source}/`, ours]);
    const copied = made(work, 'copied');
    await quietly(t, user, ['-rlt', `--copy-dest=${source}`, `${source}/`, copied]);
    const pushed = made(served, 'pushed');
    await quietly(t, user, ['-rlt', `${source}/`, url('pushed')]);
    for (const destination of [ours, copied, pushed])
      t.is(rsync('-aAinc', '--delete', `${theirs}/`, `${destination}/`), '');
  },
);
