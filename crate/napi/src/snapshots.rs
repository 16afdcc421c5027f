//! Snapshots as JavaScript asks for them.

use napi_derive::napi;
use sparsync_core::proto::{Keep, Snapshot};

/// The snapshot that a run makes.
#[napi(object, object_to_js = false)]
#[derive(Clone, Copy)]
pub struct NativeSnapshot {
    /// There is one.
    pub is_asked: bool,
    /// What did not change is linked to the newest one.
    pub links_newest: bool,
    /// It shares blocks with that, and is no hard link.
    pub reflinks: bool,
    /// How many of the last ones are kept.
    pub last: u32,
    /// Of how many hours one is kept.
    pub hourly: u32,
    /// Of how many days one is kept.
    pub daily: u32,
    /// Of how many weeks one is kept.
    pub weekly: u32,
    /// Of how many months one is kept.
    pub monthly: u32,
    /// Of how many years one is kept.
    pub yearly: u32,
}

impl NativeSnapshot {
    pub(crate) fn load(self) -> Snapshot {
        let keep = Keep {
            last: self.last.into(),
            hourly: self.hourly.into(),
            daily: self.daily.into(),
            weekly: self.weekly.into(),
            monthly: self.monthly.into(),
            yearly: self.yearly.into(),
        };
        Snapshot { is_asked: self.is_asked, links_newest: self.links_newest, reflinks: self.reflinks, keep }
    }
}
