//! Files that were moved: a new one is taken from one that is deleted and has its content. What a directory lacks is
//! asked for when both walks have ended, because only then is known what is deleted.

use std::collections::{HashMap, HashSet, VecDeque};

use sparsync_proto::{Basis, Kind, Listing, Phase, RelPath, Resume, Xattrs};

use super::make::held;
use super::older::Older;
use super::{Extra, Receiver};
use crate::engine::budget::PUT_OFF_MAX;
use crate::engine::directories::{MovedFrom, Wanted};
use crate::engine::writer::Writing;
use crate::error::Result;
use crate::storage::{Access, Directory as _, File as _, Removal, Status, WriteStorage, hash_prefix, remove_tree};

/// The most files of one directory that are told as held: the question must fit into a frame.
const MOVED_MAX: usize = 16_000;

/// Directories whose files are asked for at the end.
#[derive(Default)]
pub(super) struct Moves {
    put_off: Vec<PutOff>,
    weight: usize,
    /// Files that were given away, and the entries of the directories that lose one.
    given: Vec<RelPath>,
    below: HashMap<RelPath, Below>,
}

impl Moves {
    /// How many there are.
    pub(super) fn put_off(&self) -> usize {
        self.put_off.len()
    }
}

/// The content that a directory lacks, whose question is put off.
pub(super) struct PutOff {
    pub(super) number: u32,
    pub(super) path: RelPath,
    pub(super) listing: Listing,
    pub(super) wanted: Vec<(u32, Wanted)>,
    pub(super) resume: Vec<Resume>,
    pub(super) bases: Vec<Basis>,
    pub(super) older: Older,
}

impl PutOff {
    /// Notes the destination's file that a new one was moved from.
    fn take(&mut self, index: u32, from: MovedFrom) {
        let Ok(at) = self.wanted.binary_search_by_key(&index, |(index, _)| *index) else { return };
        let wanted = &mut self.wanted[at].1;
        wanted.is_moved = true;
        wanted.has_basis = false;
        self.older.found.remove(&index);
        self.resume.push(Resume { index, bytes: from.status.size, digest: from.digest });
        self.older.moved.insert(index, from);
    }
}

/// What two files must have in common before either is read: their length and the seconds of their time.
type Key = (u64, i64);

fn key_of(status: &Status) -> Key {
    (status.size, status.meta.mtime.seconds)
}

/// The length and time of a file for which the destination has no entry.
fn new_file(listing: &Listing, (index, wanted): &(u32, Wanted)) -> Option<Key> {
    let is_held = wanted.resume.is_some() || wanted.held_in_place.is_some() || wanted.discarded;
    let entry = listing.get(*index as usize)?;
    let is_new = wanted.old_mode.is_none() && !wanted.old_is_directory && !is_held;
    (is_new && entry.kind == Kind::File && entry.size > 0).then_some((entry.size, entry.meta.mtime.seconds))
}

/// For each directory that was put off, its files by index, each with the deleted file that it may have been.
type Pairs = Vec<Vec<(u32, Gone)>>;

/// A file that is deleted.
struct Gone {
    path: RelPath,
    status: Status,
}

impl Gone {
    fn name(&self) -> Vec<u8> {
        self.path.split_last().map(|(_, name)| name.as_bytes().to_vec()).unwrap_or_default()
    }
}

/// Files that are deleted, by length and time; each can become only one new file.
#[derive(Default)]
struct ToGive {
    all: Vec<Option<Gone>>,
    named: HashMap<(Key, Vec<u8>), VecDeque<usize>>,
    others: HashMap<Key, VecDeque<usize>>,
}

impl ToGive {
    fn of(mut gone: Vec<Gone>) -> Self {
        let mut to_give = Self::default();
        gone.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for (at, gone) in gone.into_iter().enumerate() {
            let key = key_of(&gone.status);
            to_give.named.entry((key, gone.name())).or_default().push_back(at);
            to_give.others.entry(key).or_default().push_back(at);
            to_give.all.push(Some(gone));
        }
        to_give
    }

    /// The first file of this length, time and name.
    fn named(&mut self, key: Key, name: &[u8]) -> Option<Gone> {
        next(self.named.get_mut(&(key, name.to_vec()))?, &mut self.all)
    }

    /// The first file of this length and time.
    fn other(&mut self, key: Key) -> Option<Gone> {
        next(self.others.get_mut(&key)?, &mut self.all)
    }
}

fn next(of: &mut VecDeque<usize>, all: &mut [Option<Gone>]) -> Option<Gone> {
    std::iter::from_fn(|| of.pop_front()).find_map(|at| all.get_mut(at)?.take())
}

