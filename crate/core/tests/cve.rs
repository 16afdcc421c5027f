//! Vulnerabilities of rsync that concern links, kinds, extended attributes and filters, by their numbers: what each of
//! them asks of a receiver, as the client of a hostile server and as the server of a hostile client. Those of races and
//! paths have theirs in `__test__/`, and stand in the names of the tests there.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::delta::{Chunk, Cutter};
use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{
    Attributes, Basis, Deletion, FilterRules, Frame, Grant, Kind, Leader, Listing, Meta, Name, Paths, RelPath, Request,
    Rule, limits,
};
use support::{
    Lane, Site, Trap, body, contents, deleting, directory, files, listing, noise, pull_from, push_to, put, run,
    snapshot, start, unhung,
};

/// Everything that a request may carry, and a rule that keeps `hidden` out of it.
fn request(request: Request) -> Request {
    let attributes = Attributes {
        owner: true,
        group: true,
        xattrs: true,
        foreign_xattrs: true,
        acls: true,
        hard_links: true,
        ..request.attributes
    };
    let filter = FilterRules::new(&[Rule::new(false, b"hidden".into())]).unwrap();
    Request { attributes, filter, ..deleting(request) }
}

/// Says what no honest sender says to a client that pulls and to a server that is pushed to: either ends the session,
/// and changes nothing.
async fn refused(change: impl Fn(Request) -> Request, bodies: &[Vec<u8>]) {
    let trap = Trap::new().await;
    put(&trap.local(), "hidden", "old");
    let before = snapshot(&trap.local());
    let job = start(&trap.client, change(pull_from("tree")), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    for body in bodies {
        control.write_body(body).await;
    }
    let error = unhung(job.done()).await.expect_err("a lie");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert_eq!(snapshot(&trap.local()), before);

    let site = Site::new("allow=read,write,delete,owner,special,xattrs,acls").await;
    put(&site.root(), "dst/hidden", "old");
    let before = snapshot(&site.root());
    let mut control = site.raw().await.session(change(push_to("dst"))).await;
    control.accepted().await;
    for body in bodies {
        control.write_body(body).await;
    }
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(snapshot(&site.root()), before);
}

/// The same with what comes on a data lane for a new file of 400,000 bytes, beside which there is `kept` at either
/// receiver, of which the sender has told nothing.
async fn refused_on_a_lane(attack: impl AsyncFn(&mut Lane)) {
    let (tree, new) = (|| vec![directory("", 1)], || vec![files(&[("new", 400_000)])]);
    let trap = Trap::new().await;
    put(&trap.local(), "kept", noise(400_000, 1));
    let before = snapshot(&trap.local());
    let job = start(&trap.client, pull_from("tree"), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(tree(), new()).await;
    assert_eq!(control.wanted().await, [0]);
    attack(&mut control.lane(0).await).await;
    let error = unhung(job.done()).await.expect_err("a lie");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert_eq!(snapshot(&trap.local()), before);

    let site = Site::new("allow=read,write,delete").await;
    put(&site.root(), "dst/kept", noise(400_000, 1));
    let before = snapshot(&site.root());
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(tree(), new()).await;
    assert_eq!(control.wanted().await, [0]);
    attack(&mut control.lane(0).await).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(snapshot(&site.root()), before);
}

/// What a receiver says to a sender, as the server of a push and as the client of a pull, once it has been told of
/// everything.
async fn refused_by_senders(bodies: &[Vec<u8>]) {
    let trap = Trap::new().await;
    put(&trap.local(), "a", noise(400_000, 1));
    let job = start(&trap.client, push_to("tree"), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    for body in bodies {
        control.write_body(body).await;
    }
    let error = unhung(job.done()).await.expect_err("a lie");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");

    let site = Site::new("allow=read").await;
    put(&site.root(), "src/a", noise(400_000, 1));
    let mut control = site.raw().await.session(pull_from("src")).await;
    control.accepted().await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    for body in bodies {
        control.write_body(body).await;
    }
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
}

fn root(entries: u32) -> Vec<u8> {
    body(&Frame::Directories(vec![directory("", entries)]))
}

fn list(listing: Listing) -> Vec<u8> {
    body(&Frame::List { directory: 0, more: false, listing })
}

/// A listing of one file with an extended attribute whose name and value are of these bytes.
fn with_xattr(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    pair.bytes(name);
    pair.bytes(value);
    let mut fields = Vec::new();
    fields.number(1 << 1 | 1);
    fields.bytes(&pair);
    let mut out = vec![6, 0, 0, 0, Kind::File as u8];
    out.bytes(b"new");
    out.number(7);
    out.number(0o10644);
    out.raw(&[0, 0, 0, 0]);
    out.bytes(&fields);
    out
}

#[tokio::test]
async fn cve_2022_29154_names_that_filters_leave_out_are_not_taken() {
    refused(request, &[root(1), list(files(&[("hidden", 3)]))]).await;
    refused(request, &[body(&Frame::Directories(vec![directory("", 1), directory("hidden", 0)]))]).await;
}

#[tokio::test]
async fn cve_2017_16548_names_of_extended_attributes_end_where_they_say() {
    for name in [&b"user.a\0"[..], b"user.\0a", b"", b"user", &[b'u'; 300]] {
        refused(request, &[root(1), with_xattr(name, b"1")]).await;
    }
    // A name that is longer than what is left of the message.
    let mut cut = with_xattr(b"user.abcdef", b"1");
    cut.truncate(cut.len() - 4);
    refused(request, &[root(1), cut]).await;
}

/// It has no number: values above what the kernel holds were accepted.
#[tokio::test]
async fn cve_2008_1720_values_of_extended_attributes_are_bounded_before_they_are_read() {
    refused(request, &[root(1), with_xattr(b"user.a", &vec![0; limits::XATTR_VALUE_BYTES_MAX + 1])]).await;
}

#[tokio::test]
async fn cve_2026_70457_and_70458_hard_links_are_those_of_the_list_and_of_the_request() {
    let followed = |directory: &str, name: &str| {
        let mut listing = listing(&[("a", Kind::File, 3, ""), ("b", Kind::File, 3, "")]);
        let directory = RelPath::new(directory.as_bytes()).unwrap();
        listing.add_follower(1, Leader { directory: &directory, name: name.as_bytes() });
        list(listing)
    };
    let without = |asked: Request| {
        let attributes = Attributes { hard_links: false, ..request(asked.clone()).attributes };
        Request { attributes, ..request(asked) }
    };
    refused(without, &[root(2), followed("", "a")]).await;
    for leader in [("", "b"), ("", "z"), ("elsewhere", "a")] {
        refused(request, &[root(2), followed(leader.0, leader.1)]).await;
    }
}

#[tokio::test]
async fn cve_2026_43620_and_70459_numbers_of_directories_and_of_entries_are_those_that_were_told() {
    for number in [1, 7, u32::MAX] {
        let unknown = Frame::List { directory: number, more: false, listing: files(&[("new", 3)]) };
        refused(request, &[root(1), body(&unknown)]).await;
        refused(request, &[root(1), body(&Frame::Settled(number))]).await;
    }
    // The top is a directory, and no file of any mode.
    let mut top = Listing::new();
    assert!(Name::new(b".").is_err());
    assert!(top.push(Name::new(b"a").unwrap(), Kind::File, 3, Meta::default(), b""));
    let mut dot = list(top);
    let at = dot.iter().position(|byte| *byte == b'a').unwrap();
    dot[at] = b'.';
    refused(request, &[root(1), dot]).await;
}

#[tokio::test]
async fn cve_2026_53788_and_53798_names_of_owners_hold_no_line_ends_and_unknown_ones_are_nobody_s() {
    let named = |name: &[u8]| {
        let mut out = vec![21, 1, 0];
        out.number(1_234_567);
        out.bytes(name);
        out
    };
    for name in [&b"root\n"[..], b"a\0b", b"", b"a:b"] {
        refused(request, &[named(name)]).await;
    }
}

/// A rule may end in a backslash: it is one, and nothing is read behind it.
#[tokio::test]
async fn cve_2026_70461_a_rule_that_ends_in_a_backslash_is_a_rule() {
    let site = Site::new("allow=read,write,delete").await;
    put(&site.local(), "kept\\", "content");
    put(&site.local(), "sent", "content");
    let filter = FilterRules::new(&[Rule::new(false, b"kept\\".into())]).unwrap();
    let asked = |request: Request| Request { filter: filter.clone(), ..deleting(request) };
    run(&site.client().await, asked(push_to("dst")), &site.local()).await.unwrap();
    let pulled = site.local().join("pulled");
    std::fs::create_dir(&pulled).unwrap();
    run(&site.client().await, asked(pull_from("dst")), &pulled).await.unwrap();
    assert_eq!(contents(&site.root().join("dst")), contents(&pulled));
    assert!(pulled.join("sent").exists());
}

/// Lengths of digests are no part of what is said.
#[tokio::test]
async fn cve_2024_12084_and_12085_a_digest_is_as_long_as_it_is() {
    for length in [0, 15, 17, 64, 4096] {
        refused(request, &[[&[4][..], &vec![7; length]].concat()]).await;
    }
    // One of content that ends with the message.
    let content = |asked: Request| {
        let compare = sparsync_core::proto::Compare::Content;
        Request { attributes: Attributes { compare, ..request(asked.clone()).attributes }, ..request(asked) }
    };
    let mut cut = vec![6, 0, 0, 1, Kind::File as u8];
    cut.bytes(b"new");
    cut.number(7);
    cut.number(0o644);
    cut.raw(&[0; 4]);
    cut.raw(&[9; 31]);
    refused(content, &[root(1), cut]).await;
    for cut in [1, 31] {
        refused_on_a_lane(async |lane: &mut Lane| {
            let file = FileId { directory: 0, index: 0 };
            let mut whole = Vec::new();
            Record::Whole { file, meta: None, content: b"content", digest: [1; 32] }.encode(&mut whole);
            whole.truncate(whole.len() - cut);
            lane.pack(&whole).await;
        })
        .await;
    }
}

#[tokio::test]
async fn cve_2024_12086_what_a_file_is_made_of_is_what_the_receiver_has_offered() {
    let file = FileId { directory: 0, index: 0 };
    let level = Cutter::for_files(400_000).unwrap().level();
    for records in [
        // The file that is asked about was not offered, because nothing is in its place. No record names another file.
        vec![Record::Sign { file, level }],
        vec![Record::Begin { file }, Record::CopyFrom { offset: 0, bytes: 400_000 }],
        vec![Record::Begin { file }, Record::CopyPieces { first: 0, count: 1 }],
        vec![Record::Begin { file }, Record::Copy { bytes: 400_000 }],
    ] {
        refused_on_a_lane(async |lane: &mut Lane| lane.records(&records).await).await;
    }
}

#[tokio::test]
async fn cve_2026_53789_nothing_is_deleted_that_was_not_asked_for() {
    let within = |asked: Request| {
        let selected = Paths::new(vec![RelPath::new(b"in/part").unwrap()]).unwrap();
        Request { selected, ..deleting(asked) }
    };
    let fill = |top: &std::path::Path| {
        for path in ["in/part/old", "in/beside", "out/f", "top"] {
            put(top, path, "content");
        }
    };
    // The directories on the way are told as if all of them were meant, and hold nothing.
    let lists =
        || vec![listing(&[("in", Kind::Directory, 0, "")]), listing(&[("part", Kind::Directory, 0, "")]), files(&[])];
    let tree = || vec![directory("", 1), directory("in", 1), directory("in/part", 0)];
    let kept = |top: &std::path::Path| ["in/beside", "out/f", "top"].iter().all(|path| top.join(path).exists());

    let trap = Trap::new().await;
    fill(&trap.local());
    let job = start(&trap.client, within(pull_from("tree")), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(tree(), lists()).await;
    control.finished().await;
    let _ = unhung(job.done()).await;
    assert!(kept(&trap.local()) && !trap.local().join("in/part/old").exists());

    let site = Site::new("allow=read,write,delete").await;
    fill(&site.root().join("dst"));
    let mut control = site.raw().await.session(within(push_to("dst"))).await;
    control.accepted().await;
    control.tell(tree(), lists()).await;
    control.finished().await;
    assert!(kept(&site.root().join("dst")) && !site.root().join("dst/in/part/old").exists());

    // Of a directory on the way there are no entries beside the way.
    refused(within, &[root(2), list(listing(&[("in", Kind::Directory, 0, ""), ("out", Kind::Directory, 0, "")]))])
        .await;

    // Nor does it give way to a file with what it holds besides.
    let forced = |asked: Request| {
        let asked = within(asked);
        Request { deletion: Deletion { force: true, ..asked.deletion }, ..asked }
    };
    let trap = Trap::new().await;
    fill(&trap.local());
    let job = start(&trap.client, forced(pull_from("tree")), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(vec![directory("", 1)], vec![files(&[("in", 3)])]).await;
    control.finished().await;
    let _ = unhung(job.done()).await;
    assert!(kept(&trap.local()));

    let site = Site::new("allow=read,write,delete").await;
    fill(&site.root().join("dst"));
    let mut control = site.raw().await.session(forced(push_to("dst"))).await;
    control.accepted().await;
    control.tell(vec![directory("", 1)], vec![files(&[("in", 3)])]).await;
    control.finished().await;
    assert!(kept(&site.root().join("dst")));
}

#[tokio::test]
async fn cve_2026_53792_no_part_of_a_file_has_no_length() {
    let file = FileId { directory: 0, index: 0 };
    let mut parts = body(&Frame::Chunks { file, more: false, chunks: vec![Chunk::hole(1)] });
    *parts.last_mut().unwrap() = 0;
    refused_by_senders(&[parts]).await;
    let mut older = body(&Frame::Bases { directory: 0, bases: vec![Basis { index: 0, bytes: 1 }] });
    *older.last_mut().unwrap() = 0;
    refused_by_senders(&[body(&Frame::Need(vec![0])), older]).await;
    let record = |record: Record<'static>| {
        let mut out = Vec::new();
        Record::Begin { file: FileId { directory: 0, index: 0 } }.encode(&mut out);
        record.encode(&mut out);
        *out.last_mut().unwrap() = 0;
        out
    };
    for bytes in [record(Record::Hole { bytes: 1 }), record(Record::CopyFrom { offset: 0, bytes: 1 })] {
        refused_on_a_lane(async |lane: &mut Lane| lane.pack(&bytes).await).await;
    }
}

/// No field of a request, and no message, raises a cap: memory is bounded by what has come.
#[tokio::test]
async fn cve_2026_53794_and_70456_can_2002_0048_and_2003_0962_caps_are_not_for_a_peer_to_set() {
    for length in [u64::from(u32::MAX), u64::MAX >> 1, limits::FRAME_BYTES_MAX as u64 + 1] {
        let mut head = Vec::new();
        head.number(length);
        let site = Site::new("allow=read,write,delete").await;
        let mut control = site.raw().await.session(push_to("dst")).await;
        control.accepted().await;
        control.write_raw(&head).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol);

        let trap = Trap::new().await;
        let job = start(&trap.client, pull_from("tree"), &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.write_raw(&head).await;
        assert_eq!(unhung(job.done()).await.expect_err("a lie").kind(), ErrorKind::Protocol);
    }
    let long = || vec![b'a'; 5000];
    for wrong in [
        Request { temp_dir: long(), ..push_to("dst") },
        Request { partial_dir: long(), ..push_to("dst") },
        Request { backup_dir: long(), ..push_to("dst") },
        Request { suffix: Some(long()), ..push_to("dst") },
        Request { lanes: limits::LANES_MAX + 1, ..push_to("dst") },
    ] {
        let site = Site::new("allow=read,write,delete").await;
        assert_eq!(site.raw().await.session(wrong).await.abort().await.kind, ErrorKind::Protocol);
    }
}

/// There is one thread for each lane, whatever compresses.
#[tokio::test]
async fn cve_2026_70455_a_peer_has_no_more_lanes_than_there_may_be() {
    for lanes in [limits::LANES_MAX + 1, 200, 255] {
        let site = Site::new("allow=read,write,delete").await;
        for request in [push_to("dst"), pull_from("")] {
            let refused = site.raw().await.session(Request { lanes, ..request }).await.abort().await;
            assert_eq!(refused.kind, ErrorKind::Protocol);
        }
        let trap = Trap::new().await;
        let job = start(&trap.client, pull_from("tree"), &trap.local());
        let (mut control, _) = trap.session().await;
        control.write(&Frame::Accept(support::accept(Grant::AsAsked, lanes))).await;
        assert_eq!(unhung(job.done()).await.expect_err("a lie").kind(), ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn cve_2026_70462_a_timeout_of_any_size_is_a_timeout() {
    for timeout_ms in [0, 1 << 31, u64::from(u32::MAX), i64::MAX.cast_unsigned(), u64::MAX] {
        let site = Site::new("allow=read,write,delete").await;
        put(&site.local(), "f", "content");
        let asked = |request: Request| Request { timeout_ms, lock_wait_ms: timeout_ms, ..request };
        run(&site.client().await, asked(push_to("dst")), &site.local()).await.unwrap();
        let pulled = site.local().join("pulled");
        std::fs::create_dir(&pulled).unwrap();
        run(&site.client().await, asked(pull_from("dst")), &pulled).await.unwrap();
        assert!(pulled.join("f").exists());
    }
}

#[tokio::test]
async fn cve_2026_43618_what_comes_out_of_a_pack_is_as_long_as_it_says() {
    let filling = vec![0xee; 1 << 20];
    let bomb = lz4_flex::block::compress(&filling);
    let (cap, stored) = (u32::try_from(limits::PACK_BYTES_MAX).unwrap(), u32::try_from(bomb.len()).unwrap());
    for raw in [0, stored, (1 << 20) - 1, (1 << 20) + 1, cap, cap + 1, 1 << 31, u32::MAX] {
        refused_on_a_lane(async |lane: &mut Lane| {
            lane.raw(&[&[1][..], &stored.to_be_bytes(), &raw.to_be_bytes(), &bomb].concat()).await;
        })
        .await;
    }
    // A run of a copy that reaches before the beginning of what came out, and one of a length that overflows.
    for block in [&[0x0f, 0xff, 0xff, 0x01][..], &[&[0xff][..], &[0xff; 64]].concat(), &[0x00, 0x01, 0x00]] {
        let stored = u32::try_from(block.len()).unwrap();
        refused_on_a_lane(async |lane: &mut Lane| {
            lane.raw(&[&[1][..], &stored.to_be_bytes(), &65_536_u32.to_be_bytes(), block].concat()).await;
        })
        .await;
    }
}
