//! Changes of permission bits on their way (`--chmod`), in the notation of rsync, which is that of `chmod` with the
//! letters `D` and `F` in front for directories and for everything else.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::{Kind, Meta};
use crate::field::Value;
use crate::limits::CHMOD_BYTES_MAX;
use crate::set_id::{SET_GID, SET_UID};

/// Changes of permission bits, one after the other. The sender applies them before it compares or sends anything, as if
/// its files had the changed bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chmod {
    /// The bits that a change without `u`, `g`, `o` or `a` leaves alone; 0 when every change has one of these.
    umask: u16,
    text: Box<str>,
    steps: Box<[Step]>,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    on: On,
    change: Change,
}

/// The entries that a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Everything,
    Directories,
    Files,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// All bits are these.
    Exact(u16),
    Symbolic {
        operation: Operation,
        /// One bit for each class that the change is for, at the place of its execute bit: 0o111 for all.
        who: u16,
        /// The permission bits that it may change.
        within: u16,
        /// The bits that are cleared before bits are given.
        cleared: u16,
        bits: Bits,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Remove,
    Assign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bits {
    /// The bits that another class has; the number is how far its bits are from the lowest ones.
    Of(u8),
    Given {
        /// `rwx` as three bits.
        each: u16,
        /// Set-id and sticky bits.
        special: u16,
        /// Execution is given only to directories, and to files that somebody may execute at the source.
        only_executable: bool,
    },
}

const SET_ID: [(u16, u16); 2] = [(0o100, SET_UID), (0o010, SET_GID)];

const STICKY: u16 = 0o1000;

const ALL: u16 = 0o111;

impl Chmod {
    /// Reads the text of changes; none when it is malformed. `umask` is called only for a change without `u`, `g`, `o`
    /// or `a`.
    pub fn parse(text: &str, umask: impl FnOnce() -> u16) -> Option<Self> {
        if text.len() > CHMOD_BYTES_MAX {
            return None;
        }
        let umask = if text.split(',').any(names_nobody) { umask() & 0o777 } else { 0 };
        let mut steps = Vec::with_capacity(text.split(',').count());
        for part in text.split(',') {
            steps.push(step(part, umask)?);
        }
        Some(Self { umask, text: text.into(), steps: steps.into() })
    }

    /// Whether nothing is changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.steps)
    }

    /// The attributes of an entry of this kind, with the bits that the changes make of its own.
    #[must_use]
    pub fn taken(&self, kind: Kind, found: Meta) -> Meta {
        Meta { mode: self.apply(kind, found.mode), ..found }
    }

    /// The changed bits of an entry of this kind. Those of a symlink cannot be changed.
    #[must_use]
    pub fn apply(&self, kind: Kind, mode: u16) -> u16 {
        if kind == Kind::Symlink {
            return mode;
        }
        let is_directory = kind == Kind::Directory;
        let is_executable = is_directory || mode & ALL != 0;
        let is_meant = |on: On| match on {
            On::Everything => true,
            On::Directories => is_directory,
            On::Files => !is_directory,
        };
        let steps = self.steps.iter().filter(|step| is_meant(step.on));
        steps.fold(mode, |mode, step| step.change.apply(mode, is_executable))
    }
}

impl Change {
    fn apply(self, mode: u16, is_executable: bool) -> u16 {
        let (operation, who, within, cleared, bits) = match self {
            Self::Exact(bits) => return bits,
            Self::Symbolic { operation, who, within, cleared, bits } => (operation, who, within, cleared, bits),
        };
        let (each, special) = match bits {
            Bits::Of(shift) => (mode >> shift & 7, 0),
            Bits::Given { each, special, only_executable } => {
                let execution = u16::from(only_executable && !is_executable);
                (each & !execution, special)
            }
        };
        let bits = ((who * each) & within) | special;
        match operation {
            Operation::Add => mode | bits,
            Operation::Remove => mode & !bits,
            Operation::Assign => (mode & !cleared) | bits,
        }
    }
}

/// The entries that a change is for, and the rest of its text.
fn prefix(part: &str) -> (On, &str) {
    match part.as_bytes().first() {
        Some(b'D') => (On::Directories, &part[1..]),
        Some(b'F') => (On::Files, &part[1..]),
        _ => (On::Everything, part),
    }
}

fn names_nobody(part: &str) -> bool {
    prefix(part).1.starts_with(['+', '-', '='])
}

fn step(part: &str, umask: u16) -> Option<Step> {
    let (on, text) = prefix(part);
    let change = if text.starts_with(|first: char| first.is_ascii_digit()) {
        let is_octal = text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let bits = u16::from_str_radix(text, 8).ok().filter(|bits| is_octal && *bits <= 0o7777)?;
        Change::Exact(bits)
    } else {
        symbolic(text, umask)?
    };
    Some(Step { on, change })
}

