import { integer } from './check.js';
import type { SyncEvent, SyncResult } from './events.js';
import type { Run } from './run.js';
import type { SyncStats } from './stats.js';

const rate = integer(0, Number.MAX_SAFE_INTEGER, 'bytes per second');

/**
 * A sync under way. Await it for its result, iterate it for its events, or both.
 *
 * A job that is neither awaited nor iterated and fails is an unhandled rejection, as with any promise.
 *
 * @example
 * ```ts
 * const job = sync('./site', 'sparsync://host/site');
 * for await (const event of job) {
 *   if (event.type === 'progress') console.log(event.stats.bytesTransferred, 'of', event.stats.bytesToTransfer ?? '?');
 * }
 * const { stats } = await job;
 * ```
 */
export class SyncJob implements PromiseLike<SyncResult>, AsyncIterable<SyncEvent> {
  readonly #run: Run;

  /** @internal */
  constructor(run: Run) {
    this.#run = run;
  }

  /** The summary; what awaiting the job itself gives. */
  get result(): Promise<SyncResult> {
    return this.#run.result;
  }

  // A job must be a thenable, because it is awaited like a promise.
  // oxlint-disable-next-line unicorn/no-thenable
  then<Fulfilled = SyncResult, Rejected = never>(
    onFulfilled?: ((result: SyncResult) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#run.result.then(onFulfilled, onRejected);
  }

  /** As `Promise.prototype.catch`. */
  catch<Rejected = never>(
    onRejected?: ((reason: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<SyncResult | Rejected> {
    return this.#run.result.catch(onRejected);
  }

  /** As `Promise.prototype.finally`. */
  finally(onFinally?: (() => void) | null): Promise<SyncResult> {
    return this.#run.result.finally(onFinally);
  }

  /**
   * The events, which can be read once. Reading slowly never slows the transfer: item events are then dropped and
   * counted (unless `events.whenFull` is `'wait'`). Leaving the loop does not stop the transfer; `cancel` does.
   */
  [Symbol.asyncIterator](): AsyncGenerator<SyncEvent, undefined, undefined> {
    const events = this.#run.read();
    const run = this.#run;
    return (async function* read() {
      try {
        return yield* events;
      } finally {
        // A reader who leaves the loop early must not hold up the run.
        run.discard();
      }
    })();
  }

  /**
   * Stops the transfer. It returns at once; the job then rejects with `reason` itself, or without one with
   * `ERR_SPARSYNC_ABORTED`, as soon as its threads have ended. What arrived stays.
   */
  cancel(reason?: unknown): void {
    this.#run.cancel(reason);
  }

  /**
   * Limits what is sent from now on, in bytes per second, in either direction; 0 removes the limit. It also applies to further
   * attempts. Before the job has started it replaces the option `bwlimit`.
   *
   * @throws ConfigError when it is no whole number from 0 to 2^53 - 1.
   *
   * @example `job.setBwlimit(officeHours() ? 2_000_000 : 0)`
   */
  setBwlimit(bytesPerSecond: number): void {
    this.#run.setBwlimit(rate(bytesPerSecond, 'bytesPerSecond'));
  }

  /** The counters at this moment; after the end the final ones, also after an error. */
  stats(): SyncStats {
    return this.#run.stats();
  }
}
