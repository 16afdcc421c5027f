// A server that is killed and started again in the middle of a run, or falls silent: how much longer the run takes. See
// benches/README.md.
import { randomFillSync } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openLink, within } from './links.js';
import { makeTmpfsFolder } from './machine.js';
import { besideLink, judge, PROGRAMS } from './place.js';
import type { Place } from './place.js';
import { cleanEnvironment, cleanUpAtExit, mustRun, run, runToEnd } from './processes.js';
import { command, startServer } from './sparsync.js';
import type { Server } from './sparsync.js';

const LINK = '100mbit';
const FILES = 8;
const FILE_BYTES = 6 << 20;
const SMALL_FILES = 500;

/** What a run may take longer than undisturbed. */
const MOST_SECONDS = 3;

/** `--timeout`, and what a run may take longer to end by it. */
const TIMEOUT_SECONDS = 5;
const MOST_BEHIND_SECONDS = 2;

/** The exit code of a run whose peer was silent for too long. */
const TIMED_OUT = 30;

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

/** The folders of a run in that direction, the second one empty, and the words of its command. */
function prepare(direction: Direction, { server, near, far }: Ends): { from: string; to: string; words: string[] } {
  const push = direction === 'push';
  const [from, to] = push ? [join(near, 'source'), join(far, 'tree')] : [join(far, 'source'), join(near, 'tree')];
  rmSync(to, { recursive: true, force: true });
  const url = `${server.url}/bench`;
  const ends = push ? [`${from}/`, `${url}/tree/`] : [`${url}/source/`, `${to}/`];
  return { from, to, words: ['-a', '--delete', '--durability', 'none', '--pin', server.publicKey, ...ends] };
}

const secondsSince = (began: number): number => (performance.now() - began) / 1000;

/** Seconds of a run, which `meanwhile` may disturb; the trees are equal after it, with nothing left over. */
async function timedRun(direction: Direction, ends: Ends, meanwhile: () => Promise<void>): Promise<number> {
  const { from, to, words } = prepare(direction, ends);
  const { place, server } = ends;
  const began = performance.now();
  const ended = mustRun(...within(place.link.near, [process.execPath, command(place), '--retry', '20', ...words]), {
    env: cleanEnvironment(server.env),
  });
  await Promise.all([ended, meanwhile()]);
  const seconds = secondsSince(began);
  const { stdout } = await mustRun('rsync', ['-ainc', '--delete', `${from}/`, `${to}/`]);
  if (stdout !== '') throw new Error(`the trees differ after a ${direction}: ${stdout}`);
  return seconds;
}

/** Seconds from the moment at which the server falls silent to the end of the run, which says so. */
async function silentRun(direction: Direction, ends: Ends, at: number): Promise<number> {
  const { words } = prepare(direction, ends);
  const { place, server } = ends;
  const limit = `--timeout=${TIMEOUT_SECONDS}`;
  const ended = run(...within(place.link.near, [process.execPath, command(place), limit, ...words]), {
    env: cleanEnvironment(server.env),
  });
  await sleep(at * 1000);
  server.service.signal('SIGSTOP');
  const silent = performance.now();
  const { code, stderr } = await ended;
  server.service.signal('SIGCONT');
  if (code !== TIMED_OUT) throw new Error(`a ${direction} whose server fell silent exited ${code}: ${stderr}`);
  return secondsSince(silent);
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

  const ends = { place, server, near, far };

  const undisturbed = new Map<Direction, number>();
  for (const direction of DIRECTIONS) {
    const times = [];
    for (let i = 0; i < 3; i += 1) times.push(await timedRun(direction, ends, async () => {}));
    undisturbed.set(direction, times.toSorted((a, b) => a - b)[1] ?? Number.NaN);
  }
  const usual = (direction: Direction): number => undisturbed.get(direction) ?? Number.NaN;

  console.log(`${LINK}: a server that is killed and started again at once\n`);
  console.log('run  direction  undisturbed s  killed after s  took s  longer by s');
  const delays: number[] = [];
  for (let i = 0; i < runs; i += 1) {
    const direction = DIRECTIONS[i % 2] ?? 'push';
    // From a fifth to nine tenths of it.
    const at = usual(direction) * (0.2 + (0.7 * i) / runs);
    const took = await timedRun(direction, ends, async () => {
      await sleep(at * 1000);
      await server.restart();
    });
    const longer = took - usual(direction);
    delays.push(longer);
    const figures = [usual(direction), at, took, longer].map((seconds) => seconds.toFixed(2));
    console.log(
      `${String(i + 1).padStart(3)}  ${direction.padEnd(9)}  ${figures.map((text, column) => text.padStart([13, 14, 6, 11][column] ?? 0)).join('  ')}`,
    );
  }

  console.log(`\na server that falls silent, --timeout=${TIMEOUT_SECONDS}\n`);
  const silences: number[] = [];
  for (const direction of DIRECTIONS) {
    const took = await silentRun(direction, ends, usual(direction) / 2);
    silences.push(took);
    console.log(`${direction.padEnd(9)}  ended after ${took.toFixed(2)} s`);
  }

  const most = Math.max(...delays);
  const behind = Math.max(...silences) - TIMEOUT_SECONDS;
  console.log('');
  judge([
    [`at most ${MOST_SECONDS} s longer (${most.toFixed(2)} s)`, most <= MOST_SECONDS],
    [`at most ${MOST_BEHIND_SECONDS} s behind --timeout (${behind.toFixed(2)} s)`, behind <= MOST_BEHIND_SECONDS],
  ]);
}

await runToEnd(main);
