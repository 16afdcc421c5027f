//! Renames what a run replaces or deletes to its backup name.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use sparsync_proto::{At, Durability, End, Kind, Name, RelPath};

use super::copy::{copy_acls, copy_entry};
use super::widen::Widened;
use super::{
    Access, Adjust, CallError, Directory, Errno, Judge, Removal, Result, TempNames, WriteDirectory, WriteStorage,
    remove_tree,
};

/// Where backups are, and how they are called.
#[derive(Debug)]
pub(crate) struct BackupPlace<S> {
    /// A directory that exists, and a path below it under which each backup has the path of its original. Without one,
    /// backups are beside their originals.
    pub(crate) aside: Option<(S, RelPath)>,
    /// Where that is in the destination itself, if it is.
    pub(crate) inside: Option<RelPath>,
    /// The suffix of their names.
    pub(crate) suffix: Vec<u8>,
    /// Backups from earlier runs are deleted like everything else.
    pub(crate) deletes_backups: bool,
    /// Directories of backups have the ACLs of those that they stand for.
    pub(crate) keeps_acls: bool,
}

/// The backups of a run.
pub(crate) struct Backups<'a, S: WriteStorage> {
    root: &'a S,
    names: &'a TempNames,
    place: &'a BackupPlace<S>,
    /// From [`Durability::Run`] on, what is copied is on disk before its original goes.
    durability: Durability,
    /// Backups beside their originals that this run has made, by a keyed hash.
    made: Mutex<(RandomState, HashSet<u64>)>,
    /// The directory of backups that was last used.
    held: Mutex<Option<(RelPath, Arc<S::Directory>)>>,
    /// Told of each entry that has become one.
    on_made: Option<Box<OnMade<'a>>>,
}

/// Called with the path and the kind of each entry that has become a backup.
pub(crate) type OnMade<'a> = dyn Fn(Vec<u8>, Kind) + Send + Sync + 'a;

