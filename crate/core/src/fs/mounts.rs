//! What the kernel tells of mounted file systems.

use std::io::Read;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags};

/// One mounted file system, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The kernel's number for it.
    pub(crate) id: u64,
    /// The file system, as the kernel's numbers for it.
    pub(crate) device: Vec<u8>,
    /// The part of the file system that is mounted here, as a path from the file system's own top.
    pub(crate) part: Vec<u8>,
    /// Where it is seen.
    pub(crate) point: Vec<u8>,
}

impl Mount {
    /// All mounts that this process sees; none where `/proc` is missing.
    pub(crate) fn all() -> Vec<Self> {
        text().unwrap_or_default().split(|&byte| byte == b'\n').filter_map(Self::parse).collect()
    }

    /// A line of `mountinfo`: number, number of the parent, device, part, place, and more.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = fields.nth(1)?.to_vec();
        let part = unescape(fields.next()?);
        let point = unescape(fields.next()?);
        Some(Self { id, device, part, point })
    }

    /// The number of the mount that a descriptor was opened on; none before Linux 5.8.
    pub(crate) fn id_of(fd: impl AsFd) -> Option<u64> {
        let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
    }
}

/// Room for the text of some forty mounts. `std::fs::read` begins with 32 bytes and doubles them, since the kernel
/// tells no size of it.
const TEXT_BYTES: usize = 8192;

fn text() -> std::io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    std::fs::File::open("/proc/self/mountinfo")?.read_to_end(&mut text)?;
    Ok(text)
}

/// The rest of the absolute path `path` below the absolute path `above`, without a slash in front.
pub(crate) fn below<'a>(path: &'a [u8], above: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(above.strip_suffix(b"/").unwrap_or(above))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// Blanks, line ends and backslashes stand in `mountinfo` as a backslash with three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{Mount, below};

    #[test]
    fn a_line_is_taken_apart() {
        let mount = Mount::parse(b"36 35 98:0 /a\\040b /mnt\\134x rw - ext4 /dev/root rw").unwrap();
        assert_eq!(mount.id, 36);
        assert_eq!(mount.device, b"98:0");
        assert_eq!(mount.part, b"/a b");
        assert_eq!(mount.point, b"/mnt\\x");
        assert_eq!(Mount::parse(b"36 35"), None);
    }

    #[test]
    fn below_goes_by_whole_names() {
        assert_eq!(below(b"/a/b", b"/a"), Some(&b"b"[..]));
        assert_eq!(below(b"/a", b"/a"), Some(&b""[..]));
        assert_eq!(below(b"/a/b", b"/"), Some(&b"a/b"[..]));
        assert_eq!(below(b"/ab", b"/a"), None);
    }
}
