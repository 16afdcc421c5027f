import { fstatSync, writeSync } from 'node:fs';

import { EXIT } from './exit-codes.js';
import { encoded } from './names.js';

/** Why something could not be written; set once for each stream, with the first reason. */
const lost = new Map<NodeJS.WriteStream, NodeJS.ErrnoException>();
let pending = '';
let scheduled: Promise<void> | undefined;
/** The last line for stderr, when it is on its way. */
let noted: Promise<void> | undefined;
/** Something that was asked for beside both streams, a file, could not be written. */
let isFileLost = false;
const listeners: (() => void)[] = [];
const noteListeners: ((line: string) => void)[] = [];
/** What is printed goes to stderr. */
let isDiverted = false;
/** The streams of this process that are in use, by descriptor. */
const inUse = new Map<number, NodeJS.WriteStream>();

/** Text is handed to the stream in pieces of this size, not line by line. */
const PIECE = 16 * 1024;

/** stdout. Looking at it makes it, which takes longer than most else that a quick run does; so all ask here. */
export function stdout(): NodeJS.WriteStream {
  return inUse.get(1) ?? used(1, process.stdout);
}

/** stderr, as {@link stdout}. */
export function stderr(): NodeJS.WriteStream {
  return inUse.get(2) ?? used(2, process.stderr);
}

/**
 * Whether a stream may be given colours and cursor movements. The stream is made only for what can be a terminal, because
 * most runs of scripts have none.
 */
export function isFancy(name: 'stdout' | 'stderr'): boolean {
  try {
    if (!fstatSync(name === 'stdout' ? 1 : 2).isCharacterDevice()) return false;
  } catch {
    return false;
  }
  return (name === 'stdout' ? stdout() : stderr()).isTTY && process.env['TERM'] !== 'dumb';
}

/** Without a listener an error of a stream would end the process with a stack, in the middle of its work. */
function used(descriptor: number, stream: NodeJS.WriteStream): NodeJS.WriteStream {
  inUse.set(descriptor, stream);
  stream.on('error', (error: NodeJS.ErrnoException) => lose(stream, error));
  return stream;
}

/** Lets all that is printed from now on go to stderr. */
export function printOnStderr(): void {
  isDiverted = true;
}

/** Calls back once when the reader of stdout goes away. */
export function onBrokenPipe(listener: () => void): void {
  listeners.push(listener);
}

/** Whether the reader of stdout has gone away: there is nobody left to tell anything. */
export function isPipeBroken(): boolean {
  return [...lost].some(([stream, error]) => stream === process.stdout && error.code === 'EPIPE');
}

/**
 * Takes note that a stream takes no more. It is told once, on stderr, and the work goes on: what is synced is of use
 * without its list. A reader who went away is not told, as other tools have it.
 */
function lose(stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (lost.has(stream)) return;
  lost.set(stream, error);
  if (stream !== process.stdout) return;
  if (error.code === 'EPIPE') for (const listener of listeners) listener();
  else note(`error: cannot write to stdout: ${error.message.replace(/, \w+$/, '')}`);
}

/** Takes note that a file that was asked for could not be written; who calls has told it. */
export function loseFile(): void {
  isFileLost = true;
}

/**
 * Writes one line to stdout: results go there, everything else to stderr. It waits while the reader is slow, so that a long
 * list needs no memory.
 */
export async function print(line: string): Promise<void> {
  if (isDiverted) return printPart(`${line}\n`);
  pending += `${line}\n`;
  if (pending.length >= PIECE) await flushOutput();
  // A line must not stay behind while the next one takes long.
  else scheduled ??= new Promise((resolve) => setImmediate(resolve)).then(flushOutput);
}

/** Writes a part of a line to stdout, at once. */
export async function printPart(text: string): Promise<void> {
  if (isDiverted) return tell(encoded(text));
  pending += text;
  await flushOutput();
}

/** Writes what is still here. */
export async function flushOutput(): Promise<void> {
  scheduled = undefined;
  const text = pending;
  pending = '';
  await write(encoded(text));
}

/**
 * Writes what is still here, as the last thing that is done. Where nothing was written before, little text goes without
 * a stream, which takes longer to make.
 */
export async function endOutput(): Promise<void> {
  if (inUse.has(1) || pending.length > PIECE) {
    await flushOutput();
  } else {
    const bytes = Buffer.from(encoded(pending));
    pending = '';
    await write(bytes.subarray(writeDirectly(1, bytes)));
  }
  await noted;
}

/** Writes without a stream, and returns how much; what stands in the way is for the stream to find out. */
function writeDirectly(descriptor: number, bytes: Uint8Array): number {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(descriptor, bytes, written);
  } catch {
    // A pipe that is full, or that nobody reads, or a disk that is full.
  }
  return written;
}

async function write(text: string | Uint8Array): Promise<void> {
  if (text.length === 0 || (lost.size > 0 && lost.has(process.stdout))) return;
  // A file on a disk that is nearly full takes a part of a text, which Node's stream does not look at.
  if (isFile()) {
    const bytes = Buffer.from(text);
    text = bytes.subarray(writeDirectly(1, bytes));
    if (text.length === 0) return;
  }
  await writeTo(stdout(), text);
}

let isFileKnown: boolean | undefined;

/** Whether stdout is a file. */
function isFile(): boolean {
  try {
    isFileKnown ??= fstatSync(1).isFile();
  } catch {
    isFileKnown = false;
  }
  return isFileKnown;
}

/** Settles when a text is written, or never will be. */
function writeTo(stream: NodeJS.WriteStream, text: string | Uint8Array): Promise<void> {
  if (lost.has(stream)) return Promise.resolve();
  return new Promise((resolve) => {
    stream.write(text, (error) => {
      if (error) lose(stream, error);
      resolve();
    });
  });
}

/** What the process ends with: of what was to be written all is, or it is not well. */
export function finalCode(exitCode: number): number {
  const isAnyLost = isFileLost || [...lost.values()].some((error) => error.code !== 'EPIPE');
  return exitCode === EXIT.ok && isAnyLost ? EXIT.output : exitCode;
}

/** Ends the process. What a run began has ended: all that would be waited for is the end of idle threads. */
export function leave(exitCode: number): void {
  process.exitCode = finalCode(exitCode);
  // What could not be written yet makes the process end in its own time.
  if ([...inUse.values()].every((stream) => stream.writableLength === 0 || lost.has(stream))) process.exit();
}

/** Lets all lines for stderr go to this listener as well. */
export function onNote(listener: (line: string) => void): void {
  noteListeners.push(listener);
}

/** Writes one line to stderr; without a stream, which takes milliseconds to make, where there is none yet. */
export function note(line: string): void {
  for (const listener of noteListeners) listener(line);
  tell(`${line}\n`);
}

function tell(text: string | Uint8Array): void {
  const bytes = Buffer.from(text);
  const rest = inUse.has(2) ? bytes : bytes.subarray(writeDirectly(2, bytes));
  if (rest.length > 0) noted = writeTo(stderr(), rest);
}
