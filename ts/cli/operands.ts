import { ConfigError } from '../errors.js';
import { joinBytes, textOf } from '../paths.js';
import { meansContent } from '../placement.js';
import { formatRemote, parseTarget } from '../target.js';
import type { Target } from '../target.js';
import type { Word } from './parse.js';

/** One source and the destination. */
export interface Pair {
  readonly source: Target;
  readonly destination: Target;
}

/** Pairs each SRC with DEST. */
export function pairsOf(operands: readonly Word[], deletes: boolean): Pair[] {
  const last = operands.at(-1);
  if (last === undefined || operands.length < 2) {
    throw new ConfigError(operands.length === 0 ? 'SRC and DEST are missing' : 'DEST is missing');
  }
  const sources = operands.slice(0, -1).map(operandTarget);
  const target = operandTarget(last);
  const several = sources.length > 1;
  if (several && deletes && sources.some(meansContent)) {
    throw new ConfigError(
      '--delete with several sources that end with a slash would remove what the others sent: run them one by one',
    );
  }
  const hosts = new Set(
    sources.map((source) => (source.kind === 'remote' ? formatRemote(source.host, source.port) : '')),
  );
  if (hosts.size > 1) throw new ConfigError('all sources must be on the same machine');
  const destination = several ? asDirectory(target) : target;
  return sources.map((source) => ({ source, destination }));
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
