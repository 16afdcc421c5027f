import type { ProfileFigures } from '../../profile.js';

/** What a figure counts. Its name says so at its end. */
export type Unit = 'ms' | 'bytes' | 'count';

/** What is known of a figure. */
export interface Figure {
  /** The heading under which it is shown. */
  readonly group: Group;
  /** Which way is better when two syncs of the same tree are compared; absent where neither is. */
  readonly better?: 'less' | 'more';
  /** Whether the figure is a state or a peak, which must not be added up over ends or sessions. */
  readonly state?: true;
  /** The meaning, in the words of `ProfileFigures`. */
  readonly meaning: string;
}

/** The headings of figures. */
export type Group = 'Time' | 'Content' | 'Connection' | 'Packets' | 'Queues and memory';

/** The headings in the order in which they are shown. */
export const GROUPS: readonly Group[] = ['Time', 'Content', 'Connection', 'Packets', 'Queues and memory'];

/** Every figure that is known. */
export const FIGURES: Readonly<Record<keyof ProfileFigures, Figure>> = {
  total_ms: { group: 'Time', better: 'less', meaning: 'From the start of the session to its end.' },
  connect_ms: {
    group: 'Time',
    better: 'less',
    meaning: 'Finding the server and the handshake; of a kept connection, what it took when it was made.',
  },
  walk_ms: { group: 'Time', better: 'less', meaning: 'Walking: listing directories, one `statx` for each entry.' },
  compare_ms: { group: 'Time', better: 'less', meaning: 'Comparing and planning.' },
  process_ms: {
    group: 'Time',
    better: 'less',
    meaning: "The session's own thread at work: comparing, deciding, making directories.",
  },
  disk_read_ms: { group: 'Time', better: 'less', meaning: 'Opening, reading and checking files of the source.' },
  hash_ms: { group: 'Time', better: 'less', meaning: 'BLAKE3 of content.' },
  compress_ms: { group: 'Time', better: 'less', meaning: 'LZ4, in either direction.' },
  encode_ms: { group: 'Time', better: 'less', meaning: 'Making frames and packs, compression included.' },
  write_ms: { group: 'Time', better: 'less', meaning: 'Handing frames over to the transport.' },
  network_ms: {
    group: 'Time',
    better: 'less',
    meaning: 'Threads of the transport that were not idle: QUIC, encryption, sockets.',
  },
  decode_ms: { group: 'Time', better: 'less', meaning: 'Taking frames and packs apart, decompression included.' },
  batch_split_ms: { group: 'Time', better: 'less', meaning: 'Taking packs apart into records.' },
  batch_write_ms: {
    group: 'Time',
    better: 'less',
    meaning: 'Writing files: decompressing, hashing, making, writing, attributes.',
  },
  state_commit_ms: { group: 'Time', better: 'less', meaning: 'Giving files their names, and flushing.' },
  fsync_ms: { group: 'Time', better: 'less', meaning: 'Flushing to the device.' },
  rename_ms: { group: 'Time', better: 'less', meaning: 'Renaming.' },
  delete_ms: { group: 'Time', better: 'less', meaning: 'Deleting.' },
  read_ms: { group: 'Time', better: 'less', meaning: 'Writers that waited for content.' },
  wait_peer_ms: { group: 'Time', better: 'less', meaning: 'Waiting for what the other end has to say or send.' },
  wait_queue_ms: { group: 'Time', better: 'less', meaning: 'Waiting for room in a queue to the other end.' },
  roundtrip_ms: {
    group: 'Time',
    better: 'less',
    meaning: 'From what was said to the first answer to it, summed over `round_trips`.',
  },
  disk_read_bytes: { group: 'Content', meaning: 'Bytes of content read from the source.' },
  encoded_bytes: {
    group: 'Content',
    better: 'less',
    meaning: 'Bytes of packs as sent or received, headers included.',
  },
  request_bytes: { group: 'Content', better: 'less', meaning: 'Bytes of streams from the client to the server.' },
  response_bytes: { group: 'Content', better: 'less', meaning: 'Bytes of streams from the server to the client.' },
  connections: {
    group: 'Connection',
    meaning: 'Connections that the sync used: 1, over TCP up to 7, or 0 between two folders of one machine.',
  },
  streams_opened: { group: 'Connection', meaning: 'Streams that this end opened.' },
  streams: { group: 'Connection', meaning: 'Streams of the sync, whoever opened them.' },
  control_frames: {
    group: 'Connection',
    better: 'less',
    meaning: 'Frames on the control lane, in both directions.',
  },
  round_trips: { group: 'Connection', better: 'less', meaning: 'Answers that came after something was said.' },
  rtt_ms: {
    group: 'Connection',
    better: 'less',
    state: true,
    meaning: "The transport's estimate of the round trip at the end.",
  },
  packets_sent: { group: 'Packets', better: 'less', meaning: 'UDP datagrams sent.' },
  packets_received: { group: 'Packets', better: 'less', meaning: 'UDP datagrams received.' },
  packets_lost: { group: 'Packets', better: 'less', meaning: 'QUIC packets sent that were taken for lost.' },
  mtu_bytes: {
    group: 'Packets',
    better: 'more',
    state: true,
    meaning: 'The largest UDP payload in use at the end.',
  },
  window_bytes: { group: 'Packets', state: true, meaning: 'The congestion window at the end.' },
  receive_window_bytes: {
    group: 'Packets',
    state: true,
    meaning: 'What this end let the other send ahead, at the end.',
  },
  data_queue_max: {
    group: 'Queues and memory',
    state: true,
    meaning: "The most packs that waited in one lane's queue.",
  },
  control_queue_max: {
    group: 'Queues and memory',
    state: true,
    meaning: 'The most encoded frames that waited for the transport.',
  },
  job_queue_max: {
    group: 'Queues and memory',
    state: true,
    meaning: 'The most directories whose files waited for a reader.',
  },
  large_allocations: {
    group: 'Queues and memory',
    better: 'less',
    meaning: 'Buffers of 64 KiB and more that were made for content.',
  },
  large_allocation_bytes: { group: 'Queues and memory', better: 'less', meaning: 'Their bytes.' },
};

/** The names of all known figures, in the order in which they are shown. */
export const FIGURE_NAMES: readonly (keyof ProfileFigures)[] = Object.keys(FIGURES) as (keyof ProfileFigures)[];

/** The description of a figure; `undefined` for one that a newer program wrote. */
export function figureOf(name: string): Figure | undefined {
  return Object.hasOwn(FIGURES, name) ? FIGURES[name as keyof ProfileFigures] : undefined;
}

/** The names of the figures of an object: the known ones first, in order. */
export function namesOf(figures: object): string[] {
  const unknown = Object.keys(figures).filter((name) => figureOf(name) === undefined);
  return [...FIGURE_NAMES.filter((name) => Object.hasOwn(figures, name)), ...unknown];
}

/** The unit of a figure, by its name. */
export function unitOf(name: string): Unit {
  if (name.endsWith('_ms')) return 'ms';
  return name.endsWith('_bytes') ? 'bytes' : 'count';
}
