// How far symlinks lead at a server: below the prefix of the key, and nowhere that its operator hides.
import { existsSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { ConnectionError, PartialSyncError, connect, sync } from '../dist/index.js';
import type { TransferOptions } from '../dist/index.js';
import { judged } from './helpers/judge.js';
import { file, link, settle } from './helpers/links.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, failure, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

/** A root with a folder that is the client's and one that is not, and symlinks in the first. */
function grow(served: string): void {
  for (const path of ['mine/sub/deep', 'other']) mkdirSync(`${served}/${path}`, { recursive: true });
  for (const path of ['mine/f', 'mine/sub/g', 'mine/.hid']) file(`${served}/${path}`, `mine: ${path}`);
  file(`${served}/other/secret`, 'secret');
  const links: [string, string][] = [
    ['ok', 'sub/g'],
    ['okdir', 'sub'],
    ['up', '../other/secret'],
    ['updir', '../other'],
    ['upnone', '../other/none'],
    ['chain', 'up'],
    ['back', '../mine/f'],
    ['abs', `${served}/mine/f`],
    ['absnone', '/none'],
    ['sub/deep/far', '../../../other/secret'],
    ['hidden', '.hid'],
    ['hiddennone', '.hid2'],
    ['none', 'nothing'],
  ];
  for (const [path, target] of links) link(`${served}/mine/${path}`, target);
}

const OUT = ['abs', 'absnone', 'back', 'chain', 'hidden', 'hiddennone', 'sub/deep/far', 'up', 'updir', 'upnone'];

const OUT_MESSAGE = 'the symlink leads out of what may be read here';

/** A server at which the client has the folder `mine`, and what is hidden. */
async function limited(t: Parameters<typeof workDir>[0]) {
  const work = workDir(t);
  const served = dir(work, 'served');
  grow(served);
  const user = client(work);
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [`me ${user.publicKey} root=root/mine allow=read,write,delete`],
    args: ['--exclude=.hid*', '--exclude=/mine/in/closed'],
  });
  return { work, served, user, server, access: accessOf(user, server) };
}

/** The failures of a run that could not carry everything, by their paths. */
async function failures(t: Parameters<typeof workDir>[0], run: PromiseLike<unknown>): Promise<Record<string, string>> {
  const error = await failure(t, run, PartialSyncError);
  return Object.fromEntries(error.result.failures.map(({ path, message }) => [path, message]));
}

test('symlinks lead below the prefix of the key alone, and nobody learns what is elsewhere (CVE-2026-53783)', async (t) => {
  const { work, server, access } = await limited(t);
  const from = server.url('root', 'mine');
  const made = `${work}/made`;
  const told = await failures(t, Promise.resolve(sync(from, made, { ...access, copyLinks: true })));
  const out = [...OUT, 'okdir/deep/far'];
  t.deepEqual(Object.keys(told).toSorted(), [...out, 'none'].toSorted());
  for (const path of out) t.is(told[path], OUT_MESSAGE, path);
  t.is(told['none'], 'symlink has no referent');
  t.is(readFileSync(`${made}/ok`, 'utf8'), 'mine: mine/sub/g');
  t.is(readFileSync(`${made}/okdir/g`, 'utf8'), 'mine: mine/sub/g');
  for (const path of out) t.false(existsSync(`${made}/${path}`), path);

  // Those that lead out by their text.
  const unsafe = await failures(t, Promise.resolve(sync(from, `${work}/unsafe`, { ...access, copyUnsafeLinks: true })));
  t.deepEqual(Object.keys(unsafe).toSorted(), ['abs', 'absnone', 'back', 'sub/deep/far', 'up', 'updir', 'upnone']);
  t.is(readlinkSync(`${work}/unsafe/ok`), 'sub/g');

  // Where it is not known what it leads to, a symlink stays one.
  await sync(from, `${work}/dirs`, { ...access, copyDirLinks: true });
  t.is(readlinkSync(`${work}/dirs/updir`), '../other');
  t.is(readFileSync(`${work}/dirs/okdir/g`, 'utf8'), 'mine: mine/sub/g');
});

