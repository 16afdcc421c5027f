// TCP with TLS: the same runs by the same keys, by itself, where UDP gets no answer, and through a proxy.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';

import test, { type ExecutionContext } from 'ava';

import {
  AccessError,
  connect,
  ConnectionError,
  HostKeyError,
  serve,
  sync,
  type ConnectedEvent,
  type SyncResult,
} from '../dist/index.js';
import { CertifiedTree } from './helpers/certified.js';
import { cli, exit } from './helpers/cli.js';
import { NO_PROXIES, connectProxy, forgetfulPort, narrowPath, wall } from './helpers/front.js';
import { assertEqual, judged, judgedWhere } from './helpers/judge.js';
import { serveInside, wired } from './helpers/networks.js';
import { type Ended, start, until } from './helpers/process.js';
import { client, type Client, program } from './helpers/product.js';
import { canMount, failure, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

function tree(root: string): string {
  const sizes = new Map([
    ['empty', 0],
    ['one/small', 100],
    ['one/two/middle', 300_000],
    ['large', 5 << 20],
  ]);
  for (let i = 0; i < 200; i += 1) sizes.set(`many/file${i}`, i * 37);
  new CertifiedTree(sizes).write(root, 1);
  return root;
}

/** What a run tells of its connection, and how it ended. */
async function told(job: ReturnType<typeof sync>): Promise<{ connected: ConnectedEvent; result: SyncResult }> {
  let connected: ConnectedEvent | undefined;
  let result: SyncResult | undefined;
  for await (const event of job) {
    if (event.type === 'connected') connected = event;
    if (event.type === 'done') ({ result } = event);
  }
  if (connected === undefined || result === undefined) throw new Error('a run without a beginning or an end');
  return { connected, result };
}

judged('a tree goes to a server and comes back over TCP, and both ends say so', async (t) => {
  const { work, served, url, access, client: user, server } = await setup(t, { args: ['-v'] });
  const source = tree(`${work}/source`);
  const { connected, result } = await told(sync(`${source}/`, url('tree'), { ...access, transport: 'tcp' }));
  t.is(result.transport, 'tcp');
  t.like(connected, {
    transport: 'tcp',
    udp: undefined,
    serverKey: server.pin,
    remoteAddress: `127.0.0.1:${server.port}`,
  });
  assertEqual(t, source, `${served}/tree`);
  const pulled = await cli(t, user, ['-av', '--transport=tcp', `${url('tree')}/`, `${work}/back`]);
  t.is(pulled.code, 0, pulled.stderr);
  t.regex(pulled.stderr, /^transport: tcp \(127\.0\.0\.1:\d+\)$/m);
  assertEqual(t, source, `${work}/back`);
  const again = await cli(t, user, ['-ai', '--delete', '--transport=tcp', `${source}/`, url('tree')]);
  t.deepEqual([again.code, again.stdout], [0, '']);
  const json = await cli(t, user, ['-a', '--json', `${source}/`, url('tree')]);
  t.is((JSON.parse(json.stdout.trim().split('\n').at(-1) ?? '') as SyncResult).transport, 'quic');
  await server.stop();
  t.regex(server.stderr(), /debug connected .*transport=tcp/);
  t.regex(server.stderr(), /info session .*transport=tcp .*operation=push/);
  t.regex(server.stderr(), /debug connected .*transport=quic/);
});

test('who is refused over TCP is told as over QUIC', async (t) => {
  const { work, url, access, client: user } = await setup(t);
  const transport = 'tcp';
  const stranger = client(work, 'stranger');
  const unknown = { ...access, identity: { keyPath: stranger.keyPath }, transport } as const;
  const refused = await failure(t, connect(url(), unknown), AccessError);
  t.is(refused.code, 'ERR_SPARSYNC_UNAUTHORIZED');
  t.regex(refused.message, /does not know the client's key/);
  const other = { ...access, trust: { pin: stranger.publicKey }, transport } as const;
  t.is((await failure(t, connect(url(), other), HostKeyError)).code, 'ERR_SPARSYNC_HOST_KEY_CHANGED');
  const lost = await cli(t, user, ['-a', '--transport=tcp', `${url()}/`, `${work}/back`], {
    env: { SPARSYNC_CONFIG_DIR: stranger.configDir },
  });
  t.is(lost.code, exit.hostKey, lost.stderr);
  const word = await cli(t, user, ['-a', '--transport=pigeon', `${url()}/`, `${work}/back`]);
  t.is(word.code, exit.usage);
  t.regex(word.stderr, /--transport must be one of auto, quic, tcp/);
});

test('a server without TCP, and one that does not get its port', async (t) => {
  const { work, url, access, client: user, server } = await setup(t, { args: ['--no-tcp'] });
  const error = await failure(t, connect(url(), { ...access, transport: 'tcp' }), ConnectionError);
  t.is(error.code, 'ERR_SPARSYNC_CONNECT');
  t.regex(error.message, /over TCP.*refused/);
  const refused = await cli(t, user, ['-a', '--transport=tcp', `${url()}/`, `${work}/back`]);
  t.is(refused.code, exit.connect, refused.stderr);
  await server.stop();
  const taken = createServer();
  await new Promise<void>((listening) => void taken.listen(0, '127.0.0.1', listening));
  t.teardown(() => taken.close());
  const address = taken.address();
  const listen = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const busy = await cli(t, user, ['serve', '--root', `a=${work}`, '--anonymous', '--listen', listen]);
  t.is(busy.code, exit.usage, busy.stderr);
  t.true(busy.stderr.includes(`TCP ${listen}: Address already in use`), busy.stderr);
});

test('a key that is revoked loses its connection over TCP', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const authorizedKeysPath = `${work}/authorized_keys`;
  const allow = (name: string): void => writeFileSync(authorizedKeysPath, `${name} ${user.publicKey}\n`);
  allow('me');
  const identity = { keyPath: `${work}/server.pem` };
  const server = await serve({ roots: { root: dir(work, 'served') }, authorizedKeysPath, identity, metrics: true });
  t.teardown(() => server.close());
  const access = { identity: { keyPath: user.keyPath }, trust: { pin: server.publicKey }, transport: 'tcp' } as const;
  const connection = await connect(server.url(), access);
  t.is(connection.transport, 'tcp');
  t.deepEqual(
    (await connection.list()).map(({ name }) => name),
    ['root'],
  );
  t.regex(server.metrics(), /sparsync_connections_accepted_total\{transport="tcp"\} 1/);
  rmSync(authorizedKeysPath);
  writeFileSync(authorizedKeysPath, '');
  server.reload();
  await until('the connection to end', () => server.stats()['connections_active'] === 0);
  await failure(t, connection.list(), AccessError);
  await connection.close();
});

/** One large file, which a lane carries. */
function large(root: string): string {
  new CertifiedTree(new Map([['large', 8 << 20]])).write(root, 1);
  return root;
}

judged('where a connection carries little, content goes over several, in either direction', async (t) => {
  const { work, served, access, server } = await setup(t);
  const source = large(`${work}/source`);
  const path = await narrowPath(t, server.port);
  const url = urlAt(`127.0.0.1:${path.port}`, 'root', 'tree');
  const options = { ...access, transport: 'tcp', profile: true } as const;
  const pushed = await sync(`${source}/`, url, options);
  assertEqual(t, source, `${served}/tree`);
  const pulled = await sync(`${url}/`, `${work}/back`, options);
  assertEqual(t, source, `${work}/back`);
  for (const { profile, transport } of [pushed, pulled]) {
    const connections = profile?.ends[0]?.figures.connections ?? 0;
    t.true(transport === 'tcp' && connections > 1 && connections <= 5, `${connections} connections`);
  }
  t.true(path.came() > 3 && path.came() <= 10, `${path.came()} came`);
});

judged('a server that has no room for more connections of a run goes on with one', async (t) => {
  const { work, served, access, server } = await setup(t, { args: ['--max-connections-per-key=3'] });
  const source = large(`${work}/source`);
  const path = await narrowPath(t, server.port);
  const url = urlAt(`127.0.0.1:${path.port}`, 'root', 'tree');
  const { profile } = await sync(`${source}/`, url, { ...access, transport: 'tcp', profile: true });
  t.is(profile?.ends[0]?.figures.connections, 1);
  t.is(path.came(), 2, 'what was refused is not asked for again');
  assertEqual(t, source, `${served}/tree`);
  await server.stop();
  t.notRegex(server.stderr(), /refused/, 'nobody was kept out');
});

judged('a run one of whose connections is lost ends, and the next attempt ends well', async (t) => {
  const { work, served, access, server } = await setup(t);
  const source = large(`${work}/source`);
  const url = (path: { port: number }): string => urlAt(`127.0.0.1:${path.port}`, 'root', 'tree');
  const breaks = { connection: 1, behind: 1 << 20 };
  const options = { ...access, transport: 'tcp' } as const;
  const lost = await failure(t, sync(`${source}/`, url(await narrowPath(t, server.port, breaks)), options), Error);
  t.like(lost, { code: 'ERR_SPARSYNC_CLOSED', retryable: true });
  const path = await narrowPath(t, server.port, breaks);
  await sync(`${source}/`, url(path), { ...options, retry: { attempts: 3, baseDelayMs: 1 } });
  assertEqual(t, source, `${served}/tree`);
});

/** What a sync by the command, run by `under`, says of its connection. */
async function connectedBy(
  t: ExecutionContext,
  user: Client,
  args: readonly string[],
  { state, under = [] }: { readonly state: string; readonly under?: readonly string[] },
): Promise<string> {
  const [first = '', ...rest] = [...under, process.execPath, program, '-a', '--json', '--retry=1', ...args];
  const ran = await start(t, first, rest, { env: { ...user.env, ...NO_PROXIES, SPARSYNC_STATE_DIR: state } }).ended;
  t.is(ran.code, 0, ran.stderr);
  const events = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Partial<ConnectedEvent>);
  const { transport = '', udp = '' } = events.find(({ type }) => type === 'connected') ?? {};
  return `${transport} ${udp}`.trim();
}

