//! Handles each frame of the sender.

use sparsync_proto::session::{Pending, ToReceiver};
use sparsync_proto::{Counter, Directory, Frame, Phase};

use super::items::count_kinds;
use super::{Outcome, Receiver};
use crate::engine::destination::Found;
use crate::engine::lanes::FrameReceiver;
use crate::error::{Error, Result};
use crate::storage::WriteStorage;

/// Directories compared before the sender is told.
const SETTLE_EVERY: u32 = 256;

impl<S: WriteStorage> Receiver<'_, S> {
    /// Runs until everything is in place and the peer was told so.
    pub(super) fn run(&mut self, rx: &mut FrameReceiver) -> Result<Outcome> {
        self.tell_missing_bases()?;
        while !self.machine.has_compared_but(self.moves.put_off()) {
            let frame = self.next_frame(rx)?;
            self.clock.enter(Phase::compare);
            self.session.worked(1);
            match self.machine.frame(frame)? {
                ToReceiver::Nothing => {}
                ToReceiver::CompareTree(digest) => {
                    if self.tree_is_equal(&digest)? {
                        self.machine.tree_is_equal();
                        self.tell_deletions_first()?;
                        // Directories whose modes were widened get them back.
                        self.set_final_attrs()?;
                        return self.finish(None, rx);
                    }
                }
                ToReceiver::Compare { first, directories } => self.compare(first, directories)?,
                ToReceiver::Decide { directory, pending } => self.decide_in_turn(directory, *pending)?,
                ToReceiver::Unmounted(path) => self.guard.unmounted(path)?,
                ToReceiver::LeftOut(path) => self.guard.left_out(path),
                ToReceiver::Owners(names) => self.options.owners.told(names),
                ToReceiver::Issue(issue) => self.failures.tell(issue)?,
                ToReceiver::TreeEnd { entries, bytes, errors } => {
                    self.session.set(Counter::entries_source, entries);
                    self.session.set(Counter::bytes_total, bytes);
                    self.session.set(Counter::walk_done, 1);
                    self.source_errors = errors;
                    self.ask()?;
                }
                ToReceiver::Removed => return Err(Error::internal("something was removed before it was let")),
                ToReceiver::Profile(_) => return Err(Error::internal("a profile before the result")),
            }
        }
        rx.dealt_with();
        self.tell_held(u32::MAX)?;
        while let Some(found) = self.next_found()? {
            if !self.options.deletion.delete {
                break;
            }
            self.only_here(&found);
        }
        self.tell_deletions_first()?;
        self.ask_for_put_off()?;
        self.clock.during(Phase::wait_writers, || self.directories.wait_until_done(self.session))?;
        self.make_links()?;
        self.clock.enter(Phase::delete);
        let refused = self.delete()?;
        self.clock.enter(Phase::attributes);
        if let Some(partials) = self.writing.and_then(|writing| writing.partials.as_ref()) {
            partials.remove_empty();
        }
        self.set_final_attrs()?;
        self.let_remove(rx)?;
        self.finish(refused, rx)
    }

    /// Decides on a directory, and tells the items that were held back for the order: of directories before it and
    /// behind it.
    fn decide_in_turn(&mut self, number: u32, pending: Pending) -> Result<()> {
        self.tell_held(number)?;
        count_kinds((self.session, self.options), &pending.listing);
        if self.is_single() {
            self.tell_top()?;
        }
        self.decide(number, pending)?;
        self.undecided = self.undecided.saturating_sub(1);
        if self.undecided == 0 { self.tell_held(u32::MAX) } else { Ok(()) }
    }

    fn next_frame(&mut self, rx: &mut FrameReceiver) -> Result<Frame> {
        if let Some(frame) = rx.try_recv() {
            return Ok(frame);
        }
        // No frame waits: questions and reports so far are sent before this thread blocks.
        self.ask()?;
        self.flush_report()?;
        self.clock.enter(Phase::wait_frame);
        rx.blocking_recv().ok_or_else(|| self.session.lane_ended())
    }

    fn compare(&mut self, first: u32, directories: Vec<Directory>) -> Result<()> {
        for (number, directory) in (first..).zip(directories) {
            self.session.count(Counter::directories_source, 1);
            self.directory(number, directory)?;
            self.machine.compared(number);
            if (number + 1).is_multiple_of(SETTLE_EVERY) {
                self.ask()?;
            }
        }
        Ok(())
    }

    /// Asks for the listings that are needed so far, and tells of the directories that need none.
    pub(super) fn ask(&mut self) -> Result<()> {
        for frame in self.machine.questions() {
            self.control.send(&frame)?;
        }
        Ok(())
    }

    fn next_found(&mut self) -> Result<Option<Found>> {
        self.clock.during(Phase::wait_walk, || self.found.next(self.session))
    }

    pub(super) fn flush_report(&mut self) -> Result<()> {
        self.clock.during(Phase::wait_room, || self.options.report.flush())
    }
}
