//! Decides a second time what is deleted, by the files of rules that the run has transferred.

use std::collections::HashMap;

use sparsync_proto::{At, InForce, Kind, Name, RelPath};

use super::spelling::{candidates, spellings};
use super::{Extra, Receiver};
use crate::error::{Error, Result};
use crate::storage::{CallError, Directory, Errno, TempName, WriteStorage, entries};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Decides again which entries are deleted, if that was put off until files of rules have arrived.
    pub(super) fn decide_again(&mut self) -> Result<()> {
        let (Some(all), Some(root)) = (self.source_names.take(), &self.destination.root) else { return Ok(()) };
        let judge = &self.options.judge;
        let mut rules: HashMap<RelPath, InForce> = HashMap::new();
        let mut extras = Vec::new();
        for (path, listing) in all {
            let (directory, names) = match self.within(&path, || entries(root, &path, &path)) {
                Ok(found) => found,
                // A directory that was not made, or gave way to something else, has been told already.
                Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => continue,
                Err(error) => {
                    return Err(Error::io("cannot look at the destination", path.as_bytes(), error.into()));
                }
            };
            let above = path.split_last().and_then(|(parent, _)| rules.get(&parent)).unwrap_or(judge.above());
            let mut issues = Vec::new();
            let in_force =
                judge.enter(&directory, &path, above, &mut issues).map_err(|error| Error::bad_rules(&error))?;
            for issue in issues {
                self.failures.tell(issue)?;
            }
            let is_foreign = self.options.one_file_system
                && directory.status(b"").map_or(true, |found| self.is_foreign(found.device));
            let at = At::new(&path, &in_force);
            let is_here = |name: &[u8]| names.binary_search_by(|(here, _)| here.as_slice().cmp(name)).is_ok();
            let is_only_here = |name: &[u8]| listing.find(name).is_none() && TempName::parse(name).is_none();
            let extra = names.iter().filter(|(name, _)| !is_foreign && is_only_here(name));
            let missing = listing.entries().iter().map(|entry| listing.name(entry)).filter(|name| !is_here(name));
            let here: Vec<&[u8]> = extra.clone().map(|(name, _)| name.as_slice()).collect();
            let spelled = spellings(&directory, &here, &candidates(&here, missing));
            extras.extend(extra.filter_map(|(name, kind)| {
                let name = Name::new(name).ok().filter(|name| self.goes(&at, *name, *kind))?;
                let is_directory = *kind == Kind::Directory;
                let is_extra = !spelled.contains_key(name.as_bytes());
                is_extra.then(|| Extra { path: path.join(name), is_directory, in_force: in_force.clone() })
            }));
            drop(at);
            rules.insert(path, in_force);
        }
        // The guard must count the entries, too, that the comparison did not see.
        self.guard.extra((extras.len() as u64).saturating_sub(self.extras.len() as u64));
        self.extras = extras;
        Ok(())
    }
}
