//! Deletions: what looks like an accident is refused before the first of them, and says why.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::path::Path;

use sparsync_core::proto::{Deletion, Request};
use sparsync_core::{Detail, Error, ErrorKind, JobResult};
use support::{Site, contents, deleting, pull_from, push_to, put, run, snapshot, stat};

fn fill(top: &Path, names: std::ops::Range<u32>, prefix: &str) {
    for n in names {
        put(top, &format!("{prefix}{n}"), format!("{n}"));
    }
}

fn detail<'a>(error: &'a Error, name: &str) -> &'a Detail {
    &error.details().iter().find(|(detail, _)| detail == name).unwrap().1
}

/// Pushes with deletions and pulls the same trees the other way round: the guard stands at the receiver.
async fn both_ways(
    source: impl Fn(&Path),
    destination: impl Fn(&Path),
    change: impl Fn(Request) -> Request,
) -> Vec<(JobResult, Site, std::path::PathBuf, support::Snapshot)> {
    let mut all = Vec::new();
    for push in [true, false] {
        let site = Site::new("").await;
        let remote = site.root().join("dst");
        std::fs::create_dir(&remote).unwrap();
        let local = site.local();
        let (from, to) = if push { (&local, &remote) } else { (&remote, &local) };
        source(from);
        destination(to);
        let to = to.clone();
        let before = snapshot(&to);
        let request = change(deleting(if push { push_to("dst") } else { pull_from("dst") }));
        let client = site.client().await;
        let result = run(&client, request, &local).await.unwrap();
        all.push((result, site, to, before));
    }
    all
}

#[tokio::test]
async fn an_empty_source_deletes_no_ten_entries() {
    for (count, refuses) in [(9, false), (10, true)] {
        for (result, _site, to, before) in both_ways(|_| {}, |to| fill(to, 0..count, "f"), |request| request).await {
            assert_eq!(result.refused.is_some(), refuses, "{count}");
            assert_eq!(snapshot(&to) == before, refuses);
            if let Some(error) = result.refused {
                assert_eq!(error.kind(), ErrorKind::DeleteRefused);
                assert_eq!(detail(&error, "reason"), &Detail::Text("source-empty".to_owned()));
                assert!(error.message().contains("--allow-mass-delete"), "{error}");
                assert_eq!(stat(&result_of(result.stats), "files_deleted"), 0);
            }
        }
    }
}

