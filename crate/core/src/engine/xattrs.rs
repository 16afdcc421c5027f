//! The extended attributes of one entry of the destination, made those of the source.

use sparsync_proto::{Attributes, Xattrs};

use super::unset::{AttributeKind, Unset};
use crate::storage::{Adjust, CallError, Errno, Result, XATTR_NAMES_BYTES_MAX, carried_names};

/// The bit of a mode that lets the owner write.
pub(super) const USER_WRITE: u16 = 0o200;

/// One call.
enum Change<'a> {
    Set(&'a [u8], &'a [u8]),
    Remove(Vec<u8>),
}

impl Change<'_> {
    fn make(&self, entry: &impl Adjust) -> Result<()> {
        match self {
            Self::Set(name, value) => entry.set_xattr(name, value),
            Self::Remove(name) => match entry.remove_xattr(name) {
                Err(CallError { errno: Errno::NODATA, .. }) => Ok(()),
                removed => removed,
            },
        }
    }

    fn call(&self) -> String {
        match self {
            Self::Set(name, _) => format!("setxattr {}", name.escape_ascii()),
            Self::Remove(name) => format!("removexattr {}", name.escape_ascii()),
        }
    }
}

/// Makes the attributes that are carried those of `wanted`: all of it on an entry that has none, what differs on one that
/// may have some. The first call that fails is told, with how many more did.
pub(super) fn settle(
    entry: &impl Adjust,
    wanted: Option<&Xattrs>,
    may_have_some: bool,
    attributes: &Attributes,
    unset: &mut Unset,
) {
    let changes = match changes(entry, wanted, may_have_some, attributes) {
        Ok(changes) => changes,
        Err(error) => {
            unset.tried(AttributeKind::Xattrs, || "listxattr".to_owned(), Err(error));
            return;
        }
    };
    let mut before = None;
    let mut failed: Option<(String, CallError, usize)> = None;
    for change in changes {
        let mut made = change.make(entry);
        if made.is_err_and(|error| error.errno == Errno::ACCESS) && before.is_none() {
            // The mode of one's own file or directory need not let one write to it.
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

fn changes<'a>(
    entry: &impl Adjust,
    wanted: Option<&'a Xattrs>,
    may_have_some: bool,
    attributes: &Attributes,
) -> Result<Vec<Change<'a>>> {
    let wanted = || wanted.into_iter().flat_map(Xattrs::iter);
    let mut names = Vec::new();
    if may_have_some {
        names.resize(XATTR_NAMES_BYTES_MAX, 0);
        let length = match entry.list_xattrs(&mut names) {
            // What knows of none has none.
            Err(CallError { errno: Errno::OPNOTSUPP, .. }) => 0,
            listed => listed?,
        };
        names.truncate(length);
    }
    let present: Vec<&[u8]> = carried_names(&names, attributes).collect();
    let extra = present.iter().filter(|name| wanted().all(|(wanted, _)| wanted != **name));
    let mut changes: Vec<Change<'a>> = extra.map(|name| Change::Remove(name.to_vec())).collect();
    for (name, value) in wanted() {
        // With room for nothing the system tells the length alone.
        let mut found = vec![0; value.len() + 1];
        let is_right = present.contains(&name)
            && entry.get_xattr(name, &mut found).is_ok_and(|length| found.get(..length) == Some(value));
        if !is_right {
            changes.push(Change::Set(name, value));
        }
    }
    Ok(changes)
}
