//! Closed sets as words of JavaScript.
//!
//! Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.

use napi_derive::napi;
use sparsync_core::proto::{
    Action, Changing, Compare, Compression, Direction, Durability, IssueKind, Kind, MissingSources, Reasons,
};

/// Which way the content goes, as the initiator sees it.
#[napi(string_enum)]
pub enum NativeDirection {
    /// From the initiator to the acceptor.
    #[napi(value = "push")]
    Push,
    /// From the acceptor to the initiator.
    #[napi(value = "pull")]
    Pull,
}

impl From<NativeDirection> for Direction {
    fn from(word: NativeDirection) -> Self {
        match word {
            NativeDirection::Push => Self::Push,
            NativeDirection::Pull => Self::Pull,
        }
    }
}

/// How the content of two regular files is compared.
#[napi(string_enum)]
pub enum NativeCompare {
    /// Equal size and modification time mean equal content.
    #[napi(value = "quick")]
    Quick,
    /// The content itself, by digest, on both ends.
    #[napi(value = "content")]
    Content,
    /// Equal size means equal content.
    #[napi(value = "size")]
    Size,
    /// Not at all: no file counts as equal.
    #[napi(value = "none")]
    None,
}

impl From<NativeCompare> for Compare {
    fn from(word: NativeCompare) -> Self {
        match word {
            NativeCompare::Quick => Self::Quick,
            NativeCompare::Content => Self::Content,
            NativeCompare::Size => Self::Size,
            NativeCompare::None => Self::None,
        }
    }
}

/// When the writes of a run are on disk.
#[napi(string_enum)]
pub enum NativeDurability {
    /// When the system gets to it.
    #[napi(value = "none")]
    None,
    /// When the run has succeeded.
    #[napi(value = "run")]
    Run,
    /// Each file before it gets its name.
    #[napi(value = "file")]
    File,
}

impl From<NativeDurability> for Durability {
    fn from(word: NativeDurability) -> Self {
        match word {
            NativeDurability::None => Self::None,
            NativeDurability::Run => Self::Run,
            NativeDurability::File => Self::File,
        }
    }
}

/// What happens to a file that changes each time that it is read.
#[napi(string_enum)]
pub enum NativeChanging {
    /// It fails.
    #[napi(value = "fail")]
    Fail,
    /// One that only grew arrives as it was when it was opened.
    #[napi(value = "prefix")]
    Prefix,
}

impl From<NativeChanging> for Changing {
    fn from(word: NativeChanging) -> Self {
        match word {
            NativeChanging::Fail => Self::Fail,
            NativeChanging::Prefix => Self::Prefix,
        }
    }
}

/// When packs are compressed.
#[napi(string_enum)]
pub enum NativeCompression {
    /// While the path is slow enough for it to pay.
    #[napi(value = "auto")]
    Auto,
    /// Always.
    #[napi(value = "always")]
    Always,
    /// Never.
    #[napi(value = "never")]
    Never,
}

impl From<NativeCompression> for Compression {
    fn from(word: NativeCompression) -> Self {
        match word {
            NativeCompression::Auto => Self::Auto,
            NativeCompression::Always => Self::Always,
            NativeCompression::Never => Self::Never,
        }
    }
}

/// What a missing source means.
#[napi(string_enum)]
pub enum NativeMissingSources {
    /// A failure.
    #[napi(value = "fail")]
    Fail,
    /// Nothing.
    #[napi(value = "ignore")]
    Ignore,
    /// Something to be deleted at the destination.
    #[napi(value = "delete")]
    Delete,
}

impl From<NativeMissingSources> for MissingSources {
    fn from(word: NativeMissingSources) -> Self {
        match word {
            NativeMissingSources::Fail => Self::Fail,
            NativeMissingSources::Ignore => Self::Ignore,
            NativeMissingSources::Delete => Self::Delete,
        }
    }
}

/// What is done to an entry.
#[napi(string_enum)]
pub enum NativeAction {
    /// It is made.
    #[napi(value = "create")]
    Create,
    /// It is made anew in place of the old.
    #[napi(value = "update")]
    Update,
    /// Its attributes are put right.
    #[napi(value = "attrs")]
    Attributes,
    /// It is deleted.
    #[napi(value = "delete")]
    Delete,
    /// It is left alone although it may differ.
    #[napi(value = "skip")]
    Skip,
    /// It is made from what another directory of the destination's end has.
    #[napi(value = "copy")]
    Copy,
    /// It is as it should be.
    #[napi(value = "keep")]
    Keep,
    /// It becomes a backup, because something takes its place or it is to be deleted.
    #[napi(value = "backup")]
    Backup,
    /// It has arrived, and was removed at the source.
    #[napi(value = "remove")]
    Remove,
}

impl From<Action> for NativeAction {
    fn from(member: Action) -> Self {
        match member {
            Action::Create => Self::Create,
            Action::Update => Self::Update,
            Action::Attributes => Self::Attributes,
            Action::Delete => Self::Delete,
            Action::Skip => Self::Skip,
            Action::Copy => Self::Copy,
            Action::Keep => Self::Keep,
            Action::Backup => Self::Backup,
            Action::Remove => Self::Remove,
        }
    }
}

