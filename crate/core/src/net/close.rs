//! How a session's end is told to the peer, and how the peer's end is told here.
//!
//! Connections are closed and streams are reset with the byte of an [`ErrorKind`] as the application error code and
//! one line of UTF-8 as the reason; code 0 is an end without an error.

use std::time::Duration;

use quinn::{Connection, ConnectionError, ReadError, VarInt, WriteError};
use tokio::time::{Instant, sleep};

use crate::{Error, ErrorKind};

/// The longest text that is taken from a peer's reason, in bytes; it has to fit one packet anyway.
const MAX_REASON_BYTES: usize = 1024;

/// When a close that could not be sent is given up, because the socket stayed full that long.
const CLOSE_SENT_WITHIN: Duration = Duration::from_millis(100);

/// How many turns other tasks get before the clock is looked at.
const CLOSE_TURNS: u32 = 16;

/// TLS alerts have these QUIC error codes (RFC 9001, section 4.8): 0x100 and the alert.
const CRYPTO_CODES: std::ops::Range<u64> = 0x100..0x200;

/// RFC 9000, section 20.1: nothing went wrong.
const NO_ERROR: u64 = 0x00;
/// RFC 9000, section 20.1: the server takes no more connections.
const CONNECTION_REFUSED: u64 = 0x02;

/// RFC 9000, section 20.1: the application closed the connection before the handshake was over, and its reason is
/// hidden.
const APPLICATION_ERROR: u64 = 0x0c;

/// The application error code for a kind.
#[must_use]
pub fn close_code(kind: ErrorKind) -> VarInt {
    VarInt::from_u32(u32::from(kind.to_wire()))
}

/// The kind that a peer's application error code stands for: 0 is [`ErrorKind::Closed`], a newer peer's unknown code
/// [`ErrorKind::Internal`].
#[must_use]
pub fn kind_from_close(code: VarInt) -> ErrorKind {
    match code.into_inner() {
        0 => ErrorKind::Closed,
        code => u8::try_from(code).map_or(ErrorKind::Internal, ErrorKind::from_wire),
    }
}

/// Closes a connection with the kind and the message of an error. Paths and details stay here.
pub fn close_with(connection: &Connection, error: &Error) {
    connection.close(close_code(error.kind()), limited(error.message(), MAX_REASON_BYTES).as_bytes());
}

/// Waits until the close of a connection that this side closed has left for the peer, at most 100 ms.
///
/// A process that ends, or a runtime that is dropped, straight after closing would leave the peer to wait for its idle
/// timeout. Waiting for the endpoint to be idle does that too, but for three probe timeouts more: 90 ms on loopback,
/// 0.9 s when the handshake failed.
pub async fn close_sent(connection: &Connection) {
    close_sent_behind(connection, connection.stats().udp_tx.datagrams, CLOSE_SENT_WITHIN).await;
}

/// The same for a connection that was closed when it had sent so many datagrams: by now the close may have left. Where
/// the peer closed it in the same moment nothing leaves any more, and all of `within` is waited for.
pub(super) async fn close_sent_behind(connection: &Connection, before: u64, within: Duration) {
    let deadline = Instant::now() + within;
    // The frame that closes is not counted among the frames sent, but its datagram is.
    let sent = || {
        // When the peer closed first there is nothing to send.
        let ours = matches!(connection.close_reason(), Some(ConnectionError::LocallyClosed));
        !ours || connection.stats().udp_tx.datagrams > before
    };
    // The connection's own task sends it, on this runtime, as soon as it has its turn.
    for _ in 0..CLOSE_TURNS {
        if sent() {
            return;
        }
        tokio::task::yield_now().await;
    }
    while !sent() && Instant::now() < deadline {
        sleep(Duration::from_millis(1)).await;
    }
}

