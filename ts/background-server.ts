import type { ChildProcess } from 'node:child_process';
import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { builtin } from './builtin.js';
import { captureCallSite } from './callsite.js';
import { argument, checkOptions, instance, integer, listOf, text } from './check.js';
import type { Checks } from './check.js';
import { withoutSecrets } from './config.js';
import { ConfigError, ConnectionError, IoError, PlatformError, ioError, makeError } from './errors.js';
import { defaultPidFile, refuseRunning, runningServer, startOf } from './pid-file.js';
import type { ServerRecord } from './pid-file.js';
import { withSite } from './trust.js';
import { namedFiles } from './named-files.js';
import { isOwn } from './own-file.js';

/** The longest time in which a background server may begin to listen, or end: a timer holds no more than some days. */
export const PROCESS_TIMEOUT_MS_MAX = 3_600_000;

/** A server of this machine that runs as a process of its own. */
export interface BackgroundServer {
  /** The number of its process. */
  pid: number;
  /** The address that it listens on, `ip:port`. */
  address: string;
  /** Its key, `ed25519:BASE64`. */
  publicKey: string;
  /** The names of what it serves. */
  roots: string[];
  /** Since when it has run. */
  since: Date;
  /** The file that it logs to. */
  logFile?: string;
  /** The file by which it is known. */
  pidFile: string;
}

/** Which server of this machine is meant. */
export interface PidFileOptions {
  /** The file by which it is known. Default: `server.pid` in the state folder. */
  pidFile?: string | undefined;
}

/** How a server is started. */
export interface StartServerOptions extends PidFileOptions {
  /** The file that it logs to. Default: `server.log` beside the pid file. */
  logFile?: string | undefined;
  /** Time in which it has to listen, in milliseconds; it is killed when it does not. Default: `60_000`. Range: 1 to 3,600,000. */
  startTimeoutMs?: number | undefined;
}

const PID_FILE_CHECKS: Checks<PidFileOptions> = { pidFile: text('the path of a file') };

const START_CHECKS: Checks<StartServerOptions> = {
  ...PID_FILE_CHECKS,
  logFile: text('the path of a file'),
  startTimeoutMs: integer(1, PROCESS_TIMEOUT_MS_MAX, 'milliseconds'),
};

/** How long it is waited for a server to listen, unless told otherwise. */
const START_TIMEOUT_MS = 60_000;

const flagWord = instance<string>(
  (value): value is string => typeof value === 'string' && !value.includes('\0'),
  'a word of a command line',
);

/** How often a process is looked at that is to end. */
const LOOK_MS = 50;

/** How a server is stopped. */
export interface StopServerOptions extends PidFileOptions {
  /** Time in which it has to end, in milliseconds. Default: its grace and 15,000. Range: 1 to 3,600,000. */
  stopTimeoutMs?: number | undefined;
}

const STOP_CHECKS: Checks<StopServerOptions> = {
  ...PID_FILE_CHECKS,
  stopTimeoutMs: integer(1, PROCESS_TIMEOUT_MS_MAX, 'milliseconds'),
};

/** What a server takes beyond its grace. */
const BEYOND_GRACE_MS = 15_000;

/** The most bytes of a server's output that are shown if it does not start. */
const TOLD_MAX = 64 * 1024;

/**
 * Starts a server in the background, as `sparsync server start` does: it goes on when this process has ended.
 *
 * @param flags - The flags of `sparsync serve`.
 * @returns The server, once it listens.
 * @throws {@link ConfigError} when one runs that is known by the same file, or when it ended at once, with what it said and
 *   `details.exitCode` where it had one.
 * @throws {@link ConnectionError} with `ERR_SPARSYNC_TIMEOUT` when it does not listen in time.
 *
 * @example `const { address } = await startServer(['--root', 'backup=/srv/backup'])`
 */
export async function startServer(flags: readonly string[], options?: StartServerOptions): Promise<BackgroundServer> {
  return withSite(captureCallSite(), async () => {
    const words = argument(flags, 'flags', listOf(flagWord));
    if (words === undefined) throw new ConfigError('argument flags is missing: give the flags of sparsync serve');
    if (words.some((word) => NO_SERVER.test(word)))
      throw new ConfigError('--help, --version and --print-unit do not start a server');
    const given = checkOptions<StartServerOptions>(options, START_CHECKS, 'options');
    const { pidFile = defaultPidFile(), logFile, startTimeoutMs } = given;
    const started = await startInBackground(commandBeside(), words, { pidFile, logFile, startTimeoutMs });
    if (!('said' in started)) return toServer(started, resolve(pidFile));
    const { exitCode, said } = started;
    throw makeError(`the server has ended: ${said.join('\n')}`, {
      code: 'ERR_SPARSYNC_CONFIG',
      details: exitCode === undefined ? {} : { exitCode },
    });
  });
}

/**
 * The server that runs in the background; nothing when none does.
 *
 * @example `if ((await serverStatus()) === undefined) await startServer(['--root', 'backup=/srv/backup'])`
 */
export async function serverStatus(options?: PidFileOptions): Promise<BackgroundServer | undefined> {
  return withSite(captureCallSite(), async () => {
    const pidFile = pidFileOf(checkOptions<PidFileOptions>(options, PID_FILE_CHECKS, 'options'));
    const running = runningServer(pidFile, await namedFiles());
    return running === undefined ? undefined : toServer(running, pidFile);
  });
}

