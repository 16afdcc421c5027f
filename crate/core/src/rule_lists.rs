//! Filter rules as a caller gives them, with the files that they merge, made into the list of a request.

use std::io::Read;

use sparsync_proto::limits::{FILTER_BYTES_MAX, FILTER_MERGE_DEPTH_MAX};
use sparsync_proto::{FilterRules, ParseError, Prefixes, Rule, Said, Style, parse_file, parse_rule};

use crate::error::{Error, ErrorKind, Result};
use crate::fs::open_named;

/// The most bytes of one file of rules: more than a request's rules can be, since it may hold comments.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A rule as it was given.
#[derive(Clone, Debug)]
pub struct GivenRule {
    /// The rule; the pattern, or the file, where `patterns` says so.
    pub text: Vec<u8>,
    /// The text is a pattern, or a file of patterns: all are included (`true`) or all excluded, as with `--include` and
    /// `--exclude`.
    pub patterns: Option<bool>,
    /// The text is the path of a file; `-` is standard input.
    pub is_file: bool,
    /// Rules that say nothing of an end are for the sender alone.
    pub sender_unless_said: bool,
    /// A NUL ends a rule, and not a line, in each file that the rule names.
    pub from0: bool,
}

/// Where a rule of a request was written: the place among the rules that were given, from 0, and the file and line
/// where it stands in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOrigin {
    /// Which of the given rules.
    pub given: usize,
    /// The file, and its line from 1.
    pub line: Option<(Vec<u8>, u32)>,
    /// It is one of those that stand for what CVS leaves alone.
    pub cvs: bool,
}

/// The rules of a request, and where each was written.
#[derive(Clone, Debug, Default)]
pub struct RuleList {
    /// The rules.
    pub rules: FilterRules,
    /// For each of them.
    pub origins: Vec<RuleOrigin>,
}

impl RuleList {
    /// Reads rules, and the files that they merge.
    ///
    /// # Errors
    /// A rule cannot be taken, a file cannot be read, or they are more than a request holds.
    pub fn read(given: &[GivenRule]) -> Result<Self> {
        let mut list = Reading { rules: Vec::new(), origins: Vec::new(), start: 0 };
        for (number, rule) in given.iter().enumerate() {
            let prefixes = rule.patterns.map_or(Prefixes::Rules, |include| Prefixes::Optional { include });
            let GivenRule { sender_unless_said, from0, .. } = *rule;
            let style = Style { prefixes, sender_unless_said, from0, ..Style::default() };
            if rule.is_file {
                list.merge(number, &rule.text, &style, 0)?;
                continue;
            }
            let failed = |error: ParseError| Error::new(ErrorKind::Config, error.to_string());
            for said in parse_rule(&rule.text, &style).map_err(failed)? {
                list.add(said, &RuleOrigin { given: number, ..RuleOrigin::default() }, 0)?;
            }
        }
        let too_many =
            || Error::new(ErrorKind::Config, format!("filter rules of more than {FILTER_BYTES_MAX} bytes in all"));
        let rules = FilterRules::new(&list.rules).ok_or_else(too_many)?;
        Ok(Self { rules, origins: list.origins })
    }
}

struct Reading {
    rules: Vec<Rule>,
    origins: Vec<RuleOrigin>,
    /// Where the list begins that is being read.
    start: usize,
}

impl Reading {
    fn add(&mut self, said: Said, origin: &RuleOrigin, depth: usize) -> Result<()> {
        match said {
            Said::Rule(rule) => {
                self.rules.push(rule);
                self.origins.push(origin.clone());
            }
            Said::Clear => {
                self.rules.truncate(self.start);
                self.origins.truncate(self.start);
            }
            Said::Merge { file, style } => self.merge(origin.given, &file, &style, depth + 1)?,
            Said::Cvs { patterns, of_user } => {
                let origin = RuleOrigin { cvs: true, ..origin.clone() };
                // As in rsync, these are a list of their own, and nothing in it clears the one where it stands.
                let start = std::mem::replace(&mut self.start, self.rules.len());
                self.origins.extend(patterns.iter().map(|_| origin.clone()));
                self.rules.extend(patterns);
                self.cvs_of_user(&origin, &of_user)?;
                self.start = start;
            }
        }
        Ok(())
    }

    fn merge(&mut self, given: usize, file: &[u8], style: &Style, depth: usize) -> Result<()> {
        if depth > FILTER_MERGE_DEPTH_MAX {
            return Err(Error::new(ErrorKind::Config, "files of filter rules merge each other without an end").at(file));
        }
        let content = content(file)?;
        self.take(&RuleOrigin { given, ..RuleOrigin::default() }, (file, &content), style, depth)
    }

    fn take(
        &mut self,
        origin: &RuleOrigin,
        (file, content): (&[u8], &[u8]),
        style: &Style,
        depth: usize,
    ) -> Result<()> {
        let failed = |error: ParseError| Error::new(ErrorKind::Config, error.to_string()).at(file);
        for (line, said) in parse_file(content, style).map_err(failed)? {
            self.add(said, &RuleOrigin { line: Some((file.to_vec(), line)), ..*origin }, depth)?;
        }
        Ok(())
    }

    /// The patterns of `.cvsignore` in the user's home, and those of the variable `CVSIGNORE`.
    fn cvs_of_user(&mut self, origin: &RuleOrigin, style: &Style) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        if let Some(home) = std::env::var_os("HOME") {
            let file = [home.as_bytes(), b"/.cvsignore"].concat();
            // A user without the file has no such patterns.
            if let Ok(content) = content(&file) {
                self.take(origin, (&file, &content), style, 0)?;
            }
        }
        if let Some(words) = std::env::var_os("CVSIGNORE") {
            self.take(origin, (b"$CVSIGNORE", words.as_bytes()), style, 0)?;
        }
        Ok(())
    }
}

/// The content of a file of rules; `-` is standard input.
fn content(file: &[u8]) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("cannot read the file of filter rules", file, error);
    let mut content = Vec::new();
    if file == b"-" {
        std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    } else {
        let open = open_named(file).map_err(|error| failed(error.into()))?;
        open.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    }
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Config,
            format!("a file of filter rules of more than {FILE_BYTES_MAX} bytes"),
        )
        .at(file));
    }
    Ok(content)
}