/// What an entry is.
#[napi(string_enum)]
pub enum NativeKind {
    /// A regular file.
    #[napi(value = "file")]
    File,
    /// A directory.
    #[napi(value = "directory")]
    Directory,
    /// A symbolic link: stored, never followed.
    #[napi(value = "symlink")]
    Symlink,
    /// Something that this run does not carry: a device, socket, FIFO or symlink when those are off. Its name is protected at the destination.
    #[napi(value = "special")]
    Special,
    /// A FIFO.
    #[napi(value = "fifo")]
    Fifo,
    /// A block device.
    #[napi(value = "block-device")]
    BlockDevice,
    /// A character device.
    #[napi(value = "char-device")]
    CharDevice,
    /// A socket.
    #[napi(value = "socket")]
    Socket,
}

impl From<Kind> for NativeKind {
    fn from(member: Kind) -> Self {
        match member {
            Kind::File => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Symlink => Self::Symlink,
            Kind::Special => Self::Special,
            Kind::Fifo => Self::Fifo,
            Kind::BlockDevice => Self::BlockDevice,
            Kind::CharDevice => Self::CharDevice,
            Kind::Socket => Self::Socket,
        }
    }
}

/// Why a path did not arrive, or what a notice is about.
#[napi(string_enum)]
pub enum NativeIssueKind {
    /// The sender may not read it, or reading failed.
    #[napi(value = "unreadable")]
    Unreadable,
    /// It was listed and then gone.
    #[napi(value = "vanished")]
    Vanished,
    /// It changed each time it was read.
    #[napi(value = "changed")]
    Changed,
    /// The receiver could not write it.
    #[napi(value = "write")]
    Write,
    /// What arrived is not what was read.
    #[napi(value = "integrity")]
    Integrity,
    /// Something that must not be removed is in its place.
    #[napi(value = "conflict")]
    Conflict,
    /// The scope of the key does not allow it.
    #[napi(value = "scope")]
    Scope,
    /// It could not be deleted.
    #[napi(value = "delete")]
    Delete,
    /// It arrived, and one of its attributes could not be set.
    #[napi(value = "attributes")]
    Attributes,
    /// A source of the run is not there.
    #[napi(value = "missing")]
    Missing,
    /// Its content arrives, and one of its attributes could not be read at the source: what the destination's entry has of that stays, unless new content takes its place.
    #[napi(value = "attributes-unread")]
    AttributesUnread,
    /// It arrived and was to be removed at the source, and is still there.
    #[napi(value = "source-kept")]
    SourceKept,
    /// A failure that only a newer peer has a name for.
    #[napi(value = "other")]
    Other,
    /// A notice, not a failure: everything arrived.
    #[napi(value = "notice")]
    Notice,
    /// A notice: owners were asked for, and the receiver may not set them.
    #[napi(value = "owners")]
    Owners,
    /// Nothing is missing, but the directory was a mount point in the last run and is none now: what the destination holds there is guarded like that of an empty directory.
    #[napi(value = "unmounted")]
    Unmounted,
    /// A notice: owners were asked for, and the receiver could set them if the key had the right.
    #[napi(value = "owner-right")]
    OwnerRight,
    /// A notice of the sender's: the run does not carry what this entry is.
    #[napi(value = "special")]
    Special,
    /// Nothing is missing: all that the source's directory holds is left out of the run, so it is not taken for one that is empty.
    #[napi(value = "left-out")]
    LeftOut,
    /// A notice: special files were asked for, and the receiver could make them if the key had the right.
    #[napi(value = "special-right")]
    SpecialRight,
    /// A notice, once for each kind of attribute and file system: the destination's file system cannot hold it. The path is that of the first entry which has one.
    #[napi(value = "attributes-unheld")]
    AttributesUnheld,
    /// A notice: extended attributes outside the namespace `user.` were asked for, and the receiver could set them if the key had the right.
    #[napi(value = "xattr-right")]
    XattrRight,
    /// A notice: ACLs were asked for, and the receiver could set them if the key had the right.
    #[napi(value = "acl-right")]
    AclRight,
    /// A notice: a file of filter rules is there and could not be read, so its rules are not in force.
    #[napi(value = "rules-unread")]
    RulesUnread,
    /// A notice of the sender's: the symlink leads out of the tree, by its text, and the run leaves those alone.
    #[napi(value = "unsafe-link")]
    UnsafeLink,
    /// A notice: the file grew while it was read, and arrives as it was when it was opened.
    #[napi(value = "grown")]
    Grown,
    /// A notice: the snapshot of this name was made.
    #[napi(value = "snapshot")]
    Snapshot,
    /// A notice: the snapshot of this name was removed, as the rule says.
    #[napi(value = "snapshot-removed")]
    SnapshotRemoved,
    /// A notice of the sender's: another file system begins at the directory, and the run leaves such out.
    #[napi(value = "mount-skipped")]
    MountSkipped,
    /// A notice of the sender's, once for each file system: its files are read as they are, and not from a frozen view.
    #[napi(value = "not-frozen")]
    NotFrozen,
}

