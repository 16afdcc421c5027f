//! Rules, ready to be compared with entries.

use std::sync::Arc;

use super::parse::Style;
use super::pattern::Pattern;
use super::rule::Rule;
use crate::entry::Kind;

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the request: the place in its list, from 0.
    Request(usize),
    /// In a file of the tree, by its path in the file system or below the server's root, and its line, from 1.
    File(Arc<[u8]>, u32),
}

/// What part of an entry's path a pattern is compared with.
#[derive(Clone, Copy, Debug)]
enum Compared {
    /// The path below the top of the transfer.
    BelowTop,
    /// The path in the file system.
    Whole,
    /// What of the path in the file system begins there.
    From(usize),
}

/// A pattern of a rule.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: Rule,
    pattern: Pattern,
    compared: Compared,
    pub(super) origin: Origin,
}

impl Compiled {
    /// A rule whose anchored pattern begins in a certain directory: `directory` bytes into the path in the file system, or
    /// at the top of the transfer.
    pub(super) fn new(rule: Rule, directory: Option<usize>, origin: Origin) -> Self {
        let pattern = Pattern::new(&rule.pattern);
        let compared = match directory {
            _ if rule.absolute => Compared::Whole,
            Some(begin) if Pattern::is_anchored(&rule.pattern) => Compared::From(begin),
            _ => Compared::BelowTop,
        };
        Self { rule, pattern, compared, origin }
    }

    /// Whether it is for an entry; `top` is where the path below the top begins.
    pub(super) fn is_for(&self, (buffer, top): (&[u8], usize), kind: Kind) -> bool {
        let start = match self.compared {
            Compared::BelowTop => top,
            Compared::Whole => 1,
            Compared::From(start) => start,
        };
        self.pattern.matches(buffer, start, kind) != self.rule.negated
    }

    /// Whether nobody but the end itself knows what it is compared with.
    pub(super) fn is_of_one_end(&self) -> bool {
        self.rule.absolute
    }
}

/// A place of a list of rules.
#[derive(Debug)]
pub(super) enum Element {
    /// A rule.
    Rule(Compiled),
    /// What the files of a directory and of those above it say, by the number of their names.
    Files(usize),
}

/// Files of rules that are looked for in each directory.
#[derive(Debug)]
pub(super) struct Files {
    /// Their name in a directory.
    pub(super) name: Vec<u8>,
    /// Where the search above the top of the transfer begins; nothing when there is none.
    pub(super) search: Option<Vec<u8>>,
    /// A file's rules are not in force below its directory.
    pub(super) no_inherit: bool,
    /// How they are read.
    pub(super) style: Style,
}

impl Files {
    /// The files that a rule names; nothing for a rule that is a pattern, or whose name can be no file's.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let files = rule.per_directory?;
        let at = rule.pattern.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        let (search, name) = rule.pattern.split_at(at);
        Some(Self {
            name: name.to_vec(),
            search: (!search.is_empty()).then(|| search.to_vec()),
            no_inherit: files.no_inherit,
            style: Style::of_files(rule, files),
        })
    }
}

/// What one file says, and what those above it say.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) elements: Vec<Element>,
    pub(super) above: Option<Arc<Said>>,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

/// The first element of a list that `decides`, where `said` gives what files say in the directory.
pub(super) fn first<'a>(
    elements: &'a [Element],
    said: &'a [Option<Arc<Said>>],
    decides: &impl Fn(&Compiled) -> bool,
) -> Option<&'a Compiled> {
    for element in elements {
        match element {
            Element::Rule(rule) if decides(rule) => return Some(rule),
            Element::Rule(_) => {}
            Element::Files(number) => {
                let mut next = said.get(*number).and_then(Option::as_ref);
                while let Some(each) = next {
                    if let Some(rule) = first(&each.elements, said, decides) {
                        return Some(rule);
                    }
                    next = each.above.as_ref();
                }
            }
        }
    }
    None
}
