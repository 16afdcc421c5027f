//! One line of a plan or of a run's account.

use crate::closed::closed_set;
use crate::codec::{DecodeError, Decoded, Reader, Write, malformed};
use crate::entry::{ContentDigest, Kind, Meta, Time};
use crate::field::{Codec, Value, get_nested, message, put_nested};
use crate::limits::{LINK_BYTES_MAX, PATH_BYTES_MAX};
use crate::path::RelPath;
use crate::reasons::Reasons;

closed_set! {
    /// What a run does with an entry.
    Action {
        /// It is made.
        Create = 0, "create";
        /// It is made anew in place of the old.
        Update = 1, "update";
        /// Its attributes are put right.
        Attributes = 2, "attrs";
        /// It is deleted.
        Delete = 3, "delete";
        /// It is left alone although it may differ.
        Skip = 4, "skip";
        /// It is made from what another directory of the destination's end has.
        Copy = 5, "copy";
        /// It is as it should be.
        Keep = 6, "keep";
        /// It becomes a backup, because something takes its place or it is to be deleted.
        Backup = 7, "backup";
        /// It has arrived, and was removed at the source.
        Remove = 8, "remove";
    }
}

/// One line of a plan or of a run's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The action.
    pub action: Action,
    /// With what.
    pub kind: Kind,
    /// Why.
    pub reasons: Reasons,
    /// Bytes of a regular file; 0 otherwise.
    pub size: u64,
    /// Where, relative to the tree; empty for the tree's root.
    pub path: Box<[u8]>,
    /// The leader of which it becomes a further name.
    pub leader: Option<Box<RelPath>>,
    /// The attributes of the source's entry, if the run tells them.
    pub details: Option<Box<ItemDetails>>,
}

/// The attributes of the source's entry, besides its kind and size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemDetails {
    /// Its attributes.
    pub meta: Meta,
    /// Of a symlink, where it leads.
    pub target: Vec<u8>,
    /// Of a file's content, in a run that compares content.
    pub digest: Option<ContentDigest>,
    /// A digest of the item and of what both ends have there, in a run that makes a plan or applies one.
    pub stamp: Option<Stamp>,
}

/// See [`ItemDetails::stamp`]. Its first [`STAMP_OWN_BYTES`] leave out attributes that a run may change itself before
/// it comes to the entry.
pub type Stamp = [u8; 24];

/// Bytes of a stamp by which a run knows an entry again when its turn comes.
pub const STAMP_OWN_BYTES: usize = 16;

/// Set beside the action's number when tagged fields follow the path.
const FIELDS_FOLLOW: u8 = 1 << 7;

/// Further fields of an item.
#[derive(Default)]
struct ItemFields {
    leader: Option<Box<RelPath>>,
    details: Option<Box<ItemDetails>>,
    stamp: Option<Stamp>,
    digest: Option<ContentDigest>,
}

message!(ItemFields, "item" {
    1 optional leader,
    2 optional details,
    3 optional stamp,
    4 optional digest,
});

impl<const N: usize> Value for Option<[u8; N]> {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(bytes) = self {
            out.raw(bytes);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        Ok(Some(reader.array(what)?))
    }
}

impl Value for Option<Box<ItemDetails>> {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(details) = self {
            details.meta.put(out);
            out.bytes(&details.target);
        }
    }

    fn get(reader: &mut Reader<'_>, _what: &'static str) -> Decoded<Self> {
        let mode: u16 = reader.small("mode")?;
        if mode > 0o7777 {
            return malformed("mode");
        }
        // `NO_ID` stands for an owner or group that the destination leaves alone.
        let (uid, gid) = (reader.small("owner")?, reader.small("group")?);
        let meta = Meta { mode, uid, gid, mtime: Time::get(reader)? };
        let target = reader.bytes(LINK_BYTES_MAX, "target")?.to_vec();
        Ok(Some(Box::new(ItemDetails { meta, target, ..ItemDetails::default() })))
    }
}

impl Value for Option<Box<RelPath>> {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(path) = self {
            path.put(out);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        Ok(Some(Box::new(<RelPath as Value>::get(reader, what)?)))
    }
}

impl Item {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let follow = self.leader.is_some() || self.details.is_some();
        out.byte(self.action as u8 | if follow { FIELDS_FOLLOW } else { 0 });
        out.byte(self.kind as u8);
        self.reasons.put(out);
        out.number(self.size);
        out.bytes(&self.path);
        if follow {
            let stamp = self.details.as_ref().and_then(|details| details.stamp);
            let digest = self.details.as_ref().and_then(|details| details.digest);
            let is_told =
                |meta: &Meta, target: &[u8]| stamp.is_none() || *meta != Meta::default() || !target.is_empty();
            let details = self.details.as_ref().filter(|details| is_told(&details.meta, &details.target)).cloned();
            let leader = self.leader.clone();
            put_nested(&ItemFields { leader, details, stamp, digest }, out);
        }
    }

    /// The stamp of this item, with the state of the destination's entry: `own`, and `others`, which the run may change
    /// itself.
    #[must_use]
    pub fn stamp_with(&self, own: &[u8], others: &[u8]) -> Stamp {
        let mut all = Vec::with_capacity(self.path.len() + own.len() + others.len() + 64);
        all.bytes(own);
        self.put(&mut all);
        let mut stamp = Stamp::default();
        let (first, rest) = stamp.split_at_mut(STAMP_OWN_BYTES);
        first.copy_from_slice(&blake3::hash(&all).as_bytes()[..STAMP_OWN_BYTES]);
        rest.copy_from_slice(&blake3::hash(others).as_bytes()[..rest.len()]);
        stamp
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Decoded<Self> {
        let head = reader.byte("action")?;
        let mut item = Self {
            action: Action::from_number(head & !FIELDS_FOLLOW).ok_or(DecodeError::Malformed { what: "action" })?,
            kind: Kind::get(reader, "kind")?,
            reasons: Reasons::get(reader, "reasons")?,
            size: reader.number("size")?,
            path: RelPath::new(reader.bytes(PATH_BYTES_MAX, "path")?)?.into_bytes().into_boxed_slice(),
            leader: None,
            details: None,
        };
        if head & FIELDS_FOLLOW != 0 {
            let ItemFields { leader, details, stamp, digest } = get_nested(reader, "fields of an item")?;
            (item.leader, item.details) = (leader, details);
            if stamp.is_some() || digest.is_some() {
                let details = item.details.get_or_insert_default();
                (details.stamp, details.digest) = (stamp, digest);
            }
        }
        Ok(item)
    }
}

/// A path in a message that keeps its bytes alone.
pub(super) struct PathBytes;

impl Codec<Vec<u8>> for PathBytes {
    fn put(value: &Vec<u8>, out: &mut Vec<u8>) {
        out.raw(value);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<u8>> {
        Ok(RelPath::get(reader, what)?.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Item, ItemDetails, Kind, Meta, Reader, Reasons};
    use crate::owners::NO_ID;

    #[test]
    fn an_owner_that_is_left_alone_travels() {
        let meta = Meta { mode: 0o644, uid: NO_ID, gid: NO_ID, ..Meta::default() };
        let item = Item {
            action: Action::Create,
            kind: Kind::File,
            reasons: Reasons::MISSING,
            size: 1,
            path: b"a"[..].into(),
            leader: None,
            details: Some(Box::new(ItemDetails { meta, ..ItemDetails::default() })),
        };
        let mut out = Vec::new();
        item.put(&mut out);
        assert_eq!(Item::get(&mut Reader::new(&out)), Ok(item));
    }
}
