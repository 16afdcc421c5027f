//! The values behind the examples of the document.

use crate::body;
use sparsync_proto::codec::Write as _;
use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::{
    Accept, Action, Arrived, Attributes, Basis, Changing, Chmod, Compare, Compression, Deletion, Detail, Device,
    Direction, Directories, Directory, Durability, End, EndProfile, EntryFields, ErrorKind, Explanation, FilterRules,
    Frame, Grant, IdKind, IdMap, Issue, IssueKind, Item, ItemDetails, Keep, Kind, Leader, ListEntry, Listing, Meta,
    MissingSources, Name, OwnerName, PathSet, Paths, PerDirectory, Phase, PhaseTotal, Reasons, RelPath, Request,
    Resume, Rule, Selection, Snapshot, SourcePath, Stat, ThreadProfile, Time, Window, WireError, Xattrs,
};

pub fn meta() -> Meta {
    Meta { mode: 0o644, uid: 1000, gid: 100, mtime: Time { seconds: 1_700_000_000, nanos: 123_456_789 } }
}

pub fn name(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

pub fn path(bytes: &[u8]) -> RelPath {
    RelPath::new(bytes).unwrap()
}

fn paths(all: &[&[u8]]) -> Paths {
    Paths::new(all.iter().map(|bytes| path(bytes)).collect()).unwrap()
}

pub fn directory(path: RelPath, digest: [u8; 16], entries: u32) -> Directory {
    Directory { path, meta: meta(), xattrs: Xattrs::default(), digest, entries, unlisted: false }
}

pub fn xattrs() -> Xattrs {
    Xattrs::new(vec![(b"user.a".to_vec(), b"1".to_vec())]).unwrap()
}

pub fn listing() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    assert!(listing.push(name(b"d"), Kind::Directory, 0, Meta::default(), b""));
    assert!(listing.push(name(b"l"), Kind::Symlink, 0, meta(), b"a"));
    assert!(listing.push(name(b"p"), Kind::Special, 0, Meta::default(), b""));
    listing
}

fn listing_with_content() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 0, meta(), b""));
    listing.set_content(vec![*blake3::hash(b"").as_bytes()]);
    listing
}

fn listing_with_xattrs() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    listing.set_last_xattrs(xattrs());
    assert!(listing.push(name(b"p"), Kind::Fifo, 0, meta(), b""));
    listing
}

fn listing_with_devices() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"b"), Kind::BlockDevice, 0, meta(), b""));
    let device = Some(Device { major: 259, minor: 3 });
    listing.set_last_fields(EntryFields { device, ..EntryFields::default() });
    assert!(listing.push(name(b"s"), Kind::Socket, 0, meta(), b""));
    listing
}

fn listing_with_atimes() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 300, meta(), b""));
    listing.set_last_fields(EntryFields { atime: Some(Time { seconds: -1, nanos: 5 }), ..EntryFields::default() });
    listing
}

/// Two names of what the directory above has, one of them the same, and one of something in the directory itself.
fn listing_with_followers() -> Listing {
    let mut listing = Listing::new();
    for name_of in [b"a", b"b", b"c", b"d"] {
        assert!(listing.push(name(name_of), Kind::File, 300, meta(), b""));
    }
    listing.add_follower(0, Leader { directory: &RelPath::root(), name: b"a" });
    listing.add_follower(1, Leader { directory: &RelPath::root(), name: b"x" });
    listing.add_follower(3, Leader { directory: &path(b"d"), name: b"c" });
    listing
}

fn unread() -> Listing {
    let mut listing = Listing::new();
    assert!(listing.push(name(b"a"), Kind::File, 0, meta(), b""));
    listing.set_last_xattrs(Xattrs::unread());
    listing
}

pub fn error() -> WireError {
    WireError {
        kind: ErrorKind::Busy,
        message: "busy".to_owned(),
        path: Some(b"x".to_vec()),
        details: vec![("holder".to_owned(), Detail::Text("cron".to_owned())), ("n".to_owned(), Detail::Number(300))],
    }
}

pub fn request() -> Request {
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
        bytes_bound: Some(1 << 30),
        entries_bound: Some(5000),
        ..Request::default()
    }
}

