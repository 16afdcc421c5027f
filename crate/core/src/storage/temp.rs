//! Names of files that are not finished. They carry a check of their own, so that no file of a user is taken for one.

use std::sync::atomic::{AtomicU32, Ordering};

use sparsync_proto::RelPath;

/// Identifies a session on this machine.
pub(crate) type SessionId = [u8; 8];

/// Identifies the content that a kept part belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartialId([u8; 16]);

impl PartialId {
    /// The identity of a file's content: its name, size and modification time at the source.
    pub(crate) fn new(name: &[u8], size: u64, mtime: sparsync_proto::Time) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("sparsync partial content identity 1");
        hasher.update(name);
        hasher.update(&size.to_le_bytes());
        hasher.update(&mtime.seconds.to_le_bytes());
        hasher.update(&mtime.nanos.to_le_bytes());
        Self::finish(&hasher)
    }

    /// The temporary name of a tree that takes the place of the one called `name`. It is the same in every run, so that
    /// the next one finds the tree.
    pub(crate) fn of_tree(name: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("sparsync staged tree 1");
        hasher.update(name);
        Self::finish(&hasher)
    }

    /// The name by which two trees change places when the old one is kept. It depends on `ino`, the inode of the new
    /// tree, so that a later run can tell which of the two has it.
    pub(crate) fn of_exchanged_tree(name: &[u8], ino: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("sparsync exchanged tree 1");
        hasher.update(&ino.to_le_bytes());
        hasher.update(name);
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }

    /// The name that it is kept under, beside its target.
    pub(crate) fn file_name(self) -> Vec<u8> {
        spell(&self.0, b".part")
    }
}

/// What an unfinished file's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TempName {
    /// It belongs to a session and means nothing after it.
    Session(SessionId),
    /// A part of a large file that a later run can go on from.
    Partial(PartialId),
}

const PREFIX: &[u8] = b".sps-";
const CHECK_BYTES: usize = 4;

fn check(payload: &[u8], suffix: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("sparsync temp name 1");
    hasher.update(payload);
    hasher.update(suffix);
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    out
}

fn spell(payload: &[u8], suffix: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let check = check(payload, suffix);
    let mut name = Vec::with_capacity(PREFIX.len() + 2 * (payload.len() + CHECK_BYTES) + suffix.len());
    name.extend_from_slice(PREFIX);
    for byte in payload.iter().chain(&check) {
        name.push(HEX[usize::from(byte >> 4)]);
        name.push(HEX[usize::from(byte & 15)]);
    }
    name.extend_from_slice(suffix);
    name
}

fn payload<const N: usize>(name: &[u8], suffix: &[u8]) -> Option<[u8; N]> {
    let hex = name.strip_prefix(PREFIX)?.strip_suffix(suffix)?;
    if hex.len() != 2 * (N + CHECK_BYTES) {
        return None;
    }
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (spell(&bytes, suffix) == name).then_some(bytes)
}

impl TempName {
    /// Whether a path leads through an unfinished file, or to one.
    pub(crate) fn is_in(path: &RelPath) -> bool {
        path.components().any(|name| Self::parse(name.as_bytes()).is_some())
    }

    /// Recognises an unfinished file by its name.
    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        if !name.starts_with(PREFIX) {
            return None;
        }
        if let Some(bytes) = payload::<12>(name, b".tmp") {
            let mut session = SessionId::default();
            session.copy_from_slice(&bytes[..8]);
            return Some(Self::Session(session));
        }
        payload::<16>(name, b".part").map(|id| Self::Partial(PartialId(id)))
    }
}

/// Makes the names of one session.
#[derive(Debug)]
pub(crate) struct TempNames {
    session: SessionId,
    next: AtomicU32,
}

impl TempNames {
    /// Names of `session`.
    pub(crate) fn new(session: SessionId) -> Self {
        Self { session, next: AtomicU32::new(0) }
    }

    /// A name that this session has not used.
    pub(crate) fn next(&self) -> Vec<u8> {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.session);
        bytes[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        spell(&bytes, b".tmp")
    }
}

#[cfg(test)]
mod tests {
    use super::{PartialId, TempName, TempNames};

    #[test]
    fn names_are_recognised_and_others_are_not() {
        let names = TempNames::new([7; 8]);
        let first = names.next();
        assert_eq!(TempName::parse(&first), Some(TempName::Session([7; 8])));
        assert_ne!(first, names.next());
        let part = PartialId::new(b"f", 1, sparsync_proto::Time::default());
        assert_eq!(TempName::parse(&part.file_name()), Some(TempName::Partial(part)));
        let mut forged = first;
        forged[6] ^= 1;
        assert_eq!(TempName::parse(&forged), None);
        assert_eq!(TempName::parse(b".sps-notes.tmp"), None);
    }
}
