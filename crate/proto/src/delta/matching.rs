//! Finds the parts of a file that the other end has.

use std::collections::HashMap;

use super::ChunkDigest;
use super::cut::{Chunk, cut_off};
use crate::entry::ContentDigest;
use crate::limits::{DELTA_ASKED_BYTES_MAX, DELTA_GRAINS_BYTES_MAX, DELTA_GRAINS_BYTES_MIN};

/// A piece of one's own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// BLAKE3 of its content.
    pub digest: ContentDigest,
    /// How long it is.
    pub bytes: u64,
    /// It is a hole.
    pub is_hole: bool,
}

/// The next bytes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// They are held by the other end.
    Copy {
        /// Where in its file.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// They travel.
    Literal {
        /// How many.
        bytes: u64,
    },
}

impl Span {
    /// How many bytes it is.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Copy { bytes, .. } | Self::Literal { bytes } => bytes,
        }
    }

    /// This one and the next as one, if they are.
    fn with(self, next: Self) -> Option<Self> {
        match (self, next) {
            (Self::Copy { offset, bytes }, Self::Copy { offset: next, bytes: more })
                if offset.checked_add(bytes) == Some(next) =>
            {
                Some(Self::Copy { offset, bytes: bytes.checked_add(more)? })
            }
            (Self::Literal { bytes }, Self::Literal { bytes: more }) => {
                Some(Self::Literal { bytes: bytes.checked_add(more)? })
            }
            _ => None,
        }
    }
}

/// How the next pieces of the own file are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// They are pieces of the other end's file.
    Pieces {
        /// The first of them.
        first: u32,
        /// How many.
        count: u32,
        /// How long they are.
        bytes: u64,
    },
    /// The next piece is made of this.
    Made(Vec<Span>),
    /// The next piece is a hole.
    Hole {
        /// How long it is.
        bytes: u64,
    },
}

/// A part that is held.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    digest: ChunkDigest,
    bytes: u64,
    number: u32,
}

/// Parts that are held, ascending.
#[derive(Debug, Default)]
struct Places {
    all: Vec<Place>,
    first: HashMap<ChunkDigest, usize>,
    next: usize,
    looks: u64,
    is_of_use: Vec<bool>,
}

impl Places {
    fn new(mut all: Vec<Place>) -> Self {
        // A list that lies about lengths need not be in order.
        all.sort_by_key(|place| place.at);
        let mut first = HashMap::with_capacity(all.len());
        for (index, place) in all.iter().enumerate().filter(|(_, place)| place.digest != [0; 16]) {
            first.entry(place.digest).or_insert(index);
        }
        let is_of_use = vec![false; all.len()];
        Self { all, first, next: 0, looks: 0, is_of_use }
    }

    /// Looks for a part of the own file among those of the other end: at the same place, behind the last match, or
    /// anywhere.
    fn find(&mut self, (digest, bytes): (ChunkDigest, u64), at: u64, in_place: bool) -> Option<Place> {
        self.looks += 1;
        let is_it = |index: usize| {
            let place = self.all.get(index)?;
            let is_held = place.digest == digest && place.bytes == bytes;
            (is_held && (!in_place || place.at >= at)).then_some(index)
        };
        let same = self.all.binary_search_by_key(&at, |place| place.at).ok().and_then(is_it);
        let index = same.or_else(|| is_it(self.next)).or_else(|| self.first.get(&digest).copied().and_then(is_it))?;
        self.next = index + 1;
        self.is_of_use[index] = true;
        self.all.get(index).copied()
    }

    /// Looks for parts of the own file that follow each other from `at` on.
    fn find_all(&mut self, mut at: u64, parts: &[Chunk], in_place: bool) -> Vec<Part> {
        let find = |part: &Chunk| {
            let place = self.find((part.digest, part.bytes), at, in_place);
            at = at.saturating_add(part.bytes);
            (part.bytes, place.map(|place| place.at))
        };
        parts.iter().map(find).collect()
    }

    /// Those that were not found, with their digests.
    fn unfound(&self) -> impl Iterator<Item = &Place> {
        self.all
            .iter()
            .zip(&self.is_of_use)
            .filter(|(place, is_of_use)| !**is_of_use && place.digest != [0; 16])
            .map(|(place, _)| place)
    }
}

/// A part of a piece of the own file: its length, and where the other end holds it.
type Part = (u64, Option<u64>);

/// The matches of a piece of the own file.
#[derive(Clone, Debug)]
enum Found {
    Nothing,
    Piece(u32),
    Parts(Vec<Part>),
}

