//! Sessions that end in the middle: streams that finish or are reset, clients that fall silent or say anything.

use crate::support;
use crate::support::{contents, deleting, directory, files, leftovers, noise, push_to};
use crate::{outside_untouched, serves_on, timeless, unharmed, victim};
use sparsync_core::ErrorKind;
use sparsync_core::proto::{Frame, Request};

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
