//! Edits the file of authorized keys for its operator.

use std::path::{Path, PathBuf};

use super::key_line::{parse_line, words};
use super::{PublicKey, Scope, private_file};
use crate::{Error, ErrorKind, Result};

/// A file of authorized keys. The value only holds the path; each call reads the file anew.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// A key of the file.
#[derive(Clone, Debug)]
pub struct AuthorizedKey {
    /// The line that it stands on, from 1.
    pub line: u64,
    /// The key.
    pub key: PublicKey,
    /// What it may do.
    pub scope: Scope,
    /// The line itself.
    text: String,
}

impl AuthorizedKey {
    /// Its roots, with prefixes, as they stand on the line; none for all.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        words(&self.text).filter_map(|word| word.strip_prefix("root="))
    }
}

impl KeyFile {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of the file; none when it is missing.
    ///
    /// Fails with [`ErrorKind::Config`] (detail `line`) when a line is malformed, with [`ErrorKind::Io`] when the file
    /// cannot be read.
    pub fn keys(&self) -> Result<Vec<AuthorizedKey>> {
        match private_file::read(&self.path)? {
            Some((text, _)) => self.parse(&text),
            None => Ok(Vec::new()),
        }
    }

    /// Adds a line, which replaces those that have its key already. Comments and other lines stay; the file is replaced
    /// in one step, a new one is 0600 with its missing parent directories 0700.
    pub fn add(&self, line: &str) -> Result<()> {
        let refuse = |why: String| Error::new(ErrorKind::Config, why);
        let Some((key, _)) = parse_line(line).map_err(refuse)? else {
            return Err(refuse("the line is empty".to_owned()));
        };
        self.change(|found| found.key == key, Some(line)).map(|_| ())
    }

    /// Removes the keys that have this name, or are this key, and gives them.
    pub fn revoke(&self, who: &str) -> Result<Vec<AuthorizedKey>> {
        self.change(|found| found.scope.name == who || found.key.to_string() == who, None)
    }

    /// Removes the keys that `goes` says, and adds a line.
    fn change(&self, goes: impl Fn(&AuthorizedKey) -> bool, line: Option<&str>) -> Result<Vec<AuthorizedKey>> {
        private_file::change(&self.path, |text, _| {
            let gone: Vec<_> = self.parse(text)?.into_iter().filter(|found| goes(found)).collect();
            if gone.is_empty() && line.is_none() {
                return Ok((None, gone));
            }
            let is_gone = |number, _: &str| gone.iter().any(|gone| gone.line == number);
            let mut kept = private_file::without_lines(text, is_gone);
            if let Some(line) = line {
                private_file::push_line(&mut kept, line);
            }
            Ok((Some(kept), gone))
        })
    }

    fn parse(&self, text: &str) -> Result<Vec<AuthorizedKey>> {
        let mut keys = Vec::new();
        for (line, content) in (1u64..).zip(text.lines()) {
            let refuse = |why: String| private_file::malformed(&self.path, line, &why);
            if let Some((key, scope)) = parse_line(content).map_err(refuse)? {
                keys.push(AuthorizedKey { line, key, scope, text: content.trim().to_owned() });
            }
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::KeyFile;
    use crate::trust::PublicKey;
    use crate::{Detail, ErrorKind};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    #[test]
    fn keys_are_added_replaced_and_revoked_beside_comments() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = KeyFile::new(directory.path().join("deep/authorized_keys"));
        assert!(file.keys().expect("no file").is_empty());
        assert!(file.revoke("a").expect("no file").is_empty());
        file.add(&format!("a {} root=x", key(1))).expect("added");
        assert_eq!(fs::metadata(file.path()).expect("metadata").mode() & 0o777, 0o600);
        let text = format!("# ours\na {}\n\nb {} allow=read # two\nb {}", key(1), key(2), key(3));
        fs::write(file.path(), &text).expect("written");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("chmod");
        file.add(&format!("c {}", key(4))).expect("added");
        file.add(&format!("a {} allow=read", key(1))).expect("replaced");
        let lines: Vec<_> = file.keys().expect("read").into_iter().map(|key| (key.line, key.scope.name)).collect();
        assert_eq!(lines, [(3, "b".to_owned()), (4, "b".to_owned()), (5, "c".to_owned()), (6, "a".to_owned())]);
        assert_eq!(file.revoke("b").expect("revoked").len(), 2);
        assert_eq!(file.revoke(&key(4).to_string()).expect("revoked").len(), 1);
        assert!(file.revoke("nobody").expect("nothing").is_empty());
        assert_eq!(fs::read_to_string(file.path()).expect("read"), format!("# ours\n\na {} allow=read\n", key(1)));
        assert_eq!(fs::metadata(file.path()).expect("metadata").mode() & 0o777, 0o644);
    }

    #[test]
    fn a_file_that_is_not_understood_is_not_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = KeyFile::new(directory.path().join("authorized_keys"));
        let text = format!("a {}\nb\n", key(1));
        fs::write(file.path(), &text).expect("written");
        for error in [
            file.keys().map(|_| ()).expect_err("line 2"),
            file.add(&format!("c {}", key(2))).expect_err("line 2"),
            file.revoke("a").map(|_| ()).expect_err("line 2"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Config);
            assert_eq!(error.details(), [("line".to_owned(), Detail::Number(2))]);
        }
        for bad in ["", "# x", "a", "a b"] {
            assert_eq!(file.add(bad).expect_err(bad).kind(), ErrorKind::Config);
        }
        assert_eq!(fs::read_to_string(file.path()).expect("read"), text);
    }
}
