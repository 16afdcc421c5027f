//! Directories whose files are on their way, shared between the receiver's decisions and its writers.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sparsync_proto::session::Expected;
use sparsync_proto::{ContentDigest, Kind, Listing, Meta, RelPath, Time, Xattrs};

use super::budget::WAIT;
use super::session::Session;
use crate::error::{Error, Result};
use crate::storage::{PartialId, Status};

/// A file that was asked for.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "what is known of a file, each apart from the others")]
pub(super) struct Wanted {
    /// The mode of the entry in its place, where there is one.
    pub(super) old_mode: Option<u16>,
    /// The bytes of the file in its place, where there is one.
    pub(super) old_bytes: u64,
    /// A directory is in its place.
    pub(super) old_is_directory: bool,
    /// The name of the partial file that an earlier run kept, and how many verified bytes it has.
    pub(super) resume: Option<(PartialId, u64)>,
    /// The file in its place was offered to the sender, which may ask for its pieces.
    pub(super) has_basis: bool,
    /// The file in its place is written over, and its first bytes, this many, are verified content of the new one.
    pub(super) held_in_place: Option<u64>,
    /// A backup of the entry in its place exists already, so its content is written from the beginning.
    pub(super) is_kept: bool,
    /// The content is that of another file of the destination, which was moved.
    pub(super) is_moved: bool,
    /// Nobody asked for this file. Its content comes all the same, since everything was granted, and is thrown away.
    pub(super) discarded: bool,
}

impl Wanted {
    /// Whether nothing is in its place, no part of it is held, and no other file is its basis.
    fn is_new(&self) -> bool {
        !self.replaces() && self.resume.is_none() && !self.has_basis && !self.is_moved && !self.discarded
    }

    fn replaces(&self) -> bool {
        self.old_mode.is_some() || self.old_is_directory
    }
}

/// Another file than the one in its place that a new one may be made of.
#[derive(Clone, Debug)]
pub(super) struct OlderAt {
    /// The number of the directory to compare with that it is in; none for the file's own directory.
    pub(super) basis: Option<usize>,
    /// Its name there.
    pub(super) name: Vec<u8>,
}

/// A file of the destination that has the content of a new one, if the sender's file has the same digest.
#[derive(Clone, Debug)]
pub(super) struct MovedFrom {
    /// The directory that it is in.
    pub(super) directory: RelPath,
    /// Its name there.
    pub(super) name: Vec<u8>,
    /// How it was when it was hashed.
    pub(super) status: Status,
    /// Its digest.
    pub(super) digest: ContentDigest,
    /// The file is certain to be deleted at the end, unless a call fails: its name need not be kept.
    pub(super) goes: bool,
}

/// A directory with files on their way.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where.
    pub(super) path: RelPath,
    /// The source's listing.
    pub(super) listing: Listing,
    expected: Mutex<Expected<Wanted>>,
    /// The files in whose place something stands, ascending.
    replacing: Vec<u32>,
    /// Files that are made of another file.
    older: HashMap<u32, OlderAt>,
    /// Files that are other ones of the destination, which were moved.
    moved: HashMap<u32, MovedFrom>,
}

impl Incoming {
    /// `wanted` ascends by index.
    pub(super) fn new(path: RelPath, listing: Listing, wanted: &[(u32, Wanted)]) -> Self {
        let replacing = wanted.iter().filter(|(_, wanted)| wanted.replaces()).map(|(index, _)| *index).collect();
        let mut expected = Expected::default();
        for (index, wanted) in wanted {
            expected.add(*index, (!wanted.is_new()).then_some(*wanted));
        }
        Self { path, listing, expected: Mutex::new(expected), replacing, older: HashMap::new(), moved: HashMap::new() }
    }

    /// The same, with some files made of other ones.
    pub(super) fn made_of(self, older: HashMap<u32, OlderAt>, moved: HashMap<u32, MovedFrom>) -> Self {
        Self { older, moved, ..self }
    }

    /// The file that one was before it was moved.
    pub(super) fn moved(&self, index: u32) -> Option<&MovedFrom> {
        self.moved.get(&index)
    }

    /// The other file that one is made of.
    pub(super) fn older(&self, index: u32) -> Option<&OlderAt> {
        self.older.get(&index)
    }

