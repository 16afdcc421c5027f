//! Every frame and record as `docs/protocol.md` spells it, and the properties of every codec.
#![allow(clippy::unwrap_used, reason = "a vector that cannot be read has failed")]
#![allow(clippy::needless_update, reason = "the table of options grows")]

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use sparsync_proto::codec::{Reader, Write as _};
use sparsync_proto::pack::{FileId, PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_proto::{
    Accept, Action, Attributes, Compare, Compression, DecodeError, Deletion, Detail, Direction, Directory, Durability,
    EndProfile, ErrorKind, FIGURES, Frame, FrameDecoder, Grant, Issue, IssueKind, Item, Kind, ListEntry, Listing, Meta,
    Name, Names, PHASES, Phase, PhaseTotal, Reasons, RelPath, Request, Resume, Selection, SourcePath, Stat,
    ThreadProfile, Time, TreeHasher, Version, Window, WireError, Xattrs, encode_list, limits,
};

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The golden bytes of the document: each line of a block of the kind `hex` is a name, a colon and the bytes.
fn documented() -> Vec<(String, String)> {
    let text = include_str!("../../../docs/protocol.md");
    let mut found = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```hex" => inside = true,
            "```" => inside = false,
            _ if inside => {
                let (name, bytes) = line.split_once(':').expect("a name and its bytes");
                found.push((name.trim().to_owned(), bytes.split_whitespace().collect()));
            }
            _ => {}
        }
    }
    found
}

fn meta() -> Meta {
    Meta { mode: 0o644, uid: 1000, gid: 100, mtime: Time { seconds: 1_700_000_000, nanos: 123_456_789 } }
}

fn name(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

fn path(bytes: &[u8]) -> RelPath {
    RelPath::new(bytes).unwrap()
}

fn directory(path: RelPath, digest: [u8; 16], entries: u32) -> Directory {
    Directory { path, meta: meta(), xattrs: Xattrs::default(), digest, entries }
}

fn xattrs() -> Xattrs {
    Xattrs::new(vec![(b"user.a".to_vec(), b"1".to_vec())]).unwrap()
}

fn listing() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    assert!(listing.push(name(b"d"), Kind::Directory, 0, Meta::default(), b""));
    assert!(listing.push(name(b"l"), Kind::Symlink, 0, meta(), b"a"));
    assert!(listing.push(name(b"p"), Kind::Special, 0, Meta::default(), b""));
    listing
}

fn error() -> WireError {
    WireError {
        kind: ErrorKind::Busy,
        message: "busy".to_owned(),
        path: Some(b"x".to_vec()),
        details: vec![("holder".to_owned(), Detail::Text("cron".to_owned())), ("n".to_owned(), Detail::Number(300))],
    }
}

fn request() -> Request {
    Request {
        root: b"backup".to_vec(),
        path: path(b"host/home"),
        attributes: Attributes { perms: true, times: true, links: true, ..Attributes::default() },
        recursive: true,
        deletion: Deletion { delete: true, max: Some(1000), ..Deletion::default() },
        itemize: true,
        partial: true,
        durability: Durability::Run,
        timeout_ms: 60_000,
        lanes: 2,
        bytes_bound: 1 << 30,
        entries_bound: 5000,
        ..Request::default()
    }
}

fn pull_of_a_file() -> Request {
    Request {
        direction: Direction::Pull,
        root: b"backup".to_vec(),
        path: path(b"host/home"),
        sources: vec![SourcePath { path: path(b"host/etc"), contents: true }],
        into: true,
        make_parent: true,
        file_name: Some(b"f".to_vec()),
        attributes: Attributes {
            perms: true,
            times: true,
            owner: true,
            group: true,
            links: true,
            specials: true,
            xattrs: true,
            compare: Compare::Content,
            window: Window::Within(2_000_000_000),
        },
        selection: Selection { update: true, ..Selection::default() },
        deletion: Deletion { force: true, allow_mass: true, ..Deletion::default() },
        dry_run: true,
        grant_all: true,
        durability: Durability::File,
        compression: Compression::Never,
        timeout_ms: 60_000,
        lanes: 2,
        bytes_bound: 1 << 30,
        entries_bound: 5000,
        space_checked: true,
        profile: true,
        ..Request::default()
    }
}

/// The reasons of a decoded item: they are made by comparing, not by callers.
fn reasons() -> Reasons {
    Reasons::SIZE.union(Reasons::MTIME)
}

