// Backups as rsync keeps them: what is replaced or deleted is still there, beside its original or in a directory, and on a server
// never anywhere else.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import { sync } from '../dist/index.js';
import { besideRsync, copied, make, randomTrees } from './helpers/beside.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { canMount, codeOf, isRoot, mountTmpfs, rejection, setup } from './helpers/setup.js';
import { startServer } from './helpers/server.js';
import { hasStrace } from './helpers/strace.js';
import { names } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const TREES = {
  's/a': 'a',
  's/f': 'new',
  's/dir/c': 'c',
  's/l': '-> a',
  's/was_file/q': 'q',
  's/mode%600': 'mode',
  'd/a@1500000000': 'A0',
  'd/f': 'old!',
  'd/f~': 'o~',
  'd/l': '-> zz',
  'd/dir/c@1500000000': 'c',
  'd/dir/x/x': 'x',
  'd/was_file': 'wf',
  'd/mode': 'mode',
  'd/extra': 'e',
  'd/extra~': 'ee~',
  'd/zz~': 'zz~',
};

// Seen red with a file that is renamed over what it replaces.
judgedEachWay('-b keeps what is replaced and what is deleted beside it', async (t, set) => {
  const model = make(`${set.work}/model`, TREES);
  for (const flags of [[], ['--delete'], ['--suffix=.old'], ['--delete', '--suffix=.old'], ['-n', '--delete']])
    await besideRsync(t, set, { model, flags: ['-aib', ...flags] });
  for (const flags of [
    ['--delete-excluded', '--exclude=extra*'],
    ['--delete', '-f', 'R *~'],
  ])
    await besideRsync(t, set, { model, flags: ['-aib', ...flags] });
});

// Seen red without it.
judged('-b leaves the times of directories alone, and --backup-dir does not', async (t) => {
  const { work, client: user } = await setup(t);
  for (const flags of [[], ['--suffix=.old'], ['--backup-dir=../kept']]) {
    const [source, judge, ours] = ['s', 'judge', 'ours'].map((name) => {
      const root = `${make(`${work}/${flags.join('')}`, { [`${name}/dir/f@1500000000`]: 'f' })}/${name}`;
      utimesSync(`${root}/dir`, name === 's' ? 1 : 2, name === 's' ? 1 : 2);
      utimesSync(root, 3, 3);
      return root;
    }) as [string, string, string];
    const { stdout } = spawnSync('rsync', ['-aib', ...flags, `${source}/`, `${judge}/`], { encoding: 'utf8' });
    const ended = await cli(t, user, ['-aib', ...flags, `${source}/`, `${ours}/`]);
    t.is(ended.stdout, stdout, flags.join());
    t.is(lstatSync(`${ours}/dir`).mtimeMs, lstatSync(`${judge}/dir`).mtimeMs, flags.join());
  }
});

judged('-b keeps a symlink that leads out with --safe-links as well, which rsync loses', async (t) => {
  const { work, client: user } = await setup(t);
  const model = make(`${work}/model`, { 's/f': 'f', 's/l': '-> f', 'd/f': '-> /etc/passwd', 'd/l': '-> ..' });
  for (const [index, kept] of [['-b'], ['--backup-dir=../kept']].entries()) {
    const base = copied(model, `${work}/here${index}`);
    const ran = await cli(t, user, ['-a', '--safe-links', ...kept, `${base}/s/`, `${base}/d/`]);
    t.is(ran.code, exit.ok, ran.stderr);
    const at = (name: string): string => (kept[0] === '-b' ? `${base}/d/${name}~` : `${base}/kept/${name}`);
    t.deepEqual(
      ['f', 'l'].map((name) => readlinkSync(at(name))),
      ['/etc/passwd', '..'],
      kept.join(''),
    );
  }
});

judgedEachWay('--backup-dir keeps it under its path, and a directory that is replaced as well', async (t, set) => {
  const model = make(`${set.work}/model`, { ...TREES, 's/was_dir': 'file', 'd/was_dir/in/w': 'w' });
  for (const flags of [['--delete'], ['--delete', '--suffix=.o'], ['--force'], ['-n', '--delete']])
    await besideRsync(t, set, { model, flags: ['-ai', '--backup-dir=../kept/today', ...flags] });
  await besideRsync(t, set, { model, flags: ['-ai', '--backup-dir=kept', '--delete'] });
});

