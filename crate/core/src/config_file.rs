//! Files of settings, which are TOML: what they say, flat, each with the line on which it stands.
//!
//! What the keys mean is not known here: the command has the options.

use sparsync_proto::ErrorKind;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Result};

/// What a file says about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The names of the tables that it stands in, and its own.
    pub keys: Vec<String>,
    /// The line of the file, from 1.
    pub line: u64,
    /// The value.
    pub value: SettingValue,
}

/// What a setting has as its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// `true` or `false`.
    Switch(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A table, of which each member is a setting by itself.
    Table,
    /// A value that no option takes, by TOML's name for its type.
    Other(&'static str),
}

/// What the text of a file says, in its order.
///
/// Fails with [`ErrorKind::Config`] and the detail `line` when it is not TOML.
pub fn parse_settings(text: &str) -> Result<Vec<Setting>> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        Error::new(ErrorKind::Config, error.message().lines().next().unwrap_or("it is not TOML")).with("line", line)
    })?;
    let mut found = Vec::new();
    collect(table.get_ref(), &[], &lines, &mut found);
    found.sort_by_key(|(start, _)| *start);
    Ok(found.into_iter().map(|(_, setting)| setting).collect())
}

/// The parser bounds how deep tables are in each other.
fn collect(table: &DeTable<'_>, above: &[String], lines: &Lines, found: &mut Vec<(usize, Setting)>) {
    for (key, value) in table {
        let mut keys = above.to_vec();
        keys.push(key.get_ref().to_string());
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &keys, lines, found);
        }
        let start = key.span().start;
        found.push((start, Setting { keys, line: lines.at(start), value: value_of(value.get_ref()) }));
    }
}

fn value_of(value: &DeValue<'_>) -> SettingValue {
    let other = || SettingValue::Other(value.type_str());
    match value {
        DeValue::String(text) => SettingValue::Text(text.to_string()),
        DeValue::Boolean(on) => SettingValue::Switch(*on),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| other(), SettingValue::Integer)
        }
        DeValue::Array(values) => values
            .iter()
            .map(|each| each.get_ref().as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map_or_else(other, SettingValue::Texts),
        DeValue::Table(_) => SettingValue::Table,
        DeValue::Float(_) | DeValue::Datetime(_) => other(),
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, byte: usize) -> u64 {
        self.0.partition_point(|end| *end < byte) as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::{Setting, SettingValue, parse_settings};
    use crate::{Detail, ErrorKind};

    fn setting(keys: &[&str], line: u64, value: SettingValue) -> Setting {
        Setting { keys: keys.iter().map(|key| (*key).to_owned()).collect(), line, value }
    }

    #[test]
    fn each_key_has_its_line_and_the_order_is_that_of_the_file() {
        let text =
            "# mine\n[sync]\nretry = 0x10\nexclude = ['b', \"a\\n\"]\n\n[server]\nroot.x = '/srv'\nquiet = false\n";
        assert_eq!(
            parse_settings(text).expect("it is TOML"),
            [
                setting(&["sync"], 2, SettingValue::Table),
                setting(&["sync", "retry"], 3, SettingValue::Integer(16)),
                setting(&["sync", "exclude"], 4, SettingValue::Texts(vec!["b".to_owned(), "a\n".to_owned()])),
                setting(&["server"], 6, SettingValue::Table),
                setting(&["server", "root"], 7, SettingValue::Table),
                setting(&["server", "root", "x"], 7, SettingValue::Text("/srv".to_owned())),
                setting(&["server", "quiet"], 8, SettingValue::Switch(false)),
            ]
        );
    }

    #[test]
    fn what_no_option_has_is_told_as_what_it_is() {
        let text = "a = 1.5\nb = 2030-01-31\nc = [1]\nd = 99999999999999999999\n[[e]]\n";
        let kinds: Vec<_> = parse_settings(text).expect("it is TOML").into_iter().map(|each| each.value).collect();
        let other = SettingValue::Other;
        assert_eq!(kinds, [other("float"), other("datetime"), other("array"), other("integer"), other("array")]);
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let deep = format!("a = {}", "[".repeat(100_000));
        for (text, line) in [("\n\na = \n", 3), ("a = 1\na = 2\n", 2), ("a = 'x", 1), ("[sync\n", 1), (&deep, 1)] {
            let error = parse_settings(text).expect_err("it is not TOML");
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.details().contains(&("line".to_owned(), Detail::Number(line))), "{:?}", error.details());
        }
    }
}
