//! What one client may do: roots and prefixes, rights, quotas, and until when.

use std::time::SystemTime;

/// What a client may do below the roots that it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, each read by its name where it is enforced")]
pub struct Rights {
    /// List and fetch. Default true.
    pub read: bool,
    /// Create, and change what is there. Default true.
    pub write: bool,
    /// Create under new names only; what is there stays as it is. Meaningless beside `write`. Default false.
    pub append: bool,
    /// Remove. Default true.
    pub delete: bool,
    /// Set owner and group. Default false.
    pub owner: bool,
    /// Create devices, sockets and FIFOs. Default false.
    pub special: bool,
    /// Set extended attributes outside the `user.` namespace. Default false.
    pub xattrs: bool,
    /// Set ACLs. Default false.
    pub acls: bool,
}

impl Rights {
    /// No right at all.
    pub const NONE: Self = Self {
        read: false,
        write: false,
        append: false,
        delete: false,
        owner: false,
        special: false,
        xattrs: false,
        acls: false,
    };

    /// The names by which files and options call the rights, in the order of the documents.
    pub const NAMES: [&'static str; 8] = ["read", "write", "append", "delete", "owner", "special", "xattrs", "acls"];

    /// The names of the rights that are given, in the order of the documents.
    #[must_use]
    pub fn names(mut self) -> Vec<&'static str> {
        Self::NAMES.into_iter().filter(|name| self.named(name).is_some_and(|right| *right)).collect()
    }

    /// The right of that name.
    pub(super) fn named(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "read" => &mut self.read,
            "write" => &mut self.write,
            "append" => &mut self.append,
            "delete" => &mut self.delete,
            "owner" => &mut self.owner,
            "special" => &mut self.special,
            "xattrs" => &mut self.xattrs,
            "acls" => &mut self.acls,
            _ => return None,
        })
    }
}

impl Default for Rights {
    fn default() -> Self {
        Self { read: true, write: true, delete: true, ..Self::NONE }
    }
}

/// What one authorized client may reach and do. A request can narrow it, nothing can widen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The client's name, for logs, locks and quotas: 1 to 64 bytes without white space or control characters.
    pub name: String,
    /// Root names, each with the components of the directory below it where this client's part begins (none: the
    /// root itself). No element: all roots.
    pub roots: Vec<(String, Vec<Vec<u8>>)>,
    /// What it may do there.
    pub rights: Rights,
    /// The most content that it may keep there, in bytes. Default none: no limit.
    pub quota_bytes: Option<u64>,
    /// The most entries that it may keep there. Default none: no limit.
    pub quota_entries: Option<u64>,
    /// When it ends. Default none: it does not.
    pub expires: Option<SystemTime>,
}

impl Scope {
    /// All roots with the default rights and no quota: clients of an anonymous server, and clients that a private CA
    /// vouches for when no list of keys narrows it.
    #[must_use]
    pub fn unrestricted(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            roots: Vec::new(),
            rights: Rights::default(),
            quota_bytes: None,
            quota_entries: None,
            expires: None,
        }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.expires.is_some_and(|expires| expires <= SystemTime::now())
    }

    /// Whether the client may know that this root exists.
    #[must_use]
    pub fn visible_root(&self, root: &str) -> bool {
        self.roots.is_empty() || self.roots.iter().any(|(name, _)| name == root)
    }

    /// Whether a path, given by its components below the root, is at or below one of this client's prefixes. Whole
    /// components are compared: the prefix `a` covers `a/b`, not `ab`.
    #[must_use]
    pub fn covers(&self, root: &str, path: &[&[u8]]) -> bool {
        self.roots.is_empty() || self.roots.iter().any(|(name, prefix)| name == root && is_prefix(prefix, path))
    }

    /// The prefix that covers a path, its components joined by `/`: the uppermost, when there are several.
    #[must_use]
    pub fn prefix_of(&self, root: &str, path: &[&[u8]]) -> Option<Vec<u8>> {
        if self.roots.is_empty() {
            return Some(Vec::new());
        }
        let covering = self.roots.iter().filter(|(name, prefix)| name == root && is_prefix(prefix, path));
        covering.map(|(_, prefix)| prefix.join(&b'/')).min_by_key(Vec::len)
    }

    /// Whether a directory lies above one of this client's prefixes, so that it may be passed through on the way
    /// there. It may not be listed: `next` of [`Scope::children`] is all that the client may see in it.
    #[must_use]
    pub fn leads(&self, root: &str, path: &[&[u8]]) -> bool {
        self.children(root, path).next().is_some()
    }

    /// The names that a client may see in a directory above its prefixes, the next component of each prefix.
    pub fn children<'a>(&'a self, root: &'a str, path: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.roots
            .iter()
            .filter(move |(name, prefix)| {
                name == root
                    && prefix.len() > path.len()
                    && path.iter().zip(prefix).all(|(component, wanted)| component == wanted)
            })
            .filter_map(move |(_, prefix)| prefix.get(path.len()).map(Vec::as_slice))
    }
}