pub fn pull_of_a_file() -> Request {
    Request {
        direction: Direction::Pull,
        root: b"backup".to_vec(),
        path: path(b"host/home"),
        sources: vec![SourcePath { path: path(b"host/etc"), contents: true, relative_to: Some(1) }],
        into: true,
        make_parent: true,
        file_name: Some(b"f".to_vec()),
        attributes: Attributes {
            perms: true,
            times: true,
            owner: true,
            group: true,
            links: true,
            hard_links: false,
            specials: true,
            xattrs: true,
            compare: Compare::Content,
            window: Window::Within(2_000_000_000),
            ..Attributes::default()
        },
        selection: Selection { update: true, ..Selection::default() },
        deletion: Deletion { force: true, allow_mass: true, ..Deletion::default() },
        dry_run: true,
        grant_all: true,
        durability: Durability::File,
        compression: Compression::Never,
        timeout_ms: 60_000,
        lanes: 2,
        bytes_bound: Some(1 << 30),
        entries_bound: Some(5000),
        space_checked: true,
        profile: true,
        ..Request::default()
    }
}

/// A run that carries devices, ACLs, and extended attributes of every namespace.
fn push_of_everything() -> Request {
    let attributes =
        Attributes { devices: true, acls: true, xattrs: true, foreign_xattrs: true, ..Attributes::default() };
    Request { root: b"backup".to_vec(), attributes, ..Request::default() }
}

/// A push by a list that has no paths.
fn push_of_nothing() -> Request {
    Request { root: b"backup".to_vec(), has_list: true, ..Request::default() }
}

/// A run that is told of by paths: some are left out of it, and some are all that it has.
fn push_of_paths() -> Request {
    Request {
        root: b"backup".to_vec(),
        path: path(b"host/home"),
        attributes: Attributes { specials: true, ..Attributes::default() },
        recursive: true,
        filter: FilterRules::new(&[
            Rule::new(true, b"/a/*".to_vec()),
            Rule { receiver: false, perishable: true, ..Rule::new(false, b"tmp".to_vec()) },
            Rule {
                absolute: true,
                per_directory: Some(PerDirectory { no_inherit: true, ..PerDirectory::default() }),
                ..Rule::new(false, b"/.filter".to_vec())
            },
        ])
        .unwrap(),
        selected: paths(&[b"a", b"d/e"]),
        listed: paths(&[b"d"]),
        dirs: true,
        implied_dirs: true,
        lock_wait_ms: 1000,
        ..Request::default()
    }
}

/// A run with other modes than the source's, without modes, and with fewer times.
fn push_of_modes() -> Request {
    Request {
        root: b"backup".to_vec(),
        attributes: Attributes {
            times: true,
            executability: true,
            omit_dir_times: true,
            omit_link_times: true,
            ..Attributes::default()
        },
        chmod: Chmod::parse("D755,F+w", || 0o022).unwrap(),
        strict_attributes: true,
        ..Request::default()
    }
}

/// A run with owners of its own.
fn push_of_owners() -> Request {
    Request {
        root: b"backup".to_vec(),
        attributes: Attributes { owner: true, group: true, atimes: true, ..Attributes::default() },
        numeric_ids: true,
        open_noatime: true,
        changing: Changing::Prefix,
        user_map: IdMap::parse("alice:bob,*:0").unwrap(),
        group_map: IdMap::parse("1-9:staff").unwrap(),
        super_user: Some(false),
        ..Request::default()
    }
}

/// A run with all that is done with symlinks.
fn pull_of_links() -> Request {
    Request {
        root: b"backup".to_vec(),
        direction: Direction::Pull,
        attributes: Attributes { links: true, safe_links: true, ..Attributes::default() },
        copy_links: true,
        copy_dir_links: true,
        copy_unsafe_links: true,
        keep_dir_links: true,
        munge_links: true,
        remote_munge_links: true,
        ..Request::default()
    }
}

/// A run that deletes in its own way, of sources that need not be there.
fn push_of_deletions() -> Request {
    Request {
        root: b"backup".to_vec(),
        deletion: Deletion { delete: true, after: true, ignore_errors: true, ..Deletion::default() },
        missing_sources: MissingSources::Delete,
        missing: paths(&[b"gone"]),
        ..Request::default()
    }
}

