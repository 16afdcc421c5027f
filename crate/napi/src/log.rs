//! Files that are appended to.

use std::os::fd::IntoRawFd as _;

use napi::Env;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::{Error, ErrorKind, open_log as open};

use crate::error::throw;

/// Opens a log to append to it, and with `reads` to read it; makes it with this mode if it is missing. Gives the descriptor, which is
/// the caller's. Symlinks of others than root and this user lead to none.
#[napi(catch_unwind)]
pub fn open_log(env: &Env, path: Uint8Array, mode: u32, reads: bool) -> napi::Result<i32> {
    let opened = open(&path, mode, reads).map_err(|error| Error::new(ErrorKind::Io, error.to_string()).at(&path));
    Ok(throw(env, opened)?.into_raw_fd())
}
