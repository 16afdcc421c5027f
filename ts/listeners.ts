/**
 * Calls listeners. An error of a listener must not reach the caller: it becomes a warning of the process, and the other
 * listeners are still called.
 */
export function callListeners<Event extends readonly unknown[]>(
  listeners: readonly ((...event: Event) => void)[],
  ...event: Event
): void {
  for (const listener of listeners) {
    try {
      listener(...event);
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error));
    }
  }
}
