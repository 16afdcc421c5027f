//! The streams of a session, each in one direction.

use std::sync::Arc;

use bytes::Bytes;
use sparsync_proto::ErrorKind;
use sparsync_proto::mux::{CHUNK_BYTES_MAX, CHUNK_COST, StreamId, WINDOW_BYTES};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc};

use super::carrier::{Carrier, Item};
use crate::error::{Error, Result};
use crate::net::control::{StreamIn, StreamOut};

/// A stream to the peer.
pub(super) struct SendStream {
    carrier: Arc<Carrier>,
    id: StreamId,
    /// Bytes that the peer has granted.
    credit: Arc<Semaphore>,
    ended: bool,
}

impl SendStream {
    pub(super) fn new(carrier: Arc<Carrier>, id: StreamId, credit: Arc<Semaphore>) -> Self {
        Self { carrier, id, credit, ended: false }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// Waits until the peer has granted so much, and until it may be queued.
    async fn room(&self, bytes: u32) -> Result<(SemaphorePermit<'_>, OwnedSemaphorePermit)> {
        let credit = self.credit.acquire_many(bytes + CHUNK_COST).await.map_err(|_| self.carrier.why())?;
        Ok((credit, self.carrier.room(self.id).await?))
    }

    /// Hands all of `bytes` over.
    pub(super) async fn write_all(&mut self, bytes: &mut Bytes) -> Result<()> {
        while !bytes.is_empty() {
            self.write_some(bytes).await?;
        }
        Ok(())
    }
}

impl StreamOut for SendStream {
    async fn write_some(&mut self, bytes: &mut Bytes) -> Result<usize> {
        let size = bytes.len().min(CHUNK_BYTES_MAX);
        let Ok(count) = u32::try_from(size) else { return Err(Error::internal("a chunk of another size")) };
        if size == 0 {
            return Ok(0);
        }
        let room = self.room(count);
        let (credit, room) =
            if self.id.stream == 0 { room.await? } else { self.carrier.goodput.sent(size, room).await? };
        credit.forget();
        self.carrier.send(self.id, bytes.split_to(size), room);
        Ok(size)
    }

    fn finish(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.carrier.end(self.id);
        }
    }
}

/// A stream from the peer.
pub(super) struct RecvStream {
    carrier: Arc<Carrier>,
    id: StreamId,
    from: mpsc::UnboundedReceiver<Item>,
    /// The rest of the chunk that is being read.
    chunk: Bytes,
    window: u32,
    /// Bytes of that which the connection's budget has lent.
    leased: u32,
    /// Bytes that were read and are not granted again yet.
    owed: u32,
    ended: bool,
}

impl RecvStream {
    /// `window` may be sent before anything is granted.
    pub(super) fn new(carrier: Arc<Carrier>, id: StreamId, from: mpsc::UnboundedReceiver<Item>, window: u32) -> Self {
        Self { carrier, id, from, chunk: Bytes::new(), window, leased: 0, owed: 0, ended: false }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// The peer has ended it, and all of it was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Lets the peer send `window` bytes ahead, or as many as the budget of all connections allows.
    pub(super) fn widen(&mut self, window: u32) {
        self.leased += self.carrier.windows.take(window.saturating_sub(self.window.max(WINDOW_BYTES)));
        let window = WINDOW_BYTES + self.leased;
        if let Some(more) = window.checked_sub(self.window).filter(|more| *more > 0) {
            self.window = window;
            self.carrier.grant_in_turn(self.id, more);
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        self.carrier.windows.give_back(self.leased);
    }
}

impl StreamIn for RecvStream {
    async fn read_chunk(&mut self, most: usize) -> Result<Option<Bytes>> {
        while self.chunk.is_empty() {
            if self.ended {
                return Ok(None);
            }
            match self.from.recv().await {
                Some(Item::Bytes(bytes)) => {
                    self.chunk = bytes;
                    self.owed += CHUNK_COST;
                }
                Some(Item::End) => self.ended = true,
                None => {
                    let left = || Error::new(ErrorKind::Closed, "the peer gave the stream up").remote();
                    return Err(self.carrier.closed().unwrap_or_else(left));
                }
            }
        }
        let taken = self.chunk.split_to(self.chunk.len().min(most));
        self.owed += u32::try_from(taken.len()).unwrap_or(u32::MAX);
        if self.owed >= self.window / 2 {
            self.carrier.grant(self.id, std::mem::take(&mut self.owed));
        }
        Ok(Some(taken))
    }
}
