/** Set when whoever read stdout has gone away: there is nobody left to tell anything. */
let broken = false;
let watching = false;
let pending = '';
let scheduled: Promise<void> | undefined;
const listeners: (() => void)[] = [];

/** Text is handed to the stream in pieces of this size, not line by line. */
const PIECE = 16 * 1024;

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
  if (text === '' || broken) return;
  watch();
  if (!process.stdout.write(text)) await drained();
}

/** Waits until more can be written, or nothing ever will be. */
function drained(): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'error', 'close'];
    const done = (): void => {
      for (const event of events) process.stdout.off(event, done);
      resolve();
    };
    for (const event of events) process.stdout.on(event, done);
  });
}

function watch(): void {
  if (watching) return;
  watching = true;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    broken = true;
    for (const listener of listeners) listener();
  });
}

/** Writes one line to stderr. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}
