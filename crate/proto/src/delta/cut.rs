//! Cuts a file into chunks by its content.

use mincdc::{MinCdcHash4, SliceChunker};

use super::{CHUNK_DIGEST_BYTES, ChunkDigest};
use crate::entry::ContentDigest;
use crate::limits::{DELTA_PIECES_MAX, DELTA_SHORT_BYTES};

/// The shortest and the longest chunk, but for the last of a run of data: cuts are spread evenly between the two.
const CHUNK_BYTES: (usize, usize) = (4 << 10, 12 << 10);

/// The same of pieces, of scale 0; each further one doubles them.
const PIECE_BYTES: (usize, usize) = (64 << 10, 192 << 10);

/// The same of grains.
const GRAIN_BYTES: (usize, usize) = (256, 768);

/// A cut is behind those four bytes of the range for which this hash is least: as a little-endian number, times the
/// multiplier, plus the addend.
const MULTIPLIER: u32 = 0x915f_77f5;
const ADDEND: u32 = 0x3463_6463;

/// The largest scale of pieces.
const SCALE_MAX: u8 = 7;

/// Where a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cutter {
    level: u8,
}

impl Cutter {
    /// The cutter for chunks: pieces are cut again into these, and short files at once.
    pub const CHUNKS: Self = Self { level: 0 };

    /// The cutter for grains: chunks are cut again into these, and no file at once.
    pub const GRAINS: Self = Self { level: u8::MAX };

    /// The first cutter of files that both have up to `bytes`; none for files that are too long.
    #[must_use]
    pub fn for_files(bytes: u64) -> Option<Self> {
        if bytes <= DELTA_SHORT_BYTES {
            return Some(Self::CHUNKS);
        }
        let average = (PIECE_BYTES.0 + PIECE_BYTES.1) as u64 / 2;
        let scale = (0..=SCALE_MAX).find(|scale| bytes.div_ceil(average << scale) <= DELTA_PIECES_MAX as u64)?;
        Some(Self { level: scale + 1 })
    }

    /// The cutter of this level, if there is one.
    #[must_use]
    pub fn of_level(level: u8) -> Option<Self> {
        (level <= SCALE_MAX + 1).then_some(Self { level })
    }

    /// Its level: 0 for chunks, 1 more than the scale of pieces.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The cutter into which its parts are cut again.
    #[must_use]
    pub const fn below(self) -> Option<Self> {
        match self {
            Self::GRAINS => None,
            Self::CHUNKS => Some(Self::GRAINS),
            _ => Some(Self::CHUNKS),
        }
    }

    /// The longest part.
    #[must_use]
    pub const fn longest(self) -> usize {
        self.bounds().1
    }

    const fn bounds(self) -> (usize, usize) {
        if self.level == Self::GRAINS.level {
            return GRAIN_BYTES;
        }
        match self.level.checked_sub(1) {
            None => CHUNK_BYTES,
            Some(scale) => (PIECE_BYTES.0 << scale, PIECE_BYTES.1 << scale),
        }
    }

    /// The length of the first part of `bytes`, which must hold at least the longest part, or all that is left of a run
    /// of data.
    #[must_use]
    pub fn cut(self, bytes: &[u8]) -> usize {
        let (shortest, longest) = self.bounds();
        let bytes = &bytes[..bytes.len().min(longest)];
        let value = MinCdcHash4::with_params(MULTIPLIER, ADDEND);
        SliceChunker::new(bytes, shortest, longest, value).next().map_or(bytes.len(), |part| part.len())
    }
}

/// A part of a file that an end holds, or a hole in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// BLAKE3 of its content, cut off; zeros for a hole.
    pub digest: ChunkDigest,
    /// How long it is.
    pub bytes: u64,
}

impl Chunk {
    /// The part with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::with_digest(content).0
    }

    /// The part with this content, and the digest of that in full.
    #[must_use]
    pub fn with_digest(content: &[u8]) -> (Self, ContentDigest) {
        let digest = *blake3::hash(content).as_bytes();
        (Self { digest: cut_off(&digest), bytes: content.len() as u64 }, digest)
    }

    /// A hole.
    #[must_use]
    pub const fn hole(bytes: u64) -> Self {
        Self { digest: [0; CHUNK_DIGEST_BYTES], bytes }
    }

    /// Whether it is a hole.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        self.digest == [0; CHUNK_DIGEST_BYTES]
    }
}