judged('where UDP is swallowed a sync goes over TCP, and the next one does not wait for UDP', async (t) => {
  const { work, served, server, client: user } = await setup(t);
  const source = tree(`${work}/source`);
  const port = await wall(t, server.port);
  const state = `${work}/remembered`;
  const by = (at: number, place = state): Promise<string> =>
    connectedBy(t, user, ['--pin', server.pin, `${source}/`, urlAt(`127.0.0.1:${at}`, 'root', 'tree')], {
      state: place,
    });
  t.is(await by(port), 'tcp silent');
  assertEqual(t, source, `${served}/tree`);
  t.is(readdirSync(`${state}/unanswered`).length, 1);
  t.is(await by(port), 'tcp silent-lately');
  // Of another port nothing is known, and without a place nothing is remembered.
  t.is(await by(await wall(t, server.port), '/proc/none'), 'tcp silent');
  t.false(existsSync('/proc/none'));
  t.is(await by(server.port), 'quic');
  t.is(readdirSync(`${state}/unanswered`).length, 1);
  const looks = (at: number): ReturnType<typeof cli> =>
    cli(t, user, ['doctor', '--pin', server.pin, urlAt(`127.0.0.1:${at}`)]);
  const doctor = await looks(port);
  t.is(doctor.code, 0, doctor.stdout);
  t.regex(doctor.stdout, /^ok +connection: .* by tcp \(UDP: silent\),/m);
  t.regex(doctor.stdout, /^warning +UDP: cannot connect .*no answer: runs go over TCP/m);
  t.regex(doctor.stdout, /^ok +TCP: gets through$/m);
  t.regex((await looks(server.port)).stdout, /^ok +UDP: gets through\nok +MTU: .*\nok +TCP: gets through$/m);
});

