import type { ProfileEnd } from '../../profile.js';

/** The part of a sync that a phase of work belongs to. */
export type Stage = 'comparing' | 'sender' | 'network' | 'receiver' | 'unknown';

/** What a thread waits for. */
export type Cause = 'peer' | 'thread' | 'room' | 'machine' | 'idle' | 'unknown';

/** What is known of a phase where it was found. */
export interface Phase {
  readonly name: string;
  /** Its part of the sync, when it is work. */
  readonly stage?: Stage;
  /** What it waits for, when it is a wait. */
  readonly cause?: Cause;
  /** The meaning in a sentence; unknown for an unknown phase. */
  readonly meaning?: string;
  /** Its position among all phases, in the order in which a file passes them. */
  readonly order: number;
}

/** The parts of a sync in the order in which they are shown, with what they mean. */
export const STAGES: Readonly<Record<Stage, { readonly title: string; readonly meaning: string }>> = {
  comparing: {
    title: 'Comparing',
    meaning: 'Walking both trees, comparing and deciding, on either end; beginning and ending the session.',
  },
  sender: { title: 'Sender', meaning: 'Opening, reading and hashing files of the source, making packs of them.' },
  network: { title: 'Network', meaning: 'Threads of the transport on both ends: QUIC, encryption, sockets.' },
  receiver: {
    title: 'Receiver',
    meaning: 'Taking packs apart, verifying, writing, giving names, flushing, deleting.',
  },
  unknown: { title: 'Unknown', meaning: 'Phases that this version does not know.' },
};

/** What threads wait for, in the order in which it is shown. */
export const CAUSES: Readonly<Record<Cause, { readonly title: string; readonly meaning: string }>> = {
  peer: { title: 'The other end', meaning: 'Something that the other end has to say or to send.' },
  thread: { title: 'Another thread', meaning: 'Something that another thread of the same end has to do first.' },
  room: { title: 'Room', meaning: 'Held back on purpose: what is ahead must be taken by somebody first.' },
  machine: { title: 'The machine', meaning: 'A lock, or a clock.' },
  idle: { title: 'Idle', meaning: 'A thread of the transport with nothing to do.' },
  unknown: { title: 'Unknown waits', meaning: 'Waits that this version does not know.' },
};

/** Phases of work by name. `own` stands for work of both roles, which belongs to the role of its end. */
const WORK: Readonly<Record<string, readonly [stage: Stage | 'own', meaning: string]>> = {
  setup: ['comparing', 'Finding both ends in the file system, comparing space, taking the lock.'],
  walk: ['comparing', 'Walking: listing directories, one look at each entry.'],
  list: ['comparing', 'Making records and listings, answering what the receiver asks.'],
  compare: ['comparing', 'Deciding what differs, and what is to be done about it.'],
  finish: ['comparing', 'Telling the result and ending the session.'],
  open: ['own', 'Opening directories and files.'],
  read: ['own', 'Reading content.'],
  check: ['own', 'Looking whether a file changed while it was read.'],
  hash: ['own', 'BLAKE3 of content: where it is read, and again where it is written.'],
  compress: ['own', 'Compressing packs (LZ4).'],
  encode: ['own', 'Making packs.'],
  network: ['network', 'QUIC, encryption and sockets.'],
  decode: ['own', 'Taking packs apart into records.'],
  decompress: ['own', 'Decompressing packs (LZ4).'],
  create: ['receiver', 'Making files under temporary names.'],
  write: ['receiver', 'Writing content.'],
  attributes: ['receiver', 'Setting owners, modes and times.'],
  flush: ['receiver', 'Flushing to the device.'],
  rename: ['receiver', 'Closing files and giving them their names.'],
  make: ['receiver', 'Making directories, symlinks and FIFOs.'],
  delete: ['receiver', 'Deleting.'],
};

/** Waits by name. */
const WAITS: Readonly<Record<string, readonly [cause: Cause, meaning: string]>> = {
  wait_frame: ['peer', "For the other end's next message: a request, a record, an answer."],
  wait_pack: ['peer', 'A writer without content.'],
  wait_listing: ['peer', 'A writer: for the listing of what it holds the content of.'],
  wait_work: ['thread', 'A reader without a job.'],
  wait_walk: ['thread', "The comparison: for this end's own walk."],
  wait_writers: ['thread', 'For the writers to end.'],
  wait_room: ['room', 'For room: a queue to the other end is full.'],
  wait_budget: ['room', 'A walk that is too far ahead: for what it found to be decided.'],
  wait_settle: ['machine', 'A file changed moments ago: until its next change would show.'],
  idle: ['idle', 'A thread of the transport with nothing to do.'],
};

const ORDER: readonly string[] = [...Object.keys(WORK), ...Object.keys(WAITS)];

/** The names of all known phases, work first. */
export const PHASE_NAMES: readonly string[] = ORDER;

/** The description of a phase of an end with this role. Whether an unknown one is a wait shows in its name. */
export function phaseOf(name: string, role: ProfileEnd['role']): Phase {
  const order = ORDER.indexOf(name);
  const work = Object.hasOwn(WORK, name) ? WORK[name] : undefined;
  if (work !== undefined) return { name, stage: work[0] === 'own' ? role : work[0], meaning: work[1], order };
  const wait = Object.hasOwn(WAITS, name) ? WAITS[name] : undefined;
  if (wait !== undefined) return { name, cause: wait[0], meaning: wait[1], order };
  if (name.startsWith('wait_')) return { name, cause: 'unknown', order: ORDER.length + 1 };
  return { name, stage: 'unknown', order: Object.keys(WORK).length - 0.5 };
}

/** Whether time in a phase is waiting and not work. */
export function isWait(phase: Phase): boolean {
  return phase.cause !== undefined;
}

/**
 * Threads in the order of the way that a file takes. Several threads may share a name; names that are not known come
 * last.
 */
export function threadOrder(name: string): number {
  const order = ['session', 'walk', 'list', 'read', 'write', 'quic'].indexOf(name);
  return order === -1 ? 6 : order;
}
