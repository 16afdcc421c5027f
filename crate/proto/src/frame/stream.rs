//! Cuts a control lane's bytes into frames.

use super::Frame;
use crate::codec::{Decoded, Reader};
use crate::limits::FRAME_BYTES_MAX;
use crate::version::Version;

/// Cuts a control lane's bytes into frames. It reads in the oldest version until a Hello or an Accept went through it,
/// and from then on in the version that the two ends have agreed on.
#[derive(Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    read: usize,
    version: Version,
}

impl FrameDecoder {
    /// Adds bytes as they arrive.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read > 0 && self.read == self.buffer.len() {
            self.buffer.clear();
            self.read = 0;
        } else if self.read > FRAME_BYTES_MAX {
            self.buffer.drain(..self.read);
            self.read = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Decoded<Option<Frame>> {
        let rest = &self.buffer[self.read..];
        let mut reader = Reader::new(rest);
        // The length itself takes at most three bytes under its cap.
        let length = match reader.length(FRAME_BYTES_MAX, "frame length") {
            Ok(length) => length,
            Err(_) if rest.len() < 3 && rest.iter().all(|byte| byte & 0x80 != 0) => return Ok(None),
            Err(error) => return Err(error),
        };
        if reader.rest().len() < length {
            return Ok(None);
        }
        let body_at = rest.len() - reader.rest().len();
        let frame = Frame::decode(self.version, &rest[body_at..body_at + length])?;
        self.read += body_at + length;
        match &frame {
            // Whether there is a common version is decided by the end that answers the Hello.
            Frame::Hello { oldest, newest } => self.version = Version::agree(*oldest, *newest).unwrap_or(self.version),
            Frame::Accept(accept) => self.version = accept.version,
            _ => {}
        }
        Ok(Some(frame))
    }

    /// Whether everything that was fed has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read == self.buffer.len()
    }
}