// Seen red without them, and with what a directory takes over from the one above.
judgedEachWay('with ACLs, directories of backups have those of the directories that they stand for', async (t, set) => {
  const { work, served, url, client: user } = set;
  const model = make(`${work}/model`, { 's/acl/in/f': 'new', 'd/acl/in/f@1500000000': 'old' });
  for (const top of ['s', 'd']) execFileSync('setfacl', ['-m', 'u:1234:rwx,d:u:77:rx', `${model}/${top}/acl`]);
  const acls = (top: string): string => execFileSync('getfacl', ['-R', '-n', 'kept'], { cwd: top, encoding: 'utf8' });
  for (const flags of ['-aA', '-aX']) {
    const [judge, here, there] = [`${served}/judge${flags}`, `${served}/here${flags}`, `${served}/there${flags}`];
    for (const top of [judge, here, there]) copied(model, top);
    const all = [flags, '--backup-dir=../kept'];
    execFileSync('rsync', [...all, `${judge}/s/`, `${judge}/d/`]);
    t.is((await cli(t, user, [...all, `${here}/s/`, `${here}/d/`])).code, exit.ok);
    t.is((await cli(t, user, [...all, `${there}/s/`, url(`there${flags}/d/`)])).code, exit.ok);
    t.is(acls(here), acls(judge), flags);
    t.is(acls(there), acls(judge), flags);
  }
});

judgedEachWay('random trees with backups are as rsync leaves them', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 8; round += 1) {
    const model = randomTrees(random, `${set.work}/model${round}`, ['s', 'd'], { plain: true });
    const flags = ['-ai', random.pick(['-c', '-t']), random.pick(['--delete', '-H']), '--backup-dir=../kept'];
    await besideRsync(t, set, { model, flags, ways: ['local', random.pick(['push', 'pull'])] });
  }
});

judgedWhere(isRoot)('a plain user keeps backups as well', async (t) => {
  const set = await setup(t);
  const model = make(`${set.work}/model`, TREES);
  spawnSync('chown', ['-R', '12345:12345', set.work, set.served]);
  const as = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups'];
  for (const flags of [['-b'], ['--backup-dir=../kept', '--delete']])
    await besideRsync(t, set, { model, flags: ['-rlpti', ...flags], as, ways: ['local', 'pull'] });
});

