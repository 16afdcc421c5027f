//! The options of a run as JavaScript has them.
//!
//! Written by scripts/options.mjs from the table in options/; never edited.

use napi_derive::napi;
use sparsync_core::Result;
use sparsync_core::proto::Request;

use crate::options::{NativeRule, chmod, directories, id_map, lanes, rules, suffix, whole, window};
use crate::snapshots::NativeSnapshot;
use crate::words::{NativeChanging, NativeCompare, NativeCompression, NativeDurability, NativeMissingSources};

/// The options of a run.
#[napi(object, object_to_js = false)]
#[expect(clippy::struct_excessive_bools, reason = "options of a run, each set apart from the others")]
pub struct NativeTransfer {
    /// Sub-directories too.
    pub recursive: bool,
    /// Directories themselves where `recursive` is off: made, and not gone into.
    pub dirs: bool,
    /// Symlinks; when off they are treated as what is never carried.
    pub links: bool,
    /// Symlinks of the source are taken for what they lead to.
    pub copy_links: bool,
    /// Symlinks of the source that lead to directories are taken for those.
    pub copy_dir_links: bool,
    /// Symlinks of the source that lead out of the tree, by their text, are taken for what they lead to.
    pub copy_unsafe_links: bool,
    /// Symlinks of the destination are taken for the directories that they lead to, where the source has directories.
    pub keep_dir_links: bool,
    /// Symlinks that lead out of the tree, by their text, are left alone.
    pub safe_links: bool,
    /// Symlinks lead nowhere at the initiator: they are written with `/rsyncd-munged/` before their targets, and read
    /// without.
    pub munge_links: bool,
    /// The same at the acceptor, which may do it by itself.
    pub remote_munge_links: bool,
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
    /// Hard links: what has several names in the source becomes one entry with as many at the destination.
    pub hard_links: bool,
    /// What takes root is stored as extended attributes at the initiator, and read from there.
    pub fake_super: bool,
    /// The same at the acceptor.
    pub remote_fake_super: bool,
    /// POSIX ACLs.
    pub acls: bool,
    /// Devices; when off they are treated as what is never carried.
    pub devices: bool,
    /// Devices of the source arrive as files of what they hold.
    pub copy_devices: bool,
    /// FIFOs and sockets; when off they are treated as what is never carried.
    pub specials: bool,
    /// Directories of the source where another file system begins are not gone into.
    pub one_file_system: bool,
    /// With `oneFileSystem`, directories of the source where another file system begins are left out.
    pub omit_mount_points: bool,
    /// Directories of the source that hold nothing but directories are left out, unless a rule protects them.
    pub prune_empty_dirs: bool,
    /// Which entries belong to the run: the first rule that matches decides.
    pub filter: Vec<NativeRule>,
    /// What no rule of the filter decides, files of git do: what they ignore is left out.
    pub gitignore: bool,
    /// Whether anybody may execute a file, where permission bits are not carried.
    pub executability: bool,
    /// Changes of the permission bits that the source has, made before anything is compared.
    pub chmod: Option<String>,
    /// No modification times of directories.
    pub omit_dir_times: bool,
    /// No modification times of symlinks.
    pub omit_link_times: bool,
    /// Access times of all but directories.
    pub atimes: bool,
    /// Files are read without a change of their access times, where the system allows it.
    pub open_noatime: bool,
    /// Owners and groups are carried by their numbers, whatever they are called.
    pub numeric_ids: bool,
    /// Who owns at the destination what somebody owns at the source: the first rule that matches decides.
    pub usermap: Option<String>,
    /// The same for groups.
    pub groupmap: Option<String>,
    /// Whether the receiver tries what takes the rights of root.
    pub super_user: Option<bool>,
    /// An attribute that the destination's file system cannot hold is a failure of each entry that has one.
    pub strict_attributes: bool,
    /// How content is compared.
    pub compare: NativeCompare,
    /// Where content is compared, digests that earlier runs have made are used for files that are as they were then; a
    /// server has none.
    pub checksum_cache: bool,
    /// How times are compared.
    pub modify_window_ns: f64,
    /// Newer files at the destination stay.
    pub update: bool,
    /// What the destination has stays as it is, but for directories.
    pub ignore_existing: bool,
    /// What the destination does not have is not made.
    pub existing: bool,
    /// Regular files of more bytes than this are left alone.
    pub max_size: Option<f64>,
    /// Regular files of fewer bytes than this are left alone.
    pub min_size: Option<f64>,
    /// Large files that changed are sent whole, and not as what the destination lacks.
    pub whole_file: Option<bool>,
    /// Files that are there are written over, and not replaced.
    pub inplace: bool,
    /// Devices of the destination that have the place of files are written to, and stay.
    pub write_devices: bool,
    /// Files that are shorter than at the source get what they lack, in place; others that are there get no content.
    pub append: bool,
    /// A large file that is new is made of one of a similar name, or of its size and time, in its directory.
    pub fuzzy: bool,
    /// With `fuzzy`, such files are looked for in the directories to compare with, too.
    pub fuzzy_dest: bool,
    /// With `deletion.delete`, a file that is new is taken from one that is deleted, where their content is the same.
    pub detect_renames: bool,
    /// Between two folders of one machine content is hashed too, as it is over a network.
    pub verify_copies: bool,
    /// What has arrived, and is on disk, is removed at the source, but for directories.
    pub remove_source_files: bool,
    /// Files get their names when all content has come.
    pub delay_updates: bool,
    /// The tree is made beside the one that stands there, and takes its place in one step.
    pub publish: bool,
    /// With `publish`, the tree that was there is kept under its name with `.previous` behind it.
    pub keep_previous: bool,
    /// The destination is a series, of which the run makes the next snapshot.
    pub snapshot: NativeSnapshot,
    /// The directory in which parts of files are kept, in that of each file when it is relative.
    pub partial_dir: napi::bindgen_prelude::Uint8Array,
    /// The directory in which files are until they are complete.
    pub temp_dir: napi::bindgen_prelude::Uint8Array,
    /// What is replaced or deleted is kept under another name.
    pub backup: bool,
    /// The directory in which that is kept, under its path.
    pub backup_dir: napi::bindgen_prelude::Uint8Array,
    /// What its name has at the end.
    pub suffix: Option<String>,
    /// What one of these directories has as the source has it is not made.
    pub compare_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What one of these directories has is copied from there.
    pub copy_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What one of these directories has as the source has it becomes a hard link to that.
    pub link_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What one of these directories has as the source has it becomes a file of its own that shares the blocks of that.
    pub reflink_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// Entries that the source does not have are deleted.
    pub delete: bool,
    /// What rules leave out is deleted too: rules for no end in particular are for the sender alone.
    pub delete_excluded: bool,
    /// Files of rules at the destination decide about deletions as they are after the transfer.
    pub delete_after: bool,
    /// What a source that is not there is.
    pub missing_sources: NativeMissingSources,
    /// What could not be read of the source keeps nothing else from being deleted.
    pub ignore_errors: bool,
    /// No more deletions than this.
    pub max_delete: Option<f64>,
    /// The guard against mass deletion is lifted.
    pub allow_mass_delete: bool,
    /// A directory that is not empty gives way to a file even without `delete`.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// All missing directories above the destination are made too.
    pub mkpath: bool,
    /// Blocks of zeros become holes, whatever the source has allocated.
    pub sparse: bool,
    /// Verified parts of large files are kept for the next run.
    pub partial: bool,
    /// The room of each file is reserved before it is written.
    pub preallocate: bool,
    /// When packs are compressed.
    pub compression: NativeCompression,
    /// Files whose names end with a dot and one of these are not compressed.
    pub skip_compress: Option<String>,
    /// What becomes of a file that changes each time it is read.
    pub changing: NativeChanging,
    /// Content is read from a frozen view of each file, where the file system of the source shares blocks.
    pub snapshot_read: bool,
    /// What is on disk at the end.
    pub durability: NativeDurability,
    /// The run ends when neither side worked for so long, in milliseconds; 0 is never.
    pub timeout_ms: f64,
    /// The most that the sender sends in a second; 0 is no limit.
    pub bwlimit: f64,
    /// Lanes that carry content side by side.
    pub lanes: u32,
    /// How long to wait for another writer, in milliseconds.
    pub lock_wait_ms: f64,
    /// Each item tells mode, owner, time and target of the entry, and counters tell of each kind of entry.
    pub item_details: bool,
    /// There is an item for what is as it should be as well.
    pub item_unchanged: bool,
    /// There is an item for each backup as well.
    pub item_backups: bool,
    /// There is an item for each entry that was removed at the source as well.
    pub item_removals: bool,
    /// The items of what is deleted come before all others.
    pub item_deletions_first: bool,
    /// Both ends measure where their time goes, and tell at the end.
    pub profile: bool,
}

