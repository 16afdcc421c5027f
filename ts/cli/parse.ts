import { ConfigError } from '../errors.js';
import { nearest } from '../nearest.js';
import { textOf } from '../paths.js';

/** A flag, declared once: what is parsed and what `--help` prints both come from it. */
export interface Flag {
  /** The long name without dashes. */
  readonly name: string;
  /** The short form, one character. */
  readonly short?: string;
  /** Other long names of the same flag. */
  readonly aliases?: readonly string[];
  /** The name of the value in the help; a flag without it is on or off. */
  readonly value?: string;
  /** The value of a flag that is given without one; a value can then only follow `=`. */
  readonly bare?: string;
  /** The value for which `--no-` and the name stand; without it, `--no-` clears earlier values. */
  readonly off?: string;
  /** Whether it may be given several times. */
  readonly many?: boolean;
  /** The words that its value can be. */
  readonly choices?: readonly string[];
  /**
   * Whether a file of settings in the working directory may set the flag: only if it excludes more, or changes the
   * output.
   */
  readonly project?: boolean;
  /** The line of the help, if it is not in `FLAG_HELP`, which few runs load. */
  readonly help?: string;
  /** The heading of the help, if it is not in `FLAG_HELP`. */
  readonly category?: string;
  /** Flags that it turns on as well. */
  readonly implies?: readonly string[];
  /**
   * Flags that the parts of the value, between colons, turn on: each part that is not empty the one at its position.
   */
  readonly partsImply?: readonly string[];
  /** Why the flag must not be repeated: other tools give that another meaning. */
  readonly twice?: string;
  /** The flag that a repetition turns on. */
  readonly doubled?: string;
  /** Not shown in the help. */
  readonly hidden?: boolean;
  /** Where it stands among flags with values counts: {@link ParsedFlags.ordered} has it, with an empty value for off. */
  readonly placed?: boolean;
}

/** A word of the command line, as bytes if text cannot hold it. */
export type Word = string | Uint8Array;

/** What a command line says. */
export class ParsedFlags {
  readonly #known: ReadonlyMap<string, Flag>;
  readonly #switches = new Map<string, boolean>();
  /** How often each flag was given since it was last cleared. */
  readonly #times = new Map<string, number>();
  /** Values with the names of their flags, in the order of the command line. */
  #values: (readonly [string, Word])[] = [];
  /** Flags with values that were cleared: lower settings of these do not count. */
  readonly #removed = new Set<string>();
  /** Flags with values of which some are lower settings. */
  readonly #filled = new Set<string>();
  /** The words that are no flags. */
  readonly operands: Word[] = [];

  constructor(flags: readonly Flag[]) {
    this.#known = new Map(flags.map((flag) => [flag.name, flag]));
  }

  /** Turns a flag and those that it implies on or off. The last one on the command line wins. */
  turn(flag: Flag, on: boolean): void {
    const before = this.#times.get(flag.name) ?? 0;
    if (on && flag.twice !== undefined && before > 0) {
      throw new ConfigError(`--${flag.name} may be given once: ${flag.twice}`);
    }
    // The last one that was turned stands last.
    this.#switches.delete(flag.name);
    this.#switches.set(flag.name, on);
    if (flag.placed === true) this.#values.push([flag.name, on ? flag.name : '']);
    this.#times.set(flag.name, on ? before + 1 : 0);
    if (flag.doubled !== undefined && (on ? before > 0 : before > 1)) this.#switches.set(flag.doubled, on);
    for (const name of flag.implies ?? []) this.#switches.set(name, on);
  }

  /** Keeps a value. */
  add(flag: Flag, value: Word): void {
    if (flag.many !== true) this.#forget(flag);
    this.#values.push([flag.name, value]);
    for (const name of flag.implies ?? []) this.#switches.set(name, true);
    if (flag.partsImply === undefined) return;
    const parts = textOf(value).split(':');
    for (const [index, name] of flag.partsImply.entries()) {
      if ((parts[index] ?? '') !== '') this.#switches.set(name, true);
    }
  }

  /** Takes a flag with a value back. */
  remove(flag: Flag): void {
    this.#forget(flag);
    this.#removed.add(flag.name);
    if (flag.off !== undefined) this.#values.push([flag.name, flag.off]);
  }

