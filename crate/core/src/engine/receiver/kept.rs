//! What earlier runs left: parts of large files to go on from, and unfinished files of the dead to remove.

use std::time::{Duration, SystemTime};

use sparsync_proto::{Counter, Entry, Kind, Meta, RelPath};

use super::Receiver;
use crate::engine::writer::PARTIAL_BYTES_MIN;
use crate::storage::{
    Access, Directory, File, Hold, PartialId, Removal, Scan, Status, TempName, WriteDirectory, WriteStorage,
    hash_prefix, remove_tree,
};

/// How old a partial file may become: after a day the source has mostly changed, or nobody runs this sync any more.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl<S: WriteStorage> Receiver<'_, S> {
    /// The part of a large file that an earlier run kept, with its length and digest.
    pub(super) fn held_part(
        &self,
        path: &RelPath,
        old: &Scan,
        name: &[u8],
        entry: &Entry,
    ) -> Option<(PartialId, u64, [u8; 32])> {
        if self.options.hold != Hold::Exclusive || entry.size < PARTIAL_BYTES_MIN {
            return None;
        }
        let writing = self.writing?;
        let id = writing.part_of(path, name, entry.size, entry.meta.mtime);
        let directory = match &writing.partials {
            Some(partials) => partials.find(path).ok()?,
            None if old.leftovers.iter().any(|(_, temp)| *temp == TempName::Partial(id)) => {
                self.destination.root.as_ref()?.open(path, Access::Reach).ok()?
            }
            None => return None,
        };
        let kept = directory.reopen_file(&id.file_name()).ok()?;
        let found = kept.status().ok()?;
        let seconds = found.meta.mtime.seconds;
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?);
        let is_fresh = SystemTime::now().duration_since(written).is_ok_and(|age| age < PARTIAL_AGE_MAX);
        let bytes = found.size;
        if !is_fresh || bytes == 0 || bytes > entry.size {
            return None;
        }
        let hashed = self.session.long_work(|| hash_prefix(&kept, bytes));
        let digest = *hashed.ok()??.finalize().as_bytes();
        Some((id, bytes, digest))
    }

    /// The bytes that a file holds which is appended to, and their digest.
    pub(super) fn held_in_place(&self, path: &RelPath, name: &[u8], bytes: u64) -> Option<(u64, [u8; 32])> {
        if self.options.dry_run || bytes == 0 {
            return None;
        }
        let directory = self.destination.root.as_ref()?.open(path, Access::Reach).ok()?;
        let file = directory.open_file(name).ok()?;
        let hashed = self.session.long_work(|| hash_prefix(&file, bytes));
        Some((bytes, *hashed.ok()??.finalize().as_bytes()))
    }

    /// Removes unfinished files of sessions that are dead, and partial files that no run will resume. No other session
    /// is alive below a directory that this run has locked; without locks the age of a file decides.
    pub(super) fn sweep(&mut self, old: &Scan, kept: impl Fn(&PartialId) -> bool, meta: Meta) {
        let (false, Some(root)) = (old.leftovers.is_empty() || self.options.dry_run, &self.destination.root) else {
            return;
        };
        let is_nobodys = self.options.hold == Hold::Exclusive && root.is_unclaimed(&old.path);
        let dead: Vec<&Vec<u8>> = old
            .leftovers
            .iter()
            .filter(|(_, temp)| match temp {
                TempName::Session(id) => *id != self.options.session_id,
                TempName::Partial(id) => !kept(id),
            })
            // A directory of that name is a whole tree, which the next run with `--publish` puts in its place.
            .filter(|(name, temp)| {
                let is_part = matches!(temp, TempName::Partial(_));
                if is_nobodys && !is_part {
                    return true;
                }
                let found = root.open(&old.path, Access::Reach).and_then(|directory| directory.status(name));
                match found {
                    Ok(found) => (is_nobodys && found.kind != Kind::Directory) || is_old(&found),
                    Err(_) => is_nobodys,
                }
            })
            .map(|(name, _)| name)
            .collect();
        if dead.is_empty() {
            return;
        }
        self.changed = true;
        for name in dead {
            match RelPath::new(&old.path.join_bytes(name)) {
                // A directory may have been left over from an exchange.
                Ok(path) => {
                    let _ = remove_tree(root, &path, &mut Removal { widened: self.widened(), ..Removal::default() });
                }
                Err(_) => continue,
            }
            self.session.count(Counter::leftovers_removed, 1);
        }
        self.settle_attrs(&old.path, meta, false);
    }
}

/// Whether an unfinished file was not changed for longer than a partial file is kept.
fn is_old(found: &Status) -> bool {
    // Its own time is the source's once it is complete.
    let changed = found.stamp.ctime;
    let Ok(changed) = u64::try_from(changed.seconds) else { return false };
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
    SystemTime::now().duration_since(changed).is_ok_and(|age| age >= PARTIAL_AGE_MAX)
}
