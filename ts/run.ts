import { atCallSite, fromNative, makeError, tellsAll } from './errors.js';
import type { SparsyncError } from './errors.js';
import type { CallSite } from './callsite.js';
import type { ConnectedEvent, ProgressEvent, RetryEvent, SyncEvent, SyncResult } from './events.js';
import { connectedEvent } from './link.js';
import type { Link, OpenLink } from './link.js';
import { loadNative } from './native.js';
import type { Native, NativeJob } from './native.js';
import { assertComplete, toResult } from './outcome.js';
import { Pace } from './pace.js';
import { kindProbe, place } from './placement.js';
import type { Planning, Task } from './planning.js';
import { engineRequest } from './request.js';
import { retryDelay } from './retry.js';
import { addAttempt, CounterReader, NO_COUNTERS, toStats } from './stats.js';
import type { Counters, SyncStats } from './stats.js';
import { EventStream } from './stream.js';
import { transportOf } from './transports.js';
import { RunWatch } from './watch.js';

/**
 * One call of `sync`, `plan` or `verify`: its attempts, its events, its cancellation. It starts by itself, one turn
 * after it was made, so that the caller can first begin to iterate.
 */
export class Run {
  /** Settles when every attempt is over and its threads have ended. */
  readonly result: Promise<SyncResult>;
  readonly #site: CallSite;
  readonly #stream: EventStream;
  readonly #startedAt = nowMs();
  /** Set when the run was stopped. The run must reject with this very value. */
  #stopped: { readonly reason: unknown } | undefined;
  /** Tells whoever waits that the run was stopped. */
  #onStop: (() => void) | undefined;
  #settled = false;
  #iterated = false;
  #attempt = 1;
  readonly #pace = new Pace();
  /** The sum of the attempts that have ended. */
  #before = NO_COUNTERS;
  #reader: CounterReader | undefined;
  #job: NativeJob | undefined;
  /** What was set of it since the run began. */
  #bwlimit: number | undefined;
  /** Of a run whose plan is saved, or that applies one. */
  #planning: Planning | undefined;
  #stopPlanning: (() => void) | undefined;
  /** Whoever is told of the run besides its caller. */
  #watch: RunWatch | undefined;

  /** @param prepare - Checks the call's parameters at once. The run rejects with its error. */
  constructor(prepare: () => Task, site: CallSite) {
    this.#site = site;
    this.#stream = new EventStream(() => this.#progress());
    this.result = this.#supervise(prepare);
  }

  /** The events, which can be read once. Their reader also gets the run's error. */
  read(): AsyncGenerator<SyncEvent, undefined, undefined> {
    if (this.#iterated) {
      throw atCallSite(
        makeError('the events of a job can be read only once', { code: 'ERR_SPARSYNC_CONFIG' }),
        this.#site,
      );
    }
    this.#iterated = true;
    // The reader gets the error at the end of the events, so the promise need not be awaited as well.
    this.result.catch(() => undefined);
    return this.#stream.read();
  }

  /** Reads and drops the other events, so that a run that waits for its reader goes on. */
  discard(): void {
    this.#iterated = true;
    void this.#stream.discard();
  }

