import { instance } from './check.js';
import type { Check } from './check.js';

/** One change of modes, as the engine reads them. */
const CHANGE = /^[DF]?(?:0*[0-7]{1,4}|[ugoa]*[-+=](?:[rwxXst]*|[ugo]))$/;

const BYTES_MAX = 4096;

/** Changes of modes in the notation of `chmod`, with rsync's `D` and `F`. */
export const modeChanges: Check<string> = instance<string>(
  (value): value is string =>
    typeof value === 'string' && value.length <= BYTES_MAX && value.split(',').every((each) => CHANGE.test(each)),
  "changes of modes, as in 'D755,F644' or 'u=rwX,go=rX'",
);
