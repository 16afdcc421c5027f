// What programs are told of runs and servers beside results and events: loggers, channels of diagnostics, spans.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';

import { ConnectionError, NotFoundError, connect, plan, serve, sync, verify } from '../dist/index.js';
import type { ServeOptions, Server } from '../dist/index.js';
import { freePort } from './helpers/port.js';
import { start, until } from './helpers/process.js';
import { client } from './helpers/product.js';
import { type Access, failure } from './helpers/setup.js';
import { dir, workDir } from './helpers/temp.js';

interface Site {
  readonly work: string;
  readonly source: string;
  readonly server: Server;
  readonly access: Access;
}

/** A server in this process, its client, and a folder with a file. */
async function site(t: ExecutionContext, options: Partial<ServeOptions> = {}): Promise<Site> {
  const work = workDir(t);
  const user = client(work);
  const source = dir(work, 'source');
  writeFileSync(`${source}/a`, 'content');
  const server = await serve({
    roots: { root: dir(work, 'served') },
    identity: { keyPath: `${work}/server.pem` },
    allow: [{ name: 'user', key: user.publicKey }],
    ...options,
  });
  t.teardown(() => server.close({ graceMs: 0 }));
  return { work, source, server, access: { identity: { keyPath: user.keyPath }, trust: { pin: server.publicKey } } };
}

/** A pino that keeps what it writes. */
function keeping(): { readonly logger: ReturnType<typeof pino>; readonly lines: () => Record<string, unknown>[] } {
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      text += chunk.toString();
      done();
    },
  });
  const lines = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { logger: pino({ level: 'debug' }, stream), lines };
}

const [DEBUG, INFO, WARN, ERROR] = [20, 30, 40, 50];

test('pino is told of runs, of a kept connection too, and of what a server does', async (t) => {
  const [ours, theirs] = [keeping(), keeping()];
  const { source, server, access, work } = await site(t, { logger: theirs.logger });
  await sync(source, server.url('root') + '/tree', { ...access, logger: ours.logger });
  const [begins, connected, ended, ...others] = ours.lines();
  t.deepEqual(others, []);
  t.like(begins, { level: DEBUG, operation: 'sync', dryRun: false, msg: 'sync begins', sources: [source] });
  t.like(connected, { level: DEBUG, msg: 'connected', serverKey: server.publicKey });
  t.like(ended, { level: INFO, files: 1, bytes: 7, deletes: 0, failed: 0, msg: 'sync ended' });

  const connection = await connect(server.url('root'), { ...access, logger: ours.logger });
  const error = await failure(t, connection.pull('none', `${work}/back`), NotFoundError);
  await connection.close();
  const last = ours.lines().at(-1);
  t.like(last, { level: ERROR, msg: `sync failed: ${error.message}` });
  t.like(last?.['err'], { type: 'NotFoundError', code: 'ERR_SPARSYNC_NOT_FOUND' });

  await failure(t, sync([source, `${work}/none`], `${work}/copy`, { logger: ours.logger }), NotFoundError);
  t.like(ours.lines().at(-2), { level: WARN, code: 'missing' });

  await until('the server to tell', () => theirs.lines().some(({ type }) => type === 'session'));
  t.like(
    theirs.lines().find(({ type }) => type === 'session'),
    { level: INFO, client: 'user', operation: 'push', files: 1, msg: 'server: session' },
  );
});

test('a cancellation and a retry are warnings', async (t) => {
  const { logger, lines } = keeping();
  const { source, access, work } = await site(t);
  const url = `sparsync://127.0.0.1:${await freePort()}/root`;
  const retry = { attempts: 1, baseDelayMs: 0 };
  await failure(t, sync(source, url, { ...access, logger, retry }), ConnectionError);
  t.deepEqual(
    lines().map(({ level }) => level),
    [DEBUG, WARN, ERROR],
  );
  const canceling = {
    debug: (facts: object, text: string) => {
      logger.debug(facts, text);
      job.cancel(new Error('enough'));
    },
    info: logger.info.bind(logger),
    warn: logger.warn.bind(logger),
    error: logger.error.bind(logger),
  };
  const job = sync(source, `${work}/copy`, { logger: canceling });
  await failure(t, job, Error);
  t.like(lines().at(-1), { level: WARN, msg: 'sync canceled: enough' });
});

test('a logger that throws is a warning of the process; runs, servers and other listeners go on', async (t) => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  const throws = (): never => {
    throw new Error('a logger that is broken');
  };
  const logger = { debug: throws, info: throws, warn: throws, error: throws };
  const heard: string[] = [];
  const deaf = { ...logger, info: (_: object, text: string) => void heard.push(text) };
  const { source, server, access } = await site(t, { log: throws, logger: deaf });
  await sync(source, `${server.url('root')}/there`, { ...access, logger });
  await server.close();
  t.true(warnings.includes('a logger that is broken'));
  t.true(heard.includes('server: session'), heard.join(', '));
});

