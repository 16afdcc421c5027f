//! FIFOs, sockets and devices are made where a run asks for them and, at a server, where the key may make them.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps};
use sparsync_core::proto::{Attributes, Deletion, Request};
use sparsync_core::{Client, JobResult};
use support::{Site, contents, leftovers, pull_from, push_to, put, run, skipped, stat};

fn fifo(path: &Path, mode: u32, seconds: i64) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap();
    settle(path, mode, seconds);
}

fn settle(path: &Path, mode: u32, seconds: i64) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let time = Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::empty()).unwrap();
}

/// Its mode and time.
fn found(path: &Path) -> (u32, i64, i64) {
    let found = path.symlink_metadata().unwrap();
    assert!(found.file_type().is_fifo(), "{}", path.display());
    (found.mode() & 0o7777, found.mtime(), found.mtime_nsec())
}

fn with_specials(request: Request) -> Request {
    Request { attributes: Attributes { specials: true, devices: true, ..request.attributes }, ..request }
}

fn notices(result: &JobResult, kind: &str) -> usize {
    result.failures.warnings.iter().filter(|warning| warning.kind.as_str() == kind).count()
}

async fn again(client: &Client, request: Request, local: &Path) {
    let result = run(client, request, local).await.unwrap();
    for counter in ["specials_created", "attrs_changed", "entries_to_create"] {
        assert_eq!(stat(&result, counter), 0, "{counter}");
    }
}

#[tokio::test]
async fn a_fifo_goes_there_and_back_and_follows_its_attributes() {
    let site = Site::new("allow=read,write,delete,special").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    std::fs::create_dir(source.join("sub")).unwrap();
    for (path, mode) in [("pipe", 0o640), ("sub/closed", 0o000)] {
        fifo(&source.join(path), mode, 1_000_000_000);
    }
    put(&source, "file", "content");
    let result = run(&client, with_specials(push_to("dst")), &source).await.unwrap();
    assert_eq!((stat(&result, "specials_created"), notices(&result, "special")), (2, 0));
    for (path, mode) in [("pipe", 0o640), ("sub/closed", 0o000)] {
        assert_eq!(found(&there.join(path)), (mode, 1_000_000_000, 123_456_789), "{path}");
    }
    again(&client, with_specials(push_to("dst")), &source).await;

    settle(&source.join("pipe"), 0o600, 1_000_000_007);
    let before = there.join("pipe").symlink_metadata().unwrap().ino();
    let result = run(&client, with_specials(push_to("dst")), &source).await.unwrap();
    assert_eq!((stat(&result, "specials_created"), stat(&result, "attrs_changed")), (0, 1));
    assert_eq!(found(&there.join("pipe")), (0o600, 1_000_000_007, 123_456_789));
    assert_eq!(there.join("pipe").symlink_metadata().unwrap().ino(), before, "it was only adjusted");

    let back = site.dir.path().join("back");
    run(&client, with_specials(pull_from("dst")), &back).await.unwrap();
    assert_eq!(found(&back.join("pipe")), (0o600, 1_000_000_007, 123_456_789));
    assert_eq!(contents(&back), contents(&source));
}

#[tokio::test]
async fn a_fifo_and_what_is_none_take_each_others_place() {
    let site = Site::new("allow=read,write,delete,special").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    let request = || {
        let request = with_specials(push_to("dst"));
        Request { deletion: Deletion { delete: true, allow_mass: true, ..request.deletion }, ..request }
    };
    let name = source.join("x");
    for turn in ["fifo", "file", "fifo", "directory", "fifo", "symlink", "fifo", "socket", "nothing"] {
        let _ = std::fs::remove_file(&name);
        let _ = std::fs::remove_dir_all(&name);
        match turn {
            "file" => std::fs::write(&name, "content").unwrap(),
            "directory" => put(&source, "x/below", "content"),
            "symlink" => std::os::unix::fs::symlink("nowhere", &name).unwrap(),
            "socket" => drop(std::os::unix::net::UnixListener::bind(&name).unwrap()),
            "fifo" => fifo(&name, 0o644, 1_000_000_000),
            _ => {}
        }
        let result = run(&client, request(), &source).await.unwrap();
        assert!(leftovers(&there).is_empty(), "{turn}");
        assert_eq!(notices(&result, "special"), 0);
        if turn == "socket" {
            assert!(there.join("x").symlink_metadata().unwrap().file_type().is_socket());
        } else {
            assert_eq!(contents(&there), contents(&source), "{turn}");
        }
    }
}

