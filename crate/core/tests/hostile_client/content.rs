//! What a client sends on data lanes: content that nobody asked for, packs that lie, lanes that there are not.

use crate::support;
use crate::support::Over;
use crate::support::over::on_every_transport;
use crate::support::{Node, contents, digest, directory, files, leftovers, noise, push_to, put, snapshot};
use crate::{FIRST, asked_for, outside_untouched, serves_on, timeless, unharmed, victim, whole};
use sparsync_core::ErrorKind;
use sparsync_core::proto::pack::{FileId, PackHeader, Record};
use sparsync_core::proto::{IssueKind, limits};

async fn content_that_was_not_asked_for_ends_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    for records in [
        // Another entry, another directory, a directory never told of.
        vec![whole(FileId { directory: 0, index: 1 }, b"x")],
        vec![whole(FileId { directory: 0, index: u32::MAX }, b"x")],
        vec![whole(FileId { directory: 1, index: 0 }, b"x")],
        vec![whole(FileId { directory: 77, index: 0 }, b"x")],
        vec![Record::Begin { file: FileId { directory: 77, index: 0 } }],
        vec![Record::Failed {
            file: FileId { directory: 0, index: 9 },
            kind: IssueKind::Unreadable,
            message: String::new(),
        }],
        // Content of no file.
        vec![Record::Literal(b"x")],
        vec![Record::Hole { bytes: 1 }],
        vec![Record::Copy { bytes: 1 }],
        vec![Record::End { meta: None, digest: [0; 32] }],
        // A file in a file, and a copy of what nobody holds.
        vec![Record::Begin { file: FIRST }, whole(FIRST, b"x")],
        vec![Record::Begin { file: FIRST }, Record::Begin { file: FileId { directory: 0, index: 1 } }],
        vec![Record::Begin { file: FIRST }, Record::Copy { bytes: 1 }],
        vec![Record::Begin { file: FIRST }, Record::Literal(b"x"), Record::Copy { bytes: 1 }],
    ] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(0).await.records(&records).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} for {records:?}", error.message);
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}

async fn content_that_comes_twice_ends_the_session_and_the_first_stays(over: Over) {
    let (site, mut before) = victim(over, "").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![files(&[("more", 1), ("new", 5)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let new = FileId { directory: 0, index: 1 };
    control.lane(0).await.records(&[whole(new, b"first"), whole(new, b"other")]).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    let after = snapshot(&site.root());
    before.insert("dst/new".into(), after[std::path::Path::new("dst/new")].clone());
    assert_eq!(after, before);
    assert!(matches!(&after[std::path::Path::new("dst/new")], Node::File(content, ..) if content == b"first"));
    serves_on(&site).await;
}

async fn content_with_another_digest_does_not_get_its_name(over: Over) {
    let (site, mut before) = victim(over, "").await;
    put(&site.root(), "dst/large", "old large");
    before.extend(snapshot(&site.root()));
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let names = files(&[("keep", 3), ("large", 6 << 20), ("new", 5)]);
    control.tell(vec![directory("", 3)], vec![names]).await;
    assert_eq!(control.wanted().await, [0, 1, 2]);
    let file = |index| FileId { directory: 0, index };
    let content = noise(100_000, 3);
    control
        .lane(0)
        .await
        .records(&[
            Record::Whole { file: file(0), meta: None, content: b"bad", digest: digest(b"good") },
            Record::Begin { file: file(1) },
            Record::Literal(&content),
            Record::Hole { bytes: 1 << 20 },
            Record::End { meta: None, digest: digest(&content) },
            Record::Whole { file: file(2), meta: None, content: b"lies!", digest: [0; 32] },
        ])
        .await;
    for path in ["dst/keep", "dst/large", "dst/new"] {
        let issue = control.issue().await;
        assert_eq!(issue.kind, IssueKind::Integrity);
        assert_eq!(format!("dst/{}", issue.path.escape_ascii()), path);
        assert_eq!(issue.old_kept, path != "dst/new", "there was something to keep");
    }
    control.finished().await;
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}

async fn packs_that_lie_about_their_length_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    let header = |compressed: u8, stored: u32, raw: u32| {
        let mut out = vec![compressed];
        out.extend_from_slice(&stored.to_be_bytes());
        out.extend_from_slice(&raw.to_be_bytes());
        out
    };
    let cap = u32::try_from(limits::PACK_BYTES_MAX).unwrap();
    // No byte of it begins a record.
    let filling = vec![0xee; 1 << 20];
    let bomb = lz4_flex::block::compress(&filling);
    let small = u32::try_from(bomb.len()).unwrap();
    let with = |head: Vec<u8>, rest: &[u8]| [&head[..], rest].concat();
    for bytes in [
        header(2, 1, 1),
        header(255, 1, 1),
        header(0, 0, 0),
        header(1, 0, 9),
        header(0, 5, 6),
        header(1, 6, 6),
        header(1, 7, 6),
        header(0, cap + 1, cap + 1),
        header(1, 9, cap + 1),
        header(1, 9, u32::MAX),
        header(0, u32::MAX, u32::MAX),
        // A bomb: more comes out than was told, or less, or nothing that is a block at all.
        with(header(1, small, 100 + small), &bomb),
        with(header(1, small, (1 << 20) - 1), &bomb),
        with(header(1, small, (1 << 20) + 1), &bomb),
        with(header(1, 64, cap), &noise(64, 9)),
        // The content decompresses to something else than records.
        with(header(1, small, 1 << 20), &bomb),
        with(header(0, 1, 1), b"\x07"),
        with(header(0, 3, 3), b"\0\0\0"),
        with(header(0, 2, 2), b"\x02\x05"),
        // A whole file over its cap, and spans of nothing or of too much.
        with(header(0, 7, 7), b"\0\0\0\0\x81\x80\x08"),
        with(header(0, 5, 5), b"\x01\0\0\x04\0"),
        with(header(0, 5, 5), b"\x01\0\0\x03\0"),
    ] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(0).await.raw(&bytes).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} {}", error.message, bytes[..9].escape_ascii());
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

async fn a_lane_cut_short_ends_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    let mut records = Vec::new();
    whole(FIRST, b"content").encode(&mut records);
    let header = PackHeader { compressed: false, stored_bytes: records.len(), raw_bytes: records.len() }.encode();
    let pack = [&header[..], &records].concat();
    for end in [1, 8, 9, 10, pack.len() - 1] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 7).await;
        let mut lane = control.lane(0).await;
        lane.raw(&pack[..end]).await;
        lane.send.finish();
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{end} bytes");
    }
    // Between two packs, inside a file.
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, 7).await;
    let mut lane = control.lane(0).await;
    lane.records(&[Record::Begin { file: FIRST }, Record::Literal(b"con")]).await;
    lane.send.finish();
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

