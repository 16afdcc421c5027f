//! The versions of the protocol, and how two ends settle on one.
//!
//! The version tells the form of a frame. What is made of tagged fields grows within a version, see [`crate::field`].

use std::fmt;

use crate::codec::{DecodeError, Decoded, Reader, Write};
use crate::field::Value;

/// A version that this build speaks. Code whose bytes depend on the version must match on it, so that the compiler
/// finds every place that a new version concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The first.
    #[default]
    V1,
}

impl Version {
    /// Every version that this build speaks, oldest first.
    pub const ALL: &'static [Self] = &[Self::V1];

    /// The oldest version that this build speaks.
    pub const OLDEST: Self = Self::V1;

    /// The newest version that this build speaks.
    pub const NEWEST: Self = Self::V1;

    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
        }
    }

    /// The version with this number, if this build speaks it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| version.number() == number)
    }

    /// The highest version that both this build and a peer speak, whose Hello named `oldest` and `newest`.
    #[must_use]
    pub fn agree(oldest: u16, newest: u16) -> Option<Self> {
        Self::ALL.iter().rev().copied().find(|version| (oldest..=newest).contains(&version.number()))
    }

    /// The versions of this build for an error message.
    #[must_use]
    pub fn range() -> impl fmt::Display {
        format!("{} to {}", Self::OLDEST.number(), Self::NEWEST.number())
    }
}

impl Value for Version {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(u64::from(self.number()));
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        Self::from_number(reader.small(what)?).ok_or(DecodeError::Malformed { what })
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_highest_common_version_is_agreed_on() {
        assert_eq!(Version::agree(0, 9), Some(Version::NEWEST));
        assert_eq!(Version::agree(1, 1), Some(Version::V1));
        assert_eq!(Version::agree(Version::NEWEST.number() + 1, u16::MAX), None);
        assert_eq!(Version::agree(9, 0), None, "a range that is empty has nothing in common with any");
    }
}
