//! What a client may do: the scope of its key, the root of a request, and the request narrowed to both.

use std::sync::Arc;

use sparsync_proto::session::Opened;
use sparsync_proto::{Compression, Direction, Keep, MissingSources, RelPath, Request};

use super::Shared;
use super::accept::{ConnectedClient, refresh_keys};
use super::roots::OpenRoot;
use crate::error::{Error, ErrorKind, Result};
use crate::option_dirs::basis_use;
use crate::storage::TempName;
use crate::transport::Principal;
use crate::trust::{PublicKey, Rights, Scope};

impl Shared {
    /// The opened request. Where everything is served by its own paths, they are found in the file system first.
    pub(super) fn found(&self, mut opened: Opened) -> Result<Opened> {
        if let Some(own) = &self.own {
            own.find(&mut opened)?;
        }
        Ok(opened)
    }

    /// What a peer may do.
    pub(super) fn scope(&self, principal: &Principal) -> Result<Arc<Scope>> {
        if self.anonymous {
            return Ok(Arc::new(Scope::unrestricted("anonymous")));
        }
        let key = principal.key();
        let unknown = || {
            let key = key.map_or_else(|| "none".to_owned(), |key| key.to_string());
            Error::new(ErrorKind::Unauthorized, format!("the server does not know the client's key {key}"))
        };
        if self.keys.decides() {
            let scope = key.and_then(|key| self.authorized(&key));
            if let Some(scope) = scope.as_ref().filter(|scope| scope.is_over()) {
                let message = format!("the key {:?} has expired", scope.name);
                return Err(Error::new(ErrorKind::Unauthorized, message));
            }
            return scope.ok_or_else(|| match self.keys.problem() {
                Some(_) => Error::new(ErrorKind::Unauthorized, "the server cannot read its authorized keys"),
                None => unknown(),
            });
        }
        match principal {
            Principal::Certificate { name, .. } => Ok(Arc::new(Scope::unrestricted(name.clone()))),
            // Without authorized keys nothing gives these peers any rights.
            Principal::Anonymous | Principal::Key(_) | Principal::User(_) => Err(unknown()),
        }
    }

    /// The scope of a key. The file is read first, since the key may have been invited or revoked a moment ago.
    fn authorized(&self, key: &PublicKey) -> Option<Arc<Scope>> {
        refresh_keys(self);
        self.keys.find(key)
    }

    /// A root that was granted, if it is still where it was. The thread may have to wait for a file system.
    pub(super) fn present_root(&self, granted: Arc<OpenRoot>, name: &[u8]) -> Result<Arc<OpenRoot>> {
        if self.own.is_some() { Ok(granted) } else { self.roots.present(&String::from_utf8_lossy(name), granted) }
    }

    /// The root of a request, if the client may know that it exists.
    pub(super) fn root(&self, client: &ConnectedClient, name: &[u8], path: &RelPath) -> Result<Arc<OpenRoot>> {
        let name = String::from_utf8_lossy(name);
        let Some(root) = self.roots.get(&name).filter(|_| client.scope.visible_root(&name)) else {
            return Err(outside(client, path, &format!("has no root {name:?}")));
        };
        self.allow(client, (&name, &root), path)?;
        Ok(root)
    }

    /// Refuses a path of a root that the client may not use.
    pub(super) fn allow(
        &self,
        client: &ConnectedClient,
        (name, root): (&str, &OpenRoot),
        path: &RelPath,
    ) -> Result<()> {
        let components: Vec<&[u8]> = path.components().map(sparsync_proto::Name::as_bytes).collect();
        // What has the name of something unfinished may be a hidden path on its way to its name.
        let is_unfinished = self.own.is_none() && TempName::is_in(path);
        // A hidden path gives the same error as one outside of the scope.
        if !client.scope.covers(name, &components) || is_unfinished || root.hides(path) {
            return Err(outside(client, path, &format!("may not use this path of the root {name:?}")));
        }
        Ok(())
    }

