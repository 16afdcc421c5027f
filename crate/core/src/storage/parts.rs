//! Cuts a file into parts by its content.

use std::ops::Range;

use sparsync_proto::delta::Cutter;

use super::{CallError, File};

/// Bytes read at once, unless parts are longer. More than the cache of one core holds would take a third more system
/// time.
const READ_BYTES: usize = 256 << 10;

/// The next bytes of a file.
pub(crate) enum Cut<'a> {
    /// A part.
    Part(&'a [u8]),
    /// A hole of so many bytes.
    Hole(u64),
}

/// Cuts a range of a file, and passes on its parts. A hole ends a part where `may_have_holes`. Says whether the file
/// reaches to the end of the range.
pub(crate) fn cut_file<E: From<CallError>>(
    file: &impl File,
    range: Range<u64>,
    (cutter, may_have_holes): (Cutter, bool),
    mut each: impl FnMut(Cut<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    let mut buffer = Vec::new();
    buffer.reserve_exact(READ_BYTES.max(2 * cutter.longest()));
    let mut at = range.start;
    while at < range.end {
        let (data, end) = if may_have_holes { file.next_data(at, range.end) } else { (at, range.end) };
        if data > at {
            each(Cut::Hole(data - at))?;
        }
        if !cut_data(file, data..end, cutter, &mut buffer, &mut each)? {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}

/// Cuts a range of data.
fn cut_data<E: From<CallError>>(
    file: &impl File,
    range: Range<u64>,
    cutter: Cutter,
    buffer: &mut Vec<u8>,
    each: &mut impl FnMut(Cut<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    buffer.clear();
    let (mut read_to, mut used) = (range.start, 0);
    loop {
        if read_to < range.end && buffer.len() - used < cutter.longest() {
            buffer.drain(..used);
            used = 0;
            while read_to < range.end && buffer.len() < buffer.capacity() {
                let read = file.read(buffer, read_to).map_err(E::from)? as u64;
                if read == 0 {
                    return Ok(false);
                }
                let beyond = (read_to + read).saturating_sub(range.end);
                buffer.truncate(buffer.len() - usize::try_from(beyond).unwrap_or(0));
                read_to = (read_to + read).min(range.end);
            }
        }
        let rest = &buffer[used..];
        if rest.is_empty() {
            return Ok(true);
        }
        let part = &rest[..cutter.cut(rest)];
        used += part.len();
        each(Cut::Part(part))?;
    }
}
