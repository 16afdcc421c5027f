// What a push of the seed's set may cost, in what does not depend on the machine's mood: frames, streams, answers that
// are waited for, bytes, system calls, instructions. Nothing here looks at a clock. Each figure has a bound and a reason;
// who makes a figure better lowers its bound.
import type { ExecutionContext } from 'ava';

import { makeTree, type Tree } from '../benches/race/trees.js';
import { connect, type SyncStats } from '../dist/index.js';
import { type Bound, doctored, type Each, type Fault, type Figures, judge, type Phase, red } from './helpers/gate.js';
import { assertEqual, judgedWhere } from './helpers/judge.js';
import { buildOneEnd, countPush, countsInstructions } from './helpers/one-end.js';
import { start } from './helpers/process.js';
import { program } from './helpers/product.js';
import { setup } from './helpers/setup.js';
import { attach, type CallKind, type Calls, countable, countCalls, hasStrace, straced } from './helpers/strace.js';
import { dir, workDir } from './helpers/temp.js';

const small = { directories: 10, files: 100, size: 4096 };
const large = { files: 8, size: 2 << 20 };
const changed = 100;

/** Files, directories with the root, and what an end sees of them in a walk. */
const files = small.directories * small.files + large.files;
const directories = small.directories + 3;
const entries = files + directories;
const bytes = small.directories * small.files * small.size + large.files * large.size;

function seedTree(work: string): Tree {
  return makeTree('seed', work, '', {
    smallDirs: small.directories,
    smallFilesPerDir: small.files,
    smallFileSize: small.size,
    largeFiles: large.files,
    largeFileSize: large.size,
    changedFiles: changed,
    runs: 1,
    runsLarge: 1,
    transports: [],
    rsyncArgs: [],
  });
}

/** Pushes the tree in each phase as it is then, and judges what arrived. */
async function inEachPhase<T>(
  t: ExecutionContext,
  tree: Tree,
  destination: string,
  push: (phase: Phase) => Promise<T>,
): Promise<readonly [T, T, T]> {
  const first = await push('first');
  const same = await push('same');
  tree.change();
  const last = await push('changed');
  assertEqual(t, tree.path, destination);
  tree.restore();
  return [first, same, last];
}

function each<T>(results: readonly [T, T, T], figure: (of: T) => number): Each {
  return [figure(results[0]), figure(results[1]), figure(results[2])];
}

/** Asserts that figures keep their bounds, and that these are close enough for each fault to be seen. */
function gate(t: ExecutionContext, bounds: readonly Bound[], faults: readonly Fault[], figures: Figures): void {
  for (const { figure, most } of bounds) t.log(`${figure}: ${figures[figure]?.join(', ') ?? ''} of ${most.join(', ')}`);
  t.deepEqual(
    judge(bounds, figures).map(({ text }) => text),
    [],
  );
  for (const fault of faults) t.deepEqual(red(bounds, doctored(figures, fault)), fault.red, fault.name);
}

/** What the transport says of a run. */
const transport: readonly Bound[] = [
  {
    figure: 'control frames',
    most: [40, 12, 20],
    why: 'a message holds many records or listings: some for a tree, none for a file; how many depends on what waits',
  },
  {
    figure: 'streams opened',
    most: [3, 1, 2],
    least: [3, 1, 2],
    why: 'the control stream, and a stream for a lane that carries something: what changed is in one directory, on one lane',
  },
  {
    figure: 'round trips',
    most: [4, 3, 5],
    least: [1, 1, 1],
    why: 'acceptance and result, and for changes a listing and its files; each may come in two messages',
  },
  {
    figure: 'bytes sent',
    most: [bytes + 70 * entries + 300, 600, changed * (small.size + 75) + 1000],
    least: [bytes, 1, changed * small.size],
    why: 'content, which no compression makes smaller, and 70 bytes for an entry: of its listing, its record, its digest; without a change some for each directory',
  },
  {
    figure: 'bytes received',
    most: [256, 256, 512],
    least: [1, 1, 1],
    why: 'acceptance, result, and numbers of what is asked for; nothing for a file that has arrived',
  },
];

