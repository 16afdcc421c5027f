//! A key with a quota fills its prefix up to it and no further, over as many runs as it likes.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use sparsync_core::proto::Grant;
use sparsync_core::proto::pack::{FileId, Record};
use support::{Control, RawClient, Site, deleting, directory, eventually, files, leftovers, noise, push_to, put, run};

const FIRST: FileId = FileId { directory: 0, index: 0 };

fn bytes_below(top: &std::path::Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(top).unwrap() {
        let entry = entry.unwrap();
        let stat = entry.metadata().unwrap();
        bytes += if stat.is_dir() { bytes_below(&entry.path()) } else { stat.len() };
    }
    bytes
}

#[tokio::test]
async fn bytes_are_counted_over_all_that_the_key_holds() {
    let site = Site::new("allow=read,write,delete quota=1M").await;
    let client = site.client().await;
    put(&site.local(), "a", noise(700_000, 1));
    run(&client, push_to("first"), &site.local()).await.unwrap();

    let error = run(&client, push_to("second"), &site.local()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(bytes_below(&site.root()) <= 1 << 20);

    // In place of what is there it still fits: the room of the old content is the new one's.
    put(&site.local(), "a", noise(800_000, 2));
    run(&client, push_to("first"), &site.local()).await.unwrap();
    // Content that is there already takes no further room.
    run(&client, push_to("first"), &site.local()).await.unwrap();
    assert_eq!(bytes_below(&site.root()), 800_000);
}

#[tokio::test]
async fn what_a_file_has_beyond_its_listing_is_counted() {
    let site = Site::new("allow=read,write quota=1M").await;
    put(&site.root(), "dst/there", "x");
    let raw = site.raw().await;
    let literal = noise(100_000, 1);
    for beyond in [vec![Record::Literal(&literal); 11], vec![Record::Hole { bytes: 2 << 20 }]] {
        let mut control = reserves(&raw, "dst", 10).await;
        let mut lane = control.lane(0).await;
        lane.records(&[Record::Begin { file: FIRST }]).await;
        lane.records(&beyond).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Limit, "{} for {} records", error.message, beyond.len());
    }
}

