//! The options of a request by their names.

use crate::codec::Reader;
use crate::field::Message as _;
use crate::request::{OPTIONS, Request};

/// Whether an option of this name is known, as the API or the command calls it.
#[must_use]
pub fn is_option(name: &str) -> bool {
    OPTIONS.iter().any(|(api, flag, _)| name == *api || name == *flag)
}

impl Request {
    /// Whether a request asks for anything but the default of the option of this name. To append is to write in place,
    /// as it is for rsync.
    #[must_use]
    pub fn asks_for(&self, name: &str) -> bool {
        if name == "inplace" && self.append {
            return true;
        }
        let mut fields = Vec::new();
        self.put_fields(&mut fields);
        OPTIONS.iter().filter(|(api, flag, _)| name == *api || name == *flag).any(|(_, _, place)| has(&fields, place))
    }
}

/// Whether fields have one at this place: each number is that of a field in the message of the one before.
fn has(fields: &[u8], place: &[u64]) -> bool {
    let Some((wanted, inside)) = place.split_first() else { return true };
    let mut reader = Reader::new(fields);
    while let (Ok(tag), Ok(length)) = (reader.number("tag"), reader.number("length")) {
        let Ok(value) = usize::try_from(length).map_or(Ok(&[][..]), |length| reader.take(length, "value")) else {
            return false;
        };
        if tag >> 1 == *wanted {
            return has(value, inside);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_option;
    use crate::request::{Deletion, Request, Selection};

    #[test]
    fn an_option_is_asked_for_by_either_name() {
        let request = Request {
            deletion: Deletion { max: Some(3), ..Deletion::default() },
            selection: Selection { update: true, ..Selection::default() },
            ..Request::default()
        };
        assert!(request.asks_for("maxDelete") && request.asks_for("max-delete") && request.asks_for("update"));
        assert!(!request.asks_for("delete") && !request.asks_for("ignore-existing") && !request.asks_for("none"));
        let request = Request { append: true, ..Request::default() };
        assert!(request.asks_for("append") && request.asks_for("inplace") && !request.asks_for("partial"));
        assert!(!Request { inplace: true, ..Request::default() }.asks_for("append"));
        assert!(is_option("ignoreExisting") && is_option("compress") && !is_option("none"));
    }
}
