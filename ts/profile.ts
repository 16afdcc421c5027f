/**
 * The figures of one end of a sync, under the engine's own names, which are those of the program that this package
 * grew from where it had one. Units stand last: `_ms` are milliseconds summed over threads, so that they may exceed
 * `total_ms`; `_bytes` are bytes; the rest are counts. What an end does not do is 0 there.
 */
export interface ProfileFigures {
  /** Connections that the sync used: 1, over TCP up to 7, or 0 between two folders of one machine. */
  connections: number;
  /** Frames on the control lane, in both directions. */
  control_frames: number;
  /** Streams that this end opened. */
  streams_opened: number;
  /** Streams of the sync, whoever opened them. */
  streams: number;
  /** Bytes of streams from the client to the server. */
  request_bytes: number;
  /** Bytes of streams from the server to the client. */
  response_bytes: number;
  /** Bytes of content read from the source. */
  disk_read_bytes: number;
  /** Bytes of packs as sent or received, headers included. */
  encoded_bytes: number;
  /** Finding the server and the handshake; of a kept connection, what it took when it was made. */
  connect_ms: number;
  /** Opening, reading and checking files of the source. */
  disk_read_ms: number;
  /** Making frames and packs, compression included. */
  encode_ms: number;
  /** From what was said to the first answer to it, summed over `round_trips`. */
  roundtrip_ms: number;
  /** From the start of the session to its end. */
  total_ms: number;
  /** Writers that waited for content. */
  read_ms: number;
  /** Taking frames and packs apart, decompression included. */
  decode_ms: number;
  /** The session's own thread at work: comparing, deciding, making directories. */
  process_ms: number;
  /** Handing frames over to the transport. */
  write_ms: number;
  /** Taking packs apart into records. */
  batch_split_ms: number;
  /** Writing files: decompressing, hashing, making, writing, attributes. */
  batch_write_ms: number;
  /** Giving files their names, and flushing. */
  state_commit_ms: number;
  /** Walking: listing directories, one `statx` for each entry. */
  walk_ms: number;
  /** Comparing and planning. */
  compare_ms: number;
  /** BLAKE3 of content. */
  hash_ms: number;
  /** LZ4, in either direction. */
  compress_ms: number;
  /** Waiting for what the other end has to say or send. */
  wait_peer_ms: number;
  /** Waiting for room in a queue to the other end. */
  wait_queue_ms: number;
  /** Threads of the transport that were not idle: QUIC, encryption, sockets. */
  network_ms: number;
  /** Flushing to the device. */
  fsync_ms: number;
  /** Renaming. */
  rename_ms: number;
  /** Deleting. */
  delete_ms: number;
  /** UDP datagrams sent. */
  packets_sent: number;
  /** UDP datagrams received. */
  packets_received: number;
  /** QUIC packets sent that were taken for lost. */
  packets_lost: number;
  /** Answers that came after something was said. */
  round_trips: number;
  /** The transport's estimate of the round trip at the end. */
  rtt_ms: number;
  /** The largest UDP payload in use at the end. */
  mtu_bytes: number;
  /** The congestion window at the end. */
  window_bytes: number;
  /** What this end let the other send ahead, at the end. */
  receive_window_bytes: number;
  /** The most packs that waited in one lane's queue. */
  data_queue_max: number;
  /** The most encoded frames that waited for the transport. */
  control_queue_max: number;
  /** The most directories whose files waited for a reader. */
  job_queue_max: number;
  /** Buffers of 64 KiB and more that were made for content. */
  large_allocations: number;
  /** Their bytes. */
  large_allocation_bytes: number;
}

/** What a thread was found doing: how long, and how often it began. */
export interface ProfilePhase {
  ms: number;
  count: number;
}

/**
 * One thread of the engine. Its phases follow each other without a gap, so they add up to `wallMs`. A phase that begins
 * with `wait_` is a wait; `idle` is a thread of the transport with nothing to do.
 */
export interface ProfileThread {
  /** `walk`, `list`, `read`, `write`, `session`, `quic`; several threads may share a name. */
  name: string;
  /** When it began, in milliseconds after the start of its end. */
  startMs: number;
  /** How long it lived, as far as the sync was under way. */
  wallMs: number;
  /** Processor time that it used meanwhile. The difference to its work is what it waited for a processor or a disk. */
  cpuMs: number;
  /** Where its time went. */
  phases: Record<string, ProfilePhase>;
  /** Width of one step of `timeline` in milliseconds. */
  stepMs: number;
  /** For each phase its share of each step in percent, from `startMs` on. */
  timeline: Record<string, number[]>;
}

/** One end of a sync. */
export interface ProfileEnd {
  /** What it did. */
  role: 'sender' | 'receiver';
  /** Whether it asked for the sync (`client`) or answered (`server`). */
  end: 'client' | 'server';
  /** When it began, in milliseconds since 1970 by its own clock. */
  startedAtMs: number;
  /** Figures by name. */
  figures: ProfileFigures;
  /** Its threads. */
  threads: ProfileThread[];
}

/** Where the work of a sync was done, in milliseconds of busy threads on both ends. */
export interface ProfileSplit {
  /** The sender: reading, hashing, making packs, compressing, copying. */
  senderMs: number;
  /** Transport threads of both ends: QUIC, encryption, sockets. */
  networkMs: number;
  /** The receiver: taking apart, verifying, writing, giving names, flushing, deleting. */
  receiverMs: number;
}

/** Where the time of a sync went. */
export interface SyncProfile {
  /** Version of this form. */
  schema: 1;
  /** The direction as the client sees it. */
  direction: 'push' | 'pull' | 'local';
  /** The ends that are known, this process's first. */
  ends: ProfileEnd[];
  /** The work split among sender, network and receiver. */
  split: ProfileSplit;
}

/** A profile as a line of a file: one for each sync. */
export interface ProfileLine extends SyncProfile {
  type: 'profile';
  /** When it was written, in the form of ISO 8601. */
  at: string;
}

/** What all syncs of a server took together, as a line of a file. */
export interface ProfileSummary {
  type: 'summary';
  /** Version of this form. */
  schema: 1;
  /** When it was written, in the form of ISO 8601. */
  at: string;
  /** The server has stopped: nothing follows. */
  final: boolean;
  /** Time since the server began in milliseconds. */
  uptimeMs: number;
  /** Syncs and other sessions that were begun. */
  sessions: number;
  /** Those that failed. */
  sessionsFailed: number;
  /** Connections that were made. */
  connections: number;
  /** Syncs whose profile is not in the file, because they ended faster than they were asked for. */
  profilesDropped: number;
  /** Figures of all syncs: amounts and times are sums, `_max` is the largest, what describes a path is that of the last. */
  figures: ProfileFigures;
}

/** One line of a file of profiles. */
export type ProfileRecord = ProfileLine | ProfileSummary;

/** The version of the form of profiles. */
export const PROFILE_SCHEMA = 1;

/** A profile as a line of a file. */
export function profileLine(profile: SyncProfile): ProfileLine {
  return { type: 'profile', at: new Date().toISOString(), ...profile };
}

/** The figures of this process's end in one line, as `SPARSYNC_PROFILE=1` asks for them. */
export function profileText(figures: ProfileFigures): string {
  const words = Object.entries(figures).map(([name, value]: [string, number]) =>
    name.endsWith('_ms') ? `${name}=${value.toFixed(3)}` : `${name}=${value}`,
  );
  return `profile ${words.join(' ')}`;
}