/// A reader that read, and then waited.
fn profile() -> EndProfile {
    EndProfile {
        started_at_micros: 1_700_000_000_000_000,
        figures: vec![1, 9, 3],
        threads: vec![ThreadProfile {
            name: "read".to_owned(),
            start_nanos: 300_000,
            wall_nanos: 262_144,
            cpu_nanos: 200_000,
            step_nanos: 131_072,
            phases: vec![
                PhaseTotal { phase: Phase::read as u8, nanos: 131_072, count: 1, steps: vec![100] },
                PhaseTotal { phase: Phase::wait_room as u8, nanos: 131_072, count: 1, steps: vec![0, 100] },
            ],
        }],
    }
}

#[expect(clippy::too_many_lines, reason = "one line for each frame of the document")]
fn frames() -> Vec<(&'static str, Frame)> {
    let with_content = || {
        let mut listing = Listing::new();
        assert!(listing.push(name(b"a"), Kind::File, 0, meta(), b""));
        listing.set_content(vec![*blake3::hash(b"").as_bytes()]);
        listing
    };
    let with_xattrs = || {
        let mut listing = Listing::new();
        assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
        listing.set_last_xattrs(xattrs());
        assert!(listing.push(name(b"p"), Kind::Fifo, 0, meta(), b""));
        listing
    };
    vec![
        ("Hello", Frame::Hello { oldest: 1, newest: 1 }),
        ("Request, push", Frame::Request(Box::new(request()))),
        ("Request, pull", Frame::Request(Box::new(pull_of_a_file()))),
        ("Accept", Frame::Accept(Accept { lanes: 2, free_bytes: 1 << 40, free_entries: 1 << 20, ..Accept::default() })),
        (
            "Accept, single file",
            Frame::Accept(Accept {
                grant: Grant::All,
                file_name: Some(b"f".to_vec()),
                bytes_bound: 300,
                entries_bound: 1,
                count_first: true,
                ..Accept::default()
            }),
        ),
        ("TreeDigest", Frame::TreeDigest(*b"0123456789abcdef")),
        (
            "Directories",
            Frame::Directories(vec![
                directory(RelPath::root(), [0xd0; 16], 4),
                directory(path(b"d"), [0xd1; 16], 200),
                directory(path(b"d/e"), [0xd2; 16], 0),
            ]),
        ),
        ("List", Frame::List { directory: 0, more: false, listing: listing() }),
        ("List, content", Frame::List { directory: 7, more: true, listing: with_content() }),
        ("List, extended attributes", Frame::List { directory: 0, more: false, listing: with_xattrs() }),
        ("TreeEnd", Frame::TreeEnd { directories: 3, entries: 204, bytes: 300, errors: 0 }),
        ("Need", Frame::Need(vec![0, 1, 300])),
        ("Want", Frame::Want { directory: 0, files: vec![0], resume: vec![] }),
        (
            "Want, resume",
            Frame::Want {
                directory: 1,
                files: vec![3, 5],
                resume: vec![Resume { index: 5, bytes: 1 << 20, digest: [0xee; 32] }],
            },
        ),
        ("Settled", Frame::Settled(256)),
        (
            "Items",
            Frame::Items(vec![Item {
                action: Action::Update,
                kind: Kind::File,
                reasons: reasons(),
                size: 300,
                path: b"d/a".to_vec(),
            }]),
        ),
        (
            "Issue",
            Frame::Issue(Issue {
                kind: IssueKind::Changed,
                path: b"a".to_vec(),
                message: "it changed".to_owned(),
                old_kept: true,
            }),
        ),
        ("Heartbeat", Frame::Heartbeat(16_384)),
        ("Finished", Frame::Finished { counters: vec![204, 0, 3], refused: None }),
        ("Finished, refused", Frame::Finished { counters: vec![], refused: Some(error()) }),
        ("Abort", Frame::Abort(error())),
        ("ListRequest", Frame::ListRequest { root: b"backup".to_vec(), path: path(b"host") }),
        (
            "ListReply",
            Frame::ListReply {
                more: false,
                entries: vec![ListEntry { kind: Kind::File, name: b"a".to_vec(), size: 300, meta: meta() }],
            },
        ),
        ("StatRequest", Frame::StatRequest { root: b"backup".to_vec(), path: path(b"host") }),
        ("StatReply", Frame::StatReply(Stat { kind: Kind::File, size: 300, meta: meta() })),
        ("Profile", Frame::Profile(Box::new(profile()))),
    ]
}

