// The power is cut: what a disk holds then, and what the next run makes of it. Every write and flush below ext4 is
// recorded while a run is under way; from the recording any state is built in which the disk could be found.
import { lstatSync, mkdirSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { cli } from './helpers/cli.js';
import { rsync, rsyncSays } from './helpers/judge.js';
import { cuts, type Ext4, lacking, record, type Recorded, Replay, withState } from './helpers/powercut.js';
import { type Client, client } from './helpers/product.js';
import { Random, seed } from './helpers/random.js';
import { long, scaled } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';
import { walk } from './helpers/walk.js';

const missing = lacking();
const recorded = missing.length === 0 ? test.serial : test.serial.skip;
const without = missing.length === 0 ? '' : ` (this machine lacks ${missing.join('; ')})`;

/** What was found in states of a disk: files, each counted in each state, and states. */
interface Counts {
  states: number;
  /** Those in which the run had promised to be on disk, or had ended. */
  afterwards: number;
  /** Of no size, and neither the old nor the new one is. */
  empty: number;
  /** Of the right size and time, and nothing but zeros. */
  zeros: number;
  /** Anything else that is neither the old nor the new content. */
  torn: number;
  /** Not the new content, after the run's end. */
  lost: number;
  /** What rsync would still do after the next run. */
  wrong: number;
}

/** A tree before and after: new files, changed ones, some that go, some with holes, and some that stay as they are. */
class Trees {
  readonly old: string;
  readonly new: string;

  constructor(work: string, random: Random) {
    this.old = dir(work, 'old');
    this.new = dir(work, 'new');
    const times = [1_700_000_000, 1_800_000_000] as const;
    let count = 0;
    const put = (root: string, path: string, content: Buffer, time: number, size = content.length): void => {
      mkdirSync(dirname(`${root}/${path}`), { recursive: true });
      writeFileSync(`${root}/${path}`, content);
      truncateSync(`${root}/${path}`, size);
      // Many files of one time would be warned about.
      count += 1;
      utimesSync(`${root}/${path}`, time, time + count);
    };
    for (let i = 0; i < 192; i += 1) put(this.new, `fresh/${i % 3}/${i}`, random.bytes(200_000), times[1]);
    for (let i = 0; i < 100; i += 1) put(this.new, `small/${i}`, random.bytes(random.between(1, 9000)), times[1]);
    for (let i = 0; i < 3; i += 1) put(this.new, `large/${i}`, random.bytes(5 << 20), times[1]);
    for (let i = 0; i < 6; i += 1) put(this.new, `tail/${i}`, random.bytes(100_000), times[1], 300_000);
    for (let i = 0; i < 60; i += 1) {
      put(this.old, `changed/${i}`, random.bytes(50_000), times[0]);
      put(this.new, `changed/${i}`, random.bytes(50_000), times[1]);
    }
    for (let i = 0; i < 30; i += 1) {
      put(this.old, `same/${i}`, random.bytes(20_000), times[0]);
      put(this.old, `gone/${i}`, random.bytes(20_000), times[0]);
    }
    rsync('-a', `${this.old}/same`, this.new);
  }

  /** Counts what is wrong with the files below a folder, and names those that no later run would look at. */
  count(at: string, over: boolean, counts: Counts): string[] {
    const zeros: string[] = [];
    const paths = [this.old, this.new].flatMap((root) =>
      [...walk(root)].filter(([, { kind }]) => kind === 'file').map(([path]) => path),
    );
    for (const path of new Set(paths)) {
      const content = (root: string): Buffer | undefined =>
        lstatSync(`${root}/${path}`, { throwIfNoEntry: false }) && readFileSync(`${root}/${path}`);
      const [was, is, found] = [content(this.old), content(this.new), content(at)];
      const same = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
        a === b || (a !== undefined && b !== undefined && a.equals(b));
      if (over && !same(found, is)) counts.lost += 1;
      if (same(found, is) || same(found, was) || found === undefined) {
        // What was there before and is meant to be there afterwards is never away.
        if (found === undefined && was !== undefined && is !== undefined) counts.torn += 1;
      } else if (found.length === 0) counts.empty += 1;
      else if (found.length === is?.length && found.every((byte) => byte === 0)) zeros.push(path);
      else counts.torn += 1;
    }
    counts.zeros += zeros.length;
    return zeros;
  }
}

interface Trial {
  readonly states: number;
  readonly ext4: Ext4;
  /** Makes `to` equal to `from`, and returns when it promises whatever it promises. */
  readonly run: (from: string, to: string) => Promise<void>;
  /** Puts right what a power cut has left. */
  readonly again: (from: string, to: string) => Promise<void>;
}

/** Records a run, and looks at states of the disk under it. */
async function trial(t: ExecutionContext, { states, ext4, run, again }: Trial): Promise<Counts> {
  t.log(`seed ${seed}`);
  const random = new Random(t.title);
  const work = workDir(t);
  const trees = new Trees(work, random);
  const during = async ({ mount, mark, committed }: Recorded): Promise<void> => {
    await run(trees.new, `${mount}/tree`);
    mark('over');
    await committed();
    mark('committed, and no content flushed for it');
    await committed();
  };
  const recording = await record(t, work, ext4, (mount) => rsync('-a', `${trees.old}/`, `${mount}/tree/`), during);
  const over = recording.steps.findIndex(({ kind }) => kind === 'mark');
  const replay = new Replay(recording, work);
  const counts: Counts = { states: 0, afterwards: 0, empty: 0, zeros: 0, torn: 0, lost: 0, wrong: 0 };
  for (const cut of cuts(recording, random, states)) {
    await withState(t, replay.image(cut, random), `${work}/found`, async (mount) => {
      const isOver = cut.after > over;
      counts.states += 1;
      if (isOver) counts.afterwards += 1;
      const zeros = trees.count(`${mount}/tree`, isOver, counts);
      if (zeros.length > 0)
        t.log(`cut after step ${cut.after}, cache ${cut.cache}: zeros in ${zeros.slice(0, 20).join(' ')}`);
      await again(trees.new, `${mount}/tree`);
      counts.wrong += rsyncSays(trees.new, `${mount}/tree`).split('\n').length - 1;
    });
  }
  const marks = recording.steps.flatMap(({ kind }, at) => (kind === 'mark' ? [at] : []));
  t.log(`${recording.steps.length} steps recorded, marks at ${marks.join(' and ')}; ${JSON.stringify(counts)}`);
  return counts;
}

/** A run of the command, as a user would start it, that succeeds. */
function command(t: ExecutionContext, user: Client, ...flags: readonly string[]): Trial['run'] {
  return async (from, to) => {
    const ended = await cli(t, user, ['-a', '--delete', ...flags, `${from}/`, `${to}/`]);
    t.deepEqual([ended.code, ended.stderr], [0, '']);
  };
}

/** A writer with the fault that these tests look for: it sets the length last, which the journal then knows. */
async function lengthLast(from: string, to: string): Promise<void> {
  for (const [path, { kind, size, mtimeNs }] of walk(from)) {
    if (kind === 'directory') mkdirSync(`${to}/${path}`, { recursive: true });
    if (kind !== 'file') continue;
    const unfinished = `${to}/${path}.new`;
    writeFileSync(unfinished, readFileSync(`${from}/${path}`));
    truncateSync(unfinished, Number(size));
    utimesSync(unfinished, Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9);
    renameSync(unfinished, `${to}/${path}`);
  }
}

async function byRsync(from: string, to: string): Promise<void> {
  rsync('-a', '--delete', `${from}/`, `${to}/`);
}

recorded(`a writer that sets the length last, without a flush, is found${without}`, async (t) => {
  t.timeout(600_000);
  const counts = await trial(t, { states: scaled(2, 24), ext4: 'dioread_lock', run: lengthLast, again: byRsync });
  t.true(counts.zeros > 0, 'files of zeros');
  t.true(counts.lost > 0, 'files that were not on the disk');
  t.true(counts.wrong > 0, 'what no later run repairs');
});

const plan = scaled(['none'], ['none', 'run', 'file']);
for (const durability of plan) {
  recorded(`durability ${durability}: the next run after a power cut puts everything right${without}`, async (t) => {
    t.timeout(1_200_000);
    const user = client(workDir(t));
    const counts = await trial(t, {
      states: scaled(2, 48),
      // What is flushed is there however ext4 is mounted.
      ext4: durability === 'none' ? 'dioread_lock' : 'dioread_nolock',
      run: command(t, user, '--durability', durability),
      again: command(t, user),
    });
    t.is(counts.zeros, 0, 'files of the right size and time without content');
    t.is(counts.wrong, 0, 'wrong after the next run');
    if (durability === 'none') return;
    const { empty, torn, lost } = counts;
    t.deepEqual({ empty, torn, lost }, { empty: 0, torn: 0, lost: 0 });
  });
}

if (long) {
  recorded(`rsync on the same disk: its next run puts everything right${without}`, async (t) => {
    t.timeout(1_200_000);
    const counts = await trial(t, { states: 48, ext4: 'dioread_lock', run: byRsync, again: byRsync });
    t.is(counts.zeros, 0);
    t.is(counts.wrong, 0);
  });
}
