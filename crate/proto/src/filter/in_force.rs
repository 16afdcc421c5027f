//! The rules that are in force in a directory, besides those of the request: those of its own file and of files above
//! it.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::compiled::{Compiled, Element, Files, Origin, Said};
use super::ignored::{Ignored, Search};
use super::parse::{self, ParseError, Style, parse_file};
use super::rule::Rule;
use crate::limits::{FILTER_BYTES_IN_FORCE_MAX, FILTER_FILES_MAX, FILTER_MERGE_DEPTH_MAX};
use crate::path::{Name, RelPath};

/// The result of reading a file of rules.
#[derive(Debug)]
pub enum RuleFile {
    /// Its content.
    Content(Vec<u8>),
    /// It is not there, or is a directory.
    Missing,
    /// The file is there and cannot be read. Its rules are not known, and this was told.
    Unread,
}

/// Whether a symlink in the place of a file of rules leads to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// It does, if it is nobody else's.
    Followed,
    /// The file is unread, and this is told.
    Refused,
}

/// Reads files of rules, at the end that has them.
pub trait RuleFiles {
    /// The file `name` of the directory that is entered, of the tree `tree`.
    fn own(&mut self, tree: usize, name: &[u8], symlinks: Symlinks) -> RuleFile;

    /// A file by its path in the file system, without a slash before it; it has no `.` or `..` in it.
    fn by_path(&mut self, tree: usize, path: &[u8], symlinks: Symlinks) -> RuleFile;

    /// Whether the directory that is entered has an entry of this name.
    fn own_exists(&mut self, tree: usize, name: &[u8]) -> bool;

    /// Whether something stands at a path in the file system.
    fn exists(&mut self, tree: usize, path: &[u8]) -> bool;
}

/// A file of rules that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFileError {
    /// The file, by its path in the file system or below the server's root.
    pub file: Vec<u8>,
    /// The error. It has nothing of the file's content.
    pub why: String,
}

impl Display for RuleFileError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for RuleFileError {}

/// A tree of a run, as its filter has to know it.
#[derive(Clone, Debug)]
pub struct TreeTop {
    /// The path of the tree in the file system, or below the server's root: names joined by `/`, without a slash at the
    /// beginning.
    pub path: Vec<u8>,
    /// How many names lead from the transfer's top to the tree. Where one of them is a symlink they are no part of
    /// `path`.
    pub inside: usize,
    /// The tree is one entry of the top: files of rules beside it and above do not apply to it.
    pub is_entry: bool,
}

impl TreeTop {
    /// Whether what is judged in the directory at `path` is the entry that a source names: it was asked for, and as
    /// with rsync no file of rules decides about it.
    fn is_named_in(&self, path: &RelPath) -> bool {
        self.is_entry && path.is_root()
    }
}

/// The rules that files have in one directory of one tree.
#[derive(Clone, Debug)]
struct Directory {
    top: Arc<TreeTop>,
    /// The files that are looked for: those that the request names, then those that files have named.
    files: Vec<Arc<Files>>,
    /// The rules that each of them has here.
    said: Vec<Option<Arc<Said>>>,
    /// Files that say what git ignores here.
    ignored: Option<Arc<Ignored>>,
}

/// The files that a filter looks for in directories.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'a> {
    /// Files of rules.
    pub(super) files: &'a [Arc<Files>],
    /// Files that say what git ignores.
    pub(super) ignored: bool,
}

/// The rules that files have in a directory, for each tree of the run; none where no rule names files.
#[derive(Clone, Debug, Default)]
pub struct InForce(Option<Arc<[Arc<Directory>]>>);

impl InForce {
    /// The rules in force above the tops of `trees`, for a filter that looks for the files `sought`.
    pub(super) fn above(
        trees: Vec<TreeTop>,
        sought: Sought<'_>,
        reader: &mut dyn RuleFiles,
    ) -> Result<Self, RuleFileError> {
        let begin = |(number, tree): (usize, TreeTop)| {
            let mut search = Search { tree: number, reader: &mut *reader };
            let ignored = if sought.ignored { search.above(&tree.path, tree.is_entry) } else { None };
            let (files, said) = (sought.files.to_vec(), vec![None; sought.files.len()]);
            let mut directory = Directory { top: Arc::new(tree), files, said, ignored };
            directory.search(number, reader).map(|()| Arc::new(directory))
        };
        trees.into_iter().enumerate().map(begin).collect::<Result<_, _>>().map(|trees| Self(Some(trees)))
    }

