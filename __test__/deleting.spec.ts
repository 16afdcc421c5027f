// When and how far a run deletes, as rsync: its flags for the time of deletions, limits, sources that are not there, errors.
import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import test from 'ava';

import { plan, sync } from '../dist/index.js';
import { besideRsync, copied, make, randomTrees } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { codeOf, isRoot, rejection, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';
import { names } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const TREES = {
  's/keep': 'k',
  's/dir/same': 's',
  'd/dir/same': 's',
  'd/dir/x/deep/y': 'y',
  'd/dir/z': 'z',
  'd/e1': '1',
  'd/e2': '2',
  'd/gone/sub/b': 'b',
  'd/gone/a': 'a',
};

judgedEachWay('every flag that says when rsync deletes deletes the same', async (t, set) => {
  const model = make(`${set.work}/model`, TREES);
  for (const flag of ['--del', '--delete', '--delete-before', '--delete-during', '--delete-delay', '--delete-after'])
    await besideRsync(t, set, { model, flags: ['-ai', flag] });
  const ran = await cli(t, set.client, ['-a', '--delete-after', '--delete-before', `${model}/s/`, `${model}/d/`]);
  t.is(ran.code, exit.usage);
  t.regex(ran.stderr, /--delete-before and --delete-after cannot be combined/);
});

test('items of deletions come first where that is asked for, and none of what the guard keeps', async (t) => {
  const { work, url, client: user, served, access } = await setup(t);
  const source = make(`${work}/source`, { 'a/new': 'n', 'b/new': 'n' });
  for (const name of ['here', 'there'])
    make(`${name === 'here' ? work : served}/${name}`, { 'a/old': 'o', 'b/x/y': 'y', z: 'z' });
  const first = ['delete z', 'delete a/old', 'delete b/x/y', 'delete b/x'];
  for (const to of [`${work}/here`, url('there')]) {
    const told: string[] = [];
    const options = { ...access, delete: true, itemDeletionsFirst: true };
    for await (const event of sync(source, to, options)) {
      if (event.type === 'item' && event.path !== '') told.push(`${event.action} ${event.path}`);
    }
    t.deepEqual(told.filter((line) => line.startsWith('delete')).toSorted(), first.toSorted(), to);
    t.deepEqual(
      told.slice(0, 4),
      told.filter((line) => line.startsWith('delete')),
      to,
    );
    t.true(told.includes('create a/new'), told.join());
  }
  const full = Object.fromEntries(Array.from({ length: 1200 }, (_, at) => [`d/${at}`, 'x']));
  const base = make(`${work}/guarded`, { ...full, 's/one': '1' });
  const refused = await cli(t, user, ['-ai', '--delete-before', `${base}/s/`, `${base}/d/`]);
  t.is(refused.code, exit.deleteRefused);
  t.regex(refused.stdout, />f\+{9} one/);
  t.notRegex(refused.stdout, /deleting/);
});

// Seen red with entries that are removed in the order of their names.
judgedEachWay('--max-delete leaves what rsync leaves, 0 and less everything, and says how many', async (t, set) => {
  const model = make(`${set.work}/model`, TREES);
  for (const most of [-5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100])
    await besideRsync(t, set, { model, flags: ['-ai', '--delete', `--max-delete=${most}`], ways: ['local', 'push'] });
  const [ran] = await besideRsync(t, set, { model, flags: ['-ain', '--delete', '--max-delete=2'] });
  t.regex(ran?.stderr ?? '', /the limit of 2 deletions was reached; \d+ more were not made/);
});

judged(
  '--max-delete counts what is in a directory that gives way, and a conflict tells more than the limit',
  async (t) => {
    const set = await setup(t);
    const model = make(`${set.work}/model`, { 's/f': 'f', 's/g': 'g', 'd/f/': '', 'd/g/in': 'i', 'd/z': 'z' });
    const ends = [exit.partial, exit.maxDelete, exit.ok];
    for (const [most, code] of ends.entries()) {
      const judge = copied(model, `${set.work}/judge${most}`);
      const flags = ['-a', '--delete-after', `--max-delete=${most}`];
      t.is(spawnSync('rsync', [...flags, 's/', 'd/'], { cwd: judge }).status, code);
      const base = copied(model, `${set.work}/here${most}`);
      const ran = await cli(t, set.client, [...flags, 's/', 'd/'], { cwd: base, env: { SPARSYNC_GUARDS: 'off' } });
      t.is(ran.code, code, ran.stderr);
      t.deepEqual(names(`${base}/d`), names(`${judge}/d`), `${most}`);
      if (code === exit.partial)
        t.regex(ran.stderr, /^g: .*no more may be deleted[^]*the limit of 0 deletions was reached/m);
    }
  },
);

judgedEachWay('a random limit on random trees leaves what rsync leaves', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 6; round += 1) {
    const model = randomTrees(random, `${set.work}/model${round}`, ['s', 'd'], { apart: true });
    const flags = ['-ai', random.pick(['--delete', '--delete-after']), `--max-delete=${random.below(12)}`];
    await besideRsync(t, set, {
      model,
      flags,
      ways: ['local', random.pick(['push', 'pull'])],
    });
  }
});

