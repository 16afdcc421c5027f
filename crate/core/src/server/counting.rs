//! Pushes whose need for space is counted first ([why](../../../../docs/adr/0004-count-first.md)), for the log.
//!
//! The count comes as a dry run, and it is the client that decides whether the push comes as well: it alone knows the
//! holes of its source. So a push that does not fit is one that was counted and has not come when the connection ends.

use std::sync::Mutex;

use sparsync_proto::{Counter, RelPath, Request};

use super::lock;
use super::log::Asked;
use crate::engine::Session;
use crate::error::Error;
use crate::fs::Extent;
use crate::prepare::does_not_fit;

/// The most pushes of a connection that are waited for; of further ones each dry run counts as one.
const AWAITED_MAX: usize = 32;

/// The pushes of a connection that are to come when they are counted.
#[derive(Default)]
pub(super) struct Counting(Mutex<State>);

#[derive(Default)]
struct State {
    awaited: Vec<Awaited>,
    /// The connection is over, so nothing more comes.
    is_over: bool,
}

struct Awaited {
    root: Vec<u8>,
    path: RelPath,
    free: Extent,
    /// What the log says if the push does not come.
    refused: Option<(Asked, Error)>,
}

impl Awaited {
    fn is_of(&self, request: &Request) -> bool {
        self.root == request.root && self.path == request.path
    }
}

impl Counting {
    /// A push has to be counted, against this free space.
    pub(super) fn begin(&self, request: &Request, free: Extent) {
        let mut state = lock(&self.0);
        state.awaited.retain(|awaited| !awaited.is_of(request));
        if state.awaited.len() < AWAITED_MAX {
            state.awaited.push(Awaited { root: request.root.clone(), path: request.path.clone(), free, refused: None });
        }
    }

    /// Whether a run is the count of a push.
    pub(super) fn is_count(&self, request: &Request) -> bool {
        request.dry_run && lock(&self.0).awaited.iter().any(|awaited| awaited.is_of(request))
    }

    /// The count has ended. Gives what the log says, if the push cannot come any more.
    pub(super) fn counted(&self, request: &Request, session: &Session) -> Option<(Asked, Error)> {
        let mut state = lock(&self.0);
        let is_over = state.is_over;
        let awaited = state.awaited.iter_mut().find(|awaited| awaited.is_of(request))?;
        let needed = (session.get(Counter::bytes_needed), session.get(Counter::entries_to_create));
        awaited.refused = does_not_fit(needed, awaited.free).map(|error| (Asked::of_request(request), error));
        if is_over { awaited.refused.take() } else { None }
    }

    /// A push has come: it fits, or was not counted.
    pub(super) fn comes(&self, request: &Request) {
        lock(&self.0).awaited.retain(|awaited| !awaited.is_of(request));
    }

    /// The connection is over. Gives what the log says of each push that has not come, for it does not fit.
    pub(super) fn end(&self) -> Vec<(Asked, Error)> {
        let mut state = lock(&self.0);
        state.is_over = true;
        state.awaited.iter_mut().filter_map(|awaited| awaited.refused.take()).collect()
    }
}
