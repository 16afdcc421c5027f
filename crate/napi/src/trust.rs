//! Keys, known hosts and invitations for JavaScript.

use std::path::Path;
use std::time::{Duration, SystemTime};

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use sparsync_core::trust::{
    AuthorizedKey, Identity, Invitation, Invitations, KeyFile, KnownHosts, NextKey, PublicKey, ServerKey,
};

use crate::error::{promise, throw};
use crate::number::{moment, number};
use crate::options::NativeConnectOptions;

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

/// A server's key, and the one that is to follow it.
#[napi(object, object_from_js = false)]
pub struct NativeServerKey {
    /// `ed25519:…`
    pub public_key: String,
    /// The one that is to follow.
    pub next_key: Option<String>,
    /// From when that counts, in milliseconds since 1970.
    pub from_ms: Option<f64>,
}

fn native_server_key(public_key: PublicKey, next: Option<NextKey>) -> NativeServerKey {
    NativeServerKey {
        public_key: public_key.to_string(),
        next_key: next.map(|next| next.key.to_string()),
        from_ms: next.and_then(|next| moment(next.from)),
    }
}

/// What becomes of the server's key at `keyPath`: `status` looks; `rotate` makes the one that is to follow, from
/// `fromMs` on; `now` lets it count; `keep` removes it.
#[napi(catch_unwind)]
pub fn server_key(env: &Env, key_path: String, what: String, from_ms: f64) -> napi::Result<NativeServerKey> {
    let path = Path::new(&key_path);
    let found = match what.as_str() {
        "rotate" => {
            let after = Duration::try_from_secs_f64(from_ms / 1000.0).unwrap_or_default();
            ServerKey::rotate(path, SystemTime::UNIX_EPOCH + after).and_then(|_| ServerKey::load(path))
        }
        "now" => ServerKey::rotate_now(path),
        "keep" => ServerKey::keep(path),
        _ => ServerKey::existing(path),
    };
    let ServerKey { identity, next } = throw(env, found)?;
    Ok(native_server_key(identity.public_key(), next))
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

/// Pins a server's key in the place of those that are pinned.
#[napi(catch_unwind)]
pub fn replace_host(env: &Env, path: String, host: String, port: u16, key: String) -> napi::Result<()> {
    let key = throw(env, key.parse::<PublicKey>())?;
    throw(env, KnownHosts::new(path).replace(&host, port, key))
}

/// Removes the pins of a server; says whether there were any.
#[napi(catch_unwind)]
pub fn forget_host(env: &Env, path: String, host: String, port: u16) -> napi::Result<bool> {
    throw(env, KnownHosts::new(path).forget(&host, port))
}

/// The public key of a private one in PEM.
#[napi(catch_unwind)]
pub fn public_key_of(env: &Env, pem: String) -> napi::Result<String> {
    Ok(throw(env, Identity::from_pem(&pem))?.public_key().to_string())
}

/// A client that a file lets in.
#[napi(object, object_from_js = false)]
pub struct NativeAuthorizedKey {
    /// Its name.
    pub name: String,
    /// `ed25519:…`
    pub public_key: String,
    /// Its roots, with prefixes, as they stand in the file; none for all.
    pub roots: Vec<String>,
    /// What it may do.
    pub operations: Vec<String>,
    /// The most bytes that it may keep.
    pub quota_bytes: Option<f64>,
    /// The most entries that it may keep.
    pub entries: Option<f64>,
    /// When its time is over, in milliseconds since 1970.
    pub expires_ms: Option<f64>,
    /// The line of the file, from 1.
    pub line: f64,
}

fn authorized_key(found: &AuthorizedKey) -> NativeAuthorizedKey {
    let AuthorizedKey { line, key, scope, .. } = found;
    NativeAuthorizedKey {
        name: scope.name.clone(),
        public_key: key.to_string(),
        roots: found.roots().map(str::to_owned).collect(),
        operations: scope.rights.names().into_iter().map(str::to_owned).collect(),
        quota_bytes: scope.quota_bytes.map(number),
        entries: scope.quota_entries.map(number),
        expires_ms: scope.expires.and_then(moment),
        line: number(*line),
    }
}

/// The clients that a file lets in.
#[napi(catch_unwind)]
pub fn authorized_keys(env: &Env, path: String) -> napi::Result<Vec<NativeAuthorizedKey>> {
    Ok(throw(env, KeyFile::new(path).keys())?.iter().map(authorized_key).collect())
}

/// Adds a line to a file of clients, in the place of those with its key.
#[napi(catch_unwind)]
pub fn authorize_key(env: &Env, path: String, line: String) -> napi::Result<()> {
    throw(env, KeyFile::new(path).add(&line))
}

/// Removes the clients with this name or key from a file, and gives them.
#[napi(catch_unwind)]
pub fn revoke_key(env: &Env, path: String, who: String) -> napi::Result<Vec<NativeAuthorizedKey>> {
    Ok(throw(env, KeyFile::new(path).revoke(&who))?.iter().map(authorized_key).collect())
}

/// Invites somebody who is to be called `name` to the server with `serverKey`, whose file of clients is at `path`. Gives the
/// invitation, a secret.
#[napi(catch_unwind)]
pub fn invite(
    env: &Env,
    path: String,
    name: String,
    scope: String,
    until: String,
    server_key: String,
) -> napi::Result<String> {
    let server_key = throw(env, server_key.parse::<PublicKey>())?;
    let invitation = Invitations::beside(Path::new(&path)).add(&name, &scope, &until, server_key);
    Ok(throw(env, invitation)?.to_string())
}

/// The key of the server that an invitation is of.
#[napi(catch_unwind)]
pub fn invitation_server_key(env: &Env, invitation: String) -> napi::Result<String> {
    Ok(throw(env, invitation.parse::<Invitation>())?.server_key.to_string())
}

/// Becomes a client by an invitation. Gives the line by which the server knows this side.
#[napi(ts_return_type = "Promise<string>")]
pub fn join(env: &Env, options: NativeConnectOptions, invitation: String) -> napi::Result<PromiseRaw<'_, String>> {
    let options = throw(env, options.load())?;
    let invitation = throw(env, invitation.parse::<Invitation>())?;
    promise(env, async move { sparsync_core::join(options, &invitation).await }, |_, line| Ok(line))
}
