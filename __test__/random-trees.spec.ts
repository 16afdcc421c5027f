// Trees of every oddity, changed at random on both sides between runs, made equal again by each run.
import { rmSync } from 'node:fs';

import { connect } from '../dist/index.js';
import { assertEqual } from './helpers/judge.js';
import { Random, seed } from './helpers/random.js';
import { scaled } from './helpers/setup.js';
import { TreeMaker } from './helpers/tree.js';
import { touched, walk } from './helpers/walk.js';
import { judgedEachWay } from './helpers/ways.js';

const rounds = scaled(20, 200);
const entries = scaled(200, 2000);

// Seen red, in the first round, with `delete` left out.
judgedEachWay(
  `${rounds} rounds of a random tree of ${entries} entries, mutated on both sides, equal after each`,
  async (t, { work, served, access, address, named }) => {
    t.timeout(scaled(300_000, 7_200_000));
    t.log(`seed ${seed}`);
    const random = new Random(t.title);
    const maker = new TreeMaker(random, scaled(2 << 20, 4 << 20));
    const source = `${work}/source`;
    maker.generate(source, entries);
    const connection = await connect(address, access);
    try {
      for (let round = 0; round < rounds; round += 1) {
        const options = {
          delete: true,
          allowMassDelete: true,
          compression: random.pick(['auto', 'always', 'never'] as const),
        };
        const label = `round ${round}, seed ${seed}`;
        const remote = `${served}/tree`;
        const before = walk(source);
        // The tree goes there and comes back: each side is the source of one half of the round.
        await connection.push(source, named('tree'), options);
        assertEqual(t, source, remote, { label: `${label}, push` });
        t.deepEqual(touched(before, walk(source)), [], `${label}: the source was touched`);
        const settled = walk(remote);
        const again = await connection.push(source, named('tree'), options);
        t.deepEqual(touched(settled, walk(remote)), [], `${label}: a second run wrote`);
        t.is(again.stats.bytesTransferred, 0, label);

        maker.mutate(source, random.between(1, 12));
        maker.mutate(remote, random.between(0, 12));
        if (random.oneIn(20)) rmSync(source, { recursive: true, force: true });
        await connection.pull(named('tree'), source, options);
        assertEqual(t, remote, source, { label: `${label}, pull` });

        maker.mutate(source, random.between(1, 12));
        maker.mutate(remote, random.between(0, 12));
        if (walk(source).size < entries / 2) maker.generate(source, Math.floor(entries / 2));
      }
    } finally {
      await connection.close();
    }
  },
);
