import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { stateDirectory } from './config.js';
import { ConfigError, SparsyncError, ioError } from './errors.js';
import type { NamedFiles, Sibling } from './named-files.js';
import { isOwn } from './own-file.js';

const UNWRITABLE = 'cannot write the pid file';

/** What is known of a server by its file. */
export interface ServerRecord {
  readonly pid: number;
  /** When the process began, as the system tells it. A later process with the same number began at another time. */
  readonly start: string;
  readonly address: string;
  readonly publicKey: string;
  readonly roots: readonly string[];
  readonly since: string;
  /** How long it lets transfers finish. */
  readonly graceMs: number;
  readonly logFile?: string | undefined;
}

/** The file of a server for which none is named. */
export function defaultPidFile(): string {
  const folder = stateDirectory();
  if (folder === undefined) {
    throw new ConfigError('there is no folder for the pid file: give --pid-file FILE, or set SPARSYNC_STATE_DIR');
  }
  return join(folder, 'server.pid');
}

/** When a process began; `undefined` if there is none, or it has ended. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program, in parentheses, may have anything in it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${boot}.${fields[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

/** The user that a process runs as. */
function userOf(pid: number): number | undefined {
  try {
    const [, effective] = /^Uid:\t\d+\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
    return effective === undefined ? undefined : Number(effective);
  } catch {
    return undefined;
  }
}

/** The server that a file tells of, while it runs. */
export function runningServer(path: string, files: NamedFiles): ServerRecord | undefined {
  return runningIn(recordAt(path, files));
}

function recordAt(path: string, files: NamedFiles): Found | undefined {
  if (!existsSync(dirname(path))) return undefined;
  try {
    return files.beside(path, (at) => read(path, at()));
  } catch (cause) {
    throw cause instanceof SparsyncError ? cause : ioError('cannot read the pid file', cause, path);
  }
}

/** The server that the content of a file tells of, while it runs. */
function runningIn(found: Found | undefined): ServerRecord | undefined {
  const record = recordIn(found?.text);
  if (found === undefined || record === undefined) return undefined;
  // The owner of the file may name only processes of their own.
  return startOf(record.pid) === record.start && userOf(record.pid) === found.uid ? record : undefined;
}

/** A pid file: the number is on the first line, as usual. The second line has all facts about the server. */
export class PidFile {
  readonly #path: string;
  readonly #files: NamedFiles;
  #record: ServerRecord;

  /** Makes the file. Refused while the server runs that made the present file. */
  constructor(path: string, files: NamedFiles, told: Omit<ServerRecord, 'pid' | 'start' | 'since'>) {
    this.#record = { pid: process.pid, start: startOf(process.pid) ?? '', since: new Date().toISOString(), ...told };
    this.#path = path;
    this.#files = files;
    const claim = (at: Sibling): void => {
      const own = written(at, textFor(this.#record));
      try {
        while (!claimed(own, at())) removeStale(path, at);
      } finally {
        rmSync(own, { force: true });
      }
    };
    this.#write(() => files.beside(path, claim, 0o700));
  }

  #write(work: () => void): void {
    try {
      work();
    } catch (cause) {
      throw cause instanceof SparsyncError ? cause : ioError(UNWRITABLE, cause, this.#path);
    }
  }

  /** Tells something else of the server from now on. */
  update(told: Pick<ServerRecord, 'graceMs' | 'logFile'>): void {
    if (!this.#isOurs()) return;
    const record = { ...this.#record, ...told };
    this.#write(() => this.#files.beside(this.#path, (at) => renameSync(written(at, textFor(record)), at())));
    this.#record = record;
  }

  /** Removes the file, unless it belongs to another server by now. */
  remove(): void {
    if (this.#isOurs()) this.#files.beside(this.#path, (at) => rmSync(at(), { force: true }));
  }

  /** Whether the file is still the one that was made here. */
  #isOurs(): boolean {
    return recordAt(this.#path, this.#files)?.text === textFor(this.#record);
  }
}

/** Gives a file the name, unless there is one. */
function claimed(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Removes the file of a server that has ended. Two processes that do so at once must not remove each other's new file.
 */
function removeStale(path: string, at: Sibling): void {
  const found = read(path, at());
  refuse(runningIn(found));
  if (found === undefined) return;
  const aside = at(`.${process.pid}.old`);
  try {
    renameSync(at(), aside);
  } catch (error) {
    // Somebody else has taken it away first.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  if (read(path, aside)?.text !== found.text) claimed(aside, at());
  rmSync(aside, { force: true });
}

/** Throws while the server of a file runs. */
export function refuseRunning(path: string, files: NamedFiles): void {
  refuse(runningServer(path, files));
}

function refuse(running: ServerRecord | undefined): void {
  if (running === undefined) return;
  const { pid, address } = running;
  throw new ConfigError(`a server is already running: process ${pid}, on ${address}`, { details: { pid, address } });
}

/** Writes a temporary file beside the final one. An entry of its name is neither followed nor written into. */
function written(at: Sibling, text: string): string {
  const own = at(`.${process.pid}`);
  rmSync(own, { force: true });
  writeFileSync(own, text, { mode: 0o644, flag: 'wx' });
  return own;
}

function textFor(record: ServerRecord): string {
  return `${record.pid}\n${JSON.stringify(record)}\n`;
}

interface Found {
  readonly text: string;
  readonly uid: number;
}

/** The text of a file, and its owner. Refused if another user than this one or root could have written it. */
function read(path: string, at: string): Found | undefined {
  const descriptor = opened(at);
  if (descriptor === undefined) return undefined;
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || !isOwn(stats)) {
      throw new ConfigError(`${path} cannot be used as a pid file: another user owns it, or other users can write it`, {
        path,
      });
    }
    return { text: readFileSync(descriptor, 'utf8'), uid: stats.uid };
  } finally {
    closeSync(descriptor);
  }
}

function opened(at: string): number | undefined {
  try {
    return openSync(at, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw cause;
  }
}

function recordIn(text: string | undefined): ServerRecord | undefined {
  try {
    const record: unknown = JSON.parse(text?.split('\n')[1] ?? '');
    if (typeof record !== 'object' || record === null || !('pid' in record) || !('start' in record)) return undefined;
    const { pid, start } = record;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1 || typeof start !== 'string') return undefined;
    // The other fields are only shown, and not checked.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return { address: '', publicKey: '', roots: [], since: '', graceMs: 0, ...record } as ServerRecord;
  } catch {
    return undefined;
  }
}
