// --files-from of the server, and lists that fit no frame.
import { mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { connect, sync, verify } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { judged, rsync, rsyncSays } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { setup, type Setup } from './helpers/setup.js';
import { urlAt } from './helpers/url.js';

const LIST = '# of the server\na/b\n./c/\nnone/of/it\r\n../a/x\n';

/** What rsync would still do but for the time of the top, which no list says. */
const differs = (judge: string, tree: string): string => rsyncSays(judge, tree).replace(/^\.d\S* \.\/\n/, '');

/** Trees and lists at the server and here. */
async function place(t: ExecutionContext, rights?: string): Promise<Setup & { source: string }> {
  const made = await setup(t, rights === undefined ? {} : { rights });
  const source = `${made.work}/src`;
  for (const tree of [source, `${made.served}/src`]) {
    for (const path of ['a/b/deep', 'c/d', 'e']) mkdirSync(`${tree}/${path}`, { recursive: true });
    for (const path of ['a/b/f', 'a/x', 'c/g', 'c/d/h', 'e/i']) writeFileSync(`${tree}/${path}`, path);
  }
  mkdirSync(`${made.served}/lists`);
  writeFileSync(`${made.served}/lists/one`, LIST);
  writeFileSync(`${made.served}/lists/nul`, LIST.replaceAll('\r', '').replaceAll('\n', '\0'));
  writeFileSync(`${made.work}/one`, LIST);
  return { ...made, source };
}

judged('a list on the server selects what the same list here does, as with rsync', async (t) => {
  const { work, served, url, client: user, source } = await place(t);
  const say = (...words: string[]): string => {
    try {
      return rsync(...words);
    } catch (error) {
      // The entry that is not there.
      t.regex(String(error), /exit 23/);
      return '';
    }
  };
  say('-a', `--files-from=${work}/one`, `${source}/`, `${work}/judge/`);
  let number = 0;
  for (const list of [':lists/one', ':/lists/one', url('lists/one')]) {
    number += 1;
    for (const [from, to, tree] of [
      [`${source}/`, url(`pushed${number}`), `${served}/pushed${number}`],
      [url('src/'), `${work}/pulled${number}`, `${work}/pulled${number}`],
    ] as const) {
      const ran = await cli(t, user, ['-a', `--files-from=${list}`, from, to]);
      t.is(ran.code, exit.partial, ran.stderr);
      t.regex(ran.stderr, /^none\/of\/it: /m);
      t.is(differs(`${work}/judge`, tree), '', `${list} ${to}`);
    }
  }
  const nul = await cli(t, user, ['-a0', '--files-from=:lists/nul', url('src/'), `${work}/nul`]);
  t.is(nul.code, exit.partial, nul.stderr);
  t.is(differs(`${work}/judge`, `${work}/nul`), '');
});

judged('a list on the server has the same places behind /./ as one here', async (t) => {
  const { work, served, url, client: user, source } = await place(t);
  const list = 'a/./b/f\n./c/d/./h\ne/i\n';
  for (const path of [`${work}/anchored`, `${served}/lists/anchored`]) writeFileSync(path, list);
  rsync('-a', `--files-from=${work}/anchored`, `${source}/`, `${work}/judge/`);
  for (const [from, to, tree] of [
    [`${source}/`, url('pushed'), `${served}/pushed`],
    [url('src/'), `${work}/pulled`, `${work}/pulled`],
  ] as const) {
    const ran = await cli(t, user, ['-a', '--files-from=:lists/anchored', from, to]);
    t.is(ran.code, exit.ok, ran.stderr);
    t.is(differs(`${work}/judge`, tree), '', to);
  }
});

judged('a list of standard input selects what a file of it does, and rsync by it, with -0 too', async (t) => {
  const { work, url, served, client: user, source } = await place(t);
  const listed = LIST.replaceAll('\r', '');
  for (const [name, flags, input] of [
    ['lines', ['-a'], LIST],
    ['nul', ['-a0'], listed.replaceAll('\n', '\0')],
    ['bare', ['-a'], 'a/b/f'],
    ['empty', ['-a'], ''],
    ['ends', ['-a'], '#x\ra/b/f\r\n;y\n\r\rc/g\0rest\ne/i\r'],
    ['deep', ['-ar'], 'c\n'],
  ] as const) {
    const words = [...flags, '--files-from=-', `${source}/`];
    const theirs = await start(t, 'rsync', [...words, `${work}/${name}.judge/`], { input }).ended;
    for (const [to, tree] of [
      [`${work}/${name}/`, `${work}/${name}`],
      [url(`${name}/`), `${served}/${name}`],
    ] as const) {
      const ran = await cli(t, user, [...words, to], { input });
      t.is(ran.code, theirs.code, `${name} ${to}: ${ran.stderr}`);
      t.is(differs(`${work}/${name}.judge`, tree), '', `${name} ${to}`);
    }
  }
});

judged('an empty list is nothing: nothing is carried, and nothing deleted, as with rsync', async (t) => {
  const { work, url, served, client: user, source } = await place(t);
  writeFileSync(`${work}/empty`, '# nothing\n');
  for (const flags of [
    '-ai',
    '-air --delete',
    '-ai --no-R',
    '-air --delete --no-R',
    '-aid --delete --delete-excluded',
  ]) {
    const name = flags.replaceAll(/\W/g, '');
    const words = [...flags.split(' '), `--files-from=${work}/empty`, `${source}/`];
    for (const tree of [`${work}/${name}.judge`, `${work}/${name}`, `${served}/${name}`]) {
      mkdirSync(`${tree}/own`, { recursive: true });
      writeFileSync(`${tree}/own/f`, 'kept');
      utimesSync(tree, 1_500_000_000, 1_500_000_000);
    }
    const theirs = await start(t, 'rsync', [...words, `${work}/${name}.judge/`]).ended;
    for (const [to, tree] of [
      [`${work}/${name}/`, `${work}/${name}`],
      [url(`${name}/`), `${served}/${name}`],
    ] as const) {
      const ran = await cli(t, user, [...words, to], { env: { SPARSYNC_GUARDS: 'off' } });
      t.deepEqual([ran.code, ran.stdout], [theirs.code, theirs.stdout], `${flags} ${to}: ${ran.stderr}`);
      t.is(rsyncSays(`${work}/${name}.judge`, tree), '', `${flags} ${to}`);
    }
  }
  await sync(source, `${work}/api`, { filesFrom: [] });
  t.deepEqual(readdirSync(`${work}/api`), []);
});

judged('a list on the server takes the right to read, and nothing but a file of its own', async (t) => {
  const { work, server, url, client: user, source } = await place(t, 'write,delete');
  const refused = async (list: string, code: number, why: RegExp, ends = [`${source}/`, url('to')]): Promise<void> => {
    const ran = await cli(t, user, ['-a', `--files-from=${list}`, ...ends]);
    t.is(ran.code, code, `${list}: ${ran.stderr}`);
    t.regex(ran.stderr, why, list);
    // Nothing of a list is told but what it selects.
    t.notRegex(ran.stderr, /SECRET/);
  };
  await refused(':lists/one', exit.unauthorized, /may not read/);
  await refused(':lists/one', exit.usage, /neither SRC nor DEST/, [`${source}/`, `${work}/to`]);
  await refused('host:one', exit.usage, /a different server than SRC and DEST, or is a file here/);
  await refused(urlAt('127.0.0.1:1', 'root', 'lists/one'), exit.usage, /a different server/);
  for (const words of [['verify'], ['--explain=a']]) {
    const ran = await cli(t, user, [...words, '--files-from=:lists/one', `${source}/`, url('to')]);
    t.is(ran.code, exit.usage, ran.stderr);
  }
  await server.stop();
  const again = await place(t);
  writeFileSync(`${again.work}/outside`, 'SECRET\n');
  symlinkSync(`${again.work}/outside`, `${again.served}/lists/out`);
  symlinkSync('one', `${again.served}/lists/link`);
  symlinkSync('lists', `${again.served}/way`);
  const ends = [`${again.source}/`, again.url('to')];
  const at = async (list: string, code: number, why: RegExp): Promise<void> => {
    const ran = await cli(t, again.client, ['-a', `--files-from=${list}`, ...ends]);
    t.is(ran.code, code, `${list}: ${ran.stderr}`);
    t.regex(ran.stderr, why, list);
    t.notRegex(ran.stderr, /SECRET/);
  };
  await at(':lists/none', exit.io, /the server has no such file/);
  for (const list of [':lists', ':lists/out', ':lists/link']) await at(list, exit.io, /it is not a regular file/);
  await at(':way/one', exit.unauthorized, /symlink/);
  await at(':../outside', exit.usage, /\.\./);
});

/** What the served folder `src` is copied from and to, here, by a push and by a pull, and the tree that this makes. */
function eachWay({
  work,
  served,
  url,
}: Pick<Setup, 'work' | 'served' | 'url'>): [from: string, to: string, tree: string][] {
  return [
    [`${served}/src/`, `${work}/here`, `${work}/here`],
    [`${served}/src/`, url('pushed'), `${served}/pushed`],
    [url('src/'), `${work}/pulled`, `${work}/pulled`],
  ];
}

judged('a list that fits no frame selects what it does with rsync, pushed, pulled and here', async (t) => {
  t.timeout(120_000);
  const { work, served, url, access, server, client: user } = await setup(t);
  const source = `${served}/src`;
  const names = Array.from({ length: 3000 }, (_, at) => `${'n'.repeat(200)}${at}`);
  for (const folder of ['d', 'e']) {
    mkdirSync(`${source}/${folder}`, { recursive: true });
    for (const name of names) writeFileSync(`${source}/${folder}/${name}`, name);
  }
  const listed = ['d', 'e'].flatMap((folder) => names.filter((_, at) => at % 3 > 0).map((name) => `${folder}/${name}`));
  writeFileSync(`${work}/list`, `${listed.join('\n')}\n`);
  t.true(listed.join('\n').length > 512 << 10);
  rsync('-a', `--files-from=${work}/list`, `${source}/`, `${work}/judge/`);
  const words = ['-a', `--files-from=${work}/list`];
  for (const [from, to, tree] of eachWay({ work, served, url })) {
    await quietly(t, user, [...words, from, to]);
    t.is(differs(`${work}/judge`, tree), '', to);
    await quietly(t, user, [...words, '-i', '--delete', from, to]);
  }
  const found = await verify(source, server.url('root', 'pushed'), { ...access, filesFrom: listed });
  t.true(found.equal);
  await using connection = await connect(server.url(), access);
  await t.throwsAsync(
    connection.push(source, 'root/x', {
      filesFrom: listed.flatMap((path) => Array.from({ length: 48 }, (_, at) => `${path}${at}`)),
    }),
    {
      message: /33554432 bytes/,
    },
  );
});

judged('a list of more than 8 MiB selects what it does with rsync', async (t) => {
  t.timeout(120_000);
  const { work, served, url, client: user } = await setup(t);
  const source = `${served}/src`;
  const deep = Array.from({ length: 13 }, (_, at) => `${at}`.padStart(240, 'd')).join('/');
  mkdirSync(`${source}/${deep}`, { recursive: true });
  const names = Array.from({ length: 3000 }, (_, at) => `${deep}/${at}`);
  for (const name of names) writeFileSync(`${source}/${name}`, '');
  const listed = names.filter((_, at) => at % 20 > 0);
  writeFileSync(`${work}/list`, `${listed.join('\n')}\n`);
  t.true(listed.join('\n').length > 8 << 20);
  const words = ['-a', `--files-from=${work}/list`];
  rsync(...words, `${source}/`, `${work}/judge/`);
  for (const [from, to, tree] of eachWay({ work, served, url })) {
    await quietly(t, user, [...words, from, to]);
    t.is(differs(`${work}/judge`, tree), '', to);
  }
});
