//! A client against servers whose key it trusts and which break the protocol: the run fails with a typed error,
//! nothing outside the destination changes, and in it nothing but what is legitimately complete.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::path::Path;
use std::sync::Arc;

use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::delta::Chunk;
use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{
    Accept, Arrived, Basis, FilterRules, Frame, Grant, Kind, Paths, RelPath, Request, Rule, SourcePath, Time,
    WireError, limits,
};
use sparsync_core::{Error, ErrorKind, Job, Side};
use support::{
    Control, Node, Trap, accept, body, contents, deleting, digest, directory, directory_body, files, leftovers,
    listing, noise, profile, pull_from, push_to, put, snapshot, start, unhung,
};

/// A trap, and a client with a tree of its own.
async fn trap() -> Trap {
    let trap = Trap::new().await;
    put(&trap.local(), "keep", "old");
    put(&trap.local(), "sub/inner", "old too");
    trap
}

fn pull(trap: &Trap, request: Request) -> Arc<Job> {
    start(&trap.client, request, &trap.local())
}

async fn failed(job: &Job) -> Error {
    unhung(job.done()).await.expect_err("the run does not succeed")
}

fn outside_untouched(trap: &Trap) {
    let outside = snapshot(&trap.outside());
    assert_eq!(outside.len(), 1);
    assert!(matches!(&outside[Path::new("secret")], Node::File(content, ..) if content == b"untouched"));
}

/// A pull with deletions, accepted as it was asked for, that `attack` has to break.
async fn broken(attack: impl AsyncFn(&mut Control)) -> Error {
    broken_with(Grant::AsAsked, attack).await
}

async fn broken_with(grant: Grant, attack: impl AsyncFn(&mut Control)) -> Error {
    let trap = trap().await;
    let before = snapshot(&trap.local());
    let job = pull(&trap, deleting(pull_from("tree")));
    let mut control = trap.accepted(grant).await;
    attack(&mut control).await;
    let error = failed(&job).await;
    assert_eq!(error.side(), Side::Remote, "{error:?}");
    assert_eq!(snapshot(&trap.local()), before, "{error:?}");
    outside_untouched(&trap);
    error
}

#[tokio::test]
async fn a_server_grants_itself_nothing() {
    // The destination holds something, so the request asks for each file by itself.
    let error = broken_with(Grant::All, async |_| {}).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn what_does_not_belong_to_the_run_is_not_touched() {
    let paths = |all: &[&[u8]]| Paths::new(all.iter().map(|path| RelPath::new(path).unwrap()).collect()).unwrap();
    let entry = |name: &[u8]| SourcePath { path: RelPath::new(name).unwrap(), ..SourcePath::default() };
    let filter = FilterRules::new(&["keep", "sub"].map(|name| Rule::new(false, name.into()))).unwrap();
    let excluding = Request { filter, ..deleting(pull_from("tree")) };
    let of_entries = Request { sources: vec![entry(b"one"), entry(b"two")], into: true, ..deleting(pull_from("")) };
    for (request, selected, said) in [
        (&excluding, Paths::default(), Frame::Directories(vec![directory("", 1), directory("sub", 0)])),
        (&of_entries, paths(&[b"one"]), Frame::Directories(vec![directory("", 1), directory("sub", 0)])),
        // What was not asked for, and all that is there.
        (&of_entries, paths(&[b"one", b"sub"]), Frame::Settled(0)),
        (&of_entries, Paths::default(), Frame::Settled(0)),
    ] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, request.clone());
        let (mut control, asked) = trap.session().await;
        control.write(&Frame::Accept(Accept { selected, ..accept(Grant::AsAsked, asked.lanes) })).await;
        control.write(&said).await;
        assert_eq!(failed(&job).await.kind(), ErrorKind::Protocol, "{said:?}");
        assert_eq!(snapshot(&trap.local()), before, "{said:?}");
    }
    for request in [excluding, of_entries] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, request.clone());
        let (mut control, asked) = trap.session().await;
        let selected = if request.sources.is_empty() { Paths::default() } else { paths(&[b"one", b"two"]) };
        control.write(&Frame::Accept(Accept { selected, ..accept(Grant::AsAsked, asked.lanes) })).await;
        control.write(&Frame::Directories(vec![directory("", 1)])).await;
        control.until(|frame| matches!(frame, Frame::Need(_))).await;
        control.write(&Frame::List { directory: 0, more: false, listing: files(&[("keep", 3)]) }).await;
        assert_eq!(failed(&job).await.kind(), ErrorKind::Protocol);
        assert_eq!(snapshot(&trap.local()), before);
    }
}

