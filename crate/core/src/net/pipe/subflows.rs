//! Data lanes over subflows (ADR 0050): a lane that waits for the path moves off the shared connection, between two
//! packs, and its packs go on over connections of its own, each taking the next one when it has room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use sparsync_proto::mux::{CHUNK_BYTES_MAX, StreamId};
use sparsync_proto::pack::PACK_HEADER_BYTES;
use sparsync_proto::subflow::{NUMBER_BYTES, SUBFLOWS_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::carrier::Carrier;
use super::lock;
use crate::engine::{Pack, Session, share, take_buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::net::goodput::MEASURED_FROM_ROUND_TRIP;
use crate::net::tcp::{Redial, Subflow, head};
use crate::transport::WireCounters;

/// How long a lane has to have waited for the path since it got its last connection, or began, to get another. A
/// handshake takes three round trips, so less content than that arrives before a subflow would stand.
const ASK_AFTER_WAITS: Duration = Duration::from_millis(100);

/// Subflows that are opened for one lane, so that some of the session's are left for one that begins later: the first
/// words about its files may be behind much content of the other.
const OF_ONE_LANE: usize = 4;

/// When another subflow is tried after one that failed or was refused: a server without room has some later, and a
/// network that lets no further connection through costs one attempt in this time.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What an end has to do with subflows.
pub(super) enum Role {
    /// Nothing: there are none.
    None,
    /// It opens them, like this.
    Opens(Box<Redial>),
    /// It accepts them.
    Accepts,
}

/// A session's lanes, as subflows find them.
struct Lanes {
    places: Arc<Semaphore>,
    ways: Vec<Way>,
}

/// The way of subflows to a lane.
struct Way {
    to: mpsc::UnboundedSender<Subflow>,
    /// The lane has waited for the path.
    has_waited: bool,
    /// Subflows that were opened for it.
    subflows: usize,
    coming: Coming,
}

impl Lanes {
    fn place(&self) -> Result<OwnedSemaphorePermit> {
        let full = |_| Error::new(ErrorKind::Connect, "the session has as many subflows as it may have");
        Arc::clone(&self.places).try_acquire_owned().map_err(full)
    }
}

/// Counts the subflows of a lane from when they are on their way to it until they have ended. Where there is none, the
/// end of the lane on the shared connection is its end.
#[derive(Clone, Default)]
struct Coming(Arc<watch::Sender<usize>>);

impl Coming {
    fn one_more(&self) -> OneMore {
        self.0.send_modify(|count| *count += 1);
        OneMore(self.clone())
    }
}

/// One of the subflows of a lane, until it is dropped.
pub(in crate::net) struct OneMore(Coming);

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// What a subflow holds of its session and its lane.
pub(in crate::net) type Place = (OwnedSemaphorePermit, OneMore);

/// The subflows of a lane, as they come.
pub(super) struct Arrivals {
    pub(super) subflows: mpsc::UnboundedReceiver<Subflow>,
    coming: watch::Receiver<usize>,
}

/// The subflows of one connection.
pub(super) struct Subflows {
    role: Role,
    sessions: Mutex<HashMap<u32, Lanes>>,
    /// One is being opened, or failed a short while ago.
    is_opening: AtomicBool,
}

impl Subflows {
    pub(super) fn new(role: Role) -> Self {
        Self { role, sessions: Mutex::default(), is_opening: AtomicBool::new(false) }
    }

    /// A place for one more subflow of a lane; none where there is no such lane.
    fn place(&self, lane: StreamId) -> Option<Result<Place>> {
        let sessions = lock(&self.sessions);
        let lanes = sessions.get(&lane.session)?;
        let way = lanes.ways.get(way_of(lane)?)?;
        Some(lanes.place().map(|place| (place, way.coming.one_more())))
    }

    /// The lane of a session that the next subflow is for, now that `lane` has waited: of those that have, the one with
    /// the fewest, because each lane has as much to send as the others.
    fn next(&self, lane: StreamId) -> Option<(StreamId, mpsc::UnboundedSender<Subflow>, Place)> {
        let mut sessions = lock(&self.sessions);
        let lanes = sessions.get_mut(&lane.session)?;
        lanes.ways.get_mut(way_of(lane)?)?.has_waited = true;
        let place = lanes.place().ok()?;
        let takes_more = |way: &Way| way.has_waited && way.subflows < OF_ONE_LANE;
        let waiting = (1..).zip(&mut lanes.ways).filter(|(_, way)| takes_more(way));
        let (stream, way) = waiting.min_by_key(|(stream, way)| (way.subflows, *stream != lane.stream))?;
        way.subflows += 1;
        Some((StreamId { stream, ..lane }, way.to.clone(), (place, way.coming.one_more())))
    }

    /// Opens a subflow, now that `lane` has waited. Fails where the network or the server has none.
    async fn open_one(&self, lane: StreamId) -> Result<()> {
        let Role::Opens(redial) = &self.role else { return Ok(()) };
        let Some((lane, to, place)) = self.next(lane) else { return Ok(()) };
        tokio::select! {
            opened = redial.subflow(lane) => match opened {
                Ok(subflow) => drop(to.send(subflow.holding(place))),
                Err(error) => {
                    self.not_opened(lane);
                    return Err(error);
                }
            },
            // Where the lane is over the server would refuse the subflow.
            () = to.closed() => {}
        }
        Ok(())
    }

    /// A subflow of a lane that was counted has not come to be.
    fn not_opened(&self, lane: StreamId) {
        let mut sessions = lock(&self.sessions);
        let lanes = sessions.get_mut(&lane.session);
        if let Some(way) = lanes.and_then(|lanes| lanes.ways.get_mut(way_of(lane)?)) {
            way.subflows = way.subflows.saturating_sub(1);
        }
    }

    /// Brings a subflow to its lane. Says whether there is one.
    fn bring(&self, lane: StreamId, subflow: Subflow) -> bool {
        let sessions = lock(&self.sessions);
        let lanes = sessions.get(&lane.session);
        let way = lanes.and_then(|lanes| lanes.ways.get(way_of(lane)?));
        way.is_some_and(|way| way.to.send(subflow).is_ok())
    }
}

/// The place of a data lane among those of its session.
fn way_of(lane: StreamId) -> Option<usize> {
    usize::from(lane.stream).checked_sub(1)
}

/// A server's connection, for subflows that come.
#[derive(Clone)]
pub(in crate::net) struct Joinable(Weak<Carrier>);

impl Joinable {
    pub(super) fn of(carrier: &Arc<Carrier>) -> Self {
        Self(Arc::downgrade(carrier))
    }

    /// The connection is over.
    pub(in crate::net) fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|carrier| carrier.closed().is_some())
    }

    /// A place for one more subflow of a lane; none where there is no such lane.
    pub(in crate::net) fn place(&self, lane: StreamId) -> Option<Result<Place>> {
        self.0.upgrade()?.subflows.place(lane)
    }

    /// Brings a subflow to its lane. Says whether there is one.
    pub(in crate::net) fn bring(&self, lane: StreamId, subflow: Subflow) -> bool {
        self.0.upgrade().is_some_and(|carrier| carrier.subflows.bring(lane, subflow))
    }
}

