import type { FilterRule } from '../options.js';
import { bytesOf, textOf } from '../paths.js';
import type { ParsedFlags, Word } from './parse.js';

/** The flags that add rules where they stand. */
const RULE_FLAGS = ['filter', 'exclude', 'include', 'exclude-from', 'include-from', 'rsync-filter'] as const;

type Rule = string | Uint8Array | FilterRule;

/** The rules of a command line, in its order. */
export function filterOf(flags: ParsedFlags): readonly Rule[] {
  const named = new Map<string, number>();
  const from0 = { merged: false, inTree: flags.on('from0') };
  const rules = flags.ordered([...RULE_FLAGS, 'from0']).flatMap(([name, word]) => {
    if (name !== 'from0') return rulesOf(name, word, named, from0);
    from0.merged = word.length > 0;
    return [];
  });
  // The rules of CVS come last, wherever the flag stands: rules of the command line take precedence over them.
  return flags.on('cvs-exclude') ? [...rules, ':C', '-C'] : rules;
}

/**
 * Whether a NUL ends the rules of files: of those that a flag merges if `--from0` stands before it, for as in rsync they are read
 * where they are named, and of those in the tree wherever it stands.
 */
interface From0 {
  readonly merged: boolean;
  readonly inTree: boolean;
}

/** The rules that one flag adds. */
function rulesOf(
  flag: (typeof RULE_FLAGS)[number],
  word: Word,
  named: Map<string, number>,
  { merged, inTree }: From0,
): readonly Rule[] {
  switch (flag) {
    // As in rsync what is empty is no rule.
    case 'filter':
      return word.length === 0 ? [] : [{ rule: word, from0: /^:|^dir-merge\b/.test(textOf(word)) ? inTree : merged }];
    case 'exclude':
    case 'include':
      return word.length === 0 ? [] : [patternRule(flag, word)];
    case 'exclude-from':
      return [{ excludeFrom: word, from0: merged }];
    case 'include-from':
      return [{ includeFrom: word, from0: merged }];
    case 'rsync-filter':
      return filesOf(word, named, inTree);
  }
}

/** The rules of `-F`: the first time it names files of rules, the second time it also excludes these files. */
function filesOf(name: Word, named: Map<string, number>, from0: boolean): readonly Rule[] {
  const bytes = typeof name === 'string' ? bytesOf(name) : name;
  const text = textOf(bytes);
  const time = (named.get(text) ?? 0) + 1;
  named.set(text, time);
  if (time === 1) return [{ dirMerge: Buffer.concat([Buffer.from('/'), bytes]), from0 }];
  return time === 2 ? [{ exclude: name }] : [];
}

/**
 * A pattern as rsync reads it: `- ` or `+ ` in front of it sets the action, and a `!` alone clears all rules before it.
 */
function patternRule(action: 'exclude' | 'include', pattern: Word): Rule {
  const text = textOf(pattern);
  if (text === '!' || /^[-+] /.test(text)) return pattern;
  return action === 'exclude' ? { exclude: pattern } : { include: pattern };
}
