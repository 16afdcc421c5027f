//! The events by which a run tells its caller about paths.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use sparsync_proto::{Explanation, Issue, IssueKind, Item, Kind};
use tokio::sync::Notify;

use super::budget::WAIT;
use super::sender::Recorder;
use super::session::Session;
use crate::storage::Decisions;

/// One thing that a run tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// What is done with an entry.
    Item(Item),
    /// Which rule of a filter decides about an entry of this kind, at the end that is here.
    Decision(Box<Explanation>, Kind),
    /// A path that did not arrive.
    Failure(Issue),
    /// A notice.
    Warning(Issue),
    /// The reader was too slow: so many items are missing here.
    Dropped(u64),
}

/// Events that wait for the reader.
const EVENTS_MAX: usize = 8192;

/// Failures kept for the result; more are only counted.
const FAILURES_MAX: usize = 10_000;

#[derive(Default)]
struct State {
    waiting: VecDeque<Event>,
    dropped: u64,
    closed: bool,
    failures: Vec<Issue>,
    /// How many of each kind failed, those that are not kept too.
    causes: Vec<(IssueKind, u64)>,
    warnings: Vec<Issue>,
}

impl State {
    fn failed(&self) -> u64 {
        self.causes.iter().map(|(_, count)| count).sum()
    }
}

/// Which events a caller needs, besides those that a request names.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventNeeds {
    /// The run waits for its reader, and drops nothing.
    pub lossless: bool,
    /// Each decision of a filter's rules is told.
    pub decisions: bool,
}

/// Events between a run and its reader. A run never waits for its reader, unless the reader asked for a plan: then
/// nothing is dropped and the plan waits.
#[derive(Default)]
pub(crate) struct EventQueue {
    state: Mutex<State>,
    room: Condvar,
    arrived: Notify,
    needs: EventNeeds,
    /// Takes each item first. Unless the flag is set, items go nowhere else.
    recorder: OnceLock<(Arc<dyn Recorder>, bool)>,
}

/// The failures of a run.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    /// The first 10,000.
    pub failures: Vec<Issue>,
    /// How many more there were.
    pub dropped: u64,
    /// How many issues there were of each kind, in the order in which the kinds first came.
    pub causes: Vec<(IssueKind, u64)>,
    /// All issues were files that vanished while the run went on.
    pub vanished_only: bool,
    /// Notices.
    pub warnings: Vec<Issue>,
}

impl EventQueue {
    /// A queue of the events that are needed.
    pub(crate) fn new(needs: EventNeeds) -> Self {
        Self { needs, ..Self::default() }
    }

