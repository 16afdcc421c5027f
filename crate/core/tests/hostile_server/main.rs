//! A client against servers whose key it trusts and which break the protocol: the run fails with a typed error,
//! nothing outside the destination changes, and in it nothing but what is legitimately complete.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod content;
mod push;
#[path = "../support/mod.rs"]
mod support;
mod tree;

use std::path::Path;
use std::sync::Arc;

use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::{Accept, FilterRules, Frame, Grant, Paths, RelPath, Request, Rule, SourcePath, WireError};
use sparsync_core::{Error, ErrorKind, Job, Side};

use support::over::on_every_transport;
use support::{
    Control, Node, Over, Trap, accept, deleting, directory, files, noise, profile, pull_from, put, snapshot, start,
    unhung,
};

/// A trap, and a client with a tree of its own.
async fn trap(over: Over) -> Trap {
    let trap = Trap::over(over).await;
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
async fn broken(over: Over, attack: impl AsyncFn(&mut Control)) -> Error {
    broken_with(over, Grant::AsAsked, attack).await
}

async fn broken_with(over: Over, grant: Grant, attack: impl AsyncFn(&mut Control)) -> Error {
    let trap = trap(over).await;
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
async fn a_server_grants_itself_nothing(over: Over) {
    // The destination holds something, so the request asks for each file by itself.
    let error = broken_with(over, Grant::All, async |_| {}).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

async fn what_does_not_belong_to_the_run_is_not_touched(over: Over) {
    let paths = |all: &[&[u8]]| Paths::new(all.iter().map(|path| RelPath::new(path).unwrap()).collect()).unwrap();
    let entry = |name: &[u8]| SourcePath { path: RelPath::new(name).unwrap(), ..SourcePath::default() };
    let filter = FilterRules::new(&["keep", "sub"].map(|name| Rule::new(false, name.into()))).unwrap();
    let excluding = Request { filter, ..deleting(pull_from("tree")) };
    let of_entries = Request { sources: vec![entry(b"one"), entry(b"two")], into: true, ..deleting(pull_from("")) };
    for (request, selected, said) in [
        (&excluding, Paths::default(), Frame::Directories(vec![directory("", 1), directory("sub", 0)])),
        (&of_entries, paths(&[b"one"]), Frame::Directories(vec![directory("", 1), directory("sub", 0)])),
        // Paths that were not asked for, and the whole top.
        (&of_entries, paths(&[b"one", b"sub"]), Frame::Settled(0)),
        (&of_entries, Paths::default(), Frame::Settled(0)),
    ] {
        let trap = trap(over).await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, request.clone());
        let (mut control, asked) = trap.session().await;
        control.write(&Frame::Accept(Accept { selected, ..accept(Grant::AsAsked, asked.lanes) })).await;
        control.write(&said).await;
        assert_eq!(failed(&job).await.kind(), ErrorKind::Protocol, "{said:?}");
        assert_eq!(snapshot(&trap.local()), before, "{said:?}");
    }
    for request in [excluding, of_entries] {
        let trap = trap(over).await;
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

pub(crate) async fn breaks_protocol(over: Over, bodies: &[Vec<u8>]) {
    let error = broken(over, async |control| {
        for body in bodies {
            control.write_body(body).await;
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?} for {:?}", bodies.last());
}

async fn an_answer_that_is_no_acceptance_fails_the_run(over: Over) {
    for frame in [
        Frame::Hello { oldest: 1, newest: 1 },
        Frame::Directories(vec![directory("", 0)]),
        Frame::TreeEnd { directories: 0, entries: 0, bytes: 0, errors: 0 },
        Frame::Finished { counters: vec![], refused: None },
        Frame::ListReply { more: false, entries: vec![] },
        Frame::Profile(Box::new(profile())),
    ] {
        let trap = trap(over).await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, pull_from("tree"));
        let (mut control, _) = trap.session().await;
        control.write(&frame).await;
        let error = failed(&job).await;
        assert_eq!((error.kind(), error.side()), (ErrorKind::Protocol, Side::Remote), "{frame:?}");
        assert_eq!(snapshot(&trap.local()), before);
    }
}

async fn random_bytes_fail_the_run(over: Over) {
    for seed in 0..20 {
        let trap = trap(over).await;
        let before = snapshot(&trap.local());
        let job = pull(&trap, deleting(pull_from("tree")));
        let (mut control, _) = trap.session().await;
        let mut bytes = noise(300, seed);
        bytes[0] = 0x30;
        bytes[1] %= 19;
        control.write_raw(&bytes).await;
        control.send.finish();
        let error = failed(&job).await;
        assert_eq!(error.side(), Side::Remote, "{error:?}");
        assert_eq!(snapshot(&trap.local()), before);
    }
}

async fn an_abort_keeps_its_kind_path_and_facts(over: Over) {
    let trap = trap(over).await;
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

async fn a_file_of_another_name_than_was_asked_for_is_refused(over: Over) {
    for (path, into, name) in [
        ("docs/report", true, &b".bashrc"[..]),
        ("docs/report", false, b".bashrc"),
        ("", true, b"keep"),
        ("docs/report", true, b"keep"),
    ] {
        let trap = trap(over).await;
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
        let trap = trap(over).await;
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

on_every_transport!(
    a_server_grants_itself_nothing,
    what_does_not_belong_to_the_run_is_not_touched,
    an_answer_that_is_no_acceptance_fails_the_run,
    random_bytes_fail_the_run,
    an_abort_keeps_its_kind_path_and_facts,
    a_file_of_another_name_than_was_asked_for_is_refused
);
