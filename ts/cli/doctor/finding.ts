/** What one check found. */
export interface Finding {
  readonly check: string;
  /** With a `problem` a run does not work; with a `warning` it works, but not as well. */
  readonly state: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly fix?: string;
}

/** A finding that all is well with something. */
export function well(check: string, message: string): Finding {
  return { check, state: 'ok', message };
}

/** A finding of a fault, with a way to fix it if there is one. */
export function wrong(state: 'warning' | 'problem', check: string, message: string, fix?: string): Finding {
  return { check, state, message, ...(fix === undefined ? {} : { fix }) };
}
