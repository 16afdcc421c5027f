//! Files that say what git ignores, as `.gitignore`: what their lines mean, by `git check-ignore`, which is asked the
//! same questions by the tests.

use super::pattern::{Glob, Token};

/// A line that has a pattern.
#[derive(Debug)]
pub(super) struct Line {
    /// What matches is ignored; otherwise it is not, whatever lines and files above say.
    pub(super) ignored: bool,
    /// The line as it stands there.
    pub(super) text: Vec<u8>,
    /// Its number, from 1.
    pub(super) number: u32,
    directories: bool,
    /// The pattern is for the path below the file's directory, and not for the last name of any path.
    whole: bool,
    /// The last byte of every path that matches, where that is certain.
    last: Option<u8>,
    glob: Glob,
}

/// The lines of a file.
#[derive(Debug)]
pub(super) struct GitFile(Vec<Line>);

impl GitFile {
    /// Reads a file. A line that is no pattern matches nothing.
    pub(super) fn read(content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let lines = content.split(|&byte| byte == b'\n').zip(1..);
        Self(lines.filter_map(|(text, number)| Line::read(text, number)).collect())
    }

    /// The line that decides about a path below the file's directory; none when no pattern matches.
    pub(super) fn decider(&self, path: &[u8], is_directory: bool) -> Option<&Line> {
        self.0.iter().rev().find(|line| line.matches(path, is_directory))
    }
}

impl Line {
    fn read(line: &[u8], number: u32) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = without_blanks(line.split(|&byte| byte == 0).next().unwrap_or_default());
        if line.starts_with(b"#") {
            return None;
        }
        let pattern = line.strip_prefix(b"!").unwrap_or(line);
        let ignored = pattern.len() == line.len();
        let named = pattern.strip_suffix(b"/").unwrap_or(pattern);
        let directories = named.len() < pattern.len();
        let whole = named.contains(&b'/');
        let glob = Glob::parse(named.strip_prefix(b"/").unwrap_or(named), stars)?;
        Some(Self { ignored, text: line.to_vec(), number, directories, whole, last: glob.last_byte(), glob })
    }

    fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        let text = if self.whole { path } else { path.rsplit(|&byte| byte == b'/').next().unwrap_or_default() };
        (is_directory || !self.directories)
            && self.last.is_none_or(|last| path.last() == Some(&last))
            && self.glob.matches(text)
    }
}

/// The line without blanks at its end that no backslash stands before.
fn without_blanks(line: &[u8]) -> &[u8] {
    let (mut at, mut end) = (0, 0);
    while let Some(&byte) = line.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte != b' ' {
            end = at.min(line.len());
        }
    }
    &line[..end]
}

/// What a run of so many stars is. Several stand for any components where they are one, and otherwise for what one of
/// them stands for. To git a pattern begins anew behind what it has before its first wildcard: to it `ab**/c` is `abc`.
fn stars<'a>(before: &[u8], count: usize, after: &'a [u8]) -> (Token, &'a [u8]) {
    let begins = before.last() == Some(&b'/') || !before.iter().any(|byte| b"*?[\\".contains(byte));
    match after {
        _ if count == 1 || !begins => (Token::Star, after),
        [] => (Token::DoubleStar, after),
        [b'/', rest @ ..] | [b'\\', b'/', rest @ ..] => (Token::Components, rest),
        _ => (Token::Star, after),
    }
}

#[cfg(test)]
mod tests {
    use super::GitFile;

    /// Each was asked of git 2.47.
    #[test]
    fn patterns_match_what_they_match_in_git() {
        for (pattern, path, matches) in [
            (&b"a"[..], &b"x/a"[..], true),
            (b"/a", b"x/a", false),
            (b"x/a", b"y/x/a", false),
            (b"**/a", b"a", true),
            (b"**/a", b"x/y/a", true),
            (b"x/**/a", b"x/a", true),
            (b"x/**/a", b"x/y/z/a", true),
            (b"x/**", b"x/y/z", true),
            (b"x/**a", b"x/y/a", false),
            (b"/a**", b"ab/c", true),
            (b"x/a**/b", b"x/ac/d/b", true),
            (b"x/a**/b", b"x/ab", true),
            (b"?a**/b", b"xay/z/b", false),
            (b"?a**/b", b"xay/b", true),
            (b"a//b", b"a/b", false),
            (b"//a", b"a", false),
            (b"x?", b"x\xe9", true),
            (b"x?", "x\u{e9}".as_bytes(), false),
            (b"\xe9*", b"\xe9a", true),
            (b"[a", b"[a", false),
            (b"a\\", b"a\\", false),
            (b"a\\ \t ", b"a \t", true),
            (b"a\0b", b"a", true),
            (b"\\!a", b"!a", true),
            (b"/", b"a", false),
        ] {
            let found = GitFile::read(pattern).decider(path, false).is_some();
            assert_eq!(found, matches, "{} {}", pattern.escape_ascii(), path.escape_ascii());
        }
    }

    #[test]
    fn the_last_line_that_matches_decides() {
        let file = GitFile::read(b"\xef\xbb\xbf# all\r\n*.o\r\n!keep.o \n\nkeep.o/\n");
        let decider = |path: &[u8], is_directory| {
            file.decider(path, is_directory).map(|line| (line.number, line.ignored, line.text.clone()))
        };
        assert_eq!(decider(b"x/a.o", false), Some((2, true, b"*.o".to_vec())));
        assert_eq!(decider(b"keep.o", false), Some((3, false, b"!keep.o".to_vec())));
        assert_eq!(decider(b"keep.o", true), Some((5, true, b"keep.o/".to_vec())));
        assert_eq!(decider(b"b", false), None);
    }
}
