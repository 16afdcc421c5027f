import { instance } from './check.js';
import type { Check } from './check.js';
import { ConfigError } from './errors.js';
import { bytesOf, textOf } from './paths.js';

/** Bytes of a name, as on Linux. */
const NAME_BYTES_MAX = 255;

/** Bytes of all names together. */
const NAMES_BYTES_MAX = 65_536;

/** What rsync reads as a part of a rule instead of a name. */
const RULE = /^[+-] |^!$|[*?[\\]/;

/** A name that is left out of a run. What rsync would take for a pattern is refused: as a name it would match nothing. */
export const plainName: Check<string | Uint8Array> = instance<string | Uint8Array>(
  (value): value is string | Uint8Array =>
    (typeof value === 'string' || value instanceof Uint8Array) && isPlainName(bytesOfName(value)),
  'a plain name (no path, no pattern)',
);

/** The names as bytes. */
export function excludedNames(names: string | Uint8Array | readonly (string | Uint8Array)[]): Uint8Array[] {
  const all = typeof names === 'string' || names instanceof Uint8Array ? [names] : names;
  const bytes = all.map(bytesOfName);
  if (bytes.reduce((sum, name) => sum + name.length + 1, 0) > NAMES_BYTES_MAX) {
    throw new ConfigError(`option exclude must be names of at most ${NAMES_BYTES_MAX} bytes in all`, {
      details: { option: 'exclude' },
    });
  }
  return bytes;
}

function bytesOfName(name: string | Uint8Array): Uint8Array {
  return typeof name === 'string' ? bytesOf(name) : name;
}

function isPlainName(name: Uint8Array): boolean {
  const text = textOf(name);
  const isName = name.length > 0 && name.length <= NAME_BYTES_MAX && text !== '.' && text !== '..';
  return isName && !name.includes(0) && !name.includes(0x2f) && !RULE.test(text);
}
