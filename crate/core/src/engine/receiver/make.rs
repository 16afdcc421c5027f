//! What needs no content: directories, symlinks, FIFOs, sockets, devices, and the attributes of what is right
//! otherwise.

use std::sync::Arc;

use sparsync_proto::{
    Action, Counter, Durability, Entry, IssueKind, Kind, Listing, Meta, Phase, Reasons, RelPath, Xattrs,
};

use super::Receiver;
use super::basis::BasisDirectories;
use crate::engine::attributes::{AttributePolicy, Target};
use crate::engine::placement::{Committed, Delayed, Placement, Unplaced};
use crate::engine::unset::Unset;
use crate::error::Result;
use crate::storage::{
    self, Access, CallError, Directory, Errno, Storage, WriteDirectory, WriteStorage, copy_entry, make_directory,
    open_to_adjust,
};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Makes a directory that is missing. Gives the kind of issue that was told if that failed.
    pub(super) fn make_new_directory(
        &mut self,
        path: &RelPath,
        (meta, xattrs): (Meta, &Xattrs),
        bases: Option<&BasisDirectories>,
    ) -> Result<Option<IssueKind>> {
        if path.is_root() && !self.has_attributes_of(path) {
            self.tell_top()?;
            return Ok(None);
        }
        let replaces = !self.options.rules.append_only;
        if !replaces && self.is_taken(path) {
            // The listing that it is in has told so.
            return Ok(Some(IssueKind::Scope));
        }
        self.session.count(Counter::directories_created, 1);
        match self.basis_of_directory(bases, (&meta, xattrs)) {
            None => {
                self.session.count(Counter::directories_new, 1);
                self.item_of_directory(Action::Create, path, meta, Reasons::MISSING)?;
            }
            Some(reasons) if reasons.is_empty() && !self.options.tells_copies() => {}
            Some(reasons) => self.item_of_directory(Action::Copy, path, meta, reasons)?,
        }
        self.settle_attrs(path, meta, true);
        let (Some(writing), Some((parent, name))) = (self.writing, path.split_last()) else { return Ok(None) };
        if self.options.dry_run {
            return Ok(None);
        }
        // A directory that is only on the way to others has no mode from the source, and is made like any new one.
        let bits = if self.has_attributes_of(path) { meta.mode } else { 0o777 };
        self.changed = true;
        self.clock.enter(Phase::make);
        let made = self.parent_of(&parent).and_then(|directory| {
            writing.in_directory(&parent, &directory, |directory| {
                self.keep_file(&parent, directory, name.as_bytes())?;
                make_directory(&**directory, name.as_bytes(), bits, replaces, || writing.names.next())
            })
        });
        self.clock.enter(Phase::compare);
        if let Err(error) = made {
            self.fail(path.as_bytes().to_vec(), "cannot make the directory, so nothing below it arrives", error)?;
            return Ok(Some(IssueKind::Write));
        }
        Ok(None)
    }

    /// Keeps a backup of the entry in whose place a directory is made.
    fn keep_file(&self, parent: &RelPath, directory: &S::Directory, name: &[u8]) -> storage::Result<()> {
        let Some(backups) = self.backups().filter(|_| !self.options.rules.append_only) else { return Ok(()) };
        match directory.status(name) {
            Ok(found) if found.kind != Kind::Directory => backups.take(parent, directory, name).map(drop),
            Ok(_) | Err(CallError { errno: Errno::NOENT, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory's extended attributes and ACLs those of the source, as soon as it is there: work in it changes
    /// none of them later, and the mode is set again at the end.
    pub(super) fn set_directory_xattrs(&mut self, path: &RelPath, (meta, xattrs): (&Meta, &Xattrs), is_new: bool) {
        let policy = self.options.policy();
        let target = policy.directory_xattrs(meta, xattrs, is_new);
        let Some(root) =
            self.destination.root.as_ref().filter(|_| !self.options.dry_run && self.has_attributes_of(path))
        else {
            return;
        };
        self.changed = true;
        let unset = match open_to_adjust(root, path) {
            Ok(held) => policy.set(&target, &held.handle(), None),
            Err(error) => Unset::all(error),
        };
        if !unset.is_empty() {
            self.unset.insert(path.clone(), unset);
        }
    }

    /// Whether something else stands where a directory is to be made, or on the way there.
    fn is_taken(&mut self, path: &RelPath) -> bool {
        let Some((parent, name)) = path.split_last() else { return false };
        let found = self.parent_of(&parent).and_then(|directory| directory.status(name.as_bytes()));
        found.err().map(|error| error.errno) != Some(Errno::NOENT)
    }

    /// Whether the entry at a path, which could not be made or changed, is still there as it was.
    pub(super) fn stands(&self, path: &[u8]) -> bool {
        let (Some(root), Ok(path)) = (self.destination.root.as_ref(), RelPath::new(path)) else { return false };
        let Some((parent, name)) = path.split_last() else { return true };
        let found = root.open(&parent, Access::Reach).and_then(|directory| directory.status(name.as_bytes()));
        !matches!(found, Err(CallError { errno: Errno::NOENT | Errno::NOTDIR, .. }))
    }

    /// The directory at `path`, held open for its neighbours, which need it too.
    pub(super) fn parent_of(&mut self, path: &RelPath) -> storage::Result<Arc<S::Directory>> {
        held(&mut self.parent, self.destination.root.as_ref(), path)
    }

    /// Makes a symlink, a FIFO, a socket or a device, which counts as `counter`.
    pub(super) fn make_without_content(
        &mut self,
        path: &RelPath,
        (listing, index): (&Listing, usize),
        entry: &Entry,
        old_is_directory: bool,
        counter: Counter,
    ) -> Result<()> {
        let Some(writing) = self.writing else { return Ok(()) };
        self.changed = true;
        let name = listing.name(entry);
        let target = writing.policy.new_target(entry, listing.xattrs(index)).with_atime(listing.atime(index));
        self.clock.enter(Phase::make);
        let made = self.parent_of(path).and_then(|directory| {
            let placement = Placement::over(old_is_directory);
            let unplaced = writing.in_directory(path, &directory, |directory| {
                Unplaced::make(placement, directory, writing.names.next(), |temp_name| match entry.kind {
                    Kind::Symlink => directory.make_symlink(temp_name, listing.target(entry)),
                    kind => {
                        let device = listing.device(index).unwrap_or_default();
                        directory.make_node(temp_name, (kind, device), target.start())
                    }
                })
            })?;
            match set_on(&writing.policy, &target, &*directory, unplaced.temp_name()) {
                Ok(unset) => Ok((writing.commit(unplaced, path, name)?, unset)),
                Err(error) => {
                    unplaced.discard();
                    Err(error)
                }
            }
        });
        self.clock.enter(Phase::compare);
        match made {
            Ok((Committed::Placed, unset)) => {
                self.session.count(counter, 1);
                self.failures.attributes(|| path.join_bytes(name), &unset)
            }
            Ok((Committed::Waits(temp_name), unset)) => {
                let (directory, name) = (path.clone(), name.to_vec());
                writing.delay(Delayed { directory, temp_name, name, counter, unset, replaces_directory: true });
                Ok(())
            }
            Err(error) => self.fail(path.join_bytes(name), doing_to(entry.kind), error),
        }
    }

    pub(super) fn adjust(&mut self, path: &RelPath, listing: &Listing, index: usize, reasons: Reasons) -> Result<bool> {
        let Some(entry) = listing.get(index) else { return Ok(false) };
        let name = listing.name(entry);
        self.session.count(Counter::attrs_changed, 1);
        self.item(Action::Attributes, (listing, entry), reasons, || path.join_bytes(name))?;
        if self.options.dry_run {
            return Ok(false);
        }
        self.changed = true;
        self.clock.enter(Phase::attributes);
        let policy = self.options.policy();
        let atime = listing.atime(index).filter(|_| reasons.intersects(Reasons::ATIME));
        let target = policy.adjustment(entry, listing.xattrs(index), reasons).with_atime(atime);
        let shares = self.destination.aside.place.is_some();
        let adjusted = self.parent_of(path).and_then(|directory| {
            if shares && let Some(writing) = self.writing {
                // The tree that stands there has this entry too. All of the new one is flushed before it is put there.
                let (temp_name, entry) = (writing.names.next(), (&*directory, name));
                copy_entry(entry, entry, &temp_name, Durability::None)?;
            }
            set_on(&policy, &target, &*directory, name)
        });
        self.clock.enter(Phase::compare);
        let unset = adjusted.unwrap_or_else(Unset::all);
        self.failures.attributes(|| path.join_bytes(name), &unset)?;
        Ok(false)
    }
}

/// The directory at `path` below `root`: the one in `slot`, which keeps the last that was asked for.
pub(super) fn held<S: Storage>(
    slot: &mut Option<(RelPath, Arc<S::Directory>)>,
    root: Option<&S>,
    path: &RelPath,
) -> storage::Result<Arc<S::Directory>> {
    if let Some((held, directory)) = slot
        && held == path
    {
        return Ok(Arc::clone(directory));
    }
    let directory = Arc::new(root.ok_or(Errno::NOENT)?.open(path, Access::Reach)?);
    *slot = Some((path.clone(), Arc::clone(&directory)));
    Ok(directory)
}

/// The counter of an entry that is made from its listing alone; none for a kind that has content.
pub(super) fn counter_without_content(kind: Kind) -> Option<Counter> {
    match kind {
        Kind::Symlink => Some(Counter::symlinks_created),
        Kind::Fifo | Kind::BlockDevice | Kind::CharDevice | Kind::Socket => Some(Counter::specials_created),
        Kind::File | Kind::Directory | Kind::Special => None,
    }
}

/// The text of the failure to make an entry of this kind.
fn doing_to(kind: Kind) -> &'static str {
    match kind {
        Kind::Symlink => "cannot make the symlink",
        Kind::Fifo => "cannot make the FIFO",
        Kind::Socket => "cannot make the socket",
        Kind::BlockDevice | Kind::CharDevice => "cannot make the device",
        Kind::File | Kind::Directory | Kind::Special => "cannot make the entry",
    }
}

/// Sets the attributes of the entry `name` without opening it, except for a symlink whose extended attributes are set,
/// which takes a descriptor.
fn set_on(
    policy: &AttributePolicy,
    target: &Target<'_>,
    directory: &impl WriteDirectory,
    name: &[u8],
) -> storage::Result<Unset> {
    match target.kind() {
        Kind::Symlink if !target.sets_xattrs() => Ok(policy.set(target, &directory.link(name), None)),
        kind => {
            let (reached, found) = directory.reach(name, kind)?;
            Ok(policy.set(target, &reached, Some(found)))
        }
    }
}
