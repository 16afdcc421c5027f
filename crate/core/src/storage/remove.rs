//! Removes what the source does not have.

use std::cell::Cell;
use std::collections::HashSet;
use std::mem::MaybeUninit;

use sparsync_proto::{At, InForce, Issue, Kind, Name, RelPath, RuleFileError};

use super::backup::Backups;
use super::judge::Judge;
use super::widen::Widened;
use super::{Access, CallError, Directory, Errno, Identity, Result, Storage, WriteDirectory, WriteStorage};

/// Called for each entry that is removed.
pub(crate) type OnRemoved<'a> = dyn FnMut(&[u8], Kind) + 'a;

/// Says whether an entry may be removed.
pub(crate) type MayGo<'a> = dyn Fn(&[u8], Kind) -> bool + 'a;

/// What a removal may do, and what it did.
pub(crate) struct Removal<'a, S: WriteStorage> {
    /// Nothing is removed; it is only counted and told.
    pub(crate) dry_run: bool,
    /// With `dry_run`: tells what a removal will really do, and so not that directories go in which backups stay. A dry
    /// run of rsync tells that they go.
    pub(crate) foretells: bool,
    /// How many entries may go.
    pub(crate) max: Option<u64>,
    /// Decides which entries may be removed; the others stay, and so does each directory above them. Without it,
    /// everything may be removed.
    pub(crate) judge: Option<&'a Judge>,
    /// The rules that are in force in the directory that holds what is removed.
    pub(crate) in_force: InForce,
    /// The directory that holds the entry to be removed. Below it no symlink is followed, whatever the run follows.
    pub(crate) above: RelPath,
    /// The one file system in which entries may be removed; without it, in any.
    pub(crate) device: Option<u64>,
    /// Asked of each entry just before it is removed. If it may not go it stays, and so does each directory above it.
    pub(crate) may_go: Option<&'a MayGo<'a>>,
    /// Told of each entry.
    pub(crate) on_removed: Option<&'a mut OnRemoved<'a>>,
    /// Asked before each entry: true ends the removal.
    pub(crate) stop: Option<&'a (dyn Fn() -> bool + 'a)>,
    /// The place of removed entries.
    pub(crate) backups: Option<&'a Backups<'a, S>>,
    /// Directories that stay, and so does each directory above them.
    pub(crate) led_to: Option<&'a HashSet<Identity>>,
    /// Makes directories of the process's own user usable for the removal, or for looking at its entries.
    pub(crate) widened: Option<&'a Widened<'a, S>>,
    /// Files, symlinks and others removed.
    pub(crate) files: u64,
    /// Directories removed.
    pub(crate) directories: u64,
    /// Entries that `max` kept from being removed.
    pub(crate) beyond: u64,
    /// Entries that stay because they do not belong to the run.
    pub(crate) protected: u64,
    /// The entries that could not be removed.
    pub(crate) failed: Vec<(Vec<u8>, CallError)>,
    /// Issues of files of rules.
    pub(crate) issues: Vec<Issue>,
    /// A file of rules that cannot be followed: the directory that it is for stays.
    pub(crate) bad_rules: Option<RuleFileError>,
}

impl<S: WriteStorage> Default for Removal<'_, S> {
    fn default() -> Self {
        Self {
            dry_run: false,
            foretells: false,
            max: None,
            judge: None,
            device: None,
            in_force: InForce::default(),
            above: RelPath::root(),
            may_go: None,
            on_removed: None,
            stop: None,
            backups: None,
            led_to: None,
            widened: None,
            files: 0,
            directories: 0,
            beyond: 0,
            protected: 0,
            failed: Vec::new(),
            issues: Vec::new(),
            bad_rules: None,
        }
    }
}

