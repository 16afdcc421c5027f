/** What one check found. */
export interface Finding {
  readonly check: string;
  /** A problem keeps a run from working; with a warning it works, less well. */
  readonly state: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly fix?: string;
}

/** A finding that all is well with something. */
export function well(check: string, message: string): Finding {
  return { check, state: 'ok', message };
}

/** A finding of something that is wrong, with what helps where something does. */
export function wrong(state: 'warning' | 'problem', check: string, message: string, fix?: string): Finding {
  return { check, state, message, ...(fix === undefined ? {} : { fix }) };
}
