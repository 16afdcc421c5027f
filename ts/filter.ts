import type { Check } from './check.js';
import { isPlain } from './check.js';
import { ConfigError } from './errors.js';
import type { FilterRule } from './options.js';
import { bytesOf, describe } from './paths.js';

/** Rules as the API takes them: rsync's text, or one object each. */
export type FilterRules = readonly (string | Uint8Array | FilterRule)[];

/** A rule as the engine takes it. */
export interface NativeRule {
  text: Uint8Array;
  include?: boolean;
  isFile: boolean;
  senderOnly: boolean;
  from0: boolean;
}

/** The rule that a text is. */
export const ruleOf = (text: Uint8Array): NativeRule => ({ text, isFile: false, senderOnly: false, from0: false });

/** What a rule can do, and the letter that says so. */
const LETTERS = {
  exclude: '-',
  include: '+',
  hide: 'H',
  show: 'S',
  protect: 'P',
  risk: 'R',
  mergeFile: '.',
  dirMerge: ':',
} as const;

/** Files of patterns, and what those are. */
const PATTERN_FILES = { excludeFrom: false, includeFrom: true } as const;

const ACTIONS = ['exclude', 'include', 'hide', 'show', 'protect', 'risk', 'mergeFile', 'dirMerge'] as const;

const FILES: readonly string[] = ['mergeFile', 'dirMerge'];

/** Modifiers that are on or off, and their letters. */
const SWITCHES = {
  negate: '!',
  perishable: 'p',
  absolute: '/',
  xattr: 'x',
  cvs: 'C',
  wordSplit: 'w',
  noInherit: 'n',
  excludeSelf: 'e',
} as const;

const OF_FILES: readonly string[] = ['cvs', 'wordSplit', 'noInherit', 'excludeSelf', 'patterns'];

const ENDS = { sender: 's', receiver: 'r' } as const;

const PATTERNS = { exclude: '-', include: '+' } as const;

/** A list of rules. The engine checks the text of each. */
export const filterRules: Check<FilterRules> = (value, name) => {
  const expected = `option ${name} must be a list of rules, as in ["- *.tmp"] or [{ exclude: "*.tmp" }]`;
  const refuse = (found: unknown): never => {
    throw new ConfigError(`${expected}, not ${describe(found)}`, { details: { option: name } });
  };
  if (!Array.isArray(value)) return refuse(value);
  // Unlike `map`, this does not skip the holes of an array.
  return Array.from(value, (rule: unknown) => (isRule(rule) ? rule : refuse(rule)));
};

/** The rules in the form of the engine. */
export function nativeRules(rules: FilterRules): NativeRule[] {
  return rules.map((rule) => {
    if (isText(rule)) return ruleOf(bytes(rule));
    const from0 = rule.from0 ?? false;
    if (rule.rule !== undefined) return { ...ruleOf(bytes(rule.rule)), from0 };
    for (const from of ['excludeFrom', 'includeFrom'] as const) {
      const file = rule[from];
      if (file !== undefined) return { ...ruleOf(bytes(file)), include: PATTERN_FILES[from], isFile: true, from0 };
    }
    return { ...ruleOf(textOfRule(rule)), from0 };
  });
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function isRule(value: unknown): value is FilterRules[number] {
  if (isText(value)) return true;
  if (!isPlain(value)) return false;
  const entries = Object.entries(value).filter(([, said]) => said !== undefined);
  const isAction = (key: string): boolean =>
    key === 'rule' || Object.hasOwn(LETTERS, key) || Object.hasOwn(PATTERN_FILES, key);
  const actions = entries.filter(([key, said]) => isAction(key) && isText(said));
  const [action, ...others] = actions.map(([key]) => key);
  if (action === undefined || others.length > 0) return false;
  return entries.every(([key, said]) => key === action || isModifier(key, said, action));
}

/** Whether a modifier exists, and is allowed for the action of the rule. */
function isModifier(key: string, said: unknown, action: string): boolean {
  const isFile = FILES.includes(action);
  const hasNoOther = action === 'rule' || Object.hasOwn(PATTERN_FILES, action);
  if (key === 'from0') return (isFile || hasNoOther) && typeof said === 'boolean';
  if (hasNoOther) return false;
  if (OF_FILES.includes(key) && !isFile) return false;
  if (key === 'negate' && isFile) return false;
  if (key === 'end') return typeof said === 'string' && Object.hasOwn(ENDS, said) && hasBothEnds(action);
  if (key === 'patterns') return typeof said === 'string' && Object.hasOwn(PATTERNS, said);
  return Object.hasOwn(SWITCHES, key) && typeof said === 'boolean';
}

function hasBothEnds(action: string): boolean {
  return ['exclude', 'include', ...FILES].includes(action);
}

function textOfRule(rule: FilterRule): Uint8Array {
  const action = ACTIONS.find((each) => rule[each] !== undefined) ?? 'exclude';
  const switches = Object.entries(SWITCHES).map(([name, letter]) =>
    rule[name as keyof typeof SWITCHES] === true ? letter : '',
  );
  const end = rule.end === undefined ? '' : ENDS[rule.end];
  const patterns = rule.patterns === undefined ? '' : PATTERNS[rule.patterns];
  const start = bytesOf(`${LETTERS[action]}${switches.join('')}${end}${patterns} `);
  return Buffer.concat([start, bytes(rule[action] ?? '')]);
}

function bytes(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? bytesOf(text) : text;
}
