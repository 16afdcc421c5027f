//! Peers that lie about kinds and attributes of entries, either way: names, sizes and counts of extended attributes and
//! ACLs, numbers of devices. Each ends the session with a typed error, and nothing changes. Those of rsync's
//! vulnerabilities that concern them are among these.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use sparsync_core::ErrorKind;
use sparsync_core::proto::codec::Write as _;
use sparsync_core::proto::{Attributes, Frame, Grant, Kind, Request, limits};
use support::over::{on_every_network, on_every_transport};
use support::{
    Over, Site, Trap, body, contents, directory, files, pull_from, push_to, put, run, snapshot, start, unhung,
};

/// Everything is carried.
fn everything(request: Request) -> Request {
    let attributes = Attributes {
        owner: true,
        group: true,
        specials: true,
        devices: true,
        xattrs: true,
        foreign_xattrs: true,
        acls: true,
        ..request.attributes
    };
    Request { attributes, ..request }
}

/// One field of an entry.
fn field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.number(number << 1 | 1);
    out.bytes(value);
    out
}

/// Names and values in the order in which they are given.
fn xattrs(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        out.bytes(name);
        out.bytes(value);
    }
    field(1, &out)
}

/// The listing of the root with one entry, which has these fields.
fn entry(kind: Kind, fields: &[u8]) -> Vec<u8> {
    let mut out = vec![6, 0, 0, 0, kind as u8];
    out.bytes(b"new");
    match kind {
        Kind::File => out.number(7),
        Kind::Symlink => out.bytes(b"target"),
        _ => {}
    }
    // Mode with the mark of fields, owner, group, seconds, nanoseconds.
    out.number(0o10644);
    out.raw(&[0, 0, 0, 0]);
    out.bytes(fields);
    out
}

/// An ACL with these entries: tag, permissions, id.
fn acl(version: u32, entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut out = version.to_le_bytes().to_vec();
    for (tag, perms, id) in entries {
        out.extend([tag.to_le_bytes(), perms.to_le_bytes()].concat());
        out.extend(id.to_le_bytes());
    }
    out
}

const NONE: u32 = u32::MAX;
const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";

