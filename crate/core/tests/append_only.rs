//! A key with the right to append makes new names and changes nothing that is there, whatever its client says.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{Compare, IssueKind, Kind, Request};
use support::{
    Node, Site, Snapshot, digest, directory, files, leftovers, listing, noise, push_to, put, run, snapshot, stat,
};

async fn site() -> (Site, Snapshot) {
    let site = Site::new("allow=append").await;
    put(&site.root(), "dst/keep", "old");
    put(&site.root(), "dst/sub/inner", "old too");
    put(&site.root(), "dst/was-file", "a file");
    std::fs::create_dir(site.root().join("dst/was-directory")).unwrap();
    std::os::unix::fs::symlink("keep", site.root().join("dst/link")).unwrap();
    for path in ["dst", "dst/sub"] {
        std::fs::set_permissions(site.root().join(path), std::fs::Permissions::from_mode(0o750)).unwrap();
    }
    let before = snapshot(&site.root());
    (site, before)
}

/// Everything that was there is there as it was; what is new is given back.
fn only_added(site: &Site, before: &Snapshot) -> Snapshot {
    let mut after = snapshot(&site.root());
    assert!(leftovers(&site.root()).is_empty());
    for (path, node) in before {
        assert_eq!(after.remove(path).as_ref(), Some(node), "{}", path.display());
    }
    after
}

#[tokio::test]
async fn new_names_arrive_and_old_ones_stay() {
    let (site, before) = site().await;
    let local = site.local();
    put(&local, "keep", "new content");
    put(&local, "sub/inner", "new as well");
    put(&local, "sub/more", "added");
    put(&local, "new/deep/file", noise(300_000, 1));
    put(&local, "was-file/below", "a file in its place");
    put(&local, "was-directory", "a file in the place of a directory");
    std::os::unix::fs::symlink("elsewhere", local.join("link")).unwrap();
    std::os::unix::fs::symlink("target", local.join("new-link")).unwrap();
    std::fs::set_permissions(local.join("sub"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let client = site.client().await;
    for compare in [Compare::Quick, Compare::Content, Compare::Size] {
        let mut request = push_to("dst");
        request.attributes.compare = compare;
        request.deletion.force = true;
        let result = run(&client, request, &local).await.unwrap();
        let mut refused: Vec<_> =
            result.failures.failures.iter().map(|issue| (issue.kind, issue.path.escape_ascii().to_string())).collect();
        refused.sort_by(|a, b| a.1.cmp(&b.1));
        let names = ["keep", "link", "sub/inner", "was-directory", "was-file", "was-file/below"];
        assert_eq!(refused, names.map(|name| (IssueKind::Scope, name.to_owned())), "{compare:?}");
        let added: Vec<_> = only_added(&site, &before).into_keys().collect();
        let expected = ["dst/new", "dst/new/deep", "dst/new/deep/file", "dst/new-link", "dst/sub/more"];
        assert_eq!(added, expected.map(std::path::PathBuf::from));
    }
}

#[tokio::test]
async fn a_plan_says_the_same() {
    let (site, before) = site().await;
    put(&site.local(), "was-file/below", "x");
    put(&site.local(), "fresh", "x");
    let request = Request { dry_run: true, ..push_to("dst") };
    let result = run(&site.client().await, request, &site.local()).await.unwrap();
    assert_eq!(stat(&result, "directories_created"), 0);
    assert!(only_added(&site, &before).is_empty());
}

const NEW: &str = "new content";

/// Pushes by hand: these directories with these listings, then every file of `content` that was asked for.
async fn attack(site: &Site, request: Request, directories: &[&str], lists: Vec<sparsync_core::proto::Listing>) {
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    let counts: Vec<u32> = lists.iter().map(|list| u32::try_from(list.len()).unwrap()).collect();
    let records = directories.iter().zip(counts).map(|(path, count)| directory(path, count)).collect();
    control.tell(records, lists.clone()).await;
    let mut lane = control.lane(0).await;
    for (number, list) in (0..).zip(&lists) {
        for (index, entry) in (0..).zip(list.entries()) {
            if entry.kind == Kind::File {
                let file = FileId { directory: number, index };
                let content = NEW.as_bytes();
                lane.records(&[Record::Whole { file, meta: None, content, digest: digest(content) }]).await;
            }
        }
    }
    control.gone_or_finished().await;
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
}

#[tokio::test]
async fn records_in_a_wrong_order_overwrite_nothing() {
    let length = NEW.len() as u64;
    let none = || files(&[]);
    let inner = || files(&[("inner", length)]);
    let single = Request { file_name: Some(b"inner".to_vec()), ..push_to("dst/inner") };
    let flat = Request { recursive: false, ..push_to("dst") };
    let sub = || listing(&[("sub", Kind::Directory, 0, "")]);
    for (number, (request, directories, lists)) in [
        (push_to("dst"), &["", "sub", "sub"][..], vec![sub(), none(), inner()]),
        (push_to("dst"), &["", "zzz", "sub"], vec![sub(), none(), inner()]),
        (push_to("dst"), &["", "was-file"], vec![none(), inner()]),
        (push_to("dst"), &["", "link"], vec![none(), inner()]),
        (flat, &["", "sub"], vec![none(), inner()]),
        (single.clone(), &["", "sub"], vec![inner(), inner()]),
        (single, &["", "", "sub"], vec![inner(), inner(), inner()]),
        (push_to("dst"), &[""], vec![files(&[("keep", length)])]),
    ]
    .into_iter()
    .enumerate()
    {
        let (site, before) = site().await;
        attack(&site, request, directories, lists).await;
        let added = only_added(&site, &before);
        assert!(added.keys().all(|path| path == Path::new("dst/inner")), "{number}: {added:?}");
        assert!(added.values().all(|node| matches!(node, Node::File(..))));
    }
}
