//! Owners and groups by name: the names that travel, and what `--usermap` and `--groupmap` make of them.

use crate::codec::{Decoded, Reader, Write, malformed};
use crate::entry::Kind;
use crate::field::Value;
use crate::filter::Pattern;
use crate::limits::{ID_MAP_BYTES_MAX, OWNER_NAME_BYTES_MAX};
use crate::request::Request;

/// The number of no owner and no group. It stands for one that is to stay as it is.
pub const NO_ID: u32 = u32::MAX;

/// Whose number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// A user's.
    User,
    /// A group's.
    Group,
}

/// The name of an owner's or a group's number on the source's machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerName {
    /// Whose number it is.
    pub kind: IdKind,
    /// The number.
    pub id: u32,
    /// Its name.
    pub name: Vec<u8>,
}

/// Whose names a sender tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerNames {
    /// Those of users.
    pub users: bool,
    /// Those of groups.
    pub groups: bool,
}

impl Request {
    /// The names that go with the numbers of the source.
    #[must_use]
    pub fn owner_names(&self) -> OwnerNames {
        OwnerNames {
            users: (self.attributes.owner || self.attributes.acls) && !self.numeric_ids,
            groups: (self.attributes.group || self.attributes.acls) && !self.numeric_ids,
        }
    }
}

/// Whether a name can travel.
#[must_use]
pub fn is_owner_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= OWNER_NAME_BYTES_MAX && !name.contains(&0)
}

pub(crate) fn put_names(names: &[OwnerName], out: &mut Vec<u8>) {
    for OwnerName { kind, id, name } in names {
        out.byte(match kind {
            IdKind::User => 0,
            IdKind::Group => 1,
        });
        out.number(u64::from(*id));
        out.bytes(name);
    }
}

pub(crate) fn get_names(reader: &mut Reader<'_>) -> Decoded<Vec<OwnerName>> {
    let mut names = Vec::new();
    while !reader.is_empty() {
        let kind = match reader.byte("kind of an owner")? {
            0 => IdKind::User,
            1 => IdKind::Group,
            _ => return malformed("kind of an owner"),
        };
        let id = reader.small("owner")?;
        let name = reader.bytes(OWNER_NAME_BYTES_MAX, "name of an owner")?;
        if id == NO_ID || !is_owner_name(name) {
            return malformed("name of an owner");
        }
        names.push(OwnerName { kind, id, name: name.to_vec() });
    }
    names.shrink_to_fit();
    Ok(names)
}

/// How owners or groups are mapped: the first rule that matches decides, in rsync's notation
/// (`alice:bob,1000-1999:nobody,*:65534`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap(Box<str>);

/// Whom a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From<'a> {
    /// Owners without a name.
    Nameless,
    /// These numbers.
    Ids(u32, u32),
    /// This name.
    Name(&'a str),
    /// A pattern of names; `*` also matches numbers without a name.
    Pattern(&'a str),
}

/// The owner to which a rule maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedTo<'a> {
    /// This number.
    Id(u32),
    /// The number that this name has at the destination.
    Name(&'a str),
}

/// One rule of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRule<'a> {
    from: From<'a>,
    /// The owner to which it maps.
    pub to: MappedTo<'a>,
}

impl IdMap {
    /// Reads the text of a map; none when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_map =
            text.len() <= ID_MAP_BYTES_MAX && !text.contains('\0') && text.split(',').all(|each| rule(each).is_some());
        is_map.then(|| Self(text.into()))
    }

    /// Whether it has no rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of memory that it holds.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.0.len()
    }

    /// Its rules, in their order.
    pub fn rules(&self) -> impl Iterator<Item = MapRule<'_>> {
        self.0.split(',').filter_map(rule)
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

fn number(text: &str) -> Option<u32> {
    let is_decimal = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|id| is_decimal && *id != NO_ID)
}

fn rule(text: &str) -> Option<MapRule<'_>> {
    let (from, to) = text.split_once(':')?;
    let from = if from.is_empty() {
        From::Nameless
    } else if is_number(from) {
        let (low, high) = from.split_once('-').unwrap_or((from, from));
        let (low, high) = (number(low)?, number(high)?);
        // A range up to 0 is its first number alone.
        From::Ids(low, if high == 0 { low } else { high })
    } else if from.contains(['*', '?', '[']) {
        From::Pattern(from)
    } else {
        From::Name(from)
    };
    let to = match to {
        "" => return None,
        to if is_number(to) => MappedTo::Id(number(to)?),
        to => MappedTo::Name(to),
    };
    Some(MapRule { from, to })
}

impl MapRule<'_> {
    /// Whether it is for this number, which may have a name.
    #[must_use]
    pub fn is_for(&self, id: u32, name: Option<&[u8]>) -> bool {
        match (self.from, name) {
            (From::Ids(low, high), _) => (low..=high).contains(&id),
            (From::Nameless, name) => name.is_none(),
            (From::Pattern("*"), _) => true,
            (From::Name(wanted), Some(name)) => wanted.as_bytes() == name,
            (From::Pattern(wanted), Some(name)) => {
                Pattern::new(&[b"/", wanted.as_bytes()].concat()).matches(&[b"/", name, b"/"].concat(), 1, Kind::File)
            }
            (From::Name(_) | From::Pattern(_), None) => false,
        }
    }
}

impl Value for IdMap {
    fn put(&self, out: &mut Vec<u8>) {
        out.raw(self.0.as_bytes());
    }

    fn get(reader: &mut Reader<'_>, what: &'static str) -> Decoded<Self> {
        let bytes = reader.take(reader.rest().len(), what)?;
        std::str::from_utf8(bytes).ok().and_then(Self::parse).map_or_else(|| malformed(what), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::{IdMap, MappedTo, NO_ID};

    fn mapped(map: &str, id: u32, name: Option<&str>) -> Option<String> {
        let map = IdMap::parse(map).expect(map);
        let rule = map.rules().find(|rule| rule.is_for(id, name.map(str::as_bytes)))?;
        Some(match rule.to {
            MappedTo::Id(id) => id.to_string(),
            MappedTo::Name(name) => name.to_owned(),
        })
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let map = "alice:bob,1000-1999:nobody,a*:7,?ob:8,:9,*:10";
        for (id, name, to) in [
            (1, Some("alice"), "bob"),
            (1000, Some("alice"), "bob"),
            (1000, None, "nobody"),
            (1999, Some("carol"), "nobody"),
            (2000, Some("anna"), "7"),
            (2000, Some("rob"), "8"),
            (2000, None, "9"),
            (2000, Some("carol"), "10"),
        ] {
            assert_eq!(mapped(map, id, name).as_deref(), Some(to), "{id} {name:?}");
        }
        assert_eq!(mapped("[ab]*:1", 5, Some("carol")), None);
        assert_eq!(mapped("a?:1", 5, None), None);
        assert_eq!(mapped("5-4:1", 5, None), None);
        assert_eq!(mapped("5-0:1", 5, None).as_deref(), Some("1"));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let number = NO_ID.to_string();
        for text in
            ["", ",", "alice", "alice:", "5-:1", "1a:5", "9-5x:1", "99999999999:1", "1:99999999999", "alice:5,", "\0:1"]
        {
            assert_eq!(IdMap::parse(text), None, "{text:?}");
        }
        assert_eq!(IdMap::parse(&format!("1:{number}")), None);
        assert!(IdMap::parse(&"1:1,".repeat(20_000)).is_none());
    }
}
