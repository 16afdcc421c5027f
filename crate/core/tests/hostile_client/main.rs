//! A server against clients that hold an authorized key and break the protocol: each is told why it is turned away,
//! nothing outside what it may write changes, and the next client is served.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod content;
mod delta;
mod endings;
mod requests;
mod scope;
#[path = "../support/mod.rs"]
mod support;
mod tree;

use sparsync_core::ErrorKind;
use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{Grant, Request};
use support::{
    Control, Node, Over, Site, Snapshot, contents, digest, directory, files, noise, push_to, put, run, snapshot,
};

const FIRST: FileId = FileId { directory: 0, index: 0 };

fn whole(file: FileId, content: &[u8]) -> Record<'_> {
    Record::Whole { file, meta: None, content, digest: digest(content) }
}

/// A site whose root holds a tree that somebody may want to break, and what it looked like.
async fn victim(over: Over, allow: &str) -> (Site, Snapshot) {
    let site = Site::over(over, allow).await;
    put(&site.root(), "dst/keep", "old");
    put(&site.root(), "dst/sub/inner", "old too");
    put(&site.root(), "other/file", "not yours");
    std::os::unix::fs::symlink(site.outside(), site.root().join("dst/link")).unwrap();
    let before = snapshot(&site.root());
    (site, before)
}

/// Nothing has changed, and the server goes on serving.
async fn unharmed(site: &Site, before: &Snapshot) {
    assert_eq!(snapshot(&site.root()), *before);
    outside_untouched(site);
    serves_on(site).await;
}

fn outside_untouched(site: &Site) {
    let outside = snapshot(&site.outside());
    assert_eq!(outside.len(), 1);
    assert!(matches!(&outside[std::path::Path::new("secret")], Node::File(content, ..) if content == b"untouched"));
}

/// An honest client with the same key and a connection of its own is served.
async fn serves_on(site: &Site) {
    put(&site.local(), "honest/a", "a");
    put(&site.local(), "honest/b/c", noise(300_000, 1));
    let client = site.client().await;
    let result = run(&client, push_to("honest"), &site.local().join("honest")).await.unwrap();
    assert!(result.failures.failures.is_empty());
    assert_eq!(contents(&site.root().join("honest")), contents(&site.local().join("honest")));
}

/// The root `dst` with one file that is not there yet: granted as asked, and asked for.
async fn asked_for(control: &mut Control, size: u64) {
    assert_eq!(control.accepted().await.grant, Grant::AsAsked);
    control.tell(vec![directory("", 1)], vec![files(&[("new", size)])]).await;
    assert_eq!(control.wanted().await, [0]);
}

/// Sends `bodies` to a session that was accepted and expects the session to end for them.
async fn refused_in_session(site: &Site, request: Request, bodies: &[Vec<u8>]) {
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    for body in bodies {
        control.write_body(body).await;
    }
    let error = control.abort().await;
    assert_eq!(error.kind, ErrorKind::Protocol, "{} for {:?}", error.message, bodies.last());
}

fn timeless(before: &Snapshot) -> Snapshot {
    before
        .iter()
        .map(|(path, node)| match node {
            Node::File(content, mode, _) => (path.clone(), Node::File(content.clone(), *mode, 0)),
            node => (path.clone(), node.clone()),
        })
        .collect()
}
