//! The buffers that packs travel in, used again and again: a fresh one costs a page fault for every 4 KiB, and the
//! allocator's own choice of what to keep is what a process's memory would otherwise be made of.

use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use bytes::Bytes;
use sparsync_proto::limits::{LITERAL_BYTES, PACK_BYTES};

use crate::profile::Profiler;

/// Room in a pack for the heads and tails of its records.
pub(crate) const HEADS_BYTES: usize = 4 << 10;

/// Rooms of the buffers that are kept: for a pack, and for a pack of a long file.
const ROOMS: [usize; 2] = [PACK_BYTES + HEADS_BYTES, LITERAL_BYTES + HEADS_BYTES];

/// Buffers of one room that are kept while nobody uses them, for all runs of the process: as many as two lanes use at
/// once, four in each lane and the rest in the window of a short path.
const KEPT_MAX: usize = 12;

static KEPT: Mutex<[Vec<Vec<u8>>; ROOMS.len()]> = Mutex::new([const { Vec::new() }; ROOMS.len()]);

/// An empty buffer with room for `bytes`: the least of [`ROOMS`], unless the largest is too small.
pub(crate) fn take(bytes: usize, profiler: Option<&Arc<Profiler>>) -> Vec<u8> {
    static FIRST: Once = Once::new();
    let kind = ROOMS.iter().position(|room| bytes <= *room);
    if let Some(kept) = kind.and_then(|kind| kept()[kind].pop()) {
        return kept;
    }
    FIRST.call_once(keep_freed_memory);
    let room = kind.map_or(bytes, |kind| ROOMS[kind]);
    if let Some(profiler) = profiler {
        profiler.allocated(room);
    }
    Vec::with_capacity(room)
}

fn kept() -> MutexGuard<'static, [Vec<Vec<u8>>; ROOMS.len()]> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the allocator keep what is freed at the end of its heaps, up to 1 MiB each. As it comes, glibc gives the system
/// back whatever is more than 128 KiB: a batch of datagrams, again and again, each time for a page fault every 4 KiB.
/// It learns from the largest block of its own that a program frees, and takes twice that. Elsewhere this does nothing.
fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(512 << 10)));
}

/// Gives a buffer back. A buffer of another size than [`ROOMS`] is not kept.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    if let Some(kind) = ROOMS.iter().position(|room| *room == buffer.capacity()) {
        buffer.clear();
        let kept = &mut kept()[kind];
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    }
}

/// A buffer's content for as long as anybody needs it; then the buffer is given back.
pub(crate) fn share(buffer: Vec<u8>) -> Bytes {
    Bytes::from_owner(Shared(buffer))
}

struct Shared(Vec<u8>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}
