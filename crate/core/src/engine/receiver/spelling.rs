//! Names that the destination's file system takes for those of the source. Where it does not tell letters by their
//! case, `Readme` is the entry that the source has as `README`, and not one that only the destination has.

use std::collections::{HashMap, HashSet};

use sparsync_proto::Listing;

use super::Receiver;
use crate::error::Result;
use crate::storage::{Access, Directory, Scan, Status, WriteStorage};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Takes entries of a directory by the names that the source has for them.
    pub(super) fn take_spellings(&self, old: &mut Scan, listing: &Listing) -> Result<()> {
        let extra: Vec<&[u8]> = old.listing.names_beyond(listing).collect();
        let candidates = candidates(&extra, listing.names_beyond(&old.listing));
        let Some(root) = self.destination.root.as_ref().filter(|_| !candidates.is_empty()) else { return Ok(()) };
        let Ok(directory) = self.within(&old.path, || root.open(&old.path, Access::Reach)) else { return Ok(()) };
        let spelled = spellings(&directory, &extra, &candidates);
        if spelled.is_empty() {
            return Ok(());
        }
        let names = old.listing.entries().iter().map(|entry| old.listing.name(entry));
        let names: Vec<&[u8]> = names.map(|name| spelled.get(name).copied().unwrap_or(name)).collect();
        old.listing = self.look_at_names(&old.path, &names)?.listing;
        Ok(())
    }
}

/// The names that only the source has and that may be another spelling of one that only the destination has: those that
/// differ by the case of ASCII alone, and those of other letters where both have some.
pub(super) fn candidates<'a>(extra: &[&[u8]], missing: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    if extra.is_empty() {
        return Vec::new();
    }
    let lower: HashSet<Vec<u8>> = extra.iter().map(|name| name.to_ascii_lowercase()).collect();
    let are_ascii = extra.iter().all(|name| name.is_ascii());
    let may_be_here = |name: &&[u8]| lower.contains(&name.to_ascii_lowercase()) || !(are_ascii || name.is_ascii());
    missing.filter(may_be_here).collect()
}

/// Which names that only the destination has are another spelling of which candidates: the file system is asked.
pub(super) fn spellings<'a>(
    directory: &impl Directory,
    extra: &[&'a [u8]],
    candidates: &[&'a [u8]],
) -> HashMap<&'a [u8], &'a [u8]> {
    let mut spelled = HashMap::new();
    let found = candidates.iter().filter_map(|there| Some((*there, directory.status(there).ok()?)));
    let found: Vec<(&[u8], Status)> = found.collect();
    if found.is_empty() {
        return spelled;
    }
    let mut here: HashMap<(u64, u64), Vec<&'a [u8]>> = HashMap::new();
    for name in extra {
        if let Ok(status) = directory.status(name) {
            here.entry((status.device, status.stamp.ino)).or_default().push(name);
        }
    }
    for (there, status) in found {
        let Some(names) = here.get(&(status.device, status.stamp.ino)) else { continue };
        // Of several hard links it is the one that differs by the case alone.
        let alike = names.iter().find(|name| name.eq_ignore_ascii_case(there));
        if let Some(name) = alike.or_else(|| names.first()) {
            spelled.insert(*name, there);
        }
    }
    spelled
}
