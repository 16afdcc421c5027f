//! A batch as it is read: looked at whole before anything is done. Nothing that it says is taken on its word.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::sync::Arc;

use sparsync_proto::limits::REQUEST_PATHS_BYTES_MAX;
use sparsync_proto::{Frame, FrameDecoder, IdKind, Issue, Kind, PathSet, Paths, RelPath, Request};

use super::input::seekable;
use super::tree::{Content, Held, Part, Tree};
use super::{BatchTree, DROP, END, FILE, FRAMES, HEAD_BYTES, MAGIC, PART, RECORD_BYTES_MAX, VERSION, refused};
use crate::engine::Accounts;
use crate::error::{Error, Result};
use crate::fs::Extent;

/// A batch that was looked at.
pub(crate) struct Opened {
    /// What the run that wrote it asked for.
    pub(crate) request: Box<Request>,
    /// What its source had.
    pub(crate) tree: BatchTree,
    /// The issues of source entries that could not be read then.
    pub(crate) issues: Vec<Issue>,
    /// Names of owners there.
    pub(crate) names: Names,
    /// Bytes of content, and entries.
    pub(crate) bounds: Extent,
}

/// Names that a batch has of owners and groups.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<HashMap<(IdKind, u32), Vec<u8>>>);

impl Accounts for Names {
    fn name_of(&self, kind: IdKind, id: u32) -> Option<Vec<u8>> {
        self.0.get(&(kind, id)).cloned()
    }

    fn id_of(&self, kind: IdKind, name: &[u8]) -> Option<u32> {
        self.0.iter().find(|((of, _), found)| *of == kind && *found == name).map(|((_, id), _)| *id)
    }

    fn is_member(&self, _: u32) -> bool {
        false
    }
}

/// Opens the batch at `path`; one that comes through a pipe is kept in an unnamed file first, as long as `check` lets
/// it.
pub(crate) fn open(path: &[u8], check: &dyn Fn() -> Result<()>) -> Result<Opened> {
    let failed = |error| Error::io("cannot read the batch", path, error);
    let file = seekable(path, check)?;
    let status = file.metadata().map_err(failed)?;
    let again = file.try_clone().map_err(failed)?;
    let mut reading = Reading {
        path,
        input: BufReader::new(file),
        at: 0,
        bytes: status.len(),
        hash: blake3::Hasher::new(),
        request: None,
        paths: [Paths::default(), Paths::default()],
        directories: Vec::new(),
        numbers: BTreeMap::new(),
        open: None,
        issues: Vec::new(),
        names: HashMap::new(),
        parts: Vec::new(),
        content: Vec::new(),
    };
    reading.all()?;
    reading.tree(again)
}

/// A number as it stands in a batch, its least byte first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

struct Reading<'a> {
    path: &'a [u8],
    input: BufReader<File>,
    /// Where the record under way begins.
    at: u64,
    bytes: u64,
    hash: blake3::Hasher,
    request: Option<Box<Request>>,
    /// Its selected and its listed paths.
    paths: [Paths; 2],
    directories: Vec<Held>,
    numbers: BTreeMap<RelPath, usize>,
    /// The directory whose listing is under way.
    open: Option<usize>,
    issues: Vec<Issue>,
    names: HashMap<(IdKind, u32), Vec<u8>>,
    parts: Vec<Part>,
    /// The content of files, by their paths.
    content: Vec<(u64, RelPath, Content)>,
}

