// Peers and places that must not be trusted. Each refusal has its code on this side, changes nothing on the other, and
// the server goes on serving somebody else. Frames that no honest peer sends are tried on the Rust side.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createConnection } from 'node:net';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

import test, { type ExecutionContext } from 'ava';

import { AccessError, connect, HostKeyError, PartialSyncError, serve, SparsyncError, sync } from '../dist/index.js';
import { Bystander } from './helpers/certified.js';
import { cli, exit } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { accessOf, codeOf, failure, rejection, scaled, setup, type Setup, isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';
import { names, touched, walk } from './helpers/walk.js';

const tries = scaled(2000, 100_000);

/** The honest client of a test server still gets what it asks for. */
async function stillServes(t: ExecutionContext, { work, served, access, url }: Setup, label: string): Promise<void> {
  const source = dir(work, 'honest');
  writeFileSync(`${source}/file`, label);
  await sync(source, url('honest'), access);
  t.is(readFileSync(`${served}/honest/file`, 'utf8'), label, 'the server serves another client');
}

/** What carries the runs of a test. */
interface Over {
  readonly transport: 'quic' | 'tcp';
}

/** Declares a test for each network protocol. */
function judgedOver(title: string, body: (t: ExecutionContext, over: Over) => Promise<void>): void {
  for (const transport of ['quic', 'tcp'] as const) judged(`${title} (${transport})`, (t) => body(t, { transport }));
}

async function setupOver(t: ExecutionContext, over: Over): Promise<Setup> {
  const made = await setup(t);
  return { ...made, access: { ...made.access, ...over } };
}

judgedOver('a server with another key than the pinned one is refused before anything is sent', async (t, over) => {
  const made = await setupOver(t, over);
  const { work, served, client: user, server } = made;
  plainTree(`${work}/source`, { directories: 1, files: 3 });
  const stranger = client(work, 'stranger');
  const before = walk(served);

  const error = await failure(
    t,
    sync(`${work}/source`, server.url('root', 'tree'), {
      identity: { keyPath: user.keyPath },
      trust: { pin: stranger.publicKey },
      ...over,
    }),
    HostKeyError,
  );
  const refused = error;
  t.true(['ERR_SPARSYNC_HOST_KEY_CHANGED', 'ERR_SPARSYNC_UNKNOWN_HOST'].includes(refused.code));
  t.is(refused.key, server.pin);
  t.false(refused.retryable);

  // By the file of pins: unknown, then known under another key, then right.
  const unknown = client(work, 'unknown');
  const refusedAtFirst = await cli(t, unknown, [
    '-a',
    `--transport=${over.transport}`,
    `${work}/source/`,
    server.url('root', 'tree'),
  ]);
  t.is(refusedAtFirst.code, exit.hostKey);
  t.true(refusedAtFirst.stderr.includes(server.pin), 'the message shows the key to compare');
  unknown.trust(server.port, stranger.publicKey);
  const changed = await cli(t, unknown, [
    '-a',
    `--transport=${over.transport}`,
    `${work}/source/`,
    server.url('root', 'tree'),
  ]);
  t.is(changed.code, exit.hostKeyChanged);
  t.deepEqual(touched(before, walk(served)), []);
  await stillServes(t, made, 'after a wrong pin');
});

judged('the API never trusts at first sight unless told to, and then remembers', async (t) => {
  const { work, served, client: user, server } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 3 });
  const identity = { keyPath: user.keyPath };
  const knownHosts = `${work}/known_hosts`;
  const url = server.url('root', 'tree');

  const error = await failure(t, sync(`${work}/source`, url, { identity, trust: { knownHosts } }), HostKeyError);
  t.is(codeOf(error), 'ERR_SPARSYNC_UNKNOWN_HOST');
  t.is(error.key, server.pin);
  t.is(error.port, server.port);
  t.false(existsSync(`${served}/tree`));

  await sync(`${work}/source`, url, { identity, trust: { knownHosts, firstUse: 'accept' } });
  await sync(`${work}/source`, url, { identity, trust: { knownHosts } });
  assertEqual(t, `${work}/source`, `${served}/tree`);

  // Another server in its place: `accept` is for first sight alone.
  await server.stop('SIGKILL');
  const other = await startServer(t, {
    home: dir(work, 'impostor'),
    roots: { root: dir(work, 'trap') },
    port: server.port,
    // Somebody else's: the helper would pin the new key for its own.
    clients: [client(work, 'stranger')],
  });
  t.not(other.pin, server.pin);
  const changed = await failure(
    t,
    sync(`${work}/source`, url, { identity, trust: { knownHosts, firstUse: 'accept' } }),
    HostKeyError,
  );
  t.is(codeOf(changed), 'ERR_SPARSYNC_HOST_KEY_CHANGED');
  t.is(changed.expected, server.pin);
  t.deepEqual(readdirSync(`${work}/trap`), []);
});

