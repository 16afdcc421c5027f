//! Patterns of rsync's rules: `*`, `**`, `***`, `?`, classes, anchors, and the slash at the end that means directories.
//!
//! A pattern may come from a peer, so matching takes time proportional to the pattern times the path whatever the
//! pattern is: there is no recursion, and a star is extended, never tried again.

use crate::entry::Kind;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// This byte.
    Byte(u8),
    /// Any byte but a slash (`?`).
    Any,
    /// Any byte of a set (`[a-z]`); a slash is in none.
    Set(Box<[u64; 4]>),
    /// Any bytes but slashes, or none (`*`).
    Star,
    /// Any bytes, or none (`**`).
    DoubleStar,
    /// Any components with the slashes behind them, or none (git's `**/`).
    Components,
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Byte(expected) => *expected == byte,
            Self::Any => byte != b'/',
            Self::Set(set) => set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1,
            Self::Star | Self::DoubleStar | Self::Components => false,
        }
    }

    /// How much more a star can take of the text behind what it has, at the least.
    fn extends_by(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Star => text.first().filter(|&&byte| byte != b'/').map(|_| 1),
            Self::DoubleStar => text.first().map(|_| 1),
            _ => text.iter().position(|&byte| byte == b'/').map(|at| at + 1),
        }
    }
}

/// What is compared with a text as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

impl Glob {
    /// A text that has no wildcards.
    fn literal(text: &[u8]) -> Self {
        Self(text.iter().map(|&byte| Token::Byte(byte)).collect())
    }

    /// Reads a pattern; none when it cannot be read. `stars` says what a run of so many stars is, by the text before
    /// and behind it, and where the text goes on.
    pub(super) fn parse<'a>(
        text: &'a [u8],
        stars: impl Fn(&'a [u8], usize, &'a [u8]) -> (Token, &'a [u8]),
    ) -> Option<Self> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            let before = &text[..text.len() - rest.len()];
            rest = after;
            tokens.push(match byte {
                b'*' => {
                    let more = rest.iter().take_while(|&&byte| byte == b'*').count();
                    let (token, after) = stars(before, 1 + more, &rest[more..]);
                    rest = after;
                    token
                }
                b'?' => Token::Any,
                b'[' => {
                    let (set, after) = class(rest)?;
                    rest = after;
                    Token::Set(Box::new(set))
                }
                // A backslash at the end of a pattern matches nothing that a name could hold.
                b'\\' => {
                    let (&escaped, after) = rest.split_first()?;
                    rest = after;
                    Token::Byte(escaped)
                }
                other => Token::Byte(other),
            });
        }
        tokens.shrink_to_fit();
        Some(Self(tokens))
    }

    /// The last byte of every name that matches, where that is certain.
    pub(super) fn last_byte(&self) -> Option<u8> {
        match self.0.last() {
            Some(Token::Byte(byte)) if *byte != b'/' => Some(*byte),
            _ => None,
        }
    }

    /// Whether the whole of `text` is taken. When a star would have to take a slash, the last double star before it is
    /// extended instead. Earlier stars need no second try, because they took the least that they can.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // The position of a star in the pattern, and the end of the text that it takes.
        let (mut star, mut double) = (None::<(usize, usize)>, None::<(usize, usize)>);
        loop {
            match self.0.get(token) {
                Some(Token::Star) => {
                    star = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(Token::DoubleStar | Token::Components) => {
                    (star, double) = (None, Some((token, at)));
                    token += 1;
                    continue;
                }
                Some(single) if at < text.len() && single.takes(text[at]) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None if at == text.len() => return true,
                _ => {}
            }
            let longer = |from: Option<(usize, usize)>| {
                let (of, end) = from?;
                let more = self.0[of].extends_by(text.get(end..)?)?;
                Some((of, end + more))
            };
            if let Some((of, end)) = longer(star) {
                star = Some((of, end));
                (token, at) = (of + 1, end);
            } else if let Some((of, end)) = longer(double) {
                (star, double) = (None, Some((of, end)));
                (token, at) = (of + 1, end);
            } else {
                return false;
            }
        }
    }
}

/// Where in a path a pattern begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// At the top of the transfer.
    Top,
    /// At the end of the path, with as many components as the pattern has slashes.
    Slashes(usize),
    /// At any component, because a double star takes any number of slashes.
    Anywhere,
}

/// A pattern, ready to be compared with paths.
#[expect(clippy::struct_excessive_bools, reason = "what a pattern says, each apart from the others")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    glob: Glob,
    /// Where in a path it begins.
    begins: Begins,
    /// It matches directories only.
    directories: bool,
    /// The pattern ends in `***`: a directory is compared with a slash behind its name.
    with_content: bool,
    /// The pattern begins with `**`: a path is also compared with a slash before it.
    open: bool,
    /// It matches nothing, because a class in it has no end.
    broken: bool,
    /// The last byte of every name that matches, where that is certain.
    last: Option<u8>,
}

