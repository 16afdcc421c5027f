//! A directory by its descriptor.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;
use sparsync_proto::{Device, Kind, Time};

use super::adjust::{Handle, path_of};
use super::fake_super;
use super::file::FsFile;
use super::follow::{Led, Place};
use super::settable::Settable;
use super::status::{access_time, kind_of, status, status_of_listed};
use super::versions::{Changed, Versions};
use super::view::{Devices, Targets, View};
use super::xattr;
use crate::storage::{
    Access, Adjust, CallError, Directory, File as _, Found, NO_REFERENT, NameBuffer, Result, Status, TempName,
    WriteDirectory, WriteFile, drop_set_ids,
};

/// How files are opened for reading. The open must not wait, or follow a symlink, if another entry has taken the file's
/// place.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// A directory of a tree.
#[derive(Debug)]
pub(crate) struct FsDirectory {
    fd: OwnedFd,
    access: Access,
    /// Attributes that take root are stored as extended attributes.
    is_fake: bool,
    targets: Targets,
    devices: Devices,
    /// Where it is in a tree in which symlinks are followed.
    place: Option<Box<Place>>,
    /// The place of versions of entries that lose their names or are written over.
    versions: Option<Arc<Versions>>,
}

impl FsDirectory {
    pub(super) fn new(
        fd: OwnedFd,
        access: Access,
        view: &View,
        place: Option<Box<Place>>,
        versions: Option<Arc<Versions>>,
    ) -> Self {
        Self { fd, access, is_fake: view.is_fake, targets: view.targets, devices: view.devices, place, versions }
    }

    /// The entry `name` itself, also where it is a symlink.
    #[inline]
    fn status_here(&self, name: &[u8]) -> Result<Status> {
        let found = if self.is_fake { fake_super::fake_status(self.fd.as_fd(), name) } else { status(&self.fd, name) };
        match found {
            Ok(found) if found.kind.is_device() && self.content_as_of().is_some() => {
                self.status_of_content(name, found)
            }
            found => found,
        }
    }

    /// The time that the content of devices counts as written at, in a view that takes devices for files.
    fn content_as_of(&self) -> Option<Time> {
        if let Devices::Content(as_of) = self.devices { Some(as_of) } else { None }
    }

    /// A device as a file with the device's content. A stored device has no content, and stays a device.
    #[cold]
    fn status_of_content(&self, name: &[u8], found: Status) -> Result<Status> {
        let held = self.open_own_file(0, name)?;
        if held.is_device() { held.status() } else { Ok(found) }
    }

    /// Opens a file of the process's own user for writing, whose mode forbids that. The mode is put back at once, since
    /// what is open may be written.
    fn open_read_only(&self, name: &[u8], may_be_linked: bool) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let reached = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(CallError::of("openat"))?;
        let stat = rustix::fs::fstat(&reached).map_err(CallError::of("fstat"))?;
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !(is_own && is_file && (may_be_linked || stat.st_nlink == 1)) {
            return Err(CallError { call: "openat", errno: Errno::ACCESS });
        }
        let mode = u16::try_from(stat.st_mode & 0o7777).unwrap_or(0);
        let handle = Handle::Reached(reached.as_fd());
        handle.set_mode(mode | 0o600)?;
        let opened = rustix::fs::open(path_of(reached.as_fd()), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
        handle.set_mode(mode)?;
        opened.map_err(CallError::of("open"))
    }

    /// Opens an entry to read it or write over it, where a device may be taken for a file. A character device is not
    /// opened for reading, because the open itself may have an effect.
    fn open_device(&self, name: &[u8], flags: OFlags) -> Result<FsFile> {
        let is = |kind| status(&self.fd, name).is_ok_and(|found| found.kind == kind);
        let flags = match (self.devices, flags.contains(OFlags::RDWR)) {
            (Devices::Content(_), _) if is(Kind::CharDevice) => OFlags::PATH | OFlags::CLOEXEC,
            // The exclusive flag fails for a device that is mounted, or in exclusive use otherwise: its user would not
            // see what is written.
            (Devices::Writable, true) if is(Kind::BlockDevice) => flags | OFlags::EXCL,
            _ => flags,
        };
        let fd = rustix::fs::openat(&self.fd, name, flags | OFlags::NOFOLLOW, Mode::empty());
        FsFile::or_device(fd.map_err(CallError::of("openat"))?, self.is_fake, self.content_as_of())
    }

