//! Subflows: further TCP connections that carry the packs of one data lane, where one connection is the limit.

use crate::codec::DecodeError;
use crate::mux::{STREAMS, StreamId};

/// The protocol of a subflow in the TLS handshake. A server that does not have it refuses, and the run goes on without.
pub const ALPN_SUBFLOW: &[u8] = b"sparsync-subflow/1";

/// The label under which TLS derives a connection's token. The token has no context.
pub const TOKEN_LABEL: &[u8] = b"EXPORTER-sparsync-subflow";

/// Bytes of a token.
pub const TOKEN_BYTES: usize = 32;

/// Bytes of a [`Join`].
pub const JOIN_BYTES: usize = TOKEN_BYTES + 5;

/// The server's answer to a [`Join`] that it takes.
pub const JOINED: u8 = 1;

/// Bytes of the number in front of each pack, big-endian: its place among the packs of the lane on all its subflows,
/// from 0.
pub const NUMBER_BYTES: usize = 8;

/// Subflows of one session at a time.
pub const SUBFLOWS_MAX: usize = 6;

/// The first bytes of a subflow, from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// The token of the connection that the session is on.
    pub token: [u8; TOKEN_BYTES],
    /// The data lane.
    pub lane: StreamId,
}

impl Join {
    /// As it travels: token, session, stream.
    #[must_use]
    pub fn encode(&self) -> [u8; JOIN_BYTES] {
        let mut out = [0; JOIN_BYTES];
        out[..TOKEN_BYTES].copy_from_slice(&self.token);
        out[TOKEN_BYTES..TOKEN_BYTES + 4].copy_from_slice(&self.lane.session.to_be_bytes());
        out[JOIN_BYTES - 1] = self.lane.stream;
        out
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; JOIN_BYTES]) -> Result<Self, DecodeError> {
        let mut token = [0; TOKEN_BYTES];
        token.copy_from_slice(&bytes[..TOKEN_BYTES]);
        let [.., s0, s1, s2, s3, stream] = *bytes;
        if stream == 0 || usize::from(stream) >= STREAMS {
            return Err(DecodeError::Malformed { what: "a subflow of a lane that no session has" });
        }
        Ok(Self { token, lane: StreamId { session: u32::from_be_bytes([s0, s1, s2, s3]), stream } })
    }
}

#[cfg(test)]
mod tests {
    use super::{JOIN_BYTES, Join, TOKEN_BYTES};
    use crate::mux::StreamId;

    #[test]
    fn a_join_has_one_spelling_and_names_a_data_lane() {
        let join = Join { token: [7; TOKEN_BYTES], lane: StreamId { session: 0x0102_0304, stream: 4 } };
        let bytes = join.encode();
        assert_eq!(bytes[TOKEN_BYTES..], [1, 2, 3, 4, 4]);
        assert_eq!(Join::decode(&bytes), Ok(join));
        for stream in [0, 5, 255] {
            let mut bytes = bytes;
            bytes[JOIN_BYTES - 1] = stream;
            assert!(Join::decode(&bytes).is_err(), "{stream}");
        }
    }
}
