//! The file that a batch is read from.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use sparsync_proto::hex;

use super::refused;
use crate::error::{Error, Result};
use crate::fs::open_named_now;

/// The path that stands for the standard input of this process, whatever that is.
const STANDARD_INPUT: &[u8] = b"/dev/stdin";
/// How long is waited for more of a batch before it is asked whether the run is called off.
const LOOK: Duration = Duration::from_millis(200);
const PIECE_BYTES: usize = 256 << 10;

/// Opens a batch so that any part of it can be read. What comes through a pipe is kept in an unnamed file: nothing is
/// done before all of it was looked at.
pub(super) fn seekable(path: &[u8], check: &dyn Fn() -> Result<()>) -> Result<File> {
    let failed = |error| Error::io("cannot read the batch", path, error);
    let is_standard_input = path == STANDARD_INPUT;
    let input = if is_standard_input { standard_input() } else { open_named_now(path).map_err(Into::into) };
    let input = input.map_err(failed)?;
    let kind = input.metadata().map_err(failed)?.file_type();
    if kind.is_file() && !is_standard_input {
        return Ok(input);
    }
    if !(is_standard_input || kind.is_fifo()) {
        return Err(refused(path, 0, "format", "a batch must be a regular file or a pipe"));
    }
    kept(&input, path, check)
}

fn standard_input() -> std::io::Result<File> {
    // A socket, which a parent may have given, cannot be opened by its path.
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?))
}

/// Takes all that comes, in an unnamed file that nobody else can open.
fn kept(mut input: &File, path: &[u8], check: &dyn Fn() -> Result<()>) -> Result<File> {
    let failed = |error| Error::io("cannot read the batch", path, error);
    let place = std::env::temp_dir();
    let lost = |error| Error::io("cannot keep the batch", place.as_os_str().as_bytes(), error);
    let mut file = unnamed(&place).map_err(lost)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        check()?;
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK.subsec_nanos()) };
        let mut fds = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => file.write_all(&piece[..bytes]).map_err(lost)?,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    file.rewind().map_err(lost)?;
    Ok(file)
}

/// A file without a name in a directory; where the file system has none, one whose name is taken away.
fn unnamed(place: &Path) -> std::io::Result<File> {
    let (flags, mode) = (OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::EXCL, Mode::RUSR | Mode::WUSR);
    match rustix::fs::open(place, flags, mode) {
        Ok(file) => Ok(File::from(file)),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            let mut random = [0; 8];
            rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
            let name = place.join(format!(".sparsync-batch.{}.tmp", hex(&random)));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&name)?;
            std::fs::remove_file(&name)?;
            Ok(file)
        }
        Err(errno) => Err(errno.into()),
    }
}
