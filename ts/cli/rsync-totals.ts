import type { SyncStats } from '../stats.js';
import { shownNumber, shownRate } from './numbers.js';

/** What the totals of a run are made of. */
export interface Totals {
  readonly stats: SyncStats;
  readonly durationMs: number;
  readonly dryRun: boolean;
  /** Whether nothing was written but a batch. */
  readonly batchOnly: boolean;
  /** Whether the top of the tree is an entry of a source. */
  readonly hasTop: boolean;
}

/** The lines of `--stats`, which are rsync's. */
export function statsLines({ stats, hasTop, dryRun }: Totals, level: number): string[] {
  const directories = Math.max(0, stats.directoriesSource - (hasTop ? 0 : 1));
  const total = stats.entriesSource + (hasTop ? 1 : 0);
  const others = stats.symlinksSource + stats.devicesSource + stats.specialsSource;
  const deleted = stats.symlinksDeleted + stats.devicesDeleted + stats.specialsDeleted;
  const bytes = (value: number): string => `${shownNumber(value, level)} bytes`;
  const lines: readonly (readonly [string, string])[] = [
    [
      'Number of files',
      byKind(
        level,
        total - directories - others,
        directories,
        stats.symlinksSource,
        stats.devicesSource,
        stats.specialsSource,
      ),
    ],
    [
      'Number of created files',
      byKind(level, stats.filesNew, stats.directoriesNew, stats.symlinksNew, stats.devicesNew, stats.specialsNew),
    ],
    [
      'Number of deleted files',
      byKind(
        level,
        stats.filesDeleted - deleted,
        stats.directoriesDeleted,
        stats.symlinksDeleted,
        stats.devicesDeleted,
        stats.specialsDeleted,
      ),
    ],
    ['Number of regular files transferred', shownNumber(stats.filesTransferred, level)],
    ['Total file size', bytes(totalSize(stats))],
    ['Total transferred file size', bytes(stats.bytesToTransfer ?? stats.bytesTransferred)],
    ['Literal data', bytes(dryRun ? 0 : stats.bytesTransferred)],
    ['Matched data', bytes(dryRun ? 0 : stats.bytesReused)],
    ['File list size', '0'],
    ['File list generation time', '0.000 seconds'],
    ['File list transfer time', '0.000 seconds'],
    ['Total bytes sent', shownNumber(stats.bytesSent, level)],
    ['Total bytes received', shownNumber(stats.bytesReceived, level)],
  ];
  return lines.map(([name, value]) => `${name}: ${value}`);
}

/** The two lines at the end of `-v`, which are rsync's. */
export function totalLines({ stats, durationMs, dryRun, batchOnly }: Totals, level: number): [string, string] {
  const wire = stats.bytesSent + stats.bytesReceived;
  const size = totalSize(stats);
  // As in rsync, half a second is added to the duration, so that it is never zero.
  const rate = wire / (0.5 + Math.trunc(durationMs / 1000));
  const number = (value: number): string => shownNumber(value, level);
  const note = dryRun ? ' (DRY RUN)' : batchOnly ? ' (BATCH ONLY)' : '';
  return [
    `sent ${number(stats.bytesSent)} bytes  received ${number(stats.bytesReceived)} bytes  ${shownRate(rate, level)} bytes/sec`,
    `total size is ${number(size)}  speedup is ${shownRate(wire === 0 ? 0 : size / wire, level)}${note}`,
  ];
}

/** Bytes of the source: the content of files, and the targets of symlinks. */
export function totalSize(stats: SyncStats): number {
  return (stats.bytesTotal ?? 0) + stats.symlinkBytes;
}

/** A count of entries, and how many of them are of each kind. */
function byKind(level: number, ...counts: readonly [number, number, number, number, number]): string {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const kinds = ['reg', 'dir', 'link', 'dev', 'special'].flatMap((kind, at) =>
    (counts[at] ?? 0) > 0 ? [`${kind}: ${shownNumber(counts[at] ?? 0, level)}`] : [],
  );
  return kinds.length === 0 ? '0' : `${shownNumber(total, level)} (${kinds.join(', ')})`;
}
