//! Every right of a key against every kind of entry and every attribute: what lends rights, or means something to the
//! system, gets to a server with the right that names it, and never without.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, FileType, XattrFlags};
use sparsync_core::proto::{Attributes, IssueKind, Request};
use support::{Site, push_to, put, run, skipped, snapshot};

/// The rights that a key has beside those to read and write.
const RIGHTS: [&str; 4] = ["owner", "special", "xattrs", "acls"];

/// What a source may have that its server does not take from everybody: its name, the rights that it takes, how it is
/// made at a place, and whether it is there.
struct Feature {
    name: &'static str,
    takes: &'static [&'static str],
    make: fn(&Path) -> std::io::Result<()>,
    is_there: fn(&Path) -> bool,
}

/// A file's capabilities, in the kernel's form.
const NET_RAW: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An ACL in which user 7 is named.
const NAMED: &[u8] = &[
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0,
    255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

fn set(path: &Path, name: &str, value: &[u8]) -> std::io::Result<()> {
    Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?)
}

fn has(path: &Path, name: &str) -> bool {
    rustix::fs::lgetxattr(path, name, &mut [0_u8; 4096][..]).is_ok()
}

fn node(path: &Path, kind: FileType) -> std::io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, kind, 0o644.into(), rustix::fs::makedev(1, 3))?)
}

fn is(path: &Path, what: fn(&std::fs::FileType) -> bool) -> bool {
    path.symlink_metadata().is_ok_and(|found| what(&found.file_type()))
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().map_or(0, |found| found.mode())
}

fn file(path: &Path) -> std::io::Result<()> {
    std::fs::write(path, "content")
}

/// A file of somebody who is not root.
fn theirs(path: &Path, bits: u32) -> std::io::Result<()> {
    file(path)?;
    std::os::unix::fs::chown(path, Some(1000), Some(1000))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
}

fn lchown(path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(1000), Some(1000))
}

fn directory(path: &Path, bits: u32) -> std::io::Result<()> {
    std::fs::create_dir(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits))
}

macro_rules! features {
    ($($name:literal takes $takes:expr, $make:expr, $is_there:expr;)*) => {
        &[$(Feature { name: $name, takes: &$takes, make: $make, is_there: $is_there },)*]
    };
}

