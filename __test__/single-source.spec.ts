// A source that is one entry and no directory: a file, a symlink wherever it leads, or something that is not carried.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import { AccessError, NotFoundError, sync } from '../dist/index.js';
import { make } from './helpers/beside.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { startServer } from './helpers/server.js';
import { accessOf, failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { client } from './helpers/product.js';
import { differences, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

/** Releases, a symlink to one of them, and other links. */
function releases(root: string): void {
  for (const name of ['v1', 'v2']) {
    mkdirSync(`${root}/${name}`, { recursive: true });
    writeFileSync(`${root}/${name}/page`, name);
  }
  symlinkSync('v1', `${root}/current`);
  symlinkSync('nowhere', `${root}/dangling`);
  symlinkSync('v1/page', `${root}/page`);
  symlinkSync('/nowhere/at/all', `${root}/absolute`);
  spawnSync('mkfifo', [`${root}/fifo`]);
}

/** Destinations: what is there before, and how they are spelled. */
function before(root: string): void {
  mkdirSync(`${root}/there/current/inside`, { recursive: true });
  symlinkSync('v0', `${root}/there/dangling`);
  writeFileSync(`${root}/old`, 'old');
  utimesSync(`${root}/old`, 1, 1);
}

const DESTINATIONS = scaled(
  ['there', 'fresh', 'fresh/', 'old'],
  ['there', 'there/', 'fresh', 'fresh/', 'there/name', 'old'],
);

judgedEachWay(
  'a symlink is copied as rsync does, whatever it leads to and wherever it goes: here, pushed, pulled',
  async (t, made) => {
    const { work, served, client: user, url } = made;
    const source = dir(served, 'rel');
    releases(source);
    let round = 0;
    for (const name of ['current', 'dangling', 'page', 'absolute', 'current/']) {
      for (const destination of DESTINATIONS) {
        for (const options of scaled(destination === 'there', true) ? [['-a'], ['-a', '--delete']] : [['-a']]) {
          round += 1;
          const label = `${options.join(' ')} ${name} ${destination}`;
          const [judge, local, pulled, pushed] = ['judge', 'local', 'pulled', 'pushed'].map((end) =>
            dir(end === 'pushed' ? served : work, `${end}${round}`),
          ) as [string, string, string, string];
          for (const root of [judge, local, pulled, pushed]) before(root);
          const ran = spawnSync('rsync', [...options, `${source}/${name}`, `${judge}/${destination}`]);
          const runs = [
            ['local', local, [`${source}/${name}`, `${local}/${destination}`]],
            ['pulled', pulled, [url(`rel/${name}`), `${pulled}/${destination}`]],
            ['pushed', pushed, [`${source}/${name}`, url(`pushed${round}/${destination}`)]],
          ] as const;
          // Where it goes is decided by the same code at a server.
          const everywhere = scaled(destination !== 'old' && options.length === 1, true);
          for (const [what, root, ends] of everywhere ? runs : runs.slice(0, 1)) {
            const ended = await cli(t, user, [...options, ...ends]);
            if (ran.status === 0) t.is(ended.code, 0, `${what}: ${label}: ${ended.stderr}`);
            else t.not(ended.code, 0, `${what}: ${label}: rsync said ${String(ran.stderr)}`);
            if (ran.status === 0 || ended.code === exit.partial) {
              const found = differences(walk(judge, { content: true }), walk(root, { content: true }), {
                wholeSeconds: true,
                times: false,
              });
              t.deepEqual(found, [], `${what}: ${label}`);
            }
          }
        }
      }
    }
  },
);

judgedEachWay(
  'a site is switched by its symlink: again, and back, and a run without a change says nothing',
  async (t, made) => {
    const { work, client: user, url, served } = made;
    const source = dir(work, 'rel');
    releases(source);
    await quietly(t, user, ['-a', `${source}/v1`, `${source}/v2`, url('site/')]);
    for (const release of ['v1', 'v2', 'v1']) {
      spawnSync('ln', ['-sfn', release, `${source}/current`]);
      await quietly(t, user, ['-a', `${source}/current`, url('site/')]);
      t.is(readFileSync(`${served}/site/current/page`, 'utf8'), release);
      const again = await cli(t, user, ['-ai', `${source}/current`, url('site/')]);
      t.deepEqual([again.code, again.stdout, again.stderr], [0, '', '']);
    }
  },
);

judged('the API follows a symlink to a directory, and copies the link itself when `into` asks for it', async (t) => {
  const { work, served, access, url } = await setup(t);
  const source = dir(served, 'rel');
  releases(source);
  symlinkSync('../rel/v2', `${source}/aside`);
  symlinkSync('../../..', `${source}/out`);
  const [here, there] = [dir(work, 'here'), dir(served, 'there')];
  await sync(`${source}/current`, `${here}/content`);
  await sync(`${source}/current`, url('there/content'), access);
  await sync(url('rel/current'), `${here}/pulled`, access);
  await sync(url('rel/aside'), `${here}/aside`, access);
  for (const [path, content] of [
    [`${here}/content/page`, 'v1'],
    [`${there}/content/page`, 'v1'],
    [`${here}/pulled/page`, 'v1'],
    [`${here}/aside/page`, 'v2'],
  ] as const) {
    t.is(readFileSync(path, 'utf8'), content);
  }
  for (const name of ['current', 'dangling', 'absolute', 'out']) {
    await sync(`${source}/${name}`, here, { into: true });
    await sync(url(`rel/${name}`), dir(here, 'from'), { ...access, into: true });
    await sync(`${source}/${name}`, url('there'), { ...access, into: true });
    for (const root of [here, `${here}/from`, there]) {
      t.is(readlinkSync(`${root}/${name}`), readlinkSync(`${source}/${name}`));
    }
  }
  // Without a directory behind it a link stands for itself.
  await sync(`${source}/dangling`, `${here}/link`);
  await sync(url('rel/dangling'), `${here}/link2`, access);
  t.deepEqual([readlinkSync(`${here}/link`), readlinkSync(`${here}/link2`)], ['nowhere', 'nowhere']);
  await failure(t, sync(url('rel/out'), `${here}/out2`, access), AccessError);
  await failure(t, sync(url('rel/absolute'), `${here}/absolute2`, access), AccessError);
  await failure(t, sync(`${source}/dangling/`, `${here}/none`, { into: true }), NotFoundError);
});

judged('a symlink leads a key no further than its prefix', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  releases(dir(served, 'mine'));
  writeFileSync(`${dir(served, 'other')}/secret`, 'secret');
  symlinkSync('../other', `${served}/mine/link`);
  const user = client(work);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [`user ${user.publicKey} root=root/mine`],
  });
  user.trust(server.port, server.pin);
  const access = accessOf(user, server);
  await sync(server.url('root', 'mine', 'current'), `${work}/current`, access);
  t.is(readFileSync(`${work}/current/page`, 'utf8'), 'v1');
  await failure(t, sync(server.url('root', 'mine', 'link'), `${work}/out`, access), AccessError);
});

