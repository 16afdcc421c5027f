//! A rule: a pattern, whether what it matches is included or excluded, and for which ends.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::{FILTER_BYTES_MAX, PATH_BYTES_MAX};

/// One rule. The first of a list that matches an entry decides.
#[expect(clippy::struct_excessive_bools, reason = "what a rule says, each apart from the others")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What matches belongs to the run; otherwise it does not.
    pub include: bool,
    /// It decides what the sender sends.
    pub sender: bool,
    /// It decides what the receiver deletes.
    pub receiver: bool,
    /// It is for what the pattern does not match.
    pub negated: bool,
    /// It does not keep what lies in a directory that is deleted.
    pub perishable: bool,
    /// The pattern, 1 to [`PATH_BYTES_MAX`] bytes.
    pub pattern: Vec<u8>,
}

const INCLUDE: u8 = 1;
const NOT_SENDER: u8 = 1 << 1;
const NOT_RECEIVER: u8 = 1 << 2;
const NEGATED: u8 = 1 << 3;
const PERISHABLE: u8 = 1 << 4;
const KNOWN: u8 = INCLUDE | NOT_SENDER | NOT_RECEIVER | NEGATED | PERISHABLE;

impl Rule {
    /// A rule for both ends.
    #[must_use]
    pub fn new(include: bool, pattern: Vec<u8>) -> Self {
        Self { include, sender: true, receiver: true, negated: false, perishable: false, pattern }
    }

    fn flags(&self) -> u8 {
        let flag = |is_set: bool, bit| if is_set { bit } else { 0 };
        flag(self.include, INCLUDE)
            | flag(!self.sender, NOT_SENDER)
            | flag(!self.receiver, NOT_RECEIVER)
            | flag(self.negated, NEGATED)
            | flag(self.perishable, PERISHABLE)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.byte(self.flags());
        out.bytes(&self.pattern);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let flags = reader.byte(what)?;
        let pattern = reader.bytes(PATH_BYTES_MAX, what)?;
        let (sender, receiver) = (flags & NOT_SENDER == 0, flags & NOT_RECEIVER == 0);
        if flags & !KNOWN != 0 || pattern.is_empty() || !(sender || receiver) {
            return malformed(what);
        }
        Ok(Self {
            include: flags & INCLUDE != 0,
            sender,
            receiver,
            negated: flags & NEGATED != 0,
            perishable: flags & PERISHABLE != 0,
            pattern: pattern.to_vec(),
        })
    }
}

/// Rules in their order, in their wire form: they take as much memory as they take there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterRules(Vec<u8>);

impl FilterRules {
    /// The list of `rules`; nothing when they take more than [`FILTER_BYTES_MAX`] on the wire, or one has no pattern or
    /// is for no end.
    #[must_use]
    pub fn new(rules: &[Rule]) -> Option<Self> {
        let mut out = Vec::new();
        for rule in rules {
            rule.put(&mut out);
        }
        Self::get(&mut Reader::new(&out), "filter").ok()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules.
    pub fn iter(&self) -> impl Iterator<Item = Rule> {
        let mut reader = Reader::new(&self.0);
        // They were read once when this value was made.
        std::iter::from_fn(move || if reader.is_empty() { None } else { Rule::get(&mut reader, "filter").ok() })
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The rules one after the other: flags, length of the pattern, pattern.
impl Value for FilterRules {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(&self.0);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let length = reader.rest().len();
        if length > FILTER_BYTES_MAX {
            return malformed(what);
        }
        let bytes = reader.take(length, what)?;
        let mut rules = Reader::new(bytes);
        while !rules.is_empty() {
            Rule::get(&mut rules, what)?;
        }
        Ok(Self(bytes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::{FilterRules, Reader, Rule, Value};

    #[test]
    fn rules_of_a_peer_are_checked() {
        let read = |bytes: &[u8]| FilterRules::get(&mut Reader::new(bytes), "filter").map(|rules| rules.iter().count());
        assert_eq!(read(b"\x00\x01a\x15\x02*b"), Ok(2));
        for (bytes, what) in [
            (&b"\x20\x01a"[..], "a flag of the future"),
            (b"\x06\x01a", "a rule for no end"),
            (b"\x00\x00", "a rule without a pattern"),
            (b"\x00\x02a", "a pattern that is cut off"),
        ] {
            assert!(read(bytes).is_err(), "{what}");
        }
        assert!(FilterRules::new(&[Rule::new(false, vec![b'a'; 300 << 10])]).is_none());
        assert!(FilterRules::new(&[Rule::new(false, Vec::new())]).is_none());
    }
}
