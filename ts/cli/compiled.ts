import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname } from 'node:path';

/** The kind of run after which compiled code was kept: it has the functions which that kind calls. */
export type After = 'local' | 'remote';

/** What V8 made of the command in an earlier run. */
export interface Kept {
  readonly after: After;
  readonly bytes: Buffer;
}

/** The last byte of what is kept, by the kind of run. */
const MARKS: Readonly<Record<After, number>> = { local: 0, remote: 1 };

/** Compiled code of other versions is removed when it is this old. */
const OTHERS_MS = 30 * 24 * 3600 * 1000;

/** The bits of a mode that let others than the owner write. */
const WRITABLE = 0o022;

/**
 * The code that V8 compiled for a build of the command, if it was kept. It is executed, so only this user may have been
 * able to write it.
 */
export function kept(build: string): Kept | undefined {
  const folder = cacheFolder();
  // Checking first costs one call if nothing was kept, and makes no error object.
  if (folder === undefined || !existsSync(`${folder}/${nameOf(build)}`)) return undefined;
  try {
    if (!isOwnFolder(folder)) return undefined;
    const content = ownFile(`${folder}/${nameOf(build)}`);
    if (content === undefined) return undefined;
    return { after: content.at(-1) === MARKS.remote ? 'remote' : 'local', bytes: content.subarray(0, -1) };
  } catch {
    return undefined;
  }
}

/** Keeps the code that V8 has compiled. A failure only makes the next start slower, and so is not told. */
export function keep(build: string, after: After, bytes: Buffer): void {
  try {
    const folder = cacheFolder();
    if (folder === undefined || !isMade(folder)) return;
    const name = nameOf(build);
    removeOthers(folder, name);
    write(`${folder}/.${name}.${process.pid}`, `${folder}/${name}`, Buffer.concat([bytes, Buffer.of(MARKS[after])]));
  } catch {
    // A failure only makes the next start slower.
  }
}

function write(temporary: string, path: string, content: Buffer): void {
  // A killed process that had this number may have left the file.
  rmSync(temporary, { force: true });
  try {
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(descriptor, content);
      // V8 does not detect damaged code, so the content must be on disk before it gets its name.
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** The folder of compiled code; `undefined` if it is not wanted, or no folder of this user is known. */
function cacheFolder(): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, NODE_V8_COVERAGE } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE !== undefined || NODE_V8_COVERAGE !== undefined) return undefined;
  const base = baseFolder();
  return base === undefined ? undefined : `${base}/sparsync`;
}

/** `$XDG_CACHE_HOME`, or else `~/.cache`. Only on POSIX systems are its owner and mode known. */
function baseFolder(): string | undefined {
  const { XDG_CACHE_HOME = '', HOME = '' } = process.env;
  if (process.geteuid === undefined) return undefined;
  // The XDG specification says that a relative path must be ignored.
  if (XDG_CACHE_HOME.startsWith('/')) return XDG_CACHE_HOME;
  return HOME.startsWith('/') ? `${HOME}/.cache` : undefined;
}

/** The name depends on the builds of the command and of Node, and on the processor, for which the code is compiled. */
function nameOf(build: string): string {
  return `compiled-${build}-${process.version}-${process.arch}`;
}

/** The content of a regular file of this user's that nobody else may write. */
function ownFile(path: string): Buffer | undefined {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor);
    return stats.isFile() && isOwn(stats) ? readFileSync(descriptor) : undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** Whether something is this user's alone. */
function isOwn({ uid, mode }: Stats): boolean {
  return uid === process.geteuid?.() && (mode & WRITABLE) === 0;
}

/** Whether nobody else can put a file into the folder. Root must not use the home folder of another user. */
function isOwnFolder(folder: string): boolean {
  const stats = lstatSync(folder);
  return stats.isDirectory() && isOwn(stats);
}

/**
 * Makes the folder if its parent belongs to this user: root must not leave files in the home folder of another user.
 */
function isMade(folder: string): boolean {
  const base = dirname(folder);
  const isMine = (path: string): boolean => statSync(path).uid === process.geteuid?.();
  if (!existsSync(base)) {
    if (!isMine(dirname(base))) return false;
    mkdirSync(base, { mode: 0o700 });
  }
  if (!isMine(base)) return false;
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) mkdirSync(folder, { mode: 0o700 });
  return isOwnFolder(folder);
}

function removeOthers(folder: string, name: string): void {
  for (const other of readdirSync(folder)) {
    if (other === name || !/^\.?compiled-/.test(other)) continue;
    if (Date.now() - lstatSync(`${folder}/${other}`).mtimeMs > OTHERS_MS) unlinkSync(`${folder}/${other}`);
  }
}