impl Reading<'_> {
    fn refuse<T>(&self, reason: &'static str, why: &str) -> Result<T> {
        Err(refused(self.path, self.at, reason, why))
    }

    fn cut<T>(&self) -> Result<T> {
        self.refuse("cut", "the batch is cut short")
    }

    fn edited<T>(&self, why: &str) -> Result<T> {
        self.refuse("edited", why)
    }

    /// Reads bytes that are part of the whole file's digest.
    fn take(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let mut taken = vec![0; bytes];
        match self.input.read_exact(&mut taken) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return self.cut(),
            Err(error) => return Err(Error::io("cannot read the batch", self.path, error)),
        }
        Ok(taken)
    }

    fn all(&mut self) -> Result<()> {
        let begin = self.take(MAGIC.len() + 1)?;
        if begin[..MAGIC.len()] != MAGIC[..] {
            return self.refuse("format", "this is not a batch of sparsync");
        }
        let version = begin[MAGIC.len()];
        if version != VERSION {
            return self.refuse(
                "version",
                &format!("the batch has version {version}, and this sparsync reads version {VERSION}"),
            );
        }
        self.hash.update(&begin);
        self.at = begin.len() as u64;
        while self.record()? {}
        Ok(())
    }

    /// Reads a record. Says false at the end.
    fn record(&mut self) -> Result<bool> {
        let head = self.take(HEAD_BYTES)?;
        let length = number(&head[1..]);
        let end = (self.at + HEAD_BYTES as u64).checked_add(length);
        let Some(end) = end.filter(|end| *end <= self.bytes) else { return self.cut() };
        let Some(bytes) = usize::try_from(length).ok().filter(|bytes| *bytes <= RECORD_BYTES_MAX) else {
            return self.edited("a record that is too long");
        };
        if head[0] == END {
            return self.end(bytes);
        }
        self.hash.update(&head);
        match head[0] {
            FRAMES => {
                let frames = self.take(bytes)?;
                self.hash.update(&frames);
                self.frames(&frames)?;
            }
            PART => self.part(bytes)?,
            FILE => {
                let file = self.take(bytes)?;
                self.hash.update(&file);
                self.file(&file)?;
            }
            DROP if bytes == 0 => self.parts.clear(),
            _ => return self.edited("this is not a record of a batch"),
        }
        self.at = end;
        Ok(true)
    }

    fn end(&mut self, bytes: usize) -> Result<bool> {
        let digest = self.take(bytes)?;
        if digest != self.hash.finalize().as_bytes()[..] {
            return self.edited("what comes before was changed after it was written");
        }
        let more = self.input.read(&mut [0]).map_err(|error| Error::io("cannot read the batch", self.path, error))?;
        if more > 0 { self.edited("there is something after the end of the batch") } else { Ok(false) }
    }

    fn frames(&mut self, frames: &[u8]) -> Result<()> {
        let mut decoder = FrameDecoder::default();
        decoder.feed(frames);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => self.frame(frame)?,
                Ok(None) if decoder.is_empty() => return Ok(()),
                Ok(None) => return self.edited("a frame that is cut short"),
                Err(error) => return self.edited(&error.to_string()),
            }
        }
    }

    fn frame(&mut self, frame: Frame) -> Result<()> {
        match frame {
            Frame::Paths { set: set @ (PathSet::Selected | PathSet::Listed), paths } if self.request.is_none() => {
                let list = &mut self.paths[usize::from(set == PathSet::Listed)];
                if list.bytes() + paths.bytes() > REQUEST_PATHS_BYTES_MAX || !list.append(&paths) {
                    return self.edited("paths out of order");
                }
            }
            Frame::Request(mut request) if self.request.is_none() => {
                let [selected, listed] = std::mem::take(&mut self.paths);
                if !selected.is_empty() || !listed.is_empty() {
                    (request.selected, request.listed) = (selected, listed);
                }
                self.request = Some(request);
            }
            Frame::Issue(issue) => self.issues.push(issue),
            Frame::Owners(names) => self.names.extend(names.into_iter().map(|name| ((name.kind, name.id), name.name))),
            Frame::Directories(all) if self.request.is_some() && self.open.is_none() => {
                let Ok([directory]) = <[_; 1]>::try_from(all) else { return self.edited("several directories") };
                self.open = Some(self.directories.len());
                if self.numbers.insert(directory.path.clone(), self.directories.len()).is_some() {
                    return self.edited("a directory that stands twice");
                }
                self.directories.push(Held::of(directory));
            }
            Frame::List { directory, more, listing } if self.open == Some(directory as usize) => {
                let is_appended = self.directories.last_mut().is_some_and(|held| held.listing.append(&listing));
                if !is_appended {
                    return self.edited("a listing out of order");
                }
                if !more {
                    self.open = None;
                }
            }
            _ => return self.edited("a frame that has no place here"),
        }
        Ok(())
    }

    fn part(&mut self, bytes: usize) -> Result<()> {
        let Some(held) = bytes.checked_sub(8).filter(|held| *held > 0) else { return self.edited("an empty part") };
        let place = self.take(8)?;
        self.hash.update(&place);
        let at = number(&place);
        let (from, held) = (self.at + (HEAD_BYTES + 8) as u64, held as u64);
        let follows = self.parts.last().is_none_or(|last| last.at + last.bytes <= at);
        if !follows || at.checked_add(held).is_none() {
            return self.edited("a part out of order");
        }
        self.parts.push(Part { at, bytes: held, from });
        let skipped = i64::try_from(held).map_err(|error| Error::internal(error.to_string()))?;
        self.input.seek_relative(skipped).map_err(|error| Error::io("cannot read the batch", self.path, error))
    }

    fn file(&mut self, file: &[u8]) -> Result<()> {
        let Some((size, rest)) = file.split_first_chunk::<8>() else { return self.edited("a file that is cut short") };
        let Some((digest, path)) = rest.split_first_chunk::<32>() else {
            return self.edited("a file that is cut short");
        };
        let Ok(path) = RelPath::new(path) else { return self.edited("a file without a path") };
        let (size, mut parts) = (number(size), std::mem::take(&mut self.parts));
        if parts.last().is_some_and(|last| last.at + last.bytes > size) {
            return self.edited("a part behind the end of its file");
        }
        parts.shrink_to_fit();
        self.content.push((self.at, path, Content { size, digest: *digest, parts }));
        Ok(())
    }

    fn tree(mut self, file: File) -> Result<Opened> {
        let Some(request) = self.request.take() else { return self.edited("a batch without a request") };
        if self.open.is_some() || !self.parts.is_empty() {
            return self.edited("a batch whose last record is missing");
        }
        let mut tree = Tree::new(file, std::mem::take(&mut self.directories), std::mem::take(&mut self.numbers));
        if let Err(why) = tree.link() {
            return self.edited(why);
        }
        let mut bytes = 0u64;
        for (at, path, content) in std::mem::take(&mut self.content) {
            self.at = at;
            bytes = bytes.saturating_add(content.size);
            let entry = tree.find(&path).filter(|(_, entry)| entry.kind == Kind::File && entry.size == content.size);
            let inode = entry.map(|(inode, _)| inode);
            if inode.is_none_or(|inode| tree.content.insert(inode, Arc::new(content)).is_some()) {
                return self.edited("the content of what is no such file of the batch");
            }
        }
        let bounds = (Some(bytes), Some(tree.entries()));
        let tree = BatchTree::new(tree);
        Ok(Opened { request, tree, issues: self.issues, names: Names(Arc::new(self.names)), bounds })
    }
}
