//! The log of `serve`: a line for each thing that happened, in a file or on stderr.

use std::fs::File;
use std::io::{ErrorKind, Stderr, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sparsync_core::{Error, LogFormat, Noted, Result};

/// How a log is kept.
pub(crate) struct LogOptions {
    /// The file; stderr without one.
    pub(crate) path: Option<PathBuf>,
    /// What its lines are like.
    pub(crate) format: LogFormat,
}

/// A log that is written.
pub(crate) struct Log {
    options: LogOptions,
    out: Mutex<Out>,
}

/// Where lines go.
struct Out {
    file: Option<Lines<File>>,
    stderr: Lines<Stderr>,
    /// Lines that are missing since the last one that was written.
    missing: u64,
}

/// Lines, of which the last may be there in part.
struct Lines<W> {
    to: W,
    is_cut: bool,
}

impl<W: Write> Lines<W> {
    const fn of(to: W) -> Self {
        Self { to, is_cut: false }
    }

    /// Writes a line, and says whether it is there. Behind a part of one it begins with an end of line.
    fn put(&mut self, line: &str) -> bool {
        let bytes = format!("{}{line}\n", if self.is_cut { "\n" } else { "" });
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            match self.to.write(rest) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(written) => {
                    self.is_cut = rest.get(written - 1) != Some(&b'\n');
                    rest = rest.get(written..).unwrap_or_default();
                }
            }
        }
        rest.is_empty()
    }
}

impl Out {
    /// Writes to stderr what the file does not take: a full disk must not hide who did what.
    fn put(&mut self, line: &str) -> bool {
        self.file.as_mut().is_some_and(|file| file.put(line)) || self.stderr.put(line)
    }
}

impl Log {
    /// Opens the file, so that an error is known before anything is served.
    pub(crate) fn open(options: LogOptions) -> Result<Self> {
        let file = open(&options)?;
        let out = Out { file, stderr: Lines::of(std::io::stderr()), missing: 0 };
        Ok(Self { options, out: Mutex::new(out) })
    }

    /// Writes of something that happened, and says whether that is not lost.
    pub(crate) fn note(&self, noted: &Noted<'_>) -> bool {
        match noted {
            // If the file cannot be opened again, the log goes on in the old one.
            Noted::Reload { .. } => match open(&self.options) {
                Ok(file) => self.lock().file = file,
                Err(error) => _ = self.lock().stderr.put(&error.to_string()),
            },
            // On stderr it would repeat the line of stdout.
            Noted::Listening { .. } if self.options.path.is_none() => return true,
            _ => {}
        }
        let format = self.options.format;
        let Some(line) = format.line(noted) else { return true };
        let mut out = self.lock();
        if out.missing > 0
            && let Some(dropped) = format.line(&Noted::Dropped(out.missing))
            && out.put(&dropped)
        {
            out.missing = 0;
        }
        let is_written = out.missing == 0 && out.put(&line);
        out.missing += u64::from(!is_written);
        is_written
    }

    fn lock(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(options: &LogOptions) -> Result<Option<Lines<File>>> {
    let Some(path) = &options.path else { return Ok(None) };
    let path = path.as_os_str().as_encoded_bytes();
    let opened = sparsync_core::open_log(path, 0o640, false);
    opened.map(|file| Some(Lines::of(file))).map_err(|error| Error::io("cannot write the log", path, error))
}
