//! Symlinks of the destination that are taken for the directories which they lead to, where the source has directories.
//!
//! What a symlink is taken for depends on what the source has by its name, which the destination's own walk cannot
//! know: it lists symlinks as such and goes into none. So what they lead to is looked at when the source tells of the
//! directory.

use std::collections::HashSet;

use sparsync_proto::{Digest, IssueKind, Kind, Listing, Name, RelPath, Request};

use super::Receiver;
use super::compare::as_at_the_source;
use crate::error::{Error, Result};
use crate::storage::{
    Access, CallError, Directory as _, Errno, Identity, Removal, Scan, ScanBuffers, WriteStorage, remove_tree,
    scan_directory,
};

/// The most symlinks of one directory of which every combination is tried; with more, its listing is asked for.
const COMBINED_MAX: usize = 4;

/// The text of the issue of a symlink that stands in the place of a directory.
const LEADS_OUT: &str = "a symlink is in its place that leads out of what may be written here";

/// In whose places symlinks of the destination are taken for the directories that they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DirLinks {
    /// Nothing's: a directory of the source takes the place of a symlink.
    Replaced,
    /// Those of directories on the way to what is selected, which the run does not carry themselves.
    OnTheWay,
    /// Every directory's.
    All,
}

impl DirLinks {
    pub(crate) fn of(request: &Request) -> Self {
        match request.keep_dir_links {
            true => Self::All,
            false if request.keeps_links_on_the_way() => Self::OnTheWay,
            false => Self::Replaced,
        }
    }
}

/// The symlinks that were taken for directories.
#[derive(Debug, Default)]
pub(super) struct TakenLinks {
    /// Their paths, and those of directories below them.
    paths: HashSet<RelPath>,
    /// What they lead to, which is not deleted: it would go with what has arrived through them.
    pub(super) led_to: HashSet<Identity>,
}

