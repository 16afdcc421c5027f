import { ConfigError } from '../errors.js';
import { recordOf } from '../record.js';
import type { ParsedFlags } from './parse.js';

/** The words of `--info`, and their meanings. */
const INFO = {
  backup: 'Mention files backed up',
  copy: 'Mention files copied locally on the receiving side',
  del: 'Mention deletions on the receiving side',
  flist: 'Mention file-list receiving/sending (levels 1-2)',
  misc: 'Mention miscellaneous information (levels 1-2)',
  mount: 'Mention mounts that were found or skipped',
  name: 'Mention 1) updated file/dir names, 2) unchanged names',
  nonreg: 'Mention skipped non-regular files (default 1, 0 disables)',
  progress: 'Mention 1) per-file progress or 2) total transfer progress',
  remove: 'Mention files removed on the sending side',
  skip: 'Mention files skipped due to transfer overrides (levels 1-2)',
  stats: 'Mention statistics at end of run (levels 1-3)',
  symsafe: 'Mention symlinks that are unsafe',
} as const;

type InfoWord = keyof typeof INFO;

// An object's keys are known to be no more than what was written there.
const WORDS = Object.keys(INFO) as InfoWord[];

/**
 * What is said by a word of `--debug`: how files are sent, what of their content matched, what rules of a filter decide, where is looked
 * for what is to be deleted.
 */
const SAID_BY_DEBUG = { flist: 'delta', deltasum: 'matches', filter: 'filter', del: 'deletes' } as const;

type DebugWord = keyof typeof SAID_BY_DEBUG;

const DEBUG_HELP: Readonly<Record<DebugWord, string>> = {
  del: 'Mention where is looked for what is to be deleted',
  deltasum: 'Mention how much of the content of files matched',
  filter: 'Mention what filter rules decide',
  flist: 'Mention how files are sent',
};

/** How much is told of each. */
export type InfoLevels = Readonly<Record<InfoWord | (typeof SAID_BY_DEBUG)[DebugWord], number>>;

/** What each `-v` adds. */
const AT_VERBOSITY: readonly (readonly (readonly [InfoWord, number])[])[] = [
  [['nonreg', 1]],
  (['copy', 'del', 'flist', 'misc', 'name', 'stats', 'symsafe'] as const).map((word) => [word, 1] as const),
  [
    ['backup', 1],
    ['misc', 2],
    ['mount', 1],
    ['name', 2],
    ['remove', 1],
    ['skip', 1],
  ],
];

/** The words of `--debug`. Nothing here has anything to say to most of them. */
const DEBUG: ReadonlySet<string> = new Set(
  'acl backup bind chdir connect cmd del deltasum dup exit filter flist fuzzy genr hash hlink iconv io nstr own proto recv send time all none help'.split(
    ' ',
  ),
);

/** The levels of output that `-v`, `-q`, `--progress`, `--stats` and `--info` give together. */
export function infoLevels(flags: ParsedFlags): InfoLevels {
  const levels = allAt(0);
  const raise = (word: InfoWord, level: number): void => {
    levels[word] = Math.max(levels[word], level);
  };
  const verbosity = flags.times('verbose');
  for (const [word, level] of AT_VERBOSITY.slice(0, verbosity + 1).flat()) raise(word, level);
  if (flags.on('stats')) raise('stats', 2);
  if (flags.on('progress')) for (const word of ['flist', 'name', 'progress'] as const) raise(word, 1);
  for (const [word, level] of given(flags, 'info')) {
    if (isInfo(word)) levels[word] = level;
    else if (word === 'all' || word === 'none') Object.assign(levels, allAt(word === 'none' ? 0 : level));
    else if (word !== 'help') throw unknown('info', word);
  }
  const debugged = debugLevels(flags);
  // Only what has gone wrong is left then.
  return flags.on('quiet') ? { ...allAt(0), ...debugAt(0) } : { ...levels, ...debugged };
}

