//! Explanations of filter rules for JavaScript.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{PromiseRaw, Uint8Array};
use napi_derive::napi;
use sparsync_core::proto::{End, Explanation, Request};
use sparsync_core::{Client, Error, RuleOrigin, explain_local, explain_remote};

use crate::error::{promise, throw};
use crate::options::{NativeRequest, rel_path};

/// What one end says of a path.
#[napi(object, object_from_js = false)]
#[expect(clippy::struct_excessive_bools, reason = "what an end says, each apart from the others")]
pub struct NativeExplanation {
    /// The end that has the source; otherwise the destination's.
    pub is_source: bool,
    /// The path that the rule is for: the one that was asked about, or a directory above it.
    pub path: Uint8Array,
    /// Something stands there.
    pub exists: bool,
    /// The source's end sends it; the destination's may delete it.
    pub included: bool,
    /// The rule, where one decides; empty where the other end does not tell it.
    pub rule: Option<Uint8Array>,
    /// The place of the rule among those that were given, from 0.
    pub given: Option<u32>,
    /// The file that the rule stands in.
    pub file: Option<Uint8Array>,
    /// Its line there, from 1.
    pub line: u32,
    /// The rule is one of those that stand for what CVS leaves alone.
    pub cvs: bool,
}

pub(crate) fn native(told: Explanation, origins: &[RuleOrigin]) -> NativeExplanation {
    let origin = told.number.and_then(|number| origins.get(usize::try_from(number).ok()?));
    let own_file = origin.and_then(|origin| origin.line.clone());
    let line = own_file.as_ref().map_or_else(|| u32::try_from(told.line).unwrap_or(u32::MAX), |(_, line)| *line);
    NativeExplanation {
        is_source: told.end == End::Sender,
        path: told.path.into_bytes().into(),
        exists: told.is_there,
        included: told.included,
        rule: told.decided.then(|| Uint8Array::from(told.rule)),
        given: origin.and_then(|origin| u32::try_from(origin.given).ok()),
        file: own_file.map(|(file, _)| file).or(told.file).map(Uint8Array::from),
        line,
        cvs: origin.is_some_and(|origin| origin.cvs),
    }
}

/// The run of a request that asks for an explanation, and where its rules were written.
fn asked(request: NativeRequest, path: &[u8]) -> Result<(sparsync_core::Run, Vec<RuleOrigin>), Error> {
    let (mut run, origins) = request.load()?;
    run.request = Request { explain: rel_path(path)?, dry_run: true, ..run.request };
    Ok((run, origins))
}

/// What both ends of a run between two folders of this machine say of a path, the source's first.
#[napi(ts_return_type = "Promise<Array<NativeExplanation>>")]
pub fn explain(
    env: &Env,
    request: NativeRequest,
    destination: Uint8Array,
    path: Uint8Array,
) -> napi::Result<PromiseRaw<'_, Vec<NativeExplanation>>> {
    let (run, origins) = throw(env, asked(request, &path))?;
    let destination = destination.to_vec();
    let told = async move {
        let looked = tokio::task::spawn_blocking(move || explain_local(&run, &destination)).await;
        looked.map_err(|_| Error::internal("explaining a path panicked"))?
    };
    promise(env, told, move |_, told| Ok(told.into_iter().map(|one| native(one, &origins)).collect()))
}

/// What both ends of a run with a server say of a path.
pub(crate) fn explain_with<'env>(
    env: &'env Env,
    client: Arc<Client>,
    (request, path): (NativeRequest, &[u8]),
) -> napi::Result<PromiseRaw<'env, Vec<NativeExplanation>>> {
    let (run, origins) = throw(env, asked(request, path))?;
    let told = async move { explain_remote(&client, run).await };
    promise(env, told, move |_, told| Ok(told.into_iter().map(|one| native(one, &origins)).collect()))
}
