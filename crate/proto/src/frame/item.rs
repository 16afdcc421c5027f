//! One line of a plan or of a run's account.

use crate::closed::closed_set;
use crate::codec::{DecodeError, Decoded, Reader, Write};
use crate::entry::{Kind, Meta};
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
    }
}

/// One line of a plan or of a run's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is done.
    pub action: Action,
    /// With what.
    pub kind: Kind,
    /// Why.
    pub reasons: Reasons,
    /// Bytes of a regular file; 0 otherwise.
    pub size: u64,
    /// Where, relative to the tree; empty for the tree's root.
    pub path: Box<[u8]>,
    /// What it becomes a hard link to.
    pub leader: Option<Box<RelPath>>,
    /// What the source's entry is, where the run tells that.
    pub details: Option<Box<ItemDetails>>,
}

/// What the source's entry is, beside its kind and, of a file, its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemDetails {
    /// Its attributes.
    pub meta: Meta,
    /// Of a symlink, where it leads.
    pub target: Vec<u8>,
}

/// Set beside the action's number when tagged fields follow the path.
const FIELDS_FOLLOW: u8 = 1 << 7;

/// What an item may have besides.
#[derive(Default)]
struct ItemFields {
    leader: Option<Box<RelPath>>,
    details: Option<Box<ItemDetails>>,
}

message!(ItemFields, "item" {
    1 optional leader,
    2 optional details,
});

impl Value for Option<Box<ItemDetails>> {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(details) = self {
            details.meta.put(out);
            out.bytes(&details.target);
        }
    }

    fn get(reader: &mut Reader<'_>, _what: &'static str) -> Decoded<Self> {
        let meta = Meta::get(reader)?;
        Ok(Some(Box::new(ItemDetails { meta, target: reader.bytes(LINK_BYTES_MAX, "target")?.to_vec() })))
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
            put_nested(&ItemFields { leader: self.leader.clone(), details: self.details.clone() }, out);
        }
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
            ItemFields { leader: item.leader, details: item.details } = get_nested(reader, "fields of an item")?;
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