judgedEachWay(
  '--delete-after goes by files of rules that have arrived, the others by those that were there',
  async (t, set) => {
    const model = make(`${set.work}/model`, {
      's/.rules': '- new\n',
      's/sub/.rules': '- other\n',
      's/sub/f': 'f',
      'd/.rules@1500000000': '- old\n',
      'd/old': 'old',
      'd/new': 'new',
      'd/sub/old': 'old',
      'd/sub/new': 'new',
      'd/sub/other': 'other',
      'd/gone/new': 'new',
      'd/gone/x': 'x',
    });
    for (const flag of ['--delete', '--delete-after', '--delete-before', '--delete-delay'])
      await besideRsync(t, set, { model, flags: ['-ai', flag, '--filter=: .rules'] });
  },
);

// Seen red with a line for a symlink that was not made, where a rule leaves out the directory in its place.
judgedEachWay('what takes the place of a directory that a rule leaves out for its kind', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/a': '-> x',
    's/x': 'x',
    's/sub/a': 'a',
    'd/a/f': 'f',
    'd/sub/a/f': 'f',
    'd/sub/b/f': 'f',
  });
  for (const flags of [[], ['--delete'], ['--force'], ['-n']])
    await besideRsync(t, set, { model, flags: ['-ai', '--exclude=a/', ...flags] });
});

// Seen red with a conflict without -r, and with the file's own name for what was in the directory.
judgedEachWay('a directory gives way to a file with all in it, in runs that enter none as well', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/in/a': 'a',
    's/b': 'b',
    'd/a/sub/f': 'f',
    'd/a/g': 'g',
    'd/a/l': '-> g',
  });
  writeFileSync(`${model}/list`, 'in/a\n');
  for (const flags of [['-ti'], ['-tid'], ['-rti']])
    for (const way of ['--force', '--delete']) {
      if (way === '--delete' && flags[0] === '-ti') continue;
      await besideRsync(t, set, { model, flags: [...flags, way], sources: ['s/in/a', 's/b'] });
      await besideRsync(t, set, { model, flags: [...flags, way], sources: ['s/in/a'] });
      await besideRsync(t, set, { model, flags: [...flags, way, '--no-R', '--files-from=list'] });
    }
  const kept = copied(model, `${set.work}/kept`);
  const ran = await cli(t, set.client, ['-t', '--force', '--exclude=g', 's/in/a', 's/b', 'd/'], { cwd: kept });
  t.is(ran.code, exit.partial, ran.stderr);
  t.true(names(`${kept}/d`).includes('a/g'), 'what a rule leaves out stays');
});

// Seen red with everything beside the file deleted, by --delete-after.
judgedEachWay('a source that is a file deletes nothing beside it, whatever decides about deletions', async (t, set) => {
  const model = make(`${set.work}/model`, { 's/f': 'new', 'd/f@1500000000': 'old', 'd/x': 'x', 'd/sub/y': 'y' });
  for (const flag of ['--delete', '--delete-after', '--delete-excluded'])
    for (const rule of ['--filter=: .rules', '--filter=:C', '-F'])
      await besideRsync(t, set, { model, flags: ['-ai', flag, rule], sources: ['s/f'] });
});