/// A session's lanes are found by their subflows for as long as this lives.
pub(super) struct Found {
    carrier: Arc<Carrier>,
    session: u32,
}

impl Drop for Found {
    fn drop(&mut self) {
        lock(&self.carrier.subflows.sessions).remove(&self.session);
    }
}

/// How long a lane has waited since it got its last connection.
#[derive(Default)]
pub(super) struct Waits(AtomicU64);

impl Waits {
    /// Adds a wait. Says whether it is enough, and then begins anew.
    fn are_enough(&self, wait: Duration) -> bool {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let waits = self.0.fetch_add(wait, Ordering::Relaxed).saturating_add(wait);
        let is_enough = Duration::from_nanos(waits) >= ASK_AFTER_WAITS;
        if is_enough {
            self.0.store(0, Ordering::Relaxed);
        }
        is_enough
    }
}

impl Carrier {
    /// Has subflows find the lanes of a session. Gives each lane's way; none comes where this end has nothing to do
    /// with them.
    pub(super) fn find_lanes(self: &Arc<Self>, session: u32, lanes: usize) -> (Found, Vec<Arrivals>) {
        let way = |(to, subflows)| {
            let coming = Coming::default();
            let arrivals = Arrivals { subflows, coming: coming.0.subscribe() };
            (Way { to, has_waited: false, subflows: 0, coming }, arrivals)
        };
        let (ways, arrivals) = (0..lanes).map(|_| way(mpsc::unbounded_channel())).unzip();
        if !matches!(self.subflows.role, Role::None) {
            let places = Arc::new(Semaphore::new(SUBFLOWS_MAX));
            lock(&self.subflows.sessions).insert(session, Lanes { places, ways });
        }
        (Found { carrier: Arc::clone(self), session }, arrivals)
    }