/// The beginning of a text, at most so many bytes, without half a character at its end.
pub(super) fn limited(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A peer's reason, fit for a terminal: UTF-8, one line, no control or direction-changing characters.
pub(crate) fn reason_text(reason: &[u8]) -> String {
    let text = String::from_utf8_lossy(&reason[..reason.len().min(MAX_REASON_BYTES)]);
    text.chars()
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Why a connection is gone, as an error of the right kind and side.
///
/// A silent peer is [`ErrorKind::Timeout`]; a peer that restarted or went away [`ErrorKind::Closed`]; a peer that
/// closed with a kind has that kind, remote; a refused certificate [`ErrorKind::Unauthorized`]; no common protocol
/// version [`ErrorKind::Version`]; no more connections at the server [`ErrorKind::Connect`].
#[must_use]
pub fn connection_error(error: &ConnectionError) -> Error {
    let told = match error {
        ConnectionError::VersionMismatch => {
            Error::new(ErrorKind::Version, "the two sides have no QUIC version in common").remote()
        }
        ConnectionError::TransportError(transport) => {
            let code = u64::from(transport.code);
            match alert(code) {
                Some(NO_APPLICATION_PROTOCOL) => no_common_version(),
                Some(_) => Error::new(ErrorKind::Protocol, format!("the TLS handshake failed: {}", transport.reason)),
                None => Error::new(ErrorKind::Protocol, format!("the peer broke QUIC: {transport}")),
            }
        }
        ConnectionError::ConnectionClosed(close) => closed_by_transport(u64::from(close.error_code), &close.reason),
        ConnectionError::ApplicationClosed(close) => closed_by_peer(close.error_code, &close.reason),
        ConnectionError::Reset => Error::new(
            ErrorKind::Closed,
            "the peer no longer knows the connection; it has restarted or its address changed",
        )
        .remote(),
        ConnectionError::TimedOut => {
            Error::new(ErrorKind::Timeout, "nothing was heard from the peer for the idle timeout")
        }
        ConnectionError::LocallyClosed => Error::new(ErrorKind::Closed, "the connection was closed on this side"),
        ConnectionError::CidsExhausted => Error::new(ErrorKind::Limit, "there are too many connections on this side"),
    };
    told.because(error.clone())
}

/// A peer that has closed a connection with a code and a reason.
pub(super) fn closed_by_peer(code: VarInt, reason: &[u8]) -> Error {
    let reason = reason_text(reason);
    let message = if reason.is_empty() { "the peer closed the connection".to_owned() } else { reason };
    Error::new(kind_from_close(code), message).remote()
}

const NO_APPLICATION_PROTOCOL: u8 = 120;

fn alert(code: u64) -> Option<u8> {
    CRYPTO_CODES.contains(&code).then(|| code - CRYPTO_CODES.start).and_then(|alert| u8::try_from(alert).ok())
}

pub(super) fn ended_in_handshake() -> Error {
    Error::new(ErrorKind::Closed, "the peer ended the connection in the middle of the handshake").remote()
}

pub(super) fn no_common_version() -> Error {
    Error::new(ErrorKind::Version, "the two sides have no protocol version in common; update the older one").remote()
}

/// The error for a TLS alert of the peer.
fn alerted(alert: u8, reason: &str) -> Error {
    match alert {
        NO_APPLICATION_PROTOCOL => no_common_version(),
        // bad, unsupported, revoked, expired and unknown certificate, unknown CA, access denied, wrong signature,
        // certificate required
        42..=46 | 48 | 49 | 51 | 116 => Error::new(
            ErrorKind::Unauthorized,
            format!("the peer refused this side's certificate (TLS alert {alert}: {reason})"),
        )
        .remote(),
        _ => Error::new(ErrorKind::Protocol, format!("the peer ended the TLS handshake (alert {alert}: {reason})"))
            .remote(),
    }
}

/// The error of TLS on a stream over TCP; none when the stream itself has failed.
pub(super) fn tls_error(error: &std::io::Error) -> Option<Error> {
    let told = match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => alerted(u8::from(*alert), &format!("{alert:?}")),
        rustls::Error::NoApplicationProtocol => no_common_version(),
        // No TLS server sends such bytes, so the peer speaks something else.
        other @ (rustls::Error::InvalidMessage(_) | rustls::Error::DecryptError) => {
            Error::protocol(format!("the peer does not speak TLS: {other}")).remote()
        }
        other => Error::new(ErrorKind::Protocol, format!("the TLS handshake failed: {other}")),
    };
    Some(told)
}

fn closed_by_transport(code: u64, reason: &[u8]) -> Error {
    let reason = reason_text(reason);
    match alert(code) {
        Some(alert) => alerted(alert, &reason),
        None if code == NO_ERROR => Error::new(ErrorKind::Closed, "the peer closed the connection").remote(),
        None if code == APPLICATION_ERROR => ended_in_handshake(),
        None if code == CONNECTION_REFUSED => {
            Error::new(ErrorKind::Connect, "the server takes no more connections at the moment").remote()
        }
        None => {
            Error::new(ErrorKind::Protocol, format!("the peer ended the connection (QUIC error {code:#x}: {reason})"))
                .remote()
        }
    }
}

/// Why reading from a stream failed. A reset stream has the kind that the peer reset it with.
#[must_use]
pub fn read_error(error: &ReadError) -> Error {
    match error {
        ReadError::Reset(code) => Error::new(kind_from_close(*code), "the peer gave the stream up").remote(),
        ReadError::ConnectionLost(lost) => connection_error(lost),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            Error::internal(format!("reading from a stream: {error}"))
        }
    }
}

