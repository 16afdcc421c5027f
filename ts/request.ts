import type { NativeRequest } from './native.js';
import type { TransferSettings } from './settings.js';
import type { Placement } from './placement.js';

/** Which events a run needs from the engine. */
export interface EventNeeds {
  /** An event for each path. */
  readonly items: boolean;
  /** A full queue waits for its reader instead of dropping. */
  readonly lossless: boolean;
}

/** The request as the engine takes it. */
export type EngineRequest = NativeRequest & { lossless: boolean; makeParent: boolean };

/** Builds the request of one attempt. */
export function engineRequest(placement: Placement, settings: TransferSettings, events: EventNeeds): EngineRequest {
  return {
    direction: placement.direction === 'pull' ? 'pull' : 'push',
    localPath: placement.localPath,
    localSources: placement.localSources.map((path) => Buffer.from(path)),
    root: placement.root,
    remotePath: placement.remotePath,
    remoteSources: placement.remoteSources.map(({ path, contents }) => ({ path: Buffer.from(path), contents })),
    into: placement.into,
    makeParent: placement.makeParent,
    itemize: events.items,
    lossless: events.lossless,
    options: settings,
  };
}
