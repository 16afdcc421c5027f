//! Any value of every type that travels.

use crate::examples::reasons;
use crate::hex;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use sparsync_proto::delta::Chunk;
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::{
    Accept, Action, Arrived, Attributes, Basis, Chmod, Compare, Compression, Deletion, Detail, Device, Direction,
    Directory, Durability, EndProfile, EntryFields, ErrorKind, FilterRules, Frame, Grant, IdKind, IdMap, Issue,
    IssueKind, Item, ItemDetails, Kind, Leader, ListEntry, Listing, Meta, MissingSources, Name, OwnerName, PHASES,
    PathSet, Paths, PerDirectory, PhaseTotal, RelPath, Request, Resume, Rule, Selection, SourcePath, Stat,
    ThreadProfile, Time, Version, Window, WireError, Xattrs, limits,
};

pub fn any_name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>().prop_filter("no separator", |byte| *byte != 0 && *byte != b'/'), 1..=24)
        .prop_filter("no dots", |name| name != b"." && name != b"..")
}

pub fn any_path() -> impl Strategy<Value = RelPath> {
    vec(any_name(), 0..6).prop_map(|names| RelPath::new(&names.join(&b'/')).unwrap())
}

pub fn any_meta() -> impl Strategy<Value = Meta> {
    (0..=0o7777u16, 0..u32::MAX, 0..u32::MAX, -(1i64 << 40)..=1 << 40, 0..1_000_000_000u32)
        .prop_map(|(mode, uid, gid, seconds, nanos)| Meta { mode, uid, gid, mtime: Time { seconds, nanos } })
}

pub fn any_kind() -> impl Strategy<Value = Kind> {
    (0..Kind::ALL.len()).prop_map(|at| Kind::ALL[at])
}

pub fn any_xattrs() -> impl Strategy<Value = Xattrs> {
    let some = btree_map("user\\.[a-z]{1,8}".prop_map(String::into_bytes), vec(any::<u8>(), 0..200), 1..4);
    prop_oneof![
        3 => Just(Xattrs::default()),
        1 => Just(Xattrs::unread()),
        1 => some.prop_map(|all| Xattrs::new(all.into_iter().collect()).unwrap()),
    ]
}

pub fn any_listing() -> impl Strategy<Value = Listing> {
    (btree_set(any_name(), 0..12), any::<bool>()).prop_flat_map(|(names, content)| {
        let target = vec(1..=255u8, 1..40);
        let device = any::<[u32; 2]>().prop_map(|[major, minor]| Device { major, minor });
        let fields = (any_xattrs(), device);
        let entry = (any_kind(), 0..=limits::FILE_BYTES_MAX, any_meta(), target, any::<[u8; 32]>(), fields);
        // Neighbours have their leaders in one directory mostly.
        let directories = vec(prop_oneof![Just(RelPath::root()), any_path()], names.len());
        let leaders = vec(prop::option::of(any_name()), names.len());
        (vec(entry, names.len()), leaders, directories).prop_map(move |(entries, leaders, directories)| {
            let mut listing = Listing::new();
            let mut digests = Vec::new();
            for (name, (kind, size, meta, target, digest, (xattrs, device))) in names.iter().zip(entries) {
                let carried = kind.has_attributes();
                let meta = if carried { meta } else { Meta::default() };
                assert!(listing.push(Name::new(name).unwrap(), kind, size, meta, &target));
                if carried {
                    let device = kind.is_device().then_some(device);
                    let atime = (size % 3 == 0).then_some(meta.mtime);
                    listing.set_last_fields(EntryFields { xattrs, device, atime, ..EntryFields::default() });
                }
                digests.push(if kind == Kind::File { digest } else { [0; 32] });
            }
            if content {
                listing.set_content(digests);
            }
            for ((index, leader), directory) in (0..).zip(leaders).zip(directories) {
                let carried =
                    listing.get(index).is_some_and(|entry| !matches!(entry.kind, Kind::Directory | Kind::Special));
                if let (true, Some(name)) = (carried, leader) {
                    listing.add_follower(index, Leader { directory: &directory, name: &name });
                }
            }
            listing
        })
    })
}