/// The comparison of the own file with the pieces that the other end holds.
#[derive(Debug)]
pub struct Match {
    own: Vec<Piece>,
    found: Vec<Found>,
    in_place: bool,
    /// Where one's own pieces begin.
    start: u64,
    /// Pieces of the other end whose chunks are asked for, with their offsets and lengths.
    asked: Vec<(u32, u64, u64)>,
    /// Those chunks, and then their grains.
    chunks: Places,
    looks: u64,
}

impl Match {
    /// Begins with the own pieces, the first of which is at `start`, and those of the other end. `in_place`: the other
    /// end writes over its file from front to back, so that it can only copy from behind the writing position.
    #[must_use]
    pub fn new(own: Vec<Piece>, start: u64, held: &[Chunk], in_place: bool) -> Self {
        let mut places = Places::new(places(0, held.iter()).collect());
        let mut at = start;
        let mut found = Vec::with_capacity(own.len());
        for piece in &own {
            let place =
                if piece.is_hole { None } else { places.find((cut_off(&piece.digest), piece.bytes), at, in_place) };
            found.push(place.map_or(Found::Nothing, |place| Found::Piece(place.number)));
            at = at.saturating_add(piece.bytes);
        }
        let looks = places.looks;
        let mut matching = Self { own, found, in_place, start, asked: Vec::new(), chunks: Places::default(), looks };
        if matching.lacking().next().is_some() {
            let mut left = DELTA_ASKED_BYTES_MAX;
            for place in places.unfound() {
                if place.bytes <= left {
                    left -= place.bytes;
                    matching.asked.push((place.number, place.at, place.bytes));
                }
            }
            matching.asked.sort_unstable();
        }
        matching
    }

    /// The pieces of the other end whose chunks may be of use, ascending, and how many bytes they have together.
    #[must_use]
    pub fn asked(&self) -> (Vec<u32>, u64) {
        (self.asked.iter().map(|(number, ..)| *number).collect(), self.asked.iter().map(|(.., bytes)| bytes).sum())
    }

    /// Takes the chunks that were asked for.
    pub fn take_chunks(&mut self, chunks: &[Chunk]) {
        let mut chunks = (0..).zip(chunks);
        let mut all = Vec::new();
        for (_, at, bytes) in &self.asked {
            let end = at.saturating_add(*bytes);
            let mut at = *at;
            while at < end
                && let Some((number, chunk)) = chunks.next()
            {
                all.push(Place { at, digest: chunk.digest, bytes: chunk.bytes, number });
                at = at.saturating_add(chunk.bytes);
            }
        }
        self.looks += self.chunks.looks;
        self.chunks = Places::new(all);
    }

    /// The chunks of the other end whose grains may be of use, in the order in which they were told; none where that
    /// costs more than it saves.
    pub fn asked_again(&mut self) -> Vec<u32> {
        let places = &self.chunks;
        let mut asked: Vec<_> = places.unfound().map(|place| (place.number, place.at, place.bytes)).collect();
        let literal: u64 = self.literals().map(|(_, _, _, bytes)| bytes).sum();
        let told = asked.iter().fold(0, |sum: u64, (.., bytes)| sum.saturating_add(*bytes));
        if literal < DELTA_GRAINS_BYTES_MIN || told > DELTA_GRAINS_BYTES_MAX || literal > 4 * DELTA_GRAINS_BYTES_MAX {
            asked.clear();
        }
        asked.sort_unstable();
        self.asked = asked;
        self.asked.iter().map(|(number, ..)| *number).collect()
    }

    /// Parts of the own pieces that were not found: the numbers of piece and part, and the part's offset and length.
    pub fn literals(&self) -> impl Iterator<Item = (usize, usize, u64, u64)> {
        let mut at = self.start;
        self.own.iter().zip(&self.found).enumerate().flat_map(move |(number, (piece, found))| {
            let mut here = at;
            at = at.saturating_add(piece.bytes);
            let parts: &[Part] = if let Found::Parts(parts) = found { parts } else { &[] };
            parts.iter().enumerate().filter_map(move |(part, (bytes, found))| {
                let start = here;
                here = here.saturating_add(*bytes);
                found.is_none().then_some((number, part, start, *bytes))
            })
        })
    }

    /// Takes the grains of such parts, in their order.
    pub fn refine(&mut self, refined: Vec<(usize, usize, u64, Vec<Chunk>)>) {
        let mut refined = refined.into_iter().peekable();
        while let Some(piece) = refined.peek().map(|(piece, ..)| *piece) {
            let Some(Found::Parts(parts)) = self.found.get_mut(piece) else { return };
            let mut finer = Vec::with_capacity(parts.len());
            for (index, part) in parts.drain(..).enumerate() {
                match refined.next_if(|next| (next.0, next.1) == (piece, index)) {
                    Some((_, _, at, grains)) => finer.extend(self.chunks.find_all(at, &grains, self.in_place)),
                    None => finer.push(part),
                }
            }
            *parts = finer;
            // Whatever is left of this piece has no such part.
            while refined.next_if(|next| next.0 == piece).is_some() {}
        }
    }

