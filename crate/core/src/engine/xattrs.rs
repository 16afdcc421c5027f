//! The extended attributes of one entry of the destination, made those of the source.

use std::borrow::Cow;

use sparsync_proto::is_acl;

use super::unset::{AttributeKind, Unset};
use crate::storage::{Adjust, CallError, Errno, Result, XATTR_NAMES_BYTES_MAX};

/// The bit of a mode that lets the owner write.
pub(super) const USER_WRITE: u16 = 0o200;

/// Names and values that an entry is to have.
pub(super) type Wanted<'a> = Vec<(&'a [u8], &'a [u8])>;

/// One call.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// It is made or changed.
    Set(Cow<'a, [u8]>, Cow<'a, [u8]>),
    /// It is removed.
    Remove(Cow<'a, [u8]>),
}

impl Change<'_> {
    pub(super) fn make(&self, entry: &impl Adjust) -> Result<()> {
        match self {
            Self::Set(name, value) => entry.set_xattr(name, value),
            Self::Remove(name) => match entry.remove_xattr(name) {
                Err(CallError { errno: Errno::NODATA, .. }) => Ok(()),
                removed => removed,
            },
        }
    }

    pub(super) fn call(&self) -> String {
        match self {
            Self::Set(name, _) => format!("setxattr {}", name.escape_ascii()),
            Self::Remove(name) => format!("removexattr {}", name.escape_ascii()),
        }
    }
}

/// The names of all attributes of an entry, each with a NUL at its end. An entry whose file system knows no attributes
/// has none.
pub(super) fn names_of(entry: &impl Adjust) -> Result<Vec<u8>> {
    let mut names = vec![0; XATTR_NAMES_BYTES_MAX];
    let length = match entry.list_xattrs(&mut names) {
        Err(CallError { errno: Errno::OPNOTSUPP, .. }) => 0,
        listed => listed?,
    };
    names.truncate(length);
    Ok(names)
}

/// Makes the carried attributes of an entry, `present` by their names, those of `wanted`; ACLs are left to
/// [`super::acls`]. Of the calls that fail the first is told, and how many others did.
pub(super) fn settle(entry: &impl Adjust, wanted: &Wanted<'_>, present: &[&[u8]], unset: &mut Unset) {
    let mut before = None;
    let mut failed: Option<(String, CallError, usize)> = None;
    for change in changes(entry, wanted, present) {
        let mut made = change.make(entry);
        if made.is_err_and(|error| error.errno == Errno::ACCESS) && before.is_none() {
            // An owner may set attributes only where the mode allows writing, and it may forbid that to the owner, too.
            before = lend_write(entry);
            if before.is_some() {
                made = change.make(entry);
            }
        }
        if let Err(error) = made {
            let (.., more) = failed.get_or_insert_with(|| (change.call(), error, 0));
            *more += 1;
        }
    }
    if let Some(bits) = before {
        unset.tried(AttributeKind::Modes, || format!("chmod {bits:04o}"), entry.set_mode(bits));
    }
    if let Some((call, error, failures)) = failed {
        let more = if failures > 1 { format!(" and {} more", failures - 1) } else { String::new() };
        unset.tried(AttributeKind::Xattrs, || format!("{call}{more}"), Err(error));
    }
}

/// Lets the owner write to an entry whose mode does not. Gives the mode to be put back.
fn lend_write(entry: &impl Adjust) -> Option<u16> {
    let bits = entry.found().ok()?.mode;
    let lent = bits & USER_WRITE == 0 && entry.set_mode(bits | USER_WRITE).is_ok();
    lent.then_some(bits)
}

/// Whether an entry has this attribute with this value.
pub(super) fn has(entry: &impl Adjust, name: &[u8], value: &[u8]) -> bool {
    // With room for nothing the system tells the length alone.
    let mut found = vec![0; value.len() + 1];
    entry.get_xattr(name, &mut found).is_ok_and(|length| found.get(..length) == Some(value))
}

fn changes<'a>(entry: &impl Adjust, wanted: &Wanted<'a>, present: &[&'a [u8]]) -> Vec<Change<'a>> {
    let extra = present.iter().filter(|name| !is_acl(name) && wanted.iter().all(|(wanted, _)| wanted != *name));
    let mut changes: Vec<Change<'a>> = extra.map(|name| Change::Remove(Cow::Borrowed(*name))).collect();
    for (name, value) in wanted.iter().filter(|(name, _)| !is_acl(name)) {
        if !present.contains(name) || !has(entry, name, value) {
            changes.push(Change::Set(Cow::Borrowed(*name), Cow::Borrowed(*value)));
        }
    }
    changes
}