pub fn any_error() -> impl Strategy<Value = WireError> {
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

pub fn any_attributes() -> impl Strategy<Value = Attributes> {
    let compare = prop_oneof![Just(Compare::Quick), Just(Compare::Content), Just(Compare::Size)];
    let window = prop_oneof![Just(Window::Exact), Just(Window::Seconds), any::<u64>().prop_map(Window::Within)];
    (any::<[bool; 7]>(), any::<[bool; 8]>(), compare, window).prop_map(
        |([perms, times, owner, group, links, specials, xattrs], other, compare, window)| Attributes {
            executability: other[0],
            atimes: window == Window::Exact && other[0],
            omit_dir_times: other[1],
            omit_link_times: other[2],
            devices: other[3],
            foreign_xattrs: other[4],
            acls: other[5],
            hard_links: other[6],
            safe_links: other[7],
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

pub fn paths(all: Vec<RelPath>) -> Paths {
    Paths::new(all).expect("few")
}

fn rules(all: &[Rule]) -> FilterRules {
    FilterRules::new(all).unwrap()
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let files = any::<[bool; 6]>().prop_map(|[no_inherit, word_split, no_prefixes, cvs, sender_unless_said, from0]| {
        PerDirectory { no_inherit, word_split, no_prefixes, cvs, sender_unless_said, from0 }
    });
    (any::<[bool; 7]>(), prop::option::of(files), vec(any::<u8>(), 1..20)).prop_map(
        |([include, sender, other, negated, perishable, absolute, xattr], per_directory, pattern)| Rule {
            include,
            sender,
            receiver: other || !sender,
            negated,
            perishable,
            absolute,
            xattr,
            per_directory,
            pattern,
        },
    )
}

pub fn any_request() -> impl Strategy<Value = Request> {
    let chmod = prop::option::of("[DF]?[ugoa]{0,2}[-+=][rwxXst]{0,3},0?[0-7]{1,3}");
    let map = || prop::option::of("([a-z]{1,5}|[1-9]{1,5}|\\*)?:[a-z]{1,9}");
    let read = |text: Option<String>| text.map(|text| IdMap::parse(&text).unwrap()).unwrap_or_default();
    let owners = (any::<bool>(), map(), map(), any::<Option<bool>>());
    (any_plain_request(), chmod, any::<bool>(), owners).prop_map(move |(request, chmod, strict_attributes, owners)| {
        Request {
            chmod: chmod.map(|text| Chmod::parse(&text, || 0o22).unwrap()).unwrap_or_default(),
            strict_attributes,
            numeric_ids: owners.0,
            user_map: read(owners.1),
            group_map: read(owners.2),
            super_user: owners.3,
            ..request
        }
    })
}

#[expect(clippy::too_many_lines, reason = "one line for each member")]
fn any_plain_request() -> impl Strategy<Value = Request> {
    let place = (vec(any::<u8>(), 0..=64), any_path(), prop::option::of(any_name()), prop::option::of(any::<u64>()));
    let durability = prop_oneof![Just(Durability::None), Just(Durability::Run), Just(Durability::File)];
    let compression = prop_oneof![Just(Compression::Auto), Just(Compression::Always), Just(Compression::Never)];
    let source = (any_path(), any::<bool>(), prop::option::of(0..=4096_u16))
        .prop_map(|(path, contents, relative_to)| SourcePath { path, contents, relative_to });
    let place = (place, vec(source, 0..3), (vec(any_rule(), 0..4), vec(any_path(), 0..4), vec(any::<u8>(), 0..40)));
    (any::<[bool; 14]>(), place, any_attributes(), durability, compression, any::<[u64; 4]>(), 1..=4u8).prop_map(
        |(
            flags,
            ((root, path, file_name, max), sources, (filter, selected, source_marks)),
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
                file_name: file_name.clone(),
                attributes,
                recursive: flags[3],
                filter: rules(&filter),
                selection: Selection { update: flags[4], ..Selection::default() },
                missing: paths(selected.iter().skip(1).cloned().collect()),
                missing_sources: if flags[3] { MissingSources::Delete } else { MissingSources::Ignore },
                backup: flags[4],
                backup_dir: source_marks.clone(),
                suffix: file_name,
                listed: paths(selected.iter().take(1).cloned().collect()),
                planned: paths(selected.iter().skip(2).cloned().collect()),
                applies_plan: flags[5],
                selected: paths(selected),
                deletion: Deletion {
                    delete: flags[5],
                    force: flags[6],
                    max,
                    allow_mass: flags[7],
                    excluded: flags[0],
                    after: flags[1],
                    ignore_errors: flags[2],
                },
                dry_run: flags[8],
                itemize: flags[9],
                grant_all: flags[10],
                partial: flags[11],
                durability,
                compression,
                lock_wait_ms: numbers[0],
                timeout_ms: numbers[1],
                lanes,
                bytes_bound: Some(numbers[2]).filter(|bound| bound % 3 > 0),
                entries_bound: Some(numbers[3]),
                space_checked: flags[12],
                has_list: numbers[1] % 2 == 1,
                profile: flags[13],
                source_marks,
                ..Request::default()
            }
        },
    )
}

#[expect(clippy::too_many_lines, reason = "one line for each frame of the document")]
pub fn any_frame() -> impl Strategy<Value = Frame> {
    let accept =
        (any::<[bool; 2]>(), 1..=4u8, (prop::option::of(any_name()), vec(any_path(), 0..4)), any::<[Option<u64>; 4]>())
            .prop_map(
                |(
                    [all, count_first],
                    lanes,
                    (file_name, selected),
                    [bytes_bound, entries_bound, free_bytes, free_entries],
                )| {
                    Frame::Accept(Accept {
                        version: Version::V1,
                        grant: if all { Grant::All } else { Grant::AsAsked },
                        lanes,
                        file_name,
                        missing: paths(selected.iter().take(2).cloned().collect()),
                        selected: paths(selected),
                        bytes_bound,
                        entries_bound,
                        count_first,
                        free_bytes,
                        free_entries,
                    })
                },
            );
    let directory = (any_path(), any_meta(), any_xattrs(), any::<[u8; 16]>(), any::<u32>()).prop_map(
        |(path, meta, xattrs, digest, entries)| Directory {
            path,
            meta,
            xattrs,
            digest,
            entries,
            unlisted: entries == 0,
        },
    );
    let numbers = || btree_set(any::<u32>(), 0..20).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let resume = (any::<u32>(), any::<u64>(), any::<[u8; 32]>()).prop_map(|(index, bytes, digest)| Resume {
        index,
        bytes,
        digest,
    });
    let arrived = (any_path(), any_kind(), any::<u64>(), any_meta()).prop_map(|(path, kind, size, meta)| Arrived {
        path,
        kind,
        size,
        mtime: meta.mtime,
    });
    let owner = (any::<bool>(), 0..u32::MAX, vec(1..=255u8, 1..30)).prop_map(|(is_user, id, name)| OwnerName {
        kind: if is_user { IdKind::User } else { IdKind::Group },
        id,
        name,
    });
    let action = (0..Action::ALL.len()).prop_map(|at| Action::ALL[at]);
    let leader = prop::option::of(any_path().prop_map(Box::new));
    let details = prop::option::of(
        (any_meta(), vec(1..=255u8, 0..30), prop::option::of(any::<[u8; 24]>()), prop::option::of(any::<[u8; 32]>()))
            .prop_map(|(meta, target, stamp, digest)| Box::new(ItemDetails { meta, target, digest, stamp })),
    );
    let item = (action, any_kind(), any::<u64>(), any_path(), leader, details).prop_map(
        |(action, kind, size, path, leader, details)| Item {
            action,
            kind,
            reasons: reasons(),
            size,
            path: path.as_bytes().into(),
            leader,
            details,
        },
    );
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
        (0..3usize, vec(any_path(), 0..8))
            .prop_map(|(set, all)| Frame::Paths { set: PathSet::ALL[set], paths: paths(all) }),
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
        (any::<u32>(), vec((any::<u32>(), 1..=limits::FILE_BYTES_MAX), 0..4)).prop_map(|(directory, bases)| {
            Frame::Bases { directory, bases: bases.into_iter().map(|(index, bytes)| Basis { index, bytes }).collect() }
        }),
        (any_file(), any::<bool>(), vec((any::<[u8; 16]>(), 1..=limits::FILE_BYTES_MAX), 0..4)).prop_map(
            |(file, more, chunks)| Frame::Chunks {
                file,
                more,
                chunks: chunks.into_iter().map(|(digest, bytes)| Chunk { digest, bytes }).collect()
            }
        ),
        any::<u32>().prop_map(Frame::Settled),
        vec(item, 0..8).prop_map(Frame::Items),
        issue,
        any::<u64>().prop_map(Frame::Heartbeat),
        any::<u64>().prop_map(Frame::Bwlimit),
        (any::<bool>(), vec(arrived, 0..8)).prop_map(|(more, entries)| Frame::Arrived { more, entries }),
        Just(Frame::Removed),
        vec(owner, 0..8).prop_map(Frame::Owners),
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
        vec(any::<u8>(), 0..=64).prop_map(Frame::Join),
        vec(any::<u8>(), 0..200).prop_map(Frame::Joined),
    ]
}

pub fn any_profile() -> impl Strategy<Value = EndProfile> {
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
pub fn any_record() -> impl Strategy<Value = (u8, FileId, Option<Meta>, Vec<u8>, [u8; 32], u64)> {
    let content = vec(any::<u8>(), 0..300);
    (0..12u8, any_file(), prop::option::of(any_meta()), content, any::<[u8; 32]>(), 1..=limits::FILE_BYTES_MAX)
}

fn any_file() -> impl Strategy<Value = FileId> {
    any::<[u32; 2]>().prop_map(|[directory, index]| FileId { directory, index })
}

pub fn record(fields: &(u8, FileId, Option<Meta>, Vec<u8>, [u8; 32], u64)) -> Record<'_> {
    let (kind, file, meta, content, digest, bytes) = fields;
    let (file, meta, digest, bytes) = (*file, *meta, *digest, *bytes);
    match kind {
        0 => Record::Whole { file, meta, content, digest },
        1 => Record::Begin { file },
        2 => Record::Literal(content),
        3 => Record::Copy { bytes },
        4 => Record::Hole { bytes },
        5 => Record::End { meta, digest },
        6 => Record::CopyPieces { first: file.index, count: file.directory },
        7 => Record::CopyFrom { offset: bytes / 2, bytes },
        8 => Record::Mark,
        9 => Record::Sign { file, level: digest[0] },
        11 => Record::Grown,
        10 => Record::Ask { file, pieces: (file.index..).take(content.len()).collect() },
        _ => Record::Failed { file, kind: IssueKind::Changed, message: hex(content) },
    }
}
