//! The options of a run as JavaScript has them.
//!
//! Written by scripts/options.mjs from the table in options/; never edited.

use napi_derive::napi;
use sparsync_core::proto::Request;
use sparsync_core::{Error, ErrorKind, Result};

use crate::options::{NativeRule, chmod, directories, id_map, lanes, suffix, whole, window};
use crate::snapshots::NativeSnapshot;
use crate::words::{NativeChanging, NativeCompare, NativeCompression, NativeDurability, NativeMissingSources};

/// The options of a run that are not merely on or off, by their places: Node-API is called once for an element, and three times for
/// a property by its name.
#[napi(array, object_to_js = false, use_nullable = true)]
pub struct NativeTransfer(
    /// `filter`: Which entries belong to the run: the first rule that matches decides.
    pub Vec<NativeRule>,
    /// `chmod`: Changes of the source's permission bits before they are compared.
    pub Option<String>,
    /// `usermap`: Maps owners of the source to owners at the destination: the first rule that matches decides.
    pub Option<String>,
    /// `groupmap`: The same for groups.
    pub Option<String>,
    /// `superUser`: Whether the receiver tries what needs the rights of root.
    pub Option<bool>,
    /// `compare`: How content is compared.
    pub NativeCompare,
    /// `modifyWindowNs`: How times are compared.
    pub f64,
    /// `maxSize`: Regular files of more bytes than this are skipped.
    pub Option<f64>,
    /// `minSize`: Regular files of fewer bytes than this are skipped.
    pub Option<f64>,
    /// `wholeFile`: Large files that changed are sent whole, without looking for what the destination has of them.
    pub Option<bool>,
    /// `snapshot`: The destination is a series, of which the run makes the next snapshot.
    pub Option<NativeSnapshot>,
    /// `partialDir`: The directory for partial files; a relative one is in the directory of each file.
    pub Option<napi::bindgen_prelude::Uint8Array>,
    /// `tempDir`: The directory for files until they are complete.
    pub Option<napi::bindgen_prelude::Uint8Array>,
    /// `backupDir`: The directory for backups, which have their paths there.
    pub Option<napi::bindgen_prelude::Uint8Array>,
    /// `suffix`: The suffix of the names of backups.
    pub Option<String>,
    /// `compareDest`: What is the same in one of these directories is not made.
    pub Option<Vec<napi::bindgen_prelude::Uint8Array>>,
    /// `copyDest`: What one of these directories has is copied from there.
    pub Option<Vec<napi::bindgen_prelude::Uint8Array>>,
    /// `linkDest`: What is the same in one of these directories becomes a hard link to that.
    pub Option<Vec<napi::bindgen_prelude::Uint8Array>>,
    /// `reflinkDest`: What one of these directories has as the source has it becomes a file of its own that shares the blocks of that.
    pub Option<Vec<napi::bindgen_prelude::Uint8Array>>,
    /// `missingSources`: What a missing source means.
    pub NativeMissingSources,
    /// `maxDelete`: No more deletions than this.
    pub Option<f64>,
    /// `allowMassDelete`: The guard against mass deletion is lifted.
    pub bool,
    /// `compression`: When packs are compressed.
    pub NativeCompression,
    /// `skipCompress`: Files whose names end with a dot and one of these are not compressed.
    pub Option<String>,
    /// `changing`: What happens to a file that changes each time that it is read.
    pub NativeChanging,
    /// `durability`: What is on disk at the end.
    pub NativeDurability,
    /// `timeoutMs`: The run ends when neither side worked for this many milliseconds; 0 means never.
    pub f64,
    /// `bwlimit`: The most bytes that the sender sends per second; 0 is no limit.
    pub f64,
    /// `lanes`: Lanes that transfer content in parallel.
    pub u32,
    /// `lockWaitMs`: How long to wait for another writer, in milliseconds.
    pub f64,
    /// `profile`: Both ends measure where their time goes, and report it at the end.
    pub bool,
);

impl NativeTransfer {
    /// Sets what a request says of them.
    pub(crate) fn set(self, request: &mut Request) -> Result<()> {
        request.chmod = chmod(self.1.as_deref())?;
        request.user_map = id_map("usermap", self.2.as_deref())?;
        request.group_map = id_map("groupmap", self.3.as_deref())?;
        request.super_user = self.4;
        request.attributes.compare = self.5.into();
        request.attributes.window = window(self.6);
        request.selection.max_size = self.7.map(whole);
        request.selection.min_size = self.8.map(whole);
        request.whole_file = self.9;
        request.snapshot = self.10.map(NativeSnapshot::load).unwrap_or_default();
        request.partial_dir = self.11.map(|path| path.to_vec()).unwrap_or_default();
        request.temp_dir = self.12.map(|path| path.to_vec()).unwrap_or_default();
        request.backup_dir = self.13.map(|path| path.to_vec()).unwrap_or_default();
        request.suffix = suffix(self.14)?;
        request.compare_dest = directories(self.15.as_deref().unwrap_or_default())?;
        request.copy_dest = directories(self.16.as_deref().unwrap_or_default())?;
        request.link_dest = directories(self.17.as_deref().unwrap_or_default())?;
        request.reflink_dest = directories(self.18.as_deref().unwrap_or_default())?;
        request.missing_sources = self.19.into();
        request.deletion.max = self.20.map(whole);
        request.deletion.allow_mass = self.21;
        request.compression = self.22.into();
        request.skip_compress = self.23.clone().unwrap_or_default().into_bytes();
        request.changing = self.24.into();
        request.durability = self.25.into();
        request.timeout_ms = whole(self.26);
        request.bwlimit = whole(self.27);
        request.lanes = lanes(self.28)?;
        request.lock_wait_ms = whole(self.29);
        request.profile = self.30;
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
