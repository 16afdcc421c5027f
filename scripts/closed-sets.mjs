// Writes the closed sets of the protocol as the Rust sources declare them, so that no list is kept twice: ts/words.ts for the API,
// and crate/napi/src/words.rs, in which they cross the binding.
//   --check  fails when the committed file is not what the sources say
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { engineKinds } from './error-table.mjs';
import { ROOT } from './process.mjs';

const OUTPUT = 'ts/words.ts';
const BINDING = 'crate/napi/src/words.rs';

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

const MEMBER = /((?:^\s*\/\/\/.*\n)+)(?:\s*#\[.*\]\n)*\s*(\w+) = (\d+), "([\w-]+)";/gm;

function members(body) {
  return [...body.matchAll(MEMBER)].map(([, text, variant, number, word]) => ({
    meaning: prose(text),
    variant,
    number: +number,
    word,
  }));
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

/** The sets by their names in TypeScript. */
export function closedSets() {
  const issues = closedSet('frame/issue.rs', 'IssueKind');
  return [
    ['ACTIONS', words(closedSet('frame/item.rs', 'Action'))],
    ['ENTRY_KINDS', words(closedSet('entry.rs', 'Kind'))],
    ['REASONS', words(reasons())],
    ['FAILURE_CODES', words(issues.filter(({ number }) => number < 128))],
    ['NOTICE_CODES', words(issues.filter(({ number }) => number >= 128))],
    ['COMPARES', words(closedSet('options.rs', 'Compare'))],
    ['DURABILITIES', words(closedSet('options.rs', 'Durability'))],
    ['CHANGINGS', words(closedSet('options.rs', 'Changing'))],
    ['COMPRESSIONS', words(closedSet('options.rs', 'Compression'))],
    ['MISSING_SOURCES', words(closedSet('options.rs', 'MissingSources'))],
    ['ERROR_CODES', [...engineKinds().map(({ code }) => code), 'ERR_SPARSYNC_PLATFORM'], ERROR_CODES_MEANING],
  ];
}

/** The types of those sets that options have. */
const TYPES = [
  ['Compare', 'COMPARES', 'How content is compared.'],
  ['Durability', 'DURABILITIES', 'What is on disk at the end of a run.'],
  ['Changing', 'CHANGINGS', 'What happens to a file that changes each time that it is read.'],
  ['Compression', 'COMPRESSIONS', 'When content is compressed on its way.'],
  ['MissingSources', 'MISSING_SOURCES', 'What a missing source means.'],
];

/** The file as the sources say. */
async function wordsModule() {
  const text = [
    '// Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.',
    ...closedSets().map(
      ([name, list, meaning]) => `${meaning ?? ''}export const ${name} = ${JSON.stringify(list)} as const;`,
    ),
    ...TYPES.map(([type, list, meaning]) => `\n/** ${meaning} */\nexport type ${type} = (typeof ${list})[number];`),
  ].join('\n');
  // Not at the top: this module is loaded before the dependencies are installed.
  const prettier = await import('prettier');
  const config = await prettier.resolveConfig(join(ROOT, OUTPUT));
  return prettier.format(text, { ...config, parser: 'typescript' });
}

/** The sets that options have: they go to the engine. */
const ASKED = [
  ['Direction', 'options.rs', 'Which way the content goes, as the initiator sees it.'],
  ['Compare', 'options.rs', 'How the content of two regular files is compared.'],
  ['Durability', 'options.rs', 'When the writes of a run are on disk.'],
  ['Changing', 'options.rs', 'What happens to a file that changes each time that it is read.'],
  ['Compression', 'options.rs', 'When packs are compressed.'],
  ['MissingSources', 'options.rs', 'What a missing source means.'],
];

/** The sets of events: they come from the engine. */
const TOLD = [
  ['Action', 'frame/item.rs', 'What is done to an entry.'],
  ['Kind', 'entry.rs', 'What an entry is.'],
  ['IssueKind', 'frame/issue.rs', 'Why a path did not arrive, or what a notice is about.'],
];

function declaration(name, meaning, set) {
  return `/// ${meaning}
#[napi(string_enum)]
pub enum Native${name} {
${set.map((each) => `    /// ${each.meaning}\n    #[napi(value = "${each.word}")]\n    ${each.variant},`).join('\n')}
}
`;
}

function told([name, file, meaning]) {
  const set = closedSet(file, name);
  return `${declaration(name, meaning, set)}
impl From<${name}> for Native${name} {
    fn from(member: ${name}) -> Self {
        match member {
${set.map((each) => `            ${name}::${each.variant} => Self::${each.variant},`).join('\n')}
        }
    }
}
`;
}

const camel = (constant) => constant.toLowerCase().replace(/(?:^|_)(\w)/g, (_, letter) => letter.toUpperCase());

/** Reasons are a set of bits in the engine, and a list of words in JavaScript. */
function toldReasons() {
  const set = reasons().map((each) =>
    Object.assign({}, each, { constant: each.variant, variant: camel(each.variant) }),
  );
  return `${declaration('Reason', 'Why an entry is not what it should be.', set)}
impl NativeReason {
    /// The reasons of a set, in the order of their bits.
    pub(crate) fn all(reasons: Reasons) -> Vec<Self> {
        let words = [
${set.map((each) => `            (Reasons::${each.constant}, Self::${each.variant}),`).join('\n')}
        ];
        words.into_iter().filter(|(reason, _)| reasons.intersects(*reason)).map(|(_, word)| word).collect()
    }
}
`;
}

function asked([name, file, meaning]) {
  const set = closedSet(file, name);
  return `${declaration(name, meaning, set)}
impl From<Native${name}> for ${name} {
    fn from(word: Native${name}) -> Self {
        match word {
${set.map((each) => `            Native${name}::${each.variant} => Self::${each.variant},`).join('\n')}
        }
    }
}
`;
}

/** The module of the binding. */
function bindingModule() {
  return `//! Closed sets as words of JavaScript.
//!
//! Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.

use napi_derive::napi;
use sparsync_core::proto::{
    ${[...ASKED, ...TOLD, ['Reasons']]
      .map(([name]) => name)
      .toSorted()
      .join(', ')},
};

${[...ASKED.map(asked), ...TOLD.map(told), toldReasons()].join('\n')}`;
}

async function files() {
  return [
    [OUTPUT, await wordsModule()],
    [BINDING, bindingModule()],
  ].map(([file, text]) => [join(ROOT, file), text]);
}

/** Says whether the committed files are what the sources say. */
export async function wordsAreCurrent() {
  return (await files()).every(([path, text]) => readFileSync(path, 'utf8') === text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) process.exitCode = (await wordsAreCurrent()) ? 0 : 1;
  else for (const [path, text] of await files()) writeFileSync(path, text);
}
