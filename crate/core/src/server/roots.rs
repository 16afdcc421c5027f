//! The directories that are served.

use std::collections::HashMap;

use sparsync_proto::limits;

use crate::error::{Error, ErrorKind, Result};
use crate::fs::Root;

/// A directory that is served.
#[derive(Clone, Debug)]
pub struct ServedRoot {
    /// The name that clients use.
    pub name: String,
    /// Where it is.
    pub path: Vec<u8>,
    /// Nobody may write to it.
    pub read_only: bool,
}

/// A served directory that is held open.
pub(super) struct OpenRoot {
    pub(super) root: Root,
    pub(super) read_only: bool,
}

/// Opens every root, and refuses bad and doubled names.
pub(super) fn open_roots(roots: &[ServedRoot]) -> Result<HashMap<String, OpenRoot>> {
    let mut open = HashMap::new();
    for served in roots {
        let bad =
            |why: &str| Error::new(ErrorKind::Config, format!("the root {:?} {why}", served.name)).at(&served.path);
        if served.name.is_empty()
            || served.name.len() > limits::ROOT_NAME_BYTES_MAX
            || !served.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || served.name.starts_with('.')
        {
            return Err(bad("has a name that is not made of letters, digits, '-', '_' and '.'"));
        }
        let root = Root::reach(&served.path)
            .map_err(|error| bad(&format!("cannot be opened: {}", std::io::Error::from(error))))?;
        if open.insert(served.name.clone(), OpenRoot { root, read_only: served.read_only }).is_some() {
            return Err(bad("is named twice"));
        }
    }
    if open.is_empty() {
        return Err(Error::new(ErrorKind::Config, "there is nothing to serve: name at least one root"));
    }
    Ok(open)
}
