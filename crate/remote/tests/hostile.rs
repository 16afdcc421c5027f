//! The executable against clients that hold its pipes and break the protocol: each is told why it is turned away,
//! nothing outside of its root is touched, and the process ends with its pipe.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use sparsync_core::ErrorKind;
use sparsync_core::proto::mux::{HEADER_BYTES, Header, PREFACE, StreamId};
use sparsync_core::proto::{
    Attributes, Digest, Direction, Directory, Frame, FrameDecoder, Kind, Listing, Meta, Name, RelPath, Request, Time,
    Version, WireError, Xattrs,
};

const CONTROL: StreamId = StreamId { session: 0, stream: 0 };

/// The executable, with its pipes in the hands of a test.
struct Pipe {
    dir: PathBuf,
    child: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    decoder: FrameDecoder,
    _temporary: tempfile::TempDir,
}

impl Pipe {
    /// Confined to a root with a tree in it, and a symlink that leads out.
    fn new(rights: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().to_path_buf();
        for folder in ["root/dst", "outside"] {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        std::fs::write(dir.join("outside/secret"), "untouched").unwrap();
        std::fs::write(dir.join("root/dst/keep"), "old").unwrap();
        std::os::unix::fs::symlink("../outside", dir.join("root/link")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sparsync-remote"))
            .args(["--stdio", "--root"])
            .arg(dir.join("root"))
            .args(rights)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut greeting = [0; PREFACE.len()];
        from.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, PREFACE);
        to.write_all(&PREFACE).unwrap();
        Self { dir, child, to: Some(to), from, decoder: FrameDecoder::default(), _temporary: temporary }
    }

    fn raw(&mut self, bytes: &[u8]) {
        // A peer that has given up takes no more: what it said is what counts.
        let _ = self.to.as_mut().unwrap().write_all(bytes);
    }

    fn send(&mut self, stream: StreamId, content: &[u8]) {
        for chunk in content.chunks(1 << 16) {
            self.raw(&Header::Data(stream, u32::try_from(chunk.len()).unwrap()).encode());
            self.raw(chunk);
        }
    }

    fn say(&mut self, frame: &Frame) {
        let mut encoded = Vec::new();
        frame.encode(Version::NEWEST, &mut encoded);
        self.send(CONTROL, &encoded);
    }

    fn ask(&mut self, request: Request) {
        self.say(&Frame::Hello { oldest: 1, newest: 1 });
        self.say(&Frame::Request(Box::new(request)));
    }

    /// The next frame of the pipe; nothing at its end.
    fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.from.read_exact(&mut header).ok()?;
        let header = Header::decode(&header).expect("the peer under test frames well");
        let mut content = vec![0; header.content_bytes()];
        self.from.read_exact(&mut content).ok()?;
        Some((header, content))
    }

    /// The next word of the session but for signs of life.
    fn word(&mut self) -> Option<Frame> {
        loop {
            match self.decoder.next_frame().expect("the peer under test speaks well") {
                Some(Frame::Heartbeat(_)) => {}
                Some(frame) => return Some(frame),
                None => match self.next()? {
                    (Header::Data(CONTROL, _), content) => self.decoder.feed(&content),
                    (Header::Stop(0) | Header::Close(..), _) => return None,
                    _ => {}
                },
            }
        }
    }

    fn aborted(&mut self) -> WireError {
        loop {
            match self.word() {
                Some(Frame::Abort(error)) => return error,
                Some(Frame::Finished { .. }) => panic!("the peer was content"),
                Some(_) => {}
                None => panic!("the peer ended without a word"),
            }
        }
    }

    /// Nothing but what was there is there, and the process ends with its pipe.
    fn unharmed(mut self) {
        drop(self.to.take());
        self.child.wait().unwrap();
        let names = |path: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.dir.join("outside")), ["secret"]);
        assert_eq!(std::fs::read(self.dir.join("outside/secret")).unwrap(), b"untouched");
        assert_eq!(names(&self.dir.join("root")), ["dst", "link"]);
        assert_eq!(names(&self.dir.join("root/dst")), ["keep"]);
        assert_eq!(std::fs::read(self.dir.join("root/dst/keep")).unwrap(), b"old");
    }
}

