//! Frames and records of a peer that says anything at any time.

use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::{
    Accept, Arrived, Basis, Directory, EndProfile, ErrorKind, Explanation, Frame, Grant, IdKind, Issue, IssueKind,
    Kind, ListEntry, Listing, Meta, Name, OwnerName, PathSet, Paths, RelPath, Resume, Stat, Time, Version, WireError,
    Xattrs,
};

use crate::random::Random;

fn number(random: &mut Random) -> u32 {
    match random.below(8) {
        0 => u32::MAX,
        1 => u32::MAX - 1,
        _ => u32::try_from(random.below(6)).expect("small"),
    }
}

fn path(random: &mut Random) -> RelPath {
    let mut path = RelPath::root();
    for _ in 0..random.below(4) {
        let name = [b'a' + random.below(4).to_le_bytes()[0]];
        path = path.join(Name::new(&name).expect("a name"));
    }
    path
}

fn listing(random: &mut Random) -> Listing {
    let mut listing = Listing::new();
    for at in 0..random.below(5).to_le_bytes()[0] {
        let kind = Kind::ALL[random.index(Kind::ALL.len())];
        let name = if random.once_in(12) { b".unfinished".to_vec() } else { vec![b'a' + at] };
        assert!(listing.push(Name::new(&name).expect("a name"), kind, random.below(40), Meta::default(), b"target"));
    }
    listing.sort();
    listing
}

