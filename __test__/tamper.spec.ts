// The destination's real state decides, whatever happened to it; and what looks like an accident deletes nothing.
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { connect, DeleteRefusedError, NotFoundError, plan, sync, verify } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { Bystander } from './helpers/certified.js';
import { assertEqual, judged, judgedWhere, rsyncSays } from './helpers/judge.js';
import { canMount, codeOf, failure, mountTmpfs, rejection, setup, type Setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names, touched, walk } from './helpers/walk.js';

/** What may have happened to a destination since the last run. */
const tampering: Readonly<Record<string, (root: string) => void>> = {
  'a file is deleted': (root) => rmSync(`${root}/dir0000/file00003`),
  'a directory is deleted': (root) => rmSync(`${root}/dir0001`, { recursive: true }),
  'everything is deleted': (root) => rmSync(root, { recursive: true }),
  'a file is edited': (root) => writeFileSync(`${root}/dir0000/file00003`, 'something else'),
  'a file is edited, its time set back, its size another': (root) => {
    const { mtimeMs } = statSync(`${root}/dir0000/file00003`);
    appendFileSync(`${root}/dir0000/file00003`, 'x');
    utimesSync(`${root}/dir0000/file00003`, mtimeMs / 1000, mtimeMs / 1000);
  },
  'a file is truncated': (root) => truncateSync(`${root}/dir0000/file00003`, 3),
  'a file is emptied': (root) => truncateSync(`${root}/dir0000/file00003`, 0),
  'a file is replaced by a directory': (root) => {
    rmSync(`${root}/dir0000/file00003`);
    mkdirSync(`${root}/dir0000/file00003`);
  },
  'a file is replaced by a directory with files in it': (root) => {
    rmSync(`${root}/dir0000/file00003`);
    mkdirSync(`${root}/dir0000/file00003/below`, { recursive: true });
    writeFileSync(`${root}/dir0000/file00003/below/file`, 'x');
  },
  'a file is replaced by a symlink to its like': (root) => {
    renameSync(`${root}/dir0000/file00003`, `${root}/dir0000/moved`);
    symlinkSync('moved', `${root}/dir0000/file00003`);
  },
  'a directory is replaced by a file': (root) => {
    rmSync(`${root}/dir0001`, { recursive: true });
    writeFileSync(`${root}/dir0001`, 'x');
  },
  'a directory is replaced by a symlink to its like': (root) => {
    renameSync(`${root}/dir0001`, `${root}/moved`);
    symlinkSync('moved', `${root}/dir0001`);
  },
  'a symlink is replaced by a file': (root) => {
    rmSync(`${root}/link`);
    writeFileSync(`${root}/link`, 'dir0000/file00001');
  },
  'a symlink is replaced by a directory': (root) => {
    rmSync(`${root}/link`);
    mkdirSync(`${root}/link`);
  },
  'a symlink points elsewhere': (root) => {
    rmSync(`${root}/link`);
    symlinkSync('dir0000/file00002', `${root}/link`);
  },
  'modes are changed': (root) => {
    chmodSync(`${root}/dir0000/file00003`, 0o600);
    chmodSync(`${root}/dir0001`, 0o700);
  },
  'times are changed': (root) => {
    utimesSync(`${root}/dir0000/file00003`, 1e9, 1e9);
    utimesSync(`${root}/dir0001`, 1e9, 1e9);
    utimesSync(root, 1e9, 1e9);
  },
  'files are added': (root) => {
    writeFileSync(`${root}/dir0000/extra`, 'x');
    mkdirSync(`${root}/extra/below`, { recursive: true });
    writeFileSync(`${root}/extra/below/file`, 'x');
    symlinkSync('/etc', `${root}/extra/link`);
  },
};

async function prepared(t: ExecutionContext): Promise<Setup & { readonly source: string; readonly tree: string }> {
  const made = await setup(t);
  const source = dir(made.work, 'source');
  plainTree(source, { directories: 3, files: 10 });
  symlinkSync('dir0000/file00001', `${source}/link`);
  return { ...made, source, tree: `${made.served}/tree` };
}

