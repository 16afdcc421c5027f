//! One end of a push in a process of its own, without Node, so that what it costs can be counted from outside.
//!
//! `one-end serve FOLDER` serves the folder to anybody on loopback as the root `root`, prints `address key`, and ends
//! when its standard input does. `one-end push SOURCE HOST PORT KEY PATH` pushes to that path of the root and prints the
//! run's counters, one `name value` a line.

use std::error::Error;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use sparsync_core::net::{ConnectOptions, ServerTrust, TransportChoice};
use sparsync_core::proto::{Attributes, Compression, Deletion, Durability, RelPath, Request};
use sparsync_core::trust::Identity;
use sparsync_core::{Client, Limits, Run, ServedRoot, Server, ServerOptions};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A counting simulator is some fifty times slower than the processor: nothing here may give up.
const PATIENCE: Duration = Duration::from_secs(600);

async fn serve(folder: &str) -> Outcome<()> {
    let server = Server::start(ServerOptions {
        listen: "127.0.0.1:0".to_owned(),
        key_file: None,
        identity: Identity::generate()?,
        roots: vec![ServedRoot::new("root", folder.into())],
        authorized_keys_path: None,
        authorized_keys: Vec::new(),
        client_ca_pem: None,
        anonymous: true,
        // When files are flushed depends on when they come.
        durability: Durability::None,
        limits: Limits { sessions: 1, ..Limits::default() },
        idle_timeout: PATIENCE,
        congestion: sparsync_core::net::Congestion::Auto,
        tcp: false,
        refuse: Vec::new(),
        log: false,
        metrics: false,
        profile: false,
    })
    .await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} {}", server.local_addr(), server.public_key())?;
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    server.close(PATIENCE).await;
    Ok(())
}

async fn push(source: std::ffi::OsString, host: &str, port: u16, key: &str, path: &str) -> Outcome<()> {
    let mut options = ConnectOptions::new(host, port, Identity::generate()?);
    options.trust = ServerTrust { pins: vec![key.parse()?], ..ServerTrust::default() };
    options.connect_timeout = PATIENCE;
    options.idle_timeout = PATIENCE;
    // Slowed down as this is, QUIC would be given up on.
    options.transport = TransportChoice::Quic;
    let client = Client::connect(options).await?;
    let attributes = Attributes { perms: true, times: true, links: true, ..Attributes::default() };
    let request = Request {
        root: b"root".to_vec(),
        path: RelPath::new(path.as_bytes())?,
        attributes,
        recursive: true,
        deletion: Deletion { delete: true, ..Deletion::default() },
        partial: true,
        // Whether it pays is decided by how fast the path is at that moment.
        compression: Compression::Never,
        lanes: 2,
        ..Request::default()
    };
    let job = client.start(Run {
        request,
        local_path: source.into_vec(),
        source_is_directory: false,
        local_sources: Vec::new(),
        events: sparsync_core::EventNeeds::default(),
        batch: sparsync_core::Batch::None,
    })?;
    let result = job.done().await?;
    if let Some(refused) = result.refused {
        return Err(refused.into());
    }
    let mut out = std::io::stdout();
    for (name, value) in result.stats {
        writeln!(out, "{name} {value}")?;
    }
    tokio::task::spawn_blocking(move || client.close()).await?;
    Ok(())
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match *words.as_slice() {
        ["serve", folder] => runtime.block_on(serve(folder)),
        ["push", source, host, port, key, path] => {
            runtime.block_on(push(source.into(), host, port.parse()?, key, path))
        }
        _ => Err("one-end serve FOLDER | one-end push SOURCE HOST PORT KEY PATH".into()),
    }
}
