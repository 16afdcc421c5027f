import { safe } from '../names.js';
import { count } from '../text.js';
import { columns } from './columns.js';
import type { Change, Comparison } from './compare.js';
import { valueOf } from './compare.js';
import { namesOf } from './figures.js';
import { findings } from './findings.js';
import { amount, bytes, moment, number, percent, plural, shareOf, time, times } from './format.js';
import type { EndTime, SyncTime } from './measure.js';
import { CAUSES, STAGES } from './phases.js';
import type { Phase } from './phases.js';
import { ratesOf } from './rates.js';
import type { ServerRun } from './server-runs.js';

/** The share below which a phase is left out of a summary. The page has them all. */
const SHOWN_SHARE = 0.001;

/** How many changes of a comparison are worth a line. */
const CHANGES_SHOWN = 12;

/** One sync, as lines for a terminal. */
export function describeSync(sync: SyncTime): string[] {
  const { record, profile, workMs } = sync;
  const { senderMs, networkMs, receiverMs } = profile.split;
  const part = (title: string, ms: number): string => `${title} ${time(ms)} (${percent(shareOf(ms, workMs))})`;
  return [
    `${safe(record.file)}:${record.line}  ${profile.direction}, ${moment(record.at)}, ${time(sync.totalMs)}`,
    `  work: ${part('sender', senderMs)}, ${part('network', networkMs)}, ${part('receiver', receiverMs)}`,
    ...findings(sync).map((sentence) => `  - ${safe(sentence)}`),
    ...sync.ends.flatMap((end) => ['', ...describeEnd(end)]),
  ];
}

function describeEnd(end: EndTime): string[] {
  return [
    `  ${end.label}: ${time(end.totalMs)}, ${plural(end.threads.length, 'thread')}`,
    ...phaseTable(end),
    ...threadTable(end),
    ...factsOf(end),
  ];
}

/** Where a phase belongs, in one word or two. */
function kindOf(phase: Phase): string {
  if (phase.cause !== undefined) {
    return phase.cause === 'idle' ? 'idle' : `waits: ${CAUSES[phase.cause].title.toLowerCase()}`;
  }
  return STAGES[phase.stage ?? 'unknown'].title.toLowerCase();
}

function phaseTable(end: EndTime): string[] {
  const shown = end.phases.filter(({ ms, share }) => ms > 0 && share >= SHOWN_SHARE);
  if (shown.length === 0) return [];
  return columns(
    [
      ['phase', 'time', 'of wall', 'count', 'part'],
      ...shown.map(({ phase, ms, share, count: begun }) => [
        safe(phase.name),
        time(ms),
        percent(share),
        count(begun),
        kindOf(phase),
      ]),
    ],
    'lrrrl',
    '    ',
  );
}

function threadTable(end: EndTime): string[] {
  if (end.threads.length === 0) return [];
  return columns(
    [
      ['thread', 'wall', 'work', 'waits', 'other', 'cpu'],
      ...end.threads.map((thread) => [
        safe(thread.label),
        time(thread.wallMs),
        ...[thread.workMs, thread.waitMs, thread.otherMs, thread.cpuMs].map((ms) =>
          percent(shareOf(ms, thread.wallMs)),
        ),
      ]),
    ],
    'lrrrrr',
    '    ',
  );
}

function factsOf({ end: { figures } }: EndTime): string[] {
  const facts: [string, string][] = [];
  if (figures.connections > 0 || figures.packets_sent > 0) {
    facts.push(
      [
        'packets',
        `${count(figures.packets_sent)} sent, ${count(figures.packets_received)} received, ` +
          `${count(figures.packets_lost)} lost (${percent(shareOf(figures.packets_lost, figures.packets_sent))})`,
      ],
      [
        'round trips',
        `${count(figures.round_trips)}, ${time(figures.roundtrip_ms)} in all; round trip time ${time(figures.rtt_ms)}, ` +
          `MTU ${bytes(figures.mtu_bytes)}, window ${bytes(figures.window_bytes)}, ` +
          `receive window ${bytes(figures.receive_window_bytes)}`,
      ],
    );
  }
  facts.push(
    [
      'queues at most',
      `${plural(figures.data_queue_max, 'pack')} in a lane, ${plural(figures.control_queue_max, 'frame')}, ` +
        `${plural(figures.job_queue_max, 'directory', 'directories')} for readers`,
    ],
    ['large buffers', `${count(figures.large_allocations)} made, ${bytes(figures.large_allocation_bytes)}`],
    [
      'content',
      `${bytes(figures.disk_read_bytes)} read, ${bytes(figures.encoded_bytes)} as packs, ` +
        `${bytes(figures.request_bytes)} to the server, ${bytes(figures.response_bytes)} to the client`,
    ],
  );
  return columns(facts, 'll', '    ');
}

/** One run of a server, as lines for a terminal. */
export function describeServer({ last }: ServerRun): string[] {
  const perMinute = last.uptimeMs > 0 ? (last.sessions / last.uptimeMs) * 60_000 : 0;
  const names = namesOf(last.figures).filter((name) => valueOf(last.figures, name) > 0);
  return [
    `${safe(last.file)}:${last.line}  server, ${moment(last.at)}${last.final ? '' : ', running'}, up ${time(last.uptimeMs)}`,
    `  ${plural(last.sessions, 'session')} (${number(perMinute)} a minute), ${count(last.sessionsFailed)} failed, ` +
      plural(last.connections, 'connection'),
    ...columns(
      [
        ['figure', 'in all', 'per second', 'per session'],
        ...names.map((name) => [safe(name)].concat(ratesOf(name, valueOf(last.figures, name), last))),
      ],
      'lrrr',
      '    ',
    ),
  ];
}

/** Two sides beside each other, as lines for a terminal. */
export function describeComparison(comparison: Comparison, now: string, before: string): string[] {
  const several = comparison.nowCount > 1 || comparison.beforeCount > 1;
  const sizes = several ? ` (medians of ${comparison.nowCount} and ${comparison.beforeCount} syncs)` : '';
  const table = (changes: readonly Change[]): string[] =>
    columns(
      [
        ['', 'before', 'now', 'ratio', ''],
        ...changes.map((each) => [
          safe(each.name),
          amount(each.unit, each.before),
          amount(each.unit, each.now),
          times(each.ratio),
          each.verdict === 'neither' ? '' : each.verdict,
        ]),
      ],
      'lrrrl',
      '    ',
    );
  return [
    `${comparison.direction}: ${safe(now)} beside ${safe(before)}${sizes}`,
    ...table(comparison.totals),
    ...comparison.ends.flatMap((end) => [
      `  ${end.label}: phases`,
      ...table(end.phases.slice(0, CHANGES_SHOWN).map(({ change }) => change)),
      `  ${end.label}: figures`,
      ...table(end.figures.filter((each) => each.now > 0 || each.before > 0)),
    ]),
  ];
}
