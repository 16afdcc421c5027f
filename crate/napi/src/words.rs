//! Closed sets as words of JavaScript.
//!
//! Written by scripts/closed-sets.mjs from the sources of crate/proto; never edited.

use napi_derive::napi;
use sparsync_core::proto::{Compare, Compression, Direction, Durability};

/// Which way the content goes, as the initiator sees it.
#[napi(string_enum)]
pub enum NativeDirection {
    /// From the initiator to the acceptor.
    #[napi(value = "push")]
    Push,
    /// From the acceptor to the initiator.
    #[napi(value = "pull")]
    Pull,
}

impl From<NativeDirection> for Direction {
    fn from(word: NativeDirection) -> Self {
        match word {
            NativeDirection::Push => Self::Push,
            NativeDirection::Pull => Self::Pull,
        }
    }
}

/// How the content of two regular files is compared.
#[napi(string_enum)]
pub enum NativeCompare {
    /// Equal size and modification time mean equal content.
    #[napi(value = "quick")]
    Quick,
    /// The content itself, by digest, on both ends.
    #[napi(value = "content")]
    Content,
    /// Equal size means equal content.
    #[napi(value = "size")]
    Size,
}

impl From<NativeCompare> for Compare {
    fn from(word: NativeCompare) -> Self {
        match word {
            NativeCompare::Quick => Self::Quick,
            NativeCompare::Content => Self::Content,
            NativeCompare::Size => Self::Size,
        }
    }
}

/// When the writes of a run are on disk.
#[napi(string_enum)]
pub enum NativeDurability {
    /// When the system gets to it.
    #[napi(value = "none")]
    None,
    /// When the run has succeeded.
    #[napi(value = "run")]
    Run,
    /// Each file before it gets its name.
    #[napi(value = "file")]
    File,
}

impl From<NativeDurability> for Durability {
    fn from(word: NativeDurability) -> Self {
        match word {
            NativeDurability::None => Self::None,
            NativeDurability::Run => Self::Run,
            NativeDurability::File => Self::File,
        }
    }
}

/// When packs are compressed.
#[napi(string_enum)]
pub enum NativeCompression {
    /// While the path is slow enough for it to pay.
    #[napi(value = "auto")]
    Auto,
    /// Always.
    #[napi(value = "always")]
    Always,
    /// Never.
    #[napi(value = "never")]
    Never,
}

impl From<NativeCompression> for Compression {
    fn from(word: NativeCompression) -> Self {
        match word {
            NativeCompression::Auto => Self::Auto,
            NativeCompression::Always => Self::Always,
            NativeCompression::Never => Self::Never,
        }
    }
}
