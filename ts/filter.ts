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
  senderOnly: boolean;
}

/** What a rule can do, and the letter that says so. */
const LETTERS = { exclude: '-', include: '+', hide: 'H', show: 'S', protect: 'P', risk: 'R' } as const;

const ACTIONS = ['exclude', 'include', 'hide', 'show', 'protect', 'risk'] as const;

const MODIFIERS = { negate: '!', perishable: 'p' } as const;

/** A list of rules. What their text says is checked by the engine. */
export const filterRules: Check<FilterRules> = (value, name) => {
  const expected = `option ${name} must be a list of rules, as in ["- *.tmp"] or [{ exclude: "*.tmp" }]`;
  const refuse = (found: unknown): never => {
    throw new ConfigError(`${expected}, not ${describe(found)}`, { details: { option: name } });
  };
  if (!Array.isArray(value)) return refuse(value);
  return value.map((rule: unknown) => (isRule(rule) ? rule : refuse(rule)));
};

/** The rules in the form of the engine. */
export function nativeRules(rules: FilterRules): NativeRule[] {
  return rules.map((rule) => ({ text: textOfRule(rule), senderOnly: false }));
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

function isRule(value: unknown): value is FilterRules[number] {
  if (isText(value)) return true;
  if (!isPlain(value)) return false;
  const entries = Object.entries(value).filter(([, said]) => said !== undefined);
  const isAction = ([key, said]: [string, unknown]): boolean => Object.hasOwn(LETTERS, key) && isText(said);
  const isModifier = ([key, said]: [string, unknown]): boolean =>
    Object.hasOwn(MODIFIERS, key) && typeof said === 'boolean';
  return entries.filter(isAction).length === 1 && entries.every((entry) => isAction(entry) || isModifier(entry));
}

function textOfRule(rule: FilterRules[number]): Uint8Array {
  if (typeof rule === 'string') return bytesOf(rule);
  if (rule instanceof Uint8Array) return rule;
  const action = ACTIONS.find((each) => rule[each] !== undefined) ?? 'exclude';
  const pattern = rule[action] ?? '';
  const modifiers = `${rule.negate === true ? MODIFIERS.negate : ''}${rule.perishable === true ? MODIFIERS.perishable : ''}`;
  const start = bytesOf(`${LETTERS[action]}${modifiers} `);
  return Buffer.concat([start, typeof pattern === 'string' ? bytesOf(pattern) : pattern]);
}
