//! What the initiator asks for. It is said once, and nothing said later widens it.
//!
//! Written by scripts/options.mjs from the table in options/; never edited.

use crate::chmod::Chmod;
use crate::field::{AtMost, FileName, message};
use crate::filter::FilterRules;
use crate::limits::{LANES_AUTOMATIC, OPTION_PATH_BYTES_MAX, ROOT_NAME_BYTES_MAX, SOURCE_MARKS_BYTES_MAX};
use crate::options::{
    Changing, Compare, Compression, Direction, Directories, Durability, Lanes, MissingSources, Size, SourcePath,
    Sources, Tristate, Window,
};
use crate::owners::IdMap;
use crate::path::RelPath;
use crate::paths::Paths;
use crate::retention::Snapshot;

/// What a run compares and carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Attributes {
    /// With `xattrs`, extended attributes of every namespace but `system.`, not of `user.` alone: the initiator is
    /// root, and may read and set them.
    pub foreign_xattrs: bool,
    /// Symlinks; when off they are skipped.
    pub links: bool,
    /// Symlinks that lead out of the tree, by their text, are skipped.
    pub safe_links: bool,
    /// Permission bits.
    pub perms: bool,
    /// Modification times.
    pub times: bool,
    /// Groups.
    pub group: bool,
    /// Owners.
    pub owner: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// Hard links: a file with several names in the source becomes one file with these names at the destination.
    pub hard_links: bool,
    /// POSIX ACLs.
    pub acls: bool,
    /// Devices; when off they are skipped.
    pub devices: bool,
    /// FIFOs and sockets; when off they are skipped.
    pub specials: bool,
    /// Whether a file is executable, if permission bits are not preserved.
    pub executability: bool,
    /// No modification times of directories.
    pub omit_dir_times: bool,
    /// No modification times of symlinks.
    pub omit_link_times: bool,
    /// Access times of all but directories.
    pub atimes: bool,
    /// How content is compared.
    pub compare: Compare,
    /// How times are compared.
    pub window: Window,
}

/// What the planner leaves alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Files that are newer at the destination are skipped.
    pub update: bool,
    /// What exists at the destination is skipped, except directories.
    pub ignore_existing: bool,
    /// What does not exist at the destination is not made.
    pub existing: bool,
    /// Regular files of more bytes than this are skipped.
    pub max_size: Option<u64>,
    /// Regular files of fewer bytes than this are skipped.
    pub min_size: Option<u64>,
}

/// What is deleted, and what protects against deleting by accident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Deletion {
    /// Entries that the source does not have are deleted.
    pub delete: bool,
    /// Excluded entries are deleted, too: rules without an end apply only to the sender.
    pub excluded: bool,
    /// Filter files at the destination decide about deletions as they are after the transfer.
    pub after: bool,
    /// A part of the source that could not be read does not prevent other deletions.
    pub ignore_errors: bool,
    /// No more deletions than this.
    pub max: Option<u64>,
    /// The guard against mass deletion is lifted.
    pub allow_mass: bool,
    /// A directory that is not empty may be replaced by a file even without `delete`.
    pub force: bool,
}

