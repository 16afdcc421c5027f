//! Says which rule of a filter decides about a path, at this end and at the other.

use sparsync_proto::{Direction, End, Explanation, Request};

use crate::error::Result;
use crate::fs::Root;
use crate::prepare;
use crate::rule_files::{Place, judge_of_destination, judge_of_source};
use crate::run::{Run, with_source};
use crate::sources::Source;
use crate::{Client, Error};

/// The explanation of a request's path by the source's end.
pub(crate) fn of_source(source: &Source, request: &Request, (place, tells): (&Place<'_>, bool)) -> Result<Explanation> {
    let judge = judge_of_source(source, request, place)?;
    let told = judge.explain(Some(&source.root), &request.explain, (End::Sender, tells));
    told.map_err(|error| Error::bad_rules(&error))
}

/// The explanation by the destination's end. The destination may be missing.
pub(crate) fn of_destination(
    root: Option<&Root>,
    request: &Request,
    (place, tells): (&Place<'_>, bool),
) -> Result<Explanation> {
    let judge = judge_of_destination(root, request, place)?;
    let told = judge.explain(root, &request.explain, (End::Receiver, tells));
    told.map_err(|error| Error::bad_rules(&error))
}

fn own_destination(path: &[u8], request: &Request) -> Result<Explanation> {
    let root =
        prepare::open_own(path, Root::reach_trusted).ok().and_then(|(root, missing)| missing.is_root().then_some(root));
    of_destination(root.as_ref(), request, (&Place::Own, true))
}

/// The explanations of both ends of a run between two folders of this machine, of the path that it asks about.
///
/// # Errors
/// The source cannot be had, or a file of rules cannot be followed.
pub fn explain_local(run: &Run, destination: &[u8]) -> Result<[Explanation; 2]> {
    let (source, request) = with_source(run)?;
    Ok([of_source(&source, &request, (&Place::Own, true))?, own_destination(destination, &request)?])
}

/// The explanations of both ends of a run with a server, the source's first.
///
/// # Errors
/// As for [`explain_local`], or the server refuses the run.
pub async fn explain_remote(client: &Client, run: Run) -> Result<[Explanation; 2]> {
    if run.request.direction == Direction::Pull {
        let theirs = client.explanation(run.request.clone()).await?;
        return Ok([theirs, own_destination(&run.local_path, &run.request)?]);
    }
    let (source, request) = with_source(&run)?;
    let ours = of_source(&source, &request, (&Place::Own, true))?;
    Ok([ours, client.explanation(request).await?])
}
