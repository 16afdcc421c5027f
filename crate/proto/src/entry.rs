//! What an entry is, and the attributes that every one has.

use crate::closed::closed_set;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry_fields::{EntryFields, OnWire};
use crate::leaders::LeaderField;
use crate::owners::NO_ID;

/// BLAKE3, 256 bits.
pub type ContentDigest = [u8; 32];

closed_set! {
    /// What an entry is.
    Kind {
        /// A regular file.
        File = 0, "file";
        /// A directory.
        Directory = 1, "directory";
        /// A symbolic link: stored, never followed.
        Symlink = 2, "symlink";
        /// Something that this run does not carry: a device, socket, FIFO or symlink when those are off. Its name is
        /// protected at the destination.
        Special = 3, "special";
        /// A FIFO.
        Fifo = 4, "fifo";
        /// A block device.
        BlockDevice = 5, "block-device";
        /// A character device.
        CharDevice = 6, "char-device";
        /// A socket.
        Socket = 7, "socket";
    }
}

impl Kind {
    /// Whether it is a device, and so has a number.
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, Self::BlockDevice | Self::CharDevice)
    }

    /// Whether it is a FIFO or a socket.
    #[must_use]
    pub const fn is_fifo_or_socket(self) -> bool {
        matches!(self, Self::Fifo | Self::Socket)
    }

    /// Whether entries of this kind travel with their attributes: a directory's are with its own record.
    #[must_use]
    pub const fn has_attributes(self) -> bool {
        !matches!(self, Self::Directory | Self::Special)
    }
}

/// A point in time: seconds since 1970 and nanoseconds below one second. Packed, because a walk holds one or two for
/// each entry: 12 bytes instead of 16, and an [`Entry`] of 40 instead of 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanos: u32,
}

impl Time {
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.signed(self.seconds);
        out.number(u64::from(self.nanos));
    }

    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let time = Self { seconds: reader.signed("time")?, nanos: reader.small("time")? };
        // The kernel's times on every file system are far within this, and later ones are refused.
        if time.nanos >= 1_000_000_000 || time.seconds.unsigned_abs() > 1 << 40 {
            return malformed("time");
        }
        Ok(time)
    }
}

/// The attributes of an entry that a run may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, set-id and sticky bits (`07777`).
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Time,
}

/// Set beside the mode's bits when tagged fields follow the attributes that every entry has.
const FIELDS_FOLLOW: u16 = 1 << 12;

/// Appends the wire form of an entry's attributes.
pub(crate) fn put_attributes(
    meta: &Meta,
    fields: Option<&EntryFields>,
    leader: Option<LeaderField>,
    out: &mut Vec<u8>,
) {
    let fields = fields.filter(|fields| !fields.is_empty());
    let follow = fields.is_some() || leader.is_some();
    out.number(u64::from(meta.mode | if follow { FIELDS_FOLLOW } else { 0 }));
    out.number(u64::from(meta.uid));
    out.number(u64::from(meta.gid));
    meta.mtime.put(out);
    if follow {
        OnWire { fields: fields.cloned().unwrap_or_default(), leader }.put_behind_length(out);
    }
}

/// Reads the wire form of an entry's attributes.
pub(crate) fn get_attributes(reader: &mut Reader<'_>) -> Decoded<(Meta, EntryFields, Option<LeaderField>)> {
    let head: u16 = reader.small("mode")?;
    if head > FIELDS_FOLLOW | 0o7777 {
        return malformed("mode");
    }
    let mut id = |what| match reader.small(what)? {
        NO_ID => malformed(what),
        id => Ok(id),
    };
    let (uid, gid) = (id("owner")?, id("group")?);
    let meta = Meta { mode: head & 0o7777, uid, gid, mtime: Time::get(reader)? };
    let fields = if head & FIELDS_FOLLOW == 0 { OnWire::default() } else { OnWire::get_behind_length(reader)? };
    Ok((meta, fields.fields, fields.leader))
}

impl Meta {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_attributes(self, None, None, out);
    }

    /// Reads attributes where there is no room for fields.
    pub(crate) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let (meta, fields, leader) = get_attributes(reader)?;
        if fields.is_empty() && leader.is_none() { Ok(meta) } else { malformed("place of an entry's fields") }
    }
}