/// A run that writes in its own way.
fn push_of_writing() -> Request {
    let directories = |all: &[&[u8]]| Directories::new(all).unwrap();
    Request {
        root: b"backup".to_vec(),
        backup: true,
        backup_dir: b"../old".to_vec(),
        suffix: Some(b".o".to_vec()),
        link_dest: directories(&[b"../a", b"/b"]),
        reflink_dest: directories(&[b"../c"]),
        copy_devices: true,
        write_devices: true,
        delay_updates: true,
        temp_dir: b"/tmp".to_vec(),
        partial_dir: b".part".to_vec(),
        bwlimit: 300,
        remove_source_files: true,
        inplace: true,
        append: true,
        fuzzy: true,
        fuzzy_dest: true,
        detect_renames: true,
        checksum_cache: true,
        snapshot_read: true,
        preallocate: true,
        skip_compress: b"gz/mp[34]".to_vec(),
        verify_copies: true,
        publish: true,
        keep_previous: true,
        item_backups: true,
        item_removals: true,
        item_stamps: true,
        planned: paths(&[b"00112233445566778899aabbccddeeff"]),
        applies_plan: true,
        snapshot: Snapshot {
            is_asked: true,
            links_newest: true,
            reflinks: true,
            keep: Keep { last: 3, hourly: 24, daily: 7, weekly: 4, monthly: 12, yearly: 300 },
        },
        ..Request::default()
    }
}

fn owner_names() -> Vec<OwnerName> {
    vec![
        OwnerName { kind: IdKind::User, id: 1000, name: b"alice".to_vec() },
        OwnerName { kind: IdKind::Group, id: 50, name: b"staff".to_vec() },
    ]
}

/// The reasons of a decoded item: they are made by comparing, not by callers.
pub fn reasons() -> Reasons {
    Reasons::SIZE.union(Reasons::MTIME)
}

