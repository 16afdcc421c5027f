// What crossing from JavaScript into the engine costs: a bare call, a whole job that has nothing to do, and events.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Bench } from 'tinybench';

import { plan, sync } from '../../dist/index.js';
import { coreVersion, statNames } from '../../index.js';

const ENTRIES = 1000;

const work = mkdtempSync(join(tmpdir(), 'sparsync-boundary-'));
try {
  const folder = (name: string): string => {
    const path = join(work, name);
    mkdirSync(path);
    return path;
  };
  const [empty, alsoEmpty, full] = [folder('empty'), folder('also-empty'), folder('full')];
  for (let index = 0; index < ENTRIES; index += 1) writeFileSync(join(full, `file-${index}`), '');
  const bench = new Bench({ name: 'boundary', time: 1000 });
  bench
    .add('a call that answers at once', () => coreVersion())
    .add('a call that answers a list', () => statNames())
    .add('a job with nothing to do', async () => {
      await sync(empty, alsoEmpty, { durability: 'none' });
    })
    .add('a job with nothing to do, iterated', async () => {
      for await (const event of sync(empty, alsoEmpty, { durability: 'none' })) if (event.type === 'done') break;
    })
    .add(`a plan of ${ENTRIES} items, read one by one`, async () => {
      let items = 0;
      for await (const item of plan(full, alsoEmpty)) items += item.action === 'create' ? 1 : 0;
      if (items < ENTRIES) throw new Error(`${items} items instead of ${ENTRIES}`);
    });
  await bench.run();
  console.table(bench.table());
} finally {
  rmSync(work, { recursive: true, force: true });
}
