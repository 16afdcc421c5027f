//! What a key may not do, a client does not reach: other roots and paths, rights that were not given, ways out by
//! symlinks.

use crate::support::Over;
use crate::support::body;
use crate::support::over::{on_every_network, on_every_transport};
use crate::support::{Snapshot, deleting, directory, files, listing, pull_from, push_to, put, run, snapshot};
use crate::{outside_untouched, refused_in_session, serves_on, unharmed, victim, whole};
use sparsync_core::ErrorKind;
use sparsync_core::proto::pack::FileId;
use sparsync_core::proto::{Frame, Kind, MissingSources, Paths, RelPath, Request, SourcePath};

/// A pull of several sources.
fn pull_of(paths: &[&str]) -> Request {
    let source = |path: &&str| SourcePath { path: RelPath::new(path.as_bytes()).unwrap(), ..SourcePath::default() };
    Request { sources: paths.iter().map(source).collect(), into: true, ..pull_from("") }
}

fn all_of(paths: &[&str]) -> Paths {
    Paths::new(paths.iter().map(|path| RelPath::new(path.as_bytes()).unwrap()).collect()).unwrap()
}

async fn a_scope_is_not_left(over: Over) {
    let (site, before) = victim(over, "root=r/dst allow=read,write").await;
    let raw = site.raw().await;
    let root = |name: &[u8], request: Request| Request { root: name.to_vec(), ..request };
    for request in [
        root(b"nope", push_to("dst")),
        root(b"", push_to("dst")),
        root(b"../r", push_to("dst")),
        root(b"\xff", push_to("dst")),
        push_to(""),
        push_to("other"),
        push_to("dstx"),
        pull_from("other"),
        pull_from(""),
        deleting(push_to("dst")),
        // Through the symlink.
        pull_from("dst/link"),
        push_to("dst/link"),
        push_to("dst/link/deeper"),
        // One of several sources.
        pull_of(&["dst/keep", "other"]),
        pull_of(&["dst", ""]),
        // The attributes of the directory that holds it.
        Request { selected: all_of(&["", "dst"]), ..pull_of(&["dst"]) },
        Request { listed: all_of(&[""]), selected: all_of(&["dst"]), implied_dirs: true, ..pull_of(&["dst"]) },
    ] {
        let mut control = raw.session(request.clone()).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Scope, "{request:?}");
    }
    for (root, path) in [("nope", ""), ("r", "other"), ("r", "dst/link")] {
        let mut control = raw.open().await;
        control.write(&Frame::Hello { oldest: 1, newest: 1 }).await;
        let path = sparsync_core::proto::RelPath::new(path.as_bytes()).unwrap();
        control.write(&Frame::ListRequest { root: root.as_bytes().to_vec(), path }).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Scope, "{root}");
    }
    assert_eq!(snapshot(&site.root()), before);
    outside_untouched(&site);
    let client = site.client().await;
    put(&site.local(), "keep", "new");
    run(&client, push_to("dst"), &site.local()).await.unwrap();
}

async fn rights_that_were_not_given_are_missed(over: Over) {
    for (allow, request) in [
        ("allow=read", push_to("dst")),
        ("allow=write", pull_from("dst")),
        ("allow=append", deleting(push_to("dst"))),
        ("allow=delete", push_to("dst")),
        // Appending tells the client length and digest of a file, which takes the right to read.
        ("allow=write,delete", Request { append: true, ..push_to("dst") }),
    ] {
        let (site, before) = victim(over, allow).await;
        let mut control = site.raw().await.session(request).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Scope, "{allow}");
        assert_eq!(snapshot(&site.root()), before);
    }
}

async fn sources_that_are_missing_are_deleted_with_the_right_to_delete_alone(over: Over) {
    let missing = Paths::new(vec![RelPath::new(b"keep").unwrap(), RelPath::new(b"sub").unwrap()]).unwrap();
    for (allow, missing_sources, kind) in [
        ("allow=append", MissingSources::Fail, ErrorKind::Scope),
        ("allow=read,write", MissingSources::Ignore, ErrorKind::Scope),
        ("allow=read,write", MissingSources::Delete, ErrorKind::Scope),
        // Paths alone would not be found by a server that refuses the option.
        ("allow=read,write,delete", MissingSources::Fail, ErrorKind::Protocol),
        ("allow=read,write,delete", MissingSources::Ignore, ErrorKind::Protocol),
    ] {
        let (site, before) = victim(over, allow).await;
        let mut request = Request { missing: missing.clone(), missing_sources, ..push_to("dst") };
        request.deletion.force = true;
        let mut control = site.raw().await.session(request).await;
        control.tell(vec![directory("", 0)], vec![files(&[])]).await;
        assert_eq!(control.abort().await.kind, kind, "{allow} {missing_sources:?}");
        assert_eq!(snapshot(&site.root()), before);
    }
}

