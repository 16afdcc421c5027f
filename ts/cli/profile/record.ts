import { JSON_SCHEMA } from '../json.js';
import type { Comparison } from './compare.js';
import { axisOf } from './axis.js';
import { shareOf } from './format.js';
import type { EndTime, PhaseTime, SyncTime, TimeSpent } from './measure.js';
import type { ServerRun } from './server-runs.js';

/** What was read, for the last line. */
export interface Totals {
  /** Syncs in the files, shown or not. */
  readonly syncs: number;
  readonly syncsShown: number;
  /** Runs of servers that are shown. */
  readonly servers: number;
  /** The page that was written. */
  readonly output: string | undefined;
}

/** One sync as a program reads it. */
export function syncRecord(sync: SyncTime): object {
  const { record, profile, totalMs, workMs } = sync;
  const { senderMs, networkMs, receiverMs } = profile.split;
  const axis = axisOf(sync.ends);
  return {
    type: 'sync',
    schema: JSON_SCHEMA,
    file: record.file,
    line: record.line,
    at: record.at,
    direction: profile.direction,
    totalMs,
    workMs,
    split: {
      senderMs,
      networkMs,
      receiverMs,
      senderShare: shareOf(senderMs, workMs),
      networkShare: shareOf(networkMs, workMs),
      receiverShare: shareOf(receiverMs, workMs),
    },
    clocksDifferMs: axis.movedMs,
    ends: sync.ends.map((end) => endRecord(end)),
  };
}

function endRecord(end: EndTime): object {
  return {
    role: end.end.role,
    end: end.end.end,
    totalMs: end.totalMs,
    ...spentRecord(end),
    threads: end.threads.map((thread) => ({ name: thread.label, ...spentRecord(thread) })),
    figures: end.end.figures,
  };
}

function spentRecord(spent: TimeSpent): object {
  const { wallMs, cpuMs, workMs, waitMs, otherMs } = spent;
  return { wallMs, cpuMs, workMs, waitMs, otherMs, phases: spent.phases.map((each) => phaseRecord(each)) };
}

function phaseRecord({ phase, ms, count, share }: PhaseTime): object {
  return { name: phase.name, stage: phase.stage, waitsFor: phase.cause, ms, count, share };
}

/** A run of a server as a program reads it. */
export function serverRecord({ last }: ServerRun): object {
  const { file, line, at, final, uptimeMs, sessions, sessionsFailed, connections, figures } = last;
  return {
    type: 'server',
    schema: JSON_SCHEMA,
    file,
    line,
    at,
    final,
    uptimeMs,
    sessions,
    sessionsFailed,
    connections,
    figures,
  };
}

/** A comparison as a program reads it. */
export function comparisonRecord(comparison: Comparison, file: string, against: string): object {
  const { direction, nowCount, beforeCount, totals, ends } = comparison;
  return {
    type: 'comparison',
    schema: JSON_SCHEMA,
    file,
    against,
    direction,
    nowCount,
    beforeCount,
    totals,
    ends: ends.map(({ label, phases, figures }) => ({
      label,
      phases: phases.map(({ change }) => change),
      figures,
    })),
  };
}

/** The last line: what was read and shown. */
export function totalsRecord(totals: Totals, exitCode: number): object {
  return { type: 'summary', schema: JSON_SCHEMA, exitCode, ...totals };
}
