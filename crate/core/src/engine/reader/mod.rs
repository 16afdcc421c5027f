//! Reads the content that was asked for and packs it, one lane at a time.

mod delta;
mod error;
mod grown;
mod hand_over;
mod pays;
mod recipe;
mod skip;
mod state;
mod whole;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use sparsync_proto::limits::{DELTA_BYTES_MIN, WHOLE_FILE_BYTES_MAX};
use sparsync_proto::pack::{FileId, Record};
use sparsync_proto::{Chmod, Counter, Figure, IssueKind, Meta, Phase, SET_GID, SET_UID};

use self::error::ReadError;
pub(crate) use self::pays::Pays;
pub(crate) use self::skip::SkipList;
pub(super) use self::state::settle;
pub(crate) use self::state::settles_in;
use self::state::{State, look};
use super::frozen::Freezer;
use super::lanes::Pack;
use super::pack::PackBuilder;
use super::progress::Announced;
use super::sender::{Answers, ContentJob};
use super::session::Session;
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::{Access, Directory, File, Stamp, Storage};

/// How often a file that changes while it is read is read again.
const READ_ATTEMPTS: usize = 3;

/// A source file that is open, as it was found.
struct Opened<F> {
    id: FileId,
    file: F,
    state: State,
    /// The file's attributes, when they differ from those of the listing.
    carried: Option<Meta>,
    /// Whether to ask where its data is.
    may_have_holes: bool,
}

/// How the attributes of a file are taken.
#[derive(Clone, Copy)]
pub(super) struct Taken<'a> {
    /// The changes of the permission bits that are found, if there are any.
    pub(super) chmod: Option<&'a Chmod>,
    /// The owners of the listing are kept: their names were told with it, and the receiver knows no name of another
    /// owner.
    pub(super) keeps_owners: bool,
    /// Files are read without a change of their access times.
    pub(super) open_noatime: bool,
    /// Endings of names whose files are not compressed.
    pub(super) skips: &'a SkipList,
    /// A file that only grew arrives as it was when it was opened.
    pub(super) takes_prefix: bool,
}

/// How content goes to the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// In packs, hashed.
    #[default]
    Hashed,
    /// In packs, to another thread of this process: whole files without a digest.
    Trusted,
    /// In the same way, but that it copies large files by itself.
    Handed,
}

impl Taken<'_> {
    /// The attributes that go with content, of a file that has others than in its listing. A new owner is left to the
    /// next run; set-id bits that it gives must not be set under the old one.
    fn carried(&self, found: &Meta, listed: &Meta) -> Meta {
        if !self.keeps_owners || (found.uid, found.gid) == (listed.uid, listed.gid) {
            return *found;
        }
        Meta { mode: found.mode & !(SET_UID | SET_GID), uid: listed.uid, gid: listed.gid, mtime: found.mtime }
    }
}

/// The result of reading a file once.
enum Read {
    /// It was packed as it is.
    Done,
    /// It changed meanwhile.
    Changed,
}

/// Reads for one lane.
pub(super) struct LaneReader<'a, S: Storage> {
    session: &'a Session,
    root: &'a S,
    pack: PackBuilder<'a>,
    pays: &'a Pays,
    taken: Taken<'a>,
    answers: &'a Answers<'a>,
    /// The receiver writes over its own file.
    in_place: bool,
    way: Way,
    freezer: Option<&'a Freezer<S::Directory>>,
    clock: ThreadClock,
}

