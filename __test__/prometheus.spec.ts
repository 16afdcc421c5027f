// The figures of a server, as the monitoring system has them that they are for, beside what its clients were told.
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';

import { sync } from '../dist/index.js';
import type { SyncResult, SyncStats } from '../dist/index.js';
import { judgedWhere } from './helpers/judge.js';
import { freePort } from './helpers/port.js';
import { start } from './helpers/process.js';
import { client } from './helpers/product.js';
import { startServer } from './helpers/server.js';
import { failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

/** What the API of Prometheus answers to a query for one moment. */
interface Answer {
  data: { result: readonly { metric: Readonly<Record<string, string>>; value: readonly [number, string] }[] };
}

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
  const ask = async (query: string): Promise<number | undefined> => {
    const url = `http://${own}/api/v1/query?query=${encodeURIComponent(query)}`;
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok !== true) return undefined;
    const { data } = (await answer.json()) as Answer;
    return data.result[0] === undefined ? undefined : Number(data.result[0].value[1]);
  };
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
  wanted.push(['sparsync_authorized_keys', 2], ['sparsync_sessions_active', 0], ['up', 1]);
  wanted.push(['sum(sparsync_sessions_total{client="client0",operation="push",result="ok"})', 2]);
  const found = async (): Promise<[string, number | undefined][]> =>
    Promise.all(wanted.map(async ([query]): Promise<[string, number | undefined]> => [query, await ask(query)]));
  let last = await found();
  // What Prometheus has scraped last is a moment old.
  for (let look = 0; look < 200 && JSON.stringify(last) !== JSON.stringify(wanted); look += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    last = await found();
  }
  t.deepEqual(last, wanted);
});
