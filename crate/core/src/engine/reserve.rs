//! Keeps space of a file system free that runs leave to others.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// Gives the free bytes; none if the file system does not tell.
type FreeBytes = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// The most that is written between two looks at the file system, and the part of its free bytes that may be.
const GRANTED_MAX: u64 = 16 << 20;
const GRANTED_PART: u64 = 16;

/// Free space that a run may not take.
pub(crate) struct SpaceReserve {
    bytes: u64,
    free: FreeBytes,
    /// Bytes that may be written before the file system is looked at again: others write there, too.
    granted: AtomicI64,
}

impl SpaceReserve {
    /// A reserve of `bytes` that must stay free.
    pub(crate) fn new(bytes: u64, free: FreeBytes) -> Self {
        Self { bytes, free, granted: AtomicI64::new(0) }
    }

    /// Takes room for content that is about to be written.
    pub(super) fn take(&self, bytes: u64) -> Result<()> {
        let wanted = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.granted.fetch_sub(wanted, Ordering::Relaxed) >= wanted {
            return Ok(());
        }
        let Some(free) = (self.free)() else { return Ok(()) };
        let room = free.saturating_sub(self.bytes);
        if room < bytes {
            let message =
                format!("the server keeps {} bytes of its file system free, and has no more than those", self.bytes);
            return Err(Error::new(ErrorKind::NoSpace, message));
        }
        let granted = ((room - bytes) / GRANTED_PART).min(GRANTED_MAX);
        self.granted.store(i64::try_from(granted).unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::SpaceReserve;
    use crate::error::ErrorKind;

    #[test]
    fn what_is_kept_free_is_never_written_to() {
        let free = Arc::new(AtomicU64::new(100 << 20));
        let looked = Arc::new(AtomicU64::new(0));
        let reserve = {
            let (free, looked) = (Arc::clone(&free), Arc::clone(&looked));
            SpaceReserve::new(
                10 << 20,
                Box::new(move || {
                    looked.fetch_add(1, Ordering::Relaxed);
                    Some(free.load(Ordering::Relaxed))
                }),
            )
        };
        let error = loop {
            if let Err(error) = reserve.take(100_000) {
                break error;
            }
            free.fetch_sub(100_000, Ordering::Relaxed);
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let left = free.load(Ordering::Relaxed);
        assert!((10 << 20..(10 << 20) + 100_000).contains(&left), "{left}");
        assert!(looked.load(Ordering::Relaxed) < 400, "{looked:?}");
        assert!(reserve.take(1).is_ok(), "what still fits is written");
    }
}
