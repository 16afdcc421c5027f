import { appendFileSync } from 'node:fs';

import { fromNative } from '../errors.js';
import type { SparsyncError } from '../errors.js';
import type { Failure, SyncResult } from '../events.js';
import { shownFailure } from '../paths.js';
import { contentOf, deletesOf } from '../stats.js';
import type { SyncStats } from '../stats.js';
import { EXIT } from './exit-codes.js';
import { safe, safePath } from './names.js';
import { note } from './output.js';
import { causesOf, count, duration, size } from './text.js';

/** The most failures in a summary, which may have 1 MiB. */
const LISTED = 100;

/** The facts that are known at the end of a run, whether it failed or not. */
export interface Ending {
  readonly exitCode: number;
  /** Source and destination as written on the command line. */
  readonly ends: readonly string[];
  readonly dryRun: boolean;
  /** What was done, where anything was begun. */
  readonly stats?: SyncStats | undefined;
  readonly result?: SyncResult | undefined;
  readonly error?: SparsyncError | undefined;
  /** How many paths differ, in a run that only compares. */
  readonly differences?: number | undefined;
}

/**
 * Prints an annotation to stderr. The service reads commands from both streams, so stdout can stay as it is elsewhere.
 */
export function annotate(level: 'error' | 'warning', title: string, text: string): void {
  const property = data(title).replaceAll(':', '%3A').replaceAll(',', '%2C');
  note(`::${level} title=${property}::${data(text)}`);
}

/** The text of a command, in which ends of lines must be escaped. */
function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** Writes the outputs and the summary of the step, if the service names files for them. */
export function tellGithub(ending: Ending): void {
  append(
    'GITHUB_OUTPUT',
    outputsOf(ending)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  append('GITHUB_STEP_SUMMARY', summaryOf(ending));
}

/** Appends to a file of the service. A failure is told, and does not fail the run. */
function append(variable: 'GITHUB_OUTPUT' | 'GITHUB_STEP_SUMMARY', text: string): void {
  const path = process.env[variable] ?? '';
  if (path === '') return;
  try {
    appendFileSync(path, text);
  } catch (error) {
    annotate('warning', 'sparsync', `cannot write ${variable}: ${safe(fromNative(error).message)}`);
  }
}

/** Whether the destination was changed, or would be in a dry run. */
function isChanged(stats: SyncStats): boolean {
  const { filesTransferred, filesRenamed, directoriesCreated, symlinksCreated, specialsCreated } = stats;
  const made = filesTransferred + filesRenamed + directoriesCreated + symlinksCreated + specialsCreated;
  return made + stats.hardLinksCreated + stats.attrsChanged + deletesOf(stats) > 0;
}

/** Names and values of the outputs. None may contain an end of a line. */
function outputsOf({
  exitCode,
  dryRun,
  stats,
  result,
  error,
  differences,
}: Ending): readonly (readonly [string, string | number | boolean])[] {
  return [
    ['exit-code', exitCode],
    ['error-code', error?.code ?? ''],
    ['changed', stats !== undefined && isChanged(stats)],
    ['files', stats?.filesTransferred ?? 0],
    ['bytes', stats === undefined ? 0 : contentOf(stats, dryRun)],
    ['deletes', stats === undefined ? 0 : deletesOf(stats)],
    ['failed', stats?.filesFailed ?? 0],
    ['dry-run', dryRun],
    ['transport', result?.transport ?? ''],
    ...(differences === undefined ? [] : ([['differences', differences]] as const)),
  ];
}

/** The summary of a step, in Markdown. */
function summaryOf(ending: Ending): string {
  const { exitCode, ends, dryRun, stats, result, error, differences } = ending;
  const would = dryRun ? ' (dry run)' : '';
  const rows: readonly (readonly [string, string])[] = [
    ['Exit code', String(exitCode)],
    ...(differences === undefined ? [] : ([['Different', count(differences)]] as const)),
    ...(stats === undefined
      ? []
      : ([
          ['Files transferred', count(stats.filesTransferred)],
          ['Their content', size(contentOf(stats, dryRun), true)],
          ['Deleted', count(deletesOf(stats))],
          [
            'Failed',
            result === undefined || stats.filesFailed === 0 ? count(stats.filesFailed) : causesOf(result.failureCounts),
          ],
          ['Sent, received', `${size(stats.bytesSent, true)}, ${size(stats.bytesReceived, true)}`],
        ] as const)),
    ...(result === undefined
      ? []
      : ([
          ['Transport', result.transport],
          ['Time', duration(result.durationMs)],
        ] as const)),
  ];
  return [
    `### sparsync ${ends.map(code).join(' ')}: ${saidOf(ending)}${would}`,
    '',
    ...(error === undefined ? [] : [code(safe(error.message)), '']),
    '| | |',
    '| --- | ---: |',
    ...rows.map(([name, value]) => `| ${name} | ${value} |`),
    '',
    ...(result === undefined ? [] : failuresOf(result)),
    '',
  ].join('\n');
}

function saidOf({ exitCode, error, differences = 0 }: Ending): string {
  if (error !== undefined) return `failed, ${error.code}`;
  if (differences > 0) return 'the trees differ';
  return exitCode === 0 ? 'done' : exitCode === EXIT.vanished ? 'files vanished' : 'interrupted';
}

function failuresOf({ failures, failuresDropped }: SyncResult): readonly string[] {
  const all = failures.length + failuresDropped;
  if (all === 0) return [];
  const more = all - Math.min(failures.length, LISTED);
  return [
    `<details><summary>${count(all)} failed</summary>`,
    '',
    ...failures.slice(0, LISTED).map((failure: Failure) => {
      const { path, message } = shownFailure({ path: safePath(failure), message: safe(failure.message) });
      return `- ${failure.code}: ${code(path)} ${code(message)}`;
    }),
    ...(more > 0 ? [`- and ${count(more)} more`] : []),
    '',
    '</details>',
    '',
  ];
}

/** A text without markup: names may contain anything. */
function code(text: string): string {
  return `<code>${text.replaceAll(/[^\p{L}\p{N} .,/=-]/gu, (each) => `&#${each.codePointAt(0) ?? 0};`)}</code>`;
}
