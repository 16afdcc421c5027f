// The flags of the command with their help, and what they say.
import { flags, readable, WRITTEN } from './declared.mjs';
import { imports } from './api.mjs';

const quoted = (text) => `'${text.replaceAll("'", "\\'")}'`;

const constant = ({ flag }) => `${flag.replaceAll('-', '_').toUpperCase()}_FLAG`;

/** The list of the words of a flag: its kind's, or one that the row names. */
function choicesOf({ kind, flags: several, choices }) {
  return choices?.list ?? (several === undefined ? kind.command?.words : undefined);
}

/** One flag as the parser takes it. */
function declaration(row) {
  const parts = {
    name: quoted(row.flag),
    short: row.short && quoted(row.short),
    aliases: row.aliases && `[${row.aliases.map(quoted).join(', ')}]`,
    value: row.value && quoted(row.value),
    bare: row.bare && quoted(row.bare),
    off: row.off && quoted(row.off),
    many: row.many && 'true',
    choices: choicesOf(row),
    project: row.project && 'true',
    implies: row.implies && `[${row.implies.map(quoted).join(', ')}]`,
    partsImply: row.partsImply && `[${row.partsImply.map(quoted).join(', ')}]`,
    twice: row.twice && quoted(row.twice),
    doubled: row.doubled && quoted(row.doubled),
    hidden: row.hidden && 'true',
    placed: row.placed && 'true',
  };
  const shown = Object.entries(parts).filter(([, value]) => value !== undefined);
  return `{ ${shown.map(([name, value]) => `${name}: ${value}`).join(', ')} }`;
}

/** A flag as `verify` has it: its help shows under what is compared what is transferred elsewhere. */
function verifying({ help, verify, group, ...row }) {
  const category = group === 'What is transferred' ? 'How it is compared' : group;
  const other = [
    ...(category === group ? [] : [`category: ${quoted(category)}`]),
    ...(verify === true || verify === help ? [] : [`help: ${quoted(verify)}`]),
  ];
  return other.length === 0 ? constant(row) : `{ ...${constant(row)}, ${other.join(', ')} }`;
}

/** Reads of options out of flags. `verify` has the API's defaults for what is on or off. */
function reads(rows, isVerify) {
  return rows.map((row) => {
    const isSwitch = row.kind.rust?.type === 'bool' && row.value === undefined;
    const read = isVerify && isSwitch ? `flags.given('${row.flag}')` : row.kind.command.read(row);
    return `${row.name}: ${read},`;
  });
}

function needs(rows) {
  return rows.map(({ kind: { command }, flags: several }) => ({
    ...command.needs,
    ...(command.words === undefined || several !== undefined ? {} : { '../words.js': [command.words] }),
  }));
}

/** The module of the command. */
export function flagsModule() {
  const named = flags.filter((row) => row.shared === true || row.verify !== undefined);
  const element = (row) => (named.includes(row) ? constant(row) : declaration(row));
  const connecting = flags.filter(({ group }) => group === 'Connection and trust');
  const switches = readable.filter(({ kind, value }) => kind.command.isSwitch === true && value === undefined);
  return `// ${WRITTEN}
${imports([
  ...needs(readable),
  ...flags.flatMap(({ choices }) => (choices === undefined ? [] : [{ [choices.from]: [choices.list] }])),
  {
    '../options.js': ['type TransferOptions'],
    '../record.js': ['recordOf'],
    './parse.js': ['type Flag', 'type ParsedFlags'],
  },
])}

${named.map((row) => `export const ${constant(row)}: Flag = ${declaration(row)};`).join('\n')}

/** Flags of every command that connects. */
export const CONNECTING_FLAGS: readonly Flag[] = [${connecting.map(element).join(', ')}];

/** Flags of a sync. */
export const SYNC_FLAGS: readonly Flag[] = [
  ${flags
    .filter((row) => !connecting.includes(row))
    .map((row) => `${element(row)},`)
    .join('\n')}
  ...CONNECTING_FLAGS,
];

/** The flags of switches, by their options. */
const SWITCHES = {
  ${switches.map(({ name, flag }) => `${name}: ${quoted(flag)},`).join('\n')}
} as const;

/** What the flags of a sync say, with the defaults of the command, which are rsync's. */
export async function flaggedOptions(flags: ParsedFlags) {
  // An object's keys are known to be no more than what was written there.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const names = Object.keys(SWITCHES) as (keyof typeof SWITCHES)[];
  return Object.assign(
    recordOf(names, (name) => flags.on(SWITCHES[name])),
    {
      ${reads(
        readable.filter((row) => !switches.includes(row)),
        false,
      ).join('\n')}
    } satisfies TransferOptions,
  );
}
`;
}

/** The module of the help of flags, which no sync is to pay for. */
export function flagHelpModule() {
  const lines = flags.map(
    ({ flag, group, help }) => `'${flag}': { category: ${quoted(group)}, help: ${quoted(help)} },`,
  );
  return `// ${WRITTEN}

/** What the help says of a flag. */
export interface FlagHelp {
  /** The heading under which it stands. */
  readonly category: string;
  /** One line. */
  readonly help: string;
}

/** The help of the flags of a sync, by their names. */
export const FLAG_HELP: Readonly<Partial<Record<string, FlagHelp>>> = {
  ${lines.join('\n')}
};
`;
}

/** The module of the flags of `verify`, which no sync is to pay for. */
export function verifyFlagsModule() {
  const verified = flags.filter(({ verify }) => verify !== undefined);
  const inVerify = readable.filter(({ verify }) => verify !== undefined);
  return `// ${WRITTEN}
${imports([
  ...needs(inVerify),
  {
    '../options.js': ['type VerifyOptions'],
    './parse.js': ['type Flag', 'type ParsedFlags'],
    './transfer-flags.js': ['CONNECTING_FLAGS', ...verified.map(constant)],
  },
])}

/** Flags of \`verify\`. */
export const VERIFY_FLAGS: readonly Flag[] = [
  ${verified.map((row) => `${verifying(row)},`).join('\n')}
  ...CONNECTING_FLAGS,
];

/** What the flags of \`verify\` say. */
export async function flaggedVerifyOptions(flags: ParsedFlags) {
  return {
    ${reads(inVerify, true).join('\n')}
  } satisfies VerifyOptions;
}
`;
}
