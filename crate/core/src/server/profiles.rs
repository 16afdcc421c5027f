//! Keeps the profiles of the sessions of a server.

use sparsync_proto::{Direction, EndProfile};

use crate::profile::add_figures;

/// The profile of a session that has ended.
#[derive(Clone, Debug)]
pub struct SessionProfile {
    /// The direction as the client sees it.
    pub direction: Direction,
    /// Where the time went.
    pub profile: EndProfile,
}

/// What a server that profiles its sessions has to tell.
#[derive(Clone, Debug, Default)]
pub struct ServerProfiles {
    /// Sessions that have ended since the last call, at most [`PROFILES_KEPT`] of them.
    pub ended: Vec<SessionProfile>,
    /// How many more there were.
    pub dropped: u64,
    /// The figures of all sessions since the server began, in the order of [`FIGURES`].
    pub figures: Vec<u64>,
}

/// The most profiles of sessions that are kept for a later call: about 20 KB each.
pub const PROFILES_KEPT: usize = 64;

impl ServerProfiles {
    pub(super) fn add(&mut self, session: SessionProfile) {
        add_figures(&mut self.figures, &session.profile);
        if self.ended.len() == PROFILES_KEPT {
            self.ended.remove(0);
            self.dropped += 1;
        }
        self.ended.push(session);
    }
}

impl ServerProfiles {
    /// Gives the profiles that were kept, and keeps only the figures.
    pub(super) fn take(&mut self) -> Self {
        let figures = self.figures.clone();
        std::mem::replace(self, Self { figures, ..Self::default() })
    }
}
