import type { NativeRequest } from './native.js';
import type { BatchUse, TransferSettings } from './settings.js';
import type { PlacedSource, Placement } from './placement.js';
import { nativeOptions, switchedOn } from './engine-options.js';

/** All items are wanted. A slow reader holds up nothing, since nothing is transferred. */
export const READ_ONLY = { dryRun: true, items: true, whenFull: 'wait', profile: false } as const;

/** Which events a run needs from the engine. */
export interface EventNeeds {
  /** An event for each path. */
  readonly items: boolean;
  /** An event for each decision of a filter rule at an end that is here. */
  readonly decisions?: boolean;
  /** When the queue is full, the run waits for its reader and drops no event. */
  readonly lossless: boolean;
  /** Events of entries have stamps. */
  readonly stamps?: boolean;
  /** The stamps of the plan that is applied. */
  readonly planned?: readonly string[] | undefined;
}

/** The request as the engine takes it. */
export type EngineRequest = NativeRequest & { lossless: boolean; makeParent: boolean };

/** Builds the request of one attempt. */
export function engineRequest(placement: Placement, settings: TransferSettings, events: EventNeeds): EngineRequest {
  return {
    direction: placement.direction === 'pull' ? 'pull' : 'push',
    localPath: placement.localPath,
    localSources: placement.localSources.map(nativeSource),
    root: placement.root,
    remotePath: placement.remotePath,
    remoteSources: placement.remoteSources.map(nativeSource),
    selected: (placement.files?.selected ?? []).map((path) => Buffer.from(path)),
    listed: (placement.files?.listed ?? []).map((path) => Buffer.from(path)),
    hasList: placement.files !== undefined,
    impliedDirs: settings.relative && settings.impliedDirs,
    into: placement.into,
    makeParent: placement.makeParent,
    itemize: events.items,
    lossless: events.lossless,
    decisions: events.decisions ?? false,
    stamps: events.stamps ?? false,
    ...(events.planned === undefined ? {} : { planned: [...events.planned] }),
    ...batchOf(settings.batch),
    // Directories on the way are carried even if no directory is entered.
    switches: [...switchedOn(settings), ...(settings.relative && !settings.recursive ? ['dirs'] : [])],
    options: nativeOptions(settings),
  };
}

function batchOf(batch: BatchUse | undefined): Partial<NativeRequest> {
  if (batch === undefined) return {};
  if (batch.use === 'readBatch') return { readBatch: true };
  return { writeBatch: Buffer.from(batch.file), onlyWriteBatch: batch.use === 'onlyWriteBatch' };
}

function nativeSource({ path, below, contents }: PlacedSource): NativeRequest['localSources'][number] {
  return { path: Buffer.from(path), below: Buffer.from(below), contents };
}
