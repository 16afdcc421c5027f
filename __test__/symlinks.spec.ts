// What symlinks lead to: -L, -k, --safe-links and --copy-unsafe-links, judged by what rsync makes of the same trees.
import { chmodSync, chownSync, cpSync, linkSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { spawnSync } from 'node:child_process';

import test from 'ava';

import { sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { asRsync, differs, file, link, randomLinks, settle } from './helpers/links.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { canMount, mountTmpfs, scaled, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

/** A source `src` below `root`, and what lies beside it as `out`. */
function grow(root: string): void {
  for (const path of ['src/sub/deep', 'out/od']) mkdirSync(`${root}/${path}`, { recursive: true });
  for (const path of ['src/f', 'src/sub/g', 'src/one', 'out/of', 'out/od/x']) file(`${root}/${path}`);
  linkSync(`${root}/src/f`, `${root}/src/sub/hard`);
  const links: [string, string][] = [
    ['ok', 'f'],
    ['one1', 'one'],
    ['one2', 'one'],
    ['up', '../out/of'],
    ['updir', '../out/od'],
    ['lsub', 'sub'],
    ['chain', 'ok'],
    ['sub/ok2', '../f'],
    ['sub/mid', '../sub/../f'],
    ['sub/mid2', 'deep/../../f'],
    ['sub/dotup', './../f'],
    ['sub/outin', '../../src/f'],
    ['sub/dir', 'deep/'],
  ];
  for (const [path, target] of links) link(`${root}/src/${path}`, target);
  settle(root, 'src/sub/deep', 'src/sub', 'src', 'out/od', 'out', '.');
}

/** Symlinks that no run can follow. */
function addDangling(root: string): void {
  link(`${root}/src/dangling`, 'nothing');
  link(`${root}/src/loop`, 'loop');
  link(`${root}/src/updangling`, '../nothing');
  settle(root, 'src');
}

judgedEachWay('symlinks are followed, left alone or carried as by rsync', async (t, ready) => {
  grow(ready.work);
  grow(ready.served);
  const flags = [
    ['-L'],
    ['-k'],
    ['--copy-unsafe-links'],
    ['--safe-links'],
    ['-k', '--safe-links'],
    ['-k', '--copy-unsafe-links'],
    ['--copy-unsafe-links', '--safe-links'],
    ['-L', '-H'],
    ['-L', '-c'],
    ['-L', '--exclude=lsub/', '--exclude=up'],
    ['-k', '--no-l'],
    ['-L', '--no-l'],
  ];
  const named = [['-L'], ['--copy-unsafe-links'], ['--safe-links']];
  await asRsync(t, ready, [
    ...flags.map((each) => ({ flags: each, source: 'src/' })),
    ...named.map((each) => ({ flags: each, source: 'src' })),
  ]);
});

judgedEachWay('a source that is a symlink is followed where symlinks are', async (t, ready) => {
  for (const root of [ready.work, ready.served]) {
    grow(root);
    for (const [path, target] of [
      ['top', 'src'],
      ['topf', 'src/f'],
      ['topd', 'none'],
    ] as const)
      link(`${root}/${path}`, target);
  }
  const cases: [string, readonly string[]][] = [
    ['-L', ['top', 'top/', 'topf', 'src/lsub', 'src/updir']],
    ['-k', ['top', 'topf']],
    ['--copy-unsafe-links', ['src/updir', 'src/lsub']],
    ['--safe-links', ['src/updir', 'src/lsub/']],
  ];
  await asRsync(
    t,
    ready,
    cases.flatMap(([flag, sources]) => sources.map((source) => ({ flags: [flag], source }))),
  );
  await asRsync(t, ready, [
    { flags: ['-k'], source: 'topd' },
    { flags: ['-L'], source: 'topd' },
  ]);
});

judgedEachWay(
  'symlinks that lead to nothing are told, keep a run from deleting, and cost nothing else',
  async (t, ready) => {
    const fill = (destination: string): void => {
      file(`${destination}/extra`);
      file(`${destination}/dangling`);
      file(`${destination}/up`, 'of the destination');
    };
    for (const root of [ready.work, ready.served]) {
      grow(root);
      addDangling(root);
    }
    await asRsync(t, ready, [
      { flags: ['-L', '--delete'], source: 'src/', fill },
      { flags: ['-k', '--delete'], source: 'src/', fill },
      { flags: ['--copy-unsafe-links', '--delete'], source: 'src/', fill },
      { flags: ['--safe-links', '--delete'], source: 'src/', fill },
      { flags: ['-L', '--exclude=dangling', '--exclude=loop', '--exclude=updangling'], source: 'src/' },
      { flags: ['-Lm'], source: 'src/' },
    ]);
    const ran = await cli(t, ready.client, ['-aL', `${ready.work}/src/`, `${ready.work}/told/`]);
    t.regex(ran.stderr, /dangling.*symlink has no referent/);
    t.regex(ran.stderr, /loop.*Too many levels of symbolic links/);

    // A directory that holds nothing else is left out where those are, and what it holds is told.
    mkdirSync(`${ready.work}/few/sub`, { recursive: true });
    link(`${ready.work}/few/sub/dangling`, 'nothing');
    const pruned = await cli(t, ready.client, ['-aLm', `${ready.work}/few/`, `${ready.work}/pruned/`]);
    t.is(pruned.code, exit.partial);
    t.regex(pruned.stderr, /^sub\/dangling: symlink has no referent/m);
  },
);

judgedEachWay('absolute symlinks are followed on this machine', async (t, ready) => {
  grow(ready.work);
  link(`${ready.work}/src/abs`, `${ready.work}/out/of`);
  link(`${ready.work}/src/sub/absdir`, `${ready.work}/out`);
  settle(ready.work, 'src/sub', 'src');
  const flags = [['-L'], ['-k'], ['--copy-unsafe-links'], ['--safe-links']];
  await asRsync(
    t,
    ready,
    flags.map((each) => ({ flags: each, source: 'src/', ways: ['local', 'push'] as const })),
  );
});

judged('a symlink to a directory above it is followed as far as the system does', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  for (const root of [work, served]) {
    mkdirSync(`${root}/src/d`, { recursive: true });
    file(`${root}/src/d/f`);
    link(`${root}/src/d/self`, '../d');
  }
  for (const flag of ['-aL', '-ak']) {
    const judge = spawnSync('rsync', [flag, 'src/', `judge${flag}/`], { cwd: work });
    const files = (top: string): string[] =>
      [...walk(top)].flatMap(([path, { kind }]) => (kind === 'file' ? [path] : []));
    for (const [way, from, to] of [
      ['local', 'src/', `local${flag}/`],
      ['pull', url('src/'), `pull${flag}/`],
    ] as const) {
      const ran = await cli(t, user, [flag, from, to], { cwd: work });
      t.is(ran.code, judge.status, `${flag} ${way}: ${ran.stderr}`);
      t.regex(ran.stderr, /Too many levels of symbolic links/);
      t.deepEqual(files(`${work}/${to}`), files(`${work}/judge${flag}`), `${flag} ${way}`);
    }
  }
});

judgedEachWay('paths of a list may lead through symlinks that are followed', async (t, ready) => {
  grow(ready.work);
  grow(ready.served);
  spawnSync('sh', ['-c', 'printf "lsub/g\\nok\\nupdir/x\\n" > list'], { cwd: ready.work });
  const list = [`--files-from=${ready.work}/list`];
  await asRsync(t, ready, [
    { flags: ['-L', ...list], source: 'src/' },
    { flags: ['-k', ...list], source: 'src/' },
  ]);
});

judgedWhere(canMount)('-x goes into no directory of another file system that a symlink leads to', async (t) => {
  const ready = await setup(t);
  for (const root of [ready.work, ready.served]) {
    mkdirSync(`${root}/src`, { recursive: true });
    mountTmpfs(t, `${root}/other`, 'size=1m');
    mkdirSync(`${root}/other/d`);
    file(`${root}/other/d/x`);
    file(`${root}/other/y`);
    link(`${root}/src/d`, '../other/d');
    link(`${root}/src/y`, '../other/y');
    settle(root, 'other/d', 'other', 'src');
  }
  await asRsync(t, ready, [
    { flags: ['-Lx'], source: 'src/' },
    { flags: ['-kx'], source: 'src/' },
  ]);
});

// Targets of every form, decided in one run each.
judgedEachWay('which symlinks are unsafe is decided as by rsync (CVE-2024-12088)', async (t, ready) => {
  const { work } = ready;
  const parts = ['..', '.', 'a', '', '...', 'b..'];
  const targets = parts.flatMap((one) =>
    parts.flatMap((two) => parts.flatMap((three) => [`${one}/${two}/${three}`, `${one}/${two}/${three}/../x`])),
  );
  const shown = [...new Set([...targets, '..', '../', '../..', '../../', '../../..', '/', '../../a/../..'])];
  for (const root of ['src', 'src/one', 'src/one/two']) {
    mkdirSync(`${work}/${root}`, { recursive: true });
    for (const [index, target] of shown.entries()) link(`${work}/${root}/l${index}`, target);
  }
  settle(work, 'src/one/two', 'src/one', 'src');
  await asRsync(
    t,
    ready,
    ['src/', 'src'].map((source) => ({ flags: ['--safe-links'], source, ways: ['local', 'push'] as const })),
  );
});

judgedEachWay('random trees of symlinks arrive as by rsync', async (t, ready) => {
  t.log(`seed ${seed}`);
  for (let round = 0; round < scaled(4, 60); round += 1) {
    const random = new Random(`links ${round}`);
    for (const root of [ready.work, ready.served]) {
      for (const name of ['src', 'far', 'out']) rmSync(`${root}/${name}`, { recursive: true, force: true });
      mkdirSync(`${root}/out/od`, { recursive: true });
      for (const name of ['out/of', 'out/od/x']) file(`${root}/${name}`);
      settle(root, 'out/od', 'out');
    }
    // Those that are pulled lead nowhere that a server does not follow.
    randomLinks(random, dir(ready.work, 'src'));
    cpSync(`${ready.work}/src`, `${ready.served}/src`, { recursive: true, verbatimSymlinks: true });
    spawnSync('rsync', ['-aH', '--delete', 'src/', `${ready.served}/src/`], { cwd: ready.work });
    randomLinks(random, dir(ready.work, 'far'), `${ready.work}/out`);
    const choices = [['-L'], ['-k'], ['--copy-unsafe-links'], ['--safe-links'], ['-k', '--copy-unsafe-links'], ['-LH']];
    for (const [source, ways] of [
      ['src/', ['local', 'push', 'pull']],
      ['far/', ['local', 'push']],
    ] as const) {
      const flags = random.pick(choices);
      for (const name of ['judge0', 'made-local0', 'made-pull0']) {
        rmSync(`${ready.work}/${name}`, { recursive: true, force: true });
      }
      rmSync(`${ready.served}/made0`, { recursive: true, force: true });
      await asRsync(t, ready, [{ flags, source, ways }]);
    }
  }
});

test('symlinks that are left alone are warnings, and each is told', async (t) => {
  const { work } = await setup(t);
  const source = dir(work, 'src');
  symlinkSync('/etc', `${source}/abs`);
  symlinkSync('abs', `${source}/safe`);
  const { warnings } = await sync(source, `${work}/made`, { safeLinks: true });
  t.deepEqual(
    warnings.map(({ code, path }) => [code, path]),
    [['unsafe-link', 'abs']],
  );
});

const trial = 'd=$(mktemp -d) && setfattr -n user.a -v 1 $d && setfacl -m u:7:r $d; s=$?; rm -r $d; exit $s';
const hasBoth = spawnSync('sh', ['-c', trial]).status === 0;

judgedWhere(hasBoth)('what symlinks lead to arrives with its extended attributes and ACLs', async (t) => {
  const ready = await setup(t, { rights: 'read,write,delete,owner,special,xattrs,acls' });
  for (const root of [ready.work, ready.served]) {
    grow(root);
    for (const path of ['src/f', 'src/sub', 'out/of', 'out/od', 'out/od/x']) {
      spawnSync('setfattr', ['-n', 'user.path', '-v', path, `${root}/${path}`]);
      spawnSync('setfacl', ['-m', `u:${path.length}:r`, `${root}/${path}`]);
    }
    spawnSync('setfattr', ['-h', '-n', 'trusted.link', '-v', 'of the symlink', `${root}/src/up`]);
  }
  await asRsync(
    t,
    ready,
    [['-LA'], ['-kA'], ['-A', '--copy-unsafe-links']].map((flags) => ({ flags, source: 'src/' })),
  );
  // rsync has those of the symlink itself.
  const { work, url, client: user } = ready;
  for (const [from, to] of [
    ['src/', 'local/'],
    [url('src/'), 'pulled/'],
  ] as const) {
    t.is((await cli(t, user, ['-aLX', from, to], { cwd: work })).code, exit.ok);
    for (const [path, value] of [
      ['ok', 'src/f'],
      ['up', 'out/of'],
      ['lsub', 'src/sub'],
      ['updir', 'out/od'],
      ['updir/x', 'out/od/x'],
    ]) {
      const said = spawnSync('getfattr', ['-d', '-m', '-', `${path}`], { cwd: `${work}/${to}`, encoding: 'utf8' });
      t.regex(said.stdout, new RegExp(`^user.path="${value}"$`, 'm'), `${to}${path}`);
      t.notRegex(said.stdout, /trusted.link/, `${to}${path}`);
    }
  }
});

const become = becoming(65_534);

judgedWhere(canBecome)('a plain user follows symlinks to what he may read, as with rsync', async (t) => {
  const { work } = await setup(t);
  for (const path of [dirname(work), work]) chmodSync(path, 0o755);
  grow(work);
  mkdirSync(`${work}/shut/in`, { recursive: true });
  for (const path of ['shut/f', 'shut/in/g']) file(`${work}/${path}`);
  chmodSync(`${work}/shut`, 0o700);
  link(`${work}/src/closed`, '../shut/f');
  link(`${work}/src/sub/closed`, '../../shut/in');
  settle(work, 'src/sub', 'src');
  for (const name of ['home', 'ours', 'theirs']) chownSync(dir(work, name), 65_534, 65_534);
  const env = { SPARSYNC_CONFIG_DIR: `${work}/home/config`, SPARSYNC_STATE_DIR: `${work}/home/state` };
  for (const flag of ['-L', '-k', '--copy-unsafe-links', '--safe-links']) {
    const args = (to: string): string[] => ['-a', flag, `${work}/src/`, `${work}/${to}/${flag}/`];
    const judge = spawnSync('setpriv', [...become, 'rsync', ...args('theirs')], { encoding: 'utf8' });
    const ran = await start(t, 'setpriv', [...become, process.execPath, program, ...args('ours')], { env }).ended;
    t.is(ran.code, judge.status, `${flag}: ${ran.stderr}\nrsync: ${judge.stderr}`);
    t.is(differs(`${work}/theirs/${flag}`, `${work}/ours/${flag}`), '', flag);
  }
});

judged('a run that follows symlinks finds what changed in what they lead to', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  grow(work);
  const push = ['-aL', 'src/', url('made/')];
  t.is((await cli(t, user, push, { cwd: work })).code, exit.ok);
  file(`${work}/out/of`, 'longer content than before');
  rmSync(`${work}/out/od/x`);
  file(`${work}/out/od/y`);
  const ran = await cli(t, user, ['-aLi', '--delete', 'src/', url('made/')], { cwd: work });
  t.is(ran.code, exit.ok, ran.stderr);
  spawnSync('rsync', ['-aL', 'src/', 'judge/'], { cwd: work });
  t.is(differs(`${work}/judge`, `${served}/made`), '');
});
