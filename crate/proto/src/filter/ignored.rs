//! Files that say what git ignores: where they apply, and which decides.

use std::sync::Arc;

use super::Decider;
use super::compiled::Origin;
use super::git::GitFile;
use super::in_force::{RuleFile, RuleFiles, Symlinks, begin_below, joined};
use crate::limits::FILTER_BYTES_IN_FORCE_MAX;
use crate::path::RelPath;

/// The name of the files.
const FILE: &[u8] = b".gitignore";

/// The entry by which a directory begins a repository.
const REPOSITORY: &[u8] = b".git";

/// The patterns of a repository that are not in its tree.
const EXCLUDE: &[u8] = b".git/info/exclude";

/// Files that apply in a directory: the deepest, and those above it.
#[derive(Debug)]
pub(super) struct Ignored {
    file: GitFile,
    path: Arc<[u8]>,
    /// Where the path below its directory begins in a path between slashes.
    begin: usize,
    above: Option<Arc<Ignored>>,
    bytes: usize,
}

impl Ignored {
    /// Whether the entry is left alone.
    pub(super) fn ignores(this: Option<&Arc<Self>>, buffer: &[u8], is_directory: bool) -> bool {
        let decides = |each: &Self| Some(each.file.decider(each.below(buffer), is_directory)?.ignored);
        std::iter::successors(this, |each| each.above.as_ref()).find_map(|each| decides(each)).unwrap_or_default()
    }

    /// The pattern that decides.
    pub(super) fn decider(this: Option<&Arc<Self>>, buffer: &[u8], is_directory: bool) -> Option<Decider> {
        std::iter::successors(this, |each| each.above.as_ref()).find_map(|each| {
            let line = each.file.decider(each.below(buffer), is_directory)?;
            let origin = Origin::File(Arc::clone(&each.path), line.number);
            Some(Decider { include: !line.ignored, text: line.text.clone(), origin })
        })
    }

    fn below<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.begin..buffer.len() - 1]
    }
}

/// The files that are in force, while they are found.
pub(super) struct Search<'a> {
    pub(super) tree: usize,
    pub(super) reader: &'a mut dyn RuleFiles,
}

impl Search<'_> {
    /// The files in force above the top of a tree: those of the repository that holds it. The top itself counts as
    /// above the tree when the tree is one entry of it.
    pub(super) fn above(&mut self, top: &[u8], with_top: bool) -> Option<Arc<Ignored>> {
        let end = if with_top { Some(top.len()) } else { parent(top) };
        let mut repository = end;
        while let Some(at) = repository {
            if self.reader.exists(self.tree, &joined(&top[..at], REPOSITORY)) {
                break;
            }
            repository = parent(&top[..at]);
        }
        let (repository, end) = (repository?, end?);
        let mut found = self.by_path(&top[..repository], EXCLUDE, None);
        let below = (repository + 1..=end).filter(|&at| at == top.len() || top[at] == b'/');
        for at in std::iter::once(repository).chain(below) {
            found = self.by_path(&top[..at], FILE, found);
        }
        found
    }

    /// The files in force in the directory at `path` below `top`, and whether they are others than above it.
    pub(super) fn enter(
        &mut self,
        (top, path): (&[u8], &RelPath),
        above: Option<&Arc<Ignored>>,
    ) -> (Option<Arc<Ignored>>, bool) {
        let here = joined(top, path.as_bytes());
        let mut found = above.cloned();
        let mut changed = false;
        if self.reader.own_exists(self.tree, REPOSITORY) {
            found = self.by_path(&here, EXCLUDE, None);
            changed = above.is_some() || found.is_some();
        }
        if let RuleFile::Content(content) = self.reader.own(self.tree, FILE, symlinks(FILE)) {
            found = Some(Self::add(&here, FILE, &content, found));
            changed = true;
        }
        (found, changed)
    }

    fn by_path(&mut self, directory: &[u8], name: &[u8], above: Option<Arc<Ignored>>) -> Option<Arc<Ignored>> {
        match self.reader.by_path(self.tree, &joined(directory, name), symlinks(name)) {
            RuleFile::Content(content) => Some(Self::add(directory, name, &content, above)),
            RuleFile::Missing | RuleFile::Unread => above,
        }
    }

    fn add(directory: &[u8], name: &[u8], content: &[u8], above: Option<Arc<Ignored>>) -> Arc<Ignored> {
        let bytes = content.len() + above.as_ref().map_or(0, |above| above.bytes);
        // Patterns beyond the limit are not read, so the entries that they match belong to the run.
        let room = FILTER_BYTES_IN_FORCE_MAX.saturating_sub(bytes - content.len()).min(content.len());
        let is_end = |&at: &usize| at == content.len() || content[at] == b'\n';
        let room = (0..=room).rev().find(is_end).unwrap_or_default();
        let begin = begin_below(directory);
        let file = GitFile::read(&content[..room]);
        Arc::new(Ignored { file, path: joined(directory, name).into(), begin, above, bytes })
    }
}

/// As in git, a symlink in the tree is no file of patterns.
fn symlinks(name: &[u8]) -> Symlinks {
    if name == FILE { Symlinks::Refused } else { Symlinks::Followed }
}

/// The length of the directory's path above a path; none for the root.
fn parent(path: &[u8]) -> Option<usize> {
    if path.is_empty() {
        return None;
    }
    Some(path.iter().rposition(|&byte| byte == b'/').unwrap_or(0))
}
