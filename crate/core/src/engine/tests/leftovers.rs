//! What a run removes of what others left unfinished: everything where it is alone, and what is old where others may be
//! alive.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sparsync_proto::{Changing, Durability, Grant, Time};

use super::trees::{Snapshot, Tree, content};
use super::{Asked, How, run};
use crate::storage::memory::{Body, MemoryStorage, Node};
use crate::storage::{Hold, PartialId, TempNames};

const DAY: i64 = 24 * 60 * 60;

/// Far more than a test takes.
const MINUTES: i64 = 10 * 60;

/// A time of change `age` seconds ago.
fn changed(age: i64) -> Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Time { seconds: i64::try_from(now).expect("for long") - age, nanos: 0 }
}

fn child(storage: &MemoryStorage, name: &str) -> Arc<Node> {
    let (Body::Directory(entries), ..) = storage.top.look() else { panic!("the top is a directory") };
    Arc::clone(&entries[name.as_bytes()])
}

/// The names of an unfinished file of a dead session, and of a part of something that nobody sends any more.
fn names() -> [String; 2] {
    let part = PartialId::new(b"gone", 9_000_000, Time { seconds: 1, nanos: 0 }).file_name();
    [TempNames::new([1; 8]).next(), part].map(|name| String::from_utf8(name).expect("plain letters"))
}

fn asked(hold: Hold) -> Asked {
    let (grant, durability) = (Grant::AsAsked, Durability::None);
    Asked {
        how: How::Plain,
        grant,
        durability,
        changing: Changing::Fail,
        keep_partial: hold == Hold::Exclusive,
        hold,
        session: 2,
    }
}

#[test]
fn unfinished_files_go_when_nobody_else_is_there_or_after_a_day() {
    for (hold, age, stay) in [
        (Hold::Exclusive, 0, false),
        (Hold::Exclusive, DAY + MINUTES, false),
        (Hold::Shared, 0, true),
        (Hold::Shared, DAY - MINUTES, true),
        (Hold::Shared, DAY + MINUTES, false),
        // The clock was set back.
        (Hold::Shared, -DAY, true),
    ] {
        let source = Tree::new().file("new", content(1, 100), 0o644, 1).build();
        let unfinished = names();
        let tree = Tree::new().file("old", content(2, 100), 0o644, 1);
        // Their own times are those of their sources, and tell nothing.
        let tree = unfinished.iter().fold(tree, |tree, name| tree.file(name, content(3, 50), 0o600, 1));
        let destination = tree.build();
        for name in &unfinished {
            child(&destination, name).set_change_time(changed(age));
        }
        let ended = run(&source, &destination, asked(hold));
        assert!(ended.result.is_ok() && ended.failures.is_empty());
        let after = Snapshot::of(&destination);
        let left = if stay { 2 } else { 0 };
        assert_eq!(after.unfinished.len(), left, "{hold:?}, {age} s old");
        assert!(after.entries.contains_key(&b"new"[..]) && !after.entries.contains_key(&b"old"[..]));
    }
}

#[test]
fn a_part_that_another_may_be_writing_is_neither_used_nor_removed() {
    for (hold, stays) in [(Hold::Exclusive, false), (Hold::Shared, true)] {
        let long = content(4, 5_000_000);
        let source = Tree::new().file("long", long.clone(), 0o644, 2).build();
        let part = PartialId::new(b"long", long.len() as u64, Time { seconds: 2, nanos: 5 }).file_name();
        let part = String::from_utf8(part).expect("plain letters");
        let destination = Tree::new().file(&part, long[..2_000_000].to_vec(), 0o600, changed(0).seconds).build();
        let kept = child(&destination, &part);
        kept.set_change_time(changed(0));
        let ended = run(&source, &destination, asked(hold));
        assert!(ended.result.is_ok() && ended.failures.is_empty());
        let after = Snapshot::of(&destination);
        assert_eq!(after.entries[&b"long"[..]].content, long);
        assert_eq!(!after.unfinished.is_empty(), stays);
        let is_it = Arc::ptr_eq(&child(&destination, "long"), &kept);
        assert_eq!(is_it, !stays, "a run that is alone goes on from the part");
    }
}

#[test]
fn a_tree_that_a_run_left_before_it_took_its_place_stays_for_a_day() {
    for (age, stays) in [(0, true), (DAY + MINUTES, false)] {
        let source = Tree::new().file("new", content(1, 100), 0o644, 1).build();
        let part = names()[1].clone();
        let tree = Tree::new().directory(&part, 0o755, 1).file(&format!("{part}/in"), content(2, 100), 0o644, 1);
        let destination = tree.build();
        child(&destination, &part).set_change_time(changed(age));
        let ended = run(&source, &destination, asked(Hold::Exclusive));
        assert!(ended.result.is_ok() && ended.failures.is_empty());
        assert_eq!(Snapshot::of(&destination).unfinished.len(), usize::from(stays), "{age} s old");
    }
}
