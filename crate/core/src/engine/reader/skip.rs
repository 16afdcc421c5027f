//! Knows files that are not compressed, by how their names end.

/// Endings of names, each behind a dot: for each its characters, from the last one on.
#[derive(Clone, Debug, Default)]
pub(crate) struct SkipList(Vec<Vec<Vec<u8>>>);

impl SkipList {
    /// Reads a list of endings with slashes between them, in which `[...]` stands for one of some characters.
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(text.split(|&byte| byte == b'/').filter(|end| !end.is_empty()).map(end).collect())
    }

    /// Whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a file of this name is not compressed.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|end| {
            let mut name = name.iter().rev();
            let fits =
                end.iter().all(|class| name.next().is_some_and(|byte| class.contains(&byte.to_ascii_lowercase())));
            fits && name.next() == Some(&b'.')
        })
    }
}

fn end(text: &[u8]) -> Vec<Vec<u8>> {
    let lower = text.to_ascii_lowercase();
    let (mut classes, mut rest) = (Vec::new(), &lower[..]);
    while let Some((first, behind)) = rest.split_first() {
        let closed = if *first == b'[' { behind.iter().position(|&byte| byte == b']') } else { None };
        let (class, left) = match closed {
            Some(at) => (behind[..at].to_vec(), &behind[at + 1..]),
            None => (vec![*first], behind),
        };
        classes.push(class);
        rest = left;
    }
    classes.reverse();
    classes
}

#[cfg(test)]
mod tests {
    use super::SkipList;

    #[test]
    fn names_end_behind_a_dot_and_in_any_case() {
        let list = SkipList::parse(b"gz/mp[34]/7z/");
        for name in [&b"a.gz"[..], b"A.GZ", b".mp3", b"x.mp4", b"x.y.7z"] {
            assert!(list.has(name), "{name:?}");
        }
        for name in [&b"gz"[..], b"a.gzz", b"agz", b"x.mp5", b"mp3", b""] {
            assert!(!list.has(name), "{name:?}");
        }
        assert!(SkipList::parse(b"").is_empty() && !SkipList::parse(b"[").has(b"a."));
    }
}
