import { ConfigError } from '../errors.js';
import type { ConfigFile } from './config-places.js';
import { isNamedPath, kindOf } from './config-values.js';
import type { Table } from './config-values.js';
import type { Flag } from './parse.js';

/** The line of a file that has a setting, or the variable of the environment. */
export type Origin = { readonly file: ConfigFile; readonly line: number } | { readonly variable: string };

/**
 * The setting of a flag: on or off, or its values; `false` for a flag with values means `--no-` and its name.
 */
export interface Setting {
  readonly table: Table;
  readonly flag: Flag;
  readonly value: boolean | readonly string[];
  readonly origin: Origin;
}

/** Refuses a setting with a message, and with details for programs. */
export type Refuse = (message: string, details?: object) => never;

const SECRET_TEXT = /-----BEGIN |sparsync-(?:credential|invite)-1\./;

/** The values of a setting; `name` is what the user calls it. */
export function checkedTexts(
  texts: readonly string[],
  { name: flag }: Flag,
  name: string,
  refuse: Refuse,
): readonly string[] {
  // A rule that clears others would clear those of the command line.
  if (isRule(flag) && texts.some((text) => /^(?:!|clear\s*$)/.test(text))) {
    return refuse(`${name} cannot clear other rules here`);
  }
  if (texts.some((text) => SECRET_TEXT.test(text))) {
    return refuse(`${name} is a secret: give it in SPARSYNC_CREDENTIAL, a file or a stream`);
  }
  return texts.some((text) => text.includes('\0')) ? refuse(`${name} has a NUL byte`) : texts;
}

/** Whether a flag has rules for what is transferred, of which the first that matches decides. */
export function isRule(name: string): boolean {
  return ['exclude', 'include', 'filter'].includes(name);
}

/** What a flag takes, for messages. */
export function expected(flag: Flag): string {
  const kinds = {
    switch: 'true or false',
    integer: 'a whole number',
    size: 'a number of bytes, or a string such as "10M"',
  };
  if (flag.choices !== undefined) return `one of ${flag.choices.map((each) => `"${each}"`).join(', ')}`;
  const kind = kindOf(flag);
  if (kind !== 'text') return kinds[kind];
  if (isNamedPath(flag)) return 'a table of names and paths';
  return flag.many === true ? 'a string or a list of strings' : 'a text';
}

/** The error of a line of a file. */
export function refusal({ path }: ConfigFile, line: number, message: string, details = {}): ConfigError {
  return new ConfigError(`${path}, line ${line}: ${message}`, { path, details: { line, ...details } });
}
