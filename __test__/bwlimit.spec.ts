// A limit on what is sent that is changed while a run is under way.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { ConfigError, connect, sync } from '../dist/index.js';
import { judged } from './helpers/judge.js';
import { until } from './helpers/process.js';
import { Random } from './helpers/random.js';
import { setup } from './helpers/setup.js';

const BYTES = 4 << 20;

for (const way of ['push', 'pull', 'here'] as const)
  judged(`a limit holds from the moment on at which it is set (${way})`, async (t) => {
    const { work, served, url, access } = await setup(t);
    const tree = way === 'pull' ? served : work;
    const content = new Random(t.title).bytes(BYTES);
    for (const name of ['s', 'other']) {
      mkdirSync(`${tree}/${name}`);
      writeFileSync(`${tree}/${name}/f`, content);
    }
    const from = (name: string): string => (way === 'pull' ? url(`${name}/`) : `${work}/${name}/`);
    const to = (name: string): string => (way === 'push' ? url(name) : `${work}/${name}`);
    const options = { ...(way === 'here' ? {} : access), compression: 'never' } as const;
    const lifted = sync(from('s'), to('lifted'), { ...options, bwlimit: 500 });
    const limited = sync(from('s'), to('limited'), options);
    // It is not under way yet.
    limited.setBwlimit(500);
    await until('both to begin', () => [lifted, limited].every((job) => (job.stats().bytesToTransfer ?? 0) > 0));
    lifted.setBwlimit(0);
    await lifted;
    await sync(from('other'), to('other'), options);
    t.true(limited.stats().bytesTransferred < BYTES);
    limited.setBwlimit(100);
    limited.setBwlimit(100_000_000);
    await limited;
    for (const name of ['lifted', 'limited', 'other']) {
      t.true(readFileSync(`${way === 'push' ? served : work}/${name}/f`).equals(content), name);
    }
  });

judged('a limit stays for the next attempt, is checked, and means nothing to a run that is over', async (t) => {
  const { work, server, access } = await setup(t);
  mkdirSync(`${work}/s`);
  writeFileSync(`${work}/s/f`, 'content');
  await using connection = await connect(`sparsync://127.0.0.1:${server.port}`, access);
  const job = connection.push(`${work}/s`, 'root/d');
  for (const bad of [-1, 1.5, Number.NaN, 2 ** 53, '1' as unknown as number]) {
    t.throws(() => job.setBwlimit(bad), { instanceOf: ConfigError });
  }
  await job;
  t.notThrows(() => job.setBwlimit(1));
});
