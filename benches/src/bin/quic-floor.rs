//! What the transport alone costs: so many bytes over this package's QUIC settings, from memory to memory.
//!
//! `quic-floor serve ADDRESS` prints `address key` and takes what comes. `quic-floor send HOST PORT KEY BYTES [LANES [CONGESTION]]`
//! connects, sends the bytes on that many streams, waits until the other side says that it has them, and prints the
//! microseconds that this took after the handshake.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use sparsync_core::net::{
    Congestion, ConnectOptions, ListenOptions, ServerTrust, WindowBudget, close_sent, connect, listen,
};
use sparsync_core::trust::Identity;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// As large as a pack.
const CHUNK_BYTES: usize = 256 << 10;

async fn serve(address: &str) -> Outcome<()> {
    let identity = Identity::generate()?;
    let key = identity.public_key();
    let listener = listen(ListenOptions::new(address, identity)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{} {key}", listener.local_addr())?;
    out.flush()?;
    let budget = WindowBudget::default();
    while let Some(handshake) = listener.accept().await {
        let budget = budget.clone();
        tokio::spawn(async move {
            let Ok(accepted) = handshake.finish().await else { return };
            let _lease = budget.open(&accepted.connection);
            while let Ok((send, receive)) = accepted.connection.accept_bi().await {
                tokio::spawn(take(send, receive));
            }
        });
    }
    Ok(())
}

/// Reads a stream to its end and answers with one byte.
async fn take(mut send: quinn::SendStream, mut receive: quinn::RecvStream) -> Outcome<()> {
    while receive.read_chunk(CHUNK_BYTES, true).await?.is_some() {}
    send.write_all(b"!").await?;
    send.finish()?;
    Ok(())
}

async fn send(host: &str, port: u16, key: &str, bytes: usize, (lanes, congestion): (usize, Congestion)) -> Outcome<()> {
    let mut options = ConnectOptions::new(host, port, Identity::generate()?);
    options.trust = ServerTrust { pins: vec![key.parse()?], ..ServerTrust::default() };
    options.congestion = congestion;
    let connection = connect(options).await?.connection;
    let content = Bytes::from(vec![0x5a; CHUNK_BYTES]);
    let begun = Instant::now();
    let mut sending = tokio::task::JoinSet::new();
    for lane in 0..lanes {
        let (connection, content) = (connection.clone(), content.clone());
        let mut left = bytes / lanes + usize::from(lane < bytes % lanes);
        sending.spawn(async move {
            let (mut send, mut receive) = connection.open_bi().await?;
            while left > 0 {
                let chunk = content.slice(..left.min(CHUNK_BYTES));
                left -= chunk.len();
                send.write_chunk(chunk).await?;
            }
            send.finish()?;
            receive.read_to_end(1).await?;
            Outcome::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    writeln!(std::io::stdout(), "{}", begun.elapsed().as_micros())?;
    connection.close(0u32.into(), b"");
    close_sent(&connection).await;
    Ok(())
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["serve", address] => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(address))
        }
        ["send", host, port, key, bytes, ref lanes @ ..] => {
            let congestion = lanes.get(1).map_or(Some(Congestion::Auto), |word| Congestion::from_word(word));
            let congestion = congestion.ok_or("no such congestion control")?;
            let lanes = lanes.first().map_or(Ok(2), |lanes| lanes.parse())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(send(host, port.parse()?, key, bytes.parse()?, (lanes, congestion)))
        }
        _ => Err("quic-floor serve ADDRESS | quic-floor send HOST PORT KEY BYTES [LANES [CONGESTION]]".into()),
    }
}
