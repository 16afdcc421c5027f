import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { parseFlags } from '../ts/cli/parse.js';
import { SYNC_FLAGS, flaggedOptions } from '../ts/cli/transfer-flags.js';
import { cli, exit } from './helpers/cli.js';
import { judged, rsync } from './helpers/judge.js';
import { client } from './helpers/product.js';
import { setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { differences, walk } from './helpers/walk.js';

/** What `-a` implies, by its names and letters. */
const IMPLIED = 'recursive r links l perms p times t group g owner o devices specials D'.split(' ');

judged('each flag that -a implies is taken back as by rsync, and the last word wins', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  mkdirSync(`${source}/sub`, { mode: 0o750 });
  writeFileSync(`${source}/file`, 'file', { mode: 0o640 });
  writeFileSync(`${source}/sub/file`, 'file', { mode: 0o600 });
  symlinkSync('file', `${source}/link`);
  const user = client(work);
  for (const name of IMPLIED) {
    for (const flags of [
      ['-a', `--no-${name}`],
      [`--no-${name}`, '-a'],
    ]) {
      const label = flags.join(' ');
      const [made, judge] = [dir(work, `made ${label}`), dir(work, `judge ${label}`)];
      rsync(...flags, `${source}/`, `${judge}/`);
      const ran = await cli(t, user, [...flags, `${source}/`, `${made}/`]);
      t.is(ran.code, exit.ok, `${label}: ${ran.stderr}`);
      const found = differences(walk(judge, { content: true }), walk(made, { content: true }), {
        times: name !== 'times' && name !== 't',
        wholeSeconds: true,
      });
      t.deepEqual(found, [], label);
    }
  }
});

test('--no-compress sends content as it is, and its letter does too', async (t) => {
  const { work, url, client: user } = await setup(t);
  const source = dir(work, 'source');
  const content = 1 << 20;
  writeFileSync(`${source}/zeros`, 'z'.repeat(content));
  const sent = async (to: string, ...flags: readonly string[]): Promise<number> => {
    const ran = await cli(t, user, ['-a', '--json', ...flags, `${source}/`, url(to)]);
    t.is(ran.code, exit.ok, ran.stderr);
    const summary = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '') as { stats: { bytesSent: number } };
    return summary.stats.bytesSent;
  };
  t.true((await sent('packed', '-z')) < content / 2);
  for (const off of ['--no-compress', '--no-z']) t.true((await sent(off, '-z', off)) > content, off);
});

test('what --no- means of a flag with a value is what rsync takes it for, else the default', async (t) => {
  const said = async (...words: readonly string[]) => {
    const { compression, timeoutMs, durability, maxSize } = await flaggedOptions(parseFlags(SYNC_FLAGS, words));
    return { compression, timeoutMs, durability, maxSize };
  };
  const none = { compression: 'auto', timeoutMs: undefined, durability: 'none', maxSize: undefined };
  t.deepEqual(await said(), none);
  t.deepEqual(await said('--durability=run', '--max-size=1', '--no-durability', '--no-max-size'), none);
  t.deepEqual(await said('-z', '--no-z'), { ...none, compression: 'never' });
  t.deepEqual(await said('--no-compress', '-z'), { ...none, compression: 'always' });
  t.deepEqual(await said('--timeout=5', '--no-timeout'), { ...none, timeoutMs: 0 });
});

test('every flag of the table can be taken back', async (t) => {
  const work = workDir(t);
  const source = dir(work, 'source');
  const [table = ''] = readFileSync('docs/options.md', 'utf8').split('## Flags of the verbs');
  const flags = [...table.matchAll(/`(--no-[a-z-]+)`/g)].map(([, flag]) => flag ?? '');
  t.true(flags.length > 30);
  const ran = await cli(t, client(work), [...flags, '-r', `${source}/`, `${work}/made/`]);
  t.is(ran.code, exit.ok, ran.stderr);
});