impl<'a, S: WriteStorage> Backups<'a, S> {
    pub(crate) fn new(
        root: &'a S,
        names: &'a TempNames,
        (place, durability): (&'a BackupPlace<S>, Durability),
        on_made: Option<Box<OnMade<'a>>>,
    ) -> Self {
        Self { root, names, place, durability, made: Mutex::default(), held: Mutex::default(), on_made }
    }

    /// Whether backups are beside their originals, so that a directory with backups stays.
    pub(crate) fn are_beside(&self) -> bool {
        self.place.aside.is_none()
    }

    /// Whether the path is that of the directory of backups, or below it.
    pub(crate) fn holds(&self, path: &RelPath) -> bool {
        self.place.inside.as_ref().is_some_and(|inside| path.is_within(inside))
    }

    /// Whether the name is that of a backup. A backup gets no backup itself.
    fn is_backup(&self, name: &[u8]) -> bool {
        let suffix = &self.place.suffix;
        self.are_beside() && name.len() > suffix.len() && name.ends_with(suffix)
    }

    /// Whether an entry stays because it is a backup: rsync has a rule for that behind all others.
    pub(crate) fn protects(&self, judge: &Judge, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        if kind == Kind::Directory
            && let (Some(inside), Ok(name)) = (&self.place.inside, Name::new(name))
            && at.path().join(name) == *inside
        {
            return true;
        }
        self.is_backup(name)
            && !self.place.deletes_backups
            && judge.matcher.decider(at, name, kind, End::Receiver).is_none()
    }

    /// Gives a complete entry its name. The entry that had that name becomes a backup, and the name is never without an
    /// entry where the storage has hard links, or can exchange two names.
    pub(crate) fn put(&self, path: &RelPath, directory: &S::Directory, temp_name: &[u8], name: &[u8]) -> Result<()> {
        // The old entry gets the backup's name before the new one replaces it: if the run is cut off in between, both
        // names exist.
        let further = self.names.next();
        match directory.make_hard_link((directory, name), &further) {
            Ok(()) => {
                let kept = self.keep_as(path, directory, &further, name);
                // Where the backup was a further name of this very entry, renaming leaves both names.
                let _ = directory.remove(&further);
                return kept.and_then(|()| directory.rename(temp_name, name));
            }
            Err(CallError { errno: Errno::NOENT, .. }) => return directory.rename(temp_name, name),
            // A directory, or an entry that cannot have further names.
            Err(_) => {}
        }
        let kind = match directory.status(name) {
            Ok(found) if found.kind == Kind::Directory => return Err(Errno::ISDIR.into()),
            Ok(found) => found.kind,
            Err(CallError { errno: Errno::NOENT, .. }) => return directory.rename(temp_name, name),
            Err(error) => return Err(error),
        };
        if self.are_beside() {
            return self.exchange_beside((path, kind), directory, temp_name, name);
        }
        self.copy_as(path, directory, name)?;
        self.tell(path, name, kind);
        directory.rename(temp_name, name)
    }

    /// The same where no further name can be made: the new entry takes the name of the backup, and exchanges it with
    /// the old one. The old one is never called as an unfinished file is, which the next run removes. An earlier backup
    /// is, and goes when all of that is done.
    fn exchange_beside(
        &self,
        (path, kind): (&RelPath, Kind),
        directory: &S::Directory,
        temp_name: &[u8],
        name: &[u8],
    ) -> Result<()> {
        let backup = [name, &self.place.suffix].concat();
        let has_earlier = match directory.status(&backup) {
            Ok(found) if found.kind == Kind::Directory => {
                self.clear(path, directory, &backup).map_err(of_backup)?;
                false
            }
            Ok(_) => true,
            Err(CallError { errno: Errno::NOENT, .. }) => false,
            Err(error) => return Err(error),
        };
        let placed = if has_earlier {
            directory.exchange(temp_name, &backup)
        } else {
            directory.rename(temp_name, &backup).map_err(of_backup)
        };
        let is_placed = placed.is_ok();
        let exchanged = placed.and_then(|()| directory.exchange(&backup, name));
        match (is_placed && exchanged.is_err(), has_earlier) {
            (true, true) => directory.exchange(temp_name, &backup)?,
            (true, false) => directory.rename(&backup, temp_name)?,
            (false, _) => {}
        }
        match exchanged {
            Ok(()) => {
                self.note_made(path, &backup);
                self.tell(path, name, kind);
                if has_earlier {
                    // An unfinished file that cannot be removed now is removed by the next run.
                    let _ = directory.remove(temp_name);
                }
                Ok(())
            }
            Err(CallError { errno: Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP, .. }) => {
                match self.keep_as(path, directory, name, name) {
                    Ok(()) | Err(CallError { errno: Errno::NOENT, .. }) => directory.rename(temp_name, name),
                    Err(error) => Err(error),
                }
            }
            Err(error) => match directory.status(name) {
                // The old entry is gone.
                Err(CallError { errno: Errno::NOENT, .. }) => directory.rename(temp_name, name),
                _ => Err(error),
            },
        }
    }

    /// Makes a copy of a file that is to be written over.
    pub(crate) fn copy(&self, path: &RelPath, directory: &S::Directory, name: &[u8]) -> Result<()> {
        self.copy_as(path, directory, name)?;
        self.tell(path, name, Kind::File);
        Ok(())
    }

    fn tell(&self, path: &RelPath, name: &[u8], kind: Kind) {
        if let Some(told) = &self.on_made {
            told(path.join_bytes(name), kind);
        }
    }

    fn copy_as(&self, path: &RelPath, directory: &S::Directory, name: &[u8]) -> Result<()> {
        let backup = [name, &self.place.suffix].concat();
        let held = self.place.aside.as_ref().map(|aside| self.directory(aside, path)).transpose().map_err(of_backup)?;
        let to = held.as_deref().unwrap_or(directory);
        self.replacing(path, (to, &backup), || self.copy_to((directory, name), (to, &backup)))
    }

    fn copy_to(&self, from: (&S::Directory, &[u8]), to: (&S::Directory, &[u8])) -> Result<()> {
        copy_entry(from, to, &self.names.next(), self.durability)?;
        if self.durability >= Durability::Run {
            // A storage that cannot flush a directory promises nothing of its names.
            let _ = to.0.sync();
        }
        Ok(())
    }

    /// Has all backups on disk that are on another file system than the tree.
    pub(crate) fn sync(&self) -> Result<()> {
        let Some((top, _)) = &self.place.aside else { return Ok(()) };
        if top.device()? == self.root.device()? { Ok(()) } else { top.sync() }
    }

    /// Whether the directory of an entry that is deleted has to stay for its backup.
    pub(crate) fn keeps_beside(&self, name: &[u8]) -> bool {
        self.are_beside() && !self.is_backup(name)
    }

    /// Takes an entry away that is deleted: it becomes a backup, unless it is one. Says whether its directory has to
    /// stay for that.
    pub(crate) fn take(&self, path: &RelPath, directory: &S::Directory, name: &[u8]) -> Result<bool> {
        if self.is_backup(name) {
            // An older backup of this name has given way to the one that this run has made, which must stay.
            let was_replaced = {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                made.1.contains(&made.0.hash_one((path.as_bytes(), name)))
            };
            return if was_replaced { Ok(false) } else { directory.remove(name).map(|()| false) };
        }
        self.keep_as(path, directory, name, name).map(|()| self.are_beside())
    }

    /// Makes the entry `from` of the directory at `path` the backup of `name`, and tells it.
    fn keep_as(&self, path: &RelPath, directory: &S::Directory, from: &[u8], name: &[u8]) -> Result<()> {
        let kind = self.on_made.as_ref().and_then(|_| directory.status(from).ok()).map(|status| status.kind);
        self.move_as(path, directory, from, name)?;
        if let Some(kind) = kind {
            self.tell(path, name, kind);
        }
        Ok(())
    }

    fn move_as(&self, path: &RelPath, directory: &S::Directory, from: &[u8], name: &[u8]) -> Result<()> {
        let backup = [name, &self.place.suffix].concat();
        let Some(aside) = &self.place.aside else {
            self.replacing(path, (directory, &backup), || directory.rename(from, &backup))?;
            self.note_made(path, &backup);
            return Ok(());
        };
        let held = self.directory(aside, path).map_err(of_backup)?;
        let to = (&*held, &backup[..]);
        match self.replacing(path, to, || directory.move_to(from, to)) {
            Err(CallError { errno: Errno::XDEV, .. }) => {
                self.replacing(path, to, || self.copy_to((directory, from), to))?;
                directory.remove(from)
            }
            moved => moved,
        }
    }

    /// Gives a backup its name by `give`. A directory of that name gives way to it.
    fn replacing(
        &self,
        path: &RelPath,
        (holder, backup): (&S::Directory, &[u8]),
        give: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let given = match give() {
            Err(CallError { errno: Errno::ISDIR, .. }) => self.clear(path, holder, backup).and_then(|()| give()),
            given => given,
        };
        given.map_err(of_backup)
    }

    /// Removes a directory that has the name of a backup: in the directory for backups with what it holds, which are
    /// backups of earlier runs; beside originals, where it may be anything, only if it is empty.
    fn clear(&self, path: &RelPath, holder: &S::Directory, backup: &[u8]) -> Result<()> {
        let Some((top, base)) = &self.place.aside else { return holder.remove_directory(backup) };
        let name = Name::new(backup).map_err(|_| Errno::INVAL)?;
        let device = Some(holder.status(b"")?.device);
        let widened = Widened::new(top);
        let mut removal = Removal { widened: Some(&widened), device, ..Removal::default() };
        remove_tree(top, &base.join_path(path).join(name), &mut removal)?;
        removal.failed.first().map_or(Ok(()), |&(_, error)| Err(error))
    }

    fn note_made(&self, path: &RelPath, backup: &[u8]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = made.0.hash_one((path.as_bytes(), backup));
        made.1.insert(hash);
    }

    /// The directory for backups from the directory at `path`, which is made when it is missing.
    fn directory(&self, (top, base): &(S, RelPath), path: &RelPath) -> Result<Arc<S::Directory>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, directory)) = &*held
            && at == path
        {
            return Ok(Arc::clone(directory));
        }
        let full = base.join_path(path);
        let directory = match top.open(&full, Access::Reach) {
            // What is no directory gives way to the directories of backups, too.
            Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => {
                self.make(top, base, path)?;
                top.open(&full, Access::Reach)
            }
            opened => opened,
        };
        let directory = Arc::new(directory?);
        *held = Some((path.clone(), Arc::clone(&directory)));
        Ok(directory)
    }

    /// Makes the directories on the way to backups, with owner, mode and, in a run with ACLs, those of the directories
    /// of the destination that they stand for.
    fn make(&self, top: &S, base: &RelPath, path: &RelPath) -> Result<()> {
        let make = |at: &RelPath, name: Name<'_>, bits| {
            let above = top.open(at, Access::Reach)?;
            match above.make_directory(name.as_bytes(), bits) {
                Err(CallError { errno: Errno::EXIST, .. }) => {}
                made => return made.map(|()| true),
            }
            match top.open(&at.join(name), Access::Reach) {
                Err(CallError { errno: Errno::NOTDIR | Errno::LOOP, .. }) if at.is_within(base) => {
                    above.remove(name.as_bytes())?;
                    above.make_directory(name.as_bytes(), bits).map(|()| true)
                }
                found => found.map(|_| false),
            }
        };
        let mut at = RelPath::root();
        for name in base.components() {
            make(&at, name, 0o777)?;
            at = at.join(name);
        }
        let mut stands_for = RelPath::root();
        for name in path.components() {
            stands_for = stands_for.join(name);
            let is_new = make(&at, name, 0o700)?;
            at = at.join(name);
            if is_new
                && let Ok(found) = self.root.open(&stands_for, Access::Reach)
                && let Ok(like) = found.status(b"")
            {
                let copy = top.open(&at, Access::Read)?;
                let handle = copy.handle();
                let _ = handle.set_owner(Some(like.meta.uid), Some(like.meta.gid));
                let _ = handle.set_mode(like.meta.mode);
                if self.place.keeps_acls {
                    copy_acls(&handle, (&found, b""));
                }
            }
        }
        Ok(())
    }
}

