//! How much may be under way: congestion control.
//!
//! quinn has Cubic, which takes each loss for a full path, and a BBR of the first version. Ours ([`bbr`]) stands behind
//! quinn's interface in [`adapter`].

mod adapter;
mod bbr;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use quinn::congestion::{ControllerFactory, CubicConfig};

use super::address::Reach;

/// Which congestion control decides how much this side sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// By the path: Cubic on loopback, where nothing lies between the two ends, BBR everywhere else.
    #[default]
    Auto,
    /// By what the path delivers: losses that are not of its making cost it little.
    Bbr,
    /// By losses alone, as most of TCP does.
    Cubic,
}

impl Congestion {
    /// The one of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "bbr" => Some(Self::Bbr),
            "cubic" => Some(Self::Cubic),
            _ => None,
        }
    }

    /// What makes controllers for connections that reach so far and begin with a window of so many bytes.
    pub(super) fn factory(self, reach: Reach, window: u64) -> Arc<dyn ControllerFactory + Send + Sync> {
        let bbr = match self {
            Self::Auto => reach != Reach::Loopback,
            Self::Bbr => true,
            Self::Cubic => false,
        };
        if bbr {
            return Arc::new(adapter::BbrFactory { window, rate: beginning_rate(reach) });
        }
        let mut config = CubicConfig::default();
        config.initial_window(window);
        Arc::new(config)
    }
}

/// Bytes a second that a flow begins with, over a path that reaches so far.
fn beginning_rate(reach: Reach) -> f64 {
    match reach {
        // Paced over a round trip, this is 48 Mbit/s on a site or through its tunnels, and 8 Mbit/s elsewhere. A slower
        // path loses a part of the first window, and takes no longer for it.
        Reach::Loopback | Reach::Private => 6e6,
        Reach::Public => 1e6,
    }
}