/// What a symlink of the destination leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Led {
    /// A directory that may be written to, where it can be looked at.
    Directory(Option<Identity>),
    /// Out of the tree that may be written to; its target is not looked at.
    Out,
    /// To no entry that could be a directory.
    Other,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Whether a symlink at `path` would be taken for a directory of the source.
    fn keeps_dir_link(&self, path: &RelPath) -> bool {
        match self.options.dir_links {
            DirLinks::Replaced => false,
            DirLinks::OnTheWay => !self.options.judge.matcher.has_attributes(path),
            DirLinks::All => true,
        }
    }

    fn led(&self, path: &RelPath) -> Led {
        let opened = self.destination.root.as_ref().map(|root| root.open(path, Access::Reach));
        match opened {
            Some(Ok(directory)) => Led::Directory(directory.status(b"").ok().map(|status| status.identity())),
            Some(Err(CallError { errno: Errno::ACCESS, .. })) => Led::Directory(None),
            Some(Err(CallError { errno: Errno::XDEV, .. })) => Led::Out,
            Some(Err(_)) | None => Led::Other,
        }
    }

    /// The destination's directory in the place of the source's one at `path`, reached through a symlink.
    pub(super) fn linked_directory(&mut self, path: &RelPath) -> Result<Option<Box<Scan>>> {
        if self.options.dir_links == DirLinks::Replaced {
            return Ok(None);
        }
        let Some((parent, name)) = path.split_last() else { return Ok(None) };
        let held = self.parent_of(&parent).and_then(|directory| directory.status(name.as_bytes()));
        match held.map(|found| found.kind) {
            Ok(Kind::Symlink) if self.keeps_dir_link(path) && self.takes_for_directory(path)? => {}
            // The walk has not come there.
            Ok(Kind::Directory) if self.is_below_link(&parent) => {}
            Ok(_) | Err(_) => return Ok(None),
        }
        self.dir_links.paths.insert(path.clone());
        let Some(root) = &self.destination.root else { return Ok(None) };
        let above = self.options.judge.in_force_in(root, &parent).map_err(|error| Error::bad_rules(&error))?;
        let (options, mut buffers) = (self.options.scan(), ScanBuffers::default());
        let scan = match self.widened() {
            Some(widened) => widened.list(path, &above, &options, &mut buffers),
            None => scan_directory(root, path, &above, &options, &mut buffers),
        };
        match scan {
            Ok(Scan { bad_rules: Some(error), .. }) => Err(Error::bad_rules(&error)),
            Ok(scan) => Ok(Some(Box::new(scan))),
            Err(error) => {
                self.fail(path.as_bytes().to_vec(), "cannot list the destination's directory", error)?;
                self.failed.insert(path.clone(), IssueKind::Write);
                Ok(None)
            }
        }
    }

    /// Whether a symlink is taken for the directory that the source has. A symlink that leads out of the destination is
    /// left alone and told, and nothing arrives below it.
    fn takes_for_directory(&mut self, path: &RelPath) -> Result<bool> {
        match self.led(path) {
            Led::Directory(identity) => {
                self.dir_links.led_to.extend(identity);
                Ok(true)
            }
            Led::Other => Ok(false),
            Led::Out => {
                if self.failed.covering(path).is_none() {
                    self.issue(IssueKind::Conflict, path.as_bytes().to_vec(), LEADS_OUT)?;
                    self.failed.insert(path.clone(), IssueKind::Conflict);
                }
                Ok(false)
            }
        }
    }

    fn is_below_link(&self, path: &RelPath) -> bool {
        !self.dir_links.paths.is_empty() && path.up().any(|path| self.dir_links.paths.contains(&path))
    }

    /// Whether the directory at `path`, or one in it, is what a symlink that was taken for a directory leads to.
    pub(super) fn is_led_to(&self, path: &[u8]) -> bool {
        let led_to = &self.dir_links.led_to;
        let (Some(root), Ok(path), false) = (&self.destination.root, RelPath::new(path), led_to.is_empty()) else {
            return false;
        };
        let mut looked = Removal { dry_run: true, led_to: Some(led_to), widened: self.widened(), ..Removal::default() };
        // An entry that cannot be looked at cannot be removed either.
        let _ = remove_tree(root, &path, &mut looked);
        looked.protected > 0
    }

    /// Takes the symlinks of a directory for directories where the source has some.
    pub(super) fn take_dir_links(&mut self, old: &mut Scan, listing: &Listing) -> Result<()> {
        if self.options.dir_links == DirLinks::Replaced {
            return Ok(());
        }
        for entry in listing.entries().iter().filter(|entry| entry.kind == Kind::Directory) {
            let (name, at) = (listing.name(entry), old.listing.find(listing.name(entry)));
            let link = at.filter(|at| old.listing.get(*at).is_some_and(|old| old.kind == Kind::Symlink));
            let (Some(at), Ok(name)) = (link, Name::new(name)) else { continue };
            let path = old.path.join(name);
            if !self.keeps_dir_link(&path) {
                continue;
            }
            if self.takes_for_directory(&path)? || self.failed.contains(&path) {
                old.listing.take_for_directory(at);
            }
        }
        Ok(())
    }

    /// Whether a directory equals the source's, with some of its symlinks taken for directories.
    pub(super) fn is_equal_by_links(&self, old: &Scan, digest: &Digest) -> bool {
        if self.options.dir_links == DirLinks::Replaced {
            return false;
        }
        let leads = |(_, entry): &(usize, &sparsync_proto::Entry)| {
            let name = Name::new(old.listing.name(entry)).ok().filter(|_| entry.kind == Kind::Symlink);
            let path = name.map(|name| old.path.join(name)).filter(|path| self.keeps_dir_link(path));
            path.is_some_and(|path| matches!(self.led(&path), Led::Directory(_)))
        };
        let links = old.listing.entries().iter().enumerate().filter(leads).map(|(at, _)| at).collect::<Vec<_>>();
        let all = (1usize << links.len().min(COMBINED_MAX)) - 1;
        let combinations = if links.len() <= COMBINED_MAX { 1..=all } else { all..=all };
        combinations.into_iter().any(|combination| {
            let is_taken = |bit: usize| links.len() > COMBINED_MAX || combination >> bit & 1 == 1;
            let mut listing = old.listing.clone();
            for (_, &at) in links.iter().enumerate().filter(|(bit, _)| is_taken(*bit)) {
                listing.take_for_directory(at);
            }
            !links.is_empty()
                && as_at_the_source(self.options, old, &listing).is_some_and(|(.., equal)| equal == *digest)
        })
    }

    /// How many entries would be deleted below the destination's `name` of a directory, where the walk does not count
    /// them.
    pub(super) fn counted_below(&self, old: &Scan, name: Name<'_>) -> u64 {
        let Some(root) = self.destination.root.as_ref().filter(|_| self.is_below_link(&old.path)) else { return 0 };
        self.entries_of(root, &old.path.join(name)).saturating_sub(1)
    }
}
