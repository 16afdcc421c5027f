//! Names that the destination's file system takes for those of the source. Where it does not tell letters by their
//! case, `Readme` is the entry that the source has as `README`, and not one that only the destination has.

use std::collections::HashSet;

use sparsync_proto::Listing;

use super::Receiver;
use super::links::is_one;
use crate::error::Result;
use crate::storage::{Access, Directory, Scan, Storage as _, WriteStorage};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Takes entries of a directory by the names that the source has for them.
    pub(super) fn take_spellings(&self, old: &mut Scan, listing: &Listing) -> Result<()> {
        let names = || old.listing.entries().iter().map(|entry| old.listing.name(entry));
        let extra: Vec<&[u8]> = names().filter(|name| listing.find(name).is_none()).collect();
        let Some(root) = self.destination.root.as_ref().filter(|_| !extra.is_empty()) else { return Ok(()) };
        let missing = listing.entries().iter().map(|entry| listing.name(entry));
        let missing = missing.filter(|name| old.listing.find(name).is_none());
        let opened = self
            .widened()
            .map_or_else(|| root.open(&old.path, Access::Reach), |widened| widened.open(&old.path, Access::Reach));
        let Ok(directory) = opened else { return Ok(()) };
        let spelled = spellings(&directory, &extra, missing);
        if spelled.is_empty() {
            return Ok(());
        }
        let as_there = |name| spelled.iter().find(|(here, _)| *here == name).map_or(name, |(_, there)| *there);
        let names: Vec<&[u8]> = names().map(as_there).collect();
        old.listing = self.look_at_names(&old.path, &names)?.listing;
        Ok(())
    }
}

/// Which names that only the destination has are another spelling of which ones that only the source has. The file
/// system is asked, where the two may be one by any rule.
pub(super) fn spellings<'a>(
    directory: &impl Directory,
    extra: &[&'a [u8]],
    missing: impl Iterator<Item = &'a [u8]>,
) -> Vec<(&'a [u8], &'a [u8])> {
    let lower: HashSet<Vec<u8>> = extra.iter().map(|name| name.to_ascii_lowercase()).collect();
    let are_ascii = extra.iter().all(|name| name.is_ascii());
    let may_be_here =
        |name: &&[u8]| !are_ascii || !name.is_ascii() || lower.contains(name.to_ascii_lowercase().as_slice());
    let spelled = missing.filter(may_be_here).filter_map(|there| {
        let found = directory.status(there).ok()?;
        let is_it = |here: &&&[u8]| directory.status(here).is_ok_and(|status| is_one(&status, &found));
        // Of several hard links it is the one that differs by the case alone.
        let (alike, others): (Vec<&&[u8]>, Vec<&&[u8]>) =
            extra.iter().partition(|here| here.eq_ignore_ascii_case(there));
        alike.into_iter().chain(others).find(is_it).map(|here| (*here, there))
    });
    spelled.collect()
}