const transportFaults: readonly Fault[] = [
  {
    name: 'a question and an answer for each file',
    adds: {
      'control frames': [2 * files, 0, 2 * changed],
      'round trips': [files, 0, changed],
      'bytes sent': [4 * files, 0, 4 * changed],
      'bytes received': [4 * files, 0, 4 * changed],
    },
    red: ['control frames', 'round trips', 'bytes sent', 'bytes received'],
  },
  { name: 'a lane more', adds: { 'streams opened': [1, 0, 0] }, red: ['streams opened'] },
  { name: 'a stream for each run', adds: { 'streams opened': [0, 1, 0] }, red: ['streams opened'] },
  { name: 'a stream for each file', adds: { 'streams opened': [files, 0, changed] }, red: ['streams opened'] },
  { name: 'two bytes more for each file', adds: { 'bytes sent': [2 * files, 0, 0] }, red: ['bytes sent'] },
];

// Seen red with a heartbeat that is waited for behind each file, and with a third lane.
judgedWhere(true)('a push of the seed set says no more than it has to', async (t) => {
  t.timeout(120_000);
  const { work, served, access, server } = await setup(t);
  const tree = seedTree(work);
  const connection = await connect(server.url(), access);
  // What disturbs a run splits messages and makes more of them: the least of some runs is what counts.
  const runs: Array<readonly [SyncStats, SyncStats, SyncStats]> = [];
  for (let run = 0; run < 4; run += 1) {
    const name = `tree${run}`;
    const push = async (): Promise<SyncStats> =>
      (await connection.push(tree.path, `root/${name}`, { delete: true })).stats;
    runs.push(await inEachPhase(t, tree, `${served}/${name}`, push));
  }
  await connection.close();
  const least = (figure: (stats: SyncStats) => number): Each => {
    const all = runs.map((results) => each(results, figure));
    const of = (phase: 0 | 1 | 2): number => Math.min(...all.map((figures) => figures[phase]));
    return [of(0), of(1), of(2)];
  };
  gate(t, transport, transportFaults, {
    'control frames': least((stats) => stats.controlFrames),
    'streams opened': least((stats) => stats.streamsOpened),
    'round trips': least((stats) => stats.roundTrips),
    'bytes sent': least((stats) => stats.bytesSent),
    'bytes received': least((stats) => stats.bytesReceived),
  });
});

/** What may come on top of counts that hardly move, as when a directory is opened once more: less than one for each. */
const slack = directories - 1;

function about(first: number, same: number, last: number): Each {
  return [first + slack, same + slack, last + slack];
}

const none: Each = [0, 0, 0];

/** Each entry, and each directory once more when it is open, to see that it still is the one. */
const looks = files + 2 * directories;

/** Pieces in which the large files are read and written. */
const pieces = (large.files * large.size) / (256 << 10);
const contents = small.directories * small.files + pieces;

