//! Connections for JavaScript.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint8Array};
use napi_derive::napi;
use sparsync_core::Client;
use sparsync_core::net::{Announced, Canceled, Recorded};
use sparsync_core::proto::{ListEntry, Meta, Stat};

use crate::error::{promise, throw};
use crate::explain::{NativeExplanation, explain_with};
use crate::job::NativeJob;
use crate::number::moment;
use crate::options::{NativeCommandOptions, NativeConnectOptions, NativeRequest, millis, rel_path};
use crate::words::NativeKind;

/// One entry of a directory of a server.
#[napi(object, object_from_js = false)]
pub struct NativeListEntry {
    /// The name for people.
    pub name: String,
    /// The name's bytes, when they are not UTF-8.
    pub name_bytes: Option<Uint8Array>,
    /// What it is.
    pub kind: NativeKind,
    /// Bytes of a regular file.
    pub size: f64,
    /// Modification time in milliseconds since 1970.
    pub mtime_ms: f64,
    /// Permission bits.
    pub mode: u32,
}

/// What stands at one path of a server.
#[napi(object, object_from_js = false)]
pub struct NativeStat {
    /// What it is.
    pub kind: NativeKind,
    /// Bytes of a regular file.
    pub size: f64,
    /// Modification time in milliseconds since 1970.
    pub mtime_ms: f64,
    /// Permission bits.
    pub mode: u32,
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are exact up to 9 PB")]
fn stat(stat: &Stat) -> NativeStat {
    NativeStat {
        kind: stat.kind.into(),
        size: stat.size as f64,
        mtime_ms: mtime_ms(&stat.meta),
        mode: stat.meta.mode.into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "years are told to the millisecond")]
pub(crate) fn mtime_ms(meta: &Meta) -> f64 {
    meta.mtime.seconds as f64 * 1e3 + f64::from(meta.mtime.nanos) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "JavaScript's numbers are exact up to 9 PB")]
fn entry(entry: &ListEntry) -> NativeListEntry {
    let utf8 = std::str::from_utf8(&entry.name).is_ok();
    NativeListEntry {
        name: String::from_utf8_lossy(&entry.name).into_owned(),
        name_bytes: (!utf8).then(|| Uint8Array::from(entry.name.as_slice())),
        kind: entry.kind.into(),
        size: entry.size as f64,
        mtime_ms: mtime_ms(&entry.meta),
        mode: entry.meta.mode.into(),
    }
}

/// The making of one connection, which can be called off.
#[napi]
#[derive(Default)]
pub struct NativeDial {
    canceled: Canceled,
}

#[napi]
impl NativeDial {
    /// One that has not begun.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the command that is being started, and keeps one from being.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.canceled.cancel();
    }
}

/// A key that is to follow a server's.
#[napi(object, object_from_js = false)]
pub struct NativeNextKey {
    /// `ed25519:…`
    pub key: String,
    /// From when it counts, in milliseconds since 1970.
    pub from_ms: f64,
    /// It is on record here.
    pub recorded: bool,
    /// Why it could not be put there.
    pub problem: Option<String>,
}

fn next_key(announced: &Announced) -> NativeNextKey {
    NativeNextKey {
        key: announced.next.key.to_string(),
        from_ms: moment(announced.next.from).unwrap_or_default(),
        recorded: matches!(announced.recorded, Recorded::Yes),
        problem: match &announced.recorded {
            Recorded::Failed(error) => Some(error.to_string()),
            Recorded::Yes | Recorded::NotHere => None,
        },
    }
}

/// What of a connection stays as it is.
#[napi(object, object_from_js = false)]
pub struct NativeFacts {
    /// The server's key, `ed25519:…`; empty when a private CA vouches for another kind of key.
    pub server_key: String,
    /// `ip:port` that is really used.
    pub remote_address: String,
    /// The key that is to follow the server's.
    pub next_key: Option<NativeNextKey>,
}

/// A connection to a server.
#[napi]
pub struct NativeClient {
    client: Arc<Client>,
}

impl NativeClient {
    /// A connection that ends with its environment.
    fn open(env: &Env, client: Client) -> napi::Result<Self> {
        let client = Arc::new(client);
        let open = Arc::downgrade(&client);
        env.add_env_cleanup_hook(open, |open| {
            if let Some(client) = open.upgrade() {
                client.close();
            }
        })?;
        Ok(Self { client })
    }
}

