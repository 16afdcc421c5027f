import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { DeleteRefusedError, plan, sync } from '../dist/index.js';

import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { type Ended, start } from './helpers/process.js';
import { type Client, client, program } from './helpers/product.js';
import { canMount, failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { names } from './helpers/walk.js';

/** A folder `parent` that holds `sub`, and beside it what a mirror of `sub` would delete. */
function nested(work: string): { parent: string; sub: string } {
  const parent = dir(work, 'parent');
  const sub = dir(parent, 'sub');
  writeFileSync(`${sub}/content`, 'content');
  mkdirSync(`${sub}/deep`);
  writeFileSync(`${parent}/other`, 'other');
  return { parent, sub };
}

/** Runs the command where `mounts` were made first, seen by nobody else. */
function mounted(
  t: ExecutionContext,
  user: Client,
  mounts: readonly string[],
  args: readonly string[],
): Promise<Ended> {
  const script = [...mounts.map((mount) => `mount ${mount}`), 'exec "$@"'].join(' && ');
  const words = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', process.execPath, program, ...args];
  return start(t, 'unshare', words, { env: user.env }).ended;
}

function assertRefused(t: ExecutionContext, ended: Ended, top: string, had: readonly string[], place: string): void {
  t.is(ended.code, exit.deleteRefused, ended.stderr);
  t.is(ended.stdout, '');
  t.true(ended.stderr.includes(`the source lies in the destination, as ${place}`), ended.stderr);
  t.regex(ended.stderr, /--allow-mass-delete/);
  t.deepEqual(names(top), had, 'something was written');
}

test('a source is not deleted by a push to a server on the same machine that serves what holds it', async (t) => {
  const { served, client: user, url } = await setup(t);
  for (const [name, source] of [
    ['above', 'sub'],
    ['far', 'extra/deep/sub'],
  ] as const) {
    const top = `${served}/${name}`;
    mkdirSync(`${top}/${source}`, { recursive: true });
    writeFileSync(`${top}/${source}/content`, 'content');
    writeFileSync(`${top}/other`, 'other');
    const had = names(top);
    for (const options of [
      ['-a', '--delete'],
      ['-an', '--delete'],
    ]) {
      const refused = await cli(t, user, [...options, `${top}/${source}/`, url(name)]);
      t.is(refused.code, exit.deleteRefused, refused.stderr);
      t.true(refused.stderr.includes(`the source lies in the destination, as ${source}`), refused.stderr);
      t.deepEqual(
        had.filter((path) => !names(top).includes(path)),
        [],
      );
    }
    const allowed = await cli(t, user, ['-a', '--delete', '--allow-mass-delete', `${top}/${source}/`, url(name)]);
    t.is(allowed.code, exit.ok, allowed.stderr);
    t.deepEqual(names(top), ['content']);
  }
});

test('a source in its own destination is not deleted, by whatever name it is called', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { parent, sub } = nested(work);
  symlinkSync(parent, `${work}/to-parent`);
  symlinkSync(sub, `${work}/to-sub`);
  symlinkSync(work, `${work}/to-work`);
  const had = names(parent);
  const pairs: readonly (readonly string[])[] = [
    [`${sub}/`, `${parent}/`],
    [`${work}/to-sub/`, `${parent}/`],
    [`${sub}/`, `${work}/to-parent/`],
    [`${work}/to-work/parent/sub/`, `${work}/to-work/parent`],
    ['-n', `${sub}/`, `${parent}/`],
  ];
  for (const pair of pairs) assertRefused(t, await cli(t, user, ['-a', '--delete', ...pair]), parent, had, 'sub');
  const deeper = await cli(t, user, ['-a', '--delete', `${sub}/deep/`, `${parent}/`]);
  assertRefused(t, deeper, parent, had, 'sub/deep');
});

test('the API refuses the same, also in a plan', async (t) => {
  const { parent, sub } = nested(workDir(t));
  const had = names(parent);
  const error = await failure(t, sync(sub, parent, { delete: true }), DeleteRefusedError);
  t.is(error.reason, 'source-deleted');
  t.is(error.path, 'sub');
  const planned = async (): Promise<void> => {
    for await (const item of plan(sub, parent, { delete: true })) t.fail(item.path);
  };
  await failure(t, planned(), DeleteRefusedError);
  t.deepEqual(names(parent), had);
});

