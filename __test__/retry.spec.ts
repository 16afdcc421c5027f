// The network goes, the server goes and comes back: a sync with `retry` goes on by itself, and gives one summary.
import { writeFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

import { connect, ConnectionError, sync, SparsyncError, type SyncEvent, type SyncResult } from '../dist/index.js';
import { CertifiedTree } from './helpers/certified.js';
import { cli, startCli } from './helpers/cli.js';
import { assertEqual, judged } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { Relay } from './helpers/relay.js';
import { startServer } from './helpers/server.js';
import { accessOf, codeOf, failure, rejection, scaled, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { plainTree } from './helpers/tree.js';

const patient = { attempts: 100, deadlineMs: 120_000, baseDelayMs: 20, maxDelayMs: 200 };

function someFiles(root: string): CertifiedTree {
  const sizes = new Map<string, number>();
  for (let i = 0; i < 100; i += 1) sizes.set(`small/file${i}`, 300 + i * 97);
  for (let i = 0; i < 16; i += 1) sizes.set(`large/file${i}`, 6 << 20);
  const tree = new CertifiedTree(sizes);
  tree.write(root, 1);
  return tree;
}

async function collect(job: AsyncIterable<SyncEvent>): Promise<SyncEvent[]> {
  const events: SyncEvent[] = [];
  for await (const event of job) if (event.type !== 'progress') events.push(event);
  return events;
}

function oneSummary(t: ExecutionContext, result: SyncResult, events: readonly SyncEvent[]): void {
  const retries = events.filter(({ type }) => type === 'retry').length;
  t.true(retries > 0, 'nothing interrupted it');
  t.is(result.attempts, retries + 1);
  t.is(events.filter(({ type }) => type === 'done').length, 1);
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  for (const direction of ['push', 'pull'] as const) {
    judged(`a server that is ended by ${signal} and started again in the middle of a ${direction}`, async (t) => {
      t.timeout(300_000);
      t.log(`seed ${seed}`);
      const random = new Random(t.title);
      const work = workDir(t);
      const served = dir(work, 'served');
      const user = client(work);
      const tree = someFiles(direction === 'push' ? `${work}/source` : `${served}/source`);
      const run = { home: work, roots: { root: served }, clients: [user], args: ['--grace', '0'] };
      let server = await startServer(t, run);
      // The port stays the same to the client, wherever the server comes back.
      await using relay = await Relay.start({ to: server.port });
      const url = relay.url('root');
      const options = {
        ...accessOf(user, server),
        retry: patient,
        idleTimeoutMs: 1500,
        connectTimeoutMs: 1500,
        durability: 'none' as const,
      };
      const [from, to] =
        direction === 'push' ? [`${work}/source`, `${served}/tree`] : [`${served}/source`, `${work}/tree`];
      const job = direction === 'push' ? sync(from, `${url}/tree`, options) : sync(`${url}/source`, to, options);
      const events = collect(job);
      for (let i = 0; i < scaled(2, 20); i += 1) {
        await Promise.race([
          relay.passed(direction === 'push' ? 'up' : 'down', random.between(1 << 20, 12 << 20)),
          job.result,
        ]);
        await server.stop(signal);
        server = await startServer(t, run);
        relay.to = server.port;
      }
      const result = await job;
      t.log(
        `${result.attempts} attempts, ${result.stats.bytesTransferred} bytes sent, ${result.stats.bytesReused} reused`,
      );
      oneSummary(t, result, await events);
      t.deepEqual(tree.strangers(to), []);
      assertEqual(t, from, to);
    });
  }
}

judged('a network that is gone for a while, without and with retry', async (t) => {
  t.timeout(300_000);
  const { work, served, server, access } = await setup(t);
  const tree = someFiles(`${work}/source`);
  await using relay = await Relay.start({ to: server.port });
  const url = relay.url('root', 'tree');
  const options = { ...access, idleTimeoutMs: 1000, connectTimeoutMs: 1000 };

  const once = sync(`${work}/source`, url, options);
  const error = failure(t, once, ConnectionError);
  await relay.passed('up', 4 << 20);
  relay.cut = true;
  t.true((await error).retryable);
  t.true(['ERR_SPARSYNC_CLOSED', 'ERR_SPARSYNC_TIMEOUT', 'ERR_SPARSYNC_CONNECT'].includes((await error).code));
  t.deepEqual(tree.torn(`${served}/tree`, [1], { mayBeAbsent: true }), []);

  relay.cut = false;
  const job = sync(`${work}/source`, url, { ...options, retry: patient });
  const events: SyncEvent[] = [];
  let retries = 0;
  const reading = (async () => {
    for await (const event of job) {
      events.push(event);
      if (event.type === 'retry') {
        retries += 1;
        // Back after the second failure: the first attempt to come back fails as well.
        if (retries === 2) relay.cut = false;
      }
    }
  })();
  await relay.passed('up', 4 << 20);
  relay.cut = true;
  const result = await job;
  await reading;
  t.true(retries >= 2);
  oneSummary(t, result, events);
  t.deepEqual(tree.strangers(`${served}/tree`), []);
  assertEqual(t, `${work}/source`, `${served}/tree`);
});

judged('a network that loses every tenth datagram loses nothing', async (t) => {
  t.timeout(300_000);
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const { work, served, server, access } = await setup(t);
  plainTree(`${work}/source`, { directories: 20, files: 20, size: 3000 });
  await using relay = await Relay.start({ to: server.port, loss: 0.1, draw: () => random.below(1e6) / 1e6 });
  const url = relay.url('root');
  await sync(`${work}/source`, `${url}/tree`, { ...access, retry: patient });
  await sync(`${url}/tree`, `${work}/copy`, { ...access, retry: patient });
  t.true(relay.lost.up > 0 && relay.lost.down > 0);
  assertEqual(t, `${work}/source`, `${served}/tree`);
  assertEqual(t, `${work}/source`, `${work}/copy`);
});

judged('a client whose port changes in the middle goes on', async (t) => {
  t.timeout(120_000);
  const { work, served, server, access } = await setup(t);
  someFiles(`${work}/source`);
  await using relay = await Relay.start({ to: server.port });
  const job = sync(`${work}/source`, relay.url('root', 'tree'), access);
  const over = job.result.then(() => undefined);
  for (let i = 0; i < 5; i += 1) {
    await Promise.race([relay.passed('up', 6 << 20), over]);
    relay.rebind();
  }
  await job;
  assertEqual(t, `${work}/source`, `${served}/tree`);
});

judged('no attempt follows on an error that another attempt would only repeat', async (t) => {
  const { work, served, server, access } = await setup(t);
  plainTree(`${work}/source`, { directories: 3, files: 120 });
  plainTree(`${served}/full`, { directories: 3, files: 120, label: 'other' });
  const stranger = client(work, 'stranger');
  const cases: ReadonlyArray<readonly [string, () => ReturnType<typeof sync>]> = [
    [
      'ERR_SPARSYNC_UNAUTHORIZED',
      () => sync(`${work}/source`, server.url('root', 'x'), { ...accessOf(stranger, server), retry: patient }),
    ],
    [
      'ERR_SPARSYNC_HOST_KEY_CHANGED',
      () =>
        sync(`${work}/source`, server.url('root', 'x'), {
          ...access,
          trust: { pin: stranger.publicKey },
          retry: patient,
        }),
    ],
    ['ERR_SPARSYNC_NOT_FOUND', () => sync(`${work}/missing`, server.url('root', 'x'), { ...access, retry: patient })],
    [
      'ERR_SPARSYNC_DELETE_REFUSED',
      () => sync(dir(work, 'empty'), server.url('root', 'full'), { ...access, delete: true, retry: patient }),
    ],
    ['ERR_SPARSYNC_CONFIG', () => sync(`${work}/source`, server.url('root', 'a%2fb'), { ...access, retry: patient })],
  ];
  for (const [code, attempt] of cases) {
    const job = attempt();
    const types: string[] = [];
    const error = await rejection(
      t,
      (async () => {
        for await (const event of job) types.push(event.type);
      })(),
    );
    const got = codeOf(error);
    t.true(
      got === code || (code === 'ERR_SPARSYNC_HOST_KEY_CHANGED' && got === 'ERR_SPARSYNC_UNKNOWN_HOST'),
      `${got}, not ${code}`,
    );
    t.false(types.includes('retry'), code);
    if (error instanceof SparsyncError) t.false(error.retryable, code);
  }
});

judged('attempts and deadline are limits', async (t) => {
  t.timeout(120_000);
  const { work, server, access } = await setup(t);
  writeFileSync(`${work}/file`, 'x');
  await using relay = await Relay.start({ to: server.port });
  relay.cut = true;
  const url = relay.url('root', 'file');
  const options = { ...access, connectTimeoutMs: 100 };
  const job = sync(`${work}/file`, url, { ...options, retry: { attempts: 3, baseDelayMs: 1, maxDelayMs: 2 } });
  let retries = 0;
  await failure(
    t,
    (async () => {
      for await (const event of job) if (event.type === 'retry') retries += 1;
    })(),
    ConnectionError,
  );
  t.is(retries, 3);
  // A deadline that has passed before the second attempt.
  const late = sync(`${work}/file`, url, { ...options, retry: { attempts: 1000, deadlineMs: 50, baseDelayMs: 1 } });
  let after = 0;
  await failure(
    t,
    (async () => {
      for await (const event of late) if (event.type === 'retry') after += 1;
    })(),
    ConnectionError,
  );
  t.true(after <= 1, `${after} retries`);
});

judged('a kept connection comes back by itself', async (t) => {
  t.timeout(120_000);
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  plainTree(`${work}/source`, { directories: 2, files: 5 });
  const run = { home: work, roots: { root: served }, clients: [user] };
  let server = await startServer(t, run);
  await using relay = await Relay.start({ to: server.port });
  const connection = await connect(`sparsync://127.0.0.1:${relay.port}`, {
    ...accessOf(user, server),
    idleTimeoutMs: 1000,
    connectTimeoutMs: 1000,
  });
  await connection.push(`${work}/source`, 'root/tree');
  await server.stop('SIGKILL');
  server = await startServer(t, run);
  relay.to = server.port;
  writeFileSync(`${work}/source/new`, 'new');
  await connection.push(`${work}/source`, 'root/tree', { retry: patient });
  assertEqual(t, `${work}/source`, `${served}/tree`);
  await connection.close();
});

judged('the command tries again as well, and says so once for each attempt', async (t) => {
  t.timeout(120_000);
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const tree = someFiles(`${work}/source`);
  const run = { home: work, roots: { root: served }, clients: [user], args: ['--grace', '0'] };
  let server = await startServer(t, run);
  await using relay = await Relay.start({ to: server.port });
  user.trust(relay.port, server.pin);
  const running = startCli(t, user, [
    '-a',
    '--retry=20',
    '--contimeout=2',
    `${work}/source/`,
    relay.url('root', 'tree', ''),
  ]);
  await relay.passed('up', 2 << 20);
  await until('a temp file', () => tree.strangers(`${served}/tree`).length > 0);
  await server.stop('SIGTERM');
  server = await startServer(t, run);
  relay.to = server.port;
  const ended = await running.ended;
  t.is(ended.code, 0, ended.stderr);
  t.regex(ended.stderr, /trying again/);
  t.is(ended.stdout, '');
  assertEqual(t, `${work}/source`, `${served}/tree`, { wholeSeconds: true });
  t.is((await cli(t, user, ['-a', `${work}/source/`, server.url('root', 'tree/')])).code, 0);
});
