// The link of the benchmarks, which is as bad as it is asked to be: that it is. A busy machine makes all of it only slower.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import test, { type ExecutionContext } from 'ava';

import { buildProgram } from './helpers/cargo.js';
import { networks } from './helpers/networks.js';
import { start, until } from './helpers/process.js';
import { isRoot } from './helpers/setup.js';

const ECHO = fileURLToPath(new URL('helpers/udp-echo.mjs', import.meta.url));
const why = isRoot && spawnSync('ip', ['-V']).status === 0 ? '' : ' (needs root and iproute2)';
const shaped = why === '' ? test.serial : test.serial.skip;

interface Echoed {
  readonly got: number;
  readonly duplicates: number;
  readonly overtaken: number;
  readonly leastMs: number;
  readonly spanMs: number;
}

/** A link of this shape; sends datagrams over it and says what came back. */
async function link(
  t: ExecutionContext,
  shape: readonly string[],
): Promise<(count: number, bytes: number, gapMs: number) => Echoed> {
  const { near, far, ip } = networks(t, 'spstest');
  const carries = start(t, buildProgram('shaped-link'), [near, far, ...shape], { input: null });
  await until('the link', () => carries.stdout().includes('ready'));
  ip(`-n ${near} address add 10.213.8.1/30 dev sps0`);
  ip(`-n ${far} address add 10.213.8.2/30 dev sps0`);
  const node = (name: string, words: string): string[] => [
    ...`netns exec ${name} ${process.execPath} ${ECHO}`.split(' '),
    ...words.split(' '),
  ];
  const echo = start(t, 'ip', node(far, 'echo 10.213.8.2 7000'));
  await until('the echo', () => echo.stdout().includes('ready'));
  return (count, bytes, gapMs) => {
    const sent = spawnSync('ip', node(near, `send 10.213.8.2 7000 ${count} ${bytes} ${gapMs}`), { encoding: 'utf8' });
    t.is(sent.status, 0, sent.stderr);
    return JSON.parse(sent.stdout) as Echoed;
  };
}

shaped(`a link takes as long as it is asked to, and loses nothing by itself${why}`, async (t) => {
  t.timeout(300_000);
  const send = await link(t, ['delay=25']);
  const echoed = send(200, 100, 2);
  t.deepEqual([echoed.got, echoed.duplicates, echoed.overtaken], [200, 0, 0]);
  t.true(echoed.leastMs >= 50 && echoed.leastMs < 150, `${echoed.leastMs} ms`);
});

shaped(`a link loses, repeats and reorders as much as it is asked to${why}`, async (t) => {
  t.timeout(300_000);
  const send = await link(t, ['delay=10', 'loss=10', 'back-loss=0', 'duplicate=20', 'back-duplicate=0', 'reorder=20']);
  const { got, duplicates, overtaken } = send(2000, 100, 1);
  // What is drawn has a seed: these are wide bounds for the few packets that others send.
  t.true(got > 1720 && got < 1880, `${got} of 2000 came`);
  t.true(duplicates > 250 && duplicates < 450, `${duplicates} twice`);
  t.true(overtaken > 50, `${overtaken} overtaken`);
});

shaped(`a link is no faster than it is asked to be, and holds no more${why}`, async (t) => {
  t.timeout(300_000);
  const send = await link(t, ['rate=8', 'back-rate=0', 'queue=100']);
  // 1 MB a second: what comes in 100 ms waits, the rest of a burst is lost.
  const burst = send(600, 972, 0);
  t.true(burst.got >= 95 && burst.got < 450, `${burst.got} of a burst of 600 came`);
  t.true(burst.spanMs >= (burst.got - 20) * 0.95, `${burst.got} in ${burst.spanMs} ms`);
  const paced = send(200, 972, 4);
  t.is(paced.got, 200);
});

shaped(`a link drops what is longer than it is asked to carry${why}`, async (t) => {
  t.timeout(300_000);
  const send = await link(t, ['drop-over=1000']);
  t.is(send(20, 972, 1).got, 20);
  t.is(send(20, 973, 1).got, 0);
});
