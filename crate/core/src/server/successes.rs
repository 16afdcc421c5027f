//! When transfers last ended well, remembered in the state directory: an alarm for a backup that did not happen must
//! not begin anew with each start of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Mutex;

use super::lock;
use crate::state::{StateDir, replace};

/// A record has a line of some dozen bytes for each client of a root and what it does there.
const RECORD_BYTES_MAX: u64 = 1 << 20;

/// Whose transfer it was, and which operation.
type By = (String, String);

/// Seconds since 1970, by root.
type Known = BTreeMap<String, BTreeMap<By, u64>>;

/// The last successes.
#[derive(Default)]
pub(super) struct Successes {
    known: Mutex<Known>,
    /// Roots whose record is not up to date.
    changed: Mutex<BTreeSet<String>>,
}

impl Successes {
    /// A transfer of `client` to or from a root has ended well.
    pub(super) fn note(&self, root: &str, (client, operation): (&str, &str), at: u64) {
        lock(&self.known).entry(root.to_owned()).or_default().insert((client.to_owned(), operation.to_owned()), at);
        lock(&self.changed).insert(root.to_owned());
    }

    /// Reads the record of the root at `path`: clients, operations and times. A record that is missing or cannot be
    /// read costs an alarm that comes late, and must not keep the server from starting.
    pub(super) fn read(&self, state: &StateDir, root: &str, path: &[u8]) -> Vec<(By, u64)> {
        let record = read(&state.file("successes", path)).unwrap_or_default();
        let record: Vec<(By, u64)> = record.lines().filter_map(parse).collect();
        lock(&self.known).insert(root.to_owned(), record.iter().cloned().collect());
        record
    }

    /// Writes the records that are not up to date; `path_of` is where a root is.
    pub(super) fn save<'a>(&self, state: &StateDir, path_of: impl Fn(&str) -> Option<&'a [u8]>) {
        for root in std::mem::take(&mut *lock(&self.changed)) {
            let Some(path) = path_of(&root) else { continue };
            let text: String = lock(&self.known).get(&root).into_iter().flatten().map(line).collect();
            let _ = replace(&state.file("successes", path), text.as_bytes());
        }
    }

    /// Whether a record is not up to date.
    pub(super) fn have_changed(&self) -> bool {
        !lock(&self.changed).is_empty()
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(file)?.take(RECORD_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// `SECONDS OPERATION CLIENT`, with the client's name as Rust writes a text, so that it is one line.
fn line(((client, operation), at): (&By, &u64)) -> String {
    format!("{at} {operation} {}\n", client.escape_default())
}

fn parse(line: &str) -> Option<(By, u64)> {
    let (at, rest) = line.split_once(' ')?;
    let (operation, client) = rest.split_once(' ')?;
    let operation = ["push", "pull"].into_iter().find(|known| *known == operation)?;
    Some(((unescaped(client)?, operation.to_owned()), at.parse().ok()?))
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(each) = rest.next() {
        plain.push(match each {
            '\\' => match rest.next()? {
                't' => '\t',
                'r' => '\r',
                'n' => '\n',
                'u' => {
                    let digits: String = rest.by_ref().skip(1).take_while(|&each| each != '}').collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                itself => itself,
            },
            each => each,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::Successes;
    use crate::state::StateDir;

    #[test]
    fn what_was_noted_is_there_after_a_start_whatever_the_names_are() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::at(directory.path());
        let noted = Successes::default();
        let names = ["laptop", "a b\n\\ \u{e9}\u{1f980}", ""];
        for (at, name) in (1..).zip(names) {
            noted.note("r", (name, "push"), at);
        }
        noted.note("other", ("laptop", "pull"), 9);
        assert!(noted.have_changed());
        noted.save(&state, |root| (root == "r").then_some(&b"r"[..]));
        assert!(!noted.have_changed());
        let mut found = Successes::default().read(&state, "r", b"r");
        found.sort_by_key(|(_, at)| *at);
        let expected: Vec<_> = (1..).zip(names).map(|(at, name)| ((name.to_owned(), "push".to_owned()), at)).collect();
        assert_eq!(found, expected);
        std::fs::write(state.file("successes", b"r"), "no number\n5 push laptop\n6 walk x\n").unwrap();
        let found = Successes::default().read(&state, "r", b"r");
        assert_eq!(found, [(("laptop".to_owned(), "push".to_owned()), 5)]);
    }
}
