//! The options of a run as JavaScript has them.
//!
//! Written by scripts/options.mjs from the table in options/; never edited.

use napi_derive::napi;
use sparsync_core::proto::Request;
use sparsync_core::{Error, ErrorKind, Result};

use crate::options::{NativeRule, chmod, directories, id_map, lanes, suffix, whole, window};
use crate::snapshots::NativeSnapshot;
use crate::words::{NativeChanging, NativeCompare, NativeCompression, NativeDurability, NativeMissingSources};

/// The options of a run that are not merely on or off.
#[napi(object, object_to_js = false)]
pub struct NativeTransfer {
    /// Which entries belong to the run: the first rule that matches decides.
    pub filter: Vec<NativeRule>,
    /// Changes of the source's permission bits before they are compared.
    pub chmod: Option<String>,
    /// Maps owners of the source to owners at the destination: the first rule that matches decides.
    pub usermap: Option<String>,
    /// The same for groups.
    pub groupmap: Option<String>,
    /// Whether the receiver tries what needs the rights of root.
    pub super_user: Option<bool>,
    /// How content is compared.
    pub compare: NativeCompare,
    /// How times are compared.
    pub modify_window_ns: f64,
    /// Regular files of more bytes than this are skipped.
    pub max_size: Option<f64>,
    /// Regular files of fewer bytes than this are skipped.
    pub min_size: Option<f64>,
    /// Large files that changed are sent whole, without looking for what the destination has of them.
    pub whole_file: Option<bool>,
    /// The destination is a series, of which the run makes the next snapshot.
    pub snapshot: NativeSnapshot,
    /// The directory for partial files; a relative one is in the directory of each file.
    pub partial_dir: napi::bindgen_prelude::Uint8Array,
    /// The directory for files until they are complete.
    pub temp_dir: napi::bindgen_prelude::Uint8Array,
    /// The directory for backups, which have their paths there.
    pub backup_dir: napi::bindgen_prelude::Uint8Array,
    /// The suffix of the names of backups.
    pub suffix: Option<String>,
    /// What is the same in one of these directories is not made.
    pub compare_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What one of these directories has is copied from there.
    pub copy_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What is the same in one of these directories becomes a hard link to that.
    pub link_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What one of these directories has as the source has it becomes a file of its own that shares the blocks of that.
    pub reflink_dest: Vec<napi::bindgen_prelude::Uint8Array>,
    /// What a missing source means.
    pub missing_sources: NativeMissingSources,
    /// No more deletions than this.
    pub max_delete: Option<f64>,
    /// The guard against mass deletion is lifted.
    pub allow_mass_delete: bool,
    /// When packs are compressed.
    pub compression: NativeCompression,
    /// Files whose names end with a dot and one of these are not compressed.
    pub skip_compress: Option<String>,
    /// What happens to a file that changes each time that it is read.
    pub changing: NativeChanging,
    /// What is on disk at the end.
    pub durability: NativeDurability,
    /// The run ends when neither side worked for this many milliseconds; 0 means never.
    pub timeout_ms: f64,
    /// The most bytes that the sender sends per second; 0 is no limit.
    pub bwlimit: f64,
    /// Lanes that transfer content in parallel.
    pub lanes: u32,
    /// How long to wait for another writer, in milliseconds.
    pub lock_wait_ms: f64,
    /// Both ends measure where their time goes, and report it at the end.
    pub profile: bool,
}

impl NativeTransfer {
    /// Sets what a request says of them.
    pub(crate) fn set(self, request: &mut Request) -> Result<()> {
        request.chmod = chmod(self.chmod.as_deref())?;
        request.user_map = id_map("usermap", self.usermap.as_deref())?;
        request.group_map = id_map("groupmap", self.groupmap.as_deref())?;
        request.super_user = self.super_user;
        request.attributes.compare = self.compare.into();
        request.attributes.window = window(self.modify_window_ns);
        request.selection.max_size = self.max_size.map(whole);
        request.selection.min_size = self.min_size.map(whole);
        request.whole_file = self.whole_file;
        request.snapshot = self.snapshot.load();
        request.partial_dir = self.partial_dir.to_vec();
        request.temp_dir = self.temp_dir.to_vec();
        request.backup_dir = self.backup_dir.to_vec();
        request.suffix = suffix(self.suffix)?;
        request.compare_dest = directories(&self.compare_dest)?;
        request.copy_dest = directories(&self.copy_dest)?;
        request.link_dest = directories(&self.link_dest)?;
        request.reflink_dest = directories(&self.reflink_dest)?;
        request.missing_sources = self.missing_sources.into();
        request.deletion.max = self.max_delete.map(whole);
        request.deletion.allow_mass = self.allow_mass_delete;
        request.compression = self.compression.into();
        request.skip_compress = self.skip_compress.clone().unwrap_or_default().into_bytes();
        request.changing = self.changing.into();
        request.durability = self.durability.into();
        request.timeout_ms = whole(self.timeout_ms);
        request.bwlimit = whole(self.bwlimit);
        request.lanes = lanes(self.lanes)?;
        request.lock_wait_ms = whole(self.lock_wait_ms);
        request.profile = self.profile;
        Ok(())
    }
}

