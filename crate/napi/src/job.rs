//! Runs for JavaScript.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{Float64Array, PromiseRaw, Uint8Array};
use napi_derive::napi;
use sparsync_core::proto::{Action, Direction, Issue, Item, ItemDetails, Kind, Meta, NO_ID, hex};
use sparsync_core::{Event, Job, JobResult, RuleOrigin, Side};

use crate::client::mtime_ms;
use crate::error::{NativeSide, details_json, promise, throw};
use crate::explain::{NativeExplanation, native};
use crate::number::number;
use crate::options::NativeRequest;
use crate::profile::{self, NativeProfileEnd};
use crate::words::{NativeAction, NativeIssueKind, NativeKind, NativeReason};

/// What an event tells.
#[napi(string_enum = "lowercase")]
#[derive(Default)]
pub enum NativeEventType {
    /// What was done to an entry, or would be.
    #[default]
    Item,
    /// A path that did not arrive.
    Failure,
    /// A notice.
    Warning,
    /// Items that nobody read in time.
    Dropped,
    /// Which rule of a filter decides about an entry.
    Filter,
}

/// What a run tells, path by path.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeEvent {
    /// What it tells.
    #[napi(js_name = "type")]
    pub kind_of_event: NativeEventType,
    /// The path for people, relative to the tree.
    pub path: String,
    /// The path's bytes, when they are not UTF-8.
    pub path_bytes: Option<Uint8Array>,
    /// What was done.
    pub action: Option<NativeAction>,
    /// What the entry is.
    pub kind: Option<NativeKind>,
    /// Why.
    pub reasons: Option<Vec<NativeReason>>,
    /// Bytes of a regular file.
    pub size: Option<f64>,
    /// The kind of failure.
    pub code: Option<NativeIssueKind>,
    /// Where it happened.
    pub side: Option<NativeSide>,
    /// The text for people.
    pub message: Option<String>,
    /// Whether the destination still has what it had.
    pub old_content_kept: Option<bool>,
    /// What an entry becomes a hard link to.
    pub leader: Option<NativePath>,
    /// What the source's entry is.
    pub details: Option<NativeItemDetails>,
    /// A digest of what both ends have there, in a run that tells it.
    pub stamp: Option<String>,
    /// How many items were dropped.
    pub count: Option<f64>,
    /// What a rule decides.
    pub decision: Option<NativeExplanation>,
}

/// What the source's entry is, in a run that tells it.
#[napi(object, object_from_js = false)]
pub struct NativeItemDetails {
    /// Permission bits.
    pub mode: u16,
    /// Owner, where the destination sets one.
    pub uid: Option<u32>,
    /// Group, where it sets one.
    pub gid: Option<u32>,
    /// Modification time in milliseconds since 1970.
    pub mtime_ms: f64,
    /// Where a symlink leads.
    pub target: Option<Uint8Array>,
    /// The digest of a file's content, where the run compares that.
    pub digest: Option<String>,
}

/// A path below the source or the destination.
#[napi(object, object_from_js = false)]
pub struct NativePath {
    /// The path for people.
    pub path: String,
    /// The exact bytes, when they are not UTF-8.
    pub path_bytes: Option<Uint8Array>,
}

/// How a run ended.
#[napi(object, object_from_js = false)]
pub struct NativeResult {
    /// Paths that did not arrive, or not with all their attributes, or could not be deleted.
    pub failures: Vec<NativeEvent>,
    /// How many more there were.
    pub failures_dropped: f64,
    /// How many there were of each kind.
    pub failure_counts: HashMap<String, f64>,
    /// All of them vanished during the run.
    pub vanished_only: bool,
    /// There are such paths.
    pub partial: bool,
    /// Notices.
    pub warnings: Vec<NativeEvent>,
    /// Why nothing was deleted.
    pub delete_refused: Option<String>,
    /// The facts of that, as JSON.
    pub delete_refused_details: Option<String>,
    /// Where the guard stepped in, when it was at one directory.
    pub delete_refused_path: Option<String>,
    /// The limit on deletions was reached.
    pub max_delete_reached: Option<String>,
    /// Where the time went: at this end, then at the other; empty when it was not asked for.
    pub profile: Vec<NativeProfileEnd>,
}

