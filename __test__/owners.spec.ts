// Owners and groups: by name between two machines, by number, by rules; and what somebody sets who is not root.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, lchownSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import test from 'ava';

import { connect, sync } from '../dist/index.js';
import { type Accounts, canHaveAccounts, onMachine, ranOn } from './helpers/accounts.js';
import { cli, exit } from './helpers/cli.js';
import { judgedWhere, rsync } from './helpers/judge.js';
import { far, machines, near } from './helpers/machines.js';
import { type Ended, start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, isRoot, rejection, scaled, setup } from './helpers/setup.js';
import { attach, hasStrace } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

const ids = [0, 1000, 1001, 1003, 1004, 1005, 2000, 3000, 7777];

/** A file, a symlink, a FIFO and a directory for each number. */
function ownedTree(root: string): void {
  mkdirSync(root, { recursive: true });
  for (const id of ids) {
    writeFileSync(`${root}/f${id}`, String(id));
    symlinkSync('nowhere', `${root}/l${id}`);
    mkdirSync(`${root}/d${id}`);
    execFileSync('mkfifo', [`${root}/p${id}`]);
    for (const kind of ['f', 'l', 'd', 'p']) lchownSync(`${root}/${kind}${id}`, id, id);
    chmodSync(`${root}/f${id}`, 0o6755);
  }
}

/**
 * Owner and group by path, and set-id bits where both are carried: those of an entry that gets another owner than its source
 * are dropped, which rsync does not do.
 */
function ownersOf(root: string, flags: readonly string[] = ['-a']): Record<string, string> {
  const bits = flags[0]?.startsWith('-a') === true ? 0o6000 : 0;
  return Object.fromEntries(
    [...walk(root)].map(([path, { uid, gid, mode }]) => [path, `${uid}:${gid} ${(mode & bits).toString(8)}`]),
  );
}

const cases: ReadonlyArray<readonly string[]> = [
  ['-a'],
  ['-a', '--numeric-ids'],
  ['-rlD', '--usermap=alice:carol,bob:0,1003-1005:backup,*:9'],
  ['-rlD', '--usermap=root:carol'],
  ['-rlD', '--usermap=:carol', '--groupmap=:staff'],
  ['-rlpD', '--groupmap=bobs:staff,*:5'],
  ['-a', '--chown=carol:staff'],
  ['-rlpD', '--chown=:55'],
  ['-a', '--numeric-ids', '--usermap=alice:carol,1001:carol,:7'],
];

function randomMap(random: Random, { users }: Accounts, to: Accounts): string {
  const from = (): string =>
    random.pick([
      random.pick(Object.keys(users)),
      String(random.pick(ids)),
      `${random.pick(ids)}-${random.pick(ids)}`,
      random.pick(['*', '', 'a*', '?ob', '[a-c]*', '*o*', 'nobody', '[!a]*']),
    ]);
  const rules = Array.from({ length: random.between(1, 4) }, () => {
    const target = random.oneIn(2) ? random.pick(Object.keys(to.users)) : String(random.pick([0, 5, 1000, 70_000]));
    return `${from()}:${target}`;
  });
  return rules.join(',');
}

judgedWhere(canHaveAccounts)('owners between two machines are those that rsync makes, both ways', async (t) => {
  t.timeout(scaled(240_000, 3_600_000));
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const { work, served, server, ours, theirs } = await machines(t);
  const source = `${work}/source`;
  ownedTree(source);
  ownedTree(`${served}/source`);
  const drawn = Array.from({ length: scaled(4, 100) }, () => [
    '-a',
    `--usermap=${randomMap(random, near, far)}`,
    ...(random.oneIn(2) ? [`--groupmap=${randomMap(random, near, near)}`] : []),
    ...(random.oneIn(4) ? ['--numeric-ids'] : []),
  ]);
  for (const [round, flags] of [...cases, ...drawn].entries()) {
    const isDrawn = round >= cases.length;
    for (const direction of isDrawn ? ['push'] : ['push', 'pull']) {
      const [from, ourEnd, theirEnd] =
        direction === 'push'
          ? [`${source}/`, `${served}/ours${round}`, `${work}/theirs${round}`]
          : [`${served}/source/`, `${work}/ourpull${round}`, `${work}/theirpull${round}`];
      const label = `${direction} ${flags.join(' ')}`;
      if (direction === 'push') theirs(...flags, from, `there:${theirEnd}/`);
      else theirs(...flags, `there:${from}`, `${theirEnd}/`);
      const words =
        direction === 'push' ? [from, server.url('root', `ours${round}`)] : [server.url('root', 'source/'), ourEnd];
      const ran = await ours(...flags, ...words);
      t.is(ran.code, exit.ok, `${label}: ${ran.stderr}`);
      t.deepEqual(ownersOf(ourEnd, flags), ownersOf(theirEnd, flags), label);
      // Nothing is left to be done, whatever the numbers are.
      const again = await ours(...flags, '-i', '--size-only', ...words);
      t.deepEqual([again.code, again.stdout], [exit.ok, ''], label);
      // What somebody changed is put right.
      if (flags[0] !== '-a') continue;
      for (const path of ['f1000', 'd0']) chownSync(`${ourEnd}/${path}`, 66, 67);
      const repaired = await ours(...flags, '--size-only', ...words);
      t.is(repaired.code, exit.ok, `${label}: ${repaired.stderr}`);
      t.deepEqual(ownersOf(ourEnd), ownersOf(theirEnd), `${label}, repaired`);
    }
  }
});

