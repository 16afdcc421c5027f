import { spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

import type { ExecutionContext } from 'ava';

import { buildProgram } from './cargo.js';
import { rsyncVersion } from './judge.js';
import { start, until } from './process.js';
import type { Random } from './random.js';
import { isRoot } from './setup.js';
import { dir } from './temp.js';

/** What a power-cut test needs and this machine lacks, each by name; nothing, where it can run. */
export function lacking(): string[] {
  const has = (program: string): boolean => spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0;
  const ext4 = (): boolean => /\bext4$/m.test(readFileSync('/proc/filesystems', 'latin1'));
  const needs: ReadonlyArray<readonly [string, () => boolean]> = [
    ['root, who may mount', () => isRoot],
    ['/dev/fuse', () => existsSync('/dev/fuse')],
    ['a free loop device (/dev/loop-control)', () => spawnSync('losetup', ['--find']).status === 0],
    ['ext4 in the kernel', () => ext4() || spawnSync('modprobe', ['ext4']).status === 0],
    ['mkfs.ext4 and e2fsck (e2fsprogs)', () => has('mkfs.ext4') && has('e2fsck')],
    ['cargo, for the recorder', () => has('cargo')],
    ['rsync, the judge', () => rsyncVersion !== undefined],
  ];
  return needs.filter(([, met]) => !met()).map(([name]) => name);
}

function must(program: string, ...args: readonly string[]): string {
  const ran = spawnSync(program, args, { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
  return ran.stdout;
}

/** ext4 on a file, mounted; `unmount` waits until all is written. */
function mountImage(t: ExecutionContext, image: string, at: string, options: string): { readonly unmount: () => void } {
  mkdirSync(at, { recursive: true });
  const device = must('losetup', '--find', '--show', image).trim();
  let mounted = false;
  let attached = true;
  const unmount = (): void => {
    if (mounted) must('umount', at);
    mounted = false;
    if (attached) must('losetup', '--detach', device);
    attached = false;
  };
  t.teardown(unmount);
  must('mount', '-t', 'ext4', '-o', options, device, at);
  mounted = true;
  return { unmount };
}

/** One thing that was done to the disk. Bytes stay in the log until they are wanted. */
type Step =
  | { readonly kind: 'write'; readonly at: number; readonly offset: number; readonly length: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'mark'; readonly text: string };

/** What happened to a disk, and what it held before. */
export interface Recording {
  readonly base: string;
  readonly log: string;
  readonly steps: readonly Step[];
}

/** In the log: a number for the kind, the length, the offset, the bytes. */
function readLog(path: string): Step[] {
  const steps: Step[] = [];
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const head = Buffer.alloc(16);
    for (let at = 0; at + head.length <= size;) {
      readSync(fd, head, 0, head.length, at);
      const length = head.readUInt32LE(4);
      const bytesAt = at + head.length;
      const kind = head.readUInt32LE(0);
      if (kind === 1) {
        steps.push({ kind: 'write', at: bytesAt, offset: Number(head.readBigUInt64LE(8)), length });
      } else if (kind === 2) steps.push({ kind: 'flush' });
      else {
        const text = Buffer.alloc(length);
        readSync(fd, text, 0, length, bytesAt);
        steps.push({ kind: 'mark', text: text.toString() });
      }
      at = bytesAt + length;
    }
  } finally {
    closeSync(fd);
  }
  return steps;
}

/** What runs on a disk that is recorded. */
export interface Recorded {
  /** The mounted file system. */
  readonly mount: string;
  /** Writes a word into the recording: all that was done before it is before it there. */
  readonly mark: (text: string) => void;
  /** Waits until the file system has committed what was done up to now, of itself and without flushing any content. */
  readonly committed: () => Promise<void>;
}

/**
 * How ext4 is mounted. As it comes (`dioread_nolock`), it may journal the size of a file while the blocks are still being
 * written that it marks as written later: for a moment in its write-back a power cut leaves zeros, whoever wrote the
 * file. With `dioread_lock` it waits, so that what is found is the writer's doing.
 */
export type Ext4 = 'dioread_lock' | 'dioread_nolock';

/**
 * Records what reaches a disk with ext4 on it. `before` fills the disk, which then is flushed; only what `during` does
 * is recorded, up to the unmounting at its end. The journal commits once a second, so that a commit falls into the time
 * between the end of a run and the write-back of its content half a minute later, as it does on a machine where the
 * default of five seconds gives it more time.
 */
export async function record(
  t: ExecutionContext,
  work: string,
  ext4: Ext4,
  before: (mount: string) => void,
  during: (disk: Recorded) => Promise<void>,
): Promise<Recording> {
  const [base, image, log] = [`${work}/base`, `${work}/image`, `${work}/log`];
  const [folder, mount] = [dir(work, 'fuse'), dir(work, 'mount')];
  const options = `commit=1,data=ordered,${ext4},noatime`;
  must('truncate', '--size', '512M', base);
  // What mkfs leaves to do later would be done in the recording.
  must('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', '-O', '64bit', base);
  const filled = mountImage(t, base, mount, options);
  before(mount);
  filled.unmount();
  copyFileSync(base, image, constants.COPYFILE_FICLONE);

  const recorder = start(t, buildProgram('powercut-recorder'), [folder, image, log]);
  const isDetached = (): boolean => spawnSync('umount', [folder]).status === 0;
  t.teardown(isDetached);
  await until('the recording disk', () => {
    if (recorder.over()) throw new Error(`the recorder ended: ${recorder.stderr()}`);
    return existsSync(`${folder}/disk`);
  });
  const disk = mountImage(t, `${folder}/disk`, mount, options);
  const mark = (text: string): void => writeFileSync(`${folder}/mark`, text, { flag: 'r+' });
  const flushes = (): number => readLog(log).filter(({ kind }) => kind === 'flush').length;
  await during({
    mount,
    mark,
    committed: async () => {
      const already = flushes();
      mkdirSync(`${mount}/somebody-elses-${already}`);
      await until('a commit of the journal', () => flushes() > already + 1);
    },
  });
  disk.unmount();
  // Another process may have been started with a view of the mounted disk, and lets go of it when it ends.
  await until('the disk to be let go of', isDetached);
  const ended = await recorder.ended;
  if (ended.code !== 0) throw new Error(`the recorder: ${ended.stderr}`);
  return { base, log, steps: readLog(log) };
}

/** A moment at which the power is cut. */
export interface Cut {
  /** So many steps had been answered. */
  readonly after: number;
  /** Of what was written since the last flush, all is on the disk, or any of its blocks. */
  readonly cache: 'kept' | 'any';
}

/**
 * Moments to cut at. The first is the recording's last mark, with nothing lost. Of the others every third is right
 * after a flush, when nothing is under way, and the rest are anywhere; as many before the first mark as after it.
 */
export function cuts(recording: Recording, random: Random, count: number): Cut[] {
  const { steps } = recording;
  const marks = steps.flatMap(({ kind }, at) => (kind === 'mark' ? [at] : []));
  const flushes = steps.flatMap(({ kind }, at) => (kind === 'flush' ? [at + 1] : []));
  const [first = 0, last = 0] = [marks.at(0), marks.at(-1)];
  const out: Cut[] = [{ after: last, cache: 'kept' }];
  for (let i = 1; i < count; i += 1) {
    const [from, to] = i % 2 === 0 ? [first + 1, steps.length] : [0, first];
    const here = flushes.filter((at) => at >= from && at <= to);
    if (i % 6 < 2 && here.length > 0) out.push({ after: random.pick(here), cache: 'kept' });
    else out.push({ after: random.between(from, to), cache: random.oneIn(4) ? 'kept' : 'any' });
  }
  return out.toSorted((a, b) => a.after - b.after);
}

/** What a disk writes at once. */
const blockBytes = 4096;

/** Builds the states of a disk, in the order of their cuts, each from the one before. */
export class Replay {
  readonly #recording: Recording;
  readonly #durable: string;
  readonly #state: string;
  #done = 0;

  constructor(recording: Recording, work: string) {
    this.#recording = recording;
    this.#durable = `${work}/durable`;
    this.#state = `${work}/state`;
    copyFileSync(recording.base, this.#durable);
  }

  /** An image of what is on the disk after a cut. */
  image(cut: Cut, random: Random): string {
    const { steps, log } = this.#recording;
    const upTo = steps.slice(0, cut.after);
    const flushed = upTo.findLastIndex(({ kind }) => kind === 'flush') + 1;
    const source = openSync(log, 'r');
    try {
      for (; this.#done < flushed; this.#done += 1) write(source, this.#durable, steps[this.#done], () => true);
      must('cp', '--sparse=always', this.#durable, this.#state);
      const lands = (): boolean => cut.cache === 'kept' || random.oneIn(2);
      for (const step of upTo.slice(flushed)) write(source, this.#state, step, lands);
    } finally {
      closeSync(source);
    }
    return this.#state;
  }
}

function write(log: number, image: string, step: Step | undefined, lands: () => boolean): void {
  if (step?.kind !== 'write') return;
  const bytes = Buffer.allocUnsafe(step.length);
  readSync(log, bytes, 0, step.length, step.at);
  const fd = openSync(image, 'r+');
  try {
    for (let at = 0; at < step.length; at += blockBytes) {
      const length = Math.min(blockBytes, step.length - at);
      if (lands()) writeSync(fd, bytes, at, length, step.offset + at);
    }
  } finally {
    closeSync(fd);
  }
}

/** Looks at what a machine finds on such a disk: mounts it, which replays the journal. */
export async function withState<T>(
  t: ExecutionContext,
  image: string,
  at: string,
  look: (mount: string) => Promise<T>,
): Promise<T> {
  const { unmount } = mountImage(t, image, at, 'data=ordered,noatime');
  try {
    return await look(at);
  } finally {
    unmount();
    // A replay that breaks ext4 itself would say nothing about who wrote to it.
    must('e2fsck', '-f', '-n', image);
  }
}
