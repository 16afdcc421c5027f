// How many paths failed for which cause: in results, in the JSON and in the last lines of the command.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { NotFoundError, PartialSyncError, sync } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { failure, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

/** Two files in whose place folders stand that are not empty, one that arrives, and a place for them at the server. */
async function conflicts(t: ExecutionContext) {
  const made = await setup(t);
  const source = dir(made.work, 'source');
  for (const name of ['a', 'b', 'c']) writeFileSync(`${source}/${name}`, name);
  const place = (top: string): void => {
    for (const name of ['a', 'b']) mkdirSync(`${top}/${name}/in the way`, { recursive: true });
  };
  place(`${made.served}/tree`);
  place(`${made.work}/copy`);
  return { ...made, source };
}

test('a result counts its failures by cause, locally and through a server', async (t) => {
  const { work, source, url, access, served } = await conflicts(t);
  for (const [to, options] of [
    [`${work}/copy`, {}],
    [url('tree'), access],
  ] as const) {
    const partial = await failure(t, sync(source, to, options), PartialSyncError);
    t.deepEqual(partial.result.failureCounts, { conflict: 2 });
    t.is(partial.result.failures.length, 2);
    t.regex(partial.message, /^2 paths did not arrive, the first being/);
    const missing = await failure(t, sync([source, `${work}/none`], to, options), NotFoundError);
    t.deepEqual(missing.result?.failureCounts, { conflict: 2, missing: 1 });
  }
  for (const name of ['a', 'b']) rmSync(`${served}/tree/${name}`, { recursive: true });
  t.deepEqual((await sync(source, url('tree'), access)).failureCounts, {});
  t.deepEqual(readdirSync(`${served}/tree`), ['a', 'b', 'c']);
});

test('the command counts its failures by cause, for people and for programs', async (t) => {
  const { work, source, url, client: user } = await conflicts(t);
  const args = ['-a', `${source}/`, `${work}/none/`, url('tree/')];
  const said = await cli(t, user, args);
  t.is(said.code, exit.partial);
  t.regex(said.stderr, /^failed: 2 conflict, 1 missing$/m);
  const json = await cli(t, user, ['--json', ...args]);
  const last = JSON.parse(json.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
  t.is(last['type'], 'error');
  t.deepEqual(last['failureCounts'], { conflict: 2, missing: 1 });
  t.is((last['stats'] as Record<string, number>)['filesFailed'], 3);
});