const FEATURES: &[Feature] = features! {
    "owner" takes ["owner"], |path| theirs(path, 0o644), |path| path.symlink_metadata().is_ok_and(|it| it.uid() == 1000);
    "group" takes ["owner"], |path| theirs(path, 0o644), |path| path.symlink_metadata().is_ok_and(|it| it.gid() == 1000);
    "owner of a directory" takes ["owner"],
        |path| std::fs::create_dir(path).and_then(|()| lchown(path)), |path| path.symlink_metadata().is_ok_and(|it| it.uid() == 1000);
    "owner of a symlink" takes ["owner"],
        |path| std::os::unix::fs::symlink("nowhere", path).and_then(|()| lchown(path)),
        |path| path.symlink_metadata().is_ok_and(|it| it.uid() == 1000);
    "owner of a FIFO" takes ["owner", "special"],
        |path| node(path, FileType::Fifo).and_then(|()| lchown(path)),
        |path| path.symlink_metadata().is_ok_and(|it| it.uid() == 1000);
    "owner of a device" takes ["owner", "special", "write"],
        |path| node(path, FileType::BlockDevice).and_then(|()| lchown(path)),
        |path| path.symlink_metadata().is_ok_and(|it| it.uid() == 1000);
    // The bits of a directory lend nobody's rights.
    "set-user-id of a directory" takes [], |path| directory(path, 0o4755), |path| mode(path) & 0o4000 != 0;
    "set-group-id of a directory" takes [], |path| directory(path, 0o2755), |path| mode(path) & 0o2000 != 0;
    "set-user-id" takes ["owner"], |path| theirs(path, 0o4755), |path| mode(path) & 0o4000 != 0;
    "set-group-id" takes ["owner"], |path| theirs(path, 0o2755), |path| mode(path) & 0o2000 != 0;
    "set-user-id of root" takes ["owner"],
        |path| file(path).and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o4755))),
        |path| mode(path) & 0o4000 != 0;
    "fifo" takes ["special"], |path| node(path, FileType::Fifo), |path| is(path, std::fs::FileType::is_fifo);
    "socket" takes ["special"], |path| node(path, FileType::Socket), |path| is(path, std::fs::FileType::is_socket);
    "block device" takes ["special", "write"], |path| node(path, FileType::BlockDevice),
        |path| is(path, std::fs::FileType::is_block_device);
    "character device" takes ["special", "write"], |path| node(path, FileType::CharacterDevice),
        |path| is(path, std::fs::FileType::is_char_device);
    "user." takes [], |path| file(path).and_then(|()| set(path, "user.a", b"1")), |path| has(path, "user.a");
    "user. of a directory" takes [],
        |path| std::fs::create_dir(path).and_then(|()| set(path, "user.a", b"1")), |path| has(path, "user.a");
    "trusted." takes ["xattrs"],
        |path| file(path).and_then(|()| set(path, "trusted.a", b"1")), |path| has(path, "trusted.a");
    "trusted. of a directory" takes ["xattrs"],
        |path| std::fs::create_dir(path).and_then(|()| set(path, "trusted.a", b"1")), |path| has(path, "trusted.a");
    "trusted. of a symlink" takes ["xattrs"],
        |path| std::os::unix::fs::symlink("nowhere", path).and_then(|()| set(path, "trusted.a", b"1")),
        |path| has(path, "trusted.a");
    "trusted. of a FIFO" takes ["xattrs", "special"],
        |path| node(path, FileType::Fifo).and_then(|()| set(path, "trusted.a", b"1")), |path| has(path, "trusted.a");
    "trusted. of a device" takes ["xattrs", "special", "write"],
        |path| node(path, FileType::CharacterDevice).and_then(|()| set(path, "trusted.a", b"1")),
        |path| has(path, "trusted.a");
    "trusted. of a socket" takes ["xattrs", "special"],
        |path| node(path, FileType::Socket).and_then(|()| set(path, "trusted.a", b"1")), |path| has(path, "trusted.a");
    "security. of a directory" takes ["xattrs"],
        |path| std::fs::create_dir(path).and_then(|()| set(path, "security.a", b"1")), |path| has(path, "security.a");
    "security. of a symlink" takes ["xattrs"],
        |path| std::os::unix::fs::symlink("nowhere", path).and_then(|()| set(path, "security.a", b"1")),
        |path| has(path, "security.a");
    "security." takes ["xattrs"],
        |path| file(path).and_then(|()| set(path, "security.a", b"1")), |path| has(path, "security.a");
    "capability" takes ["xattrs", "owner"],
        |path| theirs(path, 0o755).and_then(|()| set(path, "security.capability", NET_RAW)),
        |path| has(path, "security.capability");
    "capability of root's" takes ["xattrs", "owner"],
        |path| file(path).and_then(|()| set(path, "security.capability", NET_RAW)),
        |path| has(path, "security.capability");
    "ACL" takes ["acls"], |path| file(path).and_then(|()| set(path, ACCESS, NAMED)), |path| has(path, ACCESS);
    "ACL of a directory" takes ["acls"],
        |path| std::fs::create_dir(path).and_then(|()| set(path, ACCESS, NAMED)), |path| has(path, ACCESS);
    "default ACL" takes ["acls"],
        |path| std::fs::create_dir(path).and_then(|()| set(path, DEFAULT, NAMED)), |path| has(path, DEFAULT);
    "ACL of a FIFO" takes ["acls", "special"],
        |path| node(path, FileType::Fifo).and_then(|()| set(path, ACCESS, NAMED)), |path| has(path, ACCESS);
    "ACL of a socket" takes ["acls", "special"],
        |path| node(path, FileType::Socket).and_then(|()| set(path, ACCESS, NAMED)), |path| has(path, ACCESS);
    "ACL of a device" takes ["acls", "special", "write"],
        |path| node(path, FileType::BlockDevice).and_then(|()| set(path, ACCESS, NAMED)), |path| has(path, ACCESS);
};

