//! Options by which entries are selected, each declared once.
//!
//! A line of this table is the field of the request and its bounds, the member of [`Selection`] that the planner reads, the
//! binding's type, and, by `scripts/options.mjs`, the check, the default and the flag in TypeScript, with its help.
//! What an option means for users is told where its type is, in `ts/options.ts`.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::field::{Codec, Message as _, Value, get_message, message};
use crate::limits::FILE_BYTES_MAX;

/// Calls the macro `$then` with the table: name, number of the field, flag, its short form or nothing, and help. Flags have
/// the numbers 1 to 31, sizes 32 to 63; none is ever used again.
#[macro_export]
macro_rules! for_each_option {
    ($then:ident) => {
        $then! {
            flags {
                /// Newer files at the destination stay.
                update = 1, "update", "u", "leave files alone that are newer in DEST";
                /// What the destination has stays as it is, but for directories.
                ignore_existing = 2, "ignore-existing", "", "leave files alone that DEST has, whatever they hold";
            }
            sizes {
                /// Regular files of more bytes than this are left alone.
                max_size = 32, "max-size", "", "leave files alone that are larger than SIZE (K, M, G; KB is 1000)";
            }
        }
    };
}

macro_rules! selection {
    (
        flags { $($(#[$flag_doc:meta])* $flag:ident = $flag_number:literal, $($flag_text:literal),*;)* }
        sizes { $($(#[$size_doc:meta])* $size:ident = $size_number:literal, $($size_text:literal),*;)* }
    ) => {
        /// What the planner leaves alone.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Selection {
            $($(#[$flag_doc])* pub $flag: bool,)*
            $($(#[$size_doc])* pub $size: Option<u64>,)*
        }

        impl Selection {
            /// Whether a file may be left out although the destination does not have it, so that nothing can be granted
            /// before it was looked at.
            #[must_use]
            pub const fn leaves_new_out(&self) -> bool {
                $(self.$size.is_some() ||)* false
            }
        }

        message!(Selection, "option" {
            $($flag_number critical $flag,)*
            $($size_number critical $size: Size,)*
        });
    };
}

for_each_option!(selection);

impl Value for Selection {
    fn put(&self, out: &mut Vec<u8>) {
        self.put_fields(out);
    }

    fn get(reader: &mut Reader<'_>, _what: &'static str) -> Decoded<Self> {
        get_message(reader)
    }
}

/// Bytes, at most as many as a file may have.
struct Size;

impl Codec<Option<u64>> for Size {
    fn put(value: &Option<u64>, out: &mut Vec<u8>) {
        out.number(value.unwrap_or_default());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<u64>> {
        match reader.number(what)? {
            bytes @ 0..=FILE_BYTES_MAX => Ok(Some(bytes)),
            _ => malformed(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Selection;
    use crate::codec::{Reader, Write};
    use crate::field::Value;

    #[test]
    fn a_size_beyond_what_a_file_may_have_is_refused() {
        let read = |bytes: u64| {
            let mut value = Vec::new();
            value.number(bytes);
            let mut out = Vec::new();
            out.number(32 << 1 | 1);
            out.bytes(&value);
            Selection::get(&mut Reader::new(&out), "selection")
        };
        assert_eq!(read(1 << 62).map(|read| read.max_size), Ok(Some(1 << 62)));
        assert!(read((1 << 62) + 1).is_err());
    }
}
