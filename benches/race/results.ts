// The results as they are kept, and how one number comes out of many.
import type { Phase } from './contender.js';
import type { Knobs, LinkName, SetName } from './knobs.js';
import type { Machine } from './machine.js';
import type { Absence, Figure, Store } from './race.js';

/** One race. */
export interface Scenario {
  set: SetName;
  link: LinkName;
  store: Store;
  fileSystem: string;
  /** What both kinds of runs promise: nothing as rsync, or a flush. */
  durability: 'none' | 'flushed';
  entries: number;
  bytes: number;
  runs: number;
  /** How many cores others kept busy just before and just after. */
  coresBusyBefore: number;
  coresBusyAfter: number;
  figures: Figure[];
  absences: Absence[];
}

/** A target of issue 3 and what was measured. */
export interface Verdict {
  target: string;
  /** `undefined` where nothing was measured. */
  measured?: string;
  met?: boolean;
}

/** What `latest.json` holds. */
export interface Results {
  schema: 1;
  takenAt: string;
  machine: Machine;
  knobs: Knobs;
  idleNodeKib: number;
  /** Other work was going on: the figures are worth little. */
  busy: boolean;
  scenarios: Scenario[];
  absences: Absence[];
  verdicts: Verdict[];
}

/** The contender that ratios refer to, by durability. */
export const REFERENCE = { none: 'rsync_remote', flushed: 'rsync_remote_fsync' } as const;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? high) + high) / 2 : high;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The figure of a contender for a phase. */
export function figureOf(scenario: Scenario, contender: string, phase: Phase): Figure | undefined {
  return scenario.figures.find((figure) => figure.contender === contender && figure.phase === phase);
}

/** Its median wall time over that of another. */
export function ratio(scenario: Scenario, phase: Phase, contender: string, to: string): number | undefined {
  const [one, other] = [figureOf(scenario, contender, phase), figureOf(scenario, to, phase)];
  return one === undefined || other === undefined ? undefined : median(one.wallMs) / median(other.wallMs);
}

/** How often medians are drawn anew for an interval. */
const DRAWS = 2000;

/** Where the ratio of two medians lies in 95 of 100 cases when its runs are drawn anew from those that were measured (bootstrap). */
export function ratioInterval(one: readonly number[], other: readonly number[]): readonly [number, number] {
  const drawn = (values: readonly number[]): number =>
    median(values.map(() => values[Math.floor(Math.random() * values.length)] ?? Number.NaN));
  const ratios = Array.from({ length: DRAWS }, () => drawn(one) / drawn(other)).toSorted((a, b) => a - b);
  const at = (share: number): number => ratios[Math.floor(share * (DRAWS - 1))] ?? Number.NaN;
  return [at(0.025), at(0.975)];
}
