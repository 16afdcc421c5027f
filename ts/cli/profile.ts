import { statSync, writeFileSync } from 'node:fs';

import { ConfigError, fromNative, IoError } from '../errors.js';
import { textOf } from '../paths.js';
import { EXIT } from './exit-codes.js';
import { PROFILE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { printJson } from './json.js';
import { print } from './output.js';
import { parseFlags } from './parse.js';
import type { ParsedFlags, Word } from './parse.js';
import { compare } from './profile/compare.js';
import type { Comparison } from './profile/compare.js';
import { readRecords } from './profile/file.js';
import type { FileName } from './profile/file.js';
import { measure } from './profile/measure.js';
import type { SyncTime } from './profile/measure.js';
import { comparisonRecord, serverRecord, syncRecord, totalsRecord } from './profile/record.js';
import { ServerRuns } from './profile/server-runs.js';
import type { ServerRun } from './profile/server-runs.js';
import { describeComparison, describeServer, describeSync } from './profile/summary.js';
import { printError, printErrorJson } from './report.js';
import { safe } from './names.js';

const PURPOSE = `Shows where the time of syncs went, from the files that --profile writes: who worked, and who waited for what,
thread by thread. With --output it writes that as a page for a browser, in one file. Profiles of a server work as well.`;

const USAGE = 'profile report FILE... [--output FILE.html] [--against FILE]';

/** How many syncs are shown by default. A server's file may hold thousands. */
const LAST = 20;

/** How many runs of servers are shown. */
const SERVERS = 5;

/** What was found in one or more files. */
interface Found {
  readonly syncs: readonly SyncTime[];
  /** Syncs in the files, shown or not. */
  readonly all: number;
  readonly servers: readonly ServerRun[];
}

/** `sparsync profile report`. */
export async function profileCommand(words: readonly Word[]): Promise<number> {
  const flags = parseFlags(PROFILE_FLAGS, words);
  if (flags.on('help')) {
    await print(verbHelp(USAGE, PURPOSE, PROFILE_FLAGS));
    return EXIT.ok;
  }
  try {
    return await report(flags);
  } catch (error) {
    if (flags.on('json')) await printErrorJson(fromNative(error));
    return printError(error);
  }
}

async function report(flags: ParsedFlags): Promise<number> {
  const [action, ...operands] = flags.operands;
  if (action !== 'report') throw new ConfigError(`the verb is ${USAGE}; a folder named profile is written ./profile`);
  if (operands.length === 0) throw new ConfigError(`profile report takes FILE: ${USAGE}`);
  const files = operands.map(nameOf);
  const against = flags.words('against').map(nameOf).at(-1);
  const output = flags.words('output').map(nameOf).at(-1);
  const last = flags.number('last', 1) ?? LAST;
  if (output !== undefined) refuseInput(output, [...files, ...(against === undefined ? [] : [against])]);

  const found = await read(files, last);
  const before = against === undefined ? undefined : await read([against], last);
  const comparisons = before === undefined ? undefined : compare(found.syncs, before.syncs);
  if (output !== undefined) await writePage(output, files, found, comparisons, against);
  if (flags.on('json')) await printRecords(found, files, comparisons, against, output);
  else await printText(found, files, comparisons, against);
  return EXIT.ok;
}

function nameOf(word: Word): FileName {
  if (typeof word === 'string') return { path: word, shown: word };
  return { path: Buffer.from(word), shown: textOf(word) };
}

/** Refuses to write the page over one of its input files. */
function refuseInput(output: FileName, inputs: readonly FileName[]): void {
  const target = statSync(output.path, { throwIfNoEntry: false });
  if (target === undefined) return;
  for (const input of inputs) {
    const source = statSync(input.path, { throwIfNoEntry: false });
    if (source?.dev === target.dev && source.ino === target.ino) {
      throw new ConfigError(`--output ${output.shown} is the profile ${input.shown} itself`, { path: output.shown });
    }
  }
}

async function read(files: readonly FileName[], last: number): Promise<Found> {
  const syncs: SyncTime[] = [];
  const runs = new ServerRuns(SERVERS);
  let all = 0;
  for (const file of files) {
    for await (const record of readRecords(file)) {
      if (record.type === 'summary') {
        runs.add(record);
        continue;
      }
      all += 1;
      syncs.push(measure(record));
      if (syncs.length > last) syncs.shift();
    }
  }
  return { syncs, all, servers: runs.runs() };
}

async function writePage(
  output: FileName,
  files: readonly FileName[],
  { syncs, all, servers }: Found,
  comparisons: readonly Comparison[] | undefined,
  against: FileName | undefined,
): Promise<void> {
  const [{ page }, { packageVersion }] = await Promise.all([import('./profile/page.js'), import('./package.js')]);
  const content = {
    files: files.map(({ shown }) => shown),
    syncs,
    syncsLeftOut: all - syncs.length,
    servers,
    ...(comparisons === undefined || against === undefined ? {} : { comparisons, against: against.shown }),
    version: packageVersion(),
  };
  const text = render(() => page(content));
  try {
    writeFileSync(output.path, text);
  } catch (cause) {
    // Node's message repeats the path after the comma.
    const reason = cause instanceof Error ? cause.message.replace(/, \w+( '.*)?$/s, '') : String(cause);
    throw new IoError(`cannot write the page: ${reason}`, { code: 'ERR_SPARSYNC_IO', path: output.shown, cause });
  }
}

/** A string has a maximum length, which profiles of thousands of syncs may exceed. */
function render(page: () => string): string {
  try {
    return page();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ConfigError('the page would be too large: show fewer syncs, with a smaller --last', { cause });
  }
}

async function printText(
  { syncs, all, servers }: Found,
  files: readonly FileName[],
  comparisons: readonly Comparison[] | undefined,
  against: FileName | undefined,
): Promise<void> {
  const blocks = [
    ...(all > syncs.length ? [[`the last ${syncs.length} of ${all} syncs; --last NUM shows more`]] : []),
    ...syncs.map((sync) => describeSync(sync)),
    ...servers.map((run) => describeServer(run)),
    ...(comparisons ?? []).map((each) => describeComparison(each, shownOf(files), against?.shown ?? '')),
    ...(comparisons?.length === 0
      ? [[`nothing to compare: ${safe(against?.shown ?? '')} has no sync in the same direction`]]
      : []),
  ];
  for (const [index, lines] of blocks.entries()) {
    if (index > 0) await print('');
    for (const line of lines) await print(line);
  }
}

function shownOf(files: readonly FileName[]): string {
  return files.map(({ shown }) => shown).join(', ');
}

async function printRecords(
  { syncs, all, servers }: Found,
  files: readonly FileName[],
  comparisons: readonly Comparison[] | undefined,
  against: FileName | undefined,
  output: FileName | undefined,
): Promise<void> {
  for (const sync of syncs) await printJson(syncRecord(sync));
  for (const run of servers) await printJson(serverRecord(run));
  for (const each of comparisons ?? []) {
    await printJson(comparisonRecord(each, shownOf(files), against?.shown ?? ''));
  }
  const totals = { syncs: all, syncsShown: syncs.length, servers: servers.length, output: output?.shown };
  await printJson(totalsRecord(totals, EXIT.ok));
}