judgedOver('a client whose key is not known gets nothing and learns nothing', async (t, over) => {
  const made = await setupOver(t, over);
  const { work, served, server } = made;
  plainTree(`${work}/source`, { directories: 1, files: 3 });
  plainTree(`${served}/tree`, { directories: 1, files: 3 });
  const stranger = client(work, 'stranger');
  const access = { ...accessOf(stranger, server), ...over };
  const before = walk(served);
  for (const attempt of [
    () => sync(`${work}/source`, server.url('root', 'tree'), access),
    () => sync(server.url('root', 'tree'), `${work}/copy`, access),
    () => sync(server.url('no-such-root', 'tree'), `${work}/copy`, access),
    async () => (await connect(server.url(), access)).list('root'),
  ]) {
    const error = await failure(t, attempt(), AccessError);
    t.is(codeOf(error), 'ERR_SPARSYNC_UNAUTHORIZED');
    t.false(error.retryable);
  }
  t.false(existsSync(`${work}/copy`));
  stranger.trust(server.port, server.pin);
  const ran = await cli(t, stranger, [
    '-a',
    `--transport=${over.transport}`,
    `${work}/source/`,
    server.url('root', 'tree'),
  ]);
  t.is(ran.code, exit.unauthorized);
  t.deepEqual(touched(before, walk(served)), []);
  await stillServes(t, made, 'after a stranger');
});