/** System calls at or below the tree, and elsewhere; see {@link Calls}. */
const calls: readonly Bound[] = [
  {
    figure: 'client look',
    most: about(looks + files, looks, looks + changed),
    least: [entries + files, entries, entries],
    why: 'one at each entry by the walk, and one more at a file that was read, to see that it did not change meanwhile',
  },
  {
    figure: 'client open',
    most: about(files + 2 * directories, directories, changed + directories + 1),
    least: [files, directories, changed],
    why: 'each file that is sent; each directory for the walk, and once more where files are read from it',
  },
  {
    figure: 'client list',
    most: about(2 * directories, 2 * directories, 2 * directories),
    least: [directories, directories, directories],
    why: 'the names of each directory, and the end of them',
  },
  {
    figure: 'client read',
    most: about(contents, 0, changed),
    least: [files, 0, changed],
    why: 'a small file in one piece, a large one in pieces of 256 KiB; nothing is read to find the end',
  },
  {
    figure: 'client close',
    most: about(files + 2 * directories, directories, changed + directories + 1),
    why: 'what was opened',
  },
  {
    figure: 'client other',
    most: about(files + 2 * directories, directories, changed + directories + 1),
    why: "in the tests' profile the standard library looks whether a descriptor is open before it closes it",
  },
  ...(['write', 'make', 'attribute', 'rename', 'remove', 'flush'] as const).map((kind) => ({
    figure: `client ${kind}`,
    most: none,
    why: 'a source is only read',
  })),
  {
    figure: 'client total',
    most: about(
      6 * files + pieces + 10 * directories,
      entries + 7 * directories,
      entries + 5 * changed + 7 * directories,
    ),
    why: 'six for a file that is sent (two looks, open, read, close, and what the profile adds), one for any other',
  },
  {
    figure: 'client elsewhere',
    most: [700, 700, 700],
    why: "Node's start, which reads itself and this package: some 240; one for each file besides would show",
  },
  {
    figure: 'client network',
    most: [900, 150, 150],
    least: [1, 1, 1],
    why: 'a call sends ten packets of 6.5 KB, so 21 MB take 320 and some more when the window is small; and acknowledgements',
  },
  {
    figure: 'server look',
    most: about(2 * directories, looks, looks + 3),
    least: [0, entries, entries],
    why: 'one at each entry that is there, by the walk, none at what is new: how the kernel makes a file is looked at once for each directory',
  },
  {
    figure: 'server open',
    most: about(files + 3 * directories, directories + 5, changed + directories + 7),
    least: [files, directories, changed],
    why: 'each file that is made; each directory for the walk, for writing into it, and for its own attributes',
  },
  {
    figure: 'server list',
    most: about(2, 2 * directories + 1, 2 * directories + 1),
    least: [0, directories, directories],
    why: 'as the client; whether the destination is empty',
  },
  { figure: 'server read', most: none, why: 'what arrives is hashed as it comes and not read again' },
  {
    figure: 'server write',
    most: about(contents + large.files, -slack, changed - slack),
    least: [contents, 0, changed],
    why: 'a small file in one piece; a large one in pieces of 256 KiB, and its length in the end',
  },
  {
    figure: 'server make',
    most: [directories, 0, 0],
    least: [directories, 0, 0],
    why: 'each directory once',
  },
  {
    figure: 'server attribute',
    most: about(files + large.files + 2 * directories, -slack, changed + 2),
    least: [files, 0, changed],
    why: 'the time of each file; the mode of a large one, which nobody else may read before; each new directory at the end',
  },
  {
    figure: 'server rename',
    most: [files, 0, changed],
    least: [files, 0, changed],
    why: 'a file gets its name once',
  },
  { figure: 'server remove', most: none, why: 'nothing is in excess, and nothing is left over' },
  {
    figure: 'server flush',
    most: [64, 0, 16],
    why: 'files are flushed together whenever their lane has nothing to write; how often that is depends on the client',
  },
  {
    figure: 'server close',
    most: about(files + 3 * directories, directories + 5, changed + directories + 7),
    why: 'what was opened',
  },
  {
    figure: 'server other',
    most: about(3 * directories, directories + 7, directories + 9),
    why: 'as the client, for directories; the lock',
  },
  {
    figure: 'server total',
    most: about(
      5 * files + pieces + 15 * directories + 64,
      entries + 8 * directories,
      entries + 5 * changed + 9 * directories,
    ),
    why: 'five for a file that is made (open, write, time, rename, close), one for any other',
  },
  {
    figure: 'server elsewhere',
    most: [300, 300, 300],
    why: 'the session among those that are alive, locks, the room that is left: some 120, none of them for a file',
  },
  {
    figure: 'server network',
    most: [1800, 150, 150],
    least: [1, 1, 1],
    why: 'a call takes what has come by then: at worst there is one, and one for an answer, for each with which the client sends',
  },
];

/** A call more for some of the figures' subjects. */
function more(end: 'client' | 'server', kind: CallKind, counts: Each): Pick<Fault, 'adds' | 'red'> {
  const adds = { [`${end} ${kind}`]: counts, [`${end} total`]: counts };
  return { adds, red: Object.keys(adds) };
}