judgedEachWay('--ignore-missing-args and --delete-missing-args', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/a': 'a',
    's/d/f': 'f',
    'd/gone': 'gone',
    'd/full/x': 'x',
    'd/empty/': '',
    'd/other': 'other',
  });
  for (const flags of [['--ignore-missing-args'], ['--delete-missing-args'], ['--delete-missing-args', '-n']])
    for (const sources of [['s/a', 's/gone'], ['s/gone'], ['s/gone', 's/full', 's/empty'], ['s/none', 's/d'], ['s/a']])
      await besideRsync(t, set, { model, flags: ['-ai', ...flags], sources });
  for (const more of ['--force', '--delete'])
    await besideRsync(t, set, {
      model,
      flags: ['-ai', '--delete-missing-args', more],
      sources: ['s/d', 's/full', 's/none'],
    });
  await besideRsync(t, set, { model, flags: ['-ai', '--ignore-missing-args', '--delete'], sources: ['s/d', 's/full'] });
});

judgedEachWay(
  'a source whose directory is not there is no missing one, and costs nothing at the destination',
  async (t, set) => {
    const model = make(`${set.work}/model`, { 's/a': 'a', 'd/gone': 'gone', 'd/full/x': 'x', 'd/a/': '' });
    for (const flag of ['--ignore-missing-args', '--delete-missing-args'])
      for (const sources of [['none/gone'], ['none/full'], ['s/a/gone'], ['none/gone', 's/b']])
        await besideRsync(t, set, { model, flags: ['-ai', flag, '--delete'], sources });
  },
);

judgedEachWay('paths of --files-from that are not there are passed over, or deleted', async (t, set) => {
  const model = make(`${set.work}/model`, { 's/a': 'a', 's/sub/f': 'f', 'd/gone': 'g', 'd/sub/gone': 'g', 'd/x': 'x' });
  writeFileSync(`${model}/list`, 'a\ngone\nsub/f\nsub/gone\nnone\n');
  for (const flag of ['--ignore-missing-args', '--delete-missing-args'])
    await besideRsync(t, set, { model, flags: ['-ai', flag, '--files-from=list'], ways: ['local', 'push', 'pull'] });
});

judgedEachWay(
  '--delete with --ignore-missing-args deletes nothing for a missing path of a list',
  async (t, { work, served, url, client: user }) => {
    make(work, { 's/a': 'a' });
    make(served, { 'd/gone': 'g' });
    writeFileSync(`${work}/list`, 'a\ngone\n');
    const flags = ['-a', '--delete', '--ignore-missing-args', `--files-from=${work}/list`];
    const ran = await cli(t, user, [...flags, `${work}/s/`, url('d')]);
    t.is(ran.code, exit.ok, ran.stderr);
    t.deepEqual(names(`${served}/d`), ['a', 'gone']);
  },
);

judgedEachWay(
  'a path of a list whose directory is not there is told, and kept at the destination',
  async (t, { work, served, url, client: user }) => {
    make(work, { 's/a': 'a' });
    make(served, { 'd/gone': 'g', 'd/sub/gone': 'g' });
    writeFileSync(`${work}/list`, 'a\ngone\nsub/gone\n');
    const flags = ['-a', '--delete-missing-args', `--files-from=${work}/list`];
    const ran = await cli(t, user, [...flags, `${work}/s/`, url('d')]);
    t.is(ran.code, exit.partial, ran.stderr);
    t.true(ran.stderr.includes('sub/gone: the source does not exist'), ran.stderr);
    t.deepEqual(names(`${served}/d`), ['a', 'sub', 'sub/gone']);
  },
);

