//! Rules as people write them: one, or a file of them.

use std::fmt::{self, Display, Formatter};

use super::cvs::CVS_PATTERNS;
use super::rule::{PerDirectory, Rule};
use crate::limits::PATH_BYTES_MAX;

/// Why a rule cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The rule as it was given; none for a rule of a file, whose content must not be told.
    pub rule: Option<Vec<u8>>,
    /// The line of the file, from 1.
    pub line: u32,
    /// The error in it.
    pub why: &'static str,
}

impl Display for ParseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Some(rule) => write!(f, "filter rule \"{}\": {}", rule.escape_ascii(), self.why),
            None => write!(f, "the filter rule in line {}: {}", self.line, self.why),
        }
    }
}

impl std::error::Error for ParseError {}

/// The prefixes of patterns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefixes {
    /// The action of the rule, and its modifiers.
    #[default]
    Rules,
    /// No prefix: either all patterns are included, or all are excluded.
    None {
        /// Which of the two.
        include: bool,
    },
    /// No prefix, or `+ ` or `- `; a `!` alone drops all rules before it. `--exclude` and `--exclude-from` take
    /// patterns so.
    Optional {
        /// Whether a pattern without a prefix includes.
        include: bool,
    },
}

/// How the rules of a list are written, and the options that they begin with.
#[expect(clippy::struct_excessive_bools, reason = "what a list says, each apart from the others")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The prefixes of patterns.
    pub prefixes: Prefixes,
    /// Rules stand between blanks, and not one on each line.
    pub word_split: bool,
    /// A `!` drops all rules before it, although the rules are patterns only.
    pub cvs: bool,
    /// All rules are for the sender, or for the receiver, alone.
    pub ends: Option<(bool, bool)>,
    /// The rule is for entries that do not match.
    pub negated: bool,
    /// They keep nothing in a directory that is deleted.
    pub perishable: bool,
    /// Patterns are compared with paths in the file system.
    pub absolute: bool,
    /// They are about extended attributes.
    pub xattr: bool,
    /// Rules that say nothing of an end are for the sender alone.
    pub sender_unless_said: bool,
    /// A NUL ends a rule, and not a line, here and in the files that the rules name.
    pub from0: bool,
    /// The list is a file of the tree.
    pub in_tree: bool,
}

impl Style {
    /// How the files are read that `rule` names.
    #[must_use]
    pub fn of_files(rule: &Rule, files: PerDirectory) -> Self {
        Self {
            prefixes: if files.no_prefixes { Prefixes::None { include: rule.include } } else { Prefixes::Rules },
            word_split: files.word_split,
            cvs: files.cvs,
            ends: (!(rule.sender && rule.receiver)).then_some((rule.sender, rule.receiver)),
            negated: false,
            perishable: rule.perishable,
            absolute: rule.absolute,
            xattr: rule.xattr,
            sender_unless_said: files.sender_unless_said,
            from0: files.from0,
            in_tree: true,
        }
    }

    /// The rule that a pattern is.
    fn rule(&self, include: bool, pattern: &[u8]) -> Rule {
        let (sender, receiver) = self.ends.unwrap_or((true, true));
        Rule {
            sender,
            receiver,
            negated: self.negated,
            perishable: self.perishable,
            absolute: self.absolute,
            xattr: self.xattr,
            ..Rule::new(include, pattern.to_vec())
        }
    }
}

/// The effect of a rule on a list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// One more rule.
    Rule(Rule),
    /// All that stand before are forgotten.
    Clear,
    /// The rules of a file stand here.
    Merge {
        /// The file.
        file: Vec<u8>,
        /// How its rules are written.
        style: Style,
    },
    /// What CVS leaves alone.
    Cvs {
        /// CVS's own patterns.
        patterns: Vec<Rule>,
        /// How those are written that a user has in files and variables of their own. They stand behind the patterns,
        /// and a `!` among them drops CVS's alone.
        of_user: Style,
    },
}

