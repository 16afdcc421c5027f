//! A path that did not arrive, or a notice about one.

use super::item::PathBytes;
use crate::closed::closed_set;
use crate::codec::{Decoded, Reader, Write};
use crate::field::{AtMost, Codec, message};
use crate::limits::MESSAGE_BYTES_MAX;

closed_set! {
    /// Why a path did not arrive. From 128 on nothing is missing because of it.
    #[derive(Default)]
    IssueKind {
        /// The sender may not read it, or reading failed.
        Unreadable = 0, "unreadable";
        /// It was listed and then gone.
        Vanished = 1, "vanished";
        /// It changed each time it was read.
        Changed = 2, "changed";
        /// The receiver could not write it.
        Write = 3, "write";
        /// What arrived is not what was read.
        Integrity = 4, "integrity";
        /// Something that must not be removed is in its place.
        Conflict = 5, "conflict";
        /// The scope of the key does not allow it.
        Scope = 6, "scope";
        /// It could not be deleted.
        Delete = 7, "delete";
        /// It arrived, and one of its attributes could not be set.
        Attributes = 8, "attributes";
        /// A source of the run is not there.
        Missing = 9, "missing";
        /// Its content arrives, and one of its attributes could not be read at the source: what the destination's entry
        /// has of that stays, unless new content takes its place.
        AttributesUnread = 10, "attributes-unread";
        /// It arrived and was to be removed at the source, and is still there.
        SourceKept = 11, "source-kept";
        /// A failure that only a newer peer has a name for.
        #[default]
        Other = 127, "other";
        /// A notice, not a failure: everything arrived.
        Notice = 128, "notice";
        /// A notice: owners were asked for, and the receiver may not set them.
        Owners = 129, "owners";
        /// Nothing is missing, but the directory was a mount point in the last run and is none now: what the
        /// destination holds there is guarded like that of an empty directory.
        Unmounted = 130, "unmounted";
        /// A notice: owners were asked for, and the receiver could set them if the key had the right.
        OwnerRight = 131, "owner-right";
        /// A notice of the sender's: the run does not carry what this entry is.
        Special = 132, "special";
        /// Nothing is missing: all that the source's directory holds is left out of the run, so it is not taken for one
        /// that is empty.
        LeftOut = 133, "left-out";
        /// A notice: special files were asked for, and the receiver could make them if the key had the right.
        SpecialRight = 134, "special-right";
        /// A notice, once for each kind of attribute and file system: the destination's file system cannot hold it. The
        /// path is that of the first entry which has one.
        AttributesUnheld = 135, "attributes-unheld";
        /// A notice: extended attributes outside the namespace `user.` were asked for, and the receiver could set them
        /// if the key had the right.
        XattrRight = 136, "xattr-right";
        /// A notice: ACLs were asked for, and the receiver could set them if the key had the right.
        AclRight = 137, "acl-right";
        /// A notice: a file of filter rules is there and could not be read, so its rules are not in force.
        RulesUnread = 138, "rules-unread";
        /// A notice of the sender's: the symlink leads out of the tree, by its text, and the run leaves those alone.
        UnsafeLink = 140, "unsafe-link";
        /// A notice: the file grew while it was read, and arrives as it was when it was opened.
        Grown = 141, "grown";
        /// A notice: the snapshot of this name was made.
        Snapshot = 142, "snapshot";
        /// A notice: the snapshot of this name was removed, as the rule says.
        SnapshotRemoved = 143, "snapshot-removed";
        /// A notice of the sender's: another file system begins at the directory, and the run leaves such out.
        MountSkipped = 144, "mount-skipped";
        /// A notice of the sender's, once for each file system: its files are read as they are, and not from a frozen
        /// view.
        NotFrozen = 145, "not-frozen";
    }
}

/// The first number of a notice.
const NOTICES: u8 = 128;

impl IssueKind {
    /// Whether nothing is missing because of it.
    #[must_use]
    pub const fn is_notice(self) -> bool {
        self as u8 >= NOTICES
    }

    /// Whether it happened where the source is.
    #[must_use]
    pub const fn is_senders(self) -> bool {
        matches!(
            self,
            Self::Unreadable
                | Self::Vanished
                | Self::Changed
                | Self::Missing
                | Self::AttributesUnread
                | Self::Special
                | Self::UnsafeLink
                | Self::MountSkipped
                | Self::NotFrozen
                | Self::SourceKept
        )
    }
}

/// A path that did not arrive, or a notice about one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issue {
    /// Why.
    pub kind: IssueKind,
    /// Which, relative to the tree.
    pub path: Vec<u8>,
    /// The text for people.
    pub message: String,
    /// Whether the destination still has the old entry.
    pub old_kept: bool,
}

message!(Issue, "issue" {
    1 critical kind: Kinds,
    2 critical path: PathBytes,
    3 optional message: AtMost<MESSAGE_BYTES_MAX>,
    4 critical old_kept,
});

/// A kind that only a newer peer knows is [`IssueKind::Other`] or [`IssueKind::Notice`], as its number tells.
struct Kinds;

impl Codec<IssueKind> for Kinds {
    fn put(value: &IssueKind, out: &mut Vec<u8>) {
        out.byte(*value as u8);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<IssueKind> {
        let number = reader.byte(what)?;
        let unknown = if number >= NOTICES { IssueKind::Notice } else { IssueKind::Other };
        Ok(IssueKind::from_number(number).unwrap_or(unknown))
    }
}