/// One sync. The default asks for nothing but the content of files: neither sub-directories nor attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct Request {
    /// The direction in which the tree goes, as the initiator sees it.
    pub direction: Direction,
    /// The acceptor's named root.
    pub root: Vec<u8>,
    /// The tree below that root.
    pub path: RelPath,
    /// The sources of a pull that has several, at most [`SOURCES_MAX`](crate::limits::SOURCES_MAX); `path` is not
    /// looked at then. They are seen as one tree, in which the first source that has a name comes first, and a
    /// directory before everything else.
    pub sources: Vec<SourcePath>,
    /// The name of the source when it is a single file and the initiator is the sender.
    pub file_name: Option<Vec<u8>>,
    /// A single file is put below an existing directory under its own name, as rsync does; otherwise the destination's
    /// path is the file's new name.
    pub into: bool,
    /// One directory above the destination may be made too.
    pub make_parent: bool,
    /// What is left alone.
    pub selection: Selection,
    /// The initiator wants an item for each entry with something to do.
    pub itemize: bool,
    /// The receiver grants all content: its destination is empty or missing (pull only).
    pub grant_all: bool,
    /// An upper bound of what the source can hold in bytes, where the sender knows one: when the destination has more
    /// free space, the run need not be counted before the first write. Without one it is counted.
    pub bytes_bound: Option<u64>,
    /// The same for entries.
    pub entries_bound: Option<u64>,
    /// The need was counted by a dry run before and fits: do not ask again.
    pub space_checked: bool,
    /// The paths below the top that belong to the run, with what is below them when it is recursive; none for
    /// everything. Directories on the way to them belong to it as far as they lead there.
    pub selected: Paths,
    /// Directories whose direct entries belong to the run, in one that is not recursive and carries directories. In one
    /// that is recursive the root says that the top is on the way to what is selected.
    pub listed: Paths,
    /// Each item with something to do has a stamp, and there is one for what a basis has as well.
    pub item_stamps: bool,
    /// the first 16 bytes of the stamps of the plan that is applied, each as a name of 32 hexadecimal digits.
    pub planned: Paths,
    /// Nothing is done but what the plan has, and the run ends where something else would be.
    pub applies_plan: bool,
    /// For a push with `missing_sources`: what the sources that are not there would be below the top.
    pub missing: Paths,
    /// Only what is selected or listed belongs to the run, even where that is nothing.
    pub has_list: bool,
    /// The attributes of directories on the way to what is selected belong to the run too, but for those of the top.
    pub implied_dirs: bool,
    /// A path of the transfer: nothing is done but to tell which rule of the filter decides about it. The top stands
    /// for none, and for a run.
    pub explain: RelPath,
    /// 16 bytes for each directory that is a source of a push that deletes, or that has a source of one that removes
    /// its sources, or is the destination of such a pull: an acceptor on the same machine knows them again and spares
    /// them.
    pub source_marks: Vec<u8>,
    /// Sub-directories too.
    pub recursive: bool,
    /// Without `recursive`: directories themselves, without their content.
    pub dirs: bool,
    /// What symlinks of the source lead to is transferred instead of them.
    pub copy_links: bool,
    /// Directories that symlinks of the source lead to are transferred instead of them.
    pub copy_dir_links: bool,
    /// What symlinks of the source that lead out of the tree, by their text, lead to is transferred instead of them.
    pub copy_unsafe_links: bool,
    /// Symlinks of the destination are taken for the directories that they lead to, where the source has directories.
    pub keep_dir_links: bool,
    /// Symlinks lead nowhere at the initiator: they are written with `/rsyncd-munged/` before their targets, and read
    /// without.
    pub munge_links: bool,
    /// The same at the acceptor, which may do it by itself.
    pub remote_munge_links: bool,
    /// What needs root is stored in extended attributes at the initiator, and read from there.
    pub fake_super: bool,
    /// The same at the acceptor.
    pub remote_fake_super: bool,
    /// The content of the source's devices arrives as files.
    pub copy_devices: bool,
    /// Directories of the source where another file system begins are not gone into.
    pub one_file_system: bool,
    /// With `oneFileSystem`, directories of the source where another file system begins are skipped.
    pub omit_mount_points: bool,
    /// Directories of the source with nothing but directories in them are skipped, unless a rule protects them.
    pub prune_empty_dirs: bool,
    /// Which entries belong to the run: the first rule that matches decides.
    pub filter: FilterRules,
    /// Where no rule of the filter decides, what git ignores is excluded.
    pub gitignore: bool,
    /// Changes of the source's permission bits before they are compared.
    pub chmod: Chmod,
    /// Files are read without a change of their access times, where the system allows it.
    pub open_noatime: bool,
    /// Owners and groups are preserved by number, whatever their names are.
    pub numeric_ids: bool,
    /// Maps owners of the source to owners at the destination: the first rule that matches decides.
    pub user_map: IdMap,
    /// The same for groups.
    pub group_map: IdMap,
    /// Whether the receiver tries what needs the rights of root.
    pub super_user: Option<bool>,
    /// An attribute that the destination's file system cannot hold is a failure of each entry that has one.
    pub strict_attributes: bool,
    /// Where content is compared, digests that earlier runs have made are used for files that are as they were then; a
    /// server has none.
    pub checksum_cache: bool,
    /// Large files that changed are sent whole, without looking for what the destination has of them.
    pub whole_file: Option<bool>,
    /// Existing files are overwritten, not replaced.
    pub inplace: bool,
    /// Devices at the destination in the place of files are written to.
    pub write_devices: bool,
    /// Files that are shorter than at the source get what they lack, in place; others that are there get no content.
    pub append: bool,
    /// A new large file uses one in its directory as the basis, of a similar name, or of its size and time.
    pub fuzzy: bool,
    /// With `fuzzy`, such files are also looked for in the directories to compare with.
    pub fuzzy_dest: bool,
    /// With `deletion.delete`, a file that is new is taken from one that is deleted, where their content is the same.
    pub detect_renames: bool,
    /// Between two folders of one machine content is hashed as well, as over a network.
    pub verify_copies: bool,
    /// What has arrived and is on disk is deleted at the source, except directories.
    pub remove_source_files: bool,
    /// Files get their names when all content has come.
    pub delay_updates: bool,
    /// The tree is made next to the old one, and replaces it in one step.
    pub publish: bool,
    /// With `publish`, the old tree is kept under its name and `.previous`.
    pub keep_previous: bool,
    /// The destination is a series, of which the run makes the next snapshot.
    pub snapshot: Snapshot,
    /// The directory for partial files; a relative one is in the directory of each file.
    pub partial_dir: Vec<u8>,
    /// The directory for files until they are complete.
    pub temp_dir: Vec<u8>,
    /// What is replaced or deleted is kept under another name.
    pub backup: bool,
    /// The directory for backups, which have their paths there.
    pub backup_dir: Vec<u8>,
    /// The suffix of the names of backups.
    pub suffix: Option<Vec<u8>>,
    /// What is the same in one of these directories is not made.
    pub compare_dest: Directories,
    /// What one of these directories has is copied from there.
    pub copy_dest: Directories,
    /// What is the same in one of these directories becomes a hard link to that.
    pub link_dest: Directories,
    /// What one of these directories has as the source has it becomes a file of its own that shares the blocks of that.
    pub reflink_dest: Directories,
    /// What a missing source means.
    pub missing_sources: MissingSources,
    /// Only say what would be done.
    pub dry_run: bool,
    /// All missing directories above the destination are made too.
    pub mkpath: bool,
    /// Blocks of zeros become holes, whatever the source has allocated.
    pub sparse: bool,
    /// The verified part of an unfinished large file is kept for the next run.
    pub partial: bool,
    /// The space of each file is reserved before it is written.
    pub preallocate: bool,
    /// When packs are compressed.
    pub compression: Compression,
    /// Files whose names end with a dot and one of these are not compressed.
    pub skip_compress: Vec<u8>,
    /// What happens to a file that changes each time that it is read.
    pub changing: Changing,
    /// Content is read from a frozen view of each file, where the file system of the source shares blocks.
    pub snapshot_read: bool,
    /// What is on disk at the end.
    pub durability: Durability,
    /// The run ends when neither side worked for this many milliseconds; 0 means never.
    pub timeout_ms: u64,
    /// The most bytes that the sender sends per second; 0 is no limit.
    pub bwlimit: u64,
    /// Lanes that transfer content in parallel.
    pub lanes: u8,
    /// How long to wait for another writer, in milliseconds.
    pub lock_wait_ms: u64,
    /// Each item has the mode, owner, time and target of the entry, and counters count each kind of entry.
    pub item_details: bool,
    /// There is also an item for each unchanged entry.
    pub item_unchanged: bool,
    /// There is also an item for each backup.
    pub item_backups: bool,
    /// There is also an item for each entry that was deleted at the source.
    pub item_removals: bool,
    /// The items of deletions come before all others.
    pub item_deletions_first: bool,
    /// Both ends measure where their time goes, and report it at the end.
    pub profile: bool,
    /// What a run compares and carries.
    pub attributes: Attributes,
    /// What is deleted, and what protects against deleting by accident.
    pub deletion: Deletion,
}

