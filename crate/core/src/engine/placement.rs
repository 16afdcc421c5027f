//! How a new entry comes to stand under its name.
//!
//! An entry is begun, and then committed or discarded. Here alone is decided what it is called meanwhile, so another way
//! of putting entries in place is another variant, and nobody else learns of it.

use std::sync::Arc;

use sparsync_proto::{Counter, RelPath};

use super::unset::Unset;
use crate::storage::{Access, CallError, Errno, Result, WriteDirectory, WriteStorage};

/// A way of putting a new entry in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// It is made beside its target under a temporary name, and renamed when it is complete. A path holds its old or its
    /// whole new content at any instant.
    Rename,
    /// It is made in the same way, and gets its name with the deletions, because a directory gives way to it.
    Delayed,
}

impl Placement {
    /// The way for an entry that takes the place of a directory, or does not.
    pub(super) fn over(old_is_directory: bool) -> Self {
        if old_is_directory { Self::Delayed } else { Self::Rename }
    }
}

/// An entry that has not got its name.
#[derive(Debug)]
pub(super) struct Unplaced<D> {
    directory: Arc<D>,
    temp_name: Vec<u8>,
    placement: Placement,
}

/// How an entry was committed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It has its name.
    Placed,
    /// It gets its name later, from this temporary one.
    Waits(Vec<u8>),
}

impl<D: WriteDirectory> Unplaced<D> {
    /// Begins a file; `bits` is what its permissions start from.
    pub(super) fn file(
        placement: Placement,
        directory: &Arc<D>,
        temp_name: Vec<u8>,
        bits: u16,
    ) -> Result<(Self, D::File)> {
        let file = directory.create_file(&temp_name, bits)?;
        Ok((Self { directory: Arc::clone(directory), temp_name, placement }, file))
    }

    /// Goes on with the part of a file that an earlier run kept.
    pub(super) fn kept_part(placement: Placement, directory: &Arc<D>, kept_as: Vec<u8>) -> Result<(Self, D::File)> {
        let file = directory.reopen_file(&kept_as)?;
        Ok((Self { directory: Arc::clone(directory), temp_name: kept_as, placement }, file))
    }

    /// Makes an entry that needs no content.
    pub(super) fn make(
        placement: Placement,
        directory: &Arc<D>,
        temp_name: Vec<u8>,
        make: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<Self> {
        make(&temp_name)?;
        Ok(Self { directory: Arc::clone(directory), temp_name, placement })
    }

    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Arc<D> {
        &self.directory
    }

    /// The name that it has meanwhile.
    pub(super) fn temp_name(&self) -> &[u8] {
        &self.temp_name
    }

    /// Gives a complete entry its name. Where that fails it is discarded; [`Errno::ISDIR`] says that a directory stands
    /// there, which this run has not seen and does not remove.
    pub(super) fn commit(self, name: &[u8]) -> Result<Committed> {
        match self.placement {
            Placement::Rename => match self.directory.rename(&self.temp_name, name) {
                Ok(()) => Ok(Committed::Placed),
                Err(error) => {
                    self.discard();
                    Err(error)
                }
            },
            Placement::Delayed => Ok(Committed::Waits(self.temp_name)),
        }
    }

    /// Removes it. Should that fail, a later run sweeps it.
    pub(super) fn discard(self) {
        let _ = self.directory.remove(&self.temp_name);
    }
}

/// A complete entry that gets its name with the deletions.
#[derive(Debug)]
pub(super) struct Delayed {
    /// The directory that it is in.
    pub(super) directory: RelPath,
    /// The name that it has meanwhile.
    pub(super) temp_name: Vec<u8>,
    /// The name that it is to have.
    pub(super) name: Vec<u8>,
    /// What it counts as when it has its name.
    pub(super) counter: Counter,
    /// What could not be set on it.
    pub(super) unset: Unset,
}

/// What stood where a delayed entry was put.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Displaced {
    /// Nothing, or something that was replaced.
    Gone,
    /// A directory, which now has the entry's temporary name.
    Directory,
}

impl Delayed {
    /// The path that it is to have.
    pub(super) fn path(&self) -> Vec<u8> {
        self.directory.join_bytes(&self.name)
    }

    /// Gives it its name. A directory of that name is exchanged, not lost. Where that fails it is discarded.
    pub(super) fn place(&self, root: &impl WriteStorage) -> Result<Displaced> {
        let directory = root.open(&self.directory, Access::Reach)?;
        let placed = match directory.rename(&self.temp_name, &self.name) {
            Ok(()) => Ok(Displaced::Gone),
            Err(CallError { errno: Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY, .. }) => {
                directory.exchange(&self.temp_name, &self.name).map(|()| Displaced::Directory)
            }
            Err(error) => Err(error),
        };
        if placed.is_err() {
            let _ = directory.remove(&self.temp_name);
        }
        placed
    }

    /// Removes it. Should that fail, a later run sweeps it.
    pub(super) fn discard(&self, root: &impl WriteStorage) {
        let _ = root.open(&self.directory, Access::Reach).and_then(|directory| directory.remove(&self.temp_name));
    }
}
