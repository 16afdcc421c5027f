import { closeSync } from 'node:fs';

import { ioError } from '../errors.js';
import type { OpenLog } from '../named-files.js';
import type { Level } from '../logger.js';
import type { Native, NativeLogFormat } from '../native.js';
import type { ServerEvent } from '../server-events.js';
import { appendLine, keepTryingStderr, note } from './output.js';
import { printError } from './report.js';

/** What a server's process says of itself. */
export type OwnEvent =
  | { type: 'listening'; address: string; publicKey: string; roots: string[] }
  | { type: 'reload'; restart?: string[] }
  | { type: 'config-unreadable'; code: string; message: string }
  | { type: 'closing'; signal: string; sessions: number; graceMs: number }
  | { type: 'closed' };

/** What a line of the log is about. */
export type LogEvent = ServerEvent | OwnEvent;

/** The forms of a log. */
export const LOG_FORMATS = ['text', 'json'] as const;

const UNWRITABLE = 'cannot write the log';

/** How a log is kept. */
export interface LogOptions {
  /** The file; stderr without one. */
  readonly path: string | undefined;
  readonly format: (typeof LOG_FORMATS)[number];
  /** What matters less is left out. */
  readonly least: Level;
}

/** The log of a server: the core says what its lines are, this is where they go. */
export class ServerLog {
  readonly #open: OpenLog;
  readonly #native: Native;
  #options: LogOptions;
  #descriptor: number | undefined;
  /** The file has only a part of the last line. */
  #isCut = false;
  /** The file could not be written when it was last tried. */
  #isFileLost = false;
  /** Lines that are missing since the last one that was written. */
  #missing = 0;
  #onLost: (() => void) | undefined;

  /** Opens the file, so that an error is known before anything is served. */
  constructor(options: LogOptions, open: OpenLog, native: Native) {
    this.#open = open;
    this.#native = native;
    this.#options = options;
    this.#descriptor = this.#opened(options);
    keepTryingStderr();
  }

  /** Calls back for each line that is lost from now on. */
  onLost(listener: () => void): void {
    this.#onLost = listener;
  }

  /** Whether the log is a file. */
  get isFile(): boolean {
    return this.#options.path !== undefined;
  }

  /** What its lines are like, and which there are. */
  get format(): NativeLogFormat {
    const { format, least } = this.#options;
    return { json: format === 'json', least };
  }

  /** Writes of the process itself. */
  add(event: OwnEvent): void {
    const line = this.#native.logLine(this.format, event);
    if (line !== null) this.write(line);
  }

  /** Writes a line. */
  write(line: string): void {
    if (this.#missing > 0) {
      const dropped = this.#native.logLine(this.format, { type: 'dropped', count: this.#missing });
      if (dropped === null || !this.#put(dropped)) return this.#lose();
      this.#missing = 0;
    }
    if (!this.#put(line)) this.#lose();
  }

  /** Opens the file again, because it was moved away or another one is wanted. */
  reopen(options = this.#options): void {
    try {
      const fresh = this.#opened(options);
      this.#options = options;
      if (this.#descriptor !== undefined) closeSync(this.#descriptor);
      this.#descriptor = fresh;
      this.#isCut = false;
      this.#isFileLost = false;
    } catch (error) {
      // The log goes on in the old file.
      printError(error);
    }
  }

  #opened({ path }: LogOptions): number | undefined {
    if (path === undefined) return undefined;
    try {
      return this.#open(path, 0o640);
    } catch (error) {
      throw ioError(UNWRITABLE, error, path);
    }
  }

  /** Writes a line, to stderr where the file does not take it: a full disk must not hide what clients did. */
  #put(line: string): boolean {
    if (this.#descriptor === undefined) return note(line);
    const appended = appendLine(this.#descriptor, Buffer.from(`${line}\n`), this.#isCut);
    this.#isCut = appended.isCut;
    if (appended.rest !== undefined && !this.#isFileLost) {
      printError(ioError(UNWRITABLE, appended.error, this.#options.path ?? ''));
    }
    this.#isFileLost = appended.rest !== undefined;
    return !this.#isFileLost || note(line);
  }

  #lose(): void {
    this.#missing += 1;
    this.#onLost?.();
  }
}
