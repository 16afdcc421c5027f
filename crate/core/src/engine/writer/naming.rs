//! Gives complete files their names, as durably as was asked for.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sparsync_proto::pack::FileId;
use sparsync_proto::{Counter, Durability, IssueKind, Phase};

use super::{LaneWriter, Writing};
use crate::engine::directories::Incoming;
use crate::engine::placement::{Committed, Delayed, Placement, Unplaced};
use crate::engine::unset::Unset;
use crate::error::{Error, Result};
use crate::storage::{self, CallError, Errno, FlushCount, WriteDirectory, WriteFile, WriteStorage};

/// The most files that wait for one flush, and the most directories that they may be in: each holds a descriptor.
const UNFLUSHED_FILES_MAX: usize = 1000;
const UNFLUSHED_DIRECTORIES_MAX: usize = 64;

/// As many files are flushed one by one; with more, their whole storage is flushed.
const FLUSHED_SINGLY_MAX: usize = 8;

/// A file that is complete and waits to get its name.
pub(super) struct Unnamed<D: WriteDirectory> {
    pub(super) incoming: Arc<Incoming>,
    pub(super) file: FileId,
    pub(super) unplaced: Unplaced<D>,
    /// The open file, kept for the first few so that they can be flushed one by one.
    pub(super) open: Option<D::File>,
    /// The attributes that could not be set, which are told when the file has its name.
    pub(super) unset: Unset,
}

impl<D: WriteDirectory> Unnamed<D> {
    /// Closes the open file. Where that fails, not all of the content may be there.
    fn close(&mut self) -> storage::Result<()> {
        self.open.take().map_or(Ok(()), WriteFile::close)
    }

    pub(super) fn discard(self) {
        drop(self.open);
        self.unplaced.discard();
    }
}

/// The flushes of all lanes. One serves every lane that asked before it began, so no lane waits for more than the one
/// under way and the next.
#[derive(Debug, Default)]
pub(in crate::engine) struct LaneFlushes {
    count: Mutex<FlushCount>,
    over: Condvar,
}

