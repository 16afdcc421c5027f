//! A rule as it travels: a pattern or the name of a file of rules, what it says of that, and for which ends.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::Value;
use crate::limits::{FILTER_BYTES_MAX, PATH_BYTES_MAX};

/// One rule. The first of a list that matches an entry decides.
#[expect(clippy::struct_excessive_bools, reason = "what a rule says, each apart from the others")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether matching entries belong to the run.
    pub include: bool,
    /// It decides which entries the sender sends.
    pub sender: bool,
    /// It decides which entries the receiver deletes.
    pub receiver: bool,
    /// It is for entries that the pattern does not match.
    pub negated: bool,
    /// It does not protect entries of a directory that is deleted.
    pub perishable: bool,
    /// The pattern is compared with the path in the file system.
    pub absolute: bool,
    /// The rule is for names of extended attributes, and not for entries.
    pub xattr: bool,
    /// The rule stands for the rules of files in the directories of the tree. The pattern is the name of these files,
    /// and all other fields are defaults of their rules.
    pub per_directory: Option<PerDirectory>,
    /// The pattern, 1 to [`PATH_BYTES_MAX`] bytes.
    pub pattern: Vec<u8>,
}

/// How files of rules in the directories of a tree are read.
#[expect(clippy::struct_excessive_bools, reason = "what a rule says, each apart from the others")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerDirectory {
    /// A file's rules are not in force below its directory.
    pub no_inherit: bool,
    /// Its rules stand between blanks, and not one on each line.
    pub word_split: bool,
    /// The file's rules are patterns only: either all are included, or all are excluded.
    pub no_prefixes: bool,
    /// The file is one of CVS: a `!` drops all rules before it, although the rules are patterns only.
    pub cvs: bool,
    /// Rules of the file that name no end are for the sender only (`--delete-excluded`).
    pub sender_unless_said: bool,
    /// A NUL ends a rule, and not a line (`--from0`).
    pub from0: bool,
}

const INCLUDE: u16 = 1;
const NOT_SENDER: u16 = 1 << 1;
const NOT_RECEIVER: u16 = 1 << 2;
const NEGATED: u16 = 1 << 3;
const PERISHABLE: u16 = 1 << 4;
const ABSOLUTE: u16 = 1 << 5;
const XATTR: u16 = 1 << 6;
const PER_DIRECTORY: u16 = 1 << 7;
const NO_INHERIT: u16 = 1 << 8;
const WORD_SPLIT: u16 = 1 << 9;
const NO_PREFIXES: u16 = 1 << 10;
const CVS: u16 = 1 << 11;
const SENDER_UNLESS_SAID: u16 = 1 << 12;
const FROM0: u16 = 1 << 13;
const OF_RULES: u16 = INCLUDE | NOT_SENDER | NOT_RECEIVER | NEGATED | PERISHABLE | ABSOLUTE | XATTR;
const OF_FILES: u16 = PER_DIRECTORY | NO_INHERIT | WORD_SPLIT | NO_PREFIXES | CVS | SENDER_UNLESS_SAID | FROM0;

impl Rule {
    /// A rule for both ends.
    #[must_use]
    pub fn new(include: bool, pattern: Vec<u8>) -> Self {
        Self {
            include,
            sender: true,
            receiver: true,
            negated: false,
            perishable: false,
            absolute: false,
            xattr: false,
            per_directory: None,
            pattern,
        }
    }

