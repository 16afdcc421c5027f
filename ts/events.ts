import type { ErrorCode, Side } from './codes.js';
import type { SyncProfile } from './profile.js';
import type { SyncStats } from './stats.js';
import type { Transport, UdpOutcome } from './transports.js';
import type { ACTIONS, ENTRY_KINDS, FAILURE_CODES, NOTICE_CODES, REASONS } from './words.js';

/** What is done, or in a plan would be done, to one path of the destination. */
export type Action = (typeof ACTIONS)[number];

/** The kind of an entry. `special` means a kind that the run was not asked to preserve. */
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** Why something is done to a path. `other` is a reason that only a newer server has a word for. */
export type Reason = (typeof REASONS)[number];

/** A path below the source or destination of a job, `/`-separated; empty for the top itself. */
export interface EntryPath {
  /** The path for people. Bytes that are not UTF-8 appear as U+FFFD. */
  path: string;
  /** The exact bytes, only when `path` cannot hold them because they are not UTF-8. */
  pathBytes?: Uint8Array;
}

/** One path and what happens to it and why. */
export interface PlanItem extends EntryPath {
  /** What happens. */
  action: Action;
  /** What the entry is, in the source, or for a deletion in the destination. */
  kind: EntryKind;
  /** Why; at least one, but for what is as it should be (`itemUnchanged`) and for what
   * becomes a backup (`itemBackups`) or was removed at the source (`itemRemovals`). */
  reasons: Reason[];
  /** Size of the file's content in bytes. Absent for other kinds. */
  size?: number;
  /** The path that it becomes a hard link to, if it does: its content is not transferred then. */
  hardLinkTo?: EntryPath;
  /** The source's entry; only with `itemDetails`, and not for a deletion. */
  details?: ItemDetails;
  /** A digest of all this and of what both ends have there; only with `savePlan`, for entries that would change. */
  stamp?: string;
}

/** The attributes of an entry of the source, besides its kind and size. */
export interface ItemDetails {
  /** Permission bits. */
  mode: number;
  /** Owner, as the destination is to have it; absent where that sets none. */
  uid?: number;
  /** Group, as the destination is to have it; absent where that sets none. */
  gid?: number;
  /** Modification time in milliseconds since 1970. */
  mtimeMs: number;
  /** Where a symlink leads. */
  target?: Uint8Array;
  /** The BLAKE3 digest of a file's content in hexadecimal digits; only with `compare: 'content'`. */
  digest?: string;
}

/** One path was changed (or in a dry run would be). */
export interface ItemEvent extends PlanItem {
  type: 'item';
}

/**
 * Why a path is not what it should be: `attributes` and `attributes-unread` mean that its content arrived, and that an
 * attribute could not be set or read; `delete` that it is still there; with all others it did not arrive. `other` is a
 * failure that only a newer server has a word for.
 */
export type FailureCode = (typeof FAILURE_CODES)[number];

/** How many failures there are of each kind. */
export type FailureCounts = Partial<Record<FailureCode, number>>;

/** What a warning is about; `notice` is anything. */
export type WarningCode = (typeof NOTICE_CODES)[number];

/** One path did not arrive, or not with all its attributes, or could not be deleted. */
export interface Failure extends EntryPath {
  /** Which kind of failure. The system's own word, as in "Permission denied", is in `message`. */
  code: FailureCode;
  /** The end on which it happened. */
  side: Side;
  /** What was attempted and why it failed. */
  message: string;
  /** Whether the destination still has the old content under this path. */
  oldContentKept: boolean;
}

/** One path is not what it should be; it is also in `failures` of the result. */
export interface FailureEvent extends Failure {
  type: 'failure';
}

/** Something that the user may want to know, and that does not stop the run. */
export interface Warning {
  /** Which kind of warning, where there is one. */
  code?: WarningCode;
  /** The path concerned, where there is one. */
  path?: string;
  /** The exact bytes of the path, only when they are not UTF-8. */
  pathBytes?: Uint8Array;
  /** The text for people. */
  message: string;
}

/** A warning; it is also in `warnings` of the result. */
export interface WarningEvent extends Warning {
  type: 'warning';
}

