//! One server's budget of bytes received and not yet read, shared by its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quinn::{Connection, VarInt};

use super::transport::{CONNECTION_WINDOW_BYTES, MAX_DATA_LANES};

/// Below this a window is not worth having: 1 MiB for each data lane and for control. Connections get it even when
/// the budget is spent, so the most that a server can be made to hold is the budget and this for each session.
const LEAST_WINDOW_BYTES: u32 = (MAX_DATA_LANES + 1) << 20;

/// The bytes that all authorized connections of a server together may have sent and the server not read yet.
/// Clones share one budget.
#[derive(Clone, Debug)]
pub struct WindowBudget(Arc<AtomicU64>);

impl WindowBudget {
    /// The default, 256 MiB: three connections at full speed over any distance, or dozens at one site.
    pub const DEFAULT_BYTES: u64 = 256 << 20;

    /// A budget of that many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// Opens an authorized connection's window as far as the budget goes: at most 80 MiB, at most half of what is
    /// left (so that the next one finds something), at least 5 MiB. Before, a connection may send 256 KiB ahead.
    ///
    /// Keep the lease as long as the connection: dropping it gives the bytes back.
    #[must_use]
    pub fn open(&self, connection: &Connection) -> WindowLease {
        let lease = self.lease();
        connection.set_receive_window(VarInt::from_u32(lease.window.max(LEAST_WINDOW_BYTES)));
        lease
    }

    fn lease(&self) -> WindowLease {
        let mut window = 0;
        // The closure always gives a value, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            window = u32::try_from(left / 2).unwrap_or(u32::MAX).min(CONNECTION_WINDOW_BYTES);
            Some(left - u64::from(window))
        });
        WindowLease { window, budget: self.clone() }
    }
}

impl Default for WindowBudget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}

/// A connection's share of a [`WindowBudget`], given back when dropped.
#[derive(Debug)]
pub struct WindowLease {
    window: u32,
    budget: WindowBudget,
}

impl Drop for WindowLease {
    fn drop(&mut self) {
        self.budget.0.fetch_add(u64::from(self.window), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{CONNECTION_WINDOW_BYTES, WindowBudget};

    #[test]
    fn shares_shrink_and_come_back() {
        let budget = WindowBudget::default();
        let mut leases: Vec<_> = (0..100).map(|_| budget.lease()).collect();
        assert_eq!(leases[0].window, CONNECTION_WINDOW_BYTES);
        assert!(leases.windows(2).all(|pair| pair[0].window >= pair[1].window));
        let total: u64 = leases.iter().map(|lease| u64::from(lease.window)).sum();
        assert!(total <= WindowBudget::DEFAULT_BYTES);
        leases.clear();
        assert_eq!(budget.0.load(Ordering::Relaxed), WindowBudget::DEFAULT_BYTES);
        assert_eq!(WindowBudget::new(0).lease().window, 0);
    }
}