judgedWhere(canMount)('a directory for backups on another file system gets copies', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'd/f@1500000000%640': 'old', 'd/gone@1400000000': 'gone', 'd/l': '-> x' });
  if (!mountTmpfs(t, `${work}/other`, 'size=1m')) throw new Error('cannot mount');
  const ran = await cli(t, user, ['-a', '--delete', `--backup-dir=${work}/other/kept`, `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.deepEqual(names(`${work}/d`), ['f']);
  t.is(readFileSync(`${work}/other/kept/f`, 'utf8'), 'old');
  const stat = spawnSync('stat', ['-c', '%a %Y', `${work}/other/kept/f`, `${work}/other/kept/gone`], {
    encoding: 'utf8',
  });
  t.is(stat.stdout, '640 1500000000\n644 1400000000\n');
});

judged('what the directory for backups holds is not deleted by the next run', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'first', 'd/f@1500000000': 'old', 'd/gone': 'gone' });
  const flags = ['-a', '--delete', '--backup-dir=kept', `${work}/s/`, `${work}/d/`];
  t.is((await cli(t, user, flags)).code, 0);
  writeFileSync(`${work}/s/f`, 'second one');
  const again = await cli(t, user, flags);
  t.deepEqual([again.code, again.stderr], [0, '']);
  t.deepEqual(names(`${work}/d`), ['f', 'kept', 'kept/f', 'kept/gone']);
  t.is(readFileSync(`${work}/d/kept/f`, 'utf8'), 'first');
});

judgedEachWay('what has the place of a backup in the directory for them gives way', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/a': 'new',
    's/sub/f': 'new',
    's/keep': 'keep',
    'd/a@1500000000': 'old',
    'd/b': 'b',
    'd/sub/f@1500000000': 'old',
    'd/x/y/1': '1',
    'bk/a/q/in': 'in',
    'bk/b/': '',
    'bk/sub': '-> ../s',
    'bk/x': 'x',
  });
  await besideRsync(t, set, { model, flags: ['-ab', '--delete', '--backup-dir=../bk'] });
});

judgedEachWay('an empty directory that has the name of a backup gives way', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/a': 'new',
    'd/a@1500000000': 'old',
    'd/a~/': '',
    'd/b': 'b',
    'd/b~/': '',
  });
  for (const flags of [[], ['--delete']]) await besideRsync(t, set, { model, flags: ['-aib', ...flags] });
});

judged('a directory for backups that is a file is refused before anything is done', async (t) => {
  const set = await setup(t);
  const model = make(`${set.work}/model`, { 's/f': 'new', 'd/f@1500000000': 'old', 'd/gone': 'g', bk: 'file' });
  for (const path of ['../bk', '../bk/below'])
    for (const dry of [[], ['-n']]) {
      const flags = ['-ai', '--delete', `--backup-dir=${path}`, ...dry, 's/', 'd/'];
      const ran = await cli(t, set.client, flags, { cwd: model });
      t.is(ran.code, exit.usage, ran.stderr);
      t.is(ran.stdout, '');
      t.true(ran.stderr.includes('the directory for backups is not a directory'), ran.stderr);
    }
  t.deepEqual(names(`${model}/d`), ['f', 'gone']);
});

judged(
  'a backup whose name is taken by a directory with something in it costs its file alone, which stays',
  async (t) => {
    const { work, client: user } = await setup(t);
    make(work, { 's/f': 'new', 's/g': 'g', 'd/f@1500000000': 'old', 'd/f~/in': 'in' });
    const ran = await cli(t, user, ['-ab', `${work}/s/`, `${work}/d/`]);
    t.is(ran.code, exit.partial);
    t.regex(ran.stderr, /^f: cannot write: making the backup: /m);
    t.is(readFileSync(`${work}/d/f`, 'utf8'), 'old');
    t.deepEqual(names(`${work}/d`), ['f', 'f~', 'f~/in', 'g']);
  },
);

for (const [what, bad] of [
  ['`..`', '../../kept'],
  ['an absolute path with `..`', '/../kept'],
] as const)
  judged(`CVE-2026-70460: ${what} in --backup-dir does not lead out of a key's prefix`, async (t) => {
    const set = await setup(t);
    const user = client(set.work, 'narrow');
    const server = await startServer(t, {
      home: `${set.work}/second`,
      roots: { root: set.served },
      allow: [`narrow ${user.publicKey} root=root/in/prefix allow=read,write,delete`],
    });
    user.trust(server.port, server.pin);
    make(set.work, { 's/f': 'new' });
    make(set.served, { 'in/prefix/d/f@1500000000': 'old' });
    const to = server.url('root', 'in/prefix/d');
    const ran = await cli(t, user, ['-a', `--backup-dir=${bad}`, `${set.work}/s/`, to]);
    t.is(ran.code, exit.unauthorized, ran.stderr);
    t.is(readFileSync(`${set.served}/in/prefix/d/f`, 'utf8'), 'old');
    const inside = await cli(t, user, ['-a', '--backup-dir=/kept', `${set.work}/s/`, to]);
    t.is(inside.code, 0, inside.stderr);
    t.is(readFileSync(`${set.served}/in/prefix/kept/f`, 'utf8'), 'old');
  });

judged('CVE-2026-70460: a symlink in the way of --backup-dir on a server leads nowhere', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'outside/x': 'x' });
  make(served, { 'd/f@1500000000': 'old' });
  symlinkSync(`${work}/outside`, `${served}/kept`);
  const ran = await cli(t, user, ['-a', '--backup-dir=../kept', `${work}/s/`, url('d')]);
  t.is(ran.code, exit.unauthorized, ran.stderr);
  // Also where the symlink comes later, in place of a directory for backups.
  make(work, { 't/sub/f': 'new' });
  make(served, { 'e/sub/f@1500000000': 'old' });
  mkdirSync(`${served}/later`);
  symlinkSync(`${work}/outside`, `${served}/later/sub`);
  const later = await cli(t, user, ['-a', '--backup-dir=../later', `${work}/t/`, url('e')]);
  t.is(later.code, exit.ok, later.stderr);
  t.is(readFileSync(`${served}/later/sub/f`, 'utf8'), 'old');
  t.true(lstatSync(`${served}/later/sub`).isDirectory());
  t.deepEqual(names(`${work}/outside`), ['x']);
});

