//! Every cap of the protocol. A peer can lower what applies to a session, never raise it.

/// The ALPN name: a peer that speaks something else is turned away in the TLS handshake.
pub const ALPN: &[u8] = b"sparsync/1";

/// Bytes of one control frame, type byte included.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Bytes at which a list or batch is closed and sent, well below [`FRAME_BYTES_MAX`] so that one more entry fits.
pub const BATCH_BYTES: usize = 128 << 10;

/// Bytes of one name, as on Linux (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes of a path below a root.
pub const PATH_BYTES_MAX: usize = 512 << 10;

/// Directories between a root and an entry.
pub const DEPTH_MAX: usize = 4096;

/// Bytes of a symlink's target (`PATH_MAX`).
pub const LINK_BYTES_MAX: usize = 4096;

/// Entries of one directory. Names alone would allow far more; this bounds memory.
pub const DIRECTORY_ENTRIES_MAX: usize = 16 << 20;

/// Bytes of a pack before and after compression.
pub const PACK_BYTES_MAX: usize = 4 << 20;

/// Bytes at which a pack is closed and sent: large enough to make QUIC and LZ4 efficient, small enough to keep
/// every queue in cache.
pub const PACK_BYTES: usize = 256 << 10;

/// Bytes of one literal of a long file. Each pack wakes three threads, and half as many wakes made 1 GiB 5 % faster on
/// two cores; a quarter gained nothing more.
pub const LITERAL_BYTES: usize = 512 << 10;

/// The size from which on a file has literals of [`LITERAL_BYTES`]. A shorter file has literals as large as a pack: it
/// is sent before a wake matters, and smaller literals keep queues small.
pub const LONG_FILE_BYTES: u64 = 64 << 20;

/// Files up to this size travel whole in one record of a pack; larger ones as a sequence of chunks.
pub const WHOLE_FILE_BYTES_MAX: usize = 128 << 10;

/// Largest size of a file (2^62).
pub const FILE_BYTES_MAX: u64 = 1 << 62;

/// Data lanes of one session.
pub const LANES_MAX: u8 = 4;

/// Data lanes of a session that leaves them to the engine. Two keep two writers busy; more gained nothing on the
/// machines measured.
pub const LANES_AUTOMATIC: u8 = 2;

/// Text of an error or warning from a peer.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// Bytes of the secret of an invitation.
pub const SECRET_BYTES_MAX: usize = 64;

/// Bytes of a line that authorizes a key.
pub const KEY_LINE_BYTES_MAX: usize = 64 << 10;

/// Threads of one end's profile.
pub const PROFILE_THREADS_MAX: usize = 256;

/// Steps of a thread's time in a profile.
pub const PROFILE_STEPS_MAX: usize = 256;

/// Bytes of one extended attribute's value, as on Linux (`XATTR_SIZE_MAX`).
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;

/// Bytes of all extended attributes of one entry, names and values.
pub const XATTRS_BYTES_MAX: usize = 256 << 10;

/// Bytes of the extended attributes of all entries of one directory: this bounds the memory that one end holds of a
/// directory.
pub const XATTRS_DIRECTORY_BYTES_MAX: usize = 64 << 20;

/// Bytes that an entry or a directory counts for, besides its attributes and path, in what an end holds of a tree:
/// about the memory that it takes.
pub const ENTRY_BYTES: usize = 100;

/// Bytes of the directories whose listings a receiver has asked for, or has to expect, and that are not here: of each
/// its path, its extended attributes and [`ENTRY_BYTES`]. A sender tells of no more directories than that before it has
/// sent listings of some.
pub const AWAITED_BYTES_MAX: usize = 64 << 20;

/// Sources of one request.
pub const SOURCES_MAX: usize = 128;

/// Bytes of a path that an option of a request names (`PATH_MAX`).
pub const OPTION_PATH_BYTES_MAX: usize = 4096;

/// Directories that one option of a request names, as with rsync.
pub const OPTION_DIRECTORIES_MAX: usize = 20;

/// Bytes of the mark of a directory that is a source.
pub const SOURCE_MARK_BYTES: usize = 16;

