//! A trait for a file that one storage lends to another.

use std::any::Any;

use super::Result;

/// A file that is lent to another storage of this process, which may know it by its type.
pub(crate) trait Lent: Send {
    /// The file as its own type.
    fn as_any(&self) -> &dyn Any;

    /// See [`super::File::read`].
    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize>;

    /// See [`super::File::next_data`].
    fn next_data(&self, at: u64, size: u64) -> (u64, u64);
}

impl<F: super::File + Any> Lent for F {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        super::File::read(self, buffer, offset)
    }

    fn next_data(&self, at: u64, size: u64) -> (u64, u64) {
        super::File::next_data(self, at, size)
    }
}
