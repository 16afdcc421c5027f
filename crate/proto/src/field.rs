//! Messages that are made of tagged fields, so that they grow without a break.
//!
//! A field is a tag (`number << 1 | critical`), a length and that many bytes. Fields stand in ascending order of their
//! numbers, each once. One that has its default is left out, so what a peer does not know and does not use costs
//! nothing. A reader refuses a critical field that it does not know, by its number, and passes over any other.
//!
//! A new field is one line in the declaration of its message and a member of its type: see [`message`].

use crate::codec::{DecodeError, Decoded, Reader, Write, malformed, text_of};
use crate::limits::{FRAME_BYTES_MAX, NAME_BYTES_MAX};
use crate::path::{Name, RelPath};

/// A value that a field can hold in one way.
pub trait Value: Sized {
    /// Appends the wire form.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads the wire form; `what` names it in an error.
    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self>;
}

/// How a `T` is written if its type alone does not tell: with a cap, for instance.
pub(crate) trait Codec<T> {
    /// Appends the wire form.
    fn put(value: &T, out: &mut Vec<u8>);

    /// Reads the wire form; `what` names it in an error.
    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<T>;
}

/// The way of a [`Value`].
pub(crate) struct Plain;

/// Bytes or text, at most so many of them.
pub(crate) struct AtMost<const MAX: usize>;

/// A name that may be missing.
pub(crate) struct FileName;

/// A type that is made of fields.
pub(crate) trait Message: Default {
    /// Its name in an error.
    const NAME: &'static str;

    /// Appends every field that has not its default.
    fn put_fields(&self, out: &mut Vec<u8>);

    /// Takes the value of the field `number`. Gives false when the message has no such field.
    fn get_field(&mut self, number: u64, value: &mut Reader<'_>) -> Decoded<bool>;
}

/// A message is the value of a field as the bytes of its own fields.
impl<M: Message> Value for M {
    fn put(&self, out: &mut Vec<u8>) {
        self.put_fields(out);
    }

