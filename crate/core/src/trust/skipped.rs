//! Tests that cannot be run here, told as those of the integration tests are.

use std::io::Write as _;

/// Says that this test is left out: `npm test` counts the line, and fails over it when it is strict.
pub(super) fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("\nskipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stdout().write_all(line.as_bytes()).expect("written");
}
