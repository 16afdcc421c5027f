// --remove-source-files: what has arrived for good goes, everything else stays.
import { existsSync, linkSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { besideRsync, make, randomTrees } from './helpers/beside.js';
import { cli, exit, startCli } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { Random, seed } from './helpers/random.js';
import { codeOf, rejection, setup } from './helpers/setup.js';
import { names } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

judgedEachWay('what has arrived is removed, what was there already too, and directories stay', async (t, set) => {
  const model = make(`${set.work}/model`, {
    's/new': 'new',
    's/same': 'same',
    's/dir/changed': 'changed',
    's/l': '-> new',
    's/empty/': '',
    's/mode%600': 'mode',
    'd/same': 'same',
    'd/dir/changed@1500000000': 'old',
    'd/mode': 'mode',
    'd/extra': 'e',
  });
  for (const flags of [[], ['-n'], ['--delete'], ['-c'], ['--max-size=4'], ['--existing'], ['--exclude=dir']])
    await besideRsync(t, set, { model, flags: ['-ai', '--remove-source-files', ...flags] });
  for (const flags of [['--ignore-existing'], ['-u']])
    await besideRsync(t, set, { model, flags: ['-ai', '--remove-source-files', ...flags], ways: ['local', 'push'] });
  await besideRsync(t, set, {
    model,
    flags: ['-a', '--remove-source-files'],
    sources: ['s/new'],
    destination: 'd/other',
  });
});

judgedEachWay('random trees lose at the source what rsync takes', async (t, set) => {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  for (let round = 0; round < 6; round += 1) {
    const model = randomTrees(random, `${set.work}/model${round}`, ['s', 'd']);
    const flags = ['-ai', '--remove-source-files', '--delete', ...random.pick([[], ['-H'], ['-c']])];
    await besideRsync(t, set, { model, flags, ways: ['local', random.pick(['push', 'pull'])] });
  }
});

judged('CVE-2026-53800: what cannot arrive stays, and what a rule leaves out', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(work, { 's/blocked': 'file', 's/fine': 'fine', 's/left': 'left' });
  make(served, { 'd/blocked/full': 'x' });
  const ran = await cli(t, user, ['-a', '--remove-source-files', '--exclude=left', `${work}/s/`, url('d')]);
  t.is(ran.code, exit.partial);
  t.deepEqual(names(`${work}/s`), ['blocked', 'left']);
  t.is(readFileSync(`${served}/d/fine`, 'utf8'), 'fine');
});

judged(
  'a pull that removes takes the right to delete, a root that can be written, and nobody else at work',
  async (t) => {
    const { work, served, access, url } = await setup(t, { rights: 'read,write' });
    make(served, { 's/f': 'f' });
    const options = { ...access, removeSourceFiles: true };
    t.is(codeOf(await rejection(t, sync(url('s'), `${work}/d`, options))), 'ERR_SPARSYNC_SCOPE');
    t.true(existsSync(`${served}/s/f`));
    const closed = await setup(t, { args: ['--read-only'] });
    make(closed.served, { 's/f': 'f' });
    const error = await rejection(
      t,
      sync(closed.url('s'), `${closed.work}/d`, { ...closed.access, removeSourceFiles: true }),
    );
    t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE');
    t.true(existsSync(`${closed.served}/s/f`));
  },
);

