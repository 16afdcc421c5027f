import { ConfigError } from '../errors.js';
import type { SnapshotOptions } from '../options.js';
import { recordOf } from '../record.js';
import { KEPT } from '../snapshots.js';
import { COMPRESSIONS, type Compression } from '../words.js';
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

/** The least rate, as in rsync, in bytes per second. */
const RATE_MIN = 512;

/** The value of a rate flag in bytes per second. As in rsync, a number alone is in KiB. */
export function rateOf(flags: ParsedFlags, name: string): number | undefined {
  const text = flags.text(name);
  const isAlone = text !== undefined && /^(?:\d+(?:\.\d*)?|\.\d+)$/.test(text);
  const rate = isAlone ? Math.floor(Number(text) * 1024) : sizeOf(flags, name);
  if (text === undefined || rate === undefined || rate >= RATE_MIN || rate === 0) return rate;
  throw new ConfigError(
    `--${name} must be at least ${RATE_MIN} bytes per second, or 0 for no limit, not ${JSON.stringify(text)}`,
  );
}

const TIME = /^(?:(?:(?:(\d{4})[-/])?(\d{1,2})[-/])?(\d{1,2})(?:T|$))?(?:(\d{1,2})?:(\d{2}))?$/i;

/**
 * When a run ends by `--stop-at` or `--stop-after`. As in rsync, leading parts of the time may be left out: then it is
 * the next moment that matches the others.
 */
export function stopAtOf(flags: ParsedFlags, now = new Date()): Date | undefined {
  const minutes = flags.number('stop-after', 1);
  const text = flags.text('stop-at');
  if (text === undefined) {
    const end = new Date(now.getTime() + (minutes ?? Infinity) * 60_000);
    // Nothing ends behind the last day that there is.
    return Number.isNaN(end.getTime()) ? undefined : end;
  }
  const [matched, year, month, day, hour, minute] = TIME.exec(text) ?? [];
  const at = new Date(now.getFullYear(), now.getMonth(), now.getDate(), now.getHours(), 0);
  if (matched !== undefined && matched !== '') {
    if (year !== undefined) at.setFullYear(Number(year));
    if (month !== undefined) at.setMonth(Number(month) - 1, 1);
    if (day !== undefined) at.setDate(Number(day));
    if (hour !== undefined || day !== undefined) at.setHours(Number(hour ?? 0));
    at.setMinutes(Number(minute ?? 0));
    if (at <= now && year === undefined) {
      if (month !== undefined) at.setFullYear(at.getFullYear() + 1);
      else if (day !== undefined) at.setMonth(at.getMonth() + 1);
      else if (hour !== undefined) at.setDate(at.getDate() + 1);
      else at.setHours(at.getHours() + 1);
    }
    if (at > now && Number(month ?? 1) <= 12 && Number(hour ?? 0) < 24 && Number(minute ?? 0) < 60) return at;
  }
  throw new ConfigError(
    `--stop-at must be a time in the future, as in 2030-12-31T23:59 or 23:59, not ${JSON.stringify(text)}`,
  );
}

/** The value of a flag that is a bound; as in rsync, a negative one counts as 0. */
export function boundOf(flags: ParsedFlags, name: string): number | undefined {
  const value = flags.number(name, Number.MIN_SAFE_INTEGER);
  return value === undefined ? undefined : Math.max(0, value);
}

/** The value of a flag that is a time in seconds, in milliseconds. */
export function millisecondsOf(flags: ParsedFlags, name: string, least = 0): number | undefined {
  const seconds = flags.number(name, least);
  return seconds === undefined ? undefined : seconds * 1000;
}

/** The value of a flag that is a window of time, in nanoseconds; as in rsync, it is in whole seconds, and a negative one is none. */
export function windowOf(flags: ParsedFlags, name: string): number {
  const seconds = flags.number(name, Number.MIN_SAFE_INTEGER) ?? 0;
  return seconds < 0 ? -1 : seconds * 1_000_000_000;
}

/** The values of a flag that may be repeated, as one list with commas between them. */
export function joinedOf(flags: ParsedFlags, name: string): string | undefined {
  const all = flags.all(name);
  return all.length === 0 ? undefined : all.join(',');
}

/** Whether the other end is installed where it is missing: permanently, for this run, or not. */
export const BOOTSTRAPS = ['keep', 'temp', 'no'] as const;

/** The options of the other side that have a field of their own in a request. */
export const REMOTE_OPTIONS: readonly string[] = ['--fake-super', '--munge-links'];

/** What goes to stderr: only errors, or all messages. */
export const STDERR_MODES = ['errors', 'all', 'client'] as const;

/** Whether all messages go to stderr. As in rsync, a mode may be shortened to its first letters. */
export function saysOnStderr(flags: ParsedFlags): boolean {
  const text = flags.text('stderr') ?? (flags.on('msgs2stderr') ? 'all' : undefined);
  const mode = text === '' ? undefined : STDERR_MODES.find((each) => each.startsWith(text ?? 'errors'));
  if (mode !== undefined) return mode === 'all';
  throw new ConfigError(`--stderr must be one of ${STDERR_MODES.join(', ')}, not ${JSON.stringify(text)}`);
}

/** What `--snapshot` and the flags of its rule say. */
export function snapshotOf(flags: ParsedFlags): SnapshotOptions | undefined {
  const given = KEPT.filter((word) => flags.text(`keep-${word}`) !== undefined);
  const reflink = flags.on('snapshot-reflinks');
  if (flags.on('snapshot')) {
    if (given.length === 0) return { reflink };
    return { reflink, keep: recordOf(KEPT, (word) => flags.number(`keep-${word}`) ?? 0) };
  }
  if (reflink) throw new ConfigError('--snapshot-reflinks needs --snapshot');
  if (given.length > 0) throw new ConfigError(`--keep-${given[0]} needs --snapshot`);
  return undefined;
}

/** Whether this option is passed to the other side only. */
export function remoteOption(flags: ParsedFlags, option: string): true | undefined {
  const given = flags.all('remote-option');
  const unknown = given.find((each) => !REMOTE_OPTIONS.includes(each));
  if (unknown !== undefined) {
    throw new ConfigError(`--remote-option takes ${REMOTE_OPTIONS.join(' or ')}, not ${JSON.stringify(unknown)}`);
  }
  return given.includes(option) ? true : undefined;
}

/** What content is compressed by. */
export const CODECS: readonly string[] = ['lz4', 'none', 'auto'];

/** When content is compressed. As in rsync, a choice of the method or of a level implies `--compress`. */
export function compressionOf(flags: ParsedFlags): Compression {
  const choice = flags.text('compress-choice');
  if (choice !== undefined && !CODECS.includes(choice)) {
    throw new ConfigError(
      `--compress-choice must be lz4, none or auto, not ${JSON.stringify(choice)}: there is no other compression`,
    );
  }
  // As in rsync a level beyond those that there are is the nearest one.
  const level = flags.number('compress-level', Number.MIN_SAFE_INTEGER);
  if (choice === 'none' || level === 0) return 'never';
  const when = flags.choice('compress', COMPRESSIONS);
  return when ?? (choice === 'lz4' || level !== undefined ? 'always' : 'auto');
}