fn records() -> Vec<(&'static str, Record<'static>)> {
    let file = FileId { directory: 1, index: 300 };
    vec![
        ("Whole", Record::Whole { file, meta: None, content: b"abc", digest: *blake3::hash(b"abc").as_bytes() }),
        ("Begin", Record::Begin { file }),
        ("Literal", Record::Literal(b"abc")),
        ("Copy", Record::Copy { bytes: 1 << 20 }),
        ("Hole", Record::Hole { bytes: 4096 }),
        ("End", Record::End { meta: Some(meta()), digest: [0xab; 32] }),
        ("Failed", Record::Failed { file, kind: IssueKind::Vanished, message: "gone".to_owned() }),
    ]
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(Version::V1, &mut out);
    out
}

fn body(frame: &Frame) -> Vec<u8> {
    let encoded = encoded(frame);
    Reader::new(&encoded).bytes(limits::FRAME_BYTES_MAX, "frame").unwrap().to_vec()
}

/// A frame of a later version: the push of the examples, with a field that this version does not know.
fn with_field(number: u64, critical: bool) -> Vec<u8> {
    let mut body = body(&Frame::Request(Box::new(request())));
    body.number(number << 1 | u64::from(critical));
    body.bytes(b"new");
    let mut out = Vec::new();
    out.bytes(&body);
    out
}

fn future() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("Request with a hint of the future", with_field(1000, false)),
        ("Request with a demand of the future", with_field(1001, true)),
    ]
}

fn golden() -> Vec<(String, String)> {
    let frames = frames().into_iter().map(|(name, frame)| (name.to_owned(), hex(&encoded(&frame))));
    let records = records().into_iter().map(|(name, record)| {
        let mut out = Vec::new();
        record.encode(&mut out);
        (name.to_owned(), hex(&out))
    });
    let header = |header: PackHeader| hex(&header.encode());
    let headers = [
        ("Pack, stored", header(PackHeader { compressed: false, stored_bytes: 300, raw_bytes: 300 })),
        ("Pack, LZ4", header(PackHeader { compressed: true, stored_bytes: 300, raw_bytes: 70_000 })),
    ];
    let attributes = request().attributes;
    let directory = attributes.digest(&listing());
    let mut tree = TreeHasher::default();
    tree.add(&attributes, &RelPath::root(), (&meta(), &Xattrs::default()), &directory);
    tree.add(&attributes, &path(b"d"), (&meta(), &Xattrs::default()), &attributes.digest(&Listing::new()));
    let all = Attributes { xattrs: true, ..attributes };
    let mut with_xattrs = Listing::new();
    assert!(with_xattrs.push(name(b"a"), Kind::File, 300, meta(), b""));
    with_xattrs.set_last_xattrs(xattrs());
    let digests = [
        ("Digest with extended attributes", hex(&all.digest(&with_xattrs))),
        ("Digest of the directory", hex(&directory)),
        ("Digest of an empty directory", hex(&attributes.digest(&Listing::new()))),
        ("Digest of the tree", hex(&tree.finish())),
    ];
    let future = future().into_iter().map(|(name, bytes)| (name.to_owned(), hex(&bytes)));
    frames
        .chain(records)
        .chain(future)
        .chain(headers.into_iter().chain(digests).map(|(name, hex)| (name.to_owned(), hex)))
        .collect()
}

#[test]
fn the_document_has_every_byte() {
    let documented = documented();
    for (name, bytes) in golden() {
        let found: Vec<_> = documented.iter().filter(|(other, _)| *other == name).collect();
        assert_eq!(found.len(), 1, "docs/protocol.md has this once: {name}: {bytes}");
        assert_eq!(found[0].1, bytes, "{name}");
    }
    assert_eq!(documented.len(), golden().len(), "the document has no bytes that nothing checks");
}

