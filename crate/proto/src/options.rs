//! The values that the fields of a request have: closed sets, bounds, times and lists.

use crate::closed::closed_set;
use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::Time;
use crate::field::{Codec, Value, get_nested, message, put_nested};
use crate::limits::{DEPTH_MAX, FILE_BYTES_MAX, LANES_MAX, OPTION_DIRECTORIES_MAX, OPTION_PATH_BYTES_MAX, SOURCES_MAX};
use crate::path::RelPath;

closed_set! {
    /// Which way the content goes, as the initiator sees it.
    #[derive(Default)]
    Direction {
        /// From the initiator to the acceptor.
        #[default]
        Push = 0, "push";
        /// From the acceptor to the initiator.
        Pull = 1, "pull";
    }
}

closed_set! {
    /// When the writes of a run are on disk.
    #[derive(Default, PartialOrd, Ord)]
    Durability {
        /// When the system gets to it.
        #[default]
        None = 0, "none";
        /// When the run has succeeded.
        Run = 1, "run";
        /// Each file before it gets its name.
        File = 2, "file";
    }
}

closed_set! {
    /// When packs are compressed.
    #[derive(Default)]
    Compression {
        /// While the path is slow enough for it to pay.
        #[default]
        Auto = 0, "auto";
        /// Always.
        Always = 1, "always";
        /// Never.
        Never = 2, "never";
    }
}

closed_set! {
    /// What happens to a file that changes each time that it is read.
    #[derive(Default)]
    Changing {
        /// It fails.
        #[default]
        Fail = 0, "fail";
        /// One that only grew arrives as it was when it was opened.
        Prefix = 1, "prefix";
    }
}

closed_set! {
    /// How the content of two regular files is compared.
    #[derive(Default)]
    Compare {
        /// Equal size and modification time mean equal content.
        #[default]
        Quick = 0, "quick";
        /// The content itself, by digest, on both ends.
        Content = 1, "content";
        /// Equal size means equal content.
        Size = 2, "size";
        /// Not at all: no file counts as equal.
        None = 3, "none";
    }
}

closed_set! {
    /// What a missing source means.
    #[derive(Default)]
    MissingSources {
        /// A failure.
        #[default]
        Fail = 0, "fail";
        /// Nothing.
        Ignore = 1, "ignore";
        /// Something to be deleted at the destination.
        Delete = 2, "delete";
    }
}

/// When two modification times are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// To the nanosecond.
    #[default]
    Exact,
    /// In whole seconds.
    Seconds,
    /// When they differ by no more nanoseconds than this; their seconds, where these are whole seconds.
    Within(u64),
}

const NANOS: u64 = 1_000_000_000;

/// By how many nanoseconds `a` is later than `b`. As in rsync, a window of whole seconds compares only the seconds.
fn later_by(a: Time, b: Time, window: u64) -> i128 {
    let nanos = |time: Time| if window.is_multiple_of(NANOS) { 0 } else { i128::from(time.nanos) };
    (i128::from(a.seconds) - i128::from(b.seconds)) * i128::from(NANOS) + nanos(a) - nanos(b)
}

impl Window {
    pub(crate) fn equal(self, a: Time, b: Time) -> bool {
        match self {
            Self::Exact => a == b,
            Self::Seconds => a.seconds == b.seconds,
            Self::Within(nanos) => later_by(a, b, nanos).unsigned_abs() <= u128::from(nanos),
        }
    }

    /// Whether `a` counts as newer than `b`. As in rsync it does if it may be newer: from the window before `b` on.
    pub(crate) fn is_newer(self, a: Time, b: Time) -> bool {
        match self {
            Self::Exact => a > b,
            Self::Seconds => a.seconds > b.seconds,
            Self::Within(nanos) => later_by(b, a, nanos) < i128::from(nanos),
        }
    }
}

impl Value for Window {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exact => out.byte(0),
            Self::Seconds => out.byte(1),
            Self::Within(nanos) => {
                out.byte(2);
                out.number(*nanos);
            }
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        match reader.byte(what)? {
            0 => Ok(Self::Exact),
            1 => Ok(Self::Seconds),
            2 => Ok(Self::Within(reader.number(what)?)),
            _ => malformed(what),
        }
    }
}

/// One of the sources of a pull that has several, below the request's root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePath {
    /// Where.
    pub path: RelPath,
    /// The content of the directory goes to the destination. Otherwise the entry goes there under its own name, or, if
    /// `into` is off and the entry is a directory, its content does.
    pub contents: bool,
    /// The entry arrives under its path, without this many names at the beginning.
    pub relative_to: Option<u16>,
}

impl SourcePath {
    /// For a source that arrives under its path: the directory in which that path begins, and the path.
    #[must_use]
    pub fn relative(&self) -> Option<(RelPath, RelPath)> {
        let names = usize::from(self.relative_to?);
        let joined = |path: RelPath, name| path.join(name);
        let above = self.path.components().take(names).fold(RelPath::root(), joined);
        Some((above, self.path.components().skip(names).fold(RelPath::root(), joined)))
    }

    /// The path under which the entry arrives, if it has one. Otherwise the source is the content of a directory, or
    /// may be one where `into` is off.
    #[must_use]
    pub fn arrives_at(&self, into: bool) -> Option<RelPath> {
        if let Some((_, below)) = self.relative() {
            return Some(below).filter(|below| !below.is_root());
        }
        let (_, name) = self.path.split_last().filter(|_| into && !self.contents)?;
        Some(RelPath::root().join(name))
    }
}