/// Reads the rule `text`: `- PATTERN`, `+ PATTERN`, `hide`, `show`, `protect`, `risk`, `merge FILE`, `dir-merge FILE`,
/// with modifiers, or `!`, which drops all rules before it.
///
/// # Errors
/// The rule has no known name, a modifier that is not known, or no pattern.
pub fn parse_rule(text: &[u8], style: &Style) -> Result<Vec<Said>, ParseError> {
    said(text, style).map_err(|why| ParseError { rule: Some(text.to_vec()), line: 0, why })
}

/// Reads the rules of a file, each with its line, or with its number where a NUL ends each.
///
/// # Errors
/// As for [`parse_rule`]; the error has the line, and nothing of its content.
pub fn parse_file(content: &[u8], style: &Style) -> Result<Vec<(u32, Said)>, ParseError> {
    let mut all = Vec::new();
    let mut number = 0_u32;
    let mut add = |text: &[u8], line: u32| {
        let said = said(text, style).map_err(|why| ParseError { rule: None, line, why })?;
        all.extend(said.into_iter().map(|said| (line, said)));
        Ok(())
    };
    for line in content.split(|&byte| byte == if style.from0 { 0 } else { b'\n' }) {
        number = number.saturating_add(1);
        for line in line.split(|&byte| byte == b'\r' && !style.from0) {
            // As in rsync, the rest of a line behind a NUL is ignored.
            let line = line.split(|&byte| byte == 0).next().unwrap_or_default();
            if style.word_split {
                line.split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty())
                    .try_for_each(|word| add(word, number))?;
            } else if !matches!(line.first(), None | Some(b'#' | b';')) {
                add(line, number)?;
            }
        }
    }
    Ok(all)
}

/// Long names of rules, and the letters that stand for them.
const NAMES: [(&[u8], u8); 9] = [
    (b"exclude", b'-'),
    (b"include", b'+'),
    (b"hide", b'H'),
    (b"show", b'S'),
    (b"protect", b'P'),
    (b"risk", b'R'),
    (b"clear", b'!'),
    (b"merge", b'.'),
    (b"dir-merge", b':'),
];

/// The file of patterns that CVS reads in each directory.
const CVS_FILE: &[u8] = b".cvsignore";

const NO_PATTERN: &str = "it has no pattern";

fn said(text: &[u8], style: &Style) -> Result<Vec<Said>, &'static str> {
    let pattern = |include: bool, pattern: &[u8]| {
        if pattern.is_empty() {
            return Err(NO_PATTERN);
        }
        if pattern.len() > PATH_BYTES_MAX {
            return Err("its pattern is longer than any path");
        }
        Ok(Said::Rule(ended(style.rule(include, pattern), style)))
    };
    match style.prefixes {
        Prefixes::Rules => prefixed(text, style),
        Prefixes::None { .. } if style.cvs && text == b"!" => Ok(vec![Said::Clear]),
        Prefixes::None { include } => Ok(vec![pattern(include, text)?]),
        Prefixes::Optional { include } => match text {
            b"!" => Ok(vec![Said::Clear]),
            [b'-', b' ', rest @ ..] => Ok(vec![pattern(false, rest)?]),
            [b'+', b' ', rest @ ..] => Ok(vec![pattern(true, rest)?]),
            _ => Ok(vec![pattern(include, text)?]),
        },
    }
}

/// A rule that names no end becomes one for the sender, if the list says so.
fn ended(mut rule: Rule, style: &Style) -> Rule {
    if style.sender_unless_said && style.ends.is_none() {
        if let Some(files) = &mut rule.per_directory {
            files.sender_unless_said = true;
        } else {
            rule.receiver = false;
        }
    }
    rule
}

