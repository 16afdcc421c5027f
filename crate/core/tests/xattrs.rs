//! Extended attributes of the namespace `user.`, judged by the system's own calls: as the source has them and no others,
//! without the content, and at no cost to it.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use sparsync_core::proto::{Attributes, Deletion, Request};
use sparsync_core::{Client, Error, JobResult, Run, start_local};
use support::{Site, noise, pull_from, push_to, put, run, stat, unhung};

type All = BTreeMap<PathBuf, BTreeMap<Vec<u8>, Vec<u8>>>;

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// Whether the file system that tests are on has such attributes; else there is nothing to look at.
fn supported(path: &Path) -> bool {
    rustix::fs::setxattr(path, "user.probe", b"1", XattrFlags::empty()).is_ok()
        && rustix::fs::removexattr(path, "user.probe").is_ok()
}

fn of(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let user = names[..length].split(|&byte| byte == 0).filter(|name| name.starts_with(b"user."));
    user.map(|name| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(length);
        (name.to_vec(), value)
    })
    .collect()
}

/// Of everything at and below `top` that has some.
fn all(top: &Path) -> All {
    let mut all = All::new();
    for path in support::snapshot(top).into_keys().chain([PathBuf::new()]) {
        let found = of(&top.join(&path));
        if !found.is_empty() {
            all.insert(path, found);
        }
    }
    all
}

fn with_xattrs(request: Request) -> Request {
    Request { attributes: Attributes { xattrs: true, ..request.attributes }, ..request }
}

fn fill(top: &Path) {
    put(top, "small", "content");
    put(top, "large", noise(300_000, 1));
    put(top, "sub/deep/file", "content");
    put(top, "plain", "content");
    std::os::unix::fs::symlink("small", top.join("link")).unwrap();
    for (path, name, value) in [
        ("", "user.top", &b"top"[..]),
        ("small", "user.a", b""),
        ("small", "user.b", b"\0binary\xff"),
        ("large", "user.large", &noise(2000, 2)),
        ("sub", "user.directory", b"1"),
        ("sub/deep", "user.é", b"name"),
        ("sub/deep/file", "user.long", &[7; 3000]),
    ] {
        set(&top.join(path), name, value);
    }
}

async fn local(request: Request, from: &Path, to: &Path) -> Result<JobResult, Error> {
    let job = start_local(
        Run { request, local_path: from.as_os_str().as_bytes().to_vec(), lossless: false, local_sources: Vec::new() },
        to.as_os_str().as_bytes().to_vec(),
    );
    unhung(job.unwrap().done()).await
}

async fn nothing_to_do(client: &Client, request: &Request, source: &Path) {
    let result = run(client, request.clone(), source).await.unwrap();
    for counter in ["attrs_changed", "files_transferred", "entries_to_create"] {
        assert_eq!(stat(&result, counter), 0, "{counter}");
    }
}

#[tokio::test]
async fn they_go_there_and_back_and_follow_the_source() {
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !supported(&source) {
        return;
    }
    fill(&source);
    let request = with_xattrs(push_to("dst"));
    let first = run(&client, request.clone(), &source).await.unwrap();
    assert_eq!(all(&there), all(&source));
    assert_eq!(stat(&first, "files_transferred"), 4);
    nothing_to_do(&client, &request, &source).await;

    // A change, a new one, and what only the destination has: none of it takes the content again.
    set(&source.join("small"), "user.b", b"other");
    set(&source.join("plain"), "user.new", b"new");
    set(&source.join("sub"), "user.directory", b"2");
    set(&source.join("large"), "user.large", b"");
    for path in ["large", "sub/deep", "plain", ""] {
        set(&there.join(path), "user.only-here", b"x");
    }
    rustix::fs::removexattr(source.join("sub/deep/file"), "user.long").unwrap();
    let inode = there.join("small").metadata().unwrap().ino();
    let result = run(&client, request.clone(), &source).await.unwrap();
    assert_eq!(all(&there), all(&source));
    assert_eq!((stat(&result, "files_transferred"), stat(&result, "attrs_changed")), (0, 7));
    assert_eq!(there.join("small").metadata().unwrap().ino(), inode);
    nothing_to_do(&client, &request, &source).await;

    // New content in the place of old brings its own.
    put(&source, "small", "more content");
    set(&source.join("small"), "user.b", b"third");
    set(&there.join("small"), "user.only-here", b"x");
    run(&client, request.clone(), &source).await.unwrap();
    assert_eq!(all(&there), all(&source));

    let back = site.dir.path().join("back");
    run(&client, with_xattrs(pull_from("dst")), &back).await.unwrap();
    assert_eq!(all(&back), all(&source));
    let copy = site.dir.path().join("copy");
    local(with_xattrs(push_to("")), &source, &copy).await.unwrap();
    assert_eq!(all(&copy), all(&source));
    for compare in [sparsync_core::proto::Compare::Content, sparsync_core::proto::Compare::Size] {
        let mut request = request.clone();
        request.attributes.compare = compare;
        set(&source.join("plain"), "user.new", format!("{compare:?}").as_bytes());
        let result = run(&client, request, &source).await.unwrap();
        assert_eq!((stat(&result, "files_transferred"), stat(&result, "attrs_changed")), (0, 1), "{compare:?}");
        assert_eq!(all(&there), all(&source), "{compare:?}");
    }
}

