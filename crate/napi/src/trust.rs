//! Keys and known hosts.

use std::path::Path;

use napi::Env;
use napi_derive::napi;
use sparsync_core::trust::{Identity, KnownHosts, PublicKey};

use crate::error::throw;

/// A key of this machine.
#[napi(object, object_from_js = false)]
pub struct NativeKey {
    /// `ed25519:…`
    pub public_key: String,
    /// It was made just now.
    pub created: bool,
}

/// Loads the private key at `keyPath`, or makes one.
#[napi(catch_unwind)]
pub fn load_identity(env: &Env, key_path: String) -> napi::Result<NativeKey> {
    let (identity, created) = throw(env, Identity::load_or_create(Path::new(&key_path)))?;
    Ok(NativeKey { public_key: identity.public_key().to_string(), created })
}

/// The keys that are pinned for a server.
#[napi(catch_unwind)]
pub fn known_host(env: &Env, path: String, host: String, port: u16) -> napi::Result<Vec<String>> {
    let known = throw(env, KnownHosts::new(path).lookup(&host, port))?;
    Ok(known.into_iter().map(|known| known.key.to_string()).collect())
}

/// Pins a server's key.
#[napi(catch_unwind)]
pub fn trust_host(env: &Env, path: String, host: String, port: u16, key: String) -> napi::Result<()> {
    let key = throw(env, key.parse::<PublicKey>())?;
    throw(env, KnownHosts::new(path).append(&host, port, key))
}

/// Removes the pins of a server; says whether there were any.
#[napi(catch_unwind)]
pub fn forget_host(env: &Env, path: String, host: String, port: u16) -> napi::Result<bool> {
    throw(env, KnownHosts::new(path).forget(&host, port))
}
