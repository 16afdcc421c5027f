//! What a client opens a session with: versions, openings, requests that are malformed or ask for too much.

use crate::support::Over;
use crate::support::over::on_every_transport;
use crate::support::{CHANGES, Site, arrived, framed, noise, pull_from, push_to, put, snapshot};
use crate::{outside_untouched, unharmed, victim};
use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::{Frame, IssueKind, PathSet, Paths, RelPath, Request, SourcePath, limits};

async fn a_version_that_nobody_speaks_is_named(over: Over) {
    let (site, before) = victim(over, "").await;
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

async fn a_range_that_holds_our_version_is_served(over: Over) {
    let (site, _) = victim(over, "").await;
    let raw = site.raw().await;
    let mut control = raw.open().await;
    control.write(&Frame::Hello { oldest: 0, newest: 9 }).await;
    control.write(&Frame::Request(Box::new(Request { root: raw.root.clone(), ..push_to("dst") }))).await;
    assert_eq!(control.accepted().await.version, sparsync_core::proto::Version::NEWEST);
}

async fn what_is_no_hello_is_refused(over: Over) {
    let (site, before) = victim(over, "").await;
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
        control.send.finish();
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{}", opening.escape_ascii());
    }
    unharmed(&site, &before).await;
}

async fn paths_without_an_end_or_an_order_are_refused_before_a_request_comes(over: Over) {
    let (site, before) = victim(over, "").await;
    let raw = site.raw().await;
    // Paths of 200 bytes, which ascend through all frames unless `number` stays.
    let wide = |number: usize| {
        let path = |at: usize| RelPath::new(format!("{number:010}{at:0190}").as_bytes()).unwrap();
        Paths::new((0..2600).map(path).collect()).unwrap()
    };
    for (ascends, frames) in [(true, 100), (false, 2)] {
        let mut control = raw.open().await;
        control.write(&Frame::hello()).await;
        for at in 0..frames {
            control.write(&Frame::Paths { set: PathSet::Selected, paths: wide(if ascends { at } else { 7 }) }).await;
        }
        let error = control.abort().await;
        assert_eq!(error.kind, ErrorKind::Protocol, "{}", error.message);
        assert!(error.message.contains("paths of a request"), "{}", error.message);
    }
    unharmed(&site, &before).await;
}

async fn a_request_cut_short_anywhere_is_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    let raw = site.raw().await;
    let mut whole = Vec::new();
    Frame::hello().encode(sparsync_core::proto::Version::OLDEST, &mut whole);
    Frame::Request(Box::new(push_to("dst"))).encode(sparsync_core::proto::Version::OLDEST, &mut whole);
    for end in 0..whole.len() {
        let mut control = raw.open().await;
        control.write_raw(&whole[..end]).await;
        control.send.finish();
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

#[expect(clippy::too_many_lines, reason = "one line for each cap")]
async fn requests_that_climb_or_exceed_a_cap_are_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    let raw = site.raw().await;
    let long_name = vec![b'x'; limits::NAME_BYTES_MAX + 1];
    let long_root = vec![b'r'; limits::ROOT_NAME_BYTES_MAX + 1];
    let long_path = b"d/".repeat(limits::PATH_BYTES_MAX / 2 + 1)[..=limits::PATH_BYTES_MAX].to_vec();
    let deep = b"d/".repeat(limits::DEPTH_MAX + 1)[..=limits::DEPTH_MAX * 2].to_vec();
    let good = request_body(&raw.root, b"dst", None, 1);
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
    .map(|path| request_body(&raw.root, path, None, 1))
    .collect();
    for name in [&b""[..], b"..", b".", b"a/b", b"/", b"a\0", &long_name] {
        bodies.push(request_body(&raw.root, b"dst", Some(name), 1));
    }
    bodies.push(request_body(&long_root, b"dst", None, 1));
    for lanes in [0, limits::LANES_MAX + 1, 255] {
        bodies.push(request_body(&raw.root, b"dst", None, lanes));
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
    // A critical field of a newer client is refused by its number, and an optional one is passed over.
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
    raw.wire.close();
    unharmed(&site, &before).await;
}

async fn what_this_server_does_not_do_yet_is_refused(over: Over) {
    let (site, before) = victim(over, "").await;
    let raw = site.raw().await;
    let push_of_its_own = Request { sources: vec![SourcePath::default()], ..push_to("dst") };
    assert_eq!(raw.session(push_of_its_own).await.abort().await.kind, ErrorKind::Config);
    unharmed(&site, &before).await;
}

async fn a_request_that_does_not_come_is_not_waited_for_cve_2026_70464(over: Over) {
    let (site, before) = victim(over, "").await;
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

async fn what_changes_or_flips_before_its_removal_stays_cve_2026_53800(over: Over) {
    for (change, why) in CHANGES {
        let site = Site::over(over, "").await;
        put(&site.root(), "sub/inner", "sent");
        let found = site.root().join("sub/inner").metadata().unwrap();
        let raw = site.raw().await;
        let mut control = raw.session(Request { remove_source_files: true, ..pull_from("") }).await;
        control.until(|frame| matches!(frame, Frame::TreeEnd { .. })).await;
        change(&site.root());
        let before = snapshot(&site.root());
        control.write(&arrived("sub/inner", &found)).await;
        let issue = control.issue().await;
        assert_eq!((issue.kind, &issue.path[..]), (IssueKind::SourceKept, &b"sub/inner"[..]));
        assert!(issue.message.contains(why), "{}", issue.message);
        control.until(|frame| matches!(frame, Frame::Removed)).await;
        assert_eq!(snapshot(&site.root()), before, "{why}");
        outside_untouched(&site);
    }
}

on_every_transport!(
    what_changes_or_flips_before_its_removal_stays_cve_2026_53800,
    a_version_that_nobody_speaks_is_named,
    a_range_that_holds_our_version_is_served,
    what_is_no_hello_is_refused,
    paths_without_an_end_or_an_order_are_refused_before_a_request_comes,
    a_request_cut_short_anywhere_is_refused,
    requests_that_climb_or_exceed_a_cap_are_refused,
    what_this_server_does_not_do_yet_is_refused,
    a_request_that_does_not_come_is_not_waited_for_cve_2026_70464
);
