// Large files that are made of others than those in their place: --fuzzy, and --link-dest and its like.
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { besideRsync, make } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { judged } from './helpers/judge.js';
import { Random } from './helpers/random.js';
import { setup } from './helpers/setup.js';
import { judgedEachWay } from './helpers/ways.js';

const MIB = 1 << 20;

/** Content, and the same with a few bytes put into its middle. */
function versions(title: string): [Buffer, Buffer] {
  const old = new Random(title).bytes(3 * MIB);
  return [old, Buffer.concat([old.subarray(0, MIB), Buffer.from('inserted'), old.subarray(MIB)])];
}

judged('a new file is made of a similar one, by size and time, or by its name', async (t) => {
  const { work, served, url, access } = await setup(t);
  const [old, changed] = versions(t.title);
  make(work, { 's/x': 'x' });
  make(served, { 'd/x': 'x' });
  writeFileSync(`${work}/s/log-2026-11-28`, changed);
  writeFileSync(`${work}/s/renamed`, old);
  utimesSync(`${work}/s/renamed`, 1_500_000_000, 1_500_000_000);
  for (const fuzzy of [false, true]) {
    for (const name of ['log-2026-11-28', 'renamed']) rmSync(`${served}/d/${name}`, { force: true });
    writeFileSync(`${served}/d/log-2026-11-27`, old);
    utimesSync(`${served}/d/log-2026-11-27`, 1_500_000_000, 1_500_000_000);
    writeFileSync(`${served}/d/other`, Buffer.alloc(2 * MIB));
    const { stats } = await sync(`${work}/s`, url('d'), { ...access, fuzzy, delete: true, allowMassDelete: true });
    t.is(stats.bytesTransferred < MIB / 2, fuzzy, String(stats.bytesTransferred));
    for (const [name, content] of [
      ['log-2026-11-28', changed],
      ['renamed', old],
    ] as const)
      t.true(readFileSync(`${served}/d/${name}`).equals(content), name);
  }
});

judged('a file that a directory to compare with has otherwise is made of that', async (t) => {
  const { work, served, url, access } = await setup(t);
  const [old, changed] = versions(t.title);
  make(work, { 's/sub/x': 'x' });
  make(served, { 'before/sub/x': 'x' });
  writeFileSync(`${work}/s/sub/f`, changed);
  writeFileSync(`${work}/s/sub/g-2`, changed);
  for (const [options, most] of [
    [{ linkDest: ['../before'] }, 3.5 * MIB],
    [{ copyDest: ['../before'], fuzzy: true, fuzzyDest: true }, MIB / 2],
  ] as const) {
    rmSync(`${served}/d`, { recursive: true, force: true });
    writeFileSync(`${served}/before/sub/f`, old);
    writeFileSync(`${served}/before/sub/g-1`, old);
    const { stats } = await sync(`${work}/s`, url('d'), { ...access, ...options });
    t.true(stats.bytesTransferred < most, `${JSON.stringify(options)}: ${stats.bytesTransferred}`);
    for (const name of ['f', 'g-2']) t.true(readFileSync(`${served}/d/sub/${name}`).equals(changed), name);
    t.true(readFileSync(`${served}/before/sub/f`).equals(old));
  }
});

judgedEachWay('it leaves what rsync leaves, and takes the right to read', async (t, set) => {
  const { work } = set;
  const [old, changed] = versions(t.title);
  const model = make(`${work}/model`, { 's/a': 'a', 'd/b': 'b', 'l/c': 'c' });
  writeFileSync(`${model}/s/f-2`, changed);
  writeFileSync(`${model}/d/f-1`, old);
  writeFileSync(`${model}/l/f-2`, old);
  for (const flags of [['-y'], ['-y', '--delete'], ['-yy', '--link-dest=../l'], ['-y', '-S']])
    await besideRsync(t, set, { model, flags: ['-ai', ...flags] });
  const other = await setup(t, { rights: 'write,delete' });
  const ran = await cli(t, other.client, ['-ay', `${model}/s/`, other.url('d')]);
  t.not(ran.code, 0);
  t.regex(ran.stderr, /may not read/);
});

judged('what the operator hides is not used, and so not told', async (t) => {
  const { work, served, url, access } = await setup(t, { args: ['--exclude=log-secret'] });
  const [old, changed] = versions(t.title);
  make(work, { 's/x': 'x' });
  make(served, { 'd/x': 'x', 'before/x': 'x' });
  writeFileSync(`${work}/s/log-secre2`, changed);
  for (const place of ['d', 'before']) writeFileSync(`${served}/${place}/log-secret`, old);
  const options = { ...access, fuzzy: true, fuzzyDest: true, linkDest: ['../before'] };
  const { stats } = await sync(`${work}/s`, url('d'), options);
  t.true(stats.bytesTransferred > changed.length - 1000);
  t.true(readFileSync(`${served}/d/log-secre2`).equals(changed));
});
