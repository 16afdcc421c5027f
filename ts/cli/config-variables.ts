import { declaredVariables, settingVariables, variable } from '../config.js';
import { ConfigError } from '../errors.js';
import { nearest } from '../nearest.js';
import { checkedTexts, expected } from './config-settings.js';
import type { Refuse, Setting } from './config-settings.js';
import { ALL_TABLES } from './config-tables.js';
import { TABLES, kindOf, settable } from './config-values.js';
import type { Table, Tables } from './config-values.js';
import type { Flag } from './parse.js';

const START = 'SPARSYNC_';

/** What stands between `SPARSYNC_` and the name of a flag. */
const PREFIX: Readonly<Record<Table, string>> = { sync: '', connection: '', verify: 'VERIFY_', server: 'SERVE_' };

/** The words of a flag that is on or off, as those of `SPARSYNC_GUARDS` and `SPARSYNC_PROFILE`. */
const SWITCHES: Readonly<Record<string, boolean>> = {
  true: true,
  on: true,
  '1': true,
  false: false,
  off: false,
  '0': false,
};

/** The name of the variable for a flag: `SPARSYNC_BWLIMIT`, `SPARSYNC_SERVE_MAX_SESSIONS`. */
export function variableOf(table: Table, { name }: Flag): string {
  return `${START}${PREFIX[table]}${name.toUpperCase().replaceAll('-', '_')}`;
}

/** What variables say of flags that a table of `tables` has. A name that stands for nothing is refused. */
export function readVariables(names: readonly string[], tables: Tables): Setting[] {
  const known = knownVariables();
  return names.flatMap((name) => {
    const text = variable(name) ?? '';
    const refuse: Refuse = (message, details) => {
      throw new ConfigError(message, { details: { variable: name, ...details } });
    };
    const found = known.get(name) ?? refuseUnknown(name, known, refuse);
    // Another verb reads it.
    if (tables[found.table] === undefined) return [];
    return [{ ...found, value: valueOf(name, text, found.flag, refuse), origin: { variable: name } }];
  });
}

/** The variables that say something about a server, with what they say, but for those of some flags. */
export function serverVariables(without: readonly string[]): [string, string][] {
  const known = knownVariables();
  return settingVariables().flatMap((name) => {
    const found = known.get(name);
    return found?.table === 'server' && !without.includes(found.flag.name) ? [[name, variable(name) ?? '']] : [];
  });
}

function knownVariables(): ReadonlyMap<string, Pick<Setting, 'table' | 'flag'>> {
  const all = TABLES.flatMap((table) =>
    settable(ALL_TABLES, table).map((flag) => [variableOf(table, flag), { table, flag }] as const),
  );
  return new Map(all);
}

function refuseUnknown(name: string, known: ReadonlyMap<string, unknown>, refuse: Refuse): never {
  const rest = name.slice(START.length);
  const elsewhere = Object.values(PREFIX).find((prefix) => known.has(`${START}${prefix}${rest}`));
  // Distances are compared without the start, which all of them have.
  const names = [...declaredVariables(), ...known.keys()].map((each) => each.slice(START.length));
  const meant = elsewhere === undefined ? nearest(rest, names) : `${elsewhere}${rest}`;
  const told = meant === undefined ? undefined : `${START}${meant}`;
  const question = told === undefined ? '' : `; did you mean ${told}?`;
  return refuse(`unknown variable ${name} in the environment${question}`, { nearest: told });
}

function valueOf(name: string, text: string, flag: Flag, refuse: Refuse): boolean | readonly string[] {
  const wanted = (): never => refuse(`${name} must be ${expected(flag)}, not ${JSON.stringify(text)}`);
  const kind = kindOf(flag);
  if (kind === 'switch') return SWITCHES[text] ?? wanted();
  if (text === 'false') return false;
  if (text === 'true' && flag.bare !== undefined) return [flag.bare];
  if (kind === 'integer' && !/^-?\d+$/.test(text)) return wanted();
  if (flag.choices?.includes(text) === false) return wanted();
  if (text.includes('\uFFFD')) return refuse(`${name} is not UTF-8 text`);
  const texts = flag.many === true ? text.split('\n').filter((line) => line !== '') : [text];
  return checkedTexts(texts, flag, name, refuse);
}