    /// The own pieces that were not found: their numbers, offsets and lengths.
    pub fn lacking(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        let mut at = self.start;
        self.own.iter().zip(&self.found).enumerate().filter_map(move |(number, (piece, found))| {
            let here = at;
            at = at.saturating_add(piece.bytes);
            (matches!(found, Found::Nothing) && !piece.is_hole).then_some((number, here, piece.bytes))
        })
    }

    /// Takes the chunks of one of those pieces, which is at `at`.
    pub fn made_of(&mut self, number: usize, at: u64, chunks: &[Chunk]) {
        let parts = self.chunks.find_all(at, chunks, self.in_place);
        if let Some(found) = self.found.get_mut(number) {
            *found = Found::Parts(parts);
        }
    }

    /// How often something of one's own was looked up.
    #[must_use]
    pub const fn looks(&self) -> u64 {
        self.looks + self.chunks.looks
    }

    /// The digest of the whole file: that of its pieces' digests, behind the digest of the part `before` them.
    #[must_use]
    pub fn digest(&self, before: Option<ContentDigest>) -> ContentDigest {
        let mut hasher = blake3::Hasher::new();
        for digest in before.iter().chain(self.own.iter().map(|piece| &piece.digest)) {
            hasher.update(digest);
        }
        *hasher.finalize().as_bytes()
    }

    /// How each piece is sent.
    #[must_use]
    pub fn recipe(self) -> Vec<Recipe> {
        let mut all: Vec<Recipe> = Vec::new();
        for (piece, found) in self.own.into_iter().zip(self.found) {
            let own = piece.bytes;
            match (found, all.last_mut()) {
                (_, _) if piece.is_hole => all.push(Recipe::Hole { bytes: own }),
                (Found::Piece(number), Some(Recipe::Pieces { first, count, bytes })) if *first + *count == number => {
                    *count += 1;
                    *bytes += own;
                }
                (Found::Piece(first), _) => all.push(Recipe::Pieces { first, count: 1, bytes: own }),
                (Found::Parts(parts), _) => all.push(Recipe::Made(spans(&parts))),
                (Found::Nothing, _) => all.push(Recipe::Made(vec![Span::Literal { bytes: own }])),
            }
        }
        all
    }
}

/// Parts as spans, as few as they are.
fn spans(parts: &[Part]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for &(bytes, found) in parts {
        let next = found.map_or(Span::Literal { bytes }, |offset| Span::Copy { offset, bytes });
        let both = spans.last().and_then(|last| last.with(next));
        if both.is_some() {
            spans.pop();
        }
        spans.push(both.unwrap_or(next));
    }
    spans
}

/// The places of parts that follow each other from `at` on.
fn places<'a>(mut at: u64, parts: impl Iterator<Item = &'a Chunk>) -> impl Iterator<Item = Place> {
    (0..).zip(parts).map(move |(number, part)| {
        let place = Place { at, digest: part.digest, bytes: part.bytes, number };
        at = at.saturating_add(part.bytes);
        place
    })
}

#[cfg(test)]
mod tests {
    use super::{Match, Piece, Recipe, Span};
    use crate::delta::Chunk;
    use crate::limits::DELTA_ASKED_BYTES_MAX;

    /// Parts of ten bytes; zeros are a hole.
    fn held(seeds: &[u8]) -> Vec<Chunk> {
        seeds.iter().map(|&seed| Chunk { digest: [seed; 16], bytes: 10 }).collect()
    }

    fn own(seeds: &[u8]) -> Vec<Piece> {
        seeds.iter().map(|&seed| Piece { digest: [seed; 32], bytes: 10, is_hole: seed == 0 }).collect()
    }

    fn pieces(first: u32, count: u32) -> Recipe {
        Recipe::Pieces { first, count, bytes: 10 * u64::from(count) }
    }

    fn literal(bytes: u64) -> Recipe {
        Recipe::Made(vec![Span::Literal { bytes }])
    }

    #[test]
    fn what_is_held_is_copied_and_the_rest_travels() {
        let recipe = |seeds, in_place| Match::new(own(seeds), 0, &held(&[1, 2, 3, 4, 5]), in_place).recipe();
        assert_eq!(recipe(&[1, 2, 9, 4, 5], false), [pieces(0, 2), literal(10), pieces(3, 2)]);
        assert_eq!(recipe(&[9, 9, 1, 2], false), [literal(10), literal(10), pieces(0, 2)]);
        assert_eq!(recipe(&[9, 1], true), [literal(10), literal(10)], "written over by then");
        assert_eq!(recipe(&[4, 5, 1], true), [pieces(3, 2), literal(10)]);
        assert_eq!(recipe(&[1, 0, 2], false), [pieces(0, 1), Recipe::Hole { bytes: 10 }, pieces(1, 1)]);
    }

