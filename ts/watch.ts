import { builtin } from './builtin.js';
import type { Logger } from './logger.js';
import { textOf } from './paths.js';
import type { Ends } from './placement.js';
import type { RunListener, RunMessage, WatchedRun } from './run-messages.js';
import type { WatchListener } from './server-events.js';
import { machineOf } from './target.js';
import type { Target } from './target.js';
import { callListeners } from './listeners.js';

/** Which call a run is of, and where it is told. */
export interface Watch {
  readonly operation: WatchedRun['operation'];
  readonly logger: Logger | undefined;
}

/** The key under which OpenTelemetry's API keeps what a program has registered: without it, no spans are wanted. */
const OPEN_TELEMETRY = Symbol.for('opentelemetry.js.api.1');

/** Reports one run: to `node:diagnostics_channel`, a logger, and OpenTelemetry if the program uses it. */
export class RunWatch {
  readonly #watch: Watch;
  readonly #ends: Ends;
  readonly #dryRun: boolean;
  /** The run as it is told; it is made for the first one who listens. */
  #run: WatchedRun | undefined;
  readonly #listeners: RunListener[] = [];

  constructor(watch: Watch, ends: Ends, dryRun: boolean) {
    this.#watch = watch;
    this.#ends = ends;
    this.#dryRun = dryRun;
  }

  /** Loads the modules for the reports, if any are needed, and reports the beginning. */
  async begin(): Promise<void> {
    const { logger } = this.#watch;
    if (logger !== undefined) this.#listeners.push((await import('./logging.js')).runLogger(logger));
    if (isTraced()) {
      const listener = (await import('./tracing.js')).runTracer();
      if (listener !== undefined) this.#listeners.push(listener);
    }
    this.tell('start', () => ({ type: 'start' }));
  }

  /** Tells what happens, if anybody listens: most runs have nobody who does. */
  tell<Message extends RunMessage>(type: Message['type'], message: () => Message): void {
    const channels = builtin('node:diagnostics_channel');
    const name = `sparsync:run:${type}`;
    const isSubscribed = channels.hasSubscribers(name);
    if (!isSubscribed && this.#listeners.length === 0) return;
    const publish: RunListener = (run, told) => channels.channel(name).publish({ run, ...told });
    const listeners = isSubscribed ? [publish, ...this.#listeners] : this.#listeners;
    callListeners(listeners.map((listener) => () => listener(this.#told(), message())));
  }

  #told(): WatchedRun {
    const { sources, destination } = this.#ends;
    this.#run ??= {
      operation: this.#watch.operation,
      sources: sources.map(shown),
      destination: shown(destination),
      dryRun: this.#dryRun,
    };
    return this.#run;
  }
}

const isTraced = (): boolean => OPEN_TELEMETRY in globalThis;

/** The listeners of a server's events besides its `log`. Subscriptions are looked up once. */
export async function serverListeners(logger: Logger | undefined): Promise<WatchListener[]> {
  const listeners: WatchListener[] = [];
  if (logger !== undefined) listeners.push((await import('./logging.js')).serverLogger(logger));
  const channels = builtin('node:diagnostics_channel');
  if (channels.hasSubscribers(SERVER_CHANNEL)) {
    listeners.push((event) => channels.channel(SERVER_CHANNEL).publish(event));
  }
  const tracer = isTraced() ? (await import('./tracing.js')).sessionTracer() : undefined;
  if (tracer !== undefined) listeners.push(tracer);
  return listeners;
}

const SERVER_CHANNEL = 'sparsync:server';

/** A place as a person would write it. */
function shown(target: Target): string {
  if (target.kind === 'local') return textOf(target.path);
  const { root, path, via } = target;
  const names = [root, textOf(path)].filter((part) => part !== '').join('/');
  return via === undefined ? `${machineOf(target)}/${names}` : `${machineOf(target)}:${textOf(path)}`;
}