judgedWhere(canHaveAccounts)('a local run maps by its own names', async (t) => {
  const { work, here, ours } = await machines(t);
  ownedTree(`${work}/source`);
  for (const [round, flags] of [['-a'], ...cases].entries()) {
    // Names that only the other machine has are passed over, with a warning, as by rsync.
    const judge = ranOn(here, ['rsync', ...flags, `${work}/source/`, `${work}/theirs${round}/`]);
    const ran = await ours(...flags, `${work}/source/`, `${work}/ours${round}`);
    t.deepEqual([ran.code, judge.status], [exit.ok, 0], `${flags.join(' ')}: ${ran.stderr}`);
    t.deepEqual(ownersOf(`${work}/ours${round}`, flags), ownersOf(`${work}/theirs${round}`, flags), flags.join(' '));
    const unknown = (text: string, pattern: RegExp): number =>
      text.split('\n').filter((line) => pattern.test(line)).length;
    t.is(
      unknown(ran.stderr, /^warning: .*which the destination does not have/),
      unknown(judge.stderr, /Unknown --\w+ name on receiver/),
      ran.stderr,
    );
  }
});

/** One way, in ms: by this a relay tells an answer from what was on its way already. */
const oneWayMs = 100;

judgedWhere(canHaveAccounts)(
  'a run without a change takes one round trip where names have other numbers',
  async (t) => {
    t.timeout(120_000);
    const work = workDir(t);
    const served = dir(work, 'served');
    const user = client(work);
    const there = onMachine(work, 'far', { users: { root: 0, daemon: 4001 }, groups: { root: 0, bin: 4002 } });
    const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], under: there });
    const source = dir(work, 'source');
    for (const [name, uid, gid] of [
      ['moved', 1, 2],
      ['same', 0, 0],
      ['nameless', 5000, 5001],
      ['unknown there', 2, 1],
    ] as const) {
      mkdirSync(`${source}/${name}`);
      writeFileSync(`${source}/${name}/f`, name);
      for (const path of [name, `${name}/f`]) chownSync(`${source}/${path}`, uid, gid);
    }
    await using relay = await Relay.start({ to: server.port, delayMs: oneWayMs });
    const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, accessOf(user, server));
    const options = { owner: true, group: true };
    await connection.push(source, 'root/tree', options);
    const owner = (path: string): [number, number] => {
      const { uid, gid } = lstatSync(`${served}/tree/${path}`);
      return [uid, gid];
    };
    t.deepEqual(['moved/f', 'same/f', 'nameless/f', 'unknown there/f'].map(owner), [
      [4001, 4002],
      [0, 0],
      [5000, 5001],
      [2, 1],
    ]);
    const run = async (): Promise<void> => {
      const { stats } = await connection.push(source, 'root/tree', options);
      t.is(stats.attrsChanged, 0);
    };
    const roundTrips = await relay.fewestRoundTrips(run, 20, 1.5);
    t.true(roundTrips <= 1.5, `${roundTrips} round trips`);
    // One that only looks alike by number is found.
    chownSync(`${served}/tree/moved/f`, 1, 2);
    const { stats } = await connection.push(source, 'root/tree', options);
    t.is(stats.attrsChanged, 1);
    t.deepEqual(owner('moved/f'), [4001, 4002]);
    await connection.close();
  },
);

judgedWhere(canHaveAccounts)('without the right of the key no rule sets an owner', async (t) => {
  const { work, served, server, ours } = await machines(t, 'read,write,delete');
  ownedTree(`${work}/source`);
  const ran = await ours('-rl', '--chown=carol:staff', '--super', `${work}/source/`, server.url('root', 'tree'));
  t.is(ran.code, exit.ok, ran.stderr);
  t.regex(ran.stderr, /^warning: owners and groups are not preserved: .*"owner".*\n$/);
  for (const { uid, gid, mode } of walk(`${served}/tree`).values()) t.deepEqual([uid, gid, mode & 0o6000], [0, 0, 0]);
});

const canDrop = isRoot && spawnSync('setpriv', ['--reuid', '1500', 'true']).status === 0;

/** Runs as a user who is in the groups 1500 and 2500. */
const asUser = ['setpriv', '--reuid', '1500', '--regid', '1500', '--groups', '1500,2500'];