fn prefixed(text: &[u8], style: &Style) -> Result<Vec<Said>, &'static str> {
    const UNKNOWN: &str = "a rule begins with one of - + H S P R . : ! or its long name";
    let long = NAMES.iter().find(|(name, _)| {
        text.strip_prefix(*name).is_some_and(|rest| matches!(rest.first(), None | Some(b',' | b' ' | b'_')))
    });
    let (letter, rest) = match (long, text.split_first()) {
        (Some((name, letter)), _) => (*letter, text.get(name.len()..).unwrap_or_default()),
        (None, Some((&letter, rest))) => (letter, rest),
        (None, None) => return Err(UNKNOWN),
    };
    if letter == b'!' {
        let only = "nothing may follow a rule that clears the list";
        return if rest.is_empty() { Ok(vec![Said::Clear]) } else { Err(only) };
    }
    let Some(sort) = Sort::of(letter) else { return Err(UNKNOWN) };
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'_')).unwrap_or(rest.len());
    let modifiers = Modifiers::read(&rest[..end], sort, style)?;
    let pattern = rest.get(end + 1..).unwrap_or_default();
    if pattern.len() > PATH_BYTES_MAX {
        return Err("its pattern is longer than any path");
    }
    modifiers.said(sort, pattern, style)
}

/// The type of a rule, without its modifiers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A pattern for both ends, or for the one that its modifiers say.
    Both { include: bool },
    /// A pattern for one end.
    One { include: bool, sender: bool },
    /// The rules of a file.
    Merge,
    /// The rules of files in the tree.
    PerDirectory,
}

impl Sort {
    fn of(letter: u8) -> Option<Self> {
        Some(match letter {
            b'-' => Self::Both { include: false },
            b'+' => Self::Both { include: true },
            b'H' => Self::One { include: false, sender: true },
            b'S' => Self::One { include: true, sender: true },
            b'P' => Self::One { include: false, sender: false },
            b'R' => Self::One { include: true, sender: false },
            b'.' => Self::Merge,
            b':' => Self::PerDirectory,
            _ => return None,
        })
    }

    fn is_file(self) -> bool {
        matches!(self, Self::Merge | Self::PerDirectory)
    }
}

/// The modifiers of a rule.
#[expect(clippy::struct_excessive_bools, reason = "modifiers, each apart from the others")]
#[derive(Default)]
struct Modifiers {
    negated: bool,
    perishable: bool,
    absolute: bool,
    xattr: bool,
    sender: bool,
    receiver: bool,
    cvs: bool,
    word_split: bool,
    no_inherit: bool,
    exclude_self: bool,
    no_prefixes: Option<bool>,
}

