// A root whose path leads elsewhere than at the server's start: nothing is served until the operator, who is told, reloads.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { until } from './helpers/process.js';
import { canMount, mountTmpfs, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

test('a root that was replaced or is gone is refused and told, and a reload takes what is there', async (t) => {
  const at = `127.0.0.1:${await freePort()}`;
  const { client: user, server, work, served } = await setup(t, { args: ['--metrics', at] });
  const source = dir(work, 'source');
  const health = async (expected: RegExp): Promise<void> => {
    let told = '';
    const look = async (): Promise<void> => {
      const answer = await fetch(`http://${at}/healthz`);
      told = `${answer.status} ${await answer.text()}`;
    };
    await until(String(expected), () => {
      void look().catch(() => undefined);
      return expected.test(told);
    });
  };
  writeFileSync(`${source}/f`, 'content');
  const push = ['-r', `${source}/`, server.url('root')];
  renameSync(served, `${served}.old`);
  mkdirSync(served);
  const moved = await cli(t, user, push);
  t.is(moved.code, exit.connect, moved.stderr);
  t.regex(
    moved.stderr,
    /the path of the root "root", .* leads to another directory than it did; a reload of the server/,
  );
  t.is((await cli(t, user, ['list', server.url('root')])).code, exit.connect);
  t.deepEqual([readdirSync(served), readdirSync(`${served}.old`)], [[], []]);
  await health(/^503 .* leads to another directory/);
  server.kill('SIGHUP');
  await health(/^200/);
  await quietly(t, user, push);
  t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
  t.regex((await cli(t, user, ['list', server.url('root')])).stdout, /f/);

  rmSync(served, { recursive: true });
  const refused = await cli(t, user, push);
  t.is(refused.code, exit.connect, refused.stderr);
  t.regex(refused.stderr, /the server cannot use its root now: the root "root" cannot be opened: .*No such file/);
  t.false(refused.stderr.includes(served), 'no path of the server is told');
  await health(/^503 .*the root "root" cannot be opened/);
  mkdirSync(served);
  server.kill('SIGHUP');
  await health(/^200/);
  await quietly(t, user, push);
  t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
});

test('versions go where their directory is now', async (t) => {
  const { client: user, server, work, served } = await setup(t, { args: ['--versions'] });
  const source = dir(work, 'source');
  writeFileSync(`${source}/f`, 'one');
  await quietly(t, user, ['-r', `${source}/`, server.url('root')]);
  rmSync(`${served}.versions`, { recursive: true });
  writeFileSync(`${source}/f`, 'another');
  await quietly(t, user, ['-r', `${source}/`, server.url('root')]);
  const kept = spawnSync('grep', ['-rl', 'one', `${served}.versions`], { encoding: 'utf8' });
  t.regex(kept.stdout, /\/f\n$/, kept.stderr);
});

judgedWhere(canMount)(
  'what is mounted over a root is served after a reload, and nothing once that is gone: the disk below is not filled',
  async (t) => {
    const { client: user, server, work, served } = await setup(t);
    const source = dir(work, 'source');
    writeFileSync(`${source}/f`, 'content');
    const push = ['-r', `${source}/`, server.url('root')];
    const refused = async (why: RegExp): Promise<void> => {
      const ran = await cli(t, user, push);
      t.is(ran.code, exit.connect, ran.stderr);
      t.regex(ran.stderr, why);
    };
    t.true(mountTmpfs(t, served, 'size=1m'));
    await refused(/leads to another directory/);
    server.kill('SIGHUP');
    await t.notThrowsAsync(async () => {
      while ((await cli(t, user, push)).code === exit.connect);
    });
    t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
    t.is(spawnSync('umount', ['--lazy', served]).status, 0);
    t.false(existsSync(`${served}/f`));
    await refused(/leads to another directory/);
    server.kill('SIGHUP');
    await until('the reload', () => / reload/.test(server.stderr()));
    await refused(/leads to another directory|the file system of the root "root" is no longer mounted/);
    t.false(existsSync(`${served}/f`));
  },
);