impl Default for Request {
    #[expect(clippy::too_many_lines, reason = "one line for each member")]
    fn default() -> Self {
        Self {
            direction: Direction::default(),
            root: Vec::default(),
            path: RelPath::default(),
            sources: Vec::default(),
            file_name: Option::default(),
            into: false,
            make_parent: false,
            selection: Selection::default(),
            itemize: false,
            grant_all: false,
            bytes_bound: Option::default(),
            entries_bound: Option::default(),
            space_checked: false,
            selected: Paths::default(),
            listed: Paths::default(),
            item_stamps: false,
            planned: Paths::default(),
            applies_plan: false,
            missing: Paths::default(),
            has_list: false,
            implied_dirs: false,
            explain: RelPath::default(),
            source_marks: Vec::default(),
            recursive: false,
            dirs: false,
            copy_links: false,
            copy_dir_links: false,
            copy_unsafe_links: false,
            keep_dir_links: false,
            munge_links: false,
            remote_munge_links: false,
            fake_super: false,
            remote_fake_super: false,
            copy_devices: false,
            one_file_system: false,
            omit_mount_points: false,
            prune_empty_dirs: false,
            filter: FilterRules::default(),
            gitignore: false,
            chmod: Chmod::default(),
            open_noatime: false,
            numeric_ids: false,
            user_map: IdMap::default(),
            group_map: IdMap::default(),
            super_user: Option::default(),
            strict_attributes: false,
            checksum_cache: false,
            whole_file: Option::default(),
            inplace: false,
            write_devices: false,
            append: false,
            fuzzy: false,
            fuzzy_dest: false,
            detect_renames: false,
            verify_copies: false,
            remove_source_files: false,
            delay_updates: false,
            publish: false,
            keep_previous: false,
            snapshot: Snapshot::default(),
            partial_dir: Vec::default(),
            temp_dir: Vec::default(),
            backup: false,
            backup_dir: Vec::default(),
            suffix: Option::default(),
            compare_dest: Directories::default(),
            copy_dest: Directories::default(),
            link_dest: Directories::default(),
            reflink_dest: Directories::default(),
            missing_sources: MissingSources::default(),
            dry_run: false,
            mkpath: false,
            sparse: false,
            partial: false,
            preallocate: false,
            compression: Compression::default(),
            skip_compress: Vec::default(),
            changing: Changing::default(),
            snapshot_read: false,
            durability: Durability::default(),
            timeout_ms: u64::default(),
            bwlimit: u64::default(),
            lanes: 1,
            lock_wait_ms: u64::default(),
            item_details: false,
            item_unchanged: false,
            item_backups: false,
            item_removals: false,
            item_deletions_first: false,
            profile: false,
            attributes: Attributes::default(),
            deletion: Deletion::default(),
        }
    }
}