judgedWhere(canDrop)('who is not root sets the groups that he is in, as rsync lets him', async (t) => {
  const work = workDir(t);
  for (const path of [work, dirname(work)]) chmodSync(path, 0o755);
  const source = dir(work, 'source');
  for (const gid of [0, 1500, 2500, 2600]) {
    writeFileSync(`${source}/f${gid}`, String(gid));
    mkdirSync(`${source}/d${gid}`);
    symlinkSync('nowhere', `${source}/l${gid}`);
    for (const kind of ['f', 'd', 'l']) lchownSync(`${source}/${kind}${gid}`, 0, gid);
    chmodSync(`${source}/f${gid}`, 0o644);
  }
  const home = dir(work, 'home');
  const user = client(home);
  execFileSync('chown', ['-R', '1500:1500', home]);
  const run = async (flags: readonly string[]): Promise<Ended> => {
    const words = [...asUser.slice(1), process.execPath, program, ...flags, `${source}/`, `${home}/ours`];
    return start(t, 'setpriv', words, { env: user.env }).ended;
  };
  const shown = (output: string): string[] =>
    output
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('created'))
      .map((line) => line.replace(/ -> .*$/, ''))
      .toSorted();
  for (const flags of [
    ['-ai'],
    ['-ai'],
    ['-ai', '--groupmap=0:2500,2600:2500,2500:2600'],
    ['-ai', '--groupmap=*:2500'],
    ['-ai', '--groupmap=*:2500'],
    ['-ai', '--usermap=*:1500'],
  ]) {
    const judge = ranOn(asUser, ['rsync', ...flags, `${source}/`, `${home}/theirs/`]);
    t.is(judge.status, 0, judge.stderr);
    const ran = await run(flags);
    t.is(ran.code, exit.ok, ran.stderr);
    t.deepEqual(ownersOf(`${home}/ours`), ownersOf(`${home}/theirs`), flags.join(' '));
  }
  const again = await run(['-ai', '--usermap=*:1500']);
  t.deepEqual([shown(again.stdout), again.stderr.includes('owners are not preserved')], [[], true]);
  // To try all the same is to be told what fails.
  const all = await run(['-a', '--super']);
  t.is(all.code, exit.partial);
  t.regex(all.stderr, /^f2600: .*chown/m);
});

judgedWhere(canDrop)('--no-super keeps root from owners, and from groups that it is not in', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const id of [0, 4242]) {
    writeFileSync(`${source}/f${id}`, String(id));
    chownSync(`${source}/f${id}`, id, id);
  }
  rsync('-a', '--no-super', `${source}/`, `${work}/theirs/`);
  const ran = await cli(t, user, ['-a', '--no-super', `${source}/`, `${work}/ours`]);
  t.deepEqual([ran.code, ran.stderr], [exit.ok, '']);
  t.deepEqual(ownersOf(`${work}/ours`), ownersOf(`${work}/theirs`));
  t.is(lstatSync(`${work}/ours/f4242`).uid, 0);
});

test('what is no rule for owners is refused by its name, as by rsync', async (t) => {
  const { work, client: user } = await setup(t);
  const source = dir(work, 'source');
  for (const map of ['alice', ',', 'a:b,', '5-:1', '1a:5', '99999999999:1', '1:99999999999', '1:', '1000:4294967295']) {
    for (const flag of ['usermap', 'groupmap']) {
      const ran = await cli(t, user, ['-r', `--${flag}=${map}`, `${source}/`, `${work}/copy`]);
      t.is(ran.code, exit.usage, `${flag} ${map}`);
      t.regex(ran.stderr, new RegExp(`${flag} must be rules for owners`));
    }
  }
  for (const [flags, text] of [
    [['--chown=a', '--usermap=1:2'], /chown and usermap cannot be combined/],
    [['--chown=:a', '--groupmap=1:2'], /chown and groupmap cannot be combined/],
    [['--chown=a,b'], /chown must be an owner/],
  ] as const) {
    const ran = await cli(t, user, ['-r', ...flags, `${source}/`, `${work}/copy`]);
    t.is(ran.code, exit.usage, flags.join(' '));
    t.regex(ran.stderr, text);
  }
  const error = await rejection(t, (async () => sync(source, `${work}/copy`, { usermap: 'alice' }))());
  t.like(error, { code: 'ERR_SPARSYNC_CONFIG' });
  rmSync(`${work}/copy`, { recursive: true, force: true });
});

judgedWhere(hasStrace && isRoot)('without owners nobody is looked up, and root never', async (t) => {
  const { work, server, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  const trace = `${work}/server.trace`;
  const lookUps = ['-s', '200', '-e', 'trace=openat,getgroups'];
  const attached = await attach(t, server.pid, trace, lookUps);
  for (const flags of ['-rlpt', '-a']) {
    t.is((await cli(t, user, [flags, `${source}/`, url(`tree${flags}`)])).code, exit.ok);
    t.is((await cli(t, user, [flags, url(`tree${flags}/`), `${work}/back${flags}`])).code, exit.ok);
  }
  await attached.stop();
  const { readFileSync } = await import('node:fs');
  t.notRegex(readFileSync(trace, 'latin1'), /getgroups|\/etc\/(passwd|group|nsswitch)/);
});
