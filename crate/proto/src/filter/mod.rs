//! Filter rules, with rsync's meaning: which entries a run takes, in an order in which the first rule that matches decides.
//!
//! A rule is for the sender, which does not send what it excludes, for the receiver, which does not delete it, or for
//! both. An entry that neither sends nor deletes is of no interest to a run, so neither end looks at it.

mod parse;
mod pattern;
mod rule;

pub use parse::{ParseError, parse_rule};
pub use pattern::Pattern;
pub use rule::{FilterRules, Rule};

use crate::entry::Kind;
use crate::matcher::Matcher;
use crate::path::RelPath;

/// Which end of a run looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that sends.
    Sender,
    /// The one that receives.
    Receiver,
}

/// A matcher made of rules.
#[derive(Debug)]
pub struct Filter {
    end: End,
    rules: Vec<(Rule, Pattern)>,
}

impl Filter {
    /// The matcher of an end. Patterns begin at the top of the transfer.
    #[must_use]
    pub fn new(rules: &FilterRules, end: End) -> Self {
        let rules = rules.iter().map(|mut rule| {
            let pattern = Pattern::new(&rule.pattern);
            rule.pattern = Vec::new();
            (rule, pattern)
        });
        Self { end, rules: rules.collect() }
    }

    /// Whether the first of the rules that apply and match includes the entry, or none excludes it.
    fn includes(&self, (path, kind): (&[u8], Kind), applies: impl Fn(&Rule) -> bool) -> bool {
        let decides = |(rule, pattern): &&(Rule, Pattern)| applies(rule) && pattern.matches(path, kind) != rule.negated;
        self.rules.iter().find(decides).is_none_or(|(rule, _)| rule.include)
    }
}

impl Matcher for Filter {
    fn takes(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        let path = path.join_bytes(name);
        self.includes((&path, kind), |rule| rule.sender)
            || (self.end == End::Receiver && self.includes((&path, kind), |rule| rule.receiver))
    }

    fn sends(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        self.includes((&path.join_bytes(name), kind), |rule| rule.sender)
    }

    fn deletes(&self, path: &RelPath, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        self.includes((&path.join_bytes(name), kind), |rule| rule.receiver && !(in_deleted && rule.perishable))
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        self.rules.is_empty()
    }

    fn digests_decide(&self) -> bool {
        true
    }
}
