//! How a tree of the file system is seen by a run: what is stored, what symlinks say, and which of them are followed.

use std::sync::Arc;

use sparsync_proto::{Time, munged, unmunged};

use super::follow::Following;

/// How a tree is seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// Attributes that take root are stored as extended attributes.
    pub(crate) is_fake: bool,
    /// How targets of symlinks are read and written.
    pub(crate) targets: Targets,
    /// How devices are read and written.
    pub(crate) devices: Devices,
    /// The symlinks that are followed.
    pub(crate) following: Option<Arc<Following>>,
}

/// How a run takes devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Devices {
    /// Devices.
    #[default]
    Nodes,
    /// Files with the content of the devices, as of this time, since writing to a device need not change the time of
    /// its entry. The tree is read.
    Content(Time),
    /// Devices, which may be written to where the source has files.
    Writable,
}

/// How a run takes the targets of symlinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Targets {
    /// The targets as they are.
    #[default]
    Plain,
    /// The targets as they were before they were munged, in a tree that is read.
    Unmunged,
    /// Targets are written munged. A target that is found unmunged differs from every other.
    Munged,
}

impl Targets {
    /// How targets are handled in a tree that is read, or written where `writes`, and in which they are munged or not.
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