    /// The rules in force in the directory at `path`, given those in force above it.
    pub(super) fn enter(
        &self,
        path: &RelPath,
        sought: Sought<'_>,
        reader: &mut dyn RuleFiles,
    ) -> Result<Self, RuleFileError> {
        let Some(trees) = &self.0 else { return Ok(Self::default()) };
        let mut entered: Option<Vec<Arc<Directory>>> = None;
        for (number, tree) in trees.iter().enumerate() {
            if tree.top.is_named_in(path) {
                continue;
            }
            if let Some(directory) = tree.enter(path, (number, sought.ignored), reader)? {
                entered.get_or_insert_with(|| trees.to_vec())[number] = Arc::new(directory);
            }
        }
        Ok(entered.map_or_else(|| self.clone(), |entered| Self(Some(entered.into()))))
    }
}

impl Directory {
    /// Reads the files in the directories above the top, from where the search of each begins.
    fn search(&mut self, tree: usize, reader: &mut dyn RuleFiles) -> Result<(), RuleFileError> {
        let top = Arc::clone(&self.top);
        for number in 0..self.files.len() {
            let files = Arc::clone(&self.files[number]);
            let Some(begin) = files.search.as_ref().and_then(|search| resolved(&top.path, search)) else { continue };
            for directory in down_to(&top.path, &begin, top.is_entry) {
                let path = joined(directory, &files.name);
                if let RuleFile::Content(content) = reader.by_path(tree, &path, Symlinks::Followed) {
                    let begin = begin_below(directory);
                    self.take(number, (tree, &content, path), begin, reader)?;
                }
            }
        }
        Ok(())
    }

    /// The rules in force below, if they are others.
    fn enter(
        &self,
        path: &RelPath,
        (tree, seeks_ignored): (usize, bool),
        reader: &mut dyn RuleFiles,
    ) -> Result<Option<Self>, RuleFileError> {
        let mut entered: Option<Self> = None;
        if seeks_ignored {
            let mut search = Search { tree, reader: &mut *reader };
            let (ignored, changed) = search.enter((&self.top.path, path), self.ignored.as_ref());
            if changed {
                entered = Some(Self { ignored, ..self.clone() });
            }
        }
        let mut number = 0;
        while let Some(files) = entered.as_ref().unwrap_or(self).files.get(number).cloned() {
            let read = match &files.name[..] {
                b"" => RuleFile::Missing,
                name => reader.own(tree, name, Symlinks::Followed),
            };
            let said = entered.as_ref().unwrap_or(self).said.get(number).is_some_and(Option::is_some);
            if matches!(read, RuleFile::Content(_)) || (files.no_inherit && said) {
                let directory = entered.get_or_insert_with(|| self.clone());
                if files.no_inherit {
                    directory.said[number] = None;
                }
                if let RuleFile::Content(content) = read {
                    let place = joined(&self.top.path, path.as_bytes());
                    let begin = begin_below(&place);
                    let file = joined(&place, &files.name);
                    directory.take(number, (tree, &content, file), begin, reader)?;
                }
            }
            number += 1;
        }
        Ok(entered)
    }

    /// Adds the rules of `file`, whose directory begins `begin` bytes into a path in the file system.
    fn take(
        &mut self,
        number: usize,
        (tree, content, file): (usize, &[u8], Vec<u8>),
        begin: usize,
        reader: &mut dyn RuleFiles,
    ) -> Result<(), RuleFileError> {
        let style = self.files[number].style;
        let above = self.said[number].take();
        let bytes = content.len() + above.as_ref().map_or(0, |above| above.bytes);
        let mut taken = Taken { elements: Vec::new(), above, bytes };
        self.add(&mut taken, &style, (tree, content, &Arc::from(file)), begin, (reader, 0))?;
        self.said[number] = Some(Arc::new(Said { elements: taken.elements, above: taken.above, bytes: taken.bytes }));
        Ok(())
    }

