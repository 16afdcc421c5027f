import type { FilterRule } from '../options.js';
import { bytesOf, textOf } from '../paths.js';
import { readList } from './lists.js';
import type { ParsedFlags, Word } from './parse.js';

/** The flags that add rules where they stand. */
const RULE_FLAGS = ['filter', 'exclude', 'include', 'exclude-from', 'include-from', 'rsync-filter'] as const;

type Rule = string | Uint8Array | FilterRule;

/** The rules of a command line, in its order. */
export function filterOf(flags: ParsedFlags): readonly Rule[] {
  const named = new Map<string, number>();
  const rules = flags.ordered(RULE_FLAGS).flatMap(([name, word]): readonly Rule[] => {
    switch (name) {
      case 'filter':
        return [word];
      case 'exclude':
      case 'include':
        return [patternRule(name, word)];
      case 'exclude-from':
        return flags.on('from0') ? listed(flags, 'exclude', word) : [{ excludeFrom: word }];
      case 'include-from':
        return flags.on('from0') ? listed(flags, 'include', word) : [{ includeFrom: word }];
      case 'rsync-filter':
        return filesOf(word, named);
    }
  });
  // The rules of CVS come last, wherever the flag stands: rules of the command line take precedence over them.
  return flags.on('cvs-exclude') ? [...rules, ':C', '-C'] : rules;
}

/** The rules of `-F`: the first time it names files of rules, the second time it also excludes these files. */
function filesOf(name: Word, named: Map<string, number>): readonly Rule[] {
  const text = textOf(typeof name === 'string' ? bytesOf(name) : name);
  const time = (named.get(text) ?? 0) + 1;
  named.set(text, time);
  if (time === 1)
    return [{ dirMerge: Buffer.concat([Buffer.from('/'), typeof name === 'string' ? bytesOf(name) : name]) }];
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

/** The patterns of a file that are separated by NUL. */
function listed(flags: ParsedFlags, action: 'exclude' | 'include', file: Word): Rule[] {
  return readList(flags, `${action}-from`, file).map((pattern) => patternRule(action, pattern));
}
