// Profiles as an engine would write them, without an engine: threads that go from phase to phase.
import type { ProfileEnd, ProfileFigures, ProfileThread, SyncProfile } from '../../ts/profile.js';
import type { Random } from './random.js';

/** How likely a thread is in a phase, while so much of its life is not over. */
interface Stretch {
  /** The end of the stretch, as a share of the thread's life. */
  readonly until: number;
  readonly phases: Readonly<Record<string, number>>;
}

/** A thread of some kind. */
interface Plan {
  readonly name: string;
  /** When it begins and ends, as shares of its end's life. */
  readonly from: number;
  readonly to: number;
  /** Share of its work in which it is on a processor. */
  readonly cpu: number;
  readonly stretches: readonly Stretch[];
}

const SENDER: readonly Plan[] = [
  {
    name: 'session',
    from: 0,
    to: 1,
    cpu: 0.9,
    stretches: [
      { until: 0.03, phases: { setup: 6, wait_frame: 4 } },
      { until: 0.9, phases: { list: 1, wait_frame: 12 } },
      { until: 1, phases: { wait_frame: 20, finish: 1 } },
    ],
  },
  {
    name: 'walk',
    from: 0.03,
    to: 0.4,
    cpu: 0.7,
    stretches: [
      { until: 0.7, phases: { walk: 8, list: 2, wait_room: 0.5 } },
      { until: 1, phases: { walk: 4, list: 1, wait_budget: 5 } },
    ],
  },
  {
    name: 'list',
    from: 0.05,
    to: 0.8,
    cpu: 0.9,
    stretches: [{ until: 1, phases: { list: 2, wait_work: 7, wait_room: 1 } }],
  },
  ...[0, 1].map((lane) => ({
    name: 'read',
    from: 0.08 + lane * 0.01,
    to: 0.93,
    cpu: 0.72,
    stretches: [
      { until: 0.1, phases: { open: 3, read: 3, wait_work: 5 } },
      { until: 0.6, phases: { open: 2, read: 4, check: 0.5, hash: 3, encode: 1, compress: 2, wait_room: 1 + lane } },
      {
        until: 1,
        phases: { open: 1, read: 2, check: 0.3, hash: 2, encode: 1, compress: 1, wait_room: 6, wait_settle: 0.2 },
      },
    ],
  })),
  {
    name: 'quic',
    from: 0,
    to: 1,
    cpu: 0.95,
    stretches: [
      { until: 0.08, phases: { network: 1, idle: 12 } },
      { until: 0.93, phases: { network: 5, idle: 5 } },
      { until: 1, phases: { network: 1, idle: 9 } },
    ],
  },
];

const RECEIVER: readonly Plan[] = [
  {
    name: 'session',
    from: 0,
    to: 1,
    cpu: 0.85,
    stretches: [
      { until: 0.04, phases: { setup: 8, wait_frame: 2 } },
      { until: 0.45, phases: { compare: 5, make: 2, wait_frame: 6, wait_walk: 1 } },
      { until: 0.93, phases: { compare: 1, wait_writers: 9 } },
      { until: 1, phases: { delete: 3, attributes: 2, flush: 6, finish: 1 } },
    ],
  },
  { name: 'walk', from: 0.04, to: 0.2, cpu: 0.6, stretches: [{ until: 1, phases: { walk: 7, wait_budget: 3 } }] },
  ...[0, 1].map(() => ({
    name: 'write',
    from: 0.06,
    to: 0.95,
    cpu: 0.55,
    stretches: [
      { until: 0.08, phases: { wait_pack: 1 } },
      {
        until: 0.7,
        phases: {
          decode: 1,
          decompress: 1.5,
          create: 3,
          write: 4,
          hash: 2,
          attributes: 1.2,
          rename: 1.5,
          wait_pack: 1,
          wait_listing: 0.2,
        },
      },
      {
        until: 1,
        phases: { decode: 1, decompress: 1, create: 2, write: 3, hash: 2, attributes: 1, rename: 1, flush: 12 },
      },
    ],
  })),
  ...[0, 1].map((worker) => ({
    name: 'quic',
    from: 0,
    to: 1,
    cpu: 0.95,
    stretches: [
      { until: 0.08, phases: { idle: 1 } },
      { until: 0.93, phases: { network: 3 - worker, idle: 6 } },
      { until: 1, phases: { idle: 1 } },
    ],
  })),
];

const STEPS = 160;

