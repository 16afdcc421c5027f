//! What git's patterns mean, by the `ignore` crate.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};
use sparsync_proto::{IgnoreFile, IgnoreSyntax, IgnoreVerdict};

/// The syntax of `.gitignore`.
#[derive(Debug)]
pub(crate) struct GitSyntax;

/// One file.
#[derive(Debug)]
struct File(Gitignore);

impl IgnoreSyntax for GitSyntax {
    fn read(&self, content: &[u8]) -> Arc<dyn IgnoreFile> {
        let mut builder = GitignoreBuilder::new("");
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        for (number, line) in content.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // A line that is no pattern, or no text, matches nothing. Its number is passed as the path of a file, from
            // where `verdict` reads it.
            if let Ok(line) = std::str::from_utf8(line) {
                let _ = builder.add_line(Some(PathBuf::from((number + 1).to_string())), line);
            }
        }
        Arc::new(File(builder.build().unwrap_or_else(|_| Gitignore::empty())))
    }
}

impl IgnoreFile for File {
    fn verdict(&self, path: &[u8], is_directory: bool) -> Option<IgnoreVerdict> {
        let (ignored, glob) = match self.matched(path, is_directory) {
            Match::None => return None,
            Match::Ignore(glob) => (true, glob),
            Match::Whitelist(glob) => (false, glob),
        };
        let line = glob.from().and_then(|from| from.to_str()?.parse().ok()).unwrap_or_default();
        Some(IgnoreVerdict { ignored, pattern: glob.original().as_bytes().to_vec(), line })
    }

    fn ignores(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        match self.matched(path, is_directory) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }
}

impl File {
    fn matched(&self, path: &[u8], is_directory: bool) -> Match<&Glob> {
        self.0.matched(Path::new(OsStr::from_bytes(path)), is_directory)
    }
}