/** The counters, ten times a second at most, and never more than one unread event. */
export interface ProgressEvent {
  type: 'progress';
  /** The counters over all attempts. */
  stats: SyncStats;
  /** Time since the call in milliseconds. */
  elapsedMs: number;
  /** The attempt under way, counted from 1. */
  attempt: number;
  /**
   * How much of `bytesToTransfer` is done, in whole percent, rounded down. It never goes back and never exceeds 100. Absent until the
   * total is known.
   */
  percent?: number;
  /** Time that the rest takes at the speed of the last ten seconds, in milliseconds. Absent while that cannot be told. */
  etaMs?: number;
}

/** The next key of a server, as the server announces it. */
export interface NextServerKey {
  /** The key, `ed25519:BASE64`. */
  key: string;
  /** When the server begins to use it. */
  from: Date;
  /** It is in the file of known hosts. Otherwise the pin was given, and is for who gave it to change. */
  recorded: boolean;
  /** Why it could not be put into the file. */
  problem?: string;
}

/** A connection stands. A job between two local folders has no such event. */
export interface ConnectedEvent {
  type: 'connected';
  /** The server's key, `ed25519:BASE64`. */
  serverKey: string;
  /** The key that is to follow it. */
  nextKey?: NextServerKey;
  /** The address in use, `ip:port`. */
  remoteAddress: string;
  /** What carries it. */
  transport: Transport;
  /** Why that is TCP; absent where TCP was asked for. */
  udp?: UdpOutcome;
  /** The attempt that it serves, counted from 1. */
  attempt: number;
}

/** An attempt failed and another one follows. */
export interface RetryEvent {
  type: 'retry';
  /** The attempt that failed, counted from 1. */
  attempt: number;
  /** Time until the next one begins in milliseconds. */
  delayMs: number;
  /** The code of the error. */
  code: ErrorCode;
  /** The message of the error. */
  message: string;
}

/** A filter rule decides about an entry that an end has met. Only with `events.filter`. */
export interface FilterEvent extends EntryPath {
  type: 'filter';
  /** The end. */
  side: 'source' | 'destination';
  /** What the entry is. */
  kind: EntryKind;
  /** At the source: whether it is sent. At the destination: whether it may be deleted, as the source does not have it. */
  included: boolean;
  /** The rule in rsync's text. */
  rule: string;
  /** The file in which the rule stands, where it stands in one. */
  file?: string;
  /** Its line there, from 1. */
  line?: number;
  /** The place in the option `filter`, from 0, of the rule or of what names its file; absent of a rule that a file of the tree has. */
  index?: number;
  /** Only `true`: the rule is one of those that stand for what CVS leaves alone. */
  cvs?: true;
}

/** The reader was slower than the transfer: so many events are missing here. */
export interface DroppedEvent {
  type: 'dropped';
  /** How many events were dropped at this place. */
  count: number;
}

/** The last event of a job that succeeded. A job that fails ends the iteration by throwing its error. */
export interface DoneEvent {
  type: 'done';
  /** What awaiting the job gives. */
  result: SyncResult;
}

/** Everything that iterating a job can give. The union is closed within a major release. */
export type SyncEvent =
  | ConnectedEvent
  | ItemEvent
  | FilterEvent
  | FailureEvent
  | WarningEvent
  | ProgressEvent
  | RetryEvent
  | DroppedEvent
  | DoneEvent;

/** The summary of a job, one for all its attempts. */
export interface SyncResult {
  /** The final counters over all attempts. */
  stats: SyncStats;
  /**
   * The paths that did not arrive, or not with all their attributes, or could not be deleted: `code` tells them apart. A job
   * that resolves has only vanished ones here.
   */
  failures: Failure[];
  /** How many failures are not in `failures` because there were too many to keep. */
  failuresDropped: number;
  /** How many failures there were of each kind, those that are not in `failures` too; a kind without any is absent. */
  failureCounts: FailureCounts;
  /** Whether something failed, and every failure is a source file that vanished while the run was under way. */
  vanishedOnly: boolean;
  /** Warnings, each once. */
  warnings: Warning[];
  /** How many attempts were made, at least 1. */
  attempts: number;
  /** Time from the call to the end in milliseconds. */
  durationMs: number;
  /** Whether it was a dry run, so that nothing was written. */
  dryRun: boolean;
  /** The snapshot that was made, where one was asked for, and those that were removed. */
  snapshot?: {
    /** Its name below the destination. */
    name: string;
    /** Names of those that `keep` does not keep. */
    removed: string[];
  };
  /** What carried the last attempt. */
  transport: Transport;
  /** Where the time of the last attempt went; only when it was asked for. */
  profile?: SyncProfile;
}
