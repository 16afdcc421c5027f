// What --info and --debug say: of backups, of what is removed at the source, of mount points that are left out, of how files are sent.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { copied, make } from './helpers/beside.js';
import { cli, exit } from './helpers/cli.js';
import { judged, judgedWhere } from './helpers/judge.js';
import { canMount, mountTmpfs, setup } from './helpers/setup.js';

/** The lines, sorted: who writes which of them first differs from run to run in rsync. */
const lines = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('(new) backup_dir is '))
    .toSorted();

judged('each backup is told as by rsync', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(`${work}/model`, {
    's/a': 'new',
    's/same@1500000000': 'same',
    's/sub/q#': 'new',
    's/link-now-file': 'file',
    's/new': 'new',
    's/mode@1500000000%600': 'mode',
    'd/a@1500000000': 'old',
    'd/same@1500000000': 'same',
    'd/sub/q#@1500000000': 'old',
    'd/mode@1500000000%644': 'mode',
    'd/gone': 'gone',
    's/link': '-> new',
    'd/link': '-> old',
    'd/link-now-file': '-> old',
  });
  for (const [number, flags] of [
    ['-b', '--info=backup'],
    ['-b', '--suffix=.o', '--delete', '--info=backup,del'],
    ['--backup-dir=../bk/', '--delete', '--info=backup,name'],
    ['-b', '--inplace', '--info=backup,name'],
    ['-b', '--info=name'],
    ['-bi', '--info=backup'],
  ].entries()) {
    const judge = copied(`${work}/model`, `${work}/judge${number}`);
    const words = ['-a', ...flags];
    const said = spawnSync('rsync', [...words, `${judge}/s/`, `${judge}/d/`], { encoding: 'utf8' });
    for (const way of ['local', 'push', 'pull'] as const) {
      const base = copied(`${work}/model`, way === 'push' ? `${served}/${number}push` : `${work}/${number}${way}`);
      const from = way === 'pull' ? url(`${number}pull/s/`) : `${base}/s/`;
      if (way === 'pull') copied(`${work}/model`, `${served}/${number}pull`);
      const ran = await cli(t, user, [...words, from, way === 'push' ? url(`${number}push/d/`) : `${base}/d/`]);
      const label = `${way} ${words.join(' ')}`;
      t.is(ran.code, 0, `${label}: ${ran.stderr}`);
      const shown = way === 'push' ? ran.stdout.replaceAll(/^</gm, '>') : ran.stdout;
      t.deepEqual(lines(shown), lines(said.stdout), label);
    }
  }
  const items: string[] = [];
  const last = copied(`${work}/model`, `${work}/last`);
  for await (const event of sync(`${last}/s`, `${last}/d`, { backup: true, itemBackups: true })) {
    if (event.type === 'item' && event.action === 'backup') items.push(`${event.kind} ${event.path}`);
  }
  t.deepEqual(items.toSorted(), ['file a', 'file sub/q#', 'symlink link', 'symlink link-now-file']);
});

