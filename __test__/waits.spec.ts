// What waits for another end waits no longer than it was told, and says so.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

import test from 'ava';
import type { ExecutionContext } from 'ava';

import { ConnectionError, connect, explain, joinViaSsh, list, stopServer } from '../dist/index.js';
import { cli, exit, startCli } from './helpers/cli.js';
import { start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { isAlive, stubShell } from './helpers/remote.js';
import { startServer, type TestServer } from './helpers/server.js';
import { accessOf, failure, setup } from './helpers/setup.js';
import { hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

/** Stops a server, with all of its threads. */
async function stopped({ pid, kill }: Pick<TestServer, 'pid' | 'kill'>): Promise<void> {
  kill('SIGSTOP');
  const isStopped = (thread: string): boolean =>
    /^State:\s+T/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1'));
  await until('it to stand still', () => readdirSync(`/proc/${pid}/task`).every(isStopped));
}

test('a question to a server that says nothing ends when it was told to', async (t) => {
  const { server, client: user, url, work } = await setup(t);
  const access = accessOf(user, server);
  await using connection = await connect(url(), access);
  t.is((await connection.list()).length, 0);
  await using other = await connect(url(), access);
  await stopped(server);
  t.teardown(() => server.kill('SIGCONT'));
  for (const asked of [connection.list('', { timeoutMs: 200 }), other.stat('x', { timeoutMs: 200 })]) {
    const late = await failure(t, asked, ConnectionError);
    t.is(late.code, 'ERR_SPARSYNC_TIMEOUT');
    t.regex(late.message, /has not answered for 0\.2 s/);
    t.true(late.retryable);
  }
  // Who connects is not answered either.
  const early = { ...access, connectTimeoutMs: 300 };
  t.is((await failure(t, list(url(), early), ConnectionError)).details['phase'], 'connect');
  t.is(
    (await failure(t, explain(dir(work, 'source'), url('x'), 'a', early), ConnectionError)).code,
    'ERR_SPARSYNC_TIMEOUT',
  );
  server.kill('SIGCONT');
  t.is((await connection.list()).length, 0, 'it connects anew');
});

test('an end that begins a session and then says nothing was not connected to in time', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { shell, env } = stubShell(work);
  // The greeting comes through, and nothing behind it.
  const rsh = `${work}/mute`;
  writeFileSync(rsh, `#!/bin/sh\n'${shell}' "$@" | head -c 8\nexec sleep 1000\n`, { mode: 0o755 });
  const mute = await cli(t, user, ['list', '--contimeout=1', '-e', rsh, `box:${work}`], { env });
  t.is(mute.code, exit.connectTimeout, mute.stderr);
  t.regex(mute.stderr, /has not answered for 1 s/);
});

(hasStrace ? test : test.skip)(
  "a server's file system that hangs holds a question for --timeout (needs strace)",
  async (t) => {
    const work = workDir(t);
    const [served, user] = [dir(work, 'served'), client(work)];
    const slow = ['-qq', '-D', '-e', 'trace=getdents64', '-e', 'inject=getdents64:delay_enter=4s'];
    const under = straced('/dev/null', slow);
    const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], under });
    const listed = await cli(t, user, ['list', '--timeout', '1', server.url('root')]);
    t.is(listed.code, exit.timeout, listed.stderr);
    t.regex(listed.stderr, /has not answered for 1 s/);
    t.is((await cli(t, user, ['list', '--timeout=0', server.url('root')])).code, exit.ok, 'no limit');
    t.is((await cli(t, user, ['list', '--timeout=x', server.url('root')])).code, exit.usage);
  },
);

test('a command that leads to no invitation is ended by --contimeout', async (t) => {
  const user = client(workDir(t));
  const hangs = ['join', '--via-ssh', 'nas.example', '-e', 'sh -c "echo started >&2; exec sleep 1000"', '--root', 'r'];
  const ended = await cli(t, user, [...hangs, '--contimeout', '1']);
  t.is(ended.code, exit.connectTimeout, ended.stderr);
  t.regex(ended.stderr, /started\n.*printed no invitation within 1 seconds/s);
  // Somebody may be typing a password: what a file says of all connections ends nothing there.
  writeFileSync(`${user.configDir}/waits.toml`, '[connection]\ncontimeout = 1\n');
  const asks = ['-e', 'sh -c "sleep 1.5; exit 3"', '--root', 'r', '--config', `${user.configDir}/waits.toml`];
  const asked = await cli(t, user, ['join', '--via-ssh', 'nas.example', ...asks]);
  t.regex(asked.stderr, /the remote command ended with exit code 3/);
  // What the command started outlives it, and holds its output for as long as that: not long, or the tests wait for it.
  const rsh = ['sh', '-c', 'sleep 10 & wait'];
  const late = await failure(t, joinViaSsh('nas.example', { rsh, connectTimeoutMs: 200 }), ConnectionError);
  t.deepEqual([late.code, late.details['phase']], ['ERR_SPARSYNC_TIMEOUT', 'connect']);
});

