//! Closed sets: a number on the wire and a word in the API, in events and in the documents, each said once.

/// Declares a set: its variants, their numbers and their words.
macro_rules! closed_set {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// Every member, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its word in the API, in events and in output.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The member of this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// The member of this number on the wire.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl $crate::field::Value for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::codec::Write::byte(out, *self as u8);
            }

            fn get(reader: &mut $crate::codec::Reader<'_>, what: &'static str) -> $crate::codec::Decoded<Self> {
                Self::from_number(reader.byte(what)?).ok_or($crate::codec::DecodeError::Malformed { what })
            }
        }
    };
}

pub(crate) use closed_set;
