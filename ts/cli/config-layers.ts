import { settingVariables, variable } from '../config.js';
import { readSettings } from './config-file.js';
import type { ConfigFile } from './config-places.js';
import { refusal } from './config-settings.js';
import type { Setting } from './config-settings.js';
import type { Table, Tables } from './config-values.js';
import type { Configured } from './configured.js';
import { ParsedFlags } from './parse.js';
import type { Flag } from './parse.js';

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

/** Groups of flags of which only one may be given: one on the command line overrides those of files. */
const EXCLUSIVE: readonly (readonly string[])[] = [
  ['delete-before', 'delete-during', 'delete-delay', 'delete-after'],
  ['compare-dest', 'copy-dest', 'link-dest', 'reflink-dest'],
];

/** Rules of a project that would say what is deleted. */
const RULES: readonly string[] = ['exclude', 'gitignore', 'cvs-exclude'];

/** Adds the settings of the environment and of files to a command line, for flags that it does not mention. */
export async function fill(
  parsed: ParsedFlags,
  flags: readonly Flag[],
  files: readonly ConfigFile[],
  { tables, takes }: Pick<Configured, 'tables' | 'takes'>,
): Promise<void> {
  const ofProject: Setting[] = [];
  const isTaken = ({ table, flag }: Setting): boolean =>
    flags.some(({ name }) => name === flag.name) && takes?.[table]?.includes(flag.name) !== false;
  parsed.fill(layerOf(flags, (await environmentSettings(tables)).filter(isTaken)), EXCLUSIVE);
  for (const file of files) {
    const settings = (await readSettings(file, tables)).filter(
      (setting) => isTaken(setting) && decidingVariable(setting.table, setting.flag) === undefined,
    );
    parsed.fill(layerOf(flags, settings), EXCLUSIVE);
    if (file.place === 'project') ofProject.push(...settings);
  }
  refuseDeletion(parsed, ofProject);
}

/** What the environment says, checked. */
export async function environmentSettings(tables: Tables): Promise<Setting[]> {
  const names = settingVariables();
  return names.length === 0 ? [] : (await import('./config-variables.js')).readVariables(names, tables);
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
  if (rule === undefined || !('file' in rule.origin) || !parsed.on('delete-excluded')) return;
  throw refusal(
    rule.origin.file,
    rule.origin.line,
    `${rule.flag.name} in a working directory cannot be combined with --delete-excluded`,
  );
}
