//! Sends one end's profile to the other, as frames.

use sparsync_proto::Frame;

use super::lanes::ControlSender;
use super::session::Session;
use crate::error::Result;

/// Tells the peer where this end's time went, up to now.
pub(super) fn tell_profile(session: &Session, control: &ControlSender) -> Result<()> {
    let Some(profiler) = session.profiler() else { return Ok(()) };
    let mut encoded = Vec::new();
    Frame::Profile(Box::new(profiler.account())).encode(session.version(), &mut encoded);
    control.send_bulk(encoded)
}
