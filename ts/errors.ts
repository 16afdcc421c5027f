import type { CallSite } from './callsite.js';
import { isErrorCode } from './codes.js';
import type { ErrorCode, Side } from './codes.js';
import type { SyncResult } from './events.js';

/** Facts of an error that a program can use; the names depend on the code. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** What an error is made of, besides its message. */
export interface SparsyncErrorInit {
  /** The code. */
  code: ErrorCode;
  /** The path concerned, for people. */
  path?: string | undefined;
  /** The exact bytes of the path, when they are not UTF-8. */
  pathBytes?: Uint8Array | undefined;
  /** The end on which it happened. Default: `'local'`. */
  side?: Side | undefined;
  /** Whether the same call may succeed later without anybody changing anything. Default: `false`. */
  retryable?: boolean | undefined;
  /** Facts for a program. */
  details?: ErrorDetails | undefined;
  /** The error that led to this one. */
  cause?: unknown;
  /** What was done before the error, for errors that end a run that had begun. */
  result?: SyncResult | undefined;
}

/**
 * The base of every error of this package. An abort is the exception: it throws `signal.reason` as it is.
 *
 * @example
 * ```ts
 * try {
 *   await sync('./site', 'sparsync://backup.example/site');
 * } catch (error) {
 *   if (error instanceof SparsyncError && error.retryable) console.log('later');
 *   else throw error;
 * }
 * ```
 */
export class SparsyncError extends Error {
  override name = 'SparsyncError';
  /** The stable code: match on it, not on the message. */
  readonly code: ErrorCode;
  /** The path concerned, for people. */
  declare readonly path?: string;
  /** The exact bytes of the path, only when they are not UTF-8. */
  declare readonly pathBytes?: Uint8Array;
  /** The end on which it happened, seen from this process. */
  readonly side: Side;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
  /** Facts that a program can use. */
  readonly details: ErrorDetails;

  constructor(message: string, init: SparsyncErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    if (init.path !== undefined) this.path = init.path;
    if (init.pathBytes !== undefined) this.pathBytes = init.pathBytes;
    this.side = init.side ?? 'local';
    this.retryable = init.retryable ?? false;
    this.details = init.details ?? {};
  }
}

/** An option, address, key file or configuration cannot be used as given. */
export class ConfigError extends SparsyncError {
  override name = 'ConfigError';

  constructor(message: string, init: Partial<SparsyncErrorInit> = {}) {
    super(message, { ...init, code: 'ERR_SPARSYNC_CONFIG' });
  }
}

/** The source, or the place that should hold the destination, is not there. */
export class NotFoundError extends SparsyncError {
  override name = 'NotFoundError';
  /** What was done of a run with several sources of which one is not there. */
  declare readonly result?: SyncResult;

  constructor(message: string, init: SparsyncErrorInit) {
    super(message, init);
    if (init.result !== undefined) this.result = init.result;
  }

  /** Which end is not there: `source`, or nothing for the place that should hold the destination. */
  get end(): string | undefined {
    return textOf(this.details, 'end');
  }
}

/**
 * The connection could not be made, ended in the middle of the work, or no work was done for too long
 * (`ERR_SPARSYNC_CONNECT`, `_CLOSED`, `_TIMEOUT`). These are the errors that `retry` is for.
 */
export class ConnectionError extends SparsyncError {
  override name = 'ConnectionError';
}

/** The peer speaks no protocol version in common, or broke the protocol (`ERR_SPARSYNC_VERSION`, `_PROTOCOL`). */
export class ProtocolError extends SparsyncError {
  override name = 'ProtocolError';
}

/** The server's key is not pinned, or is another than the pinned one (`ERR_SPARSYNC_UNKNOWN_HOST`, `_HOST_KEY_CHANGED`). */
export class HostKeyError extends SparsyncError {
  override name = 'HostKeyError';

  /** The host as it was named by the caller. */
  get host(): string {
    return textOf(this.details, 'host') ?? '';
  }

  /** The port as it was named by the caller. */
  get port(): number {
    return numberOf(this.details, 'port') ?? 0;
  }

  /** The key that the server showed, `ed25519:BASE64`. */
  get key(): string | undefined {
    return textOf(this.details, 'key');
  }

  /** The key that was expected. */
  get expected(): string | undefined {
    return textOf(this.details, 'expected');
  }
}

/** The server does not know this client's key, or the request is outside its scope (`ERR_SPARSYNC_UNAUTHORIZED`, `_SCOPE`). */
export class AccessError extends SparsyncError {
  override name = 'AccessError';
}