  /** Stops the run. Without a reason it rejects with `ERR_SPARSYNC_ABORTED`. */
  cancel(reason?: unknown): void {
    if (this.#settled || this.#stopped !== undefined) return;
    this.#stopped = {
      reason:
        reason === undefined
          ? atCallSite(makeError('the job was canceled', { code: 'ERR_SPARSYNC_ABORTED' }), this.#site)
          : reason,
    };
    this.#onStop?.();
    this.#stopPlanning?.();
    this.#job?.cancel();
  }

  /** Limits the bytes per second from now on, in this attempt and in further ones. */
  setBwlimit(bytesPerSecond: number): void {
    this.#bwlimit = bytesPerSecond;
    this.#job?.setBwlimit(bytesPerSecond);
  }

  /** The counters at this moment, over all attempts. */
  stats(): SyncStats {
    return toStats(this.#counters());
  }

  #counters(): Counters {
    return this.#job === undefined || this.#reader === undefined
      ? this.#before
      : addAttempt(this.#before, this.#reader.read(this.#job));
  }

  #elapsedMs(): number {
    return nowMs() - this.#startedAt;
  }

  #progress(): ProgressEvent {
    const [stats, elapsedMs] = [this.stats(), this.#elapsedMs()];
    const pace = this.#pace.look(stats, elapsedMs);
    return { type: 'progress', stats, elapsedMs, attempt: this.#attempt, ...pace };
  }

  async #supervise(prepare: () => Task): Promise<SyncResult> {
    let signal: AbortSignal | undefined;
    let stopTimer: NodeJS.Timeout | undefined;
    const onAbort = (): void => this.cancel(signal?.reason);
    try {
      // This comes before the first `await`, so that the working directory and the caller's values are those of the
      // call.
      const task = prepare();
      signal = task.settings.signal;
      stopTimer = this.#stopAt(task.settings.stopAt);
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      await Promise.resolve();
      this.#throwIfStopped();
      if (task.watch !== undefined) {
        this.#watch = new RunWatch(task.watch, task.ends, task.settings.dryRun);
        await this.#watch.begin();
      }
      const native = await loadNative();
      this.#throwIfStopped();
      this.#reader = new CounterReader(native);
      if (task.planning !== undefined) await this.#plan(task.planning);
      const result = await this.#attempts(task, native);
      if (this.#planning !== undefined) await this.#endPlanning();
      this.#watch?.tell('end', () => ({ type: 'end', result }));
      this.#stream.push(() => ({ type: 'done', result }));
      this.#stream.end();
      return result;
    } catch (error) {
      const thrown: unknown =
        this.#stopped === undefined ? atCallSite(fromNative(error), this.#site) : this.#stopped.reason;
      try {
        await this.#endPlanning(error);
      } catch (failure) {
        // The error of the run must not be hidden, so the failure to save the plan is added to it.
        if (thrown instanceof Error) thrown.message += `; and ${fromNative(failure).message}`;
      }
      const canceled = this.#stopped !== undefined;
      this.#watch?.tell('error', () => ({ type: 'error', error: thrown, canceled }));
      this.#stream.end({ error: thrown });
      throw thrown;
    } finally {
      this.#settled = true;
      clearTimeout(stopTimer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #plan(planning: NonNullable<Task['planning']>): Promise<void> {
    this.#planning = await this.#unlessStopped(
      planning((stop) => {
        this.#stopPlanning = stop;
      }),
      ({ end }) => end?.(false),
    );
    this.#stopPlanning = undefined;
    this.#stream.tap = this.#planning.item;
  }

  /** Ends the saving of a plan. It is complete if the run has finished, even if single paths failed. */
  async #endPlanning(failure?: unknown): Promise<void> {
    const { end } = this.#planning ?? {};
    this.#planning = undefined;
    const isWhole = failure === undefined || tellsAll(failure);
    if (isWhole && this.#stream.tap !== undefined) await this.#stream.drained();
    end?.(isWhole);
  }

  /** Stops the run at a time. Timers are limited to a few weeks, which no run takes. */
  #stopAt(time: Date | undefined): NodeJS.Timeout | undefined {
    if (time === undefined) return undefined;
    const stop = (): void => {
      const message = 'the run reached its time limit and was stopped';
      const error = makeError(message, { code: 'ERR_SPARSYNC_TIMEOUT', details: { phase: 'stop' } });
      this.cancel(atCallSite(error, this.#site));
    };
    return setTimeout(stop, Math.min(Math.max(0, time.getTime() - Date.now()), 2 ** 31 - 1));
  }

  async #attempts(task: Task, native: Native): Promise<SyncResult> {
    for (;;) {
      try {
        return await this.#once(task, native);
      } catch (error) {
        this.#throwIfStopped();
        const failure = fromNative(error);
        const delayMs = retryDelay(task.settings.retry, failure, this.#attempt, this.#elapsedMs());
        if (delayMs === undefined) throw failure;
        await this.#pause(failure, delayMs);
      }
    }
  }

  async #pause(failure: SparsyncError, delayMs: number): Promise<void> {
    const { code, message } = failure;
    const attempt = this.#attempt;
    this.#tell('retry', () => ({ type: 'retry', attempt, delayMs, code, message }));
    let timer: NodeJS.Timeout | undefined;
    const slept = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, delayMs);
    });
    try {
      await this.#unlessStopped(slept);
    } finally {
      clearTimeout(timer);
    }
    this.#attempt += 1;
  }

