// The trees that are carried, and what changes in them.
import { createCipheriv, createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  cpSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import type { Knobs, SetName } from './knobs.js';

/** A tree to carry. */
export interface Tree {
  name: SetName;
  path: string;
  entries: number;
  /** Content of all files. */
  bytes: number;
  /** Makes the change of the third phase. */
  change: () => void;
  /** Takes it back, to the very times. */
  restore: () => void;
}

/** Bytes that no compressor makes smaller, the same in every run. */
class Noise {
  readonly #cipher;

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest();
    this.#cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16));
  }

  bytes(count: number): Buffer {
    return this.#cipher.update(Buffer.alloc(count));
  }

  /** A whole number from 0 to below `bound`. */
  below(bound: number): number {
    return this.bytes(4).readUInt32LE() % bound;
  }
}

/** Everything below a folder, its root included, and the content of all files. */
function measure(path: string): { entries: number; bytes: number; files: string[] } {
  const files: string[] = [];
  let entries = 1;
  let bytes = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    entries += 1;
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files.push(file);
    bytes += lstatSync(file).size;
  }
  return { entries, bytes, files: files.sort() };
}

/** The seed's change: a line more at the end of the first files. */
function appended(files: readonly string[]): Pick<Tree, 'change' | 'restore'> {
  const before = files.map((file) => statSync(file));
  return {
    change: () => files.forEach((file, index) => appendFileSync(file, `delta-${index + 1}\n`)),
    restore: () =>
      files.forEach((file, index) => {
        const stat = before[index];
        if (stat === undefined) return;
        truncateSync(file, stat.size);
        utimesSync(file, stat.atimeMs / 1000, stat.mtimeMs / 1000);
      }),
  };
}

function seed(path: string, knobs: Knobs): Pick<Tree, 'change' | 'restore'> {
  const noise = new Noise('seed');
  const small: string[] = [];
  for (let directory = 0; directory < knobs.smallDirs; directory += 1) {
    const folder = join(path, 'small', `dir-${String(directory).padStart(3, '0')}`);
    mkdirSync(folder, { recursive: true });
    for (let file = 0; file < knobs.smallFilesPerDir; file += 1) {
      const name = join(folder, `file-${String(file).padStart(4, '0')}.bin`);
      writeFileSync(name, noise.bytes(knobs.smallFileSize));
      small.push(name);
    }
  }
  mkdirSync(join(path, 'large'), { recursive: true });
  for (let file = 0; file < knobs.largeFiles; file += 1) {
    writeFileSync(join(path, 'large', `file-${file}.bin`), noise.bytes(knobs.largeFileSize));
  }
  return appended(small.slice(0, knobs.changedFiles));
}

/** One file of 64 MiB. */
function file64m(path: string): Pick<Tree, 'change' | 'restore'> {
  const file = join(path, 'file');
  writeFileSync(file, new Noise('file64m').bytes(64 << 20));
  return appended([file]);
}

/** 2,000 files of 4 KiB in 20 directories. */
function small2k(path: string, knobs: Knobs): Pick<Tree, 'change' | 'restore'> {
  return seed(path, { ...knobs, smallDirs: 20, smallFilesPerDir: 100, smallFileSize: 4096, largeFiles: 0 });
}

const WORDS =
  'const return import from export function async await value error path entry source tree sync the of to'.split(' ');

/** 100,000 files of 100 to 4,000 bytes that read like sources, in 1,000 directories on two levels. */
function tree100k(path: string, knobs: Knobs): Pick<Tree, 'change' | 'restore'> {
  const noise = new Noise('tree100k');
  const text = Array.from({ length: 40_000 }, () => WORDS[noise.below(WORDS.length)] ?? '').join(' ');
  const files: string[] = [];
  for (let directory = 0; directory < 1000; directory += 1) {
    const folder = join(path, `package-${Math.floor(directory / 25)}`, `module-${directory % 25}`);
    mkdirSync(folder, { recursive: true });
    for (let file = 0; file < 100; file += 1) {
      const name = join(folder, `source-${file}.ts`);
      const from = noise.below(text.length - 4000);
      writeFileSync(name, `// ${directory} ${file}\n${text.slice(from, from + 100 + noise.below(3900))}\n`);
      files.push(name);
    }
  }
  const step = Math.max(1, Math.floor(files.length / Math.max(1, knobs.changedFiles)));
  return appended(files.filter((_, index) => index % step === 0).slice(0, knobs.changedFiles));
}

const BIG_BYTES = 1 << 30;
const INSERTED_BYTES = 8 << 10;

/** What is done to the copy of a file of 1 GiB. */
type Change = (fd: number, noise: Noise, original: number) => void;

