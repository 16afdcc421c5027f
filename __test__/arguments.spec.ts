import { mkdirSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';
import * as fc from 'fast-check';

import * as api from '../dist/index.js';

import { Random, seed } from './helpers/random.js';
import { dir, workDir } from './helpers/temp.js';

/** Calls what an untyped program could call. */
type Untyped = (...args: unknown[]) => unknown;

/** A list of paths is a source as well. */
const isList = (value: unknown): boolean =>
  Array.isArray(value) && value.length > 0 && value.every((path) => typeof path === 'string' && path !== '');

/** Values of every type, strings and bytes left out, and lists of strings: those may be names of files. */
const junk = fc
  .anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withSparseArray: true,
  })
  .filter((value) => value !== undefined && typeof value !== 'string' && !isList(value));

const wrong = fc.oneof(
  junk,
  fc.constantFrom(Symbol('s'), () => 1, Promise.resolve(1), new AbortController(), /x/),
);

/** What a call with such arguments may end with: never a defect, and never an error without a code. */
async function assertTyped(t: ExecutionContext, what: string, call: () => unknown, allowed: readonly string[]) {
  try {
    const value = await (async () => {
      const made = call();
      if (made !== null && typeof made === 'object' && Symbol.asyncIterator in made) {
        for await (const _ of made as AsyncIterable<unknown>);
      }
      return made;
    })();
    if (value instanceof Object && 'close' in value && typeof value.close === 'function') await value.close();
    t.true(allowed.includes('ok'), `${what}: it was accepted`);
  } catch (error) {
    if (!(error instanceof api.SparsyncError)) throw error;
    t.true(allowed.includes(error.code), `${what}: ${error.code}: ${error.message}`);
    t.false(error.message.includes('unexpected failure'), `${what}: ${error.message}`);
  }
}

/** Runs a call with values of every type. */
async function fuzz(
  t: ExecutionContext,
  what: string,
  call: (value: unknown) => unknown,
  allowed: readonly string[] = ['ERR_SPARSYNC_CONFIG'],
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(wrong, (value) =>
      assertTyped(t, `${what} with ${fc.stringify(value)}`, () => call(value), allowed),
    ),
    { numRuns: 60, seed: new Random(what).bits() | 0 },
  );
}

/** The options that a function knows, as it tells when it is given one that it does not. */
async function known(call: (options: unknown) => unknown): Promise<string[]> {
  try {
    const made = call({ zzz: 1 });
    if (made !== null && typeof made === 'object' && Symbol.asyncIterator in made) {
      for await (const _ of made as AsyncIterable<unknown>);
    }
    await made;
  } catch (error) {
    const list = /\(known: ([^)]*)\)/.exec(error instanceof Error ? error.message : '')?.[1];
    if (list !== undefined) return list.split(', ');
  }
  throw new Error('a call took an option that does not exist');
}

/** Each option, and those inside of it, with values of every type. */
async function fuzzOptions(
  t: ExecutionContext,
  what: string,
  call: (options: unknown) => unknown,
  allowed: readonly string[],
): Promise<void> {
  // Without options, a call may be a good one.
  await fuzz(t, `${what}, options`, (value) => call(Object.keys(Object(value)).length === 0 ? 5 : value));
  for (const name of await known(call)) {
    await fuzz(t, `${what}, ${name}`, (value) => call({ [name]: value }), allowed);
    const inner = await known((options) => call({ [name]: options })).catch(() => []);
    for (const each of inner) {
      await fuzz(t, `${what}, ${name}.${each}`, (value) => call({ [name]: { [each]: value } }), allowed);
    }
  }
}

const {
  authorizedKeys,
  connect,
  explain,
  identity,
  invite,
  issueCredential,
  join,
  joinViaSsh,
  list,
  pinKey,
  pinnedKeys,
  pinnedServers,
  plan,
  revokeKey,
  rotateKey,
  serve,
  serverKey,
  serverStatus,
  startServer,
  stopServer,
  sync,
  unpinKeys,
  verify,
} = api as unknown as Record<string, Untyped>;
const KEY = `ed25519:${'A'.repeat(43)}`;
const BAD = ['ERR_SPARSYNC_CONFIG'];

