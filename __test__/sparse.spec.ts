// Runs of zeros become holes with -S, as with rsync; without it what the source has allocated decides.
import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { quietly } from './helpers/cli.js';
import { assertEqual, judged, rsync } from './helpers/judge.js';
import { program } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { isRoot } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { judgedEachWay } from './helpers/ways.js';

const BLOCK = 4096;

/** Blocks of zeros among others, and an end that fills no block. */
function content(random: Random, blocks: number): Buffer {
  const parts = Array.from({ length: blocks }, () => (random.oneIn(2) ? Buffer.alloc(BLOCK) : random.bytes(BLOCK)));
  const end = random.oneIn(2) ? Buffer.alloc(random.below(BLOCK)) : random.bytes(random.below(BLOCK));
  return Buffer.concat([...parts, end]);
}

judgedEachWay(
  'blocks of zeros take no room with -S, in files of any size, pushed, pulled and here',
  async (t, { work, served, client: user, url }) => {
    t.log(`seed ${seed}`);
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
  },
);

judged(
  'a file that ends in zeros, and one of nothing else, take no more room than with rsync, as a plain user too',
  (t) => {
    const work = workDir(t);
    for (const path of [dirname(work), work]) chmodSync(path, 0o755);
    const home = dir(work, 'home');
    mkdirSync(`${home}/src`);
    const cases: ReadonlyArray<readonly [string, Buffer]> = [
      ['tiny', Buffer.alloc(100)],
      ['tail', Buffer.concat([Buffer.alloc(BLOCK, 'x'), Buffer.alloc(904)])],
      ['head', Buffer.concat([Buffer.alloc(3 * BLOCK), Buffer.from('x')])],
      ['large-tail', Buffer.concat([Buffer.alloc(60 * BLOCK, 'x'), Buffer.alloc(60 * BLOCK + 7)])],
      ['page', Buffer.alloc(BLOCK)],
    ];
    for (const [name, bytes] of cases) writeFileSync(`${home}/src/${name}`, bytes);
    spawnSync('chown', ['-R', '65534:65534', home]);
    const become = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    for (const [command, place] of [
      [['rsync'], 'theirs'],
      [[process.execPath, program], 'ours'],
    ] as const) {
      const [first = '', ...rest] = [...become, ...command, '-aS', `${home}/src/`, `${home}/${place}/`];
      const ran = spawnSync(first, rest, { encoding: 'utf8', env: { ...process.env, HOME: home } });
      t.is(ran.status, 0, ran.stderr);
      assertEqual(t, `${home}/src`, `${home}/${place}`, { wholeSeconds: true });
    }
    for (const [name] of cases) {
      const [ours, theirs] = ['ours', 'theirs'].map((place) => lstatSync(`${home}/${place}/${name}`).blocks) as [
        number,
        number,
      ];
      t.true(ours <= theirs, `${name}: ${ours} blocks, with rsync ${theirs}`);
    }
  },
);

// Seen red with holes over what is there, through which it showed.
judgedEachWay(
  'what is written in place has holes and nothing of what was there before, as with rsync',
  async (t, { work, served, url, client: user }) => {
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const names = [0, 1, 5, 31, 33, 100, 400].map((blocks) => `f${blocks}`);
    const trees = [`${work}/judge`, `${work}/here`, `${served}/pushed`];
    for (const tree of [`${work}/src`, ...trees]) mkdirSync(tree);
    for (const name of names) {
      const blocks = Number(name.slice(1));
      const [bytes, before] = [content(random, blocks), random.bytes((blocks + random.below(5)) * BLOCK)];
      writeFileSync(`${work}/src/${name}`, bytes);
      for (const tree of trees) writeFileSync(`${tree}/${name}`, before);
    }
    const words = ['-aSI', '--inplace'];
    rsync(...words, `${work}/src/`, `${work}/judge/`);
    await quietly(t, user, [...words, `${work}/src/`, `${work}/here`]);
    await quietly(t, user, [...words, `${work}/src/`, url('pushed')]);
    for (const tree of trees) {
      assertEqual(t, `${work}/src`, tree, { wholeSeconds: true });
      for (const name of names) {
        const [ours, theirs] = [tree, `${work}/judge`].map((of) => lstatSync(`${of}/${name}`).blocks) as [
          number,
          number,
        ];
        t.true(ours <= theirs, `${tree}/${name}: ${ours} blocks, with rsync ${theirs}`);
      }
    }
  },
);
