//! One writer for each destination: the second is told who holds it, waits when asked, and a dead one is superseded.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::sync::Arc;

use sparsync_core::proto::pack::{FileId, Record};
use sparsync_core::proto::{Frame, Grant, Request};
use sparsync_core::trust::Identity;
use sparsync_core::{Client, Detail, ErrorKind, Job, Run, start_local};
use support::{
    Control, RawClient, Site, Wire, connect_options, contents, directory, files, leftovers, pull_from, push_to, put,
    run, start, unhung,
};

const FIRST: FileId = FileId { directory: 0, index: 0 };

/// A session that holds `path` and has a file open there, until its client lets go.
async fn holds(raw: &RawClient, path: &str) -> Control {
    let mut control = raw.session(push_to(path)).await;
    let grant = control.accepted().await.grant;
    control.tell(vec![directory("", 1)], vec![files(&[("held", 100)])]).await;
    if grant == Grant::AsAsked {
        assert_eq!(control.wanted().await, [0]);
    }
    let mut lane = control.lane(0).await;
    lane.records(&[Record::Begin { file: FIRST }, Record::Literal(b"half")]).await;
    std::mem::forget(lane);
    control
}

async fn site() -> Site {
    let site = Site::new("").await;
    put(&site.root(), "dst/there", "already");
    put(&site.local(), "a", "content");
    site
}

#[tokio::test]
async fn a_second_writer_fails_at_once_and_names_the_first() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst/sub").await;
    let client = site.client().await;
    // The same place, one below and one above.
    for path in ["dst/sub", "dst/sub/below", "dst", ""] {
        let error = run(&client, push_to(path), &site.local()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{path:?}: {error:?}");
        let holder = error.details().iter().find(|(name, _)| name == "holder");
        if path == "dst/sub" {
            assert!(matches!(holder, Some((_, Detail::Text(who))) if who.starts_with("mallory from 127.0.0.1")));
        }
        assert!(!site.root().join("dst/sub/a").exists());
    }
    // Neighbours are free, and so is reading.
    run(&client, push_to("dst/beside"), &site.local()).await.unwrap();
    run(&client, Request { dry_run: true, ..push_to("dst/sub") }, &site.local()).await.unwrap();
    run(&client, support::pull_from("dst"), &site.local().join("out")).await.unwrap();
    drop(control);
}

#[tokio::test]
async fn a_run_begins_where_another_has_just_ended() {
    let site = site().await;
    let client = site.client().await;
    for round in 0..60 {
        put(&site.local(), "a", format!("content {round}"));
        run(&client, push_to("dst"), &site.local()).await.unwrap();
    }
    let job = start(&client, push_to("dst"), &site.local());
    unhung(job.done()).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_may_wait_waits() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst").await;
    let client = Arc::new(site.client().await);
    let request = Request { lock_wait_ms: 60_000, ..push_to("dst") };
    let job = start(&client, request, &site.local());
    let others = site.client().await;
    let error = run(&others, push_to("dst"), &site.local()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    raw.wire.close();
    drop(control);
    unhung(job.done()).await.unwrap();
    assert_eq!(std::fs::read(site.root().join("dst/a")).unwrap(), b"content");
    assert!(leftovers(&site.root()).is_empty());
}

#[tokio::test]
async fn a_writer_that_waits_can_be_called_off() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst").await;
    let client = site.client().await;
    let job = start(&client, Request { lock_wait_ms: 600_000, ..push_to("dst") }, &site.local());
    support::eventually(|| site.server.stats().contains(&("sessions_active", 2))).await;
    job.cancel();
    assert_eq!(unhung(job.done()).await.unwrap_err().kind(), ErrorKind::Aborted);
    support::eventually(|| site.server.stats().contains(&("sessions_active", 1))).await;
    drop(control);
}

