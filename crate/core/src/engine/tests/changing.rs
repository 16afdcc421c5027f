//! Files that change after each time they are read.

use sparsync_proto::{Changing, Durability, Grant, IssueKind};

use super::trees::{Snapshot, Tree, content};
use super::{Asked, Ended, How, run};
use crate::storage::Hold;
use crate::storage::memory::Body;

/// One that travels whole, one in a recipe, and one of which the destination has an older state that is worth a delta.
const SIZES: [(&str, usize); 3] = [("whole", 900), ("recipe", 900_000), ("delta", 9_000_000)];

fn grows(content: &mut Vec<u8>) {
    content.extend_from_slice(b"another line\n");
}

fn grows_and_is_written_over(content: &mut Vec<u8>) {
    content[7] = content[7].wrapping_add(1);
    grows(content);
}

fn shrinks(content: &mut Vec<u8>) {
    content.pop();
}

/// Carries those files while they change, over an older state of them.
fn carried(changing: Changing, change: fn(&mut Vec<u8>)) -> (Ended, Snapshot) {
    let tree = |time: i64, less: usize| {
        SIZES.iter().fold(Tree::new().file("other", content(9, 100), 0o644, time), |tree, (name, size)| {
            tree.file(name, content(5, *size)[..size - less].to_vec(), 0o644, time)
        })
    };
    let (source, destination) = (tree(2, 0).build(), tree(1, 100).build());
    let (Body::Directory(entries), ..) = source.top.look() else { panic!("the top is a directory") };
    for (name, _) in SIZES {
        entries[name.as_bytes()].never_rests(change);
    }
    let asked = Asked {
        how: How::Plain,
        grant: Grant::AsAsked,
        durability: Durability::None,
        changing,
        keep_partial: false,
        hold: Hold::Exclusive,
        session: 3,
    };
    let ended = run(&source, &destination, asked);
    (ended, Snapshot::of(&destination))
}

#[test]
fn a_file_that_only_grows_arrives_as_it_was_where_that_is_asked_for() {
    let (ended, after) = carried(Changing::Prefix, grows);
    assert!(ended.result.is_ok() && ended.failures.is_empty(), "{:?}", ended.failures);
    for (name, size) in SIZES {
        let arrived = &after.entries[name.as_bytes()].content;
        assert!(arrived.len() >= size && arrived[..size] == content(5, size), "{name}");
        assert!(arrived[size..].chunks(13).all(|line| line == b"another line\n"), "{name}");
        let told = format!("it grew while it was read: its first {} bytes arrived", arrived.len());
        let notice = ended.notices.iter().find(|notice| notice.path == name.as_bytes()).expect("it is told");
        assert_eq!((notice.kind, &notice.message), (IssueKind::Grown, &told));
    }
}

#[test]
fn any_other_change_and_any_without_that_is_a_failure_that_keeps_what_was_there() {
    let grows: fn(&mut Vec<u8>) = grows;
    for (changing, change) in
        [(Changing::Fail, grows), (Changing::Prefix, grows_and_is_written_over), (Changing::Prefix, shrinks)]
    {
        let (ended, after) = carried(changing, change);
        assert_eq!(ended.failures.len(), SIZES.len(), "{:?}", ended.failures);
        assert!(ended.failures.iter().all(|failure| failure.kind == IssueKind::Changed && failure.old_kept));
        for (name, size) in SIZES {
            assert_eq!(after.entries[name.as_bytes()].content, content(5, size)[..size - 100], "{name}");
        }
        assert_eq!(after.entries[&b"other"[..]].content, content(9, 100));
    }
}
