/** Where a call into this package was made, kept so that an error of later work names the caller's line. */
export interface CallSite {
  /** The frames of the stack, without the head line, each with the newline before it. */
  readonly frames: string;
}

/**
 * Remembers the stack of whoever called the function that calls this one. An error that is made after an `await` on
 * native work would otherwise name nothing but this package.
 */
export function captureCallSite(): CallSite {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, captureCallSite);
  return {
    // The text is made when it is asked for: most calls end without an error, and it costs more than they do.
    get frames() {
      const lines = (holder.stack ?? '').split('\n');
      // The head line, and the public function itself, which the caller need not be told about.
      return lines
        .slice(2)
        .map((line) => `\n${line}`)
        .join('');
    },
  };
}
