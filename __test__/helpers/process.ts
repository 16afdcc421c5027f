import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

import type { ExecutionContext } from 'ava';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What was written so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Settles when the process has ended and its output is read. */
  readonly ended: Promise<Ended>;
  /** Whether it has ended. */
  readonly over: () => boolean;
  /** Sends a signal to this process and to no other; does nothing when it has ended. */
  readonly kill: (signal: NodeJS.Signals) => void;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Text for its standard input; null leaves that open for the caller. */
  readonly input?: string | null;
}

/** Starts a program that is killed, by its pid, should it outlive the test. */
export function start(
  t: ExecutionContext,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Running {
  const child = spawn(program, args, {
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin?.on('error', () => undefined);
  if (typeof options.input === 'string') child.stdin?.end(options.input);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  // A test may look at the end late or never.
  ended.catch(() => undefined);
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended.catch(() => undefined);
  });
  return {
    pid: child.pid ?? -1,
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    over: () => child.exitCode !== null || child.signalCode !== null,
    kill: (signal) => child.kill(signal),
  };
}

/** A number of /proc/PID/status, in KiB; 0 once the process has gone. */
export function statusKib(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  try {
    const line = readFileSync(`/proc/${pid}/status`, 'latin1').match(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm'));
    return Number(line?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Waits until something holds; fails with a word on what was waited for. */
export async function until(what: string, holds: () => boolean, limitMs = 30_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
