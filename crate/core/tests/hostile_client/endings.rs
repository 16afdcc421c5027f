//! Sessions that end in the middle: streams that finish or are reset, clients that fall silent or say anything.

use crate::support::Over;
use crate::support::over::on_every_transport;
use crate::support::{contents, deleting, directory, files, leftovers, noise, push_to};
use crate::{outside_untouched, serves_on, timeless, unharmed, victim};
use sparsync_core::proto::{Frame, Issue, IssueKind, Request};
use sparsync_core::{ErrorKind, Happening, ServerEvent};

async fn the_end_of_the_stream_deletes_nothing(over: Over) {
    let (site, before) = victim(over, "").await;
    for ending in 0..3 {
        let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
        control.accepted().await;
        // An empty source, told of in full but for its end.
        control.write(&Frame::Directories(vec![directory("", 0)])).await;
        control.write(&Frame::List { directory: 0, more: ending == 1, listing: files(&[]) }).await;
        match ending {
            0 | 1 => {
                control.send.finish();
                control.gone().await;
            }
            _ => control.wire.close(),
        }
        drop(control);
        site.idle().await;
    }
    unharmed(&site, &before).await;
}

/// What QUIC does to a stream, a pipe does to a session as a whole: see below.
#[tokio::test]
async fn a_reset_stream_and_a_stopped_one_end_the_session() {
    let (site, before) = victim(Over::Quic, "").await;
    let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    let _ = control.send.quic().reset(21u32.into());
    control.gone().await;
    let mut control = site.raw().await.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    let _ = control.recv.quic().stop(0u32.into());
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    site.idle().await;
    unharmed(&site, &before).await;
}

async fn a_session_that_its_client_leaves_deletes_nothing(over: Over) {
    let (site, before) = victim(over, "").await;
    let raw = site.raw().await;
    let mut control = raw.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    drop(control);
    // The connection has room for the next one.
    let mut control = raw.session(deleting(push_to("dst"))).await;
    control.accepted().await;
    drop((control, raw));
    site.idle().await;
    unharmed(&site, &before).await;
}

async fn a_session_in_which_nothing_happens_ends_as_asked(over: Over) {
    let (site, before) = victim(over, "").await;
    let request = Request { timeout_ms: 2000, ..deleting(push_to("dst")) };
    let mut control = site.raw().await.session(request).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", 0)])).await;
    assert_eq!(control.abort().await.kind, ErrorKind::Timeout);
    unharmed(&site, &before).await;
}

async fn random_bytes_in_the_middle_of_everything_do_no_harm(over: Over) {
    let (site, before) = victim(over, "").await;
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
        control.send.finish();
        control.gone().await;
    }
    site.idle().await;
    assert!(leftovers(&site.root()).is_empty());
    assert_eq!(contents(&site.root()), timeless(&before));
    outside_untouched(&site);
    serves_on(&site).await;
}

/// What is long behind the first name of a path.
fn deep() -> String {
    format!("/{}", "x".repeat(250)).repeat(640)
}

/// Whoever tells of failures without an end, and does not take what the server says of them, costs no more memory than
/// a limit.
async fn issues_without_an_end(over: Over) {
    let (site, before) = victim(over, "").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    for number in 0..700 {
        let path = format!("{number}{}", deep());
        let issue =
            Issue { kind: IssueKind::Unreadable, path: path.into_bytes(), message: String::new(), old_kept: true };
        control.write(&Frame::Issue(issue)).await;
    }
    // A peer that has not read for so long may not learn the reason.
    control.gone().await;
    drop(control);
    site.idle().await;
    if over != Over::Pipe {
        let why = |event: ServerEvent| match event.what {
            Happening::Session(end) => end.error.map(|error| error.kind()),
            _ => None,
        };
        let ends: Vec<_> = site.server.take_events().into_iter().filter_map(why).collect();
        assert_eq!(ends, [ErrorKind::Limit]);
    }
    unharmed(&site, &before).await;
}

/// So does whoever tells of mount points without an end.
async fn mount_points_without_an_end(over: Over) {
    let (site, before) = victim(over, "").await;
    let mut control = site.raw().await.session(push_to("dst")).await;
    control.accepted().await;
    for number in 0..300 {
        let path = format!("{number}{}", deep());
        let issue =
            Issue { kind: IssueKind::Unmounted, path: path.into_bytes(), message: String::new(), old_kept: true };
        control.write(&Frame::Issue(issue)).await;
    }
    assert_eq!(control.abort().await.kind, ErrorKind::Limit);
    drop(control);
    unharmed(&site, &before).await;
}

on_every_transport!(
    a_session_that_its_client_leaves_deletes_nothing,
    the_end_of_the_stream_deletes_nothing,
    a_session_in_which_nothing_happens_ends_as_asked,
    random_bytes_in_the_middle_of_everything_do_no_harm,
    issues_without_an_end,
    mount_points_without_an_end
);
