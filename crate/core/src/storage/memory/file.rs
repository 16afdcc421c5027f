//! An open file in memory.

use std::sync::Arc;

use super::{BLOCK_BYTES, Body, Held, is_hole};
use crate::storage::{Adjust, Errno, File, Lent, Result, Status, WriteFile};

impl File for Held {
    fn keep_access_time(&self) {}

    fn status(&self) -> Result<Status> {
        self.call("status of open file", b"", || Ok(self.node.status()))
    }

    fn read(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        let read = self.call("read", b"", || match &self.node.lock().body {
            Body::File(content) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let count = (content.len() - start).min(buffer.capacity() - buffer.len());
                buffer.extend_from_slice(&content[start..start + count]);
                Ok(count)
            }
            Body::Directory(_) => Err(Errno::ISDIR.into()),
            Body::Symlink(_) | Body::Node(..) => Err(Errno::INVAL.into()),
        })?;
        let restless = self.node.lock().restless;
        if let Some(change) = restless {
            self.node.change(change)?;
        }
        Ok(read)
    }

    fn next_data(&self, at: u64, size: u64) -> (u64, u64) {
        let state = self.node.lock();
        let Body::File(content) = &state.body else { return (at, size) };
        let block_at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX) / BLOCK_BYTES;
        let blocks: Vec<bool> = content.chunks(BLOCK_BYTES).map(is_hole).collect();
        let end_of = |block: usize| (block * BLOCK_BYTES) as u64;
        let Some(data) = (block_at(at)..blocks.len()).find(|&block| !blocks[block]) else { return (size, size) };
        let end = (data..blocks.len()).find(|&block| blocks[block]).map_or(size, end_of);
        (end_of(data).max(at).min(size), end.min(size))
    }

    fn lend(&self) -> Result<Box<dyn Lent>> {
        Ok(Box::new(self.child(b"", Arc::clone(&self.node))))
    }
}

impl WriteFile for Held {
    fn handle(&self) -> impl Adjust {
        self.child(b"", Arc::clone(&self.node))
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let put = |bytes: &[u8]| {
            self.node.change(|content| {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                content.resize(content.len().max(start + bytes.len()), 0);
                content[start..start + bytes.len()].copy_from_slice(bytes);
            })
        };
        self.faults.change(
            "write",
            &self.path,
            || put(bytes),
            || {
                let _ = put(&bytes[..bytes.len() / 2]);
            },
        )
    }

    fn clear(&self, at: u64, bytes: u64) -> Result<()> {
        self.change("clear", b"", || {
            self.node.change(|content| {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
                let range = place(at)..place(at.saturating_add(bytes));
                content[range].fill(0);
            })
        })
    }

    fn set_length(&self, bytes: u64) -> Result<()> {
        self.change("set length", b"", || {
            self.node.change(|content| content.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0))
        })
    }

    fn sync(&self) -> Result<()> {
        self.change("sync", b"", || Ok(()))
    }

    fn close(self) -> Result<()> {
        self.change("close", b"", || Ok(()))
    }
}