/// Which side a run's sender is.
#[derive(Clone, Copy)]
struct Sides {
    sender: Side,
    receiver: Side,
}

fn at(path: &[u8]) -> (String, Option<Uint8Array>) {
    match std::str::from_utf8(path) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (String::from_utf8_lossy(path).into_owned(), Some(Uint8Array::from(path))),
    }
}

fn item(item: &Item) -> NativeEvent {
    let (path, path_bytes) = at(&item.path);
    NativeEvent {
        kind_of_event: NativeEventType::Item,
        path,
        path_bytes,
        action: Some(item.action.into()),
        kind: Some(item.kind.into()),
        reasons: Some(NativeReason::all(item.reasons)),
        size: (item.kind == Kind::File).then(|| number(item.size)),
        leader: item.leader.as_ref().map(|leader| {
            let (path, path_bytes) = at(leader.as_bytes());
            NativePath { path, path_bytes }
        }),
        details: item.details.as_ref().filter(|told| is_told(item, told)).map(|told| {
            let ItemDetails { meta, target, digest, .. } = &**told;
            NativeItemDetails {
                mode: meta.mode,
                uid: Some(meta.uid).filter(|uid| *uid != NO_ID),
                gid: Some(meta.gid).filter(|gid| *gid != NO_ID),
                mtime_ms: mtime_ms(meta),
                target: (item.kind == Kind::Symlink).then(|| Uint8Array::from(&target[..])),
                digest: digest.map(|digest| hex(&digest)),
            }
        }),
        stamp: item.details.as_ref().and_then(|told| told.stamp).map(|stamp| hex(&stamp)),
        ..NativeEvent::default()
    }
}

/// Whether an item tells what the source has, and not its stamp alone.
fn is_told(item: &Item, told: &ItemDetails) -> bool {
    let is_nothing = told.meta == Meta::default() && told.target.is_empty() && !item.path.is_empty();
    item.action != Action::Delete && !(told.stamp.is_some() && is_nothing)
}

fn issue(event: NativeEventType, issue: &Issue, sides: Sides) -> NativeEvent {
    let (path, path_bytes) = at(&issue.path);
    NativeEvent {
        kind_of_event: event,
        path,
        path_bytes,
        code: Some(issue.kind.into()),
        side: Some(if issue.kind.is_senders() { sides.sender } else { sides.receiver }.into()),
        message: Some(issue.message.clone()),
        old_content_kept: Some(issue.old_kept),
        ..NativeEvent::default()
    }
}

fn event(event: Event, sides: Sides, origins: &[RuleOrigin]) -> NativeEvent {
    match event {
        Event::Item(told) => item(&told),
        Event::Decision(told, kind) => {
            let (path, path_bytes) = at(told.path.as_bytes());
            NativeEvent {
                kind_of_event: NativeEventType::Filter,
                path,
                path_bytes,
                kind: Some(kind.into()),
                decision: Some(native(*told, origins)),
                ..NativeEvent::default()
            }
        }
        Event::Failure(told) => issue(NativeEventType::Failure, &told, sides),
        Event::Warning(told) => issue(NativeEventType::Warning, &told, sides),
        Event::Dropped(count) => NativeEvent {
            kind_of_event: NativeEventType::Dropped,
            count: Some(number(count)),
            ..NativeEvent::default()
        },
    }
}

fn result(done: &JobResult, sides: Sides) -> NativeResult {
    let refused = |kind| done.refused.as_ref().filter(|error| error.kind() == kind);
    let delete_refused = refused(sparsync_core::ErrorKind::DeleteRefused);
    let failures = &done.failures;
    NativeResult {
        failures: failures.failures.iter().map(|told| issue(NativeEventType::Failure, told, sides)).collect(),
        failures_dropped: number(failures.dropped),
        failure_counts: failures
            .causes
            .iter()
            .map(|(kind, count)| (kind.as_str().to_owned(), number(*count)))
            .collect(),
        vanished_only: failures.vanished_only,
        partial: !failures.failures.is_empty(),
        warnings: failures.warnings.iter().map(|told| issue(NativeEventType::Warning, told, sides)).collect(),
        delete_refused: delete_refused.map(|error| error.message().to_owned()),
        delete_refused_details: delete_refused.map(|error| details_json(error.details())),
        delete_refused_path: delete_refused
            .and_then(sparsync_core::Error::path)
            .filter(|path| !path.is_empty())
            .map(|path| String::from_utf8_lossy(path).into_owned()),
        max_delete_reached: refused(sparsync_core::ErrorKind::MaxDelete).map(|error| error.message().to_owned()),
        profile: done.profile.iter().flat_map(|(own, peer)| [own, peer]).map(profile::end).collect(),
    }
}