async fn breaks_protocol(bodies: &[Vec<u8>]) {
    let error = broken(async |control| {
        for body in bodies {
            control.write_body(body).await;
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?} for {:?}", bodies.last());
}

#[tokio::test]
async fn an_answer_that_is_no_acceptance_fails_the_run() {
    for frame in [
        Frame::Hello { oldest: 1, newest: 1 },
        Frame::Directories(vec![directory("", 0)]),
        Frame::TreeEnd { directories: 0, entries: 0, bytes: 0, errors: 0 },
        Frame::Finished { counters: vec![], refused: None },
        Frame::ListReply { more: false, entries: vec![] },
        Frame::Profile(Box::new(profile())),
    ] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, pull_from("tree"));
        let (mut control, _) = trap.session().await;
        control.write(&frame).await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{frame:?}");
        assert_eq!(snapshot(&trap.local()), before);
    }
}

#[tokio::test]
async fn random_bytes_fail_the_run() {
    for seed in 0..20 {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, deleting(pull_from("tree")));
        let (mut control, _) = trap.session().await;
        let mut bytes = noise(300, seed);
        bytes[0] = 0x30;
        bytes[1] %= 19;
        control.write_raw(&bytes).await;
        let _ = control.send.finish();
        let error = failed(&job).await;
        assert_eq!(error.side(), Side::Remote, "{error:?}");
        assert_eq!(snapshot(&trap.local()), before);
    }
}

#[tokio::test]
async fn an_abort_keeps_its_kind_path_and_facts() {
    let trap = trap().await;
    let job = pull(&trap, pull_from("tree"));
    let (mut control, _) = trap.session().await;
    control
        .write(&Frame::Abort(WireError {
            kind: ErrorKind::NotFound,
            message: "the source does not exist".to_owned(),
            path: Some(b"tree".to_vec()),
            details: vec![("free_bytes".to_owned(), 7.into())],
        }))
        .await;
    let error = failed(&job).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::NotFound, Side::Remote));
    assert_eq!(error.path(), Some(&b"tree"[..]));
    assert_eq!(error.details(), [("free_bytes".to_owned(), 7.into())]);
}

#[tokio::test]
async fn a_file_of_another_name_than_was_asked_for_is_refused() {
    for (path, into, name) in [
        ("docs/report", true, &b".bashrc"[..]),
        ("docs/report", false, b".bashrc"),
        ("", true, b"keep"),
        ("docs/report", true, b"keep"),
    ] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let request = Request { into, ..pull_from(path) };
        let job = pull(&trap, request);
        let (mut control, _) = trap.session().await;
        control.write(&Frame::Accept(Accept { file_name: Some(name.to_vec()), ..accept(Grant::AsAsked, 2) })).await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote));
        assert_eq!(snapshot(&trap.local()), before);
    }
    // Names that are none: these the types refuse, so they are spelt by hand.
    for name in [&b".."[..], b"a/b", b"../../x", b"/etc/passwd", b"a\0b", &[b'x'; 256]] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, Request { into: true, ..pull_from("docs/report") });
        let (mut control, _) = trap.session().await;
        // The field of a file's name, which is critical.
        let mut body = vec![3, 4 << 1 | 1];
        body.bytes(name);
        control.write_body(&body).await;
        assert_eq!(failed(&job).await.kind(), ErrorKind::Protocol);
        assert_eq!(snapshot(&trap.local()), before);
    }
}