judged('one entry that is neither file nor symlink is skipped, as are symlinks in a run without them', async (t) => {
  const { work, served, client: user, url } = await setup(t);
  const source = dir(served, 'rel');
  releases(source);
  const here = dir(work, 'here');
  for (const ends of [
    [`${source}/fifo`, `${here}/`],
    [`${source}/fifo`, url('to/')],
    [url('rel/fifo'), `${here}/`],
    [`${source}/current`, `${here}/`],
  ]) {
    const ended = await cli(t, user, ['-rti', ...ends]);
    t.is(ended.code, 0, ended.stderr);
    t.regex(`${ended.stdout}${ended.stderr}`, /fifo|current/);
  }
  t.deepEqual([...walk(here).keys()], ['']);
});

judged('a source with a slash at its end is a directory, at a server too', async (t) => {
  const { work, served, client: user, url } = await setup(t);
  writeFileSync(`${dir(served, 'b')}/plain`, 'content');
  symlinkSync('plain', `${served}/b/link`);
  const destination = dir(work, 'd2');
  writeFileSync(`${destination}/kept`, '');
  const before = walk(destination);
  for (const source of [url('b/plain/'), url('b/link/'), `${served}/b/plain/`]) {
    const ran = await cli(t, user, ['-ai', '--delete', source, `${destination}/`]);
    t.is(ran.code, exit.partial, `${source}: ${ran.stderr}`);
    t.regex(ran.stderr, /the source is not a directory/);
    t.deepEqual(differences(before, walk(destination)), []);
  }
  await quietly(t, user, ['-a', url('b/'), `${destination}/`]);
  t.is(readFileSync(`${destination}/plain`, 'utf8'), 'content');
});

judged('without -r a symlink to a directory that is followed is skipped, with the name that rsync shows', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(served, { 'real/f': 'f', 'real/sub/g': 'g' });
  symlinkSync('real', `${served}/ln`);
  symlinkSync('real/f', `${served}/lf`);
  for (const [flags, source] of [
    ['-ti', 'ln/'],
    ['-tiL', 'ln'],
    ['-tik', 'ln'],
    ['-tikR', './ln'],
    ['-tiR', './real/sub/'],
    ['-i', 'real/'],
    ['-i', 'real/.'],
    ['-i', 'real'],
    ['-tiL', 'lf'],
    ['-ti', 'lf/'],
  ] as const) {
    for (const from of [`${served}/${source}`, url(source)]) {
      const words = (to: string): string[] => [flags, from, `${work}/${to}/`];
      const { stdout, code } = await cli(t, user, words('ours'));
      const expected = await start(t, 'rsync', [flags, `${served}/${source}`, `${work}/theirs/`]).ended;
      const skipping = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('skipping'));
      t.deepEqual(skipping(stdout), skipping(expected.stdout), words('ours').join(' '));
      t.is(code, expected.code, words('ours').join(' '));
      if (source.startsWith('lf')) continue;
      t.is(skipping(stdout).length, 1);
      t.false(existsSync(`${work}/ours`), words('ours').join(' '));
    }
  }
});
