//! Reports each entry in the order of the walk: a directory, its entries, then its sub-directories.

use sparsync_proto::{Action, Counter, Entry, Item, ItemDetails, Kind, Listing, Meta, OfKind, Reasons, RelPath};

use super::{Receiver, ReceiverOptions};
use crate::engine::session::Session;
use crate::error::Result;
use crate::storage::{OnMade, WriteStorage};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Tells the action on an entry of the source.
    pub(super) fn item(
        &self,
        action: Action,
        (listing, entry): (&Listing, &Entry),
        reasons: Reasons,
        path: impl FnOnce() -> Vec<u8>,
    ) -> Result<()> {
        self.tell_item(|| Item { action, reasons, ..self.item_of(listing, entry, path()) })
    }

    /// The account of an entry of the source, to be completed.
    pub(super) fn item_of(&self, listing: &Listing, entry: &Entry, path: Vec<u8>) -> Item {
        let digest = || listing.find(listing.name(entry)).and_then(|at| listing.content(at).copied());
        let details = || {
            let target = listing.target(entry).to_vec();
            Box::new(ItemDetails { meta: entry.meta, target, digest: digest(), ..ItemDetails::default() })
        };
        Item {
            action: Action::Keep,
            kind: entry.kind,
            reasons: Reasons::default(),
            size: if entry.kind == Kind::File { entry.size } else { 0 },
            path: path.into_boxed_slice(),
            leader: None,
            details: self.has_details().then(details),
        }
    }

    /// Tells the action on a directory, whose attributes are `meta`.
    pub(super) fn item_of_directory(&self, action: Action, path: &RelPath, meta: Meta, reasons: Reasons) -> Result<()> {
        self.tell_item(|| self.directory_item(action, path, meta, reasons))
    }

    fn directory_item(&self, action: Action, path: &RelPath, meta: Meta, reasons: Reasons) -> Item {
        let details = || Box::new(ItemDetails { meta, ..ItemDetails::default() });
        Item {
            action,
            kind: Kind::Directory,
            reasons,
            size: 0,
            path: path.as_bytes().into(),
            leader: None,
            details: self.has_details().then(details),
        }
    }

    /// Whether items have details. A stamp depends on them, too.
    fn has_details(&self) -> bool {
        self.options.items.details || self.options.stamps.is_some()
    }

    pub(super) fn tell_item(&self, item: impl FnOnce() -> Item) -> Result<()> {
        let item = self.prepared(item)?;
        self.tell(item)
    }

    /// Tells an item that was [prepared](Self::prepared).
    pub(super) fn tell(&self, item: Option<Item>) -> Result<()> {
        match item.filter(|_| self.options.items.told) {
            Some(item) => self.waiting_items.take(item, |item| self.options.report.item(item, self.session)),
            None => Ok(()),
        }
    }

    /// Tells the item of a directory that is compared before the entries of earlier directories are told.
    pub(super) fn item_in_turn(
        &mut self,
        number: u32,
        action: Action,
        (path, meta): (&RelPath, Meta),
        reasons: Reasons,
    ) -> Result<()> {
        if self.undecided == 0 || !self.options.items.told {
            return self.item_of_directory(action, path, meta, reasons);
        }
        let item = self.prepared(|| self.directory_item(action, path, meta, reasons))?;
        self.held_items.extend(item.map(|item| (number, item)));
        Ok(())
    }

    /// Tells the items that were held back of directories up to `number`.
    pub(super) fn tell_held(&mut self, number: u32) -> Result<()> {
        while self.held_items.front().is_some_and(|(at, _)| *at <= number) {
            let Some((_, item)) = self.held_items.pop_front() else { break };
            self.tell(Some(item))?;
        }
        Ok(())
    }

    /// Tells that the entries `from..to` of a directory are as they should be.
    pub(super) fn tell_kept(&self, path: &RelPath, listing: &Listing, (from, to): (usize, usize)) -> Result<()> {
        if !self.options.items.unchanged {
            return Ok(());
        }
        let kept = listing.entries().get(from..to).unwrap_or_default();
        for entry in kept.iter().filter(|entry| entry.kind.has_attributes()) {
            self.item(Action::Keep, (listing, entry), Reasons::default(), || path.join_bytes(listing.name(entry)))?;
        }
        Ok(())
    }

    /// Tells that the top of the destination was made, if the run does not set its attributes.
    pub(super) fn tell_top(&self) -> Result<()> {
        if !(self.options.items.details && self.destination.created) {
            return Ok(());
        }
        self.item_of_directory(Action::Create, &RelPath::root(), Meta::default(), Reasons::MISSING)
    }

    /// Counts an entry that is made, unless another state of the tree has it as well.
    pub(super) fn count_new(&self, kind: Kind, reasons: Reasons) {
        if reasons.intersects(Reasons::MISSING) {
            self.count_kind(OfKind::NEW, kind);
        }
    }

    /// Counts an entry by its kind.
    pub(super) fn count_kind(&self, counters: OfKind, kind: Kind) {
        count(self.session, counters, kind);
    }
}

/// How many entries of each kind a source has.
#[derive(Default)]
pub(super) struct Kinds {
    symlinks: u64,
    symlink_bytes: u64,
    devices: u64,
    specials: u64,
}

impl Kinds {
    /// Adds the entries of a directory.
    pub(super) fn add(&mut self, listing: &Listing) {
        for entry in listing.entries() {
            match entry.kind {
                Kind::Symlink => {
                    self.symlinks += 1;
                    self.symlink_bytes += entry.size;
                }
                Kind::BlockDevice | Kind::CharDevice => self.devices += 1,
                Kind::Fifo | Kind::Socket | Kind::Special => self.specials += 1,
                Kind::File | Kind::Directory => {}
            }
        }
    }

    /// Adds them to the counters of a run.
    pub(super) fn count(&self, session: &Session) {
        session.count(OfKind::SOURCE.symlinks, self.symlinks);
        session.count(OfKind::SOURCE.devices, self.devices);
        session.count(OfKind::SOURCE.specials, self.specials);
        session.count(Counter::symlink_bytes, self.symlink_bytes);
    }
}

/// Counts the entries of a directory of the source by their kinds, where the run tells that.
pub(super) fn count_kinds((session, options): (&Session, &ReceiverOptions), listing: &Listing) {
    if options.items.details {
        let mut kinds = Kinds::default();
        kinds.add(listing);
        kinds.count(session);
    }
}

/// Called for each backup, if the run tells backups.
pub(super) fn backups_told<'a>(session: &'a Session, options: &'a ReceiverOptions) -> Option<Box<OnMade<'a>>> {
    let tell = |path: Vec<u8>, kind| {
        let item = Item {
            action: Action::Backup,
            kind,
            reasons: Reasons::default(),
            size: 0,
            path: path.into_boxed_slice(),
            leader: None,
            details: None,
        };
        // If the item cannot be told, the run ends at its next step.
        let _ = options.report.item(item, session);
    };
    options.items.backups.then(|| Box::new(tell) as Box<OnMade<'a>>)
}

/// Counts an entry by its kind.
pub(super) fn count(session: &Session, counters: OfKind, kind: Kind) {
    if let Some(counter) = counters.counter(kind) {
        session.count(counter, 1);
    }
}
