// Extended attributes of every namespace that rsync -X carries, of every kind of entry, as root and as a plain user.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, itemizedLines, judgedWhere, rsync } from './helpers/judge.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { isRoot, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { dumped as dumpedXattrs } from './helpers/xattrs.js';

const USER = 65_534;
const trial = 'd=$(mktemp -d) && mknod $d/n c 1 3 && setfattr -n trusted.a -v 1 $d/n; s=$?; rm -r $d; exit $s';
const hasForeign = isRoot && spawnSync('sh', ['-c', trial]).status === 0;

/** The capability `cap_net_raw+ep`, in the kernel's form. */
const NET_RAW = '0x0100000200200000000000000000000000000000';
const CAPABILITY = 'security.capability';

function set(path: string, name: string, value: string): void {
  execFileSync('setfattr', ['-h', '-n', name, '-v', value, path]);
}

/** Names and values of all namespaces but `system.` below `root`. */
const dumped = (root: string): string => dumpedXattrs(root, '^(user|trusted|security)\\.');

const PATHS = ['', 'f', 'sub', 'sub/g', 'link', 'pipe', 'device'];

function fill(source: string): void {
  mkdirSync(`${source}/sub`);
  for (const name of ['f', 'sub/g']) writeFileSync(`${source}/${name}`, 'content');
  symlinkSync('f', `${source}/link`);
  execFileSync('mkfifo', [`${source}/pipe`]);
  execFileSync('mknod', [`${source}/device`, 'c', '1', '3']);
}

judgedWhere(hasForeign)('each namespace is made, changed and removed, and itemized as by rsync -X', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  fill(source);
  const [ours, theirs] = [`${work}/ours`, `${work}/theirs`];
  const everywhere = (root: string, name: string, value: string): void =>
    PATHS.forEach((path) => set(`${root}/${path}`, name, value));
  const changes: Array<[string, () => void]> = [
    ['all new', () => (everywhere(source, 'trusted.a', '1'), everywhere(source, 'security.a', '1'))],
    ['nothing', () => undefined],
    ['a value', () => everywhere(source, 'trusted.a', '2')],
    ['capabilities', () => set(`${source}/f`, CAPABILITY, NET_RAW)],
    [
      'one less',
      () => PATHS.forEach((path) => execFileSync('setfattr', ['-h', '-x', 'security.a', `${source}/${path}`])),
    ],
    ['only there', () => [ours, theirs].forEach((tree) => everywhere(tree, 'trusted.theirs', '1'))],
    ['what stands for others', () => set(`${source}/f`, 'user.rsync.%stat', '100644 0,0 5:6')],
    ['what looks like it', () => set(`${source}/f`, 'user.rsync.mine', '1')],
    ['no capabilities', () => execFileSync('setfattr', ['-x', CAPABILITY, `${source}/f`])],
  ];
  for (const [what, change] of changes) {
    change();
    for (const path of ['', 'sub']) utimesSync(`${source}/${path}`, 1_100_000_000, 1_100_000_000);
    const inode = lstatSync(`${ours}/link`, { throwIfNoEntry: false })?.ino;
    const ran = await cli(t, user, ['-aXi', `${source}/`, ours]);
    t.deepEqual([ran.code, ran.stderr], [exit.ok, ''], what);
    const judge = rsync('-aXi', `${source}/`, theirs);
    t.deepEqual(itemizedLines(ran.stdout), itemizedLines(judge), what);
    t.is(dumped(ours), dumped(theirs), what);
    assertEqual(t, source, ours, { label: what, wholeSeconds: true });
    if (inode !== undefined) t.is(lstatSync(`${ours}/link`).ino, inode, what);
  }
});

test('-XX, which means something else in rsync, is refused', async (t) => {
  const work = workDir(t);
  const refused = await cli(t, client(work), ['-aXX', `${work}/`, `${work}/copy`]);
  t.is(refused.code, exit.usage);
  t.regex(refused.stderr, /--xattrs may be given once: .*--fake-super/);
});

judgedWhere(hasForeign)('they go through a server for a key with the right, there and back', async (t) => {
  const {
    work,
    served,
    url,
    client: user,
  } = await setup(t, {
    rights: 'read,write,delete,owner,special,xattrs',
  });
  const source = dir(work, 'source');
  fill(source);
  for (const path of PATHS) set(`${source}/${path}`, 'trusted.a', `of ${path}`);
  chownSync(`${source}/f`, 1000, 1000);
  set(`${source}/f`, CAPABILITY, NET_RAW);
  set(`${source}/sub/g`, 'user.a', '1');
  await quietly(t, user, ['-aX', `${source}/`, url('tree')]);
  t.is(dumped(`${served}/tree`), dumped(source));
  t.is(rsync('-aXinc', '--delete', `${source}/`, `${served}/tree/`), '');
  await quietly(t, user, ['-aXi', `${source}/`, url('tree')]);
  await quietly(t, user, ['-aX', url('tree/'), `${work}/back`]);
  t.is(dumped(`${work}/back`), dumped(source));
});

judgedWhere(hasForeign)(
  'a key without the right leaves them as they are there, and the right is named once',
  async (t) => {
    const { work, served, url, client: user } = await setup(t, { rights: 'read,write,delete,owner,special,acls' });
    const source = dir(work, 'source');
    fill(source);
    await quietly(t, user, ['-aX', `${source}/`, url('tree')]);
    for (const path of PATHS) set(`${source}/${path}`, 'trusted.a', '1');
    set(`${source}/f`, CAPABILITY, NET_RAW);
    set(`${served}/tree/sub`, 'trusted.theirs', '1');
    const before = dumped(served);
    for (const run of ['first', 'again']) {
      const ended = await cli(t, user, ['-aX', `${source}/`, url('tree')]);
      t.deepEqual([ended.code, ended.stdout], [exit.ok, ''], run);
      t.regex(ended.stderr, /^warning: extended attributes outside .*"xattrs".*\n$/, run);
      t.is(dumped(served), before, run);
    }
  },
);

judgedWhere(hasForeign && canBecome)('a plain user gets those of user. alone, as with rsync', async (t) => {
  const work = workDir(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  fill(source);
  for (const path of PATHS) set(`${source}/${path}`, 'trusted.a', '1');
  for (const path of ['f', 'sub', '']) set(`${source}/${path}`, 'user.a', '1');
  for (const name of ['ours', 'theirs', 'home']) chownSync(dir(work, name), USER, USER);
  for (const tree of ['ours', 'theirs']) set(`${work}/${tree}`, 'trusted.theirs', '1');
  const become = becoming(USER);
  const env = { SPARSYNC_CONFIG_DIR: `${work}/home/config`, SPARSYNC_STATE_DIR: `${work}/home/state` };
  for (const run of ['first', 'again']) {
    const args = [...become, process.execPath, program, '-aX', '--no-D', `${source}/`, `${work}/ours`];
    const ours = await start(t, 'setpriv', args, { env }).ended;
    t.deepEqual([ours.code, ours.stderr], [exit.ok, ''], run);
    execFileSync('setpriv', [...become, 'rsync', '-aX', '--no-D', `${source}/`, `${work}/theirs`]);
    t.is(dumped(`${work}/ours`), dumped(`${work}/theirs`), run);
  }
});