impl<S: WriteStorage> Removal<'_, S> {
    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|stop| stop())
    }

    /// Whether one more entry may go; one that may not is counted.
    fn has_room(&mut self) -> bool {
        let has_room = self.max.is_none_or(|max| self.files + self.directories < max);
        self.beyond += u64::from(!has_room);
        has_room
    }

    /// Whether an entry may be removed by the rules.
    fn takes(&mut self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        let takes = self.judge.is_none_or(|judge| {
            judge.matcher.deletes(at, name, kind, true)
                && !self.backups.is_some_and(|backups| backups.protects(judge, at, name, kind))
        });
        self.protected += u64::from(!takes);
        takes
    }

    fn is_led_to(&self, directory: &S::Directory) -> bool {
        let is_led_to = |led_to: &HashSet<Identity>| {
            !led_to.is_empty() && directory.status(b"").is_ok_and(|status| led_to.contains(&status.identity()))
        };
        self.led_to.is_some_and(is_led_to)
    }

    /// The rules in force in a directory; none when they cannot be followed, and then the directory stays.
    fn enter(&mut self, directory: &S::Directory, path: &RelPath, above: &InForce) -> Option<InForce> {
        let Some(judge) = self.judge else { return Some(InForce::default()) };
        match judge.enter(directory, path, above, &mut self.issues) {
            Ok(in_force) => Some(in_force),
            Err(error) => {
                self.protected += 1;
                self.bad_rules = Some(error);
                None
            }
        }
    }

    fn removed(&mut self, path: &[u8], kind: Kind) {
        if kind == Kind::Directory {
            self.directories += 1;
        } else {
            self.files += 1;
        }
        if let Some(on_removed) = &mut self.on_removed {
            on_removed(path, kind);
        }
    }

    /// Whether one more entry may go, by the limit and by `may_go`.
    fn lets_go(&mut self, path: impl FnOnce() -> Vec<u8>, kind: Kind) -> bool {
        if !self.has_room() {
            return false;
        }
        let may_go = self.may_go.is_none_or(|may_go| may_go(&path(), kind));
        self.protected += u64::from(!may_go);
        may_go
    }

    /// Removes one entry that is not a directory.
    fn unlink(&mut self, parent: &S::Directory, parent_path: &RelPath, name: &[u8], kind: Kind) {
        if self.is_stopped() || !self.lets_go(|| parent_path.join_bytes(name), kind) {
            return;
        }
        let stays = Cell::new(self.foretells && self.backups.is_some_and(|backups| backups.keeps_beside(name)));
        let unlinked = self.within(parent_path, || match self.backups {
            Some(backups) => backups.take(parent_path, parent, name).map(|beside| stays.set(beside)),
            None => parent.remove(name),
        });
        self.protected += u64::from(stays.get());
        self.account(&parent_path.join_bytes(name), kind, unlinked);
    }

    /// Removes something in the directory at `path`, unless the run is dry.
    fn within(&self, path: &RelPath, remove: impl Fn() -> Result<()>) -> Result<()> {
        match self.widened {
            _ if self.dry_run => Ok(()),
            Some(widened) => widened.within(path, remove),
            None => remove(),
        }
    }

    fn account(&mut self, path: &[u8], kind: Kind, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.removed(path, kind),
            Err(CallError { errno: Errno::NOENT, .. }) => {}
            Err(error) => self.failed.push((path.to_vec(), error)),
        }
    }

    fn reach(&self, root: &S, path: &RelPath) -> Result<S::Directory> {
        let reach = || root.open_below(&self.above, path, Access::Reach);
        self.widened.map_or_else(reach, |widened| widened.within(path, reach))
    }

    fn entries(&self, root: &S, path: &RelPath) -> Result<(S::Directory, Found)> {
        match self.widened {
            Some(widened) => widened.within(path, || entries(root, &self.above, path)),
            None => entries(root, &self.above, path),
        }
    }
}