judged('whatever is done to the destination, the next run puts it right', async (t) => {
  t.timeout(300_000);
  const { work, source, tree, access, server } = await prepared(t);
  const outside = new Bystander(`${work}/outside`);
  const connection = await connect(server.url(), access);
  for (const [what, tamper] of Object.entries(tampering)) {
    const options = { delete: true, allowMassDelete: true };
    await connection.push(source, 'root/tree', options);
    assertEqual(t, source, tree, { label: `before: ${what}` });
    tamper(tree);
    t.not(rsyncSays(source, tree), '', `${what}: the judge sees it`);
    await connection.push(source, 'root/tree', options);
    assertEqual(t, source, tree, { label: what });

    await connection.pull('root/tree', `${work}/copy`, options);
    tamper(`${work}/copy`);
    await connection.pull('root/tree', `${work}/copy`, options);
    assertEqual(t, tree, `${work}/copy`, { label: `${what}, pull` });
  }
  await connection.close();
  t.deepEqual(outside.touched(), []);
});

judged('an edit that keeps size and time is seen by verify and by compare: content, and is repaired', async (t) => {
  const { source, tree, access, url } = await prepared(t);
  await sync(source, url('tree'), access);
  t.true((await verify(source, url('tree'), access)).equal);

  const path = `${tree}/dir0001/file00004`;
  const stat = statSync(path, { bigint: true });
  writeFileSync(path, readFileSync(path, 'utf8').replace('content', 'CONTENT'));
  utimesSync(path, Number(stat.mtimeNs) / 1e9, Number(stat.mtimeNs) / 1e9);
  // The source gets the same coarse time, for Node cannot set the fine one.
  utimesSync(`${source}/dir0001/file00004`, Number(stat.mtimeNs) / 1e9, Number(stat.mtimeNs) / 1e9);

  const before = walk(tree);
  const quick = await sync(source, url('tree'), { ...access, times: true });
  t.is(quick.stats.filesTransferred, 0, 'the test is none if the quick check sees the edit');
  t.true(readFileSync(path, 'utf8').startsWith('CONTENT'));

  const paths: string[] = [];
  for await (const difference of verify(source, url('tree'), access)) paths.push(difference.path);
  t.deepEqual(paths, ['dir0001/file00004']);
  t.deepEqual(touched(before, walk(tree)), [], 'verify wrote');

  const repaired = await sync(source, url('tree'), { ...access, compare: 'content' });
  t.is(repaired.stats.filesTransferred, 1);
  assertEqual(t, source, tree);
});

judged('compare: size looks at nothing else', async (t) => {
  const { source, tree, access, url } = await prepared(t);
  await sync(source, url('tree'), access);
  writeFileSync(`${tree}/dir0000/file00001`, readFileSync(`${tree}/dir0000/file00001`, 'utf8').replace('c', 'C'));
  const same = await sync(source, url('tree'), { ...access, compare: 'size' });
  t.is(same.stats.filesTransferred, 0);
  appendFileSync(`${tree}/dir0000/file00001`, 'x');
  const other = await sync(source, url('tree'), { ...access, compare: 'size' });
  t.is(other.stats.filesTransferred, 1);
});

interface Guarded {
  readonly what: string;
  /** Makes of an equal pair of trees what must not be deleted. */
  readonly accident: (source: string, tree: string) => void;
}

const accidents: readonly Guarded[] = [
  {
    what: 'the source is empty',
    accident: (source) => {
      rmSync(source, { recursive: true });
      mkdirSync(source);
    },
  },
  {
    what: 'a directory of the source is empty that was full',
    accident: (source) => {
      rmSync(`${source}/dir0002`, { recursive: true });
      mkdirSync(`${source}/dir0002`);
    },
  },
  {
    what: 'more than half of the tree has gone',
    accident: (source) => {
      for (const name of ['dir0000', 'dir0001', 'dir0003']) {
        rmSync(`${source}/${name}`, { recursive: true });
      }
    },
  },
];

/** Five directories of 120 files, at both ends. */
async function guarded(t: ExecutionContext): Promise<Setup & { readonly source: string; readonly tree: string }> {
  const made = await setup(t);
  const source = dir(made.work, 'source');
  plainTree(source, { directories: 5, files: 120 });
  await sync(source, made.url('tree'), made.access);
  return { ...made, source, tree: `${made.served}/tree` };
}

