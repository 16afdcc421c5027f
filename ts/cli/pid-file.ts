import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { stateDirectory } from '../config.js';
import { ConfigError, IoError, SparsyncError } from '../errors.js';

/** What is known of a server by its file. */
export interface ServerRecord {
  readonly pid: number;
  /** When the process began, as the system has it: another process with this number began at another time. */
  readonly start: string;
  readonly address: string;
  readonly publicKey: string;
  readonly roots: readonly string[];
  readonly since: string;
  /** How long it lets transfers finish. */
  readonly graceMs: number;
  readonly logFile?: string | undefined;
}

/** The file of a server that is started without one being named. */
export function defaultPidFile(): string {
  const folder = stateDirectory();
  if (folder === undefined) {
    throw new ConfigError('no folder is known for the pid file: give --pid-file FILE, or set SPARSYNC_STATE_DIR');
  }
  return join(folder, 'server.pid');
}

/** When a process began; nothing when there is none, or one that has ended. */
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

/** The server that a file tells of, while it runs. */
export function runningServer(path: string): ServerRecord | undefined {
  const record = recordIn(textOf(path));
  return record !== undefined && startOf(record.pid) === record.start ? record : undefined;
}

/** A pid file as it is everywhere: the number on the first line. The second one has all that is known. */
export class PidFile {
  readonly #path: string;
  readonly #text: string;

  /** Makes the file; refused while the server runs that has made one of this name. */
  constructor(path: string, told: Omit<ServerRecord, 'pid' | 'start' | 'since'>) {
    const record = { pid: process.pid, start: startOf(process.pid) ?? '', since: new Date().toISOString(), ...told };
    this.#path = path;
    this.#text = `${process.pid}\n${JSON.stringify(record)}\n`;
    const own = `${path}.${process.pid}`;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(own, this.#text, { mode: 0o644 });
      while (!claimed(own, path)) removeStale(path);
    } catch (cause) {
      if (cause instanceof SparsyncError) throw cause;
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new IoError(`cannot write the pid file: ${message}`, { code: 'ERR_SPARSYNC_IO', path, cause });
    } finally {
      rmSync(own, { force: true });
    }
  }

  /** Removes the file, unless it is another server's by now. */
  remove(): void {
    if (textOf(this.#path) === this.#text) rmSync(this.#path, { force: true });
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

/** Takes away the file of a server that has ended. Two that do so at once take away no file of each other. */
function removeStale(path: string): void {
  refuseRunning(path);
  const text = textOf(path);
  if (text === undefined) return;
  const aside = `${path}.${process.pid}.old`;
  renameSync(path, aside);
  if (textOf(aside) !== text) claimed(aside, path);
  rmSync(aside, { force: true });
}

/** Refused while the server runs that a file tells of. */
export function refuseRunning(path: string): void {
  const running = runningServer(path);
  if (running === undefined) return;
  const { pid, address } = running;
  throw new ConfigError(`a server is running already: process ${pid}, on ${address}`, { details: { pid, address } });
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function recordIn(text: string | undefined): ServerRecord | undefined {
  try {
    const record: unknown = JSON.parse(text?.split('\n')[1] ?? '');
    if (typeof record !== 'object' || record === null || !('pid' in record) || !('start' in record)) return undefined;
    const { pid, start } = record;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 2 || typeof start !== 'string') return undefined;
    // What is said besides is shown, and decides nothing.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return { address: '', publicKey: '', roots: [], since: '', graceMs: 0, ...record } as ServerRecord;
  } catch {
    return undefined;
  }
}
