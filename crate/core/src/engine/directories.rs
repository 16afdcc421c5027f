//! Directories whose files are on their way, shared between the receiver's decisions and its writers.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sparsync_proto::{Kind, Listing, Meta, RelPath};

use super::budget::WAIT;
use super::session::Session;
use crate::error::{Error, Result};
use crate::storage::PartialId;

/// A file that was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The mode of what stands in its place, where something does.
    pub(super) old_mode: Option<u16>,
    /// A directory stands in its place.
    pub(super) old_is_directory: bool,
    /// The part of it that an earlier run kept has this name, and as many verified bytes.
    pub(super) resume: Option<(PartialId, u64)>,
    /// Nobody asked for it, and it comes all the same, since everything was granted: its content is thrown away.
    pub(super) discarded: bool,
}

impl Wanted {
    /// Nothing stands in its place, and nothing of it is held.
    fn is_new(&self) -> bool {
        !self.replaces() && self.resume.is_none() && !self.discarded
    }

    fn replaces(&self) -> bool {
        self.old_mode.is_some() || self.old_is_directory
    }
}

/// A directory with files on their way.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where.
    pub(super) path: RelPath,
    /// The source's listing.
    pub(super) listing: Listing,
    expected: Mutex<Expected>,
    /// The files in whose place something stands, ascending.
    replacing: Vec<u32>,
}

/// The files that have not come yet. A first sync has all files of a tree here, most of them new: a bit each.
#[derive(Debug, Default)]
struct Expected {
    /// How many.
    files: usize,
    /// New files, by index.
    new: Vec<u64>,
    /// Files of which there is more to say.
    others: HashMap<u32, Wanted>,
}

impl Expected {
    fn add(&mut self, index: u32, wanted: Wanted) {
        self.files += 1;
        if wanted.is_new() {
            let (word, bit) = (index as usize / 64, index % 64);
            if word >= self.new.len() {
                self.new.resize(word + 1, 0);
            }
            self.new[word] |= 1 << bit;
        } else {
            self.others.insert(index, wanted);
        }
    }

    fn holds(&self, index: u32) -> bool {
        let is_new = self.new.get(index as usize / 64).is_some_and(|word| word & (1 << (index % 64)) != 0);
        is_new || self.others.contains_key(&index)
    }

    fn take(&mut self, index: u32) -> Option<Wanted> {
        let wanted = match self.new.get_mut(index as usize / 64) {
            Some(word) if *word & (1 << (index % 64)) != 0 => {
                *word &= !(1 << (index % 64));
                Wanted::default()
            }
            _ => self.others.remove(&index)?,
        };
        self.files -= 1;
        Some(wanted)
    }
}

impl Incoming {
    /// `wanted` ascends by index.
    pub(super) fn new(path: RelPath, listing: Listing, wanted: &[(u32, Wanted)]) -> Self {
        let replacing = wanted.iter().filter(|(_, wanted)| wanted.replaces()).map(|(index, _)| *index).collect();
        let mut expected = Expected::default();
        for (index, wanted) in wanted {
            expected.add(*index, *wanted);
        }
        Self { path, listing, expected: Mutex::new(expected), replacing }
    }

    /// Expects the content of every other file too, to throw it away. A peer that was granted everything sends what was
    /// listed; what this side then found it cannot or need not write is no fault of the peer's.
    pub(super) fn discarding_the_rest(self) -> Self {
        let mut expected = self.expected();
        if expected.files == self.listing.len() {
            drop(expected);
            return self;
        }
        for (index, entry) in (0u32..).zip(self.listing.entries()) {
            if entry.kind == Kind::File && !expected.holds(index) {
                expected.add(index, Wanted { discarded: true, ..Wanted::default() });
            }
        }
        drop(expected);
        self
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something stands in the place of a file.
    pub(super) fn replaces(&self, index: u32) -> bool {
        self.replacing.binary_search(&index).is_ok()
    }

    /// Takes a file off what is expected; each can be taken once.
    pub(super) fn take(&self, index: u32) -> Result<Wanted> {
        self.expected().take(index).ok_or_else(|| {
            Error::protocol("content of a file that was not asked for").at(self.path.as_bytes()).remote()
        })
    }

    /// The path and attributes of a file.
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
        let files = incoming.expected().files;
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
        let finished = incoming.expected().files == 0;
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

#[cfg(test)]
mod tests {
    use sparsync_proto::{Listing, RelPath};

    use super::{Incoming, Wanted};

    #[test]
    fn each_file_is_taken_once_with_what_was_known_of_it() {
        let old = Wanted { old_mode: Some(0o600), ..Wanted::default() };
        let wanted = [(0, Wanted::default()), (63, old), (64, Wanted::default()), (1000, old)];
        let incoming = Incoming::new(RelPath::root(), Listing::new(), &wanted);
        assert_eq!([0, 63, 64, 1000].map(|index| incoming.replaces(index)), [false, true, false, true]);
        for index in [1, 62, 65, 999, 1001, u32::MAX] {
            assert!(incoming.take(index).is_err(), "{index} was not asked for");
        }
        for (index, wanted) in wanted {
            assert_eq!(incoming.take(index).expect("expected").old_mode, wanted.old_mode);
            assert!(incoming.take(index).is_err(), "{index} twice");
        }
        assert_eq!(incoming.expected().files, 0);
    }
}
