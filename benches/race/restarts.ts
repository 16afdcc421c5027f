// A server that is killed and started again in the middle of a run: how much longer the run takes. See benches/README.md.
import { randomFillSync } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openLink, within } from './links.js';
import { makeTmpfsFolder } from './machine.js';
import { besideLink, judge, PROGRAMS } from './place.js';
import type { Place } from './place.js';
import { cleanEnvironment, cleanUpAtExit, mustRun, runToEnd } from './processes.js';
import { command, startServer } from './sparsync.js';
import type { Server } from './sparsync.js';

const LINK = '100mbit';
const FILES = 8;
const FILE_BYTES = 6 << 20;
const SMALL_FILES = 500;

/** What a run may take longer than undisturbed. */
const MOST_SECONDS = 3;

const DIRECTIONS = ['push', 'pull'] as const;
type Direction = (typeof DIRECTIONS)[number];

function makeSource(folder: string): void {
  mkdirSync(join(folder, 'small'), { recursive: true });
  const noise = (bytes: number): Buffer => randomFillSync(Buffer.alloc(bytes));
  for (let file = 0; file < FILES; file += 1) writeFileSync(join(folder, `large-${file}`), noise(FILE_BYTES));
  for (let file = 0; file < SMALL_FILES; file += 1) writeFileSync(join(folder, 'small', `${file}`), noise(4096));
}

/** The two ends of the runs. */
interface Ends {
  place: Place;
  server: Server;
  near: string;
  far: string;
}

/** Seconds of a run, which `meanwhile` may disturb; the trees are equal after it, with nothing left over. */
async function timedRun(
  direction: Direction,
  { place, server, near, far }: Ends,
  meanwhile: () => Promise<void>,
): Promise<number> {
  const [from, to] =
    direction === 'push' ? [join(near, 'source'), join(far, 'tree')] : [join(far, 'source'), join(near, 'tree')];
  rmSync(to, { recursive: true, force: true });
  const url = `${server.url}/bench`;
  const ends = direction === 'push' ? [`${from}/`, `${url}/tree/`] : [`${url}/source/`, `${to}/`];
  const words = ['-a', '--delete', '--durability', 'none', '--retry', '20', '--pin', server.publicKey, ...ends];
  const began = performance.now();
  const run = mustRun(...within(place.link.near, [process.execPath, command(place), ...words]), {
    env: cleanEnvironment(server.env),
  });
  await Promise.all([run, meanwhile()]);
  const seconds = (performance.now() - began) / 1000;
  const { stdout } = await mustRun('rsync', ['-ainc', '--delete', `${from}/`, `${to}/`]);
  if (stdout !== '') throw new Error(`the trees differ after a ${direction}: ${stdout}`);
  return seconds;
}

async function main(): Promise<void> {
  const runs = Number(process.argv[2] ?? 20);
  if (!Number.isInteger(runs) || runs <= 0) throw new Error('usage: npm run bench -- --restarts [RUNS]');
  cleanUpAtExit();
  const work = await makeTmpfsFolder();
  const link = await openLink(LINK, PROGRAMS);
  const place = besideLink(link, work);
  const [near, far] = [join(work, 'near'), place.destinations];
  makeSource(join(near, 'source'));
  makeSource(join(far, 'source'));
  const server = await startServer(place, 'none');

  const timed = (direction: Direction, meanwhile: () => Promise<void>): Promise<number> =>
    timedRun(direction, { place, server, near, far }, meanwhile);

  const undisturbed = new Map<Direction, number>();
  for (const direction of DIRECTIONS) {
    const times = [];
    for (let run = 0; run < 3; run += 1) times.push(await timed(direction, async () => {}));
    undisturbed.set(direction, times.toSorted((a, b) => a - b)[1] ?? Number.NaN);
  }

  console.log(`${LINK}: a server that is killed and started again at once\n`);
  console.log('run  direction  undisturbed s  killed after s  took s  longer by s');
  const delays: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const direction = DIRECTIONS[run % 2] ?? 'push';
    const usual = undisturbed.get(direction) ?? Number.NaN;
    // From a fifth to nine tenths of it.
    const at = usual * (0.2 + (0.7 * run) / runs);
    const took = await timed(direction, async () => {
      await sleep(at * 1000);
      await server.restart();
    });
    delays.push(took - usual);
    const figures = [usual, at, took, took - usual].map((seconds) => seconds.toFixed(2));
    console.log(
      `${String(run + 1).padStart(3)}  ${direction.padEnd(9)}  ${figures.map((text, column) => text.padStart([13, 14, 6, 11][column] ?? 0)).join('  ')}`,
    );
  }
  const most = Math.max(...delays);
  console.log('');
  judge([[`at most ${MOST_SECONDS} s longer (${most.toFixed(2)} s)`, most <= MOST_SECONDS]]);
}

await runToEnd(main);
