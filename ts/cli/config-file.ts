import { variable } from '../config.js';
import { ConfigError, fromNative } from '../errors.js';
import { loadNative } from '../native.js';
import type { NativeSetting } from '../native.js';
import { nearest } from '../nearest.js';
import type { ConfigFile } from './config-places.js';
import { TABLES, isNamedPath, kindOf, settable } from './config-values.js';
import type { Table, Tables } from './config-values.js';
import type { Configured } from './configured.js';
import { ParsedFlags } from './parse.js';
import type { Flag } from './parse.js';

/**
 * The setting of a flag in a file: on or off, or its values; `false` for a flag with values means `--no-` and its name.
 */
export interface Setting {
  readonly table: Table;
  readonly flag: Flag;
  readonly value: boolean | readonly string[];
  readonly file: ConfigFile;
  readonly line: number;
}

/** Environment variables that decide instead of files. */
const DECIDING: Readonly<Partial<Record<Table, Readonly<Record<string, string>>>>> = {
  sync: {
    'allow-mass-delete': 'SPARSYNC_GUARDS',
    lanes: 'SPARSYNC_BATCH_WRITE_CONCURRENCY',
    profile: 'SPARSYNC_PROFILE',
  },
  connection: {
    rsh: 'RSYNC_RSH',
    identity: 'SPARSYNC_CREDENTIAL',
    pin: 'SPARSYNC_CREDENTIAL',
    'known-hosts': 'SPARSYNC_CREDENTIAL',
    ca: 'SPARSYNC_CREDENTIAL',
  },
};

/** Tables that a file of the working directory may have. */
const OF_PROJECTS: readonly Table[] = ['sync', 'verify'];

/** Names that a user might give to a setting for a secret. */
const SECRET = /^(?:key|private-key|credential|invitation|secret|token|password|passphrase)$/;

const SECRET_TEXT = /-----BEGIN |sparsync-(?:credential|invite)-1\./;

/** Groups of flags of which only one may be given: one on the command line overrides those of files. */
const EXCLUSIVE: readonly (readonly string[])[] = [
  ['delete-before', 'delete-during', 'del', 'delete-delay', 'delete-after'],
  ['compare-dest', 'copy-dest', 'link-dest', 'reflink-dest'],
];

/** Rules of a project that would say what is deleted. */
const RULES: readonly string[] = ['exclude', 'gitignore', 'cvs-exclude'];

/** Adds the settings of files to a command line, for flags that it does not mention. */
export async function fill(
  parsed: ParsedFlags,
  flags: readonly Flag[],
  files: readonly ConfigFile[],
  { tables, takes }: Pick<Configured, 'tables' | 'takes'>,
): Promise<void> {
  const ofProject: Setting[] = [];
  for (const file of files) {
    const settings = (await readSettings(file, tables)).filter(
      ({ table, flag }) =>
        flags.some(({ name }) => name === flag.name) &&
        takes?.[table]?.includes(flag.name) !== false &&
        decidingVariable(table, flag) === undefined,
    );
    parsed.fill(layerOf(flags, settings), EXCLUSIVE);
    if (file.place === 'project') ofProject.push(...settings);
  }
  refuseDeletion(parsed, ofProject);
}

/** The variable that decides about a flag, when it is set. */
export function decidingVariable(table: Table, { name }: Flag): string | undefined {
  const deciding = DECIDING[table]?.[name];
  return deciding === undefined || variable(deciding) === undefined ? undefined : deciding;
}

/**
 * Reads settings like a command line. Flags that imply others come first, so that what is said about the others counts.
 */
function layerOf(flags: readonly Flag[], settings: readonly Setting[]): ParsedFlags {
  const layer = new ParsedFlags(flags);
  const implying = settings.filter(({ flag }) => flag.implies !== undefined);
  for (const { flag, value } of new Set([...implying, ...settings])) {
    if (typeof value !== 'boolean') {
      if (value.length === 0) layer.remove(flag);
      for (const text of value) layer.add(flag, text);
    } else if (flag.value === undefined) layer.turn(flag, value);
    else layer.remove(flag);
  }
  return layer;
}