    /// Notes how long a lane has waited for the path. When that is long, the end that opens subflows opens one. What
    /// stands carries the run in any case.
    fn waited(self: &Arc<Self>, lane: StreamId, waits: &Waits, wait: Duration) {
        let Subflows { role: Role::Opens(_), is_opening, .. } = &self.subflows else { return };
        if self.round_trip() >= MEASURED_FROM_ROUND_TRIP
            && waits.are_enough(wait)
            && !is_opening.swap(true, Ordering::Relaxed)
        {
            tokio::spawn(Arc::clone(self).open_subflow(lane));
        }
    }

    async fn open_subflow(self: Arc<Self>, lane: StreamId) {
        let has_failed = self.subflows.open_one(lane).await.is_err();
        let carrier = Arc::downgrade(&self);
        drop(self);
        if has_failed {
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        if let Some(carrier) = carrier.upgrade() {
            carrier.subflows.is_opening.store(false, Ordering::Relaxed);
        }
    }
}

/// The packs of a lane to the peer, which all its connections take from.
pub(super) struct Packs {
    pub(super) queue: mpsc::Receiver<Pack>,
    next: u64,
}

impl Packs {
    pub(super) fn new(queue: mpsc::Receiver<Pack>) -> Self {
        Self { queue, next: 0 }
    }

    async fn numbered(&mut self) -> Option<(u64, Pack)> {
        let pack = self.queue.recv().await?;
        let number = self.next;
        self.next += 1;
        Some((number, pack))
    }
}

/// A lane whose packs go over subflows.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) carrier: Arc<Carrier>,
    pub(super) id: StreamId,
    pub(super) session: Arc<Session>,
    pub(super) wire: Arc<WireCounters>,
    pub(super) waits: Arc<Waits>,
}

impl Lane {
    /// Notes how long the lane has waited since then: for each chunk, because a pack can take seconds where a
    /// connection carries little.
    pub(super) fn waited(&self, since: Instant) {
        // Under a limit on the bytes of a second it is not the path that is waited for.
        if self.session.wire_piece().is_none() {
            self.carrier.waited(self.id, &self.waits, since.elapsed());
        }
    }

    /// Sends packs over the first subflow and those that come. Ends with an error alone: the peer needs the end of the
    /// session to know that all has arrived.
    pub(super) async fn send(
        self,
        packs: &Arc<tokio::sync::Mutex<Packs>>,
        first: Subflow,
        more: &mut mpsc::UnboundedReceiver<Subflow>,
    ) -> Result<()> {
        let mut writers = JoinSet::new();
        writers.spawn(self.clone().write(first, Arc::clone(packs)));
        loop {
            tokio::select! {
                Some(subflow) = more.recv() => drop(writers.spawn(self.clone().write(subflow, Arc::clone(packs)))),
                Some(ended) = writers.join_next() => outcome(ended)?,
                else => return Ok(()),
            }
        }
    }