impl NativeTransfer {
    /// Sets what a request says of them.
    #[expect(clippy::too_many_lines, reason = "one line for each option")]
    pub(crate) fn set(self, request: &mut Request) -> Result<()> {
        request.recursive = self.recursive;
        request.dirs = self.dirs;
        request.attributes.links = self.links;
        request.copy_links = self.copy_links;
        request.copy_dir_links = self.copy_dir_links;
        request.copy_unsafe_links = self.copy_unsafe_links;
        request.keep_dir_links = self.keep_dir_links;
        request.attributes.safe_links = self.safe_links;
        request.munge_links = self.munge_links;
        request.remote_munge_links = self.remote_munge_links;
        request.attributes.perms = self.perms;
        request.attributes.times = self.times;
        request.attributes.group = self.group;
        request.attributes.owner = self.owner;
        request.attributes.xattrs = self.xattrs;
        request.attributes.hard_links = self.hard_links;
        request.fake_super = self.fake_super;
        request.remote_fake_super = self.remote_fake_super;
        request.attributes.acls = self.acls;
        request.attributes.devices = self.devices;
        request.copy_devices = self.copy_devices;
        request.attributes.specials = self.specials;
        request.one_file_system = self.one_file_system;
        request.omit_mount_points = self.omit_mount_points;
        request.prune_empty_dirs = self.prune_empty_dirs;
        request.filter = rules(&self.filter)?;
        request.gitignore = self.gitignore;
        request.attributes.executability = self.executability;
        request.chmod = chmod(self.chmod.as_deref())?;
        request.attributes.omit_dir_times = self.omit_dir_times;
        request.attributes.omit_link_times = self.omit_link_times;
        request.attributes.atimes = self.atimes;
        request.open_noatime = self.open_noatime;
        request.numeric_ids = self.numeric_ids;
        request.user_map = id_map("usermap", self.usermap.as_deref())?;
        request.group_map = id_map("groupmap", self.groupmap.as_deref())?;
        request.super_user = self.super_user;
        request.strict_attributes = self.strict_attributes;
        request.attributes.compare = self.compare.into();
        request.checksum_cache = self.checksum_cache;
        request.attributes.window = window(self.modify_window_ns);
        request.selection.update = self.update;
        request.selection.ignore_existing = self.ignore_existing;
        request.selection.existing = self.existing;
        request.selection.max_size = self.max_size.map(whole);
        request.selection.min_size = self.min_size.map(whole);
        request.whole_file = self.whole_file;
        request.inplace = self.inplace;
        request.write_devices = self.write_devices;
        request.append = self.append;
        request.fuzzy = self.fuzzy;
        request.fuzzy_dest = self.fuzzy_dest;
        request.detect_renames = self.detect_renames;
        request.verify_copies = self.verify_copies;
        request.remove_source_files = self.remove_source_files;
        request.delay_updates = self.delay_updates;
        request.publish = self.publish;
        request.keep_previous = self.keep_previous;
        request.snapshot = self.snapshot.load();
        request.partial_dir = self.partial_dir.to_vec();
        request.temp_dir = self.temp_dir.to_vec();
        request.backup = self.backup;
        request.backup_dir = self.backup_dir.to_vec();
        request.suffix = suffix(self.suffix)?;
        request.compare_dest = directories(&self.compare_dest)?;
        request.copy_dest = directories(&self.copy_dest)?;
        request.link_dest = directories(&self.link_dest)?;
        request.reflink_dest = directories(&self.reflink_dest)?;
        request.deletion.delete = self.delete;
        request.deletion.excluded = self.delete_excluded;
        request.deletion.after = self.delete_after;
        request.missing_sources = self.missing_sources.into();
        request.deletion.ignore_errors = self.ignore_errors;
        request.deletion.max = self.max_delete.map(whole);
        request.deletion.allow_mass = self.allow_mass_delete;
        request.deletion.force = self.force;
        request.dry_run = self.dry_run;
        request.mkpath = self.mkpath;
        request.sparse = self.sparse;
        request.partial = self.partial;
        request.preallocate = self.preallocate;
        request.compression = self.compression.into();
        request.skip_compress = self.skip_compress.clone().unwrap_or_default().into_bytes();
        request.changing = self.changing.into();
        request.snapshot_read = self.snapshot_read;
        request.durability = self.durability.into();
        request.timeout_ms = whole(self.timeout_ms);
        request.bwlimit = whole(self.bwlimit);
        request.lanes = lanes(self.lanes)?;
        request.lock_wait_ms = whole(self.lock_wait_ms);
        request.item_details = self.item_details;
        request.item_unchanged = self.item_unchanged;
        request.item_backups = self.item_backups;
        request.item_removals = self.item_removals;
        request.item_deletions_first = self.item_deletions_first;
        request.profile = self.profile;
        Ok(())
    }
}