fn symbolic(text: &str, umask: u16) -> Option<Change> {
    let at = text.find(['+', '-', '='])?;
    let (named, permissions) = (&text[..at], &text[at + 1..]);
    let operation = match text.as_bytes()[at] {
        b'+' => Operation::Add,
        b'-' => Operation::Remove,
        _ => Operation::Assign,
    };
    let mut who = 0;
    for letter in named.bytes() {
        who |= match letter {
            b'u' => 0o100,
            b'g' => 0o010,
            b'o' => 0o001,
            b'a' => ALL,
            _ => return None,
        };
    }
    let set_id = |who: u16| SET_ID.iter().filter(|(place, _)| who & place != 0).fold(0, |bits, (_, bit)| bits | bit);
    let named_set_id = set_id(who);
    let within = if who == 0 { 0o777 & !umask } else { 0o777 };
    let who = if who == 0 { ALL } else { who };
    let (bits, cleared) = match permissions {
        "u" | "g" | "o" => {
            let shift = if permissions == "u" {
                6
            } else if permissions == "g" {
                3
            } else {
                0
            };
            // A class that gets the bits of another one loses its set-id and sticky bits, since the other class cannot
            // have them.
            let sticky = if who & 0o001 != 0 { STICKY } else { 0 };
            (Bits::Of(shift), (who * 7) | set_id(who) | sticky)
        }
        _ => {
            let (each, special, only_executable) = given(permissions, named_set_id)?;
            let cleared = (who * 7) | if special == 0 { 0 } else { named_set_id };
            // It is taken from everybody.
            let only_executable = only_executable && operation != Operation::Remove;
            (Bits::Given { each, special, only_executable }, cleared)
        }
    };
    Some(Change::Symbolic { operation, who, within, cleared, bits })
}

/// `rwx` as three bits, set-id and sticky bits, and whether execution is conditional.
fn given(permissions: &str, named_set_id: u16) -> Option<(u16, u16, bool)> {
    let (mut each, mut special, mut only_executable) = (0, 0, false);
    for letter in permissions.bytes() {
        match letter {
            b'r' => each |= 4,
            b'w' => each |= 2,
            b'x' => each |= 1,
            b'X' => {
                each |= 1;
                only_executable = true;
            }
            b't' => special |= STICKY,
            // Without a class, `s` stands for the set-user-id bit, and replaces the special bits before it.
            b's' if named_set_id == 0 => special = SET_UID,
            b's' => special |= named_set_id,
            _ => return None,
        }
    }
    Some((each, special, only_executable))
}

impl Value for Chmod {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(u64::from(self.umask));
        out.raw(self.text.as_bytes());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let umask: u16 = reader.small(what)?;
        let bytes = reader.take(reader.rest().len(), what)?;
        let read = std::str::from_utf8(bytes).ok().and_then(|text| Self::parse(text, || umask));
        // If no change needs the umask it must be 0, so that a value has only one form.
        read.filter(|read| read.umask == umask).map_or_else(|| malformed(what), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::Chmod;
    use crate::codec::Reader;
    use crate::entry::Kind;
    use crate::field::Value;

    fn changed(text: &str, kind: Kind, mode: u16) -> u16 {
        Chmod::parse(text, || 0o022).expect(text).apply(kind, mode)
    }

    /// As rsync 3.5.0 has them; a test over its program compares all else.
    #[test]
    fn each_notation_changes_what_it_says() {
        for (text, file, directory) in [
            ("D755,F644", 0o644, 0o755),
            ("u+x,g-r", 0o6700, 0o6700),
            ("a=rX", 0o6444, 0o6555),
            ("ugo=rwX", 0o6666, 0o6777),
            ("g=u", 0o4660, 0o4660),
            ("u=g,o=", 0o2440, 0o2440),
            ("+x", 0o6751, 0o6751),
            ("+w", 0o6640, 0o6640),
            ("Dg+s", 0o6640, 0o6640),
            ("D=", 0o6640, 0o6000),
            ("o+t", 0o7640, 0o7640),
            ("-st", 0o2640, 0o2640),
            ("a=s", 0o6000, 0o6000),
            ("=t", 0o7000, 0o7000),
            ("u=t", 0o3040, 0o3040),
            ("a=u", 0o666, 0o666),
            ("Fo=rX,D0", 0o6644, 0),
            ("u+", 0o6640, 0o6640),
        ] {
            assert_eq!(changed(text, Kind::File, 0o6640), file, "{text} of a file");
            assert_eq!(changed(text, Kind::Directory, 0o6640), directory, "{text} of a directory");
            assert_eq!(changed(text, Kind::Symlink, 0o777), 0o777);
        }
        assert_eq!(changed("+X", Kind::File, 0o640), 0o640);
        assert_eq!(changed("+X", Kind::Fifo, 0o641), 0o751);
        assert_eq!(changed("F755,g-X", Kind::File, 0o640), 0o745);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in
            ["", ",", "x", "u", "D", "DF755", "u+r+w", "u+r,", "888", "10000", "u~r", "fu+r", "u+q", " 644", "D=755"]
        {
            assert_eq!(Chmod::parse(text, || 0), None, "{text:?}");
        }
        assert!(Chmod::parse(&"0,".repeat(3000), || 0).is_none());
    }

    #[test]
    fn the_umask_travels_where_it_matters() {
        for (text, umask) in [("+w", 0o022), ("u+w", 0), ("D755,F+x", 0o022)] {
            let mut out = Vec::new();
            let chmod = Chmod::parse(text, || 0o022).expect(text);
            chmod.put(&mut out);
            assert_eq!(u16::from(out[0]), umask);
            assert_eq!(Chmod::get(&mut Reader::new(&out), "chmod").as_ref(), Ok(&chmod));
        }
        assert!(Chmod::get(&mut Reader::new(b"\x12u+w"), "chmod").is_err(), "a umask that nobody needs");
        assert!(Chmod::get(&mut Reader::new(b"\x12+\xff"), "chmod").is_err());
    }
}
