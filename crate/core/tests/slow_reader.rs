//! A server whose client takes its time: what it was told arrives whole, however late it is read.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::proto::{Frame, Kind, Request};
use support::over::on_every_network;
use support::{Over, Site, directory, eventually, listing, push_to};

/// Items of so many names of 255 bytes are more than a connection's window of 1 MiB, and less than that and what waits
/// behind it: the run is over while a frame is half in the window.
const ENTRIES: u32 = 8_000;

async fn what_did_not_fit_the_window_follows_when_there_is_room(over: Over) {
    let site = Site::over(over, "").await;
    let raw = site.raw().await;
    let mut control = raw.session(Request { dry_run: true, itemize: true, ..push_to("new") }).await;
    control.accepted().await;
    control.write(&Frame::Directories(vec![directory("", ENTRIES)])).await;
    let names: Vec<String> = (0..ENTRIES).map(|number| format!("{number:0>255}")).collect();
    let parts: Vec<&[String]> = names.chunks(400).collect();
    for (index, part) in parts.iter().enumerate() {
        let entries: Vec<_> = part.iter().map(|name| (name.as_str(), Kind::File, 1, "")).collect();
        let more = index + 1 < parts.len();
        control.write(&Frame::List { directory: 0, more, listing: listing(&entries) }).await;
    }
    control.write(&Frame::TreeEnd { directories: 1, entries: ENTRIES.into(), bytes: ENTRIES.into(), errors: 0 }).await;

    let active = || site.server.stats().iter().any(|(name, value)| *name == "sessions_active" && *value > 0);
    eventually(|| !active()).await;
    let mut items = 0;
    loop {
        let frame = loop {
            if let Some(frame) = control.decoder.next_frame().expect("whole frames") {
                break frame;
            }
            control.decoder.feed(&control.recv.read().await.expect("a result"));
        };
        match frame {
            Frame::Items(told) => items += told.len(),
            Frame::Finished { refused: None, .. } => break,
            Frame::Need(_) | Frame::Settled(_) | Frame::Want { .. } | Frame::Heartbeat(_) => {}
            other => panic!("no result but {other:?}"),
        }
    }
    // One for each file, and one for the root.
    assert_eq!(items, ENTRIES as usize + 1);
}

on_every_network!(what_did_not_fit_the_window_follows_when_there_is_room);