judgedOver('each scope permits what it says and nothing beyond', async (t, over) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const private_ = dir(work, 'private');
  plainTree(`${served}/own`, { directories: 1, files: 5 });
  plainTree(`${served}/foreign`, { directories: 1, files: 5 });
  plainTree(private_, { directories: 1, files: 5 });
  plainTree(`${work}/source`, { directories: 1, files: 3, label: 'pushed' });
  const scopes = {
    all: '',
    prefix: ' root=root/own',
    reader: ' root=root allow=read',
    writer: ' root=root allow=write',
    keeper: ' root=root allow=read,write',
    appender: ' root=root allow=append',
  };
  const users = Object.fromEntries(Object.keys(scopes).map((name) => [name, client(work, name)]));
  const server = await startServer(t, {
    home: work,
    roots: { root: served, private: private_ },
    allow: Object.entries(scopes).map(([name, scope]) => `${name} ${users[name]?.publicKey ?? ''}${scope}`),
  });
  const access = (name: keyof typeof scopes) => ({ ...accessOf(users[name] ?? client(work, name), server), ...over });

  const before = walk(served, { content: true });
  const refusals: ReadonlyArray<readonly [string, () => PromiseLike<unknown>]> = [
    ['another root', () => sync(server.url('private'), `${work}/x`, access('prefix'))],
    ['a neighbour', () => sync(server.url('root', 'foreign'), `${work}/x`, access('prefix'))],
    ['a name that begins alike', () => sync(`${work}/source`, server.url('root', 'own-not'), access('prefix'))],
    ['above the prefix', () => sync(server.url('root'), `${work}/x`, access('prefix'))],
    ['push to a neighbour', () => sync(`${work}/source`, server.url('root', 'foreign'), access('prefix'))],
    ['push by a reader', () => sync(`${work}/source`, server.url('root', 'own'), access('reader'))],
    ['pull by a writer', () => sync(server.url('root', 'own'), `${work}/x`, access('writer'))],
    [
      'delete by a keeper',
      () => sync(`${work}/source`, server.url('root', 'own'), { ...access('keeper'), delete: true }),
    ],
    [
      'delete by an appender',
      () => sync(`${work}/source`, server.url('root', 'own'), { ...access('appender'), delete: true }),
    ],
  ];
  for (const [what, attempt] of refusals) {
    const error = await failure(t, attempt(), AccessError, what);
    t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE', what);
    t.is(error.side, 'remote', what);
    t.deepEqual(touched(before, walk(served)), [], what);
    t.false(existsSync(`${work}/x/dir0000`), what);
  }
  const user = users['reader'] ?? client(work);
  user.trust(server.port, server.pin);
  t.is(
    (await cli(t, user, ['-a', `--transport=${over.transport}`, `${work}/source/`, server.url('root', 'own')])).code,
    exit.unauthorized,
  );

  // And what is within the scope is done.
  await sync(server.url('root', 'own'), `${work}/read`, access('reader'));
  assertEqual(t, `${served}/own`, `${work}/read`);
  await sync(`${work}/source`, server.url('root', 'own/deeper'), access('prefix'));
  assertEqual(t, `${work}/source`, `${served}/own/deeper`);
  await sync(`${work}/source`, server.url('root', 'written'), access('writer'));
  await sync(`${work}/source`, server.url('root', 'kept'), access('keeper'));
  assertEqual(t, `${work}/source`, `${served}/kept`);
  // Owners are not in its scope: the run may say so or leave them, but it sets none.
  if (isRoot) chownSync(`${work}/source/dir0000/file00002`, 1234, 5678);
  await sync(`${work}/source`, server.url('root', 'unowned'), { ...access('keeper'), owner: true, group: true }).catch(
    (error: unknown) => t.is(codeOf(error), 'ERR_SPARSYNC_SCOPE'),
  );
  if (existsSync(`${served}/unowned/dir0000/file00002`)) {
    const { uid, gid } = statSync(`${served}/unowned/dir0000/file00002`);
    t.deepEqual([uid, gid], [process.getuid?.(), process.getgid?.()]);
  }
  await sync(server.url('private'), `${work}/all`, access('all'));
  assertEqual(t, private_, `${work}/all`);

  // Appending: new names arrive, a changed file is a listed failure and keeps its content.
  await sync(`${work}/source`, server.url('root', 'appended'), access('appender'));
  writeFileSync(`${work}/source/dir0000/new`, 'new');
  writeFileSync(`${work}/source/dir0000/file00001`, 'overwritten by an appender');
  const kept = readFileSync(`${served}/appended/dir0000/file00001`, 'utf8');
  const error = await failure(
    t,
    sync(`${work}/source`, server.url('root', 'appended'), access('appender')),
    PartialSyncError,
  );
  t.deepEqual(
    error.result.failures.map(({ path, oldContentKept }) => [path, oldContentKept]),
    [['dir0000/file00001', true]],
  );
  t.is(readFileSync(`${served}/appended/dir0000/file00001`, 'utf8'), kept);
  t.is(readFileSync(`${served}/appended/dir0000/new`, 'utf8'), 'new');
});

/** The first outcome of a try that is not undefined, within half a minute. */
async function eventually(attempt: () => Promise<unknown>): Promise<unknown> {
  for (let i = 0; i < 300; i += 1) {
    const outcome = await attempt();
    if (outcome !== undefined) return outcome;
    await sleep(100);
  }
  return undefined;
}

