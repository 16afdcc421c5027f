//! Deletions that are told before all else, as rsync lists them: nothing is removed before the content is in place, but
//! what is to be removed is known when both walks have ended.

use std::cell::RefCell;

use sparsync_proto::Item;

use super::delete::{in_order, item_of};
use super::{Extra, Receiver, ReceiverOptions};
use crate::error::Result;
use crate::storage::{Removal, WriteStorage, remove_tree};

/// The most bytes of items that wait. Beyond it items are told as they come, and deletions when they are made.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// What an item takes in memory.
fn bytes_of(item: &Item) -> usize {
    let leader = item.leader.as_ref().map_or(0, |leader| leader.as_bytes().len());
    let details = item.details.as_ref().map_or(0, |details| size_of_val(&**details) + details.target.len());
    size_of::<Item>() + item.path.len() + leader + details
}

/// Items that wait for those of deletions.
pub(super) struct WaitingItems {
    /// None if no items wait, or none any more.
    items: RefCell<Option<(Vec<Item>, usize)>>,
    /// Whether the items of deletions were told.
    pub(super) told: bool,
}

impl WaitingItems {
    pub(super) fn new(options: &ReceiverOptions) -> Self {
        let (writes, deletion, items) = (&options.writes, options.deletion, options.items);
        // Deletions that depend on events later in the run, or whose account does, are told when they are done.
        let is_known = !deletion.after
            && deletion.max.is_none()
            && !writes.detects_renames
            && writes.missing.is_empty()
            && !items.backups
            && options.stamps.is_none();
        let waits = items.told && items.deletions_first && deletion.delete && is_known;
        Self { items: RefCell::new(waits.then(Default::default)), told: false }
    }

    /// Lets an item wait, or tells it behind all that have waited, when no item has to wait any longer.
    pub(super) fn take(&self, item: Item, mut tell: impl FnMut(Item) -> Result<()>) -> Result<()> {
        let mut waiting = self.items.borrow_mut();
        let Some((items, bytes)) = waiting.as_mut() else { return tell(item) };
        *bytes += bytes_of(&item);
        items.push(item);
        if *bytes <= WAITING_BYTES_MAX {
            return Ok(());
        }
        waiting.take().unwrap_or_default().0.into_iter().try_for_each(tell)
    }
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Tells the deletions to come, now that both walks have ended, and then all items that have waited for them.
    pub(super) fn tell_deletions_first(&mut self) -> Result<()> {
        let Some((waiting, _)) = self.waiting_items.items.take() else { return Ok(()) };
        let is_unread = self.source_errors > 0 && !self.options.deletion.ignore_errors;
        let is_refused = !is_unread && !self.options.deletion.allow_mass && self.guard.verdict().is_some();
        if !is_unread && !is_refused && self.lost_source(&[]).is_none() {
            self.tell_extras()?;
            self.waiting_items.told = true;
        }
        waiting.into_iter().try_for_each(|item| self.options.report.item(item, self.session))
    }

    fn tell_extras(&mut self) -> Result<()> {
        in_order(&mut self.extras);
        let Some(root) = &self.destination.root else { return Ok(()) };
        let (session, options) = (self.session, self.options);
        let mut told = Ok(());
        let mut tell = |path: &[u8], kind| {
            if told.is_ok() {
                told = options.report.item(item_of(kind, path), session);
            }
        };
        let mut removal = Removal {
            dry_run: true,
            foretells: !options.dry_run,
            judge: Some(&options.judge),
            device: self.top_device.filter(|_| options.one_file_system),
            on_removed: Some(&mut tell),
            backups: self.backups(),
            led_to: Some(&self.dir_links.led_to),
            widened: self.widened(),
            ..Removal::default()
        };
        for Extra { path, in_force, .. } in &self.extras {
            removal.in_force = in_force.clone();
            // An entry that cannot be looked at cannot be removed either, which is told then.
            let _ = remove_tree(root, path, &mut removal);
        }
        drop(removal);
        told
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use sparsync_proto::Kind;

    use super::{WaitingItems, item_of};

    #[test]
    fn what_waits_is_bounded_by_its_bytes() {
        let waiting = WaitingItems { items: RefCell::new(Some(Default::default())), told: false };
        let path = vec![b'a'; 1 << 19];
        let told = |path: &[u8]| {
            let mut told = 0;
            let tell = |_| {
                told += 1;
                Ok(())
            };
            waiting.take(item_of(Kind::File, path), tell).unwrap();
            told
        };
        let first = (1..100).find(|_| told(&path) > 0);
        assert_eq!(first, Some(32));
        assert_eq!(told(b"b"), 1);
    }
}