/// The features that a tree has, each at a place of its own.
fn found(top: &Path) -> BTreeSet<&'static str> {
    FEATURES.iter().filter(|feature| (feature.is_there)(&top.join(feature.name))).map(|feature| feature.name).collect()
}

/// Makes everything below `top`, or says that nobody here may.
fn fill(top: &Path) -> bool {
    FEATURES.iter().all(|feature| (feature.make)(&top.join(feature.name)).is_ok())
}

/// Puts at the place of each feature something that has none: a directory for those of directories, else a file.
fn plain(top: &Path) {
    for feature in FEATURES {
        let path = top.join(feature.name);
        if feature.name.ends_with("of a directory") || feature.name == "default ACL" {
            std::fs::create_dir_all(path).unwrap();
        } else {
            put(top, feature.name, "something old");
        }
    }
}

fn everything(request: Request) -> Request {
    let attributes = Attributes {
        owner: true,
        group: true,
        specials: true,
        devices: true,
        xattrs: true,
        acls: true,
        ..request.attributes
    };
    Request { attributes, ..request }
}

#[tokio::test]
async fn each_right_grants_what_it_names_and_nothing_else() {
    for writes in ["write", "append"] {
        for granted in 0..1 << RIGHTS.len() {
            let rights: Vec<&str> =
                (0..RIGHTS.len()).filter(|at| granted >> at & 1 == 1).map(|at| RIGHTS[at]).collect();
            let allow = ["read", writes].iter().chain(&rights).copied().collect::<Vec<_>>().join(",");
            let site = Site::new(&format!("allow={allow}")).await;
            let (client, source, there) = (site.client().await, site.local(), site.root().join("dst"));
            let old = site.root().join("old");
            put(&source, "plain", "content");
            if !fill(&source) {
                return skipped("not every kind and attribute can be made here");
            }
            let expected: BTreeSet<&str> = FEATURES
                .iter()
                .filter(|feature| feature.takes.iter().all(|right| *right == writes || rights.contains(right)))
                .map(|feature| feature.name)
                .collect();
            for round in ["first", "again"] {
                let result = run(&client, everything(push_to("dst")), &source).await.unwrap();
                assert_eq!(found(&there), expected, "{allow}, {round}");
                let told = result.failures.warnings.iter().find(|issue| issue.kind == IssueKind::SpecialRight);
                let adds_only = told.map(|issue| issue.message.contains("a key with \"append\""));
                let expected = match (rights.contains(&"special"), writes) {
                    (true, "write") => None,
                    (is_special, _) => Some(is_special),
                };
                assert_eq!(adds_only, expected, "{allow}, {round}");
            }
            // In the place of something plain: what may only be added changes nothing that is there.
            plain(&old);
            let before = snapshot(&old);
            run(&client, everything(push_to("old")), &source).await.unwrap();
            if writes == "append" {
                assert_eq!(found(&old), BTreeSet::new(), "{allow}");
                let after = snapshot(&old);
                assert!(before.iter().all(|(path, node)| after.get(path) == Some(node)), "{allow}");
            } else {
                assert_eq!(found(&old), expected, "{allow}, in place of others");
            }
        }
    }
}

#[test]
fn a_leak_of_each_is_found() {
    let directory = tempfile::tempdir().unwrap();
    if !fill(directory.path()) {
        return skipped("not every kind and attribute can be made here");
    }
    for feature in FEATURES {
        let place = directory.path().join(feature.name);
        let leak = tempfile::tempdir().unwrap();
        assert!(found(leak.path()).is_empty());
        std::fs::rename(&place, leak.path().join(feature.name)).unwrap();
        assert_eq!(found(leak.path()), BTreeSet::from([feature.name]));
    }
}
