import { styleText } from 'node:util';

import type { FailureCounts } from '../events.js';
import { isFancy } from './output.js';

/** A text in bold red or yellow where colours are welcome. */
export function colored(text: string, color: 'red' | 'yellow' | 'green', stream: 'stdout' | 'stderr'): string {
  const forbidden = (process.env['NO_COLOR'] ?? '') !== '';
  return isFancy(stream) && !forbidden ? styleText(['bold', color], text) : text;
}

/** A size: exact, or with a unit. */
export function size(bytes: number, human: boolean): string {
  if (!human || bytes < 1000) return count(bytes);
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 9.995 ? 2 : 1)} ${units[unit] ?? ''}`;
}

/** A number with thousands apart, the same in every locale. */
export function count(value: number): string {
  return String(Math.trunc(value)).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

/** How many failures there are of each kind: `2 unreadable, 1 delete`. */
export function causesOf(counts: FailureCounts): string {
  return Object.entries(counts)
    .map(([code, each]) => `${count(each)} ${code}`)
    .join(', ');
}

/** A time: `0.4 s`, `12 s`, `3:05`, `2:03:05`. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.trunc(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.trunc(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}
