import { readFileSync } from 'node:fs';

import { IoError } from '../errors.js';
import type { FilterRule } from '../options.js';
import { bytesOf, textOf } from '../paths.js';
import type { ParsedFlags, Word } from './parse.js';

/** The flags that add rules. */
const RULE_FLAGS = ['filter', 'exclude', 'include', 'exclude-from', 'include-from'] as const;

type Rule = string | Uint8Array | FilterRule;

/** The rules of a command line, in its order. */
export function filterOf(flags: ParsedFlags): readonly Rule[] {
  return flags.ordered(RULE_FLAGS).flatMap(([name, word]): readonly Rule[] => {
    switch (name) {
      case 'filter':
        return [word];
      case 'exclude':
      case 'include':
        return [patternRule(name, word)];
      case 'exclude-from':
        return fileRules('exclude', word);
      case 'include-from':
        return fileRules('include', word);
    }
  });
}

/** A pattern as rsync reads it there: `- ` or `+ ` at its start say what it is, and `!` alone forgets all before it. */
function patternRule(action: 'exclude' | 'include', pattern: Word): Rule {
  const text = typeof pattern === 'string' ? pattern : textOf(pattern);
  if (text === '!' || /^[-+] /.test(text)) return pattern;
  return action === 'exclude' ? { exclude: pattern } : { include: pattern };
}

/** The patterns of a file, one a line. Empty lines and those that begin with `#` or `;` are comments. */
function fileRules(action: 'exclude' | 'include', file: Word): Rule[] {
  const path = typeof file === 'string' ? bytesOf(file) : file;
  let content: Buffer;
  try {
    content = readFileSync(textOf(path) === '-' ? 0 : Buffer.from(path));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new IoError(`cannot read the patterns of --${action}-from: ${why}`, {
      code: 'ERR_SPARSYNC_IO',
      cause: error,
    });
  }
  return linesOf(content)
    .filter((line) => line.length > 0 && line[0] !== 0x23 && line[0] !== 0x3b)
    .map((line) => patternRule(action, line));
}

function linesOf(content: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  while (start < content.length) {
    const found = content.indexOf(0x0a, start);
    const end = found === -1 ? content.length : found;
    lines.push(content.subarray(start, content[end - 1] === 0x0d && end > start ? end - 1 : end));
    start = end + 1;
  }
  return lines;
}
