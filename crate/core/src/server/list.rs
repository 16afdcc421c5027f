//! Lists a directory of a root, or the roots.

use std::sync::Arc;

use sparsync_proto::{Everything, Frame, Hiding, InForce, Kind, ListEntry, RelPath, limits};

use super::Shared;
use super::accept::ConnectedClient;
use super::roots::OpenRoot;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::{SessionLanes, encoded};

/// Answers a request for a list.
pub(super) async fn serve_list(
    shared: &Arc<Shared>,
    client: &ConnectedClient,
    lanes: &mut dyn SessionLanes,
    root: &[u8],
    path: &RelPath,
) -> Result<()> {
    let entries = if root.is_empty() {
        let visible = shared.roots.names().filter(|name| client.scope.visible_root(name));
        let mut names: Vec<_> = visible.map(ToOwned::to_owned).collect();
        names.sort_unstable();
        let entry = |name: String| ListEntry {
            kind: Kind::Directory,
            name: name.into_bytes(),
            size: 0,
            meta: sparsync_proto::Meta::default(),
        };
        names.into_iter().map(entry).collect()
    } else {
        if !client.scope.rights.read {
            return Err(Error::new(ErrorKind::Scope, format!("the key {:?} may not read", client.scope.name)));
        }
        let name = String::from_utf8_lossy(root).into_owned();
        let components: Vec<&[u8]> = path.components().map(sparsync_proto::Name::as_bytes).collect();
        if client.scope.visible_root(&name)
            && client.scope.leads(&name, &components)
            && !client.scope.covers(&name, &components)
        {
            client
                .scope
                .children(&name, &components)
                .map(|child| ListEntry {
                    kind: Kind::Directory,
                    name: child.to_vec(),
                    size: 0,
                    meta: sparsync_proto::Meta::default(),
                })
                .collect()
        } else {
            let granted = shared.root(client, root, path)?;
            let (shared, path) = (Arc::clone(shared), path.clone());
            tokio::task::spawn_blocking(move || list_directory(&*shared.present_root(granted, name.as_bytes())?, &path))
                .await
                .map_err(|_| Error::internal("listing panicked"))??
        }
    };
    let mut batch = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.name.len() + 64;
        batch.push(entry);
        if bytes >= limits::BATCH_BYTES {
            bytes = 0;
            lanes.write(encoded(&[Frame::ListReply { more: true, entries: std::mem::take(&mut batch) }])).await?;
        }
    }
    lanes.write(encoded(&[Frame::ListReply { more: false, entries: batch }])).await
}

fn list_directory(open_root: &OpenRoot, path: &RelPath) -> Result<Vec<ListEntry>> {
    use crate::storage::{Access, Directory, Judge, ScanBuffers, ScanOptions, Storage, scan_directory};
    let root = &open_root.root;
    let judge = if open_root.hidden.is_empty() {
        Judge::everything()
    } else {
        Judge::new(Box::new(Hiding::new(Arc::clone(&open_root.hidden), Box::new(Everything))))
    };
    let kinds = sparsync_proto::Attributes {
        links: true,
        specials: true,
        devices: true,
        ..sparsync_proto::Attributes::default()
    };
    let options = ScanOptions::new(kinds, &judge);
    let scan =
        scan_directory(root, path, &InForce::default(), &options, &mut ScanBuffers::default()).map_err(|error| {
            match error.errno {
                rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => {
                    Error::new(ErrorKind::NotFound, "no such directory").at(path.as_bytes())
                }
                rustix::io::Errno::LOOP => {
                    Error::new(ErrorKind::Scope, "the path leads through a symlink").at(path.as_bytes())
                }
                _ => Error::io("cannot list", path.as_bytes(), error.into()),
            }
        })?;
    let directory =
        root.open(path, Access::Reach).map_err(|error| Error::io("cannot list", path.as_bytes(), error.into()))?;
    let listed = scan.listing.entries().iter().map(|entry| {
        let name = scan.listing.name(entry);
        let mut meta = entry.meta;
        // A run's listing leaves the attributes of a directory to the directory's own record, so they are looked up
        // here.
        if entry.kind == Kind::Directory
            && let Ok(status) = directory.status(name)
        {
            meta = status.meta;
        }
        ListEntry { kind: entry.kind, name: name.to_vec(), size: entry.size, meta }
    });
    Ok(listed.collect())
}
