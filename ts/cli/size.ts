import { ConfigError } from '../errors.js';
import type { ParsedFlags } from './parse.js';

const SIZE = /^(\d+(?:\.\d*)?|\.\d+)(?:([kmgtp])(ib|b)?|b)?([+-]1)?$/i;

const POWERS = 'kmgtp';

/**
 * The value of a flag that is a size in rsync's spelling: a number, which may have a fraction, with `K`, `M`, `G`, `T` or `P`
 * (or `KiB` …) for powers of 1024 and `KB` … for powers of 1000, and `+1` or `-1` behind it.
 */
export function sizeOf(flags: ParsedFlags, name: string): number | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  const [matched, number, unit, binary, step] = SIZE.exec(text) ?? [];
  const base = binary?.toLowerCase() === 'b' ? 1000 : 1024;
  const power = unit === undefined ? 0 : POWERS.indexOf(unit.toLowerCase()) + 1;
  const bytes = Math.floor(Number(number) * base ** power) + Number(step ?? 0);
  if (matched === undefined || !Number.isSafeInteger(bytes) || bytes < 0) {
    throw new ConfigError(`--${name} must be a size, as in 1.5M, 2GB or 100K-1, not ${JSON.stringify(text)}`);
  }
  return bytes;
}
