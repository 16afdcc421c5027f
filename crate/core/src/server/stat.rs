//! Tells what stands at one path.

use std::sync::Arc;

use rustix::io::Errno;
use sparsync_proto::{Kind, Meta, Name, RelPath, Stat};

use super::Shared;
use super::accept::ConnectedClient;
use crate::error::{Error, ErrorKind, Result};
use crate::fs::{Root, status};
use crate::storage::{Access, Directory, Storage, TempName};

/// Answers a question for one path.
///
/// Of a directory above its prefixes a key only learns that it exists, which its scope says already. Everything else
/// takes the right to read, and that must be checked before the file system is looked at.
pub(super) async fn stat(shared: &Arc<Shared>, client: &ConnectedClient, root: &[u8], path: RelPath) -> Result<Stat> {
    let scope = &client.scope;
    let name = String::from_utf8_lossy(root).into_owned();
    let components: Vec<&[u8]> = path.components().map(Name::as_bytes).collect();
    if scope.leads(&name, &components) && !scope.covers(&name, &components) && shared.roots.get(&name).is_some() {
        return Ok(Stat { kind: Kind::Directory, size: 0, meta: Meta::default() });
    }
    drop(components);
    let granted = shared.root(client, root, &path)?;
    if !scope.rights.read {
        let refused = Error::new(ErrorKind::Scope, format!("the key {:?} may not read", scope.name));
        return Err(refused.at(path.as_bytes()));
    }
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || look(&shared.present_root(granted, name.as_bytes())?.root, &path))
        .await
        .map_err(|_| Error::internal("looking at a path panicked"))?
}

fn look(root: &Root, path: &RelPath) -> Result<Stat> {
    let not_found = || Error::new(ErrorKind::NotFound, "no such file or directory").at(path.as_bytes());
    // Unfinished files are not shown to clients.
    if TempName::is_in(path) {
        return Err(not_found());
    }
    let found = match path.split_last() {
        None => status(root.fd(), b""),
        Some((parent, name)) => root.open(&parent, Access::Reach).and_then(|parent| parent.status(name.as_bytes())),
    };
    let found = found.map_err(|error| match error.errno {
        Errno::NOENT | Errno::NOTDIR => not_found(),
        Errno::LOOP | Errno::XDEV => {
            Error::new(ErrorKind::Scope, "the path leads through a symlink").at(path.as_bytes())
        }
        _ => Error::io("cannot look at", path.as_bytes(), error.into()),
    })?;
    let size = if found.kind == Kind::File { found.size } else { 0 };
    Ok(Stat { kind: found.kind, size, meta: found.meta })
}
