//! Devices of the destination that are taken for files of what they hold, where the source has files.
//!
//! What a device is taken for depends on what the source has by its name, which the destination's own walk cannot know.

use sparsync_proto::{Kind, Listing};

use super::Receiver;
use crate::storage::{Access, Directory as _, File as _, Scan, WriteStorage, hash_prefix};

impl<S: WriteStorage> Receiver<'_, S> {
    /// Takes the devices of a directory for files where the source has some. A device that cannot be read stays one.
    pub(super) fn take_devices(&self, old: &mut Scan, listing: &Listing) {
        let Some(root) = self.destination.root.as_ref().filter(|_| self.options.writes.devices) else { return };
        for entry in listing.entries().iter().filter(|entry| entry.kind == Kind::File) {
            let name = listing.name(entry);
            // A device is listed as `Kind::Special` when the run does not carry devices.
            let may_be_one = |kind: Kind| kind.is_device() || kind == Kind::Special;
            let at = old.listing.find(name);
            let Some(at) = at.filter(|at| old.listing.get(*at).is_some_and(|old| may_be_one(old.kind))) else {
                continue;
            };
            let Ok(directory) = root.open(&old.path, Access::Reach) else { continue };
            if !directory.status(name).is_ok_and(|found| found.kind.is_device()) {
                continue;
            }
            let Ok(device) = directory.open_file(name) else { continue };
            let Ok(found) = device.status() else { continue };
            let is_compared = self.options.attributes.compares_content() && found.size == entry.size;
            let hash = || self.session.long_work(|| hash_prefix(&device, found.size)).ok().flatten();
            let content = if is_compared { hash().map(|hasher| *hasher.finalize().as_bytes()) } else { None };
            old.listing.take_for_file(at, found.size, found.meta, content);
        }
    }
}
