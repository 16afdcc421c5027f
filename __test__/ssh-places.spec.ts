// Which places paths, users, hosts and commands of ssh and its like mean. ssh.spec.ts has what runs over them.
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import test from 'ava';

import { connect, ConfigError, sync } from '../dist/index.js';
import { cli, exit, quietly } from './helpers/cli.js';
import { assertEqual } from './helpers/judge.js';
import { client } from './helpers/product.js';
import { remote, stubShell } from './helpers/remote.js';
import { failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { names } from './helpers/walk.js';

test('what begins with ~ is in the home folder of the user, wherever the command begins', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const [home, began] = [dir(work, 'own'), dir(work, 'began')];
  dir(began, 'base');
  const source = dir(work, 'source');
  writeFileSync(`${source}/file`, 'x');
  const command = ['env', '-C', began, `HOME=${home}`];
  writeFileSync(`${work}/enter`, `#!/bin/sh\nshift 2\nexec ${command.join(' ')} '${remote}' "$@"\n`, { mode: 0o755 });
  await quietly(t, user, ['-a', '-e', `${work}/enter`, `${source}/`, 'box:~/cli/']);
  assertEqual(t, source, `${home}/cli`);
  await sync(source, { command, path: '~/api' }, { remotePath: remote });
  assertEqual(t, source, `${home}/api`);
  // A kept connection takes paths as a shell there would.
  await using connection = await connect({ command, path: 'base' }, { remotePath: remote });
  await connection.push(source, 'below');
  await connection.push(source, `${work}/whole`);
  await connection.push(source, '~/kept');
  for (const path of [`${began}/base/below`, `${work}/whole`, `${home}/kept`]) assertEqual(t, source, path);
  t.is((await connection.stat('~/kept/file')).size, 1);
  t.deepEqual(
    (await connection.list(`${work}/whole`)).map(({ name }) => name),
    ['file'],
  );
  await failure(t, connection.push(source, '~other/x'), ConfigError);
  // Without HOME the system's data base of users says it, and then nobody does.
  const bare = ['env', '-C', began, '-u', 'HOME'];
  const { homedir } = userInfo();
  const plain = await connect({ command: bare, path: '' }, { remotePath: remote });
  t.is((await plain.stat('~')).mtimeMs, (await plain.stat(homedir)).mtimeMs);
  await plain.close();
  const none = await failure(
    t,
    sync(source, { command: [...bare, 'HOME=none'], path: '~/x' }, { remotePath: remote }),
    ConfigError,
  );
  t.regex(none.message, /~ means nothing there/);
  t.deepEqual(names(began), ['base', 'base/below', 'base/below/file']);
});

test('a list on the host is named as in rsync, by its host', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = dir(work, 'source');
  for (const name of ['one', 'two']) writeFileSync(`${source}/${name}`, name);
  writeFileSync(`${dir(stub.home, 'lists')}/list`, 'one\n');
  for (const [list, place] of [
    [':lists/list', 'box:'],
    ['box:lists/list', 'box:'],
    [`box:${stub.home}/lists/list`, 'me@box:'],
    ['me@box:lists/list', 'me@box:'],
    ['ssh://box/~/lists/list', 'box:'],
  ] as const) {
    await quietly(t, user, ['-a', `--files-from=${list}`, `${source}/`, `${place}there/`], { env: stub.env });
    t.deepEqual(names(`${stub.home}/there`), ['one'], list);
    rmSync(`${stub.home}/there`, { recursive: true });
  }
  for (const list of ['other:lists/list', 'you@box:lists/list', 'ssh://other/~/lists/list']) {
    const ran = await cli(t, user, ['-a', `--files-from=${list}`, `${source}/`, 'me@box:there/'], { env: stub.env });
    t.is(ran.code, exit.usage, ran.stderr);
    t.regex(ran.stderr, /names a different server than SRC and DEST/);
  }
});

test('users as ssh takes them are passed on as they are', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = dir(work, 'source');
  for (const name of ['DOM\\me', 'me#target@bastion', 'jürgen', 'me;x']) {
    await quietly(t, user, ['-a', `${source}/`, `${name}@box:there/`], { env: stub.env });
    t.is(stub.calls().at(-1), `-l ${name} box sparsync-remote --stdio`);
  }
});

test('what ends in ssh is ssh, whatever stands in front of it', async (t) => {
  const work = workDir(t);
  const [user, stub] = [client(work), stubShell(work)];
  const source = dir(work, 'source');
  symlinkSync(stub.shell, `${work}/ssh`);
  const place = `ssh://box:2222${work}/there/`;
  const run = (...args: string[]) => cli(t, user, ['-a', '--rsync-path=sparsync-remote', ...args, `${source}/`, place]);
  // The stub takes the port for the host, and the host for the program.
  await run('-e', `env X=1 ${work}/ssh`);
  t.deepEqual(stub.calls(), ['-p 2222 box sparsync-remote --stdio']);
  const other = await run('-e', `env X=1 ${stub.shell}`);
  t.is(other.code, exit.usage);
  t.regex(other.stderr, /a port works with ssh only/);
  const mixed = await cli(t, user, ['-a', 'box:~/a', ':b', `${work}/all/`], { env: stub.env });
  t.is(mixed.code, exit.usage);
  t.regex(mixed.stderr, /must begin alike there/);
});
