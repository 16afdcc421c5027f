// Every process that the harness starts goes through here, so that every one is ended by its id, after Ctrl-C too.
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const started = new Set<ChildProcess>();

/** The environment of everything that is measured: without what only slows Node down here. */
export function cleanEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: __, ...rest } = process.env;
  return { ...rest, LC_ALL: 'C', ...extra };
}

/** Starts a program in a process group of its own: the terminal's Ctrl-C reaches the harness only, which then ends it. */
export function start(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(),
    ...options,
    detached: true,
  });
  started.add(child);
  child.once('exit', () => started.delete(child));
  child.once('error', () => started.delete(child));
  return child;
}

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end and collects what it says. */
export async function run(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
  const child = start(program, args, options);
  const out = collect(child);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? 1, ...out() };
}

/** As `run`, but a failing exit is an error that says what the program said. */
export async function mustRun(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
  const finished = await run(program, args, options);
  if (finished.code !== 0) {
    throw new Error(`${[program, ...args].join(' ')} exited ${finished.code}\n${finished.stdout}${finished.stderr}`);
  }
  return finished;
}

function collect(child: ChildProcess): () => { stdout: string; stderr: string } {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  return () => ({ stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
}

/** A program that stays, whose first line of output says that it is ready. */
export interface Service {
  pid: number;
  /** What it printed first. */
  line: string;
  /** Says a line to it, and waits for the one that it answers. Its standard input has to be a pipe. */
  ask: (line: string) => Promise<string>;
  stop: () => Promise<void>;
  /** Ends it without its knowing. */
  kill: () => Promise<void>;
  /** Sends a signal to it and to what it started. */
  signal: (name: NodeJS.Signals) => void;
}

/** Starts a service and waits for its first line; `line: false` does not wait for one. */
export async function startService(
  program: string,
  args: readonly string[],
  { line = true, ...options }: SpawnOptions & { line?: boolean } = {},
): Promise<Service> {
  const child = start(program, args, options);
  const { pid } = child;
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  let text = '';
  let answer: ((line: string) => void) | undefined;
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    // What nobody waits for is not kept.
    const end = text.lastIndexOf('\n');
    if (end < 0) return;
    answer?.(text.slice(0, end).split('\n')[0] ?? '');
    text = text.slice(end + 1);
  });
  const nextLine = async (): Promise<string> =>
    new Promise<string>((resolve, reject) => {
      answer = resolve;
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${program} ended with ${code} instead of serving\n${said}`)));
    });
  const first = line ? await nextLine() : await new Promise<string>((resolve) => void setImmediate(resolve, ''));
  if (pid === undefined) throw new Error(`${program} has no process id`);
  const ask = async (question: string): Promise<string> => {
    child.stdin?.write(`${question}\n`);
    return nextLine();
  };
  const kill = async (): Promise<void> => {
    const gone = once(child, 'exit');
    signal(family(pid).toReversed(), 'SIGKILL');
    await gone;
  };
  const send = (name: NodeJS.Signals): void => signal(family(pid), name);
  return { pid, line: first, ask, stop: () => endTree(child), kill, signal: send };
}

/** Tries until `attempt` succeeds; a server needs a moment to listen. */
export async function until(what: string, attempt: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; await sleep(20)) {
    if (await attempt()) return;
  }
  throw new Error(`${what} was not there after 10 s`);
}

/** The parent of each process. */
function parents(): Map<number, number> {
  const all = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      all.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  return all;
}

/** A process and all that descend from it, itself first. */
export function family(pid: number): number[] {
  const all = parents();
  const found = [pid];
  for (const member of found) for (const [child, parent] of all) if (parent === member) found.push(child);
  return found;
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended.
    }
  }
}

/** Ends a process with its descendants: asks, then insists. */
async function endTree(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const pids = family(child.pid);
  const gone = once(child, 'exit');
  signal(pids, 'SIGTERM');
  const insist = setTimeout(() => signal(pids, 'SIGKILL'), 3000);
  await gone;
  clearTimeout(insist);
  signal(pids.slice(1), 'SIGKILL');
}

/** What is still to be undone, newest first. */
const undo: (() => void)[] = [];

/** Registers work that must be done however the harness ends; it may not wait. */
export function atEnd(work: () => void): void {
  undo.push(work);
}

let cleaned = false;

/** Ends every process that was started and undoes what was registered. Never throws. */
export function cleanUp(): void {
  if (cleaned) return;
  cleaned = true;
  for (const child of started) if (child.pid !== undefined) signal(family(child.pid).toReversed(), 'SIGKILL');
  // A namespace or a folder that is still in use for a moment cannot be removed.
  if (started.size > 0) spawnSync('sleep', ['0.2']);
  for (const work of undo.toReversed()) {
    try {
      work();
    } catch (error) {
      console.error(`cleaning up: ${String(error)}`);
    }
  }
}

/** Makes sure that `cleanUp` happens on every way out but SIGKILL. */
export function cleanUpAtExit(): void {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      console.error(`\n${name}: ending what was started`);
      cleanUp();
      process.exit(name === 'SIGINT' ? 130 : 143);
    });
  }
  process.once('exit', cleanUp);
}

/** An error in one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n').slice(0, 4).join(' / ');
}

/** Runs a program of the benches to its end, whatever that is, and leaves nothing running. */
export async function runToEnd(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error(reasonOf(error));
    process.exitCode = 1;
  } finally {
    cleanUp();
  }
}