fn request(direction: Direction, path: &str) -> Request {
    Request {
        direction,
        root: b"home".to_vec(),
        path: RelPath::new(path.as_bytes()).unwrap(),
        attributes: Attributes { perms: true, times: true, links: true, ..Attributes::default() },
        recursive: true,
        timeout_ms: 60_000,
        lanes: 1,
        space_checked: true,
        ..Request::default()
    }
}

#[test]
fn nobody_leaves_the_root() {
    for (direction, path, root) in [
        (Direction::Pull, "link", &b"home"[..]),
        (Direction::Pull, "link/secret", b"fs"),
        (Direction::Push, "link/new", b"home"),
        (Direction::Push, "dst", b"other"),
        (Direction::Push, "dst", b""),
    ] {
        let mut pipe = Pipe::new(&[]);
        pipe.ask(Request { root: root.to_vec(), ..request(direction, path) });
        let error = pipe.aborted();
        assert!(matches!(error.kind, ErrorKind::Scope | ErrorKind::NotFound), "{path}: {error:?}");
        pipe.unharmed();
    }
}

#[test]
fn what_was_not_granted_is_refused() {
    for (rights, asked) in [
        (&["--read-only"][..], request(Direction::Push, "dst")),
        (&["--append-only"], {
            let mut request = request(Direction::Push, "dst");
            request.deletion.delete = true;
            request
        }),
        (&["--append-only"], Request { inplace: true, ..request(Direction::Push, "dst") }),
    ] {
        let mut pipe = Pipe::new(rights);
        pipe.ask(asked);
        assert_eq!(pipe.aborted().kind, ErrorKind::Scope, "{rights:?}");
        pipe.unharmed();
    }
}

#[test]
fn words_that_have_no_place_end_the_session() {
    let directory = |entries: u32| {
        let mtime = Time { seconds: 1_700_000_000, nanos: 0 };
        Directory {
            path: RelPath::root(),
            meta: Meta { mode: 0o755, uid: 0, gid: 0, mtime },
            xattrs: Xattrs::default(),
            digest: Digest::default(),
            entries,
            unlisted: false,
        }
    };
    let mut listing = Listing::new();
    let name = Name::new(b"new").unwrap();
    assert!(listing.push(name, Kind::File, 5, Meta::default(), b""));
    let lie = Frame::List { directory: 7, more: false, listing };
    for words in [vec![Frame::Settled(0)], vec![Frame::Directories(vec![directory(1)]), lie]] {
        let mut pipe = Pipe::new(&[]);
        pipe.ask(request(Direction::Push, "dst"));
        for word in &words {
            pipe.say(word);
        }
        assert_eq!(pipe.aborted().kind, ErrorKind::Protocol, "{words:?}");
        pipe.unharmed();
    }
    // A frame that is none.
    let mut pipe = Pipe::new(&[]);
    pipe.ask(request(Direction::Push, "dst"));
    pipe.send(CONTROL, &[2, 255, 255]);
    assert_eq!(pipe.aborted().kind, ErrorKind::Protocol);
    pipe.unharmed();
}

#[test]
fn a_pipe_that_breaks_its_framing_is_left_for_that_reason() {
    let [no_session, not_granted] =
        [(5, 0), (0, 3)].map(|(session, stream)| Header::Data(StreamId { session, stream }, 1).encode());
    for frame in [Header::Stop(3).encode(), no_session, not_granted, [9; 10]] {
        let mut pipe = Pipe::new(&[]);
        pipe.raw(&frame);
        pipe.raw(b"x");
        let closed = loop {
            if let (Header::Close(kind, _), reason) = pipe.next().expect("a word on why") {
                break (ErrorKind::from_wire(kind), reason);
            }
        };
        assert_eq!(closed.0, ErrorKind::Protocol, "{}", String::from_utf8_lossy(&closed.1));
        pipe.unharmed();
    }
}