/// Switches an option on, which is off in a request that was just made. Such options come by their names: to look for each of them
/// among the properties of an object would take longer than all else that JavaScript does for a run.
#[expect(clippy::too_many_lines, reason = "one line for each option")]
pub(crate) fn switch_on(request: &mut Request, name: &str) -> Result<()> {
    let switch = match name {
        "recursive" => &mut request.recursive,
        "dirs" => &mut request.dirs,
        "links" => &mut request.attributes.links,
        "copyLinks" => &mut request.copy_links,
        "copyDirLinks" => &mut request.copy_dir_links,
        "copyUnsafeLinks" => &mut request.copy_unsafe_links,
        "keepDirLinks" => &mut request.keep_dir_links,
        "safeLinks" => &mut request.attributes.safe_links,
        "mungeLinks" => &mut request.munge_links,
        "remoteMungeLinks" => &mut request.remote_munge_links,
        "perms" => &mut request.attributes.perms,
        "times" => &mut request.attributes.times,
        "group" => &mut request.attributes.group,
        "owner" => &mut request.attributes.owner,
        "xattrs" => &mut request.attributes.xattrs,
        "hardLinks" => &mut request.attributes.hard_links,
        "fakeSuper" => &mut request.fake_super,
        "remoteFakeSuper" => &mut request.remote_fake_super,
        "acls" => &mut request.attributes.acls,
        "devices" => &mut request.attributes.devices,
        "copyDevices" => &mut request.copy_devices,
        "specials" => &mut request.attributes.specials,
        "oneFileSystem" => &mut request.one_file_system,
        "omitMountPoints" => &mut request.omit_mount_points,
        "pruneEmptyDirs" => &mut request.prune_empty_dirs,
        "gitignore" => &mut request.gitignore,
        "executability" => &mut request.attributes.executability,
        "omitDirTimes" => &mut request.attributes.omit_dir_times,
        "omitLinkTimes" => &mut request.attributes.omit_link_times,
        "atimes" => &mut request.attributes.atimes,
        "openNoatime" => &mut request.open_noatime,
        "numericIds" => &mut request.numeric_ids,
        "strictAttributes" => &mut request.strict_attributes,
        "checksumCache" => &mut request.checksum_cache,
        "update" => &mut request.selection.update,
        "ignoreExisting" => &mut request.selection.ignore_existing,
        "existing" => &mut request.selection.existing,
        "inplace" => &mut request.inplace,
        "writeDevices" => &mut request.write_devices,
        "append" => &mut request.append,
        "fuzzy" => &mut request.fuzzy,
        "fuzzyDest" => &mut request.fuzzy_dest,
        "detectRenames" => &mut request.detect_renames,
        "verifyCopies" => &mut request.verify_copies,
        "removeSourceFiles" => &mut request.remove_source_files,
        "delayUpdates" => &mut request.delay_updates,
        "publish" => &mut request.publish,
        "keepPrevious" => &mut request.keep_previous,
        "backup" => &mut request.backup,
        "delete" => &mut request.deletion.delete,
        "deleteExcluded" => &mut request.deletion.excluded,
        "deleteAfter" => &mut request.deletion.after,
        "ignoreErrors" => &mut request.deletion.ignore_errors,
        "force" => &mut request.deletion.force,
        "dryRun" => &mut request.dry_run,
        "mkpath" => &mut request.mkpath,
        "sparse" => &mut request.sparse,
        "partial" => &mut request.partial,
        "preallocate" => &mut request.preallocate,
        "snapshotRead" => &mut request.snapshot_read,
        "itemDetails" => &mut request.item_details,
        "itemUnchanged" => &mut request.item_unchanged,
        "itemBackups" => &mut request.item_backups,
        "itemRemovals" => &mut request.item_removals,
        "itemDeletionsFirst" => &mut request.item_deletions_first,
        _ => return Err(Error::new(ErrorKind::Config, format!("no option is called {name:?}"))),
    };
    *switch = true;
    Ok(())
}
