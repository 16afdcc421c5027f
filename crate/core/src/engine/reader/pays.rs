//! Whether compressing packs, and looking for what changed in a file, pays on the way to the receiver.

/// Whether something is worth doing now; asked each time before it would be done.
type Now = Box<dyn Fn() -> bool + Send + Sync>;

/// Whether compression and deltas pay on the way to the receiver.
pub(crate) struct Pays {
    /// That packs are compressed.
    pub(crate) compression: Now,
    /// That of a file that changed is found out what changed, where the receiver has an older state.
    pub(crate) delta: Now,
}

impl Pays {
    /// On the way within a process, where a run that wants no deltas has the receiver ask for none.
    pub(crate) fn for_deltas_alone() -> Self {
        Self { compression: Box::new(|| false), delta: Box::new(|| true) }
    }
}
