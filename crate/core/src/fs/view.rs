//! How a tree of the file system is seen by a run: what is stored, what symlinks say, and which of them are followed.

use std::sync::Arc;

use sparsync_proto::{Time, munged, unmunged};

use super::follow::Following;

/// How a tree is seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// What takes root is stored as extended attributes.
    pub(crate) is_fake: bool,
    /// What symlinks say.
    pub(crate) targets: Targets,
    /// What devices are.
    pub(crate) devices: Devices,
    /// The symlinks that are taken for what they lead to.
    pub(crate) following: Option<Arc<Following>>,
}

/// What devices are to a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Devices {
    /// Devices.
    #[default]
    Nodes,
    /// Files of what they hold as of this time, for what is written to a device need not change the time of its entry: the tree is read.
    Content(Time),
    /// Devices, which may be written to where the source has files.
    Writable,
}

/// What the targets of symlinks are to a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Targets {
    /// What they are.
    #[default]
    Plain,
    /// What they were before they were munged: the tree is read.
    Unmunged,
    /// They are written munged. One that is not is like no other.
    Munged,
}

impl Targets {
    /// Those of a tree that is read, or written where `writes`, and which are munged there or not.
    pub(crate) fn of(is_munged: bool, writes: bool) -> Self {
        match (is_munged, writes) {
            (false, _) => Self::Plain,
            (true, false) => Self::Unmunged,
            (true, true) => Self::Munged,
        }
    }

    /// A target as it was found.
    pub(super) fn read(self, found: Vec<u8>) -> Vec<u8> {
        match (self, unmunged(&found)) {
            (Self::Plain, _) | (Self::Unmunged, None) => found,
            (Self::Unmunged | Self::Munged, Some(target)) => target.to_vec(),
            // No symlink has an empty target, so it is made anew.
            (Self::Munged, None) => Vec::new(),
        }
    }

    /// A target as it is to be written.
    pub(super) fn written(self, target: &[u8]) -> Vec<u8> {
        if self == Self::Munged { munged(target) } else { target.to_vec() }
    }
}
