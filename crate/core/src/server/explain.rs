//! Tells which rule of a request's filter decides about a path, at the server's end.

use std::sync::Arc;

use sparsync_proto::{Direction, Explanation, Request};

use super::Shared;
use super::accept::ConnectedClient;
use super::session::Answer;
use crate::engine::Session;
use crate::error::{Error, Result};

/// Answers a request that only asks for an explanation. The text of a file of rules is told only to a key that may read
/// it.
pub(super) async fn explain(
    shared: &Arc<Shared>,
    client: &Arc<ConnectedClient>,
    mut request: Request,
) -> Result<Explanation> {
    let granted = shared.authorize(client, &mut request)?;
    let (shared, client) = (Arc::clone(shared), Arc::clone(client));
    let look = move || {
        let root = shared.present_root(granted, &request.root)?;
        let session = Arc::new(Session::new(false));
        let answer = Answer { shared: &shared, client: &client, session: &session, root: &root, keeping: None };
        match request.direction {
            Direction::Pull => answer.explain_source(&request),
            Direction::Push => answer.explain_destination(&request),
        }
    };
    tokio::task::spawn_blocking(look).await.map_err(|_| Error::internal("explaining a path panicked"))?
}
