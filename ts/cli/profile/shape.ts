import { describe } from '../../paths.js';

/** A value has another type than expected. The message begins with its place. */
export class Mismatch extends Error {
  constructor(where: string, expected: string, value: unknown) {
    super(`${where} must be ${expected}, not ${value === undefined ? 'absent' : describe(value)}`);
  }
}

/** The fields of an object, not checked yet. */
export type Fields = ReadonlyMap<string, unknown>;

/** The largest accepted number, so that sums over a line stay finite. */
const NUMBER_MAX = Number.MAX_SAFE_INTEGER;

/** A smaller number counts as zero, so that quotients stay finite. */
const NUMBER_MIN = 1e-9;

/** An object with at most so many fields. */
export function fieldsOf(value: unknown, where: string, most = 1024): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Mismatch(where, 'an object', value);
  }
  const entries = Object.entries(value);
  if (entries.length > most) throw new Mismatch(where, `an object with at most ${most} fields`, value);
  return new Map(entries);
}

/** A list with so many elements. */
export function listOf(value: unknown, where: string, least: number, most: number): readonly unknown[] {
  if (Array.isArray(value) && value.length >= least && value.length <= most) return value;
  const size = least === 0 ? `at most ${most}` : `${least} to ${most}`;
  throw new Mismatch(where, `a list of ${size} elements`, value);
}

/** A finite number that is not negative. */
export function numberOf(value: unknown, where: string, most: number = NUMBER_MAX): number {
  if (typeof value === 'number' && value >= 0 && value <= most) return value < NUMBER_MIN ? 0 : value;
  throw new Mismatch(where, most === NUMBER_MAX ? 'a number of 0 or more' : `a number of 0 to ${most}`, value);
}

/** A text with at most so many characters. */
export function textOf(value: unknown, where: string, most = 64): string {
  if (typeof value === 'string' && value !== '' && value.length <= most) return value;
  throw new Mismatch(where, `a text of 1 to ${most} characters`, value);
}

/** One of a few words. */
export function wordOf<const Word extends string>(value: unknown, where: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new Mismatch(where, words.map((word) => `"${word}"`).join(' or '), value);
}

/** `true` or `false`. */
export function flagOf(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new Mismatch(where, 'true or false', value);
}

/** A moment in the form of ISO 8601. */
export function momentOf(value: unknown, where: string): string {
  const text = textOf(value, where, 40);
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new Mismatch(where, 'a time like 2026-01-31T12:00:00.000Z', value);
}

/** An object from checked values, whatever their names are. */
export function recordOf<T>(fields: Fields, check: (value: unknown, name: string) => T): Record<string, T> {
  // `fromEntries` defines fields, so that `__proto__` is a name like any other.
  return Object.fromEntries([...fields].map(([name, value]) => [name, check(value, name)]));
}
