//! A server against clients that hold an authorized key and break the protocol: each is told why it is turned away,
//! nothing outside what it may write changes, and the next client is served.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::pack::{FileId, PackHeader, Record};
use sparsync_core::proto::{
    Attributes, Directory, Frame, Grant, IssueKind, Kind, RelPath, Request, SourcePath, Xattrs, limits,
};
use support::{
    Control, Node, Site, Snapshot, contents, deleting, digest, directory, files, framed, leftovers, listing, noise,
    profile, pull_from, push_to, put, run, snapshot,
};

const FIRST: FileId = FileId { directory: 0, index: 0 };

fn whole(file: FileId, content: &[u8]) -> Record<'_> {
    Record::Whole { file, meta: None, content, digest: digest(content) }
}

/// A site whose root holds a tree that somebody may want to break, and what it looked like.
async fn victim(allow: &str) -> (Site, Snapshot) {
    let site = Site::new(allow).await;
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

#[tokio::test]
async fn a_version_that_nobody_speaks_is_named() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    for (oldest, newest) in [(2, 2), (2, 65_535), (0, 0), (5, 1)] {
        let mut control = raw.open().await;
        control.write(&Frame::Hello { oldest, newest }).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Version, "{oldest} to {newest}");
        assert!(error.message.contains("1 to 1"), "{}", error.message);
    }
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_range_that_holds_our_version_is_served() {
    let (site, _) = victim("").await;
    let mut control = site.raw().await.open().await;
    control.write(&Frame::Hello { oldest: 0, newest: 9 }).await;
    control.write(&Frame::Request(Box::new(push_to("dst")))).await;
    assert_eq!(control.accepted().await.version, sparsync_core::proto::Version::NEWEST);
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    let mut openings = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        framed(&[]),
        framed(&[0]),
        framed(&[18]),
        framed(b"\x01SPSX\x01\x01"),
        framed(b"\x01SPSY\x01"),
        framed(b"\x01SPSY\x01\x01\x00"),
        framed(b"\x01SPSY\xff\xff\xff\xff\x0f\x01"),
        // A length over its cap, in one spelling and in one of too many bytes.
        {
            let mut out = Vec::new();
            out.number(limits::FRAME_BYTES_MAX as u64 + 1);
            out
        },
        vec![0x80; 16],
        vec![0xff; 16],
        // A frame that has no place at the start.
        framed(&[13, 0]),
    ];
    openings.extend((0..40).map(|seed| {
        let mut bytes = noise(64, seed);
        // Else it may be the beginning of a frame that is not there yet.
        bytes.splice(0..0, [0x05]);
        bytes
    }));
    for opening in openings {
        let mut control = raw.open().await;
        control.write_raw(&opening).await;
        let _ = control.send.finish();
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{}", opening.escape_ascii());
    }
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_request_cut_short_anywhere_is_refused() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    let mut whole = Vec::new();
    Frame::hello().encode(sparsync_core::proto::Version::OLDEST, &mut whole);
    Frame::Request(Box::new(push_to("dst"))).encode(sparsync_core::proto::Version::OLDEST, &mut whole);
    for end in 0..whole.len() {
        let mut control = raw.open().await;
        control.write_raw(&whole[..end]).await;
        let _ = control.send.finish();
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{end} bytes");
    }
    unharmed(&site, &before).await;
}

/// The body of a request with one field spelt by hand; the types refuse what these tests have to say.
fn request_body(root: &[u8], path: &[u8], file_name: Option<&[u8]>, lanes: u8) -> Vec<u8> {
    let mut out = vec![2];
    field(&mut out, 2, root);
    field(&mut out, 3, path);
    if let Some(name) = file_name {
        field(&mut out, 5, name);
    }
    // Recursive; permissions, times and links.
    for flag in [8, 9, 10, 13] {
        field(&mut out, flag, b"");
    }
    field(&mut out, 30, &[lanes]);
    out
}

