import type { Stats } from 'node:fs';

/** The bits by which others than the owner may write. */
export const WRITABLE = 0o022;

/** Whether a file belongs to this user or root, and nobody else may write it. */
export function isOwn({ uid, mode }: Stats): boolean {
  return (uid === 0 || uid === process.geteuid?.()) && (mode & WRITABLE) === 0;
}