const callFaults: readonly Fault[] = [
  { name: 'each entry is looked at twice by the client', ...more('client', 'look', [entries, entries, entries]) },
  { name: 'each entry is looked at twice by the server', ...more('server', 'look', [0, entries, entries]) },
  { name: 'a file is looked at again after it is made', ...more('server', 'look', [files, 0, changed]) },
  { name: 'the end of each file is read for', ...more('client', 'read', [files, 0, changed]) },
  { name: 'each file is read again when it is written', ...more('server', 'read', [files, 0, changed]) },
  { name: 'the mode of each file is set', ...more('server', 'attribute', [files, 0, changed]) },
  { name: 'each file is flushed', ...more('server', 'flush', [files, 0, changed]) },
  {
    name: 'packets are sent one by one',
    adds: { 'client network': [Math.floor((bytes / 6500) * 0.9), 0, 0] },
    red: ['client network'],
  },
];

// Seen red with one more stat for each entry of a walk, at the client and at the server.
judgedWhere(hasStrace)('a push of the seed set asks the kernel for no more than it has to, on both ends', async (t) => {
  t.timeout(300_000);
  const { work, served, server, client, url } = await setup(t, { rights: 'read,write,delete' });
  const tree = seedTree(work);
  const seen = await inEachPhase(t, tree, `${served}/tree`, async (phase) => {
    const traces = { client: `${work}/client.${phase}`, server: `${work}/server.${phase}` };
    const attached = await attach(t, server.pid, traces.server, countable);
    const [strace = '', ...options] = straced(traces.client, countable);
    const words = [...options, process.execPath, program, '-a', '--delete', `${tree.path}/`, url('tree')];
    const ran = await start(t, strace, words, { env: client.env }).ended;
    t.is(ran.code, 0, ran.stderr);
    await attached.stop();
    return { client: countCalls(traces.client, tree.path), server: countCalls(traces.server, served) };
  });
  const figures: Record<string, Each> = {};
  for (const end of ['client', 'server'] as const) {
    for (const kind of Object.keys(seen[0][end]) as Array<keyof Calls>) {
      figures[`${end} ${kind}`] = each(seen, (ends) => ends[end][kind]);
    }
  }
  gate(t, calls, callFaults, figures);
});

/**
 * Of the tests' profile, on a processor of the kind that nearly all have. They move by a hundredth from one run to the
 * next, and by some with a new compiler, which is a reason to set them anew.
 */
const instructions: readonly Bound[] = [
  {
    figure: 'client instructions',
    most: [158e6, 7.5e6, 11.5e6],
    least: [bytes, 1e6, 1e6],
    why: 'seven for each byte: read, hashed, encrypted; 6 million are start and handshake, 1,000 are those of an entry',
  },
  {
    figure: 'server instructions',
    most: [184e6, 7.4e6, 12.6e6],
    least: [bytes, 1e6, 1e6],
    why: 'as the client: decrypted, hashed, written',
  },
];

const instructionFaults: readonly Fault[] = [
  {
    name: 'one instruction more for each byte',
    adds: { 'client instructions': [bytes, 0, 0], 'server instructions': [bytes, 0, 0] },
    red: ['client instructions', 'server instructions'],
  },
];

// Seen red with content that is hashed twice.
judgedWhere(countsInstructions && process.arch === 'x64')(
  'a push of the seed set takes no more instructions than it has to, on both ends',
  async (t) => {
    t.timeout(600_000);
    const work = workDir(t);
    const oneEnd = buildOneEnd();
    const served = dir(work, 'served');
    const tree = seedTree(work);
    const counts = await inEachPhase(t, tree, `${served}/tree`, () =>
      countPush(t, oneEnd, work, { source: tree.path, served, path: 'tree' }),
    );
    gate(t, instructions, instructionFaults, {
      'client instructions': each(counts, ({ client }) => client),
      'server instructions': each(counts, ({ server }) => server),
    });
  },
);
