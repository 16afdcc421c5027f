import type { Span, SpanOptions, Tracer } from '@opentelemetry/api';

import { builtin } from './builtin.js';
import { SparsyncError, messageOf, resultOf } from './errors.js';
import type { SyncResult } from './events.js';
import type { ServerEventListener, ServerSessionEvent } from './server-events.js';
import { deletesOf } from './stats.js';
import type { RunListener, RunMessage, WatchedRun } from './run-messages.js';

type Api = typeof import('@opentelemetry/api');

/**
 * Loads OpenTelemetry's API as the program has it installed: beside this package, or beside the program. It must not be
 * an import, which a bundler would have to resolve: it is optional.
 */
function loadApi(): Api | undefined {
  const { createRequire } = builtin('node:module');
  for (const place of [import.meta.dirname, process.argv[1]]) {
    try {
      return createRequire(`${place ?? ''}/.`)('@opentelemetry/api') as Api;
    } catch {
      // Another copy that is loaded shares what was registered.
    }
  }
  return undefined;
}

/** A listener that creates a span for a run, below the active one, and a span below that for each phase. */
export function runTracer(): RunListener | undefined {
  const api = loadApi();
  if (api === undefined) return undefined;
  const trace = new RunTrace(api);
  return (run, message) => trace.tell(run, message);
}

class RunTrace {
  readonly #api: Api;
  readonly #tracer: Tracer;
  #span: Span | undefined;
  #phase: Span | undefined;

  constructor(api: Api) {
    this.#api = api;
    this.#tracer = api.trace.getTracer('sparsync-native');
  }

  tell(run: WatchedRun, message: RunMessage): void {
    switch (message.type) {
      case 'start':
        this.#span = this.#tracer.startSpan(`sparsync ${run.operation}`, this.#options(run));
        break;
      case 'connect':
      case 'transfer':
        this.#begin(message.type, message.attempt);
        break;
      case 'connected': {
        const { remoteAddress, transport, serverKey } = message;
        this.#span?.setAttributes({
          'network.peer.address': remoteAddress,
          'network.transport': transport,
          'sparsync.server_key': serverKey,
        });
        break;
      }
      case 'retry':
        this.#fail(this.#phase, message.code, message.message);
        this.#endPhase();
        this.#span?.addEvent('retry', { 'sparsync.attempt': message.attempt, 'error.type': message.code });
        break;
      case 'end':
        this.#end(message.result);
        break;
      case 'error':
        this.#endWith(message.error);
    }
  }

  #options({ sources, destination, dryRun, operation }: WatchedRun): SpanOptions {
    return {
      kind: this.#api.SpanKind.CLIENT,
      attributes: {
        'sparsync.operation': operation,
        'sparsync.sources': [...sources],
        'sparsync.destination': destination,
        'sparsync.dry_run': dryRun,
      },
    };
  }

  #begin(name: 'connect' | 'transfer', attempt: number): void {
    this.#endPhase();
    const { trace, context } = this.#api;
    if (this.#span === undefined) return;
    const above = trace.setSpan(context.active(), this.#span);
    this.#phase = this.#tracer.startSpan(`sparsync ${name}`, { attributes: { 'sparsync.attempt': attempt } }, above);
  }

  #endPhase(): void {
    this.#phase?.end();
    this.#phase = undefined;
  }

  #end(result: SyncResult): void {
    this.#endPhase();
    this.#span?.setAttributes(figuresOf(result));
    this.#span?.end();
  }

  #endWith(error: unknown): void {
    const code = error instanceof SparsyncError ? error.code : error instanceof Error ? error.name : '_OTHER';
    const text = messageOf(error);
    this.#fail(this.#phase, code, text);
    this.#fail(this.#span, code, text);
    if (error instanceof Error) this.#span?.recordException(error);
    const result = resultOf(error);
    this.#endPhase();
    if (result !== undefined) this.#span?.setAttributes(figuresOf(result));
    this.#span?.end();
  }

  #fail(span: Span | undefined, code: string, message: string): void {
    span?.setAttribute('error.type', code);
    span?.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }
}

function figuresOf({ stats, attempts, transport }: SyncResult): Record<string, string | number> {
  return {
    'network.transport': transport,
    'sparsync.attempts': attempts,
    'sparsync.files_transferred': stats.filesTransferred,
    'sparsync.bytes_transferred': stats.bytesTransferred,
    'sparsync.bytes_sent': stats.bytesSent,
    'sparsync.bytes_received': stats.bytesReceived,
    'sparsync.deletes': deletesOf(stats),
    'sparsync.files_failed': stats.filesFailed,
  };
}

/** A listener that creates a span for each transfer of a server when it has ended. */
export function sessionTracer(): ServerEventListener | undefined {
  const api = loadApi();
  if (api === undefined) return undefined;
  const tracer = api.trace.getTracer('sparsync-native');
  return (event) => {
    if (event.type === 'session') traceSession(api, tracer, event);
  };
}

function traceSession(api: Api, tracer: Tracer, event: ServerSessionEvent): void {
  const end = event.at.getTime();
  const span = tracer.startSpan(
    `sparsync serve ${event.operation}`,
    {
      kind: api.SpanKind.SERVER,
      startTime: end - event.durationMs,
      attributes: {
        'client.address': event.address,
        'network.transport': event.transport,
        'sparsync.client': event.client ?? '',
        'sparsync.root': event.root,
        'sparsync.path': event.path,
        'sparsync.dry_run': event.dryRun,
        'sparsync.files_transferred': event.files,
        'sparsync.bytes_transferred': event.bytes,
        'sparsync.deletes': event.deletes,
        'sparsync.files_failed': event.failed,
      },
    },
    api.ROOT_CONTEXT,
  );
  if (event.code !== undefined) span.setAttribute('error.type', event.code);
  if (event.result === 'error') span.setStatus({ code: api.SpanStatusCode.ERROR, message: event.message ?? '' });
  span.end(end);
}
