// What a run counts is what it did: both ends count the same bytes, and the counters of files, directories, symlinks
// and FIFOs say what a walker sees that is no part of the product.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';

import test from 'ava';
import * as fc from 'fast-check';

import { connect, PartialSyncError, serve, type Server, type SyncStats } from '../dist/index.js';
import { addAttempt, toStats } from '../ts/stats.js';
import { counters } from './helpers/counters.js';
import { until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { touched, type Tree, walk } from './helpers/walk.js';

interface FileNode {
  readonly kind: 'file';
  readonly content: number;
  readonly later: boolean;
  readonly mode: number;
}

interface LinkNode {
  readonly kind: 'symlink';
  readonly target: string;
  readonly time: number;
}

interface DirectoryNode {
  readonly kind: 'directory';
  readonly children: Readonly<Record<string, Node>>;
  readonly mode: number;
  readonly time: number;
}

interface FifoNode {
  readonly kind: 'fifo';
  readonly mode: number;
  readonly time: number;
}

type Node = FileNode | LinkNode | FifoNode | DirectoryNode;

/** Sizes on both sides of what travels whole in a pack, and of an empty one. */
const sizes: readonly number[] = [0, 1, 4000, 9000, 140_000];

/** Few names, contents, times and modes, so that the two sides often have the same, or something else of that name. */
const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const time = fc.constantFrom(1_000_000_001, 1_000_000_002);

const { node } = fc.letrec<{ node: Node; directory: DirectoryNode }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constant('file' as const),
      content: fc.nat({ max: sizes.length - 1 }),
      later: fc.boolean(),
      mode: fc.constantFrom(0o644, 0o600),
    }),
    fc.record({ kind: fc.constant('symlink' as const), target: fc.constantFrom('a', '../b'), time }),
    fc.record({ kind: fc.constant('fifo' as const), mode: fc.constantFrom(0o644, 0o600), time }),
    tie('directory'),
  ),
  directory: fc.record({
    kind: fc.constant('directory' as const),
    children: fc.dictionary(name, tie('node'), { maxKeys: 5 }),
    mode: fc.constantFrom(0o755, 0o700),
    time,
  }),
}));

const root = fc.record({
  kind: fc.constant('directory' as const),
  children: fc.dictionary(name, node, { maxKeys: 5 }),
  mode: fc.constantFrom(0o755, 0o700),
  time,
});

const run = fc.record({
  direction: fc.constantFrom('push' as const, 'pull' as const),
  compression: fc.constantFrom('always' as const, 'never' as const),
  deletion: fc.constantFrom({}, { force: true }, { delete: true, allowMassDelete: true }),
});

/** Equal sizes and times mean equal content: the quick check, which is not in question here, sees every difference. */
function make(path: string, what: Node): void {
  switch (what.kind) {
    case 'file': {
      writeFileSync(path, `${what.content}`.repeat(sizes[what.content] ?? 0));
      chmodSync(path, what.mode);
      const seconds = 1_100_000_000 + what.content * 2 + Number(what.later);
      utimesSync(path, seconds, seconds);
      break;
    }
    case 'fifo':
      execFileSync('mkfifo', ['-m', what.mode.toString(8), path]);
      utimesSync(path, what.time, what.time);
      break;
    case 'symlink':
      symlinkSync(what.target, path);
      lutimesSync(path, what.time, what.time);
      break;
    case 'directory':
      mkdirSync(path);
      for (const [below, child] of Object.entries(what.children)) make(`${path}/${below}`, child);
      chmodSync(path, what.mode);
      utimesSync(path, what.time, what.time);
  }
}

type Counter = Exclude<keyof SyncStats, 'walkDone'>;
type Counts = Readonly<Partial<Record<Counter, number>>>;

/** What was done to a destination, by two walks of it and one of the source, in the words of the counters. */
function seen(source: Tree, before: Tree, after: Tree): Counts {
  const count = (tree: Tree, holds: (path: string, kind: string) => boolean): number =>
    [...tree].filter(([path, entry]) => holds(path, entry.kind)).length;
  // A new file or symlink is made under another name and then takes its place, with an inode of its own.
  const isNew = (path: string): boolean => {
    const [was, is] = [before.get(path), after.get(path)];
    return was?.kind !== is?.kind || (is?.kind !== 'directory' && was?.ino !== is?.ino);
  };
  const isGone = (path: string): boolean => {
    const [was, is] = [before.get(path), after.get(path)];
    // What took the place of a file replaced it; what took the place of a directory deleted it.
    return is === undefined || (was?.kind === 'directory' && is.kind !== 'directory');
  };
  const transferred = [...after].filter(([path, entry]) => entry.kind === 'file' && isNew(path));
  const size = (entries: Array<[string, { readonly size: bigint }]>): number =>
    Number(entries.reduce((sum, [, entry]) => sum + entry.size, 0n));
  return {
    entriesSource: source.size - 1,
    directoriesSource: count(source, (_, kind) => kind === 'directory'),
    bytesTotal: size([...source].filter(([, entry]) => entry.kind === 'file')),
    filesTransferred: transferred.length,
    bytesTransferred: size(transferred),
    symlinksCreated: count(after, (path, kind) => kind === 'symlink' && isNew(path)),
    specialsCreated: count(after, (path, kind) => kind === 'other' && isNew(path)),
    directoriesCreated: count(after, (path, kind) => kind === 'directory' && isNew(path)),
    filesDeleted: count(before, (path, kind) => kind !== 'directory' && isGone(path)),
    directoriesDeleted: count(before, (path, kind) => kind === 'directory' && isGone(path)),
    attrsChanged: count(after, (path) => {
      const [was, is] = [before.get(path), after.get(path)];
      return was !== undefined && !isNew(path) && (was.mode !== is?.mode || was.mtimeNs !== is.mtimeNs);
    }),
    // What is no directory cannot take the place of one that is not empty, unless it may be deleted.
    filesFailed: count(source, (path, kind) => kind !== 'directory' && after.get(path)?.kind === 'directory'),
  };
}

