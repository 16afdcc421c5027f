//! The ACLs of one entry of the destination, made those of the source. They are set and removed as the extended
//! attributes that they are to the kernel, and apart from the others, because an access ACL and the mode are one thing.

use std::borrow::Cow;

use sparsync_proto::{ACL_ACCESS, ACL_DEFAULT, acl_under};

use super::unset::{AttributeKind, Unset};
use super::xattrs::{Change, Wanted, has};
use crate::storage::Adjust;

/// The changes of an entry's ACLs. Mostly none.
#[derive(Debug, Default)]
pub(super) struct AclChanges(Vec<Change<'static>>);

impl AclChanges {
    /// The changes that turn the ACLs which an entry has, `present` by their names, into those of `wanted`, when its
    /// permission bits are to be `mode`.
    pub(super) fn between(entry: &impl Adjust, wanted: &Wanted<'_>, present: &[&[u8]], mode: u16) -> Self {
        let mut changes = Vec::new();
        for name in [ACL_ACCESS, ACL_DEFAULT] {
            // An ACL from a peer was read before, when its listing came.
            let value = wanted
                .iter()
                .find(|(wanted, _)| *wanted == name)
                .and_then(|(_, value)| acl_under(name, value, mode).ok());
            match value {
                Some(value) if present.contains(&name) && has(entry, name, &value) => {}
                Some(value) => changes.push(Change::Set(Cow::Borrowed(name), Cow::Owned(value))),
                None if present.contains(&name) => changes.push(Change::Remove(Cow::Borrowed(name))),
                None => {}
            }
        }
        Self(changes)
    }

    /// Sets those that are to be set.
    pub(super) fn set(&self, entry: &impl Adjust, unset: &mut Unset) {
        self.make(entry, unset, |change| matches!(change, Change::Set(..)));
    }

    /// Removes those that are to go.
    pub(super) fn remove(&self, entry: &impl Adjust, unset: &mut Unset) {
        self.make(entry, unset, |change| matches!(change, Change::Remove(_)));
    }

    fn make(&self, entry: &impl Adjust, unset: &mut Unset, which: impl Fn(&Change<'_>) -> bool) {
        for change in self.0.iter().filter(|change| which(change)) {
            unset.tried(AttributeKind::Acls, || change.call(), change.make(entry));
        }
    }

    /// Whether setting them has changed the mode, or may have.
    pub(super) fn changed_mode(&self) -> bool {
        self.0.iter().any(|change| matches!(change, Change::Set(name, _) if **name == *ACL_ACCESS))
    }
}