    async fn write(self, mut to: Subflow, packs: Arc<tokio::sync::Mutex<Packs>>) -> Result<()> {
        self.wire.streams_opened.fetch_add(1, Ordering::Relaxed);
        self.wire.subflows.fetch_add(1, Ordering::Relaxed);
        loop {
            let Some((number, pack)) = packs.lock().await.numbered().await else { break };
            self.write_pack(&mut to, number, pack).await?;
        }
        // Without that the reader takes the subflow for lost.
        if self.session.error().is_none() {
            to.finish().await?;
        }
        std::future::pending().await
    }

    async fn write_pack(
        &self,
        to: &mut Subflow,
        number: u64,
        Pack { header, bytes: mut rest, .. }: Pack,
    ) -> Result<()> {
        let head = head(number, header);
        let bytes = head.len() + rest.len();
        to.write_all(&head).await?;
        let limit = self.session.wire_piece();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(limit.unwrap_or(CHUNK_BYTES_MAX)));
            if limit.is_some() {
                self.session.pace_wire(piece.len()).await;
            }
            let began = Instant::now();
            self.carrier.goodput.sent(piece.len(), to.write_all(&piece)).await?;
            self.session.worked(1);
            self.waited(began);
        }
        to.flush().await?;
        self.wire.sent(bytes as u64);
        Ok(())
    }

    /// Receives packs over the subflows that come, into the lane's queue, once it is their turn. Ends when the lane has
    /// ended on the shared connection, which `ended` waits for, and on all of them.
    pub(super) async fn receive(
        self,
        Arrivals { mut subflows, mut coming }: Arrivals,
        queue: mpsc::Sender<Pack>,
        turn: Turn,
        ended: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        let mut readers = JoinSet::new();
        let is_over = async {
            ended.await?;
            let _ = coming.wait_for(|count| *count == 0).await;
            Result::Ok(())
        };
        tokio::pin!(is_over);
        loop {
            tokio::select! {
                Some(subflow) = subflows.recv() => {
                    readers.spawn(self.clone().read(subflow, queue.clone(), turn.clone()));
                }
                Some(ended) = readers.join_next() => outcome(ended)?,
                over = &mut is_over => {
                    over?;
                    break;
                }
            }
        }
        // The last one may have failed.
        while let Some(ended) = readers.join_next().await {
            outcome(ended)?;
        }
        Ok(())
    }

    async fn read(self, mut from: Subflow, queue: mpsc::Sender<Pack>, turn: Turn) -> Result<()> {
        self.wire.streams_accepted.fetch_add(1, Ordering::Relaxed);
        self.wire.subflows.fetch_add(1, Ordering::Relaxed);
        while let Some((number, header)) = from.read_head().await? {
            let mut bytes = take_buffer(header.stored_bytes, self.session.profiler());
            while bytes.len() < header.stored_bytes {
                let began = Instant::now();
                let next = header.stored_bytes.min(bytes.len() + CHUNK_BYTES_MAX);
                from.read_content(&mut bytes, next).await?;
                // On a slow path the packs of all subflows are complete at about the same time, and that may be late.
                self.session.worked(1);
                self.waited(began);
            }
            turn.of(number).await?;
            // Packs without room in the queue stay with TCP, but for one of each subflow.
            let Ok(room) = queue.reserve().await else { break };
            let count = (NUMBER_BYTES + PACK_HEADER_BYTES + header.stored_bytes) as u64;
            self.wire.received(count);
            self.session.pace_taken(count).await;
            room.send(Pack::new(header, share(bytes)));
            turn.ends(number)?;
        }
        Ok(())
    }
}

/// How a task has ended.
fn outcome(ended: std::result::Result<Result<()>, JoinError>) -> Result<()> {
    ended.unwrap_or_else(|panic| Err(Error::internal(panic.to_string())))
}