/// A digest as it is told.
pub(super) fn cut_off(digest: &[u8; 32]) -> ChunkDigest {
    let mut told = [0; CHUNK_DIGEST_BYTES];
    told.copy_from_slice(&digest[..CHUNK_DIGEST_BYTES]);
    told
}

#[cfg(test)]
mod tests {
    use super::{ADDEND, CHUNK_BYTES, Chunk, Cutter, MULTIPLIER, PIECE_BYTES};
    use crate::limits::DELTA_SHORT_BYTES;

    /// Bytes that look random and are the same in every run.
    fn noise(bytes: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn parts(cutter: Cutter, mut bytes: &[u8]) -> Vec<Chunk> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(cutter.cut(bytes));
            parts.push(Chunk::of(part));
            bytes = rest;
        }
        parts
    }

    /// The rule as docs/protocol.md has it, without any haste.
    fn by_the_rule(mut bytes: &[u8], (shortest, longest): (usize, usize)) -> Vec<u64> {
        let mut lengths = Vec::new();
        while !bytes.is_empty() {
            let value = |end: usize| {
                let last = bytes[end - 4..end].try_into().expect("four bytes");
                u32::from_le_bytes(last).wrapping_mul(MULTIPLIER).wrapping_add(ADDEND)
            };
            let ends = shortest..=longest.min(bytes.len());
            let cut = if bytes.len() <= shortest {
                bytes.len()
            } else {
                ends.min_by_key(|end| value(*end)).expect("several")
            };
            lengths.push(cut as u64);
            bytes = &bytes[cut..];
        }
        lengths
    }

    /// Both ends have to cut alike, whatever the machine, the build and the version of what finds the cuts.
    #[test]
    fn cuts_are_where_the_document_says() {
        let lengths = |level, bytes: &[u8]| -> Vec<u64> {
            parts(Cutter::of_level(level).expect("a level"), bytes).iter().map(|part| part.bytes).collect()
        };
        for (level, bounds) in [(0, CHUNK_BYTES), (1, PIECE_BYTES), (2, (PIECE_BYTES.0 << 1, PIECE_BYTES.1 << 1))] {
            for bytes in
                [noise(1 << 20, 7), noise(3, 1), noise(4096, 2), noise(4097, 3), vec![0; 1 << 20], vec![1; 500_001]]
            {
                assert_eq!(lengths(level, &bytes), by_the_rule(&bytes, bounds), "level {level}");
            }
        }
        assert_eq!(lengths(0, &noise(50_000, 7)), [8245, 8235, 8555, 10781, 10076, 4103, 5]);
        assert_eq!(lengths(1, &noise(500_000, 7)), [189_443, 81_869, 174_203, 54_485]);
    }

    #[test]
    fn each_level_is_cut_by_the_one_below() {
        let below = |level| Cutter::of_level(level).and_then(Cutter::below);
        assert_eq!([below(8), below(1), below(0)], [Some(Cutter::CHUNKS), Some(Cutter::CHUNKS), Some(Cutter::GRAINS)]);
        assert_eq!((Cutter::GRAINS.below(), below(u8::MAX)), (None, None));
        let bytes = noise(5000, 7);
        let lengths: Vec<u64> = parts(Cutter::GRAINS, &bytes).iter().map(|part| part.bytes).collect();
        assert_eq!(lengths, by_the_rule(&bytes, (256, 768)));
    }

    #[test]
    fn long_files_have_longer_pieces_and_not_more_of_them() {
        let level = |bytes| Cutter::for_files(bytes).map(Cutter::level);
        assert_eq!([level(0), level(DELTA_SHORT_BYTES), level(DELTA_SHORT_BYTES + 1)], [Some(0), Some(0), Some(1)]);
        assert_eq!([level(16 << 30), level((16 << 30) + 1), level(1 << 40)], [Some(1), Some(2), Some(7)]);
        assert_eq!(level(1 << 62), None);
        assert_eq!(Cutter::of_level(9), None);
    }

    #[test]
    fn an_insertion_changes_what_is_around_it() {
        for (level, most) in [(0, 60_000), (1, 1_500_000)] {
            let cutter = Cutter::of_level(level).expect("a level");
            let old = noise(8 << 20, 1);
            let new = [&old[..2 << 20], &noise(5000, 2), &old[2 << 20..]].concat();
            let (old, new) = (parts(cutter, &old), parts(cutter, &new));
            let lost: u64 = new.iter().filter(|part| !old.contains(part)).map(|part| part.bytes).sum();
            assert!(lost < most, "{lost} bytes of level {level}");
        }
    }
}
