//! Attributes that few entries have: tagged fields behind those that every entry has, and no byte for an entry without
//! them.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::Time;
use crate::field::{Message, Value, get_nested, put_field, put_nested};
use crate::leaders::LeaderField;
use crate::xattrs::Xattrs;

/// The number of a device, which says what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl Device {
    fn put(self, out: &mut Vec<u8>) {
        out.number(self.major.into());
        out.number(self.minor.into());
    }

    fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        Ok(Self { major: reader.small("major number")?, minor: reader.small("minor number")? })
    }

    pub(crate) fn put_hashed(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.major.to_le_bytes());
        out.extend_from_slice(&self.minor.to_le_bytes());
    }
}

/// Attributes that few entries have. A new one is a member here with its field in the functions below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFields {
    /// Extended attributes, which may be there and unread.
    pub xattrs: Xattrs,
    /// The number of a device.
    pub device: Option<Device>,
    /// Of a directory's own record: the run does not enter the directory, and the destination's entries in it stay.
    pub unlisted: bool,
    /// The time of the last access, where the run carries those.
    pub atime: Option<Time>,
}

const XATTRS: u64 = 1;
const XATTRS_UNREAD: u64 = 2;
const LEADER: u64 = 3;
const DEVICE: u64 = 4;
const UNLISTED: u64 = 9;
const ATIME: u64 = 10;

impl EntryFields {
    /// Whether there is none of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes of memory that they hold besides themselves.
    pub(crate) fn held_bytes(&self) -> usize {
        self.xattrs.as_bytes().len()
    }

    fn put_before_leader(&self, out: &mut Vec<u8>) {
        if self.xattrs.is_unread() {
            put_field(out, XATTRS_UNREAD, true, |out| true.put(out));
        } else if !self.xattrs.is_empty() {
            put_field(out, XATTRS, true, |out| self.xattrs.put(out));
        }
    }

    fn put_behind_leader(&self, out: &mut Vec<u8>) {
        if let Some(device) = self.device {
            put_field(out, DEVICE, true, |out| device.put(out));
        }
        if self.unlisted {
            put_field(out, UNLISTED, true, |out| true.put(out));
        }
        if let Some(atime) = self.atime {
            put_field(out, ATIME, true, |out| atime.put(out));
        }
    }

    fn get_field(&mut self, number: u64, value: &mut Reader<'_>) -> Decoded<bool> {
        match number {
            XATTRS => self.xattrs = <Xattrs as Value>::get(value, "extended attributes")?,
            XATTRS_UNREAD => {
                let unread = bool::get(value, "unread extended attributes")?;
                if unread && !self.xattrs.is_empty() {
                    return malformed("extended attributes that could not be read");
                }
                if unread {
                    self.xattrs = Xattrs::unread();
                }
            }
            UNLISTED => self.unlisted = bool::get(value, "directory that is not gone into")?,
            DEVICE => self.device = Some(Device::get(value)?),
            ATIME => self.atime = Some(Time::get(value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The wire form behind an entry's attributes. In memory the leaders of a directory's hard links stand together, since
/// neighbours mostly have neighbouring leaders.
#[derive(Default)]
pub(crate) struct OnWire {
    pub(crate) fields: EntryFields,
    pub(crate) leader: Option<LeaderField>,
}

impl Message for OnWire {
    const NAME: &'static str = "entry";

    fn put_fields(&self, out: &mut Vec<u8>) {
        self.fields.put_before_leader(out);
        if self.leader.is_some() {
            put_field(out, LEADER, true, |out| self.leader.put(out));
        }
        self.fields.put_behind_leader(out);
    }

    fn get_field(&mut self, number: u64, value: &mut Reader<'_>) -> Decoded<bool> {
        if number != LEADER {
            return self.fields.get_field(number, value);
        }
        self.leader = <Option<LeaderField> as Value>::get(value, "leader of a hard link")?;
        Ok(true)
    }
}

impl OnWire {
    pub(crate) fn put_behind_length(&self, out: &mut Vec<u8>) {
        put_nested(self, out);
    }

    pub(crate) fn get_behind_length(reader: &mut Reader<'_>) -> Decoded<Self> {
        get_nested(reader, "fields of an entry")
    }
}
