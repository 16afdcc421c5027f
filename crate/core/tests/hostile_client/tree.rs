//! What a client tells of its tree: directories, names and entries that there cannot be, or at the wrong time.

use crate::support;
use crate::support::Over;
use crate::support::over::{on_every_network, on_every_transport};
use crate::support::{body, directory, directory_body, files, leftovers, listing, profile, push_to};
use crate::{FIRST, asked_for, outside_untouched, refused_in_session, serves_on, unharmed, victim};
use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::pack::Record;
use sparsync_core::proto::{Attributes, Directory, Frame, IssueKind, Kind, Leader, RelPath, Request, Xattrs, limits};

/// A listing of directory 0 with one entry, its name spelt by hand.
fn list_body(kind: u8, name: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut out = vec![6, 0, 0, 0, kind];
    out.bytes(name);
    out.raw(rest);
    out
}

async fn directories_that_climb_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    for path in
        [&b".."[..], b"../outside", b"sub/../..", b"/etc", b"sub/", b"sub//x", b".", b"s\0", &vec![b'x'; 256][..]]
    {
        refused_in_session(&site, push_to("dst"), &[directory_body(path)]).await;
    }
    unharmed(&site, &before).await;
}

async fn names_that_climb_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    let file = [5, 0, 0, 0, 0, 0];
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for name in [&b".."[..], b".", b"", b"a/b", b"../x", b"/x", b"a\0", &vec![b'x'; 256][..]] {
        refused_in_session(&site, push_to("dst"), &[root.clone(), list_body(0, name, &file)]).await;
    }
    // A kind, size, mode, time and target that there are not.
    let mut huge = Vec::new();
    huge.number(limits::FILE_BYTES_MAX + 1);
    huge.raw(&[0; 5]);
    let mut late = vec![0, 0, 0, 0];
    late.signed((1 << 40) + 1);
    late.number(0);
    let long_target = {
        let mut out = Vec::new();
        out.bytes(&vec![b't'; limits::LINK_BYTES_MAX + 1]);
        out.raw(&[0; 5]);
        out
    };
    for (kind, rest) in [
        (4, &file[..]),
        (255, &file),
        (0, &huge),
        (0, &[0, 0x80, 0x20, 0, 0, 0, 0]),
        (0, &late),
        (0, &[0, 0, 0, 0, 0, 0x80, 0x94, 0xeb, 0xdc, 0x03]),
        (2, &long_target),
        (2, &[0, 0, 0, 0, 0, 0]),
        (2, &[2, b'a', 0, 0, 0, 0, 0, 0]),
        (0, &[5, 0, 0, 0, 0]),
    ] {
        refused_in_session(&site, push_to("dst"), &[root.clone(), list_body(kind, b"n", rest)]).await;
    }
    unharmed(&site, &before).await;
}

async fn frames_out_of_place_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let list = |number| body(&Frame::List { directory: number, more: false, listing: files(&[("a", 1)]) });
    let end = |directories, entries| body(&Frame::TreeEnd { directories, entries, bytes: 0, errors: 0 });
    for bodies in [
        vec![body(&Frame::Need(vec![0]))],
        vec![body(&Frame::Want { directory: 0, files: vec![], resume: vec![] })],
        vec![body(&Frame::Settled(1))],
        vec![body(&Frame::Items(vec![]))],
        vec![body(&Frame::Finished { counters: vec![], refused: None })],
        vec![body(&Frame::Hello { oldest: 1, newest: 1 })],
        vec![body(&Frame::Request(Box::new(push_to("dst"))))],
        vec![body(&Frame::ListReply { more: false, entries: vec![] })],
        vec![body(&Frame::Profile(Box::new(profile())))],
        // A listing that was not asked for, of a directory known or not.
        vec![list(0)],
        vec![root.clone(), list(0), list(0)],
        vec![root.clone(), list(1)],
        vec![root.clone(), list(u32::MAX)],
        // Trees that do not begin at their root, or go on after their end.
        vec![body(&Frame::Directories(vec![directory("sub", 0)]))],
        vec![body(&Frame::Directories(vec![directory("", 1), directory("", 1)]))],
        vec![root.clone(), end(1, 1), root.clone()],
        vec![root.clone(), end(1, 1), end(1, 1)],
        // Ends that do not fit what was told.
        vec![root.clone(), end(2, 1)],
        vec![root.clone(), end(0, 1)],
        vec![root.clone(), end(u64::MAX, 1)],
        vec![root.clone(), end(1, 2)],
        vec![root.clone(), end(1, u64::MAX)],
        vec![end(0, 0)],
        // More or fewer entries than the directory's record says.
        vec![root.clone(), body(&Frame::List { directory: 0, more: false, listing: files(&[("a", 1), ("b", 1)]) })],
        vec![root.clone(), body(&Frame::List { directory: 0, more: false, listing: files(&[]) })],
        // A tree digest after the first record.
        vec![root.clone(), body(&Frame::TreeDigest([0; 16]))],
        // An issue that only a receiver can have.
        vec![body(&Frame::Issue(sparsync_core::proto::Issue {
            kind: IssueKind::Delete,
            path: b"x".to_vec(),
            message: String::new(),
            old_kept: true,
        }))],
    ] {
        refused_in_session(&site, push_to("dst"), &bodies).await;
    }
    unharmed(&site, &before).await;
}