judged('a file that the server hides is not removed, and a symlink is not followed', async (t) => {
  const { work, served, url, client: user } = await setup(t, { args: ['--exclude=*.key'] });
  make(served, { 's/a.key': 'secret', 's/f': 'f' });
  writeFileSync(`${work}/outside`, 'outside');
  symlinkSync(`${work}/outside`, `${served}/s/link`);
  const ran = await cli(t, user, ['-a', '--remove-source-files', `${url('s')}/`, `${work}/d`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.deepEqual(names(`${served}/s`), ['a.key']);
  t.is(readFileSync(`${work}/outside`, 'utf8'), 'outside');
});

judged('a source that is what stands at the destination is refused, and stays', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const tree = { 's/f': 'f', 's/sub/g': 'g' };
  for (const top of [work, served]) {
    make(top, tree);
    symlinkSync('s', `${top}/d`);
  }
  const local = (path: string) => `${served}/${path}`;
  const ways: [string[], string][] = [
    [[`${work}/s/`], `${work}/d/`],
    [[`${work}/s/`], `${work}/s/`],
    [[`${work}/s`], work],
    [[`${work}/s/f`], `${work}/s/`],
    [[`${work}/s/f`], `${work}/s/f`],
    [[`${work}/s/f`, `${work}/s/sub`], `${work}/s`],
    [[local('s/')], url('s')],
    [[local('s')], `${url('')}/`],
    [[local('s/f')], `${url('s')}/`],
    [[local('s/f'), local('s/sub')], url('s')],
    [[`${url('s')}/`], local('s')],
    [[url('s')], local('')],
    [[url('s/f')], local('s')],
    [[url('s/f')], local('s/f')],
  ];
  for (const [sources, destination] of ways) {
    const ran = await cli(t, user, ['-r', '--remove-source-files', ...sources, destination]);
    t.is(ran.code, exit.usage, `${sources.join(' ')} ${destination} ${ran.stderr}`);
    for (const top of [work, served])
      t.deepEqual(names(`${top}/s`), ['f', 'sub', 'sub/g'], `${sources.join(' ')} ${destination}`);
  }
  // Under another name it is another file.
  for (const [from, to] of [
    [`${work}/s/f`, `${work}/s/x`],
    [local('s/f'), url('s/x')],
  ] as const) {
    const ran = await cli(t, user, ['-r', '--remove-source-files', from, to]);
    t.is(ran.code, 0, ran.stderr);
  }
  t.deepEqual(names(`${work}/s`), ['sub', 'sub/g', 'x']);
  t.deepEqual(names(`${served}/s`), ['sub', 'sub/g', 'x']);
});

judged('what a directory symlink leads to is copied, and stays at the source', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  for (const top of [work, served]) {
    make(top, { 's/f': 'f', 'o/x': 'x' });
    symlinkSync('../o', `${top}/s/l`);
  }
  for (const [top, source] of [
    [work, `${work}/s/`],
    [served, `${url('s')}/`],
  ] as const) {
    const ran = await cli(t, user, ['-rL', '--remove-source-files', source, `${top}-copy`]);
    t.is(ran.code, exit.partial, ran.stderr);
    t.deepEqual(names(`${top}-copy`), ['f', 'l', 'l/x']);
    t.deepEqual([names(`${top}/o`), names(`${top}/s`)], [['x'], ['l']]);
  }
});

judged('a file that is written to after it was sent stays, though it has its size and time again', async (t) => {
  const { work, url, served, client: user } = await setup(t);
  make(work, { 's/a@1500000000': 'old', 's/b@1500000000': 'b' });
  linkSync(`${work}/s/b`, `${work}/s/c`);
  writeFileSync(`${work}/s/z`, Buffer.alloc(4 << 20));
  const flags = ['-a', '--remove-source-files', '--bwlimit=2M', '--durability=none', `${work}/s/`, url('d')];
  const running = startCli(t, user, flags);
  await until('the first file to be there', () => existsSync(`${served}/d/a`) || running.over());
  t.false(running.over(), running.stderr());
  writeFileSync(`${work}/s/a`, 'new');
  utimesSync(`${work}/s/a`, 1_500_000_000, 1_500_000_000);
  const ran = await running.ended;
  t.is(ran.code, exit.partial, ran.stderr);
  t.regex(ran.stderr, /changed since it was sent/);
  // The two names of one file change it as they go.
  t.deepEqual(names(`${work}/s`), ['a']);
  t.is(readFileSync(`${work}/s/a`, 'utf8'), 'new');
});

judged('what a run links to its own source is removed there', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/dir/b': 'b' });
  linkSync(`${work}/s/a`, `${work}/s/c`);
  const ran = await cli(t, user, ['-a', '--remove-source-files', `--link-dest=${work}/s`, `${work}/s/`, `${work}/d/`]);
  t.deepEqual([ran.code, ran.stderr], [0, '']);
  t.deepEqual(names(`${work}/s`), ['dir']);
  t.deepEqual(names(`${work}/d`), ['a', 'c', 'dir', 'dir/b']);
});
