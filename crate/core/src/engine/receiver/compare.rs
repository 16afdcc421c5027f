//! Compares directories of the source with those of the destination.

use std::borrow::Cow;

use sparsync_proto::{
    Action, Counter, Digest, Directory, Issue, IssueKind, Kind, Listing, Meta, Phase, Reasons, RelPath, TreeHasher,
    Xattrs,
};

use super::items::{Kinds, count_kinds};
use super::{Receiver, ReceiverOptions};
use crate::engine::budget::ENTRIES_HELD_MAX;
use crate::engine::destination::Found;
use crate::engine::owners::DigestsBy;
use crate::error::{Error, Result};
use crate::storage::{Access, CallError, Errno, Scan, ScanBuffers, WriteStorage, scan_directory};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Whether the whole destination equals the source. If so, the one digest tells it, and nothing else needs to
    /// travel.
    pub(super) fn tree_is_equal(&mut self, digest: &Digest) -> Result<bool> {
        let mut tree = TreeHasher::default();
        let (mut entries, mut bytes, mut directories) = (0, 0, 0);
        let mut kinds = Kinds::default();
        let mut leftovers = false;
        let all = self.clock.during(Phase::wait_walk, || self.found.read_all(ENTRIES_HELD_MAX, self.session))?;
        let Some(all) = all else { return Ok(false) };
        for found in all {
            let Found::Listed(scan) = found else { return Ok(false) };
            if !scan.issues.is_empty() {
                return Ok(false);
            }
            leftovers |= !scan.leftovers.is_empty();
            directories += 1;
            entries += scan.listing.len() as u64;
            if self.options.items.details {
                kinds.add(&scan.listing);
            }
            bytes += scan.listing.entries().iter().filter(|e| e.kind == Kind::File).map(|e| e.size).sum::<u64>();
            let Some((meta, xattrs, digest)) = as_at_the_source(self.options, scan, &scan.listing) else {
                return Ok(false);
            };
            tree.add(&self.options.attributes, &scan.path, (&meta, &xattrs), &digest);
        }
        // Special entries are told in every run, and leftovers are swept only where records of directories lead.
        if tree.finish() != *digest || leftovers {
            return Ok(false);
        }
        self.session.set(Counter::directories_source, directories);
        self.session.set(Counter::entries_source, entries);
        self.session.set(Counter::bytes_total, bytes);
        self.session.set(Counter::walk_done, 1);
        kinds.count(self.session);
        Ok(true)
    }

    /// Compares the next directory of the source with the destination's.
    pub(super) fn directory(&mut self, number: u32, directory: Directory) -> Result<()> {
        if !self.options.judge.matcher.may_send_directory(&directory.path) {
            return Err(Error::protocol("a directory that does not belong to the run")
                .remote()
                .at(directory.path.as_bytes()));
        }
        if directory.unlisted {
            self.unlisted = Some(directory.path.clone());
        }
        if !self.options.deletion.delete {
            self.low_water_mark.raise(&directory.path);
        }
        if self.options.judge.hides_path(&directory.path, Kind::Directory) {
            self.refuse_hidden(directory.path.clone())?;
        }
        let mut old = None;
        while let Some(found) = self.clock.during(Phase::wait_walk, || self.found.peek(self.session))? {
            match found.path().cmp(&directory.path) {
                std::cmp::Ordering::Greater => break,
                std::cmp::Ordering::Less => {
                    if let Some(found) = self.found.next(self.session)? {
                        self.only_here(&found);
                    }
                }
                std::cmp::Ordering::Equal => {
                    old = self.found.next(self.session)?;
                    break;
                }
            }
        }
        match old {
            // Its listing says what does not arrive.
            _ if self.failed.covering(&directory.path).is_some() => self.need(number, directory, None)?,
            Some(Found::Listed(scan)) => self.both(number, directory, scan)?,
            Some(Found::Failed(_, error)) => {
                let path = &directory.path;
                self.fail(path.as_bytes().to_vec(), "cannot list the destination's directory", error)?;
                self.failed.insert(path.clone(), IssueKind::Write);
                self.need(number, directory, None)?;
            }
            None => match self.left_out_directory(&directory.path)? {
                Some(scan) => self.both(number, directory, scan)?,
                None => match self.linked_directory(&directory.path)? {
                    Some(scan) => self.both(number, directory, scan)?,
                    None => self.need(number, directory, None)?,
                },
            },
        }
        Ok(())
    }

    /// Refuses a path that the operator hides, in the same way whether something stands there or not.
    pub(super) fn refuse_hidden(&mut self, path: RelPath) -> Result<()> {
        if self.failed.covering(&path).is_none() {
            self.issue(IssueKind::Scope, path.as_bytes().to_vec(), "the server excludes this path")?;
            self.failed.insert(path, IssueKind::Scope);
        }
        Ok(())
    }

    /// A directory of the destination that the walk has left out, by rules that the sender need not have.
    fn left_out_directory(&mut self, path: &RelPath) -> Result<Option<Box<Scan>>> {
        let Some(above) = path.split_last().and_then(|(parent, _)| self.in_force.get(&parent)) else { return Ok(None) };
        let Some(root) = &self.destination.root else { return Ok(None) };
        let (options, mut buffers) = (self.options.scan(), ScanBuffers::default());
        let scan = match self.widened() {
            Some(widened) => widened.list(path, above, &options, &mut buffers),
            None => scan_directory(root, path, above, &options, &mut buffers),
        };
        match scan {
            Ok(Scan { bad_rules: Some(error), .. }) => Err(Error::bad_rules(&error)),
            Ok(scan) => {
                self.in_force.insert(path.clone(), scan.in_force.clone());
                Ok(Some(Box::new(scan)))
            }
            // No directory stands there; the listing of its parent tells what does.
            Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => Ok(None),
            Err(error) => {
                self.fail(path.as_bytes().to_vec(), "cannot list the destination's directory", error)?;
                self.failed.insert(path.clone(), IssueKind::Write);
                Ok(None)
            }
        }
    }

    /// A directory that the source does not have.
    pub(super) fn only_here(&mut self, found: &Found) {
        let is_backup = self.backups().is_some_and(|backups| backups.holds(found.path()));
        if is_backup || self.unlisted.as_ref().is_some_and(|unlisted| found.path().is_within(unlisted)) {
            return;
        }
        if let Found::Listed(scan) = found {
            let entries = scan.listing.len() as u64;
            self.guard.extra(entries);
            self.guard.destination(&scan.path, entries, false);
        }
    }

    /// A directory that both sides have.
    fn both(&mut self, number: u32, directory: Directory, mut old: Box<Scan>) -> Result<()> {
        let top = *self.top_device.get_or_insert(old.device);
        if !directory.unlisted {
            self.guard.destination(&old.path, old.listing.len() as u64, directory.entries == 0);
        }
        if old.leaves_out && self.options.judge.matcher.ends_differ() {
            self.in_force.insert(old.path.clone(), old.in_force.clone());
        }
        self.tell_issues(&mut old)?;
        let meta = self.directory_meta(&directory.path, &directory.meta);
        let single = self.is_single();
        let is_new_root = directory.path.is_root() && self.destination.created;
        if !single && !is_new_root {
            let attributes = &self.options.rules.attributes;
            let wanted = self.options.owners.xattrs(&directory.xattrs);
            let xattrs = attributes.xattr_differences(Some(&wanted), Some(&old.xattrs));
            let reasons = attributes.meta_differences(Kind::Directory, &meta, &old.meta);
            if !reasons.union(xattrs).is_empty() && !self.options.rules.append_only {
                self.session.count(Counter::attrs_changed, 1);
                self.item_in_turn(number, Action::Attributes, (&directory.path, meta), reasons.union(xattrs))?;
                if !xattrs.is_empty() {
                    self.set_directory_xattrs(&directory.path, (&directory.meta, &wanted), false);
                }
                if !reasons.is_empty() {
                    self.settle_attrs(&directory.path, meta, false);
                }
            } else if self.options.items.unchanged && self.has_attributes_of(&directory.path) {
                self.item_in_turn(number, Action::Keep, (&directory.path, meta), Reasons::default())?;
            }
        }
        // The attributes of a new root are set when its listing is decided upon.
        let here = || as_at_the_source(self.options, &old, &old.listing);
        let is_equal = || here().is_some_and(|(.., digest)| digest == directory.digest);
        let is_equal = || is_equal() || self.is_equal_by_links(&old, &directory.digest);
        let is_same = || directory.unlisted || (self.options.digests_decide() && is_equal());
        let equal = !single && !is_new_root && is_same();
        if equal && !self.machine.grants_all() {
            count_kinds((self.session, self.options), &old.listing);
            if let Some(links) = &mut self.links {
                links.know(&old.path, &old.listing);
            }
            self.sweep(&old, |_| false, meta);
        } else {
            if old.device != top {
                self.hold_file_system(&old)?;
            }
            self.need(number, directory, Some(old))?;
        }
        Ok(())
    }

    /// Holds a directory of a file system that is mounted below the top, whose flush does not reach it. Errors are told
    /// to a descriptor that is older than what is written.
    fn hold_file_system(&mut self, found: &Scan) -> Result<()> {
        let Some(root) = self.destination.root.as_ref().filter(|_| !self.options.dry_run) else { return Ok(()) };
        if !self.elsewhere.contains_key(&found.device) {
            let directory = self
                .within(&found.path, || root.open(&found.path, Access::Read))
                .map_err(|error| Error::io("cannot hold the file system", found.path.as_bytes(), error.into()))?;
            self.elsewhere.insert(found.device, directory);
        }
        Ok(())
    }

    /// Tells what could not be looked at in a directory of the destination. Nothing is written at those paths.
    pub(super) fn tell_issues(&mut self, old: &mut Scan) -> Result<()> {
        for issue in std::mem::take(&mut old.issues) {
            if issue.kind.is_notice() {
                self.failures.tell(issue)?;
                continue;
            }
            if issue.kind == IssueKind::AttributesUnread || is_listed(old, &issue.path) {
                // Attributes that cannot be read count as different from the source's: setting them, or putting another
                // file there, tells what is wrong.
                continue;
            }
            if let Ok(path) = RelPath::new(&issue.path) {
                self.failed.insert(path, IssueKind::Write);
            }
            self.failures.tell(Issue { kind: IssueKind::Write, ..issue })?;
        }
        Ok(())
    }

    fn need(&mut self, number: u32, directory: Directory, old: Option<Box<Scan>>) -> Result<()> {
        self.session.count(Counter::directories_listed, 1);
        self.undecided += 1;
        if let Some(old) = old {
            self.old.insert(number, old);
        }
        Ok(self.machine.need(number, directory)?)
    }
}