/** The file of a project may exclude entries, but must not let excluded entries be deleted. */
function refuseDeletion(parsed: ParsedFlags, settings: readonly Setting[]): void {
  const rule = settings.find(({ table, flag }) => table === 'sync' && RULES.includes(flag.name));
  if (rule === undefined || !parsed.on('delete-excluded')) return;
  throw refusal(rule.file, rule.line, `${rule.flag.name} of a working directory is not for --delete-excluded`);
}

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
  const refuse = (message: string, details = {}): never => {
    throw refusal(file, line, message, { key: keys.join('.'), ...details });
  };
  const isTable = told.switch === undefined && told.number === undefined && told.texts === undefined;
  const [first = '', name, member, ...deeper] = keys;
  const table = TABLES.find((each) => each === first);
  if (table === undefined) {
    if (name === undefined && !isTable) {
      return refuse(`${first} stands in no table: they are [${TABLES.join('], [')}]`);
    }
    return unknown(refuse, `table [${first}]`, first, TABLES);
  }
  if (name === undefined) return isTable && told.other === undefined ? undefined : refuse(`${first} must be a table`);
  if (file.place === 'project' && !OF_PROJECTS.includes(table)) {
    return refuse(`${table}.${name}: a file of a working directory says nothing of [${table}]`);
  }
  // Another verb reads it.
  if (tables[table] === undefined) return undefined;
  const known = settable(tables, table);
  const flag = known.find((each) => each.name === name);
  if (flag === undefined) {
    if (SECRET.test(name)) {
      return refuse(`${name}: a file of settings holds no secrets; they come from the environment, a file or a stream`);
    }
    const elsewhere = TABLES.find((each) => settable(tables, each).some((other) => other.name === name));
    if (elsewhere !== undefined) return refuse(`${name} stands in [${elsewhere}], not in [${table}]`);
    return unknown(
      refuse,
      name,
      name,
      known.map((each) => each.name),
    );
  }
  if (file.place === 'project' && flag.project !== true) {
    return refuse(`${name}: a file of a working directory may not say this; your own may (sparsync config --help)`);
  }
  const value = valueOf(told, flag, { file, name, member, isDeep: deeper.length > 0, isTable }, refuse);
  return value === undefined ? undefined : { table, flag, value, file, line };
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
  refuse: (message: string) => never,
): boolean | readonly string[] | undefined {
  const kind = kindOf(flag);
  const wanted = (): never => refuse(`${name} must be ${expected(flag)}`);
  if (member !== undefined) {
    const [path, ...others] = told.texts ?? [];
    if (isDeep || !isNamedPath(flag) || path === undefined || others.length > 0 || told.isList) return wanted();
    return checkedTexts([`${member}=${path}`], name, refuse);
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
  refuseRules(texts, flag, file, refuse);
  return checkedTexts(texts, name, refuse);
}

/** A rule that clears others would clear those of the command line; and a project's rules may only exclude. */
function refuseRules(
  texts: readonly string[],
  { name }: Flag,
  { place }: ConfigFile,
  refuse: (message: string) => never,
): void {
  if (!['exclude', 'include', 'filter'].includes(name)) return;
  if (texts.some((text) => /^(?:!|clear\s*$)/.test(text))) refuse(`${name} may not forget other rules here`);
  if (place === 'project' && texts.some((text) => /^[-+] /.test(text))) {
    refuse(`${name} of a working directory may only leave out: a pattern begins with no "+ " or "- "`);
  }
}

function checkedTexts(texts: readonly string[], name: string, refuse: (message: string) => never): readonly string[] {
  if (texts.some((text) => SECRET_TEXT.test(text))) {
    return refuse(`${name} holds a secret: it must come from the environment, a file or a stream`);
  }
  return texts.some((text) => text.includes('\0')) ? refuse(`${name} has a NUL byte`) : texts;
}

function expected(flag: Flag): string {
  const kinds = { switch: 'true or false', integer: 'a whole number', size: 'a number of bytes, or a text as 10M' };
  if (flag.choices !== undefined) return `one of ${flag.choices.map((each) => `"${each}"`).join(', ')}`;
  const kind = kindOf(flag);
  if (kind !== 'text') return kinds[kind];
  if (isNamedPath(flag)) return 'a table of names and paths';
  return flag.many === true ? 'a text or a list of texts' : 'a text';
}

function unknown(
  refuse: (message: string, details?: object) => never,
  shown: string,
  name: string,
  known: readonly string[],
): never {
  const meant = nearest(name, known);
  return refuse(`unknown ${shown}${meant === undefined ? '' : `; did you mean ${meant}?`}`, { nearest: meant });
}

function refusal({ path }: ConfigFile, line: number, message: string, details = {}): ConfigError {
  return new ConfigError(`${path}, line ${line}: ${message}`, { path, details: { line, ...details } });
}
