// What who runs a server for years needs: figures, a unit, limits, new keys; and the chapter that says how.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import test, { type ExecutionContext } from 'ava';

import {
  AccessError,
  BusyError,
  ConfigError,
  ConnectionError,
  NoSpaceError,
  connect,
  serve,
  sync,
} from '../dist/index.js';
import type { ConnectOptions, ServeOptions, ServerEvent } from '../dist/index.js';
import { cli, exit, quietly, startCli } from './helpers/cli.js';
import { HalfOpen } from './helpers/half-open.js';
import { freePort } from './helpers/port.js';
import { type Ended, start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { remote } from './helpers/remote.js';
import { startServer } from './helpers/server.js';
import { Relay } from './helpers/relay.js';
import { accessOf, failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** The value of a figure, by the line that it stands on. */
function figure(text: string, line: string): number | undefined {
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  return found === undefined ? undefined : Number(found.slice(line.length));
}

async function figuresAreTrue(t: ExecutionContext, by: readonly string[]): Promise<void> {
  const work = workDir(t);
  const [served, source] = [dir(work, 'served'), dir(work, 'source')];
  const user = client(work);
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  writeFileSync(keys, `me ${user.publicKey} allow=write,delete\n`, { mode: 0o600 });
  const at = `127.0.0.1:${await freePort()}`;
  const server = await startServer(t, { home: work, roots: { root: served }, args: ['--metrics', at], program: by });
  user.trust(server.port, server.pin);
  writeFileSync(`${source}/a`, 'x'.repeat(1000));
  writeFileSync(`${source}/b`, 'y');
  const scrape = async (path: string): Promise<{ status: number; type: string | null; text: string }> => {
    const answer = await fetch(`http://${at}${path}`);
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  };
  await quietly(t, user, ['-rt', `${source}/`, server.url('root')]);
  writeFileSync(`${served}/old`, '');
  const before = Math.floor(Date.now() / 1000);
  await quietly(t, user, ['-rt', '--delete', `${source}/`, `${server.url('root')}/`]);
  const refused = await cli(t, user, ['-rt', `${server.url('root')}/`, `${work}/back/`]);
  t.is(refused.code, exit.unauthorized);
  const place = '{client="me",root="root",operation="push"}';
  let text = '';
  await until('the figures', () => {
    void scrape('/metrics').then((answer) => (text = answer.text));
    return figure(text, 'sparsync_refused_total{what="pull"}') !== undefined;
  });
  for (const [line, value] of [
    ['sparsync_sessions_total{client="me",root="root",operation="push",result="ok"}', 2],
    [`sparsync_session_content_bytes_total${place}`, 1001],
    [`sparsync_session_files_total${place}`, 2],
    [`sparsync_session_deletes_total${place}`, 1],
    ['sparsync_refused_total{what="pull"}', 1],
    ['sparsync_errors_total{code="ERR_SPARSYNC_SCOPE"}', 1],
    ['sparsync_session_duration_seconds_count{operation="push"}', 2],
    ['sparsync_authorized_keys', 1],
    ['sparsync_authorized_keys_usable', 1],
    ['sparsync_sessions_active', 0],
  ] as const) {
    t.is(figure(text, line), value, `${line}\n${text}`);
  }
  t.true((figure(text, `sparsync_last_success_timestamp_seconds${place}`) ?? 0) >= before);
  t.true(text.endsWith('# EOF\n'));
  t.regex((await scrape('/metrics')).type ?? '', /^application\/openmetrics-text/);
  const healthy = await scrape('/healthz');
  t.deepEqual([healthy.status, healthy.text], [200, 'ok\n']);
  t.is((await scrape('/other')).status, 404);
  t.is((await fetch(`http://${at}/metrics`, { method: 'POST' })).status, 405);
  writeFileSync(keys, 'broken\n', { mode: 0o600 });
  server.kill('SIGHUP');
  let health = healthy;
  await until('it to be told', () => {
    void scrape('/healthz').then((answer) => (health = answer));
    return health.status === 503;
  });
  t.regex(health.text, /line 1: no key follows/);
  const head = await fetch(`http://${at}/metrics`, { method: 'HEAD' });
  t.deepEqual([head.status, await head.text()], [200, '']);
  const [first, ...rest] = [...by, 'serve', '--root', `r=${work}`, '--listen', '127.0.0.1:0'];
  for (const taken of ['here', at]) {
    const bad = await start(t, first, [...rest, '--metrics', taken], { env: user.env }).ended;
    t.is(bad.code, exit.usage, bad.stderr);
    t.regex(bad.stderr, /--metrics/);
  }
}

for (const [who, words] of [
  ['the command', [process.execPath, program]],
  ['the server without Node', [remote]],
] as const) {
  test(`the figures of /metrics are those of what was done, and /healthz says when nobody is let in: ${who}`, async (t) => {
    await figuresAreTrue(t, words);
  });
}

test('when a transfer last ended well is known after a start, as long as its client is', async (t) => {
  const [home, user, other] = [workDir(t), client(workDir(t)), client(workDir(t))];
  const [root, source] = [dir(home, 'served'), dir(home, 'source')];
  const at = `127.0.0.1:${await freePort()}`;
  const options = { home, roots: { root }, args: ['--metrics', at] };
  const known = async (name: string): Promise<number | undefined> => {
    const text = await (await fetch(`http://${at}/metrics`)).text();
    const place = `{client="${name}",root="root",operation="push"}`;
    return figure(text, `sparsync_last_success_timestamp_seconds${place}`);
  };
  const first = await startServer(t, { ...options, clients: [user, other] });
  for (const each of [user, other]) await quietly(t, each, ['-r', `${source}/`, first.url('root')]);
  const told = [await known('client0'), await known('client1')];
  t.true(told.every((each) => each !== undefined));
  t.is((await first.stop()).code, exit.ok);
  const second = await startServer(t, { ...options, clients: [user, other], program: [remote] });
  t.deepEqual([await known('client0'), await known('client1')], told);
  t.is((await second.stop()).code, exit.ok);
  const third = await startServer(t, { ...options, clients: [user] });
  t.deepEqual([await known('client0'), await known('client1')], [told[0], undefined]);
  t.is((await third.stop()).code, exit.ok);
});

test('a file of keys that is gone ends no connection and lets nobody in, an empty one revokes every key', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const keys = `${dir(work, 'server.config')}/authorized_keys`;
  writeFileSync(keys, `me ${user.publicKey}\n`, { mode: 0o600 });
  const at = `127.0.0.1:${await freePort()}`;
  const server = await startServer(t, { home: work, roots: { root: dir(work, 'served') }, args: ['--metrics', at] });
  user.trust(server.port, server.pin);
  const connection = await connect(server.url(), accessOf(user, server));
  t.teardown(() => connection.close());
  renameSync(keys, `${keys}.away`);
  let health = '';
  await until('it to be told', () => {
    void fetch(`http://${at}/healthz`).then(async (answer) => (health = await answer.text()));
    return health.includes('gone');
  });
  t.regex(server.stderr(), /error keys-unreadable .*an empty one there revokes every key/);
  t.deepEqual(await connection.list('root'), []);
  t.is((await cli(t, user, ['list', server.url('root')])).code, exit.unauthorized);
  renameSync(`${keys}.away`, keys);
  await quietly(t, user, ['list', server.url('root')]);
  writeFileSync(keys, '');
  await until('the end of the connection', () => server.stderr().includes(' revoked '));
  t.is((await cli(t, user, ['list', server.url('root')])).code, exit.unauthorized);
  t.is((await server.stop()).code, exit.ok);
});

test('who asks the server without Node for figures keeps others from nothing by saying nothing', async (t) => {
  const work = workDir(t);
  const port = await freePort();
  const args = ['--metrics', `127.0.0.1:${port}`, '--anonymous'];
  const server = await startServer(t, { home: work, roots: { root: dir(work, 'served') }, args, program: [remote] });
  const silent = Array.from({ length: 40 }, () => connectSocket(port, '127.0.0.1'));
  t.teardown(() => silent.forEach((socket) => socket.destroy()));
  const closed = silent.map((socket) => once(socket.on('error', () => undefined).resume(), 'close'));
  await Promise.all(closed);
  t.is((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
  t.is((await server.stop()).code, 0);
});

test('an anonymous server goes on serving a connection, whatever key the client has', async (t) => {
  const work = workDir(t);
  const server = await serve({
    roots: { root: dir(work, 'served') },
    anonymous: true,
    identity: { keyPath: `${work}/key` },
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  const identity = { keyPath: client(work).keyPath };
  const connection = await connect(server.url(), { identity, trust: { pin: server.publicKey } });
  for (let look = 0; look < 5; look += 1) {
    t.is((await connection.list()).length, 1);
    // The keys are looked at once a second.
    await sleep(500);
  }
  await connection.close();
});

/** A server with two clients and some limits, and what opens connections to it. */
async function limited(t: ExecutionContext, limits: Omit<ServeOptions, 'roots'>) {
  const work = workDir(t);
  const [one, two] = [client(work, 'one'), client(work, 'two')];
  const server = await serve({
    roots: { root: dir(work, 'served') },
    allow: [`one ${one.publicKey}`, `two ${two.publicKey}`],
    identity: { keyPath: `${work}/server.pem` },
    ...limits,
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  const trust = { pin: server.publicKey };
  const open = async (keyPath: string, options: ConnectOptions = {}) => {
    const connection = await connect(`sparsync://127.0.0.1:${server.port}`, {
      identity: { keyPath },
      trust,
      ...options,
    });
    await connection.list();
    return connection;
  };
  return { work, one, two, server, trust, open };
}

test('connections are limited, in all and of one key', async (t) => {
  const { work, one, two, server, trust, open } = await limited(t, { maxConnections: 3, maxConnectionsPerKey: 2 });
  const held = [await open(one.keyPath), await open(one.keyPath)];
  const crowded = await failure(t, open(one.keyPath), ConnectionError);
  t.regex(crowded.message, /of this key/);
  t.true(crowded.retryable);
  held.push(await open(two.keyPath));
  const full = await failure(t, open(two.keyPath), ConnectionError);
  t.true(full.retryable);
  await held[0]?.close();
  const source = dir(work, 'source');
  await sync(source, server.url('root'), { identity: { keyPath: two.keyPath }, trust, retry: { attempts: 20 } });
  for (const each of held) await each.close();
});

/** A server with limits, and a transfer of its first client that goes on. */
async function busy(t: ExecutionContext, limits: Omit<ServeOptions, 'roots'>) {
  const { work, one, two, server, trust } = await limited(t, limits);
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, randomBytes(1 << 20));
  const as = (keyPath: string): ConnectOptions => ({ identity: { keyPath }, trust });
  const slow = sync(source, `${server.url('root')}/slow`, { ...as(one.keyPath), bwlimit: 20_000 });
  await until('the slow one', () => server.stats()['sessions_active'] === 1);
  return { one, two, server, source, as, slow };
}

test('transfers at the same time are limited, and one that was refused goes on by itself', async (t) => {
  const { two, server, source, as, slow } = await busy(t, { maxSessions: 1 });
  const full = await failure(t, sync(source, `${server.url('root')}/other`, as(two.keyPath)), ConnectionError);
  t.regex(full.message, /no room for another session/);
  t.true(full.retryable);
  const patient = sync(source, `${server.url('root')}/other`, { ...as(two.keyPath), retry: { attempts: 100 } });
  for await (const event of patient) {
    if (event.type === 'retry') slow.cancel();
  }
  t.true((await patient).attempts > 1);
  await failure(t, slow, Error);
});

test('transfers of one key leave room for those of another', async (t) => {
  const { one, two, server, source, as, slow } = await busy(t, { maxSessions: 2, maxSessionsPerKey: 1 });
  const full = await failure(t, sync(source, `${server.url('root')}/more`, as(one.keyPath)), ConnectionError);
  t.regex(full.message, /no room for another session of this key/);
  t.deepEqual([full.retryable, full.side], [true, 'remote']);
  await sync(source, `${server.url('root')}/other`, as(two.keyPath));
  server.reload({ maxSessionsPerKey: 2 });
  await sync(source, `${server.url('root')}/more`, as(one.keyPath));
  slow.cancel();
  await failure(t, slow, Error);
});

test('what a key moves in a second is limited, and what all do, until the limit is lifted', async (t) => {
  const { work, one, two, server, trust } = await limited(t, { bwlimitPerKey: 50_000 });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, randomBytes(10 << 20));
  const there = `${server.url('root')}/pushed`;
  const as = (keyPath: string): ConnectOptions => ({ identity: { keyPath }, trust });
  const push = sync(source, there, as(one.keyPath));
  await until('some of it', () => push.stats().bytesTransferred > 0);
  // Another key has a limit of its own, and what it brings is there meanwhile.
  writeFileSync(`${dir(work, 'little')}/b`, randomBytes(10_000));
  await sync(`${work}/little`, `${server.url('root')}/little`, as(two.keyPath));
  t.true(push.stats().bytesTransferred < 10 << 20);
  server.reload({ bwlimitPerKey: 0 });
  await push;
  server.reload({ bwlimit: 50_000 });
  const back = sync(`${there}/`, `${work}/back`, as(two.keyPath));
  await until('some of it', () => back.stats().bytesTransferred > 0);
  t.true(back.stats().bytesTransferred < 10 << 20);
  server.reload({ bwlimit: 0 });
  await back;
  t.deepEqual(readFileSync(`${work}/back/a`), readFileSync(`${source}/a`));
});

test('space that is kept free is not written to, and nothing is torn', async (t) => {
  const { work, one, server, trust } = await limited(t, {});
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, 'old');
  const options = { trust, identity: { keyPath: one.keyPath } };
  await sync(source, `${server.url('root')}/d`, options);
  server.reload({ reserveSpace: Number.MAX_SAFE_INTEGER });
  // What needs no room is done.
  await sync(source, `${server.url('root')}/d`, options);
  await sync(`${server.url('root')}/d/`, `${work}/back`, options);
  writeFileSync(`${source}/a`, 'newer');
  writeFileSync(`${source}/b`, 'new');
  const refused = await failure(t, sync(source, `${server.url('root')}/d`, options), NoSpaceError);
  t.false(refused.retryable);
  t.deepEqual(readdirSync(`${work}/served/d`), ['a']);
  t.is(readFileSync(`${work}/served/d/a`, 'utf8'), 'old');
  server.reload({ reserveSpace: 0 });
  await sync(source, `${server.url('root')}/d`, options);
  t.is(readFileSync(`${work}/served/d/a`, 'utf8'), 'newer');
});

test('a transfer that waits for the place of another one is counted, and told of who is there', async (t) => {
  const { work, one, two, server, trust } = await limited(t, { metrics: true });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, randomBytes(1 << 20));
  const as = (keyPath: string): ConnectOptions => ({ identity: { keyPath }, trust });
  const slow = sync(source, `${server.url('root')}/d`, { ...as(one.keyPath), bwlimit: 20_000 });
  await until('the slow one', () => server.stats()['sessions_active'] === 1);
  const busy = await failure(t, sync(source, `${server.url('root')}/d/below`, as(two.keyPath)), BusyError);
  t.regex(
    busy.holder ?? '',
    new RegExp(`^one from 127\\.0\\.0\\.1:\\d+ \\(process ${process.pid} on \\S+, since 20\\d\\d-[-\\d]+T[:\\d]+Z\\)$`),
  );
  const waiting = sync(source, `${server.url('root')}/d`, { ...as(two.keyPath), lockWaitMs: 60_000 });
  await until('it to wait', () => figure(server.metrics(), 'sparsync_sessions_waiting') === 1);
  t.is(figure(server.metrics(), 'sparsync_handshakes_active'), 0);
  t.is(figure(server.metrics(), 'sparsync_sessions_active'), 2);
  slow.cancel();
  await waiting;
  t.is(figure(server.metrics(), 'sparsync_sessions_waiting'), 0);
  await failure(t, slow, Error);
});

test('handshakes under way are as the settings and a reload say', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const metrics = `127.0.0.1:${await freePort()}`;
  const settings = `${dir(work, 'server.config')}/sparsync.toml`;
  writeFileSync(settings, '[server]\nmax-handshakes = 20\n');
  const server = await startServer(t, {
    home: work,
    roots: { root: dir(work, 'served') },
    clients: [user],
    args: ['--metrics', metrics, '-v'],
  });
  const now = async (line: string): Promise<number> =>
    figure(await (await fetch(`http://${metrics}/metrics`)).text(), line) ?? Number.NaN;
  const silent = await HalfOpen.begin(server.port, 200, 20, true);
  await until('them', () => silent.begun >= 20);
  t.is(await now('sparsync_handshakes_active'), 20);
  silent[Symbol.dispose]();
  writeFileSync(settings, '[server]\nmax-handshakes = 40\n');
  server.kill('SIGHUP');
  await until('the reload', () => / reload/.test(server.stderr()));
  t.notRegex(server.stderr(), /restart=/);
  const more = await HalfOpen.begin(server.port, 200, 20, true);
  await until('them', () => more.begun >= 40);
  t.is(await now('sparsync_handshakes_active'), 40);
  more[Symbol.dispose]();
});

test('memory for what was not read is lent as the settings and a reload say', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const metrics = `127.0.0.1:${await freePort()}`;
  const server = await startServer(t, {
    home: work,
    roots: { root: dir(work, 'served') },
    clients: [user],
    // The relay is in this process, which other tests may hold up.
    args: ['--metrics', metrics, '--idle-timeout=110'],
  });
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, randomBytes(24 << 20));
  await using relay = await Relay.start({ to: server.port, delayMs: 50 });
  /** The most that is lent while a run over a long way goes on. */
  const most = async (to: string): Promise<number> => {
    const options = {
      ...accessOf(user, server),
      transport: 'quic',
      compression: 'never',
      idleTimeoutMs: 110_000,
    } as const;
    const job = sync(source, relay.url('root', to), options);
    let [highest, over] = [0, false];
    const ended = job.result.finally(() => (over = true));
    ended.catch(() => undefined);
    while (!over) {
      // A connection that is kept may be closed by the server in the moment in which it is used again. A busy machine
      // may keep this process from asking for as long as the server waits for a question: then the answer is 408.
      const scraped = await fetch(`http://${metrics}/metrics`, { headers: { connection: 'close' } });
      const text = await scraped.text();
      if (scraped.status !== 408) highest = Math.max(highest, figure(text, 'sparsync_unread_bytes') ?? Number.NaN);
      await sleep(20);
    }
    await ended;
    return highest;
  };
  t.true((await most('one')) > 0);
  writeFileSync(`${server.configDir}/sparsync.toml`, '[server]\nmax-unread-bytes = "0"\n');
  server.kill('SIGHUP');
  await until('the reload', () => / reload/.test(server.stderr()));
  t.is(await most('two'), 0);
});

