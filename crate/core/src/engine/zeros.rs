//! The digest of holes.

use super::session::Session;
use crate::error::Result;

/// Feeds zeros to a hasher, for as long as the run goes on: a hole can take longer to hash than anybody waits.
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
