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

/** What kind of run was made: what it called is compiled in what is kept. */
export type After = 'local' | 'remote';

/** What V8 made of the command in an earlier run. */
export interface Kept {
  readonly after: After;
  readonly bytes: Buffer;
}

/** The last byte of what is kept, by the kind of run. */
const MARKS: Readonly<Record<After, number>> = { local: 0, remote: 1 };

/** What is kept of other versions is removed after so long. */
const OTHERS_MS = 30 * 24 * 3600 * 1000;

/** Bits of a mode by which others than the owner may write. */
const WRITABLE = 0o022;

/** What V8 has made of a build of the command, if it was kept, and nobody else can have written it: it is code that runs. */
export function kept(build: string): Kept | undefined {
  const folder = cacheFolder();
  // Looking is one call where there is nothing, and no error is made.
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

/** Keeps what V8 has made. Without it the next start takes longer, and nothing else: whatever fails is not told. */
export function keep(build: string, after: After, bytes: Buffer): void {
  try {
    const folder = cacheFolder();
    if (folder === undefined || !isMade(folder)) return;
    const name = nameOf(build);
    removeOthers(folder, name);
    write(`${folder}/.${name}.${process.pid}`, `${folder}/${name}`, Buffer.concat([bytes, Buffer.of(MARKS[after])]));
  } catch {
    // As said above.
  }
}

function write(temporary: string, path: string, content: Buffer): void {
  // Of a process that was killed, and had this number.
  rmSync(temporary, { force: true });
  try {
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(descriptor, content);
      // V8 does not see that content is not what it was: under its name stands what has reached the disk.
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

/** The folder of what is kept; none where it is not wanted, or no folder of this user is known. */
function cacheFolder(): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE, NODE_V8_COVERAGE } = process.env;
  if (NODE_DISABLE_COMPILE_CACHE !== undefined || NODE_V8_COVERAGE !== undefined) return undefined;
  const base = baseFolder();
  return base === undefined ? undefined : `${base}/sparsync`;
}

/** `$XDG_CACHE_HOME`, else `~/.cache`, of users as POSIX has them. */
function baseFolder(): string | undefined {
  const { XDG_CACHE_HOME = '', HOME = '' } = process.env;
  if (process.geteuid === undefined) return undefined;
  // A relative one is to be ignored, says the XDG specification.
  if (XDG_CACHE_HOME.startsWith('/')) return XDG_CACHE_HOME;
  return HOME.startsWith('/') ? `${HOME}/.cache` : undefined;
}

/** What is compiled is for one build of the command, one of Node, and one processor. */
function nameOf(build: string): string {
  return `compiled-${build}-${process.version}-${process.arch}`;
}

/** The content of a regular file that is this user's, and that nobody else may write. */
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

/** Whether nobody else can put a file into the folder under another name: root has files in the home folders of others too. */
function isOwnFolder(folder: string): boolean {
  const stats = lstatSync(folder);
  return stats.isDirectory() && isOwn(stats);
}

/** Makes the folder, where what it is to be in is this user's: root leaves nothing in the home folders of others. */
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