/** What a dry run counts as if it had been done. */
const planned: readonly Counter[] = [
  'filesTransferred',
  'symlinksCreated',
  'specialsCreated',
  'directoriesCreated',
  'attrsChanged',
];

function picked(from: SyncStats | Counts, counters: readonly string[]): Counts {
  return Object.fromEntries(Object.entries(from).filter(([counter]) => counters.includes(counter)));
}

/** Bytes that a server has put on the wire and taken off it. */
function wire(server: Server): { readonly sent: number; readonly received: number } {
  const { bytes_sent: sent = NaN, bytes_received: received = NaN } = server.stats();
  return { sent, received };
}

const runs = scaled(150, 3000);

// Seen red, in its words, with each byte counter of either end left out in turn, and with one more deletion counted.
test.serial(`${runs} runs between random trees: both ends count the same bytes, and what was done`, async (t) => {
  t.timeout(scaled(300_000, 7_200_000));
  t.log(`seed ${seed}`);
  const work = workDir(t);
  const served = dir(work, 'served');
  const user = client(work);
  const server = await serve({
    roots: { root: served },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'client', key: user.publicKey, operations: ['read', 'write', 'delete', 'special'] }],
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  const access = { identity: { keyPath: user.keyPath }, trust: { pin: server.publicKey } };
  const connection = await connect(server.url(), access);
  let cases = 0;
  let conflicts = 0;
  const counted = new Map<string, number>();

  const property = fc.asyncProperty(root, fc.option(root), run, async (from, to, { direction, ...options }) => {
    cases += 1;
    const local = `${work}/local-${cases}`;
    const remote = `${served}/tree-${cases}`;
    const [source, destination] = direction === 'push' ? [local, remote] : [remote, local];
    make(source, from);
    if (to !== null) make(destination, to);
    const before: Tree = existsSync(destination) ? walk(destination) : new Map();
    const start = wire(server);

    const { compression, deletion } = options;
    const total = { sent: 0, received: 0 };
    const count = async (dryRun: boolean): Promise<SyncStats> => {
      const settings = { compression, ...deletion, dryRun };
      const job =
        direction === 'push'
          ? connection.push(local, `root/tree-${cases}`, settings)
          : connection.pull(`root/tree-${cases}`, local, settings);
      const { stats } = await job.result.catch((error: unknown) => {
        if (!(error instanceof PartialSyncError)) throw error;
        conflicts += 1;
        return error.result;
      });
      total.sent += stats.bytesReceived;
      total.received += stats.bytesSent;
      return stats;
    };
    const plan = await count(true);
    assert.deepEqual(existsSync(destination) ? touched(before, walk(destination)) : [], [], 'a dry run');
    const stats = await count(false);

    const expected = seen(walk(source), before, walk(destination));
    assert.deepEqual(picked(stats, Object.keys(expected)), expected);
    assert.deepEqual(picked(plan, planned), picked(expected, planned), 'a dry run counts what would be made');
    assert.equal(plan.bytesToTransfer, expected.bytesTransferred);
    for (const [counter, value] of Object.entries(expected)) {
      counted.set(counter, (counted.get(counter) ?? 0) + value);
    }

    // What the client said last is still on its way when it has its result.
    const now = (): typeof total => {
      const { sent, received } = wire(server);
      return { sent: sent - start.sent, received: received - start.received };
    };
    await until('the last bytes', () => now().received >= total.received, 5000).catch(() => undefined);
    assert.deepEqual(now(), total, 'bytes of both runs at the server and at the client');
  });
  await fc.assert(property, { numRuns: runs, seed: new Random(t.title).bits() | 0, includeErrorInReport: true });

  // None of it was trivial. (What fails is rare enough to be missing once in a while.)
  for (const [counter, value] of counted) t.true(value > 0 || counter === 'filesFailed', `${counter} never moved`);
  t.log(`${conflicts} of ${2 * cases} runs met a directory in the place of a file`, Object.fromEntries(counted));
  const total = wire(server);
  await connection.close();
  await server.close();
  t.deepEqual(wire(server), total, 'nothing was counted later');
});

// Seen red with holes and kept parts of the first attempt left out of the total.
test('what several attempts brought over does not pass their total', (t) => {
  const first = counters({ bytes_transferred: 40, bytes_reused: 20, bytes_to_transfer: 200 });
  const second = counters({ bytes_transferred: 100, bytes_reused: 100, bytes_to_transfer: 200, walk_done: 1 });
  const stats = toStats(addAttempt(first, second));
  t.is(stats.bytesToTransfer, stats.bytesTransferred + stats.bytesReused);
});