judged('backups take the rights to write and to delete', async (t) => {
  for (const rights of ['read,write', 'read,append', 'read,append,delete']) {
    const { work, served, access, url } = await setup(t, { rights });
    make(work, { 's/f': 'new' });
    make(served, { 'd/f@1500000000': 'old' });
    const error = await rejection(t, sync(`${work}/s`, url('d'), { ...access, backup: true }));
    t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE', rights);
    t.false(existsSync(`${served}/d/f~`));
  }
});

judged('a suffix is no path, and not empty without a directory', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'd/f@1500000000': 'old' });
  for (const flags of [['--suffix=a/b'], ['--suffix='], ['--suffix=/..']])
    t.is((await cli(t, user, ['-ab', ...flags, `${work}/s/`, `${work}/d/`])).code, exit.usage, flags.join(' '));
  t.is(readFileSync(`${work}/d/f`, 'utf8'), 'old');
});

judged('backups in the destination itself need a suffix, and take nothing away', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'd/f@1500000000': 'old' });
  make(served, { 'd/f@1500000000': 'old' });
  for (const [to, at] of [
    [`${work}/d/`, `${work}/d`],
    [url('d/'), `${served}/d`],
  ] as const) {
    t.is((await cli(t, user, ['-rt', '-b', '--backup-dir=.', `${work}/s/`, to])).code, exit.usage);
    t.is(readFileSync(`${at}/f`, 'utf8'), 'old');
    await quietly(t, user, ['-rt', '-b', '--backup-dir=.', '--suffix=.old', `${work}/s/`, to]);
    t.deepEqual([readFileSync(`${at}/f`, 'utf8'), readFileSync(`${at}/f.old`, 'utf8')], ['new', 'old']);
  }
});

judgedWhere(hasStrace)('a run that is killed between the backup and the new content loses neither', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/f': 'new', 'd/f@1500000000': 'old' });
  const flags = ['-rt', '-b', `${work}/s/`, `${work}/d/`];
  for (const call of ['linkat', 'renameat', 'renameat2']) {
    const inject = ['-f', '-o', '/dev/null', '-e', `inject=${call}:signal=SIGKILL:when=1`];
    await start(t, 'strace', [...inject, process.execPath, program, ...flags], { env: user.env }).ended;
    await quietly(t, user, flags);
    t.deepEqual([readFileSync(`${work}/d/f`, 'utf8'), readFileSync(`${work}/d/f~`, 'utf8')], ['new', 'old'], call);
    make(work, { 'd/f@1500000000': 'old' });
    rmSync(`${work}/d/f~`);
  }
});

// Seen red with the old content under the name of an unfinished file, which the next run removes.
judgedWhere(hasStrace)('a run that is killed where no hard link can be made loses neither either', async (t) => {
  const { work, client: user } = await setup(t);
  for (const [kept, where] of [
    ['d/f~', []],
    ['aside/f~', ['--backup-dir', `${work}/aside`]],
  ] as const)
    for (const [call, when] of [
      ['renameat', 1],
      ['renameat', 2],
      ['renameat2', 1],
      ['unlinkat', 1],
    ] as const) {
      make(work, { 's/f': 'new', 'd/f@1500000000': 'old' });
      const flags = ['-rt', '-b', '--suffix=~', ...where, `${work}/s/`, `${work}/d/`];
      const inject = ['-e', 'inject=linkat:error=EPERM', '-e', `inject=${call}:signal=SIGKILL:when=${when}`];
      const words = ['-f', '-o', '/dev/null', ...inject, process.execPath, program, ...flags];
      await start(t, 'strace', words, { env: user.env }).ended;
      await quietly(t, user, flags);
      const found = ['d/f', kept].map((path) => readFileSync(`${work}/${path}`, 'utf8'));
      t.deepEqual(found, ['new', 'old'], `${kept}, ${call} ${when}`);
      for (const path of ['d/f', kept]) rmSync(`${work}/${path}`);
    }
});
