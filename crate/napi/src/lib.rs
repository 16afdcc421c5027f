//! The Node-API binding: conversions between JavaScript and `sparsync-core`, and nothing else.
//!
//! No value of JavaScript ever enters a future, and no future borrows an object of JavaScript's: futures own handles
//! of the core and only wait for channels. Whatever still runs when an environment ends (a worker that is terminated,
//! a process that exits) is canceled and joined by a cleanup hook.
#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "the binding's macro wants owned arguments and a borrowed environment"
)]
#![cfg_attr(test, allow(dead_code, reason = "the exports are registered only in the addon itself"))]
#![allow(unreachable_pub, reason = "what the attribute exports must be public, and a cdylib has no other users")]

mod client;
mod config_file;
mod error;
mod explain;
mod job;
mod named_files;
mod number;
mod options;
mod profile;
mod server;
mod server_events;
mod snapshots;
mod transfer;
mod trust;
mod words;

use napi_derive::napi;

/// The version of the native core.
#[napi]
#[must_use]
pub fn core_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