impl Request {
    /// Whether it asks for the option of this name, which is that of the API or of the command line: a value that no
    /// run has by default, or, of what is on or off, on. None where no option that a request has is called so.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one line for each option")]
    pub fn asks_for(&self, name: &str) -> Option<bool> {
        Some(match name {
            "recursive" => self.recursive,
            "dirs" => self.dirs,
            "links" => self.attributes.links,
            "copyLinks" | "copy-links" => self.copy_links,
            "copyDirLinks" | "copy-dirlinks" => self.copy_dir_links,
            "copyUnsafeLinks" | "copy-unsafe-links" => self.copy_unsafe_links,
            "keepDirLinks" | "keep-dirlinks" => self.keep_dir_links || self.keeps_links_on_the_way(),
            "safeLinks" | "safe-links" => self.attributes.safe_links,
            "mungeLinks" | "munge-links" => self.munge_links,
            "remoteMungeLinks" => self.remote_munge_links,
            "remote-option" => self.remote_munge_links || self.remote_fake_super,
            "perms" => self.attributes.perms,
            "times" => self.attributes.times,
            "group" => self.attributes.group,
            "owner" => self.attributes.owner,
            "xattrs" => self.attributes.xattrs,
            "hardLinks" | "hard-links" => self.attributes.hard_links,
            "fakeSuper" | "fake-super" => self.fake_super,
            "remoteFakeSuper" => self.remote_fake_super,
            "acls" => self.attributes.acls,
            "devices" => self.attributes.devices,
            "copyDevices" | "copy-devices" => self.copy_devices,
            "specials" => self.attributes.specials,
            "oneFileSystem" | "one-file-system" => self.one_file_system,
            "omitMountPoints" | "omit-mount-points" => self.omit_mount_points,
            "pruneEmptyDirs" | "prune-empty-dirs" => self.prune_empty_dirs,
            "filter" => !self.filter.is_empty(),
            "gitignore" => self.gitignore,
            "executability" => self.attributes.executability,
            "chmod" => !self.chmod.is_empty(),
            "omitDirTimes" | "omit-dir-times" => self.attributes.omit_dir_times,
            "omitLinkTimes" | "omit-link-times" => self.attributes.omit_link_times,
            "atimes" => self.attributes.atimes,
            "openNoatime" | "open-noatime" => self.open_noatime,
            "numericIds" | "numeric-ids" => self.numeric_ids,
            "usermap" => !self.user_map.is_empty(),
            "groupmap" => !self.group_map.is_empty(),
            "superUser" | "super" => self.super_user == Some(true),
            "strictAttributes" | "strict-attributes" => self.strict_attributes,
            "compare" => self.attributes.compare != Compare::Quick,
            "checksum" => self.attributes.compare == Compare::Content,
            "size-only" => self.attributes.compare == Compare::Size,
            "ignore-times" => self.attributes.compare == Compare::None,
            "checksumCache" | "checksum-cache" => self.checksum_cache,
            "modifyWindowNs" | "modify-window" => matches!(self.attributes.window, Window::Within(_)),
            "update" => self.selection.update,
            "ignoreExisting" | "ignore-existing" => self.selection.ignore_existing,
            "existing" => self.selection.existing,
            "maxSize" | "max-size" => self.selection.max_size.is_some(),
            "minSize" | "min-size" => self.selection.min_size.is_some(),
            "wholeFile" | "whole-file" => self.whole_file == Some(true),
            "inplace" => self.inplace || self.append,
            "writeDevices" | "write-devices" => self.write_devices,
            "append" => self.append,
            "fuzzy" => self.fuzzy,
            "fuzzyDest" | "fuzzy-dest" => self.fuzzy_dest,
            "detectRenames" | "detect-renames" => self.detect_renames,
            "verifyCopies" | "verify-copies" => self.verify_copies,
            "removeSourceFiles" | "remove-source-files" => self.remove_source_files,
            "delayUpdates" | "delay-updates" => self.delay_updates,
            "publish" => self.publish,
            "keepPrevious" | "keep-previous" => self.keep_previous,
            "snapshot" => self.snapshot.is_asked,
            "partialDir" | "partial-dir" | "partial" => !self.partial_dir.is_empty(),
            "tempDir" | "temp-dir" => !self.temp_dir.is_empty(),
            "backup" => self.backup,
            "backupDir" | "backup-dir" => !self.backup_dir.is_empty(),
            "suffix" => self.suffix.is_some(),
            "compareDest" | "compare-dest" => !self.compare_dest.is_empty(),
            "copyDest" | "copy-dest" => !self.copy_dest.is_empty(),
            "linkDest" | "link-dest" => !self.link_dest.is_empty(),
            "reflinkDest" | "reflink-dest" => !self.reflink_dest.is_empty(),
            "delete" => self.deletion.delete || self.missing_sources == MissingSources::Delete,
            "deleteExcluded" | "delete-excluded" => self.deletion.excluded,
            "deleteAfter" | "delete-after" => self.deletion.after,
            "missingSources" => self.missing_sources != MissingSources::Fail,
            "delete-missing-args" => self.missing_sources == MissingSources::Delete,
            "ignore-missing-args" => self.missing_sources == MissingSources::Ignore,
            "ignoreErrors" | "ignore-errors" => self.deletion.ignore_errors,
            "maxDelete" | "max-delete" => self.deletion.max.is_some(),
            "allowMassDelete" | "allow-mass-delete" => self.deletion.allow_mass,
            "force" => self.deletion.force,
            "dryRun" | "dry-run" => self.dry_run,
            "mkpath" => self.mkpath,
            "sparse" => self.sparse,
            "preallocate" => self.preallocate,
            "compression" | "compress" => self.compression == Compression::Always,
            "skipCompress" | "skip-compress" => !self.skip_compress.is_empty(),
            "changing" => self.changing != Changing::Fail,
            "snapshotRead" | "snapshot-read" => self.snapshot_read,
            "durability" => !matches!(self.durability, Durability::Run | Durability::None),
            "timeoutMs" | "timeout" => self.timeout_ms != 60_000,
            "bwlimit" => self.bwlimit != 0,
            "lanes" => self.lanes != LANES_AUTOMATIC,
            "lockWaitMs" | "lock-wait" => self.lock_wait_ms != 0,
            "itemDetails" => self.item_details,
            "itemUnchanged" => self.item_unchanged,
            "itemBackups" => self.item_backups,
            "itemRemovals" => self.item_removals,
            "itemDeletionsFirst" => self.item_deletions_first,
            "profile" => self.profile,
            _ => return None,
        })
    }
}

