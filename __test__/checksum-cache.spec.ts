// Content that was hashed before is not read again: --checksum-cache.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { copied } from './helpers/beside.js';
import { cli } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { setup, type Setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';

/** The files of a folder. */
const filesOf = (path: string): string[] =>
  existsSync(path) ? readdirSync(path).filter((name) => lstatSync(`${path}/${name}`).isFile()) : [];

/** Whether nobody has changed anything in a folder for more than an hour: younger files are not remembered. */
function isOld(path: string): boolean {
  const ages = filesOf(path).map((name) => lstatSync(`${path}/${name}`));
  const latest = Date.now() - 3_700_000;
  return ages.length > 5 && ages.every(({ ctimeMs, mtimeMs }) => Math.max(ctimeMs, mtimeMs) < latest);
}

const found = ['/usr/share/zoneinfo/Etc', '/usr/share/zoneinfo/America', '/usr/share/common-licenses'].find(isOld);
const OLD = found ?? '/nowhere';

/** One of them. */
const NAME = filesOf(OLD)[0] ?? '';

/** Runs the command, and says how many files below `OLD` it has opened. */
async function opened(
  t: ExecutionContext,
  { work, client }: Setup,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ files: number; ran: Ended }> {
  const trace = `${work}/trace`;
  const [strace = '', ...options] = straced(trace, ['-y', '-e', 'trace=openat']);
  const words = [...options, process.execPath, program, ...args];
  const ran = await start(t, strace, words, { env: { ...client.env, ...env } }).ended;
  t.is(ran.code, 0, ran.stderr);
  const lines = readFileSync(trace, 'latin1').split('\n');
  const files = lines.filter((line) => line.includes(`<${OLD}>, "`) && !line.includes('O_DIRECTORY'));
  return { files: files.length, ran };
}

const judged = judgedWhere(hasStrace && found !== undefined);

judged('what was hashed before is read once, at either end of a run, and never for another comparison', async (t) => {
  const set = await setup(t);
  const [state, d] = [`${set.work}/state`, `${set.work}/d`];
  const env = { SPARSYNC_STATE_DIR: state };
  copied(OLD, d);
  const all = (await opened(t, set, ['-rc', `${OLD}/`, d], env)).files;
  const flags = ['-rc', '--checksum-cache'];
  // A run that counts first looks twice without it.
  const first = (await opened(t, set, [...flags, `${OLD}/`, d], env)).files;
  t.true(first > 5 && first <= all, `${first} of ${all}`);
  t.is(statSync(`${state}/checksums`).mode & 0o777, 0o600);
  // A server has no cache: what it has is hashed by another process.
  copied(d, `${set.served}/d`);
  for (const [files, args] of [
    [0, [...flags, `${OLD}/`, d]],
    [0, [...flags, `${OLD}/`, set.url('d')]],
    [all, ['-rc', `${OLD}/`, d]],
  ] as const) {
    t.is((await opened(t, set, args, env)).files, files, args.join(' '));
  }
  // What is not as it was when it was hashed is found, whatever its size and its time say.
  const name = `${d}/${NAME}`;
  const { atime, mtime } = statSync(name);
  writeFileSync(
    name,
    readFileSync(name).map((byte) => byte ^ 1),
  );
  utimesSync(name, atime, mtime);
  const changed = await opened(t, set, [...flags, '-i', `${OLD}/`, d], env);
  t.true(changed.ran.stdout.includes(NAME), changed.ran.stdout);
  t.is(changed.files, 1);
  t.true(readFileSync(name).equals(readFileSync(`${OLD}/${NAME}`)));
});

judged('a file that was just written is not remembered, and a torn cache is as none', async (t) => {
  const set = await setup(t);
  const state = `${set.work}/state`;
  const env = { SPARSYNC_STATE_DIR: state };
  mkdirSync(`${set.work}/s`);
  writeFileSync(`${set.work}/s/new`, 'new');
  const user = { ...set.client, env: { ...set.client.env, ...env } };
  const flags = ['-ac', '--checksum-cache'];
  const ran = await cli(t, user, [...flags, `${set.work}/s/`, `${set.work}/d`]);
  t.is(ran.code, 0, ran.stderr);
  t.is(statSync(`${state}/checksums`, { throwIfNoEntry: false }), undefined);
  copied(OLD, `${set.work}/e`);
  const run = (): Promise<{ files: number }> =>
    opened(t, set, ['-rc', '--checksum-cache', `${OLD}/`, `${set.work}/e`], env);
  const all = (await run()).files;
  t.is((await run()).files, 0);
  writeFileSync(`${state}/checksums`, readFileSync(`${state}/checksums`).subarray(0, -7));
  t.is((await run()).files, all);
  t.is((await run()).files, 0);
  chmodSync(`${state}/checksums`, 0o666);
  t.is((await run()).files, all);
});

judged('where there is no state directory it is said, and the run is as any other', async (t) => {
  const set = await setup(t);
  copied(OLD, `${set.work}/d`);
  rmSync(`${set.work}/d/${NAME}`);
  const args = ['-rc', '--checksum-cache', `${OLD}/`, `${set.work}/d`];
  const { ran } = await opened(t, set, args, { SPARSYNC_STATE_DIR: '/proc/nowhere' });
  t.regex(ran.stderr, /no checksum cache in \/proc\/nowhere/);
  const homes = { HOME: '', XDG_STATE_HOME: '', SPARSYNC_STATE_DIR: '' };
  const homeless = await opened(t, set, args, homes);
  t.regex(homeless.ran.stderr, /names no state directory/);
});
