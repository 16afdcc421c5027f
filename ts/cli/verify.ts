import { ConfigError, fromNative } from '../errors.js';
import type { PlanItem } from '../events.js';
import type { VerifyOptions } from '../options.js';
import type { Location } from '../target.js';
import { verify } from '../verify.js';
import type { VerifyResult } from '../verify.js';
import { connectOptions } from './connecting.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { withFirstContact } from './first-contact.js';
import { annotate, tellGithub } from './github.js';
import type { Ending } from './github.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printLine } from './json.js';
import { refuseRemoteList } from './lists.js';
import { isPipeBroken, note, onBrokenPipe, print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';
import { printError, printErrorJson } from './report.js';
import { chooseReporter, reporter } from './reporter.js';
import { Interrupted, onSignals } from './signals.js';
import { operandLocation } from './operands.js';
import { safeBytes, safePath } from './names.js';
import { count } from './text.js';
import { VERIFY_FLAGS, flaggedVerifyOptions } from './verify-flags.js';

const PURPOSE = `Compares two trees, content included, and writes nothing. One of them may be a sparsync:// URL or HOST:PATH. A SRC without
a slash at its end is compared with what has its name below DEST, as a sync would have put it there.
Exit code 0: equal. 23: they differ, and stdout says where.`;

/** `sparsync verify SRC DEST`. */
export async function verifyCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(VERIFY_FLAGS, words, {
    tables: { verify: VERIFY_FLAGS, connection: CONNECTING_FLAGS },
    project: true,
  });
  chooseReporter(flags);
  if (flags.on('help')) {
    await print(verbHelp('verify SRC DEST', PURPOSE, VERIFY_FLAGS));
    return EXIT.ok;
  }
  const [source, destination, ...rest] = flags.operands;
  if (source === undefined || destination === undefined || rest.length > 0) {
    throw new ConfigError('verify takes SRC and DEST');
  }
  const stop = new AbortController();
  const removeHandlers = onSignals(EXIT.interrupted, (reason) => stop.abort(reason));
  onBrokenPipe(() => stop.abort(new Interrupted('SIGPIPE')));
  try {
    refuseRemoteList(flags);
    const result = await withFirstContact(
      await verifyOptions(flags, stop.signal),
      () => stop.signal,
      (options) => compare(operandLocation(source), operandLocation(destination), options, flags),
    );
    return await conclude(result, flags);
  } catch (error) {
    if (error instanceof Interrupted) {
      if (!isPipeBroken()) note(`sparsync: ${error.message}: the comparison is not complete`);
      if (reporter() === 'github') tellGithub(endingOf(flags, EXIT.interrupted));
      return EXIT.interrupted;
    }
    if (reporter() === 'json') await printErrorJson(fromNative(error));
    const exitCode = printError(error);
    if (reporter() === 'github') tellGithub({ ...endingOf(flags, exitCode), error: fromNative(error) });
    return exitCode;
  } finally {
    removeHandlers();
  }
}

async function compare(
  source: Location,
  destination: Location,
  options: VerifyOptions,
  flags: ParsedFlags,
): Promise<VerifyResult> {
  const comparison = verify(source, destination, options);
  for await (const item of comparison) {
    if (reporter() === 'json') await printLine({ type: 'difference', ...item });
    else if (!flags.on('quiet')) await print(describeDifference(item));
  }
  return comparison;
}

async function conclude(result: VerifyResult, flags: ParsedFlags): Promise<number> {
  const exitCode = result.equal ? EXIT.ok : EXIT.partial;
  if (reporter() === 'json') await printLine({ type: 'summary', schema: JSON_SCHEMA, exitCode, ...result });
  else if (!result.equal) {
    const text = `${count(result.differences)} ${result.differences === 1 ? 'path differs' : 'paths differ'}`;
    if (reporter() === 'github') annotate('error', 'verify', text);
    else if (!flags.on('quiet')) note(text);
  }
  if (reporter() === 'github') tellGithub({ ...endingOf(flags, exitCode), differences: result.differences });
  return exitCode;
}

/** The facts for GitHub Actions. Nothing was written, whatever was found. */
function endingOf({ operands }: ParsedFlags, exitCode: number): Ending {
  return { exitCode, ends: operands.map((word) => safeBytes(Buffer.from(word))), dryRun: false };
}

function describeDifference(item: PlanItem): string {
  const path = safePath(item) || '.';
  if (item.action === 'skip') return `not compared: ${path} (${item.reasons.join(', ')})`;
  if (item.action === 'delete') return `extra: ${path}`;
  return item.action === 'create' ? `missing: ${path}` : `differs: ${path} (${item.reasons.join(', ')})`;
}

async function verifyOptions(flags: ParsedFlags, signal: AbortSignal): Promise<VerifyOptions> {
  return { ...connectOptions(flags), ...(await flaggedVerifyOptions(flags)), into: true, signal };
}