/// Why writing to a stream failed. A stopped stream has the kind that the peer stopped it with.
#[must_use]
pub fn write_error(error: &WriteError) -> Error {
    match error {
        WriteError::Stopped(code) => {
            Error::new(kind_from_close(*code), "the peer takes no more of the stream").remote()
        }
        WriteError::ConnectionLost(lost) => connection_error(lost),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            Error::internal(format!("writing to a stream: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use quinn::{ApplicationClose, ConnectionError, VarInt};

    use super::{close_code, connection_error, kind_from_close, limited, reason_text};
    use crate::{ErrorKind, Side};

    #[test]
    fn every_kind_survives_the_way_to_the_peer() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind_from_close(close_code(*kind)), *kind);
        }
        assert_eq!(kind_from_close(VarInt::from_u32(0)), ErrorKind::Closed);
        assert_eq!(kind_from_close(VarInt::from_u32(0x101)), ErrorKind::Internal);
        assert_eq!(kind_from_close(VarInt::MAX), ErrorKind::Internal);
    }

    #[test]
    fn what_ends_a_connection_has_a_kind_and_a_side() {
        for (error, kind, side) in [
            (ConnectionError::TimedOut, ErrorKind::Timeout, Side::Local),
            (ConnectionError::Reset, ErrorKind::Closed, Side::Remote),
            (ConnectionError::LocallyClosed, ErrorKind::Closed, Side::Local),
            (ConnectionError::VersionMismatch, ErrorKind::Version, Side::Remote),
            (
                ConnectionError::ApplicationClosed(ApplicationClose {
                    error_code: close_code(ErrorKind::Busy),
                    reason: "held by laptop".into(),
                }),
                ErrorKind::Busy,
                Side::Remote,
            ),
        ] {
            let told = connection_error(&error);
            assert_eq!((told.kind(), told.side()), (kind, side), "{error}");
            assert!(std::error::Error::source(&told).is_some());
        }
    }

    #[test]
    fn a_peer_cannot_write_to_the_terminal() {
        assert_eq!(reason_text(b"\x1b[31mred\r\nnext \xff"), "[31mred  next \u{fffd}");
        assert_eq!(reason_text("a\u{202e}b".as_bytes()), "a\u{fffd}b");
        assert!(reason_text(&b"x".repeat(100_000)).len() <= super::MAX_REASON_BYTES);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let text = "\u{20ac}".repeat(1000);
        let cut = limited(&text, super::MAX_REASON_BYTES);
        assert!(cut.len() <= super::MAX_REASON_BYTES);
        assert!(text.starts_with(cut));
        assert_eq!(limited("short", super::MAX_REASON_BYTES), "short");
    }
}
