import type { ServerRecord } from './file.js';

/** What a server did between two of its lines. */
export interface Interval {
  /** Since the server's start, in milliseconds. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly sessions: number;
  /** Bytes of streams from clients, and to them. */
  readonly requestBytes: number;
  readonly responseBytes: number;
}

/** One run of a server, from its start to its last line. */
export interface ServerRun {
  /** Its last line: everything since its start. */
  readonly last: ServerRecord;
  /** What it did from line to line, the oldest first. */
  readonly intervals: readonly Interval[];
}

/** The most lines that are kept of a run. Totals are in the last line, so dropped lines do not matter for them. */
const LINES_MAX = 1000;

/** A server writes a line at this interval if anything happened: in a longer gap nothing did, except at its end. */
const EVERY_MS = 10_000;

/** A run while it is read. */
interface Held {
  readonly records: ServerRecord[];
  /** Whether earlier lines were dropped. */
  cut: boolean;
}

/** Collects the lines that servers wrote, and holds only the last ones of each run. */
export class ServerRuns {
  readonly #runs: Held[] = [];
  readonly #most: number;

  /** Keeps the last so many runs. */
  constructor(most: number) {
    this.#most = most;
  }

  add(record: ServerRecord): void {
    const current = this.#runs.at(-1);
    const last = current?.records.at(-1);
    if (current === undefined || last === undefined || isNewRun(last, record)) {
      this.#runs.push({ records: [record], cut: false });
      if (this.#runs.length > this.#most) this.#runs.shift();
      return;
    }
    current.records.push(record);
    // Lines are dropped in blocks, because each drop moves the whole list.
    if (current.records.length > 2 * LINES_MAX) {
      current.records.splice(0, current.records.length - LINES_MAX);
      current.cut = true;
    }
  }

  /** The runs, the oldest first. */
  runs(): ServerRun[] {
    return this.#runs.flatMap(({ records, cut }) => {
      const last = records.at(-1);
      // If lines were dropped, the first one that is left counts work from before it.
      return last === undefined ? [] : [{ last, intervals: intervalsOf(records).slice(cut ? 1 : 0) }];
    });
  }
}

/** Amounts only grow while a server runs. */
function isNewRun(last: ServerRecord, next: ServerRecord): boolean {
  return last.final || next.file !== last.file || next.uptimeMs < last.uptimeMs || next.sessions < last.sessions;
}

function intervalsOf(records: readonly ServerRecord[]): Interval[] {
  return records.map((record, index) => {
    const before = records[index - 1];
    const grown = (value: number, earlier: number | undefined): number => Math.max(0, value - (earlier ?? 0));
    return {
      fromMs: Math.max(before?.uptimeMs ?? 0, record.uptimeMs - EVERY_MS),
      toMs: record.uptimeMs,
      sessions: grown(record.sessions, before?.sessions),
      requestBytes: grown(record.figures.request_bytes, before?.figures.request_bytes),
      responseBytes: grown(record.figures.response_bytes, before?.figures.response_bytes),
    };
  });
}
