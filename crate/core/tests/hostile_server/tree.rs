//! Trees that a server tells of: paths and names, their order, and how they end.

use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::{Frame, Grant};

use crate::support::over::on_every_transport;
use crate::support::{Over, accept, body, deleting, directory, directory_body, files, pull_from, snapshot, unhung};
use crate::{breaks_protocol, broken, pull, trap};

async fn paths_and_names_that_climb_fail_the_run(over: Over) {
    for path in [&b".."[..], b"../outside", b"sub/../..", b"/etc", b"sub/", b"sub//x", b".", b"s\0", &[b'x'; 256]] {
        breaks_protocol(over, &[directory_body(path)]).await;
    }
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for name in [&b".."[..], b".", b"", b"a/b", b"../x", b"/x", b"a\0", &[b'x'; 256]] {
        let mut list = vec![6, 0, 0, 0, 0];
        list.bytes(name);
        list.raw(&[5, 0, 0, 0, 0, 0]);
        breaks_protocol(over, &[root.clone(), list]).await;
    }
}

async fn trees_out_of_order_fail_the_run(over: Over) {
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
        breaks_protocol(over, &[body(&Frame::Directories(records))]).await;
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
        breaks_protocol(over, &bodies).await;
    }
}

async fn the_end_of_the_stream_deletes_nothing(over: Over) {
    for told in 0..4 {
        let error = broken(over, async |control| {
            if told > 0 {
                control.write(&Frame::Directories(vec![directory("", 0)])).await;
            }
            if told > 1 {
                control.write(&Frame::List { directory: 0, more: false, listing: files(&[]) }).await;
            }
            if told == 3 {
                control.write_raw(&[9, 7, 1]).await;
            }
            control.send.finish();
        })
        .await;
        let kind = if told == 3 { ErrorKind::Protocol } else { ErrorKind::Closed };
        assert_eq!(error.kind(), kind, "{told}: {error}");
    }
    let error = broken(over, async |control| {
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        control.wire.close();
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Closed);
}

/// No other stream can be reset.
#[tokio::test]
async fn a_reset_deletes_nothing_and_says_why() {
    let error = broken(Over::Quic, async |control| {
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        let _ = control.send.quic().reset(ErrorKind::Limit.to_wire().into());
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Limit);
}

async fn a_source_with_errors_deletes_nothing(over: Over) {
    let trap = trap(over).await;
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

on_every_transport!(
    paths_and_names_that_climb_fail_the_run,
    trees_out_of_order_fail_the_run,
    the_end_of_the_stream_deletes_nothing,
    a_source_with_errors_deletes_nothing
);