  /** Tells everybody who listens; without anybody the event is not made. */
  #tell<Told extends ConnectedEvent | RetryEvent>(type: Told['type'], event: () => Told): void {
    this.#stream.push(event);
    this.#watch?.tell(type, event);
  }

  async #once(task: Task, native: Native): Promise<SyncResult> {
    const attempt = this.#attempt;
    if (isRemote(task.ends)) this.#watch?.tell('connect', () => ({ type: 'connect', attempt }));
    const link = await this.#open(task.link);
    let failure: unknown;
    try {
      return await this.#transfer(task, native, link);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      this.#endAttempt();
      await link.release(failure);
    }
  }

  /** Keeps the counters of an attempt. */
  #endAttempt(): void {
    this.#before = this.#counters();
    this.#job = undefined;
  }

  async #open(link: Link): Promise<OpenLink> {
    try {
      return await this.#unlessStopped(link.open(), (late) => late.release());
    } catch (error) {
      if (this.#stopped !== undefined) link.callOff?.();
      throw error;
    }
  }

  async #transfer(task: Task, native: Native, link: OpenLink): Promise<SyncResult> {
    const { settings } = task;
    const { client } = link;
    const attempt = this.#attempt;
    if (client !== undefined) this.#tell('connected', connectedEvent(client, attempt));
    this.#watch?.tell('transfer', () => ({ type: 'transfer', attempt }));
    const probe = kindProbe(async (remote) => {
      try {
        return await client?.stat(remote.root, remote.path, settings.timeoutMs);
      } catch (error) {
        throw fromNative(error);
      }
    });
    const placement = await this.#unlessStopped(place(task.ends, settings, probe));
    const items = settings.items ?? this.#iterated;
    const decisions = settings.filterEvents;
    const lossless = (items || decisions) && settings.whenFull === 'wait';
    const stamps = this.#planning?.item !== undefined;
    const planned = this.#planning?.planned;
    const request = engineRequest(placement, settings, { items, decisions, lossless, stamps, planned });
    const job = client === undefined ? native.startLocal(request, placement.localDestination) : client.start(request);
    this.#job = job;
    if (this.#bwlimit !== undefined) job.setBwlimit(this.#bwlimit);
    this.#stream.follow(job);
    if (lossless && !this.#iterated) this.discard();
    // A cancellation during the steps above could not stop the job, which did not exist yet.
    if (this.#stopped !== undefined) job.cancel();
    const outcome = await job.done();
    this.#endAttempt();
    const result = toResult(outcome, {
      counters: this.#before,
      attempts: attempt,
      durationMs: this.#elapsedMs(),
      dryRun: settings.dryRun,
      direction: placement.direction,
      // What carries the content of a pipe's session may have changed since it began.
      transport: transportOf(client?.transport),
    });
    assertComplete(
      outcome,
      result,
      placement.localSources.map(({ path }) => path),
    );
    return result;
  }

  #throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.reason;
  }

  /** Waits for `work`, but not after a cancellation. A later result is passed to `discard`. */
  async #unlessStopped<T>(work: Promise<T>, discard: (late: T) => unknown = () => undefined): Promise<T> {
    const stopped = new Promise<never>((_, reject) => {
      this.#onStop = () => reject(this.#stopped?.reason);
      if (this.#stopped !== undefined) this.#onStop();
    });
    try {
      return await Promise.race([work, stopped]);
    } catch (error) {
      if (this.#stopped !== undefined) work.then(discard).catch(() => undefined);
      throw error;
    } finally {
      this.#onStop = undefined;
    }
  }
}

/** A monotonic clock in milliseconds. `performance` has one, too, but takes long to load. */
function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Whether a run has an end on another machine. */
function isRemote({ sources: [source], destination }: Task['ends']): boolean {
  return source.kind === 'remote' || destination.kind === 'remote';
}