test('a packet of the handshake that is lost is no silence: QUIC is taken', async (t) => {
  const { work, access, server } = await setup(t);
  const source = tree(`${work}/source`);
  const port = await forgetfulPort(t, server.port);
  const { connected, result } = await told(sync(`${source}/`, urlAt(`127.0.0.1:${port}`, 'root', 'tree'), access));
  t.is(result.transport, 'quic');
  t.is(connected.udp, undefined);
});

judgedWhere(canMount)('two machines between which a rule drops UDP sync over TCP', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { near, far, farAddress, ip, inside } = wired(t, 'spstcp', '10.213.9');
  const pin = await serveInside(t, inside(far), farAddress, { work, user });
  const source = tree(`${work}/source`);
  const by = (name: string): Promise<string> =>
    connectedBy(t, user, ['--pin', pin, `${source}/`, urlAt(farAddress, 'root', name)], {
      state: `${work}/remembered`,
      under: inside(near),
    });
  t.is(await by('open'), 'quic');
  ip(`-n ${far} rule add ipproto udp blackhole`);
  t.is(await by('blocked'), 'tcp silent');
  t.is(await by('again'), 'tcp silent-lately');
  for (const name of ['open', 'blocked', 'again']) assertEqual(t, source, `${work}/served/${name}`);
});

