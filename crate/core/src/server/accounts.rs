//! Counts what keys with a quota have stored, once for all runs of a key that are under way.

use std::sync::Arc;

use sparsync_proto::{RelPath, Request};

use super::roots::path_of;
use super::session::Answer;
use crate::engine::{Account, Held, Quota, held, held_at};
use crate::error::Result;
use crate::fs::{Root, below};
use crate::prepare::Prepared;

/// The part of a key's tree that a run writes to.
struct Part<'a> {
    top: Root,
    /// The one name that it writes there.
    name: Option<&'a [u8]>,
}

impl Part<'_> {
    fn held(&self, mut goes_on: impl FnMut() -> Result<()>) -> Result<Held> {
        let Some(name) = self.name else { return held(&self.top, Some(&RelPath::root()), goes_on) };
        Ok(Held { own: held_at(&self.top, &RelPath::root(), name, &mut goes_on)?, ..Held::default() })
    }
}

impl Answer<'_> {
    /// The room that the key has left, when it has a quota. Its account counts everything below its prefixes, in every
    /// root.
    pub(super) fn quota(&self, request: &Request, prepared: &Prepared) -> Result<Option<Quota>> {
        let scope = &self.client.scope;
        let limits = (scope.quota_bytes, scope.quota_entries);
        if request.dry_run || limits == (None, None) {
            return Ok(None);
        }
        let part = self.part(prepared)?;
        let goes_on = || {
            self.session.worked(1);
            self.session.check()
        };
        let account = self.shared.registry.accounts.get(self.client.key(), Account::default);
        let everything = || {
            let goes_on = || {
                account.goes_on();
                goes_on()
            };
            let mut all = Held::default();
            let own = path_of(&part.top)?;
            for (top, path) in self.tops()? {
                let own = below(&own, &path).and_then(|own| RelPath::new(own).ok());
                all = all + held(&top, own.filter(|_| part.name.is_none()).as_ref(), goes_on)?;
            }
            Ok(if part.name.is_some() { Held { own: part.held(goes_on)?.own, ..all } } else { all })
        };
        Quota::begin(Arc::clone(&account), &scope.name, limits, everything, || part.held(goes_on), self.session)
            .map(Some)
    }

    /// Settles the account after a run, whether it succeeded or not: what it has left counts for other runs of the key.
    pub(super) fn settle(&self, request: &Request, prepared: &Prepared, quota: &Quota) {
        if self.shared.registry.accounts.ends(self.client.key(), quota.account()) {
            return;
        }
        let now = self.part(prepared).and_then(|part| part.held(|| Ok(())));
        // If the tree cannot be counted, the run counts as having made everything that it was about to make.
        if let Ok(now) = now {
            quota.settle(now, request.backup || request.keep_previous || request.partial_dir.starts_with(b"/"));
        }
    }

    fn part<'b>(&self, prepared: &'b Prepared) -> Result<Part<'b>> {
        let top = self.open_destination(prepared)?;
        Ok(Part { top, name: prepared.destination.file_name.as_deref() })
    }

    /// All directories that the key's prefixes cover, none of them within another one.
    fn tops(&self) -> Result<Vec<(Root, Vec<u8>)>> {
        let roots = &self.client.scope.roots;
        let named = roots.iter().map(|(root, prefix)| (root.as_str(), prefix.join(&b'/')));
        let every = self.shared.roots.names().map(|root| (root, Vec::new()));
        let all: Vec<_> = if roots.is_empty() { every.collect() } else { named.collect() };
        let mut tops = Vec::new();
        for (root, prefix) in all {
            let (Some(open), Ok(prefix)) = (self.shared.roots.get(root), RelPath::new(&prefix)) else { continue };
            // A prefix that does not exist yet holds nothing.
            let Ok(top) = open.root.descend(&prefix) else { continue };
            let path = path_of(&top)?;
            tops.push((top, path));
        }
        tops.sort_by(|(_, a), (_, b)| a.cmp(b));
        let mut apart: Vec<(Root, Vec<u8>)> = Vec::new();
        for (top, path) in tops {
            // In the order of names, a name that continues with a byte below `/` comes between a directory and its
            // entries.
            if !apart.iter().any(|(_, above)| below(&path, above).is_some()) {
                apart.push((top, path));
            }
        }
        Ok(apart)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    use super::Part;
    use crate::fs::Root;

    #[test]
    fn a_tree_may_be_deeper_than_a_stack() {
        let top = tempfile::tempdir().unwrap();
        let mut at = openat(CWD, top.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..800 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = openat(&at, "d", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let part = Part { top: Root::open(top.path().as_os_str().as_bytes()).unwrap(), name: Some(b"d") };
        assert_eq!(part.held(|| Ok(())).unwrap().own.entries, 800);
    }
}