impl LaneFlushes {
    /// Waits for a flush that begins from now on, and makes it where no other lane does. Fails if that has failed, or
    /// one since the `last` that this lane has waited for.
    fn flush(&self, last: &mut u64, sync: impl Fn() -> storage::Result<()>) -> storage::Result<()> {
        let mut count = self.count();
        let mine = count.next();
        while count.ended() < mine {
            if count.is_under_way() {
                count = self.over.wait(count).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            count.begin();
            drop(count);
            let synced = sync();
            count = self.count();
            count.end(synced);
            self.over.notify_all();
        }
        count.since(std::mem::replace(last, count.ended()))
    }

    fn count(&self) -> MutexGuard<'_, FlushCount> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: WriteStorage> LaneWriter<'_, S> {
    /// Takes a file whose content and attributes are complete.
    pub(super) fn complete(&mut self, mut unnamed: Unnamed<S::Directory>) -> Result<()> {
        self.clock.enter(Phase::rename);
        match self.writing.durability {
            Durability::None => self.name(unnamed),
            // The flush that files share is one of the top's file system.
            Durability::Run if !self.current.as_ref().is_some_and(|current| current.is_elsewhere) => {
                if self.unnamed.len() >= FLUSHED_SINGLY_MAX
                    && let Err(error) = unnamed.close()
                {
                    return self.not_flushed(unnamed, error);
                }
                self.unnamed.push(unnamed);
                self.writing.unflushed.fetch_add(1, Ordering::SeqCst);
                if self.unnamed.len() >= UNFLUSHED_FILES_MAX || self.unnamed_directories >= UNFLUSHED_DIRECTORIES_MAX {
                    return self.name_all();
                }
                Ok(())
            }
            Durability::File | Durability::Run => {
                let flushed = match &unnamed.open {
                    Some(open) => self.clock.during(Phase::flush, || open.sync()),
                    None => Ok(()),
                };
                match flushed {
                    Ok(()) => self.name(unnamed),
                    Err(error) => self.not_flushed(unnamed, error),
                }
            }
        }
    }

    /// Flushes complete files and gives them their names.
    pub(super) fn name_all(&mut self) -> Result<()> {
        self.unnamed_directories = 0;
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let mut unnamed = std::mem::take(&mut self.unnamed).into_iter();
        self.writing.unflushed.fetch_sub(unnamed.len() as u64, Ordering::SeqCst);
        let singly = unnamed.len() <= FLUSHED_SINGLY_MAX;
        let Writing { session, root, flushes, .. } = self.writing;
        self.clock.enter(Phase::flush);
        let flush = || flushes.flush(&mut self.flushed, || root.sync());
        let together = if singly { Ok(()) } else { session.long_work(flush) };
        let named = unnamed.by_ref().try_for_each(|file| self.name_flushed(file, singly, together));
        // If the run ends here, the others are removed with everything else that has no name.
        self.unnamed.extend(unnamed);
        named
    }

    /// Gives a file its name, when its content is on disk.
    fn name_flushed(
        &mut self,
        unnamed: Unnamed<S::Directory>,
        singly: bool,
        together: storage::Result<()>,
    ) -> Result<()> {
        let session = self.writing.session;
        let flushed = match &unnamed.open {
            Some(open) if singly => self.clock.during(Phase::flush, || session.long_work(|| open.sync())),
            Some(_) | None => together,
        };
        self.clock.enter(Phase::rename);
        match flushed {
            Ok(()) => self.name(unnamed),
            Err(error) => self.not_flushed(unnamed, error),
        }
    }

    /// Content that the disk refused is lost, even if a second flush succeeds.
    fn not_flushed(&mut self, unnamed: Unnamed<S::Directory>, error: CallError) -> Result<()> {
        let (file, incoming) = (unnamed.file, Arc::clone(&unnamed.incoming));
        unnamed.discard();
        self.write_failed(file, &incoming, error)
    }

    /// Gives a complete file its name.
    fn name(&mut self, mut unnamed: Unnamed<S::Directory>) -> Result<()> {
        let writing = self.writing;
        // A session that was superseded changes nothing more.
        if let Err(error) = writing.session.check() {
            unnamed.discard();
            return Err(error);
        }
        if let Err(error) = unnamed.close() {
            return self.not_flushed(unnamed, error);
        }
        let Unnamed { incoming, file, unplaced, unset, .. } = unnamed;
        let Some((name, _, _)) = incoming.file(file.index) else {
            return Err(Error::internal("a file without a listing"));
        };
        let directory = Arc::clone(unplaced.directory());
        let replaces_directory = unplaced.placement() == Placement::Delayed;
        match writing.commit(unplaced, &incoming.path, name) {
            Ok(Committed::Placed) => {
                writing.session.count(Counter::files_transferred, 1);
                writing.failures.attributes(|| incoming.path_of(file.index), &unset)?;
                if writing.durability == Durability::File {
                    // A storage that cannot flush a directory cannot promise that a name is on the device, so its error
                    // says nothing.
                    let _ = writing.in_directory(&incoming.path, &directory, |directory| directory.sync());
                }
            }
            Ok(Committed::Waits(temp_name)) => {
                let (directory, name) = (incoming.path.clone(), name.to_vec());
                let counter = Counter::files_transferred;
                writing.delay(Delayed { directory, temp_name, name, counter, unset, replaces_directory });
            }
            Err(CallError { errno: Errno::ISDIR, .. }) => {
                const WHY: &str = "a directory appeared in its place during the run";
                writing.failures.issue(IssueKind::Conflict, incoming.path_of(file.index), WHY.to_owned(), true)?;
            }
            Err(error) => return self.write_failed(file, &incoming, error),
        }
        writing.directories.done(file.directory, &incoming);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LaneFlushes;
    use crate::storage::{CallError, Errno};

    #[test]
    fn the_failure_of_a_flush_is_told_to_every_lane_that_has_written_until_then() {
        let (flushes, failure) = (LaneFlushes::default(), CallError::of("syncfs")(Errno::IO));
        let (mut one, mut other) = (0, 0);
        assert_eq!(flushes.flush(&mut other, || Ok(())), Ok(()));
        assert_eq!(flushes.flush(&mut one, || Err(failure)), Err(failure));
        assert_eq!(flushes.flush(&mut other, || Ok(())), Err(failure), "the system has told it to the first");
        assert_eq!(flushes.flush(&mut other, || Ok(())), Ok(()), "what was written since is on disk");
        assert_eq!(flushes.flush(&mut one, || Ok(())), Ok(()));
    }
}