impl Modifiers {
    fn read(letters: &[u8], sort: Sort, style: &Style) -> Result<Self, &'static str> {
        const ONE_END: &str = "hide, show, protect and risk say for which end they are";
        let mut said = Self::default();
        for letter in letters {
            match (letter, sort) {
                (b'!', Sort::Both { .. } | Sort::One { .. }) => said.negated = true,
                (b'p', _) => said.perishable = true,
                (b'/', _) => said.absolute = true,
                (b'x', Sort::PerDirectory) => return Err("files in directories have no rules for extended attributes"),
                (b'x', _) => said.xattr = true,
                (b's' | b'r', Sort::One { .. }) => return Err(ONE_END),
                (b's', _) => said.sender = true,
                (b'r', _) => said.receiver = true,
                (b'C', Sort::Both { .. }) => said.cvs = true,
                (b'C', Sort::Merge | Sort::PerDirectory) if said.no_prefixes.is_none() => {
                    said.cvs = true;
                    said.no_prefixes = Some(false);
                    said.word_split = true;
                    said.no_inherit = true;
                }
                (b'w', _) if sort.is_file() => said.word_split = true,
                (b'n', _) if sort.is_file() => said.no_inherit = true,
                (b'e', _) if sort.is_file() => said.exclude_self = true,
                (b'-' | b'+', _) if sort.is_file() && said.no_prefixes.is_none() => {
                    said.no_prefixes = Some(*letter == b'+');
                }
                _ => return Err("an unknown modifier, or one that does not go with the others"),
            }
        }
        if style.ends.is_some() && (said.sender || said.receiver || matches!(sort, Sort::One { .. })) {
            return Err("it says for which end it is, in a file that is for one end");
        }
        Ok(said)
    }

    /// The ends that the rule is for, where it or its list says so.
    fn ends(&self, sort: Sort, style: &Style) -> Option<(bool, bool)> {
        match sort {
            Sort::One { sender, .. } => Some((sender, !sender)),
            _ if self.sender || self.receiver => Some((self.sender, self.receiver)),
            _ => style.ends,
        }
    }

    fn said(self, sort: Sort, pattern: &[u8], style: &Style) -> Result<Vec<Said>, &'static str> {
        let list = style;
        let style = Style {
            ends: self.ends(sort, list),
            negated: self.negated,
            perishable: self.perishable || list.perishable,
            absolute: self.absolute || list.absolute,
            xattr: self.xattr || list.xattr,
            ..*list
        };
        match sort {
            Sort::Both { .. } if self.cvs => Ok(vec![cvs(&style)]),
            Sort::Both { include } | Sort::One { include, .. } if !pattern.is_empty() => {
                Ok(vec![Said::Rule(ended(style.rule(include, pattern), &style))])
            }
            Sort::Both { .. } | Sort::One { .. } => Err(NO_PATTERN),
            Sort::Merge | Sort::PerDirectory => self.files(sort, pattern, (list, &style)),
        }
    }

    fn files(self, sort: Sort, file: &[u8], (list, style): (&Style, &Style)) -> Result<Vec<Said>, &'static str> {
        let file = match file {
            b"" if self.cvs => CVS_FILE,
            b"" => return Err("it names no file"),
            file => file,
        };
        let mut said = Vec::new();
        if self.exclude_self {
            let name = file.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            if name.is_empty() {
                return Err("it names no file");
            }
            // It is for both ends, whatever the file's rules are for. As in rsync, the lists of the tree and of the run
            // differ in the rest.
            let perishable = list.in_tree && list.perishable;
            let own = Style { ends: None, absolute: false, xattr: false, perishable, ..*style };
            let rule = own.rule(false, name);
            said.push(Said::Rule(if list.in_tree { rule } else { ended(rule, &own) }));
        }
        if sort == Sort::Merge {
            let prefixes = self.no_prefixes.map_or(Prefixes::Rules, |include| Prefixes::None { include });
            let style = Style { prefixes, word_split: self.word_split, cvs: self.cvs, ..*style };
            said.push(Said::Merge { file: file.to_vec(), style });
            return Ok(said);
        }
        let files = PerDirectory {
            no_inherit: self.no_inherit,
            word_split: self.word_split,
            no_prefixes: self.no_prefixes.is_some(),
            cvs: self.cvs,
            sender_unless_said: false,
            from0: style.from0,
        };
        let rule = style.rule(self.no_prefixes.unwrap_or_default(), file);
        said.push(Said::Rule(ended(Rule { per_directory: Some(files), ..rule }, style)));
        Ok(said)
    }
}

/// The rules of CVS for ignored files.
fn cvs(style: &Style) -> Said {
    // Such rules are for files that can be made again, and protect no directory.
    let rule = |pattern: &&[u8]| ended(Rule { perishable: true, ..style.rule(false, pattern) }, style);
    let of_user = Style { prefixes: Prefixes::None { include: false }, word_split: true, cvs: true, ..*style };
    Said::Cvs { patterns: CVS_PATTERNS.iter().map(rule).collect(), of_user }
}

#[cfg(test)]
mod tests {
    use super::{Prefixes, Said, Style, parse_file, parse_rule};
    use crate::filter::Rule;

    fn rules(text: &[u8]) -> Vec<Said> {
        parse_rule(text, &Style::default()).unwrap()
    }

