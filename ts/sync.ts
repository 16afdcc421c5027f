import { captureCallSite } from './callsite.js';
import { SyncJob } from './job.js';
import { LOCAL_LINK, oneShotLink } from './link.js';
import type { Link } from './link.js';
import { syncSettings } from './settings.js';
import type { SyncOptions } from './options.js';
import type { ConnectSettings } from './settings.js';
import { eachSource } from './paths.js';
import type { Sources } from './paths.js';
import { checkEnds, sourceOf } from './placement.js';
import type { Ends } from './placement.js';
import { taskOf } from './planning.js';
import { Run } from './run.js';
import { parseTarget } from './target.js';
import type { Location, Target } from './target.js';

/**
 * Brings `destination` up to date with `source`. With `delete`, what `source` does not have is deleted from it; otherwise it stays.
 *
 * Either end may be a `sparsync://host[:port]/name/path` URL, where a server shares named roots, or a place that a command leads
 * to: an `ssh://` URL, a {@link ShellPlace} or a {@link CommandPlace}. Two local folders are synced by the same engine without a
 * network. A slash at the end of either has no meaning, unless `into` asks for rsync's rule.
 *
 * @param source - What to read: a path as text, bytes or `file:` URL, or a `sparsync://` URL; or several of them on one
 * machine, which are seen as one tree. See {@link Sources}.
 * @param destination - What to make equal. Its parent must exist.
 * @returns A job, which is awaited for its {@link SyncResult} and iterated for its events. It never throws at once:
 * mistakes in the parameters reject it as well.
 * @throws {@link PartialSyncError} when a path did not arrive, or not with all its attributes, or could not be
 * deleted, unless it merely vanished from the source.
 * @throws {@link ConfigError} for a parameter or option that cannot be used.
 * @throws {@link SparsyncError} of another class for everything else, and `signal.reason` itself after an abort.
 *
 * @example
 * ```ts
 * const result = await sync('/srv/photos', 'sparsync://backup.example/photos', { delete: true, retry: 5 });
 * console.log(result.stats.filesTransferred);
 * ```
 *
 * @example `await sync(['/srv/theme', '/srv/site'], '/srv/www', { delete: true })` // the theme's files come first
 */
export function sync(source: Sources, destination: Location, options?: SyncOptions): SyncJob {
  return new SyncJob(
    new Run(() => {
      const { connect, transfer } = syncSettings(options);
      const ends = parseEnds(sourceOf(source, transfer.batch), destination);
      return taskOf(ends, linkFor(ends, connect), transfer, { operation: 'sync', logger: connect.logger });
    }, captureCallSite()),
  );
}

/** Takes both ends apart and rejects those that no run can serve. */
export function parseEnds(source: Sources, destination: Location): Ends {
  const sources = eachSource<Location, Target>(source, 'source', parseTarget);
  const ends = { sources, destination: parseTarget(destination, 'destination') };
  checkEnds(ends);
  return ends;
}

/** A connection for each attempt, or none when both ends are on this machine. */
export function linkFor({ sources: [source], destination }: Ends, settings: ConnectSettings): Link {
  if (source.kind === 'remote') return oneShotLink(source, settings);
  return destination.kind === 'remote' ? oneShotLink(destination, settings) : LOCAL_LINK;
}
