//! The counters that a receiver reports: one name on the wire, in the API, in the command line and in the documents.

use crate::entry::Kind;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a run has counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        #[expect(non_camel_case_types, reason = "the variant is the counter's public name, letter by letter")]
        pub enum Counter { $($(#[$doc])* $name,)* }

        /// The names in wire order.
        pub const COUNTERS: &[&str] = &[$(stringify!($name),)*];
    };
}

counters! {
    /// Entries of the source, the root not counted.
    entries_source,
    /// Entries of the destination before the run, as far as it was looked at.
    entries_destination,
    /// Directories of the source, its root included.
    directories_source,
    /// Regular files whose content was written; in a dry run, would be.
    files_transferred,
    /// Files, symlinks and special files deleted.
    files_deleted,
    /// Directories made.
    directories_created,
    /// Directories deleted.
    directories_deleted,
    /// Symlinks made or made anew.
    symlinks_created,
    /// Entries of which only the attributes were put right.
    attrs_changed,
    /// Source entries left alone although they may differ.
    files_skipped,
    /// Paths that did not arrive, or not with all their attributes, or could not be deleted.
    files_failed,
    /// Bytes of all regular files of the source.
    bytes_total,
    /// Bytes of the files that were asked for, and what more of their content came: of files that have grown since
    /// they were listed, or that were sent again because they changed while they were read.
    bytes_to_transfer,
    /// Entries that the destination does not have yet.
    entries_to_create,
    /// Bytes of content that arrived as literals.
    bytes_transferred,
    /// Bytes of content taken from a verified part of an earlier run, or from holes.
    bytes_reused,
    /// Bytes of packs before compression.
    bytes_packed,
    /// 1 when both walks have ended, so that totals are final.
    walk_done,
    /// Directories whose listing had to travel.
    directories_listed,
    /// Leftovers of dead sessions that were removed.
    leftovers_removed,
    /// Special files made or made anew.
    specials_created,
    /// Hard links made to an entry that has another name.
    hard_links_created,
    /// Symlinks of the source.
    symlinks_source,
    /// Devices of the source.
    devices_source,
    /// FIFOs and sockets of the source.
    specials_source,
    /// Bytes of the targets of all symlinks of the source.
    symlink_bytes,
    /// Regular files that the destination does not have yet, nor another state of the tree.
    files_new,
    /// Symlinks that it does not have yet.
    symlinks_new,
    /// Devices that it does not have yet.
    devices_new,
    /// FIFOs and sockets that it does not have yet.
    specials_new,
    /// Symlinks among the files deleted.
    symlinks_deleted,
    /// Devices among them.
    devices_deleted,
    /// FIFOs and sockets among them.
    specials_deleted,
    /// New files that were taken from others which are deleted.
    files_renamed,
    /// Their bytes.
    bytes_renamed,
    /// Content of changed files that the destination had in another state of them, or in another file.
    bytes_matched,
    /// Content of files that became hard links to those of another tree; like the next it is reused, and not to be
    /// transferred.
    bytes_linked,
    /// Content of files that were copied from another tree at the destination.
    bytes_copied,
    /// Directories made that no other state of the tree (`--link-dest` and its like) has either.
    directories_new,
    /// In a dry run, bytes that the destination has to have free at the least, holes of the source not known.
    bytes_needed,
}

/// Counters of entries by kind, except directories: files, symlinks, devices, FIFOs and sockets.
#[derive(Clone, Copy, Debug)]
pub struct OfKind {
    /// Regular files, where they have a counter of their own.
    pub files: Option<Counter>,
    /// Symlinks.
    pub symlinks: Counter,
    /// Devices.
    pub devices: Counter,
    /// FIFOs and sockets.
    pub specials: Counter,
}

impl OfKind {
    /// Entries of the source.
    pub const SOURCE: Self = Self {
        files: None,
        symlinks: Counter::symlinks_source,
        devices: Counter::devices_source,
        specials: Counter::specials_source,
    };

    /// Entries that the destination does not have yet.
    pub const NEW: Self = Self {
        files: Some(Counter::files_new),
        symlinks: Counter::symlinks_new,
        devices: Counter::devices_new,
        specials: Counter::specials_new,
    };

    /// Entries that are deleted.
    pub const DELETED: Self = Self {
        files: None,
        symlinks: Counter::symlinks_deleted,
        devices: Counter::devices_deleted,
        specials: Counter::specials_deleted,
    };

    /// The counter of entries of a kind, where there is one.
    #[must_use]
    pub const fn counter(self, kind: Kind) -> Option<Counter> {
        match kind {
            Kind::File => self.files,
            Kind::Symlink => Some(self.symlinks),
            Kind::BlockDevice | Kind::CharDevice => Some(self.devices),
            Kind::Fifo | Kind::Socket => Some(self.specials),
            Kind::Directory | Kind::Special => None,
        }
    }
}
