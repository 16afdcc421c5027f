import { writeSync } from 'node:fs';

/** Set when whoever read stdout has gone away: there is nobody left to tell anything. */
let broken = false;
let watching = false;
let pending = '';
let scheduled: Promise<void> | undefined;
const listeners: (() => void)[] = [];
/** The streams of this process that are in use. */
const inUse = new Set<NodeJS.WriteStream>();

/** Text is handed to the stream in pieces of this size, not line by line. */
const PIECE = 16 * 1024;

/** stdout. Looking at it makes it, which takes longer than most else that a quick run does; so all ask here. */
export function stdout(): NodeJS.WriteStream {
  inUse.add(process.stdout);
  return process.stdout;
}

/** stderr, as {@link stdout}. */
export function stderr(): NodeJS.WriteStream {
  inUse.add(process.stderr);
  return process.stderr;
}

/** Calls back once when the reader of stdout goes away. */
export function onBrokenPipe(listener: () => void): void {
  listeners.push(listener);
}

/** Whether the reader of stdout has gone away. */
export function isPipeBroken(): boolean {
  return broken;
}

/**
 * Writes one line to stdout: results go there, everything else to stderr. It waits while the reader is slow, so that a long
 * list needs no memory.
 */
export async function print(line: string): Promise<void> {
  pending += `${line}\n`;
  if (pending.length >= PIECE) await flushOutput();
  // A line must not stay behind while the next one takes long.
  else scheduled ??= new Promise((resolve) => setImmediate(resolve)).then(flushOutput).catch(() => undefined);
}

/** Writes what is still here. */
export async function flushOutput(): Promise<void> {
  scheduled = undefined;
  const text = pending;
  pending = '';
  await write(text);
}

/**
 * Writes what is still here, as the last thing that is done. Where nothing was written before, little text goes without
 * a stream, which takes longer to make.
 */
export async function endOutput(): Promise<void> {
  if (inUse.size > 0 || pending.length > PIECE) return flushOutput();
  const bytes = Buffer.from(pending);
  pending = '';
  return write(bytes.subarray(writeDirectly(bytes)));
}

/** Writes to stdout without a stream, and returns how much; what stands in the way is for the stream to find out. */
function writeDirectly(bytes: Uint8Array): number {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(1, bytes, written);
  } catch {
    // A pipe that is full, or that nobody reads, or a disk that is full.
  }
  return written;
}

async function write(text: string | Uint8Array): Promise<void> {
  if (text.length === 0 || broken) return;
  watch();
  if (!stdout().write(text)) await drained();
}

/** Ends the process. What a run began has ended: all that would be waited for is the end of idle threads. */
export function leave(exitCode: number): void {
  process.exitCode = exitCode;
  // What could not be written yet, or could not be written at all, makes the process end in its own time.
  if ([...inUse].every((stream) => stream.writableLength === 0 && stream.errored === null)) process.exit();
}

/** Waits until more can be written, or nothing ever will be. */
function drained(): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'error', 'close'];
    const done = (): void => {
      for (const event of events) stdout().off(event, done);
      resolve();
    };
    for (const event of events) stdout().on(event, done);
  });
}

function watch(): void {
  if (watching) return;
  watching = true;
  stdout().on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    broken = true;
    for (const listener of listeners) listener();
  });
}

/** Writes one line to stderr. */
export function note(line: string): void {
  stderr().write(`${line}\n`);
}
