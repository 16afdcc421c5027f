//! What both ends of a pipe say first, and what else may come instead.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use sparsync_proto::mux::{PREFACE, PREFACE_NAME_BYTES};

use super::descriptor::{Sink, Source};
use crate::error::{Error, ErrorKind};

/// How many bytes that came in place of a greeting are kept, and how long more of them are waited for.
const JUNK_BYTES_MAX: usize = 512;
const JUNK_WITHIN: Duration = Duration::from_millis(200);

/// Why no session begins.
pub(super) enum Unheard {
    /// The stream ended, or broke, before anything came.
    Ended(Option<io::Error>),
    /// Something else came.
    Junk(Vec<u8>),
    /// The peer frames its streams in another way.
    Version,
}

impl Unheard {
    /// The error for a caller that knows nothing else about the other end.
    pub(super) fn plainly(self) -> Error {
        match self {
            Self::Ended(error) => {
                let ended = Error::new(ErrorKind::Closed, "the other end closed before a session began").remote();
                error.map_or(ended.clone(), |error| ended.because(error))
            }
            Self::Junk(_) => Error::protocol("what arrived first does not begin a session").remote(),
            Self::Version => Error::new(
                ErrorKind::Version,
                "the other end is an incompatible version of sparsync: install the same version at both ends",
            )
            .remote(),
        }
    }
}

/// Says it.
pub(super) async fn say(to: &mut Sink) -> io::Result<()> {
    to.write_all(&PREFACE).await
}

/// Waits for the greeting, and gives the bytes behind it.
pub(super) async fn hear(from: &mut Source) -> Result<BytesMut, Unheard> {
    let mut heard = BytesMut::new();
    loop {
        let known = heard.len().min(PREFACE_NAME_BYTES);
        if heard[..known] != PREFACE[..known] {
            return Err(Unheard::Junk(junk(from, heard).await));
        }
        if let Some(first) = heard.first_chunk::<{ PREFACE.len() }>() {
            if *first != PREFACE {
                return Err(Unheard::Version);
            }
            heard.advance(PREFACE.len());
            return Ok(heard);
        }
        match from.read_behind(&mut heard, JUNK_BYTES_MAX).await {
            Ok(0) if heard.is_empty() => return Err(Unheard::Ended(None)),
            Ok(0) => return Err(Unheard::Junk(heard.to_vec())),
            Ok(_) => {}
            Err(error) => return Err(Unheard::Ended(Some(error))),
        }
    }
}

/// The bytes that came, with the rest of their first line if it comes soon.
async fn junk(from: &mut Source, mut heard: BytesMut) -> Vec<u8> {
    let rest = async {
        while heard.len() < JUNK_BYTES_MAX
            && !heard.contains(&b'\n')
            && matches!(from.read_behind(&mut heard, JUNK_BYTES_MAX).await, Ok(1..))
        {}
    };
    let _ = tokio::time::timeout(JUNK_WITHIN, rest).await;
    heard.truncate(JUNK_BYTES_MAX);
    heard.to_vec()
}
