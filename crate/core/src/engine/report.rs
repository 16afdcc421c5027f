//! Sends the account of a receiver to its own caller, or to the peer that started the run.

use std::sync::{Arc, Mutex, PoisonError};

use sparsync_proto::limits::BATCH_BYTES;
use sparsync_proto::{Frame, Issue, Item};

use super::events::EventQueue;
use super::lanes::ControlSender;
use super::session::Session;
use crate::error::Result;

/// Items that are sent together, and about how many bytes they take.
#[derive(Default)]
pub(crate) struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

/// The account of a run.
pub(crate) enum Report {
    /// The caller is here.
    Local(Arc<EventQueue>),
    /// The caller is at the peer.
    Peer(ControlSender, Mutex<Batch>),
}

impl Report {
    /// An account for the peer.
    pub(crate) fn to_peer(control: ControlSender) -> Self {
        Self::Peer(control, Mutex::default())
    }

    /// Tells the action on an entry.
    pub(super) fn item(&self, item: Item, session: &Session) -> Result<()> {
        match self {
            Self::Local(events) => {
                events.item(item, session);
                session.check()
            }
            Self::Peer(control, batch) => {
                let mut batch = batch.lock().unwrap_or_else(PoisonError::into_inner);
                // Batches are sent well below the cap of a frame, so one more item of any size still fits.
                batch.bytes += item.path.len() + 24;
                batch.items.push(item);
                if batch.bytes >= BATCH_BYTES { send_items(control, &mut batch) } else { Ok(()) }
            }
        }
    }

    /// Tells of a path that did not arrive, or a notice.
    pub(crate) fn issue(&self, issue: Issue) -> Result<()> {
        match self {
            Self::Local(events) => {
                events.issue(issue);
                Ok(())
            }
            Self::Peer(control, _) => control.send(&Frame::Issue(issue)),
        }
    }

    /// Sends the items that wait to be sent together.
    pub(super) fn flush(&self) -> Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Peer(control, batch) => {
                send_items(control, &mut batch.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

fn send_items(control: &ControlSender, batch: &mut Batch) -> Result<()> {
    let batch = std::mem::take(batch);
    if batch.items.is_empty() {
        return Ok(());
    }
    let mut encoded = Vec::new();
    Frame::Items(batch.items).encode(control.version(), &mut encoded);
    control.send_bulk(encoded)
}