(canMount ? test : test.skip)('a source in its own destination is seen through bind mounts', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { parent, sub } = nested(work);
  const elsewhere = dir(work, 'else where');
  dir(parent, 'mounted');
  const had = names(parent);
  const bind = (from: string, to: string): string => `--bind '${from}' '${to}'`;
  const args = ['-a', '--delete'];

  const source = await mounted(t, user, [bind(sub, elsewhere)], [...args, `${elsewhere}/`, `${parent}/`]);
  assertRefused(t, source, parent, had, 'sub');
  const destination = await mounted(t, user, [bind(parent, elsewhere)], [...args, `${sub}/`, `${elsewhere}/`]);
  assertRefused(t, destination, parent, had, 'sub');
  const below = await mounted(t, user, [bind(parent, elsewhere)], [...args, `${elsewhere}/sub/deep/`, `${parent}/`]);
  assertRefused(t, below, parent, had, 'sub/deep');

  const other = dir(work, 'other');
  writeFileSync(`${other}/kept`, 'kept');
  const inDestination = bind(other, `${parent}/mounted`);
  const second = await mounted(t, user, [inDestination], [...args, `${other}/`, `${parent}/`]);
  assertRefused(t, second, other, ['kept'], 'mounted');
  dir(other, 'part');
  const part = bind(`${other}/part`, `${parent}/mounted`);
  const third = await mounted(t, user, [part], [...args, `${other}/`, `${parent}/`]);
  assertRefused(t, third, other, ['kept', 'part'], 'mounted');
  t.deepEqual(names(parent), had);
});

test('a source whose directory would give way to a file is refused as well', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { parent, sub } = nested(work);
  writeFileSync(`${sub}/sub`, 'takes the place of the directory');
  const had = names(parent);
  assertRefused(t, await cli(t, user, ['-a', '--force', `${sub}/`, `${parent}/`]), parent, had, 'sub');
  t.deepEqual(names(parent), had);
});

judged('a source in its own destination may be copied where nothing is deleted', async (t) => {
  const work = workDir(t);
  const { parent, sub } = nested(work);
  const judge = nested(dir(work, 'judge'));
  const ran = await cli(t, client(work), ['-a', `${sub}/`, `${parent}/`]);
  t.is(ran.code, 0, ran.stderr);
  rsync('-a', `${judge.sub}/`, `${judge.parent}/`);
  t.deepEqual(names(parent), names(judge.parent));
});

test('SPARSYNC_GUARDS=off lifts the guards, and the flag decides before it', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const off = { env: { SPARSYNC_GUARDS: 'off' } };
  const { parent, sub } = nested(work);
  const ran = await cli(t, user, ['-a', '--delete', `${sub}/`, `${parent}/`], off);
  t.false(names(parent).includes('sub'), ran.stderr);

  const full = dir(work, 'full');
  for (let i = 0; i < 150; i += 1) writeFileSync(`${full}/f${i}`, '');
  const args = ['-a', '--delete', `${dir(work, 'empty')}/`, `${full}/`];
  t.is((await cli(t, user, args)).code, exit.deleteRefused);
  t.is((await cli(t, user, ['--no-allow-mass-delete', ...args], off)).code, exit.deleteRefused, 'the flag wins');
  const misspelt = await cli(t, user, args, { env: { SPARSYNC_GUARDS: 'of' } });
  t.is(misspelt.code, exit.usage);
  t.regex(misspelt.stderr, /SPARSYNC_GUARDS must be on or off/);
  t.is((await cli(t, user, args, off)).code, 0);
  t.deepEqual(names(full), []);
});

judged('a source that is wholly empty empties nothing of ten entries, over the network too', async (t) => {
  const { work, served, url, client: user } = await setup(t);
  const empty = dir(work, 'empty');
  for (const [count, refuses] of [
    [9, false],
    [10, true],
  ] as const) {
    for (const [top, place] of [
      [dir(work, `local${count}`), `${work}/local${count}/`],
      [dir(served, `tree${count}`), url(`tree${count}`)],
    ] as const) {
      for (let i = 0; i < count; i += 1) writeFileSync(`${top}/f${i}`, '');
      const ran = await cli(t, user, ['-a', '--delete', `${empty}/`, place]);
      t.is(ran.code, refuses ? exit.deleteRefused : 0, ran.stderr);
      if (!refuses) continue;
      t.regex(ran.stderr, /the source is empty while the destination holds 10 entries there\. Is it mounted\? Nothing/);
      t.is(names(top).length, 10);
      t.is((await cli(t, user, ['-a', '--delete', '--allow-mass-delete', `${empty}/`, place])).code, 0);
      assertEqual(t, empty, top, { wholeSeconds: true });
    }
  }
});
