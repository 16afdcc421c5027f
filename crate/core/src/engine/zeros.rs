//! Hashes holes.

use super::session::Session;
use crate::error::Result;

/// Feeds zeros to a hasher, unless the run ends meanwhile: hashing a large hole may take longer than a caller waits.
pub(super) fn hash_zeros(session: &Session, hasher: &mut blake3::Hasher, bytes: u64) -> Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        session.check()?;
        session.worked(1);
        let count = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        hasher.update(&ZEROS[..count]);
        left -= count as u64;
    }
    Ok(())
}
