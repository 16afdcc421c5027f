/** Where a call into this package was made, kept so that an error of later work names the caller's line. */
export interface CallSite {
  /** The frames of the stack, without the head line, each with the newline before it. */
  readonly frames: string;
}

/**
 * Remembers the stack of the caller of the function that calls this one. Otherwise an error that is created after an
 * `await` on native work would only name lines of this package.
 */
export function captureCallSite(): CallSite {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, captureCallSite);
  return {
    // The text is created on demand: it costs more than most calls, which end without an error.
    get frames() {
      const lines = (holder.stack ?? '').split('\n');
      // The head line and the public function itself are left out.
      return lines
        .slice(2)
        .map((line) => `\n${line}`)
        .join('');
    },
  };
}