#[test]
fn documented_frames_are_read_and_written_again() {
    for (name, bytes) in documented() {
        let bytes = unhex(&bytes);
        if frames().iter().any(|(frame, _)| *frame == name) {
            let mut decoder = FrameDecoder::default();
            decoder.feed(&bytes);
            let frame = decoder.next_frame().unwrap().unwrap();
            assert!(decoder.is_empty());
            assert_eq!(encoded(&frame), bytes, "{name}");
        } else if records().iter().any(|(record, _)| *record == name) {
            let mut reader = Reader::new(&bytes);
            let record = Record::decode(&mut reader).unwrap();
            assert!(reader.is_empty());
            let expected = records().into_iter().find(|(record, _)| *record == name).unwrap().1;
            assert_eq!(record, expected);
        } else if let Ok(header) = <[u8; PACK_HEADER_BYTES]>::try_from(&bytes[..]) {
            assert_eq!(PackHeader::decode(&header).unwrap().encode(), header);
        }
    }
}

#[test]
fn a_field_of_the_future_is_passed_over_or_refused_by_its_number() {
    let read = |name: &str| {
        let (_, bytes) = documented().into_iter().find(|(other, _)| other == name).unwrap();
        let mut decoder = FrameDecoder::default();
        decoder.feed(&unhex(&bytes));
        decoder.next_frame()
    };
    match read("Request with a hint of the future") {
        Ok(Some(Frame::Request(read))) => assert_eq!(*read, request()),
        other => panic!("{other:?}"),
    }
    let refused = read("Request with a demand of the future").unwrap_err();
    assert_eq!(refused, DecodeError::UnknownField { message: "request", number: 1001 });
    assert_eq!(
        refused.to_string(),
        "the request has the field 1001, which this end does not know (it speaks protocol versions 1 to 1)"
    );
}

/// What the frames took before they were made of fields: a request with every option, and an entry.
#[test]
fn fields_cost_little() {
    let options = Request { file_name: None, sources: Vec::new(), ..pull_of_a_file() };
    let everything = Request {
        recursive: true,
        partial: true,
        itemize: true,
        lock_wait_ms: 1000,
        deletion: Deletion { delete: true, force: true, max: Some(1000), allow_mass: true },
        ..options
    };
    let plain = 47;
    let now = encoded(&Frame::Request(Box::new(everything))).len();
    assert!(now <= plain + 64, "{now} bytes, and {plain} without fields");
    let mut entry = Vec::new();
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    listing.put(0, &mut entry);
    // Kind, length and name, size, mode, owner, group, seconds, nanoseconds.
    assert_eq!(entry.len(), 1 + 2 + 2 + 2 + 2 + 1 + 5 + 4);
}

#[test]
fn every_type_of_frame_has_its_bytes() {
    let types: std::collections::BTreeSet<u8> = frames().iter().map(|(_, frame)| body(frame)[0]).collect();
    assert_eq!(types, (1..=20).collect());
    for unknown in [0, 20, 21, 255] {
        assert!(Frame::decode(Version::V1, &[unknown]).is_err());
    }
    let records = records();
    let types = records.iter().enumerate().map(|(number, (_, record))| {
        let mut out = Vec::new();
        record.encode(&mut out);
        assert_eq!(usize::from(out[0]), number);
    });
    assert_eq!(types.count(), 7);
}

#[test]
fn the_words_of_the_document_are_those_of_the_code() {
    let text = include_str!("../../../docs/protocol.md");
    // A formatter may line tables up.
    let text = text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for (number, counter) in sparsync_proto::COUNTERS.iter().enumerate() {
        assert!(text.contains(&format!("| {number} | `{counter}` |")), "{counter}");
    }
    for words in [FIGURES, PHASES] {
        for (number, word) in words.iter().enumerate() {
            assert!(text.contains(&format!("| {number} | `{word}` |")), "{word}");
        }
    }
    for kind in ErrorKind::ALL {
        assert!(text.contains(&format!("| {} | `{}` |", kind.to_wire(), kind.code())), "{kind:?}");
    }
    for (_, bit, word) in Reasons::ALL {
        assert!(text.contains(&format!("| {bit} | `{word}` |")), "{word}");
    }
    for kind in IssueKind::ALL {
        assert!(text.contains(&format!("| {} | `{}` |", *kind as u8, kind.as_str())), "{kind:?}");
    }
    for cap in [
        limits::SOURCES_MAX,
        limits::XATTR_VALUE_BYTES_MAX,
        limits::XATTRS_BYTES_MAX,
        limits::FRAME_BYTES_MAX,
        limits::NAME_BYTES_MAX,
        limits::PATH_BYTES_MAX,
        limits::DEPTH_MAX,
        limits::LINK_BYTES_MAX,
        limits::PACK_BYTES_MAX,
        limits::WHOLE_FILE_BYTES_MAX,
        limits::MESSAGE_BYTES_MAX,
        limits::ROOT_NAME_BYTES_MAX,
        limits::DIRECTORY_ENTRIES_MAX,
    ] {
        assert!(text.contains(&format!("| {cap} |")), "the cap of {cap}");
    }
    assert!(text.contains(std::str::from_utf8(limits::ALPN).unwrap()));
}