async fn directories_out_of_order_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    for paths in [
        &["", "b", "a"][..],
        &["", "a", "a"],
        &["", "a", "a/b", "a"],
        &["", "a-b", "a/b"],
        // Below something that was never told of.
        &["", "a/b"],
        &["", "a", "b/c"],
    ] {
        let records = paths.iter().map(|path| directory(path, 0)).collect();
        refused_in_session(&site, push_to("dst"), &[body(&Frame::Directories(records))]).await;
    }
    unharmed(&site, &before).await;
}

async fn directories_that_are_never_listed_end_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    // As many as make the server hold what it may, and some more. Their paths repeat each other and are short here.
    let above = "a".repeat(150);
    let count = limits::AWAITED_BYTES_MAX / (above.len() + limits::ENTRY_BYTES);
    let records: Vec<_> = (0..count).map(|number| directory(&format!("{above}/{number:06}"), 1)).collect();
    let mut bodies = vec![body(&Frame::Directories(vec![directory("", 1), directory(&above, 1)]))];
    bodies.extend(records.chunks(5_000).map(|records| body(&Frame::Directories(records.to_vec()))));
    for dry_run in [false, true] {
        refused_in_session(&site, Request { dry_run, ..push_to("dst") }, &bodies).await;
    }
    unharmed(&site, &before).await;
}

async fn a_listing_inside_another_one_ends_the_session(over: Over) {
    let (site, before) = victim(over, "").await;
    let root = body(&Frame::Directories(vec![directory("", 2), directory("new", 2)]));
    let part = |directory, more| body(&Frame::List { directory, more, listing: files(&[("a", 1)]) });
    refused_in_session(&site, push_to("dst"), &[root, part(0, true), part(1, true)]).await;
    unharmed(&site, &before).await;
}

async fn names_of_unfinished_files_are_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    // Take such a name from a file that is really unfinished.
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, 8 << 20).await;
    let mut lane = control.lane(0).await;
    lane.records(&[Record::Begin { file: FIRST }, Record::Literal(b"part")]).await;
    support::eventually(|| !leftovers(&site.root()).is_empty()).await;
    let name = leftovers(&site.root())[0].file_name().unwrap().to_str().unwrap().to_owned();
    control.wire.close();
    site.idle().await;
    std::fs::remove_file(site.root().join("dst").join(&name)).unwrap();

    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let list = body(&Frame::List { directory: 0, more: false, listing: files(&[(&name, 3)]) });
    refused_in_session(&site, push_to("dst"), &[root, list]).await;
    let below = body(&Frame::Directories(vec![directory("", 1), directory(&name, 0)]));
    refused_in_session(&site, push_to("dst"), &[below]).await;
    let mut control = site.raw().await.session(push_to(&format!("dst/{name}"))).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Scope);
    // The folder that held the part has another time now, and nothing else.
    unharmed(&site, &before).await;
}

async fn symlinks_that_the_request_left_out_are_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    let mut request = push_to("dst");
    request.attributes.links = false;
    let list = listing(&[("new", Kind::Symlink, 0, "/etc/passwd")]);
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    refused_in_session(&site, request, &[root, body(&Frame::List { directory: 0, more: false, listing: list })]).await;
    unharmed(&site, &before).await;
}

async fn fifos_that_the_request_left_out_or_the_key_may_not_make_are_not_made(over: Over) {
    let (site, before) = victim(over, "allow=read,write,delete").await;
    let list = listing(&[("new", Kind::Fifo, 0, "")]);
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let list = body(&Frame::List { directory: 0, more: false, listing: list });
    refused_in_session(&site, push_to("dst"), &[root, list]).await;
    unharmed(&site, &before).await;

    let mut request = push_to("dst");
    request.attributes.specials = true;
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    control.tell(vec![directory("", 1)], vec![listing(&[("new", Kind::Fifo, 0, "")])]).await;
    assert_eq!(control.issue().await.kind, IssueKind::SpecialRight);
    control.finished().await;
    assert!(site.root().join("dst/new").symlink_metadata().is_err());
    outside_untouched(&site);
    serves_on(&site).await;
}

