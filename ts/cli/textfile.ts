import { closeSync, fchmodSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

import { ioError } from '../errors.js';
import type { NamedFiles, Sibling } from '../named-files.js';
import { deletesOf } from '../stats.js';
import type { SyncStats } from '../stats.js';
import { EXIT } from './exit-codes.js';
import { loseFile } from './output.js';
import { printError } from './report.js';

/** What a collector is told of a run. */
export interface Collected {
  readonly sources: readonly string[];
  readonly destination: string;
  readonly exitCode: number;
  readonly durationMs: number;
  readonly stats: SyncStats | undefined;
}

const LAST_SUCCESS = 'sparsync_last_success_timestamp_seconds';

/**
 * Writes the figures of a run for the collector of text files of Prometheus' node_exporter, in one step: it may read at
 * any time. After a run that failed, the file keeps the time of the last success.
 */
export function writeTextfile(path: string, run: Collected, files: NamedFiles): void {
  try {
    files.beside(path, (at) => write(at, run));
  } catch (error) {
    printError(ioError('cannot write the text file', error, path));
    loseFile();
  }
}

function write(at: Sibling, run: Collected): void {
  const now = Date.now() / 1000;
  const labels = `{source="${run.sources.map(escaped).join(' ')}",destination="${escaped(run.destination)}"}`;
  const isSuccess = run.exitCode === EXIT.ok || run.exitCode === EXIT.vanished;
  const success = isSuccess ? now.toFixed(3) : lastSuccess(at(), labels);
  const text = figuresOf(run, now, success)
    .map(([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name}${labels} ${value}\n`)
    .join('');
  // The collector ignores files with another suffix.
  const fresh = at(`.${process.pid}.tmp`);
  let isMade = false;
  try {
    const file = openSync(fresh, 'wx', 0o644);
    isMade = true;
    try {
      writeFileSync(file, text);
      // Another user reads the file, so its mode must not depend on this user's umask.
      fchmodSync(file, 0o644);
    } finally {
      closeSync(file);
    }
    renameSync(fresh, at());
    isMade = false;
  } finally {
    if (isMade) rmSync(fresh, { force: true });
  }
}

type Figure = readonly [name: string, help: string, value: string | number];

function figuresOf({ exitCode, durationMs, stats }: Collected, now: number, success: string | undefined): Figure[] {
  const deletes = stats === undefined ? 0 : deletesOf(stats);
  return [
    ...(success === undefined
      ? []
      : ([[LAST_SUCCESS, 'When the last run that succeeded had ended.', success]] satisfies Figure[])),
    ['sparsync_last_run_timestamp_seconds', 'When the last run had ended.', now.toFixed(3)],
    ['sparsync_last_run_exit_code', 'What the last run ended with.', exitCode],
    ['sparsync_last_run_duration_seconds', 'How long the last run took.', (durationMs / 1000).toFixed(3)],
    ['sparsync_last_run_files_transferred', 'Files that the last run transferred.', stats?.filesTransferred ?? 0],
    ['sparsync_last_run_content_bytes', 'Content that the last run transferred.', stats?.bytesTransferred ?? 0],
    ['sparsync_last_run_deletes', 'Entries that the last run deleted.', deletes],
    ['sparsync_last_run_failures', 'Paths that failed in the last run.', stats?.filesFailed ?? 0],
  ];
}

/** When the file says that the last run of the same ends succeeded. */
function lastSuccess(path: string, labels: string): string | undefined {
  try {
    const start = `${LAST_SUCCESS}${labels} `;
    const line = readFileSync(path, 'utf8')
      .split('\n')
      .find((each) => each.startsWith(start));
    const value = line?.slice(start.length) ?? '';
    return /^\d+(?:\.\d+)?$/.test(value) ? value : undefined;
  } catch {
    // The file is missing, or cannot be read.
    return undefined;
  }
}

/** A text as the value of a label has it. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`);
}
