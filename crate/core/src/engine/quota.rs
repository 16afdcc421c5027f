//! What a key may put below its prefix in all, whatever is there already.

use std::sync::atomic::{AtomicI64, Ordering};

use sparsync_proto::{Attributes, Kind};

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Judge, ScanOptions, Storage, WalkItem, walk};

use super::session::Session;

/// Room that is left below a prefix. Room that deletions give back counts in the next run.
#[derive(Debug)]
pub(crate) struct Quota {
    name: String,
    bytes: AtomicI64,
    entries: AtomicI64,
}

impl Quota {
    /// Looks at what is in the tree `top` now; nothing where it is not there yet. Without a limit of a kind there is room
    /// without end.
    pub(crate) fn measure(
        name: &str,
        top: Option<&impl Storage>,
        limits: (Option<u64>, Option<u64>),
        session: &Session,
    ) -> Result<Self> {
        let most = |limit: Option<u64>| limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let quota = Self {
            name: name.to_owned(),
            bytes: AtomicI64::new(most(limits.0)),
            entries: AtomicI64::new(most(limits.1)),
        };
        let Some(top) = top else { return Ok(quota) };
        let judge = Judge::everything();
        let options = ScanOptions {
            attributes: Attributes { links: true, ..Attributes::default() },
            stamps: false,
            judge: &judge,
            every: false,
            chmod: None,
            one_file_system: false,
            omit_mount_points: false,
            open_noatime: false,
            sums: None,
        };
        for item in walk(top, options, true) {
            session.check()?;
            session.worked(1);
            if let WalkItem::Listed(scan) = item {
                let entries = scan.listing.entries();
                let bytes = entries.iter().filter(|entry| entry.kind == Kind::File).map(|entry| entry.size).sum();
                take(&quota.bytes, signed(bytes));
                take(&quota.entries, signed(entries.len() as u64));
            }
        }
        Ok(quota)
    }

    /// Takes the room of a file that comes in place of one of `old` bytes, or of nothing.
    pub(super) fn take_entry(&self, bytes: u64, old: Option<u64>) -> Result<()> {
        let grows = signed(bytes).saturating_sub(signed(old.unwrap_or(0)));
        take(&self.bytes, grows);
        take(&self.entries, i64::from(old.is_none()));
        self.check()
    }

    /// Takes room for content beyond what was announced.
    pub(super) fn take_bytes(&self, bytes: u64) -> Result<()> {
        take(&self.bytes, signed(bytes));
        self.check()
    }

    fn check(&self) -> Result<()> {
        for (room, what) in [(&self.bytes, "bytes"), (&self.entries, "entries")] {
            if room.load(Ordering::Relaxed) < 0 {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("the quota of {what} of the key {:?} does not suffice", self.name),
                )
                .with("quota", what.to_owned()));
            }
        }
        Ok(())
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn take(room: &AtomicI64, amount: i64) {
    let _ = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(amount)));
}