#[test]
fn shared_beginnings_do_not_multiply() {
    // One path of half a megabyte, and records that share all of it.
    let long = b"d/".repeat(2000);
    let mut body = vec![5];
    body.number(0);
    body.bytes(&long[..long.len() - 1]);
    for _ in 0..2000 {
        body.raw(&[0; 21]);
        body.number(0);
        body.number(long.len() as u64 - 1);
        body.number(0);
    }
    body.raw(&[0; 21]);
    body.number(0);
    assert!(body.len() < 100_000);
    assert_eq!(Frame::decode(Version::V1, &body).unwrap_err(), DecodeError::Malformed { what: "length of all paths" });
}

#[test]
fn a_length_of_any_size_may_arrive_byte_by_byte() {
    for bytes in [1, 100, 127, 128, 16_000, 16_384, 17_000, 200_000] {
        let error = WireError { path: Some(vec![b'p'; bytes]), ..error() };
        let frame = encoded(&Frame::Abort(error));
        let mut decoder = FrameDecoder::default();
        for (at, byte) in frame.iter().enumerate() {
            decoder.feed(&[*byte]);
            assert_eq!(decoder.next_frame().unwrap().is_some(), at + 1 == frame.len(), "byte {at} of {}", frame.len());
        }
    }
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no separator", |byte| *byte != 0 && *byte != b'/'), 1..=24)
        .prop_filter("no dots", |name| name != b"." && name != b"..")
}

fn any_path() -> impl Strategy<Value = RelPath> {
    vec(any_name(), 0..6).prop_map(|names| RelPath::new(&names.join(&b'/')).unwrap())
}

fn any_meta() -> impl Strategy<Value = Meta> {
    (0..=0o7777u16, any::<u32>(), any::<u32>(), -(1i64 << 40)..=1 << 40, 0..1_000_000_000u32)
        .prop_map(|(mode, uid, gid, seconds, nanos)| Meta { mode, uid, gid, mtime: Time { seconds, nanos } })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|at| Kind::ALL[at])
}

fn any_xattrs() -> impl Strategy<Value = Xattrs> {
    let some = btree_map("user\\.[a-z]{1,8}".prop_map(String::into_bytes), vec(any::<u8>(), 0..200), 1..4);
    prop_oneof![
        3 => Just(Xattrs::default()),
        1 => Just(Xattrs::unread()),
        1 => some.prop_map(|all| Xattrs::new(all.into_iter().collect()).unwrap()),
    ]
}

fn any_listing() -> impl Strategy<Value = Listing> {
    (btree_set(any_name(), 0..12), any::<bool>()).prop_flat_map(|(names, content)| {
        let target = vec(1..=255u8, 1..40);
        let entry = (any_kind(), 0..=limits::FILE_BYTES_MAX, any_meta(), target, any::<[u8; 32]>(), any_xattrs());
        vec(entry, names.len()).prop_map(move |entries| {
            let mut listing = Listing::new();
            let mut digests = Vec::new();
            for (name, (kind, size, meta, target, digest, xattrs)) in names.iter().zip(entries) {
                let carried = matches!(kind, Kind::File | Kind::Symlink | Kind::Fifo);
                let meta = if carried { meta } else { Meta::default() };
                assert!(listing.push(Name::new(name).unwrap(), kind, size, meta, &target));
                if carried {
                    listing.set_last_xattrs(xattrs);
                }
                digests.push(if kind == Kind::File { digest } else { [0; 32] });
            }
            if content {
                listing.set_content(digests);
            }
            listing
        })
    })
}

fn any_error() -> impl Strategy<Value = WireError> {
    let kind = (0..ErrorKind::ALL.len()).prop_map(|at| ErrorKind::ALL[at]);
    let detail = prop_oneof![any::<u64>().prop_map(Detail::Number), ".{0,40}".prop_map(Detail::Text)];
    let path = prop::option::of(vec(any::<u8>(), 1..50));
    (kind, ".{0,60}", path, vec(("[a-z_]{0,16}", detail), 0..6)).prop_map(|(kind, message, path, details)| WireError {
        kind,
        message,
        path,
        details,
    })
}

