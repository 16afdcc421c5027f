//! Where source and destination of one machine overlap: a destination in its own source, and a source that the run
//! would delete.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use sparsync_proto::{Kind, RelPath, Request};

use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Mount, Root, absolute_path, below};
use crate::marks::only_copy;
use crate::prepare::Destination;
use crate::sources::Source;
use crate::storage::{Access, Directory as _, Judge, Part, Storage as _};

/// Refuses a run that would remove a source which is itself the destination's entry.
fn refuse_removal(source: &Source, destination: &Destination) -> Result<()> {
    let Some(root) = &destination.root else { return Ok(()) };
    if source.file_name.is_some() && source.file_name != destination.file_name {
        return Ok(());
    }
    let is_same = |part: &Part<Root>| {
        let stands_at = |tree: &Tree<'_>| {
            let there = root.open_directory(&tree.goes_to, Access::Reach).ok().and_then(identity);
            there.is_some() && there == identity(tree.root().fd())
        };
        identity(part.top().fd()) == identity(root.fd()) || Tree::of(part).is_some_and(|tree| stands_at(&tree))
    };
    if source.root.parts().iter().any(is_same) { Err(only_copy()) } else { Ok(()) }
}

/// Refuses a run whose ends overlap in a way that would copy a tree into itself, or delete or remove a source.
pub(crate) fn refuse(source: &Source, destination: &Destination, request: &Request, judge: &Judge) -> Result<()> {
    if request.removes_sources() {
        refuse_removal(source, destination)?;
    }
    // A single file is put beside other entries, and its destination is no directory that could be deleted.
    let (Some(root), None) = (&destination.root, &source.file_name) else { return Ok(()) };
    // Each is opened when it is looked at: there may be more of them than a process may hold open.
    let trees = || source.root.parts().iter().filter_map(Tree::of);
    // Onto itself there is nothing to do, which a run finds out.
    let is_onto_itself = |tree: &Tree<'_>| tree.goes_to.is_root() && identity(root.fd()) == identity(tree.root().fd());
    // A destination inside a part of the source that is not sent does not overlap.
    let lies_inside = |tree: &Tree<'_>| {
        let above = Ancestors::of(root.fd()).find(|above| identity(above) == identity(tree.root().fd()));
        above.is_some_and(|above| {
            let place = path_of(root.fd()).zip(path_of(above.as_fd())).and_then(|(inner, outer)| {
                let names = [tree.goes_to.as_bytes(), below(&inner, &outer)?];
                let names: Vec<&[u8]> = names.into_iter().filter(|path| !path.is_empty()).collect();
                RelPath::new(&names.join(&b'/')).ok()
            });
            place.is_none_or(|place| judge.matcher.may_send_directory(&place))
        })
    };
    if trees().any(|tree| !is_onto_itself(&tree) && lies_inside(&tree)) {
        return Err(Error::new(ErrorKind::Config, "the destination lies inside the source"));
    }
    let deletion = &request.deletion;
    // If the destination is one of the sources, all its entries are in the source, too.
    if deletion.allow_mass || !(deletion.delete || deletion.force) || trees().any(|tree| is_onto_itself(&tree)) {
        return Ok(());
    }
    for tree in trees() {
        let is_lost = |place: &Place| {
            // Entries that do not belong to the run are not deleted, nor the directories above them.
            judge.deletes_directory(root, &place.path)
                && if deletion.delete { !tree.stays_at(place) } else { gives_way(source, &place.path) }
        };
        if let Some(place) = places_below(tree.root(), root).into_iter().find(is_lost) {
            return Err(refusal(&place.path));
        }
    }
    Ok(())
}

/// A directory that is a source, and where it goes.
struct Tree<'a> {
    root: Top<'a>,
    /// Its place below the destination.
    goes_to: RelPath,
}

/// Its top.
enum Top<'a> {
    /// The whole tree of a source.
    Whole(&'a Root),
    /// An entry of it.
    Entry(Root),
}

impl<'a> Tree<'a> {
    /// The directory of a source, unless that is an entry of another kind.
    fn of(part: &'a Part<Root>) -> Option<Self> {
        let goes_to = part.path()?;
        let Some(name) = &part.name else { return Some(Self { root: Top::Whole(&part.root), goes_to }) };
        let root = part.root.descend_to_reach(&RelPath::new(name).ok()?).ok()?;
        Some(Self { root: Top::Entry(root), goes_to })
    }

    fn root(&self) -> &Root {
        match &self.root {
            Top::Whole(root) => root,
            Top::Entry(root) => root,
        }
    }