#[tokio::test]
async fn paths_and_names_that_climb_fail_the_run() {
    for path in [&b".."[..], b"../outside", b"sub/../..", b"/etc", b"sub/", b"sub//x", b".", b"s\0", &[b'x'; 256]] {
        breaks_protocol(&[directory_body(path)]).await;
    }
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for name in [&b".."[..], b".", b"", b"a/b", b"../x", b"/x", b"a\0", &[b'x'; 256]] {
        let mut list = vec![6, 0, 0, 0, 0];
        list.bytes(name);
        list.raw(&[5, 0, 0, 0, 0, 0]);
        breaks_protocol(&[root.clone(), list]).await;
    }
}

#[tokio::test]
async fn trees_out_of_order_fail_the_run() {
    for paths in [
        &["sub"][..],
        &["", ""],
        &["", "b", "a"],
        &["", "a", "a"],
        &["", "a-b", "a/b"],
        &["", "a/b"],
        &["", "a", "b/c"],
    ] {
        let records = paths.iter().map(|path| directory(path, 0)).collect();
        breaks_protocol(&[body(&Frame::Directories(records))]).await;
    }
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let end = |directories, entries| body(&Frame::TreeEnd { directories, entries, bytes: 0, errors: 0 });
    for bodies in [
        vec![end(0, 0)],
        vec![root.clone(), end(2, 1)],
        vec![root.clone(), end(1, 0)],
        vec![root.clone(), end(u64::MAX, u64::MAX)],
        vec![root.clone(), end(1, 1), end(1, 1)],
        vec![root.clone(), end(1, 1), root.clone()],
        vec![root.clone(), body(&Frame::List { directory: 0, more: false, listing: files(&[]) })],
        vec![root.clone(), body(&Frame::List { directory: 0, more: true, listing: files(&[("a", 1), ("b", 1)]) })],
        vec![root.clone(), body(&Frame::List { directory: 5, more: false, listing: files(&[("a", 1)]) })],
        vec![body(&Frame::Need(vec![0]))],
        vec![body(&Frame::Accept(accept(Grant::All, 4)))],
        vec![body(&Frame::Finished { counters: vec![], refused: None })],
    ] {
        breaks_protocol(&bodies).await;
    }
}