/** Of a run whose source is missing; a moment to stop at may have passed. */
const ENDED = [...BAD, 'ERR_SPARSYNC_NOT_FOUND', 'ERR_SPARSYNC_TIMEOUT'];

test('every function is tried here', (t) => {
  t.log(`seed ${seed}`);
  const functions = Object.entries(api).filter(([, value]) => typeof value === 'function');
  const names = functions.map(([name]) => name).filter((name) => !name.endsWith('Error'));
  t.deepEqual(names.toSorted(), [
    'authorizedKeys',
    'connect',
    'explain',
    'identity',
    'invite',
    'issueCredential',
    'join',
    'joinViaSsh',
    'list',
    'pinKey',
    'pinnedKeys',
    'pinnedServers',
    'plan',
    'revokeKey',
    'rotateKey',
    'serve',
    'serverKey',
    'serverStatus',
    'startServer',
    'stopServer',
    'sync',
    'unpinKeys',
    'verify',
  ]);
});

for (const [name, call] of Object.entries({ sync, plan, verify })) {
  test(`${name}: every argument is checked`, async (t) => {
    const work = workDir(t);
    const [from, to] = [`${work}/none`, `${work}/to`];
    await fuzz(t, `${name}, source`, (value) => call?.(value, to));
    await fuzz(t, `${name}, destination`, (value) => call?.(from, value));
    await fuzzOptions(t, name, (options) => call?.(from, to, options), ENDED);
  });
}

test('the hole of a list is refused as what it is: no element', async (t) => {
  const [from, to, hole] = ['/none', `${workDir(t)}/to`, Array(1)];
  for (const [what, given] of Object.entries({
    filter: [from, to, { filter: hole }],
    linkDest: [from, to, { linkDest: hole }],
    filesFrom: [from, to, { filesFrom: hole }],
    source: [hole, to],
    command: [from, { command: hole, path: 'x' }],
  })) {
    const run = async (): Promise<unknown> => sync?.(...given);
    await t.throwsAsync(run(), { instanceOf: api.ConfigError }, what);
  }
});

test('explain: every argument is checked', async (t) => {
  const work = workDir(t);
  const [from, to] = [`${work}/none`, `${work}/to`];
  await fuzz(t, 'explain, source', (value) => explain?.(value, to, 'path'));
  await fuzz(t, 'explain, destination', (value) => explain?.(from, value, 'path'));
  await fuzz(t, 'explain, path', (value) => explain?.(from, to, value));
  await fuzzOptions(t, 'explain', (options) => explain?.(from, to, 'path', options), ENDED);
});

test('connect: every argument is checked', async (t) => {
  await fuzz(t, 'connect, url', (value) => connect?.(value));
  await fuzzOptions(t, 'connect', (options) => connect?.('sparsync://', options), BAD);
});

