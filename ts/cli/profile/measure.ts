import type { ProfileEnd, ProfileThread, SyncProfile } from '../../profile.js';
import type { SyncRecord } from './file.js';
import { shareOf } from './format.js';
import { isWait, phaseOf, threadOrder } from './phases.js';
import type { Phase } from './phases.js';

/** How long something was done or waited for, and how often it began. */
export interface PhaseTime {
  readonly phase: Phase;
  readonly ms: number;
  readonly count: number;
  /**
   * The share of the time in which it could have been: of a thread's life, or of the lives of all threads of an end.
   */
  readonly share: number;
}

/** Where the life of one thread, or of several together, went. */
export interface TimeSpent {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly workMs: number;
  readonly waitMs: number;
  /** What no phase covers. */
  readonly otherMs: number;
  /** The largest first. */
  readonly phases: readonly PhaseTime[];
}

/** One thread. */
export interface ThreadTime extends TimeSpent {
  /** Its name, with a number where several share it. */
  readonly label: string;
  readonly thread: ProfileThread;
}

/** One end of a sync. */
export interface EndTime extends TimeSpent {
  /** `client, sender`; of a sync on one machine `sender` alone. */
  readonly label: string;
  /** The word that tells an end from the other one: `client`; on one machine `sender`. */
  readonly who: string;
  readonly end: ProfileEnd;
  /** From the start of its session to its end. */
  readonly totalMs: number;
  /** In the order of the way that a file takes. */
  readonly threads: readonly ThreadTime[];
}

/** One sync. */
export interface SyncTime {
  readonly record: SyncRecord;
  readonly profile: SyncProfile;
  /** How long it took for the end that wrote the profile. */
  readonly totalMs: number;
  /** Work of all parts together. */
  readonly workMs: number;
  readonly ends: readonly EndTime[];
}

/** Times have limited digits: a gap below this share of a life counts as none. */
const ROUNDING = 1e-4;

/** What the engine calls time that it could not name. */
const UNNAMED = 'other';

/** Adds up where the time of a sync went. */
export function measure(record: SyncRecord): SyncTime {
  const { profile } = record;
  const { senderMs, networkMs, receiverMs } = profile.split;
  const ends = profile.ends.map((end) => measureEnd(end, profile.direction === 'local'));
  return { record, profile, totalMs: ends[0]?.totalMs ?? 0, workMs: senderMs + networkMs + receiverMs, ends };
}

function measureEnd(end: ProfileEnd, local: boolean): EndTime {
  const sorted = end.threads.toSorted((left, right) => threadOrder(left.name) - threadOrder(right.name));
  const threads = sorted.map((thread, index) => measureThread(thread, labelOf(sorted, index), end.role));
  return {
    ...together(threads),
    label: local ? end.role : `${end.end}, ${end.role}`,
    who: local ? end.role : end.end,
    end,
    totalMs: end.figures.total_ms,
    threads,
  };
}

function labelOf(threads: readonly ProfileThread[], index: number): string {
  const name = threads[index]?.name ?? '';
  const same = threads.filter((thread) => thread.name === name).length;
  if (same === 1) return name;
  return `${name} ${threads.slice(0, index + 1).filter((thread) => thread.name === name).length}`;
}

function measureThread(thread: ProfileThread, label: string, role: ProfileEnd['role']): ThreadTime {
  const phases = Object.entries(thread.phases)
    .filter(([name]) => name !== UNNAMED)
    .map(([name, { ms, count }]) => ({
      phase: phaseOf(name, role),
      ms,
      count,
      share: shareOf(ms, thread.wallMs),
    }));
  return { ...spent(phases, thread.wallMs, thread.cpuMs), label, thread };
}

function together(threads: readonly ThreadTime[]): TimeSpent {
  const wallMs = sum(threads.map((thread) => thread.wallMs));
  const byName = new Map<string, PhaseTime>();
  for (const { phase, ms, count } of threads.flatMap((thread) => thread.phases)) {
    const before = byName.get(phase.name);
    const total = ms + (before?.ms ?? 0);
    byName.set(phase.name, { phase, ms: total, count: count + (before?.count ?? 0), share: shareOf(total, wallMs) });
  }
  return spent([...byName.values()], wallMs, sum(threads.map((thread) => thread.cpuMs)));
}

function spent(phases: readonly PhaseTime[], wallMs: number, cpuMs: number): TimeSpent {
  const workMs = sum(phases.filter(({ phase }) => !isWait(phase)).map(({ ms }) => ms));
  const waitMs = sum(phases.filter(({ phase }) => isWait(phase)).map(({ ms }) => ms));
  const otherMs = wallMs - workMs - waitMs;
  return {
    wallMs,
    cpuMs,
    workMs,
    waitMs,
    otherMs: otherMs < wallMs * ROUNDING ? 0 : otherMs,
    phases: phases.toSorted((left, right) => right.ms - left.ms || left.phase.order - right.phase.order),
  };
}

/** The sum of some numbers. */
export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
