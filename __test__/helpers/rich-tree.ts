// Small random trees that have everything an option may be about: kinds, owners, modes, times, links, attributes, holes.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';

import type { Random } from './random.js';
import { at, type Entry, walk } from './walk.js';

/** As latin1: few, so that rules, lists and both trees meet in them. */
const NAMES: readonly string[] = ['a', 'b', 'c.o', 'd.tmp', 'e f', '-x', 'core', '.keep', 'n\nl', 'caf\xe9', '*', 'Z'];

/** Names of files of rules, which somebody else plants. */
const RULES = /(^|\/)\.(rules|rsync-filter|cvsignore)(\.own)?$/;

/** Seconds since 1970, before it and after 2262 among them. */
const TIMES: readonly number[] = [-1_000_000_000, -1, 0, 1_500_000_000, 1_700_000_000, 9_400_000_000];

const SIZES: readonly number[] = [0, 1, 99, 100, 4096, 5000, 70_000];

const FILE_MODES: readonly number[] = [0o644, 0o600, 0o755, 0o444, 0o640, 0o666];

const DIRECTORY_MODES: readonly number[] = [0o755, 0o700, 0o750, 0o775, 0o1777];

const OWNERS: readonly number[] = [0, 1000, 4321, 65_534];

const TARGETS: readonly string[] = ['a', 'b/a', 'nowhere', 'Z'];

const TARGETS_ABOVE: readonly string[] = ['../a', '.', '..', '../../../etc', '/etc/passwd'];

/** What a tree may have besides files, directories, symlinks and FIFOs. */
export interface Riches {
  /** Owners and devices, which take root. */
  readonly owned: boolean;
  readonly setId: boolean;
  readonly links: boolean;
  readonly symlinks: boolean;
  /** Symlinks that lead to what they are in, or out of the tree. */
  readonly leadsUp: boolean;
  readonly acls: boolean;
  readonly xattrs: boolean;
  /** Whether a change may put something of another kind in the place of an entry. */
  readonly replaced: boolean;
  /** A socket that may be copied into the tree. */
  readonly socket: string;
}