/** A file system operation failed in a way that the run could not go on. */
export class IoError extends SparsyncError {
  override name = 'IoError';
}

/** What was thrown, in words. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A call of the system that failed here; `what` says what it was for. */
export function ioError(what: string, cause: unknown, path?: string): IoError {
  return new IoError(`${what}: ${messageOf(cause)}`, { code: 'ERR_SPARSYNC_IO', path, cause });
}

/** The destination lacks free space or entries for what would arrive. Nothing was written when the check found it. */
export class NoSpaceError extends SparsyncError {
  override name = 'NoSpaceError';

  /** Bytes that the run needs. */
  get needBytes(): number | undefined {
    return numberOf(this.details, 'need_bytes');
  }

  /** Bytes that the destination has free; absent where its file system sets no limit. */
  get freeBytes(): number | undefined {
    return numberOf(this.details, 'free_bytes');
  }

  /** Entries (inodes) that the run needs. */
  get needEntries(): number | undefined {
    return numberOf(this.details, 'need_entries');
  }

  /** Entries (inodes) that the destination has free; absent where its file system sets no limit, as Btrfs. */
  get freeEntries(): number | undefined {
    return numberOf(this.details, 'free_entries');
  }
}

/**
 * The deletions that the run would have made look like an accident, so none was made. What else had to be done
 * is in `result`. `allowMassDelete: true` lifts it.
 */
export class DeleteRefusedError extends SparsyncError {
  override name = 'DeleteRefusedError';
  /** What was done before the refusal, when the run got that far. */
  declare readonly result?: SyncResult;

  constructor(message: string, init: SparsyncErrorInit) {
    super(message, init);
    if (init.result !== undefined) this.result = init.result;
  }

  /** Entries in the part of the destination that the guard looked at. */
  get destinationEntries(): number | undefined {
    return numberOf(this.details, 'destination_entries');
  }

  /** Entries that would have been deleted there. */
  get wouldDelete(): number | undefined {
    return numberOf(this.details, 'would_delete');
  }

  /** Why the guard refused: `source-empty`, `net-loss`, or `source-deleted` for a source in its own destination. */
  get reason(): string | undefined {
    return textOf(this.details, 'reason');
  }
}

/**
 * The plan that was to be applied is not of these trees any more. `details.wrote` is `false` when that was found before the first write;
 * otherwise what was done before stays.
 */
export class PlanStaleError extends SparsyncError {
  override name = 'PlanStaleError';
}

/** `maxDelete` was reached; the deletions beyond it were not made. */
export class MaxDeleteError extends SparsyncError {
  override name = 'MaxDeleteError';
  /** What was done. */
  declare readonly result?: SyncResult;

  constructor(message: string, init: SparsyncErrorInit) {
    super(message, init);
    if (init.result !== undefined) this.result = init.result;
  }
}

/** Another run is writing to the same destination. */
export class BusyError extends SparsyncError {
  override name = 'BusyError';

  /** Who is writing. */
  get holder(): string | undefined {
    return textOf(this.details, 'holder');
  }
}

/**
 * The run came to its end, and some paths did not arrive, or not with all their attributes, or could not be deleted. They
 * are listed in `result.failures`.
 */
export class PartialSyncError extends SparsyncError {
  override name = 'PartialSyncError';
  /** What was done, and in `failures` what was not. */
  readonly result: SyncResult;

  constructor(message: string, result: SyncResult) {
    super(message, { code: 'ERR_SPARSYNC_PARTIAL', details: { failures: result.stats.filesFailed } });
    this.result = result;
  }
}

/** A limit of one side was reached (entries, sessions, quota). */
export class LimitError extends SparsyncError {
  override name = 'LimitError';
}

/** The job was canceled by `cancel()` without a reason. */
export class AbortedError extends SparsyncError {
  override name = 'AbortedError';
}

/** There is no native binary for this platform, or it could not be loaded. */
export class PlatformError extends SparsyncError {
  override name = 'PlatformError';

  /** The npm package that holds the binary for this platform. */
  get packageName(): string {
    return textOf(this.details, 'package') ?? '';
  }
}

/** A defect of this package. Please report it. */
export class InternalError extends SparsyncError {
  override name = 'InternalError';
}

/** Whether a run came to its end in spite of an error: what else there was to do it has done, or told. */
export function tellsAll(error: unknown): boolean {
  if (error instanceof NotFoundError) return error.result !== undefined;
  return error instanceof PartialSyncError || error instanceof MaxDeleteError;
}

