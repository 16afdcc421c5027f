import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { defaultAuthorizedKeysPath, defaultKeyPath, defaultKnownHostsPath, stateDirectory } from '../config.js';
import { connect } from '../connection.js';
import { ConfigError, fromNative } from '../errors.js';
import { loadNative, platformTarget } from '../native.js';
import type { ConnectOptions } from '../options.js';
import { identity } from '../trust.js';
import { connectOptions } from './connecting.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { DOCTOR_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { hintFor } from './hints.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { print } from './output.js';
import { CONNECTING_FLAGS } from './transfer-flags.js';
import type { ParsedFlags, Word } from './parse.js';
import { safe } from './names.js';
import { colored } from './text.js';
import { packageVersion } from './package.js';

const PURPOSE = `Looks at what a sync needs on this machine, and with URL at the way to that server, and says what is wrong and what
helps. Exit code 0: nothing is wrong.`;

/** What one check found. */
interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly fix?: string;
}

/** Before this moment no release existed: a clock that shows it is wrong, and certificates and pins would be judged by it. */
const EARLIEST_PLAUSIBLE = Date.UTC(2026, 0, 1);

/** `sparsync doctor [URL]`. */
export async function doctorCommand(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(DOCTOR_FLAGS, words, { tables: { connection: CONNECTING_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('doctor [URL]', PURPOSE, DOCTOR_FLAGS));
    return EXIT.ok;
  }
  let healthy = true;
  for await (const finding of examine(flags)) {
    healthy &&= finding.state !== 'problem';
    await report(finding, flags.on('json'));
  }
  return healthy ? EXIT.ok : EXIT.usage;
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

async function* examine(flags: ParsedFlags): AsyncGenerator<Finding, undefined, undefined> {
  yield examineNode();
  const native = await examineNative();
  yield native;
  yield examineClock();
  if (native.state === 'problem') return undefined;
  yield await examineKey(flags);
  yield examineFile('known_hosts', () => flags.text('known-hosts') ?? defaultKnownHostsPath());
  yield examineFile('authorized_keys', defaultAuthorizedKeysPath);
  yield examineState();
  const url = flags.operands[0];
  if (typeof url === 'string') yield* examineConnection(url, flags);
  return undefined;
}

function examineNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const supported = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  return {
    check: 'node',
    state: supported ? 'ok' : 'problem',
    message: `Node.js ${process.versions.node}, ${platformTarget()}`,
    ...(supported ? {} : { fix: 'install Node.js 20.19, 22.12 or newer' }),
  };
}

async function examineNative(): Promise<Finding> {
  const check = 'native core';
  const expected = packageVersion();
  try {
    const version = (await loadNative()).coreVersion();
    if (version === expected) return { check, state: 'ok', message: `version ${version}` };
    return {
      check,
      state: 'problem',
      message: `version ${version}, but this package is ${expected}`,
      fix: 'install the package anew, so that both have one version: npm install sparsync-native',
    };
  } catch (error) {
    const { message, details } = fromNative(error);
    return { check, state: 'problem', message, ...(typeof details['fix'] === 'string' ? { fix: details['fix'] } : {}) };
  }
}

function examineClock(): Finding {
  const now = new Date();
  const plausible = now.getTime() >= EARLIEST_PLAUSIBLE;
  return {
    check: 'clock',
    state: plausible ? 'ok' : 'problem',
    message: now.toISOString(),
    ...(plausible ? {} : { fix: 'set the clock: certificates and times of files depend on it' }),
  };
}

async function examineKey(flags: ParsedFlags): Promise<Finding> {
  const check = 'key';
  const found = fileAt(check, () => flags.text('identity') ?? defaultKeyPath());
  if ('state' in found) return found;
  const { path, mode } = found;
  if (mode === undefined) {
    const folder = dirname(path);
    if (canBeWritten(folder)) return { check, state: 'ok', message: `none yet in ${folder}; it is made on first use` };
    return {
      check,
      state: 'problem',
      message: `none yet, and none can be made in ${folder}`,
      fix: 'set SPARSYNC_CONFIG_DIR to a folder that can be written, or name a key file by --identity',
    };
  }
  if ((mode & 0o077) !== 0) {
    return {
      check,
      state: 'problem',
      message: `${path} can be used by others (mode ${mode.toString(8)})`,
      fix: `chmod 600 ${path}; if others could read it, delete it, so that a new one is made, and allow that one on the servers`,
    };
  }
  try {
    return { check, state: 'ok', message: `${(await identity(path)).publicKey} (${path})` };
  } catch (error) {
    return {
      check,
      state: 'problem',
      message: fromNative(error).message,
      fix: `is ${path} an Ed25519 key in PEM form?`,
    };
  }
}

/** A file of keys, which nobody else may write. */
function examineFile(check: string, named: () => string): Finding {
  const found = fileAt(check, named);
  if ('state' in found) return found;
  const { path, mode } = found;
  if (mode === undefined) return { check, state: 'ok', message: `${path} is not there yet` };
  if ((mode & 0o022) === 0) return { check, state: 'ok', message: path };
  return {
    check,
    state: 'problem',
    message: `${path} can be changed by others (mode ${mode.toString(8)})`,
    fix: `chmod go-w ${path}`,
  };
}

/** The file with its mode, or the finding that it cannot be looked at, or that no folder is known for it. */
function fileAt(check: string, named: () => string): { path: string; mode: number | undefined } | Finding {
  try {
    const path = named();
    const mode = statSync(path, { throwIfNoEntry: false })?.mode;
    return { path, mode: mode === undefined ? undefined : mode & 0o777 };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Without a folder of keys a run works all the same, when its flags name what it needs.
    if (error instanceof ConfigError) return { check, state: 'warning', message };
    return { check, state: 'problem', message, fix: 'set SPARSYNC_CONFIG_DIR to a folder of your own' };
  }
}

/** What runs remember is a guard more, which they can do without. */
function examineState(): Finding {
  const check = 'state';
  const folder = stateDirectory();
  if (folder !== undefined && canBeWritten(folder)) return { check, state: 'ok', message: folder };
  const why = folder === undefined ? 'no folder is known' : `${folder} cannot be written`;
  return {
    check,
    state: 'warning',
    message: `${why}: runs work, and do not notice when a mount point of the source has gone since the last run`,
    fix: 'set SPARSYNC_STATE_DIR to a folder that can be written',
  };
}

/** Whether a folder can be written, or made below what there is of it. */
function canBeWritten(folder: string): boolean {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
    return statSync(at).isDirectory();
  } catch {
    return false;
  }
}

