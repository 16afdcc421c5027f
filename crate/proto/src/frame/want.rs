//! What the receiver asks for: numbers in ascending order, and what it holds already.

use crate::codec::{Decoded, Reader, Write, malformed};

/// How much of a file the receiver holds from an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The index of the file in its directory's listing.
    pub index: u32,
    /// Leading bytes that it holds.
    pub bytes: u64,
    /// Their BLAKE3 digest.
    pub digest: [u8; 32],
}

pub(crate) fn put_ascending(numbers: &[u32], out: &mut Vec<u8>) {
    out.number(numbers.len() as u64);
    let mut last = 0;
    for &number in numbers {
        out.number(u64::from(number.wrapping_sub(last)));
        last = number;
    }
}

pub(crate) fn ascending(reader: &mut Reader<'_>) -> Decoded<Vec<u32>> {
    // Each number takes at least a byte, so the rest of the frame bounds the allocation.
    let count = reader.length(reader.rest().len(), "count of numbers")?;
    let mut numbers = Vec::with_capacity(count);
    let mut last = 0u32;
    for at in 0..count {
        let step: u32 = reader.small("number")?;
        let (next, overflow) = last.overflowing_add(step);
        if overflow || (at > 0 && step == 0) {
            return malformed("order of numbers");
        }
        numbers.push(next);
        last = next;
    }
    Ok(numbers)
}

pub(super) fn put_resumes(resumes: &[Resume], out: &mut Vec<u8>) {
    out.number(resumes.len() as u64);
    for part in resumes {
        out.number(u64::from(part.index));
        out.number(part.bytes);
        out.raw(&part.digest);
    }
}

pub(super) fn resumes(reader: &mut Reader<'_>) -> Decoded<Vec<Resume>> {
    let count = reader.length(reader.rest().len(), "count of resumed files")?;
    let mut resumes = Vec::with_capacity(count.min(reader.rest().len() / 32));
    for _ in 0..count {
        resumes.push(Resume {
            index: reader.small("index")?,
            bytes: reader.number("bytes")?,
            digest: reader.array("digest")?,
        });
    }
    Ok(resumes)
}