    /// Narrows a request to what the client may do, or refuses it.
    pub(super) fn authorize(&self, client: &ConnectedClient, request: &mut Request) -> Result<Arc<OpenRoot>> {
        // The root of a request with sources is found by the first of them, and else by its path.
        let first = request.sources.first().map_or(&request.path, |source| &source.path);
        let root = self.root(client, &request.root, first)?;
        let name = String::from_utf8_lossy(&request.root);
        for source in &request.sources {
            self.allow(client, (&name, &root), &source.path)?;
        }
        if request.direction == Direction::Push && !request.sources.is_empty() {
            return Err(Error::new(ErrorKind::Config, "a push has no sources at the server"));
        }
        self.refuse_options(request)?;
        request.remote_fake_super |= root.fake_super;
        request.remote_munge_links |= root.munge_links;
        let rights = &client.scope.rights;
        let refuse = |what: &str| {
            Err(Error::new(ErrorKind::Scope, format!("the key {:?} may not {what}", client.scope.name))
                .at(request.path.as_bytes()))
        };
        check_devices_and_trees(request, &root)?;
        if request.direction == Direction::Pull {
            if let Some(what) = lacks_to_read(request, *rights) {
                return refuse(what);
            }
            if request.removes_sources() && root.read_only {
                return Err(Error::new(ErrorKind::Scope, "the root is read-only").at(request.path.as_bytes()));
            }
            if request.snapshot_read && root.read_only {
                const WHY: &str = "the root is read-only, and snapshotRead makes unnamed files in it";
                return Err(Error::new(ErrorKind::Scope, WHY).at(request.path.as_bytes()));
            }
            return if request.removes_sources() && !rights.delete { refuse("delete") } else { Ok(root) };
        }
        if root.read_only {
            return Err(Error::new(ErrorKind::Scope, "the root is read-only").at(request.path.as_bytes()));
        }
        // A plan shows the destination's entries, which takes no more than the right to change them.
        if !(rights.write || rights.append) {
            return refuse("write");
        }
        if request.deletion.delete && !rights.delete {
            return refuse("delete");
        }
        let deletes_missing = request.missing_sources == MissingSources::Delete;
        if (deletes_missing || !request.missing.is_empty()) && !rights.delete {
            return refuse("delete");
        }
        // Paths without the option that names them would bypass a server that refuses the option.
        if !deletes_missing && !request.missing.is_empty() {
            return Err(Error::protocol("missing sources without the option that deletes them").remote());
        }
        if let Some(what) = lacks(request, *rights) {
            return refuse(what);
        }
        if !rights.delete {
            request.deletion.force = false;
        }
        request.durability = request.durability.max(self.durability);
        Ok(root)
    }

    /// Refuses a request that asks for an option which the operator refuses. What is done without being asked for is
    /// left undone then.
    fn refuse_options(&self, request: &mut Request) -> Result<()> {
        for name in &self.refused {
            if request.asks_for(name) == Some(true) {
                return Err(Error::new(ErrorKind::Scope, format!("the server refuses the option {name:?}"))
                    .with("option", name.clone()));
            }
            match name.as_str() {
                "partial" => request.partial = false,
                "compression" | "compress" => request.compression = Compression::Never,
                _ => {}
            }
        }
        Ok(())
    }
}

fn outside(client: &ConnectedClient, path: &RelPath, what: &str) -> Error {
    Error::new(ErrorKind::Scope, format!("the key {:?} {what}", client.scope.name)).at(path.as_bytes())
}

/// Refuses requests that no root allows, or that a root that keeps versions does not.
fn check_devices_and_trees(request: &Request, root: &OpenRoot) -> Result<()> {
    if request.write_devices && !request.inplace {
        return Err(Error::protocol("devices that are written to, and not in place").remote());
    }
    // Such a run renames whole trees, and a version is kept of single entries only.
    let by_tree = request.publish || request.snapshot.keep != Keep::default();
    let message = match (by_tree, request.write_devices) {
        _ if root.versions.is_none() => return Ok(()),
        (true, _) => "the root keeps versions: whole trees are neither published there nor removed by a rule",
        (false, true) => "the root keeps versions, and cannot keep the content of a device",
        (false, false) => return Ok(()),
    };
    Err(Error::new(ErrorKind::Scope, message).at(request.path.as_bytes()))
}

/// The right that a pull takes and the key lacks.
fn lacks_to_read(request: &Request, rights: Rights) -> Option<&'static str> {
    if !rights.read {
        return Some("read");
    }
    (request.copy_devices && !rights.special).then_some("read devices, which takes the right \"special\"")
}

/// The right that a way of writing takes and the key lacks.
fn lacks(request: &Request, rights: Rights) -> Option<&'static str> {
    if (request.inplace || request.append) && !rights.write {
        return Some("write in place, which takes the right to write");
    }
    if request.write_devices && !(rights.write && rights.special) {
        return Some("write to devices, which takes the rights \"write\" and \"special\"");
    }
    if request.backup && !(rights.write && rights.delete) {
        return Some("keep backups, which takes the rights to write and to delete");
    }
    if request.publish && !(rights.write && rights.delete) {
        return Some("publish, which takes the rights to write and to delete");
    }
    if request.snapshot.keep != Keep::default() && !rights.delete {
        return Some("remove snapshots, which takes the right to delete");
    }
    // These options tell the client about files: the length and digest of one that is appended to, or that content is
    // present and need not travel.
    let is_told = request.append || request.fuzzy || request.detect_renames || basis_use(request).is_some();
    (is_told && !rights.read).then_some("read")
}