test('a source that is itself a symlink leads no further', async (t) => {
  const { work, server, access } = await limited(t);
  for (const path of ['up', 'updir', 'chain', 'abs', 'hidden']) {
    const run = sync(server.url('root', 'mine', path), `${work}/to`, { ...access, copyLinks: true, into: true });
    const told = await failures(t, Promise.resolve(run));
    t.deepEqual(told, { [path]: OUT_MESSAGE });
    t.false(existsSync(`${work}/to/secret`));
  }
  await sync(server.url('root', 'mine', 'okdir'), `${work}/into`, { ...access, copyLinks: true, into: true }).catch(
    (error: unknown) => t.true(error instanceof PartialSyncError, String(error)),
  );
  t.is(readFileSync(`${work}/into/okdir/g`, 'utf8'), 'mine: mine/sub/g');
});

test('what an operator hides is so by its place, through whatever symlink it is come by', async (t) => {
  const { work, served, server, access } = await limited(t);
  mkdirSync(`${served}/mine/in/box`, { recursive: true });
  file(`${served}/mine/in/closed`);
  file(`${served}/mine/in/open`);
  link(`${served}/mine/in/box/up`, '..');
  const told = await failures(
    t,
    Promise.resolve(sync(server.url('root', 'mine/in/box'), `${work}/made`, { ...access, copyLinks: true })),
  );
  t.true(
    Object.values(told).every((message) => /Too many levels|leads out/.test(message)),
    JSON.stringify(told),
  );
  t.true(existsSync(`${work}/made/up/open`));
  t.false([...walk(`${work}/made`).keys()].some((path) => path.endsWith('closed')));
});

test('with -K nothing is written to what an operator hides by its place', async (t) => {
  const { work, served, server, access } = await limited(t);
  for (const path of ['in', 'tree']) mkdirSync(`${served}/mine/${path}`);
  file(`${served}/mine/in/closed`, 'hidden');
  file(`${served}/mine/in/open`, 'old');
  link(`${served}/mine/tree/lnk`, '../in');
  mkdirSync(`${work}/from/lnk`, { recursive: true });
  for (const name of ['closed', 'open']) file(`${work}/from/lnk/${name}`, 'written over');
  for (const how of [{}, { inplace: true }]) {
    const run = sync(`${work}/from`, server.url('root', 'mine/tree'), { ...access, keepDirLinks: true, ...how });
    t.deepEqual(Object.keys(await failures(t, Promise.resolve(run))), ['lnk/closed'], JSON.stringify(how));
    t.is(readFileSync(`${served}/mine/in/closed`, 'utf8'), 'hidden');
    t.is(readFileSync(`${served}/mine/in/open`, 'utf8'), 'written over');
  }
  // A backup, or a directory for parts of files, might have a hidden name.
  for (const option of [{ backup: true }, { backup: true, backupDir: '/' }, { partialDir: 'closed' }]) {
    const run = sync(`${work}/from`, server.url('root', 'mine/tree'), { ...access, ...option });
    t.regex((await failure(t, Promise.resolve(run), Error)).message, /the operator hides paths of this root/);
  }
});

test('a root is the folder that was there at the start, and nothing else that gets its name later (CVE-2026-53784, CVE-2026-53793)', async (t) => {
  const { work, served, url, access } = await setup(t);
  file(`${served}/tree`, 'served');
  const outside = dir(work, 'outside');
  file(`${outside}/tree`, 'outside');
  renameSync(served, `${work}/moved`);
  link(served, outside);
  const pull = sync(url('tree'), `${work}/pulled`, { ...access, copyLinks: true });
  await failure(t, Promise.resolve(pull), ConnectionError);
  file(`${work}/new`);
  const push = sync(`${work}/new`, url('new'), { ...access, keepDirLinks: true });
  await failure(t, Promise.resolve(push), ConnectionError);
  t.deepEqual([existsSync(`${work}/pulled`), existsSync(`${outside}/new`)], [false, false]);
  rmSync(served);
  renameSync(`${work}/moved`, served);
  await sync(url('tree'), `${work}/pulled`, { ...access, copyLinks: true });
  t.is(readFileSync(`${work}/pulled`, 'utf8'), 'served');
});

