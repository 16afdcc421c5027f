//! Files and directories that a user names on this machine. Symlinks of others than root and this user lead to none.

use std::io;
use std::os::fd::IntoRawFd;

use napi::Env;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use sparsync_core::{Error, ErrorKind, open_directory as directory, open_log as log, open_to_be_read as read};

use crate::error::throw;

/// Opens a log to append to it, and with `reads` to read it; makes it with this mode if it is missing. Gives the
/// descriptor, which is the caller's.
#[napi(catch_unwind)]
pub fn open_log(env: &Env, path: Uint8Array, mode: u32, reads: bool) -> napi::Result<i32> {
    given(env, &path, log(&path, mode, reads))
}

/// Opens a file to read it. Gives the descriptor, which is the caller's.
#[napi(catch_unwind)]
pub fn open_to_read(env: &Env, path: Uint8Array) -> napi::Result<i32> {
    given(env, &path, read(&path))
}

/// Opens a directory, for calls that take names in it. With a mode it is made if it is missing, with those above it.
/// Gives the descriptor, which is the caller's.
#[napi(catch_unwind)]
pub fn open_directory(env: &Env, path: Uint8Array, makes: Option<u32>) -> napi::Result<i32> {
    given(env, &path, directory(&path, makes))
}

fn given(env: &Env, path: &[u8], opened: io::Result<impl IntoRawFd>) -> napi::Result<i32> {
    let opened = opened.map_err(|error| Error::new(ErrorKind::Io, error.to_string()).at(path));
    Ok(throw(env, opened)?.into_raw_fd())
}