    /// The status of the entry that stands for `name`, where symlinks are followed.
    fn status_followed(&self, place: &Place, name: &[u8]) -> Result<Status> {
        let here = self.status_here(name)?;
        // Symlinks that are followed are as good as further names.
        let as_met = |found: Status| Status { links: if found.links > 1 { u32::MAX } else { 1 }, ..found };
        if self.hides(name, here.kind) {
            return Err(Errno::NOENT.into());
        }
        if here.kind != Kind::Symlink {
            return Ok(as_met(here));
        }
        let led = place.led(self.fd.as_fd(), name, || self.told_target(name)).and_then(|led| match &led {
            Some(Led { directory, name, .. }) if self.is_fake => fake_super::fake_status(directory.as_fd(), name),
            Some(Led { directory, name, .. }) => status(directory, name),
            None => Ok(here),
        });
        led.map(as_met).map_err(|error| if error.errno == Errno::NOENT { NO_REFERENT } else { error })
    }

    /// The target that the system has for a symlink, before the run's view changes it.
    fn found_target(&self, name: &[u8]) -> Result<Vec<u8>> {
        let read = rustix::fs::readlinkat(&self.fd, name, Vec::new());
        read.map(std::ffi::CString::into_bytes).map_err(CallError::of("readlinkat"))
    }

    /// The target as the run sees it.
    fn told_target(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.found_target(name).map(|target| self.targets.read(target))
    }

    /// The entry that stands for `name`; none when `name` stands for itself.
    fn led(&self, name: &[u8]) -> Result<Option<Led>> {
        let Some(place) = self.place.as_ref().filter(|_| !name.is_empty()) else { return Ok(None) };
        match self.found_target(name) {
            Ok(target) => place.led(self.fd.as_fd(), name, || Ok(self.targets.read(target))),
            // The entry is no symlink.
            Err(CallError { errno: Errno::INVAL, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls `ask` with the directory and the name of the entry that stands for `name`.
    fn ask<T>(&self, name: &[u8], ask: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T>) -> Result<T> {
        match self.led(name)? {
            Some(led) => ask(led.directory.as_fd(), &led.name),
            None => ask(self.fd.as_fd(), name),
        }
    }

    fn hides(&self, name: &[u8], kind: Kind) -> bool {
        self.place.as_ref().is_some_and(|place| place.hides(name, kind))
    }

    /// Refuses to write under a name that the operator hides, in a directory that symlinks led to: its real path
    /// counts.
    fn may_write(&self, name: &[u8], kind: Kind) -> Result<()> {
        if self.hides(name, kind) { Err(Errno::PERM.into()) } else { Ok(()) }
    }

    /// Keeps a version of the entry `to`, whose name another entry is going to get. A user's entry must not get the
    /// name of an unfinished file: no version is kept of those.
    fn give_way(&self, from: &[u8], to: &[u8]) -> Result<Option<Changed<'_>>> {
        let Some(versions) = &self.versions else { return Ok(None) };
        if TempName::parse(to).is_some() && TempName::parse(from).is_none() {
            return Err(Errno::PERM.into());
        }
        let held = versions.hold(self.fd.as_fd(), to)?;
        versions.keep(self.fd.as_fd(), to)?;
        Ok(Some(held))
    }

    /// The directory as a flush takes it, which does not take one that is only reached.
    fn readable(&self) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, c".", flags, Mode::empty()).map_err(CallError::of("openat"))
    }

    /// Holds a name that something is going to be made under.
    fn held(&self, name: &[u8]) -> Result<Option<Changed<'_>>> {
        self.versions.as_ref().map(|versions| versions.hold(self.fd.as_fd(), name)).transpose()
    }

    fn settable<'a>(&self, handle: Handle<'a>) -> Settable<'a> {
        Settable { handle, is_fake: self.is_fake }
    }
}

fn mode(bits: u16) -> Mode {
    Mode::from_raw_mode((bits & 0o777).into())
}

impl AsFd for FsDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Directory for FsDirectory {
    type File = FsFile;

