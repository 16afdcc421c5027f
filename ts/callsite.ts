/** Where a call into this package was made, kept so that an error of later work names the caller's line. */
export interface CallSite {
  /** The frames of the stack, without the head line. */
  readonly frames: string;
}

/**
 * Remembers the stack of the caller of `below`. An error that is made after an `await` on native work would
 * otherwise name nothing but this package.
 */
export function captureCallSite(below: (...parameters: never[]) => unknown): CallSite {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, below);
  const stack = holder.stack ?? '';
  const newline = stack.indexOf('\n');
  return { frames: newline === -1 ? '' : stack.slice(newline) };
}
