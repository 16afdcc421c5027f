//! Plans: what both ends have of each entry that something is done to, as a stamp, and whether the plan that is applied
//! has that.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sparsync_proto::codec::Write as _;
use sparsync_proto::{Action, Item, Kind, RelPath, Request, STAMP_OWN_BYTES, Stamp, hex};

use super::Receiver;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Access, CallError, Directory, Errno, WriteStorage};

/// The stamps of a run that makes a plan or applies one.
pub(crate) struct Stamps {
    /// The stamps of a plan that is applied, and whether each was met.
    planned: Option<Mutex<HashMap<String, bool>>>,
}

impl Stamps {
    /// The stamps of a run, if it makes or applies a plan.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let word = |path: RelPath| String::from_utf8_lossy(path.as_bytes()).into_owned();
        let planned = || Mutex::new(request.planned.iter().map(|path| (word(path), false)).collect());
        let planned = request.applies_plan.then(planned);
        (request.item_stamps || planned.is_some()).then_some(Self { planned })
    }

    /// Refuses an entry if the plan does not have this action for it.
    fn meet(&self, stamp: &Stamp, path: &[u8]) -> Result<()> {
        let Some(planned) = &self.planned else { return Ok(()) };
        match planned.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&hex(&stamp[..STAMP_OWN_BYTES])) {
            Some(is_met) => {
                *is_met = true;
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::PlanStale,
                "it has changed since the plan was made; what was done before it stays",
            )
            .at(path)),
        }
    }

    /// Refuses to end well if an action of the plan was not needed any more.
    pub(super) fn all_met(&self) -> Result<()> {
        let Some(planned) = &self.planned else { return Ok(()) };
        let planned = planned.lock().unwrap_or_else(PoisonError::into_inner);
        match planned.values().filter(|is_met| !**is_met).count() {
            0 => Ok(()),
            left => {
                let message = format!("{left} entries have changed since the plan was made, and were left alone");
                Err(Error::new(ErrorKind::PlanStale, message))
            }
        }
    }
}

impl<S: WriteStorage> Receiver<'_, S> {
    /// The item of an action that is about to be done, if it is told: with its stamp in a run that has stamps. Fails if
    /// the plan that is applied does not have it.
    pub(super) fn prepared(&self, item: impl FnOnce() -> Item) -> Result<Option<Item>> {
        match &self.options.stamps {
            None => Ok(self.options.items.told.then(item)),
            Some(stamps) => {
                let item = item();
                let (own, others) = if acts(&item) { self.before(&item)? } else { Default::default() };
                self.stamped(stamps, item, (&own, &others)).map(Some)
            }
        }
    }

    fn stamped(&self, stamps: &Stamps, mut item: Item, (own, others): (&[u8], &[u8])) -> Result<Item> {
        if acts(&item) {
            let stamp = item.stamp_with(own, others);
            stamps.meet(&stamp, &item.path)?;
            if !self.options.items.details {
                item.details = None;
            }
            item.details.get_or_insert_default().stamp = Some(stamp);
        }
        Ok(item)
    }

    /// The state at the path of an item at this moment. Mode, time and size of a directory are left out, because work
    /// in it changes them during the run. Attributes that are to be set stand apart: the run may have set them already
    /// by another name of the entry.
    fn before(&self, item: &Item) -> Result<(Vec<u8>, Vec<u8>)> {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        let (Some(root), Ok(path)) = (&self.destination.root, RelPath::new(&item.path)) else {
            return Ok((own, others));
        };
        let Some((parent, name)) = path.split_last() else { return Ok((own, others)) };
        match root.open(&parent, Access::Reach).and_then(|directory| directory.status(name.as_bytes())) {
            Ok(found) => {
                own.byte(found.kind as u8 + 1);
                own.number(u64::from(found.rdev.major));
                own.number(u64::from(found.rdev.minor));
                let attributes = if item.action == Action::Attributes { &mut others } else { &mut own };
                attributes.number(u64::from(found.meta.uid));
                attributes.number(u64::from(found.meta.gid));
                if found.kind != Kind::Directory {
                    attributes.number(u64::from(found.meta.mode));
                    attributes.signed(found.meta.mtime.seconds);
                    attributes.number(u64::from(found.meta.mtime.nanos));
                    own.number(found.size);
                }
            }
            Err(CallError { errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP, .. }) => {}
            // A later run may make the directory readable for itself, and would then find another state than the plan
            // has.
            Err(error) => return Err(Error::io("cannot look at it for the plan", &item.path, error.into())),
        }
        Ok((own, others))
    }
}

/// Entries that only the destination has, each counted and told when it is its turn to be removed.
pub(super) struct Turns<'a, 'b, S: WriteStorage> {
    receiver: &'a Receiver<'b, S>,
    /// The account of the entry whose turn it is.
    item: Cell<Option<Item>>,
    /// Why nothing more may go.
    refused: RefCell<Option<Error>>,
}

impl<'a, 'b, S: WriteStorage> Turns<'a, 'b, S> {
    pub(super) fn of(receiver: &'a Receiver<'b, S>) -> Self {
        Self { receiver, item: Cell::new(None), refused: RefCell::default() }
    }

    /// Whether the plan has that this entry goes.
    pub(super) fn may_go(&self, item: impl FnOnce() -> Item) -> bool {
        match self.receiver.prepared(item) {
            Ok(item) => {
                self.item.set(item);
                true
            }
            Err(error) => {
                *self.refused.borrow_mut() = Some(error);
                false
            }
        }
    }

    /// The account of the entry that was asked about last.
    pub(super) fn item(&self) -> Option<Item> {
        self.item.take()
    }

    pub(super) fn are_over(&self) -> bool {
        self.refused.borrow().is_some()
    }

    pub(super) fn end(&self) -> Result<()> {
        self.refused.take().map_or(Ok(()), Err)
    }
}

/// Whether something is done to the entry.
fn acts(item: &Item) -> bool {
    !matches!(item.action, Action::Keep | Action::Skip | Action::Backup | Action::Remove)
}
