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
    recursive: settings.recursive,
    links: settings.links,
    specials: settings.specials,
    xattrs: settings.xattrs,
    perms: settings.perms,
    times: settings.times,
    owner: settings.owner,
    group: settings.group,
    compare: settings.compare,
    modifyWindowNs: settings.modifyWindowNs,
    exclude: settings.exclude.map((name) => Buffer.from(name)),
    selection: settings.selection,
    delete: settings.delete,
    force: settings.force,
    ...(settings.maxDelete === undefined ? {} : { maxDelete: settings.maxDelete }),
    allowMassDelete: settings.allowMassDelete,
    dryRun: settings.dryRun,
    itemize: events.items,
    lossless: events.lossless,
    durability: settings.durability,
    compression: settings.compression,
    lockWaitMs: settings.lockWaitMs,
    timeoutMs: settings.timeoutMs,
    lanes: settings.lanes,
    partial: settings.partial,
    profile: settings.profile,
  };
}
