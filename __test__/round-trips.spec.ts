// What a command says over a long path before it is done, counted in round trips with its handshake.
import { rmSync } from 'node:fs';

import { sync } from '../dist/index.js';
import { assertEqual, judged } from './helpers/judge.js';
import { Relay } from './helpers/relay.js';
import { setup } from './helpers/setup.js';
import { plainTree } from './helpers/tree.js';

/** One way, in ms: by this a relay tells an answer from what was on its way already. */
const oneWayMs = 60;

/** What is done in so many round trips, and half of one for the end of the connection. */
const handshake = 1;
const answered = 1;
const content = 1;
const end = 0.5;

for (const direction of ['push', 'pull'] as const) {
  judged(`a ${direction} takes no more round trips than it has questions`, async (t) => {
    t.timeout(120_000);
    const { work, served, server, access } = await setup(t);
    const [from, to] =
      direction === 'push' ? [`${work}/source`, `${served}/tree`] : [`${served}/source`, `${work}/tree`];
    plainTree(from, { directories: 5, files: 30 });
    await using relay = await Relay.start({ to: server.port, delayMs: oneWayMs });
    const run = async (): Promise<unknown> =>
      direction === 'push'
        ? sync(from, relay.url('root', 'tree'), access)
        : sync(relay.url('root', 'source'), to, access);

    const anew = async (): Promise<void> => {
      rmSync(to, { recursive: true, force: true });
      await run();
    };
    // A pull grants with its request, so that content is the answer to it.
    const first = handshake + answered + (direction === 'push' ? content : 0) + end;
    const none = handshake + answered + end;
    const all = await relay.fewestRoundTrips(anew, 10, first);
    t.true(all <= first, `the first one: ${all}`);
    assertEqual(t, from, to);
    const same = await relay.fewestRoundTrips(run, 10, none);
    t.true(same <= none, `without a change: ${same}`);
  });
}
