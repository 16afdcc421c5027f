import { figureOf, namesOf, unitOf } from './figures.js';
import type { Unit } from './figures.js';
import type { EndTime, SyncTime } from './measure.js';
import { isWait } from './phases.js';
import type { Phase } from './phases.js';

/** The meaning of a change: better or worse, within the noise, or neither by itself. */
export type Verdict = 'better' | 'worse' | 'same' | 'neither';

/** One figure of two sides. */
export interface Change {
  readonly name: string;
  readonly unit: Unit;
  readonly now: number;
  readonly before: number;
  /** `now / before`; absent when there was nothing before. */
  readonly ratio?: number;
  readonly verdict: Verdict;
}

/** A phase of two sides. */
export interface PhaseChange {
  readonly phase: Phase;
  readonly change: Change;
}

/** One end of two sides. */
export interface EndChange {
  readonly label: string;
  /** Those that changed the most first. */
  readonly phases: readonly PhaseChange[];
  readonly figures: readonly Change[];
}

/** The syncs of one direction in two files, side by side. */
export interface Comparison {
  readonly direction: string;
  /** How many syncs each side has. Of several, the median of each figure is compared. */
  readonly nowCount: number;
  readonly beforeCount: number;
  /** The whole, and its parts. */
  readonly totals: readonly Change[];
  readonly ends: readonly EndChange[];
}

/** Changes within this share are the noise of any machine. */
const NOISE = 0.05;

/** Times this close are equal, whatever their ratio. */
const NOISE_MS = 0.1;

/** The comparisons of both sides, for each direction that both have. */
export function compare(now: readonly SyncTime[], before: readonly SyncTime[]): Comparison[] {
  return (['push', 'pull', 'local'] as const).flatMap((direction) => {
    const left = now.filter(({ profile }) => profile.direction === direction);
    const right = before.filter(({ profile }) => profile.direction === direction);
    return left.length === 0 || right.length === 0 ? [] : [compareSyncs(direction, left, right)];
  });
}

function compareSyncs(direction: string, now: readonly SyncTime[], before: readonly SyncTime[]): Comparison {
  const total = (name: string, value: (sync: SyncTime) => number): Change =>
    change(name, 'ms', median(now.map(value)), median(before.map(value)), 'less');
  const labels = [...new Set(now.flatMap(({ ends }) => ends.map(({ label }) => label)))];
  const endsOf = (syncs: readonly SyncTime[], label: string): EndTime[] =>
    syncs.flatMap(({ ends }) => ends.filter((end) => end.label === label));
  return {
    direction,
    nowCount: now.length,
    beforeCount: before.length,
    totals: [
      total('total', ({ totalMs }) => totalMs),
      total('sender', ({ profile }) => profile.split.senderMs),
      total('network', ({ profile }) => profile.split.networkMs),
      total('receiver', ({ profile }) => profile.split.receiverMs),
    ],
    ends: labels.flatMap((label) => {
      const left = endsOf(now, label);
      const right = endsOf(before, label);
      return right.length === 0
        ? []
        : [{ label, phases: comparePhases(left, right), figures: compareFigures(left, right) }];
    }),
  };
}

function comparePhases(now: readonly EndTime[], before: readonly EndTime[]): PhaseChange[] {
  const known = new Map([...before, ...now].flatMap(({ phases }) => phases.map(({ phase }) => [phase.name, phase])));
  const value = (ends: readonly EndTime[], name: string): number =>
    median(ends.map(({ phases }) => phases.find(({ phase }) => phase.name === name)?.ms ?? 0));
  const changes = [...known.values()].map((phase): PhaseChange => {
    // A thread that waits less in one place waits more in another, so a wait alone is neither better nor worse.
    const better = isWait(phase) ? undefined : 'less';
    return { phase, change: change(phase.name, 'ms', value(now, phase.name), value(before, phase.name), better) };
  });
  const size = ({ change: { now, before } }: PhaseChange): number => Math.abs(now - before);
  return changes.toSorted((left, right) => size(right) - size(left));
}

function compareFigures(now: readonly EndTime[], before: readonly EndTime[]): Change[] {
  const value = (ends: readonly EndTime[], name: string): number =>
    median(ends.map(({ end }) => valueOf(end.figures, name)));
  const names = [...new Set([...now, ...before].flatMap(({ end }) => namesOf(end.figures)))];
  return names.map((name) => change(name, unitOf(name), value(now, name), value(before, name), figureOf(name)?.better));
}

/** A figure by its name; 0 where it is not there. */
export function valueOf(figures: object, name: string): number {
  const value: unknown = Object.hasOwn(figures, name) ? Reflect.get(figures, name) : 0;
  return typeof value === 'number' ? value : 0;
}

function change(name: string, unit: Unit, now: number, before: number, better: 'less' | 'more' | undefined): Change {
  const ratio = before > 0 ? now / before : undefined;
  return {
    name,
    unit,
    now,
    before,
    ...(ratio === undefined || !Number.isFinite(ratio) ? {} : { ratio }),
    verdict: verdictOf(unit, now, before, better),
  };
}

function verdictOf(unit: Unit, now: number, before: number, better: 'less' | 'more' | undefined): Verdict {
  if (better === undefined) return 'neither';
  const difference = Math.abs(now - before);
  if (difference <= before * NOISE || (unit === 'ms' && difference <= NOISE_MS)) return 'same';
  return now < before === (better === 'less') ? 'better' : 'worse';
}

/** The median; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
