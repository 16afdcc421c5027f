//! Tells the sender which entries have arrived and are on disk, so that it may remove them.

use sparsync_proto::limits::BATCH_BYTES;
use sparsync_proto::session::ToReceiver;
use sparsync_proto::{Action, Arrived, Frame, Item, Kind, Listing, Phase, RelPath};

use super::Receiver;
use super::delete::item_of;
use crate::engine::lanes::FrameReceiver;
use crate::error::{Error, Result};
use crate::storage::{Scan, WriteStorage};

/// The entries of a directory that have arrived unless something fails, with their names in the source.
pub(super) struct Arriving {
    directory: RelPath,
    /// The name at the source, and the one here.
    names: Vec<(Vec<u8>, Vec<u8>)>,
    /// Kind, size and time of each.
    entries: Vec<(Kind, u64, sparsync_proto::Time)>,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Notes all entries of a directory as arriving, except those at `left`, and with `ignore_existing` those that the
    /// destination had. `source_name` is the name at the source of a single file that may have another one here.
    pub(super) fn note_arriving(
        &mut self,
        (path, listing): (&RelPath, &Listing),
        mut left: Vec<usize>,
        old: Option<&Scan>,
        source_name: Option<&[u8]>,
    ) {
        let Some(all) = &mut self.arriving else { return };
        if let (Some(old), true) = (old, self.options.rules.selection.ignore_existing) {
            let existing = listing.entries().iter().enumerate();
            left.extend(
                existing.filter(|(_, entry)| old.listing.find(listing.name(entry)).is_some()).map(|(at, _)| at),
            );
            left.sort_unstable();
        }
        let mut arriving = Arriving { directory: path.clone(), names: Vec::new(), entries: Vec::new() };
        for (index, entry) in listing.entries().iter().enumerate() {
            if entry.kind.has_attributes() && left.binary_search(&index).is_err() {
                let name = listing.name(entry);
                arriving.names.push((source_name.unwrap_or(name).to_vec(), name.to_vec()));
                let size = if entry.kind == Kind::File { entry.size } else { 0 };
                arriving.entries.push((entry.kind, size, entry.meta.mtime));
            }
        }
        if !arriving.names.is_empty() {
            all.push(arriving);
        }
    }

    /// Lets the sender remove the entries that have arrived, once they are on the device, and waits until that is done.
    pub(super) fn let_remove(&mut self, rx: &mut FrameReceiver) -> Result<()> {
        let Some(all) = self.arriving.take().filter(|all| !all.is_empty()) else { return Ok(()) };
        if self.destination.root.is_none() || self.options.dry_run {
            return Ok(());
        }
        self.flush_to_disk()?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut told = Vec::new();
        for Arriving { directory, names, entries } in all {
            if self.failed.covering(&directory).is_some() {
                continue;
            }
            for ((source_name, name), (kind, size, mtime)) in names.into_iter().zip(entries) {
                if self.failures.has_any_failed(&directory.join_bytes(&name)) {
                    continue;
                }
                let Ok(path) = RelPath::new(&directory.join_bytes(&source_name)) else { continue };
                bytes += path.as_bytes().len() + 32;
                if self.options.items.removals {
                    told.push((kind, path.clone()));
                }
                batch.push(Arrived { path, kind, size, mtime });
                if bytes >= BATCH_BYTES {
                    bytes = 0;
                    self.tell_arrived(std::mem::take(&mut batch), true)?;
                }
            }
        }
        self.tell_arrived(batch, false)?;
        self.machine.lets_remove();
        loop {
            self.clock.enter(Phase::wait_frame);
            let Some(frame) = rx.blocking_recv() else { return Err(self.session.lane_ended()) };
            self.session.worked(1);
            match self.machine.frame(frame)? {
                ToReceiver::Removed => return self.tell_removed(told),
                ToReceiver::Issue(issue) => self.failures.tell(issue)?,
                _ => return Err(Error::internal("a frame that says nothing of what is removed")),
            }
        }
    }

    /// Tells of each entry that the sender could remove.
    fn tell_removed(&self, entries: Vec<(Kind, RelPath)>) -> Result<()> {
        for (kind, path) in entries {
            if !self.failures.has_failed(path.as_bytes()) {
                let item = Item { action: Action::Remove, ..item_of(kind, path.as_bytes()) };
                self.options.report.item(item, self.session)?;
            }
        }
        Ok(())
    }

    fn tell_arrived(&self, entries: Vec<Arrived>, more: bool) -> Result<()> {
        let mut encoded = Vec::new();
        Frame::Arrived { more, entries }.encode(self.session.version(), &mut encoded);
        self.control.send_bulk(encoded)
    }
}
