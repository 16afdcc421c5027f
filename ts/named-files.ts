import { closeSync } from 'node:fs';
import { basename, dirname } from 'node:path';

import { loadNative } from './native.js';
import { bytesOf } from './paths.js';

/** Opens a log to append to it, and with `reads` to read it; makes it with a mode if it is missing. Gives the descriptor. */
export type OpenLog = (path: string, mode: number, reads?: boolean) => number;

/** A path to the file that was named, or to one beside it whose name has a suffix besides. It is valid for a moment. */
export type Sibling = (suffix?: string) => string;

/** Files that the user names. Symlinks on the way to one are followed when they are root's or this user's. */
export interface NamedFiles {
  readonly openLog: OpenLog;
  /** Opens a file to read it. Gives the descriptor. */
  openToRead(path: string | Uint8Array): number;
  /** Works on a file and those beside it, in their folder; with a mode that is made if it is missing. */
  beside<T>(path: string, work: (at: Sibling) => T, makes?: number): T;
}

/** Gives what opens such files. */
export async function namedFiles(): Promise<NamedFiles> {
  const native = await loadNative();
  return {
    openLog: (path, mode, reads = false) => native.openLog(bytesOf(path), mode, reads),
    openToRead: (path) => native.openToRead(typeof path === 'string' ? bytesOf(path) : path),
    beside: (path, work, makes) => {
      const folder = native.openDirectory(bytesOf(dirname(path)), makes);
      const held = `/proc/self/fd/${folder}`;
      try {
        return work((suffix = '') => `${held}/${basename(path)}${suffix}`);
      } catch (error) {
        // Nobody but this process knows the number.
        if (error instanceof Error) error.message = error.message.replaceAll(held, () => dirname(path));
        throw error;
      } finally {
        closeSync(folder);
      }
    },
  };
}