fn any_attributes() -> impl Strategy<Value = Attributes> {
    let compare = prop_oneof![Just(Compare::Quick), Just(Compare::Content), Just(Compare::Size)];
    let window = prop_oneof![Just(Window::Exact), Just(Window::Seconds), any::<u64>().prop_map(Window::Within)];
    (any::<[bool; 7]>(), compare, window).prop_map(
        |([perms, times, owner, group, links, specials, xattrs], compare, window)| Attributes {
            perms,
            times,
            owner,
            group,
            links,
            specials,
            xattrs,
            compare,
            window,
        },
    )
}

fn names(all: &[Vec<u8>]) -> Names {
    Names::new(all.iter().map(|name| Name::new(name).expect("a name")).collect()).expect("few")
}

fn any_request() -> impl Strategy<Value = Request> {
    let place = (vec(any::<u8>(), 0..=64), any_path(), prop::option::of(any_name()), prop::option::of(any::<u64>()));
    let durability = prop_oneof![Just(Durability::None), Just(Durability::Run), Just(Durability::File)];
    let compression = prop_oneof![Just(Compression::Auto), Just(Compression::Always), Just(Compression::Never)];
    let source = (any_path(), any::<bool>()).prop_map(|(path, contents)| SourcePath { path, contents });
    let place = (place, vec(source, 0..3), (vec(any_name(), 0..4), vec(any_name(), 0..4)));
    (any::<[bool; 14]>(), place, any_attributes(), durability, compression, any::<[u64; 4]>(), 1..=4u8).prop_map(
        |(
            flags,
            ((root, path, file_name, max), sources, (exclude, top)),
            attributes,
            durability,
            compression,
            numbers,
            lanes,
        )| {
            Request {
                direction: if flags[0] { Direction::Pull } else { Direction::Push },
                root,
                path,
                sources,
                into: flags[1],
                make_parent: flags[2],
                file_name,
                attributes,
                recursive: flags[3],
                exclude: names(&exclude),
                selection: Selection { update: flags[4], ..Selection::default() },
                top: names(&top),
                deletion: Deletion { delete: flags[5], force: flags[6], max, allow_mass: flags[7] },
                dry_run: flags[8],
                itemize: flags[9],
                grant_all: flags[10],
                partial: flags[11],
                durability,
                compression,
                lock_wait_ms: numbers[0],
                timeout_ms: numbers[1],
                lanes,
                bytes_bound: numbers[2],
                entries_bound: numbers[3],
                space_checked: flags[12],
                profile: flags[13],
            }
        },
    )
}

