import { ConfigError } from '../errors.js';
import { readSettings } from './config-file.js';
import { decidingVariable, environmentSettings } from './config-layers.js';
import { configFiles } from './config-places.js';
import type { Origin, Setting } from './config-settings.js';
import { ALL_TABLES } from './config-tables.js';
import { TABLES, isNamedPath, kindOf, settable } from './config-values.js';
import type { Table } from './config-values.js';
import { EXIT } from './exit-codes.js';
import { CONFIG_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, jsonText, printJson } from './json.js';
import { safe } from './names.js';
import { print } from './output.js';
import { parseFlags } from './parse.js';
import type { Flag, Word } from './parse.js';

const PURPOSE = `Shows the settings that are in force. A file of settings is named sparsync.toml. It is looked for

  in the working directory           for a sync and verify, and only: PROJECT
  in the configuration folder        ~/.config/sparsync, $XDG_CONFIG_HOME/sparsync or $SPARSYNC_CONFIG_DIR
  in /etc/sparsync                   for this machine

in this order, and the first file that has a setting decides. A flag goes before all files, and a variable of the
environment comes next. Lists are joined. With --config FILE, or SPARSYNC_CONFIG, only that file is read; with --no-config,
none. A key is the name of a flag, in one of these tables:

  [sync]                             delete = true             exclude = ["*.o", "/tmp/"]
  [verify]                           checksum = true
  [connection]                       identity = "/path/key"    contimeout = 5
  [server]                           grace = 60                root = { backup = "/srv/backup" }

Its variable is the name in capitals after SPARSYNC_, for verify after SPARSYNC_VERIFY_ and for a server after
SPARSYNC_SERVE_: SPARSYNC_CONTIMEOUT=5, SPARSYNC_SERVE_GRACE=60. A list has one value per line, and false means --no-.`;

/** `sparsync config show`. */
export async function configCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(CONFIG_FLAGS, words);
  if (flags.on('help')) {
    const allowed = settable(ALL_TABLES, 'sync').filter(({ project }) => project === true);
    const purpose = PURPOSE.replace('PROJECT', allowed.map(({ name }) => name).join(', '));
    await print(verbHelp('config show [--origin]', purpose, CONFIG_FLAGS));
    return EXIT.ok;
  }
  if (flags.operands.length !== 1 || flags.operands[0] !== 'show') {
    throw new ConfigError('config takes show; a folder of that name is ./config');
  }
  const settings = await environmentSettings(ALL_TABLES);
  for (const file of configFiles(flags.text('config'), true)) {
    settings.push(...(await readSettings(file, ALL_TABLES)));
  }
  for (const table of TABLES) await showTable(table, settings, flags.on('json'), flags.on('origin'));
  return EXIT.ok;
}

async function showTable(table: Table, settings: readonly Setting[], json: boolean, origin: boolean): Promise<void> {
  const lines: string[] = [];
  for (const flag of settable(ALL_TABLES, table)) {
    const variable = decidingVariable(table, flag);
    const own = settings.filter((each) => each.table === table && each.flag.name === flag.name);
    // Files do not count beside such a variable; the flag's own one comes before it.
    const told = effective(variable === undefined ? own : own.filter(({ origin }) => 'variable' in origin));
    if (variable !== undefined && told.length === 0) {
      if (json) await showJson(table, flag, undefined, { kind: 'environment', variable });
      else if (origin) lines.push(`# ${flag.name} is what ${variable} in the environment says`);
    } else if (json) {
      for (const each of told) await showJson(table, flag, each.value, originOf(each.origin));
    } else lines.push(...asToml(flag, told, origin));
  }
  if (lines.length > 0) await print([`[${table}]`, ...lines].join('\n'));
}

const textsOf = ({ value }: Setting): readonly string[] => (typeof value === 'boolean' ? [] : value);

/**
 * The settings of a flag that are in effect: for a list all of them, down to one that clears the lower ones; otherwise
 * the first.
 */
function effective(told: readonly Setting[]): readonly Setting[] {
  const [first, ...others] = told;
  if (first === undefined) return [];
  if (first.flag.many !== true) return [first];
  if (textsOf(first).length === 0) return [first];
  return [first, ...effective(others).filter((each) => textsOf(each).length > 0)];
}

function originOf(origin: Origin): object {
  if ('variable' in origin) return { kind: 'environment', variable: origin.variable };
  return { kind: origin.file.place, file: origin.file.path, line: origin.line };
}

function showJson(table: Table, { name }: Flag, value: Setting['value'] | undefined, origin: object): Promise<void> {
  return printJson({ type: 'setting', schema: JSON_SCHEMA, table, key: name, value, origin });
}

const quoted = (text: string): string => jsonText([text]).slice(1, -1);

function placeOf(origin: Origin): string {
  return 'variable' in origin ? origin.variable : `${safe(origin.file.path)}:${origin.line}`;
}

function asToml(flag: Flag, told: readonly Setting[], origin: boolean): string[] {
  const from = (setting: Setting): string => (origin ? ` # ${placeOf(setting.origin)}` : '');
  const [first] = told;
  if (first === undefined) return [];
  if (isNamedPath(flag)) {
    return told.flatMap((each) =>
      textsOf(each).map((text) => {
        const equals = text.indexOf('=');
        return `${flag.name}.${quoted(text.slice(0, equals))} = ${quoted(text.slice(equals + 1))}${from(each)}`;
      }),
    );
  }
  if (typeof first.value === 'boolean') return [`${flag.name} = ${first.value}${from(first)}`];
  if (flag.many !== true) {
    const [text = ''] = first.value;
    return [`${flag.name} = ${kindOf(flag) !== 'text' && /^-?\d+$/.test(text) ? text : quoted(text)}${from(first)}`];
  }
  const elements = told.flatMap((each) => textsOf(each).map((text) => `  ${quoted(text)},${from(each)}`));
  return [`${flag.name} = [`, ...elements, ']'];
}