    fn add(
        &mut self,
        taken: &mut Taken,
        style: &Style,
        (tree, content, file): (usize, &[u8], &Arc<[u8]>),
        begin: usize,
        (reader, depth): (&mut dyn RuleFiles, usize),
    ) -> Result<(), RuleFileError> {
        let failed = |why: String| RuleFileError { file: file.to_vec(), why };
        if taken.bytes > FILTER_BYTES_IN_FORCE_MAX {
            return Err(failed(format!("the filter rules in force have more than {FILTER_BYTES_IN_FORCE_MAX} bytes")));
        }
        let all = parse_file(content, style).map_err(|error: ParseError| failed(error.to_string()))?;
        for (line, said) in all {
            match said {
                parse::Said::Clear => {
                    taken.elements.clear();
                    taken.above = None;
                }
                parse::Said::Rule(rule) => self.add_rule(taken, rule, (file, line), begin)?,
                parse::Said::Merge { file: merged, style } => {
                    let directory = file.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |at| &file[..at]);
                    let path = resolved(directory, &merged);
                    let content = path.as_ref().map(|path| reader.by_path(tree, path, Symlinks::Followed));
                    let (Some(RuleFile::Content(content)), Some(path)) = (content, path) else {
                        return Err(failed(format!("line {line}: the file that it merges cannot be read")));
                    };
                    if depth >= FILTER_MERGE_DEPTH_MAX {
                        return Err(failed(format!("line {line}: files of rules merge each other without an end")));
                    }
                    taken.bytes += content.len();
                    self.add(taken, &style, (tree, &content, &Arc::from(path)), begin, (&mut *reader, depth + 1))?;
                }
                // The patterns of the user are not those of the other end's.
                parse::Said::Cvs { patterns, of_user: _ } => {
                    patterns.into_iter().try_for_each(|rule| self.add_rule(taken, rule, (file, line), begin))?;
                }
            }
        }
        Ok(())
    }

    fn add_rule(
        &mut self,
        taken: &mut Taken,
        rule: Rule,
        (file, line): (&Arc<[u8]>, u32),
        begin: usize,
    ) -> Result<(), RuleFileError> {
        let failed = |why: &str| Err(RuleFileError { file: file.to_vec(), why: format!("line {line}: {why}") });
        if rule.xattr {
            return failed("rules for extended attributes stand in the list of the run alone");
        }
        match Files::of(&rule) {
            None => {
                let origin = Origin::File(Arc::clone(file), line);
                taken.elements.push(Element::Rule(Compiled::new(rule, Some(begin), origin)));
            }
            // A file that is looked for already keeps the place where it was named first.
            Some(files) if self.files.iter().any(|known| known.name == files.name) => {}
            Some(_) if self.files.len() >= FILTER_FILES_MAX => {
                return failed(&format!("more than {FILTER_FILES_MAX} names of files of rules"));
            }
            Some(files) => {
                taken.elements.push(Element::Files(self.files.len()));
                self.files.push(Arc::new(files));
                self.said.push(None);
            }
        }
        Ok(())
    }
}

/// The parts of a file that were read.
struct Taken {
    elements: Vec<Element>,
    above: Option<Arc<Said>>,
    bytes: usize,
}

/// Where the paths of a directory's entries begin, in bytes of a path in the file system that has a slash at its
/// beginning.
pub(super) fn begin_below(directory: &[u8]) -> usize {
    directory.len() + usize::from(!directory.is_empty()) + 1
}

pub(super) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (b"", name) => name.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, name) => [directory, b"/", name].concat(),
    }
}

/// The path to which `path` leads from the directory `from`, by its text; none when it leads above the file system's
/// root.
#[must_use]
pub fn resolved(from: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let begin: &[u8] = if path.first() == Some(&b'/') { b"" } else { from };
    let mut names: Vec<&[u8]> = begin.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join(&b'/'))
}

/// The directories from `begin` down to the one above `top`, or to `top` itself when `with_top`; none when `top` is not
/// below `begin`.
fn down_to<'a>(top: &'a [u8], begin: &[u8], with_top: bool) -> Vec<&'a [u8]> {
    let is_within = |end: usize| end == top.len() || top[end] == b'/';
    let reaches = begin.is_empty() || (top.starts_with(begin) && is_within(begin.len()));
    if !reaches {
        return Vec::new();
    }
    let mut ends: Vec<usize> = (begin.len()..top.len()).filter(|&end| end > 0 && top[end] == b'/').collect();
    if begin.is_empty() && !top.is_empty() {
        ends.insert(0, 0);
    }
    if with_top {
        ends.push(top.len());
    }
    ends.into_iter().map(|end| &top[..end]).collect()
}

/// A directory in which names are judged, with the rules that are in force there.
#[derive(Debug)]
pub struct At<'a> {
    path: &'a RelPath,
    in_force: &'a InForce,
    tree: Cell<usize>,
    /// The path of the last name that was asked about, between two slashes. It is kept so that further questions about
    /// the name need not build it again.
    buffer: RefCell<Buffer>,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Where the path below the top begins; 0 while no path was built.
    top: usize,
    /// Where the name begins.
    name: usize,
}

