// A server in the background: known by its pid file, and never taken for another process.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { cli, exit, quietly } from './helpers/cli.js';
import { type Ended, start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { isAlive } from './helpers/remote.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

function desk(t: ExecutionContext) {
  const work = workDir(t);
  const [admin, user, served] = [client(work, 'admin'), client(work, 'user'), dir(work, 'served')];
  const pidFile = `${work}/admin.state/server.pid`;
  const server = (...args: readonly string[]): Promise<Ended> => cli(t, admin, ['server', ...args]);
  const begin = (...args: readonly string[]): Promise<Ended> => {
    const allow = `user ${user.publicKey} allow=read,write,delete,owner,special`;
    return server('start', '--root', `root=${served}`, '--listen', '127.0.0.1:0', '--allow', allow, ...args);
  };
  const pid = (): number => Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  // A test that fails leaves none behind.
  t.teardown(() => {
    const env = { ...process.env, ...admin.env };
    spawnSync(process.execPath, [program, 'server', 'stop'], { env });
  });
  return { work, admin, user, served, pidFile, server, begin, pid };
}

test('a server starts in the background, says where it is, serves, and stops', async (t) => {
  const { work, admin, user, served, pidFile, server, begin, pid } = desk(t);
  t.is((await server('status')).code, exit.usage);
  const started = await begin();
  t.is(started.code, exit.ok, started.stderr);
  const [, address = '', key = ''] =
    /^serving root on (\S+)\. {2}Server key (\S+)\. {2}Process \d+, since \S+, log \S+\.$/m.exec(started.stdout) ?? [];
  t.is(key, admin.publicKey);
  const number = pid();
  const status = await server('status', '--json');
  t.is(status.code, exit.ok);
  const { since, ...told } = JSON.parse(status.stdout) as Record<string, unknown>;
  t.true(Date.parse(String(since)) > 0);
  t.deepEqual(told, {
    type: 'server',
    schema: 1,
    running: true,
    pid: number,
    address,
    publicKey: key,
    roots: ['root'],
    logFile: `${work}/admin.state/server.log`,
    pidFile,
  });
  user.trust(Number(address.split(':')[1]), key);
  mkdirSync(`${work}/source`);
  writeFileSync(`${work}/source/a`, 'a');
  await quietly(t, user, ['-a', `${work}/source/`, urlAt(address, 'root')]);
  t.true(existsSync(`${served}/a`));
  const again = await begin();
  t.is(again.code, exit.usage);
  t.true(again.stderr.includes(`a server is already running: process ${number}`), again.stderr);
  t.is(pid(), number);
  const stopped = await server('stop');
  t.is(stopped.code, exit.ok, stopped.stderr);
  t.false(isAlive(number));
  t.false(existsSync(pidFile));
  t.is((await server('stop')).code, exit.ok, 'what does not run is stopped');
  const log = readFileSync(`${work}/admin.state/server.log`, 'utf8');
  for (const event of [' listening ', ' session ', ' closing signal=SIGTERM', ' closed'])
    t.true(log.includes(event), log);
});

test('a server that does not start says why, as it does in the foreground', async (t) => {
  const { work, pidFile, server } = desk(t);
  const args = ['--root', `root=${work}/nowhere`, '--listen', '127.0.0.1:0', '--anonymous'];
  const ended = await server('start', ...args);
  t.is(ended.code, exit.usage, ended.stderr);
  t.regex(ended.stderr, /error\[ERR_SPARSYNC_\w+\].*nowhere/);
  t.false(existsSync(pidFile));
  t.is((await server('start', '--root', 'x')).code, exit.usage);
  // Nobody writes to it, so that it is read for ever.
  spawnSync('mkfifo', [`${work}/fifo`]);
  const forever = ['--root', `root=${work}`, '--listen', '127.0.0.1:0', '--client-ca', `${work}/fifo`];
  for (const timeout of [['--start-timeout=1'], ['--start-timeout', '1']]) {
    const late = await server('start', ...forever, ...timeout);
    t.is(late.code, exit.timeout, late.stderr);
    t.regex(late.stderr, /did not listen within 1 seconds/);
    t.false(existsSync(pidFile));
  }
  const isLeft = (pid: string): boolean => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`${work}/fifo`);
    } catch {
      return false;
    }
  };
  await until('it to be gone', () => !readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && isLeft(pid)));
  t.is((await server('start', '--print-unit')).code, exit.usage);
});

