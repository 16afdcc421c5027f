//! Extended attributes, judged by the system's own calls: as the source has them and no others,
//! without the content, and at no cost to it.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, XattrFlags};
use sparsync_core::proto::{Attributes, Deletion, Request};
use sparsync_core::{Client, Error, JobResult, Run, start_local};
use support::{Site, noise, pull_from, push_to, put, run, skipped, stat, unhung};

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
        Run {
            request,
            local_path: from.as_os_str().as_bytes().to_vec(),
            events: sparsync_core::EventNeeds::default(),
            batch: sparsync_core::Batch::None,
            source_is_directory: false,
            local_sources: Vec::new(),
        },
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
        return skipped("no extended attributes here");
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
        return skipped("no extended attributes here");
    }
    fill(&source);
    run(&client, push_to("dst"), &source).await.unwrap();
    assert_eq!(all(&there), All::new());
    set(&there.join("plain"), "user.theirs", b"x");
    std::fs::set_permissions(source.join("plain"), std::fs::Permissions::from_mode(0o600)).unwrap();
    run(&client, push_to("dst"), &source).await.unwrap();
    assert_eq!(of(&there.join("plain")).len(), 1);
}

/// A file's capabilities, in the kernel's form: one that is lent to whoever runs it.
const NET_RAW: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Sets attributes of other namespaces on one entry of each kind, or says that nobody here may.
fn fill_foreign(top: &Path) -> bool {
    put(top, "file", "content");
    put(top, "sub/other", "content");
    std::os::unix::fs::symlink("file", top.join("link")).unwrap();
    for (name, kind) in [("pipe", FileType::Fifo), ("device", FileType::CharacterDevice), ("socket", FileType::Socket)]
    {
        if rustix::fs::mknodat(CWD, top.join(name), kind, 0o644.into(), rustix::fs::makedev(1, 3)).is_err() {
            return false;
        }
    }
    ["file", "sub", "link", "pipe", "device", "socket", ""].iter().all(|path| {
        let path = top.join(path);
        ["trusted.a", "security.a"]
            .iter()
            .all(|name| rustix::fs::lsetxattr(&path, *name, path.as_os_str().as_bytes(), XattrFlags::empty()).is_ok())
    }) && rustix::fs::setxattr(top.join("file"), "security.capability", NET_RAW, XattrFlags::empty()).is_ok()
}

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn everything(request: Request) -> Request {
    let attributes = Attributes { xattrs: true, specials: true, devices: true, ..request.attributes };
    Request { attributes, ..request }
}

fn told(result: &JobResult) -> Vec<&'static str> {
    result.failures.warnings.iter().map(|warning| warning.kind.as_str()).collect()
}

const FOREIGN: [&str; 7] = ["file", "sub", "link", "pipe", "device", "socket", ""];

#[tokio::test]
async fn with_the_right_every_namespace_goes_there_and_back_on_every_kind() {
    let site = Site::new("allow=read,write,delete,special,xattrs,owner").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !fill_foreign(&source) {
        return skipped("no devices, or no attributes of other namespaces, can be made here");
    }
    let owned = |request| {
        let request = everything(request);
        Request { attributes: Attributes { owner: true, group: true, ..request.attributes }, ..request }
    };
    let same = |copy: &Path| {
        for path in FOREIGN {
            for name in ["trusted.a", "security.a", "security.capability"] {
                assert_eq!(get(&copy.join(path), name), get(&source.join(path), name), "{path} {name}");
            }
        }
    };
    let result = run(&client, owned(push_to("dst")), &source).await.unwrap();
    assert!(told(&result).is_empty(), "{:?}", told(&result));
    same(&there);
    nothing_to_do(&client, &owned(push_to("dst")), &source).await;

    // A change, and what only the destination has, on each of them: nothing is made anew for it.
    for path in FOREIGN {
        let lset = |top: &Path, name: &str| {
            rustix::fs::lsetxattr(top.join(path), name, b"changed", XattrFlags::empty()).unwrap();
        };
        lset(&source, "trusted.a");
        lset(&there, "trusted.theirs");
    }
    let inode = there.join("link").symlink_metadata().unwrap().ino();
    run(&client, owned(push_to("dst")), &source).await.unwrap();
    same(&there);
    for path in FOREIGN {
        assert_eq!(get(&there.join(path), "trusted.theirs"), None, "{path}");
    }
    assert_eq!(there.join("link").symlink_metadata().unwrap().ino(), inode, "it was only adjusted");
    nothing_to_do(&client, &owned(push_to("dst")), &source).await;

    let back = site.dir.path().join("back");
    run(&client, owned(pull_from("dst")), &back).await.unwrap();
    same(&back);
    let copy = site.dir.path().join("copy");
    local(owned(push_to("")), &source, &copy).await.unwrap();
    same(&copy);
}

