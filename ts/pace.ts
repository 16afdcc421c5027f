import type { ProgressEvent } from './events.js';
import type { SyncStats } from './stats.js';

/** The time over which the speed is measured for the estimate of the rest. */
const WINDOW_MS = 10_000;

/** The shortest time over which a speed is meaningful. */
const LEAST_MS = 500;

/** The progress of a run, which never goes back, and an estimate of the rest of its time. */
export class Pace {
  #percent: number | undefined;
  /** What was moved at which time, the oldest first, within the window. */
  #looks: (readonly [elapsedMs: number, moved: number])[] = [];

  /** Looks at the counters. */
  look(stats: SyncStats, elapsedMs: number): Pick<ProgressEvent, 'percent' | 'etaMs'> {
    const moved = movedOf(stats);
    this.#looks = this.#looks.filter(([at]) => at >= elapsedMs - WINDOW_MS);
    this.#looks.push([elapsedMs, moved]);
    const total = stats.bytesToTransfer;
    if (total === undefined) return {};
    const percent = total === 0 ? 100 : Math.min(100, Math.floor((moved / total) * 100));
    this.#percent = Math.max(this.#percent ?? 0, percent);
    const etaMs = this.#left(total - moved);
    return { percent: this.#percent, ...(etaMs === undefined ? {} : { etaMs }) };
  }

  #left(bytes: number): number | undefined {
    if (bytes <= 0) return 0;
    const [first, last] = [this.#looks[0], this.#looks.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const [elapsed, moved] = [last[0] - first[0], last[1] - first[1]];
    return elapsed < LEAST_MS || moved <= 0 ? undefined : Math.round((bytes * elapsed) / moved);
  }
}

/** The bytes done of those to be transferred. Content from other trees at the destination does not count. */
export function movedOf({ bytesTransferred, bytesReused, bytesLinked, bytesCopied }: SyncStats): number {
  return bytesTransferred + bytesReused - bytesLinked - bytesCopied;
}