/// What no entry can have, with what it is.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let large = vec![b'x'; limits::XATTR_VALUE_BYTES_MAX + 1];
    let full = vec![b'x'; limits::XATTR_VALUE_BYTES_MAX];
    let names: Vec<Vec<u8>> = (0..5).map(|at| format!("user.{at}").into_bytes()).collect();
    let too_many: Vec<(&[u8], &[u8])> = names.iter().map(|name| (&name[..], &full[..])).collect();
    let long_name = [b"user.", &[b'n'; 251][..]].concat();
    let file = |fields: Vec<u8>| entry(Kind::File, &fields);
    let with_acl = |name: &[u8], value: &[u8]| file(xattrs(&[(name, value)]));
    let (owner, group, mask, other) = ((1, 0, NONE), (4, 4, NONE), (16, 0, NONE), (32, 0, NONE));
    let minimal = [owner, group, other];
    let of_one = [owner, (2, 7, 7), group, mask, other];
    let crowd: Vec<(u16, u16, u32)> = std::iter::repeat_n((2, 7, 7), 8_000).collect();
    let lies_of_lengths = {
        let mut claims = Vec::new();
        claims.bytes(b"user.a");
        claims.number(u64::MAX);
        field(1, &claims)
    };
    vec![
        ("a name twice", file(xattrs(&[(b"user.a", b"1"), (b"user.a", b"2")]))),
        ("names out of order", file(xattrs(&[(b"user.b", b"1"), (b"user.a", b"2")]))),
        ("an empty name", file(xattrs(&[(b"", b"1")]))),
        ("a name with a NUL", file(xattrs(&[(b"user.a\0b", b"1")]))),
        ("a name that is too long", file(xattrs(&[(&long_name, b"1")]))),
        ("a value that is too large", file(xattrs(&[(b"user.a", &large)]))),
        ("values that are too large together", file(xattrs(&too_many))),
        ("a length beyond what is there", file(lies_of_lengths)),
        ("a name without a namespace", file(xattrs(&[(b"users", b"1")]))),
        ("what stands for other attributes", file(xattrs(&[(b"user.rsync.%stat", b"104755 0,0 0:0")]))),
        ("what the kernel keeps", file(xattrs(&[(b"system.nfs4_acl", b"1")]))),
        ("user. of a symlink", entry(Kind::Symlink, &xattrs(&[(b"user.a", b"1")]))),
        ("user. of a FIFO", entry(Kind::Fifo, &xattrs(&[(b"user.a", b"1")]))),
        ("attributes that were read and not", file([xattrs(&[(b"user.a", b"1")]), field(2, b"")].concat())),
        ("an ACL without an entry", with_acl(ACCESS, &acl(2, &[]))),
        ("an ACL of another version", with_acl(ACCESS, &acl(1, &of_one))),
        ("an ACL that is cut off", with_acl(ACCESS, &acl(2, &of_one)[..30])),
        ("an ACL without its group", with_acl(ACCESS, &acl(2, &[owner, (2, 7, 7), mask, other]))),
        ("an ACL without a mask", with_acl(ACCESS, &acl(2, &[owner, (2, 7, 7), group, other]))),
        ("an ACL with somebody twice", with_acl(ACCESS, &acl(2, &[owner, (2, 7, 7), (2, 1, 7), group, mask, other]))),
        ("an ACL with nobody", with_acl(ACCESS, &acl(2, &[owner, (2, 7, NONE), group, mask, other]))),
        ("an ACL with rights that there are not", with_acl(ACCESS, &acl(2, &[owner, (2, 15, 7), group, mask, other]))),
        ("an ACL with a tag that there is not", with_acl(ACCESS, &acl(2, &[owner, (3, 7, 7), group, mask, other]))),
        ("an ACL with a crowd of the same", with_acl(ACCESS, &acl(2, &crowd))),
        ("an ACL that is none", with_acl(ACCESS, &acl(2, &minimal))),
        ("an ACL against the mode", with_acl(ACCESS, &acl(2, &[(1, 7, NONE), (2, 7, 7), group, mask, other]))),
        ("a default ACL of a file", with_acl(DEFAULT, &acl(2, &of_one))),
        ("an ACL of a symlink", entry(Kind::Symlink, &xattrs(&[(ACCESS, &acl(2, &of_one))]))),
        ("a device without a number", entry(Kind::BlockDevice, &[])),
        ("half a number", entry(Kind::CharDevice, &field(4, &[1]))),
        ("a number that is too large", entry(Kind::CharDevice, &field(4, &[0x80, 0x80, 0x80, 0x80, 0x10, 0]))),
        ("a number of a file", file(field(4, &[1, 3]))),
        ("a number of a socket", entry(Kind::Socket, &field(4, &[1, 3]))),
        (
            "a kind that there is not",
            entry(Kind::File, &[]).into_iter().enumerate().map(|(at, byte)| if at == 4 { 8 } else { byte }).collect(),
        ),
    ]
}

async fn a_server_refuses_each_lie_of_a_client(over: Over) {
    let site = Site::over(over, "allow=read,write,delete,owner,special,xattrs,acls").await;
    put(&site.root(), "dst/keep", "old");
    let before = snapshot(&site.root());
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for (what, lie) in lies() {
        let mut control = site.raw().await.session(everything(push_to("dst"))).await;
        control.accepted().await;
        control.write_body(&root).await;
        control.write_body(&lie).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{what}");
        assert_eq!(snapshot(&site.root()), before, "{what}");
    }
    put(&site.local(), "honest", "content");
    run(&site.client().await, push_to("honest"), &site.local()).await.unwrap();
    assert_eq!(contents(&site.root().join("honest")), contents(&site.local()));
}

async fn a_client_refuses_each_lie_of_a_server(over: Over) {
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    for (what, lie) in lies() {
        let trap = Trap::over(over).await;
        put(&trap.local(), "keep", "old");
        let before = snapshot(&trap.local());
        let job = start(&trap.client, everything(pull_from("tree")), &trap.local());
        let mut control = trap.accepted(Grant::AsAsked).await;
        control.write_body(&root).await;
        control.write_body(&lie).await;
        let error = unhung(job.done()).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
        assert_eq!(snapshot(&trap.local()), before, "{what}");
    }
}