for (const { what, accident } of accidents) {
  judged(`${what}: refused, nothing is deleted, and it says what lifts it`, async (t) => {
    const { source, tree, access, url, client } = await guarded(t);
    accident(source, tree);
    writeFileSync(`${source}/new`, 'new');
    const had = names(tree);

    const error = await failure(t, sync(source, url('tree'), { ...access, delete: true }), DeleteRefusedError);
    const refused = error;
    t.is(refused.code, 'ERR_SPARSYNC_DELETE_REFUSED');
    t.regex(refused.message, /allowMassDelete/);
    t.false(refused.retryable);
    t.true((refused.wouldDelete ?? 0) >= 100);
    t.true((refused.reason ?? '').length > 0);
    const missing = had.filter((path) => !names(tree).includes(path));
    t.deepEqual(missing, [], 'deleted in spite of the refusal');

    const ran = await cli(t, client, ['-a', '--delete', `${source}/`, url('tree')]);
    t.is(ran.code, exit.deleteRefused);
    t.regex(ran.stderr, /--allow-mass-delete/);
    t.deepEqual(
      had.filter((path) => !names(tree).includes(path)),
      [],
    );

    await sync(source, url('tree'), { ...access, delete: true, allowMassDelete: true });
    assertEqual(t, source, tree);
  });
}

judged('the guard stands on a pull as well', async (t) => {
  const { work, source, tree, access, url } = await guarded(t);
  await sync(url('tree'), `${work}/copy`, access);
  rmSync(tree, { recursive: true });
  mkdirSync(tree);
  // The top's own time is carried, which is no loss.
  utimesSync(tree, 1_000_000_000, 1_000_000_000);
  await failure(t, sync(url('tree'), `${work}/copy`, { ...access, delete: true }), DeleteRefusedError);
  assertEqual(t, source, `${work}/copy`, { root: false });
});

judgedWhere(canMount)('a file system that is not mounted at the source deletes nothing', async (t) => {
  const { work, served, access, url } = await setup(t);
  const source = dir(work, 'source');
  plainTree(source, { directories: 4, files: 120 });
  mkdirSync(`${source}/mounted`);
  t.true(mountTmpfs(t, `${source}/mounted`, 'size=4m'));
  plainTree(`${source}/mounted`, { directories: 1, files: 110 });
  await sync(source, url('tree'), access);
  assertEqual(t, source, `${served}/tree`);
  const had = names(`${served}/tree`);
  rmSync(`${source}/mounted/dir0000`, { recursive: true });
  await failure(t, sync(source, url('tree'), { ...access, delete: true }), DeleteRefusedError);
  t.deepEqual(names(`${served}/tree`), had);
});

judged('a source that is missing is an error and no empty tree', async (t) => {
  const { source, tree, access, url, client, work } = await guarded(t);
  rmSync(source, { recursive: true });
  const had = names(tree);
  const error = await rejection(t, sync(source, url('tree'), { ...access, delete: true, allowMassDelete: true }));
  t.is(codeOf(error), 'ERR_SPARSYNC_NOT_FOUND');
  const pull = await failure(t, sync(url('no such tree'), `${work}/copy`, { ...access, delete: true }), NotFoundError);
  t.is(codeOf(pull), 'ERR_SPARSYNC_NOT_FOUND');
  t.is(pull.side, 'remote');
  const ran = await cli(t, client, ['-a', '--delete', `${source}/`, url('tree')]);
  t.is(ran.code, exit.partial);
  t.deepEqual(names(tree), had);
});

