import { toEvent } from './convert.js';
import type { ItemEvent, ProgressEvent, SyncEvent } from './events.js';
import type { NativeJob } from './native.js';

/** The most events that are fetched from the engine at once: enough to make the call cheap, few enough to hold. */
const BATCH = 256;

/** Ten readings of the counters per second look smooth and cost the engine little. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * The events of a run in their order, over all its attempts.
 *
 * Only the batch that is being read is held here. The bounded queue is the engine's, and is asked only when the reader
 * wants more: so a slow reader costs no memory here, and the engine decides what happens when the queue is full.
 */
export class EventStream {
  /** The parts that are still to be read: events of this process, made when they are, and native jobs until they end. */
  readonly #segments: ((() => SyncEvent) | NativeJob)[] = [];
  readonly #progress: () => ProgressEvent | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #progressDue = false;
  #fetching = false;
  #fetched: readonly SyncEvent[] | null | undefined;
  #wake: (() => void) | undefined;
  /** The engine has reported all of the last attempt, or none has begun. */
  #isOver = true;
  #drained: (() => void) | undefined;
  /** Called with each item as it comes from the engine, even if the events are read by nobody. */
  tap: ((item: ItemEvent) => void) | undefined;

  constructor(progress: () => ProgressEvent | undefined) {
    this.#progress = progress;
  }

  /** Adds an event of this process. */
  push(event: () => SyncEvent): void {
    this.#segments.push(event);
    this.#changed();
  }

  /** Adds the events of an attempt. */
  follow(job: NativeJob): void {
    this.#segments.push(job);
    this.#isOver = false;
    this.#changed();
  }

  /** Settles when all events of the engine have come. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.#isOver) resolve();
    });
  }

  /** Ends the stream: the reader gets the events that are left, then the end, or `failure`. */
  end(failure?: { readonly error: unknown }): void {
    this.#ended = true;
    this.#failure = failure;
    this.#changed();
  }

  /** Reads everything once. */
  async *read(): AsyncGenerator<SyncEvent, undefined, undefined> {
    const timer = setInterval(() => {
      this.#progressDue = true;
      this.#changed();
    }, PROGRESS_INTERVAL_MS);
    // The timer must not keep the process alive; while there is work, the engine's own promise does.
    timer.unref();
    try {
      for (;;) {
        if (this.#progressDue) {
          this.#progressDue = false;
          const progress = this.#ended ? undefined : this.#progress();
          if (progress !== undefined) yield progress;
        }
        const segment = this.#segments[0];
        if (segment === undefined) {
          if (this.#ended) break;
          await this.#change();
        } else if (typeof segment === 'function') {
          this.#segments.shift();
          yield segment();
        } else {
          const batch = this.#fetch(segment);
          if (batch === undefined) await this.#change();
          else if (batch === null) this.#segments.shift();
          else yield* batch;
        }
      }
    } finally {
      clearInterval(timer);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return undefined;
  }

  /** Reads and drops all events, for a run that would otherwise wait for a reader. */
  async discard(): Promise<void> {
    while (!this.#ended || this.#segments.length > 0) {
      const segment = this.#segments[0];
      if (segment === undefined) await this.#change();
      else if (typeof segment === 'function') this.#segments.shift();
      else {
        const batch = this.#fetch(segment);
        if (batch === undefined) await this.#change();
        else if (batch === null) this.#segments.shift();
      }
    }
  }

  /** The batch that has arrived, `null` at the end of the job, `undefined` while one is on its way. */
  #fetch(job: NativeJob): readonly SyncEvent[] | null | undefined {
    const fetched = this.#fetched;
    if (fetched !== undefined) {
      this.#fetched = undefined;
      return fetched;
    }
    if (!this.#fetching) {
      this.#fetching = true;
      const arrived = (events: readonly SyncEvent[] | null): void => {
        this.#fetching = false;
        this.#fetched = events;
        if (events === null) {
          this.#isOver = true;
          this.#drained?.();
        }
        this.#changed();
      };
      job.nextEvents(BATCH).then(
        (events) => arrived(events === null ? null : this.#told(events.map(toEvent))),
        // The error of the job is the rejection of its `done`; here it is only the end.
        () => arrived(null),
      );
    }
    return undefined;
  }

  #told(events: SyncEvent[]): SyncEvent[] {
    const { tap } = this;
    if (tap !== undefined) for (const event of events) if (event.type === 'item') tap(event);
    return events;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #changed(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