    fn get(reader: &mut Reader<'_>, _what: &'static str) -> Decoded<Self> {
        get_message(reader)
    }
}

/// Declares the fields of a message: number, `critical` or `optional`, place in the type, and, where the type alone
/// does not tell, the codec. Numbers ascend and are never used again; whether a field is critical never changes.
macro_rules! message {
    ($type:ty, $name:literal { $($number:literal $sort:ident $first:ident $(. $rest:ident)* $(: $codec:ty)?,)* }) => {
        const _: () = assert!($crate::field::ascends(&[$($number),*]), "numbers of fields ascend");

        impl $crate::field::Message for $type {
            const NAME: &'static str = $name;

            fn put_fields(&self, out: &mut Vec<u8>) {
                let default = Self::default();
                $(if self.$first$(.$rest)* != default.$first$(.$rest)* {
                    $crate::field::put_field(out, $number, $crate::field::is_critical!($sort), |out| {
                        <$crate::field::codec!($($codec)?) as $crate::field::Codec<_>>::put(&self.$first$(.$rest)*, out);
                    });
                })*
            }

            fn get_field(&mut self, number: u64, value: &mut $crate::codec::Reader<'_>) -> $crate::codec::Decoded<bool> {
                match number {
                    $($number => {
                        let what = concat!($name, " ", stringify!($first $(. $rest)*));
                        self.$first$(.$rest)* =
                            <$crate::field::codec!($($codec)?) as $crate::field::Codec<_>>::get(value, what)?;
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

macro_rules! codec {
    () => {
        $crate::field::Plain
    };
    ($codec:ty) => {
        $codec
    };
}

macro_rules! is_critical {
    (critical) => {
        true
    };
    (optional) => {
        false
    };
}

pub(crate) use {codec, is_critical, message};

/// Whether each number is greater than the one before.
pub(crate) const fn ascends(numbers: &[u64]) -> bool {
    let mut at = 1;
    while at < numbers.len() {
        if numbers[at - 1] >= numbers[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Appends one field.
pub(crate) fn put_field(out: &mut Vec<u8>, number: u64, critical: bool, put: impl FnOnce(&mut Vec<u8>)) {
    let mut value = Vec::new();
    put(&mut value);
    out.number(number << 1 | u64::from(critical));
    out.bytes(&value);
}

/// Reads a message that takes all bytes that are left.
pub(crate) fn get_message<M: Message>(reader: &mut Reader<'_>) -> Decoded<M> {
    let mut message = M::default();
    let mut last = None;
    while !reader.is_empty() {
        let tag = reader.number("tag of a field")?;
        let (number, critical) = (tag >> 1, tag & 1 == 1);
        if last.is_some_and(|last| last >= number) {
            return malformed("order of fields");
        }
        last = Some(number);
        let mut value = Reader::new(reader.bytes(FRAME_BYTES_MAX, "value of a field")?);
        if message.get_field(number, &mut value)? {
            value.end("end of a field")?;
        } else if critical {
            return Err(DecodeError::UnknownField { message: M::NAME, number });
        }
    }
    Ok(message)
}

/// Appends a message behind its length.
pub(crate) fn put_nested(message: &impl Message, out: &mut Vec<u8>) {
    let mut fields = Vec::new();
    message.put_fields(&mut fields);
    out.bytes(&fields);
}

/// Reads a message behind its length.
pub(crate) fn get_nested<M: Message>(reader: &mut Reader<'_>, what: &'static str) -> Decoded<M> {
    get_message(&mut Reader::new(reader.bytes(FRAME_BYTES_MAX, what)?))
}

impl<T: Value> Codec<T> for Plain {
    fn put(value: &T, out: &mut Vec<u8>) {
        value.put(out);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<T> {
        T::get(reader, what)
    }
}

impl<const MAX: usize> Codec<Vec<u8>> for AtMost<MAX> {
    fn put(value: &Vec<u8>, out: &mut Vec<u8>) {
        out.raw(value);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Vec<u8>> {
        let length = reader.rest().len();
        if length > MAX { malformed(what) } else { Ok(reader.take(length, what)?.to_vec()) }
    }
}

impl<const MAX: usize> Codec<String> for AtMost<MAX> {
    fn put(value: &String, out: &mut Vec<u8>) {
        out.cut_text(value, MAX);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<String> {
        let bytes = <Self as Codec<Vec<u8>>>::get(reader, what)?;
        Ok(text_of(&bytes))
    }
}

/// An absent value is written like an empty one: the field is left out.
impl<const MAX: usize> Codec<Option<Vec<u8>>> for AtMost<MAX> {
    fn put(value: &Option<Vec<u8>>, out: &mut Vec<u8>) {
        out.raw(value.as_deref().unwrap_or_default());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<Vec<u8>>> {
        let bytes = <Self as Codec<Vec<u8>>>::get(reader, what)?;
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

impl Codec<Option<Vec<u8>>> for FileName {
    fn put(value: &Option<Vec<u8>>, out: &mut Vec<u8>) {
        out.raw(value.as_deref().unwrap_or_default());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Option<Vec<u8>>> {
        let bytes = <AtMost<NAME_BYTES_MAX> as Codec<Vec<u8>>>::get(reader, what)?;
        Ok(Some(Name::new(&bytes)?.as_bytes().to_vec()))
    }
}

/// A flag that is set takes no bytes; one that is not set is written only where set is the default.
impl Value for bool {
    fn put(&self, out: &mut Vec<u8>) {
        if !self {
            out.byte(0);
        }
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        match reader.rest() {
            [] => Ok(true),
            [0] => reader.byte(what).map(|_| false),
            _ => malformed(what),
        }
    }
}

impl Value for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(*self);
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        reader.number(what)
    }
}

/// A number that may be missing: it is there when the field is.
impl Value for Option<u64> {
    fn put(&self, out: &mut Vec<u8>) {
        out.number(self.unwrap_or_default());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        reader.number(what).map(Some)
    }
}

impl Value for RelPath {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(self.as_bytes());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        Self::new(reader.take(reader.rest().len(), what)?)
    }
}

#[cfg(test)]
mod tests {
    use super::{get_message, put_field};
    use crate::codec::{DecodeError, Reader, Write};
    use proptest::prelude::*;

    /// A message as this build knows it.
    #[derive(Debug, Default, PartialEq)]
    struct Today {
        on: bool,
        depth: u64,
    }

    message!(Today, "test" {
        1 critical on,
        40 optional depth,
    });

    /// The same message of a later build.
    #[derive(Debug, Default, PartialEq)]
    struct Tomorrow {
        on: bool,
        hint: Option<u64>,
        depth: u64,
        rule: Option<u64>,
    }

    message!(Tomorrow, "test" {
        1 critical on,
        2 optional hint,
        40 optional depth,
        41 critical rule,
    });

    fn fields(message: &impl super::Message) -> Vec<u8> {
        let mut out = Vec::new();
        message.put_fields(&mut out);
        out
    }

    proptest! {
        #[test]
        fn both_ends_read_what_both_know(on: bool, depth: u64, hint: Option<u64>, rule: Option<u64>) {
            let today = Today { on, depth };
            let read: Tomorrow = get_message(&mut Reader::new(&fields(&today))).unwrap();
            prop_assert_eq!(read, Tomorrow { on, depth, ..Tomorrow::default() });
            let read = get_message::<Today>(&mut Reader::new(&fields(&Tomorrow { on, hint, depth, rule })));
            let unknown = DecodeError::UnknownField { message: "test", number: 41 };
            prop_assert_eq!(read, if rule.is_none() { Ok(today) } else { Err(unknown) });
        }

        #[test]
        fn any_bytes_are_a_message_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = get_message::<Tomorrow>(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn what_has_its_default_takes_nothing() {
        assert!(fields(&Tomorrow::default()).is_empty());
    }

    #[test]
    fn fields_ascend_and_stand_once() {
        for numbers in [[1, 1], [40, 1]] {
            let mut out = Vec::new();
            for number in numbers {
                put_field(&mut out, number, false, |out| out.raw(&[]));
            }
            assert!(get_message::<Tomorrow>(&mut Reader::new(&out)).is_err(), "{numbers:?}");
        }
    }

    #[test]
    fn a_value_is_read_to_its_end() {
        let mut out = Vec::new();
        put_field(&mut out, 40, false, |out| out.raw(&[7, 7]));
        assert!(get_message::<Today>(&mut Reader::new(&out)).is_err());
    }
}
