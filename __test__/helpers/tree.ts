import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  lutimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';

import type { Random } from './random.js';
import { at, walk } from './walk.js';

export interface TreeOptions {
  /** How many entries are made below the root. */
  readonly entries: number;
  /** The largest file (default: 3 MiB). */
  readonly largest?: number;
}

/** Names that have broken programs like this one. As bytes; each is made unique with a suffix where it has to be. */
const oddNames: readonly Buffer[] = [
  Buffer.from('-rf'),
  Buffer.from('--delete'),
  Buffer.from('-'),
  Buffer.from(' '),
  Buffer.from(' leading and trailing '),
  Buffer.from('new\nline'),
  Buffer.from('\n'),
  Buffer.from('tab\tand\rreturn'),
  Buffer.from('\x01\x02\x1b[31mred\x07'),
  Buffer.from('\x7f'),
  Buffer.from('..x'),
  Buffer.from('...'),
  Buffer.from('.hidden'),
  Buffer.from('x..'),
  Buffer.from('a:b'),
  Buffer.from('C:'),
  Buffer.from('back\\slash'),
  Buffer.from('*?[a-z]{x,y}'),
  Buffer.from('$HOME `id` "quoted" \'single\''),
  Buffer.from('%2e%2e%2f%00'),
  Buffer.from('#comment'),
  Buffer.from('~'),
  Buffer.from('caf\u00e9'),
  Buffer.from('cafe\u0301'),
  Buffer.from('\u202egnp.exe'),
  Buffer.from('\u65e5\u672c\u8a9e'),
  Buffer.from('\u{1f980}'),
  Buffer.from([0xff]),
  Buffer.from([0xff, 0xfe, 0x80]),
  Buffer.from([0xc3, 0x28]),
  Buffer.from([0x61, 0xe9, 0x62]),
  Buffer.from('README'),
  Buffer.from('readme'),
  Buffer.from('CON'),
  Buffer.from('trailing.'),
];

/** Seconds since 1970 of the times that a tree may carry: the edges among them. */
const oddSeconds: readonly number[] = [0, 1, 951_782_400, 1_700_000_000, 2_147_483_647, 2_147_483_648, 4_102_444_800];

const sizes: readonly number[] = [0, 1, 2, 100, 4095, 4096, 4097, 20_000, 131_071, 131_072, 131_073, 300_000];

const fileModes: readonly number[] = [0o644, 0o600, 0o755, 0o444, 0o400, 0o666, 0o777, 0o000, 0o111];

const directoryModes: readonly number[] = [0o755, 0o700, 0o750, 0o555, 0o777, 0o711, 0o1777, 0o000];

/** As root every mode can be read; as anyone else a mode that forbids reading would only test the error path. */
function permitted(mode: number, needed: number): number {
  return process.getuid?.() === 0 ? mode : mode | needed;
}

/** A name of bytes; long ones are cut to the 255 bytes that file systems hold. */
function nameFrom(random: Random): Buffer {
  if (random.oneIn(40)) {
    const name = Buffer.alloc(255, 'n');
    name.write(random.bits().toString(36), 1);
    return name;
  }
  if (random.oneIn(5)) {
    const odd = random.pick(oddNames);
    return random.oneIn(2) ? odd : Buffer.concat([odd, Buffer.from(random.below(1000).toString())]);
  }
  if (random.oneIn(12)) {
    const name = Buffer.alloc(random.between(1, 20));
    for (let i = 0; i < name.length; i += 1) {
      const byte = random.between(1, 255);
      name[i] = byte === 0x2f ? 0x5f : byte;
    }
    const text = name.toString('latin1');
    return text === '.' || text === '..' ? Buffer.from('dots') : name;
  }
  return Buffer.from(`${random.pick(['file', 'data', 'a', 'Report-2024', 'index.js', 'x'])}${random.below(5000)}`);
}

function join(parent: string, name: Buffer): string {
  const text = name.toString('latin1');
  return parent === '' ? text : `${parent}/${text}`;
}

/** Of a deepest path that still leaves room for a name of 255 bytes in PATH_MAX. */
const longestParent = 2000;

/** Where names are bytes to a shell. */
const C_LOCALE = { ...process.env, LC_ALL: 'C' };

/**
 * Times never go through a number of seconds with a fraction: a double holds no nanoseconds. `touch` gets them, names
 * travel by pipe because an argument of Node is text.
 */
