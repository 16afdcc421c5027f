import { toFailure, toFailureCounts, toWarning } from './convert.js';
import { DeleteRefusedError, MaxDeleteError, NotFoundError, PartialSyncError } from './errors.js';
import type { ErrorDetails } from './errors.js';
import type { FailureCode, FailureCounts, SyncResult } from './events.js';
import { shownFailure, textOf, withoutTrailingSlash } from './paths.js';
import type { NativeResult } from './native.js';
import { toSyncProfile } from './profile-convert.js';
import { toStats } from './stats.js';
import type { Counters } from './stats.js';
import type { Transport } from './transports.js';
import { FAILURE_CODES } from './words.js';

/** The facts of a run besides the report of its last attempt. */
export interface RunFacts {
  /** Counters of all attempts. */
  readonly counters: Counters;
  readonly attempts: number;
  readonly durationMs: number;
  readonly dryRun: boolean;
  readonly direction: 'push' | 'pull' | 'local';
  readonly transport: Transport;
}

/** The summary of a run out of its last attempt. */
export function toResult(native: NativeResult, facts: RunFacts): SyncResult {
  const profile = toSyncProfile(facts.direction, native.profile);
  return {
    stats: toStats(facts.counters),
    failures: native.failures.map(toFailure),
    failuresDropped: native.failuresDropped,
    failureCounts: toFailureCounts(native.failureCounts),
    vanishedOnly: native.vanishedOnly,
    warnings: native.warnings.filter(({ code }) => !isOfSnapshot(code)).map(toWarning),
    attempts: facts.attempts,
    durationMs: facts.durationMs,
    dryRun: facts.dryRun,
    transport: facts.transport,
    ...(profile === undefined ? {} : { profile }),
    ...snapshotOf(native),
  };
}

const isOfSnapshot = (code: string | undefined): boolean => code === 'snapshot' || code === 'snapshot-removed';

/** The snapshots that a run made and removed, which its end reports as notices. */
function snapshotOf({ warnings }: NativeResult): Pick<SyncResult, 'snapshot'> {
  const made = warnings.find(({ code }) => code === 'snapshot');
  const removed = warnings.filter(({ code }) => code === 'snapshot-removed').map(({ path }) => path);
  return made === undefined ? {} : { snapshot: { name: made.path, removed } };
}

/** Throws if a run that has finished did not do everything that it was asked for. */
export function assertComplete(native: NativeResult, result: SyncResult, localSources: readonly Uint8Array[]): void {
  if (native.deleteRefused !== undefined) {
    throw new DeleteRefusedError(native.deleteRefused, {
      code: 'ERR_SPARSYNC_DELETE_REFUSED',
      details: JSON.parse(native.deleteRefusedDetails ?? '{}') as ErrorDetails,
      ...(native.deleteRefusedPath === undefined ? {} : { path: native.deleteRefusedPath }),
      result,
    });
  }
  const missing = result.failures.find(({ code }) => code === 'missing');
  if (missing !== undefined) {
    // An issue has no slash in front of its path.
    const absolute = `/${missing.path}`;
    const isLocal = localSources.some((source) => textOf(withoutTrailingSlash(source)) === absolute);
    throw new NotFoundError(`${missing.message}; the other sources were transferred, and nothing was deleted`, {
      code: 'ERR_SPARSYNC_NOT_FOUND',
      path: isLocal ? absolute : missing.path,
      pathBytes: missing.pathBytes,
      side: missing.side,
      details: { end: 'source' },
      result,
    });
  }
  if (native.partial && !native.vanishedOnly) {
    const first = result.failures[0];
    const { path, message } = shownFailure(first ?? { path: '', message: '' });
    const example = first === undefined ? '' : `, the first being ${JSON.stringify(path)}: ${message}`;
    const limit = native.maxDeleteReached === undefined ? '' : `; ${native.maxDeleteReached}`;
    throw new PartialSyncError(`${whatIsMissing(result)}${example}${limit}`, result);
  }
  if (native.maxDeleteReached !== undefined) {
    throw new MaxDeleteError(native.maxDeleteReached, {
      code: 'ERR_SPARSYNC_MAX_DELETE',
      result,
    });
  }
}

/** Kinds of failures after which the content is in place, with their meanings. */
const ARRIVED: readonly (readonly [readonly FailureCode[], string])[] = [
  [['attributes', 'attributes-unread'], 'arrived without all attributes'],
  [['delete'], 'could not be deleted'],
  [['source-kept'], 'could not be removed from the source'],
];

/** How many paths failed, by the meaning of the failures. */
function whatIsMissing({ failureCounts }: SyncResult): string {
  const lesser = ARRIVED.flatMap(([codes]) => codes);
  const missing = FAILURE_CODES.filter((code) => !lesser.includes(code));
  return [[missing, 'did not arrive'] as const, ...ARRIVED]
    .map(([codes, what]) => [sumOf(failureCounts, codes), what] as const)
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${count === 1 ? 'path' : 'paths'} ${what}`)
    .join(', ');
}

const sumOf = (counts: FailureCounts, codes: readonly FailureCode[]): number =>
  codes.reduce((sum, code) => sum + (counts[code] ?? 0), 0);
