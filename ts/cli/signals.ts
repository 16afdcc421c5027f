/** A user or the system asked this process to stop. */
export class Interrupted extends Error {
  override name = 'Interrupted';
  /** The signal. */
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}

const SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'];

/** The signals that stop a server. SIGHUP is not one of them, because it means a reload, and SIGUSR1 means nothing. */
export const SERVER_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];

/**
 * Calls `stop` at the first signal, so that work can end cleanly. A second one ends the process at once with
 * `exitCode`: files are safe at every instant, only leftovers may stay for the next run to sweep.
 *
 * @returns Takes the handlers away again.
 */
export function onSignals(exitCode: number, stop: (reason: Interrupted) => void, signals = SIGNALS): () => void {
  let asked = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (asked) process.exit(exitCode);
    asked = true;
    stop(new Interrupted(signal));
  };
  for (const signal of signals) process.on(signal, handle);
  return () => {
    for (const signal of signals) process.off(signal, handle);
  };
}
