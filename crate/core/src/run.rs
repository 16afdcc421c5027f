//! What a caller asks for, and the three ways to do it: push, pull, and from one folder of this machine to another.

use std::sync::Arc;
use std::time::Duration;

use sparsync_proto::session::{ProfileExchange, SenderTerms, check_accept};
use sparsync_proto::{Direction, End, Figure, Frame, Issue, IssueKind, Request, SourceIds};
use tokio::sync::mpsc;

use crate::batch::{self, Batch, BatchTree, BatchWriter, Opened};
use crate::claims::Claims;
use crate::engine::{
    self, ControlLane, EventNeeds, Pack, Recorder, Report, SenderEnd, SenderOptions, Session, TransportControl, Way,
    control_lane, run_receiver, run_sender, spawn,
};
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Extent, Root};
use crate::job::{Job, JobContext};
use crate::marks;
use crate::negotiation::{
    NO_TIMEOUT, counts_first, hold_on, pays_on, sender_options, sender_options_of, tell_dropped_owners, tell_rules,
    tells_names, timeout_of,
};
use crate::option_dirs::{self, Base as OptionBase};
use crate::overlap;
use crate::prepare::{self, Destination, Place, Prepared, ReceiverTerms};
use crate::profile::{RuntimeClock, nanos};
use crate::publish;
use crate::rule_files::{Place as RulePlace, judge_of_batch, judge_of_destination};
use crate::snapshot;
use crate::sources::{self, LocalSource, Source};
use crate::storage::{Decisions, Judge, Storage, Sums};
use crate::sums::sums_of;
use crate::transport::{Connection, SessionLanes, WireCounters, encoded, in_process};
use crate::views::{self, Stored};

/// A run that a caller asks for.
#[derive(Clone, Debug)]
pub struct Run {
    /// The request. [`Request::file_name`], bounds and grant are filled in by the run.
    pub request: Request,
    /// The local end.
    pub local_path: Vec<u8>,
    /// The source of a pull was named with a slash at its end: it is a directory, or leads to one.
    pub source_is_directory: bool,
    /// The local sources, when there are several; `local_path` is not looked at then.
    pub local_sources: Vec<LocalSource>,
    /// The events that its caller needs.
    pub events: EventNeeds,
    /// Its use of a batch. A batch that is read is at `local_path`.
    pub batch: Batch,
}

/// The parts of a connection that its runs need.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) connection: Arc<dyn Connection>,
    /// The places that its runs write to.
    pub(crate) claims: Arc<Claims>,
    pub(crate) handle: tokio::runtime::Handle,
    /// How long it took to find the server and connect.
    pub(crate) connect_time: Duration,
    /// The clock of the connection's thread.
    pub(crate) runtime_clock: Arc<RuntimeClock>,
}

/// The need that a dry run has counted, at the least. Holes are carried as such, with `sparse` nobody knows yet what
/// becomes one, and with `detect_renames` which files are there already.
fn need(request: &Request, session: &Session) -> (u64, u64) {
    use sparsync_proto::Counter::{bytes_needed, entries_to_create};
    let holes = if request.preallocate { 0 } else { session.sparse_bytes() };
    let bytes =
        if request.sparse || request.detect_renames { 0 } else { session.get(bytes_needed).saturating_sub(holes) };
    (bytes, session.get(entries_to_create))
}

/// Starts a run with a server.
pub(crate) fn start_remote(peer: Peer, run: Run) -> Result<Job> {
    Job::start(run.events, move |job| match run.request.direction {
        Direction::Push => push(&peer, &run, job),
        Direction::Pull => pull(&peer, &run, job),
    })
}

/// Starts a run between two folders of this machine.
pub fn start_local(run: Run, destination: Vec<u8>) -> Result<Job> {
    Job::start(run.events, move |job| local(&run, &destination, job))
}