#[tokio::test]
async fn without_the_right_a_fifo_is_left_out_and_the_right_is_named_once() {
    let site = Site::new("allow=read,write,delete").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    put(&source, "sub/file", "content");
    let plain = run(&client, with_specials(push_to("dst")), &source).await.unwrap();
    assert_eq!(notices(&plain, "special-right"), 0, "there is nothing to make");
    for path in ["a", "b", "sub/c"] {
        fifo(&source.join(path), 0o644, 1_000_000_000);
    }
    put(&source, "sub/later", "content");
    for round in ["first", "again"] {
        let result = run(&client, with_specials(push_to("dst")), &source).await.unwrap();
        assert_eq!(notices(&result, "special-right"), 1, "{round}");
        let told = &result.failures.warnings[0];
        assert!(told.message.contains("\"special\""), "{}", told.message);
        assert_eq!((stat(&result, "specials_created"), stat(&result, "files_skipped")), (0, 3), "{round}");
    }
    assert_eq!(std::fs::read(there.join("sub/later")).unwrap(), b"content");
    assert!(!there.join("a").exists() && !there.join("sub/c").exists());

    // A file of that name stays, and fetching a FIFO takes no right.
    put(&there, "a", "theirs");
    run(&client, with_specials(push_to("dst")), &source).await.unwrap();
    assert_eq!(std::fs::read(there.join("a")).unwrap(), b"theirs");
    fifo(&there.join("theirs"), 0o644, 1_000_000_000);
    run(&client, with_specials(pull_from("dst")), &source).await.unwrap();
    found(&source.join("theirs"));
}

/// Makes a device, or says that this system lets nobody here.
fn device(path: &Path, kind: FileType, number: (u32, u32)) -> bool {
    let made = rustix::fs::mknodat(CWD, path, kind, Mode::from(0o600), rustix::fs::makedev(number.0, number.1));
    made.is_ok()
}

/// What it is, and its number.
fn found_device(path: &Path) -> (bool, u64) {
    let found = path.symlink_metadata().unwrap();
    assert!(found.file_type().is_block_device() || found.file_type().is_char_device(), "{}", path.display());
    (found.file_type().is_block_device(), found.rdev())
}

#[tokio::test]
async fn a_device_goes_there_and_back_and_another_number_is_another_device() {
    let site = Site::new("allow=read,write,delete,special").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    put(&source, "file", "content");
    for (name, kind, number) in
        [("block", FileType::BlockDevice, (259, 70_000)), ("char", FileType::CharacterDevice, (1, 3))]
    {
        if !device(&source.join(name), kind, number) {
            return skipped("no devices can be made here");
        }
        settle(&source.join(name), 0o640, 1_000_000_000);
    }
    let request = || with_specials(push_to("dst"));
    let result = run(&client, request(), &source).await.unwrap();
    assert_eq!(stat(&result, "specials_created"), 2);
    let like_the_source = || {
        for name in ["block", "char"] {
            assert_eq!(found_device(&there.join(name)), found_device(&source.join(name)), "{name}");
        }
    };
    like_the_source();
    assert_eq!(there.join("char").symlink_metadata().unwrap().mode() & 0o7777, 0o640);
    again(&client, request(), &source).await;

    // Another number, and the same number of the other kind: both are other devices, and neither is content.
    for (name, kind, number) in
        [("block", FileType::CharacterDevice, (259, 70_000)), ("char", FileType::CharacterDevice, (1, 5))]
    {
        std::fs::remove_file(there.join(name)).unwrap();
        assert!(device(&there.join(name), kind, number));
        settle(&there.join(name), 0o640, 1_000_000_000);
    }
    let result = run(&client, request(), &source).await.unwrap();
    assert_eq!((stat(&result, "specials_created"), stat(&result, "files_transferred")), (2, 0));
    like_the_source();
    let back = site.dir.path().join("back");
    run(&client, with_specials(pull_from("dst")), &back).await.unwrap();
    assert_eq!(found_device(&back.join("block")), found_device(&source.join("block")));
    assert!(leftovers(&there).is_empty());
}

#[tokio::test]
async fn without_the_right_no_device_is_made_and_what_is_there_stays() {
    let site = Site::new("allow=read,write,delete,owner,xattrs").await;
    let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
    put(&source, "file", "content");
    put(&there, "null", "theirs");
    if !device(&source.join("null"), FileType::CharacterDevice, (1, 3)) {
        return skipped("no devices can be made here");
    }
    let delete = |request: Request| {
        let deletion = Deletion { delete: true, allow_mass: true, ..request.deletion };
        Request { deletion, ..request }
    };
    let result = run(&client, delete(with_specials(push_to("dst"))), &source).await.unwrap();
    assert_eq!((notices(&result, "special-right"), notices(&result, "special")), (1, 0));
    assert_eq!(std::fs::read(there.join("null")).unwrap(), b"theirs");
}
