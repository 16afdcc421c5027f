//! The data lanes of a session on a pipe.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use sparsync_proto::mux::CHUNK_BYTES_MAX;
use sparsync_proto::pack::{PACK_HEADER_BYTES, PackHeader};
use tokio::sync::{Mutex, mpsc};

use super::streams::{RecvStream, SendStream};
use super::subflows::{Lane, Packs};
use crate::engine::{Pack, Session, share, take_buffer};
use crate::error::{Error, Result};
use crate::net::control::{StreamIn as _, StreamOut as _};
use crate::net::quic::OwnLane;
use crate::net::tcp::Subflow;

/// Carries the packs of one lane to the peer.
pub(super) async fn send_lane(
    lane: &Lane,
    mut stream: SendStream,
    packs: &Arc<Mutex<Packs>>,
    subflows: &mut mpsc::UnboundedReceiver<Subflow>,
) -> Result<()> {
    let Lane { carrier, id, session, wire, .. } = lane;
    let mut is_open = false;
    loop {
        if let Ok(first) = subflows.try_recv() {
            // The lane's reader continues with the subflows when it has read to the end here.
            stream.finish();
            return lane.clone().send(packs, first, subflows).await;
        }
        let mut packs = packs.lock().await;
        let Some(pack) = packs.queue.recv().await else { break };
        if let Some(quic) = carrier.beside.standing() {
            stream.finish();
            let own = OwnLane { session, number: id.session.into(), lane: id.stream.saturating_sub(1), wire };
            return Err(quic.carry_on(own, pack, &mut packs.queue).await);
        }
        drop(packs);
        carrier.beside.allows_pipe()?;
        if !std::mem::replace(&mut is_open, true) {
            wire.streams_opened.fetch_add(1, Ordering::Relaxed);
        }
        let bytes = (PACK_HEADER_BYTES + pack.bytes.len()) as u64;
        for mut rest in [Bytes::copy_from_slice(&pack.header.encode()), pack.bytes] {
            let Some(limit) = session.wire_piece() else {
                while !rest.is_empty() {
                    let began = Instant::now();
                    stream.write_some(&mut rest).await?;
                    lane.waited(began);
                }
                continue;
            };
            while !rest.is_empty() {
                let mut piece = rest.split_to(rest.len().min(limit));
                session.pace_wire(piece.len()).await;
                stream.write_all(&mut piece).await?;
            }
        }
        wire.sent(bytes);
        carrier.carried(bytes);
    }
    // A lane that fails must not be ended properly, or its reader would take it for complete.
    if is_open && session.error().is_none() {
        stream.finish();
    }
    // A subflow that comes now has nothing to carry, and its reader must not take it for lost.
    while let Some(mut subflow) = subflows.recv().await {
        let _ = subflow.finish().await;
    }
    Ok(())
}

/// Carries the packs of one lane from the peer, as long as the lane is on the pipe.
pub(super) async fn receive_lane(lane: &Lane, mut stream: RecvStream, queue: &mpsc::Sender<Pack>) -> Result<()> {
    let Lane { carrier, session, wire, .. } = lane;
    let mut head = Vec::with_capacity(PACK_HEADER_BYTES);
    let mut is_open = false;
    // Packs without room in the queue stay with the stream, where the granted window counts them.
    while let Ok(room) = queue.reserve().await {
        head.clear();
        if !read_bytes(&mut stream, &mut head, PACK_HEADER_BYTES, true).await? {
            return Ok(());
        }
        carrier.beside.allows_pipe()?;
        if !std::mem::replace(&mut is_open, true) {
            wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        }
        let head: [u8; PACK_HEADER_BYTES] =
            head[..].try_into().map_err(|_| Error::internal("a header of another length"))?;
        let header = PackHeader::decode(&head).map_err(Error::unreadable)?;
        let mut bytes = take_buffer(header.stored_bytes, session.profiler());
        while bytes.len() < header.stored_bytes {
            let began = Instant::now();
            let next = header.stored_bytes.min(bytes.len() + CHUNK_BYTES_MAX);
            read_bytes(&mut stream, &mut bytes, next, false).await?;
            lane.waited(began);
        }
        let count = (PACK_HEADER_BYTES + header.stored_bytes) as u64;
        wire.received(count);
        carrier.carried(count);
        session.pace_taken(count).await;
        room.send(Pack::new(header, share(bytes)));
    }
    Ok(())
}

/// Fails the session when content arrives on a lane that it does not have.
pub(super) async fn refuse_others(session: &Session, mut stream: RecvStream) {
    if matches!(stream.read_chunk(1).await, Ok(Some(_))) {
        session.fail(Error::protocol("a data lane that the session does not have").remote());
    }
}

/// Reads exactly `count` bytes. Gives false when the stream ended before the first of them, and `may_end`.
async fn read_bytes(from: &mut RecvStream, into: &mut Vec<u8>, count: usize, may_end: bool) -> Result<bool> {
    while into.len() < count {
        match from.read_chunk(count - into.len()).await? {
            Some(chunk) => into.extend_from_slice(&chunk),
            None if may_end && into.is_empty() => return Ok(false),
            None => return Err(Error::protocol("a data lane that ends inside a pack").remote()),
        }
    }
    Ok(true)
}
