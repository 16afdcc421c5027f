//! The options of a request by their names.

use crate::request::Request;

/// Whether a request has an option of this name, as the API or the command calls it.
#[must_use]
pub fn is_option(name: &str) -> bool {
    Request::default().asks_for(name).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::is_option;
    use crate::chmod::Chmod;
    use crate::filter::{FilterRules, Rule};
    use crate::limits::LANES_AUTOMATIC;
    use crate::options::{Changing, Compare, Compression, Directories, Durability, MissingSources, Window};
    use crate::owners::IdMap;
    use crate::path::RelPath;
    use crate::paths::Paths;
    use crate::request::{Attributes, NAMES, Request};
    use crate::retention::Snapshot;

    /// A request as the API makes it without any option, and one of the command.
    fn plain() -> [Request; 2] {
        let both = Request { partial: true, timeout_ms: 60_000, lanes: LANES_AUTOMATIC, ..Request::default() };
        let attributes =
            Attributes { links: true, perms: true, times: true, devices: true, specials: true, ..both.attributes };
        let api = Request { attributes, recursive: true, durability: Durability::Run, ..both.clone() };
        let attributes = Attributes { window: Window::Seconds, ..both.attributes };
        [api, Request { attributes, ..both }]
    }

    fn paths() -> Directories {
        Directories::new(&[b"x"]).expect("a path")
    }

    /// A path with a directory on the way to it.
    fn deep() -> Paths {
        RelPath::new(b"a/b").ok().and_then(|path| Paths::new(vec![path])).expect("a path")
    }

    /// How an option is asked for.
    type Ask = fn(&mut Request);

    /// Options by the names that a request has then asked for, and by those of options that it has not, although they
    /// are of the same field.
    #[expect(clippy::too_many_lines, reason = "one line for each option")]
    #[rustfmt::skip]
    fn asked() -> Vec<(&'static [&'static str], Ask, &'static [&'static str])> {
        vec![
            (&["recursive"], |r| r.recursive = true, &[]),
            (&["dirs"], |r| r.dirs = true, &["recursive"]),
            (&["links"], |r| r.attributes.links = true, &[]),
            (&["copyLinks", "copy-links"], |r| r.copy_links = true, &["links"]),
            (&["copyDirLinks", "copy-dirlinks"], |r| r.copy_dir_links = true, &["dirs"]),
            (&["copyUnsafeLinks", "copy-unsafe-links"], |r| r.copy_unsafe_links = true, &[]),
            (&["keepDirLinks", "keep-dirlinks"], |r| r.keep_dir_links = true, &[]),
            (&["keepDirLinks", "keep-dirlinks"], |r| r.selected = deep(), &[]),
            (&["safeLinks", "safe-links"], |r| r.attributes.safe_links = true, &[]),
            (&["mungeLinks", "munge-links"], |r| r.munge_links = true, &["remote-option"]),
            (&["remoteMungeLinks", "remote-option"], |r| r.remote_munge_links = true, &["munge-links"]),
            (&["perms"], |r| r.attributes.perms = true, &[]),
            (&["times"], |r| r.attributes.times = true, &[]),
            (&["group"], |r| r.attributes.group = true, &["owner"]),
            (&["owner"], |r| r.attributes.owner = true, &["group"]),
            (&["xattrs"], |r| r.attributes.xattrs = true, &[]),
            (&["hardLinks", "hard-links"], |r| r.attributes.hard_links = true, &[]),
            (&["fakeSuper", "fake-super"], |r| r.fake_super = true, &["remote-option", "super"]),
            (&["remoteFakeSuper", "remote-option"], |r| r.remote_fake_super = true, &["fake-super"]),
            (&["acls"], |r| r.attributes.acls = true, &["perms"]),
            (&["devices"], |r| r.attributes.devices = true, &[]),
            (&["copyDevices", "copy-devices"], |r| r.copy_devices = true, &["devices"]),
            (&["specials"], |r| r.attributes.specials = true, &["devices"]),
            (&["oneFileSystem", "one-file-system"], |r| r.one_file_system = true, &["omit-mount-points"]),
            (&["omitMountPoints", "omit-mount-points"], |r| r.omit_mount_points = true, &[]),
            (&["pruneEmptyDirs", "prune-empty-dirs"], |r| r.prune_empty_dirs = true, &[]),
            (&["filter"], |r| r.filter = FilterRules::new(&[Rule::new(false, b"x".to_vec())]).expect("a rule"), &["gitignore"]),
            (&["gitignore"], |r| r.gitignore = true, &["filter"]),
            (&["executability"], |r| r.attributes.executability = true, &["perms"]),
            (&["chmod"], |r| r.chmod = Chmod::parse("u+x", || 0).expect("a change"), &["perms"]),
            (&["omitDirTimes", "omit-dir-times"], |r| r.attributes.omit_dir_times = true, &["times"]),
            (&["omitLinkTimes", "omit-link-times"], |r| r.attributes.omit_link_times = true, &["times"]),
            (&["atimes"], |r| r.attributes.atimes = true, &["times"]),
            (&["openNoatime", "open-noatime"], |r| r.open_noatime = true, &["atimes"]),
            (&["numericIds", "numeric-ids"], |r| r.numeric_ids = true, &["owner"]),
            (&["usermap"], |r| r.user_map = IdMap::parse("*:0").expect("a map"), &["groupmap", "owner"]),
            (&["groupmap"], |r| r.group_map = IdMap::parse("*:0").expect("a map"), &["usermap", "group"]),
            (&["superUser", "super"], |r| r.super_user = Some(true), &["fake-super"]),
            (&["strictAttributes", "strict-attributes"], |r| r.strict_attributes = true, &[]),
            (&["compare", "checksum"], |r| r.attributes.compare = Compare::Content, &["size-only", "ignore-times"]),
            (&["compare", "size-only"], |r| r.attributes.compare = Compare::Size, &["checksum", "ignore-times"]),
            (&["compare", "ignore-times"], |r| r.attributes.compare = Compare::None, &["checksum", "size-only"]),
            (&["checksumCache", "checksum-cache"], |r| r.checksum_cache = true, &["checksum"]),
            (&["modifyWindowNs", "modify-window"], |r| r.attributes.window = Window::Within(1), &["times"]),
            (&["update"], |r| r.selection.update = true, &["existing"]),
            (&["ignoreExisting", "ignore-existing"], |r| r.selection.ignore_existing = true, &["existing"]),
            (&["existing"], |r| r.selection.existing = true, &["ignore-existing"]),
            (&["maxSize", "max-size"], |r| r.selection.max_size = Some(0), &["min-size"]),
            (&["minSize", "min-size"], |r| r.selection.min_size = Some(1), &["max-size"]),
            (&["wholeFile", "whole-file"], |r| r.whole_file = Some(true), &[]),
            (&["inplace"], |r| r.inplace = true, &["append"]),
            (&["writeDevices", "write-devices"], |r| r.write_devices = true, &["devices"]),
            (&["append", "inplace"], |r| r.append = true, &[]),
            (&["fuzzy"], |r| r.fuzzy = true, &["fuzzy-dest"]),
            (&["fuzzyDest", "fuzzy-dest"], |r| r.fuzzy_dest = true, &["fuzzy"]),
            (&["detectRenames", "detect-renames"], |r| r.detect_renames = true, &[]),
            (&["verifyCopies", "verify-copies"], |r| r.verify_copies = true, &["checksum"]),
            (&["removeSourceFiles", "remove-source-files"], |r| r.remove_source_files = true, &["delete"]),
            (&["delayUpdates", "delay-updates"], |r| r.delay_updates = true, &[]),
            (&["publish"], |r| r.publish = true, &["keep-previous"]),
            (&["keepPrevious", "keep-previous"], |r| r.keep_previous = true, &["publish"]),
            (&["snapshot"], |r| r.snapshot = Snapshot { is_asked: true, ..Snapshot::default() }, &["snapshot-read"]),
            (&["partialDir", "partial-dir", "partial"], |r| r.partial_dir = b"x".to_vec(), &["temp-dir"]),
            (&["tempDir", "temp-dir"], |r| r.temp_dir = b"x".to_vec(), &["partial-dir"]),
            (&["backup"], |r| r.backup = true, &["backup-dir", "suffix"]),
            (&["backupDir", "backup-dir"], |r| r.backup_dir = b"x".to_vec(), &["backup"]),
            (&["suffix"], |r| r.suffix = Some(Vec::new()), &["backup"]),
            (&["compareDest", "compare-dest"], |r| r.compare_dest = paths(), &["copy-dest", "link-dest"]),
            (&["copyDest", "copy-dest"], |r| r.copy_dest = paths(), &["compare-dest"]),
            (&["linkDest", "link-dest"], |r| r.link_dest = paths(), &["reflink-dest"]),
            (&["reflinkDest", "reflink-dest"], |r| r.reflink_dest = paths(), &["link-dest"]),
            (&["delete"], |r| r.deletion.delete = true, &["delete-after", "delete-excluded", "delete-missing-args"]),
            (&["deleteExcluded", "delete-excluded"], |r| r.deletion.excluded = true, &["delete"]),
            (&["deleteAfter", "delete-after"], |r| r.deletion.after = true, &["delete"]),
            (&["missingSources", "delete-missing-args", "delete"],
                |r| r.missing_sources = MissingSources::Delete, &["ignore-missing-args"]),
            (&["missingSources", "ignore-missing-args"],
                |r| r.missing_sources = MissingSources::Ignore, &["delete-missing-args"]),
            (&["ignoreErrors", "ignore-errors"], |r| r.deletion.ignore_errors = true, &[]),
            (&["maxDelete", "max-delete"], |r| r.deletion.max = Some(0), &["delete"]),
            (&["allowMassDelete", "allow-mass-delete"], |r| r.deletion.allow_mass = true, &["delete"]),
            (&["force"], |r| r.deletion.force = true, &["delete"]),
            (&["dryRun", "dry-run"], |r| r.dry_run = true, &[]),
            (&["mkpath"], |r| r.mkpath = true, &[]),
            (&["sparse"], |r| r.sparse = true, &[]),
            (&["preallocate"], |r| r.preallocate = true, &[]),
            (&["compression", "compress"], |r| r.compression = Compression::Always, &["skip-compress"]),
            (&["skipCompress", "skip-compress"], |r| r.skip_compress = b"gz".to_vec(), &["compress"]),
            (&["changing"], |r| r.changing = Changing::Prefix, &[]),
            (&["snapshotRead", "snapshot-read"], |r| r.snapshot_read = true, &["snapshot"]),
            (&["durability"], |r| r.durability = Durability::File, &[]),
            (&["timeoutMs", "timeout"], |r| r.timeout_ms = 0, &[]),
            (&["bwlimit"], |r| r.bwlimit = 1, &[]),
            (&["lanes"], |r| r.lanes = 1, &[]),
            (&["lockWaitMs", "lock-wait"], |r| r.lock_wait_ms = 1, &[]),
            (&["itemDetails"], |r| r.item_details = true, &["itemUnchanged"]),
            (&["itemUnchanged"], |r| r.item_unchanged = true, &["itemDetails"]),
            (&["itemBackups"], |r| r.item_backups = true, &["backup"]),
            (&["itemRemovals"], |r| r.item_removals = true, &["remove-source-files"]),
            (&["itemDeletionsFirst"], |r| r.item_deletions_first = true, &["delete"]),
            (&["profile"], |r| r.profile = true, &[]),
        ]
    }

    fn names_of(request: &Request) -> BTreeSet<&'static str> {
        NAMES.iter().copied().filter(|name| request.asks_for(name) == Some(true)).collect()
    }

    #[test]
    fn without_options_the_api_asks_for_kinds_and_attributes_and_the_command_for_nothing() {
        let [api, command] = plain();
        let kinds = ["devices", "links", "perms", "recursive", "specials", "times"];
        assert_eq!(names_of(&api), BTreeSet::from(kinds));
        assert_eq!(names_of(&command), BTreeSet::new());
    }

    #[test]
    fn a_request_asks_for_what_it_has_by_each_name_of_that_and_for_no_other() {
        let [_, command] = plain();
        let mut known = BTreeSet::new();
        for (names, ask, siblings) in asked() {
            let mut request = command.clone();
            ask(&mut request);
            assert_eq!(names_of(&request), names.iter().copied().collect(), "{names:?}");
            assert!(siblings.iter().all(|name| request.asks_for(name) == Some(false)), "{names:?} {siblings:?}");
            known.extend(names);
        }
        assert_eq!(known, NAMES.iter().copied().collect());
    }

    #[test]
    fn what_takes_an_option_back_does_not_ask_for_it() {
        let [_, command] = plain();
        let request = Request {
            whole_file: Some(false),
            super_user: Some(false),
            compression: Compression::Never,
            durability: Durability::Run,
            partial: false,
            ..command
        };
        assert_eq!(names_of(&request), BTreeSet::new());
    }

    #[test]
    fn what_no_request_has_is_no_option() {
        assert!(NAMES.iter().all(|name| is_option(name)));
        for name in ["", "none", "deleet", "chown", "relative", "files-from", "cvs-exclude", "archive", "ignoreMissing"]
        {
            assert!(!is_option(name), "{name}");
        }
    }
}