judgedEachWay('with --ignore-missing-args a missing directory on the way is passed over as well', async (t, set) => {
  const model = make(`${set.work}/model`, { 's/a': 'a', 'd/sub/gone': 'g' });
  writeFileSync(`${model}/list`, 'a\nsub/gone\nnone/x/y\n');
  const flags = ['-ai', '--ignore-missing-args'];
  await besideRsync(t, set, { model, flags: [...flags, `--files-from=${model}/list`], sources: ['s/'] });
  await besideRsync(t, set, { model, flags: [...flags, '-R'], sources: ['s/./a', 's/./sub/gone', 's/./none/x/y'] });
  for (const source of ['s/./none/', 's/./none/x/'])
    await besideRsync(t, set, { model, flags: [...flags, '-R'], sources: ['s/./a', source] });
});

judgedWhere(isRoot)(
  'a directory that cannot be read keeps everything, and with --ignore-errors what it is here',
  async (t) => {
    const { work, client: user } = await setup(t);
    make(work, { 's/a': 'a', 's/closed/f': 'f', 'd/closed/x': 'x', 'd/extra': 'e' });
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    spawnSync('sh', ['-c', `chown -R 12345:12345 ${work}; chmod 0 ${work}/s/closed`]);
    const as = ['--reuid=12345', '--regid=12345', '--clear-groups', process.execPath, program];
    const run = (...flags: string[]): Promise<Ended> =>
      start(t, 'setpriv', [...as, '-a', ...flags, `${work}/s/`, `${work}/d/`], {
        env: { ...user.env, SPARSYNC_GUARDS: 'off' },
      }).ended;
    const first = await run('--delete');
    t.is(first.code, exit.partial, first.stderr);
    t.deepEqual(names(`${work}/d`), ['a', 'closed', 'closed/x', 'extra']);
    t.is((await run('--delete', '--ignore-errors')).code, exit.partial);
    t.deepEqual(names(`${work}/d`), ['a', 'closed', 'closed/x']);
  },
);

judged('the API: limits, sources that are not there, and what a key may', async (t) => {
  const { work, served, access, url } = await setup(t, { rights: 'read,write' });
  make(work, { 's/a': 'a' });
  make(served, { 'd/gone': 'g', 'd/x': 'x' });
  const into = { ...access, into: true };
  const sources = [`${work}/s/a`, `${work}/s/gone`];
  t.is(codeOf(await rejection(t, sync(sources, url('d'), into))), 'ERR_SPARSYNC_NOT_FOUND');
  await sync(sources, url('d'), { ...into, missingSources: 'ignore' });
  t.is(
    codeOf(await rejection(t, sync(sources, url('d'), { ...into, missingSources: 'delete' }))),
    'ERR_SPARSYNC_SCOPE',
  );
  t.deepEqual(names(`${served}/d`), ['a', 'gone', 'x']);
  const local = make(dir(work, 'here'), { gone: 'g', x: 'x' });
  const deleted: string[] = [];
  for await (const { action, path } of plan(sources, local, { into: true, missingSources: 'delete' }))
    if (action === 'delete') deleted.push(path);
  t.deepEqual(deleted, ['gone']);
  await sync(sources, local, { into: true, missingSources: 'delete' });
  t.deepEqual(names(local), ['a', 'x']);
  t.is(readFileSync(`${local}/a`, 'utf8'), 'a');
});

judged('the guard counts what a missing source holds at the destination', async (t) => {
  const { work } = await setup(t);
  make(work, { 's/a': 'a' });
  for (let file = 0; file < 150; file += 1) make(work, { [`d/gone/${file}`]: 'x' });
  const sources = [`${work}/s/a`, `${work}/s/gone`];
  const options = { into: true, missingSources: 'delete', force: true, allowMassDelete: false } as const;
  t.is(codeOf(await rejection(t, sync(sources, `${work}/d`, options))), 'ERR_SPARSYNC_DELETE_REFUSED');
  t.is(names(`${work}/d/gone`).length, 150);
  await sync(sources, `${work}/d`, { ...options, allowMassDelete: true });
  t.deepEqual(names(`${work}/d`), ['a']);
  rmSync(`${work}/d`, { recursive: true });
});