#[tokio::test]
async fn without_the_right_no_other_namespace_is_set_or_removed() {
    let site = Site::new("allow=read,write,delete,special,owner").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !fill_foreign(&source) {
        return skipped("no devices, or no attributes of other namespaces, can be made here");
    }
    set(&source.join("sub/other"), "user.mine", b"1");
    for round in ["first", "again"] {
        let result = run(&client, everything(push_to("dst")), &source).await.unwrap();
        assert_eq!(told(&result), ["xattr-right"], "{round}");
        assert_eq!(
            (stat(&result, "files_transferred"), stat(&result, "attrs_changed")),
            (if round == "first" { 2 } else { 0 }, 0)
        );
        for path in FOREIGN {
            for name in ["trusted.a", "security.a", "security.capability"] {
                assert_eq!(get(&there.join(path), name), None, "{path} {name}");
            }
        }
        assert!(get(&there.join("sub/other"), "user.mine").is_some());
    }
    for path in FOREIGN {
        rustix::fs::lsetxattr(there.join(path), "trusted.theirs", b"1", XattrFlags::empty()).unwrap();
    }
    set(&source, "user.top", b"1");
    set(&source.join("file"), "user.new", b"1");
    run(&client, everything(push_to("dst")), &source).await.unwrap();
    for path in FOREIGN {
        assert!(get(&there.join(path), "trusted.theirs").is_some(), "{path}");
    }
    assert!(get(&there, "user.top").is_some() && get(&there.join("file"), "user.new").is_some());
}

#[tokio::test]
async fn capabilities_stay_with_the_owner_who_lends_them() {
    let site = Site::new("allow=read,write,delete,xattrs,owner").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    put(&source, "theirs", "content");
    let (file, copy) = (source.join("theirs"), there.join("theirs"));
    let lend = |path: &Path| rustix::fs::setxattr(path, "security.capability", NET_RAW, XattrFlags::empty());
    if std::os::unix::fs::chown(&file, Some(1000), Some(1000)).is_err() || lend(&file).is_err() {
        return skipped("no capabilities can be lent here");
    }
    let plain = || with_xattrs(push_to("dst"));
    let owned = || {
        let request = plain();
        Request { attributes: Attributes { owner: true, perms: true, ..request.attributes }, ..request }
    };
    run(&client, plain(), &source).await.unwrap();
    assert_eq!(get(&copy, "security.capability"), None, "it belongs to somebody else");
    nothing_to_do(&client, &plain(), &source).await;

    run(&client, owned(), &source).await.unwrap();
    assert_eq!(get(&copy, "security.capability").as_deref(), Some(NET_RAW));
    nothing_to_do(&client, &owned(), &source).await;

    // It was given to somebody else since, with what it lends, and is looked at again.
    std::os::unix::fs::chown(&copy, Some(0), Some(0)).unwrap();
    lend(&copy).unwrap();
    set(&file, "user.new", b"1");
    run(&client, plain(), &source).await.unwrap();
    assert_eq!(get(&copy, "security.capability"), None, "and not under another owner");
    nothing_to_do(&client, &plain(), &source).await;

    let copied = site.dir.path().join("copied");
    local(plain(), &source, &copied).await.unwrap();
    assert_eq!(get(&copied.join("theirs"), "security.capability"), None);
    local(owned(), &source, &copied).await.unwrap();
    assert_eq!(get(&copied.join("theirs"), "security.capability").as_deref(), Some(NET_RAW));
}

#[tokio::test]
async fn more_than_the_limit_costs_the_attributes_alone_and_what_is_there_stays() {
    let site = Site::in_memory("allow=read,write,delete").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    if !supported(&source) {
        return skipped("no extended attributes here");
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
            return skipped("this file system takes less than the limit");
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