/// Carries a session over the connection on its runtime, and waits for the transport after `engine`.
fn over_connection<T>(
    peer: &Peer,
    job: &JobContext,
    session: &Arc<Session>,
    request: &Request,
    (mut lanes, control): (Box<dyn SessionLanes>, TransportControl),
    engine: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let transport = {
        let (session, peer, wire) = (Arc::clone(session), peer.clone(), Arc::clone(job.wire()));
        let timeout = timeout_of(request);
        let first = encoded(&Frame::opening(Frame::asking_for(request)));
        async move {
            let _ended = ended;
            let _watch = peer.runtime_clock.watch(session.profiler());
            if let Some(profiler) = session.profiler() {
                profiler.set(Figure::connect_ms, nanos(peer.connect_time));
            }
            if let Err(error) = lanes.write(first).await {
                return session.fail(error);
            }
            wire.asks(session.profiler().map(AsRef::as_ref));
            lanes.carry(session, control, timeout).await;
        }
    };
    peer.handle.spawn(transport);
    let result = engine();
    if let Err(error) = &result {
        session.fail(error.clone());
    }
    session.end();
    // The sender's half is dropped when the transport has finished, or its runtime is gone.
    let _ = end.blocking_recv();
    match session.error() {
        Some(error) => Err(error),
        None => result,
    }
}

/// The sources of a run at this end.
fn source_of(run: &Run) -> Result<Source> {
    let source = if run.local_sources.is_empty() {
        let part = sources::own_source(&run.local_path, run.request.into);
        let arrives_at = if run.request.into { sources::arrives_as(&run.local_path) } else { None };
        sources::single_or_gone(part, arrives_at, run.request.missing_sources)?
    } else {
        sources::own_sources(&run.local_sources, &run.request)?
    };
    let mut source = views::of_source(source, &run.request, Stored::at_initiator(&run.request), &RulePlace::Own)?;
    // Each of several sources has been looked for.
    if run.local_sources.is_empty() {
        sources::look_for(&mut source, &run.request)?;
    }
    Ok(source)
}

/// The sources of a run at this end, and its request, completed with what they tell.
pub(crate) fn with_source(run: &Run) -> Result<(Source, Request)> {
    let source = source_of(run)?;
    let mut request = run.request.clone();
    request.file_name.clone_from(&source.file_name);
    source.select(&mut request);
    Ok((source, request))
}

/// What a push sends, and how.
struct Sent<'a, S> {
    source: &'a engine::Source<S>,
    options: &'a dyn Fn(&Request, SenderTerms) -> Result<SenderOptions>,
    recorder: Option<Arc<BatchWriter>>,
}

fn push(peer: &Peer, run: &Run, job: &JobContext) -> Result<Option<Error>> {
    if run.batch == Batch::Read {
        return push_batch(peer, run, job);
    }
    let (source, mut request) = with_source(run)?;
    prepare::narrow_to_system(&mut request);
    let _claim = peer.claims.claim(&mut request, || job.check())?;
    (request.bytes_bound, request.entries_bound) = sources::bounds(&source);
    request.source_marks = marks::marks(&source, &request);
    let options = |request: &Request, terms: SenderTerms| {
        let own = sender_options(&source, request, &RulePlace::Own, SourceIds::Claimed, terms)?;
        Ok(SenderOptions { sums: known_sums(request, job), ..own })
    };
    recorded(run, &source, request, job, |request, recorder| {
        push_over(peer, &Sent { source: &source, options: &options, recorder }, request, job)
    })
}

/// Sends what the batch at the run's local path has.
fn push_batch(peer: &Peer, run: &Run, job: &JobContext) -> Result<Option<Error>> {
    let Opened { request: written, tree, issues, names, bounds } = batch::open(&run.local_path, &|| job.check())?;
    let mut request = batch::request_of(&written, &run.request)?;
    let _claim = peer.claims.claim(&mut request, || job.check())?;
    (request.bytes_bound, request.entries_bound) = bounds;
    let source = source_of_batch(*written, tree, issues);
    let options = |request: &Request, terms: SenderTerms| {
        let names = tells_names(request, SourceIds::Claimed, names.clone());
        Ok(sender_options_of(request, (judge_of_batch(request), names, terms)))
    };
    push_over(peer, &Sent { source: &source, options: &options, recorder: None }, request, job)
}

fn push_over(
    peer: &Peer,
    sent: &Sent<'_, impl Storage>,
    mut request: Request,
    job: &JobContext,
) -> Result<Option<Error>> {
    match push_once(peer, sent, &request, job)? {
        (SenderEnd::Finished(refused), _) => Ok(refused),
        (SenderEnd::CountFirst { free_bytes, free_entries }, _) => {
            let dry = Request { dry_run: true, itemize: false, ..request.clone() };
            let (_, counted) = push_once(peer, &Sent { recorder: None, ..*sent }, &dry, &job.counting())?;
            if let Some(error) = prepare::does_not_fit(need(&dry, &counted), (free_bytes, free_entries)) {
                return Err(error.remote());
            }
            request.space_checked = true;
            if let Some(writer) = &sent.recorder {
                // Its walk went ahead of the answer that nothing is done yet.
                writer.begin_again()?;
            }
            match push_once(peer, sent, &request, job)?.0 {
                SenderEnd::Finished(refused) => Ok(refused),
                SenderEnd::CountFirst { .. } => Err(Error::protocol("asked to count twice").remote()),
            }
        }
    }
}

