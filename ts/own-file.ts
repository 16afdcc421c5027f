import { statSync } from 'node:fs';
import type { Stats } from 'node:fs';

/** The bits by which others than the owner may write. */
export const WRITABLE = 0o022;

/** Whether a file belongs to this user or root, and nobody else may write it. */
export function isOwn({ uid, mode }: Stats): boolean {
  return (uid === 0 || uid === process.geteuid?.()) && (mode & WRITABLE) === 0;
}

/** What is told of files that are used although others may write them. */
type Tell = (message: string) => void;

let tell: Tell = (message) => process.emitWarning(message, 'SparsyncWarning');

const told = new Set<string>();

/** Has such files told otherwise than as a warning of Node.js. */
export function tellWritable(listener: Tell): void {
  tell = listener;
}

/** Tells once of a file that is about to be believed, and that others than its owner may write. */
export function warnIfWritable(path: string): void {
  if (told.has(path)) return;
  // Who uses the file says why it cannot be looked at.
  const mode = modeOf(path);
  if (mode === undefined || (mode & WRITABLE) === 0) return;
  told.add(path);
  tell(`${path} decides which servers are trusted, and other users can write it: run chmod go-w on it`);
}

function modeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.mode;
  } catch {
    return undefined;
  }
}
