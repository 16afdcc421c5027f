import { loadNative } from './native.js';
import { bytesOf } from './paths.js';

/** Opens a log to append to it, and with `reads` to read it; makes it with a mode if it is missing. Gives the descriptor. */
export type OpenLog = (path: string, mode: number, reads?: boolean) => number;

/** Gives what opens logs. Symlinks on the way to one are followed when they are root's or this user's. */
export async function logOpener(): Promise<OpenLog> {
  const native = await loadNative();
  return (path, mode, reads = false) => native.openLog(bytesOf(path), mode, reads);
}
