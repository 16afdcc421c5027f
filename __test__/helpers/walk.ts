import { createHash } from 'node:crypto';
import { closeSync, type Dirent, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

/** What stands at one path, read by nothing of the product. */
export interface Entry {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
  /** Of a symlink, as latin1. */
  readonly target: string | undefined;
  /** SHA-256 of a file's content, when asked for. */
  readonly hash: string | undefined;
}

/** Paths below the root, bytes as latin1 (one character each, so no two names fall together); `''` is the root. */
export type Tree = Map<string, Entry>;

/** A path as bytes from a root and a latin1 path below it. */
export function at(root: string, below: string): Buffer {
  const head = Buffer.from(root);
  return below === '' ? head : Buffer.concat([head, Buffer.from('/'), Buffer.from(below, 'latin1')]);
}

function hashOf(path: Buffer, chunk: Buffer): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    for (;;) {
      const got = readSync(fd, chunk, 0, chunk.length, null);
      if (got === 0) break;
      hash.update(chunk.subarray(0, got));
    }
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex');
}

/** Reads a whole tree. Fails when it changes meanwhile. */
export function walk(root: string, options: { readonly content?: boolean } = {}): Tree {
  const tree: Tree = new Map();
  const chunk = Buffer.allocUnsafe(options.content === true ? 1 << 20 : 0);
  const visit = (below: string): void => {
    const path = at(root, below);
    const stat = lstatSync(path, { bigint: true });
    const kind = stat.isFile()
      ? 'file'
      : stat.isDirectory()
        ? 'directory'
        : stat.isSymbolicLink()
          ? 'symlink'
          : 'other';
    tree.set(below, {
      kind,
      mode: Number(stat.mode & 0o7777n),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: stat.size,
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      ino: stat.ino,
      target: kind === 'symlink' ? readlinkSync(path, { encoding: 'buffer' }).toString('latin1') : undefined,
      hash: kind === 'file' && options.content === true ? hashOf(path, chunk) : undefined,
    });
    if (kind !== 'directory') return;
    const names = readdirSync(path, { encoding: 'buffer' });
    names.sort((a, b) => a.compare(b));
    for (const name of names) {
      const text = name.toString('latin1');
      visit(below === '' ? text : `${below}/${text}`);
    }
  };
  visit('');
  return tree;
}

function listed(path: Buffer): Array<Dirent<Buffer>> {
  try {
    return readdirSync(path, { encoding: 'buffer', withFileTypes: true });
  } catch (error) {
    // Somebody is at work there: a directory may have gone since it was seen.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** All names below a root, as latin1 paths, by listing alone: quick enough to catch what is there for a moment. */
export function names(root: string): string[] {
  const out: string[] = [];
  const visit = (below: string): void => {
    const entries = listed(at(root, below));
    for (const entry of entries.toSorted((a, b) => a.name.compare(b.name))) {
      const text = entry.name.toString('latin1');
      const path = below === '' ? text : `${below}/${text}`;
      out.push(path);
      if (entry.isDirectory()) visit(path);
    }
  };
  visit('');
  return out;
}

export interface CompareOptions {
  /** Compare the root's own mode and time too (default: yes). */
  readonly root?: boolean;
  readonly times?: boolean;
  /** Times within one second are equal, as they are to rsync and, unless told otherwise, to the command. */
  readonly wholeSeconds?: boolean;
  readonly modes?: boolean;
}

function shown(path: string): string {
  return JSON.stringify(Buffer.from(path, 'latin1').toString());
}

/** Rounds down, before 1970 as well. */
function floor(time: bigint, unit: bigint): bigint {
  const rest = time % unit;
  return time - rest - (rest < 0n ? unit : 0n);
}

/**
 * What differs between two trees that were walked with content: one line each, none when they are equal in names,
 * types, content, targets, modes and times to the nanosecond.
 */
export function differences(source: Tree, destination: Tree, options: CompareOptions = {}): string[] {
  const out: string[] = [];
  for (const [path, want] of source) {
    if (path === '' && options.root === false) continue;
    const have = destination.get(path);
    if (have === undefined) {
      out.push(`${shown(path)}: missing`);
      continue;
    }
    if (have.kind !== want.kind) {
      out.push(`${shown(path)}: is a ${have.kind}, not a ${want.kind}`);
      continue;
    }
    if (want.kind === 'file' && have.size !== want.size) {
      out.push(`${shown(path)}: size ${have.size}, not ${want.size}`);
    } else if (have.hash !== want.hash) {
      out.push(`${shown(path)}: content`);
    }
    if (have.target !== want.target) out.push(`${shown(path)}: target ${have.target ?? ''}, not ${want.target ?? ''}`);
    if (options.modes !== false && want.kind !== 'symlink' && have.mode !== want.mode) {
      out.push(`${shown(path)}: mode ${have.mode.toString(8)}, not ${want.mode.toString(8)}`);
    }
    const unit = options.wholeSeconds === true ? 1_000_000_000n : 1n;
    if (options.times !== false && floor(have.mtimeNs, unit) !== floor(want.mtimeNs, unit)) {
      out.push(`${shown(path)}: mtime ${have.mtimeNs}, not ${want.mtimeNs}`);
    }
  }
  for (const path of destination.keys()) if (!source.has(path)) out.push(`${shown(path)}: extra`);
  return out;
}

/** What was touched between two walks of the same place: anything at all, the change time included. */
export function touched(before: Tree, after: Tree): string[] {
  const out: string[] = [];
  for (const [path, was] of before) {
    const is = after.get(path);
    if (is === undefined) out.push(`${shown(path)}: gone`);
    else if (is.ino !== was.ino) out.push(`${shown(path)}: replaced`);
    else if (is.ctimeNs !== was.ctimeNs || is.mtimeNs !== was.mtimeNs) out.push(`${shown(path)}: written to`);
  }
  for (const path of after.keys()) if (!before.has(path)) out.push(`${shown(path)}: new`);
  return out;
}
