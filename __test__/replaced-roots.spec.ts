// A root whose path leads elsewhere than at the server's start: what is there now is served, or nothing, and the operator is told.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import test from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { until } from './helpers/process.js';
import { canMount, mountTmpfs, setup } from './helpers/setup.js';
import { dir } from './helpers/temp.js';

test('a root that was replaced is served as it is now, and one that is gone is refused until it is back', async (t) => {
  const at = `127.0.0.1:${await freePort()}`;
  const { client: user, server, work, served } = await setup(t, { args: ['--metrics', at] });
  const source = dir(work, 'source');
  const health = async (): Promise<string> => {
    const answer = await fetch(`http://${at}/healthz`);
    return `${answer.status} ${await answer.text()}`;
  };
  writeFileSync(`${source}/f`, 'content');
  const push = ['-r', `${source}/`, server.url('root')];
  renameSync(served, `${served}.old`);
  mkdirSync(served);
  await quietly(t, user, push);
  t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
  t.false(existsSync(`${served}.old/f`));
  t.regex((await cli(t, user, ['list', server.url('root')])).stdout, /f/);

  rmSync(served, { recursive: true });
  const refused = await cli(t, user, push);
  t.is(refused.code, exit.connect, refused.stderr);
  t.regex(refused.stderr, /the server cannot use its root now: the root "root" cannot be opened: .*No such file/);
  t.false(refused.stderr.includes(served), 'no path of the server is told');
  let told = '';
  await until('it to be told', () => {
    void health().then((answer) => (told = answer));
    return told.startsWith('503');
  });
  t.regex(told, /the root "root" cannot be opened/);
  mkdirSync(served);
  await quietly(t, user, push);
  t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
  t.is(await health(), '200 ok\n');
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
  'what is mounted over a root is served, and nothing once that is gone: the disk below is not filled',
  async (t) => {
    const { client: user, server, work, served } = await setup(t);
    const source = dir(work, 'source');
    writeFileSync(`${source}/f`, 'content');
    const push = ['-r', `${source}/`, server.url('root')];
    t.true(mountTmpfs(t, served, 'size=1m'));
    await quietly(t, user, push);
    t.is(readFileSync(`${served}/f`, 'utf8'), 'content');
    t.is(spawnSync('umount', ['--lazy', served]).status, 0);
    t.false(existsSync(`${served}/f`));
    const refused = await cli(t, user, push);
    t.is(refused.code, exit.connect, refused.stderr);
    t.regex(refused.stderr, /the file system of the root "root" is no longer mounted/);
    t.false(existsSync(`${served}/f`));
  },
);