    /// The rule as people write it.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let (letter, end): (&[u8], &[u8]) = match (self.include, self.sender, self.receiver) {
            (false, true, true) => (b"-", b""),
            (true, true, true) => (b"+", b""),
            (false, true, false) => (b"H", b""),
            (true, true, false) => (b"S", b""),
            (false, false, _) => (b"P", b""),
            (true, false, _) => (b"R", b""),
        };
        let (letter, end) = match self.per_directory {
            None => (letter, end),
            Some(_) if !self.receiver => (&b":"[..], &b"s"[..]),
            Some(_) if !self.sender => (&b":"[..], &b"r"[..]),
            Some(_) => (&b":"[..], &b""[..]),
        };
        let flag = |is_set: bool, letter: &'static [u8]| if is_set { letter } else { b"" };
        [
            letter,
            flag(self.negated, b"!"),
            flag(self.perishable, b"p"),
            flag(self.absolute, b"/"),
            flag(self.xattr, b"x"),
            end,
            b" ",
            &self.pattern,
        ]
        .concat()
    }

    fn flags(&self) -> u16 {
        let flag = |is_set: bool, bit| if is_set { bit } else { 0 };
        let of_files = self.per_directory.map_or(0, |files| {
            PER_DIRECTORY
                | flag(files.no_inherit, NO_INHERIT)
                | flag(files.word_split, WORD_SPLIT)
                | flag(files.no_prefixes, NO_PREFIXES)
                | flag(files.cvs, CVS)
                | flag(files.sender_unless_said, SENDER_UNLESS_SAID)
                | flag(files.from0, FROM0)
        });
        of_files
            | flag(self.include, INCLUDE)
            | flag(!self.sender, NOT_SENDER)
            | flag(!self.receiver, NOT_RECEIVER)
            | flag(self.negated, NEGATED)
            | flag(self.perishable, PERISHABLE)
            | flag(self.absolute, ABSOLUTE)
            | flag(self.xattr, XATTR)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.number(self.flags().into());
        out.bytes(&self.pattern);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let flags: u16 = reader.small(what)?;
        let pattern = reader.bytes(PATH_BYTES_MAX, what)?;
        let has = |bit: u16| flags & bit != 0;
        let (sender, receiver) = (!has(NOT_SENDER), !has(NOT_RECEIVER));
        let known = if has(PER_DIRECTORY) { OF_RULES | OF_FILES } else { OF_RULES };
        if flags & !known != 0 || pattern.is_empty() || !(sender || receiver) {
            return malformed(what);
        }
        let per_directory = has(PER_DIRECTORY).then(|| PerDirectory {
            no_inherit: has(NO_INHERIT),
            word_split: has(WORD_SPLIT),
            no_prefixes: has(NO_PREFIXES),
            cvs: has(CVS),
            sender_unless_said: has(SENDER_UNLESS_SAID),
            from0: has(FROM0),
        });
        Ok(Self {
            include: has(INCLUDE),
            sender,
            receiver,
            negated: has(NEGATED),
            perishable: has(PERISHABLE),
            absolute: has(ABSOLUTE),
            xattr: has(XATTR),
            per_directory,
            pattern: pattern.to_vec(),
        })
    }
}

/// Rules in their order, in their wire form: they take no more memory than on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterRules(Vec<u8>);

impl FilterRules {
    /// The list of `rules`; none when they take more than [`FILTER_BYTES_MAX`] on the wire, or a rule has no pattern or
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
    use super::{FilterRules, PerDirectory, Reader, Rule, Value};

    #[test]
    fn rules_of_a_peer_are_checked() {
        let read = |bytes: &[u8]| FilterRules::get(&mut Reader::new(bytes), "filter").map(|rules| rules.iter().count());
        assert_eq!(read(b"\x00\x01a\x15\x02*b"), Ok(2));
        assert_eq!(read(b"\x80\x7f\x02.f"), Ok(1));
        for (bytes, what) in [
            (&b"\x80\x81\x01\x02.f"[..], "a flag of the future"),
            (b"\x80\x02\x01a", "a flag of files on a pattern"),
            (b"\x06\x01a", "a rule for no end"),
            (b"\x00\x00", "a rule without a pattern"),
            (b"\x00\x02a", "a pattern that is cut off"),
        ] {
            assert!(read(bytes).is_err(), "{what}");
        }
        assert!(FilterRules::new(&[Rule::new(false, vec![b'a'; 300 << 10])]).is_none());
        assert!(FilterRules::new(&[Rule::new(false, Vec::new())]).is_none());
    }

    #[test]
    fn a_rule_is_read_as_it_was_written() {
        let files = PerDirectory { no_inherit: true, cvs: true, ..PerDirectory::default() };
        let rule = Rule {
            receiver: false,
            absolute: true,
            xattr: true,
            per_directory: Some(files),
            ..Rule::new(true, b".f".to_vec())
        };
        let rules = FilterRules::new(&[rule.clone(), Rule::new(false, b"x".to_vec())]).unwrap();
        assert_eq!(rules.iter().collect::<Vec<_>>(), [rule, Rule::new(false, b"x".to_vec())]);
    }
}