#[expect(clippy::too_many_lines, reason = "one line for each frame of the document")]
fn any_frame() -> impl Strategy<Value = Frame> {
    let accept =
        (any::<[bool; 2]>(), 1..=4u8, (prop::option::of(any_name()), vec(any_name(), 0..4)), any::<[u64; 4]>())
            .prop_map(
                |(
                    [all, count_first],
                    lanes,
                    (file_name, top),
                    [bytes_bound, entries_bound, free_bytes, free_entries],
                )| {
                    Frame::Accept(Accept {
                        version: Version::V1,
                        grant: if all { Grant::All } else { Grant::AsAsked },
                        lanes,
                        file_name,
                        top: names(&top),
                        bytes_bound,
                        entries_bound,
                        count_first,
                        free_bytes,
                        free_entries,
                    })
                },
            );
    let directory = (any_path(), any_meta(), any_xattrs(), any::<[u8; 16]>(), any::<u32>())
        .prop_map(|(path, meta, xattrs, digest, entries)| Directory { path, meta, xattrs, digest, entries });
    let numbers = || btree_set(any::<u32>(), 0..20).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let resume = (any::<u32>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(index, bytes, digest)| Resume {
        index,
        bytes,
        digest,
    });
    let action = (0..Action::ALL.len()).prop_map(|at| Action::ALL[at]);
    let item = (action, any_kind(), any::<u64>(), any_path()).prop_map(|(action, kind, size, path)| Item {
        action,
        kind,
        reasons: reasons(),
        size,
        path: path.as_bytes().to_vec(),
    });
    let issue_kind = (0..IssueKind::ALL.len()).prop_map(|at| IssueKind::ALL[at]);
    let issue = (issue_kind, any_path(), ".{0,40}", any::<bool>()).prop_map(|(kind, path, message, old_kept)| {
        Frame::Issue(Issue { kind, path: path.into_bytes(), message, old_kept })
    });
    let entry = (any_kind(), any_name(), any::<u64>(), any_meta()).prop_map(|(kind, name, size, meta)| ListEntry {
        kind,
        name,
        size,
        meta,
    });
    prop_oneof![
        any::<[u16; 2]>().prop_map(|[oldest, newest]| Frame::Hello { oldest, newest }),
        any_request().prop_map(|request| Frame::Request(Box::new(request))),
        accept,
        any::<[u8; 16]>().prop_map(Frame::TreeDigest),
        vec(directory, 0..8).prop_map(Frame::Directories),
        (any::<u32>(), any::<bool>(), any_listing()).prop_map(|(directory, more, listing)| Frame::List {
            directory,
            more,
            listing
        }),
        any::<[u64; 4]>().prop_map(|[directories, entries, bytes, errors]| Frame::TreeEnd {
            directories,
            entries,
            bytes,
            errors
        }),
        numbers().prop_map(Frame::Need),
        (any::<u32>(), numbers(), vec(resume, 0..4)).prop_map(|(directory, files, resume)| Frame::Want {
            directory,
            files,
            resume
        }),
        any::<u32>().prop_map(Frame::Settled),
        vec(item, 0..8).prop_map(Frame::Items),
        issue,
        any::<u64>().prop_map(Frame::Heartbeat),
        (vec(any::<u64>(), 0..30), prop::option::of(any_error()))
            .prop_map(|(counters, refused)| Frame::Finished { counters, refused }),
        any_error().prop_map(Frame::Abort),
        (vec(any::<u8>(), 0..=64), any_path()).prop_map(|(root, path)| Frame::ListRequest { root, path }),
        (any::<bool>(), vec(entry, 0..8)).prop_map(|(more, entries)| Frame::ListReply { more, entries }),
        (vec(any::<u8>(), 0..=64), any_path()).prop_map(|(root, path)| Frame::StatRequest { root, path }),
        (any_kind(), any::<u64>(), any_meta()).prop_map(|(kind, size, meta)| Frame::StatReply(Stat {
            kind,
            size,
            meta
        })),
        any_profile().prop_map(|profile| Frame::Profile(Box::new(profile))),
    ]
}

fn any_profile() -> impl Strategy<Value = EndProfile> {
    let phase = (0..u8::try_from(PHASES.len()).unwrap(), any::<[u64; 2]>(), vec(0..=100u8, 0..40))
        .prop_map(|(phase, [nanos, count], steps)| PhaseTotal { phase, nanos, count, steps });
    let thread = ("[a-z]{0,12}", any::<[u64; 4]>(), vec(phase, 0..5)).prop_map(
        |(name, [start_nanos, wall_nanos, cpu_nanos, step_nanos], phases)| ThreadProfile {
            name,
            start_nanos,
            wall_nanos,
            cpu_nanos,
            step_nanos,
            phases,
        },
    );
    (any::<u64>(), vec(any::<u64>(), 0..60), vec(thread, 0..5))
        .prop_map(|(started_at_micros, figures, threads)| EndProfile { started_at_micros, figures, threads })
}

/// Owned fields of a record, from which one of each kind is made.
fn any_record() -> impl Strategy<Value = (u8, FileId, Option<Meta>, Vec<u8>, [u8; 32], u64)> {
    let file = any::<[u32; 2]>().prop_map(|[directory, index]| FileId { directory, index });
    let content = vec(any::<u8>(), 0..300);
    (0..7u8, file, prop::option::of(any_meta()), content, any::<[u8; 32]>(), 1..=limits::FILE_BYTES_MAX)
}

fn record(fields: &(u8, FileId, Option<Meta>, Vec<u8>, [u8; 32], u64)) -> Record<'_> {
    let (kind, file, meta, content, digest, bytes) = fields;
    let (file, meta, digest, bytes) = (*file, *meta, *digest, *bytes);
    match kind {
        0 => Record::Whole { file, meta, content, digest },
        1 => Record::Begin { file },
        2 => Record::Literal(content),
        3 => Record::Copy { bytes },
        4 => Record::Hole { bytes },
        5 => Record::End { meta, digest },
        _ => Record::Failed { file, kind: IssueKind::Changed, message: hex(content) },
    }
}

