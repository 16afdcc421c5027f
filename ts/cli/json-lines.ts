// The lines of `--json`, and of a server's log in JSON, as types. docs/events.schema.json is written from them.
import type { ErrorCode, Side } from '../codes.js';
import type { ErrorDetails } from '../errors.js';
import type { DoneEvent, EntryPath, FailureCounts, PlanItem, SyncEvent, SyncResult } from '../events.js';
import type { Explanation } from '../explain.js';
import type { SyncStats } from '../stats.js';
import type { VerifyResult } from '../verify.js';
import type { LogEvent } from './server-log.js';

/** The version of what `--json` prints. Fields may be added within one; none is removed or given another meaning. */
export const JSON_SCHEMA = 1;

/** What a line that begins or ends something says of its form. */
interface Versioned {
  /** The version of this form. */
  schema: typeof JSON_SCHEMA;
}

/** The first line of a sync. */
export interface StartLine extends Versioned {
  type: 'start';
  /** The version of the command. */
  version: string;
  /** Whether nothing will be written. */
  dryRun?: boolean | undefined;
}

/** The last line of a sync that came to its end. */
export interface SummaryLine extends Versioned, SyncResult {
  type: 'summary';
  /** What the process ends with. */
  exitCode: number;
}

/** The last line of what did not do all that it was asked for. */
export interface ErrorLine extends Versioned, Partial<EntryPath> {
  type: 'error';
  /** What the process ends with. */
  exitCode: number;
  /** What went wrong. */
  code: ErrorCode;
  /** The same for people. */
  message: string;
  /** The end on which it happened. */
  side: Side;
  /** Whether the same call may succeed later without anybody changing anything. */
  retryable: boolean;
  /** Facts for a program. */
  details: ErrorDetails;
  /** What lifts it, for people. */
  help?: string;
  /** What was done, of a sync that came to its end. */
  stats?: SyncStats;
  /** How many failures it had of each kind. */
  failureCounts?: FailureCounts;
}

/** The last line of a sync that a signal has ended. */
export interface InterruptedLine extends Versioned {
  type: 'interrupted';
  /** What the process ends with. */
  exitCode: number;
  /** The signal. */
  signal: string;
  /** What was done. */
  stats?: SyncStats;
}

/** A line of `verify`: a path that differs. */
export interface DifferenceLine extends PlanItem {
  type: 'difference';
}

/** The last line of `verify`. */
export interface ComparisonLine extends Versioned, VerifyResult {
  type: 'summary';
  /** What the process ends with. */
  exitCode: number;
}

/** A line of `--explain`. */
export interface ExplanationLine extends Explanation {
  type: 'explanation';
}

/** A line of `--json`, of a sync, of `verify` or of `--explain`. */
export type JsonLine =
  | StartLine
  | Exclude<SyncEvent, DoneEvent>
  | SummaryLine
  | ErrorLine
  | InterruptedLine
  | DifferenceLine
  | ComparisonLine
  | ExplanationLine;

/** A line of a server's log in JSON: what happened, with its time and how much it matters. */
export type LogLine = LogEvent extends infer Event
  ? Event extends LogEvent
    ? Versioned & { /** When. */ time: Date; level: 'debug' | 'info' | 'warn' | 'error' } & {
        [Name in keyof Event as Exclude<Name, 'at'>]: Event[Name] extends readonly string[] | undefined
          ? string
          : Event[Name];
      }
    : never
  : never;
