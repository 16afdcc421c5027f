//! What a client asks and copies of what stands in the place of files.

use sparsync_core::ErrorKind;
use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{Frame, IssueKind, Request};

use crate::support::Over;
use crate::support::over::{on_every_network, on_every_transport};
use crate::support::{
    Control, Lane, Site, contents, digest, directory, files, leftovers, noise, push_to, put, snapshot,
};
use crate::{FIRST, outside_untouched, serves_on};

const BYTES: usize = 300_000;
const OTHER: FileId = FileId { directory: 0, index: 1 };

fn sign(file: FileId) -> Record<'static> {
    Record::Sign { file, level: 0 }
}

/// A site with an old state of a file, and a session in which it and a new one are wanted.
async fn asked(over: Over, allow: &str, request: Request) -> (Site, Control, Lane) {
    let site = Site::over(over, allow).await;
    put(&site.root(), "dst/changed", noise(BYTES, 1));
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![files(&[("changed", 400_000), ("new", 400_000)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let lane = control.lane(0).await;
    (site, control, lane)
}

/// What the server says of a file that it was asked about.
async fn told(control: &mut Control) -> Vec<u64> {
    loop {
        match control.next().await {
            Some(Frame::Need(_)) => {}
            Some(Frame::Chunks { file: FIRST, more: false, chunks }) => {
                return chunks.iter().map(|chunk| chunk.bytes).collect();
            }
            other => panic!("no parts but {other:?}"),
        }
    }
}

async fn questions_and_copies_out_of_place_end_the_session(over: Over) {
    let begun = || vec![sign(FIRST), Record::Begin { file: FIRST }];
    let from = |offset, bytes| Record::CopyFrom { offset, bytes };
    let with = |mut records: Vec<Record<'static>>, more: Vec<Record<'static>>| {
        records.extend(more);
        records
    };
    for records in [
        // Of what is not there, was not offered or never told of, twice, inside of a file, and at no level.
        vec![sign(OTHER)],
        vec![sign(FileId { directory: 0, index: 9 })],
        vec![sign(FileId { directory: 9, index: 0 })],
        vec![sign(FIRST), sign(FIRST)],
        with(begun(), vec![sign(FIRST)]),
        vec![Record::Begin { file: OTHER }, sign(FIRST)],
        vec![Record::Sign { file: FIRST, level: 9 }],
        // Pieces of what was not told, and twice.
        vec![Record::Ask { file: FIRST, pieces: vec![0] }],
        vec![sign(FIRST), Record::Ask { file: FIRST, pieces: vec![0] }, Record::Ask { file: FIRST, pieces: vec![1] }],
        with(vec![Record::Sign { file: FIRST, level: 1 }], vec![Record::Ask { file: FIRST, pieces: vec![0] }; 3]),
        // Copies of what was not told, of what is beyond its end, and of more than the file had when it was listed.
        vec![Record::Begin { file: FIRST }, from(0, 1)],
        vec![Record::Begin { file: FIRST }, Record::CopyPieces { first: 0, count: 1 }],
        vec![sign(FIRST), Record::Begin { file: OTHER }, from(0, 1)],
        with(begun(), vec![from(BYTES as u64, 1)]),
        with(begun(), vec![from(u64::from(u32::MAX), 1)]),
        with(begun(), vec![Record::CopyPieces { first: 0, count: u32::MAX }]),
        with(begun(), vec![Record::CopyPieces { first: 9999, count: 1 }]),
        with(begun(), vec![from(0, 300_000), from(0, 300_000)]),
        with(begun(), vec![Record::Begin { file: FIRST }, from(0, 1)]),
        vec![Record::Mark],
    ] {
        let (site, mut control, mut lane) = asked(over, "", push_to("dst")).await;
        let before = contents(&site.root());
        lane.records(&records).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} for {records:?}", error.message);
        assert_eq!(contents(&site.root()), before);
        outside_untouched(&site);
    }
}

async fn a_key_that_may_not_read_is_told_nothing(over: Over) {
    for allow in ["allow=write", "allow=write,delete,owner"] {
        let (site, mut control, mut lane) = asked(over, allow, push_to("dst")).await;
        lane.records(&[sign(FIRST)]).await;
        loop {
            match control.next().await {
                Some(Frame::Abort(error)) => break assert_eq!(error.kind, ErrorKind::Protocol),
                Some(Frame::Chunks { .. } | Frame::Bases { .. }) => panic!("something was told"),
                Some(_) => {}
                None => panic!("the server ended without a word"),
            }
        }
        serves_on(&site).await;
    }
}

async fn what_changes_while_it_is_copied_is_told_and_the_old_file_stays(over: Over) {
    for shrinks in [false, true] {
        let (site, mut control, mut lane) = asked(over, "", push_to("dst")).await;
        lane.records(&[sign(FIRST)]).await;
        let parts = told(&mut control).await;
        assert_eq!(parts.iter().sum::<u64>(), BYTES as u64);
        let old = noise(BYTES, 1);
        let mut pieces = blake3::Hasher::new();
        let mut at = 0;
        for bytes in &parts {
            let end = at + usize::try_from(*bytes).unwrap();
            pieces.update(&digest(&old[at..end]));
            at = end;
        }
        let new = noise(if shrinks { 5000 } else { BYTES }, 2);
        put(&site.root(), "dst/changed", &new);
        lane.records(&[
            Record::Begin { file: FIRST },
            Record::CopyPieces { first: 0, count: u32::try_from(parts.len()).unwrap() },
            Record::End { meta: None, digest: *pieces.finalize().as_bytes() },
            Record::Failed { file: OTHER, kind: IssueKind::Vanished, message: "gone".to_owned() },
        ])
        .await;
        let issue = control.issue().await;
        assert_eq!((issue.kind, &issue.path[..], issue.old_kept), (IssueKind::Integrity, &b"changed"[..], true));
        assert!(issue.message.contains("changed while"), "{}", issue.message);
        assert_eq!(control.issue().await.path, b"new");
        control.finished().await;
        assert!(std::fs::read(site.root().join("dst/changed")).unwrap() == new);
        assert!(leftovers(&site.root()).is_empty());
    }
}

async fn in_place_nothing_is_copied_from_what_was_written_over(over: Over) {
    let (site, mut control, mut lane) = asked(over, "", Request { inplace: true, ..push_to("dst") }).await;
    lane.records(&[sign(FIRST), Record::Begin { file: FIRST }]).await;
    told(&mut control).await;
    lane.records(&[Record::Literal(&noise(1000, 3)), Record::CopyFrom { offset: 999, bytes: 10 }]).await;
    lane.records(&[Record::End { meta: None, digest: [0; 32] }]).await;
    let issue = control.issue().await;
    assert_eq!((issue.kind, issue.old_kept), (IssueKind::Integrity, false));
    assert!(issue.message.contains("written over"), "{}", issue.message);
    drop((lane, control));
    serves_on(&site).await;
}

async fn a_lane_asks_about_one_file_at_a_time(over: Over) {
    let site = Site::over(over, "").await;
    let names = ["f0", "f1"];
    for name in names {
        put(&site.root(), &format!("dst/{name}"), noise(BYTES, 1));
    }
    let before = snapshot(&site.root());
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![files(&names.map(|name| (name, 400_000)))]).await;
    assert_eq!(control.wanted().await.len(), names.len());
    let mut lane = control.lane(0).await;
    lane.records(&[0, 1].map(|index| sign(FileId { directory: 0, index }))).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(snapshot(&site.root()), before);
}

on_every_transport!(
    questions_and_copies_out_of_place_end_the_session,
    what_changes_while_it_is_copied_is_told_and_the_old_file_stays,
    in_place_nothing_is_copied_from_what_was_written_over,
    a_lane_asks_about_one_file_at_a_time
);

mod on_networks {
    use super::*;
    on_every_network!(a_key_that_may_not_read_is_told_nothing);
}
