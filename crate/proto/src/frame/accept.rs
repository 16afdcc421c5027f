//! The acceptor's answer to a request.

use crate::closed::closed_set;
use crate::field::{FileName, message};
use crate::options::Lanes;
use crate::paths::Paths;
use crate::version::Version;

closed_set! {
    /// What the receiver lets the sender send.
    #[derive(Default)]
    Grant {
        /// The content of the files that it asks for.
        #[default]
        AsAsked = 0, "as-asked";
        /// The content of every file.
        All = 1, "all";
    }
}

/// The acceptor's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The protocol version of the session.
    pub version: Version,
    /// The grant for the sender: chosen by the receiver on a push, repeated by the sender on a pull.
    pub grant: Grant,
    /// Data lanes of the session.
    pub lanes: u8,
    /// The name of the source when it is a single file and the acceptor is the sender.
    pub file_name: Option<Vec<u8>>,
    /// See [`crate::Request::selected`], when the acceptor is the sender and the request did not say.
    pub selected: Paths,
    /// See [`crate::Request::missing`], when the acceptor is the sender.
    pub missing: Paths,
    /// See [`crate::Request::bytes_bound`], when the acceptor is the sender.
    pub bytes_bound: Option<u64>,
    /// See [`crate::Request::entries_bound`].
    pub entries_bound: Option<u64>,
    /// The free space may not suffice: the need must be counted by a dry run first.
    pub count_first: bool,
    /// Free bytes at the destination, when the acceptor is the receiver; none where its file system sets no limit.
    pub free_bytes: Option<u64>,
    /// The same for entries.
    pub free_entries: Option<u64>,
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            version: Version::V1,
            grant: Grant::default(),
            lanes: 1,
            file_name: None,
            selected: Paths::default(),
            missing: Paths::default(),
            bytes_bound: None,
            entries_bound: None,
            count_first: false,
            free_bytes: None,
            free_entries: None,
        }
    }
}

message!(Accept, "acceptance" {
    1 critical version,
    2 critical grant,
    3 critical lanes: Lanes,
    4 critical file_name: FileName,
    5 optional bytes_bound,
    6 optional entries_bound,
    7 critical count_first,
    8 optional free_bytes,
    9 optional free_entries,
    10 critical selected,
    105 critical missing,
});