/// A critical field.
fn field(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    out.number(number << 1 | 1);
    out.bytes(value);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one line for each cap")]
async fn requests_that_climb_or_exceed_a_cap_are_refused() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    let long_name = vec![b'x'; limits::NAME_BYTES_MAX + 1];
    let long_root = vec![b'r'; limits::ROOT_NAME_BYTES_MAX + 1];
    let long_path = b"d/".repeat(limits::PATH_BYTES_MAX / 2 + 1)[..=limits::PATH_BYTES_MAX].to_vec();
    let deep = b"d/".repeat(limits::DEPTH_MAX + 1)[..=limits::DEPTH_MAX * 2].to_vec();
    let good = request_body(b"r", b"dst", None, 1);
    let mut bodies: Vec<Vec<u8>> = [
        &b".."[..],
        b"../outside",
        b"dst/..",
        b"dst/../..",
        b"/etc",
        b"/",
        b"dst/",
        b"dst//x",
        b".",
        b"./dst",
        b"dst/./x",
        b"d\0st",
        &long_name,
        &long_path,
        &deep,
    ]
    .iter()
    .map(|path| request_body(b"r", path, None, 1))
    .collect();
    for name in [&b""[..], b"..", b".", b"a/b", b"/", b"a\0", &long_name] {
        bodies.push(request_body(b"r", b"dst", Some(name), 1));
    }
    bodies.push(request_body(&long_root, b"dst", None, 1));
    for lanes in [0, limits::LANES_MAX + 1, 255] {
        bodies.push(request_body(b"r", b"dst", None, lanes));
    }
    // A field twice, and bytes behind the end.
    let mut twice = good.clone();
    field(&mut twice, 30, &[1]);
    bodies.push(twice);
    bodies.push([&good[..], b"\0"].concat());
    for body in bodies {
        let mut control = raw.open().await;
        control.write(&Frame::Hello { oldest: 1, newest: 1 }).await;
        control.write_body(&body).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} {}", error.message, body[..body.len().min(80)].escape_ascii());
    }
    // What a newer client demands is refused by its number, and what it hints at is passed over.
    let mut demand = good.clone();
    field(&mut demand, 1001, b"");
    let mut control = raw.open().await;
    control.write(&Frame::hello()).await;
    control.write_body(&demand).await;
    let error = control.abort().await;
    assert_eq!(error.kind, ErrorKind::Version, "{}", error.message);
    assert!(error.message.contains("1001") && error.message.contains("1 to 1"), "{}", error.message);
    let mut good = good;
    good.number(1000 << 1);
    good.bytes(b"hint");
    // The body that all of these were made from is fine.
    let mut control = raw.open().await;
    control.write(&Frame::Hello { oldest: 1, newest: 1 }).await;
    control.write_body(&good).await;
    control.accepted().await;
    drop(control);
    raw.connection.close(0u32.into(), b"");
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn what_this_server_does_not_do_yet_is_refused() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    let push_of_its_own = Request { sources: vec![SourcePath::default()], ..push_to("dst") };
    assert_eq!(raw.session(push_of_its_own).await.abort().await.kind, ErrorKind::Config);
    unharmed(&site, &before).await;
}

/// A pull of several sources.
fn pull_of(paths: &[&str]) -> Request {
    let source = |path: &&str| SourcePath { path: RelPath::new(path.as_bytes()).unwrap(), contents: false };
    Request { sources: paths.iter().map(source).collect(), into: true, ..pull_from("") }
}