test('channels of diagnostics tell of a run in its order, and of a server', async (t) => {
  const told: { type: string; run: { operation: string } }[] = [];
  const heard: { type: string }[] = [];
  const types = ['start', 'connect', 'connected', 'transfer', 'retry', 'end', 'error'];
  const onRun = (message: unknown): void => void told.push(message as (typeof told)[number]);
  const onServer = (message: unknown): void => void heard.push(message as (typeof heard)[number]);
  for (const type of types) subscribe(`sparsync:run:${type}`, onRun);
  subscribe('sparsync:server', onServer);
  t.teardown(() => {
    for (const type of types) unsubscribe(`sparsync:run:${type}`, onRun);
    unsubscribe('sparsync:server', onServer);
  });
  const { source, server, access, work } = await site(t);
  const mine = (destination: string): string[] =>
    told.filter(({ run }) => JSON.stringify(run).includes(JSON.stringify(destination))).map(({ type }) => type);
  const url = `${server.url('root')}/channels`;
  await sync(source, url, access);
  t.deepEqual(mine(url), ['start', 'connect', 'connected', 'transfer', 'end']);
  const runs = new Set(told.filter(({ run }) => JSON.stringify(run).includes(url)).map(({ run }) => run));
  t.is(runs.size, 1, 'one object stands for the run in all that is told of it');
  await failure(t, sync(`${work}/none`, `${work}/channels`), NotFoundError);
  t.deepEqual(mine(`${work}/channels`), ['start', 'transfer', 'error']);
  await plan(source, `${work}/planned`).result;
  await verify(source, url, access);
  for (const [operation, to] of [
    ['plan', `${work}/planned`],
    ['verify', url],
  ] as const) {
    const ended = told.filter(({ type, run }) => type === 'end' && JSON.stringify(run).includes(to));
    t.is(ended.at(-1)?.run.operation, operation);
  }
  await until('the server to tell', () => heard.some(({ type }) => type === 'session'));
});

// Alone, because what is registered with OpenTelemetry is the process's.
test.serial(
  'OpenTelemetry has a span of a run below the active one, with its phases, figures and errors',
  async (t) => {
    const exporter = new InMemorySpanExporter();
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(provider);
    t.teardown(() => {
      trace.disable();
      context.disable();
    });
    const { source, server, access, work } = await site(t);
    const url = `${server.url('root')}/traced`;
    const tracer = trace.getTracer('test');
    const spanOf = (name: string, destination: string): ReadableSpan | undefined =>
      exporter
        .getFinishedSpans()
        .find((span) => span.name === name && span.attributes['sparsync.destination'] === destination);
    const below = (parent: ReadableSpan | undefined): string[] =>
      exporter
        .getFinishedSpans()
        .filter((span) => span.parentSpanContext?.spanId === parent?.spanContext().spanId)
        .map(({ name }) => name);

    let active = '';
    await tracer.startActiveSpan('job', async (span) => {
      active = span.spanContext().spanId;
      await sync(source, url, access);
      span.end();
    });
    const done = spanOf('sparsync sync', url);
    t.is(done?.parentSpanContext?.spanId, active);
    t.like(done?.attributes, {
      'sparsync.files_transferred': 1,
      'sparsync.bytes_transferred': 7,
      'network.transport': 'quic',
      'sparsync.sources': [source],
    });
    t.deepEqual(below(done), ['sparsync connect', 'sparsync transfer']);
    t.is(done?.status.code, SpanStatusCode.UNSET);

    const unreachable = `sparsync://127.0.0.1:${await freePort()}/root`;
    const retry = { attempts: 1, baseDelayMs: 0 };
    const error = await failure(t, sync(source, unreachable, { ...access, retry }), ConnectionError);
    const failed = spanOf('sparsync sync', unreachable);
    t.is(failed?.parentSpanContext, undefined);
    t.deepEqual(failed?.status, { code: SpanStatusCode.ERROR, message: error.message });
    t.is(failed?.attributes['error.type'], error.code);
    t.deepEqual(
      failed?.events.map(({ name }) => name),
      ['retry', 'exception'],
    );
    t.deepEqual(below(failed), ['sparsync connect', 'sparsync connect']);

    await failure(t, sync(`${work}/none`, `${work}/copy`), NotFoundError);
    t.is(spanOf('sparsync sync', `${work}/copy`)?.attributes['error.type'], 'ERR_SPARSYNC_NOT_FOUND');

    await until('the server to tell', () => exporter.getFinishedSpans().some(({ kind }) => kind === SpanKind.SERVER));
    const served = exporter.getFinishedSpans().find(({ kind }) => kind === SpanKind.SERVER);
    t.is(served?.name, 'sparsync serve push');
    t.like(served?.attributes, { 'sparsync.client': 'user', 'sparsync.root': 'root', 'sparsync.files_transferred': 1 });
  },
);

for (const [name, arg] of [
  ['that does not use OpenTelemetry has none of it loaded', 'none'],
  ['in which another copy of OpenTelemetry is at work syncs as any other', 'global'],
] as const) {
  test(`a program ${name}`, async (t) => {
    const work = workDir(t);
    writeFileSync(`${dir(work, 'source')}/a`, 'content');
    const program = fileURLToPath(new URL('helpers/untraced.mjs', import.meta.url));
    const ended = await start(t, process.execPath, [program, `${work}/source`, `${work}/copy`, arg]).ended;
    t.is(ended.code, 0, ended.stderr);
    const { files, loaded } = JSON.parse(ended.stdout) as { files: number; loaded: string[] };
    t.is(files, 1);
    if (arg === 'none') t.deepEqual(loaded, []);
    else t.true(loaded.length > 0);
  });
}
