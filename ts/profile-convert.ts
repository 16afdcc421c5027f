import type { NativeProfileEnd, NativeProfileThread } from './native.js';
import { PROFILE_SCHEMA } from './profile.js';
import type { ProfileEnd, ProfileFigures, ProfileThread, SyncProfile } from './profile.js';

/** Phases of a sender that count for the split. */
const SENDER_PHASES = ['open', 'read', 'check', 'hash', 'encode', 'compress'];

/** Phases of a receiver that count for the split. */
const RECEIVER_PHASES = [
  ...['decode', 'decompress', 'hash', 'create', 'write', 'attributes'],
  ...['rename', 'flush', 'make', 'delete'],
];

/** The figures as the engine gives them, complete. */
export function toFigures(native: Readonly<Record<string, number>>): ProfileFigures {
  // A test compares the engine's list of names with this type.
  return { ...native } as unknown as ProfileFigures;
}

/** One end as the engine gives it. */
export function toEnd(native: NativeProfileEnd, role: ProfileEnd['role'], end: ProfileEnd['end']): ProfileEnd {
  const { startedAtMs, figures, threads } = native;
  return {
    role,
    end,
    startedAtMs,
    figures: toFigures(figures),
    threads: threads.map(toThread),
  };
}

function toThread({ name, startMs, wallMs, cpuMs, stepMs, phases }: NativeProfileThread): ProfileThread {
  return {
    name,
    startMs,
    wallMs,
    cpuMs,
    phases: Object.fromEntries(phases.map(({ name: phase, ms, count }) => [phase, { ms, count }])),
    stepMs,
    timeline: Object.fromEntries(phases.map(({ name: phase, steps }) => [phase, [...steps]])),
  };
}

/** The profile of a sync of which these ends are known. */
export function toProfile(direction: SyncProfile['direction'], ends: ProfileEnd[]): SyncProfile {
  const spent = (role: ProfileEnd['role'], phases: readonly string[]): number =>
    ends
      .filter((end) => end.role === role)
      .flatMap(({ threads }) => threads)
      .flatMap((thread) => phases.map((phase) => thread.phases[phase]?.ms ?? 0))
      .reduce((sum, ms) => sum + ms, 0);
  return {
    schema: PROFILE_SCHEMA,
    direction,
    ends,
    split: {
      senderMs: spent('sender', SENDER_PHASES),
      networkMs: ends.reduce((sum, { figures }) => sum + figures.network_ms, 0),
      receiverMs: spent('receiver', RECEIVER_PHASES),
    },
  };
}

/** The profile of a sync of this process: its own account, and the one that the other end told. */
export function toSyncProfile(
  direction: SyncProfile['direction'],
  native: readonly NativeProfileEnd[],
): SyncProfile | undefined {
  const [own, other] = native;
  if (own === undefined || other === undefined) return undefined;
  // Between two folders of one machine, the receiver counts as the end that is asked.
  const isSender = direction === 'push';
  return toProfile(direction, [
    toEnd(own, isSender ? 'sender' : 'receiver', 'client'),
    toEnd(other, isSender ? 'receiver' : 'sender', direction === 'local' ? 'client' : 'server'),
  ]);
}
