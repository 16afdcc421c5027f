//! One line of a file of authorized keys.

use std::time::SystemTime;

use time::{Date, Month};

use super::{PublicKey, Rights, Scope};

/// The longest name of a client, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The words of a line, without its comment; none when there is nothing but white space and a comment on it.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace().take_while(|word| !word.starts_with('#'))
}

/// One line; `None` when there is nothing on it.
pub(super) fn parse_line(line: &str) -> std::result::Result<Option<(PublicKey, Scope)>, String> {
    let mut words = words(line);
    let Some(name) = words.next() else {
        return Ok(None);
    };
    let mut scope = Scope::unrestricted(checked_name(name)?);
    let key = words
        .next()
        .ok_or_else(|| format!("no key follows the name \"{name}\""))?
        .parse::<PublicKey>()
        .map_err(|error| error.message().to_owned())?;
    parse_scope(&mut scope, words)?;
    Ok(Some((key, scope)))
}

/// The name of a client.
pub(super) fn checked_name(name: &str) -> std::result::Result<&str, String> {
    if name.starts_with("ed25519:") || name.contains('=') {
        return Err(format!(
            "expected a name before the key, found \"{}\": a line is NAME ed25519:KEY [root=ROOT/PREFIX]… [allow=RIGHT,…]",
            name.escape_debug()
        ));
    }
    // A sign in front is of another syntax: a negation, an option, a group, a quotation. Taken for a part of the name,
    // it would let in whom the line was to keep out.
    if !name.starts_with(|first: char| first.is_alphanumeric() || first == '_') {
        return Err(format!("the name \"{}\" does not begin with a letter, a digit or _", name.escape_debug()));
    }
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(format!(
            "the name \"{}\" is longer than {MAX_NAME_BYTES} bytes or has control characters",
            name.escape_debug()
        ));
    }
    Ok(name)
}

/// Reads the words behind the key.
pub(super) fn parse_scope<'a>(
    scope: &mut Scope,
    words: impl IntoIterator<Item = &'a str>,
) -> std::result::Result<(), String> {
    let mut allow = None;
    for word in words {
        let unknown =
            || format!("unknown word \"{}\"; known: root=, allow=, quota=, entries=, expires=", word.escape_debug());
        let (field, value) = word.split_once('=').ok_or_else(unknown)?;
        let once = |given: bool| {
            if given { Err(format!("{field}= stands twice")) } else { Ok(()) }
        };
        match field {
            "root" => {
                let root = parse_root(value)?;
                if scope.roots.contains(&root) {
                    return Err(format!("root={value} stands twice"));
                }
                scope.roots.push(root);
            }
            "allow" => {
                once(allow.is_some())?;
                allow = Some(parse_rights(value)?);
            }
            "quota" => {
                once(scope.quota_bytes.is_some())?;
                scope.quota_bytes = Some(parse_bytes(value)?);
            }
            "entries" => {
                once(scope.quota_entries.is_some())?;
                scope.quota_entries = Some(parse_number("entries", value)?);
            }
            "expires" => {
                once(scope.expires.is_some())?;
                scope.expires = Some(parse_time("expires", value)?);
            }
            _ => return Err(unknown()),
        }
    }
    if let Some(rights) = allow {
        scope.rights = rights;
    }
    Ok(())
}

/// A moment in UTC: `2027-01-31`, which begins it, or `2027-01-31T18:30:00Z`.
pub(super) fn parse_time(field: &str, value: &str) -> std::result::Result<SystemTime, String> {
    let refuse = || {
        let shown = value.escape_debug();
        format!("{field}={shown}: expected a day, as in 2027-01-31, or a moment, as in 2027-01-31T18:30:00Z")
    };
    let numbers = |text: &str, separator: char, digits: &[usize]| -> Option<Vec<u16>> {
        let parts: Vec<&str> = text.split(separator).collect();
        let is_good =
            |(part, digits): (&&str, &usize)| part.len() == *digits && part.bytes().all(|byte| byte.is_ascii_digit());
        let all_good = parts.len() == digits.len() && parts.iter().zip(digits).all(is_good);
        all_good.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
    };
    let (day, time) = match value.split_once('T') {
        Some((day, time)) => (day, time.strip_suffix('Z').ok_or_else(refuse)?),
        None => (value, "00:00:00"),
    };
    let day = numbers(day, '-', &[4, 2, 2]).ok_or_else(refuse)?;
    let time = numbers(time, ':', &[2, 2, 2]).ok_or_else(refuse)?;
    let (&[year, month, day], &[hour, minute, second]) = (day.as_slice(), time.as_slice()) else {
        return Err(refuse());
    };
    let byte = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
    Month::try_from(byte(month))
        .and_then(|month| Date::from_calendar_date(i32::from(year), month, byte(day)))
        .and_then(|date| date.with_hms(byte(hour), byte(minute), byte(second)))
        .map(|moment| moment.assume_utc().into())
        .map_err(|_| refuse())
}