async fn a_single_file_stays_where_its_name_is(over: Over) {
    // The key may write below `dst` only; its file's folder is the one above.
    let (site, before) = victim(over, "root=r/dst").await;
    put(&site.root(), "other/dst", "not yours either");
    let before: Snapshot = before.into_iter().chain(snapshot(&site.root())).collect();
    let single = Request { file_name: Some(b"x".to_vec()), ..push_to("dst") };
    let mut control = site.raw().await.session(single.clone()).await;
    control.accepted().await;
    control.tell(vec![directory("", 1), directory("other", 1)], vec![files(&[("x", 4)]), files(&[("x", 4)])]).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    // Two files instead of one, or a directory.
    for names in [files(&[("x", 1), ("y", 1)]), listing(&[("x", Kind::Directory, 0, "")])] {
        let mut control = site.raw().await.session(single.clone()).await;
        control.accepted().await;
        let count = u32::try_from(names.len()).unwrap();
        control.tell(vec![directory("", count)], vec![names]).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    }
    // A source that could not be looked at, and a symlink for the place where a directory with something in it stands.
    for names in [files(&[]), listing(&[("x", Kind::Symlink, 0, "/etc/passwd")])] {
        let mut control = site.raw().await.session(single.clone()).await;
        control.accepted().await;
        let count = u32::try_from(names.len()).unwrap();
        control.tell(vec![directory("", count)], vec![names]).await;
        control.gone_or_finished().await;
    }
    assert_eq!(snapshot(&site.root()), before);
    outside_untouched(&site);
}

async fn a_run_that_does_not_go_down_stays_up(over: Over) {
    let (site, before) = victim(over, "").await;
    let flat = Request { recursive: false, ..push_to("dst") };
    let records = body(&Frame::Directories(vec![directory("", 1), directory("sub", 1)]));
    refused_in_session(&site, flat, &[records]).await;
    unharmed(&site, &before).await;
}

/// What is unsafe is judged where the symlink would be made, on its text.
async fn unsafe_symlinks_of_a_client_that_sends_them_are_not_made_cve_2024_12088(over: Over) {
    let (site, _) = victim(over, "").await;
    let mut request = push_to("dst");
    request.attributes.safe_links = true;
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    let targets = [("a", "/etc"), ("b", "../x"), ("c", "d/../../x"), ("z", "safe/target")];
    let entries: Vec<_> = targets.iter().map(|(name, target)| (*name, Kind::Symlink, 0, *target)).collect();
    control.tell(vec![directory("", 4)], vec![listing(&entries)]).await;
    control.finished().await;
    let made = |name: &str| site.root().join("dst").join(name).symlink_metadata().is_ok();
    assert_eq!(targets.map(|(name, _)| made(name)), [false, false, false, true]);
}

async fn a_symlink_of_the_source_is_never_written_through_cve_2024_12087(over: Over) {
    let (site, _) = victim(over, "").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let outside = site.outside();
    let root = listing(&[("link", Kind::Symlink, 0, outside.to_str().unwrap())]);
    control.tell(vec![directory("", 1), directory("link", 1)], vec![root, files(&[("secret", 5)])]).await;
    // The link is made, or already there; then a directory is in its place, and the file goes into that.
    while control.wanted().await != [0] {}
    control.lane(0).await.records(&[whole(FileId { directory: 1, index: 0 }, b"owned")]).await;
    control.finished().await;
    outside_untouched(&site);
    assert_eq!(std::fs::read(site.root().join("dst/link/secret")).unwrap(), b"owned");
    assert!(std::fs::symlink_metadata(site.root().join("dst/link")).unwrap().is_dir());
    serves_on(&site).await;
}

mod on_networks {
    use super::*;
    on_every_network!(
        a_scope_is_not_left,
        rights_that_were_not_given_are_missed,
        sources_that_are_missing_are_deleted_with_the_right_to_delete_alone,
        a_single_file_stays_where_its_name_is
    );
}

on_every_transport!(
    a_run_that_does_not_go_down_stays_up,
    unsafe_symlinks_of_a_client_that_sends_them_are_not_made_cve_2024_12088,
    a_symlink_of_the_source_is_never_written_through_cve_2024_12087
);
