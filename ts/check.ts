import { ConfigError } from './errors.js';
import { nearest } from './nearest.js';
import { describe } from './paths.js';

/** Converts the value of one option for the engine, or throws a `ConfigError` with the option's name. */
export type Check<T> = (value: unknown, name: string) => T;

/** One check for each option that is known. */
export type Checks<T> = { readonly [Name in keyof T]-?: Check<Exclude<T[Name], undefined>> };

/** The result of a set of checks: the options that were given, valid. */
export type Checked<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

function refuse(name: string, value: unknown, expected: string): never {
  throw new ConfigError(`option ${name} must be ${expected}, not ${describe(value)}`, { details: { option: name } });
}

/** Checks every option that was given; unknown names are rejected with the nearest known one. */
export function checkOptions<T extends object>(given: unknown, checks: Checks<T>, where: string): Checked<T> {
  if (given === undefined) return {};
  if (!isPlain(given)) return refuse(where, given, 'an object');
  const known = checks as Readonly<Record<string, Check<unknown> | undefined>>;
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const full = where === 'options' ? name : `${where}.${name}`;
    const check = name in Object.prototype ? undefined : known[name];
    if (check === undefined) {
      const names = namesOf(known);
      const meant = nearest(name, names);
      throw new ConfigError(
        `unknown option ${full}${meant === undefined ? '' : `; did you mean ${meant}?`} (known: ${names.join(', ')})`,
        { details: { option: full, nearest: meant } },
      );
    }
    if (value !== undefined) result[name] = check(value, full);
  }
  // The loop above has put in nothing but what the checks of T gave.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return result as Checked<T>;
}

/** The names of the options of a set of checks, including those of the set that it extends. */
function namesOf(checks: Readonly<Record<string, Check<unknown> | undefined>>): string[] {
  const names: string[] = [];
  for (const name in checks) if (checks[name] !== undefined) names.push(name);
  return names;
}

/**
 * A set of checks with more of them. It refers to the first one, because copying a large set would take longer than its
 * checks.
 */
export function extend<Base extends object, More extends object>(base: Base, more: More): Base & More {
  return Object.assign(Object.create(base) as Base, more);
}

/** A set of checks that does not know some of its options. */
export function without<T extends object, const Name extends keyof T>(
  checks: T,
  names: readonly Name[],
): Omit<T, Name> {
  return extend(checks, Object.fromEntries(names.map((name) => [name, undefined])));
}

/** A `Map`, a `Date` or a promise has no properties of its own, and would be taken for empty options. */
export function isPlain(value: unknown): value is object {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Checks an argument that is no option; where it was not given, the result is `undefined`. */
export function argument<T>(value: unknown, name: string, check: Check<T>): T | undefined {
  if (value === undefined) return undefined;
  try {
    return check(value, name);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.message.replace(/^option /, ''), { details: { argument: name } });
  }
}

/** `true` or `false`. */
export const flag: Check<boolean> = (value, name) =>
  typeof value === 'boolean' ? value : refuse(name, value, 'true or false');

/** A whole number within bounds. */
export function integer(least: number, most: number, unit: string): Check<number> {
  return (value, name) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : refuse(name, value, `a whole number of ${unit} from ${least} to ${most}`);
}

/** A text that is not empty. It must not contain a NUL byte, which none of its users can take. */
export function text(what: string): Check<string> {
  return (value, name) =>
    typeof value === 'string' && value !== '' && !value.includes('\0') ? value : refuse(name, value, what);
}

/** A text that is, or might be, a secret: no message repeats it. */
export function secret(accepted: RegExp, what: string): Check<string> {
  return (value, name) => {
    if (typeof value === 'string' && accepted.test(value)) return value;
    throw new ConfigError(`option ${name} must be ${what}`, { details: { option: name } });
  };
}

/** One of a few words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): Check<Word> {
  return (value, name) => {
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return word;
    const meant = typeof value === 'string' ? nearest(value, words) : undefined;
    return refuse(
      name,
      value,
      `one of ${words.map((each) => `'${each}'`).join(', ')}${meant === undefined ? '' : ` (did you mean '${meant}'?)`}`,
    );
  };
}

/** Anything that another function checks further. */
export function instance<T>(accepts: (value: unknown) => value is T, expected: string): Check<T> {
  return (value, name) => (accepts(value) ? value : refuse(name, value, expected));
}

/** A list, or one element for a list of one. */
export function listOf<T>(element: Check<T>): Check<T[]> {
  return (value, name) => {
    const elements: unknown[] = Array.isArray(value) ? value : [value];
    // Unlike `map`, this does not skip the holes of an array.
    return Array.from(elements, (each, index) => element(each, Array.isArray(value) ? `${name}[${index}]` : name));
  };
}

/** An object with options of its own. */
export function group<T extends object>(checks: Checks<T>): Check<Checked<T>> {
  return (value, name) => checkOptions<T>(value, checks, name);
}
