//! Serves one request, as its sender or its receiver.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sparsync_proto::session::{ProfileExchange, SenderTerms};
use sparsync_proto::{Accept, Direction, Explanation, Frame, Grant, RelPath, Request, SourceIds, SourcePath, Version};
use tokio::sync::mpsc;

use super::accept::ConnectedClient;
use super::log::{Begun, Happening};
use super::niceness::be_nice;
use super::own;
use super::profiles::SessionProfile;
use super::registry::{Active, Live};
use super::roots::OpenRoot;
use super::supersede::{SUPERSEDE_MAX, has_ended, supersede};
use super::{Shared, lock};
use crate::claims::WritePlace;
use crate::engine::{
    ControlLane, Pack, Report, SenderEnd, SenderOptions, Session, SpaceReserve, control_lane, run_receiver, run_sender,
};
use crate::error::{Error, ErrorKind, Result};
use crate::explain;
use crate::fs::{DestinationLock, LockFor, Root};
use crate::marks;
use crate::negotiation::{
    accept_as_sender, hold_on, is_to_come, pays_on, sender_options, tell_dropped_owners, tell_rules, timeout_of,
};
use crate::option_dirs::{self, Base as OptionBase};
use crate::prepare::{self, Place, Prepared, ReceiverTerms};
use crate::publish;
use crate::rule_files::{Place as RulePlace, judge_of_destination};
use crate::snapshot;
use crate::sources::{self, Held, Named, Source};
use crate::storage::Part;
use crate::transport::SessionLanes;
use crate::views::{self, Stored};

/// The engine's ends of a session's data lanes.
enum DataLanes {
    In(Vec<mpsc::Receiver<Pack>>),
    Out(Vec<mpsc::Sender<Pack>>),
}

/// How a run went that did not fail.
enum Served {
    /// The run was done; the error is of deletions that were refused.
    Done(Option<Error>),
    /// The initiator counts first how much room it needs, and asks again.
    Counts,
}

/// Serves a request for a run, from its authorization to its end; `place` is the client's name for the destination. A
/// refused request gives the lanes back.
pub(super) async fn serve_sync(
    shared: &Arc<Shared>,
    client: &Arc<ConnectedClient>,
    mut lanes: Box<dyn SessionLanes>,
    version: Version,
    (mut request, place): (Request, Option<WritePlace>),
) -> std::result::Result<(), (Box<dyn SessionLanes>, Error)> {
    let begun = shared
        .authorize(client, &mut request)
        .and_then(|granted| Ok((Active::begin(&shared.registry, client.key())?, granted)));
    let (active, granted) = match begun {
        Ok(begun) => begun,
        Err(error) => return Err((lanes, error)),
    };
    shared.totals.sessions.fetch_add(1, Ordering::Relaxed);
    let session = Arc::new(Session::new(request.profile || shared.profiles.is_some()));
    session.agree(version);
    session.limit_wire(request.bwlimit);
    session.share_rates(shared.registry.rates(client.key()));
    let direction = request.direction;
    if direction == Direction::Pull {
        session.let_peer_limit();
    }
    let profiler = session.profiler().cloned();
    let _watch = shared.runtime_clock.watch(profiler.as_ref());
    let (control, transport) = control_lane(&session);
    shared.registry.add_session(Live {
        key: client.key(),
        connection: Arc::downgrade(&client.connection),
        root: request.root.clone(),
        path: request.path.clone(),
        place,
        session: Arc::downgrade(&session),
        urgent: transport.urgent_sender(),
    });
    let timeout = timeout_of(&request);
    let begun = shared.log.as_ref().map(|_| Begun::now(&request));
    let data = match direction {
        Direction::Push => DataLanes::In(lanes.data_in(request.lanes)),
        Direction::Pull => DataLanes::Out(lanes.data_out(request.lanes)),
    };
    let answering = (Arc::clone(shared), Arc::clone(client), Arc::clone(&session));
    run_engine(shared, client, &session, (active, begun), move || {
        let (shared, client, session) = answering;
        let root = shared.present_root(granted, &request.root)?;
        let changes = !request.dry_run && (request.direction == Direction::Push || request.removes_sources());
        let keeping = if changes { root.keeping(&client.scope.name)? } else { None };
        let answer =
            Answer { shared: &shared, client: &client, session: &session, root: &root, keeping: keeping.as_ref() };
        match data {
            DataLanes::In(data) => {
                answer.check_place(&request)?;
                answer.receive(&request, version, control, data)
            }
            DataLanes::Out(data) => answer.send(&request, version, control, data),
        }
    });
    lanes.carry(session, transport, timeout).await;
    if let Some((profiles, profiler)) = shared.profiles.as_ref().zip(profiler) {
        lock(profiles).add(SessionProfile { direction, profile: profiler.account() });
    }
    Ok(())
}

