// Other states of the tree, as rsync has them: --link-dest, --copy-dest and --compare-dest.
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, readFileSync, symlinkSync } from 'node:fs';

import { connect, sync } from '../dist/index.js';
import { besideRsync, copied, make, randomTrees } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { canMount, codeOf, isRoot, mountTmpfs, rejection, setup } from './helpers/setup.js';
import { names } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const TREES = {
  's/a': 'a',
  's/b': 'b',
  's/dir/c': 'c',
  's/dir/sub/d': 'dd',
  's/e/': '',
  's/l': '-> a',
  's/only': 'only',
  'old/a': 'a',
  'old/b@1500000000': 'B2',
  'old/dir/c%600': 'c',
  'old/dir/sub/d': 'dd',
  'old/e/%700': '',
  'old/l': '-> a',
  'older/b': 'b',
  'older/dir/c': 'c',
  'older/l': '-> b',
};

const KINDS = ['--link-dest', '--copy-dest', '--compare-dest'];

judgedEachWay('a new destination gets links, copies or nothing of what another state has', async (t, set) => {
  const model = make(`${set.work}/model`, TREES);
  for (const kind of KINDS)
    for (const flags of [[], ['-c'], ['-n'], [`${kind}=../older`]])
      await besideRsync(t, set, { model, flags: ['-ai', `${kind}=../old`, ...flags] });
});

judgedEachWay('a destination that has something is put right from another state', async (t, set) => {
  const model = make(`${set.work}/model`, { ...TREES, 'd/a@1500000000': 'changed', 'd/dir/x': 'x', 'd/extra': 'e' });
  for (const kind of ['--link-dest', '--copy-dest'])
    for (const flags of [[], ['--delete']])
      await besideRsync(t, set, { model, flags: ['-ai', `${kind}=../old`, ...flags] });
});

// Seen red when the directory that a source becomes was the one that they were looked for from.
judgedEachWay(
  'directories of options are found from the destination that was named, also for a source without a slash',
  async (t, set) => {
    const model = make(`${set.work}/model`, {
      's/a': 'a',
      's/dir/c': 'c',
      's/f': 'new',
      'old/s/a': 'a',
      'old/s/dir/c': 'c',
      'd/s/f@1500000000': 'before',
    });
    const options = [...KINDS.map((kind) => `${kind}=../old`), '--backup-dir=../kept', '--backup-dir=kept'];
    for (const option of options) await besideRsync(t, set, { model, flags: ['-ai', option], sources: ['s'] });
  },
);

// Seen red with a link to what differs in its owner.
judgedEachWay('random trees and states are as rsync leaves them', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 9; round += 1) {
    const model = randomTrees(random, `${set.work}/model${round}`, ['s', 'old', 'older']);
    if (isRoot) spawnSync('chown', ['5:6', `${model}/old/a`, `${model}/s/b`]);
    const kind = KINDS[round % 3] ?? '';
    const flags = ['-ai', `${kind}=../old`, ...random.pick([[], [`${kind}=../older`], ['-c'], ['-H']])];
    await besideRsync(t, set, { model, flags, ways: ['local', random.pick(['push', 'pull'])] });
  }
});

judgedWhere(spawnSync('setfattr', ['--version']).status === 0)(
  'what a new directory has otherwise than that of another state is told, its attributes too',
  async (t) => {
    const set = await setup(t);
    const model = make(`${set.work}/model`, {
      's/d/f': 'f',
      's/same/f': 'f',
      'base/d/f': 'f',
      'base/same/f': 'f',
      'd/': '',
    });
    execFileSync('setfattr', ['-n', 'user.a', '-v', '1', `${model}/s/d`]);
    for (const [ran] of [
      await besideRsync(t, set, { model, flags: ['-aXi', '--copy-dest=../base'] }),
      await besideRsync(t, set, { model, flags: ['-aXi', '--link-dest=../base'] }),
    ])
      t.regex(ran?.stdout ?? '', /^cd\.{8}x d\/$/m);
  },
);

// Seen red without a look at the ACL of the other state's directory, and with that of a copy for its mode.
judgedWhere(spawnSync('setfacl', ['--version']).status === 0)(
  'ACLs that differ from those of another state are told, with the mode beside them, and those that do not are not',
  async (t) => {
    const set = await setup(t, { rights: 'read,write,delete,owner,special,acls' });
    const model = make(`${set.work}/model`, { 's/f': 'f', 's/d/x': 'x', 's/same/x': 'x', 'd/': '' });
    execFileSync('mkfifo', [`${model}/s/p`]);
    execFileSync('cp', ['-a', `${model}/s`, `${model}/base`]);
    const same = ['s', 'base'].map((name) => `${model}/${name}/same`);
    execFileSync('setfacl', ['-m', 'u:1000:rwx,d:u:1000:rwx', ...same]);
    execFileSync('setfacl', ['-m', 'u:1000:rwx', `${model}/base/f`, `${model}/s/p`, `${model}/base/d`]);
    for (const [ran] of [
      await besideRsync(t, set, { model, flags: ['-aAi', '--copy-dest=../base'] }),
      await besideRsync(t, set, { model, flags: ['-aAi', '--link-dest=../base'] }),
    ])
      t.regex(ran?.stdout ?? '', /^cf\.{3}p\.{3}a\. f\ncSc\.{2}p\.{3}a\. p\ncd\.{3}p\.{3}a\. d\/\n$/m);
  },
);