#[tokio::test]
async fn the_end_of_the_stream_deletes_nothing() {
    for told in 0..4 {
        let error = broken(async |control| {
            if told > 0 {
                control.write(&Frame::Directories(vec![directory("", 0)])).await;
            }
            if told > 1 {
                control.write(&Frame::List { directory: 0, more: false, listing: files(&[]) }).await;
            }
            if told == 3 {
                control.write_raw(&[9, 7, 1]).await;
            }
            let _ = control.send.finish();
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Closed, "{told}: {error}");
    }
    let error = broken(async |control| {
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        control.connection.close(0u32.into(), b"");
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Closed);
    let error = broken(async |control| {
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        let _ = control.send.reset(ErrorKind::Limit.to_wire().into());
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[tokio::test]
async fn a_source_with_errors_deletes_nothing() {
    let trap = trap().await;
    let before = snapshot(&trap.local());
    let job = pull(&trap, deleting(pull_from("tree")));
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    control.write(&Frame::TreeEnd { directories: 1, entries: 0, bytes: 0, errors: 1 }).await;
    control.write(&Frame::List { directory: 0, more: false, listing: files(&[]) }).await;
    let result = unhung(job.done()).await.unwrap();
    assert_eq!(result.failures.warnings.len(), 1);
    assert_eq!(snapshot(&trap.local()), before);
}

#[tokio::test]
async fn content_before_its_listing_or_its_question_fails_the_run() {
    let link = FileId { directory: 0, index: 1 };
    for records in [
        vec![Record::Whole { file: link, meta: None, content: b"x", digest: digest(b"x") }],
        vec![Record::Begin { file: link }, Record::Literal(b"x")],
    ] {
        let trap = trap().await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, pull_from("tree"));
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.lane(0).await.records(&records).await;
        // A file that is waited for, and a symlink, which has no content.
        let names = listing(&[("a", Kind::File, 9, ""), ("z", Kind::Symlink, 0, "t")]);
        control.tell(vec![directory("", 2)], vec![names]).await;
        control.gone().await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote));
        let mut after = snapshot(&trap.local());
        after.remove(Path::new("z"));
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_symlink_of_the_tree_is_never_written_through_cve_2024_12087() {
    let trap = trap().await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    let target = trap.outside();
    let root = listing(&[("link", Kind::Symlink, 0, target.to_str().unwrap())]);
    control.tell(vec![directory("", 1), directory("link", 1)], vec![root, files(&[("secret", 5)])]).await;
    while control.wanted().await != [0] {}
    let file = FileId { directory: 1, index: 0 };
    let record = Record::Whole { file, meta: None, content: b"owned", digest: digest(b"owned") };
    control.lane(0).await.records(&[record]).await;
    control.finished().await;
    unhung(job.done()).await.unwrap();
    outside_untouched(&trap);
    assert_eq!(std::fs::read(trap.local().join("link/secret")).unwrap(), b"owned");
}

/// What is unsafe is judged where the symlink would be made, on its text.
#[tokio::test]
async fn unsafe_symlinks_of_a_server_that_sends_them_are_not_made_cve_2024_12088() {
    let trap = trap().await;
    let mut request = pull_from("tree");
    request.attributes.safe_links = true;
    let job = pull(&trap, request);
    let mut control = trap.accepted(Grant::AsAsked).await;
    let targets = [("a", "/etc"), ("b", "../x"), ("c", "d/../../x"), ("d", "./../x"), ("z", "safe/target")];
    let entries: Vec<_> = targets.iter().map(|(name, target)| (*name, Kind::Symlink, 0, *target)).collect();
    control.tell(vec![directory("", 5)], vec![listing(&entries)]).await;
    control.finished().await;
    unhung(job.done()).await.unwrap();
    let made = |name: &str| trap.local().join(name).symlink_metadata().is_ok();
    assert_eq!(targets.map(|(name, _)| made(name)), [false, false, false, false, true]);
}

#[tokio::test]
async fn a_symlink_that_appears_at_the_destination_is_not_followed_cve_2026_29518() {
    let trap = trap().await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    let names = vec![listing(&[("sub", Kind::Directory, 0, "")]), files(&[("secret", 5)])];
    control.tell(vec![directory("", 1), directory("sub", 1)], names).await;
    while control.wanted().await != [0] {}
    // Between the comparison and the write somebody puts a symlink in the place of the directory.
    std::fs::rename(trap.local().join("sub"), trap.local().join("moved")).unwrap();
    std::os::unix::fs::symlink(trap.outside(), trap.local().join("sub")).unwrap();
    let file = FileId { directory: 1, index: 0 };
    let record = Record::Whole { file, meta: None, content: b"owned", digest: digest(b"owned") };
    control.lane(0).await.records(&[record]).await;
    let result = unhung(job.done()).await.unwrap();
    assert_eq!(result.failures.failures.len(), 2, "the file, and the time of its directory");
    outside_untouched(&trap);
}

#[tokio::test]
async fn content_with_another_digest_is_reported_and_not_kept() {
    let trap = trap().await;
    let before = contents(&trap.local());
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(vec![directory("", 2)], vec![files(&[("keep", 9), ("new", 9)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let bad = |index| Record::Whole {
        file: FileId { directory: 0, index },
        meta: None,
        content: b"not it",
        digest: digest(b"it"),
    };
    control.lane(1).await.records(&[bad(0), bad(1)]).await;
    let result = unhung(job.done()).await.unwrap();
    let kinds: Vec<_> = result.failures.failures.iter().map(|issue| (issue.kind.as_str(), issue.old_kept)).collect();
    assert_eq!(kinds, [("integrity", true), ("integrity", false)]);
    let mut after = contents(&trap.local());
    assert!(leftovers(&trap.local()).is_empty());
    after.remove(Path::new("new"));
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_lane_that_is_given_up_leaves_time_for_the_reason() {
    let trap = trap().await;
    let job = pull(&trap, pull_from("tree"));
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.tell(vec![directory("", 2)], vec![files(&[("keep", 9), ("new", 9)])]).await;
    assert_eq!(control.wanted().await, [0, 1]);
    let mut lane = control.lane(1).await;
    let file = FileId { directory: 0, index: 1 };
    lane.records(&[Record::Whole { file, meta: None, content: b"it is new", digest: digest(b"it is new") }]).await;
    support::eventually(|| trap.local().join("new").exists()).await;
    let before = contents(&trap.local());
    // The head of a pack and a part of it: where a sender is found most of the time.
    lane.raw(&[0, 0, 0, 0, 99, 0, 0, 0, 99, 0, 0, 0]).await;
    let _ = lane.send.reset(3u32.into());
    // A stream whose reset has arrived is no more.
    support::eventually(|| lane.send.priority().is_err()).await;
    let reason =
        WireError { kind: ErrorKind::Closed, message: "shutting down".to_owned(), path: None, details: Vec::new() };
    control.write(&Frame::Abort(reason)).await;
    let error = failed(&job).await;
    assert_eq!((error.kind(), error.side(), error.message()), (ErrorKind::Closed, Side::Remote, "shutting down"));
    assert_eq!(contents(&trap.local()), before);
}

#[tokio::test]
async fn questions_of_a_push_out_of_place_fail_it() {
    let want = |directory, files| Frame::Want { directory, files, resume: vec![] };
    let older = |directory| Frame::Bases { directory, bases: vec![Basis { index: 0, bytes: 1 << 30 }] };
    let file = FileId { directory: 0, index: 0 };
    let parts = |more| Frame::Chunks { file, more, chunks: vec![Chunk::hole(1)] };
    let done = || Frame::Finished { counters: vec![], refused: None };
    for (number, frames) in [
        // No such directory, or not yet asked about.
        vec![Frame::Need(vec![99])],
        vec![Frame::Need(vec![u32::MAX])],
        vec![want(0, vec![0])],
        vec![want(99, vec![0])],
        // Twice, and after it was settled.
        vec![Frame::Need(vec![0]), Frame::Need(vec![0])],
        vec![Frame::Need(vec![0]), want(0, vec![]), want(0, vec![])],
        vec![Frame::Settled(2), Frame::Need(vec![0])],
        // An index out of range, and one of a directory.
        vec![Frame::Need(vec![0]), want(0, vec![2])],
        vec![Frame::Need(vec![0]), want(0, vec![u32::MAX])],
        vec![Frame::Need(vec![0]), want(0, vec![1])],
        // Older states of what is not asked for, and parts of a file that nobody asked about.
        vec![Frame::Need(vec![0]), older(0), want(0, vec![])],
        vec![Frame::Need(vec![0]), older(7), want(0, vec![0])],
        vec![older(0), older(0)],
        vec![parts(true)],
        vec![Frame::Need(vec![0]), older(0), want(0, vec![0]), parts(false)],
        // Frames of the other role.
        vec![Frame::TreeDigest([0; 16])],
        vec![Frame::Directories(vec![])],
        vec![Frame::TreeEnd { directories: 0, entries: 0, bytes: 0, errors: 0 }],
        vec![Frame::Accept(accept(Grant::All, 1))],
        vec![Frame::Hello { oldest: 1, newest: 1 }],
        // Done while a listing is under way.
        vec![Frame::Need(vec![0]), done()],
    ]
    .into_iter()
    .enumerate()
    {
        let trap = trap().await;
        let job = start(&trap.client, push_to("dst"), &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        for frame in &frames {
            control.write(frame).await;
        }
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{number}: {frames:?} {error:?}");
    }
}

#[tokio::test]
async fn a_profile_comes_when_it_is_asked_for_and_once() {
    let told = || Frame::Profile(Box::new(profile()));
    let finished = || Frame::Finished { counters: vec![], refused: None };
    for (asked, frames) in
        [(false, vec![told(), finished()]), (true, vec![finished()]), (true, vec![told(), told(), finished()])]
    {
        let trap = trap().await;
        let job = start(&trap.client, Request { profile: asked, ..push_to("dst") }, &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        for frame in &frames {
            control.write(frame).await;
        }
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{asked} {frames:?} {error:?}");
    }
}

#[tokio::test]
async fn a_push_is_not_done_before_it_began() {
    let trap = trap().await;
    for n in 0..3000 {
        std::fs::create_dir(trap.local().join(format!("d{n}"))).unwrap();
    }
    let job = start(&trap.client, push_to("dst"), &trap.local());
    let (mut control, _) = trap.session().await;
    control.write(&Frame::Finished { counters: vec![], refused: None }).await;
    let error = failed(&job).await;
    assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote));
}

#[tokio::test]
async fn a_resume_that_nobody_holds_sends_everything() {
    let trap = Trap::new().await;
    let content = noise(5 << 20, 4);
    put(&trap.local(), "large", &content);
    for (bytes, digest) in [(1 << 20, [0; 32]), (u64::MAX, [0; 32]), (6 << 20, [1; 32])] {
        let job = start(&trap.client, push_to("dst"), &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::Directories(_))).await;
        control.write(&Frame::Need(vec![0])).await;
        control.until(|frame| matches!(frame, Frame::List { .. })).await;
        let resume = vec![sparsync_core::proto::Resume { index: 0, bytes, digest }];
        control.write(&Frame::Want { directory: 0, files: vec![0], resume }).await;
        let mut lane = unhung(trap.connection.accept_uni()).await.unwrap();
        let mut got = Vec::new();
        while got.len() < content.len() {
            let chunk = unhung(lane.read_chunk(1 << 20, true)).await.unwrap().expect("all of the content");
            got.extend_from_slice(&chunk.bytes);
        }
        // Session number, lane, pack header, Begin, then a literal from the start.
        assert_eq!(got[18..22], [1, 0, 0, 2]);
        assert_eq!(got[25..1025], content[..1000]);
        job.cancel();
        assert_eq!(failed(&job).await.kind(), ErrorKind::Aborted);
    }
}

#[tokio::test]
async fn counters_and_refusals_made_up_do_no_harm() {
    let trap = trap().await;
    let job = start(&trap.client, push_to("dst"), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    let refused = WireError {
        kind: ErrorKind::DeleteRefused,
        message: "x".repeat(limits::MESSAGE_BYTES_MAX),
        path: None,
        details: vec![],
    };
    control.write(&Frame::Finished { counters: vec![u64::MAX; 256], refused: Some(refused) }).await;
    let result = unhung(job.done()).await.unwrap();
    assert_eq!(result.refused.unwrap().kind(), ErrorKind::DeleteRefused);
}

#[tokio::test]
async fn a_list_without_end_or_of_another_kind_is_refused() {
    for frame in [
        Frame::Finished { counters: vec![], refused: None },
        Frame::Accept(accept(Grant::All, 1)),
        Frame::TreeDigest([0; 16]),
    ] {
        let trap = Trap::new().await;
        let (listed, ()) = tokio::join!(trap.client.list("r", RelPath::root()), async {
            let (send, recv) = trap.connection.accept_bi().await.unwrap();
            let decoder = sparsync_core::proto::FrameDecoder::default();
            let mut control = Control { connection: trap.connection.clone(), send, recv, decoder };
            control.next().await;
            control.next().await;
            control.write(&frame).await;
        });
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::Protocol);
    }
}

#[tokio::test]
async fn nothing_is_removed_at_the_source_that_was_not_sent() {
    let filter = FilterRules::new(&[Rule::new(false, "sub".into())]).unwrap();
    let removing = || Request { remove_source_files: true, ..push_to("dst") };
    for (source, request, told) in [
        ("keep", removing(), "sub/inner"),
        ("keep", removing(), "beside"),
        ("", Request { filter, ..removing() }, "sub/inner"),
        ("", Request { recursive: false, ..removing() }, "sub/inner"),
    ] {
        let trap = trap().await;
        put(&trap.local(), "beside", "beside it");
        let before = snapshot(&trap.local());
        let job = start(&trap.client, request, &trap.local().join(source));
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        let Some(Node::File(content, _, mtime)) = before.get(Path::new(told)) else { panic!("no such file") };
        let mtime = Time {
            seconds: i64::try_from(mtime / 1_000_000_000).unwrap(),
            nanos: u32::try_from(mtime % 1_000_000_000).unwrap(),
        };
        let path = RelPath::new(told.as_bytes()).unwrap();
        let entries = vec![Arrived { path, kind: Kind::File, size: content.len() as u64, mtime }];
        control.write(&Frame::Arrived { more: false, entries }).await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{told} of {source:?}");
        assert_eq!(snapshot(&trap.local()), before, "{told} of {source:?}");
    }
}