async function* examineConnection(url: string, flags: ParsedFlags): AsyncGenerator<Finding, undefined, undefined> {
  const check = 'connection';
  const options = connectOptions(flags);
  try {
    const connection = await connect(url, options);
    try {
      const { remoteAddress, serverKey, transport } = connection;
      const roots = (await connection.list()).map((entry) => entry.name);
      const time = `${connection.roundTripMs().toFixed(1)} ms`;
      yield {
        check,
        state: 'ok',
        message: `${remoteAddress}, ${serverKey}, by ${transport}, round trip ${time}, sees: ${roots.join(' ') || 'nothing'}`,
      };
      if (transport !== 'pipe' && (options.transport ?? 'auto') === 'auto') {
        yield* await Promise.all(WAYS.map((way) => examineWay(url, options, way)));
      }
    } finally {
      await connection.close();
    }
  } catch (error) {
    const failure = fromNative(error);
    const fix = hintFor(failure);
    yield {
      check,
      state: 'problem',
      message: `${failure.code}: ${failure.message}`,
      ...(fix === undefined ? {} : { fix }),
    };
  }
  return undefined;
}

const WAYS = [
  { check: 'UDP', transport: 'quic', without: 'runs go over TCP, slower where packets are lost' },
  { check: 'TCP', transport: 'tcp', without: 'where UDP is blocked nothing stands in for it' },
] as const;

/** How long a way may take that something else has stood in for. */
const WAY_TIMEOUT_MS = 3000;

/** Whether a server that is reached in one way is reached in another. */
async function examineWay(
  url: string,
  options: ConnectOptions,
  { check, transport, without }: (typeof WAYS)[number],
): Promise<Finding> {
  try {
    const connectTimeoutMs = options.connectTimeoutMs ?? WAY_TIMEOUT_MS;
    await (await connect(url, { ...options, transport, connectTimeoutMs })).close();
    return { check, state: 'ok', message: 'gets through' };
  } catch (error) {
    return {
      check,
      state: 'warning',
      message: `${fromNative(error).message}: ${without}`,
      fix: 'does a firewall on the way, or the server (--no-tcp), keep it out?',
    };
  }
}
