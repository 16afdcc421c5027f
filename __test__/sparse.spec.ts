// Runs of zeros become holes with -S, as with rsync; without it what the source has allocated decides.
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';

import { quietly } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { setup } from './helpers/setup.js';

const BLOCK = 4096;

/** Blocks of zeros among others, and an end that fills no block. */
function content(random: Random, blocks: number): Buffer {
  const parts = Array.from({ length: blocks }, () => (random.oneIn(2) ? Buffer.alloc(BLOCK) : random.bytes(BLOCK)));
  const end = random.oneIn(2) ? Buffer.alloc(random.below(BLOCK)) : random.bytes(random.below(BLOCK));
  return Buffer.concat([...parts, end]);
}

judged('blocks of zeros take no room with -S, in files of any size, pushed, pulled and here', async (t) => {
  t.log(`seed ${seed}`);
  const { work, served, client: user, url } = await setup(t);
  const random = new Random(t.title);
  const source = `${served}/source`;
  mkdirSync(source);
  const sizes = [0, 1, 3, 17, 31, 32, 33, 100, 700];
  for (const [at, blocks] of sizes.entries()) writeFileSync(`${source}/${at}`, content(random, blocks));
  writeFileSync(`${source}/zeros`, Buffer.alloc(50 * BLOCK));
  writeFileSync(`${source}/large-zeros`, Buffer.alloc(500 * BLOCK + 5));
  writeFileSync(`${source}/data`, Buffer.alloc(100 * BLOCK, 'x'));
  rsync('-aS', `${source}/`, `${work}/judge/`);
  await quietly(t, user, ['-aS', `${source}/`, `${work}/here`]);
  await quietly(t, user, ['-aS', url('source/'), `${work}/pulled`]);
  await quietly(t, user, ['-aS', `${source}/`, url('pushed')]);
  await quietly(t, user, ['-a', `${source}/`, `${work}/full`]);
  const blocks = (tree: string): Array<[string, number]> =>
    [...sizes.keys(), 'zeros', 'large-zeros', 'data'].map((name) => [`${name}`, lstatSync(`${tree}/${name}`).blocks]);
  for (const tree of [`${work}/here`, `${work}/pulled`, `${served}/pushed`]) {
    assertEqual(t, source, tree);
    t.deepEqual(blocks(tree), blocks(`${work}/judge`), tree);
  }
  assertEqual(t, source, `${work}/full`);
  t.deepEqual(blocks(`${work}/full`), blocks(source), 'without -S');
  // What is sparse arrives so, without -S too, where files are large.
  await quietly(t, user, ['-a', `${work}/here/`, `${work}/again`]);
  t.is(lstatSync(`${work}/again/large-zeros`).blocks, 0);
});
