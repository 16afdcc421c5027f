import type { ProfileEnd } from '../../profile.js';
import type { ThreadTime } from './measure.js';
import { phaseOf } from './phases.js';
import type { Phase } from './phases.js';

/** How a thread's time went on, step by step. */
export interface Steps {
  /** Width of a step in milliseconds. */
  readonly stepMs: number;
  readonly count: number;
  /** Whether the thread recorded no steps, so that only means over its life are known. */
  readonly means: boolean;
  /** Shares of each step in percent, in the order in which they are stacked: work below waits. */
  readonly phases: readonly PhaseSteps[];
}

/** One phase in a thread's steps. */
export interface PhaseSteps {
  readonly phase: Phase;
  readonly shares: readonly number[];
}

/** More steps than this would be too fine to see. */
const STEPS_DRAWN = 256;

/** The steps of a thread to be drawn. A thread without recorded steps has one: its whole life. */
export function stepsOf(thread: ThreadTime, role: ProfileEnd['role']): Steps {
  const { timeline, stepMs } = thread.thread;
  const seen = Object.entries(timeline).filter(([, shares]) => shares.some((share) => share > 0));
  const length = Math.max(0, ...seen.map(([, shares]) => shares.length));
  if (length === 0) {
    const phases = thread.phases.map(({ phase, share }) => ({ phase, shares: [Math.min(100, share * 100)] }));
    return { stepMs: thread.wallMs, count: 1, means: true, phases: phases.toSorted(byPlace) };
  }
  const merged = Math.ceil(length / STEPS_DRAWN);
  const count = Math.ceil(length / merged);
  const phases = seen.map(([name, shares]) => ({ phase: phaseOf(name, role), shares: merge(shares, merged, count) }));
  return { stepMs: stepMs * merged, count, means: false, phases: phases.toSorted(byPlace) };
}

/**
 * The layers of these steps: the phases, and the time that no phase covers. Shares are in whole percent, so each may
 * have lost up to one: that much is added to the uppermost phase of the step.
 */
export function layersOf({ phases, count }: Pick<Steps, 'phases' | 'count'>): number[][] {
  const layers = phases.map(({ shares }) => [...shares]);
  const uncovered = Array.from({ length: count }, (_, step) => {
    const present = layers.filter((layer) => (layer[step] ?? 0) > 0);
    const missing = Math.max(0, 100 - present.reduce((total, layer) => total + (layer[step] ?? 0), 0));
    const top = present.at(-1);
    if (top === undefined || missing > present.length + 1) return missing;
    top[step] = (top[step] ?? 0) + missing;
    return 0;
  });
  return [...layers, uncovered];
}

function byPlace(left: PhaseSteps, right: PhaseSteps): number {
  return left.phase.order - right.phase.order;
}

/** The means of `by` neighbours each; steps after the last are 0. */
function merge(shares: readonly number[], by: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => {
    let total = 0;
    for (let at = index * by; at < (index + 1) * by; at += 1) total += shares[at] ?? 0;
    return Math.round((total / by) * 10) / 10;
  });
}