/** Lets a thread live: its phases follow each other without a gap. */
function live(random: Random, plan: Plan, totalMs: number): ProfileThread {
  const startMs = plan.from * totalMs;
  const wallMs = (plan.to - plan.from) * totalMs;
  const stepMs = wallMs / STEPS;
  const phases: Record<string, { ms: number; count: number }> = {};
  const steps: Record<string, number[]> = {};
  let work = 0;
  for (let at = 0; at < wallMs;) {
    const stretch = plan.stretches.find(({ until }) => at < until * wallMs) ?? plan.stretches.at(-1);
    const name = choose(random, stretch?.phases ?? { wait_work: 1 });
    const ms = Math.min(wallMs - at, (0.1 + (random.below(1000) / 1000) ** 2) * (totalMs / 2500));
    const phase = (phases[name] ??= { ms: 0, count: 0 });
    phase.ms += ms;
    phase.count += 1;
    if (!name.startsWith('wait_') && name !== 'idle') work += ms;
    const shares = (steps[name] ??= Array.from({ length: STEPS }, () => 0));
    for (let step = Math.floor(at / stepMs); step < STEPS && step * stepMs < at + ms; step += 1) {
      const overlap = Math.min(at + ms, (step + 1) * stepMs) - Math.max(at, step * stepMs);
      shares[step] = (shares[step] ?? 0) + Math.max(0, (overlap / stepMs) * 100);
    }
    at += ms;
  }
  return {
    name: plan.name,
    startMs: round(startMs),
    wallMs: round(wallMs),
    cpuMs: round(work * plan.cpu),
    phases: Object.fromEntries(Object.entries(phases).map(([name, { ms, count }]) => [name, { ms: round(ms), count }])),
    stepMs: round(stepMs),
    timeline: Object.fromEntries(
      Object.entries(steps).map(([name, shares]) => [name, shares.map((share) => Math.min(100, Math.floor(share)))]),
    ),
  };
}

function choose(random: Random, weights: Readonly<Record<string, number>>): string {
  const entries = Object.entries(weights);
  let point = (random.below(1 << 20) / (1 << 20)) * entries.reduce((total, [, weight]) => total + weight, 0);
  for (const [name, weight] of entries) {
    point -= weight;
    if (point < 0) return name;
  }
  return entries.at(-1)?.[0] ?? 'wait_work';
}

function round(ms: number): number {
  return Math.round(ms * 1e6) / 1e6;
}

/** Figures that are all 0, for those that a test cares about to be set. */
export function noFigures(): ProfileFigures {
  return {
    connections: 0,
    control_frames: 0,
    streams_opened: 0,
    streams: 0,
    request_bytes: 0,
    response_bytes: 0,
    disk_read_bytes: 0,
    encoded_bytes: 0,
    connect_ms: 0,
    disk_read_ms: 0,
    encode_ms: 0,
    roundtrip_ms: 0,
    total_ms: 0,
    read_ms: 0,
    decode_ms: 0,
    process_ms: 0,
    write_ms: 0,
    batch_split_ms: 0,
    batch_write_ms: 0,
    state_commit_ms: 0,
    walk_ms: 0,
    compare_ms: 0,
    hash_ms: 0,
    compress_ms: 0,
    wait_peer_ms: 0,
    wait_queue_ms: 0,
    network_ms: 0,
    fsync_ms: 0,
    rename_ms: 0,
    delete_ms: 0,
    packets_sent: 0,
    packets_received: 0,
    packets_lost: 0,
    round_trips: 0,
    rtt_ms: 0,
    mtu_bytes: 0,
    window_bytes: 0,
    receive_window_bytes: 0,
    data_queue_max: 0,
    control_queue_max: 0,
    job_queue_max: 0,
    large_allocations: 0,
    large_allocation_bytes: 0,
  };
}