/// Whose turn it is among the packs of a lane on its subflows: none's before the lane has ended on the shared
/// connection.
#[derive(Clone)]
pub(super) struct Turn(Arc<watch::Sender<Option<u64>>>);

impl Turn {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }

    /// The lane has ended on the shared connection.
    pub(super) fn begin(&self) {
        self.0.send_replace(Some(0));
    }

    /// Waits for the turn of a pack.
    async fn of(&self, number: u64) -> Result<()> {
        let mut turn = self.0.subscribe();
        let now = turn.wait_for(|now| now.is_some_and(|now| now >= number)).await;
        if now.is_ok_and(|now| *now == Some(number)) { Ok(()) } else { Err(twice()) }
    }

    fn ends(&self, number: u64) -> Result<()> {
        let is_its = self.0.send_if_modified(|now| {
            let is_its = *now == Some(number);
            if is_its {
                *now = number.checked_add(1);
            }
            is_its
        });
        if is_its { Ok(()) } else { Err(twice()) }
    }
}

fn twice() -> Error {
    Error::protocol("a pack whose number came twice").remote()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use sparsync_proto::mux::StreamId;
    use tokio::sync::{Semaphore, mpsc};

    use super::{ASK_AFTER_WAITS, Coming, Lanes, Role, SUBFLOWS_MAX, Subflows, Waits, Way, lock};

    #[test]
    fn lanes_that_wait_share_subflows_and_some_are_left_for_one_that_begins_later() {
        let subflows = Subflows::new(Role::Accepts);
        let way =
            |_| Way { to: mpsc::unbounded_channel().0, has_waited: false, subflows: 0, coming: Coming::default() };
        let ways = |lanes: u8| (0..lanes).map(way).collect();
        lock(&subflows.sessions).insert(7, Lanes { places: Arc::new(Semaphore::new(SUBFLOWS_MAX)), ways: ways(3) });
        let of = |session, stream| StreamId { session, stream };
        assert!(subflows.next(of(8, 1)).is_none() && subflows.next(of(7, 0)).is_none());
        let mut next = |asks| {
            let (lane, _, place) = subflows.next(of(7, asks))?;
            std::mem::forget(place);
            Some(lane.stream)
        };
        // The third lane never waits.
        assert_eq!([1, 1, 2, 1, 2].map(&mut next), [Some(1), Some(1), Some(2), Some(2), Some(2)]);
        assert_eq!([2, 2].map(&mut next), [Some(1), None]);
        let (ways, places) = (ways(2), Arc::new(Semaphore::new(SUBFLOWS_MAX)));
        lock(&subflows.sessions).insert(7, Lanes { places, ways });
        assert_eq!([1; 5].map(&mut next), [Some(1), Some(1), Some(1), Some(1), None]);
        assert_eq!([2, 1, 2].map(&mut next), [Some(2), Some(2), None]);
    }

    #[test]
    fn subflows_that_failed_take_nothing_from_those_that_are_tried_later() {
        let subflows = Subflows::new(Role::Accepts);
        let way = Way { to: mpsc::unbounded_channel().0, has_waited: false, subflows: 0, coming: Coming::default() };
        let lanes = Lanes { places: Arc::new(Semaphore::new(SUBFLOWS_MAX)), ways: vec![way] };
        lock(&subflows.sessions).insert(7, lanes);
        for _ in 0..2 * SUBFLOWS_MAX {
            let (lane, ..) = subflows.next(StreamId { session: 7, stream: 1 }).expect("one more");
            subflows.not_opened(lane);
        }
    }

    #[test]
    fn waits_add_up_and_begin_anew() {
        let (waits, some) = (Waits::default(), ASK_AFTER_WAITS * 2 / 3);
        assert_eq!([some; 4].map(|wait| waits.are_enough(wait)), [false, true, false, true]);
        assert!(!waits.are_enough(Duration::ZERO));
    }
}