/// Why a backup is not made. A directory in its way must not be reported as one in the way of the entry.
fn of_backup(CallError { errno, .. }: CallError) -> CallError {
    CallError { call: "making the backup", errno: if errno == Errno::ISDIR { Errno::EXIST } else { errno } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::storage::Storage as _;
    use crate::storage::memory::{Body, Call, MemoryStorage, Node, Strike, UNFINISHED};

    /// Replaces `conf` where no hard link can be made, while a call fails. Gives what each name has then.
    fn replaced(earlier: Option<&[u8]>, fails: Option<(&'static str, &[u8], Errno)>) -> (Result<()>, Vec<Vec<u8>>) {
        let names = TempNames::new([1; 8]);
        let temp_name = names.next();
        let top = Node::new(Body::Directory(BTreeMap::new()), 0o755);
        let put = |name: &[u8], content: &[u8]| top.add_link(name, &Node::new(Body::File(content.to_vec()), 0o644));
        put(b"conf", b"old");
        put(&temp_name, b"new");
        if let Some(earlier) = earlier {
            put(b"conf~", earlier);
        }
        let storage = MemoryStorage::new(top);
        let call = |(operation, path, error): (_, &[u8], _)| {
            (Call { operation, path: path.to_vec(), nth: 0 }, Strike::Fail(error))
        };
        storage.faults.begin(fails.map(call));
        let place =
            BackupPlace { aside: None, inside: None, suffix: b"~".to_vec(), deletes_backups: false, keeps_acls: false };
        let backups = Backups::new(&storage, &names, (&place, Durability::None), None);
        let at = storage.open(&RelPath::root(), Access::Read).expect("the top");
        let made = backups.exchange_beside((&RelPath::root(), Kind::File), &at, &temp_name, b"conf");
        assert_eq!(storage.faults.has_struck(), fails.is_some());
        let Body::Directory(entries) = storage.top.look().0 else { unreachable!("the top is a directory") };
        let content = |name: &[u8]| match entries.get(name).map(|node| node.look().0) {
            Some(Body::File(content)) => content,
            _ => Vec::new(),
        };
        (made, [&b"conf"[..], b"conf~", &temp_name].map(content).to_vec())
    }

    #[test]
    fn an_exchange_that_fails_costs_no_earlier_backup() {
        for earlier in [None, Some(&b"earlier"[..])] {
            let kept = earlier.unwrap_or_default();
            let (made, found) = replaced(earlier, Some(("exchange", b"conf", Errno::PERM)));
            assert_eq!(made.map_err(|error| error.errno), Err(Errno::PERM));
            assert_eq!(found, [b"old", kept, b"new"], "{earlier:?}");
        }
        let (made, found) = replaced(Some(b"earlier"), Some(("exchange", b"conf~", Errno::PERM)));
        assert_eq!(made.map_err(|error| error.errno), Err(Errno::PERM));
        assert_eq!(found, [&b"old"[..], b"earlier", b"new"]);
    }

    #[test]
    fn an_earlier_backup_gives_way_once_the_new_entry_is_there() {
        for earlier in [None, Some(&b"earlier"[..])] {
            for fails in [None, Some(("exchange", &b"conf"[..], Errno::INVAL))] {
                let (made, found) = replaced(earlier, fails);
                made.expect("a backup");
                assert_eq!(found, [&b"new"[..], b"old", b""], "{earlier:?}, {fails:?}");
            }
        }
        let (made, found) = replaced(Some(b"earlier"), Some(("exchange", b"conf~", Errno::INVAL)));
        made.expect("a backup");
        assert_eq!(found, [&b"new"[..], b"old", b""]);
        // An unfinished file that stays is removed by the next run.
        let (made, found) = replaced(Some(b"earlier"), Some(("remove", UNFINISHED, Errno::IO)));
        made.expect("a backup");
        assert_eq!(found, [&b"new"[..], b"old", b"earlier"]);
    }
}
