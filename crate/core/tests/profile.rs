//! Both ends of a profiled run tell where their time went, and tell the same of what they share.

mod support;

use sparsync_core::proto::{EndProfile, Figure, PHASES, Request, ThreadProfile};
use support::{Site, noise, pull_from, push_to, put, run};

/// Phases follow each other without a gap, and no thread was there longer than its end.
fn sound(end: &EndProfile) {
    let total = end.figure(Figure::total_ms);
    for thread in &end.threads {
        let ThreadProfile { name, start_nanos, wall_nanos, phases, .. } = thread;
        let spent: u64 = phases.iter().map(|total| total.nanos).sum();
        assert_eq!(spent, *wall_nanos, "{name}: {phases:?}");
        assert!(start_nanos + wall_nanos <= total, "{name} {start_nanos} {wall_nanos} {total}");
        assert!(phases.iter().all(|total| usize::from(total.phase) < PHASES.len() && total.count > 0), "{name}");
    }
    let named = |name: &str| end.threads.iter().filter(|thread| thread.name == name).count();
    assert_eq!(named("session"), 1);
    assert_eq!(named("walk"), 1);
    assert!(named("quic") >= 1);
}

#[tokio::test]
async fn both_ends_agree_on_what_they_share() {
    let site = Site::new("").await;
    for number in 0..300 {
        put(&site.local(), &format!("d{}/f{number}", number % 7), noise(2000, number));
    }
    put(&site.local(), "large", noise(1 << 20, 1));
    let client = site.client().await;
    let requests = [push_to("dst"), push_to("dst"), pull_from("dst"), Request { dry_run: true, ..push_to("dst") }];
    for (number, request) in requests.into_iter().enumerate() {
        let result = run(&client, Request { profile: true, ..request.clone() }, &site.local()).await.unwrap();
        let (own, peer) = result.profile.expect("a profile");
        sound(&own);
        sound(&peer);
        for figure in [Figure::request_bytes, Figure::response_bytes, Figure::streams, Figure::encoded_bytes] {
            // The one that tells does so before its last words are sent.
            let slack = if matches!(figure, Figure::request_bytes | Figure::response_bytes) { 16 << 10 } else { 0 };
            let (own, peer) = (own.figure(figure), peer.figure(figure));
            assert!(own.abs_diff(peer) <= slack, "{figure:?}: {own} here, {peer} there, {request:?}");
        }
        assert!(peer.figure(Figure::total_ms) <= own.figure(Figure::total_ms), "{request:?}");
        // The first run's content waits for the other end's word. All that one without any says can have arrived before
        // its session began.
        if number == 0 {
            assert!(own.figure(Figure::packets_sent) > 0 && peer.figure(Figure::packets_received) > 0, "{request:?}");
        }
        assert_eq!(own.figure(Figure::connections), 1);
        assert!(own.figure(Figure::mtu_bytes) >= 1200);
    }
}

#[tokio::test]
async fn nobody_tells_what_was_not_asked_for() {
    let site = Site::new("").await;
    put(&site.local(), "f", "content");
    let client = site.client().await;
    for request in [push_to("dst"), pull_from("dst")] {
        assert!(run(&client, request, &site.local()).await.unwrap().profile.is_none());
    }
    // The server was told to measure for itself.
    let mut ended = 0;
    while ended < 2 {
        let profiles = site.server.take_profiles().expect("a server that profiles");
        for session in &profiles.ended {
            sound(&session.profile);
            ended += 1;
        }
        assert_eq!(profiles.dropped, 0);
        tokio::task::yield_now().await;
    }
}
