//! Reading the extended attributes that a run carries, and what becomes of those that cannot be read.

use sparsync_proto::limits::{XATTR_VALUE_BYTES_MAX, XATTRS_BYTES_MAX, XATTRS_DIRECTORY_BYTES_MAX};
use sparsync_proto::{Attributes, Xattrs, carried_acl, is_acl};

use super::{CallError, Directory, Errno};

/// Bytes of all names of one entry, as on Linux (`XATTR_LIST_MAX`).
pub(crate) const XATTR_NAMES_BYTES_MAX: usize = 64 << 10;

/// Buffers for reading attributes. They have no room until a run carries attributes.
#[derive(Default)]
pub(super) struct XattrBuffers {
    names: Vec<u8>,
    value: Vec<u8>,
    /// Bytes of the attributes that the directory under way has so far.
    in_directory: usize,
}

/// Why the attributes of an entry cannot be had.
pub(super) enum Unread {
    /// The entry has gone.
    Vanished,
    /// The call that failed, or the limit that they exceed.
    Because(String),
}

impl Unread {
    fn call(call: &str, error: CallError) -> Self {
        Self::Because(format!("{call}: {error}"))
    }
}

/// The names in a list of the system's that a run carries.
pub(crate) fn carried_names<'a>(list: &'a [u8], attributes: &Attributes) -> impl Iterator<Item = &'a [u8]> {
    list.split(|&byte| byte == 0).filter(|name| attributes.carries_xattr(name))
}

impl XattrBuffers {
    /// Begins the next directory.
    pub(super) fn next_directory(&mut self) {
        self.in_directory = 0;
    }

    /// The attributes of the entry `name`, or of the directory itself when the name is empty. Where a storage knows of
    /// none, there are none.
    pub(super) fn read(
        &mut self,
        directory: &impl Directory,
        name: &[u8],
        (attributes, takes): (&Attributes, impl Fn(&[u8]) -> bool),
    ) -> Result<Xattrs, Unread> {
        self.names.resize(XATTR_NAMES_BYTES_MAX, 0);
        self.value.resize(XATTR_VALUE_BYTES_MAX, 0);
        let listed = match directory.list_xattrs(name, &mut self.names) {
            Ok(0) | Err(CallError { errno: Errno::OPNOTSUPP, .. }) => return Ok(Xattrs::default()),
            Ok(length) => &self.names[..length],
            // The call fails so, too, where there is no /proc, hence the look at the entry.
            Err(CallError { errno: Errno::NOENT, .. }) if directory.status(name).is_err() => {
                return Err(Unread::Vanished);
            }
            Err(error) => return Err(Unread::call("listxattr", error)),
        };
        let mut found = Vec::new();
        let mut bytes = 0;
        for attribute in carried_names(listed, attributes).filter(|attribute| takes(attribute)) {
            let length = match directory.get_xattr(name, attribute, &mut self.value) {
                Ok(length) => length,
                // The attribute was removed since its name was read.
                Err(CallError { errno: Errno::NODATA, .. }) => continue,
                Err(error) => return Err(Unread::call(&format!("getxattr {}", attribute.escape_ascii()), error)),
            };
            let value = match is_acl(attribute).then(|| carried_acl(attribute, &self.value[..length])) {
                None => self.value[..length].to_vec(),
                Some(Ok(Some(acl))) => acl,
                // The ACL says no more than the mode.
                Some(Ok(None)) => continue,
                Some(Err(error)) => {
                    return Err(Unread::Because(format!("getxattr {}: {error}", attribute.escape_ascii())));
                }
            };
            bytes += attribute.len() + value.len();
            if bytes > XATTRS_BYTES_MAX {
                break;
            }
            found.push((attribute.to_vec(), value));
        }
        let limit = |limit: &str| Unread::Because(format!("its extended attributes take more than {limit}"));
        // Beside names and values, their lengths count.
        let read = Xattrs::new(found).ok().filter(|_| bytes <= XATTRS_BYTES_MAX);
        let read = read.ok_or_else(|| limit(&format!("{XATTRS_BYTES_MAX} bytes")))?;
        if self.in_directory + read.as_bytes().len() > XATTRS_DIRECTORY_BYTES_MAX {
            return Err(limit(&format!("is left of {XATTRS_DIRECTORY_BYTES_MAX} bytes for a directory")));
        }
        self.in_directory += read.as_bytes().len();
        Ok(read)
    }
}