impl From<IssueKind> for NativeIssueKind {
    fn from(member: IssueKind) -> Self {
        match member {
            IssueKind::Unreadable => Self::Unreadable,
            IssueKind::Vanished => Self::Vanished,
            IssueKind::Changed => Self::Changed,
            IssueKind::Write => Self::Write,
            IssueKind::Integrity => Self::Integrity,
            IssueKind::Conflict => Self::Conflict,
            IssueKind::Scope => Self::Scope,
            IssueKind::Delete => Self::Delete,
            IssueKind::Attributes => Self::Attributes,
            IssueKind::Missing => Self::Missing,
            IssueKind::AttributesUnread => Self::AttributesUnread,
            IssueKind::SourceKept => Self::SourceKept,
            IssueKind::Other => Self::Other,
            IssueKind::Notice => Self::Notice,
            IssueKind::Owners => Self::Owners,
            IssueKind::Unmounted => Self::Unmounted,
            IssueKind::OwnerRight => Self::OwnerRight,
            IssueKind::Special => Self::Special,
            IssueKind::LeftOut => Self::LeftOut,
            IssueKind::SpecialRight => Self::SpecialRight,
            IssueKind::AttributesUnheld => Self::AttributesUnheld,
            IssueKind::XattrRight => Self::XattrRight,
            IssueKind::AclRight => Self::AclRight,
            IssueKind::RulesUnread => Self::RulesUnread,
            IssueKind::UnsafeLink => Self::UnsafeLink,
            IssueKind::Grown => Self::Grown,
            IssueKind::Snapshot => Self::Snapshot,
            IssueKind::SnapshotRemoved => Self::SnapshotRemoved,
            IssueKind::MountSkipped => Self::MountSkipped,
            IssueKind::NotFrozen => Self::NotFrozen,
        }
    }
}

/// Why an entry is not what it should be.
#[napi(string_enum)]
pub enum NativeReason {
    /// It is not there.
    #[napi(value = "missing")]
    Missing,
    /// Its size differs.
    #[napi(value = "size")]
    Size,
    /// Its modification time differs.
    #[napi(value = "mtime")]
    Mtime,
    /// Its permission bits differ.
    #[napi(value = "mode")]
    Mode,
    /// Its owner differs.
    #[napi(value = "owner")]
    Owner,
    /// Its group differs.
    #[napi(value = "group")]
    Group,
    /// It is something else: a file where a directory should be, say.
    #[napi(value = "type")]
    Type,
    /// The symlink points elsewhere.
    #[napi(value = "target")]
    Target,
    /// Its content differs.
    #[napi(value = "content")]
    Content,
    /// The source does not have it.
    #[napi(value = "extra")]
    Extra,
    /// The destination's is newer.
    #[napi(value = "newer")]
    Newer,
    /// This run does not carry what it is.
    #[napi(value = "special")]
    Special,
    /// It is a directory and the run is not recursive.
    #[napi(value = "directory")]
    Directory,
    /// The scope of the key allows new names only.
    #[napi(value = "append-only")]
    AppendOnly,
    /// Its extended attributes differ.
    #[napi(value = "xattrs")]
    Xattrs,
    /// The run does not compare its content and sends it again.
    #[napi(value = "uncompared")]
    Uncompared,
    /// It is no hard link to what it is one to at the source.
    #[napi(value = "hard-link")]
    HardLink,
    /// Its ACLs differ.
    #[napi(value = "acls")]
    Acls,
    /// It is another device, or one of FIFO and socket where the other should be.
    #[napi(value = "device")]
    Device,
    /// Its access time differs.
    #[napi(value = "atime")]
    Atime,
    /// A reason that only a newer peer has a name for.
    #[napi(value = "other")]
    Other,
}

impl NativeReason {
    /// The reasons of a set, in the order of their bits.
    pub(crate) fn all(reasons: Reasons) -> Vec<Self> {
        let words = [
            (Reasons::MISSING, Self::Missing),
            (Reasons::SIZE, Self::Size),
            (Reasons::MTIME, Self::Mtime),
            (Reasons::MODE, Self::Mode),
            (Reasons::OWNER, Self::Owner),
            (Reasons::GROUP, Self::Group),
            (Reasons::TYPE, Self::Type),
            (Reasons::TARGET, Self::Target),
            (Reasons::CONTENT, Self::Content),
            (Reasons::EXTRA, Self::Extra),
            (Reasons::NEWER, Self::Newer),
            (Reasons::SPECIAL, Self::Special),
            (Reasons::DIRECTORY, Self::Directory),
            (Reasons::APPEND_ONLY, Self::AppendOnly),
            (Reasons::XATTRS, Self::Xattrs),
            (Reasons::UNCOMPARED, Self::Uncompared),
            (Reasons::HARD_LINK, Self::HardLink),
            (Reasons::ACLS, Self::Acls),
            (Reasons::DEVICE, Self::Device),
            (Reasons::ATIME, Self::Atime),
            (Reasons::OTHER, Self::Other),
        ];
        words.into_iter().filter(|(reason, _)| reasons.intersects(*reason)).map(|(_, word)| word).collect()
    }
}