    #[test]
    fn of_equal_pieces_the_one_at_the_same_place_is_taken_and_then_the_next() {
        let here = held(&[7, 1, 7, 2]);
        assert_eq!(Match::new(own(&[7, 1, 7, 2]), 0, &here, true).recipe(), [pieces(0, 4)]);
        assert_eq!(Match::new(own(&[9, 1, 7, 2]), 10, &here, false).recipe(), [literal(10), pieces(1, 3)]);
    }

    #[test]
    fn chunks_are_asked_of_pieces_that_are_not_found() {
        let here = [held(&[1, 2]), vec![Chunk { digest: [3; 16], bytes: 30 }, Chunk::hole(100)], held(&[4])].concat();
        let mine = [own(&[1]), vec![Piece { digest: [9; 32], bytes: 40, is_hole: false }], own(&[4])].concat();
        let mut matching = Match::new(mine, 0, &here, false);
        assert_eq!(matching.asked(), (vec![1, 2], 40));
        assert_eq!(matching.lacking().collect::<Vec<_>>(), [(1, 10, 40)]);
        matching.take_chunks(&held(&[2, 30, 31, 32]));
        matching.made_of(1, 10, &held(&[30, 31, 99, 2]));
        let made =
            [Span::Copy { offset: 20, bytes: 20 }, Span::Literal { bytes: 10 }, Span::Copy { offset: 10, bytes: 10 }];
        assert_eq!(matching.recipe(), [pieces(0, 1), Recipe::Made(made.to_vec()), pieces(4, 1)]);
        assert_eq!(Match::new(own(&[1, 4]), 0, &here, false).asked(), (vec![], 0), "nothing is lacking");
    }

    #[test]
    fn grains_are_asked_of_chunks_that_are_not_found() {
        let big = |seed: u8, bytes| Chunk { digest: [seed; 16], bytes };
        let here = [big(1, 200_000)];
        let mut matching = Match::new(vec![Piece { digest: [9; 32], bytes: 200_000, is_hole: false }], 0, &here, false);
        matching.take_chunks(&[big(2, 50_000), big(3, 50_000), big(4, 100_000)]);
        matching.made_of(0, 0, &[big(2, 50_000), big(5, 100_000), big(3, 50_000)]);
        assert_eq!(matching.asked_again(), [2]);
        assert_eq!(matching.literals().collect::<Vec<_>>(), [(0, 1, 50_000, 100_000)]);
        matching.take_chunks(&[big(6, 40_000), big(7, 60_000)]);
        matching.refine(vec![(0, 1, 50_000, vec![big(8, 40_000), big(7, 60_000)])]);
        let made = [
            Span::Copy { offset: 0, bytes: 50_000 },
            Span::Literal { bytes: 40_000 },
            Span::Copy { offset: 140_000, bytes: 60_000 },
            Span::Copy { offset: 50_000, bytes: 50_000 },
        ];
        assert_eq!(matching.recipe(), [Recipe::Made(made.to_vec())]);
    }

    /// The lengths of a list are the peer's word.
    #[test]
    fn spans_whose_sum_is_no_length_stay_apart() {
        let copy = |offset, bytes| Span::Copy { offset, bytes };
        let literal = |bytes| Span::Literal { bytes };
        assert_eq!(copy(1, 2).with(copy(3, 4)), Some(copy(1, 6)));
        assert_eq!(literal(1).with(literal(2)), Some(literal(3)));
        assert_eq!(copy(1, u64::MAX).with(copy(0, 4)), None, "an end beyond every file");
        assert_eq!(copy(0, 3).with(copy(3, u64::MAX - 2)), None);
        assert_eq!(literal(u64::MAX).with(literal(1)), None);
    }

    #[test]
    fn the_work_over_a_list_of_lies_is_bounded_by_what_is_ones_own_cve_2026_70453() {
        let seeds: Vec<u8> = (1..200_u8).cycle().take(20_000).collect();
        let most = 2 * seeds.len() as u64;
        for bytes in [1, 10, u64::MAX] {
            let lie = Chunk { digest: [1; 16], bytes };
            let mut matching = Match::new(own(&seeds), 0, &vec![lie; 100_000], false);
            assert!(matching.asked().1 <= DELTA_ASKED_BYTES_MAX);
            matching.take_chunks(&vec![lie; 100_000]);
            for (number, at, _) in matching.lacking().collect::<Vec<_>>() {
                matching.made_of(number, at, &held(&[1]));
            }
            assert!(matching.looks() <= most, "{}", matching.looks());
        }
    }
}