fn parse_rights(list: &str) -> std::result::Result<Rights, String> {
    let mut rights = Rights::NONE;
    for name in list.split(',') {
        let right = rights
            .named(name)
            .ok_or_else(|| format!("unknown right \"{}\"; known: {}", name.escape_debug(), Rights::NAMES.join(", ")))?;
        if *right {
            return Err(format!("the right \"{name}\" stands twice"));
        }
        *right = true;
    }
    Ok(rights)
}

fn parse_root(value: &str) -> std::result::Result<(String, Vec<Vec<u8>>), String> {
    let refuse = |why: &str| format!("root={}: {why}", value.escape_debug());
    let (name, prefix) = value.split_once('/').unwrap_or((value, ""));
    let name = String::from_utf8(percent_decoded(name).ok_or_else(|| refuse("a % without two hexadecimal digits"))?)
        .map_err(|_| refuse("the name of the root is not UTF-8"))?;
    if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
        return Err(refuse("expected ROOT or ROOT/PREFIX"));
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let mut components = Vec::new();
    if !prefix.is_empty() {
        for component in prefix.split('/') {
            let component = percent_decoded(component).ok_or_else(|| refuse("a % without two hexadecimal digits"))?;
            if matches!(component.as_slice(), b"" | b"." | b"..") {
                return Err(refuse("a component of the prefix is empty, \".\" or \"..\""));
            }
            if component.contains(&b'/') || component.contains(&0) {
                return Err(refuse("a component of the prefix contains / or NUL"));
            }
            components.push(component);
        }
    }
    Ok((name, components))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            decoded.push(high << 4 | low);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

/// Bytes with a binary suffix: `10G` is 10 × 1024³.
fn parse_bytes(value: &str) -> std::result::Result<u64, String> {
    let (digits, shift) = match value.as_bytes().last() {
        Some(b'K') => (&value[..value.len() - 1], 10),
        Some(b'M') => (&value[..value.len() - 1], 20),
        Some(b'G') => (&value[..value.len() - 1], 30),
        Some(b'T') => (&value[..value.len() - 1], 40),
        Some(b'P') => (&value[..value.len() - 1], 50),
        _ => (value, 0),
    };
    parse_number("quota", digits)?
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("quota={}: larger than any disk", value.escape_debug()))
}