/// Runs the engine on a thread of its own.
fn run_engine(
    shared: &Arc<Shared>,
    client: &Arc<ConnectedClient>,
    session: &Arc<Session>,
    (active, begun): (Active, Option<Begun>),
    answer: impl FnOnce() -> Result<Served> + Send + 'static,
) {
    let engine = {
        let (shared, client, session) = (Arc::clone(shared), Arc::clone(client), Arc::clone(session));
        move || {
            let _active = active;
            be_nice(shared.registry.sessions_of(client.key()));
            let mut served = Served::Done(None);
            session.guard("session", || {
                served = answer()?;
                Ok(())
            });
            session.end();
            match (begun, served) {
                (Some(begun), Served::Done(refused)) => {
                    shared.tell(Some(client.who()), || Happening::Session(begun.ended(&session, refused)));
                }
                // The run that was asked for is still to come.
                (Some(_), Served::Counts) | (None, _) => {}
            }
            if session.error().is_some_and(|error| !is_to_come(&error)) {
                shared.totals.sessions_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("sparsync-session".to_owned()).spawn(engine) {
        session.fail(Error::io("the server cannot start a thread", b"", error));
    }
}

/// Counts a session as waiting for another one's destination, from when it found that busy.
struct LockWait<'a> {
    count: &'a AtomicU64,
    waits: Cell<bool>,
}

impl<'a> LockWait<'a> {
    fn of(count: &'a AtomicU64) -> Self {
        Self { count, waits: Cell::new(false) }
    }

    fn watch<T>(&self, prepared: Result<T>) -> Result<T> {
        let is_busy = prepared.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy);
        if is_busy && !self.waits.replace(true) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        prepared
    }
}

impl Drop for LockWait<'_> {
    fn drop(&mut self) {
        if self.waits.get() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The server's side of a session, on the session's own thread.
pub(super) struct Answer<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a ConnectedClient,
    pub(super) session: &'a Arc<Session>,
    /// The root of the request. It stays the same for the whole session, wherever its path leads meanwhile.
    pub(super) root: &'a OpenRoot,
    /// The root of a run that keeps versions of replaced and removed entries.
    pub(super) keeping: Option<&'a Root>,
}

impl Answer<'_> {
    /// The directory that a push writes to, on its own.
    pub(super) fn open_destination(&self, prepared: &Prepared) -> Result<Root> {
        let path = &prepared.directory;
        let top = self.root.root.descend(path);
        top.map_err(|error| Error::io("cannot open the destination", path.as_bytes(), error.into()))
    }

    /// The root that a run reads or writes.
    fn top(&self) -> &Root {
        self.keeping.unwrap_or(&self.root.root)
    }

    /// Refuses a path of the root that the client may not use.
    fn allow(&self, request: &Request, path: &RelPath) -> Result<()> {
        self.shared.allow(self.client, (&String::from_utf8_lossy(&request.root), self.root), path)
    }

    /// Where files of rules are read for a request.
    fn rules<'a>(&'a self, prefix_of: &'a dyn Fn(&RelPath) -> Option<RelPath>) -> RulePlace<'a> {
        if self.shared.own.is_some() {
            return RulePlace::Own;
        }
        let OpenRoot { root, hidden, .. } = self.root;
        RulePlace::Served { root, prefix_of, hidden }
    }

    /// The path to which the symlink at `path` leads, which the key must cover as well.
    fn follow(&self, request: &Request, path: &RelPath, target: &[u8]) -> Result<RelPath> {
        if self.shared.own.is_some() {
            return own::led_to(path, target);
        }
        let led_to = sources::led_to(path, target)
            .ok_or_else(|| Error::new(ErrorKind::Scope, "the symlink leads out of its root").at(path.as_bytes()))?;
        self.allow(request, &led_to).map(|()| led_to)
    }

    /// Refuses to tell of a directory that is no part of the request: of one that holds a source, the source alone is
    /// seen, unless the source begins there.
    fn refuse_holder(request: &Request) -> Result<()> {
        let mut chosen = request.selected.iter().chain(request.listed.iter());
        let is_held =
            |source: &SourcePath| !source.contents && source.relative().is_none_or(|(_, below)| below.is_root());
        if chosen.any(|path| path.is_root()) && request.sources.iter().any(is_held) {
            return Err(Error::new(ErrorKind::Scope, "the directory that holds a source is no part of the request"));
        }
        Ok(())
    }

    /// The sources of a pull.
    fn source(&self, request: &Request) -> Result<Source> {
        Self::refuse_holder(request)?;
        let place = |path: &RelPath| -> Result<Place<'_>> {
            self.allow(request, path)?;
            Ok(Place { top: self.top(), path: path.clone() })
        };
        if request.sources.is_empty() {
            let follow = |target: &[u8]| (!request.into).then(|| self.follow(request, &request.path, target));
            let place = place(&request.path)?;
            let name = request.path.last_name().filter(|_| request.into);
            return sources::single_or_gone(sources::source(&place, follow), name, request.missing_sources);
        }
        let held = Held::default();
        let part = |source: &SourcePath| {
            let follow = |target: &[u8]| Some(self.follow(request, &source.path, target));
            if let Some((above, below)) = source.relative().filter(|(_, below)| !below.is_root()) {
                let above = place(&above)?;
                if source.contents {
                    let tree = || sources::contents(&place(&source.path)?, follow);
                    return sources::contents_below(&above, &below, &held, tree);
                }
                return sources::entry_below(&above, &below, &held);
            }
            let place = place(&source.path)?;
            match (source.contents, request.into) {
                (true, _) => sources::contents(&place, follow),
                (false, true) => sources::entry(&place),
                (false, false) => sources::source(&place, follow),
            }
        };
        let parts = request.sources.iter().map(|source| Named {
            path: source.path.as_bytes().to_vec(),
            arrives_at: source.arrives_at(request.into),
            part: part(source),
        });
        sources::several(parts, request.missing_sources)
    }

    /// This end's explanation of a path of a pull.
    pub(super) fn explain_source(&self, request: &Request) -> Result<Explanation> {
        let prefix_of = |path: &RelPath| self.prefix_of(request, path);
        let place = self.rules(&prefix_of);
        let source = views::of_source(self.source(request)?, request, Stored::at_acceptor(request), &place)?;
        let mut request = request.clone();
        source.select(&mut request);
        explain::of_source(&source, &request, (&place, self.client.scope.rights.read))
    }

    /// This end's explanation of a path of a push.
    pub(super) fn explain_destination(&self, request: &Request) -> Result<Explanation> {
        let prefix_of = |path: &RelPath| self.prefix_of(request, path);
        let place = self.rules(&prefix_of);
        let root = self.root.root.descend_to_reach(&request.path).ok();
        explain::of_destination(root.as_ref(), request, (&place, self.client.scope.rights.read))
    }

    fn send(
        &self,
        request: &Request,
        version: Version,
        control: ControlLane,
        lanes: Vec<mpsc::Sender<Pack>>,
    ) -> Result<Served> {
        let prefix_of = |path: &RelPath| self.prefix_of(request, path);
        let place = self.rules(&prefix_of);
        let open = || self.open_source(request, &place);
        let (source, request, _locks) = if request.removes_sources() {
            let has_ended = || has_ended(&self.shared.registry, self.session, request);
            self.when_free(request, has_ended, open)?
        } else {
            open()?
        };
        let request = &request;
        let accept = accept_as_sender(&source, request, version, request.lanes);
        control.tx.send(&Frame::Accept(accept.clone()))?;
        let terms = SenderTerms::Granted {
            grant: accept.grant,
            profile: ProfileExchange::answer_to(request),
            removes: request.removes_sources(),
        };
        let mut options = SenderOptions {
            pays: pays_on(&self.client.connection, request),
            hold: hold_on(&*self.client.connection),
            ..sender_options(&source, request, &place, SourceIds::Claimed, terms)?
        };
        options.mounts = options.mounts.filter(|_| self.shared.remembers);
        match run_sender(self.session, &source, &options, control, lanes)? {
            // Deletions that were refused are an error of the initiator's run, and not of this session.
            SenderEnd::Finished(_) => Ok(Served::Done(None)),
            SenderEnd::CountFirst { .. } => Err(Error::protocol("an acceptance from the one who asked").remote()),
        }
    }

    /// Opens the source of a pull and asks for what it is to have, with locks that keep others from writing to sources
    /// that are removed. What is there is looked for under the lock: whoever had it may have made or replaced it.
    fn open_source(&self, request: &Request, place: &RulePlace<'_>) -> Result<(Source, Request, Vec<DestinationLock>)> {
        let mut source = views::of_source(self.source(request)?, request, Stored::at_acceptor(request), place)?;
        let locks = if request.removes_sources() { self.lock_sources(&source)? } else { Vec::new() };
        // Each of several sources has been looked for.
        if request.sources.is_empty() {
            sources::look_for(&mut source, request)?;
        }
        marks::refuse_removal(request, source.root.parts().iter().map(Part::top))?;
        let mut request = request.clone();
        source.select(&mut request);
        Ok((source, request, locks))
    }

    fn lock_sources(&self, source: &Source) -> Result<Vec<DestinationLock>> {
        let holder = format!("{} from {}", self.client.scope.name, self.client.connection.peer_address());
        let purpose = |part: &Part<Root>| if part.name.is_some() { LockFor::Names } else { LockFor::Tree };
        let acquire = |part: &Part<Root>| DestinationLock::acquire(&part.root, purpose(part), &holder);
        source.root.parts().iter().map(acquire).collect()
    }

    fn receive(
        &self,
        request: &Request,
        version: Version,
        mut control: ControlLane,
        lanes: Vec<mpsc::Receiver<Pack>>,
    ) -> Result<Served> {
        let place = Place { top: self.top(), path: request.path.clone() };
        if let Some(name) = &request.file_name {
            // It is not known yet whether the file is put below a directory or gets another name.
            let path = RelPath::new(&request.path.join_bytes(name)).unwrap_or_default();
            self.allow(request, &path)?;
        }
        let prefix_of = |path: &RelPath| self.prefix_of(request, path);
        let rules = self.rules(&prefix_of);
        let terms = self.terms(request, &rules);
        let mut prepared = self.prepare(&place, request, &terms)?;
        if request.file_name.is_none() || request.file_name == prepared.destination.file_name {
            marks::refuse_removal(request, prepared.destination.root.iter())?;
        }
        let (free_bytes, free_entries) = prepared.space.unwrap_or_default().free;
        let counting = &self.client.counting;
        if prepared.count_first {
            counting.begin(request, (free_bytes, free_entries));
            control.rx.close();
        }
        control.tx.send(&Frame::Accept(Accept {
            version,
            grant: prepared.grant,
            lanes: request.lanes,
            count_first: prepared.count_first,
            free_bytes,
            free_entries,
            ..Accept::default()
        }))?;
        if prepared.count_first {
            return Ok(Served::Counts);
        }
        let is_count = counting.is_count(request);
        if !request.dry_run {
            counting.comes(request);
        }
        self.open_option_directories(&mut prepared, request, &terms)?;
        let judge = judge_of_destination(prepared.destination.root.as_ref(), request, &rules)?;
        let mut options = prepared.options(request, &terms, (judge, Report::to_peer(control.tx.clone())))?;
        options.is_source = prepared.destination.root.as_ref().and_then(|root| marks::known_again(request, root));
        options.quota = self.quota(request, &prepared)?;
        options.reserve = self.reserve(request, &prepared)?;
        options.profile = ProfileExchange::answer_to(request);
        tell_dropped_owners(request, &terms, &options.report)?;
        tell_rules(&options.judge, &options.report)?;
        debug_assert!(prepared.grant == Grant::AsAsked || !request.dry_run, "a dry run asks for nothing");
        let staged =
            publish::stage(&mut prepared, request, self.session).and_then(|()| snapshot::stage(&mut prepared, request));
        let received =
            staged.and_then(|()| run_receiver(self.session, &prepared.destination, &options, control, lanes));
        if let Some(quota) = &options.quota {
            self.settle(request, &prepared, quota);
        }
        let refused = received?.refused;
        if !is_count || refused.is_some() {
            return Ok(Served::Done(refused));
        }
        if let Some((asked, error)) = counting.counted(request, self.session) {
            self.shared.tell(Some(self.client.who()), || Happening::Refused { asked: Some(asked), error });
        }
        Ok(Served::Counts)
    }

    /// Finds and locks the destination of a push.
    fn prepare(&self, place: &Place<'_>, request: &Request, terms: &ReceiverTerms<'_>) -> Result<Prepared> {
        let gives_way = || supersede(&self.shared.registry, self.client, self.session, request);
        self.when_free(request, gives_way, || prepare::destination(place, request, terms))
    }

    /// Prepares what has to be locked, and waits for those who have the lock for as long as the request says, or until
    /// they have ended where `gives_way` finds that they are about to.
    fn when_free<T>(
        &self,
        request: &Request,
        gives_way: impl Fn() -> bool,
        prepare: impl Fn() -> Result<T>,
    ) -> Result<T> {
        let waits = LockWait::of(&self.shared.totals.lock_waits);
        let prepare = || waits.watch(prepare());
        match prepare::when_free(request.lock_wait_ms, self.session, prepare) {
            Err(error) if error.kind() == ErrorKind::Busy => {
                // A dead run lets its lock go at its next step, and one that has ended may have done so by now.
                let wait = if gives_way() { SUPERSEDE_MAX } else { Duration::ZERO };
                let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                prepare::when_free(wait, self.session, prepare)
            }
            prepared => prepared,
        }
    }

    /// The facts for the receiver of a request, besides the request.
    fn terms<'a>(&self, request: &'a Request, rules: &'a RulePlace<'a>) -> ReceiverTerms<'a> {
        let rights = &self.client.scope.rights;
        ReceiverTerms {
            file_name: request.file_name.as_deref(),
            bounds: (request.bytes_bound, request.entries_bound),
            source_ids: SourceIds::Claimed,
            append_only: !rights.write,
            may_be_read: rights.read,
            is_served: self.shared.own.is_none(),
            prefix_depth: self.prefix_of(request, &request.path).map_or(0, |prefix| prefix.components().count()),
            may_chown: rights.owner,
            may_make_specials: rights.special,
            may_set_foreign_xattrs: rights.xattrs,
            may_set_acls: rights.acls,
            stored: Stored::at_acceptor(request),
            place: rules,
            reserve_bytes: self.shared.registry.limits().reserve_bytes,
            holder: format!("{} from {}", self.client.scope.name, self.client.connection.peer_address()),
        }
    }

    /// Refuses to publish where trees cannot be exchanged or might have hidden paths, and to make snapshots of which
    /// some paths would be hidden.
    fn check_place(&self, request: &Request) -> Result<()> {
        let is_top = request.path.is_root() || self.prefix_of(request, &request.path).as_ref() == Some(&request.path);
        let hides_paths = !self.root.hidden.is_empty();
        publish::check(request, publish::Served { is_top, hides_paths })?;
        snapshot::check(request, hides_paths)
    }

    /// Opens the directories that options of a push name, below the key's prefix.
    fn open_option_directories(
        &self,
        prepared: &mut Prepared,
        request: &Request,
        terms: &ReceiverTerms<'_>,
    ) -> Result<()> {
        if self.shared.own.is_some() {
            let destination = [b"/", request.path.as_bytes()].concat();
            return option_dirs::open(&mut prepared.destination, request, &OptionBase::Own(&destination), terms.stored);
        }
        let base = OptionBase::Served {
            root: self.top(),
            destination: &prepared.directory,
            prefix: self.prefix_of(request, &request.path).unwrap_or_default(),
            hidden: &self.root.hidden,
        };
        option_dirs::open(&mut prepared.destination, request, &base, terms.stored)
    }

    /// The room of the destination's file system that must stay free.
    fn reserve(&self, request: &Request, prepared: &Prepared) -> Result<Option<SpaceReserve>> {
        let bytes = self.shared.registry.limits().reserve_bytes;
        if request.dry_run || bytes == 0 {
            return Ok(None);
        }
        let top = self.open_destination(prepared)?;
        let free = move || top.space().ok()?.free.0;
        Ok(Some(SpaceReserve::new(bytes, Box::new(free))))
    }

    /// The prefix of the key that covers a path of the request's root; the uppermost, if there are several.
    fn prefix_of(&self, request: &Request, path: &RelPath) -> Option<RelPath> {
        let components: Vec<&[u8]> = path.components().map(sparsync_proto::Name::as_bytes).collect();
        let prefix = self.client.scope.prefix_of(&String::from_utf8_lossy(&request.root), &components)?;
        RelPath::new(&prefix).ok()
    }
}