/// Every name that [`Request::asks_for`] knows.
#[cfg(test)]
#[rustfmt::skip]
pub(crate) const NAMES: &[&str] = &[
    "recursive",
    "dirs",
    "links",
    "copyLinks", "copy-links",
    "copyDirLinks", "copy-dirlinks",
    "copyUnsafeLinks", "copy-unsafe-links",
    "keepDirLinks", "keep-dirlinks",
    "safeLinks", "safe-links",
    "mungeLinks", "munge-links",
    "remoteMungeLinks",
    "remote-option",
    "perms",
    "times",
    "group",
    "owner",
    "xattrs",
    "hardLinks", "hard-links",
    "fakeSuper", "fake-super",
    "remoteFakeSuper",
    "acls",
    "devices",
    "copyDevices", "copy-devices",
    "specials",
    "oneFileSystem", "one-file-system",
    "omitMountPoints", "omit-mount-points",
    "pruneEmptyDirs", "prune-empty-dirs",
    "filter",
    "gitignore",
    "executability",
    "chmod",
    "omitDirTimes", "omit-dir-times",
    "omitLinkTimes", "omit-link-times",
    "atimes",
    "openNoatime", "open-noatime",
    "numericIds", "numeric-ids",
    "usermap",
    "groupmap",
    "superUser", "super",
    "strictAttributes", "strict-attributes",
    "compare",
    "checksum",
    "size-only",
    "ignore-times",
    "checksumCache", "checksum-cache",
    "modifyWindowNs", "modify-window",
    "update",
    "ignoreExisting", "ignore-existing",
    "existing",
    "maxSize", "max-size",
    "minSize", "min-size",
    "wholeFile", "whole-file",
    "inplace",
    "writeDevices", "write-devices",
    "append",
    "fuzzy",
    "fuzzyDest", "fuzzy-dest",
    "detectRenames", "detect-renames",
    "verifyCopies", "verify-copies",
    "removeSourceFiles", "remove-source-files",
    "delayUpdates", "delay-updates",
    "publish",
    "keepPrevious", "keep-previous",
    "snapshot",
    "partialDir", "partial-dir", "partial",
    "tempDir", "temp-dir",
    "backup",
    "backupDir", "backup-dir",
    "suffix",
    "compareDest", "compare-dest",
    "copyDest", "copy-dest",
    "linkDest", "link-dest",
    "reflinkDest", "reflink-dest",
    "delete",
    "deleteExcluded", "delete-excluded",
    "deleteAfter", "delete-after",
    "missingSources",
    "delete-missing-args",
    "ignore-missing-args",
    "ignoreErrors", "ignore-errors",
    "maxDelete", "max-delete",
    "allowMassDelete", "allow-mass-delete",
    "force",
    "dryRun", "dry-run",
    "mkpath",
    "sparse",
    "preallocate",
    "compression", "compress",
    "skipCompress", "skip-compress",
    "changing",
    "snapshotRead", "snapshot-read",
    "durability",
    "timeoutMs", "timeout",
    "bwlimit",
    "lanes",
    "lockWaitMs", "lock-wait",
    "itemDetails",
    "itemUnchanged",
    "itemBackups",
    "itemRemovals",
    "itemDeletionsFirst",
    "profile",
];

