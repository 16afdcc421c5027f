import { closeSync } from 'node:fs';

import { ioError } from '../errors.js';
import type { OpenLog } from '../named-files.js';
import type { Level } from '../logger.js';
import { levelOfServerEvent } from '../logging.js';
import type { ServerEvent } from '../server-events.js';
import { jsonText } from './json.js';
import { appendLine, keepTryingStderr, note } from './output.js';
import { printError } from './report.js';
import { safe, safePath } from './names.js';

/** What a server says of itself. */
export type OwnEvent =
  | { type: 'listening'; at: Date; address: string; publicKey: string; roots: readonly string[] }
  | { type: 'reload'; at: Date; restart?: readonly string[] }
  | { type: 'config-unreadable'; at: Date; code: string; message: string }
  | { type: 'closing'; at: Date; signal: string; sessions: number; graceMs: number }
  | { type: 'closed'; at: Date };

/** One thing for the log. */
export type LogEvent = ServerEvent | OwnEvent;

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** The forms of a log. */
export const LOG_FORMATS = ['text', 'json'] as const;

const UNWRITABLE = 'cannot write the log';

/** The version of the log's JSON. Fields may be added within one; none is removed or given another meaning. */
const LOG_SCHEMA = 1;

/** How a log is kept. */
export interface LogOptions {
  /** The file; stderr without one. */
  readonly path: string | undefined;
  readonly format: (typeof LOG_FORMATS)[number];
  /** What matters less is left out. */
  readonly least: Level;
}

/** The log of a server: one line for each event. */
export class ServerLog {
  readonly #open: OpenLog;
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
  constructor(options: LogOptions, open: OpenLog) {
    this.#open = open;
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

  /** Writes of something that happened. */
  add(event: LogEvent): void {
    const level = levelOf(event);
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.#options.least)) return;
    if (this.#missing > 0) {
      if (!this.#write({ type: 'dropped', at: new Date(), count: this.#missing })) return this.#lose();
      this.#missing = 0;
    }
    if (!this.#write(event)) this.#lose();
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
  #write(event: LogEvent): boolean {
    const level = levelOf(event);
    const line = this.#options.format === 'json' ? jsonLine(level, event) : textLine(level, event);
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

/** How much it matters what a server says of itself. */
const OWN_LEVELS: Readonly<Record<OwnEvent['type'], Level>> = {
  listening: 'info',
  reload: 'info',
  'config-unreadable': 'error',
  closing: 'info',
  closed: 'info',
};

const isOwn = (event: LogEvent): event is OwnEvent => Object.hasOwn(OWN_LEVELS, event.type);

const levelOf = (event: LogEvent): Level => (isOwn(event) ? OWN_LEVELS[event.type] : levelOfServerEvent(event));

/** The event as fields in the order of a line, without its kind and time. */
function fieldsOf(event: LogEvent): [string, string | number | boolean | undefined][] {
  const { type, at, ...rest } = event;
  void [type, at];
  return Object.entries(rest).flatMap(([name, value]) => {
    if (value === undefined || name === 'pathBytes') return [];
    if (name === 'durationMs' || name === 'graceMs') return [[name, Math.round(Number(value))]];
    if (value instanceof Date) return [[name, value.toISOString()]];
    if (Array.isArray(value)) return [[name, value.join(' ')]];
    return [[name, value as string | number | boolean]];
  });
}

function jsonLine(level: Level, event: LogEvent): string {
  const { type, at } = event;
  const pathBytes = 'pathBytes' in event ? event.pathBytes : undefined;
  return jsonText({
    time: at.toISOString(),
    level,
    type,
    schema: LOG_SCHEMA,
    ...Object.fromEntries(fieldsOf(event)),
    pathBytes,
  });
}

/** `TIME LEVEL TYPE name=value …`: a value is quoted where it would not be one word. */
function textLine(level: Level, event: LogEvent): string {
  const pathBytes = 'pathBytes' in event ? event.pathBytes : undefined;
  const fields = fieldsOf(event).map(([name, value]) => {
    if (typeof value !== 'string') return `${name}=${String(value)}`;
    const shown = name === 'path' && pathBytes !== undefined ? safePath({ path: value, pathBytes }) : safe(value);
    return `${name}=${quoted(shown)}`;
  });
  return [event.at.toISOString(), level, event.type, ...fields].join(' ');
}

/** A quote inside quotes is escaped like other bytes that would mislead. */
function quoted(text: string): string {
  return text !== '' && !/[\s"]/u.test(text) ? text : `"${text.replaceAll('"', String.raw`\#042`)}"`;
}