test('an operator may refuse that symlinks are followed', async (t) => {
  for (const [option, name] of [
    ['copyLinks', 'copy-links'],
    ['copyDirLinks', 'copyDirLinks'],
    ['copyUnsafeLinks', 'copy-unsafe-links'],
    ['keepDirLinks', 'keep-dirlinks'],
  ] as const) {
    const { work, access, url } = await setup(t, { args: [`--refuse=${name}`] });
    const options: TransferOptions = { [option]: true };
    const error = await failure(t, Promise.resolve(sync(dir(work, 'src'), url('x'), { ...access, ...options })), Error);
    t.regex(error.message, new RegExp(name));
  }
});

const flipper = fileURLToPath(new URL('helpers/flipper.mjs', import.meta.url));

for (const what of ['directory', 'file', 'symlink'] as const) {
  judged(
    `a followed ${what} flips to a symlink that leads out: nothing of outside is sent (CVE-2024-12747)`,
    async (t) => {
      t.timeout(scaled(300_000, 3_600_000));
      const { work, served, server, access } = await limited(t);
      for (let count = 0; count < 20; count += 1) file(`${served}/mine/sub/f${count}`, 'inside');
      for (const name of ['g', 'f0', 'f1']) file(`${served}/other/${name}`, 'outside');
      const place = { directory: 'sub', file: 'sub/g', symlink: 'okdir' }[what];
      const target = what === 'file' ? `${served}/other/g` : `${served}/other`;
      const race = start(t, process.execPath, [flipper, `${served}/mine/${place}`, target], { input: null });
      for (let round = 0; round < scaled(20, 500); round += 1) {
        await sync(server.url('root', 'mine'), `${work}/copy`, { ...access, copyLinks: true }).catch(() => undefined);
        for (const [path, entry] of walk(`${work}/copy`)) {
          if (entry.kind !== 'file') continue;
          t.notRegex(readFileSync(`${work}/copy/${path}`, 'utf8'), /^(outside|secret)/, `round ${round}: ${path}`);
        }
        rmSync(`${work}/copy`, { recursive: true, force: true });
      }
      race.child.stdin?.end();
      await race.ended;
    },
  );
}

judged('a run without a change takes one round trip where symlinks are followed, kept or left alone', async (t) => {
  t.timeout(300_000);
  const { work, served, server, access } = await setup(t);
  const source = dir(work, 'source');
  for (const path of ['a/b', 'c']) mkdirSync(`${source}/${path}`, { recursive: true });
  for (const path of ['a/f', 'a/b/g', 'c/h']) file(`${source}/${path}`);
  for (const [path, target] of [
    ['dir', 'a'],
    ['file', 'a/f'],
    ['a/up', '../../source/c/h'],
  ] as const)
    link(`${source}/${path}`, target);
  settle(source, 'a/b', 'a', 'c', '.');
  await using relay = await Relay.start({ to: server.port, delayMs: 100 });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, access);
  const cases: readonly TransferOptions[] = [
    { copyLinks: true },
    { copyDirLinks: true },
    { copyUnsafeLinks: true },
    { safeLinks: true },
    { keepDirLinks: true },
    { remoteMungeLinks: true },
  ];
  for (const [index, options] of cases.entries()) {
    const to = `root/made${index}`;
    if (options.keepDirLinks === true) {
      for (const path of [`made${index}`, 'real']) mkdirSync(`${served}/${path}`);
      link(`${served}/made${index}/c`, '../real');
    }
    const run = async (): Promise<number> => (await connection.push(source, to, options)).stats.bytesTransferred;
    await run();
    const promised = 1.5;
    const again = async (): Promise<void> => {
      if ((await run()) > 0) throw new Error('there was something to do');
    };
    const trips = await relay.fewestRoundTrips(again, 20, promised);
    t.true(trips <= promised, `${JSON.stringify(options)}: ${trips}`);
  }
  t.is(readlinkSync(`${served}/made4/c`), '../real');
  await connection.close();
});
