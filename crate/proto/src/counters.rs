//! The counters that a receiver reports: one name on the wire, in the API, in the command line and in the documents.

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
}