#[tokio::test]
async fn a_scope_is_not_left() {
    let (site, before) = victim("root=r/dst allow=read,write").await;
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

#[tokio::test]
async fn rights_that_were_not_given_are_missed() {
    for (allow, request) in [
        ("allow=read", push_to("dst")),
        ("allow=write", pull_from("dst")),
        ("allow=append", deleting(push_to("dst"))),
        ("allow=delete", push_to("dst")),
    ] {
        let (site, before) = victim(allow).await;
        let mut control = site.raw().await.session(request).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Scope, "{allow}");
        assert_eq!(snapshot(&site.root()), before);
    }
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

fn body(frame: &Frame) -> Vec<u8> {
    let mut encoded = Vec::new();
    frame.encode(sparsync_core::proto::Version::NEWEST, &mut encoded);
    let mut reader = sparsync_core::proto::codec::Reader::new(&encoded);
    reader.bytes(limits::FRAME_BYTES_MAX, "frame").unwrap().to_vec()
}

/// A record of a directory with its path spelt by hand.
fn directory_body(path: &[u8]) -> Vec<u8> {
    // Mode, owner, group and time are zero.
    let mut out = vec![5];
    for path in [&b""[..], path] {
        out.number(0);
        out.bytes(path);
        out.raw(&[0; 5]);
        out.raw(&[7; 16]);
        out.number(0);
    }
    out
}

/// A listing of directory 0 with one entry, its name spelt by hand.
fn list_body(kind: u8, name: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut out = vec![6, 0, 0, 0, kind];
    out.bytes(name);
    out.raw(rest);
    out
}

#[tokio::test]
async fn directories_that_climb_end_the_session() {
    let (site, before) = victim("").await;
    for path in
        [&b".."[..], b"../outside", b"sub/../..", b"/etc", b"sub/", b"sub//x", b".", b"s\0", &vec![b'x'; 256][..]]
    {
        refused_in_session(&site, push_to("dst"), &[directory_body(path)]).await;
    }
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn names_that_climb_end_the_session() {
    let (site, before) = victim("").await;
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

#[tokio::test]
async fn frames_out_of_place_end_the_session() {
    let (site, before) = victim("").await;
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

#[tokio::test]
async fn directories_out_of_order_end_the_session() {
    let (site, before) = victim("").await;
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

#[tokio::test]
async fn names_of_unfinished_files_are_refused() {
    let (site, before) = victim("").await;
    // Take such a name from a file that is really unfinished.
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, 8 << 20).await;
    let mut lane = control.lane(0).await;
    lane.records(&[Record::Begin { file: FIRST }, Record::Literal(b"part")]).await;
    support::eventually(|| !leftovers(&site.root()).is_empty()).await;
    let name = leftovers(&site.root())[0].file_name().unwrap().to_str().unwrap().to_owned();
    control.connection.close(0u32.into(), b"");
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    std::fs::remove_file(site.root().join("dst").join(&name)).unwrap();

    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let list = body(&Frame::List { directory: 0, more: false, listing: files(&[(&name, 3)]) });
    refused_in_session(&site, push_to("dst"), &[root, list]).await;
    let below = body(&Frame::Directories(vec![directory("", 1), directory(&name, 0)]));
    refused_in_session(&site, push_to("dst"), &[below]).await;
    let mut control = site.raw().await.session(push_to(&format!("dst/{name}"))).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Config);
    // The folder that held the part has another time now, and nothing else.
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn content_that_was_not_asked_for_ends_the_session() {
    let (site, before) = victim("").await;
    for records in [
        // Another entry, another directory, a directory never told of.
        vec![whole(FileId { directory: 0, index: 1 }, b"x")],
        vec![whole(FileId { directory: 0, index: u32::MAX }, b"x")],
        vec![whole(FileId { directory: 1, index: 0 }, b"x")],
        vec![whole(FileId { directory: 77, index: 0 }, b"x")],
        vec![Record::Begin { file: FileId { directory: 77, index: 0 } }],
        vec![Record::Failed {
            file: FileId { directory: 0, index: 9 },
            kind: IssueKind::Unreadable,
            message: String::new(),
        }],
        // Content of no file.
        vec![Record::Literal(b"x")],
        vec![Record::Hole { bytes: 1 }],
        vec![Record::Copy { bytes: 1 }],
        vec![Record::End { meta: None, digest: [0; 32] }],
        // A file in a file, and a copy of what nobody holds.
        vec![Record::Begin { file: FIRST }, whole(FIRST, b"x")],
        vec![Record::Begin { file: FIRST }, Record::Begin { file: FileId { directory: 0, index: 1 } }],
        vec![Record::Begin { file: FIRST }, Record::Copy { bytes: 1 }],
        vec![Record::Begin { file: FIRST }, Record::Literal(b"x"), Record::Copy { bytes: 1 }],
    ] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(0).await.records(&records).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} for {records:?}", error.message);
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
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

#[tokio::test]
async fn content_that_comes_twice_ends_the_session_and_the_first_stays() {
    let (site, mut before) = victim("").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![files(&[("more", 1), ("new", 5)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let new = FileId { directory: 0, index: 1 };
    control.lane(0).await.records(&[whole(new, b"first"), whole(new, b"other")]).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    let after = snapshot(&site.root());
    before.insert("dst/new".into(), after[std::path::Path::new("dst/new")].clone());
    assert_eq!(after, before);
    assert!(matches!(&after[std::path::Path::new("dst/new")], Node::File(content, ..) if content == b"first"));
    serves_on(&site).await;
}

#[tokio::test]
async fn content_with_another_digest_does_not_get_its_name() {
    let (site, mut before) = victim("").await;
    put(&site.root(), "dst/large", "old large");
    before.extend(snapshot(&site.root()));
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let names = files(&[("keep", 3), ("large", 6 << 20), ("new", 5)]);
    control.tell(vec![directory("", 3)], vec![names]).await;
    assert_eq!(control.wanted().await, [0, 1, 2]);
    let file = |index| FileId { directory: 0, index };
    let content = noise(100_000, 3);
    control
        .lane(0)
        .await
        .records(&[
            Record::Whole { file: file(0), meta: None, content: b"bad", digest: digest(b"good") },
            Record::Begin { file: file(1) },
            Record::Literal(&content),
            Record::Hole { bytes: 1 << 20 },
            Record::End { meta: None, digest: digest(&content) },
            Record::Whole { file: file(2), meta: None, content: b"lies!", digest: [0; 32] },
        ])
        .await;
    for path in ["dst/keep", "dst/large", "dst/new"] {
        let issue = control.issue().await;
        assert_eq!(issue.kind, IssueKind::Integrity);
        assert_eq!(format!("dst/{}", issue.path.escape_ascii()), path);
        assert_eq!(issue.old_kept, path != "dst/new", "there was something to keep");
    }
    control.finished().await;
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}

#[tokio::test]
async fn packs_that_lie_about_their_length_end_the_session() {
    let (site, before) = victim("").await;
    let header = |compressed: u8, stored: u32, raw: u32| {
        let mut out = vec![compressed];
        out.extend_from_slice(&stored.to_be_bytes());
        out.extend_from_slice(&raw.to_be_bytes());
        out
    };
    let cap = u32::try_from(limits::PACK_BYTES_MAX).unwrap();
    // No byte of it begins a record.
    let filling = vec![0xee; 1 << 20];
    let bomb = lz4_flex::block::compress(&filling);
    let small = u32::try_from(bomb.len()).unwrap();
    let with = |head: Vec<u8>, rest: &[u8]| [&head[..], rest].concat();
    for bytes in [
        header(2, 1, 1),
        header(255, 1, 1),
        header(0, 0, 0),
        header(1, 0, 9),
        header(0, 5, 6),
        header(1, 6, 6),
        header(1, 7, 6),
        header(0, cap + 1, cap + 1),
        header(1, 9, cap + 1),
        header(1, 9, u32::MAX),
        header(0, u32::MAX, u32::MAX),
        // A bomb: more comes out than was told, or less, or nothing that is a block at all.
        with(header(1, small, 100 + small), &bomb),
        with(header(1, small, (1 << 20) - 1), &bomb),
        with(header(1, small, (1 << 20) + 1), &bomb),
        with(header(1, 64, cap), &noise(64, 9)),
        // What comes out are no records.
        with(header(1, small, 1 << 20), &bomb),
        with(header(0, 1, 1), b"\x07"),
        with(header(0, 3, 3), b"\0\0\0"),
        with(header(0, 2, 2), b"\x02\x05"),
        // A whole file over its cap, and spans of nothing or of too much.
        with(header(0, 7, 7), b"\0\0\0\0\x81\x80\x08"),
        with(header(0, 5, 5), b"\x01\0\0\x04\0"),
        with(header(0, 5, 5), b"\x01\0\0\x03\0"),
    ] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(0).await.raw(&bytes).await;
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{} {}", error.message, bytes[..9].escape_ascii());
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

#[tokio::test]
async fn a_lane_cut_short_ends_the_session() {
    let (site, before) = victim("").await;
    let mut records = Vec::new();
    whole(FIRST, b"content").encode(&mut records);
    let header = PackHeader { compressed: false, stored_bytes: records.len(), raw_bytes: records.len() }.encode();
    let pack = [&header[..], &records].concat();
    for end in [1, 8, 9, 10, pack.len() - 1] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 7).await;
        let mut lane = control.lane(0).await;
        lane.raw(&pack[..end]).await;
        let _ = lane.send.finish();
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{end} bytes");
    }
    // Between two packs, inside a file.
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, 7).await;
    let mut lane = control.lane(0).await;
    lane.records(&[Record::Begin { file: FIRST }, Record::Literal(b"con")]).await;
    let _ = lane.send.finish();
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

#[tokio::test]
async fn a_lane_that_the_session_does_not_have_ends_it() {
    let (site, before) = victim("").await;
    for lane in [2, 3, 255] {
        let mut control = site.raw().await.session(push_to("dst")).await;
        asked_for(&mut control, 1).await;
        control.lane(lane).await.records(&[whole(FIRST, b"x")]).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    }
    let mut control = site.raw().await.session(push_to("dst")).await;
    asked_for(&mut control, 1).await;
    let first = control.lane(0).await;
    let second = control.lane(0).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    drop((first, second));
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn lanes_of_no_session_are_kept_apart_from_those_of_one() {
    let (site, _) = victim("").await;
    let raw = site.raw().await;
    // Most of what the connection may have open, of sessions that there are not.
    let mut strays = Vec::new();
    for number in 0..48u64 {
        let mut lane = support::lane_of(&raw.connection, 1_000_000 + number, 0).await;
        lane.raw(&noise(1000, number)).await;
        strays.push(lane);
    }
    for session in 0..20u32 {
        let mut control = raw.session(push_to("dst")).await;
        asked_for(&mut control, 5).await;
        let content = format!("{session:5}").into_bytes();
        control.lane(0).await.records(&[whole(FIRST, &content)]).await;
        control.finished().await;
        assert_eq!(std::fs::read(site.root().join("dst/new")).unwrap(), content);
        std::fs::remove_file(site.root().join("dst/new")).unwrap();
    }
    drop(strays);
    serves_on(&site).await;
}

#[tokio::test]
async fn the_end_of_the_stream_deletes_nothing() {
    let (site, before) = victim("").await;
    for ending in 0..3 {
        let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
        control.accepted().await;
        // An empty source, told of in full but for its end.
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        control.write(&Frame::List { directory: 0, more: ending == 1, listing: files(&[]) }).await;
        match ending {
            0 | 1 => {
                let _ = control.send.finish();
                control.gone().await;
            }
            _ => control.connection.close(0u32.into(), b""),
        }
        support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    }
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_reset_stream_and_a_stopped_one_end_the_session() {
    let (site, before) = victim("").await;
    let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    let _ = control.send.reset(21u32.into());
    control.gone().await;
    let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    let _ = control.recv.stop(0u32.into());
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_single_file_stays_where_its_name_is() {
    // The key may write below `dst` only; its file's folder is the one above.
    let (site, before) = victim("root=r/dst").await;
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

#[tokio::test]
async fn a_run_that_does_not_go_down_stays_up() {
    let (site, before) = victim("").await;
    let flat = Request { recursive: false, ..push_to("dst") };
    let records = body(&Frame::Directories(vec![directory("", 1), directory("sub", 1)]));
    refused_in_session(&site, flat, &[records]).await;
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_symlink_of_the_source_is_never_written_through() {
    let (site, _) = victim("").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let outside = site.outside();
    let root = listing(&[("link", Kind::Symlink, 0, outside.to_str().unwrap())]);
    control.tell(vec![directory("", 1), directory("link", 1)], vec![root, files(&[("secret", 5)])]).await;
    // The link is made, or already there; then a directory stands in its place, and the file goes into that.
    while control.wanted().await != [0] {}
    control.lane(0).await.records(&[whole(FileId { directory: 1, index: 0 }, b"owned")]).await;
    control.finished().await;
    outside_untouched(&site);
    assert_eq!(std::fs::read(site.root().join("dst/link/secret")).unwrap(), b"owned");
    assert!(std::fs::symlink_metadata(site.root().join("dst/link")).unwrap().is_dir());
    serves_on(&site).await;
}

#[tokio::test]
async fn symlinks_that_the_request_left_out_are_refused() {
    let (site, before) = victim("").await;
    let mut request = push_to("dst");
    request.attributes.links = false;
    let list = listing(&[("new", Kind::Symlink, 0, "/etc/passwd")]);
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    refused_in_session(&site, request, &[root, body(&Frame::List { directory: 0, more: false, listing: list })]).await;
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn fifos_that_the_request_left_out_or_the_key_may_not_make_are_not_made() {
    let (site, before) = victim("allow=read,write,delete").await;
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

#[tokio::test]
async fn extended_attributes_that_the_request_does_not_carry_are_refused() {
    let (site, before) = victim("allow=read,write,delete,xattrs").await;
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

#[tokio::test]
async fn sizes_that_no_sum_can_hold_do_no_harm() {
    let (site, before) = victim("").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    let huge: Vec<(String, u64)> = (0..9).map(|n| (format!("huge{n}"), limits::FILE_BYTES_MAX)).collect();
    let names: Vec<(&str, u64)> = huge.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    control.tell(vec![directory("", 9)], vec![files(&names)]).await;
    assert_eq!(control.wanted().await.len(), 9);
    // A hole that takes years to hash: the session ends when its client goes, not then.
    control
        .lane(0)
        .await
        .records(&[Record::Begin { file: FIRST }, Record::Hole { bytes: limits::FILE_BYTES_MAX - 1 }])
        .await;
    control.connection.close(0u32.into(), b"");
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    assert_eq!(contents(&site.root()).len(), before.len() + leftovers(&site.root()).len());
    for path in leftovers(&site.root()) {
        std::fs::remove_file(site.root().join(path)).unwrap();
    }
    assert_eq!(contents(&site.root()), timeless(&before));
    serves_on(&site).await;
}

#[tokio::test]
async fn a_request_that_does_not_come_is_not_waited_for() {
    let (site, before) = victim("").await;
    let raw = site.raw().await;
    let mut hello = Vec::new();
    Frame::hello().encode(sparsync_core::proto::Version::OLDEST, &mut hello);
    let mut stalled = Vec::new();
    for opening in [&b"\x05"[..], &hello[..3], &hello] {
        let mut control = raw.open().await;
        control.write_raw(opening).await;
        stalled.push(control);
    }
    for mut control in stalled {
        assert_eq!(control.abort().await.kind, ErrorKind::Timeout);
    }
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn a_session_in_which_nothing_happens_ends_as_asked() {
    let (site, before) = victim("").await;
    let request = Request { timeout_ms: 2000, ..deleting(push_to("dst")) };
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Timeout);
    unharmed(&site, &before).await;
}

#[tokio::test]
async fn random_bytes_in_the_middle_of_everything_do_no_harm() {
    let (site, before) = victim("").await;
    for seed in 0..60 {
        let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
        control.accepted().await;
        if seed % 2 == 0 {
            let mut bytes = noise(200, 1000 + seed);
            bytes[0] = 0x20;
            // Types of frames that there are, so that their fields are looked at.
            bytes[1] %= 19;
            control.write_raw(&bytes).await;
        } else {
            control.tell(vec![directory("", 1)], vec![files(&[("new", 50)])]).await;
            let mut bytes = noise(200, 1000 + seed);
            bytes[0] %= 7;
            control.lane(0).await.pack(&bytes).await;
        }
        let _ = control.send.finish();
        control.gone().await;
    }
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    assert!(leftovers(&site.root()).is_empty());
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}