function touchExactly(root: string, times: ReadonlyMap<string, string>): void {
  if (times.size === 0) return;
  const script = 'while IFS= read -r -d "" t && IFS= read -r -d "" p; do touch -h -d "$t" -- "$p" || exit 1; done';
  const input = Buffer.concat(
    [...times].map(([path, time]) => Buffer.concat([Buffer.from(`${time}\0`), at(root, path), Buffer.from('\0')])),
  );
  const ran = spawnSync('bash', ['-c', script], { input, env: C_LOCALE });
  if (ran.status !== 0) throw new Error(`touch: ${ran.stderr.toString()}`);
}

function mkfifo(path: Buffer): void {
  const input = Buffer.concat([path, Buffer.from('\0')]);
  const ran = spawnSync('bash', ['-c', 'IFS= read -r -d "" p && mkfifo -- "$p"'], { input, env: C_LOCALE });
  if (ran.status !== 0) throw new Error(`mkfifo: ${ran.stderr.toString()}`);
}

/** Makes and changes trees at random, and keeps what the quick check cannot see out of them: see `freshTime`. */
export class TreeMaker {
  readonly #random: Random;
  readonly #largest: number;
  #ticks = 0;
  #exact = new Map<string, string>();

  constructor(random: Random, largest = 3 << 20) {
    this.#random = random;
    this.#largest = largest;
  }

  /** Makes a tree in `root` (made when missing, else added to). */
  generate(root: string, entries: number): void {
    mkdirSync(root, { recursive: true });
    const directories: string[] = [''];
    this.#create(root, directories, entries);
    this.#settle(root, directories);
  }