fn push_once(
    peer: &Peer,
    sent: &Sent<'_, impl Storage>,
    request: &Request,
    job: &JobContext,
) -> Result<(SenderEnd, Arc<Session>)> {
    let session = job.begin(request.profile)?;
    session.limit_wire(request.bwlimit);
    let limited = Arc::clone(&session);
    job.limited_by(request.bwlimit, move |bytes_per_second| limited.limit_wire(bytes_per_second));
    let (control, transport) = control_lane(&session);
    let mut data = peer.connection.open(Arc::clone(job.wire()));
    let lanes = data.data_out(request.lanes);
    let terms = SenderTerms::Asked(Box::new(request.clone()));
    let own = (sent.options)(request, terms)?;
    let options = SenderOptions {
        judge: own.judge.telling(End::Sender, job.events().decisions(&session)),
        pays: pays_on(&peer.connection, request),
        hold: hold_on(&*peer.connection),
        events: Some(Arc::clone(job.events())),
        recorder: sent.recorder.clone().map(|writer| writer as Arc<dyn Recorder>),
        ..own
    };
    let end = over_connection(peer, job, &session, request, (data, transport), || {
        run_sender(&session, sent.source, &options, control, lanes)
    })?;
    Ok((end, session))
}

fn pull(peer: &Peer, run: &Run, job: &JobContext) -> Result<Option<Error>> {
    publish::check(&run.request, publish::Served::default())?;
    snapshot::check(&run.request, false)?;
    let mut request = run.request.clone();
    prepare::narrow_to_system(&mut request);
    request.source_marks = marks::mark_of_destination(&run.local_path, &request);
    let (end, counted) = pull_once(peer, run, &request, job)?;
    let Some((free_bytes, free_entries)) = end.count_first else { return Ok(end.refused) };
    drop(counted);
    let dry = Request { dry_run: true, itemize: false, ..request.clone() };
    let (_, counted) = pull_once(peer, run, &dry, &job.counting())?;
    if let Some(error) = prepare::does_not_fit(need(&dry, &counted), (free_bytes, free_entries)) {
        return Err(error);
    }
    request.space_checked = true;
    Ok(pull_once(peer, run, &request, job)?.0.refused)
}

/// How a pull ended.
#[derive(Default)]
struct PullEnd {
    refused: Option<Error>,
    /// Nothing was done: the need must be counted first, against this free space.
    count_first: Option<Extent>,
}

fn pull_once(peer: &Peer, run: &Run, request: &Request, job: &JobContext) -> Result<(PullEnd, Arc<Session>)> {
    let session = job.begin(request.profile)?;
    let mut request = request.clone();
    request.grant_all = !request.dry_run && request.may_grant_all() && prepare::is_missing_or_empty(&run.local_path);
    let (mut control, transport) = control_lane(&session);
    let urgent = transport.urgent_sender();
    job.limited_by(request.bwlimit, move |bytes_per_second| {
        // Behind the request, which is written first.
        urgent.send(&Frame::Bwlimit(bytes_per_second));
    });
    let mut data = peer.connection.open(Arc::clone(job.wire()));
    let lanes = data.data_in(request.lanes);
    let end = over_connection(peer, job, &session, &request, (data, transport), || {
        let accept = match control.rx.blocking_recv() {
            Some(Frame::Accept(accept)) => accept,
            Some(_) => return Err(Error::protocol("an answer before the request was accepted").remote()),
            None => return Err(session.lane_ended()),
        };
        session.agree(accept.version);
        check_accept(&request, &accept)?;
        if run.source_is_directory && accept.file_name.is_some() {
            return Err(sources::no_directory(request.path.as_bytes()).remote());
        }
        let mut request = request.clone();
        if !request.is_selective() {
            request.selected.clone_from(&accept.selected);
        }
        request.missing.clone_from(&accept.missing);
        let expected = (accept.file_name.as_deref(), (accept.bytes_bound, accept.entries_bound));
        let what = format!(", which pulls from {}", peer.connection.peer_address());
        let terms = own_terms(Stored::at_initiator(&request), expected, SourceIds::Claimed, &what);
        let mut prepared = prepare_own(&run.local_path, &request, &terms, &session)?;
        if prepared.count_first {
            let space = prepared.space.unwrap_or_default().free;
            control.tx.send(&Frame::Abort(counts_first().to_wire()))?;
            return Ok(PullEnd { refused: None, count_first: Some(space) });
        }
        option_dirs::open(&mut prepared.destination, &request, &OptionBase::Own(&run.local_path), terms.stored)?;
        let judge = judge_of_destination(prepared.destination.root.as_ref(), &request, &RulePlace::Own)?;
        let judge = judge.telling(End::Receiver, told_deletions(&request, job, &session));
        let mut options = prepared.options(&request, &terms, (judge, Report::Local(Arc::clone(job.events()))))?;
        options.grant = accept.grant;
        options.profile = ProfileExchange::asked_by(&request);
        options.sums = known_sums(&request, job);
        tell_dropped_owners(&request, &terms, &options.report)?;
        tell_rules(&options.judge, &options.report)?;
        publish::stage(&mut prepared, &request, &session)?;
        snapshot::stage(&mut prepared, &request)?;
        let outcome = run_receiver(&session, &prepared.destination, &options, control, lanes)?;
        Ok(PullEnd { refused: outcome.refused, count_first: None })
    })?;
    Ok((end, session))
}

