import { ERROR_CODES } from './words.js';

export { ERROR_CODES };

/** The code of an error, stable across releases: match on it, not on the message. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** Which end something happened on, seen from this process. */
export type Side = 'local' | 'remote';

/** Whether a text is one of the codes above. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && (ERROR_CODES as readonly string[]).includes(text);
}