judgedOver(
  'a key that is revoked loses its connections and gets no new one; the others keep theirs',
  async (t, over) => {
    t.timeout(120_000);
    const work = workDir(t);
    const served = dir(work, 'served');
    plainTree(`${work}/source`, { directories: 1, files: 3 });
    const [user, other] = [client(work, 'user'), client(work, 'other')];
    const configDir = dir(work, 'server.config');
    const both = `user ${user.publicKey}\nother ${other.publicKey}\n`;
    writeFileSync(`${configDir}/authorized_keys`, `# who may come\n${both}`, { mode: 0o600 });
    const server = await startServer(t, { home: work, roots: { root: served } });
    const [mine, its] = [
      await connect(server.url(), { ...accessOf(user, server), ...over }),
      await connect(server.url(), { ...accessOf(other, server), ...over }),
    ];
    await mine.push(`${work}/source`, 'root/mine');
    await its.push(`${work}/source`, 'root/its');

    writeFileSync(`${configDir}/authorized_keys`, `other ${other.publicKey}\n`, { mode: 0o600 });
    // The promise is five seconds; nobody is waited for without end.
    const refused = await eventually(() =>
      mine.list('root').then(
        () => undefined,
        (error: unknown) => error,
      ),
    );
    t.true(refused instanceof SparsyncError, 'the connection of a revoked key still works');
    t.true(['ERR_SPARSYNC_UNAUTHORIZED', 'ERR_SPARSYNC_CLOSED'].includes(codeOf(refused) ?? ''), codeOf(refused));
    const again = await rejection(
      t,
      (async () => (await connect(server.url(), { ...accessOf(user, server), ...over })).list())(),
    );
    t.is(codeOf(again), 'ERR_SPARSYNC_UNAUTHORIZED');

    await its.push(`${work}/source`, 'root/its');
    await its.close();
    await mine.close();

    writeFileSync(`${configDir}/authorized_keys`, both, { mode: 0o600 });
    const back = await eventually(() =>
      sync(`${work}/source`, server.url('root', 'mine'), { ...accessOf(user, server), ...over }).then(
        () => 'let in',
        () => undefined,
      ),
    );
    t.is(back, 'let in');
  },
);

judged('a server lets anybody in only on loopback, and only when told to', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  plainTree(served, { directories: 1, files: 3 });
  const identity = { keyPath: `${work}/server.pem` };
  const nobody = await rejection(t, serve({ listen: '127.0.0.1:0', roots: { root: served }, identity }));
  t.is(codeOf(nobody), 'ERR_SPARSYNC_CONFIG');
  const open = await rejection(t, serve({ listen: '0.0.0.0:0', roots: { root: served }, identity, anonymous: true }));
  t.is(codeOf(open), 'ERR_SPARSYNC_CONFIG');
  const server = await serve({ listen: '127.0.0.1:0', roots: { root: served }, identity, anonymous: true });
  try {
    const stranger = client(work, 'stranger');
    await sync(server.url('root'), `${work}/copy`, {
      identity: { keyPath: stranger.keyPath },
      trust: { pin: server.publicKey },
    });
    assertEqual(t, served, `${work}/copy`);
  } finally {
    await server.close();
  }
});

judged('an address that climbs is refused where it is written', async (t) => {
  const { work, served, server, access } = await setup(t);
  plainTree(`${work}/source`, { directories: 1, files: 1 });
  for (const path of ['..', 'a/../../b', '%2e%2e', 'a/%2e%2e/b', 'a%2fb', 'a%00b']) {
    for (const attempt of [
      () => sync(`${work}/source`, server.url('root', path), access),
      () => sync(server.url('root', path), `${work}/copy`, access),
    ]) {
      // A mistake in the arguments may be thrown or be what the promise rejects with.
      const error = await rejection(t, (async () => attempt())());
      t.is(codeOf(error), 'ERR_SPARSYNC_CONFIG', path);
    }
  }
  t.deepEqual(readdirSync(served), []);
});

