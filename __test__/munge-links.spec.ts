// --munge-links: symlinks that lead nowhere where they are stored, judged by what rsync makes of the same trees.
import { mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { asRsync, file, link, settle } from './helpers/links.js';
import { setup } from './helpers/setup.js';

function grow(root: string): void {
  mkdirSync(`${root}/src/sub`, { recursive: true });
  file(`${root}/src/f`);
  for (const [path, target] of [
    ['l', 'f'],
    ['sub/up', '../f'],
    ['abs', '/etc/hostname'],
    ['m', '/rsyncd-munged/f'],
    ['mm', '/rsyncd-munged//rsyncd-munged/f'],
    ['almost', '/rsyncd-munged'],
  ] as const)
    link(`${root}/src/${path}`, target);
  settle(root, 'src/sub', 'src');
}

/** A destination in which somebody has put a symlink that leads somewhere. */
function planted(destination: string): void {
  link(`${destination}/l`, 'f');
}

judged('symlinks are munged where they are written, and read as they were, as by rsync', async (t) => {
  const ready = await setup(t);
  grow(ready.work);
  grow(ready.served);
  const there = ['-M--munge-links'];
  await asRsync(t, ready, [
    // On this side: what is sent is read as it was, what arrives is munged.
    { flags: ['--munge-links'], source: 'src/', ways: ['local', 'push'] },
    { flags: ['--munge-links'], source: 'src/', ways: ['pull'], judgeFlags: there },
    { flags: ['--munge-links'], source: 'src/', ways: ['pull'], judgeFlags: there, fill: planted },
    // On the other side.
    { flags: there, source: 'src/', ways: ['local', 'push'] },
    { flags: there, source: 'src/', ways: ['local', 'push'], fill: planted },
    { flags: there, source: 'src/', ways: ['pull'], judgeFlags: ['--munge-links'] },
    { flags: ['--munge-links', ...there], source: 'src/' },
  ]);
});

judged('an operator has the symlinks of a root munged, whatever clients ask for', async (t) => {
  const { work, served, url, client: user, access } = await setup(t, { args: ['--munge-links'] });
  grow(work);
  for (const run of ['first', 'second']) {
    const ran = await cli(t, user, ['-ai', 'src/', url('tree/')], { cwd: work });
    t.is(ran.code, exit.ok, ran.stderr);
    if (run === 'second') t.is(ran.stdout, '');
  }
  t.is(readlinkSync(`${served}/tree/l`), '/rsyncd-munged/f');
  t.is(readlinkSync(`${served}/tree/abs`), '/rsyncd-munged//etc/hostname');
  t.is((await cli(t, user, ['verify', 'src/', url('tree/')], { cwd: work })).code, exit.ok);
  await sync(url('tree'), `${work}/back`, access);
  for (const path of ['l', 'abs', 'm', 'sub/up']) {
    t.is(readlinkSync(`${work}/back/${path}`), readlinkSync(`${work}/src/${path}`), path);
  }
  // One that was put there by somebody else is munged by the next run, and nobody is led by one that is munged.
  rmSync(`${served}/tree/l`);
  symlinkSync('f', `${served}/tree/l`);
  await sync(`${work}/src`, url('tree'), access);
  t.is(readlinkSync(`${served}/tree/l`), '/rsyncd-munged/f');
  const followed = await cli(t, user, ['-aL', url('tree/'), `${work}/led/`]);
  t.is(followed.code, exit.partial);
  t.regex(followed.stderr, /leads out/);
});