const BLOCK_BYTES = 8 << 20;

/** 8 KB are put into its middle. */
const inserted: Change = (fd, noise) => {
  const buffer = Buffer.alloc(BLOCK_BYTES);
  // From the end backwards, so that nothing is overwritten before it was moved.
  for (let at = BIG_BYTES - BLOCK_BYTES; at >= BIG_BYTES / 2; at -= BLOCK_BYTES) {
    readSync(fd, buffer, 0, BLOCK_BYTES, at);
    writeSync(fd, buffer, 0, BLOCK_BYTES, at + INSERTED_BYTES);
  }
  writeSync(fd, noise.bytes(INSERTED_BYTES), 0, INSERTED_BYTES, BIG_BYTES / 2);
};

/** 1,000 times 4 KiB are others. */
const scattered: Change = (fd, noise) => {
  for (let edit = 0; edit < 1000; edit += 1) writeSync(fd, noise.bytes(4096), 0, 4096, noise.below(BIG_BYTES - 4096));
};

/** 10 MiB more. */
const appendedTo: Change = (fd, noise) => {
  writeSync(fd, noise.bytes(10 << 20), 0, 10 << 20, BIG_BYTES);
};

/** Its parts of 16 MiB in another order, in which no two that were neighbours are. */
const shuffled: Change = (fd, _, original) => {
  const part = 16 << 20;
  const parts = BIG_BYTES / part;
  const buffer = Buffer.alloc(part);
  for (let to = 0; to < parts; to += 1) {
    readSync(original, buffer, 0, part, ((to * 27 + 11) % parts) * part);
    writeSync(fd, buffer, 0, part, to * part);
  }
};

/** 1 GiB that changes. Both versions are kept: they take each other's place. */
function big(path: string, aside: string, edit: Change): Pick<Tree, 'change' | 'restore'> {
  const noise = new Noise('big');
  const file = join(path, 'big.bin');
  const changed = join(aside, 'big.changed');
  const original = join(aside, 'big.original');
  const fd = openSync(file, 'w');
  for (let done = 0; done < BIG_BYTES; done += BLOCK_BYTES) writeSync(fd, noise.bytes(BLOCK_BYTES));
  closeSync(fd);
  copyFileSync(file, changed);
  const copy = openSync(changed, 'r+');
  const from = openSync(file, 'r');
  edit(copy, noise, from);
  closeSync(from);
  closeSync(copy);
  const { mtimeMs } = statSync(file);
  utimesSync(changed, mtimeMs / 1000 + 60, mtimeMs / 1000 + 60);
  const { atimeMs: rootAtime, mtimeMs: rootMtime } = statSync(path);
  const swap = (here: string, there: string): void => {
    renameSync(file, here);
    renameSync(there, file);
    utimesSync(path, rootAtime / 1000, rootMtime / 1000);
  };
  return { change: () => swap(original, changed), restore: () => swap(changed, original) };
}

function nodeModules(path: string, installed: string, knobs: Knobs): Pick<Tree, 'change' | 'restore'> {
  cpSync(installed, path, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  const { files } = measure(path);
  const step = Math.max(1, Math.floor(files.length / Math.max(1, knobs.changedFiles)));
  return appended(files.filter((_, index) => index % step === 0).slice(0, knobs.changedFiles));
}

/** Makes a tree below `folder`. `installed` is a folder that npm filled. */
export function makeTree(name: SetName, folder: string, installed: string, knobs: Knobs): Tree {
  const path = join(folder, `source-${name}`);
  const aside = join(folder, `aside-${name}`);
  mkdirSync(path);
  mkdirSync(aside);
  const make = {
    seed: () => seed(path, knobs),
    tree100k: () => tree100k(path, knobs),
    big: () => big(path, aside, inserted),
    big_scattered: () => big(path, aside, scattered),
    big_appended: () => big(path, aside, appendedTo),
    big_shuffled: () => big(path, aside, shuffled),
    file64m: () => file64m(path),
    small2k: () => small2k(path, knobs),
    node_modules: () => nodeModules(path, installed, knobs),
  };
  const changes = make[name]();
  const { entries, bytes } = measure(path);
  return { name, path, entries, bytes, ...changes };
}

/**
 * Writes and removes as much as a run will write, so that every contender finds the machine's free pages in the same state:
 * a virtual machine's page costs more the first time that it is touched.
 */
export function touchPages(folder: string, bytes: number): void {
  const file = join(folder, 'touch');
  const block = Buffer.alloc(4 << 20, 1);
  const fd = openSync(file, 'w');
  for (let done = 0; done < bytes; done += block.length) writeSync(fd, block);
  closeSync(fd);
  truncateSync(file, 0);
}
