//! Vulnerabilities of rsync that concern links, kinds, extended attributes and filters, by their numbers: what each of them
//! asks of a receiver, as the client of a hostile server and as the server of a hostile client. Those of races and paths
//! have theirs in `__test__/`, and stand in the names of the tests there.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::{
    Attributes, FilterRules, Frame, Grant, Kind, Leader, Listing, Meta, Name, RelPath, Request, Rule, limits,
};
use support::{
    Site, Trap, body, contents, deleting, directory, files, listing, pull_from, push_to, put, run, snapshot, start,
    unhung,
};

/// Everything that a request may carry, and a rule that keeps `hidden` out of it.
fn request(request: Request) -> Request {
    let attributes = Attributes {
        owner: true,
        group: true,
        xattrs: true,
        foreign_xattrs: true,
        acls: true,
        hard_links: true,
        ..request.attributes
    };
    let filter = FilterRules::new(&[Rule::new(false, b"hidden".into())]).unwrap();
    Request { attributes, filter, ..deleting(request) }
}

/// Says what no honest sender says to a client that pulls and to a server that is pushed to: either ends the session, and
/// changes nothing.
async fn refused(change: impl Fn(Request) -> Request, bodies: &[Vec<u8>]) {
    let trap = Trap::new().await;
    put(&trap.local(), "hidden", "old");
    let before = snapshot(&trap.local());
    let job = start(&trap.client, change(pull_from("tree")), &trap.local());
    let mut control = trap.accepted(Grant::AsAsked).await;
    for body in bodies {
        control.write_body(body).await;
    }
    let error = unhung(job.done()).await.expect_err("a lie");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    assert_eq!(snapshot(&trap.local()), before);

    let site = Site::new("allow=read,write,delete,owner,special,xattrs,acls").await;
    put(&site.root(), "dst/hidden", "old");
    let before = snapshot(&site.root());
    let mut control = site.raw().await.session(change(push_to("dst"))).await;
    control.accepted().await;
    for body in bodies {
        control.write_body(body).await;
    }
    assert_eq!(control.abort().await.kind, ErrorKind::Protocol);
    assert_eq!(snapshot(&site.root()), before);
}

fn root(entries: u32) -> Vec<u8> {
    body(&Frame::Directories(vec![directory("", entries)]))
}

fn list(listing: Listing) -> Vec<u8> {
    body(&Frame::List { directory: 0, more: false, listing })
}

/// A listing of one file with an extended attribute whose name and value are of these bytes.
fn with_xattr(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut pair = Vec::new();
    pair.bytes(name);
    pair.bytes(value);
    let mut fields = Vec::new();
    fields.number(1 << 1 | 1);
    fields.bytes(&pair);
    let mut out = vec![6, 0, 0, 0, Kind::File as u8];
    out.bytes(b"new");
    out.number(7);
    out.number(0o10644);
    out.raw(&[0, 0, 0, 0]);
    out.bytes(&fields);
    out
}

#[tokio::test]
async fn cve_2022_29154_names_that_filters_leave_out_are_not_taken() {
    refused(request, &[root(1), list(files(&[("hidden", 3)]))]).await;
    refused(request, &[body(&Frame::Directories(vec![directory("", 1), directory("hidden", 0)]))]).await;
}

#[tokio::test]
async fn cve_2017_16548_names_of_extended_attributes_end_where_they_say() {
    for name in [&b"user.a\0"[..], b"user.\0a", b"", b"user", &[b'u'; 300]] {
        refused(request, &[root(1), with_xattr(name, b"1")]).await;
    }
    // A name that is longer than what is left of the message.
    let mut cut = with_xattr(b"user.abcdef", b"1");
    cut.truncate(cut.len() - 4);
    refused(request, &[root(1), cut]).await;
}

/// It has no number: values above what the kernel holds were accepted.
#[tokio::test]
async fn values_of_extended_attributes_are_bounded_before_they_are_read() {
    refused(request, &[root(1), with_xattr(b"user.a", &vec![0; limits::XATTR_VALUE_BYTES_MAX + 1])]).await;
}

#[tokio::test]
async fn cve_2026_70457_and_70458_hard_links_are_those_of_the_list_and_of_the_request() {
    let followed = |directory: &str, name: &str| {
        let mut listing = listing(&[("a", Kind::File, 3, ""), ("b", Kind::File, 3, "")]);
        let directory = RelPath::new(directory.as_bytes()).unwrap();
        listing.add_follower(1, Leader { directory: &directory, name: name.as_bytes() });
        list(listing)
    };
    let without = |asked: Request| {
        let attributes = Attributes { hard_links: false, ..request(asked.clone()).attributes };
        Request { attributes, ..request(asked) }
    };
    refused(without, &[root(2), followed("", "a")]).await;
    for leader in [("", "b"), ("", "z"), ("elsewhere", "a")] {
        refused(request, &[root(2), followed(leader.0, leader.1)]).await;
    }
}

#[tokio::test]
async fn cve_2026_43620_and_70459_numbers_of_directories_and_of_entries_are_those_that_were_told() {
    for number in [1, 7, u32::MAX] {
        let unknown = Frame::List { directory: number, more: false, listing: files(&[("new", 3)]) };
        refused(request, &[root(1), body(&unknown)]).await;
        refused(request, &[root(1), body(&Frame::Settled(number))]).await;
    }
    // The top is a directory, and no file of any mode.
    let mut top = Listing::new();
    assert!(Name::new(b".").is_err());
    assert!(top.push(Name::new(b"a").unwrap(), Kind::File, 3, Meta::default(), b""));
    let mut dot = list(top);
    let at = dot.iter().position(|byte| *byte == b'a').unwrap();
    dot[at] = b'.';
    refused(request, &[root(1), dot]).await;
}

#[tokio::test]
async fn cve_2026_53788_and_53798_names_of_owners_hold_no_line_ends_and_unknown_ones_are_nobody_s() {
    let named = |name: &[u8]| {
        let mut out = vec![21, 1, 0];
        out.number(1_234_567);
        out.bytes(name);
        out
    };
    for name in [&b"root\n"[..], b"a\0b", b"", b"a:b"] {
        refused(request, &[named(name)]).await;
    }
}

/// A rule may end in a backslash: it is one, and nothing is read behind it.
#[tokio::test]
async fn cve_2026_70461_a_rule_that_ends_in_a_backslash_is_a_rule() {
    let site = Site::new("allow=read,write,delete").await;
    put(&site.local(), "kept\\", "content");
    put(&site.local(), "sent", "content");
    let filter = FilterRules::new(&[Rule::new(false, b"kept\\".into())]).unwrap();
    let asked = |request: Request| Request { filter: filter.clone(), ..deleting(request) };
    run(&site.client().await, asked(push_to("dst")), &site.local()).await.unwrap();
    let pulled = site.local().join("pulled");
    std::fs::create_dir(&pulled).unwrap();
    run(&site.client().await, asked(pull_from("dst")), &pulled).await.unwrap();
    assert_eq!(contents(&site.root().join("dst")), contents(&pulled));
    assert!(pulled.join("sent").exists());
}
