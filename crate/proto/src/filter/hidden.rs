//! What an operator hides: paths of a root that no client lists, reads, writes, deletes or asks about.

use std::fmt;
use std::sync::Arc;

use super::compiled::{Compiled, Element, Origin};
use super::in_force::{At, InForce, RuleFileError, RuleFiles, Sought, TreeTop};
use super::parse::{ParseError, Prefixes, Said, Style, parse_rule};
use crate::entry::Kind;
use crate::matcher::Matcher;
use crate::path::RelPath;

/// Patterns of hidden paths, which begin at the top of a root.
#[derive(Debug)]
pub struct HiddenPaths(Vec<Element>);

impl HiddenPaths {
    /// Reads patterns as `--exclude` takes them. `+ ` in front of a pattern exempts its matches from the patterns
    /// behind it.
    ///
    /// # Errors
    /// A pattern is none.
    pub fn new(patterns: &[Vec<u8>]) -> Result<Self, ParseError> {
        let style = Style { prefixes: Prefixes::Optional { include: false }, absolute: true, ..Style::default() };
        let mut elements = Vec::new();
        for (number, pattern) in patterns.iter().enumerate() {
            for said in parse_rule(pattern, &style)? {
                match said {
                    Said::Rule(rule) => {
                        elements.push(Element::Rule(Compiled::new(rule, None, Origin::Request(number))));
                    }
                    Said::Clear => elements.clear(),
                    // Patterns name no files.
                    Said::Merge { .. } | Said::Cvs { .. } => {}
                }
            }
        }
        Ok(Self(elements))
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an entry of a directory is hidden.
    fn hides(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        at.with_place(name, |path| {
            self.0.iter().find_map(|element| element.decider(&[], &|each| each.is_for(path, kind)))
        })
        .flatten()
        .is_some_and(|rule| !rule.rule.include)
    }

    /// Whether the path below the root, or a directory above it, is hidden; `kind` is that of the entry at the path.
    #[must_use]
    pub fn hides_path(&self, path: &RelPath, kind: Kind) -> bool {
        let in_force = InForce::default();
        path.any_up(kind, |parent, name, kind| self.hides(&At::new(parent, &in_force), name, kind))
    }
}

/// A matcher of a run in a root with hidden paths.
pub struct Hiding {
    hidden: Arc<HiddenPaths>,
    matcher: Box<dyn Matcher>,
}

impl Hiding {
    /// Takes the entries that `matcher` takes, without hidden ones.
    #[must_use]
    pub fn new(hidden: Arc<HiddenPaths>, matcher: Box<dyn Matcher>) -> Self {
        Self { hidden, matcher }
    }
}

impl fmt::Debug for Hiding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hidden patterns must not appear in a message.
        f.debug_struct("Hiding").field("matcher", &self.matcher).finish_non_exhaustive()
    }
}

impl Matcher for Hiding {
    fn narrowed(&self) -> Option<&dyn Matcher> {
        Some(&*self.matcher)
    }

    fn takes(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        !self.hidden.hides(at, name, kind) && self.matcher.takes(at, name, kind)
    }

    fn may_be_sent(&self, path: &RelPath, name: &[u8], kind: Kind) -> bool {
        self.matcher.may_be_sent(path, name, kind)
    }

    fn hides(&self, at: &At<'_>, name: &[u8], kind: Kind) -> bool {
        self.hidden.hides(at, name, kind)
    }

    fn has_hidden(&self) -> bool {
        true
    }

    fn deletes(&self, at: &At<'_>, name: &[u8], kind: Kind, in_deleted: bool) -> bool {
        !self.hidden.hides(at, name, kind) && self.matcher.deletes(at, name, kind, in_deleted)
    }

    fn takes_all_below(&self, _: &RelPath) -> bool {
        false
    }

    fn ends_differ(&self) -> bool {
        true
    }

    fn asks_kinds(&self) -> bool {
        true
    }

    fn above(&self, trees: Vec<TreeTop>, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        if self.matcher.ends_differ() {
            return self.matcher.above(trees, files);
        }
        // The place of a tree decides which of its entries are hidden.
        InForce::above(trees, Sought { files: &[], ignored: false }, files)
    }

    fn enter(&self, path: &RelPath, above: &InForce, files: &mut dyn RuleFiles) -> Result<InForce, RuleFileError> {
        if self.matcher.ends_differ() { self.matcher.enter(path, above, files) } else { Ok(above.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::HiddenPaths;
    use crate::entry::Kind;
    use crate::path::RelPath;

    #[test]
    fn what_is_below_a_hidden_directory_is_hidden() {
        let patterns = [&b"/private/"[..], b"+ keep.key", b"*.key"].map(<[u8]>::to_vec);
        let hidden = HiddenPaths::new(&patterns).unwrap();
        for (path, kind, expected) in [
            ("private", Kind::Directory, true),
            ("private", Kind::File, false),
            ("private/a", Kind::File, true),
            ("x/private", Kind::Directory, false),
            ("x/a.key", Kind::File, true),
            ("x/keep.key", Kind::File, false),
            ("x.key/y", Kind::File, true),
            ("", Kind::Directory, false),
        ] {
            assert_eq!(hidden.hides_path(&RelPath::new(path.as_bytes()).unwrap(), kind), expected, "{path}");
        }
        assert!(HiddenPaths::new(&[Vec::new()]).is_err());
    }
}