/// A reader that read, and then waited.
pub fn profile() -> EndProfile {
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
pub fn frames() -> Vec<(&'static str, Frame)> {
    vec![
        ("Hello", Frame::Hello { oldest: 1, newest: 1 }),
        ("Request, push", Frame::Request(Box::new(request()))),
        ("Request, pull", Frame::Request(Box::new(pull_of_a_file()))),
        ("Request, devices and ACLs", Frame::Request(Box::new(push_of_everything()))),
        ("Request, paths", Frame::Request(Box::new(push_of_paths()))),
        ("Request, an empty list", Frame::Request(Box::new(push_of_nothing()))),
        ("Paths", Frame::Paths { set: PathSet::Listed, paths: paths(&[b"etc", b"log/x"]) }),
        ("Request, modes", Frame::Request(Box::new(push_of_modes()))),
        ("Request, owners", Frame::Request(Box::new(push_of_owners()))),
        ("Request, symlinks", Frame::Request(Box::new(pull_of_links()))),
        ("Request, deletions", Frame::Request(Box::new(push_of_deletions()))),
        ("Request, writing", Frame::Request(Box::new(push_of_writing()))),
        (
            "Arrived",
            Frame::Arrived {
                more: true,
                entries: vec![Arrived { path: path(b"d/a"), kind: Kind::File, size: 300, mtime: meta().mtime }],
            },
        ),
        ("Removed", Frame::Removed),
        ("Owners", Frame::Owners(owner_names())),
        (
            "Accept",
            Frame::Accept(Accept {
                lanes: 2,
                free_bytes: Some(1 << 40),
                free_entries: Some(1 << 20),
                ..Accept::default()
            }),
        ),
        (
            "Accept, single file",
            Frame::Accept(Accept {
                grant: Grant::All,
                file_name: Some(b"f".to_vec()),
                bytes_bound: Some(300),
                entries_bound: Some(1),
                count_first: true,
                ..Accept::default()
            }),
        ),
        (
            "Accept, paths",
            Frame::Accept(Accept {
                lanes: 2,
                bytes_bound: Some(300),
                entries_bound: Some(5),
                selected: paths(&[b"etc", b"log/x"]),
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
        (
            "Directories, not gone into",
            Frame::Directories(vec![Directory { unlisted: true, ..directory(path(b"m"), [0xd0; 16], 0) }]),
        ),
        (
            "Directories, extended attributes",
            Frame::Directories(vec![Directory { xattrs: xattrs(), ..directory(RelPath::root(), [0xd0; 16], 1) }]),
        ),
        ("List", Frame::List { directory: 0, more: false, listing: listing() }),
        ("List, content", Frame::List { directory: 7, more: true, listing: listing_with_content() }),
        ("List, extended attributes", Frame::List { directory: 0, more: false, listing: listing_with_xattrs() }),
        ("List, access times", Frame::List { directory: 0, more: false, listing: listing_with_atimes() }),
        ("List, devices and a socket", Frame::List { directory: 0, more: false, listing: listing_with_devices() }),
        (
            "List, extended attributes that could not be read",
            Frame::List { directory: 0, more: false, listing: unread() },
        ),
        ("List, hard links", Frame::List { directory: 1, more: false, listing: listing_with_followers() }),
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
        ("Bases", Frame::Bases { directory: 1, bases: vec![Basis { index: 3, bytes: 1 << 30 }] }),
        (
            "Chunks",
            Frame::Chunks {
                file: FileId { directory: 1, index: 3 },
                more: true,
                chunks: vec![Chunk { digest: [0xcc; 16], bytes: 8245 }, Chunk::hole(1 << 20)],
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
                path: b"d/a"[..].into(),
                leader: None,
                details: None,
            }]),
        ),
        (
            "Items, hard link",
            Frame::Items(vec![Item {
                action: Action::Create,
                kind: Kind::File,
                reasons: Reasons::MISSING.union(Reasons::HARD_LINK),
                size: 300,
                path: b"d/b"[..].into(),
                leader: Some(Box::new(path(b"a"))),
                details: None,
            }]),
        ),
        (
            "Items, details",
            Frame::Items(vec![Item {
                action: Action::Keep,
                kind: Kind::Symlink,
                reasons: Reasons::default(),
                size: 1,
                path: b"d/c"[..].into(),
                leader: None,
                details: Some(Box::new(ItemDetails { meta: meta(), target: b"a".to_vec(), ..ItemDetails::default() })),
            }]),
        ),
        (
            "Items, stamp",
            Frame::Items(vec![Item {
                action: Action::Delete,
                kind: Kind::File,
                reasons: Reasons::EXTRA,
                size: 0,
                path: b"d/e"[..].into(),
                leader: None,
                details: Some(Box::new(ItemDetails { stamp: Some([0xab; 24]), ..ItemDetails::default() })),
            }]),
        ),
        (
            "Items, digest",
            Frame::Items(vec![Item {
                action: Action::Create,
                kind: Kind::File,
                reasons: Reasons::MISSING,
                size: 3,
                path: b"d/f"[..].into(),
                leader: None,
                details: Some(Box::new(ItemDetails {
                    meta: meta(),
                    digest: Some([0xcd; 32]),
                    ..ItemDetails::default()
                })),
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
        ("Bwlimit", Frame::Bwlimit(2_000_000)),
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
        (
            "Explained",
            Frame::Explained(Box::new(Explanation {
                end: End::Receiver,
                path: path(b"a/tmp"),
                is_there: true,
                decided: true,
                rule: b"P tmp".to_vec(),
                file: Some(b"host/a/.filter".to_vec()),
                line: 3,
                ..Explanation::default()
            })),
        ),
        ("StatReply", Frame::StatReply(Stat { kind: Kind::File, size: 300, meta: meta() })),
        ("Profile", Frame::Profile(Box::new(profile()))),
        ("Join", Frame::Join((0..16).collect())),
        ("Joined", Frame::Joined(b"ci ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= root=backup/ci".to_vec())),
    ]
}

pub fn records() -> Vec<(&'static str, Record<'static>)> {
    let file = FileId { directory: 1, index: 300 };
    vec![
        ("Whole", Record::Whole { file, meta: None, content: b"abc", digest: *blake3::hash(b"abc").as_bytes() }),
        ("Begin", Record::Begin { file }),
        ("Literal", Record::Literal(b"abc")),
        ("Copy", Record::Copy { bytes: 1 << 20 }),
        ("Hole", Record::Hole { bytes: 4096 }),
        ("End", Record::End { meta: Some(meta()), digest: [0xab; 32] }),
        ("Failed", Record::Failed { file, kind: IssueKind::Vanished, message: "gone".to_owned() }),
        ("CopyPieces", Record::CopyPieces { first: 300, count: 2 }),
        ("CopyFrom", Record::CopyFrom { offset: 4096, bytes: 1 << 20 }),
        ("Mark", Record::Mark),
        ("Sign", Record::Sign { file, level: 1 }),
        ("Ask", Record::Ask { file, pieces: vec![2, 300] }),
        ("Grown", Record::Grown),
    ]
}

/// A frame of a later version: the push of the examples, with a field that this version does not know.
pub fn with_field(number: u64, critical: bool) -> Vec<u8> {
    let mut body = body(&Frame::Request(Box::new(request())));
    body.number(number << 1 | u64::from(critical));
    body.bytes(b"new");
    let mut out = Vec::new();
    out.bytes(&body);
    out
}

pub fn future() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("Request with a hint of the future", with_field(1000, false)),
        ("Request with a demand of the future", with_field(1001, true)),
    ]
}