/// The entries of a directory that are deleted.
#[derive(Default)]
struct Below {
    /// Entries that are no directories.
    entries: u64,
    /// The directory itself is deleted.
    is_deleted: bool,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Asks for the content that a directory lacks, or puts the question off.
    pub(super) fn ask_now_or_later(&mut self, all: PutOff, xattrs: &Xattrs) -> Result<()> {
        if self.may_be_moved(&all) {
            let weight = self.moves.weight + all.listing.weight(&all.path, xattrs);
            if weight <= PUT_OFF_MAX {
                self.moves.weight = weight;
                self.moves.put_off.push(all);
                return Ok(());
            }
        }
        let PutOff { number, path, listing, wanted, resume, bases, older } = all;
        self.want(number, path, listing, &wanted, (resume, bases, older))
    }

    /// Whether files of a directory are asked for only at the end, because they may have been moved.
    fn may_be_moved(&self, PutOff { listing, wanted, .. }: &PutOff) -> bool {
        self.options.writes.detects_renames
            && !self.machine.grants_all()
            && !self.is_single()
            && wanted.iter().any(|wanted| new_file(listing, wanted).is_some())
    }

    /// Asks for the files that were put off, now that all deletions are known.
    pub(super) fn ask_for_put_off(&mut self) -> Result<()> {
        let mut all = std::mem::take(&mut self.moves.put_off);
        if all.is_empty() {
            return Ok(());
        }
        self.clock.enter(Phase::compare);
        let (mut moved, is_sure) = self.moved(&all)?;
        // On these conditions a deleted file may lose its name at once: only a failing call would keep it, and no later
        // step looks at it.
        let goes = is_sure
            && self.backups().is_none()
            && self.options.deletion.max.is_none()
            && self.source_names.is_none()
            && self.options.writes.missing.is_empty()
            && self.options.stamps.is_none();
        for (put_off, moved) in all.iter_mut().zip(&mut moved) {
            for (index, gone) in std::mem::take(moved) {
                self.session.check()?;
                self.session.worked(1);
                if let Some(from) = self.hashed(&gone, goes) {
                    put_off.take(index, from);
                }
            }
        }
        for PutOff { number, path, listing, wanted, mut resume, mut bases, older } in all {
            resume.sort_unstable_by_key(|resume| resume.index);
            bases.retain(|basis| !older.moved.contains_key(&basis.index));
            self.want(number, path, listing, &wanted, (resume, bases, older))?;
        }
        Ok(())
    }

    /// For each directory that was put off, its files with the deleted ones that they may have been; none where nothing
    /// is deleted. Gives, too, whether the guard lets all deletions pass even if no file was moved.
    fn moved(&mut self, all: &[PutOff]) -> Result<(Pairs, bool)> {
        let mut pairs: Pairs = all.iter().map(|_| Vec::new()).collect();
        let deletion = self.options.deletion;
        if self.source_errors > 0 && !deletion.ignore_errors {
            return Ok((pairs, false));
        }
        let is_sure = deletion.allow_mass || self.guard.verdict().is_none();
        let (gone, below) = self.gone(all)?;
        self.moves.below = below;
        let mut to_give = ToGive::of(gone);
        // A file is more often moved to another directory than given another name.
        for by_name in [true, false] {
            for (put_off, pairs) in all.iter().zip(&mut pairs) {
                let named = pairs.len();
                for wanted in &put_off.wanted {
                    let index = wanted.0;
                    let Some(key) = new_file(&put_off.listing, wanted) else { continue };
                    let is_taken = pairs[..named].binary_search_by_key(&index, |(index, _)| *index).is_ok();
                    if is_taken || pairs.len() == MOVED_MAX {
                        continue;
                    }
                    let name = put_off.listing.get(index as usize).map(|entry| put_off.listing.name(entry));
                    let found = if by_name { to_give.named(key, name.unwrap_or_default()) } else { to_give.other(key) };
                    pairs.extend(found.map(|gone| (index, gone)));
                }
            }
        }
        self.moves.given = pairs.iter().flatten().map(|(_, gone)| gone.path.clone()).collect();
        self.count_moved(|_| true);
        let is_refused = !is_sure && self.guard.verdict().is_some();
        if is_refused || self.lost_source(&[]).is_some() {
            self.count_moved(|_| false);
            pairs.iter_mut().for_each(Vec::clear);
        }
        Ok((pairs, is_sure))
    }

    /// Tells the guard which of the files that were given away are kept, and with them directories that lose no other
    /// entry.
    fn count_moved(&mut self, is_kept: impl Fn(&RelPath) -> bool) {
        self.guard.forget_moved();
        let mut kept: HashMap<RelPath, u64> = HashMap::new();
        for path in self.moves.given.iter().filter(|path| is_kept(path)) {
            self.guard.moved(path);
            let Some((above, _)) = path.split_last() else { continue };
            let Some(below) = self.moves.below.get(&above).filter(|below| below.is_deleted) else { continue };
            let count = kept.entry(above.clone()).or_default();
            *count += 1;
            if *count == below.entries {
                self.guard.moved(&above);
            }
        }
    }

