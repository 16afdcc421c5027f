//! The engine of sparsync: walking, reading, hashing, compressing, writing, transports and trust.

#[allow(dead_code)]
mod engine;
mod error;
#[allow(dead_code)]
mod fs;
pub mod net;
pub mod trust;

pub use error::{Detail, Error, ErrorKind, Result, Side};
