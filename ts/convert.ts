import type { EntryPath, Failure, FilterEvent, FailureCounts, PlanItem, SyncEvent, Warning } from './events.js';
import type { NativeEvent, NativeExplanation } from './native.js';
import { textOf } from './paths.js';
import { FAILURE_CODES, NOTICE_CODES } from './words.js';

function entryPath(event: Pick<NativeEvent, 'path' | 'pathBytes'>): EntryPath {
  return event.pathBytes === undefined ? { path: event.path } : { path: event.path, pathBytes: event.pathBytes };
}

function toItem(event: NativeEvent): PlanItem {
  return {
    ...entryPath(event),
    action: event.action ?? 'update',
    kind: event.kind ?? 'special',
    reasons: event.reasons ?? [],
    ...(event.size === undefined ? {} : { size: event.size }),
    ...(event.details === undefined ? {} : { details: event.details }),
    ...(event.stamp === undefined ? {} : { stamp: event.stamp }),
    ...(event.leader === undefined ? {} : { hardLinkTo: entryPath(event.leader) }),
  };
}

/** A failure out of an event or a result of the engine. */
export function toFailure(event: NativeEvent): Failure {
  return {
    ...entryPath(event),
    code: FAILURE_CODES.find((code) => code === event.code) ?? 'other',
    side: event.side ?? 'local',
    message: event.message ?? 'failed',
    oldContentKept: event.oldContentKept ?? false,
  };
}

/** Counts of failures by their kind, in the order of the kinds. */
export function toFailureCounts(counts: Readonly<Record<string, number>>): FailureCounts {
  const found: FailureCounts = {};
  for (const code of FAILURE_CODES) {
    const count = counts[code];
    if (count !== undefined) found[code] = count;
  }
  return found;
}

/** A warning out of an event or a result of the engine. */
export function toWarning(event: NativeEvent): Warning {
  return {
    ...(event.path === '' ? {} : entryPath(event)),
    ...(event.code === undefined ? {} : { code: NOTICE_CODES.find((code) => code === event.code) ?? 'notice' }),
    message: event.message ?? '',
  };
}

/** What a rule decides at an end, and where it stands. */
interface Decided {
  readonly side: 'source' | 'destination';
  readonly included: boolean;
  readonly rule: string | undefined;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly index: number | undefined;
}

/** What an end says of a rule, as the engine tells it. */
export function toDecided(told: NativeExplanation): Decided {
  return {
    side: told.isSource ? 'source' : 'destination',
    included: told.included,
    rule: told.rule === undefined ? undefined : textOf(told.rule),
    file: told.file === undefined ? undefined : textOf(told.file),
    line: told.line === 0 ? undefined : told.line,
    index: told.given,
  };
}

function toDecision(told: NativeExplanation | undefined): Omit<FilterEvent, 'type' | 'kind' | keyof EntryPath> {
  if (told === undefined) return { side: 'destination', included: true, rule: '' };
  const { side, included, rule = '', file, line, index } = toDecided(told);
  return {
    side,
    included,
    rule,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(index === undefined ? {} : { index }),
    ...(told.cvs ? { cvs: true } : {}),
  };
}

/** An event of the engine as a public one. */
export function toEvent(event: NativeEvent): SyncEvent {
  switch (event.type) {
    case 'item':
      return { type: 'item', ...toItem(event) };
    case 'failure':
      return { type: 'failure', ...toFailure(event) };
    case 'warning':
      return { type: 'warning', ...toWarning(event) };
    case 'filter':
      return { type: 'filter', ...entryPath(event), kind: event.kind ?? 'special', ...toDecision(event.decision) };
    case 'dropped':
      return { type: 'dropped', count: event.count ?? 0 };
  }
}