/// Removes the entry at `path` below `root`, with all that is in it.
pub(crate) fn remove_tree<S: WriteStorage>(root: &S, path: &RelPath, removal: &mut Removal<'_, S>) -> Result<()> {
    let Some((parent_path, name)) = path.split_last() else { return Err(Errno::INVAL.into()) };
    let parent = root.open(&parent_path, Access::Reach)?;
    removal.above.clone_from(&parent_path);
    let kind = match parent.status(name.as_bytes()) {
        Ok(status) => status.kind,
        Err(CallError { errno: Errno::NOENT, .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if kind == Kind::Directory {
        drop(parent);
        let above = std::mem::take(&mut removal.in_force);
        remove_directory(root, path, &above, removal);
        removal.in_force = above;
    } else {
        removal.unlink(&parent, &parent_path, name.as_bytes(), kind);
    }
    Ok(())
}

/// Removes the entry at `path` with everything below it, also from directories whose modes forbid that to their owner.
/// Fails with the error of the first entry that could not be removed.
pub(crate) fn remove_all<S: WriteStorage>(root: &S, path: &RelPath) -> Result<()> {
    let widened = Widened::new(root);
    let mut removal = Removal { widened: Some(&widened), ..Removal::default() };
    remove_tree(root, path, &mut removal)?;
    removal.failed.first().map_or(Ok(()), |&(_, error)| Err(error))
}

/// Whether something in the directory at `path` does not belong to the run, so that it has to stay; `in_force` are the
/// rules of the directory that holds it.
pub(crate) fn holds_protected<S: WriteStorage>(
    root: &S,
    (path, in_force): (&RelPath, &InForce),
    judge: &Judge,
    widened: Option<&Widened<'_, S>>,
) -> bool {
    if judge.matcher.takes_all_below(path) {
        return false;
    }
    let in_force = in_force.clone();
    let mut looked = Removal { dry_run: true, judge: Some(judge), in_force, widened, ..Removal::default() };
    // An entry that cannot be looked at cannot be removed either; the removal itself then fails.
    let _ = remove_tree(root, path, &mut looked);
    looked.protected > 0
}

/// Depth first, in rsync's order: sub-directories, then everything else, the last name first. No descriptor is held
/// while a sub-directory is removed, so depth is bounded by the path's cap alone.
fn remove_directory<S: WriteStorage>(root: &S, path: &RelPath, above: &InForce, removal: &mut Removal<'_, S>) {
    if removal.is_stopped() {
        return;
    }
    let (failed, protected, beyond) = (removal.failed.len(), removal.protected, removal.beyond);
    match removal.entries(root, path) {
        Ok((directory, mut found)) => {
            let is_foreign = |device| directory.status(b"").map_or(true, |status| status.device != device);
            if removal.device.is_some_and(is_foreign) || removal.is_led_to(&directory) {
                removal.protected += 1;
                return;
            }
            let Some(in_force) = removal.enter(&directory, path, above) else { return };
            let at = At::new(path, &in_force);
            found.retain(|(name, kind)| removal.takes(&at, name, *kind));
            let (mut directories, others): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|(_, kind)| *kind == Kind::Directory);
            directories.sort_unstable_by(|(a, _), (b, _)| a.iter().chain(b"/").cmp(b.iter().chain(b"/")));
            let directory = if directories.is_empty() {
                Ok(directory)
            } else {
                drop(directory);
                for (name, _) in directories.into_iter().rev() {
                    if let Ok(name) = Name::new(&name) {
                        remove_directory(root, &path.join(name), &in_force, removal);
                    }
                }
                removal.reach(root, path)
            };
            match directory {
                Ok(directory) => {
                    for (name, kind) in others.into_iter().rev() {
                        removal.unlink(&directory, path, &name, kind);
                    }
                }
                Err(error) => removal.failed.push((path.as_bytes().to_vec(), error)),
            }
        }
        Err(error) => removal.failed.push((path.as_bytes().to_vec(), error)),
    }
    if removal.failed.len() > failed || removal.protected > protected || removal.is_stopped() {
        return;
    }
    // An entry beyond the limit stays, and so does the directory that holds it.
    if removal.beyond > beyond {
        removal.beyond += 1;
        return;
    }
    if !removal.lets_go(|| path.as_bytes().to_vec(), Kind::Directory) {
        return;
    }
    let Some((parent, name)) = path.split_last() else { return };
    let removed = removal.within(&parent, || {
        let parent = root.open_below(&removal.above, &parent, Access::Reach)?;
        parent.remove_directory(name.as_bytes())
    });
    removal.account(path.as_bytes(), Kind::Directory, removed);
}

pub(crate) type Found = Vec<(Vec<u8>, Kind)>;

/// The directory at `path` below `root` and the names in it, in order, with their kinds. No symlink is followed below
/// `above`.
pub(crate) fn entries<S: Storage>(root: &S, above: &RelPath, path: &RelPath) -> Result<(S::Directory, Found)> {
    let directory = root.open_below(above, path, Access::Read)?;
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8 << 10];
    let mut found = Found::new();
    directory.names(&mut buffer, |name, kind| {
        let kind = kind.map_or_else(|| directory.status_of_listed(name).map(|status| status.kind), Ok)?;
        found.push((name.to_bytes().to_vec(), kind));
        Ok(())
    })?;
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok((directory, found))
}
