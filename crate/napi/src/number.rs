//! Numbers as JavaScript has them.

/// A count or an amount.
#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are exact up to 9 PB")]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// Nanoseconds as milliseconds.
pub(crate) fn millis(nanos: u64) -> f64 {
    number(nanos) / 1e6
}