async fn extended_attributes_that_the_request_does_not_carry_are_refused(over: Over) {
    let (site, before) = victim(over, "allow=read,write,delete,xattrs").await;
    let asked = Request { attributes: Attributes { xattrs: true, ..push_to("").attributes }, ..push_to("dst") };
    let xattrs = |name: &str| Xattrs::new(vec![(name.as_bytes().to_vec(), b"1".to_vec())]).unwrap();
    let entry = |kind, name| {
        let mut list = listing(&[("new", kind, 7, "target")]);
        list.set_last_xattrs(xattrs(name));
        body(&Frame::List { directory: 0, more: false, listing: list })
    };
    let root = |name: Option<&str>| {
        let xattrs = name.map(xattrs).unwrap_or_default();
        body(&Frame::Directories(vec![Directory { xattrs, ..directory("", 1) }]))
    };
    for (request, bodies) in [
        (push_to("dst"), [root(Some("user.a")), entry(Kind::File, "user.a")]),
        (push_to("dst"), [root(None), entry(Kind::File, "user.a")]),
        (asked.clone(), [root(Some("security.capability")), entry(Kind::File, "user.a")]),
        (asked.clone(), [root(None), entry(Kind::File, "security.capability")]),
        (asked.clone(), [root(None), entry(Kind::File, "trusted.a")]),
        (asked.clone(), [root(None), entry(Kind::File, "system.posix_acl_access")]),
        (asked.clone(), [root(None), entry(Kind::File, "users.a")]),
        (asked.clone(), [root(None), entry(Kind::Symlink, "user.a")]),
    ] {
        refused_in_session(&site, request, &bodies).await;
    }
    unharmed(&site, &before).await;
}

async fn hard_links_to_what_the_source_does_not_have_are_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    let asked = Request { attributes: Attributes { hard_links: true, ..push_to("").attributes }, ..push_to("dst") };
    // The destination has `keep` and `sub/inner`, and the source has neither.
    let list = |entries: &[(&str, Kind, u64, &str)], followers: &[(usize, &str, &str)]| {
        let mut list = listing(entries);
        for (index, directory, name) in followers {
            let directory = RelPath::new(directory.as_bytes()).unwrap();
            list.add_follower(*index, Leader { directory: &directory, name: name.as_bytes() });
        }
        body(&Frame::List { directory: 0, more: false, listing: list })
    };
    let one = [("new", Kind::File, 3, "")];
    let two = [("a", Kind::File, 3, ""), ("b", Kind::Symlink, 0, "a"), ("c", Kind::File, 3, "")];
    for (request, entries, followers) in [
        (push_to("dst"), &two[..], &[(2, "", "a")][..]),
        (asked.clone(), &one, &[(0, "", "keep")]),
        (asked.clone(), &one, &[(0, "sub", "inner")]),
        // It comes after the entry, or is the entry itself.
        (asked.clone(), &one, &[(0, "", "new")]),
        (asked.clone(), &two, &[(0, "", "c")]),
        // It is of another kind, or is a hard link itself.
        (asked.clone(), &two, &[(2, "", "b")]),
        (
            asked.clone(),
            &[("a", Kind::File, 3, ""), ("b", Kind::File, 3, ""), ("c", Kind::File, 3, "")],
            &[(1, "", "a"), (2, "", "b")],
        ),
        (asked.clone(), &[("a", Kind::Directory, 0, ""), ("c", Kind::File, 3, "")], &[(1, "", "a")]),
    ] {
        let entries_of = u32::try_from(entries.len()).unwrap();
        let root = body(&Frame::Directories(vec![directory("", entries_of)]));
        refused_in_session(&site, request, &[root, list(entries, followers)]).await;
    }
    // No path leads out of the tree, not even the spelling of one.
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for leader in [&b"\0\x01.."[..], b"\0\x01a/../b", b"\x02..\x01", b"\x01/\x01", b"\x01a\x02", b"\x01a"] {
        let mut rest = vec![5, 0x80, 0x20, 0, 0, 0, 0];
        rest.bytes(&[&[7, u8::try_from(leader.len()).unwrap()][..], leader].concat());
        refused_in_session(&site, asked.clone(), &[root.clone(), list_body(0, b"n", &rest)]).await;
    }
    unharmed(&site, &before).await;
}

on_every_transport!(
    directories_that_climb_end_the_session,
    names_that_climb_end_the_session,
    frames_out_of_place_end_the_session,
    directories_out_of_order_end_the_session,
    a_listing_inside_another_one_ends_the_session,
    names_of_unfinished_files_are_refused,
    symlinks_that_the_request_left_out_are_refused,
    hard_links_to_what_the_source_does_not_have_are_refused
);

mod on_networks {
    use super::*;
    on_every_network!(
        directories_that_are_never_listed_end_the_session,
        extended_attributes_that_the_request_does_not_carry_are_refused,
        fifos_that_the_request_left_out_or_the_key_may_not_make_are_not_made
    );
}
