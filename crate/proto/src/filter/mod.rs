//! Filter rules, with rsync's meaning: which entries a run takes, in an order in which the first rule that matches
//! decides.
//!
//! A rule is for the sender, which does not send what it excludes, for the receiver, which does not delete it, or for
//! both. An entry that neither sends nor deletes is of no interest to a run, so neither end looks at it.
//!
//! Rules may stand in files of the tree too. Each end has its own: what the other end's say is not known.

mod compiled;
mod cvs;
mod git;
mod hidden;
mod ignored;
mod in_force;
mod parse;
mod pattern;
mod rule;

use std::sync::Arc;

pub use compiled::Origin;
pub use hidden::{HiddenPaths, Hiding};
pub use in_force::{At, InForce, RuleFile, RuleFileError, RuleFiles, Symlinks, TreeTop, resolved};
pub use parse::{ParseError, Prefixes, Said, Style, parse_file, parse_rule};
pub use pattern::Pattern;
pub use rule::{FilterRules, PerDirectory, Rule};

use crate::entry::Kind;
use crate::matcher::Matcher;
use crate::path::RelPath;
use compiled::{Compiled, Element, Files, Index};
use ignored::Ignored;
use in_force::Sought;

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
    index: Index,
    files: Vec<Arc<Files>>,
    /// Whether a pattern is compared with paths in the file system.
    has_absolute: bool,
    /// Whether there are rules for names of extended attributes.
    has_xattr_rules: bool,
    /// What git ignores is left alone where no rule decides.
    ignores: Option<Ignores>,
}

/// The use of files that say what git ignores.
#[derive(Clone, Copy, Debug)]
pub struct Ignores {
    /// What they ignore may be deleted.
    pub may_be_deleted: bool,
}

impl Filter {
    /// The matcher of an end, in which what git ignores may count too. Patterns begin at the top of the
    /// transfer.
    #[must_use]
    pub fn new(rules: &FilterRules, end: End, ignores: Option<Ignores>) -> Self {
        let mut filter = Self {
            end,
            elements: Vec::new(),
            index: Index::default(),
            files: Vec::new(),
            has_absolute: false,
            has_xattr_rules: false,
            ignores,
        };
        for (number, rule) in rules.iter().enumerate() {
            match Files::of(&rule) {
                None => {
                    filter.has_absolute |= rule.absolute && !rule.xattr;
                    filter.has_xattr_rules |= rule.xattr;
                    filter.elements.push(Element::Rule(Compiled::new(rule, None, Origin::Request(number))));
                }
                // A file that is looked for already keeps the place where it was named first.
                Some(files) if filter.files.iter().any(|known| known.name == files.name) => {}
                Some(files) => {
                    filter.elements.push(Element::Files(filter.files.len()));
                    filter.files.push(Arc::new(files));
                }
            }
        }
        filter.index = Index::new(&filter.elements);
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
            let decides = |each: &Compiled| !each.rule.xattr && applies(&each.rule) && each.is_for(path, kind);
            self.candidates(name, kind).find_map(|element| element.decider(at.said(), &decides))
        })
    }

    /// The elements that may decide about an entry.
    fn candidates(&self, name: &[u8], kind: Kind) -> impl Iterator<Item = &Element> {
        self.index.candidates(name, kind).filter_map(|place| self.elements.get(place))
    }

    /// Whether the entry belongs to the run for an end: by the first rule that `applies` and matches, or else by the
    /// what git ignores.
    fn includes(&self, at: &At<'_>, entry: (&[u8], Kind), end: End, applies: impl Fn(&Rule) -> bool) -> bool {
        match self.first(at, entry, applies) {
            Some(rule) => rule.rule.include,
            None => !self.counts_ignored(end) || !is_ignored(at, entry),
        }
    }

    fn counts_ignored(&self, end: End) -> bool {
        self.ignores.as_ref().is_some_and(|ignores| end == End::Sender || !ignores.may_be_deleted)
    }

    fn sought(&self) -> Sought<'_> {
        Sought { files: &self.files, ignored: self.ignores.is_some() }
    }
}

/// Whether git ignores an entry.
fn is_ignored(at: &At<'_>, (name, kind): (&[u8], Kind)) -> bool {
    let ignored = at.ignored();
    ignored.is_some() && at.with_path(name, |(path, _)| Ignored::ignores(ignored, path, kind == Kind::Directory))
}

/// The rule that decides about an entry.
#[derive(Clone, Debug)]
pub struct Decider {
    /// Whether matching entries belong to the run.
    pub include: bool,
    /// The rule, as people write it.
    pub text: Vec<u8>,
    /// Where it was written.
    pub origin: Origin,
}

impl Filter {
    /// Whether the rules for names of extended attributes include this one, as far as they are for an end.
    fn includes_xattr(&self, name: &[u8], applies: impl Fn(&Rule) -> bool) -> bool {
        let path = [b"/", name, b"/"].concat();
        let decides = |each: &Compiled| each.rule.xattr && applies(&each.rule) && each.is_for((&path, 1), Kind::File);
        self.elements.iter().find_map(|each| each.decider(&[], &decides)).is_none_or(|each| each.rule.include)
    }
}

impl Matcher for Filter {
    fn sends_xattr(&self, name: &[u8]) -> bool {
        !self.has_xattr_rules || self.includes_xattr(name, |rule| rule.sender)
    }

    fn removes_xattr(&self, name: &[u8]) -> bool {
        !self.has_xattr_rules || self.includes_xattr(name, |rule| rule.receiver)
    }

    fn takes_xattr(&self, name: &[u8]) -> bool {
        self.sends_xattr(name) || (self.end == End::Receiver && self.removes_xattr(name))
    }

    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.includes(at, (name, kind), End::Sender, |rule| rule.sender)
            || (self.end == End::Receiver && self.includes(at, (name, kind), End::Receiver, |rule| rule.receiver))
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        At::new(path, &InForce::default()).with_path(name, |path| {
            for element in self.candidates(name, kind) {
                match element {
                    // The rules of the sender's files come before those behind this element, and are not known here.
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
        let applies = |rule: &Rule| rule.receiver && !(in_deleted && rule.perishable);
        self.includes(at, (name, kind), End::Receiver, applies)
    }

    fn decider(&self, at: &At<'_>, name: &[u8], kind: Kind, end: End) -> Option<Decider> {
        let applies = |rule: &Rule| if end == End::Sender { rule.sender } else { rule.receiver };
        if let Some(Compiled { rule, origin, .. }) = self.first(at, (name, kind), applies) {
            return Some(Decider { include: rule.include, text: rule.text(), origin: origin.clone() });
        }
        let ignored = at.ignored().filter(|_| self.counts_ignored(end));
        let is_directory = kind == Kind::Directory;
        at.with_path(name, |(path, _)| Ignored::decider(ignored, path, is_directory))
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        self.elements.is_empty() && self.ignores.is_none()
    }

    fn ends_differ(&self) -> bool {
        self.has_absolute || !self.files.is_empty() || self.ignores.is_some()
    }

    fn asks_kinds(&self) -> bool {
        self.elements.iter().any(|element| match element {
            Element::Rule(each) => each.is_for_directories(),
            Element::Files(_) => true,
        })
    }

    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        if self.ends_differ() { InForce::above(trees, self.sought(), files) } else { Ok(InForce::default()) }
    }

    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        above.enter(path, self.sought(), files)
    }
}
