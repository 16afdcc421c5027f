//! The engine of sparsync: walking, reading, hashing, compressing, writing, transports and trust.

mod error;
#[allow(dead_code)]
mod fs;

pub use error::{Detail, Error, ErrorKind, Result, Side};