/// Own attributes and digest of a directory of the destination, with everybody as the source has them; none when they
/// prove nothing. `listing` is taken for the directory's own.
pub(super) fn as_at_the_source<'a>(
    options: &ReceiverOptions,
    scan: &'a Scan,
    listing: &Listing,
) -> Option<(Meta, Cow<'a, Xattrs>, Digest)> {
    let owners = &options.owners;
    match owners.digests_by() {
        DigestsBy::Number => {
            let is_own = std::ptr::eq(listing, &raw const scan.listing);
            let digest = if is_own { scan.digest } else { options.attributes.digest(listing) };
            Some((scan.meta, Cow::Borrowed(&scan.xattrs), digest))
        }
        DigestsBy::SourceNumber => {
            let digest = owners.source_digest(&options.attributes, listing);
            Some((owners.source_meta(&scan.meta), owners.source_xattrs(&scan.xattrs), digest))
        }
        DigestsBy::Nothing => None,
    }
}

/// Whether a directory's listing has the entry at `path`: then it was looked at, and only could not be read.
fn is_listed(scan: &Scan, path: &[u8]) -> bool {
    RelPath::new(path).is_ok_and(|path| {
        path.split_last()
            .is_some_and(|(above, name)| above == scan.path && scan.listing.find(name.as_bytes()).is_some())
    })
}