/** A push that takes long, to a server that logs who connects. */
async function slowPush(t: ExecutionContext, ...args: readonly string[]) {
  const work = workDir(t);
  const [served, user] = [dir(work, 'served'), client(work)];
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [user], args: ['-v', ...args] });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, Buffer.alloc(4 << 20, 'a'));
  const push = async (...words: readonly string[]) => {
    const slow = ['-rt', '--bwlimit=20', '--timeout=0'];
    const run = startCli(t, user, [...slow, ...words, `${source}/`, server.url('root')]);
    await until('the push', () => /debug connected/.test(server.stderr()) || run.over());
    return run;
  };
  return { server, user, push };
}

test('a server takes a client for gone after as much silence as it was told', async (t) => {
  const { server, push } = await slowPush(t, '--idle-timeout', '3');
  const silent = await push();
  silent.kill('SIGSTOP');
  await until('the server to miss it', () => /code=ERR_SPARSYNC_TIMEOUT/.test(server.stderr()));
  silent.kill('SIGCONT');
  t.not((await silent.ended).code, exit.ok);
});

test('a client takes a server for gone after as much silence as it was told', async (t) => {
  const { server, user, push } = await slowPush(t);
  const left = await push('--idle-timeout=3');
  await stopped(server);
  t.teardown(() => server.kill('SIGCONT'));
  const ended = await left.ended;
  t.is(ended.code, exit.timeout, ended.stderr);
  t.regex(ended.stderr, /nothing was heard from the peer|the peer was silent/);
  for (const bad of ['0', '3601', 'x'])
    t.is((await cli(t, user, ['list', '--idle-timeout', bad, server.url()])).code, exit.usage, bad);
});

test('a server that is given time to end is waited for as long as one says', async (t) => {
  const work = workDir(t);
  const [admin, user] = [client(work, 'admin'), client(work, 'user')];
  const served = dir(work, 'served');
  const pidFile = `${work}/server.pid`;
  const root = ['--root', `root=${served}`, '--listen', '127.0.0.1:0', '--pid-file', pidFile, '--grace', '600'];
  const server = (...words: readonly string[]) => cli(t, admin, ['server', ...words]);
  const started = await server('start', ...root, '--allow', `user ${user.publicKey}`);
  t.is(started.code, exit.ok, started.stderr);
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  const [, address = '', key = ''] = /on (\S+)\. {2}Server key (\S+)\./.exec(started.stdout) ?? [];
  mkdirSync(`${work}/source`);
  writeFileSync(`${work}/source/a`, Buffer.alloc(4 << 20, 'a'));
  const push = ['-rt', '--compress=never', '--bwlimit=20', '--pin', key, `${work}/source/`, urlAt(address, 'root', '')];
  const slow = start(t, process.execPath, [program, ...push], { env: user.env });
  await until('content', () => readdirSync(served).length > 0 || slow.over());
  t.false(slow.over(), slow.stderr());
  const late = await server('stop', '--pid-file', pidFile, '--stop-timeout', '1');
  t.is(late.code, exit.timeout, late.stderr);
  t.regex(late.stderr, /has not ended yet/);
  t.true(isAlive(pid), 'it has its grace');
  t.is((await server('status', '--pid-file', pidFile, '--stop-timeout', '1')).code, exit.usage);
  t.is((await server('stop', '--pid-file', pidFile, '--stop-timeout', '3601')).code, exit.usage);
  t.true(isAlive(pid));
  // A second signal takes the grace away.
  t.is((await stopServer({ pidFile, stopTimeoutMs: 60_000 }))?.pid, pid);
  t.false(isAlive(pid));
});
