// --fake-super: what takes root is stored as rsync stores it, so that either reads what the other has stored.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import type { ExecutionContext } from 'ava';

import { connect } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual, judgedWhere, rsync } from './helpers/judge.js';
import { becoming } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { accessOf, isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { dumped } from './helpers/xattrs.js';

const USER = 65_534;
const trial = [
  'd=$(mktemp -d) && mknod $d/n c 1 3 && setfattr -n trusted.a -v 1 $d && setfacl -m u:7:r $d;',
  `s=$?; setpriv ${becoming(USER).join(' ')} true || s=1; rm -r $d; exit $s`,
].join(' ');
const judgedAsRoot = judgedWhere(isRoot && spawnSync('sh', ['-c', trial]).status === 0);

/** The capability `cap_net_raw+ep`, in the kernel's form. */
const NET_RAW = '0x0100000200200000000000000000000000000000';

/** One entry of each kind and with each attribute that takes root. */
function fill(source: string): void {
  mkdirSync(`${source}/sub`);
  const files = ['plain', 'closed', 'set-id', 'named', 'grouped', 'masked', 'foreign', 'lent', 'sub/in', 'empty'];
  for (const name of files) writeFileSync(`${source}/${name}`, name === 'empty' ? '' : name);
  const set = (name: string, ...args: string[]): void => {
    execFileSync('setfattr', [...args, `${source}/${name}`]);
  };
  const acl = (name: string, ...args: string[]): void => {
    execFileSync('setfacl', [...args, `${source}/${name}`]);
  };
  chmodSync(`${source}/closed`, 0o400);
  chownSync(`${source}/set-id`, 12, 34);
  chmodSync(`${source}/set-id`, 0o6755);
  chownSync(`${source}/sub`, 12, 34);
  chmodSync(`${source}/sub`, 0o2750);
  mkdirSync(`${source}/read-only`, { mode: 0o555 });
  acl('named', '-m', 'u:7:rw');
  acl('grouped', '-m', 'g:9:r,u:8:x');
  acl('masked', '-m', 'm::r');
  acl('sub', '-d', '-m', 'u:8:rwx,g:9:r');
  acl('sub', '-m', 'u:5:rx');
  set('foreign', '-n', 'trusted.a', '-v', '1');
  set('foreign', '-n', 'user.a', '-v', '2');
  set('foreign', '-n', 'user.rsync.mine', '-v', '3');
  // Not on a directory with an ACL, of which rsync stores one of both.
  set('read-only', '-n', 'trusted.of-directory', '-v', '4');
  chownSync(`${source}/lent`, 1000, 1000);
  set('lent', '-n', 'security.capability', '-v', NET_RAW);
  symlinkSync('plain', `${source}/link`);
  symlinkSync('/nowhere', `${source}/dangling`);
  execFileSync('chown', ['-h', '5:6', `${source}/link`]);
  execFileSync('mkfifo', ['-m', '640', `${source}/pipe`]);
  execFileSync('mknod', ['-m', '660', `${source}/block`, 'b', '259', '70000']);
  execFileSync('mknod', ['-m', '600', `${source}/char`, 'c', '1', '3']);
  chownSync(`${source}/char`, 12, 34);
}

interface Place {
  readonly work: string;
  readonly source: string;
  /** A folder of the user's, and its address at a server that runs as the user. */
  readonly store: string;
  readonly url: (path: string) => string;
  readonly user: Client;
  /** Runs rsync with its far side as the user, whose paths begin with `localhost:`. */
  readonly judge: (...args: string[]) => string;
}

async function place(t: ExecutionContext): Promise<Place> {
  const work = workDir(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  fill(source);
  const home = dir(work, 'home');
  const store = dir(work, 'store');
  for (const path of [store, home, dir(home, 'server.config'), dir(home, 'server.state')]) chownSync(path, USER, USER);
  const user = client(work);
  const server = await startServer(t, {
    home,
    roots: { root: store },
    clients: [user],
    rights: 'read,write,delete,owner,special,xattrs,acls',
    under: ['setpriv', ...becoming(USER)],
  });
  const shell = `${work}/shell`;
  writeFileSync(shell, `#!/bin/sh\nshift\nexec setpriv ${becoming(USER).join(' ')} "$@"\n`, { mode: 0o755 });
  return {
    work,
    source,
    store,
    user,
    url: (path) => server.url('root', path),
    judge: (...args) => rsync('-aAX', '-e', shell, '-M--fake-super', ...args),
  };
}

/** What rsync finds different, everything compared. */
const differences = (one: string, other: string): string => rsync('-aAXinc', '--delete', `${one}/`, `${other}/`);

judgedAsRoot('what is stored at a server without root comes back, and a second run has nothing to do', async (t) => {
  const { work, source, store, url, user } = await place(t);
  const flags = ['-aAX', '-M--fake-super'];
  await quietly(t, user, [...flags, `${source}/`, url('tree')]);
  t.true(lstatSync(`${store}/tree/char`).isFile());
  t.is(readFileSync(`${store}/tree/link`, 'utf8'), 'plain');
  t.is(lstatSync(`${store}/tree/set-id`).mode & 0o7777, 0o755);
  await quietly(t, user, [...flags, '-i', `${source}/`, url('tree')]);
  const verified = await cli(t, user, ['verify', '-AX', '-M--fake-super', '-og', `${source}/`, url('tree')]);
  t.is(verified.code, exit.ok, verified.stdout + verified.stderr);
  await quietly(t, user, [...flags, url('tree/'), `${work}/back`]);
  t.is(differences(source, `${work}/back`), '');
  assertEqual(t, source, `${work}/back`);

  chownSync(`${source}/plain`, 77, 78);
  chmodSync(`${source}/set-id`, 0o4711);
  execFileSync('setfacl', ['-b', `${source}/named`]);
  execFileSync('setfattr', ['-x', 'trusted.a', `${source}/foreign`]);
  for (const name of ['char', 'link', 'pipe']) rmSync(`${source}/${name}`);
  writeFileSync(`${source}/char`, 'a file now');
  symlinkSync('elsewhere', `${source}/link`);
  await quietly(t, user, [...flags, '--delete', '--allow-mass-delete', `${source}/`, url('tree')]);
  await quietly(t, user, [...flags, '-i', '--delete', `${source}/`, url('tree')]);
  await quietly(t, user, [...flags, '--delete', '--allow-mass-delete', url('tree/'), `${work}/back`]);
  t.is(differences(source, `${work}/back`), '');
});

judgedAsRoot('what rsync has stored is read, and rsync reads what is stored here', async (t) => {
  const { work, source, store, url, user, judge } = await place(t);
  // What begins with user.rsync. is another name to rsync when it is read back: docs/rsync.md.
  execFileSync('setfattr', ['-x', 'user.rsync.mine', `${source}/foreign`]);
  judge(`${source}/`, `localhost:${store}/theirs/`);
  await quietly(t, user, ['-aAX', '-M--fake-super', url('theirs/'), `${work}/of-theirs`]);
  t.is(dumped(`${work}/of-theirs`), dumped(source));
  t.is(differences(source, `${work}/of-theirs`), '');
  await quietly(t, user, ['-aAXi', '-M--fake-super', `${source}/`, url('theirs')]);

  await quietly(t, user, ['-aAX', '-M--fake-super', `${source}/`, url('ours')]);
  judge(`localhost:${store}/ours/`, `${work}/of-ours/`);
  t.is(differences(source, `${work}/of-ours`), '');
  t.is(judge('-i', `${source}/`, `localhost:${store}/ours/`), '');
  const stats = (root: string): string => dumped(root, '^user\\.rsync\\.%stat$');
  t.is(stats(`${store}/ours`), stats(`${store}/theirs`));
});

judgedAsRoot('what is stored and is none of it costs its own entry, and is told', async (t) => {
  const { work, source, store, url, user } = await place(t);
  await quietly(t, user, ['-aAX', '-M--fake-super', `${source}/`, url('tree')]);
  const spoil = (name: string, value: string): void => {
    execFileSync('setfattr', ['-n', 'user.rsync.%stat', '-v', value, `${store}/tree/${name}`]);
  };
  spoil('plain', 'nonsense');
  // A directory that is called a file, and a file that is called a directory.
  spoil('set-id', '40755 0,0 0:0');
  spoil('sub', '100644 0,0 0:0');
  const ended = await cli(t, user, ['-aAX', '-M--fake-super', url('tree/'), `${work}/back`]);
  t.is(ended.code, exit.partial);
  for (const name of ['plain', 'set-id', 'sub']) t.regex(ended.stderr, new RegExp(`^${name}: .*%stat`, 'm'));
  for (const name of ['plain', 'set-id', 'sub']) rmSync(`${source}/${name}`, { recursive: true });
  for (const name of ['plain', 'set-id', 'sub']) rmSync(`${work}/back/${name}`, { recursive: true, force: true });
  t.is(rsync('-aAXinc', '--delete', '-O', `${source}/`, `${work}/back/`), '');
});

judgedAsRoot('a plain user copies what is stored from folder to folder, as with rsync', async (t) => {
  const { work, source, store, judge } = await place(t);
  execFileSync('setfattr', ['-x', 'user.rsync.mine', `${source}/foreign`]);
  judge(`${source}/`, `localhost:${store}/tree/`);
  const become = becoming(USER);
  const env = { SPARSYNC_CONFIG_DIR: `${work}/home/config`, SPARSYNC_STATE_DIR: `${work}/home/state` };
  for (const run of ['first', 'again']) {
    const args = [...become, process.execPath, program, '-aAX', '--fake-super', `${store}/tree/`, `${store}/copy`];
    const ended = await start(t, 'setpriv', args, { env }).ended;
    t.deepEqual([ended.code, ended.stdout, ended.stderr], [exit.ok, '', ''], run);
  }
  judge(`localhost:${store}/copy/`, `${work}/back/`);
  t.is(differences(source, `${work}/back`), '');
});

// Seen red when the source's own attributes of other namespaces were not looked at.
judgedAsRoot(
  'root stores from folder to folder what is real at the source, and what is stored there first',
  async (t) => {
    const work = workDir(t);
    const source = dir(work, 'source');
    for (const name of ['real', 'stored', 'both']) writeFileSync(`${source}/${name}`, name);
    const set = (name: string, attribute: string): void => {
      execFileSync('setfattr', ['-n', attribute, '-v', attribute, `${source}/${name}`]);
    };
    for (const name of ['real', 'both']) set(name, 'trusted.a');
    for (const name of ['stored', 'both']) set(name, 'user.rsync.trusted.a');
    set('real', 'security.b');
    const flags = ['-aX', '--fake-super', `${source}/`];
    rsync(...flags, `${work}/theirs/`);
    const user = client(work);
    await quietly(t, user, [...flags, `${work}/ours/`]);
    t.is(dumped(`${work}/ours`), dumped(`${work}/theirs`));
    await quietly(t, user, ['-i', ...flags, `${work}/ours/`]);

    execFileSync('setfattr', ['-x', 'trusted.a', `${source}/real`]);
    execFileSync('setfattr', ['-n', 'trusted.c', '-v', '1', `${work}/ours/stored`]);
    await quietly(t, user, [...flags, `${work}/ours/`]);
    rsync(...flags, `${work}/theirs/`);
    t.is(dumped(`${work}/ours`), dumped(`${work}/theirs`));
  },
);

judgedAsRoot('a key without a right stores nothing that takes it', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const source = dir(work, 'source');
  fill(source);
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], rights: 'read,write' });
  const ended = await cli(t, user, ['-aAX', '-M--fake-super', `${source}/`, server.url('root', 'tree')]);
  t.is(ended.code, exit.ok, ended.stderr);
  for (const right of ['owner', 'special', 'xattrs', 'acls']) t.true(ended.stderr.includes(`"${right}"`), right);
  const stored = dumped(served, '^user\\.rsync\\.').matchAll(/user\.rsync\.([^=]+)=0x([0-9a-f]*)/g);
  for (const [, name = '', value = ''] of stored) {
    const text = Buffer.from(value, 'hex').toString();
    // Modes without set-id bits, under the server's own user, and symlinks; and what somebody has named so.
    t.true(
      name === 'mine' || (name === '%stat' && /^(100\d{3}|120\d{3}|4[0-7]\d{3}) 0,0 0:0$/.test(text)),
      `${name}: ${text}`,
    );
  }
});

// Seen red with a root that only runs, and no list, know of.
judgedAsRoot('an operator says it for a root, and no client has to', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const source = dir(work, 'source');
  fill(source);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    clients: [user],
    rights: 'read,write,delete,owner,special,xattrs,acls',
    args: ['--fake-super'],
  });
  await quietly(t, user, ['-aAX', `${source}/`, server.url('root', 'tree')]);
  t.true(lstatSync(`${served}/tree/pipe`).isFile());
  t.regex(dumped(served, '^user\\.rsync\\.%stat$'), /%stat/);
  await quietly(t, user, ['-aAXi', `${source}/`, server.url('root', 'tree')]);
  await quietly(t, user, ['-aAX', server.url('root', 'tree/'), `${work}/back`]);
  t.is(differences(source, `${work}/back`), '');
  await using connection = await connect(server.url(), accessOf(user, server));
  t.is((await connection.stat('root/tree/pipe'))?.kind, 'fifo');
});
