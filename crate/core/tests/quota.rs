//! A key with a quota fills its prefix up to it and no further, over as many runs as it likes.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use support::{Site, noise, push_to, put, run};

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
    // What is there already costs nothing.
    run(&client, push_to("first"), &site.local()).await.unwrap();
    assert_eq!(bytes_below(&site.root()), 800_000);
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