/// Bytes of the marks of all sources of a run.
pub const SOURCE_MARKS_BYTES_MAX: usize = SOURCES_MAX * SOURCE_MARK_BYTES;

/// Bytes of the filter rules of a request, in their wire form.
pub const FILTER_BYTES_MAX: usize = 256 << 10;

/// Bytes of the changes of modes of a request.
pub const CHMOD_BYTES_MAX: usize = 4096;

/// Bytes of all files of filter rules that are in force in one directory.
pub const FILTER_BYTES_IN_FORCE_MAX: usize = 1 << 20;

/// Names of files of filter rules that are looked for in one directory.
pub const FILTER_FILES_MAX: usize = 32;

/// How deep files of filter rules may merge each other.
pub const FILTER_MERGE_DEPTH_MAX: usize = 32;

/// Bytes of the rules for owners, and of those for groups, of a request.
pub const ID_MAP_BYTES_MAX: usize = 64 << 10;

/// Bytes of the name of an owner or a group.
pub const OWNER_NAME_BYTES_MAX: usize = 255;

/// Owners and groups of a session that have names.
pub const OWNERS_MAX: usize = 64 << 10;

/// Bytes of a set of paths in one frame.
pub const PATHS_BYTES_MAX: usize = 512 << 10;

/// Bytes of all paths of a request, most of which travel in frames before it: 800,000 of 40 bytes. An acceptor that
/// compares with them holds about three times as much.
pub const REQUEST_PATHS_BYTES_MAX: usize = 32 << 20;

/// A decoded frame takes at most this many times its bytes in memory, and [`MEMORY_FIXED_BYTES`] more. A listing of
/// many short names comes closest.
pub const MEMORY_FACTOR: usize = 12;

/// See [`MEMORY_FACTOR`].
pub const MEMORY_FIXED_BYTES: usize = 4096;

/// All paths of one frame of directories take at most this many times the frame's own bytes: a path that shares most of
/// the previous one is short on the wire and long in memory.
pub const SHARED_PATHS_FACTOR: usize = 4;

/// Bytes of a root's name.
pub const ROOT_NAME_BYTES_MAX: usize = 64;

/// Files below this size are sent whole: a delta could save less than its round trip costs.
pub const DELTA_BYTES_MIN: u64 = 256 << 10;

/// Files up to this size are cut into chunks at once, longer ones into pieces first.
pub const DELTA_SHORT_BYTES: u64 = 4 << 20;

/// The number of pieces that a file is cut into, by its length and their average length. Longer files have longer
/// pieces.
pub const DELTA_PIECES_MAX: usize = 128 << 10;

/// The most parts of a file that one end tells and the other accepts. Holes increase their number.
pub const DELTA_LIST_MAX: usize = 1 << 20;

/// Bytes of the pieces of a file whose chunks are asked for.
pub const DELTA_ASKED_BYTES_MAX: u64 = 2 << 30;

/// The most bytes of chunks of a file whose grains are asked for: beyond, telling the grains costs more than it saves.
pub const DELTA_GRAINS_BYTES_MAX: u64 = 32 << 20;

/// The literal bytes of a file from which on grains are asked for: below, the round trip costs more than it saves.
pub const DELTA_GRAINS_BYTES_MIN: u64 = 64 << 10;

const _: () = assert!(BATCH_BYTES + LINK_BYTES_MAX + XATTRS_BYTES_MAX + 1024 < FRAME_BYTES_MAX);
const _: () = assert!(PATHS_BYTES_MAX + FILTER_BYTES_MAX + SOURCE_MARKS_BYTES_MAX + (64 << 10) < FRAME_BYTES_MAX);
const _: () = assert!(PATH_BYTES_MAX + MESSAGE_BYTES_MAX + 1024 < FRAME_BYTES_MAX);
const _: () = assert!(PACK_BYTES + LITERAL_BYTES + 1024 < PACK_BYTES_MAX);
const _: () = assert!(PACK_BYTES + WHOLE_FILE_BYTES_MAX <= LITERAL_BYTES);
