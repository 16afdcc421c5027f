//! Which rule of a filter decides about a path, at one end.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::{AtMost, Codec, message};
use crate::filter::{Decider, End, Origin};
use crate::limits::{MESSAGE_BYTES_MAX, PATH_BYTES_MAX};
use crate::path::RelPath;

/// The explanation of a path by an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The end.
    pub end: End,
    /// The path that the rule is for: the one that was asked about, or a directory above it that does not belong to the
    /// run.
    pub path: RelPath,
    /// Whether something stands there.
    pub is_there: bool,
    /// Whether the sender sends it, or the receiver may delete it.
    pub included: bool,
    /// Whether a rule decides; where none matches, the path belongs to the run.
    pub decided: bool,
    /// The text of the rule, if this end may tell it.
    pub rule: Vec<u8>,
    /// The place of the rule in the request's list, from 0.
    pub number: Option<u64>,
    /// The file of rules that it stands in, by its path in the file system or below the server's root.
    pub file: Option<Vec<u8>>,
    /// Its line there, from 1.
    pub line: u64,
}

impl Default for Explanation {
    fn default() -> Self {
        Self {
            end: End::Sender,
            path: RelPath::root(),
            is_there: false,
            included: false,
            decided: false,
            rule: Vec::new(),
            number: None,
            file: None,
            line: 0,
        }
    }
}

impl Explanation {
    /// Notes the rule that decides, with its text where `tells`.
    pub fn set_rule(&mut self, rule: &Decider, tells: bool) {
        match &rule.origin {
            Origin::Request(number) => self.number = Some(*number as u64),
            Origin::File(file, line) => {
                self.file = Some(file.to_vec());
                self.line = u64::from(*line);
            }
        }
        self.decided = true;
        if tells || self.file.is_none() {
            self.rule.clone_from(&rule.text);
        }
    }
}

/// The rule of an explanation may be longer than a pattern by its letters.
const RULE_BYTES_MAX: usize = PATH_BYTES_MAX + MESSAGE_BYTES_MAX;

message!(Explanation, "explanation" {
    1 critical end: Ends,
    2 critical path,
    3 critical is_there,
    4 critical included,
    5 critical rule: AtMost<RULE_BYTES_MAX>,
    6 critical number,
    7 critical file: AtMost<PATH_BYTES_MAX>,
    8 critical line,
    9 critical decided,
});

struct Ends;

impl Codec<End> for Ends {
    fn put(value: &End, out: &mut Vec<u8>) {
        out.byte(u8::from(*value == End::Receiver));
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<End> {
        match reader.byte(what)? {
            0 => Ok(End::Sender),
            1 => Ok(End::Receiver),
            _ => malformed(what),
        }
    }
}
