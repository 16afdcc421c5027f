//! A destination that does not tell names by the case of their letters.

use sparsync_proto::{Changing, Durability, Grant};

use super::trees::{Snapshot, Tree, content};
use super::{Asked, How, run};
use crate::storage::Hold;

fn asked(how: How) -> Asked {
    let (grant, durability) = (Grant::AsAsked, Durability::None);
    Asked { how, grant, durability, changing: Changing::Fail, keep_partial: false, hold: Hold::Exclusive, session: 2 }
}

#[test]
fn what_the_destination_has_in_another_spelling_is_no_extra_entry() {
    let (same, new) = (content(1, 100), content(2, 200));
    let source = Tree::new().file("SAME", same.clone(), 0o644, 1).file("CHANGED", new.clone(), 0o644, 2);
    let source =
        source.symlink("LINK", "new", 2).directory("FOLDER", 0o755, 1).file("FOLDER/in", same.clone(), 0o644, 1);
    let source = source.build();
    let old = Tree::new().file("Same", same.clone(), 0o644, 1).file("Changed", content(3, 50), 0o644, 1);
    let old = old.symlink("Link", "old", 1).directory("Folder", 0o755, 1).file("Folder/in", same.clone(), 0o644, 1);
    let destination = old.file("extra", content(4, 10), 0o644, 1).build();
    destination.top.fold_case();
    for round in 1..=2 {
        let ended = run(&source, &destination, asked(How::Plain));
        let told: Vec<_> = ended.failures.iter().map(|issue| issue.message.clone()).collect();
        assert!(ended.result.is_ok() && told.is_empty(), "round {round}: {:?} {told:?}", ended.result);
        let found = Snapshot::of(&destination).entries;
        let found: Vec<_> = found.iter().map(|(path, entry)| (path.as_slice(), entry.content.as_slice())).collect();
        let wanted: Vec<(&[u8], &[u8])> = vec![
            (b"", b""),
            (b"Changed", &new),
            (b"Folder", b""),
            (b"Folder/in", &same),
            (b"Link", b"new"),
            (b"Same", &same),
        ];
        assert!(
            found == wanted,
            "round {round}: {:?}",
            found.iter().map(|(path, _)| path.escape_ascii().to_string()).collect::<Vec<_>>()
        );
    }
    // What is as it should be is not written again.
    let written = destination.faults.calls().iter().filter(|call| call.operation == "rename").count();
    assert_eq!(written, 3 + 1, "the first run's three, and what is in the directory that counts as new, twice");
}

#[test]
fn who_may_only_add_entries_replaces_none_by_another_spelling_of_its_directory() {
    let source = Tree::new().directory("FOLDER", 0o755, 1).file("FOLDER/IN", content(1, 100), 0o644, 2);
    let source = source.file("FOLDER/new", content(3, 10), 0o644, 1).build();
    let old = content(2, 50);
    let destination = Tree::new().directory("Folder", 0o755, 1).file("Folder/in", old.clone(), 0o644, 1).build();
    destination.top.fold_case();
    let ended = run(&source, &destination, asked(How::Adds));
    let told: Vec<_> = ended.failures.iter().map(|issue| issue.path.clone()).collect();
    assert_eq!(told, [b"FOLDER/IN".to_vec(), b"FOLDER/new".to_vec()], "{:?}", ended.result);
    let found = Snapshot::of(&destination).entries;
    assert_eq!(found.get(&b"Folder/in"[..]).map(|entry| &entry.content), Some(&old));
}
