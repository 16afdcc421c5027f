// Two flows on one link: how much of it each has, and what waits there. See benches/README.md.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openLink, within } from './links.js';
import type { Link } from './links.js';
import { makeTmpfsFolder } from './machine.js';
import { besideLink, judge, PROGRAMS } from './place.js';
import type { Place } from './place.js';
import { cleanEnvironment, cleanUpAtExit, runToEnd, start, startService } from './processes.js';
import { command, startServer } from './sparsync.js';
import type { Server } from './sparsync.js';

/** What the link carries, from `SHAPED` in knobs.ts. */
const LINK = '100mbit';
const BYTES_PER_SECOND = 12.5e6;
const ROUND_TRIP_MS = 20;

/** Flows find their shares in so long. */
const SETTLE_SECONDS = 10;

const TCP = 6;
const TCP_PORT = 20_001;

/** Sends for as long as it lives. */
const TCP_SENDER = `const socket = require('node:net').connect(${TCP_PORT}, process.argv[1], () => {
  const block = Buffer.alloc(1 << 20);
  const more = () => { while (socket.write(block)); };
  socket.on('drain', more);
  more();
});`;
const TCP_SINK = `require('node:net').createServer((socket) => socket.resume()).listen(${TCP_PORT}, process.argv[1], () => console.log('ready'));`;

interface Bench {
  readonly place: Place;
  readonly link: Link;
  readonly server: Server;
  readonly source: string;
}

/** A flow, until it is ended. */
type Flow = (bench: Bench, number: number) => Promise<() => Promise<void>>;

const tcp: Flow = async ({ link }) => {
  const sink = await startService(...within(link.far, [process.execPath, '-e', TCP_SINK, link.address]));
  const args = [process.execPath, '-e', TCP_SENDER, link.address];
  const sender = await startService(...within(link.near, args), { line: false });
  return async () => {
    await sender.stop();
    await sink.stop();
  };
};

const ours: Flow = async ({ place, link, server, source }, number) => {
  const words = ['-a', '--durability', 'none', '--pin', server.publicKey, `${source}/`];
  const push = start(
    ...within(link.near, [process.execPath, command(place), ...words, `${server.url}/bench/flow${number}/`]),
    { env: cleanEnvironment(server.env) },
  );
  let ended = false;
  push.once('exit', () => (ended = true));
  return async () => {
    if (ended) throw new Error('a push ended before it was to');
    push.kill('SIGKILL');
    await new Promise((done) => push.once('exit', done));
  };
};

interface Row {
  readonly title: string;
  /** Mbit/s of each, ours first. */
  readonly mbit: readonly number[];
  /** Of the first in terms of the second's. */
  readonly share: number;
  /** What waits in the median, as a part of what the path holds. */
  readonly queue: number;
}

async function row(bench: Bench, title: string, flows: readonly Flow[], seconds: number): Promise<Row> {
  const running = [];
  for (const [number, flow] of flows.entries()) running.push(await flow(bench, number));
  await sleep(SETTLE_SECONDS * 1000);
  await bench.link.look?.();
  await sleep(seconds * 1000);
  const seen = await bench.link.look?.();
  for (const end of running) await end();
  if (seen === undefined) throw new Error('the link cannot be looked at');
  const carried = seen.flows.toSorted((a, b) => b.bytes - a.bytes).slice(0, flows.length);
  const [first, second] = carried.toSorted((a, b) => Number(a.protocol === TCP) - Number(b.protocol === TCP));
  if (first === undefined || second === undefined) throw new Error('there were no two flows');
  return {
    title,
    mbit: [first, second].map(({ bytes }) => (bytes * 8) / seconds / 1e6),
    share: first.bytes / second.bytes,
    queue: seen.waitMs / ROUND_TRIP_MS,
  };
}

/** A file that no compressor makes smaller, longer than any flow lasts. */
function makeSource(folder: string, seconds: number): string {
  mkdirSync(folder);
  const block = randomFillSync(Buffer.alloc(8 << 20));
  const file = openSync(join(folder, 'noise'), 'w');
  const bytes = (seconds + SETTLE_SECONDS + 10) * BYTES_PER_SECOND;
  for (let done = 0; done < bytes; done += block.length) writeSync(file, block);
  closeSync(file);
  return folder;
}

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 60);
  if (!Number.isInteger(seconds) || seconds <= 0) throw new Error('usage: npm run bench -- --fairness [SECONDS]');
  cleanUpAtExit();
  const work = await makeTmpfsFolder();
  const link = await openLink(LINK, PROGRAMS);
  const source = makeSource(join(work, 'source'), seconds);
  const place = besideLink(link, work);
  const bench: Bench = { place, link, server: await startServer(place, 'none'), source };
  const beside = await row(bench, 'ours beside kernel Cubic', [tcp, ours], seconds);
  const two = await row(bench, 'two of ours', [ours, ours], seconds);
  console.log(`${LINK}: ${ROUND_TRIP_MS} ms, 200 ms of queue; ${seconds} s after the first ${SETTLE_SECONDS}\n`);
  console.log('flows                       Mbit/s         share   queue, median');
  for (const { title, mbit, share, queue } of [beside, two]) {
    const each = mbit.map((one) => one.toFixed(1)).join(' / ');
    console.log(`${title.padEnd(26)}  ${each.padEnd(13)}  ${share.toFixed(2)}    ${queue.toFixed(2)} BDP`);
  }
  const apart = Math.max(two.share, 1 / two.share);
  judge([
    ['beside Cubic between 0.5 and 2 times its share', beside.share >= 0.5 && beside.share <= 2],
    ['two of ours within 1.5', apart <= 1.5],
    ['at most 1.25 BDP waits with two of ours', two.queue <= 1.25],
  ]);
}

await runToEnd(main);