test('handshakes that are refused are counted by why, and a burst of them is one line', async (t) => {
  const told: ServerEvent[] = [];
  const log = (event: ServerEvent): void => void (event.type === 'handshakes-refused' && told.push(event));
  const { server } = await limited(t, { metrics: true, maxHandshakes: 1, log });
  const refused = (reason: string): number =>
    figure(server.metrics(), `sparsync_handshakes_refused_total{reason="${reason}"}`) ?? 0;
  t.deepEqual([refused('full'), refused('network')], [0, 0]);
  const silent = (): void => {
    for (let count = 0; count < 20; count += 1) {
      const socket = connectSocket(server.port, '127.0.0.1');
      socket.on('error', () => undefined).resume();
      t.teardown(() => socket.destroy());
    }
  };
  silent();
  await until('it to be told', () => told.length > 0);
  const before = refused('full');
  silent();
  await until('more to be refused', () => refused('full') > before);
  t.deepEqual([told.length, refused('network')], [1, 0]);
  t.true(told.every((event) => event.type === 'handshakes-refused' && event.count > 0 && event.count <= before));
});

test('connections from one address are limited, whoever makes them, until some have ended', async (t) => {
  const { one, two, server, open } = await limited(t, { listen: '0.0.0.0:0', maxConnectionsPerAddress: 1 });
  const held = await open(one.keyPath, { transport: 'quic' });
  for (const transport of ['quic', 'tcp'] as const) {
    const full = await failure(t, open(two.keyPath, { transport }), ConnectionError);
    t.regex(full.message, /from this address/);
    t.true(full.retryable);
  }
  server.reload({ maxConnectionsPerAddress: 2 });
  const other = await open(two.keyPath, { transport: 'tcp' });
  await other.close();
  await held.close();
});