#[napi]
impl NativeClient {
    /// Connects.
    #[napi(ts_return_type = "Promise<NativeClient>")]
    pub fn connect(env: &Env, options: NativeConnectOptions) -> napi::Result<PromiseRaw<'_, NativeClient>> {
        let options = throw(env, options.load())?;
        promise(env, Client::connect(options), NativeClient::open)
    }

    /// Connects to what a command leads to, unless `dial` is called off.
    #[napi(ts_return_type = "Promise<NativeClient>")]
    pub fn connect_by<'env>(
        env: &'env Env,
        options: NativeCommandOptions,
        dial: &NativeDial,
    ) -> napi::Result<PromiseRaw<'env, NativeClient>> {
        let options = throw(env, options.load(dial.canceled.clone()))?;
        // A command that has not reached the other end yet must not outlive the environment that started it.
        env.add_env_cleanup_hook(options.canceled.clone(), |canceled| canceled.cancel())?;
        promise(env, Client::connect_by(options), NativeClient::open)
    }

    /// What of the connection stays as it is: all of it at once, since each crossing takes longer than what it brings.
    #[napi(catch_unwind)]
    pub fn facts(&self) -> NativeFacts {
        let client = &self.client;
        NativeFacts {
            server_key: client.server_key().map(|key| key.to_string()).unwrap_or_default(),
            remote_address: client.address().to_owned(),
            next_key: client.announced().map(next_key),
        }
    }

    /// What carries it now: `quic`, `tcp` or `pipe`.
    #[napi(getter, catch_unwind)]
    pub fn transport(&self) -> &'static str {
        self.client.transport().word()
    }

    /// Why that is `tcp` or a pipe, where UDP would have been taken: `silent`, `silent-lately`, `refused` or `proxy`.
    #[napi(getter, catch_unwind)]
    pub fn udp(&self) -> Option<&'static str> {
        self.client.udp().map(sparsync_core::net::Udp::word)
    }

    /// Whether the connection has ended.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Starts a run.
    #[napi(catch_unwind)]
    pub fn start(&self, env: &Env, request: NativeRequest) -> napi::Result<NativeJob> {
        let (run, origins) = throw(env, request.load())?;
        let direction = run.request.direction;
        let job = throw(env, self.client.start(run))?;
        NativeJob::new(env, job, (direction, origins))
    }

    /// The entries of one directory; the names of the roots when `root` is empty. A `timeoutMs` of 0 is no limit.
    #[napi(ts_return_type = "Promise<Array<NativeListEntry>>")]
    pub fn list<'env>(
        &self,
        env: &'env Env,
        root: String,
        path: Uint8Array,
        timeout_ms: f64,
    ) -> napi::Result<PromiseRaw<'env, Vec<NativeListEntry>>> {
        let client = Arc::clone(&self.client);
        let path = throw(env, rel_path(&path))?;
        let timeout = millis(timeout_ms);
        promise(env, async move { client.list(&root, path, timeout).await }, |_, entries| {
            Ok(entries.iter().map(entry).collect())
        })
    }

    /// What stands at one path.
    #[napi(ts_return_type = "Promise<NativeStat>")]
    pub fn stat<'env>(
        &self,
        env: &'env Env,
        root: String,
        path: Uint8Array,
        timeout_ms: f64,
    ) -> napi::Result<PromiseRaw<'env, NativeStat>> {
        let client = Arc::clone(&self.client);
        let path = throw(env, rel_path(&path))?;
        let timeout = millis(timeout_ms);
        promise(env, async move { client.stat(&root, path, timeout).await }, |_, found| Ok(stat(&found)))
    }

    /// What both ends of a run say of a path, the source's first.
    #[napi(ts_return_type = "Promise<Array<NativeExplanation>>")]
    pub fn explain<'env>(
        &self,
        env: &'env Env,
        request: NativeRequest,
        path: Uint8Array,
    ) -> napi::Result<PromiseRaw<'env, Vec<NativeExplanation>>> {
        explain_with(env, Arc::clone(&self.client), (request, &path))
    }

    /// The round trip as measured so far, in milliseconds.
    #[napi(catch_unwind)]
    pub fn round_trip_ms(&self) -> f64 {
        self.client.round_trip().as_secs_f64() * 1e3
    }

    /// Cancels what runs and closes the connection.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let client = Arc::clone(&self.client);
        promise(
            env,
            async move {
                let _ = tokio::task::spawn_blocking(move || client.close()).await;
                Ok(())
            },
            |_, ()| Ok(()),
        )
    }
}
