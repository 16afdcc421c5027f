// What is tried against first contact, and that nobody gets in by it: each attack is refused for its reason, and leaves the
// keys of the server, its tree and the victim's pins as they were.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as dialTcp } from 'node:net';

import test, { type ExecutionContext } from 'ava';

import {
  AccessError,
  ConfigError,
  HostKeyError,
  LimitError,
  SparsyncError,
  connect,
  invite,
  issueCredential,
  join,
  revokeKey,
  serve,
  sync,
} from '../dist/index.js';
import type { Server, ServerEvent } from '../dist/index.js';
import { certify } from './helpers/certified.js';
import { wall } from './helpers/front.js';
import { until } from './helpers/process.js';
import { Relay } from './helpers/relay.js';
import { failure } from './helpers/setup.js';
import { guest, type Site, site, source } from './helpers/site.js';
import { dir } from './helpers/temp.js';
import { urlAt } from './helpers/url.js';
import { names } from './helpers/walk.js';

/** What an attack is tried on: a server with one client, who has joined. */
interface Scene extends Site {
  readonly alice: ReturnType<typeof guest>;
  /** The invitation by which she has. */
  readonly spent: string;
  /** What she connects with. */
  readonly access: { readonly identity: { readonly keyPath: string }; readonly trust: { readonly knownHosts: string } };
}

async function scene(t: ExecutionContext): Promise<Scene> {
  const place = await site(t);
  const { work, address, options, served } = place;
  const alice = guest(work, 'alice');
  const { invitation } = await invite('alice', { ...options, roots: ['root/alice'] });
  await join(address, invitation, alice);
  mkdirSync(`${served}/alice`);
  writeFileSync(`${served}/alice/hers`, 'hers');
  writeFileSync(`${served}/others`, 'of others');
  const access = { identity: alice.identity, trust: { knownHosts: alice.knownHosts } };
  return { ...place, alice, spent: invitation, access };
}