function figuresOf(
  random: Random,
  role: ProfileEnd['role'],
  remote: boolean,
  totalMs: number,
  threads: readonly ProfileThread[],
): ProfileFigures {
  const time = (...names: readonly string[]): number =>
    round(
      threads.reduce((total, { phases }) => total + names.reduce((sum, name) => sum + (phases[name]?.ms ?? 0), 0), 0),
    );
  const sends = role === 'sender';
  const content = Math.floor(totalMs * 210_000);
  const packs = Math.floor(content * 0.61);
  return {
    ...noFigures(),
    total_ms: totalMs,
    connections: remote ? 1 : 0,
    control_frames: random.between(200, 400),
    streams: 3,
    streams_opened: sends ? 3 : 0,
    request_bytes: remote ? packs + 300_000 : 0,
    response_bytes: remote ? 41_000 : 0,
    disk_read_bytes: sends ? content : 0,
    encoded_bytes: packs,
    connect_ms: remote ? 2.4 : 0,
    disk_read_ms: sends ? time('open', 'read', 'check') : 0,
    encode_ms: time('encode', 'compress', 'list'),
    roundtrip_ms: 7.3,
    read_ms: time('wait_pack'),
    decode_ms: time('decode', 'decompress'),
    process_ms: time('compare', 'make'),
    write_ms: round(totalMs / 50),
    batch_split_ms: time('decode'),
    batch_write_ms: time('decompress', 'hash', 'create', 'write', 'attributes'),
    state_commit_ms: time('rename', 'flush'),
    walk_ms: time('walk'),
    compare_ms: time('compare'),
    hash_ms: time('hash'),
    compress_ms: time('compress', 'decompress'),
    wait_peer_ms: time('wait_frame', 'wait_pack', 'wait_listing'),
    wait_queue_ms: time('wait_room'),
    network_ms: time('network'),
    fsync_ms: time('flush'),
    rename_ms: time('rename'),
    delete_ms: time('delete'),
    packets_sent: remote ? Math.floor(packs / (sends ? 1400 : 24_000)) : 0,
    packets_received: remote ? Math.floor(packs / (sends ? 24_000 : 1400)) : 0,
    packets_lost: remote && sends ? random.between(0, 40) : 0,
    round_trips: 3,
    rtt_ms: remote ? 0.41 : 0,
    mtu_bytes: remote ? 1452 : 0,
    window_bytes: remote ? 3_200_000 : 0,
    receive_window_bytes: remote ? 83_886_080 : 0,
    data_queue_max: 4,
    control_queue_max: random.between(3, 60),
    job_queue_max: sends ? random.between(10, 200) : 0,
    large_allocations: random.between(8, 40),
    large_allocation_bytes: random.between(8, 40) << 18,
  };
}

/** What a sync was like. */
export interface SyncLike {
  readonly direction?: SyncProfile['direction'];
  readonly totalMs?: number;
  /** The moment of its start, in milliseconds since 1970. */
  readonly startedAtMs?: number;
  /** By how much the server's clock is ahead of the client's. */
  readonly clockMs?: number;
  /** Only this end is known. */
  readonly only?: ProfileEnd['end'];
}

/** A profile of a sync that could have been. */
export function sampleProfile(random: Random, like: SyncLike = {}): SyncProfile {
  const { direction = 'push', totalMs = 1840, startedAtMs = Date.UTC(2026, 10, 24, 13, 22, 39), clockMs = 0 } = like;
  const remote = direction !== 'local';
  const end = (role: ProfileEnd['role'], who: ProfileEnd['end']): ProfileEnd => {
    const later = who === 'server' ? 6 : 0;
    const ownMs = totalMs - 2 * later;
    const plans = (role === 'sender' ? SENDER : RECEIVER).filter(({ name }) => remote || name !== 'quic');
    const threads = plans.map((plan) => live(random, plan, ownMs));
    return {
      role,
      end: who,
      startedAtMs: startedAtMs + later + (who === 'server' ? clockMs : 0),
      figures: figuresOf(random, role, remote, ownMs, threads),
      threads,
    };
  };
  const ends =
    direction === 'pull'
      ? [end('receiver', 'client'), end('sender', 'server')]
      : [end('sender', 'client'), end('receiver', remote ? 'server' : 'client')];
  const known = like.only === undefined ? ends : ends.filter(({ end: who }) => who === like.only);
  const work = (role: ProfileEnd['role'], names: readonly string[]): number =>
    round(
      ends
        .filter((each) => each.role === role)
        .flatMap(({ threads }) => threads)
        .reduce((total, { phases }) => total + names.reduce((sum, name) => sum + (phases[name]?.ms ?? 0), 0), 0),
    );
  return {
    schema: 1,
    direction,
    ends: known,
    split: {
      senderMs: work('sender', ['open', 'read', 'check', 'hash', 'encode', 'compress']),
      networkMs: round(work('sender', ['network']) + work('receiver', ['network'])),
      receiverMs: work('receiver', [
        'decode',
        'decompress',
        'create',
        'write',
        'hash',
        'attributes',
        'flush',
        'rename',
        'make',
        'delete',
      ]),
    },
  };
}

/** A sync's line of a profile file. */
export function profileLine(profile: SyncProfile, at = '2026-11-24T13:22:41.000Z'): string {
  return JSON.stringify({ type: 'profile', at, ...profile });
}

/** A server's line of a profile file. */
export function summaryLine(fields: {
  readonly uptimeMs: number;
  readonly sessions: number;
  readonly sessionsFailed?: number;
  readonly connections?: number;
  readonly final?: boolean;
  readonly figures?: Partial<ProfileFigures>;
}): string {
  const { uptimeMs, sessions, sessionsFailed = 0, connections = 1, final = false, figures = {} } = fields;
  return JSON.stringify({
    type: 'summary',
    schema: 1,
    at: new Date(Date.UTC(2026, 10, 24, 12) + uptimeMs).toISOString(),
    final,
    uptimeMs,
    sessions,
    sessionsFailed,
    connections,
    figures: { ...noFigures(), ...figures },
  });
}