#[tokio::test]
async fn a_run_that_does_not_ask_for_them_leaves_them_alone() {
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !supported(&source) {
        return;
    }
    fill(&source);
    run(&client, push_to("dst"), &source).await.unwrap();
    assert_eq!(all(&there), All::new());
    set(&there.join("plain"), "user.theirs", b"x");
    std::fs::set_permissions(source.join("plain"), std::fs::Permissions::from_mode(0o600)).unwrap();
    run(&client, push_to("dst"), &source).await.unwrap();
    assert_eq!(of(&there.join("plain")).len(), 1);
}

#[tokio::test]
async fn no_other_namespace_is_carried_or_removed() {
    let site = Site::new("allow=read,write,delete,xattrs").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    put(&source, "f", "content");
    put(&there, "f", "content");
    let foreign = |path: &Path| rustix::fs::setxattr(path, "trusted.mine", b"1", XattrFlags::empty()).is_ok();
    if !supported(&source) || !foreign(&source.join("f")) {
        return;
    }
    set(&source.join("f"), "user.mine", b"1");
    rustix::fs::setxattr(there.join("f"), "trusted.theirs", b"1", XattrFlags::empty()).unwrap();
    run(&client, with_xattrs(push_to("dst")), &source).await.unwrap();
    run(&client, with_xattrs(push_to("new")), &source).await.unwrap();
    let get = |path: PathBuf, name: &str| rustix::fs::getxattr(path, name, &mut [0_u8; 8][..]).is_ok();
    assert!(get(there.join("f"), "user.mine"));
    assert!(!get(site.root().join("new/f"), "trusted.mine"));
    // The file in place of the old one is a new one; a directory is the same one.
    rustix::fs::setxattr(&there, "trusted.theirs", b"1", XattrFlags::empty()).unwrap();
    set(&source, "user.directory", b"1");
    run(&client, with_xattrs(push_to("dst")), &source).await.unwrap();
    assert!(get(there.clone(), "trusted.theirs") && get(there, "user.directory"));
}

#[tokio::test]
async fn more_than_the_limit_costs_the_attributes_alone_and_what_is_there_stays() {
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !supported(&source) {
        return;
    }
    put(&source, "f", "content");
    put(&source, "gone/g", "content");
    let request = || {
        let request = with_xattrs(push_to("dst"));
        Request { deletion: Deletion { delete: true, allow_mass: true, ..request.deletion }, ..request }
    };
    set(&source.join("f"), "user.kept", b"1");
    run(&client, request(), &source).await.unwrap();
    for at in 0..5 {
        if rustix::fs::setxattr(source.join("f"), format!("user.{at}"), &noise(60_000, at), XattrFlags::empty())
            .is_err()
        {
            // This file system takes less than the limit.
            return;
        }
    }
    put(&source, "f", "other content");
    std::fs::remove_dir_all(source.join("gone")).unwrap();
    for round in ["first", "again"] {
        let result = run(&client, request(), &source).await.unwrap();
        let told: Vec<_> =
            result.failures.failures.iter().map(|issue| (issue.kind.as_str(), &issue.path[..])).collect();
        assert_eq!(told, [("attributes-unread", &b"f"[..])], "{round}");
        assert_eq!(std::fs::read(there.join("f")).unwrap(), b"other content", "{round}");
        assert!(!there.join("gone").exists(), "the source is known in full all the same");
    }
}