    /// Each was asked of rsync 3.5.0.
    #[test]
    fn rules_that_rsync_refuses_are_refused() {
        for text in [
            "",
            "x a",
            "-",
            "- ",
            "-a",
            "! x",
            "-n a",
            "-e a",
            "-w a",
            "Hs a",
            "HC",
            ":",
            ": ",
            ".",
            ".!- f",
            ":+- f",
            ":C,",
            "-x",
            "-_",
            "per-dir f",
            "d f",
            "!!",
            ".-,f",
        ] {
            assert!(parse_rule(text.as_bytes(), &Style::default()).is_err(), "{text}");
        }
        for text in
            ["-_a", "-/ a", "exclude,!p a", "clear", ".sr- f", "dir-merge,- f", ":/C", "-C", ".n f", "-x user.a"]
        {
            assert!(parse_rule(text.as_bytes(), &Style::default()).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_a_file_is_read_as_is_said_by_what_names_it() {
        let [Said::Rule(own), Said::Rule(files)] = &rules(b":enr- .f")[..] else { panic!("two rules") };
        assert_eq!(own, &Rule::new(false, b".f".to_vec()));
        assert!(!files.sender && files.receiver && files.per_directory.unwrap().no_inherit);
        let style = Style::of_files(files, files.per_directory.unwrap());
        assert_eq!((style.prefixes, style.ends), (Prefixes::None { include: false }, Some((false, true))));
        assert!(parse_rule(b"H a", &Style { ends: Some((false, true)), ..Style::default() }).is_err());
    }

    #[test]
    fn that_a_file_is_excluded_itself_depends_on_its_list() {
        for (in_tree, receiver, perishable) in [(true, true, true), (false, false, false)] {
            let style = Style { in_tree, perishable: true, sender_unless_said: true, ..Style::default() };
            let [Said::Rule(own), _] = &parse_rule(b":e .f", &style).unwrap()[..] else { panic!("two rules") };
            assert_eq!((own.receiver, own.perishable), (receiver, perishable), "in the tree: {in_tree}");
        }
    }

    #[test]
    fn what_says_nothing_of_an_end_is_for_the_sender_where_the_list_has_it_so() {
        let style = Style { sender_unless_said: true, ..Style::default() };
        for (text, receiver) in [("- a", false), ("P a", true), ("-r a", true), ("-s a", false), ("-sr a", true)] {
            let [Said::Rule(rule)] = &parse_rule(text.as_bytes(), &style).unwrap()[..] else { panic!("a rule") };
            assert_eq!(rule.receiver, receiver, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_by_lines_or_by_words() {
        let patterns = |content: &[u8], style: &Style| -> Vec<(u32, String)> {
            let all = parse_file(content, style).unwrap();
            let text = |said: &Said| match said {
                Said::Rule(rule) => String::from_utf8_lossy(&rule.pattern).into_owned(),
                Said::Clear => "!".to_owned(),
                Said::Merge { .. } | Said::Cvs { .. } => "?".to_owned(),
            };
            all.iter().map(|(line, said)| (*line, text(said))).collect()
        };
        let lines = Style::default();
        let expected = [(3, "a".to_owned()), (4, "b ".to_owned()), (6, "!".to_owned())];
        assert_eq!(patterns(b"# c\n;\n- a\r\n- b \n\n!", &lines), expected);
        let words = Style { prefixes: Prefixes::None { include: false }, word_split: true, ..lines };
        let expected = ["a", "#", "!", "- b"].map(str::to_owned);
        let found: Vec<_> = patterns(b"a  #\t!", &words).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, expected[..3]);
        let alone = Style { word_split: false, ..words };
        assert_eq!(patterns(b"- b\0x", &alone), [(1, expected[3].clone())]);
        let nul = Style { from0: true, ..lines };
        assert_eq!(patterns(b"# c\0- a\r\n\0\0!", &nul), [(2, "a\r\n".to_owned()), (4, "!".to_owned())]);
        let found = patterns(b"a\nb\0c", &Style { from0: true, ..words });
        assert_eq!(found, [(1, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]);
        let [Said::Rule(files)] = &parse_rule(b": .f", &nul).unwrap()[..] else { panic!("a rule") };
        assert!(Style::of_files(files, files.per_directory.unwrap()).from0, "as its list");
        let error = parse_file(b"- a\nsecret\n", &lines).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