fn is_prefix(prefix: &[Vec<u8>], path: &[&[u8]]) -> bool {
    prefix.len() <= path.len() && prefix.iter().zip(path).all(|(wanted, component)| wanted == component)
}

#[cfg(test)]
mod tests {
    use super::{Rights, Scope};

    fn scope(roots: &[(&str, &[&str])]) -> Scope {
        Scope {
            roots: roots
                .iter()
                .map(|(name, prefix)| {
                    let prefix = prefix.iter().map(|component| component.as_bytes().to_vec()).collect();
                    ((*name).to_owned(), prefix)
                })
                .collect(),
            ..Scope::unrestricted("test")
        }
    }

    fn path<'a>(components: &[&'a str]) -> Vec<&'a [u8]> {
        components.iter().map(|component| component.as_bytes()).collect()
    }

    #[test]
    fn without_roots_everything_is_covered() {
        let all = scope(&[]);
        assert!(all.visible_root("any"));
        assert!(all.covers("any", &[]));
        assert!(all.covers("any", &path(&["a", "b"])));
        assert!(!all.leads("any", &[]));
    }

    #[test]
    fn a_prefix_covers_whole_components_of_its_own_root() {
        let narrow = scope(&[("backup", &["laptop", "home"]), ("media", &[])]);
        for (root, components, covered) in [
            ("backup", &["laptop", "home"][..], true),
            ("backup", &["laptop", "home", "x"], true),
            ("backup", &["laptop", "homes"], false),
            ("backup", &["laptop", "hom"], false),
            ("backup", &["laptop"], false),
            ("backup", &[], false),
            ("backup", &["home", "laptop"], false),
            ("backup", &["laptop", "Home"], false),
            ("media", &[], true),
            ("media", &["laptop"], true),
            ("other", &["laptop", "home"], false),
            ("backups", &["laptop", "home"], false),
        ] {
            assert_eq!(narrow.covers(root, &path(components)), covered, "{root} {components:?}");
        }
        assert!(narrow.visible_root("backup") && narrow.visible_root("media"));
        assert!(!narrow.visible_root("other") && !narrow.visible_root(""));
    }

    #[test]
    fn the_way_to_a_prefix_can_be_passed_and_shows_nothing_else() {
        let narrow = scope(&[("backup", &["laptop", "home"]), ("backup", &["phone"])]);
        assert_eq!(narrow.children("backup", &[]).collect::<Vec<_>>(), [b"laptop".as_slice(), b"phone"]);
        assert_eq!(narrow.children("backup", &path(&["laptop"])).collect::<Vec<_>>(), [b"home"]);
        assert!(narrow.leads("backup", &path(&["laptop"])));
        for (root, components) in
            [("backup", &["laptop", "home"][..]), ("backup", &["phone"]), ("backup", &["desk"]), ("other", &[])]
        {
            assert!(!narrow.leads(root, &path(components)), "{root} {components:?}");
        }
    }

    #[test]
    fn every_named_right_is_a_right_of_its_own() {
        for name in Rights::NAMES {
            let mut rights = Rights::NONE;
            *rights.named(name).expect("documented name") = true;
            assert_ne!(rights, Rights::NONE, "{name}");
            for other in Rights::NAMES.iter().filter(|other| **other != name) {
                assert!(!*rights.named(other).expect("documented name"), "{name} {other}");
            }
        }
        assert!(Rights::default().named("all").is_none());
    }
}
