//! Extended attributes of a directory's entries are bounded by what one end holds of them, and by what was asked for.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use sparsync_proto::limits::{XATTRS_BYTES_MAX, XATTRS_DIRECTORY_BYTES_MAX};
use sparsync_proto::session::{ProfileExchange, Receiver, ReceiverTerms, ToReceiver};
use sparsync_proto::{
    Attributes, Directory, Frame, Grant, Kind, Listing, Meta, Name, OwnerNames, Reasons, RelPath, Xattrs,
};

fn attributes() -> Attributes {
    Attributes { xattrs: true, ..Attributes::default() }
}

#[test]
fn a_directory_holds_no_more_of_them_than_its_limit() {
    let mut machine = Receiver::new(ReceiverTerms {
        grant: Grant::All,
        recursive: true,
        single: false,
        attributes: attributes(),
        names: OwnerNames::default(),
        tree_digest_decides: false,
        profile: ProfileExchange::None,
        is_unfinished: |_| false,
    });
    let directory = Directory {
        unlisted: false,
        path: RelPath::root(),
        meta: Meta::default(),
        xattrs: Xattrs::default(),
        digest: [0; 16],
        entries: u32::MAX,
    };
    machine.frame(Frame::Directories(vec![directory])).unwrap();
    let value = || (0..4_u8).map(|at| (vec![b'u', b's', b'e', b'r', b'.', b'a' + at], vec![0; 65_000])).collect();
    let each = Xattrs::new(value()).unwrap();
    assert!(each.as_bytes().len() <= XATTRS_BYTES_MAX);
    let fit = XATTRS_DIRECTORY_BYTES_MAX / each.as_bytes().len();
    for at in 0..=fit {
        let mut listing = Listing::new();
        assert!(listing.push(Name::new(format!("{at:05}").as_bytes()).unwrap(), Kind::File, 0, Meta::default(), b""));
        listing.set_last_xattrs(each.clone());
        let taken = machine.frame(Frame::List { directory: 0, more: true, listing });
        assert_eq!(matches!(taken, Ok(ToReceiver::Nothing)), at < fit, "{at}");
    }
}

#[test]
fn what_could_not_be_read_is_no_difference_at_the_source_and_one_at_the_destination() {
    let some = Xattrs::new(vec![(b"user.a".to_vec(), b"1".to_vec())]).unwrap();
    let unread = Xattrs::unread();
    for (source, destination, differ) in [
        (None, None, false),
        (None, Some(&some), true),
        (Some(&some), None, true),
        (Some(&some), Some(&some), false),
        (Some(&unread), Some(&some), false),
        (Some(&unread), None, false),
        (Some(&unread), Some(&unread), false),
        (Some(&some), Some(&unread), true),
        (None, Some(&unread), true),
    ] {
        let reasons = attributes().xattr_differences(source, destination);
        assert_eq!(reasons == Reasons::XATTRS, differ, "{source:?} {destination:?}");
        assert!(Attributes::default().xattr_differences(source, destination).is_empty());
    }
}

#[test]
fn a_namespace_is_carried_only_when_asked_for() {
    let all = Attributes { foreign_xattrs: true, ..attributes() };
    for (name, to_users, to_root) in [
        ("user.a", true, true),
        ("users.a", false, true),
        ("user", false, false),
        ("", false, false),
        ("user.rsync.a", true, true),
        ("user.rsync.%stat", false, false),
        ("security.capability", false, true),
        ("trusted.user.a", false, true),
        ("system.posix_acl_access", false, false),
        ("system.anything", false, false),
    ] {
        let name = name.as_bytes();
        assert_eq!((attributes().carries_xattr(name), all.carries_xattr(name)), (to_users, to_root), "{name:?}");
        let without = Attributes { foreign_xattrs: true, ..Attributes::default() };
        assert!(!without.carries_xattr(name) && !Attributes::default().carries_xattr(name));
    }
    for kind in Kind::ALL {
        let of_users = matches!(kind, Kind::File | Kind::Directory);
        assert_eq!(attributes().carries_xattrs_of(*kind), of_users, "{kind:?}");
        assert_eq!(all.carries_xattrs_of(*kind), *kind != Kind::Special, "{kind:?}");
    }
}

#[test]
fn what_the_receiver_does_not_carry_is_no_difference() {
    let xattrs = |names: &[&str]| {
        Xattrs::new(names.iter().map(|name| (name.as_bytes().to_vec(), b"1".to_vec())).collect()).unwrap()
    };
    let source = xattrs(&["user.a", "trusted.a", "security.a"]);
    let here = xattrs(&["user.a", "trusted.b"]);
    assert!(attributes().xattr_differences(Some(&source), Some(&here)).is_empty());
    let all = Attributes { foreign_xattrs: true, ..attributes() };
    assert!(!all.xattr_differences(Some(&source), Some(&here)).is_empty());
}
