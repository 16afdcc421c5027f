//! A pipe, a socket or a TLS stream, in one direction, that is read or written without waiting in the kernel.

use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::OwnedFd;

use bytes::BytesMut;
use rustix::fs::{FileType, fstat};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// Where bytes come from.
pub(super) enum Source {
    Pipe(pipe::Receiver),
    Socket(UnixStream),
    Tls(ReadHalf<TlsStream<TcpStream>>),
}

/// Where they go to.
pub(super) enum Sink {
    Pipe(pipe::Sender),
    Socket(UnixStream),
    Tls(WriteHalf<TlsStream<TcpStream>>),
}

fn is_pipe(fd: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Fifo)
}

/// A socket of any kind: the calls used here are the same for all.
fn socket(fd: OwnedFd) -> io::Result<UnixStream> {
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::Socket {
        return Err(io::Error::from(ErrorKind::InvalidInput));
    }
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Must be called, as everything here, on the runtime that carries the connection.
pub(super) fn source(fd: OwnedFd) -> io::Result<Source> {
    if is_pipe(&fd)? { pipe::Receiver::from_owned_fd(fd).map(Source::Pipe) } else { socket(fd).map(Source::Socket) }
}

/// The same for the other direction.
pub(super) fn sink(fd: OwnedFd) -> io::Result<Sink> {
    if is_pipe(&fd)? { pipe::Sender::from_owned_fd(fd).map(Sink::Pipe) } else { socket(fd).map(Sink::Socket) }
}

impl Source {
    /// Reads the bytes that have arrived; 0 at the end.
    pub(super) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Self::Pipe(pipe) => {
                    pipe.readable().await?;
                    pipe.try_read(into)
                }
                Self::Socket(socket) => {
                    socket.readable().await?;
                    socket.try_read(into)
                }
                Self::Tls(stream) => stream.read(into).await,
            };
            match read {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                read => return read,
            }
        }
    }

    /// The same, at most `most` bytes and behind what was read before. If the caller stops waiting, zeros are left
    /// there.
    pub(super) async fn read_behind(&mut self, before: &mut BytesMut, most: usize) -> io::Result<usize> {
        let filled = before.len();
        before.resize(filled + most, 0);
        let read = self.read(&mut before[filled..]).await;
        before.truncate(filled + *read.as_ref().unwrap_or(&0));
        read
    }
}

impl Sink {
    /// Writes as much as there is room for.
    pub(super) async fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let written = match self {
                Self::Pipe(pipe) => {
                    pipe.writable().await?;
                    pipe.try_write_vectored(slices)
                }
                Self::Socket(socket) => {
                    socket.writable().await?;
                    socket.try_write_vectored(slices)
                }
                Self::Tls(stream) => stream.write_vectored(slices).await,
            };
            match written {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                written => return written,
            }
        }
    }

    /// Writes all of it.
    pub(super) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(&[IoSlice::new(bytes)]).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Writes out what the layers hold back: TLS may keep the last bytes.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(_) | Self::Socket(_) => Ok(()),
            Self::Tls(stream) => stream.flush().await,
        }
    }

    /// Tells the peer that no more bytes come, where dropping this half alone does not.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(_) | Self::Socket(_) => Ok(()),
            Self::Tls(stream) => stream.shutdown().await,
        }
    }
}
