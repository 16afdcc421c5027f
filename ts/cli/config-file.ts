import { fromNative } from '../errors.js';
import { loadNative } from '../native.js';
import type { NativeSetting } from '../native.js';
import { nearest } from '../nearest.js';
import type { ConfigFile } from './config-places.js';
import { checkedTexts, expected, isRule, refusal } from './config-settings.js';
import type { Refuse, Setting } from './config-settings.js';
import { TABLES, isNamedPath, kindOf, settable } from './config-values.js';
import type { Table, Tables } from './config-values.js';
import type { Flag } from './parse.js';

/** Tables that a file of the working directory may have. */
const OF_PROJECTS: readonly Table[] = ['sync', 'verify'];

/** Names that a user might give to a setting for a secret. */
const SECRET = /^(?:key|private-key|credential|invitation|secret|token|password|passphrase)$/;

/** What a file says, checked. */
export async function readSettings(file: ConfigFile, tables: Tables): Promise<Setting[]> {
  const { parseSettingsFile } = await loadNative();
  let told: NativeSetting[];
  try {
    told = parseSettingsFile(file.text);
  } catch (thrown) {
    const error = fromNative(thrown);
    throw refusal(file, Number(error.details['line'] ?? 1), error.message);
  }
  return told.flatMap((each) => settingOf(file, each, tables) ?? []);
}

function settingOf(file: ConfigFile, told: NativeSetting, tables: Tables): Setting | undefined {
  const { keys, line } = told;
  const refuse: Refuse = (message, details) => {
    throw refusal(file, line, message, { key: keys.join('.'), ...details });
  };
  const isTable = told.switch === undefined && told.number === undefined && told.texts === undefined;
  const [first = '', name, member, ...deeper] = keys;
  const table = TABLES.find((each) => each === first);
  if (table === undefined) {
    if (name === undefined && !isTable) {
      return refuse(`${first} is outside of every table; the tables are [${TABLES.join('], [')}]`);
    }
    return unknown(refuse, `table [${first}]`, first, TABLES);
  }
  if (name === undefined) return isTable && told.other === undefined ? undefined : refuse(`${first} must be a table`);
  if (file.place === 'project' && !OF_PROJECTS.includes(table)) {
    return refuse(`${table}.${name}: a sparsync.toml in a working directory cannot set [${table}]`);
  }
  // Another verb reads it.
  if (tables[table] === undefined) return undefined;
  const known = settable(tables, table);
  const flag = known.find((each) => each.name === name);
  if (flag === undefined) {
    if (SECRET.test(name)) {
      return refuse(`${name}: a settings file cannot hold secrets; give them in the environment, a file or a stream`);
    }
    const elsewhere = TABLES.find((each) => settable(tables, each).some((other) => other.name === name));
    if (elsewhere !== undefined) return refuse(`${name} belongs in [${elsewhere}], not in [${table}]`);
    return unknown(
      refuse,
      name,
      name,
      known.map((each) => each.name),
    );
  }
  if (file.place === 'project' && flag.project !== true) {
    return refuse(
      `${name}: a sparsync.toml in a working directory cannot set this; your own can (sparsync config --help)`,
    );
  }
  const value = valueOf(told, flag, { file, name, member, isDeep: deeper.length > 0, isTable }, refuse);
  return value === undefined ? undefined : { table, flag, value, origin: { file, line } };
}

/** A setting's place in a file, and whether it is a table itself. */
interface Standing {
  readonly file: ConfigFile;
  readonly name: string;
  readonly member: string | undefined;
  readonly isDeep: boolean;
  readonly isTable: boolean;
}

function valueOf(
  told: NativeSetting,
  flag: Flag,
  { name, member, isDeep, isTable, file }: Standing,
  refuse: Refuse,
): boolean | readonly string[] | undefined {
  const kind = kindOf(flag);
  const wanted = (): never => refuse(`${name} must be ${expected(flag)}`);
  if (member !== undefined) {
    const [path, ...others] = told.texts ?? [];
    if (isDeep || !isNamedPath(flag) || path === undefined || others.length > 0 || told.isList) return wanted();
    return checkedTexts([`${member}=${path}`], flag, name, refuse);
  }
  if (isTable) return isNamedPath(flag) && told.other === undefined ? undefined : wanted();
  if (told.switch !== undefined) {
    if (kind === 'switch' || !told.switch) return told.switch;
    return flag.bare === undefined ? wanted() : [flag.bare];
  }
  if (told.number !== undefined) return kind === 'integer' || kind === 'size' ? [told.number] : wanted();
  const texts = told.texts ?? [];
  const isChosen = flag.choices === undefined || texts.every((text) => flag.choices?.includes(text));
  if (kind === 'switch' || kind === 'integer' || !isChosen || (told.isList && flag.many !== true)) return wanted();
  // A project's rules may only exclude.
  if (file.place === 'project' && isRule(flag.name) && texts.some((text) => /^[-+] /.test(text))) {
    return refuse(`${name} in a working directory can only exclude: no pattern may begin with "+ " or "- "`);
  }
  return checkedTexts(texts, flag, name, refuse);
}

function unknown(refuse: Refuse, shown: string, name: string, known: readonly string[]): never {
  const meant = nearest(name, known);
  return refuse(`unknown ${shown}${meant === undefined ? '' : `; did you mean ${meant}?`}`, { nearest: meant });
}