/** A path as the files of `setfattr --restore` and `setfacl --restore` have it. */
function escaped(path: Buffer): string {
  const plain = (byte: number): boolean => byte > 0x20 && byte < 0x7f && byte !== 0x5c && byte !== 0x3d;
  return [...path]
    .map((byte) => (plain(byte) ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`))
    .join('');
}

export class RichTree {
  readonly #root: string;
  readonly #random: Random;
  readonly #riches: Riches;

  constructor(root: string, random: Random, riches: Riches) {
    this.#root = root;
    this.#random = random;
    this.#riches = riches;
  }

  #at(path: string): Buffer {
    return at(this.#root, path);
  }

  /** Makes the whole tree. */
  grow(): void {
    mkdirSync(this.#root, { recursive: true });
    this.#fill('', 3);
    this.#attribute();
    this.#adjust();
  }

  /** Changes some of what is there, takes some away, and adds some. */
  change(): void {
    const random = this.#random;
    for (const [path, entry] of [...walk(this.#root)].toReversed()) {
      // A file of rules that is none would end the run.
      if (path === '' || RULES.test(path)) continue;
      const what = random.below(20);
      if (what < 3) rmSync(this.#at(path), { recursive: true });
      else if (what < 5 && entry.kind === 'file') this.#write(path);
      else if (what < 7) this.#time(path);
      else if (what < 9 && entry.kind !== 'symlink') this.#mode(path, entry);
      else if (what < 10 && this.#riches.owned) this.#own(path);
      else if (what < 11 && this.#riches.replaced) {
        rmSync(this.#at(path), { recursive: true });
        this.#make(path, 1);
      } else if (what < 12 && this.#riches.links && entry.kind === 'file') this.#copy(path);
    }
    this.#fill('', 1);
    for (const [path] of walk(this.#root)) if (random.oneIn(20)) this.#time(path);
    if (random.oneIn(2)) this.#attribute();
  }

  #fill(below: string, depth: number): void {
    for (const name of NAMES) {
      if (this.#random.oneIn(2)) continue;
      const path = below === '' ? name : `${below}/${name}`;
      if (lstatSync(this.#at(path), { throwIfNoEntry: false }) === undefined) this.#make(path, depth);
    }
  }

  #make(path: string, depth: number): void {
    const random = this.#random;
    const what = random.below(20);
    if (what < 5) {
      mkdirSync(this.#at(path));
      if (depth > 0 && !random.oneIn(4)) this.#fill(path, depth - 1);
    } else if (what < 8 && this.#riches.symlinks) symlinkSync(this.#target(), this.#at(path));
    else if (what < 9) this.#special(path);
    else if (what < 11 && this.#riches.links) this.#link(path);
    else this.#write(path);
  }

  #target(): string {
    return this.#random.pick(this.#riches.leadsUp ? [...TARGETS, ...TARGETS_ABOVE] : TARGETS);
  }

  #write(path: string): void {
    const random = this.#random;
    const size = random.pick(SIZES);
    const fd = openSync(this.#at(path), 'w');
    if (random.oneIn(5)) {
      ftruncateSync(fd, size + 200_000);
      writeSync(fd, Buffer.from('end'), 0, 3, size + 150_000);
    } else writeSync(fd, random.bytes(size), 0, size, 0);
    closeSync(fd);
  }

  #special(path: string): void {
    const random = this.#random;
    const named = Buffer.from(path, 'latin1').toString();
    // Programs are told names as text.
    const made = Buffer.from(named).equals(Buffer.from(path, 'latin1')) ? `${this.#root}/${named}` : undefined;
    if (made === undefined) this.#write(path);
    else if (this.#riches.owned && random.oneIn(3))
      execFileSync('mknod', ['--', made, random.pick(['b', 'c']), '1', String(random.between(3, 9))]);
    else if (random.oneIn(3)) execFileSync('cp', ['-a', '--', this.#riches.socket, made]);
    else execFileSync('mkfifo', ['--', made]);
  }

  /** A further name of what is there already. */
  #link(path: string): void {
    const others = [...walk(this.#root)].filter(([, { kind }]) => kind !== 'directory');
    if (others.length === 0) this.#write(path);
    else linkSync(this.#at(this.#random.pick(others)[0]), this.#at(path));
  }

  /** The same content in a file of its own, and maybe under a further name. */
  #copy(path: string): void {
    const own = Buffer.concat([this.#at(path), Buffer.from('.own')]);
    if (existsSync(own)) return;
    linkSync(this.#at(path), own);
    if (this.#random.oneIn(2)) return;
    rmSync(this.#at(path));
    renameSync(own, this.#at(path));
  }

  #time(path: string): void {
    // Node takes a negative number, and no such date, for now.
    const time = new Date((this.#random.pick(TIMES) + this.#random.pick([0, 0, 0.25])) * 1000);
    lutimesSync(this.#at(path), time, time);
  }

  #own(path: string): void {
    lchownSync(this.#at(path), this.#random.pick(OWNERS), this.#random.pick(OWNERS));
  }

  #mode(path: string, { kind }: Entry): void {
    const random = this.#random;
    // A plain user's rsync lets a file be written to before it removes it, which shows in its other names.
    const least = this.#riches.owned ? 0 : 0o200;
    const mode = random.pick(kind === 'directory' ? DIRECTORY_MODES : FILE_MODES);
    chmodSync(this.#at(path), mode | least | (this.#riches.setId && random.oneIn(6) ? 0o2000 : 0));
  }

  /** ACLs and extended attributes, all by one call of the programs that restore them. */
  #attribute(): void {
    const random = this.#random;
    const restore = (program: string, blocks: readonly string[]): void => {
      if (blocks.length > 0) execFileSync(program, ['--restore=-'], { cwd: this.#root, input: blocks.join('\n') });
    };
    const some = [...walk(this.#root)].filter(([path, { kind }]) => path !== '' && kind !== 'symlink');
    const named = (path: string): string => escaped(Buffer.from(`./${path}`, 'latin1'));
    const xattrs = some
      .filter(([, { kind }]) => kind !== 'other' && this.#riches.xattrs && random.oneIn(3))
      .map(([path]) => {
        const trusted = this.#riches.owned && random.oneIn(3) ? 'trusted.t="t"\n' : '';
        return `# file: ${named(path)}\nuser.${random.pick(['a', 'b'])}="${random.below(3)}"\n${trusted}`;
      });
    restore('setfattr', xattrs);
    const acls = some
      .filter(([, { kind }]) => kind !== 'other' && this.#riches.acls && random.oneIn(4))
      .map(([path, { kind }]) => {
        const rules = ['user::rwx', `user:${random.pick([1000, 4321])}:r-x`, 'group::r-x', 'mask::r-x', 'other::r--'];
        const inherited = kind === 'directory' && random.oneIn(2) ? rules.map((rule) => `default:${rule}`) : [];
        return [`# file: ${named(path)}`, ...rules, ...inherited, ''].join('\n');
      });
    restore('setfacl', acls);
  }

  /** Owners before modes, which they change, and times last, from the deepest up. */
  #adjust(): void {
    const random = this.#random;
    for (const [path, entry] of [...walk(this.#root)].toReversed()) {
      if (this.#riches.owned && random.oneIn(2)) this.#own(path);
      if (entry.kind !== 'symlink' && random.oneIn(2)) this.#mode(path, entry);
      this.#time(path);
    }
  }
}
