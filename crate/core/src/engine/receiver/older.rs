//! Other files of the destination that a large file which is new may be made of: its own name in a directory to compare
//! with, or one that is similar. What is taken decides how much travels, and nothing else.

use std::collections::HashMap;

use sparsync_proto::limits::DELTA_BYTES_MIN;
use sparsync_proto::{Entry, Kind, Listing, RelPath, Time};

use super::Receiver;
use crate::engine::directories::{MovedFrom, OlderAt};
use crate::storage::{Directory as _, Scan, WriteStorage, entries};

/// The most files of one directory that are looked through for a similar one.
const CANDIDATES_MAX: usize = 1000;

/// What was found for the files of one directory.
#[derive(Default)]
pub(super) struct Older {
    /// The files that are made of others.
    pub(super) found: HashMap<u32, OlderAt>,
    /// The files that are others which were moved.
    pub(super) moved: HashMap<u32, MovedFrom>,
    candidates: Option<Vec<Candidate>>,
}

struct Candidate {
    at: OlderAt,
    bytes: u64,
    mtime: Time,
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// Whether a file that has no entry in its place may be sent as the difference to another file.
    pub(super) fn may_be_made_of_another(&self, entry: &Entry) -> bool {
        // With writing in place, the other file may be written over while this one is made of it.
        let writes = &self.options.writes;
        writes.delta && writes.in_place.is_none() && entry.kind == Kind::File && entry.size >= DELTA_BYTES_MIN
    }

    /// Finds a file that a new one may be made of: the one of the same name in a basis that is long enough, or a
    /// similar one. Gives its length.
    pub(super) fn find_older(
        &self,
        path: &RelPath,
        (listing, index): (&Listing, u32),
        (old, same_name): (Option<&Scan>, Option<(usize, u64)>),
        older: &mut Older,
    ) -> Option<u64> {
        let entry = listing.get(index as usize)?;
        let name = listing.name(entry);
        if let Some((basis, bytes)) = same_name.filter(|(_, bytes)| *bytes >= DELTA_BYTES_MIN) {
            older.found.insert(index, OlderAt { basis: Some(basis), name: name.to_vec() });
            return Some(bytes);
        }
        if !self.options.writes.fuzzy {
            return None;
        }
        let candidates = older.candidates.get_or_insert_with(|| self.candidates(path, old));
        let is_same = |candidate: &&Candidate| candidate.bytes == entry.size && candidate.mtime == entry.meta.mtime;
        let same = candidates.iter().find(is_same);
        let similar = || {
            let scored =
                candidates.iter().filter_map(|candidate| Some((likeness(&candidate.at.name, name)?, candidate)));
            scored.max_by_key(|(score, candidate)| (*score, u64::MAX - candidate.bytes.abs_diff(entry.size)))
        };
        let found = same.or_else(|| similar().map(|(_, candidate)| candidate))?;
        older.found.insert(index, found.at.clone());
        Some(found.bytes)
    }

    /// The large files of the directory at `path`, here and, if asked for, in the bases.
    fn candidates(&self, path: &RelPath, old: Option<&Scan>) -> Vec<Candidate> {
        let own = old.map(|old| &old.listing).into_iter().flat_map(|listing| {
            let files = listing.entries().iter().filter(|entry| entry.kind == Kind::File);
            files.map(|entry| Candidate {
                at: OlderAt { basis: None, name: listing.name(entry).to_vec() },
                bytes: entry.size,
                mtime: entry.meta.mtime,
            })
        });
        let bases: &[_] = if self.options.writes.fuzzy_in_bases { &self.destination.aside.basis } else { &[] };
        let others = bases.iter().enumerate().flat_map(|(number, basis)| {
            // A directory that cannot be read offers no files.
            let found = entries(&basis.root, &RelPath::root(), path).ok();
            found.into_iter().flat_map(move |(directory, found)| {
                let files = found.into_iter().filter(|(_, kind)| *kind == Kind::File).take(CANDIDATES_MAX);
                let seen = files.filter(|(name, kind)| !basis.is_hidden(path, name, *kind));
                seen.filter_map(move |(name, _)| {
                    let status = directory.status(&name).ok()?;
                    let at = OlderAt { basis: Some(number), name };
                    Some(Candidate { at, bytes: status.size, mtime: status.meta.mtime })
                })
            })
        });
        own.chain(others).filter(|candidate| candidate.bytes >= DELTA_BYTES_MIN).take(CANDIDATES_MAX).collect()
    }
}

/// How many bytes two names have in common at both ends; none when that is at most half of the longer name.
fn likeness(one: &[u8], other: &[u8]) -> Option<usize> {
    let (shorter, longer) = (one.len().min(other.len()), one.len().max(other.len()));
    let first = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let last = one.iter().rev().zip(other.iter().rev()).take(shorter - first).take_while(|(a, b)| a == b).count();
    (2 * (first + last) > longer).then_some(first + last)
}

#[cfg(test)]
mod tests {
    use super::likeness;

    #[test]
    fn names_are_alike_by_their_ends() {
        assert_eq!(likeness(b"log-2026-11-27.tar", b"log-2026-11-28.tar"), Some(17));
        assert_eq!(likeness(b"aaa", b"aaaa"), Some(3));
        assert_eq!(likeness(b"photo.jpg", b"other.jpg"), None);
        assert_eq!(likeness(b"", b"x"), None);
    }
}
