// What progress says: how much is done, which never goes back, how long the rest takes, and what need not be sent, by its cause.
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import test, { type ExecutionContext } from 'ava';

import { sync } from '../dist/index.js';
import type { ProgressEvent, SyncJob } from '../dist/index.js';
import { Pace } from '../ts/pace.js';
import { addAttempt, toStats } from '../ts/stats.js';
import { counters } from './helpers/counters.js';
import { start } from './helpers/process.js';
import { client, program } from './helpers/product.js';
import { Random } from './helpers/random.js';
import { startServer } from './helpers/server.js';
import { accessOf, setup } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

const MEBIBYTE = 1 << 20;

/** Some files that take a few seconds at a rate of a MiB. */
function someFiles(top: string): string {
  mkdirSync(top);
  for (let file = 0; file < 12; file += 1) writeFileSync(`${top}/${file}`, Buffer.alloc(MEBIBYTE / 4, file + 1));
  return top;
}

/** The looks at a job's progress, each of which `seen` is told of. */
async function looks(
  job: SyncJob,
  seen: (event: ProgressEvent) => unknown = () => undefined,
): Promise<ProgressEvent[]> {
  const found: ProgressEvent[] = [];
  for await (const event of job) {
    if (event.type !== 'progress') continue;
    found.push(event);
    await seen(event);
  }
  return found;
}

/** Percentages rise up to 100, and what was known stays known. */
function assertForward(t: ExecutionContext, found: readonly ProgressEvent[]): void {
  const percents = found.flatMap(({ percent }) => (percent === undefined ? [] : [percent]));
  t.deepEqual(
    percents,
    percents.toSorted((one, other) => one - other),
    'percentages never go back',
  );
  t.true(percents.length > 2 && percents.every((each) => Number.isInteger(each) && each >= 0 && each <= 100));
  const known = found.findIndex(({ stats }) => stats.bytesToTransfer !== undefined);
  const later = found.slice(known);
  t.true(later.every(({ stats, percent }) => stats.bytesToTransfer !== undefined && percent !== undefined));
  for (const { stats } of later) {
    t.true(stats.bytesTransferred + stats.bytesReused <= (stats.bytesToTransfer ?? 0) + stats.bytesLinked);
  }
}

test('progress says how much is done and how long the rest takes', async (t) => {
  const work = workDir(t);
  const source = someFiles(`${work}/source`);
  const found = await looks(sync(source, `${work}/copy`, { bwlimit: MEBIBYTE }));
  assertForward(t, found);
  const left = found.flatMap(({ etaMs }) => (etaMs === undefined ? [] : [etaMs]));
  t.true(left.length > 0 && left.every((each) => each >= 0));
});

test('a percentage is absent until the total is known, and does not go back when more is found or an attempt fails', (t) => {
  const pace = new Pace();
  const at = (values: Record<string, number>, ms: number) => pace.look(toStats(counters(values)), ms);
  t.deepEqual(at({ bytes_transferred: 50, bytes_to_transfer: 50 }, 0), {});
  const first = { bytes_transferred: 50, bytes_to_transfer: 100, walk_done: 1 };
  t.deepEqual(at(first, 100), { percent: 50 }, 'nothing is said of the time yet');
  t.deepEqual(at({ ...first, bytes_transferred: 60, bytes_to_transfer: 200 }, 1000), { percent: 50, etaMs: 14_000 });
  // A second attempt that has found nothing yet.
  const second = addAttempt(counters(first), counters({ bytes_transferred: 0, bytes_to_transfer: 0, walk_done: 0 }));
  t.like(toStats(second), { walkDone: true, bytesToTransfer: 100 });
  t.like(pace.look(toStats(second), 2000), { percent: 50 });
  // What another tree had is no part of what is to be transferred.
  const linked = { bytes_reused: 500, bytes_linked: 400, bytes_copied: 100, bytes_to_transfer: 10, walk_done: 1 };
  t.is(new Pace().look(toStats(counters(linked)), 0).percent, 0);
});

test('progress of a second attempt goes on where the first was, and its total stays', async (t) => {
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const source = someFiles(`${work}/source`);
  const run = { home: work, roots: { root: served }, clients: [user], args: ['--grace', '0'] };
  const server = await startServer(t, run);
  let isEnded = false;
  const retry = { attempts: 100, deadlineMs: 60_000, baseDelayMs: 20, maxDelayMs: 100 };
  const options = { ...accessOf(user, server), retry, transport: 'tcp' as const, bwlimit: MEBIBYTE };
  const job = sync(source, server.url('root', 'tree'), options);
  const found = await looks(job, async ({ percent = 0 }) => {
    if (percent < 25 || isEnded) return;
    isEnded = true;
    await server.stop('SIGKILL');
    await startServer(t, { ...run, port: server.port });
  });
  t.true((await job).attempts > 1, 'nothing interrupted it');
  assertForward(t, found);
  t.deepEqual(readFileSync(`${served}/tree/3`), readFileSync(`${source}/3`));
});

const hasTerminals = spawnSync('script', ['--version']).error === undefined;

(hasTerminals ? test : test.skip)('--info=progress2 at a terminal never goes back, and ends with 100 %', async (t) => {
  const work = workDir(t);
  const source = someFiles(`${work}/source`);
  const command = `'${process.execPath}' '${program}' -a --info=progress2 --bwlimit=1024 '${source}/' '${work}/copy/'`;
  const env = { ...client(work).env, TERM: 'xterm' };
  const ended = await start(t, 'script', ['-qec', command, '/dev/null'], { env }).ended;
  t.is(ended.code, 0, ended.stdout);
  const percents = [...ended.stdout.matchAll(/ (\d+)% /g)].map((match) => Number(match[1]));
  t.deepEqual(
    percents,
    percents.toSorted((one, other) => one - other),
  );
  t.true(percents.length > 3 && percents.filter((each) => each < 100).length > 2, ended.stdout);
  t.is(percents.at(-1), 100);
});

test('what need not be sent is counted by its cause', async (t) => {
  const { work, url, access } = await setup(t);
  const source = dir(work, 'source');
  const random = new Random(t.title);
  const large = Buffer.from(Array.from({ length: 2 * MEBIBYTE }, () => random.between(0, 256)));
  writeFileSync(`${source}/large`, large);
  writeFileSync(`${source}/same`, Buffer.alloc(5000, 1));
  await sync(source, url('one'), access);
  // Another state of a file: most of it is there.
  appendFileSync(`${source}/large`, 'more');
  const { stats } = await sync(source, url('one'), access);
  t.is(stats.bytesUnchanged, 5000);
  t.true(stats.bytesMatched > MEBIBYTE && stats.bytesMatched <= stats.bytesReused, String(stats.bytesMatched));
  t.deepEqual([stats.bytesLinked, stats.bytesCopied], [0, 0]);

  await sync(source, `${work}/first`);
  writeFileSync(`${source}/new`, 'new');
  const linked = (await sync(source, `${work}/linked`, { linkDest: [`${work}/first`] })).stats;
  t.deepEqual([linked.bytesLinked, linked.bytesCopied, linked.bytesUnchanged], [large.length + 4 + 5000, 0, 0]);
  const copied = (await sync(source, `${work}/copied`, { copyDest: [`${work}/first`] })).stats;
  t.deepEqual([copied.bytesLinked, copied.bytesCopied], [0, large.length + 4 + 5000]);

  const again = (await sync(source, `${work}/linked`)).stats;
  t.is(again.bytesUnchanged, again.bytesTotal);
});
