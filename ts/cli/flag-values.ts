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

/** The value of a flag that is a time in seconds, in milliseconds. */
export function millisecondsOf(flags: ParsedFlags, name: string, least = 0): number | undefined {
  const seconds = flags.number(name, least);
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The value of a flag that is a window of time, in nanoseconds; whole seconds as in rsync unless it says otherwise. */
export function windowOf(flags: ParsedFlags, name: string): number {
  const seconds = flags.number(name, -1) ?? 0;
  return seconds === -1 ? -1 : seconds * 1_000_000_000;
}

/** The values of a flag that may be repeated, as one list with commas between them. */
export function joinedOf(flags: ParsedFlags, name: string): string | undefined {
  const all = flags.all(name);
  return all.length === 0 ? undefined : all.join(',');
}

const REMOTE_OPTIONS = ['--fake-super', '--munge-links'];

/** Whether this option is given to the other side alone. */
export function remoteOption(flags: ParsedFlags, option: string): true | undefined {
  const given = flags.all('remote-option');
  const unknown = given.find((each) => !REMOTE_OPTIONS.includes(each));
  if (unknown !== undefined) {
    throw new ConfigError(`--remote-option takes ${REMOTE_OPTIONS.join(' or ')}, not ${JSON.stringify(unknown)}`);
  }
  return given.includes(option) ? true : undefined;
}