/** What was done by a run that did not do everything, where an error says that. */
export function resultOf(error: unknown): SyncResult | undefined {
  return error instanceof SparsyncError && 'result' in error ? (error.result as SyncResult | undefined) : undefined;
}

type ErrorClass = new (message: string, init: SparsyncErrorInit) => SparsyncError;

const CLASSES: Readonly<Record<Exclude<ErrorCode, 'ERR_SPARSYNC_PARTIAL'>, ErrorClass>> = {
  ERR_SPARSYNC_CONFIG: ConfigError,
  ERR_SPARSYNC_NOT_FOUND: NotFoundError,
  ERR_SPARSYNC_CONNECT: ConnectionError,
  ERR_SPARSYNC_CLOSED: ConnectionError,
  ERR_SPARSYNC_TIMEOUT: ConnectionError,
  ERR_SPARSYNC_VERSION: ProtocolError,
  ERR_SPARSYNC_PROTOCOL: ProtocolError,
  ERR_SPARSYNC_UNKNOWN_HOST: HostKeyError,
  ERR_SPARSYNC_HOST_KEY_CHANGED: HostKeyError,
  ERR_SPARSYNC_UNAUTHORIZED: AccessError,
  ERR_SPARSYNC_SCOPE: AccessError,
  ERR_SPARSYNC_IO: IoError,
  ERR_SPARSYNC_NO_SPACE: NoSpaceError,
  ERR_SPARSYNC_DELETE_REFUSED: DeleteRefusedError,
  ERR_SPARSYNC_MAX_DELETE: MaxDeleteError,
  ERR_SPARSYNC_BUSY: BusyError,
  ERR_SPARSYNC_LIMIT: LimitError,
  ERR_SPARSYNC_ABORTED: AbortedError,
  ERR_SPARSYNC_INTERNAL: InternalError,
  ERR_SPARSYNC_PLAN_STALE: PlanStaleError,
  ERR_SPARSYNC_PLATFORM: PlatformError,
};

/** The error of the class that belongs to `init.code`. */
export function makeError(message: string, init: SparsyncErrorInit): SparsyncError {
  if (init.code !== 'ERR_SPARSYNC_PARTIAL') return new CLASSES[init.code](message, init);
  return init.result === undefined ? new SparsyncError(message, init) : new PartialSyncError(message, init.result);
}

/** Gives an error the stack of the call that led to it. Values that are not ours pass through as they are. */
export function atCallSite<T>(error: T, site: CallSite): T {
  if (error instanceof SparsyncError) error.stack = `${error.name} [${error.code}]: ${error.message}${site.frames}`;
  return error;
}

/**
 * Converts a rejection of native code into an error of this package. An error of this package is returned as it is; one
 * that the engine did not create on purpose becomes an `InternalError` with the original as `cause`.
 */
export function fromNative(thrown: unknown): SparsyncError {
  if (thrown instanceof SparsyncError) return thrown;
  if (!(thrown instanceof Error) || !('code' in thrown) || !isErrorCode(thrown.code)) {
    const message = messageOf(thrown);
    return new InternalError(`unexpected failure: ${message}`, { code: 'ERR_SPARSYNC_INTERNAL', cause: thrown });
  }
  const fact = (name: string): unknown => Reflect.get(thrown, name);
  const path = fact('path');
  const pathBytes = fact('pathBytes');
  // The path is added to the message, because many programs log nothing else.
  const where = typeof path === 'string' && path !== '' && !thrown.message.includes(path) ? ` (${path})` : '';
  return makeError(`${thrown.message}${where}`, {
    code: thrown.code,
    path: typeof path === 'string' ? path : undefined,
    pathBytes: pathBytes instanceof Uint8Array ? pathBytes : undefined,
    side: fact('side') === 'remote' ? 'remote' : 'local',
    retryable: fact('retryable') === true,
    details: parseDetails(fact('details')),
    cause: thrown.cause,
  });
}

function parseDetails(text: unknown): ErrorDetails {
  if (typeof text !== 'string') return {};
  try {
    const details: ErrorDetails = JSON.parse(text);
    return details;
  } catch {
    // Details never decide anything, so a text that is not JSON must not hide the error itself.
    return { text };
  }
}

function textOf(details: ErrorDetails, name: string): string | undefined {
  const value = details[name];
  return value === undefined ? undefined : String(value);
}

function numberOf(details: ErrorDetails, name: string): number | undefined {
  const value = details[name];
  return typeof value === 'number' ? value : undefined;
}
