import { toEvent } from './convert.js';
import type { ItemEvent, ProgressEvent, SyncEvent } from './events.js';
import type { NativeJob } from './native.js';

/** Events that are fetched from the engine at once: enough to make the crossing cheap, few enough to hold. */
const BATCH = 256;

/** Ten looks at the counters a second are smooth for an eye and nothing for the engine. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * The events of a run in their order, over all its attempts.
 *
 * Nothing is kept here but the batch that is being read: the bounded queue is the engine's, and is only asked when the
 * reader wants more. So a slow reader costs no memory here, and what happens when the queue is full is the engine's
 * decision.
 */
export class EventStream {
  /** What is still to be read: events made here, and native jobs to read until they end. */
  readonly #segments: (SyncEvent | NativeJob)[] = [];
  readonly #progress: () => ProgressEvent | undefined;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #progressDue = false;
  #fetching = false;
  #fetched: readonly SyncEvent[] | null | undefined;
  #wake: (() => void) | undefined;
  /** The engine has told all of the last attempt, or nothing yet. */
  #isOver = true;
  #drained: (() => void) | undefined;
  /** Is told of each item as it comes from the engine, whoever reads the events. */
  tap: ((item: ItemEvent) => void) | undefined;

  constructor(progress: () => ProgressEvent | undefined) {
    this.#progress = progress;
  }

  /** Adds an event made in this process. */
  push(event: SyncEvent): void {
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

  /** No more will be added; the reader gets what is left, then the end, or `failure`. */
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
    // A timer must not keep a process alive; the engine's own promise does while there is work.
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
        } else if ('type' in segment) {
          this.#segments.shift();
          yield segment;
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

  /** Reads and forgets all events, for a run that would otherwise wait for a reader. */
  async discard(): Promise<void> {
    while (!this.#ended || this.#segments.length > 0) {
      const segment = this.#segments[0];
      if (segment === undefined) await this.#change();
      else if ('type' in segment) this.#segments.shift();
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
        // Whatever broke the job is what its `done` rejects with; here it is only the end.
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
