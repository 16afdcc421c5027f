import { ConfigError } from '../errors.js';
import type { ConnectOptions } from '../options.js';
import { tellWritable } from '../own-file.js';
import { parseTarget } from '../target.js';
import type { Location, Target } from '../target.js';
import { connectOptions } from './connecting.js';
import { configuredFlags } from './configured.js';
import { examineEnds, examineScope } from './doctor/ends.js';
import type { Finding } from './doctor/finding.js';
import { examineMachine } from './doctor/machine.js';
import { examineWay } from './doctor/way.js';
import { EXIT } from './exit-codes.js';
import { DOCTOR_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { operandLocation } from './operands.js';
import { print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { Word } from './parse.js';
import { safe } from './names.js';
import { colored } from './text.js';

const PURPOSE = `Checks what a sync needs on this machine; with URL, also the network to that server and what this key may do there; with
SRC and DEST, also what that sync needs. Says what is wrong and what to do about it. Transfers nothing.
Exit code 0: a run would work.`;

/** `sparsync doctor [URL | SRC DEST]`. */
export async function doctorCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(DOCTOR_FLAGS, words, { tables: { connection: CONNECTING_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('doctor [URL | SRC DEST]', PURPOSE, DOCTOR_FLAGS));
    return EXIT.ok;
  }
  const ends = flags.operands.map((word) => endOf(word));
  if (ends.length > 2) throw new ConfigError('doctor takes nothing, URL, or SRC and DEST');
  if (ends.length === 1 && ends[0]?.target.kind === 'local')
    throw new ConfigError('doctor takes a URL, or SRC and DEST: a folder alone is not a sync');
  // The line about known_hosts tells it.
  tellWritable(() => undefined);
  let healthy = true;
  for await (const finding of examine(connectOptions(flags), ends)) {
    healthy &&= finding.state !== 'problem';
    await report(finding, flags.on('json'));
  }
  return healthy ? EXIT.ok : EXIT.usage;
}

/** A place, as the caller wrote it and as it is. */
interface End {
  readonly location: Location;
  readonly target: Target;
}

function endOf(word: Word): End {
  const location = operandLocation(word);
  return { location, target: parseTarget(location, 'SRC or DEST') };
}

async function report(finding: Finding, json: boolean): Promise<void> {
  if (json) {
    await printJson({ type: 'finding', schema: JSON_SCHEMA, ...finding });
    return;
  }
  const color = { ok: 'green', warning: 'yellow', problem: 'red' } as const;
  const state = colored(finding.state.padEnd(8), color[finding.state], 'stdout');
  await print(`${state} ${finding.check}: ${safe(finding.message)}`);
  if (finding.fix !== undefined) await print(`         help: ${safe(finding.fix)}`);
}

/**
 * Checks without which no run works. A given run does not need all of the others, and its own checks tell what it
 * lacks.
 */
const ALWAYS: readonly string[] = ['node', 'native core', 'file limit'];

async function* examine(options: ConnectOptions, ends: readonly End[]): AsyncGenerator<Finding, undefined, undefined> {
  const machine = examineMachine(options);
  let next = await machine.next();
  for (; next.done !== true; next = await machine.next()) {
    const { check, state } = next.value;
    const isNeeded = ends.length === 0 || ALWAYS.includes(check);
    yield state === 'problem' && !isNeeded ? { ...next.value, state: 'warning' } : next.value;
  }
  if (next.value) yield* examineRun(options, ends);
  return undefined;
}

async function* examineRun(
  options: ConnectOptions,
  [one, other]: readonly End[],
): AsyncGenerator<Finding, undefined, undefined> {
  if (one === undefined) return undefined;
  const remote = [one, other].find((end) => end?.target.kind === 'remote');
  if (remote?.target.kind === 'remote') {
    const { location, target } = remote;
    if (!(yield* examineWay(target, options))) return undefined;
    if (other === undefined) yield await examineScope(location, target, options);
  }
  if (other !== undefined) yield* examineEnds(one.location, other.location, other.target, options);
  return undefined;
}
