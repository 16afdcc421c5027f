//! The end of a run: attributes of directories, the flush, the result.

use std::sync::atomic::Ordering;

use sparsync_proto::session::{ProfileExchange, ToReceiver};
use sparsync_proto::{Durability, IssueKind, Meta, Phase, RelPath};

use super::{Outcome, Receiver};
use crate::engine::account::tell_profile;
use crate::engine::attributes::Target;
use crate::engine::lanes::FrameReceiver;
use crate::engine::unset::Unset;
use crate::error::{Error, Result};
use crate::storage::{Backups, CallError, Errno, Widened, WriteDirectory, WriteStorage, open_to_adjust};

impl<S: WriteStorage> Receiver<'_, S> {
    pub(super) fn settle_attrs(&mut self, path: &RelPath, meta: Meta, is_new: bool) {
        if !self.options.dry_run
            && self.has_attributes_of(path)
            && (is_new || !self.options.rules.append_only)
            && self.final_attrs.last().is_none_or(|(last, ..)| last != path)
        {
            self.final_attrs.push((path.clone(), meta, is_new));
        }
    }

    /// The attributes that a directory of the source comes to have here. The top keeps its own where it does not belong
    /// to the run.
    pub(super) fn directory_meta(&self, path: &RelPath, source: &Meta) -> Meta {
        if self.has_attributes_of(path) { self.options.owners.meta(source) } else { *source }
    }

    /// Whether the attributes of the directory at `path` belong to the run.
    pub(super) fn has_attributes_of(&self, path: &RelPath) -> bool {
        !self.is_single() && self.options.judge.matcher.has_attributes(path)
    }

    /// Sets the attributes of directories, the deepest first, when nothing more happens in them. A directory whose mode
    /// was widened, and for which the run carries none, gets its old mode back.
    pub(super) fn set_final_attrs(&mut self) -> Result<()> {
        let mut all = std::mem::take(&mut self.final_attrs);
        // A directory may be noted twice: when it is compared, and when something is done in it.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup_by(|a, b| a.0 == b.0);
        let Some(root) = self.destination.root.as_ref().filter(|_| !self.options.dry_run) else { return Ok(()) };
        let mut widened = self.widened().map(Widened::take).unwrap_or_default();
        let policy = self.options.policy();
        let mut settled: Vec<(RelPath, Target<'static>, bool)> = Vec::with_capacity(all.len() + widened.len());
        for (path, meta, is_new) in all {
            let had = if widened.is_empty() { None } else { widened.remove(&path) };
            let target = policy.directory_target(&meta, is_new, path.is_root()).or_mode(had);
            settled.push((path, target, true));
        }
        if !widened.is_empty() {
            settled.extend(widened.into_iter().map(|(path, bits)| (path, Target::mode(bits), false)));
            settled.sort_by(|a, b| a.0.cmp(&b.0));
        }
        for (path, target, has_to_be_there) in settled.iter().rev().filter(|(_, target, _)| !target.is_empty()) {
            self.session.check()?;
            self.session.worked(1);
            self.changed = true;
            let unset = match open_to_adjust(root, path) {
                Ok(held) => policy.set(target, &held.handle(), None),
                // A directory whose mode was widened may have been removed since, or have given way to something else.
                Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) if !has_to_be_there => {
                    continue;
                }
                // A directory below a failed one was never made, which has been told.
                Err(_) if self.failed.covering(path).is_some() => continue,
                Err(error) => Unset::all(error),
            };
            let unset = self.unset.remove(path).unwrap_or_default().and(unset);
            self.failures.attributes(|| path.as_bytes().to_vec(), &unset)?;
        }
        for (path, unset) in std::mem::take(&mut self.unset) {
            self.failures.attributes(|| path.as_bytes().to_vec(), &unset)?;
        }
        Ok(())
    }

    /// Has all that was written on disk.
    pub(super) fn flush_to_disk(&mut self) -> Result<()> {
        let Some(root) = &self.destination.root else { return Ok(()) };
        let (session, elsewhere) = (self.session, &self.elsewhere);
        let backups = self.writing.and_then(|writing| writing.backups.as_ref());
        let flush = || {
            root.sync()?;
            elsewhere.values().try_for_each(WriteDirectory::sync_file_system)?;
            backups.map_or(Ok(()), Backups::sync)
        };
        let flushed = self.clock.during(Phase::flush, || session.long_work(flush));
        flushed.map_err(|error| Error::io("cannot write to disk", b"", error.into()))
    }

    /// Makes the run durable and tells the peer that it is over.
    pub(super) fn finish(&mut self, refused: Option<Error>, rx: &mut FrameReceiver) -> Result<Outcome> {
        if self.changed && self.options.durability >= Durability::Run {
            self.flush_to_disk()?;
        }
        if let Some(stamps) = &self.options.stamps {
            stamps.all_met()?;
        }
        self.clock.enter(Phase::finish);
        let refused = match self.put_in_place(refused.is_some())? {
            None => refused,
            instead => instead,
        };
        if self.options.no_room_reserved.load(Ordering::Relaxed) {
            const WHY: &str = "no space was reserved: the destination's file system cannot do that";
            self.issue(IssueKind::Notice, Vec::new(), WHY)?;
        }
        self.flush_report()?;
        let mut encoded = Vec::new();
        if self.options.profile == ProfileExchange::Answer {
            tell_profile(self.session, &self.control)?;
        }
        if self.options.profile == ProfileExchange::Ask {
            rx.has_all_content();
        } else {
            rx.close();
        }
        let refusal = refused.as_ref().map(Error::to_wire);
        let mut counters = self.session.counters();
        // Zeros at the end of the counters need not travel.
        while counters.last() == Some(&0) {
            counters.pop();
        }
        self.machine.finish(counters, refusal).encode(self.session.version(), &mut encoded);
        self.control.send_bulk(encoded)?;
        while self.options.profile == ProfileExchange::Ask && self.session.peer_profile().is_none() {
            let Some(frame) = rx.blocking_recv() else { return Err(self.session.lane_ended()) };
            if let ToReceiver::Profile(profile) = self.machine.frame(frame)? {
                self.session.set_peer_profile(*profile)?;
            }
        }
        Ok(Outcome { refused })
    }
}
