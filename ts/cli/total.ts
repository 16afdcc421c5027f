import type { SyncResult } from '../events.js';
import type { SyncStats } from '../stats.js';

/** One summary over several sources; none when nothing was run. */
export function total(results: readonly SyncResult[]): SyncResult | undefined {
  const [first, ...rest] = results;
  if (first === undefined || rest.length === 0) return first;
  const sum = structuredClone(first);
  for (const next of rest) {
    sum.stats = addStats(sum.stats, next.stats);
    sum.failures.push(...next.failures);
    sum.failuresDropped += next.failuresDropped;
    sum.vanishedOnly ||= next.vanishedOnly;
    sum.warnings.push(...next.warnings);
    sum.attempts += next.attempts - 1;
    sum.durationMs += next.durationMs;
  }
  return sum;
}

function addStats(left: SyncStats, right: SyncStats): SyncStats {
  const added: Record<string, number> = {};
  for (const [name, value] of Object.entries(right)) {
    const before: unknown = Reflect.get(left, name);
    if (typeof value === 'number') added[name] = value + (typeof before === 'number' ? before : 0);
  }
  return { ...left, ...added };
}
