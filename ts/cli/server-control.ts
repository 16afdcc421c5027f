import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { ConfigError, ConnectionError, IoError, ioError } from '../errors.js';
import { configuredFlags } from './configured.js';
import { EXIT } from './exit-codes.js';
import { SERVER_FLAGS, SERVE_FLAGS } from './flags.js';
import { verbHelp } from './help.js';
import { JSON_SCHEMA, printJson } from './json.js';
import { safe } from './names.js';
import { note, print } from './output.js';
import type { Word } from './parse.js';
import { defaultPidFile, refuseRunning, runningServer, startOf } from './pid-file.js';
import type { ServerRecord } from './pid-file.js';

const PURPOSE = `  server start [OPTIONS]   runs "sparsync serve" with these options in the background; ends when that listens
  server status            says whether it runs, where, and since when; exit code 1 when it does not
  server stop              lets transfers finish as SIGTERM does, and waits until it has ended

The server is known by its pid file, server.pid in the state folder (~/.local/state/sparsync), which tells it from another
process that has its number by now. Without --log-file the log is server.log beside it.`;

/** How often a process is looked at that is to end. */
const LOOK_MS = 50;

/** What a server takes beyond its grace. */
const BEYOND_GRACE_MS = 15_000;

/** The most bytes that are shown of what a server says that does not start. */
const TOLD_MAX = 64 * 1024;

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
  const pidFile = flags.text('pid-file') ?? defaultPidFile();
  const running = runningServer(pidFile);
  const json = flags.on('json');
  if (running === undefined) {
    if (json) await printJson({ type: 'server', schema: JSON_SCHEMA, running: false, pidFile });
    else await print(`no server runs (${safe(pidFile)})`);
    // Who wants it to be stopped has what he wants.
    return what === 'stop' ? EXIT.ok : EXIT.usage;
  }
  if (what === 'stop') await stop(running);
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
  const parts = [`listening on ${address} with key ${publicKey}`, `process ${pid}`, `roots ${roots.join(' ')}`];
  return print(safe([...parts, `since ${since}`, ...log].join(', ')));
}

async function stop({ pid, start: began, graceMs }: ServerRecord): Promise<void> {
  const until = Date.now() + graceMs + BEYOND_GRACE_MS;
  terminate(pid);
  while (startOf(pid) === began) {
    if (Date.now() > until) {
      throw new ConnectionError(`process ${pid} was asked to stop and has not ended yet`, {
        code: 'ERR_SPARSYNC_TIMEOUT',
        details: { pid },
      });
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

function terminate(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (cause) {
    throw ioError(`cannot stop process ${pid}`, cause);
  }
}

async function start(words: readonly Word[]): Promise<number> {
  const flags = await configuredFlags(SERVE_FLAGS, words, { tables: { server: SERVE_FLAGS } });
  if (flags.on('help')) {
    await print(verbHelp('server start --root NAME=PATH [OPTIONS]', PURPOSE, SERVE_FLAGS));
    return EXIT.ok;
  }
  if (flags.on('print-unit')) throw new ConfigError('--print-unit is for serve: a system manager starts it by itself');
  const pidFile = resolve(flags.text('pid-file') ?? defaultPidFile());
  refuseRunning(pidFile);
  const logFile = resolve(flags.text('log-file') ?? join(dirname(pidFile), 'server.log'));
  mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
  const log = openSync(logFile, 'a+', 0o640);
  const before = fstatSync(log).size;
  const own = ['--json', '--pid-file', pidFile, '--log-file', logFile];
  const args = [process.argv[1] ?? '', 'serve', ...words, ...own].map(argument);
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', 'pipe', log] });
  try {
    const ended = await readiness(child);
    if (ended !== undefined) {
      for (const line of added(log, before)) note(line);
      return ended;
    }
  } finally {
    closeSync(log);
  }
  const running = runningServer(pidFile);
  if (running === undefined) throw new IoError('the server has ended', { code: 'ERR_SPARSYNC_IO', path: logFile });
  await tell(running, true, pidFile, flags.on('json'));
  return EXIT.ok;
}

/** What a program can be given as an argument; Node takes no bytes. */
function argument(word: Word): string {
  if (typeof word === 'string') return word;
  throw new ConfigError('server start takes words that are UTF-8 text; serve takes others as well');
}

/** Waits until a server says that it listens; the exit code of one that ends before. */
function readiness(child: ChildProcess): Promise<number | undefined> {
  return new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => done(code === 0 || code === null ? EXIT.internal : code));
    child.stdout?.once('data', () => {
      child.unref();
      child.stdout?.destroy();
      done(undefined);
    });
  });
}

/** The lines that a file got since it had so many bytes. */
function added(descriptor: number, before: number): string[] {
  const bytes = Buffer.alloc(Math.min(TOLD_MAX, Math.max(0, fstatSync(descriptor).size - before)));
  const length = readSync(descriptor, bytes, 0, bytes.length, before);
  return bytes.toString('utf8', 0, length).trimEnd().split('\n');
}