#[tokio::test]
async fn sources_that_a_pull_removes_are_locked_and_waited_for() {
    let site = site().await;
    let raw = site.raw().await;
    let removing = || Request { remove_source_files: true, ..pull_from("dst") };
    let client = site.client().await;
    let busy = async |request| {
        let error = run(&client, request, &site.local()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    };
    // One that removes nothing is in nobody's way.
    let mut reading = raw.session(pull_from("dst")).await;
    reading.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    run(&client, push_to("dst"), &site.local()).await.unwrap();
    let mut control = raw.session(removing()).await;
    control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
    busy(push_to("dst")).await;
    busy(removing()).await;
    run(&client, pull_from("dst"), &site.local().join("out")).await.unwrap();
    let moved = site.local().join("moved");
    let waiting = start(&client, Request { lock_wait_ms: 60_000, ..removing() }, &moved);
    support::eventually(|| site.server.metrics().unwrap().contains("\nsparsync_sessions_waiting 1\n")).await;
    // Who has the lock may put another tree in the place, as publishing does.
    let (place, previous) = (site.root().join("dst"), site.root().join("dst.previous"));
    std::fs::rename(&place, &previous).unwrap();
    put(&site.root(), "dst/new", "published");
    raw.wire.close();
    drop((reading, control));
    unhung(waiting.done()).await.unwrap();
    assert_eq!(std::fs::read(moved.join("new")).unwrap(), b"published");
    assert!(!moved.join("there").exists());
    assert!(!place.join("new").exists());
    assert_eq!(std::fs::read(previous.join("there")).unwrap(), b"already");
}

/// A client whose machine is gone: its runtime stands still, and nothing says so to the server.
fn dead_holder(site: &Site, identity: &Identity, path: &'static str) {
    let options = connect_options(site.server.local_addr().port(), identity, site.server.public_key());
    let root = site.root();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let held = runtime.block_on(async {
            let raw = RawClient {
                wire: Wire::Quic(sparsync_core::net::connect(options).await.unwrap().connection),
                root: b"r".to_vec(),
            };
            let control = holds(&raw, path).await;
            // The machine is gone only when all that was said has arrived: the last of it makes a temporary file.
            support::eventually(|| leftovers(&root).len() == 1).await;
            (raw, control)
        });
        std::mem::forget((runtime, held));
    })
    .join()
    .unwrap();
}

#[tokio::test]
async fn a_dead_run_of_the_same_key_is_superseded() {
    let site = site().await;
    dead_holder(&site, &site.identity, "dst");
    assert_eq!(leftovers(&site.root()).len(), 1);
    let result = run(&site.client().await, push_to("dst"), &site.local()).await.unwrap();
    assert!(result.failures.failures.is_empty());
    let mut expected = contents(&site.local());
    expected.extend(contents(&site.root().join("dst")).into_iter().filter(|(path, _)| path.ends_with("there")));
    assert_eq!(contents(&site.root().join("dst")), expected);
    support::eventually(|| site.server.stats().contains(&("sessions_active", 0))).await;
    assert!(leftovers(&site.root()).is_empty());
}

