// What the kernel says of other processes.
import { readFileSync, writeFileSync } from 'node:fs';

import { family } from './processes.js';

/** USER_HZ: what /proc counts in, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/**
 * User and system time of a process and its descendants in ms, of those too that were waited for. In steps of 10 ms:
 * worth something as a mean over runs.
 */
export function familyCpuMs(pid: number): number {
  let ticks = 0;
  for (const member of family(pid)) {
    try {
      const stat = readFileSync(`/proc/${member}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      // utime, stime, cutime, cstime: fields 14 to 17 of proc(5), counted from 1.
      for (const field of fields.slice(11, 15)) ticks += Number(field);
    } catch {
      // It has ended, and its parent has its time.
    }
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** The peak of resident memory since the last reset, in KiB. */
export function peakKib(pid: number): number {
  const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0);
}

/** Lets the peak of resident memory start again from what is resident now. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Looks at the peaks of a process's descendants until stopped; gives the largest. Disturbs what is measured. */
export function watchFamilyPeak(pid: number): () => number {
  let peak = 0;
  const look = (): void => {
    for (const member of family(pid).slice(1)) {
      try {
        peak = Math.max(peak, peakKib(member));
      } catch {
        // It has ended.
      }
    }
  };
  const timer = setInterval(look, 3);
  return () => {
    clearInterval(timer);
    look();
    return peak;
  };
}
