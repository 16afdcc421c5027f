// `sparsync doctor`: a line for each thing that a run needs, right and wrong, and an exit code that a run bears out.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createServer } from 'node:tls';

import test, { type ExecutionContext } from 'ava';

import { connect, issueCredential, serve } from '../dist/index.js';
import { cli, exit } from './helpers/cli.js';
import { judgedWhere } from './helpers/judge.js';
import { wired } from './helpers/networks.js';
import { becoming, canBecome } from './helpers/plain-user.js';
import { type RunOptions, start, until } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { accessOf, canMount, mountTmpfs, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';

interface Look {
  readonly code: number | null;
  /** State and message by check. */
  readonly found: Readonly<Record<string, string>>;
}

type LookOptions = RunOptions & { readonly under?: readonly string[] };

/** What `doctor` says, and that whatever is not well comes with what helps. */
async function look(
  t: ExecutionContext,
  user: Pick<RunOptions, 'env'>,
  args: readonly string[],
  { under = [], env, ...options }: LookOptions = {},
): Promise<Look> {
  const [first = '', ...rest] = [...under, process.execPath, program, 'doctor', '--json', ...args];
  const ended = await start(t, first, rest, { ...options, env: { ...user.env, ...env } }).ended;
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  const findings = lines.map((line) => JSON.parse(line) as Record<'check' | 'state' | 'message' | 'fix', string>);
  for (const { state, check, message, fix } of findings)
    t.is(state === 'ok', fix === undefined, `${check}: ${message}`);
  const found = Object.fromEntries(findings.map(({ check, state, message }) => [check, `${state} ${message}`]));
  t.is(Object.keys(found).length, findings.length, 'a line for each');
  t.is(ended.code, findings.some(({ state }) => state === 'problem') ? exit.usage : exit.ok, ended.stdout);
  return { code: ended.code, found };
}

function source(work: string): string {
  const folder = dir(work, 'source');
  writeFileSync(`${folder}/file`, 'content');
  return `${folder}/`;
}

test('a line for each thing that a run needs, with a URL for the way there as well', async (t) => {
  const { client: user, url } = await setup(t);
  const { code, found } = await look(t, user, [url()]);
  t.is(code, exit.ok);
  for (const [check, expected] of Object.entries({
    node: /Node\.js \d/,
    'native core': /version \d/,
    clock: /^ok \d{4}-/,
    key: /ed25519:/,
    known_hosts: /known_hosts$/,
    authorized_keys: /not there yet/,
    configuration: /config$/,
    state: /state$/,
    'socket buffers': /at most|does not tell/,
    'file limit': /open files/,
    'free space': /B for /,
    names: /^ok 127\.0\.0\.1 is 127\.0\.0\.1$/,
    IPv4: /^ok 127\.0\.0\.1 answers$/,
    IPv6: /^ok the server has no such address$/,
    UDP: /^ok gets through$/,
    MTU: /^ok datagrams of 1200 bytes/,
    TCP: /^ok gets through$/,
    connection: /by quic, round trip [\d.]+ ms$/,
    versions: /in common$/,
    'server key': /^ok ed25519:/,
    scope: /^ok a push and a pull would work$/,
  })) {
    t.regex(found[check] ?? '', expected, check);
  }
  const text = await cli(t, user, ['doctor', url()]);
  t.regex(text.stdout, /^ok +UDP: gets through$/m);
  for (const words of [[url(), 'a', 'b'], ['folder']])
    t.is((await cli(t, user, ['doctor', ...words])).code, exit.usage);
});

test('what a key may do decides as it does for a sync of the same ends', async (t) => {
  const work = workDir(t);
  const from = source(work);
  const grants = ['read', 'write', 'append', 'read,write', ''];
  const users = grants.map((_, index) => client(work, `user${index}`));
  const served = dir(work, 'served');
  for (const each of ['in', 'out']) mkdirSync(`${served}/${each}`);
  writeFileSync(`${served}/in/there`, 'there');
  const server = await startServer(t, {
    home: work,
    roots: { root: served },
    allow: [
      ...users.slice(0, 4).map(({ publicKey }, index) => `u${index} ${publicKey} root=root/in allow=${grants[index]}`),
      `u4 ${users[4]?.publicKey} root=root/in expires=2026-01-02`,
    ],
  });
  const said: string[] = [];
  for (const [index, user] of users.entries()) {
    user.trust(server.port, server.pin);
    // Where nobody gets in, one who may read and write finds out as everybody does.
    const places = index === 3 ? ['in/new', 'in/no/where', 'out'] : ['in/new'];
    for (const place of places) {
      const isOpen = place === 'in/new';
      const push = [from, server.url('root', place)];
      const pull = [`${server.url('root', isOpen ? 'in' : place)}/`, `${work}/back-${index}`];
      const looks = await Promise.all([push, pull].map((ends) => look(t, user, ends)));
      const runs: (number | null)[] = [];
      for (const ends of [push, pull]) runs.push((await cli(t, user, ['-rt', ...ends])).code);
      const expected = runs.map((code) => (code === exit.ok ? exit.ok : exit.usage));
      t.deepEqual(
        looks.map(({ code }) => code),
        expected,
        `${grants[index]}: ${place}`,
      );
      const alone = await look(t, user, [server.url('root', isOpen ? 'in' : place)]);
      t.is(alone.code, expected.includes(exit.ok) ? exit.ok : exit.usage, alone.found['scope']);
      if (isOpen) said.push((alone.found['scope'] ?? alone.found['access'] ?? '').replaceAll('"', ''));
    }
  }
  t.deepEqual(said, [
    'ok a pull would work; no push: the key u0 may not write (in)',
    'ok a push would work; no pull: the key u1 may not read (in)',
    'ok a push would work; no pull: the key u2 may not read (in)',
    'ok a push and a pull would work',
    said[4] ?? '',
  ]);
  t.regex(said[4] ?? '', /^problem ERR_SPARSYNC_UNAUTHORIZED: .*(?:ended|over|expired)/);
  const roots = await look(t, users[0] ?? client(work), [server.url()]);
  t.is(roots.found['scope'], 'ok this key sees the roots root');
});

test('another key of the server, one that it does not know, and a missing source are problems', async (t) => {
  const { work, client: user, server, url } = await setup(t);
  const other = client(work, 'other');
  const unknown = await look(t, other, [url()]);
  t.regex(unknown.found['server key'] ?? '', /^problem ERR_SPARSYNC_UNKNOWN_HOST/);
  // What is in the way of trust is not in the way of packets.
  t.is(unknown.found['UDP'], 'ok gets through');
  const changed = await look(t, user, ['--pin', other.publicKey, url()]);
  t.regex(changed.found['server key'] ?? '', /^problem ERR_SPARSYNC_HOST_KEY_CHANGED/);
  const stranger = await look(t, other, ['--pin', server.pin, url()]);
  t.regex(stranger.found['access'] ?? '', /^problem ERR_SPARSYNC_UNAUTHORIZED/);
  const missing = await look(t, user, [`${work}/none/`, url()]);
  t.regex(missing.found['sync'] ?? '', /^problem ERR_SPARSYNC_NOT_FOUND/);
  t.is((await look(t, user, [source(work), url()])).code, exit.ok);
  t.is((await look(t, user, [source(work), `${work}/copy`])).code, exit.ok, 'both on this machine');
});

test('one connection of a key is enough, and a server that is full is no firewall', async (t) => {
  const { server, client: user, url, work } = await setup(t, { args: ['--max-connections-per-key', '1'] });
  const ends = [source(work), url('one')];
  for (const words of [[url('one')], [url()], ends, [...ends, '--transport=tcp']]) {
    const { code, found } = await look(t, user, words);
    t.is(code, exit.ok, JSON.stringify(found));
  }
  t.is((await cli(t, user, ['-rt', ...ends])).code, exit.ok);
  const held = await connect(url(), accessOf(user, server));
  const full = await look(t, user, [url('one')]);
  t.is(full.code, exit.usage);
  t.regex(
    full.found['server limits'] ?? '',
    /^problem ERR_SPARSYNC_CONNECT: .*no room for another connection of this key/,
  );
  for (const check of ['IPv4', 'UDP', 'TCP']) t.regex(full.found[check] ?? '', /^ok /, check);
  const run = await cli(t, user, ['-rt', ...ends]);
  t.is(run.code, exit.connect);
  const told = await cli(t, user, ['doctor', url('one')]);
  for (const text of [run.stderr, told.stdout]) {
    t.regex(text, /run it again later; --retry NUM does so by itself/);
    t.notRegex(text, /firewall/);
  }
  await held.close();
});

const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'));

(hasIpv6 ? test : test.skip)('an IPv6 address is looked at as one (needs IPv6)', async (t) => {
  const { work, client: user } = await setup(t);
  const by = {
    roots: { root: dir(work, 'six') },
    allow: [`me ${user.publicKey}`],
    identity: { keyPath: `${work}/six.pem` },
  };
  const server = await serve({ ...by, listen: '[::1]:0' });
  t.teardown(() => server.close({ graceMs: 0 }));
  const at = (host: string): string => urlAt(`${host}:${server.port}`, 'root', 'new');
  const { code, found } = await look(t, user, ['--pin', server.publicKey, at('[::1]')]);
  t.is(code, exit.ok, JSON.stringify(found));
  t.deepEqual(
    [found['names'], found['IPv6'], found['IPv4']],
    ['ok ::1 is ::1', 'ok ::1 answers', 'ok the server has no such address'],
  );
  const other = await look(t, user, ['--pin', server.publicKey, '-4', at('[::1]')]);
  t.is(other.code, exit.usage, 'no run goes there over IPv4');
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

(hasOpenssl ? test : test.skip)('an end of another version is told as one (needs openssl)', async (t) => {
  const work = workDir(t);
  const [key, cert] = [`${work}/other.key`, `${work}/other.crt`];
  const made = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=other'];
  t.is(spawnSync('openssl', made).status, 0);
  const by = { key: readFileSync(key), cert: readFileSync(cert), ALPNProtocols: ['sparsync/2'] };
  const other = createServer(by).listen(0, '127.0.0.1');
  other.on('tlsClientError', () => undefined);
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const user = client(work);
  const at = ['--transport=tcp', '--pin', user.publicKey, urlAt(`127.0.0.1:${port}`, 'root')];
  const { code, found } = await look(t, user, at);
  t.is(code, exit.usage);
  t.regex(found['versions'] ?? '', /^problem ERR_SPARSYNC_VERSION: /, JSON.stringify(found));
  t.is(found['TCP'], 'ok gets through');
  t.is((await cli(t, user, ['-rt', ...at, `${work}/back`])).code, exit.version);
});

test('names that nobody has, ports on which nobody listens', async (t) => {
  const user = client(workDir(t));
  const unresolved = await look(t, user, [urlAt('none.invalid', 'root')]);
  t.regex(unresolved.found['names'] ?? '', /^problem none\.invalid has no address: /);
  t.is(unresolved.found['UDP'], undefined, 'there was nothing to send to');
  const closed = await look(t, user, [urlAt('127.0.0.1:9', 'root')]);
  for (const check of ['IPv4', 'UDP', 'TCP', 'connection']) t.regex(closed.found[check] ?? '', /^problem /, check);
  t.is(closed.found['names'], 'ok 127.0.0.1 is 127.0.0.1');
});

// Alone, for it looks at the whole environment of a machine without a home.
test.serial('a credential is a key, also where no folder can be written, and so is standard input', async (t) => {
  const { work, client: user, server, url } = await setup(t);
  const keys = `${work}/server.config/authorized_keys`;
  const issue = (expires?: Date) =>
    issueCredential('ci', `127.0.0.1:${server.port}`, {
      authorizedKeysPath: keys,
      keyPath: `${work}/server.config/key.pem`,
      roots: ['root'],
      ...(expires === undefined ? {} : { expires }),
    });
  const { credential } = await issue();
  const bare = { SPARSYNC_CONFIG_DIR: '/dev/null/none', SPARSYNC_STATE_DIR: '/dev/null/none', HOME: undefined };
  const homeless = { env: bare };
  // The server takes note of a key within a second of its asking.
  const works = { ...homeless, env: { ...bare, SPARSYNC_CREDENTIAL: credential } };
  const none = await look(t, homeless, []);
  t.regex(none.found['key'] ?? '', /^problem .*\/dev\/null\/none/);
  const given = await look(t, works, [url()]);
  t.is(given.code, exit.ok, JSON.stringify(given.found));
  t.regex(given.found['key'] ?? '', /^ok ed25519:\S+ for 127\.0\.0\.1:\d+ \(SPARSYNC_CREDENTIAL\)$/);
  t.regex(given.found['configuration'] ?? '', /^warning /);
  t.regex(given.found['state'] ?? '', /^warning /);
  t.is((await cli(t, user, ['-rt', source(work), url('ci')], works)).code, exit.ok);
  const foreign = await look(t, works, [urlAt('127.0.0.1:9', 'root')]);
  t.regex(foreign.found['connection'] ?? '', /^problem ERR_SPARSYNC_CONFIG: SPARSYNC_CREDENTIAL is for /);
  const broken = await look(t, { env: { ...bare, SPARSYNC_CREDENTIAL: 'x' } }, []);
  t.regex(broken.found['key'] ?? '', /^problem SPARSYNC_CREDENTIAL is not a credential/);
  const short = await issue(new Date(Date.now() + 60_000));
  const fields = Buffer.from(short.credential.replace(/^.*\./, ''), 'base64url').toString();
  const past = Buffer.from(fields.replace(/expires=[^" ]+/, 'expires=2026-01-02')).toString('base64url');
  const ended = await look(t, { env: { ...bare, SPARSYNC_CREDENTIAL: `sparsync-credential-1.${past}` } }, []);
  t.regex(ended.found['key'] ?? '', /^problem .* has ended at 2026-01-02$/);
  const pem = readFileSync(user.keyPath, 'utf8');
  const stdin = await look(t, homeless, ['--identity', '-', '--pin', server.pin, url()], { input: pem });
  t.is(stdin.code, exit.ok);
  t.regex(stdin.found['key'] ?? '', /^ok ed25519:\S+ \(--identity\)$/);
  t.is((await cli(t, user, ['doctor', '--identity', '-'], { input: 'nothing' })).code, exit.usage);
});

test('files that others may use or change', async (t) => {
  const { client: user, url } = await setup(t);
  const [key, hosts, keys] = ['key.pem', 'known_hosts', 'authorized_keys'].map((name) => `${user.configDir}/${name}`);
  writeFileSync(keys ?? '', '');
  chmodSync(keys ?? '', 0o666);
  const served = await look(t, user, [url()]);
  t.is(served.code, exit.ok, 'it is for a server');
  t.regex(served.found['authorized_keys'] ?? '', /^warning .*can be changed by others \(mode 666\)/);
  chmodSync(hosts ?? '', 0o666);
  const pins = await look(t, user, [url()]);
  t.is(pins.code, exit.ok, 'a run takes it');
  t.regex(pins.found['known_hosts'] ?? '', /^warning .*can be changed by others/);
  chmodSync(hosts ?? '', 0o600);
  chmodSync(key ?? '', 0o644);
  t.regex((await look(t, user, [])).found['key'] ?? '', /^problem .*can be used by others \(mode 644\)/);
  t.is((await look(t, user, [url()])).code, exit.usage);
  writeFileSync(key ?? '', 'no key');
  chmodSync(key ?? '', 0o600);
  t.regex((await look(t, user, [])).found['key'] ?? '', /^problem /);
});

test('pinned keys that others may write are told in their line, and nowhere else', async (t) => {
  const { client: user, url } = await setup(t);
  chmodSync(`${user.configDir}/known_hosts`, 0o602);
  const ended = await cli(t, user, ['doctor', url()]);
  t.is(ended.code, exit.ok);
  t.is(ended.stderr, '');
  t.is(ended.stdout.split('known_hosts can be changed by others').length, 2, ended.stdout);
});

test('few open files are a problem when no run can do with them', async (t) => {
  const { work, client: user, url } = await setup(t);
  const limited = (files: number): LookOptions => ({ under: ['sh', '-c', `ulimit -n ${files}; exec "$@"`, 'sh'] });
  const few = await look(t, user, [], limited(28));
  t.is(few.found['file limit'], 'problem 28 open files may be too few for a run');
  const some = await look(t, user, [source(work), url('few')], limited(64));
  t.is(some.code, exit.ok);
  t.is(some.found['file limit'], 'warning 64 open files may be too few for a run');
});

judgedWhere(canBecome)('buffers that a user may not enlarge are told by the limit of the system', async (t) => {
  const user = client(workDir(t));
  const limit = Number(spawnSync('sysctl', ['-n', 'net.core.rmem_max'], { encoding: 'utf8' }).stdout || Number.NaN);
  const under = ['setpriv', ...becoming(65_534)];
  const found = (await look(t, user, [], { under })).found['socket buffers'] ?? '';
  t.regex(found, Number.isNaN(limit) ? /^ok/ : limit < 1 << 20 ? /^warning at most .* get lost/ : /^ok at most [^,]+$/);
});

judgedWhere(canMount)('a full file system at the destination is a problem', async (t) => {
  const { work, client: user, url, served } = await setup(t);
  writeFileSync(`${served}/file`, 'content');
  const full = `${work}/full`;
  t.true(mountTmpfs(t, full, 'size=16k'));
  const pull = [`${url()}/`, `${full}/to`];
  t.is((await look(t, user, pull)).code, exit.ok);
  writeFileSync(`${full}/filler`, Buffer.alloc(16 << 10));
  t.regex((await look(t, user, pull)).found['destination'] ?? '', /^problem 0 for /);
  t.is((await cli(t, user, ['-rt', ...pull])).code, exit.io);
});

const hasFaketime = spawnSync('faketime', ['--version']).error === undefined;

(hasFaketime ? test : test.skip)('a clock that lost its time (needs faketime)', async (t) => {
  const user = client(workDir(t));
  for (const when of ['2001-01-01', '2150-01-01']) {
    const { found } = await look(t, user, [], { under: ['faketime', `${when} 00:00:00`] });
    t.regex(found['clock'] ?? '', /^problem 2/, when);
  }
});

judgedWhere(canMount)('UDP, TCP and large packets that do not pass between two machines', async (t) => {
  const work = workDir(t);
  const user = client(work);
  const { near, far, farAddress, ip, inside } = wired(t, 'spsdoc', '10.213.11');
  const [first = '', ...rest] = inside(far);
  const serves = [...rest, process.execPath, program, 'serve', '--listen', `${farAddress}:28792`, '--allow'];
  const server = start(t, first, [...serves, `me ${user.publicKey}`, '--root', `root=${dir(work, 'served')}`], {
    env: { SPARSYNC_CONFIG_DIR: `${work}/server.config`, SPARSYNC_STATE_DIR: `${work}/server.state` },
  });
  await until('the server', () => /ed25519:\S+/.test(server.stdout()) || server.over());
  const pin = /ed25519:[^\s,;]+/.exec(server.stdout())?.[0].replace(/\.$/, '') ?? '';
  const looks = (seconds = 2): Promise<Look> =>
    look(t, user, [`--contimeout=${seconds}`, '--pin', pin, urlAt(farAddress, 'root')], { under: inside(near) });
  const open = await looks();
  t.is(open.code, exit.ok, JSON.stringify(open.found));
  t.is(open.found['IPv4'], `ok ${farAddress} answers`);
  ip(`-n ${far} rule add ipproto udp blackhole`);
  const blocked = await looks();
  t.is(blocked.code, exit.ok);
  t.regex(blocked.found['UDP'] ?? '', /^warning .*runs go over TCP/);
  t.is(blocked.found['TCP'], 'ok gets through');
  t.regex(blocked.found['connection'] ?? '', /by tcp \(UDP: silent/);
  ip(`-n ${far} rule del ipproto udp`);
  ip(`-n ${near} link set sp0 mtu 1100`);
  ip(`-n ${far} link set sp1 mtu 1100`);
  // The path is looked at where a handshake got no answer.
  const narrow = await looks(8);
  t.is(narrow.code, exit.ok);
  t.regex(narrow.found['MTU'] ?? '', /^warning .*the MTU on the way/, JSON.stringify(narrow.found));
  ip(`-n ${far} link set sp1 down`);
  const gone = await looks();
  t.is(gone.code, exit.usage);
  for (const check of ['IPv4', 'UDP', 'TCP', 'connection']) t.regex(gone.found[check] ?? '', /^problem /, check);
});
