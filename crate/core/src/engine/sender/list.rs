//! Sends listings to the receiver.

use std::sync::{Arc, mpsc};

use sparsync_proto::limits::BATCH_BYTES;
use sparsync_proto::session::Listed;
use sparsync_proto::{Counter, Entry, Kind, Phase, encode_list};

use super::Shared;
use super::jobs::{HeldScan, JobQueues};
use crate::error::{Error, Result};
use crate::profile::ThreadClock;
use crate::storage::Storage;

/// Listings that are sent before the content of the first of them.
const LISTS_BATCH: usize = 64;

/// Sends the listings that were asked for, in that order; with everything granted, their files too.
pub(super) fn list(shared: &Shared<'_, impl Storage>, queue: &mpsc::Receiver<u32>, jobs: &JobQueues<'_>) -> Result<()> {
    let mut clock = shared.session.clock("list", Phase::wait_work);
    while let Ok(first) = clock.during(Phase::wait_work, || queue.recv()) {
        clock.enter(Phase::list);
        shared.session.check()?;
        let with_content = send_batch(shared, first, queue, &mut clock)?;
        if with_content.is_empty() {
            continue;
        }
        // The window is needed for the listing first: the receiver waits for it, and does not read content before.
        clock.during(Phase::wait_room, || shared.control.wait_until_written(shared.session))?;
        for (directory, held) in with_content {
            send_files(shared, jobs, directory, &held);
        }
    }
    Ok(())
}

/// Sends listings for as long as more are waiting. Gives the directories whose files follow unasked.
fn send_batch(
    shared: &Shared<'_, impl Storage>,
    first: u32,
    queue: &mpsc::Receiver<u32>,
    clock: &mut ThreadClock,
) -> Result<Vec<(u32, Arc<HeldScan>)>> {
    let mut encoded = Vec::new();
    let mut with_content = Vec::new();
    for number in std::iter::once(first).chain(queue.try_iter()) {
        let Some(listed) = shared.machine().list(number) else {
            return Err(Error::internal("a listing that nobody may have"));
        };
        let (Listed::Asked(held) | Listed::WithContent(held)) = &listed;
        let mut sent = Ok(());
        encode_list(shared.session.version(), number, &held.scan.listing, |frame| {
            encoded.extend_from_slice(&frame);
            if encoded.len() >= BATCH_BYTES && sent.is_ok() {
                let full = std::mem::take(&mut encoded);
                sent = clock.during(Phase::wait_room, || shared.control.send_bulk(full));
            }
        });
        sent?;
        if let Listed::WithContent(held) = listed {
            with_content.push((number, held));
        }
        if with_content.len() >= LISTS_BATCH {
            break;
        }
    }
    if !encoded.is_empty() {
        clock.during(Phase::wait_room, || shared.control.send_bulk(encoded))?;
    }
    Ok(with_content)
}

/// Sends the content of all files of a directory.
fn send_files(shared: &Shared<'_, impl Storage>, jobs: &JobQueues<'_>, directory: u32, held: &Arc<HeldScan>) {
    let entries = held.scan.listing.entries();
    let travels = |(index, entry): &(u32, &Entry)| {
        entry.kind == Kind::File && held.scan.listing.leader(*index as usize).is_none()
    };
    let (mut files, mut bytes) = (Vec::new(), 0);
    for (index, entry) in (0u32..).zip(entries).filter(travels) {
        files.push(index);
        bytes += entry.size;
    }
    if files.is_empty() {
        return;
    }
    shared.session.count(Counter::bytes_to_transfer, bytes);
    jobs.push(directory, held, files, (&[], &[]), shared.session);
}
