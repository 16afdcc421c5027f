//! Finds what a large file that changed has in common with the file in its place.
//!
//! Both ends cut their files at places that the content decides ([`Cutter`]), so that what an insertion has moved is
//! cut as before. The receiver tells its pieces by their digests, and then the chunks of those pieces that the sender
//! does not find in its own file. From both comes what is copied and what travels ([`Match`]). A list that is wrong
//! costs bytes: the digest of the whole file decides whether it is right.

mod cut;
mod matching;

pub use cut::{Chunk, Cutter};
pub use matching::{Match, Piece, Recipe, Span};

/// Bytes of the digest of a part of a file that an end holds: BLAKE3, cut off.
pub const CHUNK_DIGEST_BYTES: usize = 16;

/// The digest of a part of a file that an end holds.
pub type ChunkDigest = [u8; CHUNK_DIGEST_BYTES];
