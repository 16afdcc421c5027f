//! Filter rules, with rsync's meaning: which entries a run takes, in an order in which the first rule that matches decides.
//!
//! A rule is for the sender, which does not send what it excludes, for the receiver, which does not delete it, or for
//! both. An entry that neither sends nor deletes is of no interest to a run, so neither end looks at it.
//!
//! Rules may stand in files of the tree too. Each end has its own: what the other end's say is not known.

mod compiled;
mod cvs;
mod in_force;
mod parse;
mod pattern;
mod rule;

use std::sync::Arc;

pub use compiled::Origin;
pub use in_force::{At, InForce, RuleFile, RuleFileError, RuleFiles, TreeTop, resolved};
pub use parse::{ParseError, Prefixes, Said, Style, parse_file, parse_rule};
pub use pattern::Pattern;
pub use rule::{FilterRules, PerDirectory, Rule};

use crate::entry::Kind;
use crate::matcher::Matcher;
use crate::path::RelPath;
use compiled::{Compiled, Element, Files, first};

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
    elements: Vec<Element>,
    files: Vec<Arc<Files>>,
    /// Whether a pattern is compared with paths in the file system.
    has_absolute: bool,
}

impl Filter {
    /// The matcher of an end. Patterns begin at the top of the transfer.
    #[must_use]
    pub fn new(rules: &FilterRules, end: End) -> Self {
        let mut filter = Self { end, elements: Vec::new(), files: Vec::new(), has_absolute: false };
        for (number, rule) in rules.iter().enumerate() {
            match Files::of(&rule) {
                None => {
                    filter.has_absolute |= rule.absolute;
                    filter.elements.push(Element::Rule(Compiled::new(rule, None, Origin::Request(number))));
                }
                // A name that is looked for already stands where it was named first.
                Some(files) if filter.files.iter().any(|known| known.name == files.name) => {}
                Some(files) => {
                    filter.elements.push(Element::Files(filter.files.len()));
                    filter.files.push(Arc::new(files));
                }
            }
        }
        filter
    }

    /// The first of the rules that apply and match an entry.
    fn first<'a>(
        &'a self,
        at: &At<'a>,
        (name, kind): (&[u8], Kind),
        applies: impl Fn(&Rule) -> bool,
    ) -> Option<&'a Compiled> {
        at.with_path(name, |path| {
            first(&self.elements, at.said(), &|each| !each.rule.xattr && applies(&each.rule) && each.is_for(path, kind))
        })
    }

    /// Whether that rule includes it, or there is none.
    fn includes(&self, at: &At<'_>, entry: (&[u8], Kind), applies: impl Fn(&Rule) -> bool) -> bool {
        self.first(at, entry, applies).is_none_or(|each| each.rule.include)
    }
}

/// The rule that decides about an entry.
#[derive(Clone, Copy, Debug)]
pub struct Decider<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Where it was written.
    pub origin: &'a Origin,
}

impl Matcher for Filter {
    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.includes(at, (name, kind), |rule| rule.sender)
            || (self.end == End::Receiver && self.includes(at, (name, kind), |rule| rule.receiver))
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        At::new(path, &InForce::default()).with_path(name, |path| {
            for element in &self.elements {
                match element {
                    // What the sender's files say comes first, and is not known here.
                    Element::Files(_) => return true,
                    Element::Rule(each) if !each.rule.sender || each.rule.xattr => {}
                    Element::Rule(each) if each.is_of_one_end() => {
                        if each.rule.include {
                            return true;
                        }
                    }
                    Element::Rule(each) if each.is_for(path, kind) => return each.rule.include,
                    Element::Rule(_) => {}
                }
            }
            true
        })
    }

    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        self.includes(at, (name, kind), |rule| rule.receiver && !(in_deleted && rule.perishable))
    }

    fn decider<'a>(&'a self, at: &At<'a>, name: &[u8], kind: Kind, end: End) -> Option<Decider<'a>> {
        let applies = |rule: &Rule| if end == End::Sender { rule.sender } else { rule.receiver };
        let decider = self.first(at, (name, kind), applies)?;
        Some(Decider { rule: &decider.rule, origin: &decider.origin })
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        self.elements.is_empty()
    }

    fn digests_decide(&self) -> bool {
        true
    }

    fn ends_differ(&self) -> bool {
        self.has_absolute || !self.files.is_empty()
    }

    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        if self.ends_differ() { InForce::above(trees, &self.files, files) } else { Ok(InForce::default()) }
    }

    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        above.enter(path, files)
    }
}
