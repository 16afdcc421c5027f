//! Real endpoints on loopback, in one process.

mod authority;
mod keys;
mod paths;
mod restarts;
mod subflows;
mod tcp;
mod windows;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use quinn::RecvStream;
use tokio::task::JoinHandle;

use super::{
    ALPN, Accepted, ConnectOptions, Connected, ListenOptions, Listener, MAX_MTU, ServerTrust, WindowBudget, close_with,
    connect, connection_error, listen, read_error,
};
use crate::trust::{AuthorizedKeys, Identity, KnownHosts, PublicKey};
use crate::{Detail, Error, ErrorKind, Side};

/// A server that answers each stream with its content once it has been read to the end.
struct Server {
    listener: Listener,
    key: PublicKey,
    accepting: JoinHandle<()>,
}

impl Server {
    async fn start(address: &str) -> Self {
        let identity = Identity::generate().expect("a key");
        Self::with(ListenOptions::new(address, identity), None).await
    }

    async fn with(options: ListenOptions, authorized: Option<AuthorizedKeys>) -> Self {
        let key = options.identity.public_key();
        let listener = listen(options).await.expect("listening");
        let authorized = Arc::new(authorized);
        let accepting = tokio::spawn({
            let listener = listener.clone();
            async move {
                let budget = WindowBudget::default();
                while let Some(handshake) = listener.accept().await {
                    let (authorized, budget) = (Arc::clone(&authorized), budget.clone());
                    tokio::spawn(async move {
                        if let Ok(accepted) = handshake.finish().await {
                            serve(accepted, authorized.as_ref().as_ref(), &budget).await;
                        }
                    });
                }
            }
        });
        Self { listener, key, accepting }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().port()
    }

    async fn stop(self) {
        self.listener.endpoint().close(0u32.into(), b"");
        self.accepting.await.expect("the accepting task");
    }
}

async fn serve(accepted: Accepted, authorized: Option<&AuthorizedKeys>, budget: &WindowBudget) {
    if let Some(authorized) = authorized {
        let key = accepted.key.expect("a key");
        if authorized.find(&key).is_none() {
            let error = Error::new(ErrorKind::Unauthorized, format!("the server does not know the key {key}"));
            close_with(&accepted.connection, &error);
            return;
        }
    }
    let _lease = budget.open(&accepted.connection);
    let who = accepted.name.clone().unwrap_or_default();
    while let Ok((mut send, mut receive)) = accepted.connection.accept_bi().await {
        let mut digest = blake3::Hasher::new();
        while let Ok(Some(chunk)) = receive.read_chunk(1 << 20, true).await {
            digest.update(&chunk.bytes);
        }
        let answer = format!("{} {}", digest.finalize(), who);
        let _ = send.write_all(answer.as_bytes()).await;
        let _ = send.finish();
    }
}

fn options(host: &str, port: u16, trust: ServerTrust) -> ConnectOptions {
    ConnectOptions { trust, ..ConnectOptions::new(host, port, Identity::generate().expect("a key")) }
}

fn pinned(key: PublicKey) -> ServerTrust {
    ServerTrust { pins: vec![key], ..ServerTrust::default() }
}

fn recorded(file: &Path, accept_new: bool) -> ServerTrust {
    ServerTrust { known_hosts: Some(file.to_path_buf()), accept_new, ..ServerTrust::default() }
}

/// What the server makes of some content.
async fn ask(connected: &Connected, content: &[Bytes]) -> Result<String, Error> {
    let (mut send, mut receive) = connected.connection.open_bi().await.map_err(|error| connection_error(&error))?;
    for chunk in content {
        send.write_chunk(chunk.clone()).await.map_err(|error| super::write_error(&error))?;
    }
    let _ = send.finish();
    text(&mut receive).await
}

async fn text(receive: &mut RecvStream) -> Result<String, Error> {
    let mut text = Vec::new();
    while let Some(chunk) = receive.read_chunk(1024, true).await.map_err(|error| read_error(&error))? {
        text.extend_from_slice(&chunk.bytes);
    }
    Ok(String::from_utf8(text).expect("UTF-8"))
}

async fn works(connected: &Connected) {
    let answer = ask(connected, &[Bytes::from_static(b"hello")]).await.expect("an answer");
    assert!(answer.starts_with(blake3::hash(b"hello").to_hex().as_str()), "{answer}");
}

fn detail<'a>(error: &'a Error, name: &str) -> Option<&'a Detail> {
    error.details().iter().find_map(|(found, value)| (*found == name).then_some(value))
}
