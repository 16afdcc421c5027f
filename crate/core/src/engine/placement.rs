//! The ways of putting a new entry in place.
//!
//! An entry is begun, and then committed or discarded. Here alone is decided what it is called meanwhile, so another
//! way of putting entries in place is another variant, and nobody else learns of it.

use std::sync::Arc;

use sparsync_proto::{Counter, RelPath};

use super::unset::Unset;
use crate::storage::{Access, CallError, Errno, Result, WriteDirectory, WriteStorage, copy_content};

/// A way of putting a new entry in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// The entry is made beside its target under a temporary name, and renamed when it is complete. A path holds its
    /// old or its whole new content at any instant.
    Rename,
    /// The entry is made in the same way, and gets its name with the deletions, because a directory gives way to it.
    Delayed,
    /// The entry is made in the same way, and gets its name when all content has come.
    Last,
    /// The file that has the name already is written over.
    InPlace,
}

impl Placement {
    /// The placement of an entry, which depends on whether it takes the place of a directory.
    pub(super) fn over(old_is_directory: bool) -> Self {
        if old_is_directory { Self::Delayed } else { Self::Rename }
    }
}

/// An entry that has not got its name.
#[derive(Debug)]
pub(super) struct Unplaced<D> {
    directory: Arc<D>,
    /// The directory that the entry is in until its content is complete, if that is another one.
    staged: Option<Arc<D>>,
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
    /// Begins a file, in another directory if there is one for that. `bits` are the permissions that it is made with.
    pub(super) fn file(
        placement: Placement,
        (directory, staging): (&Arc<D>, Option<&Arc<D>>),
        temp_name: Vec<u8>,
        bits: u16,
    ) -> Result<(Self, D::File)> {
        let file = staging.unwrap_or(directory).create_file(&temp_name, bits)?;
        let staged = staging.cloned();
        Ok((Self { directory: Arc::clone(directory), staged, temp_name, placement }, file))
    }

    /// Begins to write over a file.
    pub(super) fn in_place(directory: &Arc<D>, name: &[u8], may_be_linked: bool) -> Result<(Self, D::File)> {
        let file = directory.open_in_place(name, may_be_linked)?;
        let (directory, temp_name) = (Arc::clone(directory), name.to_vec());
        Ok((Self { directory, staged: None, temp_name, placement: Placement::InPlace }, file))
    }

    /// Goes on with the part of a file that an earlier run kept.
    pub(super) fn kept_part(
        placement: Placement,
        (directory, staging): (&Arc<D>, Option<&Arc<D>>),
        kept_as: Vec<u8>,
    ) -> Result<(Self, D::File)> {
        let file = staging.unwrap_or(directory).reopen_file(&kept_as)?;
        let staged = staging.cloned();
        Ok((Self { directory: Arc::clone(directory), staged, temp_name: kept_as, placement }, file))
    }

    /// Makes an entry that needs no content.
    pub(super) fn make(
        placement: Placement,
        directory: &Arc<D>,
        temp_name: Vec<u8>,
        make: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Result<Self> {
        make(&temp_name)?;
        Ok(Self { directory: Arc::clone(directory), staged: None, temp_name, placement })
    }

    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Arc<D> {
        &self.directory
    }

    /// How it comes to have its name.
    pub(super) fn placement(&self) -> Placement {
        self.placement
    }

    /// Brings the file, whose content is complete, into the directory of its name. On another file system it becomes a
    /// copy of the content, made with `bits`; its attributes and the flush come after that. Gives that copy.
    pub(super) fn bring(&mut self, file: &D::File, bits: u16) -> Result<Option<D::File>> {
        let Some(staged) = &self.staged else { return Ok(None) };
        let copied = match staged.move_to(&self.temp_name, (&*self.directory, &self.temp_name)) {
            Err(CallError { errno: Errno::XDEV, .. }) => {
                let copy = self.directory.create_file(&self.temp_name, bits)?;
                if let Err(error) = copy_content(file, &copy) {
                    let _ = self.directory.remove(&self.temp_name);
                    return Err(error);
                }
                let _ = staged.remove(&self.temp_name);
                Some(copy)
            }
            moved => moved.map(|()| None)?,
        };
        self.staged = None;
        Ok(copied)
    }

    /// Replaces the temporary entry by the one that `make` creates beside it under another temporary name, and removes
    /// the old one.
    pub(super) fn instead(&mut self, make: impl FnOnce(&D) -> Result<Vec<u8>>) -> Result<()> {
        let holder = self.staged.as_ref().unwrap_or(&self.directory);
        let before = std::mem::replace(&mut self.temp_name, make(holder)?);
        let _ = holder.remove(&before);
        Ok(())
    }

    /// The name that it has meanwhile.
    pub(super) fn temp_name(&self) -> &[u8] {
        &self.temp_name
    }

    /// Gives a complete entry its name, by `put`. If that fails, the entry is discarded; [`Errno::ISDIR`] says that a
    /// directory stands there, which this run has not seen and does not remove.
    pub(super) fn commit(self, name: &[u8], put: impl FnOnce(&D, &[u8], &[u8]) -> Result<()>) -> Result<Committed> {
        match self.placement {
            Placement::Rename => match put(&self.directory, &self.temp_name, name) {
                Ok(()) => Ok(Committed::Placed),
                Err(error) => {
                    self.discard();
                    Err(error)
                }
            },
            Placement::InPlace => Ok(Committed::Placed),
            Placement::Delayed | Placement::Last => Ok(Committed::Waits(self.temp_name)),
        }
    }

    /// Removes it. Should that fail, a later run sweeps it.
    pub(super) fn discard(self) {
        if self.placement == Placement::InPlace {
            // A file that is written over has lost its old content already; removing it would lose the rest as well.
            return;
        }
        let _ = self.staged.as_ref().unwrap_or(&self.directory).remove(&self.temp_name);
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
    /// The counter that is raised when the entry has its name.
    pub(super) counter: Counter,
    /// The attributes that could not be set on it.
    pub(super) unset: Unset,
    /// A directory gives way to it.
    pub(super) replaces_directory: bool,
}

/// The entry that was in the place of a delayed one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Displaced {
    /// There was none, or it was replaced.
    Gone,
    /// A directory, which now has the entry's temporary name.
    Directory,
}

impl Delayed {
    /// The path that it is to have.
    pub(super) fn path(&self) -> Vec<u8> {
        self.directory.join_bytes(&self.name)
    }

    /// Gives the entry its name. A directory of that name is exchanged with it, and so not lost. If that fails, the
    /// entry is discarded.
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