/// Digests of content that are known on this side, where the run asks for them; that there can be none is told.
fn known_sums(request: &Request, job: &JobContext) -> Option<Arc<dyn Sums>> {
    let (sums, why) = sums_of(request);
    if let Some(message) = why {
        job.events().issue(Issue { kind: IssueKind::Notice, path: Vec::new(), message, old_kept: true });
    }
    sums
}

/// What tells which rules keep entries from being deleted, where the run deletes and tells it.
fn told_deletions(request: &Request, job: &JobContext, session: &Arc<Session>) -> Option<Box<dyn Decisions>> {
    job.events().decisions(session).filter(|_| request.deletion.delete)
}

/// The terms of a receiver that runs as this machine's own user; `what` has the facts that depend on the run.
fn own_terms<'a>(
    stored: Stored,
    (file_name, bounds): (Option<&'a [u8]>, Extent),
    source_ids: SourceIds,
    what: &str,
) -> ReceiverTerms<'a> {
    ReceiverTerms {
        file_name,
        bounds,
        source_ids,
        append_only: false,
        may_be_read: true,
        prefix_depth: 0,
        is_served: false,
        may_chown: true,
        may_make_specials: true,
        may_set_foreign_xattrs: true,
        may_set_acls: true,
        stored,
        place: &RulePlace::Own,
        reserve_bytes: 0,
        holder: format!("another run of this process{what}"),
    }
}

fn prepare_own(path: &[u8], request: &Request, terms: &ReceiverTerms<'_>, session: &Session) -> Result<Prepared> {
    prepare::when_free(request.lock_wait_ms, session, || {
        let (top, rest) = prepare::open_own_or(path, Root::reach_trusted, |error| {
            // With that the directories above are to be made, and cannot be.
            let is_made = request.mkpath;
            if is_made { prepare::not_made(path, error) } else { prepare::not_opened(path, error) }
        })?;
        let place = Place { top: &top, path: rest };
        // The rest below the directories that exist tells less than the path that was given.
        prepare::destination(&place, request, terms).map_err(|error| match error.details() {
            [(name, _), ..] if name == "end" => error.at(path),
            _ => error,
        })
    })
}

/// Does a run of this machine's own sources, and writes its batch if it has one.
fn recorded(
    run: &Run,
    source: &Source,
    request: Request,
    job: &JobContext,
    go: impl FnOnce(Request, Option<Arc<BatchWriter>>) -> Result<Option<Error>>,
) -> Result<Option<Error>> {
    let Some(path) = run.batch.written().filter(|_| !request.dry_run) else { return go(request, None) };
    if request.removes_sources() {
        return Err(Error::new(ErrorKind::Config, "what is removed at the source cannot be read for a batch any more"));
    }
    let writer = Arc::new(BatchWriter::begin(path, &request)?);
    job.events().record(Arc::<BatchWriter>::clone(&writer), request.itemize);
    let dry_run = matches!(run.batch, Batch::OnlyWrite(_));
    let done = go(Request { dry_run, itemize: true, ..request }, Some(Arc::clone(&writer))).and_then(|refused| {
        writer.finish(source, &|| job.check(), |issue| job.events().issue(issue))?;
        Ok(refused)
    });
    writer.abandon();
    done
}

