/**
 * The counters of a job. Every one only grows while an attempt runs. Amounts are in bytes, and exact up to 2^53.
 * The two totals are absent until both trees have been walked; after a retry they stay what they were until the new walk ends.
 * From then on they are fixed, but for content that has to come again because its file changed while it was read, or grew:
 * that is added to what is to be brought over, so what was brought over never passes it.
 */
export interface SyncStats {
  /** Entries of any kind seen in the source so far. */
  entriesSource: number;
  /** Entries of any kind seen in the destination so far. */
  entriesDestination: number;
  /** Directories seen in the source so far. */
  directoriesSource: number;
  /** Files whose content was sent and that now have their name (in a dry run: that would). */
  filesTransferred: number;
  /** Entries other than directories that were removed from the destination. */
  filesDeleted: number;
  /** Directories made in the destination. */
  directoriesCreated: number;
  /** Directories removed from the destination. */
  directoriesDeleted: number;
  /** Symlinks made or changed in the destination. */
  symlinksCreated: number;
  /** FIFOs, sockets and devices made or replaced in the destination. */
  specialsCreated: number;
  /** Hard links made in the destination to an entry that has another name. */
  hardLinksCreated: number;
  /** Entries whose mode, times or owner were changed and nothing else. */
  attrsChanged: number;
  /** Entries skipped on purpose: newer at the destination, or of a kind that is not preserved. */
  filesSkipped: number;
  /** Entries that did not arrive, or not with all their attributes, or could not be deleted; each is in `failures` of the result. */
  filesFailed: number;
  /** Symlinks of the source; like the next ones only with `itemDetails`, else 0. */
  symlinksSource: number;
  /** Devices of the source. */
  devicesSource: number;
  /** FIFOs and sockets of the source. */
  specialsSource: number;
  /** Bytes of the targets of all symlinks of the source. */
  symlinkBytes: number;
  /** Regular files that neither the destination nor another state of the tree (`linkDest` and its like) had, made or to be made. */
  filesNew: number;
  /** Directories that none of them had. */
  directoriesNew: number;
  /** Symlinks that none of them had. */
  symlinksNew: number;
  /** Devices that none of them had. */
  devicesNew: number;
  /** FIFOs and sockets that none of them had. */
  specialsNew: number;
  /** Symlinks among `filesDeleted`. */
  symlinksDeleted: number;
  /** Devices among `filesDeleted`. */
  devicesDeleted: number;
  /** FIFOs and sockets among `filesDeleted`. */
  specialsDeleted: number;
  /** Content of all files of the source in bytes, changed or not. Absent until the walks end. */
  bytesTotal?: number;
  /** Content that this run has to bring over in bytes. Absent until the walks end. */
  bytesToTransfer?: number;
  /** Content brought over so far in bytes, before compression. */
  bytesTransferred: number;
  /** Content that need not be sent, in bytes: holes, and what the destination has, in the next ones too. */
  bytesReused: number;
  /** Content of files that are as they should be, in bytes: nothing of it is to be transferred. Absent until the walks end. */
  bytesUnchanged?: number;
  /** Content of changed files that the destination had in an older state of them, or in another file, in bytes. */
  bytesMatched: number;
  /** Content of files that became hard links to those of another tree (`linkDest`, snapshots), in bytes. */
  bytesLinked: number;
  /** Content of files that were copied from another tree at the destination (`copyDest`), in bytes. */
  bytesCopied: number;
  /** New files that were taken from others which are deleted; see `detectRenames`. */
  filesRenamed: number;
  /** Their bytes, which are among `bytesReused`. */
  bytesRenamed: number;
  /** Bytes sent on the wire by this process. */
  bytesSent: number;
  /** Bytes received from the wire by this process. */
  bytesReceived: number;
  /** Whether both trees have been walked to the end, so that the totals are known. */
  walkDone: boolean;
  /** Times that this side had to wait for an answer before it could go on. */
  roundTrips: number;
  /** Frames on the control lane. */
  controlFrames: number;
  /** Lanes opened for content. */
  streamsOpened: number;
}

/** The raw counters of a run, under the engine's own names. */
export class Counters {
  /** Where each name has its value. */
  readonly #places: ReadonlyMap<string, number>;
  readonly #values: Float64Array;

  constructor(places: ReadonlyMap<string, number>, values: Float64Array) {
    this.#places = places;
    this.#values = values;
  }

  /** The value of a name; 0 for what was not counted. */
  of(name: string): number {
    return this.#values[this.#places.get(name) ?? -1] ?? 0;
  }

