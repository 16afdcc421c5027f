import { resolve } from 'node:path';

import { PROCESS_TIMEOUT_MS_MAX, startInBackground, stopProcess } from '../background-server.js';
import { ConfigError } from '../errors.js';
import { namedFiles } from '../named-files.js';
import { defaultPidFile, runningServer } from '../pid-file.js';
import type { ServerRecord } from '../pid-file.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { SERVER_FLAGS, SERVE_FLAGS, START_FLAGS, START_TIMEOUT_FLAG, STOP_TIMEOUT_FLAG } from './flags.js';
import { millisecondsOf } from './flag-values.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { safe } from './names.js';
import { note, print } from './output.js';
import type { Flag, ParsedFlags, Word } from './parse.js';

const PURPOSE = `  server start [OPTIONS]   runs "sparsync serve" with these options in the background; returns when the server listens
  server status            says whether it runs, where, and since when; exit code 1 when it does not
  server stop              lets transfers finish, as SIGTERM does, and waits for its end, or for --stop-timeout

The server is found by its pid file, server.pid in the state folder (~/.local/state/sparsync). That also tells it from a
later process with the same number. Without --log-file the log is server.log in the same folder.`;

/** `sparsync server`. */
export async function serverCommand(words: readonly Word[]): Promise<number> {
  const [verb, ...rest] = words;
  if (verb === 'start') return start(rest);
  const flags = await configuredFlags(SERVER_FLAGS, words, { tables: { server: SERVE_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('server start [OPTIONS] | status | stop', PURPOSE, SERVER_FLAGS));
    return EXIT.ok;
  }
  const [what, ...others] = flags.operands;
  if (others.length > 0 || (what !== 'stop' && what !== 'status')) {
    throw new ConfigError('server takes start, status or stop; a folder of that name is ./server');
  }
  const stopTimeoutMs = timeoutOf(flags, STOP_TIMEOUT_FLAG);
  if (what === 'status' && stopTimeoutMs !== undefined) throw new ConfigError('--stop-timeout is for server stop');
  const pidFile = flags.text('pid-file') ?? defaultPidFile();
  const running = runningServer(pidFile, await namedFiles());
  const json = flags.on('json');
  if (running === undefined) {
    if (json) await printJson({ type: 'server', schema: JSON_SCHEMA, running: false, pidFile });
    else await print(`no server is running (${safe(pidFile)})`);
    // Stopping a server that does not run is a success.
    return what === 'stop' ? EXIT.ok : EXIT.usage;
  }
  if (what === 'stop') await stopProcess(running, stopTimeoutMs);
  await tell(running, what === 'status', pidFile, json);
  return EXIT.ok;
}

async function tell(server: ServerRecord, running: boolean, pidFile: string, json: boolean): Promise<void> {
  const { pid, address, publicKey, roots, since, logFile } = server;
  if (json) {
    const record = { running, pid, address, publicKey, roots, since, logFile, pidFile };
    return printJson({ type: 'server', schema: JSON_SCHEMA, ...record });
  }
  if (!running) return print(`process ${pid} has ended`);
  const log = logFile === undefined ? [] : [`log ${logFile}`];
  const parts = [`Process ${pid}`, `since ${since}`, ...log];
  return print(safe(`serving ${roots.join(', ')} on ${address}.  Server key ${publicKey}.  ${parts.join(', ')}.`));
}

async function start(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(START_FLAGS, words, { tables: { server: SERVE_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('server start --root NAME=PATH [OPTIONS]', PURPOSE, START_FLAGS));
    return EXIT.ok;
  }
  if (flags.on('print-unit')) throw new ConfigError('--print-unit is for serve: a system manager starts it by itself');
  const pidFile = resolve(flags.text('pid-file') ?? defaultPidFile());
  const startTimeoutMs = timeoutOf(flags, START_TIMEOUT_FLAG);
  const own = withoutTimeout(words.map(argument));
  const started = await startInBackground(process.argv[1] ?? '', own, {
    pidFile,
    logFile: flags.text('log-file'),
    startTimeoutMs,
  });
  if ('said' in started) {
    for (const line of started.said) note(line);
    return started.exitCode ?? EXIT.internal;
  }
  await tell(started, true, pidFile, flags.on('json'));
  return EXIT.ok;
}

function timeoutOf(flags: ParsedFlags, { name }: Flag): number | undefined {
  const timeoutMs = millisecondsOf(flags, name, 1);
  if (timeoutMs === undefined || timeoutMs <= PROCESS_TIMEOUT_MS_MAX) return timeoutMs;
  throw new ConfigError(`--${name} must be at most ${PROCESS_TIMEOUT_MS_MAX / 1000} seconds`);
}

/** The words that `serve` has as well. */
function withoutTimeout(words: readonly string[]): string[] {
  const flag = `--${START_TIMEOUT_FLAG.name}`;
  return words.filter((word, at) => word !== flag && words[at - 1] !== flag && !word.startsWith(`${flag}=`));
}

/** What a program can be given as an argument; Node takes no bytes. */
function argument(word: Word): string {
  if (typeof word === 'string') return word;
  throw new ConfigError('server start takes UTF-8 text only; serve takes other bytes as well');
}