/** What the words of `--debug` say; `-vv` stands for those that have something to say. */
function debugLevels(flags: ParsedFlags): Record<(typeof SAID_BY_DEBUG)[DebugWord], number> {
  const standard = flags.times('verbose') > 1 ? 1 : 0;
  const levels = debugAt(standard);
  for (const [word, level] of given(flags, 'debug')) {
    if (!DEBUG.has(word)) throw unknown('debug', word);
    if (word === 'all' || word === 'none') Object.assign(levels, debugAt(word === 'none' ? 0 : level));
    else if (isSaidByDebug(word)) levels[SAID_BY_DEBUG[word]] = level;
  }
  return levels;
}

/** What the words of `--debug` say, all at the same level. */
function debugAt(level: number): Record<(typeof SAID_BY_DEBUG)[DebugWord], number> {
  return { delta: level, matches: level, filter: level, deletes: level };
}

function isSaidByDebug(word: string): word is DebugWord {
  return Object.hasOwn(SAID_BY_DEBUG, word);
}

/** Each word at the same level. */
function allAt(level: number): Record<InfoWord, number> {
  return recordOf(WORDS, () => level);
}

/** The words of a flag with their levels. */
function given(flags: ParsedFlags, flag: 'info' | 'debug'): (readonly [string, number])[] {
  return flags.all(flag).flatMap((list) =>
    list
      .split(',')
      .filter((word) => word !== '')
      .map((word) => {
        const [, name = '', level = ''] = /^(.*?)(\d*)$/.exec(word.toLowerCase()) ?? [];
        return [name, level === '' ? 1 : Number(level)] as const;
      }),
  );
}

function isInfo(word: string): word is InfoWord {
  return Object.hasOwn(INFO, word);
}

function unknown(flag: string, word: string): ConfigError {
  return new ConfigError(`unknown --${flag} item: ${JSON.stringify(word)}; --${flag}=help lists them`);
}

/** The format of the lines, where there is one. */
export function formatOf(flags: ParsedFlags): string | undefined {
  return flags.text('out-format') ?? (flags.on('itemize-changes') ? '%i %n%L' : undefined);
}

/** How numbers are shown: 0 as digits, 1 with thousands apart, 2 and 3 with units. */
export function numberLevel(flags: ParsedFlags): number {
  return flags.given('human-readable') === false ? 0 : Math.min(3, 1 + flags.times('human-readable'));
}

/** Whether only the meanings of a flag's words are asked for. */
export function wantsHelp(flags: ParsedFlags, flag: 'info' | 'debug'): boolean {
  return given(flags, flag).some(([word]) => word === 'help');
}

const line = (word: string, means: string): string => `${word.toUpperCase().padEnd(10)} ${means}`;

const LEVELS = 'Use OPT or OPT1 for level 1 output, OPT2 for level 2, etc.; OPT0 silences.';

/** What each flag takes besides its own words. */
const forAll = (flag: 'info' | 'debug'): string[] => [
  line('all', `Set all --${flag} options (e.g. all4)`),
  line('none', `Silence all --${flag} options (same as all0)`),
  line('help', 'Output this help message'),
];

/** What the words of `--debug` mean. */
export function debugHelp(): string {
  const others = [...DEBUG].filter((word) => !isSaidByDebug(word) && !['all', 'none', 'help'].includes(word));
  return [
    LEVELS,
    '',
    ...Object.entries(DEBUG_HELP).map(([word, means]) => line(word, means)),
    '',
    ...forAll('debug'),
    '',
    `Taken, with nothing to say: ${others.join(' ').toUpperCase()}`,
  ].join('\n');
}

/** What the words of `--info` mean. */
export function infoHelp(): string {
  const added = AT_VERBOSITY.map((words, at) => {
    const names = words.map(([word, level]) => `${word.toUpperCase()}${level > 1 ? level : ''}`);
    return `${at}) ${names.join(',')}`;
  });
  return [
    LEVELS,
    '',
    ...Object.entries(INFO).map(([word, means]) => line(word, means)),
    '',
    ...forAll('info'),
    '',
    'Options added at each level of verbosity:',
    ...added,
  ].join('\n');
}
