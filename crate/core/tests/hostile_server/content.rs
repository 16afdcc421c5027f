//! What a server sends on data lanes, and what stands in the way of it at the destination.

use std::path::Path;

use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{Frame, Grant, Kind, WireError};
use sparsync_core::{ErrorKind, Side};

use crate::support::over::on_every_transport;
use crate::support::{
    Over, contents, digest, directory, eventually, files, leftovers, listing, pull_from, snapshot, unhung,
};
use crate::{failed, outside_untouched, pull, trap};

async fn content_before_its_listing_or_its_question_fails_the_run(over: Over) {
    let link = FileId { directory: 0, index: 1 };
    for records in [
        vec![Record::Whole { file: link, meta: None, content: b"x", digest: digest(b"x") }],
        vec![Record::Begin { file: link }, Record::Literal(b"x")],
    ] {
        let trap = trap(over).await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, pull_from("tree"));
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.lane(0).await.records(&records).await;
        // A file that is waited for, and a symlink, which has no content.
        let names = listing(&[("a", Kind::File, 9, ""), ("z", Kind::Symlink, 0, "t")]);
        control.tell(vec![directory("", 2)], vec![names]).await;
        control.gone().await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote));
        let mut after = snapshot(&trap.local());
        after.remove(Path::new("z"));
        assert_eq!(after, before);
    }
}

async fn a_symlink_of_the_tree_is_never_written_through_cve_2024_12087(over: Over) {
    let trap = trap(over).await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    let target = trap.outside();
    let root = listing(&[("link", Kind::Symlink, 0, target.to_str().unwrap())]);
    control.tell(vec![directory("", 1), directory("link", 1)], vec![root, files(&[("secret", 5)])]).await;
    while control.wanted().await != [0] {}
    let file = FileId { directory: 1, index: 0 };
    let record = Record::Whole { file, meta: None, content: b"owned", digest: digest(b"owned") };
    control.lane(0).await.records(&[record]).await;
    control.finished().await;
    unhung(job.done()).await.unwrap();
    outside_untouched(&trap);
    assert_eq!(std::fs::read(trap.local().join("link/secret")).unwrap(), b"owned");
}

/// What is unsafe is judged where the symlink would be made, on its text.
async fn unsafe_symlinks_of_a_server_that_sends_them_are_not_made_cve_2024_12088(over: Over) {
    let trap = trap(over).await;
    let mut request = pull_from("tree");
    request.attributes.safe_links = true;
    let job = pull(&trap, request);
    let mut control = trap.accepted(Grant::AsAsked).await;
    let targets = [("a", "/etc"), ("b", "../x"), ("c", "d/../../x"), ("d", "./../x"), ("z", "safe/target")];
    let entries: Vec<_> = targets.iter().map(|(name, target)| (*name, Kind::Symlink, 0, *target)).collect();
    control.tell(vec![directory("", 5)], vec![listing(&entries)]).await;
    control.finished().await;
    unhung(job.done()).await.unwrap();
    let made = |name: &str| trap.local().join(name).symlink_metadata().is_ok();
    assert_eq!(targets.map(|(name, _)| made(name)), [false, false, false, false, true]);
}

async fn a_symlink_that_appears_at_the_destination_is_not_followed_cve_2026_29518(over: Over) {
    let trap = trap(over).await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    let names = vec![listing(&[("sub", Kind::Directory, 0, "")]), files(&[("secret", 5)])];
    control.tell(vec![directory("", 1), directory("sub", 1)], names).await;
    while control.wanted().await != [0] {}
    // Between the comparison and the write somebody puts a symlink in the place of the directory.
    std::fs::rename(trap.local().join("sub"), trap.local().join("moved")).unwrap();
    std::os::unix::fs::symlink(trap.outside(), trap.local().join("sub")).unwrap();
    let file = FileId { directory: 1, index: 0 };
    let record = Record::Whole { file, meta: None, content: b"owned", digest: digest(b"owned") };
    control.lane(0).await.records(&[record]).await;
    let result = unhung(job.done()).await.unwrap();
    assert_eq!(result.failures.failures.len(), 2, "the file, and the time of its directory");
    outside_untouched(&trap);
}

async fn content_with_another_digest_is_reported_and_not_kept(over: Over) {
    let trap = trap(over).await;
    let before = contents(&trap.local());
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(vec![directory("", 2)], vec![files(&[("keep", 9), ("new", 9)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let bad = |index| Record::Whole {
        file: FileId { directory: 0, index },
        meta: None,
        content: b"not it",
        digest: digest(b"it"),
    };
    control.lane(1).await.records(&[bad(0), bad(1)]).await;
    let result = unhung(job.done()).await.unwrap();
    let kinds: Vec<_> = result.failures.failures.iter().map(|issue| (issue.kind.as_str(), issue.old_kept)).collect();
    assert_eq!(kinds, [("integrity", true), ("integrity", false)]);
    let mut after = contents(&trap.local());
    assert!(leftovers(&trap.local()).is_empty());
    after.remove(Path::new("new"));
    assert_eq!(after, before);
}

/// On a pipe the reason comes by the same stream of bytes as the lane.
#[tokio::test]
async fn a_lane_that_is_given_up_leaves_time_for_the_reason() {
    let trap = trap(Over::Quic).await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(vec![directory("", 2)], vec![files(&[("keep", 9), ("new", 9)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let mut lane = control.lane(1).await;
    let file = FileId { directory: 0, index: 1 };
    lane.records(&[Record::Whole { file, meta: None, content: b"it is new", digest: digest(b"it is new") }]).await;
    eventually(|| trap.local().join("new").exists()).await;
    let before = contents(&trap.local());
    // The head of a pack and a part of it: where a sender is found most of the time.
    lane.raw(&[0, 0, 0, 0, 99, 0, 0, 0, 99, 0, 0, 0]).await;
    let _ = lane.send.quic().reset(3u32.into());
    // A stream whose reset has arrived is no more.
    eventually(|| lane.send.quic().priority().is_err()).await;
    let reason =
        WireError { kind: ErrorKind::Closed, message: "shutting down".to_owned(), path: None, details: Vec::new() };
    control.write(&Frame::Abort(reason)).await;
    let error = failed(&job).await;
    assert_eq!((error.kind(), error.side(), error.message()), (ErrorKind::Closed, Side::Remote, "shutting down"));
    assert_eq!(contents(&trap.local()), before);
}

on_every_transport!(
    content_before_its_listing_or_its_question_fails_the_run,
    a_symlink_of_the_tree_is_never_written_through_cve_2024_12087,
    unsafe_symlinks_of_a_server_that_sends_them_are_not_made_cve_2024_12088,
    a_symlink_that_appears_at_the_destination_is_not_followed_cve_2026_29518,
    content_with_another_digest_is_reported_and_not_kept
);