impl<'a> At<'a> {
    /// The directory at `path`.
    #[must_use]
    pub fn new(path: &'a RelPath, in_force: &'a InForce) -> Self {
        Self { path, in_force, tree: Cell::new(0), buffer: RefCell::default() }
    }

    /// The directory as it is in the tree of this number.
    pub fn set_tree(&self, tree: usize) {
        if self.tree.replace(tree) != tree {
            self.buffer.take();
        }
    }

    /// Its path below the top.
    #[must_use]
    pub fn path(&self) -> &'a RelPath {
        self.path
    }

    fn directory(&self) -> Option<&'a Directory> {
        self.in_force.0.as_ref().and_then(|trees| trees.get(self.tree.get())).map(AsRef::as_ref)
    }

    /// The rules of files that decide here.
    pub(super) fn said(&self) -> &'a [Option<Arc<Said>>] {
        let directory = self.directory().filter(|directory| !directory.top.is_named_in(self.path));
        directory.map_or(&[], |directory| &directory.said)
    }

    /// Files that say what git ignores here.
    pub(super) fn ignored(&self) -> Option<&'a Arc<Ignored>> {
        self.directory().and_then(|directory| directory.ignored.as_ref())
    }

    /// Calls `ask` with the path of `name` between two slashes, and where the path below the top begins in it.
    pub(super) fn with_path<T>(&self, name: &[u8], ask: impl FnOnce((&[u8], usize)) -> T) -> T {
        let mut buffer = self.buffer.borrow_mut();
        let Buffer { bytes, top, name: begin } = &mut *buffer;
        if *top == 0 {
            bytes.push(b'/');
            for part in [self.directory().map_or(&b""[..], |directory| &directory.top.path), self.path.as_bytes()] {
                *top = bytes.len();
                bytes.extend_from_slice(part);
                if !part.is_empty() {
                    bytes.push(b'/');
                }
            }
            *begin = bytes.len();
        }
        bytes.truncate(*begin);
        bytes.extend_from_slice(name);
        bytes.push(b'/');
        ask((bytes, *top))
    }

    /// The same with the place of `name` in the file system. Directories on the way to a tree have one name each, the
    /// next of the way, and it is asked about nowhere.
    pub(super) fn with_place<T>(&self, name: &[u8], ask: impl FnOnce((&[u8], usize)) -> T) -> Option<T> {
        let Some(top) = self.directory().map(|directory| &directory.top).filter(|top| top.inside > 0) else {
            return Some(self.with_path(name, ask));
        };
        let names: Vec<&[u8]> = self.path.components().map(Name::as_bytes).collect();
        let below = names.get(top.inside..)?;
        let mut bytes = vec![b'/'];
        for part in [&top.path[..]].iter().chain(below).chain(&[name]).filter(|part| !part.is_empty()) {
            bytes.extend_from_slice(part);
            bytes.push(b'/');
        }
        Some(ask((&bytes, begin_below(&top.path))))
    }
}

#[cfg(test)]
mod tests {
    use super::{down_to, resolved};

    #[test]
    fn a_path_is_resolved_by_its_text() {
        for (from, path, expected) in [
            ("a/b", "c", Some("a/b/c")),
            ("a/b", "../c/./d", Some("a/c/d")),
            ("a", "../..", None),
            ("a", "/x//y/", Some("x/y")),
            ("", "c", Some("c")),
        ] {
            assert_eq!(resolved(from.as_bytes(), path.as_bytes()).as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn the_search_leads_from_its_beginning_to_the_top() {
        let found = |top: &'static str, begin: &str, with_top: bool| -> Vec<&str> {
            let all = down_to(top.as_bytes(), begin.as_bytes(), with_top);
            all.into_iter().map(|path| std::str::from_utf8(path).unwrap()).collect()
        };
        assert_eq!(found("a/b/c", "", false), ["", "a", "a/b"]);
        assert_eq!(found("a/b/c", "a", true), ["a", "a/b", "a/b/c"]);
        assert_eq!(found("a/b/c", "a/b/c", false), [""; 0]);
        assert_eq!(found("a/b/c", "x", true), [""; 0]);
        assert_eq!(found("ab/c", "a", true), [""; 0]);
        assert_eq!(found("", "", false), [""; 0]);
        assert_eq!(found("", "", true), [""]);
    }
}
