import { fstatSync, writeSync } from 'node:fs';

import { EXIT } from './exit-codes.js';
import { encoded } from './names.js';

/** The first error of each stream that could not be written. */
const lost = new Map<NodeJS.WriteStream, NodeJS.ErrnoException>();
let pending = '';
let scheduled: Promise<void> | undefined;
/** The last line for stderr, when it is on its way. */
let noted: Promise<void> | undefined;
/** Whether a file that was asked for, besides the streams, could not be written. */
let isFileLost = false;
const listeners: (() => void)[] = [];
const noteListeners: ((line: string) => void)[] = [];
/** What is printed goes to stderr. */
let isDiverted = false;
/** stderr has the log of a server. */
let isLog = false;
/** stderr took only a part of the last line. */
let isCut = false;
/** The streams of this process that are in use, by descriptor. */
const inUse = new Map<number, NodeJS.WriteStream>();

/** Text is written in pieces of this size, not line by line. */
const PIECE = 16 * 1024;

/** stdout. Access creates the stream, which takes longer than most of a short run, so every user calls this. */
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

/**
 * Adds a listener, without which an error of the stream would end the process with a stack trace in the middle of its
 * work.
 */
function used(descriptor: number, stream: NodeJS.WriteStream): NodeJS.WriteStream {
  inUse.set(descriptor, stream);
  stream.on('error', (error: NodeJS.ErrnoException) => lose(stream, error));
  return stream;
}

/** Lets all that is printed from now on go to stderr. */
export function printOnStderr(): void {
  isDiverted = true;
}

/**
 * Tries every line for stderr, whatever became of those before: a disk is full for a moment only, and a server runs for years. Lost ones do not
 * count for the exit code.
 */
export function keepTryingStderr(): void {
  isLog = true;
}

/** Calls back once when the reader of stdout is gone. */
export function onBrokenPipe(listener: () => void): void {
  listeners.push(listener);
}

/** Whether the reader of stdout is gone, and further output is useless. */
export function isPipeBroken(): boolean {
  return [...lost].some(([stream, error]) => stream === process.stdout && error.code === 'EPIPE');
}

/**
 * Notes that a stream cannot be written. It is told once on stderr, and the run goes on: the sync is of use without its
 * list. As in other tools, a reader that is gone is not told.
 */
function lose(stream: NodeJS.WriteStream, error: NodeJS.ErrnoException): void {
  if (lost.has(stream) || (isLog && stream === inUse.get(2))) return;
  lost.set(stream, error);
  if (stream !== process.stdout) return;
  if (error.code === 'EPIPE') for (const listener of listeners) listener();
  else note(`error: cannot write to stdout: ${error.message.replace(/, \w+$/, '')}`);
}

/** Notes that a file that was asked for could not be written. The caller has told it. */
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
  // A line must not be kept back while the next one takes long.
  else scheduled ??= new Promise((resolve) => setImmediate(resolve)).then(flushOutput);
}

/** Writes a part of a line to stdout, at once. */
export async function printPart(text: string): Promise<void> {
  if (isDiverted) return void tell(encoded(text));
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
 * Writes the buffered text at the end of the process. A short text is written without a stream, which would take longer
 * to create.
 */
export async function endOutput(): Promise<void> {
  if (inUse.has(1) || pending.length > PIECE) {
    await flushOutput();
  } else {
    const bytes = Buffer.from(encoded(pending));
    pending = '';
    // An error is left to the stream, here and below.
    await write(bytes.subarray(writeDirectly(1, bytes).written));
  }
  await noted;
}

/** Writes without a stream, and returns how many bytes, and the error if these are not all. */
function writeDirectly(
  descriptor: number,
  bytes: Uint8Array,
): { readonly written: number; readonly error?: NodeJS.ErrnoException } {
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(descriptor, bytes, written);
    return { written };
  } catch (thrown) {
    // The pipe is full or has no reader, or the disk is full.
    return { written, error: thrown as NodeJS.ErrnoException };
  }
}

async function write(text: string | Uint8Array): Promise<void> {
  if (text.length === 0 || (lost.size > 0 && lost.has(process.stdout))) return;
  // On a nearly full disk a file may take only a part of the text, which Node's stream does not check.
  if (isFile()) {
    const bytes = Buffer.from(text);
    text = bytes.subarray(writeDirectly(1, bytes).written);
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

/** The exit code: an error if output was lost although the run succeeded, unless its reader had gone. */
export function finalCode(exitCode: number): number {
  const isAnyLost = isFileLost || [...lost.values()].some((error) => error.code !== 'EPIPE');
  return exitCode === EXIT.ok && isAnyLost ? EXIT.output : exitCode;
}

/** Ends the process. The run has ended, and a normal exit would only wait for idle threads. */
export function leave(exitCode: number): void {
  process.exitCode = finalCode(exitCode);
  // With unwritten output, the process ends by itself when that is written.
  if ([...inUse.values()].every((stream) => stream.writableLength === 0 || lost.has(stream))) process.exit();
}

/** Lets all lines for stderr go to this listener as well. */
export function onNote(listener: (line: string) => void): void {
  noteListeners.push(listener);
}

/**
 * Writes one line to stderr; without a stream, which takes milliseconds to make, where there is none yet.
 *
 * @returns False for a line that is lost for certain, where each is tried.
 */
export function note(line: string): boolean {
  for (const listener of noteListeners) listener(line);
  return tell(`${line}\n`);
}

function tell(text: string | Uint8Array): boolean {
  const bytes = Buffer.from(text);
  if (isLog) return tryToTell(bytes);
  const rest = inUse.has(2) ? bytes : bytes.subarray(writeDirectly(2, bytes).written);
  if (rest.length > 0) noted = writeTo(stderr(), rest);
  return true;
}

function tryToTell(line: Uint8Array): boolean {
  const waiting = inUse.get(2);
  if (waiting !== undefined && waiting.writableLength > 0) {
    noted = writeTo(waiting, line);
    return true;
  }
  const appended = appendLine(2, line, isCut);
  isCut = appended.isCut;
  // A pipe whose reader is slow: the stream waits for it.
  if (appended.rest !== undefined && appended.error.code === 'EAGAIN') {
    noted = writeTo(stderr(), appended.rest);
    isCut = false;
    return true;
  }
  return appended.rest === undefined;
}

/** What became of a line. */
export type Appended =
  | { readonly rest: undefined; readonly isCut: boolean }
  | { readonly rest: Uint8Array; readonly error: NodeJS.ErrnoException; readonly isCut: boolean };

/** Writes a line behind the last one, of which only a part may be there: then it begins with an end of line. */
export function appendLine(descriptor: number, line: Uint8Array, afterCut: boolean): Appended {
  const bytes = afterCut ? Buffer.concat([END_OF_LINE, line]) : line;
  const { written, error } = writeDirectly(descriptor, bytes);
  if (error === undefined) return { rest: undefined, isCut: false };
  const isPart = written > 0 ? bytes[written - 1] !== END_OF_LINE[0] : afterCut;
  return { rest: bytes.subarray(written), error, isCut: isPart };
}

const END_OF_LINE = Buffer.from('\n');
