//! The files of a directory that may still arrive.

use std::collections::HashMap;

/// The files of one directory that were asked for and have not come yet, each with what the caller knows of it. A first
/// sync expects all files of a tree and knows nothing of most: those take one bit each.
#[derive(Clone, Debug)]
pub struct Expected<T> {
    files: usize,
    /// Files without further facts, by index.
    plain: Vec<u64>,
    /// Files with further facts.
    known: HashMap<u32, T>,
}

impl<T> Default for Expected<T> {
    fn default() -> Self {
        Self { files: 0, plain: Vec::new(), known: HashMap::new() }
    }
}

impl<T> Expected<T> {
    /// How many are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.files
    }

    /// Whether none is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// Expects the file at `index`, which is not expected yet.
    pub fn add(&mut self, index: u32, known: Option<T>) {
        let was_new = if let Some(known) = known {
            self.known.insert(index, known).is_none()
        } else {
            let (word, bit) = (index as usize / 64, index % 64);
            if word >= self.plain.len() {
                self.plain.resize(word + 1, 0);
            }
            let was_new = self.plain[word] >> bit & 1 == 0;
            self.plain[word] |= 1 << bit;
            was_new
        };
        debug_assert!(was_new, "a file is expected once");
        self.files += usize::from(was_new);
    }

    /// The facts about an expected file.
    #[must_use]
    pub fn known(&self, index: u32) -> Option<&T> {
        self.known.get(&index)
    }

    /// Takes a file off the expected ones, with what is known of it. Gives none for a file that was not asked for, or
    /// has come already.
    pub fn take(&mut self, index: u32) -> Option<Option<T>> {
        let known = match self.plain.get_mut(index as usize / 64) {
            Some(word) if *word >> (index % 64) & 1 == 1 => {
                *word &= !(1 << (index % 64));
                None
            }
            _ => Some(self.known.remove(&index)?),
        };
        self.files -= 1;
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::Expected;

    #[test]
    fn each_file_is_taken_once_with_what_was_known_of_it() {
        let wanted = [(0, None), (63, Some("a")), (64, None), (1000, Some("b"))];
        let mut expected = Expected::default();
        for (index, known) in wanted {
            expected.add(index, known);
        }
        for index in [1, 62, 65, 999, 1001, u32::MAX] {
            assert!(expected.take(index).is_none(), "{index} was not asked for");
        }
        for (index, known) in wanted {
            assert_eq!(expected.take(index), Some(known));
            assert!(expected.take(index).is_none(), "{index} twice");
        }
        assert!(expected.is_empty());
    }
}
