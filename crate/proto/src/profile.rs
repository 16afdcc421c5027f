//! Where the time of a session went, as one end tells it to the other and to its own caller: names that stand on the
//! wire, in the API, in files and in the documents.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::limits::{FRAME_BYTES_MAX, PROFILE_STEPS_MAX, PROFILE_THREADS_MAX};

macro_rules! names {
    ($(#[$meta:meta])* $type:ident, $(#[$list_meta:meta])* $list:ident { $($(#[$doc:meta])* $name:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[expect(non_camel_case_types, reason = "the variant is the public name, letter by letter")]
        pub enum $type { $($(#[$doc])* $name,)* }

        $(#[$list_meta])*
        pub const $list: &[&str] = &[$(stringify!($name),)*];
    };
}

names! {
    /// What a thread does, or waits for. Names that begin with `wait_`, and `idle`, are waits.
    Phase,
    /// The names of phases in wire order.
    PHASES {
        /// Opening both ends in the file system, comparing space, taking the lock.
        setup,
        /// Listing directories, one `statx` for each entry.
        walk,
        /// Deciding what differs, and what is to be done about it.
        compare,
        /// Making records and listings, and answering what the receiver asks.
        list,
        /// Opening directories and files of the source.
        open,
        /// Reading content.
        read,
        /// Looking whether a file changed while it was read.
        check,
        /// Hashing content.
        hash,
        /// Making packs.
        encode,
        /// Compressing packs.
        compress,
        /// Decompressing packs.
        decompress,
        /// Taking packs apart into records.
        decode,
        /// Making files under temporary names.
        create,
        /// Writing content.
        write,
        /// Setting owners, modes and times.
        attributes,
        /// Flushing to the device.
        flush,
        /// Closing files and giving them their names.
        rename,
        /// Making directories, symlinks and FIFOs.
        make,
        /// Deleting.
        delete,
        /// QUIC, encryption and sockets.
        network,
        /// Telling the result and ending the session.
        finish,
        /// For a frame of the peer.
        wait_frame,
        /// A reader: for files to read.
        wait_work,
        /// A writer: for content.
        wait_pack,
        /// A writer: for the listing of what it holds the content of.
        wait_listing,
        /// The comparison: for this side's own walk.
        wait_walk,
        /// For room in a queue to the peer.
        wait_room,
        /// For the writers to end.
        wait_writers,
        /// A walk: for what it is ahead of to be decided.
        wait_budget,
        /// For a file's last change to be old enough for another one to show.
        wait_settle,
        /// A transport's thread without anything to do.
        idle,
    }
}

names! {
    /// A figure of one end. Times are in nanoseconds and end in `_ms`, which is the unit that people see.
    Figure,
    /// The names of figures in wire order.
    FIGURES {
        /// Connections used.
        connections,
        /// Frames and writes on the control lane, in both directions.
        control_frames,
        /// Streams that this end opened.
        streams_opened,
        /// Streams of the session, whoever opened them.
        streams,
        /// Bytes of streams from the initiator to the acceptor.
        request_bytes,
        /// Bytes of streams from the acceptor to the initiator.
        response_bytes,
        /// Bytes of content read from the source.
        disk_read_bytes,
        /// Bytes of packs, with their headers.
        encoded_bytes,
        /// Finding the server and the handshake.
        connect_ms,
        /// Opening, reading and checking files of the source.
        disk_read_ms,
        /// Making frames and packs, compression included.
        encode_ms,
        /// From what was said to the first answer, summed over `round_trips`.
        roundtrip_ms,
        /// The whole session.
        total_ms,
        /// Writers that waited for content.
        read_ms,
        /// Taking frames and packs apart, decompression included.
        decode_ms,
        /// The session's own thread at work.
        process_ms,
        /// Handing frames to the transport.
        write_ms,
        /// Taking packs apart into records.
        batch_split_ms,
        /// Writing files: decompressing, hashing, making, writing, attributes.
        batch_write_ms,
        /// Giving files their names, and flushing.
        state_commit_ms,
        /// Walking.
        walk_ms,
        /// Comparing.
        compare_ms,
        /// Hashing content.
        hash_ms,
        /// LZ4, either way.
        compress_ms,
        /// Waiting for what the peer says or sends.
        wait_peer_ms,
        /// Waiting for room in a queue to the peer.
        wait_queue_ms,
        /// Threads of the transport that were not idle.
        network_ms,
        /// Flushing.
        fsync_ms,
        /// Renaming.
        rename_ms,
        /// Deleting.
        delete_ms,
        /// Datagrams sent.
        packets_sent,
        /// Datagrams received.
        packets_received,
        /// Packets sent that were taken for lost.
        packets_lost,
        /// Answers that came after something was said.
        round_trips,
        /// The estimated round trip at the end.
        rtt_ms,
        /// The largest UDP payload in use at the end.
        mtu_bytes,
        /// The congestion window at the end.
        window_bytes,
        /// What this end let the peer send ahead, at the end.
        receive_window_bytes,
        /// The most packs that waited in one lane's queue.
        data_queue_max,
        /// The most encoded frames that waited for the transport.
        control_queue_max,
        /// The most directories whose files waited for a reader.
        job_queue_max,
        /// Buffers of 64 KiB and more that were made for content.
        large_allocations,
        /// Their bytes.
        large_allocation_bytes,
    }
}

impl Phase {
    /// The phase at a place of [`PHASES`].
    #[must_use]
    pub fn name(self) -> &'static str {
        PHASES[self as usize]
    }

    /// Whether the thread waits in it.
    #[must_use]
    pub fn is_wait(self) -> bool {
        self as u8 >= Self::wait_frame as u8
    }
}

impl Figure {
    /// Whether the figure is a time, in nanoseconds.
    #[must_use]
    pub fn is_time(name: &str) -> bool {
        name.ends_with("_ms")
    }
}

/// What a thread spent in one phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhaseTotal {
    /// Place in [`PHASES`].
    pub phase: u8,
    /// Nanoseconds.
    pub nanos: u64,
    /// How often it began.
    pub count: u64,
    /// Its share of each step of the thread's time, in percent; steps after the last are 0.
    pub steps: Vec<u8>,
}

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadProfile {
    /// Its name.
    pub name: String,
    /// When it began, in nanoseconds after the start of the session.
    pub start_nanos: u64,
    /// How long it lived.
    pub wall_nanos: u64,
    /// Processor time that it used.
    pub cpu_nanos: u64,
    /// Width of a step in nanoseconds.
    pub step_nanos: u64,
    /// The phases that it was in.
    pub phases: Vec<PhaseTotal>,
}

/// One end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndProfile {
    /// When it began, in microseconds since 1970 by its own clock.
    pub started_at_micros: u64,
    /// Figures in the order of [`FIGURES`].
    pub figures: Vec<u64>,
    /// Its threads.
    pub threads: Vec<ThreadProfile>,
}

impl EndProfile {
    /// A figure's value; 0 when a peer that is older does not have it.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> u64 {
        self.figures.get(figure as usize).copied().unwrap_or(0)
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        // The number of threads depends on the processors. A thread whose steps do not fit is told without them, but
        // with its totals.
        let fits = self.threads.iter().flat_map(|thread| &thread.phases).map(|phase| phase.steps.len()).sum::<usize>()
            < FRAME_BYTES_MAX / 2;
        out.number(self.started_at_micros);
        out.number(self.figures.len() as u64);
        for &figure in &self.figures {
            out.number(figure);
        }
        let threads = &self.threads[..self.threads.len().min(PROFILE_THREADS_MAX)];
        out.number(threads.len() as u64);
        for thread in threads {
            out.text(&thread.name, NAME_BYTES_MAX);
            for number in [thread.start_nanos, thread.wall_nanos, thread.cpu_nanos, thread.step_nanos] {
                out.number(number);
            }
            out.number(thread.phases.len() as u64);
            for total in &thread.phases {
                out.byte(total.phase);
                out.number(total.nanos);
                out.number(total.count);
                out.bytes(if fits { &total.steps } else { &[] });
            }
        }
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let started_at_micros = reader.number("start")?;
        let count = reader.length(FIGURES_MAX, "figures")?;
        let mut figures = (0..count).map(|_| reader.number("figure")).collect::<Decoded<Vec<_>>>()?;
        figures.shrink_to_fit();
        let count = reader.length(PROFILE_THREADS_MAX, "threads")?;
        let mut threads = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            threads.push(ThreadProfile::get(reader)?);
        }
        threads.shrink_to_fit();
        Ok(Self { started_at_micros, figures, threads })
    }
}

/// Bytes of a thread's name.
const NAME_BYTES_MAX: usize = 32;

/// Figures that a newer peer may have.
const FIGURES_MAX: usize = 256;

impl ThreadProfile {
    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let mut thread = Self {
            name: reader.text(NAME_BYTES_MAX, "thread name")?,
            start_nanos: reader.number("thread start")?,
            wall_nanos: reader.number("thread wall time")?,
            cpu_nanos: reader.number("thread processor time")?,
            step_nanos: reader.number("step")?,
            phases: Vec::new(),
        };
        for _ in 0..reader.length(usize::from(u8::MAX), "phases")? {
            let total = PhaseTotal {
                phase: reader.byte("phase")?,
                nanos: reader.number("phase time")?,
                count: reader.number("phase count")?,
                steps: reader.bytes(PROFILE_STEPS_MAX, "steps")?.to_vec(),
            };
            if total.steps.iter().any(|&share| share > 100) {
                return malformed("share of a step");
            }
            // A phase that only a newer peer knows is passed over.
            if usize::from(total.phase) < PHASES.len() {
                thread.phases.push(total);
            }
        }
        thread.phases.shrink_to_fit();
        Ok(thread)
    }
}
