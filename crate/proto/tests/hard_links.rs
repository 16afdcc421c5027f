//! Hard links as one end tells of them and the other takes them: what is no hard link of the source's is refused.

use sparsync_proto::session::{ProfileExchange, Receiver, ReceiverTerms, ToReceiver, Violation};
use sparsync_proto::{
    Attributes, Directory, Frame, Grant, Kind, Leader, Listing, Meta, Name, OwnerNames, Reasons, RelPath, Rules,
    Selection, SourceIds, Step, Time, Version, plan, plan_alone,
};

fn attributes() -> Attributes {
    Attributes {
        perms: true,
        times: true,
        hard_links: true,
        compare: sparsync_proto::Compare::Quick,
        window: sparsync_proto::Window::Exact,
        ..Attributes::default()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text.as_bytes()).expect("a path")
}

/// Files of these names and times, some of them followers of what is at a path.
fn listing(files: &[(&str, i64, Option<&str>)]) -> Listing {
    let mut listing = Listing::new();
    for (name, seconds, _) in files {
        let meta = Meta { mtime: Time { seconds: *seconds, nanos: 0 }, ..Meta::default() };
        assert!(listing.push(Name::new(name.as_bytes()).expect("a name"), Kind::File, 3, meta, b""));
    }
    for (index, leader) in files.iter().enumerate().filter_map(|(index, (_, _, leader))| Some((index, (*leader)?))) {
        let leader = path(leader);
        let (directory, name) = leader.split_last().expect("no root");
        listing.add_follower(index, Leader { directory: &directory, name: name.as_bytes() });
    }
    listing
}

/// What a receiver makes of a listing of `d`, after it was sent over the wire.
fn told(attributes: Attributes, listing: Listing) -> Result<Listing, Violation> {
    let terms = ReceiverTerms {
        names: OwnerNames::default(),
        grant: Grant::All,
        recursive: true,
        single: false,
        attributes,
        tree_digest_decides: false,
        profile: ProfileExchange::None,
        is_unfinished: |_| false,
    };
    let mut receiver = Receiver::new(terms);
    let directory = |at: &str, entries| Directory {
        unlisted: false,
        path: path(at),
        meta: Meta::default(),
        xattrs: sparsync_proto::Xattrs::default(),
        digest: [0; 16],
        entries,
    };
    let entries = u32::try_from(listing.len()).expect("few");
    receiver.frame(Frame::Directories(vec![directory("", 0), directory("d", entries)]))?;
    let mut out = Vec::new();
    Frame::List { directory: 1, more: false, listing }.encode(Version::NEWEST, &mut out);
    let mut reader = sparsync_proto::codec::Reader::new(&out);
    let body = reader.bytes(1 << 20, "frame").expect("a body");
    match receiver.frame(Frame::decode(Version::NEWEST, body).expect("a frame"))? {
        ToReceiver::Decide { pending, .. } => Ok(pending.listing),
        other => panic!("{other:?}"),
    }
}

fn followers(listing: &Listing) -> Vec<(usize, String)> {
    let all = listing.followers();
    all.map(|(index, leader)| (index, String::from_utf8(leader.path()).expect("text"))).collect()
}

#[test]
fn followers_arrive_with_their_leaders() {
    let sent = [("a", 0, Some("x")), ("b", 0, None), ("c", 0, Some("c")), ("d", 0, Some("d/b")), ("e", 0, Some("x"))];
    let taken = told(attributes(), listing(&sent)).expect("it is in order");
    let expected = [(0, "x"), (2, "c"), (3, "d/b"), (4, "x")].map(|(index, leader)| (index, leader.to_owned()));
    assert_eq!(followers(&taken), expected);
}

#[test]
fn a_leader_that_does_not_come_before_is_refused() {
    for leader in ["d/a", "d/b", "d/e/a", "e/a", "d0/a"] {
        assert!(told(attributes(), listing(&[("a", 0, Some(leader))])).is_err(), "{leader}");
    }
    for leader in ["a", "z", "c/z", "d-/a"] {
        assert!(told(attributes(), listing(&[("a", 0, Some(leader))])).is_ok(), "{leader}");
    }
}

#[test]
fn hard_links_that_were_not_asked_for_are_refused() {
    let without = Attributes { hard_links: false, ..attributes() };
    assert!(told(without, listing(&[("a", 0, Some("a"))])).is_err());
    assert!(told(without, listing(&[("a", 0, None)])).is_ok());
}

fn rules(selection: Selection) -> Rules {
    let source_ids = SourceIds::Claimed;
    Rules { attributes: attributes(), source_ids, recursive: true, selection, append_only: false }
}

fn steps(rules: &Rules, source: &Listing, destination: &Listing) -> Vec<Step> {
    let mut steps = Vec::new();
    plan(rules, source, destination, |step| steps.push(step));
    steps
}

#[test]
fn a_follower_is_linked_unless_it_follows_the_same_leader_already() {
    let source = listing(&[("a", 1, None), ("b", 1, Some("a"))]);
    let rules = rules(Selection::default());
    let link = |reasons| vec![Step::Link { source: 1, old: Some(1), reasons }];
    assert_eq!(steps(&rules, &source, &source), []);
    assert_eq!(steps(&rules, &source, &listing(&[("a", 1, None), ("b", 1, None)])), link(Reasons::HARD_LINK));
    let other = listing(&[("a", 1, None), ("b", 1, Some("0"))]);
    assert_eq!(steps(&rules, &source, &other), link(Reasons::HARD_LINK));
    let reasons = Reasons::MISSING.union(Reasons::HARD_LINK);
    let missing = steps(&rules, &source, &listing(&[("a", 1, None)]));
    assert_eq!(missing, [Step::Link { source: 1, old: None, reasons }]);
    // As in rsync, names that are linked only at the destination stay linked.
    assert_eq!(steps(&rules, &listing(&[("a", 1, None), ("b", 1, None)]), &source), []);
}

#[test]
fn equal_digests_and_no_step_are_the_same_for_followers() {
    let all = [None, Some("a"), Some("0"), Some("c/a")];
    for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
        let [source, destination] = [one, other].map(|leader| listing(&[("b", 1, leader)]));
        let is_equal = attributes().digest(&source) == attributes().digest(&destination);
        assert_eq!(is_equal, one == other, "{one:?} {other:?}");
        assert!(!is_equal || steps(&rules(Selection::default()), &source, &destination).is_empty());
    }
}

#[test]
fn what_leaves_files_alone_leaves_followers_alone_as_rsync_does() {
    let source = listing(&[("b", 1, Some("a"))]);
    let newer = listing(&[("b", 2, None)]);
    let update = rules(Selection { update: true, ..Selection::default() });
    assert!(matches!(steps(&update, &source, &newer)[..], [Step::Link { .. }]), "it is about its leader");
    assert!(matches!(plan_alone(&update, (&source, 0), Some((&newer, 0))), Some(Step::Skip { .. })));
    let existing = rules(Selection { ignore_existing: true, ..Selection::default() });
    assert!(matches!(steps(&existing, &source, &newer)[..], [Step::Skip { .. }]));
    assert!(matches!(plan_alone(&existing, (&source, 0), None), Some(Step::Make { .. })));
}
