import type { EntryKind, EntryPath, Failure, PlanItem, SyncEvent, Warning } from './events.js';
import type { NativeEvent } from './native.js';
import { ACTIONS, ENTRY_KINDS, FAILURE_CODES, NOTICE_CODES, REASONS } from './words.js';

function entryPath(event: NativeEvent): EntryPath {
  return event.pathBytes === undefined ? { path: event.path } : { path: event.path, pathBytes: event.pathBytes };
}

/** A kind in the engine's words. What this version does not know is nothing that it can carry. */
export function toKind(kind: string | undefined): EntryKind {
  return ENTRY_KINDS.find((known) => known === kind) ?? 'special';
}

function toItem(event: NativeEvent): PlanItem {
  return {
    ...entryPath(event),
    action: ACTIONS.find((action) => action === event.action) ?? 'update',
    kind: toKind(event.kind),
    reasons: REASONS.filter((reason) => event.reasons?.includes(reason)),
    ...(event.size === undefined ? {} : { size: event.size }),
  };
}

/** A failure out of an event or a result of the engine. */
export function toFailure(event: NativeEvent): Failure {
  return {
    ...entryPath(event),
    code: FAILURE_CODES.find((code) => code === event.code) ?? 'other',
    side: event.side === 'remote' ? 'remote' : 'local',
    message: event.message ?? 'failed',
    oldContentKept: event.oldContentKept ?? false,
  };
}

/** A warning out of an event or a result of the engine. */
export function toWarning(event: NativeEvent): Warning {
  return {
    ...(event.path === '' ? {} : entryPath(event)),
    ...(event.code === undefined ? {} : { code: NOTICE_CODES.find((code) => code === event.code) ?? 'notice' }),
    message: event.message ?? '',
  };
}

/** An event of the engine as a public one; kinds that this version does not know are left out. */
export function toEvent(event: NativeEvent): SyncEvent | undefined {
  switch (event.type) {
    case 'item':
      return { type: 'item', ...toItem(event) };
    case 'failure':
      return { type: 'failure', ...toFailure(event) };
    case 'warning':
      return { type: 'warning', ...toWarning(event) };
    case 'dropped':
      return { type: 'dropped', count: event.count ?? 0 };
    default:
      return undefined;
  }
}
