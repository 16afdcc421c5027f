//! What needs no content: directories, symlinks, FIFOs, and the attributes of what is right otherwise.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError};

use rustix::io::Errno;
use sparsync_proto::{Action, Counter, Entry, IssueKind, Kind, Listing, Meta, Phase, Reasons, RelPath};

use super::Receiver;
use crate::engine::attributes::{AttributePolicy, Target, Unset};
use crate::engine::writer::Replacement;
use crate::error::Result;
use crate::fs::{Displaced, Handle, make_directory, make_fifo, make_symlink, put_in_place, remove_temp};
use crate::storage::Access;

impl Receiver<'_> {
    /// Makes a directory that is not there. Says as what its failure was reported, when it could not.
    pub(super) fn make_new_directory(&mut self, path: &RelPath, meta: Meta) -> Result<Option<IssueKind>> {
        let replaces = !self.options.rules.append_only;
        if !replaces && self.is_taken(path) {
            // The listing that it is in has told so.
            return Ok(Some(IssueKind::Scope));
        }
        self.session.count(Counter::directories_created, 1);
        self.item(Action::Create, Kind::Directory, Reasons::MISSING, 0, path.as_bytes())?;
        self.settle_attrs(path, meta, true);
        let (Some(writing), Some((parent, name))) = (self.writing, path.split_last()) else { return Ok(None) };
        if self.options.dry_run {
            return Ok(None);
        }
        self.changed = true;
        self.clock.enter(Phase::make);
        let made = self.parent_of(&parent).and_then(|directory| {
            writing.in_directory(&parent, &directory, |directory| {
                make_directory(directory.as_fd(), name.as_bytes(), meta.mode, replaces, || writing.names.next())
            })
        });
        self.clock.enter(Phase::compare);
        if let Err(error) = made {
            self.fail(path.as_bytes().to_vec(), "cannot make the directory, so nothing below it arrives", error)?;
            return Ok(Some(IssueKind::Write));
        }
        Ok(None)
    }

    /// Whether something else stands where a directory is to be made, or on the way there.
    fn is_taken(&mut self, path: &RelPath) -> bool {
        let Some((parent, name)) = path.split_last() else { return false };
        let found = self.parent_of(&parent).and_then(|directory| crate::fs::status(&*directory, name.as_bytes()));
        found.err() != Some(Errno::NOENT)
    }

    /// The directory at `path`, held open while its neighbours need it too.
    pub(super) fn parent_of(&mut self, path: &RelPath) -> rustix::io::Result<Arc<OwnedFd>> {
        if let Some((held, directory)) = &self.parent
            && held == path
        {
            return Ok(Arc::clone(directory));
        }
        let root = self.destination.root.as_ref().ok_or(Errno::NOENT)?;
        let directory = Arc::new(root.open_directory(path, Access::Reach)?);
        self.parent = Some((path.clone(), Arc::clone(&directory)));
        Ok(directory)
    }

    /// Makes a symlink or a FIFO, which counts as `counter`.
    pub(super) fn make_without_content(
        &mut self,
        path: &RelPath,
        listing: &Listing,
        entry: &Entry,
        old_is_directory: bool,
        counter: Counter,
    ) -> Result<()> {
        let Some(writing) = self.writing else { return Ok(()) };
        self.changed = true;
        let name = listing.name(entry);
        let temp_name = writing.names.next();
        let target = writing.policy.target(entry.kind, &entry.meta);
        self.clock.enter(Phase::make);
        let made = self.parent_of(path).and_then(|directory| {
            let made = writing.in_directory(path, &directory, |directory| match entry.kind {
                Kind::Symlink => make_symlink(directory, &temp_name, listing.target(entry)),
                Kind::Fifo => make_fifo(directory, &temp_name, target.start()),
                Kind::File | Kind::Directory | Kind::Special => Err(Errno::INVAL),
            });
            made.and_then(|()| {
                let unset = set_on(&writing.policy, &target, directory.as_fd(), &temp_name)?;
                if old_is_directory {
                    return Ok(unset);
                }
                match put_in_place(directory.as_fd(), &temp_name, name)? {
                    Displaced::Gone => Ok(unset),
                    Displaced::Directory => {
                        put_in_place(directory.as_fd(), &temp_name, name)?;
                        Err(Errno::ISDIR)
                    }
                }
            })
            .inspect_err(|_| remove_temp(&directory, &temp_name))
        });
        self.clock.enter(Phase::compare);
        match made {
            Ok(unset) if old_is_directory => {
                writing.replacements.lock().unwrap_or_else(PoisonError::into_inner).push(Replacement {
                    directory: path.clone(),
                    temp_name,
                    name: name.to_vec(),
                    counter,
                    unset,
                });
                Ok(())
            }
            Ok(unset) => {
                self.session.count(counter, 1);
                self.failures().attributes(|| path.join_bytes(name), &unset)
            }
            Err(error) => {
                let doing = if entry.kind == Kind::Fifo { "cannot make the FIFO" } else { "cannot make the symlink" };
                self.fail(path.join_bytes(name), doing, error)
            }
        }
    }

    pub(super) fn adjust(&mut self, path: &RelPath, listing: &Listing, index: usize, reasons: Reasons) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let name = listing.name(entry);
        self.session.count(Counter::attrs_changed, 1);
        self.item(Action::Attributes, entry.kind, reasons, 0, &path.join_bytes(name))?;
        if self.options.dry_run {
            return Ok(false);
        }
        self.changed = true;
        self.clock.enter(Phase::attributes);
        let policy = AttributePolicy { rules: self.options.rules };
        let target = policy.adjustment(entry, reasons);
        let adjusted = self.parent_of(path).and_then(|directory| set_on(&policy, &target, directory.as_fd(), name));
        self.clock.enter(Phase::compare);
        let unset = adjusted.unwrap_or_else(|error| Unset::all("openat", error));
        self.failures().attributes(|| path.join_bytes(name), &unset)?;
        Ok(false)
    }
}

/// What an entry counts as that is made from its listing alone; nothing for one that is not.
pub(super) fn counter_without_content(kind: Kind) -> Option<Counter> {
    match kind {
        Kind::Symlink => Some(Counter::symlinks_created),
        Kind::Fifo => Some(Counter::specials_created),
        Kind::File | Kind::Directory | Kind::Special => None,
    }
}

/// Sets the attributes of the entry `name`, which is not opened for it.
fn set_on(
    policy: &AttributePolicy,
    target: &Target,
    directory: BorrowedFd<'_>,
    name: &[u8],
) -> rustix::io::Result<Unset> {
    match target.kind() {
        Kind::Symlink => Ok(policy.set(target, Handle::Symlink(directory, name), None)),
        kind @ (Kind::File | Kind::Directory | Kind::Special | Kind::Fifo) => {
            let (reached, found) = Handle::reach(directory, name, kind)?;
            Ok(policy.set(target, Handle::Reached(reached.as_fd()), Some(found)))
        }
    }
}