judged(
  'a symlink planted in the destination leads nobody out, on a push or on a pull (CVE-2007-6199, CVE-2026-53785, CVE-2026-53796)',
  async (t) => {
    const made = await setup(t);
    const { work, served, access, url, server } = made;
    const outside = new Bystander(`${work}/outside`);
    plainTree(`${work}/source/sub`, { directories: 2, files: 30 });
    writeFileSync(`${work}/source/secret`, 'from the source');
    writeFileSync(`${work}/source/sub/secret`, 'from the source');
    await sync(`${work}/source`, url('origin'), access);
    const plants: Readonly<Record<string, (tree: string) => void>> = {
      'a directory': (tree) => symlinkSync(`${work}/outside`, `${tree}/sub`),
      'a directory, relative': (tree) => symlinkSync('../../outside', `${tree}/sub`),
      'a directory below': (tree) => {
        mkdirSync(`${tree}/sub`);
        symlinkSync(`${work}/outside`, `${tree}/sub/dir0000`);
        symlinkSync(`${work}/outside/inner`, `${tree}/sub/dir0001`);
      },
      'a file': (tree) => symlinkSync(`${work}/outside/secret`, `${tree}/secret`),
      'a name that the source lacks': (tree) => symlinkSync(`${work}/outside`, `${tree}/extra`),
      'a file that is not there': (tree) => symlinkSync(`${work}/outside/created`, `${tree}/secret`),
    };
    let round = 0;
    for (const [what, plant] of Object.entries(plants)) {
      for (const options of [{}, { delete: true, allowMassDelete: true }, { perms: false, times: false }]) {
        round += 1;
        const [pushed, pulled] = [dir(served, `tree${round}`), dir(work, `copy${round}`)];
        plant(pushed);
        plant(pulled);
        await sync(`${work}/source`, url(`tree${round}`), { ...access, ...options });
        await sync(url('origin'), pulled, { ...access, ...options });
        t.deepEqual(outside.touched(), [], what);
        for (const tree of [pushed, pulled]) {
          t.is(readFileSync(`${tree}/sub/secret`, 'utf8'), 'from the source', what);
        }
      }
    }

    // The very place that is named is a symlink that somebody else planted below the root.
    symlinkSync(`${work}/outside`, `${served}/way-out`);
    for (const path of ['way-out', 'way-out/inner', 'way-out/new']) {
      for (const attempt of [
        () => sync(`${work}/source`, url(path), { ...access, delete: true, allowMassDelete: true }),
        () => sync(url(path), `${work}/leak`, access),
        async () => {
          const connection = await connect(server.url(), access);
          try {
            return await connection.list(`root/${path}`);
          } finally {
            await connection.close();
          }
        },
      ]) {
        await (async () => attempt())().catch((error: unknown) => {
          t.true(error instanceof SparsyncError, String(error));
        });
        t.deepEqual(outside.touched(), [], path);
      }
    }
    const leaked = existsSync(`${work}/leak`) ? names(`${work}/leak`).filter((name) => name.includes('secret')) : [];
    t.deepEqual(leaked, []);
    await stillServes(t, made, 'after symlinks');
  },
);

judged('the operator may offer a folder by a symlink', async (t) => {
  const work = workDir(t);
  const user = client(work);
  dir(work, 'real');
  symlinkSync('real', `${work}/served`);
  const server = await startServer(t, { home: work, roots: { root: `${work}/served` }, clients: [user] });
  plainTree(`${work}/source`, { directories: 1, files: 3 });
  await sync(`${work}/source`, server.url('root', 'tree'), accessOf(user, server));
  assertEqual(t, `${work}/source`, `${work}/real/tree`);
});

const flipper = fileURLToPath(new URL('helpers/flipper.mjs', import.meta.url));

interface Flipping {
  readonly flips: () => number;
  readonly stop: () => Promise<void>;
}

function flipping(t: ExecutionContext, path: string, target: string): Flipping {
  const running = start(t, process.execPath, [flipper, path, target], { input: null });
  const flips = (): number => Number(running.stdout().trimEnd().split('\n').at(-1) ?? 0);
  return {
    flips,
    stop: async () => {
      running.child.stdin?.end();
      const { code, stderr } = await running.ended;
      t.is(code, 0, stderr);
    },
  };
}

