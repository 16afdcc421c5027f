// How a server's key is changed without an alarm at its clients, and what is tried against it.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import {
  ConfigError,
  HostKeyError,
  connect,
  identity,
  issueCredential,
  rotateKey,
  serve,
  serverKey,
} from '../dist/index.js';
import type { ConnectOptions, NextServerKey, Server, ServerEvent } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import type { Client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { failure } from './helpers/setup.js';
import { hasStrace, killedAt } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

interface Site {
  readonly work: string;
  readonly keyPath: string;
  readonly server: Server;
  readonly user: Client;
  readonly pins: string;
  readonly events: ServerEvent[];
  readonly at: string;
}

/** A server in this process, and a client that has pinned its key. */
async function site(t: ExecutionContext, keyName = 'key.pem'): Promise<Site> {
  const work = workDir(t);
  const user = client(work);
  const keyPath = `${dir(work, 'server.config')}/${keyName}`;
  const events: ServerEvent[] = [];
  const server = await served(t, work, keyPath, {
    log: (event) => events.push(event),
    allow: [`me ${user.publicKey}`],
  });
  user.trust(server.port, server.publicKey);
  const pins = `${user.configDir}/known_hosts`;
  return { work, keyPath, server, user, pins, events, at: `127.0.0.1:${server.port}` };
}

async function served(
  t: ExecutionContext,
  work: string,
  keyPath: string,
  options: Partial<Parameters<typeof serve>[0]>,
): Promise<Server> {
  const server = await serve({
    roots: { root: dir(work, 'served') },
    listen: '127.0.0.1:0',
    identity: { keyPath },
    authorizedKeysPath: `${work}/none`,
    ...options,
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  return server;
}

/** Connects by what is pinned in the file, and says what the server tells of its next key. */
async function visit(
  { server, user, pins }: Site,
  { trust, ...options }: ConnectOptions = {},
): Promise<{ key: string; next: NextServerKey | undefined }> {
  const connection = await connect(server.url('root'), {
    identity: { keyPath: user.keyPath },
    trust: { knownHosts: pins, ...trust },
    ...options,
  });
  const told = { key: connection.serverKey, next: connection.nextKey };
  await connection.close();
  return told;
}

for (const transport of ['quic', 'tcp'] as const) {
  test(`a client learns the next key over ${transport}, and goes on with it without a word`, async (t) => {
    const here = await site(t);
    const { server, keyPath, pins, at, events } = here;
    const old = server.publicKey;
    t.deepEqual(await visit(here, { transport }), { key: old, next: undefined });
    const { next } = await rotateKey({ keyPath });
    const key = next?.publicKey ?? '';
    t.regex(key, /^ed25519:/);
    server.reload();
    t.is(server.publicKey, old);
    const told = await visit(here, { transport });
    t.like(told, { key: old, next: { key, recorded: true } });
    t.is(told.next?.from.getTime(), Math.floor((next?.from.getTime() ?? 0) / 1000) * 1000);
    t.is(readFileSync(pins, 'utf8'), `${at} ${old}\n${at} ${key} after=${old}\n`);
    await visit(here, { transport });
    await rotateKey({ keyPath, now: true });
    server.reload();
    t.is(server.publicKey, key);
    t.deepEqual(await visit(here, { transport }), { key, next: undefined });
    t.is(readFileSync(pins, 'utf8'), `${at} ${key}\n`);
    t.deepEqual(await serverKey(keyPath), { publicKey: key });
    t.false(existsSync(`${keyPath}.next`));
    server.reload();
    const log = events.length === 0 ? [] : events.filter((event) => event.type === 'server-key');
    t.like(log[0], { publicKey: old, nextKey: key });
    t.like(log.at(-1), { publicKey: key, nextKey: undefined });
  });
}

test('a server that shows another key is believed nothing, and who has not learned is stopped', async (t) => {
  const here = await site(t);
  const { work, keyPath, server, user, pins } = here;
  const before = readFileSync(pins, 'utf8');
  // Somebody in between with a key of his own, which announces one as well.
  const own = `${dir(work, 'other')}/key.pem`;
  await identity(own);
  const { next } = await rotateKey({ keyPath: own });
  const other = await served(t, work, own, { allow: [`me ${user.publicKey}`] });
  user.trust(other.port, server.publicKey);
  for (const transport of ['quic', 'tcp'] as const) {
    const error = await failure(t, visit({ ...here, server: other }, { transport }), HostKeyError);
    t.like(error, { code: 'ERR_SPARSYNC_HOST_KEY_CHANGED', key: other.publicKey });
  }
  t.false(readFileSync(pins, 'utf8').includes(next?.publicKey ?? ''));
  writeFileSync(pins, before);
  const old = server.publicKey;
  await rotateKey({ keyPath });
  await rotateKey({ keyPath, now: true });
  server.reload();
  const stopped = await cli(t, user, ['-a', `${work}/other/`, server.url('root')]);
  t.is(stopped.code, exit.hostKeyChanged);
  t.true(
    [old, server.publicKey].every((each) => stopped.stderr.includes(each)),
    stopped.stderr,
  );
  t.is(readFileSync(pins, 'utf8'), before);
});

test('a key that is taken back is forgotten by clients, and one at a time is to follow', async (t) => {
  const here = await site(t);
  const { server, keyPath, pins } = here;
  const before = readFileSync(pins, 'utf8');
  await failure(t, rotateKey({ keyPath, now: true }), ConfigError);
  await failure(t, rotateKey({ keyPath, cancel: true }), ConfigError);
  await failure(t, rotateKey({ keyPath, now: true, cancel: true }), ConfigError);
  await rotateKey({ keyPath });
  await failure(t, rotateKey({ keyPath }), ConfigError);
  server.reload();
  await visit(here);
  t.not(readFileSync(pins, 'utf8'), before);
  await rotateKey({ keyPath, cancel: true });
  server.reload();
  t.is((await visit(here)).next, undefined);
  t.is(readFileSync(pins, 'utf8'), before);
});

test('a next key that others may read is refused at the start, and changes nothing while the server runs', async (t) => {
  const here = await site(t);
  const { work, server, keyPath, events } = here;
  const old = server.publicKey;
  await rotateKey({ keyPath });
  chmodSync(`${keyPath}.next`, 0o640);
  server.reload();
  t.like(events.at(-1), { type: 'keys' });
  const told = events.filter(({ type }) => type === 'server-key-unusable');
  t.like(told, [{ code: 'ERR_SPARSYNC_CONFIG', errorPath: `${keyPath}.next` }]);
  t.deepEqual(await visit(here), { key: old, next: undefined });
  const error = await failure(t, served(t, work, keyPath, { allow: [], anonymous: true }), ConfigError);
  t.is(error.path, `${keyPath}.next`);
  chmodSync(`${keyPath}.next`, 0o600);
  server.reload();
  t.true((await visit(here)).next?.recorded);
});

test('a pin that was given, and a file that cannot be written, are told in a warning', async (t) => {
  const here = await site(t);
  const { work, server, keyPath, user, at } = here;
  const source = dir(work, 'source');
  const push = (...args: string[]) => cli(t, user, ['-a', ...args, `${source}/`, server.url('root')]);
  const early = await issueCredential('early', at, { authorizedKeysPath: `${work}/none`, keyPath });
  const { next } = await rotateKey({ keyPath });
  const late = await issueCredential('late', at, { authorizedKeysPath: `${work}/none`, keyPath });
  server.reload();
  const pin = server.publicKey;
  t.false((await visit(here, { trust: { pin } })).next?.recorded);
  const key = next?.publicKey ?? '';
  const warned = await push('--pin', pin);
  t.is(warned.code, exit.ok);
  t.true(warned.stderr.includes(`the server has the key ${key}`) && warned.stderr.includes('--pin'), warned.stderr);
  t.is((await push('--pin', pin, '-q')).stderr, '');
  // There is no room for the name of a temporary file beside it.
  const long = `${work}/${'k'.repeat(250)}`;
  writeFileSync(long, `${at} ${pin}\n`);
  const kept = await push('--known-hosts', long);
  t.is(kept.code, exit.ok);
  t.true(kept.stderr.includes('could not be recorded') && kept.stderr.includes(key), kept.stderr);
  t.is(readFileSync(long, 'utf8'), `${at} ${pin}\n`);

  await rotateKey({ keyPath, now: true });
  server.reload();
  t.is((await push('--pin', pin)).code, exit.hostKeyChanged);
  const by = (credential: string) =>
    cli(t, client(work, 'ci'), ['-a', `${source}/`, server.url('root')], { env: { SPARSYNC_CREDENTIAL: credential } });
  t.is((await by(early.credential)).code, exit.hostKeyChanged, 'one from before names the old key alone');
  const later = await by(late.credential);
  t.is(later.code, exit.ok, later.stderr);
  t.false(later.stderr.includes('has the key'), 'one from then names both');
});

test('the command changes the key of a server that runs', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const server = await startServer(t, { home: work, roots: { root: dir(work, 'served') }, clients: [user] });
  const admin: Client = { ...client(work, 'server'), env: { SPARSYNC_CONFIG_DIR: server.configDir } };
  const rotate = (...args: string[]) => cli(t, admin, ['keys', 'rotate', ...args]);
  t.is((await rotate('--status')).stdout, `the server shows ${server.pin}\nno next key is set\n`);
  for (const bad of [
    ['--now'],
    ['--cancel'],
    ['--after', '30'],
    ['--after', '1d', '--now'],
    ['x'],
    ['--identity', '-'],
  ]) {
    t.is((await rotate(...bad)).code, exit.usage, bad.join(' '));
  }
  t.is((await cli(t, admin, ['keys', '--now'])).code, exit.usage);
  const begun = await rotate('--after', '2w', '--json');
  const { publicKey, next } = JSON.parse(begun.stdout) as { publicKey: string; next: { publicKey: string } };
  t.is(publicKey, server.pin);
  await until('the server to take note', () => server.stderr().includes(`nextKey=${next.publicKey} from=`));
  t.is((await rotate()).code, exit.usage, 'there is a next key already');
  const push = () => cli(t, user, ['-a', `${work}/served/`, server.url('root', 'x')]);
  t.is((await push()).stderr, '');
  t.is((await rotate('--now')).stdout, `the server shows ${next.publicKey}\nno next key is set\n`);
  await until('the server to show it', () => server.stderr().includes(`server-key publicKey=${next.publicKey}\n`));
  t.is((await push()).stderr, '');
  t.is((await cli(t, admin, ['keys'])).stdout, `${next.publicKey}\n`);
});

const hasPrlimit = spawnSync('prlimit', ['--version']).status === 0;

(hasPrlimit ? test : test.skip)('a server that cannot read its key for a moment shows it afterwards', async (t) => {
  const work = workDir(t);
  const server = await startServer(t, { home: work, roots: { root: dir(work, 'served') }, clients: [client(work)] });
  const keyPath = `${server.configDir}/key.pem`;
  const { next } = await rotateKey({ keyPath });
  await until('the server to take note', () => server.stderr().includes(`nextKey=${next?.publicKey ?? ''}`));
  const files = (most: string) => spawnSync('prlimit', ['--pid', String(server.pid), `--nofile=${most}:`]).status;
  t.is(files('3'), 0);
  await rotateKey({ keyPath, now: true });
  await until('the server to find no descriptor', () => server.stderr().includes('server-key-unusable'));
  t.is(files('1024'), 0);
  await until('the server to show it', () => server.stderr().includes(`server-key publicKey=${next?.publicKey ?? ''}`));
  t.is(server.stderr().split('server-key-unusable').length, 2, 'it is told once');
});

(hasStrace ? test : test.skip)(
  'a change that is killed leaves one of the two keys, with which a server starts',
  async (t) => {
    const work = workDir(t);
    const keyPath = `${dir(work, 'server.config')}/key.pem`;
    const { publicKey: old } = await identity(keyPath);
    const admin: Client = { ...client(work, 'admin'), env: { SPARSYNC_CONFIG_DIR: `${work}/server.config` } };
    const calls = 'link,rename,unlink';
    let key = old;
    for (const verb of ['--after=1d', '--now'] as const) {
      for (let at = 1; ; at += 1) {
        const ended = await killedAt(t, admin, ['keys', 'rotate', verb], { calls, at });
        const found = await serverKey(keyPath);
        t.true([key, found.next?.publicKey ?? found.publicKey].includes(found.publicKey));
        const server = await served(t, work, keyPath, { anonymous: true });
        t.is(server.publicKey, found.publicKey);
        await server.close();
        if (ended.code === 0 || verb === '--now') {
          if (verb === '--now' && found.next !== undefined) continue;
          break;
        }
        if (found.next !== undefined) await rotateKey({ keyPath, cancel: true });
      }
      key = (await serverKey(keyPath)).publicKey;
    }
    t.not(key, old);
  },
);