judged('of what is no file and comes from another state the time is told as by rsync, carried or not', async (t) => {
  const set = await setup(t);
  const model = make(`${set.work}/model`, { 's/': '', 'base/': '', 'd/': '' });
  for (const [side, mode] of [
    ['s', '600'],
    ['base', '644'],
  ] as const)
    execFileSync('mkfifo', ['-m', mode, `${model}/${side}/p`]);
  for (const [ran] of [
    await besideRsync(t, set, { model, flags: ['-rlpDin', '--copy-dest=../base'] }),
    await besideRsync(t, set, { model, flags: ['-rlpDin', '--link-dest=../base'] }),
  ])
    t.regex(ran?.stdout ?? '', /^cSc\.Tp\.{5} p$/m);
});

judgedWhere(isRoot)('a plain user links as well', async (t) => {
  const set = await setup(t);
  const model = make(`${set.work}/model`, TREES);
  spawnSync('chown', ['-R', '12345:12345', set.work, set.served]);
  const as = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups'];
  for (const kind of KINDS)
    await besideRsync(t, set, { model, flags: ['-rlpti', `${kind}=../old`], as, ways: ['local', 'pull'] });
});

judged('what is linked sends no content, and a run without a change takes one round trip', async (t) => {
  const { work, served, server, access } = await setup(t);
  make(work, { 's/a': 'a'.repeat(5000), 's/sub/b': 'b'.repeat(5000), 's/new': 'new' });
  copied(`${work}/s`, `${served}/old`);
  spawnSync('rm', [`${served}/old/new`]);
  await using relay = await Relay.start({ to: server.port, delayMs: 50 });
  await using connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const options = { linkDest: '../old', links: true };
  const first = await connection.push(`${work}/s`, 'root/today', options);
  t.is(first.stats.bytesTransferred, 3);
  t.is(lstatSync(`${served}/today/sub/b`).ino, lstatSync(`${served}/old/sub/b`).ino);
  const again = await connection.push(`${work}/s`, 'root/today', options);
  t.deepEqual([again.stats.filesTransferred, again.stats.hardLinksCreated], [0, 0]);
  const roundTrips = await relay.fewestRoundTrips(() => connection.push(`${work}/s`, 'root/today', options));
  t.true(roundTrips <= 1.5, `${roundTrips} round trips`);
});

judgedEachWay('a state that is not there is told, and everything travels', async (t, set) => {
  const model = make(`${set.work}/model`, { 's/a': 'a', 's/sub/b': 'b' });
  const all = await besideRsync(t, set, { model, flags: ['-ai', '--link-dest=../none'] });
  for (const ran of all) t.regex(ran.stderr, /the directory \.\.\/none to compare with does not exist/);
});

judgedWhere(canMount)('where no link can be made a copy is', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a', 'd/': '' });
  if (!mountTmpfs(t, `${work}/other`, 'size=1m')) throw new Error('cannot mount');
  copied(`${work}/s`, `${work}/other/old`);
  const ran = await cli(t, user, ['-a', `--link-dest=${work}/other/old`, '--stats', `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.is(readFileSync(`${work}/d/a`, 'utf8'), 'a');
  t.regex(ran.stdout, /files transferred:\s+0/);
});

judged(
  'on a server a state is below the prefix, is read with the right to read, and shows nothing that is hidden',
  async (t) => {
    const set = await setup(t, { rights: 'write,delete' });
    make(set.work, { 's/a': 'a' });
    make(set.served, { 'old/a': 'a' });
    for (const name of ['linkDest', 'copyDest', 'compareDest'] as const) {
      const error = await rejection(t, sync(`${set.work}/s`, set.url('d'), { ...set.access, [name]: '../old' }));
      t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE', name);
    }
    const hiding = await setup(t, { args: ['--exclude=*.key', '--exclude=/private/'] });
    make(hiding.work, { 's/a': 'a', 's/b.txt': 'b' });
    make(hiding.served, { 'private/a': 'a', 'old/a': 'a' });
    const ran = await cli(t, hiding.client, ['-a', '--link-dest=../private', `${hiding.work}/s/`, hiding.url('d')]);
    t.is(ran.code, exit.unauthorized);
    t.deepEqual(
      names(hiding.served).filter((name) => name !== 'd'),
      ['old', 'old/a', 'private', 'private/a'],
    );
  },
);

for (const [what, bad] of [
  ['`..`', '../../old'],
  ['a symlink', '../out'],
] as const)
  judged(`CVE-2026-70460: ${what} in --link-dest and its like does not lead out of a served root`, async (t) => {
    const { work, served, url, client: user } = await setup(t);
    make(work, { 's/secret': 'x', 'old/secret': 'x' });
    make(served, { 'd/': '' });
    symlinkSync(`${work}/old`, `${served}/out`);
    for (const kind of [...KINDS, '--reflink-dest']) {
      const ran = await cli(t, user, ['-a', `${kind}=${bad}`, `${work}/s/`, url('d')]);
      t.is(ran.code, exit.unauthorized, `${kind}: ${ran.stderr}`);
      t.deepEqual(names(`${served}/d`), [], kind);
    }
  });

judged('the three cannot be combined', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a' });
  const ran = await cli(t, user, ['-a', '--link-dest=x', '--copy-dest=y', `${work}/s/`, `${work}/d/`]);
  t.is(ran.code, exit.usage);
  t.regex(ran.stderr, /copyDest and linkDest cannot be combined/);
});
