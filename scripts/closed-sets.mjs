// Writes ts/words.ts: the closed sets of the protocol as the Rust sources declare them, so that no list is kept twice.
//   --check  fails when the committed file is not what the sources say
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engineKinds } from './error-table.mjs';
import { ROOT } from './process.mjs';

const OUTPUT = 'ts/words.ts';

const ERROR_CODES_MEANING = `
/**
 * The codes of every error that this package throws, in the order of the engine's own list.
 * They are part of the version promise.
 */
`;

const source = (file) => readFileSync(join(ROOT, 'crate', 'proto', 'src', file), 'utf8');

const prose = (documentation) =>
  documentation
    .replace(/^\s*\/\/\/ ?/gm, '')
    .trim()
    .replaceAll('\n', ' ');

const MEMBER = /((?:^\s*\/\/\/.*\n)+)(?:\s*#\[.*\]\n)*\s*\w+ = (\d+), "([\w-]+)";/gm;

function members(body) {
  return [...body.matchAll(MEMBER)].map(([, text, number, word]) => ({ meaning: prose(text), number: +number, word }));
}

/** The members of a set that a file declares by `closed_set!`. */
function closedSet(file, name) {
  const body = source(file)
    .split('closed_set! {')
    .find((part) => new RegExp(`^    ${name} \\{$`, 'm').test(part));
  if (body === undefined) throw new Error(`${file} declares no closed set ${name}`);
  return members(body.slice(0, body.indexOf('\n}')));
}

function reasons() {
  const [, body] = /^reasons! \{\n([\s\S]*?)\n\}/m.exec(source('reasons.rs'));
  return members(body);
}

const words = (set) => set.map(({ word }) => word);

/** The file as the sources say. */
async function wordsModule() {
  const issues = closedSet('frame/issue.rs', 'IssueKind');
  const sets = [
    ['ACTIONS', words(closedSet('frame/item.rs', 'Action'))],
    ['ENTRY_KINDS', words(closedSet('entry.rs', 'Kind'))],
    ['REASONS', words(reasons())],
    ['FAILURE_CODES', words(issues.filter(({ number }) => number < 128))],
    ['NOTICE_CODES', words(issues.filter(({ number }) => number >= 128))],
    ['COMPARES', words(closedSet('compare.rs', 'Compare'))],
    ['DURABILITIES', words(closedSet('request.rs', 'Durability'))],
    ['COMPRESSIONS', words(closedSet('request.rs', 'Compression'))],
    ['ERROR_CODES', [...engineKinds().map(({ code }) => code), 'ERR_SPARSYNC_PLATFORM'], ERROR_CODES_MEANING],
  ];
  const text = [
    '// Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.',
    ...sets.map(([name, list, meaning]) => `${meaning ?? ''}export const ${name} = ${JSON.stringify(list)} as const;`),
  ].join('\n');
  // Not at the top: this module is loaded before the dependencies are installed.
  const prettier = await import('prettier');
  const config = await prettier.resolveConfig(join(ROOT, OUTPUT));
  return prettier.format(text, { ...config, parser: 'typescript' });
}

/** Says whether the committed file is what the sources say. */
export async function wordsAreCurrent() {
  return readFileSync(join(ROOT, OUTPUT), 'utf8') === (await wordsModule());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await wordsAreCurrent()) ? 0 : 1;
  else writeFileSync(join(ROOT, OUTPUT), await wordsModule());
}
