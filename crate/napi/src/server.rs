//! Servers for JavaScript.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::PromiseRaw;
use napi_derive::napi;
use sparsync_core::{LogFormat, Noted, Server};

use crate::error::{promise, throw};
use crate::number::number;
use crate::options::{NativeLimits, NativeServerOptions};
use crate::profile::{NativeServerProfiles, server_profiles};
use crate::server_events::{NativeHappenings, NativeLogFormat, server_event};

/// A running server.
#[napi]
pub struct NativeServer {
    server: Arc<Server>,
}

#[napi]
impl NativeServer {
    /// Starts a server.
    #[napi(ts_return_type = "Promise<NativeServer>")]
    pub fn start(env: &Env, options: NativeServerOptions) -> napi::Result<PromiseRaw<'_, NativeServer>> {
        let options = throw(env, options.load())?;
        promise(env, Server::start(options), |env, server| {
            let server = Arc::new(server);
            let running = Arc::downgrade(&server);
            env.add_env_cleanup_hook(running, |running| {
                if let Some(server) = running.upgrade() {
                    server.abort();
                }
            })?;
            Ok(NativeServer { server })
        })
    }

    /// `ip:port` that it listens on.
    #[napi(getter, catch_unwind)]
    pub fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    /// Its key, `ed25519:…`.
    #[napi(getter, catch_unwind)]
    pub fn public_key(&self) -> String {
        self.server.public_key().to_string()
    }

    /// Counters by name.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> HashMap<String, f64> {
        self.server.stats().into_iter().map(|(name, value)| (name.to_owned(), number(value))).collect()
    }

    /// What sessions that have ended since the last call took; `null` when sessions are not profiled.
    #[napi(catch_unwind)]
    pub fn take_profiles(&self) -> Option<NativeServerProfiles> {
        self.server.take_profiles().as_ref().map(server_profiles)
    }

    /// What has happened since the last call: events if somebody `listens`, lines if there is a `log`.
    #[napi(catch_unwind)]
    pub fn take_events(&self, listens: bool, log: Option<NativeLogFormat>) -> NativeHappenings {
        let taken = self.server.take_events();
        let format = log.map(LogFormat::from);
        let lines =
            format.map(|format| taken.iter().filter_map(|event| format.line(&Noted::Happened(event))).collect());
        let events = if listens { taken.into_iter().map(server_event).collect() } else { Vec::new() };
        NativeHappenings { events, lines: lines.unwrap_or_default() }
    }

    /// Counts an event that the log has lost.
    #[napi(catch_unwind)]
    pub fn log_lost(&self) {
        self.server.log_lost();
    }

    /// Figures for a monitoring system, as text; `null` when they are not kept.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> Option<String> {
        self.server.metrics()
    }

    /// Why clients are not let in as they should be; `null` when all is well.
    #[napi(catch_unwind)]
    pub fn ailment(&self) -> Option<String> {
        self.server.ailment().map(|error| error.to_string())
    }

    /// Puts other lines in the place of the authorized keys that were given, and other limits.
    #[napi(catch_unwind)]
    pub fn change(&self, env: &Env, authorized_keys: Option<Vec<String>>, limits: NativeLimits) -> napi::Result<()> {
        throw(env, self.server.change(authorized_keys.as_deref(), limits.into()))
    }

    /// Reads the authorized keys again.
    #[napi(catch_unwind)]
    pub fn reload(&self) {
        self.server.reload();
    }

    /// Lets runs finish for up to `graceMs`, ends those that are left, and stops.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env, grace_ms: f64) -> napi::Result<PromiseRaw<'env, ()>> {
        let server = Arc::clone(&self.server);
        let grace = Duration::try_from_secs_f64(grace_ms / 1000.0).unwrap_or(Duration::MAX);
        promise(
            env,
            async move {
                server.close(grace).await;
                Ok(())
            },
            |_, ()| Ok(()),
        )
    }

    /// Settles when the server has stopped.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn closed<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let server = Arc::clone(&self.server);
        promise(
            env,
            async move {
                server.closed().await;
                Ok(())
            },
            |_, ()| Ok(()),
        )
    }
}

/// Tells the system manager that `NOTIFY_SOCKET` names how far this process is.
#[napi(catch_unwind)]
pub fn notify_manager(env: &Env, socket: String, state: String) -> napi::Result<()> {
    throw(env, sparsync_core::notify_manager(&socket, &state))
}