async fn what_was_not_asked_for_is_refused_either_way(over: Over) {
    let root = body(&Frame::Directories(vec![directory("", 1)]));
    let named = acl(2, &[(1, 0, NONE), (2, 7, 7), (4, 4, NONE), (16, 0, NONE), (32, 0, NONE)]);
    let only = |attributes: Attributes| Request { attributes, ..pull_from("tree") };
    let users = Attributes { xattrs: true, ..pull_from("").attributes };
    for (what, request, entry) in [
        ("a device", pull_from("tree"), entry(Kind::BlockDevice, &field(4, &[1, 3]))),
        (
            "a device beside FIFOs",
            only(Attributes { specials: true, ..users }),
            entry(Kind::CharDevice, &field(4, &[1, 3])),
        ),
        ("a socket", pull_from("tree"), entry(Kind::Socket, &[])),
        ("an attribute", pull_from("tree"), entry(Kind::File, &xattrs(&[(b"user.a", b"1")]))),
        ("one of another namespace", only(users), entry(Kind::File, &xattrs(&[(b"trusted.a", b"1")]))),
        ("capabilities", only(users), entry(Kind::File, &xattrs(&[(b"security.capability", b"1")]))),
        ("an ACL", only(users), entry(Kind::File, &xattrs(&[(ACCESS, &named)]))),
        (
            "an ACL of a FIFO",
            only(Attributes { specials: true, ..users }),
            entry(Kind::Fifo, &xattrs(&[(ACCESS, &named)])),
        ),
    ] {
        let trap = Trap::over(over).await;
        put(&trap.local(), "keep", "old");
        let before = snapshot(&trap.local());
        let mut asked = request.clone();
        // Root asks for every namespace with its attributes; another user does not.
        asked.attributes.foreign_xattrs = false;
        let is_root_s = what == "one of another namespace" || what == "capabilities";
        if !(is_root_s && rustix::process::geteuid().is_root()) {
            let job = start(&trap.client, asked.clone(), &trap.local());
            let mut control = trap.accepted(Grant::AsAsked).await;
            control.write_body(&root).await;
            control.write_body(&entry).await;
            let error = unhung(job.done()).await.expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
            assert_eq!(snapshot(&trap.local()), before, "{what}");
        }
        let site = Site::over(over, "allow=read,write,delete,owner,special,xattrs,acls").await;
        put(&site.root(), "dst/keep", "old");
        let before = snapshot(&site.root());
        let mut control = site.raw().await.session(Request { attributes: asked.attributes, ..push_to("dst") }).await;
        control.accepted().await;
        control.write_body(&root).await;
        control.write_body(&entry).await;
        assert_eq!(control.abort().await.kind, ErrorKind::Protocol, "{what}");
        assert_eq!(snapshot(&site.root()), before, "{what}");
    }
}

/// What the kernel may have no room for is told of its path, and costs no other.
async fn an_acl_of_eight_thousand_people_costs_no_more_than_itself(over: Over) {
    let site = Site::over(over, "allow=read,write,delete,owner,special,acls").await;
    put(&site.root(), "dst/keep", "old");
    let mut entries = vec![(1, 0, NONE)];
    entries.extend((0..8_000).map(|id| (2, 7, id)));
    entries.extend([(4, 4, NONE), (16, 0, NONE), (32, 0, NONE)]);
    let mut list = support::listing(&[("crowded", Kind::Fifo, 0, "")]);
    let crowd = vec![(ACCESS.to_vec(), acl(2, &entries))];
    list.set_last_xattrs(sparsync_core::proto::Xattrs::new(crowd).unwrap());
    assert!(list.append(&files(&[("plain", 0)])));
    let mut control = site.raw().await.session(everything(push_to("dst"))).await;
    control.accepted().await;
    control.tell(vec![directory("", 2)], vec![list]).await;
    loop {
        match control.next().await {
            Some(Frame::Issue(issue)) => assert_eq!(issue.path, b"crowded"),
            // It is asked for before it has come.
            Some(Frame::Need(_)) => {}
            Some(Frame::Want { files, .. }) => break assert_eq!(files, [1]),
            other => panic!("{other:?}"),
        }
    }
    assert!(site.root().join("dst/crowded").symlink_metadata().is_ok());
}

on_every_network!(
    a_server_refuses_each_lie_of_a_client,
    what_was_not_asked_for_is_refused_either_way,
    an_acl_of_eight_thousand_people_costs_no_more_than_itself
);

mod of_servers {
    use super::*;
    on_every_transport!(a_client_refuses_each_lie_of_a_server);
}