    fn names(&self, buffer: &mut NameBuffer, mut each: impl FnMut(&CStr, Option<Kind>) -> Result<()>) -> Result<()> {
        let mut entries = RawDir::new(&self.fd, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(CallError::of("getdents64"))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // Not every file system gives the type with the name.
            let found = entry.file_type();
            let stands_for_another = self.is_fake && found == FileType::RegularFile;
            let may_lead = self.place.is_some() && found == FileType::Symlink;
            let is_content = self.content_as_of().is_some() && kind_of(found).is_device();
            let is_known = found != FileType::Unknown && !stands_for_another && !may_lead && !is_content;
            let known = is_known.then(|| kind_of(found));
            if !self.hides(name.to_bytes(), known.unwrap_or(Kind::File)) {
                each(name, known)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn status(&self, name: &[u8]) -> Result<Status> {
        match &self.place {
            Some(place) if !name.is_empty() => self.status_followed(place, name),
            _ => self.status_here(name),
        }
    }

    #[inline]
    fn status_of_listed(&self, name: &CStr) -> Result<Status> {
        if self.place.is_some() || self.is_fake || self.devices != Devices::Nodes {
            self.status(name.to_bytes())
        } else {
            status_of_listed(&self.fd, name)
        }
    }

    fn access_time(&self, name: &[u8]) -> Result<Time> {
        self.ask(name, |directory, name| access_time(directory, name))
    }

    fn list_xattrs(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let list = if self.is_fake { fake_super::list_xattrs } else { xattr::list };
        self.ask(name, |directory, name| list(directory, name, buffer))
    }

    fn get_xattr(&self, name: &[u8], attribute: &[u8], buffer: &mut [u8]) -> Result<usize> {
        let get = if self.is_fake { fake_super::get_xattr } else { xattr::get };
        self.ask(name, |directory, name| get(directory, name, attribute, buffer))
    }

    fn read_link(&self, name: &[u8]) -> Result<Vec<u8>> {
        let target = match self.found_target(name) {
            Err(CallError { errno: Errno::INVAL, .. }) if self.is_fake => fake_super::read_link(self.fd.as_fd(), name)?,
            target => target?,
        };
        Ok(self.targets.read(target))
    }

    fn open_file(&self, name: &[u8]) -> Result<FsFile> {
        if self.hides(name, Kind::File) {
            return Err(Errno::NOENT.into());
        }
        match (self.open_own_file(0, name), &self.place) {
            (Err(error @ CallError { errno: Errno::LOOP, .. }), Some(place)) => {
                let led = place.open_file(self.fd.as_fd(), name, READ, || self.told_target(name))?;
                Ok(FsFile::new(led.ok_or(error)?, self.is_fake))
            }
            (opened, _) => opened,
        }
    }

    fn open_own_file(&self, _: usize, name: &[u8]) -> Result<FsFile> {
        if self.devices != Devices::Nodes {
            return self.open_device(name, READ);
        }
        let opened = rustix::fs::openat(&self.fd, name, READ | OFlags::NOFOLLOW, Mode::empty());
        Ok(FsFile::new(opened.map_err(CallError::of("openat"))?, self.is_fake))
    }

    fn freeze(&self, file: &FsFile) -> Result<FsFile> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::EXCL;
        let fd = rustix::fs::openat(&self.fd, ".", flags, mode(0o600)).map_err(CallError::of("openat"))?;
        let frozen = FsFile::new(fd, false);
        WriteFile::share_all(&frozen, file)?;
        Ok(frozen)
    }

    fn read_own_link(&self, _: usize, name: &[u8]) -> Result<(Vec<u8>, u32)> {
        Ok((self.found_target(name)?, self.status_here(name)?.meta.uid))
    }
}

impl WriteDirectory for FsDirectory {
    fn handle(&self) -> impl Adjust {
        match self.access {
            Access::Read => self.settable(Handle::Open(self.fd.as_fd())),
            Access::Reach => self.settable(Handle::Reached(self.fd.as_fd())),
        }
    }

    fn reach(&self, name: &[u8], kind: Kind) -> Result<(impl Adjust, Found)> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).map_err(CallError::of("openat"))?;
        let (found_kind, found) = if self.is_fake {
            let status = fake_super::fake_status(fd.as_fd(), b"")?;
            (status.kind, Found { mode: status.meta.mode, uid: status.meta.uid, gid: status.meta.gid })
        } else {
            let stat = rustix::fs::fstat(&fd).map_err(CallError::of("fstat"))?;
            (kind_of(FileType::from_raw_mode(stat.st_mode)), Found::from(stat))
        };
        let is_written = self.devices == Devices::Writable && kind == Kind::File && found_kind.is_device();
        if found_kind != kind && !is_written {
            return Err(Errno::INVAL.into());
        }
        Ok((self.settable(Handle::ReachedHere(fd)), found))
    }