    /// Expects the content of every file but `wanted` too, to throw it away. A peer that was granted everything sends
    /// what was listed; that this side cannot or need not write some of it is no fault of the peer's.
    pub(super) fn discarding_the_rest(self, wanted: &[(u32, Wanted)]) -> Self {
        if wanted.len() < self.listing.len() {
            let mut expected = self.expected();
            for (index, entry) in (0u32..).zip(self.listing.entries()) {
                let travels = entry.kind == Kind::File && self.listing.leader(index as usize).is_none();
                if travels && wanted.binary_search_by_key(&index, |(wanted, _)| *wanted).is_err() {
                    expected.add(index, Some(Wanted { discarded: true, ..Wanted::default() }));
                }
            }
        }
        self
    }

    fn expected(&self) -> MutexGuard<'_, Expected<Wanted>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something stands in the place of a file.
    pub(super) fn replaces(&self, index: u32) -> bool {
        self.replacing.binary_search(&index).is_ok()
    }

    /// Whether the entry in the place of an expected file was offered to the sender as a basis.
    pub(super) fn has_basis(&self, index: u32) -> bool {
        self.expected().known(index).is_some_and(|wanted| wanted.has_basis)
    }

    /// Takes a file off the expected ones. Each can be taken once.
    pub(super) fn take(&self, index: u32) -> Result<Wanted> {
        let known = self.expected().take(index).ok_or_else(|| {
            Error::protocol("content of a file that was not asked for").at(self.path.as_bytes()).remote()
        })?;
        Ok(known.unwrap_or_default())
    }

    /// The path of a file.
    pub(super) fn path_of(&self, index: u32) -> Vec<u8> {
        let name = self.file(index).map(|(name, _, _)| name).unwrap_or_default();
        self.path.join_bytes(name)
    }

    /// The extended attributes of a file, if it has any.
    pub(super) fn xattrs(&self, index: u32) -> Option<&Xattrs> {
        self.listing.xattrs(index as usize)
    }

    /// When a file was last read, where the run carries that.
    pub(super) fn atime(&self, index: u32) -> Option<Time> {
        self.listing.atime(index as usize)
    }

    /// The name and attributes of a file.
    pub(super) fn file(&self, index: u32) -> Option<(&[u8], &Meta, u64)> {
        let entry = self.listing.get(index as usize)?;
        Some((self.listing.name(entry), &entry.meta, entry.size))
    }
}

#[derive(Default)]
struct State {
    incoming: HashMap<u32, Arc<Incoming>>,
    /// Directories below this number have been decided upon, when everything was granted.
    decided_below: u32,
    files: u64,
}

/// All directories with files on their way.
#[derive(Default)]
pub(super) struct Directories {
    state: Mutex<State>,
    changed: Condvar,
}

impl Directories {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Expects the wanted files of a directory.
    pub(super) fn expect(&self, number: u32, incoming: Incoming) {
        let files = incoming.expected().len();
        if files > 0 {
            let mut state = self.lock();
            state.files += files as u64;
            state.incoming.insert(number, Arc::new(incoming));
        }
    }

    /// Says that every directory below `number` has been decided upon.
    pub(super) fn decided(&self, number: u32) {
        self.lock().decided_below = number;
        self.changed.notify_all();
    }

    /// The directory `number`; waits for it while its listing may still be on its way.
    pub(super) fn get(&self, number: u32, session: &Session) -> Result<Arc<Incoming>> {
        let mut state = self.lock();
        loop {
            if let Some(incoming) = state.incoming.get(&number) {
                return Ok(Arc::clone(incoming));
            }
            if number < state.decided_below {
                return Err(Error::protocol(format!("content of directory {number} that was not asked for")).remote());
            }
            session.check()?;
            state = self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Says that a file which was taken is done with, well or not.
    pub(super) fn done(&self, number: u32, incoming: &Incoming) {
        let finished = incoming.expected().is_empty();
        let mut state = self.lock();
        if finished {
            state.incoming.remove(&number);
        }
        state.files -= 1;
        if state.files == 0 {
            self.changed.notify_all();
        }
    }

    /// Files that are on their way, or written and not yet named.
    pub(super) fn files_left(&self) -> u64 {
        self.lock().files
    }

    /// Waits until no file is on its way.
    pub(super) fn wait_until_done(&self, session: &Session) -> Result<()> {
        let mut state = self.lock();
        while state.files > 0 {
            session.check()?;
            state = self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        session.check()
    }
}
