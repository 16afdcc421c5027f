import { toDecided } from './convert.js';
import { ConfigError, fromNative } from './errors.js';
import { loadNative } from './native.js';
import type { NativeExplanation } from './native.js';
import type { PlanOptions } from './options.js';
import { bytesOf, describe, textOf } from './paths.js';
import type { Sources } from './paths.js';
import { kindProbe, place } from './placement.js';
import { engineRequest } from './request.js';
import { planSettings } from './settings.js';
import { linkFor, parseEnds } from './sync.js';
import type { Location } from './target.js';

/** What one end of a run says of a path: which rule of the filter decides about it there. */
export interface Explanation {
  /** The end. */
  readonly side: 'source' | 'destination';
  /** The path that the rule is for: the one that was asked about, or a directory above it that does not belong to the run. */
  readonly path: string;
  /** Whether something stands there, at this end. */
  readonly exists: boolean;
  /** At the source: whether it is sent. At the destination: whether it may be deleted when the source does not have it. */
  readonly included: boolean;
  /** The rule in rsync's text; `undefined` when none matches, and what no rule matches belongs to the run. */
  readonly rule: string | undefined;
  /** The file in which the rule stands, where it stands in one. */
  readonly file: string | undefined;
  /** Its line there, from 1. */
  readonly line: number | undefined;
  /** The place in the option `filter`, from 0, of the rule or of what names its file. */
  readonly index: number | undefined;
}

/**
 * Says which rule of a filter decides about a path, at both ends of a run: for the source whether the path is sent, for the
 * destination whether it may be deleted. Nothing is written, and no content is read but that of files of rules.
 *
 * @param path - Relative to the top of the transfer, as in the items of a plan.
 * @returns The source's explanation, then the destination's.
 * @throws {@link ConfigError} for a parameter or option that cannot be used, or a rule of a file that cannot be taken.
 *
 * @example
 * ```ts
 * const [source] = await explain('./site', '/srv/site', 'cache/a.tmp', { filter: [{ dirMerge: '.rsync-filter' }] });
 * console.log(source.included, source.rule, source.file, source.line);
 * ```
 */
export async function explain(
  source: Sources,
  destination: Location,
  path: string | Uint8Array,
  options?: PlanOptions,
): Promise<readonly [Explanation, Explanation]> {
  const { connect, transfer } = planSettings(options);
  const ends = parseEnds(source, destination);
  const asked = explainedPath(path);
  const native = await loadNative();
  const link = await linkFor(ends, connect).open();
  let failure: unknown;
  try {
    const { client } = link;
    const probe = kindProbe(async (remote) => client?.stat(remote.root, remote.path, transfer.timeoutMs));
    const placement = await place(ends, transfer, probe);
    const request = engineRequest(placement, transfer, { items: false, lossless: false });
    const told = await (client === undefined
      ? native.explain(request, placement.localDestination, asked)
      : client.explain(request, asked));
    const [ours, theirs] = told.map(explanationOf);
    if (ours === undefined || theirs === undefined) throw new TypeError('an end that says nothing');
    return [ours, theirs];
  } catch (error) {
    failure = fromNative(error);
    throw failure;
  } finally {
    await link.release(failure);
  }
}

function explanationOf(told: NativeExplanation): Explanation {
  return { ...toDecided(told), path: textOf(told.path), exists: told.exists };
}

/** The path to be explained. It may be empty, for the top. */
function explainedPath(path: unknown): Uint8Array {
  const asked = typeof path === 'string' ? bytesOf(path) : path;
  if (!(asked instanceof Uint8Array)) {
    throw new ConfigError(`path must be a string or a Uint8Array, not ${describe(path)}`);
  }
  if (asked.includes(0)) throw new ConfigError('path contains a NUL byte', { path: textOf(asked) });
  return asked;
}