  /** Counters of the same names, each as a function says. */
  map(valueOf: (name: string) => number): Counters {
    return new Counters(this.#places, Float64Array.from(this.#places.keys(), valueOf));
  }
}

/** Before the first attempt. */
export const NO_COUNTERS: Counters = new Counters(new Map(), new Float64Array());

/** Counters of what was seen of the trees, and that it was. Every attempt sees the same, so they are not added up. */
const SEEN: ReadonlySet<string> = new Set([
  'entries_source',
  'entries_destination',
  'directories_source',
  'bytes_total',
  'symlinks_source',
  'devices_source',
  'specials_source',
  'symlink_bytes',
  'walk_done',
]);

/** What has counters: a native job. */
interface Counting {
  stats(into: Float64Array): void;
}

/** The places of all counters, which are the same in all runs. */
let places: ReadonlyMap<string, number> | undefined;

/** Reads the counters of a native job. */
export class CounterReader {
  readonly #places: ReadonlyMap<string, number>;

  constructor(native: { statNames: () => readonly string[] }) {
    places ??= new Map(native.statNames().map((name, place) => [name, place]));
    this.#places = places;
  }

  read(job: Counting): Counters {
    const values = new Float64Array(this.#places.size);
    job.stats(values);
    return new Counters(this.#places, values);
  }
}

/** The counters of a later attempt, added to those of the attempts before it. */
export function addAttempt(before: Counters, attempt: Counters): Counters {
  if (before === NO_COUNTERS) return attempt;
  return attempt.map((name) => {
    if (name === 'bytes_to_transfer') return totalOf(before, attempt);
    const [earlier, value] = [before.of(name), attempt.of(name)];
    return SEEN.has(name) ? Math.max(earlier, value) : earlier + value;
  });
}

/** The content to bring over. What earlier attempts brought is not missing any more for a later one, but belongs to the total. */
function totalOf(before: Counters, attempt: Counters): number {
  const other = before.of('bytes_linked') + before.of('bytes_copied');
  const moved = before.of('bytes_transferred') + before.of('bytes_reused') - other;
  const total = moved + attempt.of('bytes_to_transfer');
  // Until the later walk has ended, the total of the earlier one stands.
  return attempt.of('walk_done') > 0 ? total : Math.max(before.of('bytes_to_transfer'), total);
}

/** The counters as the public type. */
export function toStats(counters: Counters): SyncStats {
  const of = (name: string): number => counters.of(name);
  const walkDone = of('walk_done') > 0;
  return {
    entriesSource: of('entries_source'),
    entriesDestination: of('entries_destination'),
    directoriesSource: of('directories_source'),
    filesTransferred: of('files_transferred'),
    filesDeleted: of('files_deleted'),
    directoriesCreated: of('directories_created'),
    directoriesDeleted: of('directories_deleted'),
    symlinksCreated: of('symlinks_created'),
    specialsCreated: of('specials_created'),
    hardLinksCreated: of('hard_links_created'),
    attrsChanged: of('attrs_changed'),
    filesSkipped: of('files_skipped'),
    filesFailed: of('files_failed'),
    symlinksSource: of('symlinks_source'),
    devicesSource: of('devices_source'),
    specialsSource: of('specials_source'),
    symlinkBytes: of('symlink_bytes'),
    filesNew: of('files_new'),
    directoriesNew: of('directories_new'),
    symlinksNew: of('symlinks_new'),
    devicesNew: of('devices_new'),
    specialsNew: of('specials_new'),
    symlinksDeleted: of('symlinks_deleted'),
    devicesDeleted: of('devices_deleted'),
    specialsDeleted: of('specials_deleted'),
    ...(walkDone ? totalsOf(of) : {}),
    bytesTransferred: of('bytes_transferred'),
    bytesReused: of('bytes_reused'),
    bytesMatched: of('bytes_matched'),
    bytesLinked: of('bytes_linked'),
    bytesCopied: of('bytes_copied'),
    filesRenamed: of('files_renamed'),
    bytesRenamed: of('bytes_renamed'),
    bytesSent: of('bytes_sent'),
    bytesReceived: of('bytes_received'),
    walkDone,
    roundTrips: of('round_trips'),
    controlFrames: of('control_frames'),
    streamsOpened: of('streams_opened'),
  };
}

/** What is known once both trees have been walked. */
function totalsOf(of: (name: string) => number): Pick<SyncStats, 'bytesTotal' | 'bytesToTransfer' | 'bytesUnchanged'> {
  const [total, toTransfer] = [of('bytes_total'), of('bytes_to_transfer')];
  // Content that comes again is counted in `bytes_to_transfer`, which may then exceed the total.
  const unchanged = Math.max(0, total - toTransfer - of('bytes_linked') - of('bytes_copied'));
  return { bytesTotal: total, bytesToTransfer: toTransfer, bytesUnchanged: unchanged };
}

/** How much was deleted, or in a dry run would be. */
export function deletesOf({ filesDeleted, directoriesDeleted }: SyncStats): number {
  return filesDeleted + directoriesDeleted;
}

/** The bytes of content that were transferred, or in a dry run would be. */
export function contentOf({ bytesToTransfer, bytesTransferred }: SyncStats, dryRun: boolean): number {
  return dryRun ? (bytesToTransfer ?? 0) : bytesTransferred;
}