/**
 * Stops the server that runs in the background, and waits until it has ended: running transfers have the time that its
 * `--grace` gives them.
 *
 * @returns The server that was; nothing when none ran.
 * @throws {@link ConnectionError} with `ERR_SPARSYNC_TIMEOUT` when it does not end.
 *
 * @example `await stopServer()`
 */
export async function stopServer(options?: StopServerOptions): Promise<BackgroundServer | undefined> {
  return withSite(captureCallSite(), async () => {
    const given = checkOptions<StopServerOptions>(options, STOP_CHECKS, 'options');
    const pidFile = pidFileOf(given);
    const running = runningServer(pidFile, await namedFiles());
    if (running === undefined) return undefined;
    await stopProcess(running, given.stopTimeoutMs);
    return toServer(running, pidFile);
  });
}

function pidFileOf({ pidFile }: PidFileOptions): string {
  return resolve(pidFile ?? defaultPidFile());
}

function toServer({ pid, address, publicKey, roots, since, logFile }: ServerRecord, pidFile: string): BackgroundServer {
  const log = logFile === undefined ? {} : { logFile };
  return { pid, address, publicKey, roots: [...roots], since: new Date(since), ...log, pidFile };
}

/** The path of this package's command. A bundle does not have the command beside it. */
function commandBeside(): string {
  const folder: string | undefined = import.meta.dirname;
  const program = folder === undefined ? undefined : join(folder, 'cli', 'main.js');
  if (program !== undefined && existsSync(program)) return program;
  throw new PlatformError('the sparsync command is not next to this bundle: keep sparsync-native out of the bundle', {
    code: 'ERR_SPARSYNC_PLATFORM',
  });
}

/** Where what is known of a server stands, and how long it may take to begin. */
export interface BackgroundStart {
  readonly pidFile: string;
  readonly logFile: string | undefined;
  readonly startTimeoutMs: number | undefined;
}

/** A server that ended instead of listening. */
export interface NotStarted {
  /** None of one that was killed, or that ended as if all were well. */
  readonly exitCode: number | undefined;
  /** The lines that it wrote. */
  readonly said: readonly string[];
}

/** Starts the command as a detached server, and waits until it listens. */
export async function startInBackground(
  program: string,
  words: readonly string[],
  { startTimeoutMs = START_TIMEOUT_MS, ...files }: BackgroundStart,
): Promise<ServerRecord | NotStarted> {
  const pidFile = resolve(files.pidFile);
  const named = await namedFiles();
  refuseRunning(pidFile, named);
  const logFile = resolve(files.logFile ?? join(dirname(pidFile), 'server.log'));
  const log = named.beside(
    logFile,
    (at) => (files.logFile === undefined ? ownLog(logFile, at()) : named.openLog(logFile, 0o640, true)),
    0o700,
  );
  try {
    const before = fstatSync(log).size;
    const args = [program, 'serve', ...words, '--json', '--pid-file', pidFile, '--log-file', logFile];
    const { spawn } = builtin('node:child_process');
    const child = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', 'pipe', log],
      env: withoutSecrets(),
    });
    const began = await beginningOf(child, startTimeoutMs);
    if (began === 'late') {
      child.kill('SIGKILL');
      throw new ConnectionError(`the server did not listen within ${startTimeoutMs / 1000} seconds`, {
        code: 'ERR_SPARSYNC_TIMEOUT',
        details: { said: added(log, before).join('\n'), logFile },
      });
    }
    if (began !== 'ready') return { ...began, said: added(log, before) };
  } finally {
    closeSync(log);
  }
  const running = runningServer(pidFile, named);
  if (running === undefined) throw new IoError('the server has ended', { code: 'ERR_SPARSYNC_IO', path: logFile });
  return running;
}

/** Opens the log of a server that was not named: it is beside the pid file, and must belong to this user. */
function ownLog(path: string, at: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
  const log = openSync(at, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640);
  if (isOwn(fstatSync(log))) return log;
  closeSync(log);
  throw new ConfigError(
    'the log next to the pid file belongs to another user, or other users can write it: name another one',
    { path },
  );
}

/** Flags with which the command prints something and ends. */
const NO_SERVER = /^--(?:help|print-unit|version)$/;

type Beginning = 'ready' | 'late' | Pick<NotStarted, 'exitCode'>;

/** Waits until a server says that it listens, or ends before. */
async function beginningOf(child: ChildProcess, limitMs: number): Promise<Beginning> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((done, fail) => {
      timer = setTimeout(() => done('late'), limitMs);
      child.once('error', fail);
      child.once('exit', (code) => done({ exitCode: code === 0 || code === null ? undefined : code }));
      child.stdout?.once('data', () => done('ready'));
    });
  } finally {
    clearTimeout(timer);
    child.unref();
    child.stdout?.destroy();
  }
}

/** The lines that were added to a file behind its first `before` bytes. */
function added(descriptor: number, before: number): string[] {
  const bytes = Buffer.alloc(Math.min(TOLD_MAX, Math.max(0, fstatSync(descriptor).size - before)));
  const length = readSync(descriptor, bytes, 0, bytes.length, before);
  return bytes.toString('utf8', 0, length).trimEnd().split('\n');
}

/** Asks a server to end and waits until it has. */
export async function stopProcess({ pid, start: began, graceMs }: ServerRecord, timeoutMs?: number): Promise<void> {
  const until = Date.now() + (timeoutMs ?? graceMs + BEYOND_GRACE_MS);
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
