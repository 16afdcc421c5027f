// The figures of a server, as the monitoring system has them that they are for, beside what its clients were told.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { AccessError, connect, sync } from '../dist/index.js';
import type { SyncResult, SyncStats } from '../dist/index.js';
import { HalfOpen } from './helpers/half-open.js';
import { judgedWhere } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { start, until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** What the API of Prometheus answers to a query for one moment. */
interface Answer {
  data: { result: readonly { metric: Readonly<Record<string, string>>; value: readonly [number, string] }[] };
}

/** Handshakes that are left in their middle. */
const HALF_OPEN = 5;

const canScrape = spawnSync('prometheus', ['--version']).status === 0;

judgedWhere(canScrape)('Prometheus has of a server what the results of its clients add up to', async (t) => {
  const work = workDir(t);
  const [served, source, back] = ['served', 'source', 'back'].map((name) => dir(work, name)) as [
    string,
    string,
    string,
  ];
  const [one, two] = [client(work, 'one'), client(work, 'two')];
  const [at, own] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const args = ['--metrics', at];
  const server = await startServer(t, { home: work, roots: { root: served }, clients: [one, two], args });
  const options = (user: typeof one): object => ({ identity: { keyPath: user.keyPath }, trust: { pin: server.pin } });
  const config = {
    global: { scrape_interval: '200ms', scrape_timeout: '200ms' },
    scrape_configs: [{ job_name: 'sparsync', static_configs: [{ targets: [at] }] }],
  };
  writeFileSync(`${work}/prometheus.yml`, JSON.stringify(config));
  start(t, 'prometheus', [
    `--config.file=${work}/prometheus.yml`,
    `--storage.tsdb.path=${work}/data`,
    `--web.listen-address=${own}`,
  ]);
  const ask = async (query: string): Promise<number | undefined> => {
    const url = `http://${own}/api/v1/query?query=${encodeURIComponent(query)}`;
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok !== true) return undefined;
    const { data } = (await answer.json()) as Answer;
    return data.result[0] === undefined ? undefined : Number(data.result[0].value[1]);
  };
  /** What Prometheus has scraped last is a moment old. */
  const comes = async (query: string, value: number): Promise<void> => {
    for (let look = 0; (await ask(query)) !== value; look += 1) {
      if (look > 100) throw new Error(`${query} is not ${value}`);
      await sleep(100);
    }
  };
  const told: Record<'push' | 'pull', SyncStats[]> = { push: [], pull: [] };
  const keep = (direction: 'push' | 'pull', { stats }: SyncResult): void => void told[direction].push(stats);
  for (let round = 0; round < 4; round += 1) {
    for (let file = 0; file < 5; file += 1) writeFileSync(`${source}/${round}-${file}`, 'x'.repeat(100 * round + file));
    if (round > 0) rmSync(`${source}/${round - 1}-0`);
    const user = round % 2 === 0 ? one : two;
    keep('push', await sync(`${source}/`, server.url('root', 'tree'), { delete: true, ...options(user) }));
    keep('pull', await sync(server.url('root', 'tree/'), back, options(user)));
  }
  await failure(t, sync(server.url('root', 'missing'), back, options(one)), Error);
  await failure(t, sync(`${source}/`, server.url('root', 'no', 'where', 'at', 'all'), options(two)), Error);
  const stranger = client(work, 'stranger');
  for (let knock = 0; knock < 3; knock += 1) await failure(t, connect(server.url(), options(stranger)), AccessError);
  const began = Math.floor(Date.now() / 1000);
  keep('push', await sync(`${source}/`, server.url('root', 'tree'), { delete: true, ...options(one) }));
  // What is there now, and not in all.
  await using held = await connect(server.url(), options(one));
  await using other = await connect(server.url(), options(two));
  await Promise.all([held.list(), other.list()]);
  using half = await HalfOpen.begin(server.port, HALF_OPEN, 1, true);
  await until('the handshakes', () => half.begun === HALF_OPEN);
  await comes('sparsync_handshakes_active', HALF_OPEN);
  const sum = (direction: 'push' | 'pull', name: keyof SyncStats): number =>
    told[direction].reduce((all, stats) => all + Number(stats[name]), 0);
  const wanted = (['push', 'pull'] as const).flatMap((direction): [string, number][] => {
    const labels = `{root="root",operation="${direction}"`;
    return [
      [`sum(sparsync_sessions_total${labels},result="ok"})`, told[direction].length],
      [`sum(sparsync_session_files_total${labels}})`, sum(direction, 'filesTransferred')],
      [`sum(sparsync_session_content_bytes_total${labels}})`, sum(direction, 'bytesTransferred')],
      [`sum(sparsync_session_deletes_total${labels}})`, sum(direction, 'filesDeleted')],
    ];
  });
  // One of them was refused in its middle.
  const pushes = told.push.length + 1;
  wanted.push(
    // What is left in the middle of its handshake is refused when its time is over.
    ['sum(sparsync_refused_total{what="connection"})', 3 + HALF_OPEN],
    ['sparsync_errors_total{code="ERR_SPARSYNC_UNAUTHORIZED"}', 3],
    ['sum(sparsync_errors_total{code="ERR_SPARSYNC_NOT_FOUND"})', 2],
    ['sparsync_session_duration_seconds_count{operation="push"}', pushes],
    ['sparsync_session_duration_seconds_bucket{operation="push",le="+Inf"}', pushes],
    [`max(sparsync_last_success_timestamp_seconds{client="client0",operation="push"}) >= bool ${began}`, 1],
    [`max(sparsync_last_success_timestamp_seconds{client="client1",operation="push"}) <= bool ${began}`, 1],
    ['sum(sparsync_connections)', 2],
    ['sparsync_log_dropped_total', 0],
    ['sparsync_handshakes_active', 0],
  );
  wanted.push(['sparsync_authorized_keys', 2], ['sparsync_sessions_active', 0], ['up', 1]);
  wanted.push(['sum(sparsync_sessions_total{client="client0",operation="push",result="ok"})', 3]);
  const found = async (): Promise<[string, number | undefined][]> =>
    Promise.all(wanted.map(async ([query]): Promise<[string, number | undefined]> => [query, await ask(query)]));
  let last = await found();
  // What Prometheus has scraped last is a moment old.
  for (let look = 0; look < 200 && JSON.stringify(last) !== JSON.stringify(wanted); look += 1) {
    await sleep(100);
    last = await found();
  }
  t.deepEqual(last, wanted);
});
