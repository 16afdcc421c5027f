import { count, size } from '../text.js';
import { unitOf } from './figures.js';
import type { Unit } from './figures.js';

/** A time with the digits that matter: `0.42 ms`, `41.7 ms`, `417 ms`, `4.17 s`, `3:05`. */
export function time(ms: number): string {
  if (ms < 1) return ms === 0 ? '0 ms' : ms < 0.005 ? '< 0.01 ms' : `${ms.toFixed(2)} ms`;
  if (ms < 99.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.trunc(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${count(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** A share of a whole; nothing of nothing is nothing. */
export function shareOf(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

/** A share in percent: `62%`, `4.2%`, `0.03%`. */
export function percent(share: number): string {
  const value = share * 100;
  if (value === 0) return '0%';
  if (value >= 9.95) return `${value.toFixed(0)}%`;
  if (value >= 0.095) return `${value.toFixed(1)}%`;
  return value < 0.005 ? '< 0.01%' : `${value.toFixed(2)}%`;
}

/** Bytes with a unit. */
export function bytes(value: number): string {
  return value < 10_000 ? `${count(value)} B` : size(value, true);
}

/** Bytes in a time, for a second. */
export function rate(value: number, ms: number): string {
  return ms > 0 ? `${bytes((value / ms) * 1000)}/s` : '–';
}

/** A figure in the unit that its name says. */
export function figure(name: string, value: number): string {
  return amount(unitOf(name), value);
}

/** A value in its unit. */
export function amount(unit: Unit, value: number): string {
  if (unit === 'ms') return time(value);
  return unit === 'bytes' ? bytes(value) : number(value);
}

/** A number: counts are whole, means of several need not be. */
export function number(value: number): string {
  return Number.isInteger(value) || value >= 100 ? count(value) : value.toFixed(value < 0.095 ? 2 : 1);
}

/** How many times as much: `0.80×`. */
export function times(ratio: number | undefined): string {
  if (ratio === undefined || !Number.isFinite(ratio)) return '–';
  if (ratio >= 1000) return '> 999×';
  return ratio >= 99.95 ? `${ratio.toFixed(0)}×` : ratio >= 9.995 ? `${ratio.toFixed(1)}×` : `${ratio.toFixed(2)}×`;
}

/** A moment for people: `2026-01-31 12:00:00 UTC`. */
export function moment(at: string): string {
  return `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`;
}

/** One word for one thing, another for several. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${number(value)} ${value === 1 ? one : many}`;
}
