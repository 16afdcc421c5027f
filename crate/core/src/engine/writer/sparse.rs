//! Turns runs of zeros into holes, when that is asked for.

use std::ops::Range;

use crate::storage::{Result, WriteFile};

/// The size of the blocks that file systems allocate: a hole in less than one takes as much room as zeros.
const BLOCK_BYTES: usize = 4096;

/// The parts of `bytes`, which stand at `offset` in their file, that are no blocks of zeros. A piece of a block at
/// either end counts as a block: the rest of it may be a hole as well.
fn data(bytes: &[u8], offset: u64) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // A remainder of the size of a block fits.
        let in_block = usize::try_from((offset + at as u64) % BLOCK_BYTES as u64).unwrap_or(0);
        let end = (at + BLOCK_BYTES - in_block).min(bytes.len());
        let is_hole = bytes[at..end].iter().all(|&byte| byte == 0);
        match parts.last_mut() {
            _ if is_hole => {}
            Some(last) if last.end == at => last.end = end,
            _ => parts.push(at..end),
        }
        at = end;
    }
    parts
}

/// The last zeros written to a file that is written over. Only whole blocks can become holes, and the zeros of one
/// block may come in several pieces.
#[derive(Debug, Default)]
pub(super) struct Zeros(Range<u64>);

impl Zeros {
    /// Clears a range of the file to zeros.
    pub(super) fn clear(&mut self, file: &impl WriteFile, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let begins_in = range.start - range.start % BLOCK_BYTES as u64;
        let (start, run) = if self.0.end == range.start {
            (self.0.start.max(begins_in), self.0.start..range.end)
        } else {
            (range.start, range.clone())
        };
        self.0 = run;
        file.clear(start, range.end - start)
    }
}

/// Writes `bytes` at `offset`, but for blocks of zeros. Nothing was written there before, unless the file is written
/// over: then the old block is cleared, for its content must not show through a hole. Gives where the last data ends,
/// when there is some.
pub(super) fn write(
    file: &impl WriteFile,
    bytes: &[u8],
    offset: u64,
    mut over: Option<&mut Zeros>,
) -> Result<Option<u64>> {
    let clear = |zeros| over.as_deref_mut().map_or(Ok(()), |over| over.clear(file, zeros));
    each_part(bytes, offset, clear, |part| file.write(&bytes[part.clone()], offset + part.start as u64))
}

/// Makes holes of the blocks of zeros among `bytes`, which stand at `offset` already.
pub(super) fn clear_zeros(file: &impl WriteFile, bytes: &[u8], offset: u64, over: &mut Zeros) -> Result<()> {
    each_part(bytes, offset, |zeros| over.clear(file, zeros), |_| Ok(())).map(drop)
}

/// Passes the parts of `bytes`, which stand at `offset`, to the one closure or the other, in order. Gives where the
/// last data ends, if there is some.
fn each_part(
    bytes: &[u8],
    offset: u64,
    mut of_zeros: impl FnMut(Range<u64>) -> Result<()>,
    mut of_data: impl FnMut(Range<usize>) -> Result<()>,
) -> Result<Option<u64>> {
    let place = |at: usize| offset + at as u64;
    let mut end = 0;
    for part in data(bytes, offset) {
        of_zeros(place(end)..place(part.start))?;
        end = part.end;
        of_data(part)?;
    }
    of_zeros(place(end)..place(bytes.len()))?;
    Ok((end > 0).then_some(place(end)))
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_BYTES, data};

    #[test]
    fn blocks_of_zeros_are_left_out_wherever_they_stand() {
        let ends = |bytes: &[u8], offset| -> Vec<(usize, usize)> {
            data(bytes, offset).iter().map(|part| (part.start, part.end)).collect()
        };
        let mut bytes = vec![0; 3 * BLOCK_BYTES];
        assert!(data(&bytes, 0).is_empty() && data(&bytes, 100).is_empty() && data(&[], 7).is_empty());
        bytes[BLOCK_BYTES + 5] = 1;
        assert_eq!(ends(&bytes, 0), [(BLOCK_BYTES, 2 * BLOCK_BYTES)]);
        assert_eq!(ends(&bytes, 100), [(BLOCK_BYTES - 100, 2 * BLOCK_BYTES - 100)]);
        bytes[0] = 1;
        assert_eq!(ends(&bytes, 0), [(0, 2 * BLOCK_BYTES)]);
        assert_eq!(ends(&bytes[..BLOCK_BYTES + 5], 0), [(0, BLOCK_BYTES)]);
        bytes[BLOCK_BYTES + 5] = 0;
        bytes[3 * BLOCK_BYTES - 1] = 1;
        assert_eq!(ends(&bytes, 0), [(0, BLOCK_BYTES), (2 * BLOCK_BYTES, 3 * BLOCK_BYTES)]);
    }
}