message!(SourcePath, "source" {
    1 critical path,
    2 critical contents,
    3 critical relative_to: Depth,
});

/// Directories that an option names, in their order. They take no more memory than on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories(Vec<u8>);

impl Directories {
    /// The list of `paths`; none when an element is no path, or there are too many.
    #[must_use]
    pub fn new(paths: &[&[u8]]) -> Option<Self> {
        let is_path = |path: &&[u8]| !path.is_empty() && path.len() <= OPTION_PATH_BYTES_MAX && !path.contains(&0);
        if paths.len() > OPTION_DIRECTORIES_MAX || !paths.iter().all(is_path) {
            return None;
        }
        let mut out = Vec::with_capacity(paths.iter().map(|path| path.len() + 1).sum());
        for path in paths {
            out.extend_from_slice(path);
            out.push(0);
        }
        Some(Self(out))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split_inclusive(|&byte| byte == 0).filter_map(|path| path.split_last().map(|(_, path)| path))
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The paths, each with a NUL at its end.
impl Value for Directories {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(&self.0);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let length = reader.rest().len();
        if length > OPTION_DIRECTORIES_MAX * (OPTION_PATH_BYTES_MAX + 1) {
            return malformed(what);
        }
        let bytes = reader.take(length, what)?;
        let paths: Vec<&[u8]> = match bytes.split_last() {
            None => Vec::new(),
            Some((0, paths)) => paths.split(|&byte| byte == 0).take(OPTION_DIRECTORIES_MAX + 1).collect(),
            Some(_) => return malformed(what),
        };
        Self::new(&paths).map_or_else(|| malformed(what), Ok)
    }
}

/// A number of names, at most as many as a path may have.
pub(crate) struct Depth;

impl Codec<Option<u16>> for Depth {
    fn put(value: &Option<u16>, out: &mut Vec<u8>) {
        out.number(value.unwrap_or_default().into());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<u16>> {
        match reader.small(what)? {
            names if usize::from(names) <= DEPTH_MAX => Ok(Some(names)),
            _ => malformed(what),
        }
    }
}

/// Bytes, at most as many as a file may have.
pub(crate) struct Size;

impl Codec<Option<u64>> for Size {
    fn put(value: &Option<u64>, out: &mut Vec<u8>) {
        out.number(value.unwrap_or_default());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<u64>> {
        match reader.number(what)? {
            bytes @ 0..=FILE_BYTES_MAX => Ok(Some(bytes)),
            _ => malformed(what),
        }
    }
}

/// Yes, no, or nothing said.
pub(crate) struct Tristate;

impl Codec<Option<bool>> for Tristate {
    fn put(value: &Option<bool>, out: &mut Vec<u8>) {
        out.byte(u8::from(value.unwrap_or_default()));
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<bool>> {
        match reader.byte(what)? {
            said @ (0 | 1) => Ok(Some(said == 1)),
            _ => malformed(what),
        }
    }
}

/// Data lanes of a session.
pub(crate) struct Lanes;

impl Codec<u8> for Lanes {
    fn put(value: &u8, out: &mut Vec<u8>) {
        out.byte(*value);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<u8> {
        match reader.byte(what)? {
            lanes @ 1..=LANES_MAX => Ok(lanes),
            _ => malformed(what),
        }
    }
}

/// Sources one after the other, each behind its length.
pub(crate) struct Sources;

impl Codec<Vec<SourcePath>> for Sources {
    fn put(value: &Vec<SourcePath>, out: &mut Vec<u8>) {
        for source in value {
            put_nested(source, out);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<SourcePath>> {
        let mut sources = Vec::new();
        while !reader.is_empty() {
            if sources.len() == SOURCES_MAX {
                return malformed(what);
            }
            sources.push(get_nested(reader, what)?);
        }
        sources.shrink_to_fit();
        Ok(sources)
    }
}

#[cfg(test)]
mod tests {
    use crate::codec::{Reader, Write};
    use crate::entry::Time;
    use crate::field::get_message;
    use crate::request::Selection;

    use super::Window;

    #[test]
    fn a_window_of_whole_seconds_looks_at_seconds_alone() {
        let time = |seconds, tenths: u32| Time { seconds, nanos: tenths * 100_000_000 };
        let second = Window::Within(1_000_000_000);
        assert!(second.equal(time(10, 1), time(11, 9)) && second.equal(time(11, 9), time(10, 1)));
        assert!(!second.equal(time(10, 9), time(12, 1)));
        let longer = Window::Within(1_500_000_000);
        assert!(!longer.equal(time(10, 1), time(11, 9)) && longer.equal(time(10, 9), time(12, 1)));
        assert!(!Window::Within(2_000_000_000).is_newer(time(10, 9), time(12, 1)));
        assert!(Window::Within(2_000_000_000).is_newer(time(11, 0), time(12, 9)));
        assert!(Window::Within(1).is_newer(time(-1, 9), time(-1, 9)));
    }

    #[test]
    fn a_size_beyond_what_a_file_may_have_is_refused() {
        let read = |bytes: u64| {
            let mut value = Vec::new();
            value.number(bytes);
            let mut out = Vec::new();
            out.number(32 << 1 | 1);
            out.bytes(&value);
            get_message::<Selection>(&mut Reader::new(&out))
        };
        assert_eq!(read(1 << 62).map(|read| read.max_size), Ok(Some(1 << 62)));
        assert!(read((1 << 62) + 1).is_err());
    }
}
