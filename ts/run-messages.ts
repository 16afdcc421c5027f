import type { ConnectedEvent, RetryEvent, SyncResult } from './events.js';

/** The run, for its listeners: one object for all its messages. */
export interface WatchedRun {
  /** The call that it is of. */
  readonly operation: 'sync' | 'plan' | 'verify';
  readonly sources: readonly string[];
  readonly destination: string;
  /** Whether nothing is written. */
  readonly dryRun: boolean;
}

/** The messages of a run: each attempt connects, if necessary, and transfers. */
export type RunMessage =
  | { readonly type: 'start' }
  | { readonly type: 'connect'; readonly attempt: number }
  | Readonly<ConnectedEvent>
  | { readonly type: 'transfer'; readonly attempt: number }
  | Readonly<RetryEvent>
  | { readonly type: 'end'; readonly result: SyncResult }
  | { readonly type: 'error'; readonly error: unknown; readonly canceled: boolean };

/** Is told what happens to a run. */
export type RunListener = (run: WatchedRun, message: RunMessage) => void;