    /// Whether the part of the source that is seen at `place` arrives at that very path, so that `delete` removes
    /// nothing of it.
    ///
    /// A source strictly inside its destination always loses something: it stays whole only when it holds itself at
    /// the same path again, and so on for ever.
    fn stays_at(&self, place: &Place) -> bool {
        place.is_top && place.path == self.goes_to
    }
}

fn refusal(path: &RelPath) -> Error {
    let place = if path.is_root() { ".".to_owned() } else { path.as_bytes().escape_ascii().to_string() };
    Error::new(
        ErrorKind::DeleteRefused,
        format!(
            "the source lies in the destination, as {place}, and this run would delete from it. Nothing was written. \
             Allow it with allowMassDelete (--allow-mass-delete)"
        ),
    )
    .at(path.as_bytes())
    .with("reason", "source-deleted".to_owned())
}

/// A directory below the destination that is the source, or a part of the source.
struct Place {
    /// Its path below the destination.
    path: RelPath,
    /// Whether it is the source's top, and not a directory of it.
    is_top: bool,
}

/// Whether a source has an entry that is no directory where the destination has one on the way to `place`.
fn gives_way(source: &Source, place: &RelPath) -> bool {
    let mut at = place.clone();
    loop {
        let Some((parent, name)) = at.split_last() else { return false };
        let found = source.root.open(&parent, Access::Reach).and_then(|directory| directory.status(name.as_bytes()));
        if let Ok(found) = found {
            return found.kind != Kind::Directory;
        }
        at = parent;
    }
}

/// All places below the destination where the source, or a directory of it, is seen: where it lies, and where it or a
/// part of it is mounted a second time.
fn places_below(source: &Root, destination: &Root) -> Vec<Place> {
    let top = identity(destination.fd());
    let place_of = |start: BorrowedFd<'_>, is_top: bool| {
        let above = Ancestors::of(start).find(|above| identity(above) == top)?;
        let path = RelPath::new(below(&path_of(start)?, &path_of(above.as_fd())?)?).ok()?;
        Some(Place { path, is_top })
    };
    let mut places = Vec::from_iter(place_of(source.fd(), true));
    for (directory, is_top) in seen_elsewhere(source) {
        places.extend(place_of(directory.as_fd(), is_top));
    }
    places
}

/// The directories at which other mounts show the source, or a part of it.
fn seen_elsewhere(source: &Root) -> Vec<(OwnedFd, bool)> {
    let mounts = Mount::all();
    let own = Mount::id_of(source.fd()).and_then(|id| mounts.iter().find(|mount| mount.id == id));
    let Some((own, path)) = own.zip(source.absolute_path().ok()) else { return Vec::new() };
    let Some(inner) = below(&path, &own.point).map(|rest| join(&own.part, rest)) else { return Vec::new() };
    let others = mounts.iter().filter(|mount| mount.device == own.device && mount.id != own.id);
    others.filter_map(|mount| seen_at(mount, source, &inner)).collect()
}

/// The directory that a mount shares with the source, whose path in their file system is `inner`. The paths only
/// suggest it; the directories themselves must be the same.
fn seen_at(mount: &Mount, source: &Root, inner: &[u8]) -> Option<(OwnedFd, bool)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &[u8]| rustix::fs::openat(CWD, path, flags, Mode::empty()).ok();
    let (directory, same, is_top) = if let Some(rest) = below(inner, &mount.part) {
        (open(&join(&mount.point, rest))?, identity(source.fd()), true)
    } else {
        let rest = RelPath::new(below(&mount.part, inner)?).ok()?;
        (open(&mount.point)?, identity(source.open_directory(&rest, Access::Reach).ok()?), false)
    };
    (same.is_some() && identity(&directory) == same).then_some((directory, is_top))
}

fn join(above: &[u8], rest: &[u8]) -> Vec<u8> {
    if rest.is_empty() {
        return above.to_vec();
    }
    [above.strip_suffix(b"/").unwrap_or(above), b"/", rest].concat()
}

/// What identifies a directory on this machine.
fn identity(directory: impl AsFd) -> Option<(u64, u64)> {
    rustix::fs::fstat(directory).map(|stat| (stat.st_dev, stat.st_ino)).ok()
}

fn path_of(directory: BorrowedFd<'_>) -> Option<Vec<u8>> {
    absolute_path(directory).ok()
}

/// A directory, and all those above it, each opened from the one before.
struct Ancestors(Option<OwnedFd>);

impl Ancestors {
    fn of(directory: BorrowedFd<'_>) -> Self {
        Self(directory.try_clone_to_owned().ok())
    }
}

impl Iterator for Ancestors {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        let here = self.0.take()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::openat(&here, c"..", flags, Mode::empty()).ok();
        // The top is its own parent.
        self.0 = parent.filter(|parent| identity(parent) != identity(&here));
        Some(here)
    }
}
