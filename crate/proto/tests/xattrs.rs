//! Extended attributes of a directory's entries are bounded by what one end holds of them, and by what was asked for.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use sparsync_proto::limits::{XATTRS_BYTES_MAX, XATTRS_DIRECTORY_BYTES_MAX};
use sparsync_proto::session::{ProfileExchange, Receiver, ReceiverTerms, ToReceiver};
use sparsync_proto::{Attributes, Directory, Frame, Grant, Kind, Listing, Meta, Name, Reasons, RelPath, Xattrs};

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
        tree_digest_decides: false,
        profile: ProfileExchange::None,
        is_unfinished: |_| false,
    });
    let directory = Directory {
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
fn only_the_users_namespace_is_carried_and_only_when_asked_for() {
    for (name, carried) in [
        ("user.a", true),
        ("users.a", false),
        ("user", false),
        ("security.capability", false),
        ("trusted.user.a", false),
        ("system.posix_acl_access", false),
    ] {
        assert_eq!(attributes().carries_xattr(name.as_bytes()), carried, "{name}");
        assert!(!Attributes::default().carries_xattr(name.as_bytes()));
    }
}