test('a server that runs takes on other clients and limits, and nothing of what cannot be used', async (t) => {
  const work = workDir(t);
  const [one, two] = [client(work, 'one'), client(work, 'two')];
  const server = await serve({
    roots: { root: dir(work, 'served') },
    allow: [`one ${one.publicKey}`],
    identity: { keyPath: `${work}/server.pem` },
    maxConnectionsPerKey: 1,
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  const open = async (keyPath: string) => {
    const connection = await connect(server.url(), { identity: { keyPath }, trust: { pin: server.publicKey } });
    await connection.list();
    return connection;
  };
  const held = await open(one.keyPath);
  t.throws(() => server.reload({ allow: ['two nonsense'], maxConnectionsPerKey: 9 }), { instanceOf: ConfigError });
  t.throws(() => server.reload({ maxSessions: 0 }), { instanceOf: ConfigError });
  await failure(t, open(one.keyPath), ConnectionError, 'nothing was changed');
  server.reload({ maxConnectionsPerKey: 2 });
  const second = await open(one.keyPath);
  server.reload({ allow: [{ name: 'two', key: two.publicKey }] });
  await failure(t, held.list(), Error, 'it is allowed no more');
  await failure(t, open(one.keyPath), AccessError);
  await (await open(two.keyPath)).close();
  server.reload({ allow: [] });
  await failure(t, open(two.keyPath), AccessError, 'an emptied list lets nobody in');
  await held.close();
  await second.close();
});

test('a server with another key is a hard stop, which says what lifts it', async (t) => {
  const { work, url, client: user, server } = await setup(t);
  const other = client(work, 'other');
  const pins = `${user.configDir}/known_hosts`;
  const at = `127.0.0.1:${server.port}`;
  writeFileSync(pins, `# mine\n${at} ${other.publicKey}\n`, { mode: 0o600 });
  const stopped = await cli(t, user, ['-a', `${work}/`, url('x')]);
  t.is(stopped.code, exit.hostKeyChanged);
  for (const part of [server.pin, other.publicKey, 'line 2', pins, `sparsync trust replace ${at} ${server.pin}`]) {
    t.true(stopped.stderr.includes(part), `${part}: ${stopped.stderr}`);
  }
  t.is(
    (await cli(t, user, ['trust', at, server.pin])).code,
    exit.hostKeyChanged,
    'a pin is not overwritten by the way',
  );
  await quietly(t, user, ['trust', 'replace', at, server.pin]);
  t.is(readFileSync(pins, 'utf8'), `# mine\n${at} ${server.pin}\n`);
  t.is((await cli(t, user, ['trust', 'list'])).stdout, `# mine\n${at} ${server.pin}\n`);
  const listed = await cli(t, user, ['trust', 'list', '--json']);
  const pin = { type: 'pin', schema: 1, host: at, key: server.pin };
  t.deepEqual(
    listed.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as unknown),
    [pin],
  );
  await quietly(t, user, ['trust', 'remove', at]);
  t.is((await cli(t, user, ['trust', 'list', '--json'])).stdout, '');
  for (const bad of [['remove'], ['replace', at], ['list', at], [at, server.pin, 'x'], ['remove', at, server.pin]]) {
    t.is((await cli(t, user, ['trust', ...bad])).code, exit.usage, bad.join(' '));
  }
});

test('pinned keys that others may write are used with a warning, which names the file once', async (t) => {
  const work = workDir(t);
  const [user, source] = [client(work), dir(work, 'source')];
  const server = await startServer(t, { home: work, roots: { data: dir(work, 'data') }, clients: [user] });
  const knownHosts = `${user.configDir}/known_hosts`;
  const push = (...words: string[]): Promise<Ended> => cli(t, user, ['-a', ...words, `${source}/`, server.url('data')]);
  t.is((await push()).stderr, '');
  const warning = `${knownHosts} decides which servers are trusted, and other users can write it: run chmod go-w on it`;
  for (const mode of [0o620, 0o602]) {
    chmodSync(knownHosts, mode);
    const ended = await push();
    t.deepEqual([ended.code, ended.stderr], [exit.ok, `sparsync: ${warning}\n`]);
  }
  t.is((await push('--pin', server.pin)).stderr, '', 'a pin needs no file');
  const warnings: string[] = [];
  const listener = ({ name, message }: Error): void => void (name === 'SparsyncWarning' && warnings.push(message));
  process.on('warning', listener);
  t.teardown(() => process.off('warning', listener));
  for (let time = 0; time < 2; time += 1) {
    const connection = await connect(server.url(), { identity: { keyPath: user.keyPath }, trust: { knownHosts } });
    await connection.close();
  }
  t.deepEqual(warnings, [warning]);
});

test('the prefix of a key is made by its first sync, and nothing else that is missing', async (t) => {
  const work = workDir(t);
  const [served, user] = [dir(work, 'served'), client(work)];
  const allow = [`deep ${user.publicKey} root=root/of/deep allow=read,write`];
  const server = await startServer(t, { home: work, roots: { root: served }, allow });
  user.trust(server.port, server.pin);
  const { url } = server;
  writeFileSync(`${dir(work, 'source')}/f`, 'f');
  const push = (...to: readonly string[]): Promise<Ended> =>
    cli(t, user, ['-a', `${work}/source/`, url('root', ...to)]);
  t.is((await cli(t, user, ['-a', url('root', 'of/deep/'), `${work}/back`])).code, exit.partial);
  t.is((await push('of/deep/a/b')).code, exit.io);
  t.false(existsSync(`${served}/of`));
  t.is((await push('of/deep/a')).code, exit.ok);
  t.is(readFileSync(`${served}/of/deep/a/f`, 'utf8'), 'f');
  t.is((await push('of/deep/b/c')).code, exit.io);
});

test('the chapter on running a server does what it says', async (t) => {
  const work = workDir(t);
  const [served, admin, guest] = [dir(work, 'backup'), client(work, 'admin'), client(work, 'guest')];
  const chapter = readFileSync(new URL('../docs/operations.md', import.meta.url), 'utf8');
  const commands = [...chapter.matchAll(/^```sh\n([^`]*)```$/gm)].flatMap(([, block = '']) => block.trim().split('\n'));
  t.true(commands.length >= 7, commands.join('\n'));
  let address = '';
  let secret = '';
  for (const command of commands) {
    const words = command
      .split(' ')
      .slice(1)
      .map((word) =>
        word.replace('/srv/backup', served).replace('nas.example', address).replace('127.0.0.1:9100', '127.0.0.1:0'),
      );
    if (words[0] === 'serve' && !words.includes('--print-unit')) {
      if (words.includes('--metrics')) continue;
      const server = startCli(t, admin, [...words, '--listen', '127.0.0.1:0']);
      await until('the server', () => server.over() || server.stdout().includes('serving'));
      address = / on udp\+tcp (\S+)\. /.exec(server.stdout())?.[1] ?? '';
      continue;
    }
    const isGuest = words[0] === 'join' || words[0] === 'trust';
    if (words[0] === 'trust') words.splice(-1, 1, guest.publicKey);
    const ended = await cli(t, isGuest ? guest : admin, words, words[0] === 'join' ? { input: secret } : {});
    t.is(ended.code, exit.ok, `${command}: ${ended.stderr}`);
    if (words[0] === 'invite') secret = ended.stdout;
  }
  const gone = connect(`sparsync://${address}`, {
    identity: { keyPath: guest.keyPath },
    trust: { knownHosts: `${guest.configDir}/known_hosts` },
  });
  t.truthy(
    await failure(
      t,
      gone.then((connection) => connection.list()),
      Error,
    ),
    'alice was revoked',
  );
  t.true(existsSync(`${guest.configDir}/known_hosts`));
});
