import { messageOf, resultOf } from './errors.js';
import type { Failure, SyncResult } from './events.js';
import type { Logger } from './logger.js';
import type { RunListener, RunMessage, WatchedRun } from './run-messages.js';
import type { ServerEvent, WatchListener } from './server-events.js';
import { deletesOf } from './stats.js';

/** Failures that are told one by one. */
const TOLD = 100;

/** Tells a logger of runs. */
export function runLogger(logger: Logger): RunListener {
  return (run, message) => logRun(logger, run, message);
}

function logRun(logger: Logger, run: WatchedRun, message: RunMessage): void {
  switch (message.type) {
    case 'start':
      logger.debug({ ...run }, `${run.operation} begins`);
      break;
    case 'connect':
    case 'transfer':
      break;
    case 'connected': {
      const { type: _, ...facts } = message;
      logger.debug({ ...run, ...facts }, 'connected');
      break;
    }
    case 'retry': {
      const { type: _, message: text, ...facts } = message;
      logger.warn({ ...run, ...facts }, `${text}; trying again in ${Math.round(message.delayMs)} ms`);
      break;
    }
    case 'end':
      logResult(logger, run, message.result);
      logger.info({ ...run, ...figuresOf(message.result) }, `${run.operation} ended`);
      break;
    case 'error':
      logError(logger, run, message.error, message.canceled);
  }
}

function logError(logger: Logger, run: WatchedRun, error: unknown, canceled: boolean): void {
  const result = resultOf(error);
  if (result !== undefined) logResult(logger, run, result);
  const facts = { ...run, err: error, ...(result === undefined ? {} : figuresOf(result)) };
  const text = messageOf(error);
  if (canceled) logger.warn(facts, `${run.operation} canceled: ${text}`);
  else logger.error(facts, `${run.operation} failed: ${text}`);
}

/** What a result lists, path by path. */
function logResult(logger: Logger, run: WatchedRun, { warnings, failures, failuresDropped }: SyncResult): void {
  for (const { code, path, message } of warnings) logger.warn({ ...run, code, path }, message);
  for (const failure of failures.slice(0, TOLD)) {
    const { code, path, side, message }: Failure = failure;
    logger.warn({ ...run, code, path, side }, message);
  }
  const more = failuresDropped + Math.max(0, failures.length - TOLD);
  if (more > 0) logger.warn({ ...run, more }, 'more paths failed');
}

function figuresOf({ stats, durationMs, attempts, transport }: SyncResult): object {
  const { filesTransferred, filesFailed, bytesTransferred, bytesSent, bytesReceived } = stats;
  const figures = { files: filesTransferred, bytes: bytesTransferred, deletes: deletesOf(stats), failed: filesFailed };
  return { ...figures, bytesSent, bytesReceived, durationMs, attempts, transport };
}

/** Tells a logger what happens on a server. */
export function serverLogger(logger: Logger): WatchListener {
  return (event, level) => {
    const { pathBytes: _, ...facts }: ServerEvent & { pathBytes?: Uint8Array } = event;
    logger[level](facts, `server: ${event.type}`);
  };
}