/// A run.
#[napi]
pub struct NativeJob {
    job: Arc<Job>,
    sides: Sides,
    /// Where each rule of its filter was written.
    origins: Arc<[RuleOrigin]>,
}

impl NativeJob {
    pub(crate) fn new(
        env: &Env,
        job: Arc<Job>,
        (direction, origins): (Direction, Vec<RuleOrigin>),
    ) -> napi::Result<Self> {
        let (sender, receiver) = match direction {
            Direction::Push => (Side::Local, Side::Remote),
            Direction::Pull => (Side::Remote, Side::Local),
        };
        let running = Arc::downgrade(&job);
        env.add_env_cleanup_hook(running, |running| {
            if let Some(job) = running.upgrade() {
                job.join();
            }
        })?;
        Ok(Self { job, sides: Sides { sender, receiver }, origins: origins.into() })
    }
}

#[napi]
impl NativeJob {
    /// The next events, at most `max`; `null` when the run is over and all were read.
    #[napi(ts_return_type = "Promise<Array<NativeEvent> | null>")]
    pub fn next_events<'env>(
        &self,
        env: &'env Env,
        max: u32,
    ) -> napi::Result<PromiseRaw<'env, Option<Vec<NativeEvent>>>> {
        let (job, sides, origins) = (Arc::clone(&self.job), self.sides, Arc::clone(&self.origins));
        promise(env, async move { Ok(job.next_events(max as usize).await) }, move |_, events| {
            Ok(events.map(|events| events.into_iter().map(|told| event(told, sides, &origins)).collect()))
        })
    }

    /// Limits what is sent in a second from now on, in bytes; 0 is no limit.
    #[napi(catch_unwind)]
    pub fn set_bwlimit(&self, bytes_per_second: f64) {
        self.job.set_bwlimit(crate::options::whole(bytes_per_second));
    }

    /// Writes the counters, in the order of `statNames()`.
    #[napi(catch_unwind)]
    pub fn stats(&self, mut into: Float64Array) {
        // SAFETY: the array is the caller's own, and JavaScript does not run while this call does.
        #[expect(unsafe_code, reason = "the only way to fill a caller's array without making one")]
        let room = unsafe { into.as_mut() };
        for (place, value) in room.iter_mut().zip(self.job.stats()) {
            *place = number(value);
        }
    }

    /// Ends the run soon.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.job.cancel();
    }

    /// Settles when the run is over.
    #[napi(ts_return_type = "Promise<NativeResult>")]
    pub fn done<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, NativeResult>> {
        let (job, sides) = (Arc::clone(&self.job), self.sides);
        promise(env, async move { job.done().await }, move |_, done| Ok(result(&done, sides)))
    }
}

/// The names of a run's counters.
#[napi(catch_unwind)]
#[must_use]
pub fn stat_names() -> Vec<String> {
    sparsync_core::stat_names().into_iter().map(str::to_owned).collect()
}

/// Starts a run between two folders of this machine.
#[napi(catch_unwind)]
pub fn start_local(env: &Env, request: NativeRequest, destination: Uint8Array) -> napi::Result<NativeJob> {
    let (run, origins) = throw(env, request.load())?;
    let job = throw(env, sparsync_core::start_local(run, destination.to_vec()))?;
    // Both ends are in this process.
    let mut started = NativeJob::new(env, Arc::new(job), (Direction::Push, origins))?;
    started.sides.receiver = Side::Local;
    Ok(started)
}
