//! A disk that writes down what is done to it.
//!
//! A FUSE file system of two files. `disk` is an image that a loop device can stand on: each write and each flush that
//! reaches it is appended to a log, in the order in which the disk answered. What is written to `mark` goes into the
//! same log, so that a test can say what it knew at that moment. The log is enough to build every state in which the
//! disk could be after its power was cut.
//!
//! FUSE's protocol is spoken here as far as a loop device needs it, which is less than a library for it would be. One
//! thread answers one request after another: a write that was answered before a flush was asked for is before it in the
//! log.

mod fuse;
mod log;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use fuse::{Channel, EINVAL, EIO, ENOSYS, Operation, Request};
use log::Log;

/// The image, its log, and the channel to the kernel.
struct Recorder {
    channel: Channel,
    image: std::fs::File,
    size: u64,
    log: Log,
}

impl Recorder {
    /// Answers requests until the file system is unmounted.
    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; fuse::REQUEST_BYTES];
        while let Some(request) = self.channel.next(&mut buffer)? {
            self.answer(&request)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request<'_>) -> io::Result<()> {
        let unique = request.unique;
        let reply = match request.operation {
            Operation::Init { minor } => Ok(fuse::init(minor)),
            Operation::Lookup { name } => fuse::lookup(name, self.size),
            Operation::Attributes => fuse::attributes(request.node, self.size),
            Operation::Open => Ok(fuse::opened(request.node)),
            Operation::Read { offset, size } => self.read(request.node, offset, size),
            Operation::Write { offset, data } => self.write(request.node, offset, data),
            Operation::Flush => self.flush(),
            Operation::Close => Ok(Vec::new()),
            Operation::Unanswered => return Ok(()),
            Operation::Other => Err(ENOSYS),
        };
        self.channel.reply(unique, reply)
    }

    fn read(&self, node: u64, offset: u64, size: u32) -> Result<Vec<u8>, i32> {
        if node != fuse::DISK {
            return Ok(Vec::new());
        }
        let wanted = u64::from(size).min(self.size.saturating_sub(offset));
        let mut data = vec![0; usize::try_from(wanted).map_err(|_| EINVAL)?];
        self.image.read_exact_at(&mut data, offset).map_err(|_| EIO)?;
        Ok(data)
    }

    fn write(&mut self, node: u64, offset: u64, data: &[u8]) -> Result<Vec<u8>, i32> {
        if node == fuse::MARK {
            self.log.mark(data).map_err(|_| EIO)?;
        } else {
            if offset.checked_add(data.len() as u64).is_none_or(|end| end > self.size) {
                return Err(EINVAL);
            }
            self.image.write_all_at(data, offset).map_err(|_| EIO)?;
            self.log.write(offset, data).map_err(|_| EIO)?;
        }
        fuse::written(data.len())
    }

    fn flush(&mut self) -> Result<Vec<u8>, i32> {
        self.log.flush().map_err(|_| EIO)?;
        Ok(Vec::new())
    }
}

fn record(mount_point: &Path, image: &Path, log: &Path) -> io::Result<()> {
    let image = OpenOptions::new().read(true).write(true).open(image)?;
    let size = image.metadata()?.len();
    let log = Log::create(log)?;
    let channel = Channel::mount(mount_point)?;
    Recorder { channel, image, size, log }.run()
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [mount_point, image, log] = arguments.as_slice() else {
        return complain("usage: powercut-recorder MOUNT-POINT IMAGE LOG");
    };
    match record(mount_point.as_ref(), image.as_ref(), log.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "a program tells its caller why it ends")]
fn complain(why: &str) -> ExitCode {
    eprintln!("powercut-recorder: {why}");
    ExitCode::FAILURE
}
