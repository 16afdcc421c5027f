//! Numbers as JavaScript has them.

use std::time::{Duration, SystemTime};

/// A count or an amount.
#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are exact up to 9 PB")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// Nanoseconds as milliseconds.
pub(crate) fn millis(nanos: u64) -> f64 {
    number(nanos) / 1e6
}

/// A time span in milliseconds.
pub(crate) fn span(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A moment in milliseconds since 1970; nothing for one before.
pub(crate) fn moment(at: SystemTime) -> Option<f64> {
    at.duration_since(SystemTime::UNIX_EPOCH).map(span).ok()
}
