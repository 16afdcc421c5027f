// Writes what follows from the table of options in crate/proto/src/options.rs: checks, defaults and types of the API, flags
// with their help, and docs/options.md.
//   --check  fails when a committed file is not what the table says
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from './process.mjs';

const ROW = /((?:^\s*\/\/\/.*\n)+)\s*(\w+) = (\d+), "([\w-]+)", "(\w?)", "([^"]*)";/gm;

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

const quoted = (text) => `'${text.replaceAll("'", "\\'")}'`;

/** The rows of the table. */
function options() {
  const text = readFileSync(join(ROOT, 'crate', 'proto', 'src', 'options.rs'), 'utf8');
  const [, flags, sizes] = /flags \{\n([\s\S]*?)\n {12}\}\n\s*sizes \{\n?([\s\S]*?)\n? {12}\}/.exec(text);
  const rows = (part, kind) =>
    [...part.matchAll(ROW)].map(([, documentation, member, number, flag, short, help]) => {
      const meaning = documentation
        .replace(/^\s*\/\/\/ ?/gm, '')
        .trim()
        .replaceAll('\n', ' ');
      return { kind, name: camel(member), number: Number(number), flag, short, help, meaning };
    });
  return [...rows(flags, 'flag'), ...rows(sizes, 'size')];
}

const HEAD = '// Written by scripts/options.mjs from the table in crate/proto/src/options.rs; never edited.';

/** Checks, defaults and types of the API. */
function apiModule(rows) {
  const check = ({ kind }) => (kind === 'flag' ? 'boolean' : 'number');
  const rule = ({ kind }) => (kind === 'flag' ? 'flag' : "integer(0, Number.MAX_SAFE_INTEGER, 'bytes')");
  const member = ({ name, kind }) => (kind === 'flag' ? `readonly ${name}: boolean;` : `readonly ${name}?: number;`);
  const setting = ({ name, kind }) =>
    kind === 'flag'
      ? `${name}: given.${name} ?? false,`
      : `...(given.${name} === undefined ? {} : { ${name}: given.${name} }),`;
  const has = (kind) => rows.some((row) => row.kind === kind);
  const used = [has('flag') ? 'flag' : '', has('size') ? 'integer' : ''].filter((name) => name !== '');
  return `${HEAD}
import { ${used.join(', ')} } from './check.js';
import type { Check } from './check.js';

/** The checks. */
export const SELECTION_CHECKS: {
  ${rows.map((row) => `readonly ${row.name}: Check<${check(row)}>;`).join('\n')}
} = {
  ${rows.map((row) => `${row.name}: ${rule(row)},`).join('\n')}
};

/** The names. */
export const SELECTION_NAMES = [${rows.map(({ name }) => quoted(name)).join(', ')}] as const;

/** The options with their defaults. */
export interface SelectionSettings {
  ${rows.map(member).join('\n')}
}

/** Adds the defaults. */
export function selectionDefaults(given: Partial<SelectionSettings>): SelectionSettings {
  return {
    ${rows.map(setting).join('\n')}
  };
}
`;
}

/** The flags of the command, and what they say. */
function flagsModule(rows) {
  const short = ({ short: letter }) => (letter === '' ? '' : `short: ${quoted(letter)}, `);
  const value = ({ kind }) => (kind === 'flag' ? '' : "value: 'SIZE', ");
  const read = ({ kind, name, flag }) =>
    kind === 'flag' ? `${name}: flags.on(${quoted(flag)})` : `${name}: sizeOf(flags, ${quoted(flag)})`;
  const sizes = rows.some(({ kind }) => kind === 'size') ? "import { sizeOf } from './size.js';\n" : '';
  return `${HEAD}
import type { TransferOptions } from '../options.js';
import type { SELECTION_NAMES } from '../selection.js';
import type { Flag, ParsedFlags } from './parse.js';
${sizes}
/** The flags, under one heading of the help. */
export function selectionFlags(category: string): readonly Flag[] {
  return [
    ${rows.map((row) => `{ name: ${quoted(row.flag)}, ${short(row)}${value(row)}category, help: ${quoted(row.help)} },`).join('\n')}
  ];
}

/** What the flags say. */
export function selectionOf(flags: ParsedFlags): Pick<TransferOptions, (typeof SELECTION_NAMES)[number]> {
  return {
    ${rows.map((row) => `${read(row)},`).join('\n')}
  };
}
`;
}

/** The table for people. */
function document(rows) {
  const spelled = ({ kind, flag, short }) =>
    `\`--${flag}${kind === 'size' ? '=SIZE' : ''}\`${short === '' ? '' : `, \`-${short}\``}`;
  const unset = ({ kind, flag }) => (kind === 'flag' ? `\`--no-${flag}\`` : '');
  const lines = rows.map(
    (row) =>
      `| \`${row.name}\` | ${spelled(row)} | ${unset(row)} | ${row.number} | ${row.kind === 'flag' ? '`false`' : 'none'} | ${row.meaning} |`,
  );
  return `# Options by which entries are selected

Written by \`node scripts/options.mjs\` from the table in \`crate/proto/src/options.rs\`, in which each is declared once. The field is that of
the selection in a [request](protocol.md#request): each is critical, a flag is a \`flag\`, a size a \`number\` of at most 2^62.

| option | flag | off | field | default | what |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}

async function files() {
  // Not at the top: this module is loaded before the dependencies are installed.
  const prettier = await import('prettier');
  const rows = options();
  const made = [
    ['ts/selection.ts', apiModule(rows)],
    ['ts/cli/selection.ts', flagsModule(rows)],
    ['docs/options.md', document(rows)],
  ];
  return Promise.all(
    made.map(async ([file, text]) => {
      const path = join(ROOT, file);
      return [path, await prettier.format(text, { ...(await prettier.resolveConfig(path)), filepath: path })];
    }),
  );
}

/** The committed files that are not what the table says. */
export async function staleOptionFiles() {
  const made = await files();
  return made.filter(([path, text]) => readFileSync(path, 'utf8') !== text).map(([path]) => path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await staleOptionFiles()).length === 0 ? 0 : 1;
  else for (const [path, text] of await files()) writeFileSync(path, text);
}
