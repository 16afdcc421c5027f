/** Calls who listens. What a listener throws is no concern of what it listens to: it is a warning of the process, and the others are called. */
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
