//! Sets the attributes of an entry in memory.

use sparsync_proto::Time;

use super::{Held, found};
use crate::storage::{Adjust, Errno, FileSystemId, Found, Result};

/// What the attributes of a symlink are set by.
pub(super) struct Link<'a>(pub(super) &'a Held, pub(super) &'a [u8]);

impl Adjust for Held {
    fn found(&self) -> Result<Found> {
        self.call("look at attributes", b"", || Ok(found(&self.node)))
    }

    fn file_system(&self) -> Result<FileSystemId> {
        Ok(FileSystemId(0))
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.change("set owner", b"", || {
            self.node.adjust(|meta| (meta.uid, meta.gid) = (uid.unwrap_or(meta.uid), gid.unwrap_or(meta.gid)));
            Ok(())
        })
    }

    fn set_mode(&self, bits: u16) -> Result<()> {
        self.change("set mode", b"", || {
            self.node.set_mode(bits);
            Ok(())
        })
    }

    fn set_times(&self, _: Option<Time>, mtime: Option<Time>) -> Result<()> {
        self.change("set time", b"", || {
            self.node.adjust(|meta| meta.mtime = mtime.unwrap_or(meta.mtime));
            Ok(())
        })
    }

    fn list_xattrs(&self, buffer: &mut [u8]) -> Result<usize> {
        self.call("list xattrs", b"", || self.node.list_xattrs(buffer))
    }

    fn get_xattr(&self, attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        self.call("get xattr", b"", || self.node.get_xattr(attribute, buffer))
    }

    fn set_xattr(&self, attribute: &[u8], value: &[u8]) -> Result<()> {
        self.change("set xattr", b"", || {
            self.node.set_xattr(attribute, value);
            Ok(())
        })
    }

    fn remove_xattr(&self, attribute: &[u8]) -> Result<()> {
        self.change("remove xattr", b"", || {
            self.node.lock().xattrs.remove(attribute).map(drop).ok_or(Errno::NODATA.into())
        })
    }

    fn drop_capabilities(&self) -> Result<()> {
        self.change("drop capabilities", b"", || Ok(()))
    }
}

impl Adjust for Link<'_> {
    fn found(&self) -> Result<Found> {
        self.0.call("look at attributes", self.1, || Ok(found(&*self.0.node.entry(self.1)?)))
    }

    fn file_system(&self) -> Result<FileSystemId> {
        Ok(FileSystemId(0))
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.0.child(self.1, self.0.node.entry(self.1)?).set_owner(uid, gid)
    }

    fn set_mode(&self, _: u16) -> Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn set_times(&self, atime: Option<Time>, mtime: Option<Time>) -> Result<()> {
        self.0.child(self.1, self.0.node.entry(self.1)?).set_times(atime, mtime)
    }

    fn list_xattrs(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn get_xattr(&self, _: &[u8], _: &mut [u8]) -> Result<usize> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn set_xattr(&self, _: &[u8], _: &[u8]) -> Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn remove_xattr(&self, _: &[u8]) -> Result<()> {
        Err(Errno::OPNOTSUPP.into())
    }

    fn drop_capabilities(&self) -> Result<()> {
        Ok(())
    }
}