    /// Takes back from the guard the moves that it was told of and that were not made.
    pub(super) fn settle_moves(&mut self) {
        if self.moves.given.is_empty() {
            return;
        }
        let taken = self.writing.map(Writing::take_moved).unwrap_or_default();
        self.count_moved(|path| taken.contains(path.as_bytes()));
    }

    /// The deleted files that may be new ones, and the entries of the directories that lose one.
    fn gone(&self, all: &[PutOff]) -> Result<(Vec<Gone>, HashMap<RelPath, Below>)> {
        let new = |put_off: &'_ PutOff| {
            put_off.wanted.iter().filter_map(|wanted| new_file(&put_off.listing, wanted)).collect::<Vec<_>>()
        };
        let sought: HashSet<Key> = all.iter().flat_map(new).collect();
        let (mut gone, mut below) = (Vec::new(), HashMap::<RelPath, Below>::new());
        let Some(root) = &self.destination.root else { return Ok((gone, below)) };
        let mut parent = None;
        let stop = || self.session.is_over();
        for Extra { path, in_force, .. } in &self.extras {
            let mut look = |path: &[u8], kind: Kind| {
                let Ok(path) = RelPath::new(path) else { return };
                let Some((above, name)) = path.split_last() else { return };
                if kind == Kind::Directory {
                    below.entry(path).or_default().is_deleted = true;
                    return;
                }
                let status = held(&mut parent, Some(root), &above).and_then(|above| above.status(name.as_bytes()));
                below.entry(above).or_default().entries += 1;
                // An entry that cannot be looked at counts as missing.
                gone.extend(
                    status
                        .ok()
                        .filter(|found| kind == Kind::File && sought.contains(&key_of(found)))
                        .map(|status| Gone { path: path.clone(), status }),
                );
            };
            let mut removal = Removal {
                dry_run: true,
                judge: Some(&self.options.judge),
                in_force: in_force.clone(),
                device: self.top_device.filter(|_| self.options.one_file_system),
                backups: self.backups(),
                on_removed: Some(&mut look),
                stop: Some(&stop),
                widened: self.widened(),
                ..Removal::default()
            };
            let _ = remove_tree(root, path, &mut removal);
            self.session.worked(1);
        }
        self.session.check()?;
        Ok((gone, below))
    }

    /// Hashes a file that is deleted; none where that fails, or the file changes meanwhile.
    fn hashed(&mut self, gone: &Gone, goes: bool) -> Option<MovedFrom> {
        let (directory, name) = gone.path.split_last()?;
        let root = self.destination.root.as_ref()?;
        let file = root.open(&directory, Access::Reach).ok()?.open_own_file(0, name.as_bytes()).ok()?;
        if self.options.open_noatime {
            file.keep_access_time();
        }
        let status = file.status().ok()?;
        self.clock.enter(Phase::hash);
        let hashed = self.session.long_work(|| hash_prefix(&file, status.size));
        self.clock.enter(Phase::compare);
        let digest = *hashed.ok()??.finalize().as_bytes();
        let after = file.status().ok()?;
        let (name, goes) = (name.as_bytes().to_vec(), goes && status.links == 1);
        let from = MovedFrom { directory, name, status, digest, goes };
        (gone.status.is_same(&from.status) && after.is_untouched(&from.status)).then_some(from)
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::{Kind, Meta, RelPath, Time};

    use super::{Gone, ToGive};
    use crate::storage::{Stamp, Status};

    fn gone(path: &str, size: u64) -> Gone {
        let meta = Meta { mtime: Time { seconds: 7, nanos: 0 }, ..Meta::default() };
        let status = Status {
            kind: Kind::File,
            meta,
            size,
            rdev: sparsync_proto::Device::default(),
            stamp: Stamp::default(),
            device: 1,
            links: 1,
            is_mount_point: None,
        };
        Gone { path: RelPath::new(path.as_bytes()).unwrap(), status }
    }

    #[test]
    fn a_file_is_given_once_and_the_one_of_its_name_first() {
        let mut to_give = ToGive::of(vec![gone("b/x", 9), gone("a/y", 9), gone("a/x", 9), gone("a/z", 8)]);
        let mut named = |name: &str| to_give.named((9, 7), name.as_bytes()).map(|gone| gone.path.into_bytes());
        assert_eq!(named("x"), Some(b"a/x".to_vec()));
        assert_eq!(named("x"), Some(b"b/x".to_vec()));
        assert_eq!((named("x"), named("z")), (None, None));
        let mut other = |size| to_give.other((size, 7)).map(|gone| gone.path.into_bytes());
        assert_eq!((other(9), other(9), other(7)), (Some(b"a/y".to_vec()), None, None));
        assert_eq!(to_give.other((8, 6)).map(|gone| gone.path.into_bytes()), None);
    }
}