/// What was decoded, as text: frames have no equality of their own.
fn shown(frame: &Frame) -> String {
    format!("{frame:?}")
}

proptest! {
    #[test]
    fn frames_survive(frame in any_frame()) {
        let body = body(&frame);
        let decoded = Frame::decode(Version::V1, &body).unwrap();
        prop_assert_eq!(self::body(&decoded), body);
        // Listings share their names' room, so text says the same of them only when they are alike in every byte.
        prop_assert_eq!(shown(&decoded), shown(&frame));
    }

    #[test]
    fn records_survive(fields in vec(any_record(), 1..6)) {
        let mut out = Vec::new();
        for fields in &fields {
            record(fields).encode(&mut out);
        }
        let mut reader = Reader::new(&out);
        for fields in &fields {
            prop_assert_eq!(Record::decode(&mut reader).unwrap(), record(fields));
        }
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn nothing_is_left_over_and_nothing_is_missing(frame in any_frame(), cut: prop::sample::Index, more: u8) {
        let body = body(&frame);
        let cut = cut.index(body.len());
        // What is cut may be a shorter frame of the same kind, never a panic.
        if let Ok(shorter) = Frame::decode(Version::V1, &body[..cut]) {
            // A listing that is cut off before its first entry does not show whether it was to have digests of content,
            // and a value that is cut to its default is not written again.
            let again = self::body(&shorter);
            prop_assert!(again.len() <= cut);
            prop_assert_eq!(self::body(&Frame::decode(Version::V1, &again).unwrap()), again);
        }
        let _ = Frame::decode(Version::V1, &[&body[..], &[more]].concat());
    }

    #[test]
    fn a_flipped_bit_is_read_or_refused(frame in any_frame(), at: prop::sample::Index, bit in 0..8u8) {
        let mut body = body(&frame);
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        if let Ok(other) = Frame::decode(Version::V1, &body) {
            let again = self::body(&other);
            prop_assert_eq!(self::body(&Frame::decode(Version::V1, &again).unwrap()), again);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 1..400), kind in 0..20u8) {
        let _ = Frame::decode(Version::V1, &bytes);
        bytes[0] = kind;
        let _ = Frame::decode(Version::V1, &bytes);
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() && Record::decode(&mut reader).is_ok() {}
        if let Some(header) = bytes.first_chunk::<PACK_HEADER_BYTES>()
            && let Ok(header) = PackHeader::decode(header)
        {
            prop_assert!(header.stored_bytes <= limits::PACK_BYTES_MAX && header.raw_bytes <= limits::PACK_BYTES_MAX);
        }
    }

    #[test]
    fn a_flipped_bit_of_a_record_is_read_or_refused(fields in any_record(), at: prop::sample::Index, bit in 0..8u8) {
        let mut out = Vec::new();
        record(&fields).encode(&mut out);
        let at = at.index(out.len());
        out[at] ^= 1 << bit;
        let mut reader = Reader::new(&out);
        while !reader.is_empty() && Record::decode(&mut reader).is_ok() {}
    }

    #[test]
    fn a_lane_may_arrive_in_any_pieces(frames in vec(any_frame(), 1..6), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode(Version::V1, &mut bytes);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut decoder = FrameDecoder::default();
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            decoder.feed(&bytes[pair[0]..pair[1]]);
            while let Some(frame) = decoder.next_frame().unwrap() {
                found.push(encoded(&frame));
            }
        }
        prop_assert!(decoder.is_empty());
        prop_assert_eq!(found.concat(), bytes);
        prop_assert_eq!(found.len(), frames.len());
    }

    #[test]
    fn a_listing_in_parts_is_the_listing(listing in any_listing(), number: u32) {
        let mut whole = Listing::new();
        let mut decoder = FrameDecoder::default();
        encode_list(Version::V1, number, &listing, |frame| decoder.feed(&frame));
        while let Some(frame) = decoder.next_frame().unwrap() {
            let Frame::List { directory, listing: part, .. } = frame else { panic!("{frame:?}") };
            prop_assert_eq!(directory, number);
            prop_assert!(whole.append(&part));
        }
        prop_assert_eq!(format!("{whole:?}"), format!("{listing:?}"));
    }
}