fn local(run: &Run, destination: &[u8], job: &JobContext) -> Result<Option<Error>> {
    if run.batch == Batch::Read {
        return apply(run, destination, job);
    }
    let (source, mut request) = with_source(run)?;
    prepare::narrow_to_system(&mut request);
    recorded(run, &source, request, job, |request, recorder| {
        let near = Near {
            source: &source,
            bounds: sources::bounds(&source),
            source_ids: SourceIds::Local,
            overlap: &|request, there, judge| overlap::refuse(&source, there, request, judge),
            way: way_of,
            options: &|request, terms| sender_options(&source, request, &RulePlace::Own, SourceIds::Local, terms),
            recorder: recorder.map(|writer| writer as Arc<dyn Recorder>),
        };
        between(&near, destination, request, job)
    })
}

/// What a batch has, as a source.
fn source_of_batch(written: Request, tree: BatchTree, issues: Vec<Issue>) -> engine::Source<BatchTree> {
    let Request { file_name, selected, .. } = written;
    engine::Source { root: tree, file_name, selected, missing: issues, gone: Vec::new() }
}

/// Does what the batch at the run's local path says.
fn apply(run: &Run, destination: &[u8], job: &JobContext) -> Result<Option<Error>> {
    let Opened { request: written, tree, issues, names, bounds } = batch::open(&run.local_path, &|| job.check())?;
    let request = batch::request_of(&written, &run.request)?;
    let source = source_of_batch(*written, tree, issues);
    let near = Near {
        source: &source,
        bounds,
        source_ids: SourceIds::Claimed,
        overlap: &|_, _, _| Ok(()),
        way: |_| Way::Hashed,
        options: &|request, terms| {
            let names = tells_names(request, SourceIds::Claimed, names.clone());
            Ok(sender_options_of(request, (judge_of_batch(request), names, terms)))
        },
        recorder: None,
    };
    between(&near, destination, request, job)
}

/// The source of a run on this machine.
struct Near<'a, S> {
    source: &'a engine::Source<S>,
    /// Upper bounds of the source's bytes and entries.
    bounds: Extent,
    source_ids: SourceIds,
    /// Refuses a destination that overlaps with it.
    overlap: &'a dyn Fn(&Request, &Destination, &Judge) -> Result<()>,
    way: fn(&Request) -> Way,
    options: &'a dyn Fn(&Request, SenderTerms) -> Result<SenderOptions>,
    recorder: Option<Arc<dyn Recorder>>,
}

fn between(
    near: &Near<'_, impl Storage>,
    destination: &[u8],
    mut request: Request,
    job: &JobContext,
) -> Result<Option<Error>> {
    let (end, _) = local_once(near, destination, &request, job)?;
    let Some(free) = end.count_first else { return Ok(end.refused) };
    let dry = Request { dry_run: true, itemize: false, ..request.clone() };
    let (_, counted) = local_once(near, destination, &dry, &job.counting())?;
    if let Some(error) = prepare::does_not_fit(need(&dry, &counted), free) {
        return Err(error);
    }
    request.space_checked = true;
    Ok(local_once(near, destination, &request, job)?.0.refused)
}

/// How content goes from one folder of this machine to another. Files that are written over, or whose zeros are looked
/// for, are always read; while a rate is limited, the reader reads all others, too.
fn way_of(request: &Request) -> Way {
    let is_read = request.sparse || request.preallocate || request.inplace || request.append;
    match (request.verify_copies, is_read) {
        (true, _) => Way::Hashed,
        (false, true) => Way::Trusted,
        (false, false) => Way::Handed,
    }
}

