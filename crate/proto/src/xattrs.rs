//! Extended attributes of an entry: names and values, in the form in which they travel, are compared and are hashed.

use crate::acl::is_acl;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::{XATTR_VALUE_BYTES_MAX, XATTRS_BYTES_MAX};

/// Bytes of an attribute's name, as on Linux (`XATTR_NAME_MAX`).
const XATTR_NAME_BYTES_MAX: usize = 255;

/// The extended attributes of one entry, in ascending order of their names, in one piece of memory. Most entries have
/// none, and those take no memory beside the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xattrs(Held);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// In their wire form.
    Read(Box<[u8]>),
    /// They are there or not, and could not be read.
    Unread,
}

impl Default for Held {
    fn default() -> Self {
        Self::Read(Box::default())
    }
}

impl Xattrs {
    /// The attributes of an entry in any order. Fails when a name stands twice or is no name, or when they take more
    /// than [`XATTRS_BYTES_MAX`] together.
    pub fn new(mut attributes: Vec<(Vec<u8>, Vec<u8>)>) -> Decoded<Self> {
        attributes.sort_unstable();
        let mut out = Vec::with_capacity(attributes.iter().map(|(name, value)| name.len() + value.len() + 4).sum());
        for (name, value) in &attributes {
            out.bytes(name);
            out.bytes(value);
        }
        <Self as Value>::get(&mut Reader::new(&out), "extended attributes")
    }

    /// Those of an entry whose attributes could not be read.
    #[must_use]
    pub const fn unread() -> Self {
        Self(Held::Unread)
    }

    /// Whether they could not be read.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        matches!(self.0, Held::Unread)
    }

    /// Whether it is known that there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_unread() && self.as_bytes().is_empty()
    }

    /// Names and values, in ascending order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut reader = Reader::new(self.as_bytes());
        std::iter::from_fn(move || pair(&mut reader).ok())
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The same with the values of the ACLs among them changed. If the result would be too large for one entry, nothing
    /// is changed.
    #[must_use]
    pub fn with_acls(&self, change: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        if !self.iter().any(|(name, _)| is_acl(name)) {
            return self.clone();
        }
        let value = |name: &[u8], value: &[u8]| if is_acl(name) { change(value) } else { value.to_vec() };
        let changed = self.iter().map(|(name, old)| (name.to_vec(), value(name, old))).collect();
        Self::new(changed).unwrap_or_else(|_| self.clone())
    }

    /// The wire form, which is unique for these names and values; empty for attributes that could not be read.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Held::Read(bytes) => bytes,
            Held::Unread => &[],
        }
    }
}

fn pair<'a>(reader: &mut Reader<'a>) -> Decoded<(&'a [u8], &'a [u8])> {
    let name = reader.bytes(XATTR_NAME_BYTES_MAX, "name of an extended attribute")?;
    if name.is_empty() || name.contains(&0) {
        return malformed("name of an extended attribute");
    }
    Ok((name, reader.bytes(XATTR_VALUE_BYTES_MAX, "value of an extended attribute")?))
}

impl Value for Xattrs {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(self.as_bytes());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let bytes = reader.take(reader.rest().len(), what)?;
        if bytes.len() > XATTRS_BYTES_MAX {
            return malformed(what);
        }
        let mut pairs = Reader::new(bytes);
        let mut last: &[u8] = &[];
        while !pairs.is_empty() {
            let (name, _) = pair(&mut pairs)?;
            if last >= name {
                return malformed("order of extended attributes");
            }
            last = name;
        }
        Ok(Self(Held::Read(bytes.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::Xattrs;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_order_in_which_a_file_system_lists_them_does_not_matter() {
        let one = Xattrs::new(owned(&[("user.b", "2"), ("user.a", "")])).unwrap();
        let other = Xattrs::new(owned(&[("user.a", ""), ("user.b", "2")])).unwrap();
        assert_eq!(one, other);
        let read: Vec<_> = one.iter().collect();
        assert_eq!(read, [(&b"user.a"[..], &b""[..]), (b"user.b", b"2")]);
    }

    #[test]
    fn what_is_no_name_or_too_large_is_refused() {
        assert!(Xattrs::new(owned(&[("", "x")])).is_err());
        assert!(Xattrs::new(owned(&[("user.\0", "x")])).is_err());
        assert!(Xattrs::new(owned(&[("user.a", "1"), ("user.a", "2")])).is_err());
        assert!(Xattrs::new(owned(&[(&"x".repeat(256), "1")])).is_err());
        assert!(Xattrs::new(vec![(b"user.a".to_vec(), vec![0; 65_537])]).is_err());
        let many = (0..5).map(|at| (format!("user.{at}").into_bytes(), vec![0; 65_536])).collect();
        assert!(Xattrs::new(many).is_err());
    }
}