// The flip of a file was seen red against a plain copy (`cp -rT`) in place of the sync.
for (const what of ['directory', 'file'] as const) {
  judged(
    `a ${what} of the destination flips to a symlink that leads out, ${tries} times: nothing gets out (CVE-2026-29518, CVE-2026-43619, CVE-2026-53795)`,
    async (t) => {
      t.timeout(scaled(300_000, 7_200_000));
      const made = await setup(t);
      const { work, served, access, url } = made;
      const outside = new Bystander(`${work}/outside`);
      const source = dir(work, 'source');
      plainTree(`${source}/sub`, { directories: 1, files: 40 });
      plainTree(source, { directories: 2, files: 10 });
      writeFileSync(`${source}/sub/secret`, 'from the source');
      writeFileSync(`${source}/sub/inner`, 'a file where outside has a directory');
      await sync(source, url('tree'), access);
      const race =
        what === 'directory'
          ? flipping(t, `${served}/tree/sub`, `${work}/outside`)
          : flipping(t, `${served}/tree/sub/secret`, `${work}/outside/secret`);
      let runs = 0;
      let failed = 0;
      while (race.flips() < tries || runs < scaled(20, 500)) {
        runs += 1;
        writeFileSync(`${source}/sub/secret`, `from the source, run ${runs}`);
        writeFileSync(`${source}/sub/dir0000/file${String(runs % 60).padStart(5, '0')}`, `run ${runs}`);
        rmSync(`${source}/sub/dir0000/file${String((runs * 7) % 60).padStart(5, '0')}`, { force: true });
        try {
          await sync(source, url('tree'), { ...access, delete: runs % 2 === 0, allowMassDelete: true });
        } catch (error) {
          failed += 1;
          t.true(error instanceof SparsyncError, String(error));
        }
        t.deepEqual(outside.touched(), [], `run ${runs}`);
        if (runs % 10 === 0) await stillServes(t, made, `run ${runs}`);
      }
      await race.stop();
      t.log(`${race.flips()} flips during ${runs} runs, ${failed} of which reported a failure; 0 escapes`);
      rmSync(`${served}/tree`, { recursive: true });
      await sync(source, url('tree'), access);
      assertEqual(t, source, `${served}/tree`);
      await stillServes(t, made, 'after the race');
    },
  );
}

for (const direction of ['pull', 'push'] as const) {
  judged(
    `a directory of the source flips to a symlink that leads out, ${tries} times: nothing of outside is sent by a ${direction} (CVE-2024-12747, CVE-2026-53797, CVE-2026-53801)`,
    async (t) => {
      t.timeout(scaled(300_000, 7_200_000));
      const made = await setup(t);
      const { work, served, access, url } = made;
      const outside = new Bystander(`${work}/outside`);
      const [from, to] = direction === 'pull' ? [served, work] : [work, served];
      const tree = dir(from, 'tree');
      plainTree(`${tree}/sub`, { directories: 1, files: 20 });
      for (const name of ['secret', 'file00000', 'file00001']) writeFileSync(`${tree}/sub/${name}`, `inside: ${name}`);
      const ends = direction === 'pull' ? ([url('tree'), `${to}/copy`] as const) : ([tree, url('copy')] as const);
      const race = flipping(t, `${tree}/sub`, `${work}/outside`);
      let runs = 0;
      while (race.flips() < tries || runs < scaled(20, 500)) {
        runs += 1;
        const copy = dir(to, 'copy');
        await sync(...ends, access).then(
          () => undefined,
          (error: unknown) => t.true(error instanceof SparsyncError, String(error)),
        );
        for (const [path, entry] of walk(copy)) {
          if (entry.kind !== 'file') continue;
          t.false(readFileSync(`${copy}/${path}`, 'utf8').startsWith('outside'), `run ${runs}: ${path}`);
        }
        rmSync(copy, { recursive: true });
        t.deepEqual(outside.touched(), []);
        if (runs % 10 === 0) await stillServes(t, made, `run ${runs}`);
      }
      await race.stop();
      t.log(`${race.flips()} flips during ${runs} runs`);
    },
  );
}

test('a server that is talked to by noise goes on serving', async (t) => {
  const made = await setup(t);
  const noise = createSocket('udp4');
  for (let i = 0; i < scaled(2000, 50_000); i += 1) {
    const datagram = randomBytes(1 + ((i * 37) % 1400));
    // Half of them claim to open a connection of QUIC version 1.
    if (i % 2 === 0 && datagram.length > 5) Buffer.from([0xc0 | (i & 0x0f), 0, 0, 0, 1]).copy(datagram);
    await new Promise((resolve) => noise.send(datagram, made.server.port, '127.0.0.1', resolve));
  }
  noise.close();
  for (let i = 0; i < scaled(50, 1000); i += 1) {
    const stream = createConnection(made.server.port, '127.0.0.1');
    // The server may have gone by the time that all of it is said.
    stream.on('error', () => undefined);
    stream.resume();
    // Half of them claim to begin a handshake of TLS.
    stream.end(Buffer.concat([Buffer.from(i % 2 === 0 ? [22, 3, 1, 2, 0, 1] : []), randomBytes(i * 37)]));
    await new Promise((resolve) => stream.once('close', resolve));
  }
  await stillServes(t, made, 'after noise');
});
