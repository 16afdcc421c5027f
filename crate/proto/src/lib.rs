//! The protocol of sparsync without input or output: entries, limits, frames, the planner.
#![forbid(unsafe_code)]

mod kind;

pub use kind::ErrorKind;
