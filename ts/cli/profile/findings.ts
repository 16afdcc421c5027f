import { percent, plural, shareOf, time } from './format.js';
import { sum } from './measure.js';
import type { EndTime, PhaseTime, SyncTime, ThreadTime } from './measure.js';
import { isWait, STAGES } from './phases.js';

/** A thread that works for more than this share of the time sets the pace of all others. */
const SETS_THE_PACE = 0.85;

/** Work that used the processor for less than this share waited for a disk or a processor in between. */
const RUNS_FREELY = 0.7;

/** The share of the time below which a finding is not worth a sentence. */
const SMALL = 0.05;

/** The remarkable facts of a profile in sentences, with their meaning, the most important first. */
export function findings(sync: SyncTime): string[] {
  return [splitOf(sync), busiest(sync), longestWait(sync), offProcessor(sync), losses(sync), unnamed(sync)].flatMap(
    (sentence) => (sentence === undefined ? [] : [sentence]),
  );
}

function splitOf({ profile: { split }, workMs }: SyncTime): string | undefined {
  if (workMs === 0) return undefined;
  const parts = [
    { title: STAGES.sender.title, ms: split.senderMs },
    { title: STAGES.network.title, ms: split.networkMs },
    { title: STAGES.receiver.title, ms: split.receiverMs },
  ].toSorted((left, right) => right.ms - left.ms);
  const shown = parts.map(({ title, ms }) => `${title.toLowerCase()} ${percent(shareOf(ms, workMs))}`);
  return `Of ${time(workMs)} of work: ${shown.join(', ')}.`;
}

interface Found {
  readonly end: EndTime;
  readonly thread: ThreadTime;
}

function threadsOf({ ends }: SyncTime): Found[] {
  return ends.flatMap((end) => end.threads.map((thread) => ({ end, thread })));
}

function nameOf({ end, thread }: Found): string {
  return `${thread.label} (${end.who})`;
}

function busiest(sync: SyncTime): string | undefined {
  const [found] = threadsOf(sync).toSorted((left, right) => right.thread.workMs - left.thread.workMs);
  if (found === undefined || sync.totalMs === 0) return undefined;
  const share = Math.min(1, found.thread.workMs / sync.totalMs);
  const most = found.thread.phases
    .filter(({ phase, ms }) => !isWait(phase) && ms > 0)
    .slice(0, 2)
    .map(({ phase }) => phase.name);
  if (most.length === 0) return undefined;
  const what = `${nameOf(found)} was the busiest thread: at work for ${percent(share)} of the time, mostly ${most.join(' and ')}.`;
  if (share >= SETS_THE_PACE) return `${what} It sets the pace: what makes it faster makes the sync faster.`;
  return share < 0.5 ? `${what} No thread held the others up by its work: the time went into waiting.` : what;
}

function longestWait(sync: SyncTime): string | undefined {
  const waits = threadsOf(sync).flatMap((found) =>
    found.thread.phases
      .filter(({ phase }) => isWait(phase) && phase.cause !== 'idle')
      .map((wait: PhaseTime) => ({ found, wait })),
  );
  const [longest] = waits.toSorted((left, right) => right.wait.ms - left.wait.ms);
  if (longest === undefined || longest.wait.ms < sync.totalMs * SMALL) return undefined;
  const { phase, ms } = longest.wait;
  const meaning = phase.meaning === undefined ? '' : ` (${lowerFirst(phase.meaning.replace(/\.$/, ''))})`;
  return `The longest wait was ${phase.name} of ${nameOf(longest.found)}, ${time(ms)}${meaning}.`;
}

function offProcessor(sync: SyncTime): string | undefined {
  const off = threadsOf(sync).map((found) => ({ found, ms: found.thread.workMs - found.thread.cpuMs }));
  const [most] = off.toSorted((left, right) => right.ms - left.ms);
  if (most === undefined || most.ms < sync.totalMs * 2 * SMALL) return undefined;
  const { thread } = most.found;
  const share = shareOf(thread.cpuMs, thread.workMs);
  if (share > RUNS_FREELY) return undefined;
  return `${nameOf(most.found)} ran on a processor for ${percent(share)} of its work: the other ${time(most.ms)} it waited for a disk or a processor.`;
}

function losses({ ends }: SyncTime): string | undefined {
  const sent = sum(ends.map(({ end }) => end.figures.packets_sent));
  const lost = sum(ends.map(({ end }) => end.figures.packets_lost));
  if (lost === 0) return undefined;
  return `${plural(lost, 'packet was', 'packets were')} taken for lost, ${percent(shareOf(lost, sent))} of those sent.`;
}

function unnamed(sync: SyncTime): string | undefined {
  const [most] = threadsOf(sync).toSorted((left, right) => right.thread.otherMs - left.thread.otherMs);
  if (most === undefined || most.thread.otherMs < sync.totalMs * SMALL) return undefined;
  return `${time(most.thread.otherMs)} of ${nameOf(most)} are covered by no phase.`;
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? `${text.charAt(0).toLowerCase()}${text.slice(1)}` : text;
}