  /**
   * Changes a tree in `changes` places: edits, truncations, deletions, other types, renames, times, modes, new
   * entries. Any tree will do, that of a destination as well.
   */
  mutate(root: string, changes: number): void {
    const random = this.#random;
    const touchedDirectories: string[] = [];
    for (let i = 0; i < changes; i += 1) {
      const tree = [...walk(root)].filter(([path]) => path !== '');
      const [path, entry] = tree.length === 0 ? ['', undefined] : random.pick(tree);
      const directories = ['', ...tree.filter(([, e]) => e.kind === 'directory').map(([p]) => p)];
      const fitting = directories.filter((p) => p.length < longestParent);
      switch (entry === undefined ? 0 : random.below(10)) {
        case 0:
        case 1: {
          const made = [random.pick(fitting)];
          this.#create(root, made, random.between(1, 6));
          touchedDirectories.push(...made.filter((p) => p !== ''));
          break;
        }
        case 2:
          rmSync(at(root, path), { recursive: true, force: true });
          break;
        case 3:
          // Another type in the same place.
          rmSync(at(root, path), { recursive: true, force: true });
          this.#make(root, path, random.pick(['file', 'directory', 'symlink', 'fifo'] as const));
          break;
        case 4: {
          const target = join(random.pick(fitting), nameFrom(random));
          if (target === path || target.startsWith(`${path}/`) || this.#exists(root, target)) break;
          renameSync(at(root, path), at(root, target));
          break;
        }
        case 5:
          this.#time(root, path, entry?.kind === 'symlink');
          break;
        case 6:
          if (entry?.kind === 'file' || entry?.kind === 'other') {
            chmodSync(at(root, path), permitted(random.pick(fileModes), 0o400));
          }
          if (entry?.kind === 'directory') chmodSync(at(root, path), permitted(random.pick(directoryModes), 0o700));
          break;
        case 7:
          if (entry?.kind === 'file') this.#truncate(root, path, Number(entry.size));
          break;
        default:
          if (entry?.kind === 'file') this.#edit(root, path, Number(entry.size));
      }
      this.#flush(root);
    }
    this.#settle(root, touchedDirectories);
  }

  /** Whether a path is there, each directory above it being one: a symlink that took its place leads out of the tree. */
  #exists(root: string, path: string): boolean {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (lstatSync(at(root, path.slice(0, slash)), { throwIfNoEntry: false })?.isDirectory() !== true) return false;
    }
    return lstatSync(at(root, path), { throwIfNoEntry: false }) !== undefined;
  }

  #create(root: string, directories: string[], entries: number): void {
    const random = this.#random;
    let left = entries;
    while (left > 0) {
      const parent = random.oneIn(4) ? (directories.at(-1) ?? '') : random.pick(directories);
      const path = join(parent, nameFrom(random));
      if (this.#exists(root, path)) {
        // A small tree may have used up the name; the numbered ones never run out.
        if (random.oneIn(50)) left -= 1;
        continue;
      }
      const kind = random.oneIn(6) ? 'directory' : random.oneIn(8) ? 'symlink' : random.oneIn(30) ? 'fifo' : 'file';
      this.#make(root, path, kind);
      if (kind === 'directory' && path.length < longestParent) directories.push(path);
      left -= 1;
    }
  }

  #make(root: string, path: string, kind: 'file' | 'directory' | 'symlink' | 'fifo'): void {
    const random = this.#random;
    if (kind === 'fifo') {
      mkfifo(at(root, path));
      if (random.oneIn(2)) chmodSync(at(root, path), random.pick(fileModes));
      if (random.oneIn(2)) this.#time(root, path, false);
      return;
    }
    if (kind === 'directory') {
      mkdirSync(at(root, path));
      if (random.oneIn(3)) chmodSync(at(root, path), permitted(random.pick(directoryModes), 0o700));
      return;
    }
    if (kind === 'symlink') {
      symlinkSync(
        random.pick([
          Buffer.from('/etc/passwd'),
          Buffer.from('/'),
          Buffer.from('..'),
          Buffer.from('../../../../../../../../etc'),
          Buffer.from('.'),
          Buffer.from('does not exist'),
          Buffer.from('file1'),
          Buffer.from([0xff, 0x0a, 0x2f, 0xfe]),
          Buffer.alloc(2000, 'long/'),
        ]),
        at(root, path),
      );
      if (random.oneIn(2)) this.#time(root, path, true);
      return;
    }
    const size = random.oneIn(60)
      ? random.between(1 << 20, this.#largest)
      : random.oneIn(3)
        ? random.pick(sizes)
        : random.below(9000);
    writeFileSync(at(root, path), random.bytes(size));
    if (random.oneIn(3)) chmodSync(at(root, path), permitted(random.pick(fileModes), 0o400));
    // The clock of a file system stands still for milliseconds: two files made one after the other may share a time.
    this.#ticks += 1;
    const microseconds = 1_600_000_000 + this.#ticks / 1e6;
    utimesSync(at(root, path), microseconds, microseconds);
    if (random.oneIn(3)) this.#time(root, path, false);
  }

  #edit(root: string, path: string, size: number): void {
    const random = this.#random;
    const fd = openSync(at(root, path), 'r+');
    try {
      const from = random.below(size + 1);
      writeSync(fd, random.bytes(random.between(1, 5000)), 0, null, from);
    } finally {
      closeSync(fd);
    }
    this.#freshTime(path);
  }

  #truncate(root: string, path: string, size: number): void {
    const fd = openSync(at(root, path), 'r+');
    try {
      ftruncateSync(fd, this.#random.below(size + 1));
    } finally {
      closeSync(fd);
    }
    this.#freshTime(path);
  }

  /**
   * A change that keeps both size and time cannot be seen by a quick check, rsync's included, and is no defect of a
   * sync. So whoever changes content gives the file a time that no other file ever had.
   */
  #freshTime(path: string): void {
    this.#ticks += 1;
    const nanoseconds = String(this.#ticks).padStart(9, '0');
    this.#exact.set(path, `@${this.#random.pick(oddSeconds)}.${nanoseconds}`);
  }

  #time(root: string, path: string, link: boolean): void {
    const random = this.#random;
    if (random.oneIn(3)) {
      this.#freshTime(path);
      return;
    }
    // Equal times, among them those of many: only where equal time and size mean equal content, which is nowhere but
    // in an empty file, a link or a directory.
    const stat = lstatSync(at(root, path));
    if (stat.isFile() && stat.size > 0) return;
    const seconds = random.pick(oddSeconds);
    if (link) lutimesSync(at(root, path), seconds, seconds);
    else utimesSync(at(root, path), seconds, seconds);
  }

  #flush(root: string): void {
    const there = new Map([...this.#exact].filter(([path]) => this.#exists(root, path)));
    this.#exact = new Map();
    touchExactly(root, there);
  }

  /** Times of directories last: making what is in them would change them. */
  #settle(root: string, directories: readonly string[]): void {
    this.#flush(root);
    for (const path of directories) {
      if (path !== '' && this.#random.oneIn(2) && this.#exists(root, path)) this.#freshTime(path);
    }
    this.#flush(root);
  }
}

/** A plain tree of many directories with files, for tests that care about number rather than about oddity. */
export function plainTree(
  root: string,
  options: { readonly directories: number; readonly files: number; readonly size?: number; readonly label?: string },
): void {
  for (let d = 0; d < options.directories; d += 1) {
    const directory = `${root}/dir${String(d).padStart(4, '0')}`;
    mkdirSync(directory, { recursive: true });
    for (let f = 0; f < options.files; f += 1) {
      writeFileSync(
        `${directory}/file${String(f).padStart(5, '0')}`,
        `${options.label ?? 'content'} ${d}/${f}\n`.padEnd(options.size ?? 0, 'x'),
      );
    }
  }
}

/** How many entries a folder has. */
export function count(path: string): number {
  return readdirSync(path, { encoding: 'buffer' }).length;
}
