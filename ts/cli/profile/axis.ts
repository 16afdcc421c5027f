import { time } from './format.js';
import type { EndTime } from './measure.js';

/** The time axis that both ends of a sync share. */
export interface Axis {
  /** From the start of the first to the end of the last. */
  readonly spanMs: number;
  /** When each end began on it, in milliseconds. */
  readonly startsMs: readonly number[];
  /** Set when the clocks of the ends disagree: how far the second end was moved; positive is later. */
  readonly movedMs?: number;
}

/**
 * Clocks are read in milliseconds, and a server may learn of a session a moment before its client notes the start.
 */
const TOLERANCE_MS = 2;

/**
 * Puts the ends on one axis by their clocks. An end that answers begins and ends within the life of the one that asked;
 * where its clock says that it began outside, it is put into the middle: as long after the one's start as before its end.
 */
export function axisOf(ends: readonly EndTime[]): Axis {
  const asked = Math.max(
    0,
    ends.findIndex(({ end }) => end.end === 'client'),
  );
  const origin = ends[asked]?.end.startedAtMs ?? 0;
  const span = ends[asked] === undefined ? 0 : lifeOf(ends[asked]);
  let movedMs: number | undefined;
  const starts = ends.map((end, index) => {
    const start = end.end.startedAtMs - origin;
    if (index === asked) return 0;
    if (start >= 0 && start <= span) return start;
    if (start < 0 && start >= -TOLERANCE_MS) return 0;
    const middle = Math.max(0, (span - lifeOf(end)) / 2);
    movedMs = middle - start;
    return middle;
  });
  const spanMs = Math.max(0, ...ends.map((end, index) => (starts[index] ?? 0) + lifeOf(end)));
  return { spanMs, startsMs: starts, ...(movedMs === undefined ? {} : { movedMs }) };
}

/** How long anything of an end was seen. */
function lifeOf(end: EndTime): number {
  return Math.max(end.totalMs, ...end.threads.map(({ thread }) => thread.startMs + thread.wallMs));
}

/** About `about` round positions on the axis, with the digits that they need. */
export function ticksOf(spanMs: number, about: number): number[] {
  // Less than a picosecond is no time, and dividing by such a number could give infinity.
  if (!(spanMs > 1e-9)) return [0];
  const rough = spanMs / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  return Array.from({ length: Math.floor(spanMs / step + 1e-9) + 1 }, (_, index) => index * step);
}

/** A tick with as many digits as the step between ticks needs. */
export function tickLabel(ms: number, step: number): string {
  if (ms === 0) return '0';
  const seconds = ms >= 1000 || step >= 1000;
  const unit = seconds ? step / 1000 : step;
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(unit) + 1e-9)));
  const value = seconds ? ms / 1000 : ms;
  if (seconds && value >= 120) return time(ms);
  return `${value.toFixed(digits)} ${seconds ? 's' : 'ms'}`;
}

/**
 * The class of a tick's label: every second label can be left out, and the last one must not extend beyond the chart.
 */
export function tickClass(index: number, ms: number, spanMs: number): string {
  return `${index % 2 === 1 ? 'odd' : ''}${ms > spanMs * 0.95 ? ' end' : ''}`;
}