fn local_once(
    near: &Near<'_, impl Storage>,
    destination: &[u8],
    request: &Request,
    job: &JobContext,
) -> Result<(PullEnd, Arc<Session>)> {
    publish::check(request, publish::Served::default())?;
    snapshot::check(request, false)?;
    let session = job.begin(request.profile)?;
    let source = near.source;
    let expected = (source.file_name.as_deref(), near.bounds);
    // Owners are stored as attributes in both folders, as in rsync.
    let stored = Stored { fake_super: request.fake_super, ..Stored::at_acceptor(request) };
    let terms = own_terms(stored, expected, near.source_ids, "");
    let mut prepared = prepare_own(destination, request, &terms, &session)?;
    if prepared.count_first {
        let space = prepared.space.unwrap_or_default().free;
        return Ok((PullEnd { refused: None, count_first: Some(space) }, session));
    }
    option_dirs::open(&mut prepared.destination, request, &OptionBase::Own(destination), terms.stored)?;
    let judge = judge_of_destination(prepared.destination.root.as_ref(), request, &RulePlace::Own)?;
    (near.overlap)(request, &prepared.destination, &judge)?;
    let judge = judge.telling(End::Receiver, told_deletions(request, job, &session));
    let mut options = prepared.options(request, &terms, (judge, Report::Local(Arc::clone(job.events()))))?;
    tell_dropped_owners(request, &terms, &options.report)?;
    tell_rules(&options.judge, &options.report)?;
    publish::stage(&mut prepared, request, &session)?;
    snapshot::stage(&mut prepared, request)?;
    let sending = Arc::new(Session::new(request.profile));
    sending.limit_packs(request.bwlimit);
    let limited = Arc::clone(&sending);
    job.limited_by(request.bwlimit, move |bytes_per_second| limited.limit_packs(bytes_per_second));
    let granted = SenderTerms::Granted {
        grant: prepared.grant,
        profile: ProfileExchange::None,
        removes: request.removes_sources(),
    };
    let way = (near.way)(request);
    options.sums = known_sums(request, job);
    options.writes.trusts_sender = way != Way::Hashed;
    let own = (near.options)(request, granted)?;
    let sender_options = SenderOptions {
        judge: own.judge.telling(End::Sender, job.events().decisions(&sending)),
        way,
        // Entries of a batch have no inodes, by which digests are known.
        sums: options.sums.clone().filter(|_| near.source_ids == SourceIds::Local),
        recorder: near.recorder.clone().filter(|_| !job.is_counting()),
        ..own
    };
    let outcome = both_engines(&sending, &session, request.lanes, job.wire(), |(control, to), receiving| {
        std::thread::scope(|scope| {
            // The session tells errors of the sender.
            spawn(scope, &sending, "sparsync-send", || {
                run_sender(&sending, source, &sender_options, control, to).map(|_| ())
            });
            let (control, from) = receiving;
            let outcome = run_receiver(&session, &prepared.destination, &options, control, from);
            if outcome.is_err() {
                sending.end();
            }
            outcome
        })
    })?;
    session.count_sparse(sending.sparse_bytes());
    if let Some(profiler) = sending.profiler() {
        session.set_peer_profile(profiler.account())?;
    }
    Ok((PullEnd { refused: outcome.refused, count_first: None }, session))
}

/// The engines' ends of a session: for the one that sends, and for the one that receives.
type SendingEnd = (ControlLane, Vec<mpsc::Sender<Pack>>);
type ReceivingEnd = (ControlLane, Vec<mpsc::Receiver<Pack>>);

/// Carries a session between two engines of this process for as long as `engines` takes.
pub(crate) fn both_engines<T>(
    sending: &Arc<Session>,
    receiving: &Arc<Session>,
    lanes: u8,
    wire: &Arc<WireCounters>,
    engines: impl FnOnce(SendingEnd, ReceivingEnd) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::io("cannot start a runtime", b"", error))?;
    let (near, far) = in_process::connection();
    let mut source = near.open(Arc::clone(wire));
    let accepted = runtime.block_on(far.accept(Arc::clone(wire)));
    let mut destination = accepted.ok_or_else(|| Error::internal("a session that was opened and did not come"))?;
    let (source_control, from_source) = control_lane(sending);
    let (destination_control, from_destination) = control_lane(receiving);
    let sending_end = (source_control, source.data_out(lanes));
    let receiving_end = (destination_control, destination.data_in(lanes));
    let carried = [
        source.carry(Arc::clone(sending), from_source, NO_TIMEOUT),
        destination.carry(Arc::clone(receiving), from_destination, NO_TIMEOUT),
    ];
    std::thread::scope(|scope| {
        spawn(scope, receiving, "sparsync-carry", || {
            let [source, destination] = carried;
            runtime.block_on(async { tokio::join!(source, destination) });
            Ok(())
        });
        engines(sending_end, receiving_end)
    })
}