impl<'a, S: Storage> LaneReader<'a, S> {
    pub(super) fn new(
        session: &'a Session,
        root: &'a S,
        lane: tokio::sync::mpsc::Sender<Pack>,
        pays: &'a Pays,
        taken: Taken<'a>,
        answers: &'a Answers<'a>,
        (in_place, way, freezer): (bool, Way, Option<&'a Freezer<S::Directory>>),
    ) -> Self {
        let clock = session.clock("read", Phase::wait_work);
        Self {
            session,
            root,
            pack: PackBuilder::new(session, lane, &*pays.compression),
            pays,
            taken,
            answers,
            in_place,
            way,
            freezer,
            clock,
        }
    }

    /// Works until there are no more jobs. A pack that is not full is sent as soon as there is nothing to add to it.
    pub(super) fn run(mut self, jobs: &Receiver<ContentJob>, waiting: &AtomicU64) -> Result<()> {
        loop {
            let job = if let Ok(job) = jobs.try_recv() {
                job
            } else {
                self.pack.flush(&mut self.clock)?;
                self.clock.enter(Phase::wait_work);
                match jobs.recv() {
                    Ok(job) => job,
                    Err(_) => return Ok(()),
                }
            };
            waiting.fetch_sub(1, Ordering::Relaxed);
            self.clock.enter(Phase::open);
            self.session.check()?;
            self.directory(&job)?;
        }
    }

    fn directory(&mut self, job: &ContentJob) -> Result<()> {
        let scan = &job.held.scan;
        let directory = self.root.open(&scan.path, Access::Reach);
        for &index in &job.files {
            self.session.check()?;
            let file = FileId { directory: job.directory, index };
            let outcome = match &directory {
                Ok(directory) => self.file(directory, job, file),
                Err(error) => Err(ReadError::unopened(*error)),
            };
            match outcome {
                Ok(()) => self.session.count(Counter::files_transferred, 1),
                Err(ReadError::Session(error)) => return Err(error),
                Err(ReadError::File(kind, message)) => {
                    self.pack.push(&Record::Failed { file, kind, message });
                    self.pack.flush_if_full(&mut self.clock)?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &S::Directory, job: &ContentJob, id: FileId) -> std::result::Result<(), ReadError> {
        let scan = &job.held.scan;
        let index = id.index as usize;
        let Some((entry, stamp)) = scan.listing.get(index).zip(scan.stamps.get(index)) else {
            return Err(Error::internal("a file without a listing").into());
        };
        let mut found = (State::new(entry.size, entry.meta, *stamp), *stamp);
        let mut announced = Announced::new(entry.size);
        let held = job.resume.binary_search_by_key(&id.index, |resume| resume.index);
        let mut resume = held.ok().and_then(|at| job.resume.get(at));
        let mut basis = job.bases.iter().find(|basis| basis.index == id.index);
        let mut begun = false;
        if !self.taken.skips.is_empty() {
            let is_skipped = self.taken.skips.has(scan.listing.name(entry));
            self.pack.leave_raw(is_skipped, &mut self.clock)?;
        }
        for attempt in 0..READ_ATTEMPTS {
            self.clock.enter(Phase::open);
            let file = directory.open_file(scan.listing.name(entry)).map_err(ReadError::unopened)?;
            if self.taken.open_noatime {
                file.keep_access_time();
            }
            // The file may have changed since it was listed: a further attempt, a prefix and a frozen copy are of the
            // file as it is now.
            if attempt > 0 || self.taken.takes_prefix || self.freezer.is_some() {
                found = look(&file, self.taken.chmod)?;
            }
            found.0.settle(&mut self.clock);
            let meta = found.0.meta;
            let carried = (meta != entry.meta).then(|| self.taken.carried(&meta, &entry.meta));
            let file = self.frozen(directory, file, &mut found)?;
            let (state, stamp) = found;
            let opened = Opened { id, file, state, carried, may_have_holes: stamp.may_have_holes };
            if let Some(basis) = basis.take().filter(|_| opened.state.size >= DELTA_BYTES_MIN && (self.pays.delta)())
                && let Some(read) = self.delta(&opened, basis, resume, &mut announced)?
            {
                if matches!(read, Read::Done) {
                    return Ok(());
                }
                (begun, resume) = (true, None);
                continue;
            }
            let is_held = resume.is_some_and(|resume| resume.bytes == state.size);
            let read = if state.size <= WHOLE_FILE_BYTES_MAX as u64 && !begun && !is_held {
                let read = self.whole(&opened, &mut announced)?;
                // A record of a whole file cannot say that the file has grown since, so that another attempt sends a
                // recipe.
                begun = self.taken.takes_prefix;
                read
            } else if self.way == Way::Handed
                && resume.is_none()
                && !self.taken.takes_prefix
                && !self.session.limits_packs()
            {
                begun = true;
                self.hand_over(&opened, &mut announced)?
            } else {
                // With the first recipe the receiver gives up the part that it held, so a second recipe, which replaces
                // it, cannot count on that part.
                begun = true;
                self.recipe(&opened, resume.take(), &mut announced)?
            };
            if matches!(read, Read::Done) {
                return Ok(());
            }
        }
        Err(ReadError::File(IssueKind::Changed, format!("it changed each of the {READ_ATTEMPTS} times it was read")))
    }

    /// The file as it is at this moment, frozen so that no program changes it, where that is possible. Its attributes
    /// were read before.
    fn frozen(
        &self,
        directory: &S::Directory,
        file: <S::Directory as Directory>::File,
        found: &mut (State, Stamp),
    ) -> std::result::Result<<S::Directory as Directory>::File, ReadError> {
        let Some(freezer) = self.freezer else { return Ok(file) };
        let frozen = freezer
            .freeze(directory, &file)
            .map_err(|error| ReadError::File(IssueKind::Unreadable, format!("cannot freeze it to read it: {error}")))?;
        let Some(frozen) = frozen else { return Ok(file) };
        *found = look(&frozen, self.taken.chmod)?;
        Ok(frozen)
    }

    /// Counts content that was read into packs.
    fn sent(&self, bytes: u64, announced: &mut Announced) {
        announced.moved(self.session, Counter::bytes_transferred, bytes);
        if let Some(profiler) = self.session.profiler() {
            profiler.add(Figure::disk_read_bytes, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::{Meta, Time};

    use super::{SkipList, Taken};

    #[test]
    fn a_new_owner_does_not_lend_his_rights_under_the_name_of_the_old_one() {
        let time = |seconds| Time { seconds, nanos: 0 };
        let listed = Meta { mode: 0o755, uid: 1, gid: 2, mtime: time(5) };
        let found = Meta { mode: 0o6755, uid: 9, gid: 2, mtime: time(6) };
        let skips = SkipList::default();
        let taken =
            |keeps_owners| Taken { chmod: None, keeps_owners, open_noatime: false, skips: &skips, takes_prefix: false };
        let kept = taken(true).carried(&found, &listed);
        assert_eq!(kept, Meta { mode: 0o755, uid: 1, gid: 2, mtime: time(6) });
        let with_bits = Meta { uid: 1, ..found };
        assert_eq!(taken(true).carried(&with_bits, &listed), with_bits);
        assert_eq!(taken(false).carried(&found, &listed), found);
    }
}
