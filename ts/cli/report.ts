import { NotFoundError, PartialSyncError, SparsyncError, fromNative } from '../errors.js';
import type { Failure, SyncResult, Warning } from '../events.js';
import { shownFailure } from '../paths.js';
import { contentOf, deletesOf } from '../stats.js';
import { exitCodeFor } from './exit-codes.js';
import { annotate } from './github.js';
import { hintFor } from './hints.js';
import { errorRecord, printLine } from './json.js';
import { note } from './output.js';
import { safe, safePath } from './names.js';
import { reporter } from './reporter.js';
import { causesOf, colored, count, size } from './text.js';

/** The most failures that are listed: if a disk fails, each file would fill a line. */
const FAILURES_SHOWN = 100;

/** Prints an error to stderr, with the paths that it is about, and returns the exit code. */
export function printError(thrown: unknown): number {
  printFailuresOf(thrown);
  return printEnd(thrown);
}

/** Prints the paths that an error is about. */
export function printFailuresOf(thrown: unknown): void {
  if (thrown instanceof PartialSyncError || thrown instanceof NotFoundError) {
    if (thrown.result !== undefined) printFailures(thrown.result);
  }
}

/** Prints what a run ended with to stderr and returns the exit code. */
export function printEnd(thrown: unknown): number {
  const error = thrown instanceof SparsyncError ? thrown : fromNative(thrown);
  const where =
    // A path that is not UTF-8 is also shown by its bytes.
    error.path === undefined ||
    error.path === '' ||
    (error.pathBytes === undefined && error.message.includes(error.path))
      ? ''
      : ` (${safePath({ path: error.path, ...(error.pathBytes === undefined ? {} : { pathBytes: error.pathBytes }) })})`;
  const side = error.side === 'remote' ? ' [on the server]' : '';
  const text = `${safe(error.message)}${where}${side}`;
  const hint = hintFor(error);
  if (reporter() === 'github') annotate('error', error.code, `${text}${hint === undefined ? '' : `\nhelp: ${hint}`}`);
  else {
    note(`${colored(`error[${error.code}]`, 'red', 'stderr')}: ${text}`);
    if (hint !== undefined) note(`  help: ${hint}`);
  }
  if (error.code === 'ERR_SPARSYNC_INTERNAL' && error.stack !== undefined) note(error.stack);
  return exitCodeFor(error);
}

/** Prints an error as JSON to stdout, beside the text on stderr. */
export async function printErrorJson(error: SparsyncError): Promise<void> {
  await printLine(errorRecord(error, exitCodeFor(error), hintFor(error)));
}

/** Prints the paths that failed, and how many failed for each cause. */
export function printFailures(result: SyncResult): void {
  for (const failure of result.failures.slice(0, FAILURES_SHOWN)) {
    const text = describeFailure(failure);
    if (reporter() !== 'github') note(text);
    else annotate(failure.code === 'vanished' ? 'warning' : 'error', failure.code, text);
  }
  const more = result.failures.length - FAILURES_SHOWN + result.failuresDropped;
  if (more > 0) note(`… and ${count(more)} more`);
  const isAny = result.failures.length > 0;
  if (isAny && reporter() !== 'github') note(`failed: ${causesOf(result.failureCounts)}`);
}

/**
 * Failures of which nothing is said of old content: what the source cannot give was not looked for at the destination, and
 * a directory that could not be deleted may have lost what was in it.
 */
const TELLS_NOTHING_KEPT = new Set<Failure['code']>(['unreadable', 'vanished', 'missing', 'delete']);

function describeFailure(failure: Failure): string {
  const side = failure.side === 'remote' ? ' [on the server]' : '';
  const isKept = failure.oldContentKept && !TELLS_NOTHING_KEPT.has(failure.code);
  const { path, message } = shownFailure({ path: safePath(failure), message: safe(failure.message) });
  return `${path}: ${message}${side}${isKept ? ' (its old content is kept)' : ''}`;
}

/**
 * Prints what a user may want to know, to stderr. That no receiver without root can carry owners is told only to who
 * asked for them: `-a` asks for everything that is possible. Entries that are not carried have lines of their own.
 */
export function printWarnings(result: SyncResult, wantsOwners: boolean): void {
  for (const warning of result.warnings) {
    if (warning.code === 'owners' ? !wantsOwners : hasLineOfItsOwn(warning)) continue;
    const path =
      warning.path === undefined
        ? ''
        : `${safePath({ path: warning.path, ...(warning.pathBytes === undefined ? {} : { pathBytes: warning.pathBytes }) })}: `;
    const text = `${path}${safe(warning.message)}`;
    if (reporter() === 'github') annotate('warning', warning.code ?? 'notice', text);
    else note(`${colored('warning', 'yellow', 'stderr')}: ${text}`);
  }
}

const hasLineOfItsOwn = ({ code = 'notice' }: Warning): boolean =>
  ['special', 'unsafe-link', 'mount-skipped'].includes(code);

/** What was done, in one line. */
export function summaryLine(result: Pick<SyncResult, 'stats' | 'dryRun'>, human: boolean): string {
  const { stats, dryRun } = result;
  const deleted = deletesOf(stats);
  const bytes = contentOf(stats, dryRun);
  const parts = [
    `${count(stats.filesTransferred)} ${stats.filesTransferred === 1 ? 'file' : 'files'} (${size(bytes, human)}) ${dryRun ? 'to transfer' : 'transferred'}`,
    ...(deleted > 0 ? [`${count(deleted)} ${dryRun ? 'to delete' : 'deleted'}`] : []),
    ...(stats.filesFailed > 0 ? [`${count(stats.filesFailed)} failed`] : []),
  ];
  return parts.join(', ');
}
