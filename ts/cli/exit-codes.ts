import type { ErrorCode } from '../codes.js';
import type { SparsyncError } from '../errors.js';

/** The exit codes of the command. Numbers that rsync also has mean what they mean there. */
export const EXIT = {
  /** Success. */
  ok: 0,
  /** Parameters or configuration cannot be used as given. */
  usage: 1,
  /** The peer speaks no protocol version in common. */
  version: 2,
  /** The destination is not the directory that it has to be. */
  destination: 3,
  /** The connection could not be made, or broke. */
  connection: 10,
  /** A file system operation failed, the disk is full, or the place that should hold the destination is not there. */
  io: 11,
  /** The peer broke the protocol. */
  protocol: 12,
  /** Stopped by a signal. */
  interrupted: 20,
  /** Some paths did not arrive, or not with all their attributes, or could not be deleted; a source is not there; for `verify`: the trees differ. */
  partial: 23,
  /** Some source files vanished while the run was under way; everything else arrived. */
  vanished: 24,
  /** The limit on deletions was reached. */
  maxDelete: 25,
  /** No work was done for too long. */
  timeout: 30,
  /** No connection was made in time. */
  connectTimeout: 35,
  /** The delete guard refused. */
  deleteRefused: 40,
  /** Another run is writing to the same destination. */
  busy: 41,
  /** The server is not known. */
  hostKey: 43,
  /** This client is not allowed to do this. */
  unauthorized: 44,
  /** There is no native binary for this platform. */
  platform: 45,
  /** The work is done, but its output could not be written. */
  output: 46,
  /** A limit of one side was reached. */
  limit: 47,
  /** The server has another key than the one that is pinned. */
  hostKeyChanged: 48,
  /** A tree has changed since the plan was made. */
  planStale: 49,
  /** A defect of this program. */
  internal: 70,
} as const;

const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  ERR_SPARSYNC_CONFIG: EXIT.usage,
  ERR_SPARSYNC_NOT_FOUND: EXIT.io,
  ERR_SPARSYNC_CONNECT: EXIT.connection,
  ERR_SPARSYNC_CLOSED: EXIT.connection,
  ERR_SPARSYNC_TIMEOUT: EXIT.timeout,
  ERR_SPARSYNC_VERSION: EXIT.version,
  ERR_SPARSYNC_PROTOCOL: EXIT.protocol,
  ERR_SPARSYNC_UNKNOWN_HOST: EXIT.hostKey,
  ERR_SPARSYNC_HOST_KEY_CHANGED: EXIT.hostKeyChanged,
  ERR_SPARSYNC_UNAUTHORIZED: EXIT.unauthorized,
  ERR_SPARSYNC_SCOPE: EXIT.unauthorized,
  ERR_SPARSYNC_IO: EXIT.io,
  ERR_SPARSYNC_NO_SPACE: EXIT.io,
  ERR_SPARSYNC_DELETE_REFUSED: EXIT.deleteRefused,
  ERR_SPARSYNC_MAX_DELETE: EXIT.maxDelete,
  ERR_SPARSYNC_BUSY: EXIT.busy,
  ERR_SPARSYNC_PARTIAL: EXIT.partial,
  ERR_SPARSYNC_LIMIT: EXIT.limit,
  ERR_SPARSYNC_ABORTED: EXIT.interrupted,
  ERR_SPARSYNC_INTERNAL: EXIT.internal,
  ERR_SPARSYNC_PLAN_STALE: EXIT.planStale,
  ERR_SPARSYNC_PLATFORM: EXIT.platform,
};

/** The exit code for an error's code. */
export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code];
}

/**
 * The exit code for an error. As with rsync a source that is not there, or cannot be opened, is a path that did not arrive, a destination
 * that cannot be opened not the directory that it has to be, a directory for unfinished files that is not there a mistake in the command,
 * and a connection that is not made in time another thing than a run that stalls.
 */
export function exitCodeFor(error: SparsyncError): number {
  const { code, details } = error;
  const isOpening = code === 'ERR_SPARSYNC_IO';
  if ((code === 'ERR_SPARSYNC_NOT_FOUND' || isOpening) && details['end'] === 'source') return EXIT.partial;
  if (code === 'ERR_SPARSYNC_NOT_FOUND' && details['option'] === 'tempDir') return EXIT.usage;
  if ((code === 'ERR_SPARSYNC_CONFIG' || isOpening) && details['end'] === 'destination') return EXIT.destination;
  return isConnectTimeout(error) ? EXIT.connectTimeout : exitCodeOf(code);
}

/** Whether no connection was made in time. */
export function isConnectTimeout({ code, details }: SparsyncError): boolean {
  return code === 'ERR_SPARSYNC_TIMEOUT' && details['phase'] === 'connect';
}