#[tokio::test]
async fn entries_are_counted_too() {
    let site = Site::new("allow=read,write entries=10").await;
    let client = site.client().await;
    for index in 0..9 {
        put(&site.local(), &format!("file{index}"), "x");
    }
    run(&client, push_to("dst"), &site.local()).await.unwrap();
    put(&site.local(), "one", "x");
    put(&site.local(), "too-many", "x");
    let error = run(&client, push_to("dst"), &site.local()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

/// A session that is to put `bytes` into `path`, and has put nothing there yet.
async fn reserves(raw: &RawClient, path: &str, bytes: u64) -> Control {
    let mut control = raw.session(push_to(path)).await;
    let grant = control.accepted().await.grant;
    control.tell(vec![directory("", 1)], vec![files(&[("reserved", bytes)])]).await;
    if grant == Grant::AsAsked {
        assert_eq!(control.wanted().await, [0]);
    }
    control
}

/// A site with these directories, none of them empty: the server then asks for what it takes room for.
async fn site_with(allow: &str, directories: &[&str]) -> Site {
    let site = Site::new(allow).await;
    for directory in directories {
        put(&site.root(), &format!("{directory}/there"), "x");
    }
    site
}

async fn limited(site: &Site, path: &str, local: &str) {
    let client = site.client().await;
    let error = run(&client, push_to(path), &site.local().join(local)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
}

#[tokio::test]
async fn runs_at_the_same_time_keep_to_it_together() {
    let site = site_with("quota=1M", &["first", "second", "third"]).await;
    put(&site.local(), "half/a", noise(600_000, 1));
    let raw = site.raw().await;
    let first = reserves(&raw, "first", 600_000).await;
    // This one keeps the account open for as long as the test takes.
    let _third = reserves(&site.raw().await, "third", 10).await;
    limited(&site, "second", "half").await;
    // Room that a run has reserved and never used is free for others when the run has ended.
    drop((first, raw));
    let client = site.client().await;
    let ended = || site.server.stats().contains(&("sessions_active", 1));
    eventually(ended).await;
    run(&client, push_to("second"), &site.local().join("half")).await.unwrap();
    // Content that the second run has left stays counted after its end.
    limited(&site, "first", "half").await;
    assert!(bytes_below(&site.root()) <= 1 << 20);
    // Room of deleted entries is free for the next run.
    put(&site.local(), "little/a", "x");
    run(&client, deleting(push_to("second")), &site.local().join("little")).await.unwrap();
    run(&client, push_to("first"), &site.local().join("half")).await.unwrap();
}

#[tokio::test]
async fn all_parts_of_a_key_count_together() {
    let site = Site::new("root=r/one root=r/two root=r/two/below quota=1M").await;
    let client = site.client().await;
    put(&site.local(), "half/a", noise(600_000, 1));
    put(&site.local(), "quarter/a", noise(300_000, 1));
    run(&client, push_to("one"), &site.local().join("half")).await.unwrap();
    limited(&site, "two", "half").await;
    // A part within another one counts once.
    run(&client, push_to("two/below"), &site.local().join("quarter")).await.unwrap();
    limited(&site, "two/below/again", "quarter").await;
    assert!(bytes_below(&site.root()) <= 1 << 20);
}

#[tokio::test]
async fn what_is_left_unfinished_counts_until_a_run_goes_on_from_it() {
    const KEPT: u64 = 5 << 20;
    let site = site_with("quota=12M", &["first", "second"]).await;
    put(&site.local(), "large/reserved", noise(8 << 20, 1));
    let raw = site.raw().await;
    let mut control = reserves(&raw, "first", 8 << 20).await;
    let mut lane = control.lane(0).await;
    let content = noise(5 << 20, 1);
    lane.records(&[Record::Begin { file: FIRST }]).await;
    for bytes in content.chunks(128 << 10) {
        lane.records(&[Record::Literal(bytes)]).await;
    }
    eventually(|| bytes_below(&site.root()) >= KEPT).await;
    drop((lane, control, raw));
    site.idle().await;
    assert_eq!(leftovers(&site.root()).len(), 1);
    limited(&site, "second", "large").await;
    // There it is gone on from, or given up.
    let client = site.client().await;
    run(&client, push_to("first"), &site.local().join("large")).await.unwrap();
    assert_eq!(bytes_below(&site.root()), (8 << 20) + 2);
}

#[tokio::test]
async fn a_client_that_gives_back_nothing_of_what_it_said_is_stopped() {
    let site = Site::new("quota=1000").await;
    put(&site.root(), "dst/a", noise(900, 1));
    let raw = site.raw().await;
    // It says that `a` shrinks, which makes room for `b`, and sends `b` alone.
    let mut control = raw.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![files(&[("a", 10), ("b", 900)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let mut lane = control.lane(0).await;
    let content = noise(900, 2);
    let record = Record::Whole {
        file: FileId { directory: 0, index: 1 },
        meta: None,
        content: &content,
        digest: support::digest(&content),
    };
    lane.records(&[record]).await;
    eventually(|| bytes_below(&site.root()) == 1800).await;
    drop((lane, control));
    site.idle().await;
    // Not twice.
    let mut control = raw.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(vec![directory("", 3)], vec![files(&[("a", 10), ("b", 10), ("c", 900)])]).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Limit);
    drop(control);
    site.idle().await;
    // A run that makes the tree smaller is let through.
    put(&site.local(), "a", "small");
    let client = site.client().await;
    run(&client, deleting(push_to("dst")), &site.local()).await.unwrap();
    assert_eq!(bytes_below(&site.root()), 5);
}