impl Pattern {
    /// Reads a pattern as rsync does. A malformed pattern, for instance a class without an end, matches nothing.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let anchored = Self::is_anchored(text);
        let text = if anchored { &text[1..] } else { text };
        let directories = text.len() > 1 && text.last() == Some(&b'/');
        let text = if directories { &text[..text.len() - 1] } else { text };
        let has_wildcard = text.iter().any(|byte| b"*?[".contains(byte));
        let stars = |_, count, after| (if count == 1 { Token::Star } else { Token::DoubleStar }, after);
        let glob = if has_wildcard { Glob::parse(text, stars) } else { Some(Glob::literal(text)) };
        let begins = if anchored {
            Begins::Top
        } else if text.windows(2).any(|pair| pair == b"**") {
            Begins::Anywhere
        } else {
            Begins::Slashes(text.split(|&byte| byte == b'/').count() - 1)
        };
        Self {
            begins,
            directories,
            with_content: text.ends_with(b"***"),
            open: !anchored && text.starts_with(b"**"),
            broken: glob.is_none(),
            last: glob.as_ref().and_then(Glob::last_byte),
            glob: glob.unwrap_or_default(),
        }
    }

    /// Whether a pattern begins at a certain directory.
    #[must_use]
    pub fn is_anchored(text: &[u8]) -> bool {
        text.first() == Some(&b'/')
    }

    /// The last byte of every name that matches, where that is certain.
    pub(super) fn last_byte(&self) -> Option<u8> {
        self.last
    }

    /// Whether it matches directories only.
    pub(super) fn is_for_directories(&self) -> bool {
        self.directories
    }

    /// Whether the pattern matches an entry. Its path is in `buffer` from `start` on, without the slash at its end.
    /// There is also a slash before `start`, because some patterns are compared with one of the two.
    #[must_use]
    pub fn matches(&self, buffer: &[u8], start: usize, kind: Kind) -> bool {
        debug_assert!(buffer.last() == Some(&b'/') && start > 0 && buffer[start - 1] == b'/', "a path between slashes");
        if self.broken || (self.directories && kind != Kind::Directory) {
            return false;
        }
        let has_slash = self.with_content && kind == Kind::Directory;
        self.matches_text(&buffer[..buffer.len() - usize::from(!has_slash)], start)
    }

    fn matches_text(&self, buffer: &[u8], start: usize) -> bool {
        let text = &buffer[start..];
        let mut after_slashes = text.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at + 1);
        match self.begins {
            Begins::Top => self.glob.matches(text),
            Begins::Slashes(count) => {
                // A path begins where it would behind a slash before it.
                let start = after_slashes.rev().chain([0]).nth(count);
                start.is_some_and(|start| self.glob.matches(&text[start..]))
            }
            Begins::Anywhere => {
                self.glob.matches(text)
                    || (self.open && self.glob.matches(&buffer[start - 1..]))
                    || after_slashes.any(|start| start < text.len() && self.glob.matches(&text[start..]))
            }
        }
    }
}

/// The set of a class, and the text behind it; `text` begins behind the `[`.
fn class(text: &[u8]) -> Option<([u64; 4], &[u8])> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut rest = if negated { &text[1..] } else { text };
    let mut set = [0_u64; 4];
    let mut add = |byte: u8| set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    let mut first = true;
    // The byte before a `-`, where it can begin a range.
    let mut low: Option<u8> = None;
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b']' if !first => break,
            b'-' if low.is_some() && !matches!(rest.first(), None | Some(b']')) => {
                let (high, after) = literal(rest)?;
                rest = after;
                (low.take()?..=high).for_each(&mut add);
            }
            b'[' if rest.first() == Some(&b':') => {
                let end = rest.iter().position(|&byte| byte == b']')?;
                let inner = &rest[1..end];
                if let Some((b':', name)) = inner.split_last() {
                    (0..=u8::MAX).filter(posix(name)?).for_each(&mut add);
                    rest = &rest[end + 1..];
                    low = None;
                } else {
                    add(b'[');
                    low = Some(b'[');
                }
            }
            _ => {
                let (byte, after) = literal_from(byte, rest)?;
                rest = after;
                add(byte);
                low = Some(byte);
            }
        }
        first = false;
    }
    if negated {
        set = set.map(|word| !word);
    }
    set[usize::from(b'/' >> 6)] &= !(1 << (b'/' & 63));
    Some((set, rest))
}

/// A byte of a class, which a backslash may stand before.
fn literal(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&byte, rest) = text.split_first()?;
    literal_from(byte, rest)
}

fn literal_from(byte: u8, rest: &[u8]) -> Option<(u8, &[u8])> {
    if byte != b'\\' {
        return Some((byte, rest));
    }
    let (&escaped, rest) = rest.split_first()?;
    Some((escaped, rest))
}

/// The bytes of a named class, in the C locale.
fn posix(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use crate::entry::Kind;

    fn meets(pattern: &str, path: &str, kind: Kind) -> bool {
        Pattern::new(pattern.as_bytes()).matches(format!("/{path}/").as_bytes(), 1, kind)
    }

    /// Each was asked of rsync 3.5.0.
    #[test]
    fn patterns_match_what_they_match_in_rsync() {
        for (pattern, path, kind, matches) in [
            ("a", "x/a", Kind::File, true),
            ("/a", "x/a", Kind::File, false),
            ("a/", "a", Kind::File, false),
            ("x/a", "y/x/a", Kind::File, true),
            ("x/*", "y/x/a/b", Kind::File, false),
            ("x/**", "y/x/a/b", Kind::File, true),
            ("**/a", "a", Kind::File, true),
            ("x/**/a", "x/a", Kind::File, false),
            ("x/***", "x", Kind::Directory, true),
            ("x/***", "x", Kind::File, false),
            ("[a-[/]", "a", Kind::File, false),
            ("[]a]", "]", Kind::File, true),
            ("[a", "[a", Kind::File, false),
            ("a\\b", "a\\b", Kind::File, true),
            ("a\\b*", "a\\b", Kind::File, false),
        ] {
            assert_eq!(meets(pattern, path, kind), matches, "{pattern} {path}");
        }
    }

    /// One that tries each star again would not come to an end.
    #[test]
    fn a_pattern_of_many_stars_is_decided() {
        let (stars, path) = ("*a".repeat(2000) + "b", "a".repeat(4000));
        assert!(!meets(&stars, &path, Kind::File));
        let (stars, path) = ("**a/*".repeat(1000) + "b", "a/".repeat(2000) + "c");
        assert!(!meets(&stars, &path, Kind::File));
    }
}
