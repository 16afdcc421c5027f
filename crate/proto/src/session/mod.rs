//! What the two ends of a session may say, and when: state machines without threads, sockets or clocks. A frame goes
//! in, an action comes out; time is an argument where it matters.
//!
//! The engine drives these very machines, and so does the simulation in `tests/simulation/`: there is no second
//! description of the protocol that could drift from the first.
//!
//! - [`Opening`]: how an acceptor learns what a control lane is for.
//! - [`Sender`] and [`Receiver`]: the two roles of a session on the control lane.
//! - [`Lane`]: the order of records on one data lane, and [`Expected`]: which files may still come.
//! - [`Pulse`]: heartbeats, and the deadline that watches work.
//!
//! An end that gets a [`Violation`] ends the session with a protocol error. A machine that has reported one is not used
//! again.

mod answers;
mod expected;
mod lane;
mod opening;
mod pulse;
mod receiver;
mod sender;
mod violation;

pub use expected::Expected;
pub use lane::{Lane, LaneStep};
pub use opening::{Opened, Opening, check_accept};
pub use pulse::{Beat, Pulse};
pub use receiver::{Pending, Receiver, ReceiverTerms, ToReceiver};
pub use sender::{Holds, Listed, Sender, SenderTerms, ToSender};
pub use violation::Violation;

use crate::request::Request;

/// Which end tells its account of time, in a session that is profiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileExchange {
    /// No profile was asked for, or both ends are in one process.
    #[default]
    None,
    /// This end asked, and waits for the other's account.
    Ask,
    /// The other end asked.
    Answer,
}

impl ProfileExchange {
    /// At the end that made `request`.
    #[must_use]
    pub const fn asked_by(request: &Request) -> Self {
        if request.profile { Self::Ask } else { Self::None }
    }

    /// At the end that serves `request`.
    #[must_use]
    pub const fn answer_to(request: &Request) -> Self {
        if request.profile { Self::Answer } else { Self::None }
    }
}