async fn a_lane_that_the_session_does_not_have_ends_it(over: Over) {
    let (site, before) = victim(over, "").await;
    for lane in [2, 3, 255] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(lane).await.records(&[whole(FIRST, b"x")]).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    }
    unharmed(&site, &before).await;
}

/// Only QUIC names a lane when it opens it.
#[tokio::test]
async fn a_lane_that_is_opened_twice_ends_the_session() {
    let (site, before) = victim(Over::Quic, "").await;
    let raw = site.raw().await;
    let mut control = raw.session(push_to("dst")).await;
    asked_for(&mut control, 1).await;
    let first = control.lane(0).await;
    let second = support::stray_lane(&raw, control.send.quic().id().index(), 0).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    drop((first, second));
    unharmed(&site, &before).await;
}

/// A pipe has no lanes of no session: the connection ends with the first, as a test of its framing has it.
#[tokio::test]
async fn lanes_of_no_session_are_kept_apart_from_those_of_one() {
    let (site, _) = victim(Over::Quic, "").await;
    let raw = site.raw().await;
    // Most of what the connection may have open, of sessions that there are not.
    let mut strays = Vec::new();
    for number in 0..48u64 {
        let mut lane = support::stray_lane(&raw, 1_000_000 + number, 0).await;
        lane.raw(&noise(1000, number)).await;
        strays.push(lane);
    }
    for session in 0..20u32 {
        let mut control = raw.session(push_to("dst")).await;
        asked_for(&mut control, 5).await;
        let content = format!("{session:5}").into_bytes();
        control.lane(0).await.records(&[whole(FIRST, &content)]).await;
        control.finished().await;
        assert_eq!(std::fs::read(site.root().join("dst/new")).unwrap(), content);
        std::fs::remove_file(site.root().join("dst/new")).unwrap();
    }
    drop(strays);
    serves_on(&site).await;
}

async fn sizes_that_no_sum_can_hold_do_no_harm(over: Over) {
    let (site, before) = victim(over, "").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let huge: Vec<(String, u64)> = (0..9).map(|n| (format!("huge{n}"), limits::FILE_BYTES_MAX)).collect();
    let names: Vec<(&str, u64)> = huge.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    control.tell(vec![directory("", 9)], vec![files(&names)]).await;
    assert_eq!(control.wanted().await.len(), 9);
    // A hole that takes years to hash: the session ends when its client goes, not then.
    control
        .lane(0)
        .await
        .records(&[Record::Begin { file: FIRST }, Record::Hole { bytes: limits::FILE_BYTES_MAX - 1 }])
        .await;
    control.wire.close();
    site.idle().await;
    assert_eq!(contents(&site.root()).len(), before.len() + leftovers(&site.root()).len());
    for path in leftovers(&site.root()) {
        std::fs::remove_file(site.root().join(path)).unwrap();
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

async fn a_hole_that_no_file_can_have_costs_its_file_alone(over: Over) {
    const BYTES: u64 = 1 << 60;
    let (site, before) = victim(over, "").await;
    let takes_all = |path: &std::path::Path| {
        let file = std::fs::File::create(path).unwrap();
        let taken = file.set_len(BYTES).is_ok();
        std::fs::remove_file(path).unwrap();
        taken
    };
    // Some file systems have files of any length.
    if takes_all(&site.root().join("probe")) {
        return;
    }
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, BYTES).await;
    // Its zeros would take years to hash.
    let records =
        [Record::Begin { file: FIRST }, Record::Hole { bytes: BYTES }, Record::End { meta: None, digest: [0; 32] }];
    control.lane(0).await.records(&records).await;
    let issue = control.issue().await;
    assert_eq!((issue.kind, issue.path.as_slice()), (IssueKind::Write, &b"new"[..]), "{}", issue.message);
    control.finished().await;
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}

on_every_transport!(
    a_hole_that_no_file_can_have_costs_its_file_alone,
    content_that_was_not_asked_for_ends_the_session,
    content_that_comes_twice_ends_the_session_and_the_first_stays,
    content_with_another_digest_does_not_get_its_name,
    packs_that_lie_about_their_length_end_the_session,
    a_lane_cut_short_ends_the_session,
    a_lane_that_the_session_does_not_have_ends_it,
    sizes_that_no_sum_can_hold_do_no_harm
);