fn result_of(stats: Vec<(&'static str, u64)>) -> JobResult {
    JobResult { stats, failures: sparsync_core::Failures::default(), refused: None, profile: None }
}

#[tokio::test]
async fn an_empty_directory_below_is_guarded_too_and_the_rest_arrives() {
    let source = |from: &Path| {
        fill(from, 0..500, "many/f");
        put(from, "new", "arrives");
        std::fs::create_dir(from.join("mount")).unwrap();
    };
    let destination = |to: &Path| {
        fill(to, 0..500, "many/f");
        fill(to, 0..60, "mount/a/f");
        fill(to, 0..60, "mount/b/f");
        put(to, "extra", "stays");
    };
    for (result, _site, to, _) in both_ways(source, destination, |request| request).await {
        let error = result.refused.unwrap();
        assert_eq!(error.kind(), ErrorKind::DeleteRefused);
        assert_eq!(error.path(), Some(&b"mount"[..]));
        assert!(to.join("new").exists() && to.join("extra").exists() && to.join("mount/b/f59").exists());
    }
}

#[tokio::test]
async fn half_of_the_tree_does_not_go_unasked() {
    for (kept, refuses) in [(101, false), (99, true)] {
        let source = |from: &Path| fill(from, 0..kept, "f");
        let destination = |to: &Path| fill(to, 0..200, "f");
        for (result, _site, to, _) in both_ways(source, destination, |request| request).await {
            assert_eq!(result.refused.is_some(), refuses, "{kept} of 200");
            assert_eq!(contents(&to).len(), if refuses { 200 } else { kept as usize });
        }
    }
}

#[tokio::test]
async fn new_names_for_all_are_no_loss() {
    let source = |from: &Path| fill(from, 0..200, "new-");
    let destination = |to: &Path| fill(to, 0..200, "old-");
    for (result, _site, to, _) in both_ways(source, destination, |request| request).await {
        assert!(result.refused.is_none());
        assert_eq!(contents(&to).len(), 200);
        assert!(to.join("new-0").exists());
    }
}

#[tokio::test]
async fn who_asks_for_it_gets_it() {
    let lifted = |request: Request| Request { deletion: Deletion { allow_mass: true, ..request.deletion }, ..request };
    for (result, _site, to, _) in both_ways(|_| {}, |to| fill(to, 0..150, "d/f"), lifted).await {
        assert!(result.refused.is_none());
        assert!(contents(&to).is_empty());
        assert_eq!(stat(&result, "files_deleted"), 150);
        assert_eq!(stat(&result, "directories_deleted"), 1);
    }
}

#[tokio::test]
async fn a_limit_is_a_limit() {
    let limited = |request: Request| Request { deletion: Deletion { max: Some(7), ..request.deletion }, ..request };
    let source = |from: &Path| fill(from, 0..50, "f");
    let destination = |to: &Path| fill(to, 0..70, "f");
    for (result, _site, to, _) in both_ways(source, destination, limited).await {
        assert_eq!(result.refused.as_ref().unwrap().kind(), ErrorKind::MaxDelete);
        assert_eq!(stat(&result, "files_deleted"), 7);
        assert_eq!(contents(&to).len(), 63);
    }
}

#[tokio::test]
async fn a_plan_refuses_the_same_and_does_nothing() {
    let dry = |request: Request| Request { dry_run: true, ..request };
    for (result, _site, to, before) in both_ways(|_| {}, |to| fill(to, 0..150, "f"), dry).await {
        assert_eq!(result.refused.unwrap().kind(), ErrorKind::DeleteRefused);
        assert_eq!(snapshot(&to), before);
    }
}

#[tokio::test]
async fn a_source_that_cannot_be_read_in_full_deletes_nothing() {
    // Root reads everything, so a name that no peer takes stands for what cannot be read: there is none on Linux,
    // and a directory that vanishes cannot be timed. A file that becomes a directory in its place is left to others.
    let site = Site::new("").await;
    std::fs::create_dir(site.root().join("dst")).unwrap();
    put(&site.root(), "dst/extra", "stays");
    let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    control.write(&sparsync_core::proto::Frame::Directories(vec![support::directory("", 0)])).await;
    let end = sparsync_core::proto::Frame::TreeEnd { directories: 1, entries: 0, bytes: 0, errors: 1 };
    control.write(&end).await;
    let list = support::files(&[]);
    control.write(&sparsync_core::proto::Frame::List { directory: 0, more: false, listing: list }).await;
    control.finished().await;
    assert!(site.root().join("dst/extra").exists());
}

#[tokio::test]
async fn a_directory_gives_way_to_a_file_only_where_deletions_do() {
    let source = |from: &Path| put(from, "thing", "a file now");
    let destination = |to: &Path| fill(to, 0..150, "thing/f");
    for (result, _site, to, before) in both_ways(source, destination, |request| request).await {
        // 150 entries for one: more than half is lost.
        assert_eq!(result.refused.unwrap().kind(), ErrorKind::DeleteRefused);
        let mut after = snapshot(&to);
        after.retain(|path, _| before.contains_key(path));
        assert_eq!(after, before);
        assert!(support::leftovers(&to).is_empty());
    }
    let source = |from: &Path| put(from, "thing", "a file now");
    let destination = |to: &Path| fill(to, 0..20, "thing/f");
    for (result, _site, to, _) in both_ways(source, destination, |request| request).await {
        assert!(result.refused.is_none());
        assert_eq!(std::fs::read(to.join("thing")).unwrap(), b"a file now");
    }
}