    /// What tells the decisions of a filter's rules during `session`, if they are needed.
    pub(crate) fn decisions(self: &Arc<Self>, session: &Arc<Session>) -> Option<Box<dyn Decisions>> {
        let telling = || Telling { events: Arc::clone(self), session: Arc::clone(session) };
        self.needs.decisions.then(|| Box::new(telling()) as Box<dyn Decisions>)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has items written down by `recorder`. They are told as events, too, where `told`.
    pub(crate) fn record(&self, recorder: Arc<dyn Recorder>, told: bool) {
        let _ = self.recorder.set((recorder, told));
    }

    /// Adds an item.
    pub(crate) fn item(&self, item: Item, session: &Session) {
        if let Some((recorder, told)) = self.recorder.get() {
            recorder.item(&item);
            if !told {
                return;
            }
        }
        self.when_room(Event::Item(item), session);
    }

    /// Adds an event that is dropped if the reader is slow, unless the run waits for that.
    fn when_room(&self, event: Event, session: &Session) {
        let mut state = self.lock();
        while state.waiting.len() >= EVENTS_MAX && !state.closed {
            if !self.needs.lossless {
                state.dropped += 1;
                return;
            }
            if session.is_over() {
                return;
            }
            // Waiting for the caller is not a stall of the run.
            session.worked(1);
            state = self.room.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.push(state, event);
    }

    /// Adds a failure or a notice, which also goes into the result.
    pub(crate) fn issue(&self, issue: Issue) {
        let mut state = self.lock();
        if issue.kind.is_notice() {
            if state.warnings.len() < FAILURES_MAX {
                state.warnings.push(issue.clone());
            }
            self.push(state, Event::Warning(issue));
            return;
        }
        match state.causes.iter_mut().find(|(kind, _)| *kind == issue.kind) {
            Some((_, count)) => *count += 1,
            None => state.causes.push((issue.kind, 1)),
        }
        if state.failures.len() < FAILURES_MAX {
            state.failures.push(issue.clone());
        }
        self.push(state, Event::Failure(issue));
    }

    fn push(&self, mut state: MutexGuard<'_, State>, event: Event) {
        if state.dropped > 0 && state.waiting.len() < EVENTS_MAX {
            let count = std::mem::take(&mut state.dropped);
            state.waiting.push_back(Event::Dropped(count));
        }
        // The reader is told of failures even if it is slow, up to as many as the result keeps.
        if state.waiting.len() < EVENTS_MAX + FAILURES_MAX && !state.closed {
            state.waiting.push_back(event);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// No more events will come.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        if state.dropped > 0 {
            let count = std::mem::take(&mut state.dropped);
            state.waiting.push_back(Event::Dropped(count));
        }
        state.closed = true;
        drop(state);
        self.room.notify_all();
        self.arrived.notify_one();
    }

    /// Up to `max` events, as soon as there are some; none when the run is over and all events were read.
    pub(crate) async fn next(&self, max: usize) -> Option<Vec<Event>> {
        loop {
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    let count = state.waiting.len().min(max.max(1));
                    let events = state.waiting.drain(..count).collect();
                    drop(state);
                    self.room.notify_all();
                    // Another reader may be waiting for the rest.
                    self.arrived.notify_one();
                    return Some(events);
                }
                if state.closed {
                    self.arrived.notify_one();
                    return None;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// How many paths failed, up to now.
    pub(crate) fn failed(&self) -> u64 {
        self.lock().failed()
    }

    /// What failed, up to now.
    pub(crate) fn failures(&self) -> Failures {
        let state = self.lock();
        Failures {
            failures: state.failures.clone(),
            dropped: state.failed() - state.failures.len() as u64,
            vanished_only: matches!(state.causes[..], [(IssueKind::Vanished, _)]),
            causes: state.causes.clone(),
            warnings: state.warnings.clone(),
        }
    }
}

/// Tells what a filter's rules decide.
struct Telling {
    events: Arc<EventQueue>,
    session: Arc<Session>,
}

impl Debug for Telling {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("Telling")
    }
}

impl Decisions for Telling {
    fn tell(&self, decision: Explanation, kind: Kind) {
        self.events.when_room(Event::Decision(Box::new(decision), kind), &self.session);
    }
}

#[cfg(test)]
mod tests {
    use sparsync_proto::{Issue, IssueKind};

    use super::{EventNeeds, EventQueue, FAILURES_MAX};

    fn issue(kind: IssueKind) -> Issue {
        Issue { kind, path: b"a".to_vec(), message: String::new(), old_kept: false }
    }

    #[test]
    fn every_failure_counts_for_its_cause_also_those_that_are_not_kept() {
        let queue = EventQueue::new(EventNeeds::default());
        queue.issue(issue(IssueKind::Vanished));
        assert!(queue.failures().vanished_only);
        for _ in 0..FAILURES_MAX {
            queue.issue(issue(IssueKind::Delete));
        }
        queue.issue(issue(IssueKind::Notice));
        let failures = queue.failures();
        assert_eq!(failures.failures.len(), FAILURES_MAX);
        assert_eq!(failures.dropped, 1);
        assert_eq!(failures.causes, [(IssueKind::Vanished, 1), (IssueKind::Delete, FAILURES_MAX as u64)]);
        assert!(!failures.vanished_only);
    }
}