message!(Selection, "option" {
    1 critical update,
    2 critical ignore_existing,
    32 critical max_size: Size,
    33 critical existing,
    34 critical min_size: Size,
});

message!(Request, "request" {
    1 critical direction,
    2 critical root: AtMost<ROOT_NAME_BYTES_MAX>,
    3 critical path,
    4 critical sources: Sources,
    5 critical file_name: FileName,
    6 critical into,
    7 critical make_parent,
    8 critical recursive,
    9 critical attributes.perms,
    10 critical attributes.times,
    11 critical attributes.owner,
    12 critical attributes.group,
    13 critical attributes.links,
    14 critical attributes.xattrs,
    15 critical attributes.compare,
    16 critical attributes.window,
    17 critical selection,
    18 critical deletion.delete,
    19 critical deletion.force,
    20 critical deletion.max,
    21 critical deletion.allow_mass,
    22 critical dry_run,
    23 critical itemize,
    24 critical grant_all,
    25 optional partial,
    26 critical durability,
    27 optional compression,
    28 critical lock_wait_ms,
    29 optional timeout_ms,
    30 critical lanes: Lanes,
    31 optional bytes_bound,
    32 optional entries_bound,
    33 critical space_checked,
    34 critical profile,
    36 critical attributes.specials,
    37 critical selected,
    38 optional source_marks: AtMost<SOURCE_MARKS_BYTES_MAX>,
    39 critical filter,
    40 critical attributes.hard_links,
    44 critical strict_attributes,
    45 critical attributes.executability,
    46 critical attributes.omit_dir_times,
    47 critical attributes.omit_link_times,
    48 critical chmod,
    49 critical numeric_ids,
    50 critical user_map,
    51 critical group_map,
    52 critical attributes.atimes,
    53 critical open_noatime,
    54 critical super_user: Tristate,
    56 critical attributes.devices,
    57 critical attributes.acls,
    58 critical attributes.foreign_xattrs,
    59 critical fake_super,
    60 critical remote_fake_super,
    70 critical explain,
    71 critical gitignore,
    72 critical deletion.excluded,
    80 critical listed,
    81 critical dirs,
    82 critical implied_dirs,
    83 critical mkpath,
    84 critical one_file_system,
    85 critical copy_links,
    86 critical copy_dir_links,
    87 critical copy_unsafe_links,
    88 critical attributes.safe_links,
    89 critical keep_dir_links,
    90 critical munge_links,
    91 critical remote_munge_links,
    95 critical prune_empty_dirs,
    96 critical sparse,
    97 critical omit_mount_points,
    105 critical deletion.after,
    106 critical deletion.ignore_errors,
    107 critical missing_sources,
    108 critical missing,
    109 critical backup,
    110 critical backup_dir: AtMost<OPTION_PATH_BYTES_MAX>,
    111 critical suffix: FileName,
    112 critical compare_dest,
    113 critical copy_dest,
    114 critical link_dest,
    115 critical delay_updates,
    116 critical temp_dir: AtMost<OPTION_PATH_BYTES_MAX>,
    117 critical bwlimit,
    118 critical remove_source_files,
    119 critical inplace,
    120 critical append,
    121 critical partial_dir: AtMost<OPTION_PATH_BYTES_MAX>,
    122 critical whole_file: Tristate,
    130 critical item_details,
    131 critical item_unchanged,
    160 critical verify_copies,
    161 critical fuzzy,
    162 critical fuzzy_dest,
    163 critical publish,
    164 critical keep_previous,
    165 critical preallocate,
    166 critical skip_compress: AtMost<OPTION_PATH_BYTES_MAX>,
    170 critical changing,
    176 critical snapshot,
    177 critical item_backups,
    185 critical item_stamps,
    186 critical planned,
    187 critical applies_plan,
    192 critical detect_renames,
    193 optional checksum_cache,
    194 critical snapshot_read,
    210 critical reflink_dest,
    211 critical write_devices,
    212 critical copy_devices,
    213 optional item_deletions_first,
    220 optional item_removals,
    221 critical has_list,
});