fn numbers(random: &mut Random) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..random.below(4)).map(|_| number(random)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn error() -> WireError {
    WireError { kind: ErrorKind::Io, message: "no".to_owned(), path: None, details: Vec::new() }
}

/// What a sender may say at some time, or now and then anything else.
pub fn frame_to_receiver(random: &mut Random) -> Frame {
    let which = [2, 3, 4, 5, 6, 7, 12][random.index(7)];
    let which = if random.once_in(10) { random.below(FRAMES) } else { which };
    frame(which, random)
}

/// What a receiver may say at some time, or now and then anything else.
pub fn frame_to_sender(random: &mut Random) -> Frame {
    let which = [1, 8, 9, 10, 11, 12, 14][random.index(7)];
    let which = if random.once_in(10) { random.below(FRAMES) } else { which };
    frame(which, random)
}

/// Paths that nobody asked for.
fn paths(random: &mut Random) -> Paths {
    let path = RelPath::new(b"a").into_iter().filter(|_| random.once_in(8));
    Paths::new(path.collect()).unwrap_or_default()
}

/// The numbers below this have frames.
const FRAMES: u64 = 25;

#[expect(clippy::too_many_lines, reason = "a few lines for each frame")]
fn frame(which: u64, random: &mut Random) -> Frame {
    match which {
        0 => Frame::Hello { oldest: 1, newest: 1 },
        1 => Frame::Accept(Accept {
            version: Version::V1,
            grant: if random.once_in(2) { Grant::All } else { Grant::AsAsked },
            lanes: 1 + random.below(4).to_le_bytes()[0],
            file_name: random.once_in(4).then(|| b"a".to_vec()),
            bytes_bound: Some(random.next()),
            entries_bound: random.once_in(2).then(|| random.next()),
            count_first: random.once_in(4),
            selected: paths(random),
            ..Accept::default()
        }),
        2 => Frame::TreeDigest([random.below(2).to_le_bytes()[0]; 16]),
        3 | 4 => Frame::Directories(
            (0..random.below(3))
                .map(|_| Directory {
                    unlisted: false,
                    path: path(random),
                    meta: Meta::default(),
                    xattrs: Xattrs::default(),
                    digest: [0; 16],
                    entries: number(random),
                })
                .collect(),
        ),
        5 | 6 => Frame::List { directory: number(random), more: random.once_in(3), listing: listing(random) },
        7 => Frame::TreeEnd {
            directories: random.below(4),
            entries: random.below(4),
            bytes: random.next(),
            errors: random.below(2),
        },
        8 => Frame::Need(numbers(random)),
        9 => Frame::Want {
            directory: number(random),
            files: numbers(random),
            resume: vec![Resume { index: number(random), bytes: random.next(), digest: [0; 32] }],
        },
        10 if random.once_in(2) => basis(random),
        10 => Frame::Settled(number(random)),
        11 if random.once_in(2) => Frame::Owners(vec![OwnerName {
            kind: [IdKind::User, IdKind::Group][random.index(2)],
            id: number(random),
            name: b"a".to_vec(),
        }]),
        11 => Frame::Items(Vec::new()),
        12 => Frame::Issue(Issue {
            kind: [IssueKind::Unreadable, IssueKind::Write, IssueKind::Unmounted][random.index(3)],
            path: path(random).as_bytes().to_vec(),
            message: String::new(),
            old_kept: false,
        }),
        13 => Frame::Heartbeat(random.next()),
        14 => Frame::Finished { counters: vec![0; random.index(30)], refused: random.once_in(2).then(error) },
        15 => Frame::ListRequest { root: Vec::new(), path: path(random) },
        16 => Frame::Bwlimit(random.next()),
        17 => Frame::Arrived { more: random.once_in(2), entries: vec![arrived(random)] },
        18 => Frame::Removed,
        19 => Frame::Profile(Box::new(EndProfile {
            started_at_micros: random.next(),
            figures: Vec::new(),
            threads: Vec::new(),
        })),
        20 => Frame::Paths {
            set: [PathSet::Selected, PathSet::Listed, PathSet::Planned][random.index(3)],
            paths: paths(random),
        },
        21 => Frame::Request(Box::default()),
        22 => Frame::Abort(error()),
        23 => out_of_place(random),
        _ => Frame::StatRequest { root: Vec::new(), path: path(random) },
    }
}

/// What is no part of a run at all.
fn out_of_place(random: &mut Random) -> Frame {
    let (kind, meta) = (Kind::ALL[random.index(Kind::ALL.len())], Meta::default());
    match random.below(5) {
        0 => Frame::StatReply(Stat { kind, size: random.next(), meta }),
        1 => {
            let entry = ListEntry { kind, name: b"a".to_vec(), size: random.next(), meta };
            Frame::ListReply { more: random.once_in(2), entries: vec![entry] }
        }
        2 => Frame::Explained(Box::new(Explanation { is_there: random.once_in(2), ..Explanation::default() })),
        3 => Frame::Join(b"a secret".to_vec()),
        _ => Frame::Joined(b"a line".to_vec()),
    }
}

/// What the sender may remove, as somebody says.
fn arrived(random: &mut Random) -> Arrived {
    Arrived { path: path(random), kind: Kind::File, size: random.below(40), mtime: Time { seconds: 0, nanos: 0 } }
}

/// Which frame it is. A frame that is new has to be said by the hostile end too.
fn number_of(frame: &Frame) -> usize {
    match frame {
        Frame::Hello { .. } => 0,
        Frame::Request(_) => 1,
        Frame::Paths { .. } => 2,
        Frame::Accept(_) => 3,
        Frame::TreeDigest(_) => 4,
        Frame::Directories(_) => 5,
        Frame::List { .. } => 6,
        Frame::TreeEnd { .. } => 7,
        Frame::Need(_) => 8,
        Frame::Want { .. } => 9,
        Frame::Bases { .. } => 10,
        Frame::Chunks { .. } => 11,
        Frame::Settled(_) => 12,
        Frame::Owners(_) => 13,
        Frame::Items(_) => 14,
        Frame::Issue(_) => 15,
        Frame::Heartbeat(_) => 16,
        Frame::Bwlimit(_) => 17,
        Frame::Finished { .. } => 18,
        Frame::Arrived { .. } => 19,
        Frame::Removed => 20,
        Frame::Profile(_) => 21,
        Frame::Abort(_) => 22,
        Frame::ListRequest { .. } => 23,
        Frame::ListReply { .. } => 24,
        Frame::StatRequest { .. } => 25,
        Frame::StatReply(_) => 26,
        Frame::Explained(_) => 27,
        Frame::Join(_) => 28,
        Frame::Joined(_) => 29,
    }
}

#[test]
fn each_frame_that_there_is_is_said_to_either_end() {
    let mut random = Random::new(1);
    for say in [frame_to_receiver, frame_to_sender] {
        let mut said = [false; 30];
        (0..20_000).for_each(|_| said[number_of(&say(&mut random))] = true);
        assert!(said.iter().all(|said| *said), "{said:?}");
    }
}

/// What a receiver says of files that it has in an older state.
fn basis(random: &mut Random) -> Frame {
    if random.once_in(2) {
        return Frame::Bases { directory: number(random), bases: vec![Basis { index: number(random), bytes: 1 }] };
    }
    let file = FileId { directory: number(random), index: number(random) };
    Frame::Chunks { file, more: random.once_in(2), chunks: vec![Chunk::hole(1)] }
}

/// Any record of a data lane.
pub fn record(random: &mut Random) -> Record<'static> {
    let file = FileId { directory: number(random), index: number(random) };
    match random.below(13) {
        0 => Record::Whole { file, meta: None, content: b"content", digest: *blake3::hash(b"content").as_bytes() },
        1 => Record::Begin { file },
        2 => Record::Literal(b"literal"),
        3 => Record::Copy { bytes: 1 + random.below(40) },
        4 => Record::Hole { bytes: 1 + random.below(40) },
        5 => Record::End { meta: None, digest: *blake3::hash(b"literal").as_bytes() },
        6 => Record::CopyPieces { first: number(random), count: number(random) },
        7 => Record::CopyFrom { offset: random.below(40), bytes: 1 + random.below(40) },
        8 => Record::Mark,
        9 => Record::Sign { file, level: u8::try_from(random.below(12)).unwrap_or(0) },
        10 => Record::Ask { file, pieces: numbers(random) },
        11 => Record::Grown,
        _ => Record::Failed { file, kind: IssueKind::Unreadable, message: String::new() },
    }
}
