//! Rules as people write them.

use std::fmt::{self, Display, Formatter};

use super::rule::Rule;

/// Why a rule cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The rule as it was given.
    pub rule: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Display for ParseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "filter rule \"{}\": {}", self.rule.escape_ascii(), self.why)
    }
}

impl std::error::Error for ParseError {}

/// What a rule says to a list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    /// One more rule.
    Rule(Rule),
    /// All that stand before are forgotten.
    Clear,
}

/// Adds what the rule `text` says to `rules`: `- PATTERN`, `+ PATTERN`, `hide`, `show`, `protect`, `risk`, with modifiers, or
/// `!`, which forgets all rules before it.
///
/// # Errors
/// The rule has no known name, a modifier that is not known or not supported, or no pattern.
pub fn parse_rule(text: &[u8], rules: &mut Vec<Rule>) -> Result<(), ParseError> {
    match said(text).map_err(|why| ParseError { rule: text.to_vec(), why })? {
        Said::Rule(rule) => rules.push(rule),
        Said::Clear => rules.clear(),
    }
    Ok(())
}

/// Long names of rules, and the letters that stand for them.
const NAMES: [(&[u8], u8); 10] = [
    (b"exclude", b'-'),
    (b"include", b'+'),
    (b"hide", b'H'),
    (b"show", b'S'),
    (b"protect", b'P'),
    (b"risk", b'R'),
    (b"clear", b'!'),
    (b"merge", b'.'),
    (b"dir-merge", b':'),
    (b"per-dir", b':'),
];

fn said(text: &[u8]) -> Result<Said, &'static str> {
    const UNKNOWN: &str = "a rule begins with one of - + H S P R ! or its long name";
    let long = NAMES.iter().find(|(name, _)| {
        text.strip_prefix(*name).is_some_and(|rest| matches!(rest.first(), None | Some(b',' | b' ' | b'_')))
    });
    let (letter, rest) = match (long, text.split_first()) {
        (Some((name, letter)), _) => (*letter, text.get(name.len()..).unwrap_or_default()),
        (None, Some((&letter, rest))) => (letter, rest),
        (None, None) => return Err(UNKNOWN),
    };
    let (include, sender, receiver) = match letter {
        b'!' if rest.is_empty() => return Ok(Said::Clear),
        b'!' => return Err("nothing may follow a rule that clears the list"),
        b'.' | b':' => return Err("merging files into the rules is not supported"),
        b'-' => (false, true, true),
        b'+' => (true, true, true),
        b'H' => (false, true, false),
        b'S' => (true, true, false),
        b'P' => (false, false, true),
        b'R' => (true, false, true),
        _ => return Err(UNKNOWN),
    };
    let mut rule = Rule { sender, receiver, ..Rule::new(include, Vec::new()) };
    let rest = rest.strip_prefix(b",").unwrap_or(rest);
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'_')).ok_or("it has no pattern")?;
    let (modifiers, pattern) = (&rest[..end], &rest[end + 1..]);
    modify(&mut rule, modifiers)?;
    if pattern.is_empty() {
        return Err("it has no pattern");
    }
    rule.pattern = pattern.to_vec();
    Ok(Said::Rule(rule))
}

fn modify(rule: &mut Rule, modifiers: &[u8]) -> Result<(), &'static str> {
    let both = rule.sender && rule.receiver;
    let (mut sender, mut receiver) = (false, false);
    for modifier in modifiers {
        match modifier {
            b'!' => rule.negated = true,
            b'p' => rule.perishable = true,
            b's' if both => sender = true,
            b'r' if both => receiver = true,
            b's' | b'r' => return Err("hide, show, protect and risk say for which end they are"),
            b'/' => return Err("the modifier / (absolute paths) is not supported"),
            b'C' => return Err("the modifier C (the rules of CVS) is not supported"),
            b'x' => return Err("the modifier x (names of extended attributes) is not supported"),
            _ => return Err("an unknown modifier"),
        }
    }
    if sender || receiver {
        (rule.sender, rule.receiver) = (sender, receiver);
    }
    Ok(())
}