judged('two hundred assets with hashed names replaced by two hundred others are no accident', async (t) => {
  const { work, served, access, url, client } = await setup(t);
  const source = dir(work, 'source');
  const assets = dir(source, 'assets');
  const build = (hash: string): void => {
    rmSync(assets, { recursive: true });
    mkdirSync(assets);
    for (let i = 0; i < 200; i += 1) writeFileSync(`${assets}/chunk-${i}.${hash}.js`, `${hash} ${i}`);
  };
  writeFileSync(`${source}/index.html`, 'x');
  build('aaaa');
  await sync(source, url('site'), access);
  build('bbbb');
  await sync(source, url('site'), { ...access, delete: true });
  assertEqual(t, source, `${served}/site`);
  build('cccc');
  const ran = await cli(t, client, ['-a', '--delete', `${source}/`, url('site')]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  assertEqual(t, source, `${served}/site`, { wholeSeconds: true });
});

judged('maxDelete bounds the deletions, and the rest is done', async (t) => {
  const { source, tree, access, url, client } = await guarded(t);
  for (let i = 0; i < 20; i += 1) rmSync(`${source}/dir0001/file${String(i).padStart(5, '0')}`);
  writeFileSync(`${source}/new`, 'new');
  const had = names(tree).length;
  const error = await rejection(t, sync(source, url('tree'), { ...access, delete: true, maxDelete: 7 }));
  t.is(codeOf(error), 'ERR_SPARSYNC_MAX_DELETE');
  t.is(names(tree).length, had + 1 - 7);
  const ran = await cli(t, client, ['-a', '--delete', '--max-delete=5', `${source}/`, url('tree')]);
  t.is(ran.code, exit.maxDelete);
  t.is(names(tree).length, had + 1 - 7 - 5);
  await sync(source, url('tree'), { ...access, delete: true, maxDelete: 8 });
  assertEqual(t, source, tree);
});

judged('without delete nothing is deleted', async (t) => {
  const { source, tree, access, url } = await guarded(t);
  rmSync(`${source}/dir0001`, { recursive: true });
  const had = names(tree);
  await sync(source, url('tree'), access);
  t.deepEqual(names(tree), had);
});

judged('a plan says what would happen, why, from the real state of both sides, and writes nothing', async (t) => {
  const { source, tree, access, url } = await prepared(t);
  await sync(source, url('tree'), access);
  writeFileSync(`${source}/dir0000/file00000`, 'edited and longer than before');
  writeFileSync(`${source}/added`, 'x');
  rmSync(`${source}/dir0001/file00001`);
  rmSync(`${tree}/dir0002/file00002`);
  chmodSync(`${tree}/dir0002/file00003`, 0o600);
  rmSync(`${source}/link`);
  symlinkSync('elsewhere', `${source}/link`);

  const [here, there] = [walk(source), walk(tree)];
  const planned = new Map<string, string>();
  for await (const item of plan(source, url('tree'), { ...access, delete: true })) {
    if (item.kind !== 'directory') planned.set(item.path, [item.action, ...item.reasons].join(' '));
  }
  t.deepEqual(touched(there, walk(tree)), [], 'the plan wrote at the destination');
  t.deepEqual(touched(here, walk(source)), [], 'the plan wrote at the source');
  t.deepEqual(
    [...planned].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, what]) => [path, what.split(' ')[0]]),
    [
      ['added', 'create'],
      ['dir0000/file00000', 'update'],
      ['dir0001/file00001', 'delete'],
      ['dir0002/file00002', 'create'],
      ['dir0002/file00003', 'attrs'],
      ['link', 'update'],
    ],
  );
  for (const [path, reason] of [
    ['dir0000/file00000', 'size'],
    ['added', 'missing'],
    ['dir0001/file00001', 'extra'],
    ['dir0002/file00003', 'mode'],
    ['link', 'target'],
  ] as const) {
    t.true(planned.get(path)?.split(' ').includes(reason), `${path}: ${planned.get(path)}`);
  }

  const dry = await sync(source, url('tree'), { ...access, delete: true, dryRun: true });
  t.true(dry.dryRun);
  t.deepEqual(touched(there, walk(tree)), [], 'the dry run wrote');

  await sync(source, url('tree'), { ...access, delete: true });
  assertEqual(t, source, tree);
  let left = 0;
  for await (const item of plan(source, url('tree'), { ...access, delete: true })) left += item.path.length + 1;
  t.is(left, 0);
});

judged('a plan to a destination that does not exist makes nothing', async (t) => {
  const { source, served, access, url } = await prepared(t);
  const before = walk(served);
  const paths: string[] = [];
  for await (const item of plan(source, url('new'), access)) paths.push(item.path);
  t.true(paths.includes('dir0002/file00009'));
  t.deepEqual(touched(before, walk(served)), []);
});