#[tokio::test]
async fn a_live_run_of_the_same_key_is_not_superseded() {
    let site = site().await;
    let raw = site.raw().await;
    let mut control = holds(&raw, "dst").await;
    for _ in 0..3 {
        let error = run(&site.client().await, push_to("dst"), &site.local()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
    }
    // It goes on as if nothing had been.
    let mut lane = control.lane(1).await;
    let record =
        Record::Failed { file: FIRST, kind: sparsync_core::proto::IssueKind::Vanished, message: String::new() };
    lane.records(&[record]).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
}

#[tokio::test]
async fn a_client_that_is_dropped_lets_go() {
    let site = site().await;
    put(&site.local(), "large", support::noise(40 << 20, 1));
    for _ in 0..5 {
        let client: Client = site.client().await;
        let job: Arc<Job> = start(&client, push_to("dst"), &site.local());
        drop(client);
        let _ = unhung(job.done()).await;
    }
    let client = site.client().await;
    let result = run(&client, push_to("dst"), &site.local()).await.unwrap();
    assert!(result.failures.failures.is_empty());
    assert!(leftovers(&site.root()).is_empty());
}

#[tokio::test]
async fn a_client_keeps_its_runs_out_of_each_others_way() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst").await;
    let client = site.client().await;
    let waits = Request { lock_wait_ms: 600_000, ..push_to("dst") };
    let first = start(&client, waits.clone(), &site.local());
    support::eventually(|| site.server.stats().contains(&("sessions", 2))).await;
    for (path, what) in [
        ("dst", "the destination"),
        ("dst/x", "a directory above the destination"),
        ("", "something in the destination"),
    ] {
        let error = run(&client, push_to(path), &site.local()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert_eq!(error.message(), format!("{what} is being written by another run of this connection"));
    }
    // The server was not asked, so it had nobody to wait for.
    assert!(site.server.stats().contains(&("sessions", 2)));
    run(&client, push_to("beside"), &site.local()).await.unwrap();
    let second = start(&client, waits, &site.local());
    first.cancel();
    assert_eq!(unhung(first.done()).await.unwrap_err().kind(), ErrorKind::Aborted);
    support::eventually(|| site.server.stats().contains(&("sessions", 4))).await;
    raw.wire.close();
    drop(control);
    unhung(second.done()).await.unwrap();
}

#[tokio::test]
async fn runs_of_one_process_name_each_other() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst/sub").await;
    for (path, what) in [
        ("dst/sub", "the destination"),
        ("dst/sub/below", "a directory above the destination"),
        ("dst", "something in the destination"),
    ] {
        let error = run(&site.client().await, push_to(path), &site.local()).await.unwrap_err();
        let expected = format!("{what} is being written by mallory from 127.0.0.1:");
        assert!(error.message().starts_with(&expected), "{error}");
    }
    drop(control);
}

#[tokio::test]
async fn files_arrive_side_by_side_in_one_directory() {
    let site = site().await;
    let raw = site.raw().await;
    let single = |name: &str| Request { file_name: Some(name.into()), ..push_to(&format!("dst/{name}")) };
    let mut control = raw.session(single("held")).await;
    control.accepted().await;
    put(&site.local(), "beside", "one more");
    run(&site.client().await, push_to("dst/beside"), &site.local().join("beside")).await.unwrap();
    // A tree would take the unfinished file of the first for nobody's.
    let error = run(&site.client().await, push_to("dst"), &site.local()).await.unwrap_err();
    assert!(error.message().starts_with("something in the destination is being written by mallory"), "{error}");
    drop(control);
}

#[tokio::test]
async fn a_writer_that_waited_writes_to_what_stands_there_then() {
    let site = site().await;
    let raw = site.raw().await;
    let control = holds(&raw, "dst").await;
    let client = site.client().await;
    let request = Request { lock_wait_ms: 600_000, ..push_to("dst") };
    let run = Run {
        request: request.clone(),
        local_path: site.local().into_os_string().into_encoded_bytes(),
        source_is_directory: false,
        local_sources: Vec::new(),
        events: sparsync_core::EventNeeds::default(),
        batch: sparsync_core::Batch::None,
    };
    let by_server = start(&client, request, &site.local());
    let local = start_local(run, site.root().join("dst").into_os_string().into_encoded_bytes()).unwrap();
    support::eventually(|| site.server.stats().contains(&("sessions_active", 2))).await;
    std::fs::rename(site.root().join("dst"), site.root().join("before")).unwrap();
    put(&site.root(), "dst/after", "made meanwhile");
    raw.wire.close();
    drop(control);
    for job in [&*by_server, &local] {
        unhung(job.done()).await.unwrap();
    }
    assert_eq!(std::fs::read(site.root().join("dst/a")).unwrap(), b"content");
    assert!(site.root().join("dst/after").exists());
    assert!(!site.root().join("before/a").exists());
}

#[tokio::test]
async fn a_run_whose_end_was_lost_makes_room_for_the_next_on_its_connection() {
    let site = site().await;
    let raw = site.raw().await;
    let mut first = holds(&raw, "dst").await;
    // A client that has seen the end of its run asks for the next one; the end itself has not come.
    let mut second = raw.session(push_to("dst")).await;
    second.accepted().await;
    assert_eq!(first.abort().await.kind, ErrorKind::Closed);
    // A session in another place goes on.
    let mut beside = raw.session(push_to("beside")).await;
    beside.accepted().await;
    support::eventually(|| site.server.stats().contains(&("sessions_active", 2))).await;
    drop((second, beside));
}
