//! Values that all connections and sessions of one key share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::lock;
use crate::trust::PublicKey;

/// A value for each key, for as long as it is in use.
pub(super) struct PerKey<T>(Mutex<HashMap<Option<PublicKey>, Weak<T>>>);

impl<T> Default for PerKey<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> PerKey<T> {
    /// The value of a key; a new one if none is in use.
    pub(super) fn get(&self, key: Option<PublicKey>, new: impl FnOnce() -> T) -> Arc<T> {
        let mut values = lock(&self.0);
        values.retain(|_, value| value.strong_count() > 0);
        values.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let value = Arc::new(new());
            values.insert(key, Arc::downgrade(&value));
            value
        })
    }

    /// All values that are in use.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        lock(&self.0).values().filter_map(Weak::upgrade).collect()
    }

    /// Whether only the caller holds this value. If so it is given up, and a later caller gets a new one.
    pub(super) fn ends(&self, key: Option<PublicKey>, value: &Arc<T>) -> bool {
        let mut values = lock(&self.0);
        let is_last = Arc::strong_count(value) == 1;
        if is_last {
            values.remove(&key);
        }
        is_last
    }
}