judged('a proxy leads to a server by its name, and only to those that are not excepted', async (t) => {
  const { work, served, server, client: user } = await setup(t);
  const source = tree(`${work}/source`);
  const proxy = await connectProxy(t, server.port, 'Aladdin:open sesame');
  const at = (credentials: string): string => `http://${credentials}127.0.0.1:${proxy.port}`;
  const args = ['-av', '--pin', server.pin, `${source}/`, urlAt('backup.example:7', 'root', 'tree')];
  const by = (env: Record<string, string>): ReturnType<typeof cli> =>
    cli(t, user, args, { env: { ...NO_PROXIES, ...env } });
  const led = await by({ HTTPS_PROXY: at('Aladdin:open%20sesame@') });
  t.is(led.code, 0, led.stderr);
  t.true(led.stderr.includes(`transport: tcp (backup.example:7 by the proxy 127.0.0.1:${proxy.port})`), led.stderr);
  assertEqual(t, source, `${served}/tree`);
  t.regex(proxy.asked[0] ?? '', /^CONNECT backup\.example:7 HTTP\/1\.1\r\nHost: backup\.example:7\r\n/);
  for (const credentials of ['', 'Aladdin:secret@']) {
    const refused = await by({ https_proxy: at(credentials) });
    t.is(refused.code, exit.usage, refused.stderr);
    t.regex(refused.stderr, new RegExp(`the proxy 127\\.0\\.0\\.1:${proxy.port} wants .*407`));
    t.notRegex(refused.stderr, /secret/);
  }
  const asked = proxy.asked.length;
  const excepted = await by({ HTTPS_PROXY: at(''), NO_PROXY: 'example' });
  // Nobody has that name; how long it takes to say so is the resolver's.
  t.true(excepted.code === exit.connect || excepted.code === exit.connectTimeout, excepted.stderr);
  t.is(proxy.asked.length, asked);
  const socks = await by({ HTTPS_PROXY: 'socks5://u:secret@127.0.0.1:1' });
  t.is(socks.code, exit.usage);
  t.regex(socks.stderr, /HTTPS_PROXY cannot be used/);
  t.notRegex(socks.stderr, /secret/);
});

const hasTinyproxy = spawnSync('tinyproxy', ['-v']).error === undefined;

judgedWhere(canMount && hasTinyproxy)(
  'a real proxy leads to a server that nothing else leads to (needs tinyproxy)',
  async (t) => {
    const work = workDir(t);
    const user = client(work);
    const { near, far, farAddress, inside } = wired(t, 'spstpx', '10.213.13');
    // The name has an address where the proxy is, and there alone.
    const names = `/etc/netns/${far}`;
    mkdirSync(names, { recursive: true });
    t.teardown(() => rmSync(names, { recursive: true }));
    writeFileSync(`${names}/hosts`, '127.0.0.1 localhost backup.example\n');
    const pin = await serveInside(t, inside(far), '127.0.0.1', { work, user });
    const settings = [
      `Listen ${farAddress}`,
      'Port 8888',
      'ConnectPort 28792',
      'BasicAuth Aladdin sesame',
      'LogLevel Info',
      `LogFile "${work}/proxy.log"`,
    ];
    writeFileSync(`${work}/tinyproxy.conf`, `${settings.join('\n')}\n`);
    const [first = '', ...rest] = inside(far);
    const proxy = start(t, first, [...rest, 'tinyproxy', '-d', '-c', `${work}/tinyproxy.conf`]);
    const said = (): string => (existsSync(`${work}/proxy.log`) ? readFileSync(`${work}/proxy.log`, 'utf8') : '');
    await until('the proxy', () => said().includes('Accepting connections') || proxy.over());
    const source = tree(`${work}/source`);
    const by = (credentials: string, to: string): Promise<Ended> => {
      const [command, ...words] = [...inside(near), process.execPath, program, '-av', '--pin', pin, `${source}/`, to];
      const env = { ...user.env, ...NO_PROXIES, HTTPS_PROXY: `http://${credentials}${farAddress}:8888` };
      return start(t, command, words, { env }).ended;
    };
    const led = await by('Aladdin:sesame@', urlAt('backup.example', 'root', 'tree'));
    t.is(led.code, 0, led.stderr);
    t.true(led.stderr.includes(`transport: tcp (backup.example:28792 by the proxy ${farAddress}:8888)`), led.stderr);
    assertEqual(t, source, `${work}/served/tree`);
    t.regex(said(), /CONNECT backup\.example:28792 HTTP\/1\.1/);
    const missing = await by('', urlAt('backup.example', 'root', 'tree'));
    t.is(missing.code, exit.usage, missing.stderr);
    t.regex(missing.stderr, /wants .*407/);
    const unknown = await by('Aladdin:secret@', urlAt('backup.example', 'root', 'tree'));
    t.is(unknown.code, exit.usage, unknown.stderr);
    t.regex(unknown.stderr, /wants another user or password \(401\)/);
    t.notRegex(unknown.stderr, /secret/);
    // What the proxy does not lead to: another port, and a host that it does not know.
    for (const place of ['backup.example:9', 'nowhere.invalid']) {
      const refused = await by('Aladdin:sesame@', urlAt(place, 'root'));
      t.true([exit.connect, exit.connectTimeout].includes(refused.code as never), `${place}: ${refused.stderr}`);
      t.true(refused.stderr.includes(`${farAddress}:8888`), refused.stderr);
    }
  },
);
