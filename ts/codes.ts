/**
 * The codes of every error that this package throws, in the order of the engine's own list.
 * They are part of the version promise.
 */
export const ERROR_CODES = [
  'ERR_SPARSYNC_CONFIG',
  'ERR_SPARSYNC_NOT_FOUND',
  'ERR_SPARSYNC_CONNECT',
  'ERR_SPARSYNC_CLOSED',
  'ERR_SPARSYNC_TIMEOUT',
  'ERR_SPARSYNC_VERSION',
  'ERR_SPARSYNC_PROTOCOL',
  'ERR_SPARSYNC_UNKNOWN_HOST',
  'ERR_SPARSYNC_HOST_KEY_CHANGED',
  'ERR_SPARSYNC_UNAUTHORIZED',
  'ERR_SPARSYNC_SCOPE',
  'ERR_SPARSYNC_IO',
  'ERR_SPARSYNC_NO_SPACE',
  'ERR_SPARSYNC_DELETE_REFUSED',
  'ERR_SPARSYNC_MAX_DELETE',
  'ERR_SPARSYNC_BUSY',
  'ERR_SPARSYNC_PARTIAL',
  'ERR_SPARSYNC_INTEGRITY',
  'ERR_SPARSYNC_LIMIT',
  'ERR_SPARSYNC_ABORTED',
  'ERR_SPARSYNC_INTERNAL',
  'ERR_SPARSYNC_PLATFORM',
] as const;

/** The code of an error, stable across releases: match on it, not on the message. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Which end something happened on, seen from this process. */
export type Side = 'local' | 'remote';

/** Whether a text is one of the codes above. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && (ERROR_CODES as readonly string[]).includes(text);
}
