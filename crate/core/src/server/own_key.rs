//! The key that a server shows, which may be changed while it runs.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::SystemTime;

use super::log::Happening;
use super::{Shared, lock};
use crate::error::Result;
use crate::net::Listener;
use crate::trust::{Identity, NextKey, PublicKey, ServerKey, Stamp};

/// The files of a server's key, as they were seen last.
pub(super) struct OwnKey {
    path: PathBuf,
    seen: Mutex<Seen>,
}

struct Seen {
    /// The files as they were when they were read; none when they could not be used, which may have been a passing
    /// error.
    stamp: Option<Stamp>,
    /// The error that was told of the files, so that it is told once.
    told: Option<String>,
    key: PublicKey,
    next: Option<NextKey>,
}

impl OwnKey {
    /// Reads the key, and which one is to follow.
    pub(super) fn load(path: PathBuf) -> Result<(Self, Identity)> {
        let stamp = ServerKey::stamp(&path);
        let ServerKey { identity, next } = ServerKey::load(&path)?;
        let seen = Seen { stamp: Some(stamp), told: None, key: identity.public_key(), next };
        Ok((Self { path, seen: Mutex::new(seen) }, identity))
    }

    /// Shows the key of the files, if it is another one. Files that look unchanged are read only when `is_asked`.
    pub(super) fn look(&self, shared: &Shared, listener: &Listener, is_asked: bool) {
        let stamp = ServerKey::stamp(&self.path);
        let mut seen = lock(&self.seen);
        let is_due = seen.next.is_some_and(|next| next.from <= SystemTime::now());
        if seen.stamp == Some(stamp) && !is_due && !is_asked {
            return;
        }
        let found = ServerKey::existing(&self.path).and_then(|found| listener.show(&found.identity).map(|()| found));
        match found {
            Ok(ServerKey { identity, next }) => {
                let key = identity.public_key();
                if (key, next) != (seen.key, seen.next) {
                    shared.tell(None, || Happening::KeyShown { key, next });
                }
                *seen = Seen { stamp: Some(stamp), told: None, key, next };
            }
            // The old key is still shown, and the next look tries again.
            Err(error) => {
                seen.stamp = None;
                let text = error.to_string();
                if seen.told.as_ref() != Some(&text) || is_asked {
                    seen.told = Some(text);
                    shared.tell(None, || Happening::KeyUnusable(error));
                }
            }
        }
    }
}
