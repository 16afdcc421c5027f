//! Frames and records of a peer that says anything at any time.

use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::{
    Accept, Basis, Directory, ErrorKind, Frame, Grant, IdKind, Issue, IssueKind, Kind, Listing, Meta, Name, OwnerName,
    Paths, RelPath, Resume, Version, WireError, Xattrs,
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
    let which = if random.once_in(10) { random.below(16) } else { which };
    frame(which, random)
}

/// What a receiver may say at some time, or now and then anything else.
pub fn frame_to_sender(random: &mut Random) -> Frame {
    let which = [1, 8, 9, 10, 11, 12, 14][random.index(7)];
    let which = if random.once_in(10) { random.below(16) } else { which };
    frame(which, random)
}

/// Paths that nobody asked for.
fn paths(random: &mut Random) -> Paths {
    let path = RelPath::new(b"a").into_iter().filter(|_| random.once_in(8));
    Paths::new(path.collect()).unwrap_or_default()
}

fn frame(which: u64, random: &mut Random) -> Frame {
    match which {
        0 => Frame::Hello { oldest: 1, newest: 1 },
        1 => Frame::Accept(Accept {
            version: Version::V1,
            grant: if random.once_in(2) { Grant::All } else { Grant::AsAsked },
            lanes: 1 + random.below(4).to_le_bytes()[0],
            file_name: random.once_in(4).then(|| b"a".to_vec()),
            bytes_bound: random.next(),
            entries_bound: random.next(),
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
        _ => Frame::ListRequest { root: Vec::new(), path: path(random) },
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
