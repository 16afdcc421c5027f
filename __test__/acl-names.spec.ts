// Users and groups that ACLs name go by their names between two machines, as owners do and as rsync has it.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { connect } from '../dist/index.js';
import { canHaveAccounts, onMachine, ranOn } from './helpers/accounts.js';
import { exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { far, machines } from './helpers/machines.js';
import { client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, isRoot, scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { dumped as dumpedXattrs, hasAcls } from './helpers/xattrs.js';

const canBecome = isRoot && spawnSync('setpriv', ['--reuid=65534', 'true']).status === 0;
const judged = judgedWhere(canHaveAccounts && hasAcls);

/** All ACLs below `root`, a file after the other, as the kernel has them. */
const dumped = (root: string): string => dumpedXattrs(root, '^system\\.posix_acl');

/** The same with each user and group once: rsync lets one stand twice, of whom rules make one, and the system goes by the first. */
const once = (dump: string): string =>
  dump.replaceAll(/(?<==0x02000000)[0-9a-f]*/g, (acl) => {
    const known = new Map<string, number>();
    for (const [, tag = '', perms = '', id = ''] of acl.matchAll(/(.{4})(.{2}).{2}(.{8})/g)) {
      const [whom, bits] = [`${tag}:${id}`, Number.parseInt(perms, 16)];
      const before = known.get(whom);
      known.set(whom, before === undefined ? bits : tag === '0800' ? before | bits : before);
    }
    const entry = ([whom, bits]: [string, number]): string => `${whom.slice(0, 4)}0${bits}00${whom.slice(5)}`;
    return [...known].map(entry).join('');
  });

const RIGHTS = 'read,write,delete,owner,special,acls';

const IDS = [0, 1000, 1001, 1003, 1004, 2000, 3000, 7777];

/** Files and directories whose ACLs name users and groups at random, each at most once. */
function fill(random: Random, root: string): void {
  mkdirSync(root);
  const entries = (): string =>
    Array.from({ length: random.between(1, 4) }, (_, at) => {
      const id = random.pick(IDS.filter((__, index) => index % 4 === at));
      return `${random.pick(['u', 'g'])}:${id}:${random.pick(['r', 'rw', 'rwx', '-'])}`;
    }).join(',');
  for (let at = 0; at < 6; at += 1) {
    mkdirSync(`${root}/d${at}`);
    writeFileSync(`${root}/d${at}/f`, 'content');
    execFileSync('setfacl', ['-m', entries(), `${root}/d${at}`, `${root}/d${at}/f`]);
    execFileSync('setfacl', ['-d', '-m', entries(), `${root}/d${at}`]);
  }
}

// Seen red without names of whom ACLs name, with those of files alone, and with digests of numbers.
judged('whom an ACL names is whom rsync names there, both ways, and a second run has nothing to do', async (t) => {
  t.timeout(240_000);
  t.log(`seed ${seed}`);
  const { work, served, server, ours, theirs } = await machines(t, RIGHTS);
  const random = new Random(t.title);
  const cases = [
    ['-aA'],
    ['-rlptA'],
    ['-aA', '--numeric-ids'],
    ['-aA', '--usermap=alice:carol,bob:0,*:9'],
    ['-aA', '--groupmap=1001:staff,*:5', '--numeric-ids'],
    ['-aA', '--groupmap=1001:staff,root:5'],
  ];
  for (const [round, flags] of [...cases, ...Array.from({ length: scaled(0, 20) }, () => ['-aA'])].entries()) {
    fill(random, `${work}/source${round}`);
    fill(random, `${served}/source${round}`);
    for (const direction of ['push', 'pull'] as const) {
      const label = `${direction} ${flags.join(' ')}, seed ${seed}`;
      const [tree, judge] =
        direction === 'push'
          ? [`${served}/ours${round}`, `${work}/theirs${round}`]
          : [`${work}/pulled${round}`, `${work}/theirpull${round}`];
      if (direction === 'push') theirs(...flags, `${work}/source${round}/`, `there:${judge}/`);
      else theirs(...flags, `there:${served}/source${round}/`, `${judge}/`);
      const words =
        direction === 'push'
          ? [`${work}/source${round}/`, server.url('root', `ours${round}`)]
          : [server.url('root', `source${round}/`), tree];
      const ran = await ours(...flags, ...words);
      t.is(ran.code, exit.ok, `${label}: ${ran.stderr}`);
      t.is(dumped(tree), once(dumped(judge)), label);
      const again = await ours(...flags, '-i', ...words);
      t.deepEqual([again.code, again.stdout], [exit.ok, ''], `${label}, again`);
      execFileSync('setfacl', ['-m', 'u:66:r', `${tree}/d1/f`, `${tree}/d2`]);
      const repaired = await ours(...flags, ...words);
      t.is(repaired.code, exit.ok, `${label}: ${repaired.stderr}`);
      t.is(dumped(tree), once(dumped(judge)), `${label}, repaired`);
    }
  }
});

judgedWhere(canHaveAccounts && hasAcls && canBecome)(
  'who is not root lets ACLs name whom they name, too',
  async (t) => {
    t.log(`seed ${seed}`);
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const home = dir(work, 'home');
    const machine = [...onMachine(work, 'far', far), 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    fill(new Random(t.title), `${work}/source`);
    for (const [round, flags] of [
      ['-rltA'],
      ['-aA', '--usermap=1000:carol,*:9', '--groupmap=*:staff'],
      ['-aA', '--numeric-ids'],
    ].entries()) {
      for (const name of ['ours', 'theirs']) mkdirSync(`${home}/${name}${round}`);
      spawnSync('chown', ['-R', '65534:65534', home]);
      const ran = (command: readonly string[], place: string): { status: number | null; stderr: string } =>
        ranOn(machine, ['env', `HOME=${home}`, ...command, ...flags, `${work}/source/`, `${home}/${place}${round}/`]);
      const [theirs, ours] = [ran(['rsync'], 'theirs'), ran([process.execPath, program], 'ours')];
      t.deepEqual([theirs.status, ours.status], [0, 0], `${flags.join(' ')}: ${theirs.stderr} ${ours.stderr}`);
      t.is(dumped(`${home}/ours${round}`), once(dumped(`${home}/theirs${round}`)), flags.join(' '));
    }
  },
);

judged('two whom a rule makes one stand once, with what either is allowed', async (t) => {
  const { work, served, server, ours } = await machines(t, RIGHTS);
  mkdirSync(`${work}/source`);
  writeFileSync(`${work}/source/f`, 'content');
  execFileSync('setfacl', ['-m', 'u:1000:r,u:1001:rw,g:1000:r,g:1001:w', `${work}/source/f`]);
  const words = ['-aA', '--usermap=*:9', '--groupmap=*:9', `${work}/source/`, server.url('root', 'tree')];
  const ran = await ours(...words);
  t.is(ran.code, exit.ok, ran.stderr);
  const acl = execFileSync('getfacl', ['-cn', '--omit-header', `${served}/tree/f`], { encoding: 'utf8' });
  // The system goes by the first user, and by every group.
  t.regex(acl, /^user:9:r--/m);
  t.regex(acl, /^group:9:rw-/m);
  const again = await ours('-i', ...words);
  t.deepEqual([again.code, again.stdout], [exit.ok, '']);
});

judged('a run without a change takes one round trip where whom ACLs name has another number', async (t) => {
  t.timeout(120_000);
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const under = onMachine(work, 'far', { users: { root: 0, daemon: 4001 }, groups: { root: 0, bin: 4002 } });
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], under, rights: RIGHTS });
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'content');
  mkdirSync(`${source}/d`);
  for (const path of ['f', 'd']) execFileSync('setfacl', ['-m', 'u:1:rw,g:2:r,u:5000:r', `${source}/${path}`]);
  await using relay = await Relay.start({ to: server.port, delayMs: 100 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, accessOf(user, server));
  await connection.push(source, 'root/tree', { acls: true });
  for (const path of ['f', 'd']) {
    const acl = execFileSync('getfacl', ['-cn', `${served}/tree/${path}`], { encoding: 'utf8' });
    for (const line of ['user:4001:rw-', 'user:5000:r--', 'group:4002:r--']) t.true(acl.includes(line), acl);
  }
  const run = async (): Promise<void> => {
    const { stats } = await connection.push(source, 'root/tree', { acls: true });
    t.is(stats.attrsChanged, 0);
  };
  const roundTrips = await relay.fewestRoundTrips(run, 20, 1.5);
  t.true(roundTrips <= 1.5, `${roundTrips} round trips`);
  await connection.close();
});