    fn link<'a>(&'a self, name: &'a [u8]) -> impl Adjust {
        self.settable(Handle::Symlink(self.fd.as_fd(), name))
    }

    fn create_file(&self, name: &[u8], bits: u16) -> Result<FsFile> {
        self.may_write(name, Kind::File)?;
        let _held = self.held(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        // The owner needs to open the file in order to store the attributes that take root.
        let bits = if self.is_fake { bits | 0o600 } else { bits };
        let fd = rustix::fs::openat(&self.fd, name, flags, mode(bits)).map_err(CallError::of("openat"))?;
        Ok(FsFile::new(fd, self.is_fake))
    }

    fn reopen_file(&self, name: &[u8]) -> Result<FsFile> {
        let file = self.open_in_place(name, false)?;
        drop_set_ids(&file)?;
        Ok(file)
    }

    fn open_in_place(&self, name: &[u8], may_be_linked: bool) -> Result<FsFile> {
        self.may_write(name, Kind::File)?;
        let _held = self.held(name)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        if self.devices == Devices::Writable && self.status_here(name)?.kind.is_device() {
            let device = self.open_device(name, flags | OFlags::NOCTTY)?;
            let may_be_written = self.versions.is_none() && (may_be_linked || device.links()? == 1);
            return if may_be_written && device.is_device() { Ok(device) } else { Err(Errno::MLINK.into()) };
        }
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => self.open_read_only(name, may_be_linked)?,
            opened => opened.map_err(CallError::of("openat"))?,
        };
        let stat = rustix::fs::fstat(&fd).map_err(CallError::of("fstat"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL.into());
        }
        if stat.st_nlink != 1 && !may_be_linked {
            return Err(Errno::MLINK.into());
        }
        if let Some(versions) = &self.versions {
            // A further name may be that of a version.
            if stat.st_nlink != 1 {
                return Err(Errno::MLINK.into());
            }
            versions.copy(self.fd.as_fd(), name, fd.as_fd())?;
        }
        Ok(FsFile::new(fd, self.is_fake))
    }

    fn make_directory(&self, name: &[u8], bits: u16) -> Result<()> {
        self.may_write(name, Kind::Directory)?;
        rustix::fs::mkdirat(&self.fd, name, mode(bits)).map_err(CallError::of("mkdirat"))
    }

    fn make_symlink(&self, name: &[u8], target: &[u8]) -> Result<()> {
        self.may_write(name, Kind::Symlink)?;
        let _held = self.held(name)?;
        if self.is_fake {
            let node = (Kind::Symlink, Device::default());
            return fake_super::make(self.fd.as_fd(), name, node, 0o777, &self.targets.written(target));
        }
        rustix::fs::symlinkat(&*self.targets.written(target), &self.fd, name).map_err(CallError::of("symlinkat"))
    }

    fn make_node(&self, name: &[u8], (kind, device): (Kind, Device), bits: u16) -> Result<()> {
        self.may_write(name, kind)?;
        let _held = self.held(name)?;
        if self.is_fake {
            return fake_super::make(self.fd.as_fd(), name, (kind, device), bits, b"");
        }
        let (file_type, number) = match kind {
            Kind::Fifo => (FileType::Fifo, 0),
            Kind::Socket => (FileType::Socket, 0),
            Kind::BlockDevice => (FileType::BlockDevice, rustix::fs::makedev(device.major, device.minor)),
            Kind::CharDevice => (FileType::CharacterDevice, rustix::fs::makedev(device.major, device.minor)),
            Kind::File | Kind::Directory | Kind::Symlink | Kind::Special => return Err(Errno::INVAL.into()),
        };
        rustix::fs::mknodat(&self.fd, name, file_type, mode(bits), number).map_err(CallError::of("mknodat"))
    }

    fn make_hard_link(&self, (directory, from): (&Self, &[u8]), name: &[u8]) -> Result<()> {
        self.may_write(name, Kind::File)?;
        let _held = self.held(name)?;
        rustix::fs::linkat(&directory.fd, from, &self.fd, name, AtFlags::empty()).map_err(CallError::of("linkat"))
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.may_write(to, Kind::File)?;
        let _held = self.give_way(from, to)?;
        rustix::fs::renameat(&self.fd, from, &self.fd, to).map_err(CallError::of("renameat"))
    }

    fn rename_new(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.may_write(to, Kind::File)?;
        let _held = self.held(to)?;
        match rustix::fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // The file system does not know it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match rustix::fs::statat(&self.fd, to, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(Errno::EXIST),
                    Err(Errno::NOENT) => rustix::fs::renameat(&self.fd, from, &self.fd, to),
                    Err(error) => Err(error),
                }
            }
            renamed => renamed,
        }
        .map_err(CallError::of("renameat2"))
    }

    fn move_to(&self, from: &[u8], (directory, to): (&Self, &[u8])) -> Result<()> {
        directory.may_write(to, Kind::File)?;
        let _held = directory.give_way(from, to)?;
        rustix::fs::renameat(&self.fd, from, &directory.fd, to).map_err(CallError::of("renameat"))
    }

    fn exchange(&self, one: &[u8], other: &[u8]) -> Result<()> {
        // The entry at `other` may be a directory, which loses its name here as well.
        self.may_write(other, Kind::File)?;
        self.may_write(other, Kind::Directory)?;
        let held = self.versions.as_ref().map(|versions| versions.hold_both(self.fd.as_fd(), [one, other]));
        let _held = held.transpose()?;
        if let Some(versions) = &self.versions {
            for (name, gets) in [(one, other), (other, one)] {
                // The entries of a directory would come to be below an unfinished name, and be removed with that.
                let is_unfinished = |name| TempName::parse(name).is_some();
                if is_unfinished(gets) && !is_unfinished(name) && self.status_here(name)?.kind == Kind::Directory {
                    return Err(Errno::ISDIR.into());
                }
                versions.keep(self.fd.as_fd(), name)?;
            }
        }
        rustix::fs::renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE)
            .map_err(CallError::of("renameat2"))
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        let _held = self.held(name)?;
        if let Some(versions) = &self.versions {
            versions.keep(self.fd.as_fd(), name)?;
        }
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).map_err(CallError::of("unlinkat"))
    }

    fn remove_directory(&self, name: &[u8]) -> Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(CallError::of("unlinkat"))
    }

    fn sync(&self) -> Result<()> {
        rustix::fs::fsync(self.readable()?).map_err(CallError::of("fsync"))
    }

    fn sync_file_system(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd).map_err(CallError::of("syncfs"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use crate::fs::Root;
    use crate::storage::{Access, Errno, Storage as _, WriteDirectory as _};
    use sparsync_proto::RelPath;

    #[test]
    fn a_name_that_is_taken_is_none_for_what_is_only_added() {
        let top = tempfile::tempdir().expect("a directory");
        let root = Root::open(top.path().as_os_str().as_bytes()).expect("opened");
        let directory = root.open(&RelPath::root(), Access::Reach).expect("opened");
        let content = |name: &str| std::fs::read_to_string(top.path().join(name)).ok();
        for (name, text) in [("new", "new"), ("old", "old")] {
            std::fs::write(top.path().join(name), text).expect("written");
        }
        std::os::unix::fs::symlink("nowhere", top.path().join("link")).expect("linked");
        for taken in [&b"old"[..], b"link"] {
            assert_eq!(directory.rename_new(b"new", taken).map_err(|error| error.errno), Err(Errno::EXIST));
        }
        assert_eq!((content("new").as_deref(), content("old").as_deref()), (Some("new"), Some("old")));
        directory.rename_new(b"new", b"free").expect("renamed");
        assert_eq!((content("new"), content("free").as_deref()), (None, Some("new")));
    }
}
