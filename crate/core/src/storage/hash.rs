//! Digests of content.

use std::time::SystemTime;

use sparsync_proto::ContentDigest;

use super::{Directory, File, Result, Status};

/// Bytes read at once from large files.
const READ_BYTES: usize = 256 << 10;

/// Digests that earlier runs made, of files that have not changed since.
pub(crate) trait Sums: std::fmt::Debug + Send + Sync {
    /// The digest of a file that has this status.
    fn find(&self, status: &Status) -> Option<ContentDigest>;

    /// Keeps the digest of a file that had this status before and after it was hashed; `begun` is when hashing began.
    fn keep(&self, status: &Status, begun: SystemTime, digest: &ContentDigest);

    /// Saves new digests for later runs, as far as that is possible.
    fn save(&self);
}

/// Buffers for hashing the files of a directory.
#[derive(Default)]
pub(super) struct Contents {
    buffer: Vec<u8>,
    /// The digests of the directory that is being scanned.
    pub(super) digests: Vec<ContentDigest>,
}

impl Contents {
    /// The digest of the whole file.
    pub(super) fn hash_file(
        &mut self,
        directory: &impl Directory,
        (name, status): (&[u8], &Status),
        open_noatime: bool,
        sums: Option<&dyn Sums>,
    ) -> Result<ContentDigest> {
        if let Some(digest) = sums.and_then(|sums| sums.find(status)) {
            return Ok(digest);
        }
        let begun = sums.map(|sums| (sums, SystemTime::now()));
        let file = directory.open_file(name)?;
        if open_noatime {
            file.keep_access_time();
        }
        let mut hasher = blake3::Hasher::new();
        hash_into(&mut hasher, &file, u64::MAX, &mut self.buffer)?;
        let digest = *hasher.finalize().as_bytes();
        // The digest is kept only if the file is the one that was looked at, and nobody has changed it since.
        if let Some((sums, begun)) = begun
            && file.status().is_ok_and(|after| after.is_untouched(status))
        {
            sums.keep(status, begun, &digest);
        }
        Ok(digest)
    }
}

/// Feeds up to `bytes_max` bytes of a file to `hasher`, and says how many.
fn hash_into(hasher: &mut blake3::Hasher, file: &impl File, bytes_max: u64, buffer: &mut Vec<u8>) -> Result<u64> {
    let mut done = 0;
    while done < bytes_max {
        buffer.clear();
        buffer.reserve_exact(READ_BYTES);
        file.read(buffer, done)?;
        let left = usize::try_from(bytes_max - done).unwrap_or(usize::MAX);
        let read = &buffer[..buffer.len().min(left)];
        if read.is_empty() {
            break;
        }
        hasher.update(read);
        done += read.len() as u64;
    }
    Ok(done)
}

/// Feeds the first `bytes` of a file to a new hasher; none when the file is shorter.
pub(crate) fn hash_prefix(file: &impl File, bytes: u64) -> Result<Option<blake3::Hasher>> {
    let mut hasher = blake3::Hasher::new();
    let read = hash_into(&mut hasher, file, bytes, &mut Vec::new())?;
    Ok((read == bytes).then_some(hasher))
}
