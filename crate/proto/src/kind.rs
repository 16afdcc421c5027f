//! The kinds of error, the same on both ends, in the API, in the command line and in the documents.

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $code:literal;)*) => {
        /// What went wrong, in the terms that a caller can act on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// Every kind, in wire order: documents and the TypeScript union are compared with it.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code that a program matches, `ERR_SPARSYNC_…`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => concat!("ERR_SPARSYNC_", $code),)* }
            }

            /// The byte that stands for this kind on the wire.
            #[must_use]
            pub const fn to_wire(self) -> u8 {
                match self { $(Self::$name => $wire,)* }
            }

            /// The kind for a byte from the wire; a newer peer's unknown kind is [`ErrorKind::Internal`].
            #[must_use]
            pub const fn from_wire(byte: u8) -> Self {
                match byte { $($wire => Self::$name,)* _ => Self::Internal }
            }
        }
    };
}

error_kinds! {
    /// An option, address, key file or configuration that cannot be used as given.
    Config = 1, "CONFIG";
    /// The source, or the place that should hold the destination, is not there.
    NotFound = 2, "NOT_FOUND";
    /// No connection could be made to any address of the host.
    Connect = 3, "CONNECT";
    /// The connection ended in the middle of the work.
    Closed = 4, "CLOSED";
    /// Neither side did any work for longer than the time allowed.
    Timeout = 5, "TIMEOUT";
    /// The two sides have no protocol version in common.
    Version = 6, "VERSION";
    /// The peer sent what the protocol does not allow.
    Protocol = 7, "PROTOCOL";
    /// The server's key is not pinned and nobody was there to accept it.
    UnknownHost = 8, "UNKNOWN_HOST";
    /// The server's key is not the one that is pinned.
    HostKeyChanged = 9, "HOST_KEY_CHANGED";
    /// The server does not know the client's key, or no longer does.
    Unauthorized = 10, "UNAUTHORIZED";
    /// The key is known; what it asked for is outside its scope.
    Scope = 11, "SCOPE";
    /// A file system operation failed and the run could not go on.
    Io = 12, "IO";
    /// The destination has not enough free space or entries.
    NoSpace = 13, "NO_SPACE";
    /// The deletions that the run would make look like an accident.
    DeleteRefused = 14, "DELETE_REFUSED";
    /// The limit on deletions was reached.
    MaxDelete = 15, "MAX_DELETE";
    /// Another run is writing to the same destination.
    Busy = 16, "BUSY";
    /// Some paths did not arrive, not with all attributes, or could not be deleted.
    Partial = 17, "PARTIAL";
    /// A limit of this side was reached.
    Limit = 19, "LIMIT";
    /// The run was canceled.
    Aborted = 20, "ABORTED";
    /// A defect of this program.
    Internal = 21, "INTERNAL";
    /// A tree has changed since the plan that is applied was made.
    PlanStale = 22, "PLAN_STALE";
}

impl ErrorKind {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(self, Self::Connect | Self::Closed | Self::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorKind;

    #[test]
    fn wire_bytes_are_unique_and_survive_a_round_trip() {
        assert!(ErrorKind::ALL.windows(2).all(|pair| pair[0].to_wire() < pair[1].to_wire()));
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_wire(kind.to_wire()), *kind);
        }
        assert_eq!(ErrorKind::from_wire(255), ErrorKind::Internal);
    }
}