  #forget(flag: Flag): void {
    this.#values = this.#values.filter(([name]) => name !== flag.name);
  }

  /**
   * Adds the values of `lower` for flags that are not given here; lists are joined, with this one's values first. A
   * flag of an `exclusive` group is not added if another one of its group is given here.
   */
  fill(lower: ParsedFlags, exclusive: readonly (readonly string[])[]): void {
    const said = new Set([...this.#switches.keys(), ...this.#removed]);
    for (const [name] of this.#values) if (this.#known.get(name)?.many !== true) said.add(name);
    for (const names of exclusive) {
      if (names.some((name) => this.#isGiven(name))) for (const name of names) if (!this.#isGiven(name)) said.add(name);
    }
    for (const [name, on] of lower.#switches) if (!said.has(name)) this.#switches.set(name, on);
    for (const [name, times] of lower.#times) if (!said.has(name)) this.#times.set(name, times);
    for (const [name, value] of lower.#values) {
      if (said.has(name)) continue;
      // A setting counts wherever others stand.
      if (this.#known.get(name)?.placed === true) this.#values.unshift([name, value]);
      else this.#values.push([name, value]);
      this.#filled.add(name);
    }
    for (const name of lower.#removed) this.#removed.add(name);
  }

  #isGiven(name: string): boolean {
    return (this.#times.get(name) ?? 0) > 0 || this.#values.some(([given]) => given === name);
  }

  /** Whether a flag is on; `undefined` when the command line does not say. */
  given(name: string): boolean | undefined {
    return this.#switches.get(this.#declared(name));
  }

  /** Whether a flag was given itself, and not only implied by another. */
  spelled(name: string): boolean {
    return this.#times.has(this.#declared(name));
  }

  /** Whether a value of a flag is a setting of the environment or of a file, and not of the command line. */
  isSetting(name: string): boolean {
    return this.#filled.has(this.#declared(name));
  }

  /** How often a flag was given since it was last cleared. */
  times(name: string): number {
    return this.#times.get(this.#declared(name)) ?? 0;
  }

  /** Whether a flag is on. */
  on(name: string): boolean {
    return this.given(name) ?? false;
  }

  /** Which of these flags is on and was turned last. */
  lastOn<const Name extends string>(names: readonly Name[]): Name | undefined {
    const found = [...this.#switches].findLast(([name, on]) => on && names.some((each) => each === name))?.[0];
    return names.find((name) => name === found);
  }

  /** All values of a flag, as bytes where text cannot hold them. */
  words(name: string): readonly Word[] {
    const declared = this.#declared(name);
    return this.#values.filter(([given]) => given === declared).map(([, value]) => value);
  }

  /** All values of several flags, in the order of the command line. */
  ordered<const Name extends string>(names: readonly Name[]): (readonly [Name, Word])[] {
    return this.#values.flatMap(([name, value]) => {
      const found = names.find((each) => each === name);
      return found === undefined ? [] : [[found, value] as const];
    });
  }

  /** All values of a flag. */
  all(name: string): string[] {
    return this.words(name).map((word) => {
      if (typeof word === 'string') return word;
      throw new ConfigError(`--${name} must be UTF-8 text, not ${JSON.stringify(textOf(word))}`);
    });
  }

  /** The value of a flag. */
  text(name: string): string | undefined {
    return this.all(name).at(-1);
  }

  /** The value of a flag that is one of a few words. */
  choice<const Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found === undefined) {
      throw new ConfigError(`--${name} must be one of ${choices.join(', ')}, not ${JSON.stringify(text)}`);
    }
    return found;
  }

  /** The value of a flag that is a whole number. */
  number(name: string, least = 0): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < least) {
      throw new ConfigError(`--${name} must be a whole number of at least ${least}, not ${JSON.stringify(text)}`);
    }
    return value;
  }

  #declared(name: string): string {
    if (!this.#known.has(name)) throw new TypeError(`no flag --${name} is declared`);
    return name;
  }
}

/** Parses a command line. `foreign` has reasons why flags of other tools do not exist here. */
export function parseFlags(
  flags: readonly Flag[],
  words: readonly Word[],
  foreign: Readonly<Record<string, string>> = {},
): ParsedFlags {
  const parsed = new ParsedFlags(flags);
  const queue = [...words];
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    const text = textOf(word);
    if (text === '--') {
      parsed.operands.push(...queue);
      break;
    }
    if (text.startsWith('--')) parseLong(flags, parsed, word, queue, foreign);
    else if (text.startsWith('-') && text !== '-') parseBundle(flags, parsed, text, queue, foreign);
    else parsed.operands.push(word);
  }
  return parsed;
}

function parseLong(
  flags: readonly Flag[],
  parsed: ParsedFlags,
  word: Word,
  queue: Word[],
  foreign: Readonly<Record<string, string>>,
): void {
  const text = textOf(word);
  const equals = text.indexOf('=');
  const name = text.slice(2, equals === -1 ? undefined : equals);
  const attached = equals === -1 ? undefined : afterEquals(word);
  const flag = flags.find((each) => hasName(each, name));
  if (flag !== undefined) {
    if (flag.value !== undefined) parsed.add(flag, attached ?? flag.bare ?? nextWord(flag, `--${name}`, queue));
    else if (attached === undefined) parsed.turn(flag, true);
    else throw new ConfigError(`--${name} takes no value`);
    return;
  }
  const negated = name.startsWith('no-') ? flags.find((each) => isNegated(each, name.slice(3))) : undefined;
  if (negated === undefined || attached !== undefined) throw unknownFlag(flags, `--${name}`, foreign);
  if (negated.value === undefined) parsed.turn(negated, false);
  else parsed.remove(negated);
}

function hasName(flag: Flag, name: string): boolean {
  return flag.name === name || flag.aliases?.includes(name) === true;
}

/** As in rsync, short names may follow `--no-`, too. */
function isNegated(flag: Flag, name: string): boolean {
  return hasName(flag, name) || flag.short === name;
}

function parseBundle(
  flags: readonly Flag[],
  parsed: ParsedFlags,
  text: string,
  queue: Word[],
  foreign: Readonly<Record<string, string>>,
): void {
  const letters = Array.from(text.slice(1));
  const unknown: string[] = [];
  for (const [index, letter] of letters.entries()) {
    const flag = flags.find((each) => each.short === letter);
    if (flag === undefined) {
      unknown.push(`-${letter}`);
      continue;
    }
    if (flag.value === undefined) parsed.turn(flag, true);
    else if (flag.bare === undefined) {
      const rest = letters
        .slice(index + 1)
        .join('')
        .replace(/^=/, '');
      // If a word has an unknown letter, the next word is not taken for the value of another letter.
      if (unknown.length === 0) parsed.add(flag, rest === '' ? nextWord(flag, `-${letter}`, queue) : rest);
      break;
    } else parsed.add(flag, flag.bare);
  }
  const [first, ...others] = unknown.map((shown) => unknownFlag(flags, shown, foreign));
  if (first === undefined) return;
  if (others.length === 0) throw first;
  throw new ConfigError([first, ...others].map(({ message }) => message).join('; '), { details: first.details });
}

function nextWord(flag: Flag, shown: string, queue: Word[]): Word {
  const next = queue.shift();
  if (next === undefined) throw new ConfigError(`${shown} needs a value: ${shown} ${flag.value ?? ''}`);
  return next;
}

function afterEquals(word: Word): Word {
  return typeof word === 'string' ? word.slice(word.indexOf('=') + 1) : word.subarray(word.indexOf(0x3d) + 1);
}

function unknownFlag(flags: readonly Flag[], shown: string, foreign: Readonly<Record<string, string>>): ConfigError {
  const name = shown.replace(/^-+/, '');
  const reason = Object.hasOwn(foreign, name) ? foreign[name] : undefined;
  if (reason !== undefined) return new ConfigError(`${shown} is not supported: ${reason}`);
  const bare = name.replace(/^no-/, '');
  const meant = shown.startsWith('--')
    ? nearest(
        bare,
        flags.filter((flag) => flag.hidden !== true).map((flag) => flag.name),
      )
    : undefined;
  const prefix = bare === name ? '--' : '--no-';
  return new ConfigError(`unknown flag ${shown}${meant === undefined ? '' : `; did you mean ${prefix}${meant}?`}`, {
    details: { flag: shown, nearest: meant === undefined ? undefined : `${prefix}${meant}` },
  });
}
