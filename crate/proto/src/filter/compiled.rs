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

/// The part of an entry's path that a pattern is compared with.
#[derive(Clone, Copy, Debug)]
enum Compared {
    /// The path below the top of the transfer.
    BelowTop,
    /// The path in the file system.
    Whole,
    /// The part of the path in the file system that begins there.
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
    /// A rule whose anchored pattern begins in a certain directory: `directory` bytes into the path in the file system,
    /// or at the top of the transfer.
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

    pub(super) fn is_for_directories(&self) -> bool {
        self.pattern.is_for_directories()
    }

    /// Whether only the end itself knows the paths that the pattern is compared with.
    pub(super) fn is_of_one_end(&self) -> bool {
        self.rule.absolute
    }
}

/// A place of a list of rules.
#[derive(Debug)]
pub(super) enum Element {
    /// A rule.
    Rule(Compiled),
    /// The rules that the files of a directory and of those above it have, by the number of the files' name.
    Files(usize),
}

/// How many elements a block of an [`Index`] is for.
const BLOCK: usize = u64::BITS as usize;

/// Which elements of a list may decide about a name. Most rules of a long list are for other names, and the last byte
/// of a name already rules those out.
#[derive(Debug, Default)]
pub(super) struct Index(Vec<Block>);

/// The part of an [`Index`] for as many elements as a word has bits.
#[derive(Debug)]
struct Block {
    /// Those that may decide about a name with this last byte.
    by_last: Box<[u64; 256]>,
    /// The elements that may decide about entries that are no directories.
    beyond_directories: u64,
}

impl Index {
    pub(super) fn new(elements: &[Element]) -> Self {
        let block = |elements: &[Element]| {
            let mut block = Block { by_last: Box::new([0; 256]), beyond_directories: 0 };
            for (at, element) in elements.iter().enumerate() {
                let (last, directories) = match element {
                    Element::Rule(Compiled { rule, pattern, .. }) if !rule.negated => {
                        (pattern.last_byte(), pattern.is_for_directories())
                    }
                    Element::Rule(_) | Element::Files(_) => (None, false),
                };
                let bit = 1 << at;
                match last {
                    Some(last) => block.by_last[usize::from(last)] |= bit,
                    None => block.by_last.iter_mut().for_each(|word| *word |= bit),
                }
                if !directories {
                    block.beyond_directories |= bit;
                }
            }
            block
        };
        Self(elements.chunks(BLOCK).map(block).collect())
    }

    /// The places of the elements that may decide about an entry, in their order.
    pub(super) fn candidates(&self, name: &[u8], kind: Kind) -> impl Iterator<Item = usize> {
        let last = usize::from(name.last().copied().unwrap_or_default());
        self.0.iter().enumerate().flat_map(move |(number, block)| {
            let mut left = block.by_last[last];
            if kind != Kind::Directory {
                left &= block.beyond_directories;
            }
            std::iter::from_fn(move || {
                let place = (left != 0).then(|| number * BLOCK + left.trailing_zeros() as usize);
                left &= left.wrapping_sub(1);
                place
            })
        })
    }
}

/// Files of rules that are looked for in each directory.
#[derive(Debug)]
pub(super) struct Files {
    /// Their name in a directory.
    pub(super) name: Vec<u8>,
    /// Where the search above the top of the transfer begins; without it, nothing is searched there.
    pub(super) search: Option<Vec<u8>>,
    /// A file's rules are not in force below its directory.
    pub(super) no_inherit: bool,
    /// How they are read.
    pub(super) style: Style,
}

impl Files {
    /// The files that a rule names; none for a rule that is a pattern, or whose name no file can have.
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

/// The rules of one file, and those of the files above it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) elements: Vec<Element>,
    pub(super) above: Option<Arc<Said>>,
    /// Bytes of all of them.
    pub(super) bytes: usize,
}

impl Element {
    /// The rule that `decides`: this one, or the first of those in the directory's files, which `said` gives.
    pub(super) fn decider<'a>(
        &'a self,
        said: &'a [Option<Arc<Said>>],
        decides: &impl Fn(&Compiled) -> bool,
    ) -> Option<&'a Compiled> {
        match self {
            Self::Rule(rule) => decides(rule).then_some(rule),
            Self::Files(number) => {
                let mut next = said.get(*number).and_then(Option::as_ref);
                while let Some(each) = next {
                    if let Some(rule) = each.elements.iter().find_map(|element| element.decider(said, decides)) {
                        return Some(rule);
                    }
                    next = each.above.as_ref();
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Compiled, Element, Index, Origin};
    use crate::entry::Kind;
    use crate::filter::{Said, Style, parse_rule};

    fn element(text: &str) -> Element {
        let said = parse_rule(text.as_bytes(), &Style::default()).unwrap().pop();
        let Some(Said::Rule(rule)) = said else { panic!("{text} is a rule") };
        Element::Rule(Compiled::new(rule, None, Origin::Request(0)))
    }

    proptest! {
        /// Lists longer than a block, so that places beyond the first are met.
        #[test]
        fn a_rule_that_matches_is_a_candidate(
            patterns in proptest::collection::vec("(- |-! )(/|)[ab*?/]{0,3}[ab*?](\\[ab\\]|\\*\\*\\*|/|)", 1..200),
            name in "[abc]{1,4}",
            is_directory: bool,
        ) {
            let elements: Vec<Element> = patterns.iter().map(|text| element(text)).collect();
            let kind = if is_directory { Kind::Directory } else { Kind::File };
            let path = format!("/{name}/");
            let matching = |at: &usize| {
                elements[*at].decider(&[], &|each| each.is_for((path.as_bytes(), 1), kind)).is_some()
            };
            let candidates: Vec<usize> = Index::new(&elements).candidates(name.as_bytes(), kind).collect();
            prop_assert!(candidates.is_sorted());
            let found: Vec<usize> = candidates.into_iter().filter(matching).collect();
            let all: Vec<usize> = (0..elements.len()).filter(matching).collect();
            prop_assert_eq!(found, all);
        }
    }
}
