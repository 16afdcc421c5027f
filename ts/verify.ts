import { captureCallSite } from './callsite.js';
import type { PlanItem } from './events.js';
import { verifySettings } from './settings.js';
import type { VerifyOptions } from './options.js';
import type { Sources } from './paths.js';
import { Run } from './run.js';
import type { SyncStats } from './stats.js';
import { linkFor, parseEnds } from './sync.js';
import type { Location } from './target.js';

/** What a comparison found. */
export interface VerifyResult {
  /** Whether source and destination are equal in everything that was compared. */
  equal: boolean;
  /** Paths that differ, are missing or are extra. */
  differences: number;
  /** Paths that were not compared, because their kind is not preserved. */
  skipped: number;
  /** The counters. */
  stats: SyncStats;
  /** Time from the call to the end in milliseconds. */
  durationMs: number;
}

/**
 * A comparison under way. Await it for its summary, or iterate it for the differences as well.
 */
export class Verification implements PromiseLike<VerifyResult>, AsyncIterable<PlanItem> {
  /** The summary; what awaiting the comparison itself gives. */
  readonly result: Promise<VerifyResult>;
  readonly #run: Run;
  readonly #items: AsyncGenerator<PlanItem, undefined, undefined>;
  #iterated = false;
  #settle: ((outcome: Promise<VerifyResult>) => void) | undefined;

  /** @internal */
  constructor(run: Run) {
    this.#run = run;
    this.#items = this.#read();
    this.result = new Promise((resolve) => {
      this.#settle = resolve;
    });
    // If nobody iterates, the comparison reads itself to its end.
    queueMicrotask(() => {
      if (!this.#iterated) void this.#drain();
    });
  }

  // A comparison is awaited like a promise: that is its purpose.
  // oxlint-disable-next-line unicorn/no-thenable
  then<Fulfilled = VerifyResult, Rejected = never>(
    onFulfilled?: ((result: VerifyResult) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.result.then(onFulfilled, onRejected);
  }

  /** Stops the work; the comparison then rejects with `reason`, or without one with `ERR_SPARSYNC_ABORTED`. */
  cancel(reason?: unknown): void {
    this.#run.cancel(reason);
  }

  /**
   * The differences, with backpressure, which can be read once and must be begun in the tick of the call. Leaving the
   * loop stops the work.
   */
  [Symbol.asyncIterator](): AsyncGenerator<PlanItem, undefined, undefined> {
    this.#iterated = true;
    // The reader gets the error, so the promise need not be awaited as well.
    this.result.catch(() => undefined);
    return this.#items;
  }

  async *#read(): AsyncGenerator<PlanItem, undefined, undefined> {
    let differences = 0;
    let skipped = 0;
    try {
      for await (const event of this.#run.read()) {
        if (event.type !== 'item') continue;
        const { type: _, ...item } = event;
        if (item.action === 'skip') skipped += 1;
        else differences += 1;
        yield item;
      }
    } finally {
      this.#run.cancel();
      this.#run.discard();
      this.#settle?.(
        this.#run.result.then(({ stats, durationMs }) => ({
          equal: differences === 0,
          differences,
          skipped,
          stats,
          durationMs,
        })),
      );
    }
    return undefined;
  }

  async #drain(): Promise<void> {
    try {
      for await (const _ of this.#items);
    } catch {
      // It is what `result` rejects with.
    }
  }
}

/**
 * Compares two trees, content included, and writes nothing. Extra paths in the destination count as differences.
 *
 * @throws {@link PartialSyncError} when something could not be read, so that nothing can be said about it.
 *
 * @example
 * ```ts
 * const { equal } = await verify('/srv/photos', 'sparsync://backup.example/photos');
 * ```
 */
export function verify(source: Sources, destination: Location, options?: VerifyOptions): Verification {
  return new Verification(
    new Run(() => {
      const { connect, transfer } = verifySettings(options);
      const ends = parseEnds(source, destination);
      const watch = { operation: 'verify', logger: connect.logger } as const;
      return { ends, link: linkFor(ends, connect), settings: transfer, watch };
    }, captureCallSite()),
  );
}
