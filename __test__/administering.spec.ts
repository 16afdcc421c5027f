// What an administrator does by a program as by the command: a server in the background, what it offers, whom it trusts.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

import test from 'ava';

import {
  AccessError,
  ConfigError,
  connect,
  ConnectionError,
  HostKeyError,
  list,
  NotFoundError,
  pinKey,
  pinnedServers,
  serverStatus,
  startServer,
  stopServer,
} from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { client } from './helpers/product.js';
import { isAlive } from './helpers/remote.js';
import { startServer as startTestServer } from './helpers/server.js';
import { accessOf, failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

test('a program starts a server that outlives it, finds it, and stops it', async (t) => {
  const work = workDir(t);
  const [served, user] = [dir(work, 'served'), client(work)];
  const pidFile = `${work}/state/server.pid`;
  t.is(await serverStatus({ pidFile }), undefined);
  t.is(await stopServer({ pidFile }), undefined);
  const flags = ['--root', `root=${served}`, '--listen', '127.0.0.1:0', '--identity', `${work}/server.pem`];
  const allow = ['--allow', `user ${user.publicKey} root=root`];
  t.teardown(() => stopServer({ pidFile }));
  const began = Date.now();
  const started = await startServer([...flags, ...allow], { pidFile, logFile: `${work}/log` });
  t.like(started, { roots: ['root'], pidFile, logFile: `${work}/log` });
  t.true(started.since.getTime() >= began - 1000);
  t.deepEqual(await serverStatus({ pidFile }), started);
  const access = { identity: { keyPath: user.keyPath }, trust: { pin: started.publicKey } };
  const connection = await connect(`sparsync://${started.address}`, access);
  t.is((await connection.list()).length, 1);
  await connection.close();
  const again = await failure(t, startServer([...flags, ...allow], { pidFile }), ConfigError);
  t.like(again.details, { pid: started.pid, address: started.address });
  t.deepEqual(await stopServer({ pidFile }), started);
  t.false(isAlive(started.pid));
  t.false(existsSync(pidFile));
  t.regex(readFileSync(`${work}/log`, 'utf8'), / closed/);
  const bad = await failure(t, startServer(['--root', `root=${work}/none`, ...allow], { pidFile }), ConfigError);
  t.is(bad.details['exitCode'], exit.usage);
  t.regex(bad.message, /the server has ended: .*none/s);
  spawnSync('mkfifo', [`${work}/fifo`]);
  const never = startServer([...flags, '--client-ca', `${work}/fifo`], { pidFile, startTimeoutMs: 300 });
  t.is((await failure(t, never, ConnectionError)).code, 'ERR_SPARSYNC_TIMEOUT');
});

test('what a key may see of a server is listed, by the command and by a program', async (t) => {
  const work = workDir(t);
  const [served, user] = [dir(work, 'served'), client(work)];
  dir(served, 'in/folder');
  writeFileSync(`${served}/in/file`, '12345');
  writeFileSync(Buffer.from(`${served}/in/\xff`, 'latin1'), '');
  const allow = [`u ${user.publicKey} root=root/in allow=read`];
  const server = await startTestServer(t, { home: work, roots: { root: served }, allow });
  const access = accessOf(user, server);
  t.deepEqual(
    (await list(server.url(), access)).map(({ name, kind }) => [name, kind]),
    [['root', 'directory']],
  );
  const entries = await list(server.url('root', 'in'), access);
  t.deepEqual(
    entries.map(({ kind, size }) => [kind, size]),
    [
      ['file', 5],
      ['directory', entries[1]?.size],
      ['file', 0],
    ],
  );
  await failure(t, list(server.url('root', 'out'), access), AccessError);
  await failure(t, list(server.url('root', 'in/none'), access), NotFoundError);
  await failure(t, list(server.url('root'), { identity: access.identity }), HostKeyError);

  const show = (...words: readonly string[]) => cli(t, user, ['list', ...words]);
  t.is((await show(server.url())).code, exit.hostKey);
  user.trust(server.port, server.pin);
  t.is((await show(server.url())).stdout, 'root\n');
  const shown = await show(server.url('root', 'in'));
  t.regex(shown.stdout, /^-rw\S+ +5 \S+ \S+ file\ndrwx\S+ .* folder\n-rw.* \\#377\n$/);
  t.regex((await show(server.url('root', 'in/file'))).stdout, /^-rw\S+ +5 \S+ \S+ file\n$/);
  const records = (await show('--json', server.url('root', 'in'))).stdout.trim().split('\n');
  t.like(JSON.parse(records[2] ?? ''), { type: 'entry', schema: 1, kind: 'file', nameBase64: '/w==' });
  t.is((await show(server.url('root', 'out'))).code, exit.unauthorized);
  for (const words of [[], [work], [server.url(), server.url()]]) t.is((await show(...words)).code, exit.usage);
});

test('the servers that are pinned are those of the file, whatever stands beside them', async (t) => {
  const work = workDir(t);
  const knownHosts = `${work}/known_hosts`;
  const keys = ['one', 'two'].map((name) => client(work, name).publicKey);
  t.deepEqual(await pinnedServers({ knownHosts }), []);
  await pinKey('NAS.example', keys[0] ?? '', { knownHosts });
  await pinKey('[::1]:7', keys[1] ?? '', { knownHosts });
  writeFileSync(knownHosts, `# mine\n${readFileSync(knownHosts, 'utf8')}\n`);
  t.deepEqual(await pinnedServers({ knownHosts }), [
    { authority: 'nas.example:28792', key: keys[0] },
    { authority: '[::1]:7', key: keys[1] },
  ]);
  writeFileSync(knownHosts, 'nas.example:1 nonsense\n');
  await failure(t, pinnedServers({ knownHosts }), ConfigError);
});
