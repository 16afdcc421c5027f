import { ConfigError } from '../errors.js';
import { joinBytes, textOf } from '../paths.js';
import { checkEnds } from '../placement.js';
import type { Ends } from '../placement.js';
import { parseTarget } from '../target.js';
import type { Target } from '../target.js';
import type { Word } from './parse.js';

/** Takes SRC... and DEST apart. */
export function endsOf(operands: readonly Word[]): Ends {
  const last = operands.at(-1);
  const [first, ...others] = operands.slice(0, -1).map(operandTarget);
  if (last === undefined || first === undefined) {
    throw new ConfigError(operands.length === 0 ? 'SRC and DEST are missing' : 'DEST is missing');
  }
  const target = operandTarget(last);
  const ends: Ends = { sources: [first, ...others], destination: others.length > 0 ? asDirectory(target) : target };
  checkEnds(ends);
  return ends;
}

/** Several sources can only go into a directory. */
function asDirectory(target: Target): Target {
  if (target.kind === 'remote') return { ...target, trailingSlash: true };
  return { kind: 'local', path: joinBytes(target.path, Buffer.from('/')) };
}

/** Takes SRC or DEST apart, and catches what rsync would understand and this command would take for a local name. */
export function operandTarget(word: Word): Target {
  const target = parseTarget(word, 'SRC or DEST');
  const text = target.kind === 'local' ? textOf(target.path) : '';
  const host = /^((?:[^/:@]+@)?[^/:]+):/.exec(text)?.[1];
  if (host !== undefined) {
    throw new ConfigError(
      `${JSON.stringify(text)} looks like a place on a host: that is written sparsync://${host.replace(/^.*@/, '')}/ROOT/PATH, and a local name with a colon ./${text}`,
    );
  }
  return target;
}