test('serve, and what a server takes: every argument is checked', async (t) => {
  const work = workDir(t);
  const base = { roots: { r: dir(work, 'root') }, listen: '127.0.0.1:0', anonymous: true };
  const allowed = ['ok', ...BAD];
  await fuzz(t, 'serve', (value) => serve?.(value));
  for (const name of await known((options) => serve?.(options))) {
    await fuzz(t, `serve, ${name}`, (value) => serve?.({ ...base, [name]: value }), allowed);
  }
  for (const name of ['name', 'key', 'roots', 'operations', 'quotaBytes', 'entries', 'expires']) {
    const good = { name: 'me', key: KEY };
    await fuzz(
      t,
      `serve, allow.${name}`,
      (value) => serve?.({ ...base, allow: [{ ...good, [name]: value }] }),
      allowed,
    );
  }
  await fuzz(t, 'serve, roots.r', (value) => serve?.({ ...base, roots: { r: value } }), allowed);
  await fuzz(t, 'serve, roots.r.path', (value) => serve?.({ ...base, roots: { r: { path: value } } }), allowed);

  const server = await api.serve({ roots: { r: `${work}/root` }, anonymous: true });
  const untyped = server as unknown as Record<'url' | 'close', Untyped>;
  await fuzz(t, 'url, root', (value) => untyped.url(value));
  await fuzz(t, 'url, host', (value) => untyped.url('r', value));
  await fuzz(t, 'close, graceMs', (value) => untyped.close({ graceMs: typeof value === 'number' ? -1 : value }));
  await fuzz(t, 'close', (value) => untyped.close(Object.keys(Object(value)).length === 0 ? 5 : value));

  const trust = { pin: server.publicKey };
  const connection = await api.connect(server.url(), { trust, identity: { keyPath: `${work}/key.pem` } });
  const to = connection as unknown as Record<'push' | 'pull' | 'plan' | 'list' | 'stat', Untyped>;
  await fuzz(t, 'push, local', (value) => to.push(value, 'r/x'));
  await fuzz(t, 'push, remote', (value) => to.push(work, value));
  await fuzz(t, 'pull, remote', (value) => to.pull(value, `${work}/x`));
  await fuzz(t, 'pull, local', (value) => to.pull('r', value));
  await fuzz(t, 'push, options', (value) => to.push(work, 'r/x', Object.keys(Object(value)).length === 0 ? 5 : value));
  await fuzz(t, 'list', (value) => to.list(value));
  await fuzz(t, 'stat', (value) => to.stat(value));
  await fuzz(t, 'plan', (value) => to.plan(value));
  await fuzz(t, 'plan, push', (value) => to.plan({ push: value, to: 'r/x' }));
  await fuzz(t, 'plan, to', (value) => to.plan({ push: work, to: value }));
  await fuzz(t, 'plan, options', (value) =>
    to.plan({ push: work, to: 'r/x' }, Object.keys(Object(value)).length === 0 ? 5 : value),
  );
  await connection.close();
  await server.close({ graceMs: 0 });
});

test('clients of a server: every argument is checked', async (t) => {
  const work = workDir(t);
  const files = { authorizedKeysPath: `${work}/keys`, keyPath: `${work}/key.pem` };
  await identity?.(files.keyPath);
  await fuzz(t, 'revokeKey', (value) => revokeKey?.(value, { authorizedKeysPath: files.authorizedKeysPath }));
  for (const [name, call] of Object.entries({
    authorizedKeys,
    revokeKey: (options?: unknown) => revokeKey?.('a', options),
  })) {
    await fuzz(t, `${name}, options`, (value) => call?.(Object.keys(Object(value)).length === 0 ? 5 : value));
    await fuzz(t, `${name}, path`, (value) => call?.({ authorizedKeysPath: value }));
  }
  await fuzz(t, 'invite', (value) => invite?.(value, files));
  await fuzz(t, 'issueCredential', (value) => issueCredential?.(value, 'host', files));
  await fuzz(t, 'issueCredential, address', (value) => issueCredential?.('a', value, files));
  await fuzz(t, 'join', (value) => join?.(value, 'x'));
  await fuzz(t, 'join, invitation', (value) => join?.('host', value));
  await fuzz(t, 'join, options', (value) => join?.('host', 'x', Object.keys(Object(value)).length === 0 ? 5 : value));
  for (const name of await known((options) => invite?.('a', options))) {
    const allowed = ['ok', ...BAD, ...(name === 'keyPath' ? ['ERR_SPARSYNC_NOT_FOUND'] : [])];
    await fuzz(t, `invite, ${name}`, (value) => invite?.('a', { ...files, [name]: value }), allowed);
  }
  const rsh = ['false'];
  await fuzz(t, 'joinViaSsh', (value) => joinViaSsh?.(value, { rsh }));
  for (const name of await known((options) => joinViaSsh?.('host', options))) {
    // A time may be so short that a busy machine does not start the program within it.
    const allowed = name === 'connectTimeoutMs' ? [...BAD, 'ERR_SPARSYNC_TIMEOUT'] : BAD;
    await fuzz(t, `joinViaSsh, ${name}`, (value) => joinViaSsh?.('host', { rsh, [name]: value }), allowed);
  }
  for (const text of ['', '\0', 'a b', 'a\nb', 'a=b', '#a', 'ed25519:x']) {
    await assertTyped(t, `invite(${text})`, () => invite?.(text, files), BAD);
    await assertTyped(t, `a root ${text}`, () => invite?.('a', { ...files, roots: [`${text}\n`] }), BAD);
  }
});

