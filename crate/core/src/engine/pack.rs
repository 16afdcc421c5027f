//! Builds the packs of one data lane: records are appended, and a full pack leaves.

use bytes::Bytes;
use sparsync_proto::limits::PACK_BYTES;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader, Record};
use sparsync_proto::{Figure, Phase};

use super::buffers;
use super::buffers::HEADS_BYTES;
use super::lanes::{Handed, Pack};
use super::session::Session;
use crate::error::Result;
use crate::profile::ThreadClock;
use crate::storage::{self, File};

/// The pack that a lane fills.
pub(super) struct PackBuilder<'a> {
    session: &'a Session,
    lane: tokio::sync::mpsc::Sender<Pack>,
    compress: &'a (dyn Fn() -> bool + Send + Sync),
    pack: Vec<u8>,
    /// Whether the records of the present pack are left uncompressed.
    is_raw: bool,
}

impl<'a> PackBuilder<'a> {
    pub(super) fn new(
        session: &'a Session,
        lane: tokio::sync::mpsc::Sender<Pack>,
        compress: &'a (dyn Fn() -> bool + Send + Sync),
    ) -> Self {
        Self { session, lane, compress, pack: Vec::new(), is_raw: false }
    }

    /// Sets whether packs from now on are left uncompressed.
    pub(super) fn leave_raw(&mut self, is_raw: bool, clock: &mut ThreadClock) -> Result<()> {
        if is_raw != self.is_raw {
            self.flush(clock)?;
            self.is_raw = is_raw;
        }
        Ok(())
    }

    /// Appends a record that is known in full.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        record.encode(&mut self.pack);
    }

    /// Begins a record of up to `bytes`, whose content is read straight into the pack.
    pub(super) fn draft(&mut self, bytes: usize, clock: &mut ThreadClock) -> Result<Draft<'_>> {
        self.make_room(bytes, clock)?;
        let start = self.pack.len();
        Ok(Draft { pack: &mut self.pack, start })
    }

    /// Makes a pack with room for `bytes` more the current one.
    fn make_room(&mut self, bytes: usize, clock: &mut ThreadClock) -> Result<()> {
        if self.pack.len() + bytes > bytes.max(PACK_BYTES) + HEADS_BYTES {
            self.flush(clock)?;
        }
        let room = self.pack.len() + bytes;
        if self.pack.capacity() < room {
            // The pack holds a few records without content, if any, so copying it costs little.
            let begun = std::mem::replace(&mut self.pack, buffers::take(room, self.session.profiler()));
            self.pack.extend_from_slice(&begun);
        }
        Ok(())
    }

    /// Sends the pack if it is full.
    pub(super) fn flush_if_full(&mut self, clock: &mut ThreadClock) -> Result<()> {
        if self.pack.len() >= PACK_BYTES { self.flush(clock) } else { Ok(()) }
    }

    /// Sends the pack, compressed where that pays.
    pub(super) fn flush(&mut self, clock: &mut ThreadClock) -> Result<()> {
        if self.pack.is_empty() {
            return Ok(());
        }
        let raw = std::mem::take(&mut self.pack);
        let raw_bytes = raw.len();
        self.session.worked(1);
        let pays = !self.is_raw && (self.compress)();
        let shrunk = pays.then(|| clock.during(Phase::compress, || shrink(&raw))).flatten();
        let (compressed, bytes) = match shrunk {
            Some(small) => {
                buffers::give_back(raw);
                (true, Bytes::from(small))
            }
            None => (false, buffers::share(raw)),
        };
        let header = PackHeader { compressed, stored_bytes: bytes.len(), raw_bytes };
        if let Some(profiler) = self.session.profiler() {
            let waiting = self.lane.max_capacity() - self.lane.capacity();
            profiler.raise(Figure::data_queue_max, waiting as u64);
            profiler.add(Figure::encoded_bytes, (PACK_HEADER_BYTES + header.stored_bytes) as u64);
        }
        self.session.pace_pack(header.stored_bytes)?;
        self.send(Pack::new(header, bytes), clock)
    }

    /// Sends the pack, and behind it a file that the other end copies by itself: none of its content is packed.
    pub(super) fn hand(&mut self, handed: Handed, clock: &mut ThreadClock) -> Result<()> {
        self.flush(clock)?;
        let header = PackHeader { compressed: false, stored_bytes: 0, raw_bytes: 0 };
        self.send(Pack { header, bytes: Bytes::new(), handed: Some(Box::new(handed)) }, clock)
    }

    fn send(&self, pack: Pack, clock: &mut ThreadClock) -> Result<()> {
        clock.during(Phase::wait_room, || self.lane.blocking_send(pack)).map_err(|_| self.session.lane_ended())
    }
}

/// The compressed form, when it is at least a twentieth smaller.
fn shrink(raw: &[u8]) -> Option<Vec<u8>> {
    let small = lz4_flex::block::compress(raw);
    (small.len() < raw.len() - raw.len() / 20).then_some(small)
}

/// A record that is not complete yet. Unless it is committed, it is cut off the pack again, which must hold whole
/// records whatever ends the reading of their content.
pub(super) struct Draft<'a> {
    pack: &'a mut Vec<u8>,
    start: usize,
}

impl Draft<'_> {
    /// The bytes of the pack so far, this record last, to append to.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        self.pack
    }

    /// Appends up to `bytes` of the file from `offset` on: less if the file ends before, more if the same call reads
    /// more, which shows without another call that the file has grown.
    pub(super) fn read(&mut self, file: &impl File, offset: u64, bytes: usize) -> storage::Result<&mut [u8]> {
        let content = self.pack.len();
        // The spare room is not filled with zeros first, which would cost as much as the reading.
        loop {
            let read = self.pack.len() - content;
            if file.read(self.pack, offset + read as u64)? == 0 || self.pack.len() >= content + bytes {
                return Ok(&mut self.pack[content..]);
            }
        }
    }

    /// Leaves the record in the pack.
    pub(super) fn commit(mut self) {
        self.start = self.pack.len();
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.pack.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use sparsync_proto::Phase;
    use sparsync_proto::pack::{FileId, Record};

    use super::PackBuilder;
    use crate::engine::session::Session;
    use crate::error::{Error, ErrorKind};

    /// A peer that ends the run lets go of its lanes, and its reason comes a moment later by another way.
    #[test]
    fn a_lane_that_is_let_go_waits_for_the_reason() {
        let session = Session::new(false);
        let (lane, let_go) = tokio::sync::mpsc::channel(1);
        drop(let_go);
        let mut builder = PackBuilder::new(&session, lane, &|| false);
        builder.push(&Record::Begin { file: FileId { directory: 0, index: 0 } });
        let sent = thread::scope(|scope| {
            let sending = scope.spawn(|| builder.flush(&mut session.clock("read", Phase::read)));
            session.fail(Error::new(ErrorKind::NoSpace, "the disk is full"));
            sending.join().expect("no panic")
        });
        assert_eq!(sent.map_err(|error| error.kind()), Err(ErrorKind::NoSpace));
    }
}
