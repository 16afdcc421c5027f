import { captureCallSite } from './callsite.js';
import type { CallSite } from './callsite.js';
import { ConfigError, atCallSite } from './errors.js';
import type { PlanItem, SyncResult } from './events.js';
import { planSettings } from './settings.js';
import type { PlanOptions } from './options.js';
import type { Sources } from './paths.js';
import { taskOf } from './planning.js';
import type { Task } from './planning.js';
import { Run } from './run.js';
import { linkFor, parseEnds } from './sync.js';
import type { Location } from './target.js';

/**
 * What a sync would do, path by path, from the true state of both sides. Nothing is written.
 *
 * The items come as fast as they are read, and no faster: a plan of any length needs little memory. It starts when it is first
 * iterated or its `result` is asked for; leaving the loop stops it.
 */
export class Plan implements AsyncIterable<PlanItem> {
  readonly #prepare: () => Task;
  readonly #site: CallSite;
  #run: Run | undefined;

  /** @internal */
  constructor(prepare: () => Task, site: CallSite) {
    this.#prepare = prepare;
    this.#site = site;
  }

  /**
   * The summary of what would be done. While the plan is iterated it settles with the last item; otherwise asking for
   * it works the plan through without keeping the items.
   *
   * @throws {@link PartialSyncError} when parts of a tree could not be read, {@link DeleteRefusedError} when the sync
   * would be refused: both after all items.
   */
  get result(): Promise<SyncResult> {
    if (this.#run === undefined) {
      this.#run = new Run(this.#prepare, this.#site);
      this.#run.discard();
    }
    return this.#run.result;
  }

  /** Stops the work; the iteration then throws `reason`, or without one `ERR_SPARSYNC_ABORTED`. */
  cancel(reason?: unknown): void {
    this.#run?.cancel(reason);
  }

  /** The items, which can be read once. */
  [Symbol.asyncIterator](): AsyncGenerator<PlanItem, undefined, undefined> {
    if (this.#run !== undefined) {
      throw atCallSite(new ConfigError('a plan can be read only once: make a new one'), this.#site);
    }
    const run = new Run(this.#prepare, this.#site);
    this.#run = run;
    return readItems(run);
  }
}

async function* readItems(run: Run): AsyncGenerator<PlanItem, undefined, undefined> {
  try {
    for await (const event of run.read()) {
      if (event.type === 'item') {
        const { type: _, ...item } = event;
        yield item;
      }
    }
  } finally {
    // After the last item this has no effect; before it, the rest is not wanted.
    run.cancel();
    run.discard();
  }
  return undefined;
}

/**
 * Returns what `sync` with the same parameters would do, as an iterator with backpressure, and writes nothing.
 *
 * @throws What `sync` would throw, at the end of the iteration.
 *
 * @example
 * ```ts
 * for await (const item of plan('./site', 'sparsync://host/site', { delete: true })) {
 *   console.log(item.action, item.path, item.reasons.join(' '));
 * }
 * ```
 */
export function plan(source: Sources, destination: Location, options?: PlanOptions): Plan {
  return new Plan(planTask(source, destination, options), captureCallSite());
}

/** The task of a plan. The parameters are checked when it is created, and errors are thrown when it starts. */
function planTask(source: Sources, destination: Location, options: PlanOptions | undefined): () => Task {
  return prepared(() => {
    const { connect, transfer } = planSettings(options);
    const ends = parseEnds(source, destination);
    return taskOf(ends, linkFor(ends, connect), transfer, { operation: 'plan', logger: connect.logger });
  });
}

/** Calls `make` now, and gives a function that repeats its outcome later: the value, or the error. */
export function prepared<T>(make: () => T): () => T {
  try {
    const value = make();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