fn parse_number(field: &str, digits: &str) -> std::result::Result<u64, String> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{field}={}: expected a number", digits.escape_debug()));
    }
    digits.parse().map_err(|_| format!("{field}={digits}: the number is too large"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_line;
    use crate::trust::{PublicKey, Rights, Scope};

    fn key(byte: u8) -> PublicKey {
        PublicKey::from_bytes([byte; 32])
    }

    fn one(line: &str) -> Scope {
        parse_line(line).expect("good").expect("a key").1
    }

    #[test]
    fn a_line_says_what_a_client_may_do() {
        let key = key(1);
        assert_eq!(one(&format!("laptop {key}")), Scope::unrestricted("laptop"));
        assert_eq!(
            one(&format!("  ci\t{key} root=backup/ci/artifacts root=media root=a%20b/c%FFd/ # comment root=x")),
            Scope {
                roots: vec![
                    ("backup".to_owned(), vec![b"ci".to_vec(), b"artifacts".to_vec()]),
                    ("media".to_owned(), vec![]),
                    ("a b".to_owned(), vec![b"c\xffd".to_vec()]),
                ],
                ..Scope::unrestricted("ci")
            }
        );
        let full = one(&format!("x {key} quota=10G entries=1000000 allow=append,read,owner"));
        assert_eq!(full.quota_bytes, Some(10 * 1024 * 1024 * 1024));
        assert_eq!(full.quota_entries, Some(1_000_000));
        assert_eq!(full.rights, Rights { read: true, append: true, owner: true, ..Rights::NONE });
        assert_eq!(one(&format!("x {key} quota=7")).quota_bytes, Some(7));
        let seconds = |line: &str| {
            let expires = one(line).expires.expect("an end");
            expires.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
        };
        assert_eq!(seconds(&format!("x {key} expires=2028-02-29")), 1_835_395_200);
        assert_eq!(seconds(&format!("x {key} expires=2028-02-29T12:34:56Z")), 1_835_395_200 + 45_296);
        assert!(one(&format!("x {key} expires=1970-01-02")).is_over());
        assert!(!one(&format!("x {key} expires=9999-12-31")).is_over());
        for nothing in ["", "   ", "# x", "\t#", "\u{a0}"] {
            assert!(parse_line(nothing).expect("nothing on it").is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn a_name_begins_with_no_sign_of_another_syntax() {
        let key = key(1);
        for name in ["_svc", "7of9", "josé", "日本", "a.b-c@host:1!"] {
            assert_eq!(one(&format!("{name} {key}")).name, name);
        }
        for word in ["!user", "-user", "+user", "@group", "*.example.com", ";", "\"user\"", "'user'", "/user"] {
            let why = parse_line(&format!("{word} {key}")).expect_err(word);
            assert!(why.contains(&word.escape_debug().to_string()) && why.contains("begin"), "{why}");
        }
    }

    /// Each of these, misread, would give somebody more than was meant.
    #[test]
    fn anything_not_understood_is_refused_and_named_cve_2026_70463() {
        let key = key(1);
        for (line, named) in [
            ("name".to_owned(), "name"),
            (key.to_string(), "before the key"),
            ("name #".to_owned(), "name"),
            ("name ed25519:AAAA".to_owned(), "32 bytes"),
            (format!("{}  {key}", "n".repeat(65)), "64 bytes"),
            (format!("a\u{1}b {key}"), "control"),
            (format!("root=x {key}"), "before the key"),
            (format!("name {key} read"), "\"read\""),
            (format!("name {key} rights=read"), "rights=read"),
            (format!("name {key} Allow=read"), "Allow=read"),
            (format!("name {key} allow="), "right"),
            (format!("name {key} allow=read,"), "right"),
            (format!("name {key} allow=read,wirte"), "wirte"),
            (format!("name {key} allow=READ"), "READ"),
            (format!("name {key} allow=read,read"), "twice"),
            (format!("name {key} allow=read allow=write"), "twice"),
            (format!("name {key} allow=read+write"), "read+write"),
            (format!("name {key} root="), "root="),
            (format!("name {key} root=/x"), "root="),
            (format!("name {key} root=a//b"), "empty"),
            (format!("name {key} root=a/b//"), "empty"),
            (format!("name {key} root=a/../b"), ".."),
            (format!("name {key} root=a/%2e%2e"), ".."),
            (format!("name {key} root=a/."), "\".\""),
            (format!("name {key} root=a/b%2fc"), "/"),
            (format!("name {key} root=a/b%00"), "NUL"),
            (format!("name {key} root=a/b%0"), "hexadecimal"),
            (format!("name {key} root=a/%+1"), "hexadecimal"),
            (format!("name {key} root=%FF"), "UTF-8"),
            (format!("name {key} root=a%0A"), "ROOT"),
            (format!("name {key} root=a root=a"), "twice"),
            (format!("name {key} quota="), "quota"),
            (format!("name {key} quota=G"), "quota"),
            (format!("name {key} quota=-1"), "quota"),
            (format!("name {key} quota=+1"), "quota"),
            (format!("name {key} quota=1.5G"), "quota"),
            (format!("name {key} quota=10g"), "quota"),
            (format!("name {key} quota=10GB"), "quota"),
            (format!("name {key} quota=99999999999P"), "quota"),
            (format!("name {key} quota=99999999999999999999"), "too large"),
            (format!("name {key} quota=1 quota=1"), "twice"),
            (format!("name {key} entries=1K"), "entries"),
            (format!("name {key} entries=0x10"), "entries"),
            (format!("name {key} entries=1 entries=2"), "twice"),
            (format!("name {key} expires="), "expires="),
            (format!("name {key} expires=90d"), "90d"),
            (format!("name {key} expires=2027-02-29"), "2027-02-29"),
            (format!("name {key} expires=2027-13-01"), "2027-13-01"),
            (format!("name {key} expires=27-01-01"), "27-01-01"),
            (format!("name {key} expires=2027-01-01T25:00:00Z"), "25:00"),
            (format!("name {key} expires=2027-01-01T10:00:00"), "10:00"),
            (format!("name {key} expires=2027-01-01T10:00:00+01:00"), "+01"),
            (format!("name {key} expires=2027-01-01 expires=2027-01-01"), "twice"),
        ] {
            let why = parse_line(&line).expect_err(&line);
            assert!(why.contains(named), "{line}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in ".{0,120}", tail in "( (root|allow|quota|entries|expires)=[ -~]{0,12}){0,3}") {
            let _ = parse_line(&line);
            let _ = parse_line(&format!("name {}{tail}", key(1)));
        }
    }
}