judged('what is removed at the source is told as by rsync, and copy and misc have nothing to say', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  make(`${work}/model`, {
    's/a': 'new',
    's/same': 'same',
    's/sub/q#\\#012': 'new',
    's/link': '-> a',
    's/blocked': 'file',
    'd/same': 'same',
    'd/blocked/full': 'x',
  });
  for (const [number, flags] of [
    ['--info=remove'],
    ['--info=remove,name', '-n'],
    ['-vv', '--info=flist0,stats0'],
    ['--info=copy,misc2'],
    ['-q', '--info=remove'],
  ].entries()) {
    const judge = copied(`${work}/model`, `${work}/gone${number}`);
    const words = ['-a', '--remove-source-files', '--exclude=blocked', ...flags];
    const said = spawnSync('rsync', [...words, `${judge}/s/`, `${judge}/d/`], { encoding: 'utf8' });
    const expected = lines(said.stdout);
    for (const way of ['local', 'push', 'pull'] as const) {
      const base = copied(
        `${work}/model`,
        way === 'local' ? `${work}/gone${number}${way}` : `${served}/gone${number}${way}`,
      );
      const remote = (path: string): string => url(`gone${number}${way}/${path}`);
      const from =
        way === 'pull'
          ? remote('s/')
          : `${way === 'push' ? copied(`${work}/model`, `${work}/from${number}`) : base}/s/`;
      const ran = await cli(t, user, [
        ...words,
        from,
        way === 'push' ? remote('d/') : `${way === 'pull' ? copied(`${work}/model`, `${work}/to${number}`) : base}/d/`,
      ]);
      t.is(ran.code, 0, ran.stderr);
      const found = lines(ran.stdout).filter((line) => !line.startsWith('total: '));
      const wanted = expected
        .filter((line) => !line.startsWith('total: '))
        // A server does not tell what its end hides.
        .filter((line) => way !== 'pull' || !line.startsWith('[sender] hiding '))
        .map((line) => (way === 'local' ? line : line.replace(/^delta-transmission .*/, 'delta-transmission enabled')));
      t.deepEqual(found, wanted, `${way} ${words.join(' ')}`);
    }
  }
  const base = copied(`${work}/model`, `${work}/kept`);
  const kept = await cli(t, user, ['-a', '--remove-source-files', '--info=remove', `${base}/s/`, `${base}/d/`]);
  t.is(kept.code, exit.partial);
  t.false(kept.stdout.includes('blocked'), 'what could not arrive is not told');
  const items: string[] = [];
  const last = copied(`${work}/model`, `${work}/last`);
  const options = { removeSourceFiles: true, itemRemovals: true, filter: ['- blocked'] };
  for await (const event of sync(`${last}/s`, `${last}/d`, options)) {
    if (event.type === 'item' && event.action === 'remove') items.push(`${event.kind} ${event.path}`);
  }
  t.deepEqual(items.toSorted(), ['file a', 'file same', 'file sub/q#\\#012', 'symlink link']);
});

judged('--debug says how files are sent, as rsync does', async (t) => {
  const { work, client: user } = await setup(t);
  make(work, { 's/a': 'a', 's/b': 'bb' });
  for (const [number, flags] of [
    ['--debug=flist'],
    ['--debug=deltasum'],
    ['-vv', '--debug=none', '--info=none'],
    ['-vv', '--debug=deltasum0', '--info=none'],
    ['-q', '--debug=flist,deltasum'],
  ].entries()) {
    const said = spawnSync('rsync', ['-a', ...flags, `${work}/s/`, `${work}/judge${number}/`], { encoding: 'utf8' });
    const ran = await cli(t, user, ['-a', ...flags, `${work}/s/`, `${work}/d${number}/`]);
    t.deepEqual([ran.stdout, ran.stderr], [flags.includes('-q') ? '' : said.stdout, ''], flags.join(' '));
  }
});

judgedWhere(canMount)('mount points that are left out are told as by rsync', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  for (const base of [work, served]) {
    make(base, { 's/a': 'a' });
    mkdirSync(`${base}/s/mnt`);
    if (!mountTmpfs(t, `${base}/s/mnt`, 'size=1m')) throw new Error('cannot mount');
  }
  const words = ['-axx', '--info=mount'];
  const said = spawnSync('rsync', [...words, `${work}/s`, `${work}/judge/`], { encoding: 'utf8' }).stdout;
  t.is(said, '[sender] skipping mount-point dir s/mnt\n');
  for (const [from, to] of [
    [`${work}/s`, `${work}/d/`],
    [`${work}/s`, url('d/')],
    [url('s'), `${work}/e/`],
  ] as const) {
    const ran = await cli(t, user, [...words, from, to]);
    t.deepEqual([ran.stdout, ran.stderr], [said, ''], `${from} ${to}`);
    t.is((await cli(t, user, ['-axx', from, to])).stdout, '');
  }
});