test('a server in the background: every argument is checked', async (t) => {
  const pidFile = `${workDir(t)}/pid`;
  await fuzz(t, 'startServer', (value) => startServer?.(value, { pidFile }));
  for (const [name, call] of Object.entries({
    startServer: (options?: unknown) => startServer?.([], options),
    serverStatus,
    stopServer,
  })) {
    await fuzz(t, `${name}, options`, (value) => call?.(Object.keys(Object(value)).length === 0 ? 5 : value));
    for (const option of await known((options) => call?.(options))) {
      await fuzz(t, `${name}, ${option}`, (value) => call?.({ pidFile, [option]: value }));
    }
  }
  await assertTyped(t, 'startServer of NUL', () => startServer?.(['\0'], { pidFile }), BAD);
});

test('keys and pins: every argument is checked', async (t) => {
  const work = workDir(t);
  const knownHosts = `${work}/known_hosts`;
  mkdirSync(`${work}/d`);
  await fuzz(t, 'identity', (value) => identity?.(value));
  await fuzz(t, 'serverKey', (value) => serverKey?.(value));
  const keyPath = `${work}/missing/key.pem`;
  await fuzz(t, 'rotateKey', (value) => rotateKey?.(Object.keys(Object(value)).length === 0 ? 5 : value));
  for (const name of await known((options) => rotateKey?.(options))) {
    await fuzz(t, `rotateKey, ${name}`, (value) => rotateKey?.({ keyPath, [name]: value }), ENDED);
  }
  await fuzz(t, 'pinKey, authority', (value) => pinKey?.(value, KEY, { knownHosts }));
  await fuzz(t, 'pinKey, key', (value) => pinKey?.('host', value, { knownHosts }));
  for (const [name, call] of Object.entries({ pinnedKeys, unpinKeys })) {
    await fuzz(t, `${name}, authority`, (value) => call?.(value, { knownHosts }));
    await fuzz(t, `${name}, options`, (value) => call?.('host', Object.keys(Object(value)).length === 0 ? 5 : value));
    await fuzz(t, `${name}, knownHosts`, (value) => call?.('host', { knownHosts: value }));
  }
  await fuzz(t, 'pinnedServers, options', (value) =>
    pinnedServers?.(Object.keys(Object(value)).length === 0 ? 5 : value),
  );
  await fuzz(t, 'pinnedServers, knownHosts', (value) => pinnedServers?.({ knownHosts: value }));
  await fuzz(t, 'list', (value) => list?.(value));
  await fuzz(t, 'list, options', (value) =>
    list?.('sparsync://host', Object.keys(Object(value)).length === 0 ? 5 : value),
  );
  await fuzz(t, 'pinKey, options', (value) =>
    pinKey?.('host', KEY, Object.keys(Object(value)).length === 0 ? 5 : value),
  );
  for (const text of ['', '\0', 'a b', 'host:0', '[', 'ed25519:', '\u{10ffff}']) {
    await assertTyped(t, `pinKey(${text})`, () => pinKey?.(text, KEY, { knownHosts }), BAD);
    await assertTyped(t, `pinKey(host, ${text})`, () => pinKey?.('host', text, { knownHosts }), BAD);
  }
  await assertTyped(t, 'serve with nobody in a list', () => serve?.({ roots: { r: work }, allow: Array(3) }), BAD);
  await assertTyped(t, 'identity of NUL', () => identity?.('\0'), BAD);
  await assertTyped(t, 'pinKey without a key', () => pinKey?.('host'), BAD);
  await assertTyped(t, 'pinKey without all', () => pinKey?.(), BAD);
});