/** Another server where the first is expected, with a key of its own, and all that is done there. */
async function impostor(t: ExecutionContext, { work }: Site): Promise<{ server: Server; heard: ServerEvent[] }> {
  const heard: ServerEvent[] = [];
  const server = await serve({
    roots: { root: dir(work, 'impostor') },
    identity: { keyPath: `${work}/impostor.pem` },
    authorizedKeysPath: `${work}/impostor.keys`,
    log: (event) => heard.push(event),
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  return { server, heard };
}

/** Asserts that no client did more at an impostor's than to break a handshake off. */
async function heardNothing(
  t: ExecutionContext,
  { server, heard }: Awaited<ReturnType<typeof impostor>>,
): Promise<void> {
  await server.close();
  t.deepEqual(
    heard.filter((event) => event.type !== 'refused' || event.operation !== undefined),
    [],
  );
}

/** Asserts that nobody joins so, and learns no more than that. */
async function isRefused(t: ExecutionContext, { work, address }: Site, invitation: string): Promise<string> {
  const thief = guest(work, 'thief');
  const refused = await failure(t, join(address, invitation, thief), AccessError);
  t.is(refused.code, 'ERR_SPARSYNC_UNAUTHORIZED');
  t.false(existsSync(thief.knownHosts));
  return refused.message;
}

function guessOf(invitation: string): string {
  const bytes = Buffer.from(invitation.replace(/^.*\./, ''), 'base64url');
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  return `sparsync-invite-1.${bytes.toString('base64url')}`;
}

/** An invitation that has ended. */
async function late({ keys, options }: Site): Promise<string> {
  const { invitation } = await invite('late', options);
  const path = `${keys}.invitations`;
  writeFileSync(path, readFileSync(path, 'utf8').replace(/until=\S+/, 'until=2026-01-01'), { mode: 0o600 });
  return invitation;
}

/** The attacks, each of which asserts how it is refused. */
const ATTACKS: Readonly<Record<string, (t: ExecutionContext, scene: Scene) => Promise<void>>> = {
  'an invitation that was stolen after its use': async (t, at) => {
    await isRefused(t, at, at.spent);
  },

  'an invitation that is used again by who used it': async (t, { address, spent, alice }) => {
    await failure(t, join(address, spent, alice), AccessError);
  },

  'the bytes of a joining, recorded on the way and sent again': async (t, at) => {
    const { server, work, options, keys, events } = at;
    const sent: Buffer[] = [];
    const port = await wall(t, server.port, (data) => {
      sent.push(data);
      return data;
    });
    const { invitation } = await invite('bob', options);
    await join(`127.0.0.1:${port}`, invitation, guest(work, 'bob'));
    t.true(sent.length > 1);
    const joined = (): number => events.filter(({ type }) => type === 'joined').length;
    await until('the log', () => joined() === 2);
    const before = readFileSync(keys, 'utf8');
    const socket = dialTcp(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const ended = new Promise((done) => void socket.once('close', done));
    socket.resume().end(Buffer.concat(sent));
    await ended;
    t.deepEqual([joined(), readFileSync(keys, 'utf8')], [2, before]);
    await revokeKey('bob', { authorizedKeysPath: keys });
  },

  'an invitation that has ended': async (t, at) => {
    await isRefused(t, at, await late(at));
  },

  'a guessed invitation, which is refused in the same words as a used and a late one': async (t, at) => {
    const messages = [at.spent, await late(at), guessOf(at.spent)].map((each) => () => isRefused(t, at, each));
    const said = new Set<string>();
    for (const refused of messages) said.add(await refused());
    t.is(said.size, 1);
  },

  'guessing, until even a good invitation has to wait': async (t, at) => {
    const { work, address, options, events } = at;
    // The one by which alice came counts as well.
    for (let guess = 0; guess < 4; guess += 1) await isRefused(t, at, guessOf(at.spent));
    const good = await invite('good', options);
    await failure(t, join(address, good.invitation, guest(work, 'good')), LimitError);
    await until('the log', () => events.filter(({ type }) => type === 'refused').length === 5);
    t.like(
      events.findLast(({ type }) => type === 'refused'),
      { operation: 'join', code: 'ERR_SPARSYNC_LIMIT' },
    );
  },

  'another key of somebody in between, at the first contact': async (t, at) => {
    const { work, address, server, options, keys } = at;
    const { invitation } = await invite('bob', options);
    const between = await impostor(t, at);
    const bob = guest(work, 'bob');
    const swapped = await failure(t, join(`127.0.0.1:${between.server.port}`, invitation, bob), HostKeyError);
    t.is(swapped.code, 'ERR_SPARSYNC_HOST_KEY_CHANGED');
    t.is(swapped.expected, server.publicKey);
    t.false(swapped.message.includes(invitation.slice(-22)), 'who is in between learns nothing of it');
    await heardNothing(t, between);
    t.false(existsSync(bob.knownHosts));
    // It was not used up.
    await join(address, invitation, bob);
    await revokeKey('bob', { authorizedKeysPath: keys });
  },

  'another key of somebody in between, later (CVE-2026-70454)': async (t, at) => {
    const { access, work, alice, server } = at;
    const between = await impostor(t, at);
    const there = `127.0.0.1:${between.server.port}`;
    writeFileSync(alice.knownHosts, `${there} ${server.publicKey}\n`, { mode: 0o600 });
    const theirs = urlAt(there, 'root', 'alice');
    for (const run of [sync(source(work), theirs, access), sync(theirs, `${work}/back`, access)]) {
      const swapped = await failure(t, run, HostKeyError);
      t.is(swapped.code, 'ERR_SPARSYNC_HOST_KEY_CHANGED');
      t.is(swapped.path, alice.knownHosts);
    }
    await heardNothing(t, between);
    t.deepEqual(names(`${work}/impostor`), []);
    t.is(readFileSync(alice.knownHosts, 'utf8'), `${there} ${server.publicKey}\n`);
  },

  'a pin that somebody has planted before, which no invitation overrules': async (t, at) => {
    const { work, address, options } = at;
    const { server: other } = await impostor(t, at);
    const { invitation } = await invite('bob', options);
    const bob = guest(work, 'bob');
    dir(work, 'bob');
    writeFileSync(bob.knownHosts, `${address} ${other.publicKey}\n`, { mode: 0o600 });
    const pinned = await failure(t, join(address, invitation, bob), HostKeyError);
    t.is(pinned.path, bob.knownHosts);
    t.is(readFileSync(bob.knownHosts, 'utf8'), `${address} ${other.publicKey}\n`);
  },

  'an invitation of another server': async (t, at) => {
    const { work, address } = at;
    const other = await impostor(t, at);
    const ours = { authorizedKeysPath: `${work}/impostor.keys`, keyPath: `${work}/impostor.pem` };
    const { invitation } = await invite('bob', ours);
    const foreign = await failure(t, join(address, invitation, guest(work, 'bob')), HostKeyError);
    t.is(foreign.expected, other.server.publicKey);
  },

  'a key that nobody has let in, under the name of one that is': async (t, { work, address, server }) => {
    const trust = { pin: server.publicKey };
    const identity = guest(work, 'mallory').identity;
    await failure(t, connect(urlAt(address, 'root', 'alice'), { identity, trust }), AccessError);
  },

  'a client that leaves the prefix of its invitation': async (t, { work, address, access }) => {
    const beyond = [
      sync(source(work), urlAt(address, 'root', 'bob'), access),
      sync(source(work), urlAt(address, 'root'), { ...access, delete: true }),
      sync(urlAt(address, 'root'), `${work}/back`, access),
      sync(urlAt(address, 'root', 'others'), `${work}/back`, access),
    ];
    for (const each of beyond) t.is((await failure(t, each, AccessError)).code, 'ERR_SPARSYNC_SCOPE');
  },

  'a credential out of its scope': async (t, at) => {
    const { work, address, keys } = at;
    await withCredential(at, { roots: ['root/web'], operations: ['write'] }, async () => {
      await failure(t, sync(source(work), urlAt(address, 'root', 'alice')), AccessError);
      await failure(t, sync(urlAt(address, 'root', 'web'), `${work}/back`), AccessError, 'it may not read');
    });
    await revokeKey('ci', { authorizedKeysPath: keys });
  },

  'a credential after its time': async (t, at) => {
    const { address, keys, server } = at;
    await withCredential(at, {}, async () => {
      const lines = readFileSync(keys, 'utf8');
      writeFileSync(keys, `${lines.trimEnd()} expires=2026-01-02\n`, { mode: 0o600 });
      server.reload();
      const over = await failure(t, connect(urlAt(address, 'root')), AccessError);
      t.regex(over.message, /has expired/);
    });
    await revokeKey('ci', { authorizedKeysPath: keys });
  },

  'a credential at another host, which hears nothing of it': async (t, at) => {
    const other = await impostor(t, at);
    await withCredential(at, {}, async () => {
      await failure(t, connect(urlAt(`127.0.0.1:${other.server.port}`, 'root')), ConfigError);
    });
    await heardNothing(t, other);
    await revokeKey('ci', { authorizedKeysPath: at.keys });
  },

  'a key that is revoked while its transfer runs': async (t, at) => {
    const { work, server, served, access, keys } = at;
    const large = dir(work, 'large');
    writeFileSync(`${large}/large`, certify('large', 1, 32 << 20));
    await using relay = await Relay.start({ to: server.port });
    // Left alone it would take half a minute.
    const slowly = { ...access, trust: { pin: server.publicKey }, bwlimit: 1 << 20 };
    const push = sync(large, relay.url('root', 'alice', 'new'), slowly);
    await relay.passed('up', 1 << 20);
    const line = readFileSync(keys, 'utf8');
    await revokeKey('alice', { authorizedKeysPath: keys });
    t.is((await failure(t, Promise.resolve(push), AccessError)).code, 'ERR_SPARSYNC_UNAUTHORIZED');
    await until('the end of its connection', () => server.stats()['connections_active'] === 0, 5000);
    t.false(existsSync(`${served}/alice/new/large`));
    // What had arrived is kept for a next run, which is not let in.
    rmSync(`${served}/alice/new`, { recursive: true });
    writeFileSync(keys, line, { mode: 0o600 });
  },

  'a version that does not exist, written over the real one on the way': async (t, at) => {
    const { server, work, access } = at;
    let changed = 0;
    const port = await wall(t, server.port, (data) => {
      const offset = data.indexOf('sparsync/1');
      if (offset < 0) return data;
      changed += 1;
      data.write('sparsync/0', offset, 'latin1');
      return data;
    });
    const trust = { pin: server.publicKey };
    const push = sync(source(work), urlAt(`127.0.0.1:${port}`, 'root', 'alice', 'new'), {
      ...access,
      trust,
      transport: 'tcp',
    });
    const refused = await failure(t, push, SparsyncError);
    t.true(changed > 0);
    // Both ends sign what each of them has seen of the handshake.
    t.is(refused.code, 'ERR_SPARSYNC_PROTOCOL', refused.message);
  },

  'UDP that is swallowed, so that TCP leads to somebody else': async (t, at) => {
    const { server, work, access } = at;
    const between = await impostor(t, at);
    const port = await wall(t, between.server.port);
    const trust = { pin: server.publicKey };
    const push = sync(source(work), urlAt(`127.0.0.1:${port}`, 'root', 'alice'), { ...access, trust });
    t.is((await failure(t, push, HostKeyError)).code, 'ERR_SPARSYNC_HOST_KEY_CHANGED');
    await heardNothing(t, between);
  },

  'UDP that is swallowed, and TCP whose bytes are changed': async (t, at) => {
    const { server, work, access } = at;
    let records = 0;
    // The third record and what follows are encrypted: one bit of each.
    const port = await wall(t, server.port, (data) => {
      records += 1;
      const last = data.length - 1;
      if (records > 2) data[last] = (data[last] ?? 0) ^ 1;
      return data;
    });
    const trust = { pin: server.publicKey };
    const to = urlAt(`127.0.0.1:${port}`, 'root', 'alice', 'new');
    const broken = await failure(t, sync(source(work), to, { ...access, trust }), SparsyncError);
    t.is(broken.code, 'ERR_SPARSYNC_PROTOCOL');
    t.true(records > 2);
  },
};

/** Runs something with a credential in the environment of this process. */
async function withCredential(
  { address, options, server }: Site,
  scope: { readonly roots?: string[]; readonly operations?: 'write'[] },
  work: () => Promise<void>,
): Promise<void> {
  const { credential } = await issueCredential('ci', address, { ...options, ...scope });
  server.reload();
  process.env['SPARSYNC_CREDENTIAL'] = credential;
  try {
    await work();
  } finally {
    delete process.env['SPARSYNC_CREDENTIAL'];
  }
}

for (const [name, attack] of Object.entries(ATTACKS)) {
  // One after the other, because a credential is in the environment of this process.
  test.serial(`refused: ${name}`, async (t) => {
    const at = await scene(t);
    const state = (): unknown => [
      readFileSync(at.keys, 'utf8'),
      names(at.served),
      readFileSync(`${at.served}/alice/hers`, 'utf8'),
      readFileSync(`${at.served}/others`, 'utf8'),
    ];
    const before = state();
    await attack(t, at);
    t.deepEqual(state(), before);
    t.false(existsSync(`${at.work}/back`));
  });
}

test('there are at least twelve attacks', (t) => {
  t.true(Object.keys(ATTACKS).length >= 12);
});