test('a process that has the number of a server that was is left alone', async (t) => {
  const { pidFile, server, begin, pid } = desk(t);
  t.is((await begin()).code, exit.ok);
  const first = pid();
  const record = readFileSync(pidFile, 'utf8').split('\n')[1] ?? '';
  process.kill(first, 'SIGKILL');
  await until('its end', () => !isAlive(first));
  t.is((await server('status')).code, exit.usage, 'it was killed');
  const stranger = start(t, 'sleep', ['1000']);
  for (const text of [
    `${stranger.pid}\n${record.replace(`"pid":${first}`, `"pid":${stranger.pid}`)}\n`,
    `${stranger.pid}\n`,
    `${stranger.pid}\n{"pid":${stranger.pid}}\n`,
    `-1\n{"pid":-1,"start":""}\n`,
    'x',
  ]) {
    writeFileSync(pidFile, text);
    t.is((await server('status')).code, exit.usage, text);
    t.is((await server('stop')).code, exit.ok, text);
  }
  writeFileSync(pidFile, '1\n');
  chmodSync(pidFile, 0o664);
  t.is((await server('stop')).code, exit.usage, 'others may write it');
  rmSync(pidFile);
  symlinkSync(`${pidFile}.other`, pidFile);
  t.is((await server('stop')).code, exit.io, 'it is a symlink');
  rmSync(pidFile);
  t.false(stranger.over());
  const started = await begin();
  t.is(started.code, exit.ok, started.stderr);
  t.not(pid(), first);
  t.false(stranger.over());
});

(isRoot ? test : test.skip)('a pid file of another user names no process of this one', async (t) => {
  const { pidFile, server, begin, pid } = desk(t);
  t.is((await begin()).code, exit.ok);
  const number = pid();
  chownSync(pidFile, 65_534, 65_534);
  const refused = await server('stop');
  t.is(refused.code, exit.usage);
  t.regex(refused.stderr, /another user owns it/);
  t.true(isAlive(number));
  chownSync(pidFile, 0, 0);
  // A file of root that names a process of somebody else.
  const other = start(t, 'setpriv', ['--reuid=65534', '--clear-groups', 'sleep', '1000']);
  const stat = (): string => readFileSync(`/proc/${other.pid}/stat`, 'latin1');
  await until('sleep', () => stat().includes('(sleep)'));
  const text = readFileSync(pidFile, 'utf8');
  const began =
    stat()
      .slice(stat().lastIndexOf(')') + 2)
      .split(' ')[19] ?? '';
  const record = JSON.parse(text.split('\n')[1] ?? '') as { start: string };
  const itsStart = record.start.replace(/\.\d+$/, `.${began}`);
  writeFileSync(pidFile, `${other.pid}\n${JSON.stringify({ ...record, pid: other.pid, start: itsStart })}\n`);
  t.is((await server('status')).code, exit.usage);
  t.is((await server('stop')).code, exit.ok);
  t.false(other.over());
  writeFileSync(pidFile, text);
});

test('a reload is told in the pid file', async (t) => {
  const { work, pidFile, begin, pid } = desk(t);
  const settings = `${work}/admin.config/sparsync.toml`;
  writeFileSync(settings, '[server]\ngrace = 3\n');
  t.is((await begin()).code, exit.ok);
  t.true(readFileSync(pidFile, 'utf8').includes('"graceMs":3000'));
  writeFileSync(settings, '[server]\ngrace = 4\n');
  process.kill(pid(), 'SIGHUP');
  await until('the reload', () => readFileSync(pidFile, 'utf8').includes('"graceMs":4000'));
});

test('of servers that start at once with one file one runs', async (t) => {
  const { pidFile, begin, server, pid } = desk(t);
  mkdirSync(pidFile.replace(/\/[^/]*$/, ''), { recursive: true });
  writeFileSync(pidFile, '1\nstale\n');
  const ended = await Promise.all([begin(), begin(), begin()]);
  const codes = ended.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b));
  t.deepEqual(codes, [exit.ok, exit.usage, exit.usage], ended.map(({ stderr }) => stderr).join('\n'));
  const status = JSON.parse((await server('status', '--json')).stdout) as { pid: number };
  t.is(status.pid, pid());
});
