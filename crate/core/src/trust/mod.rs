//! Who may talk to whom: keys, the file of known servers, the file of authorized clients and their scopes.
//!
//! Everything here fails closed: a file that cannot be read or understood authorizes nobody, and the error names
//! the file and the line.

mod authorized_keys;
mod certificate;
mod identity;
mod invitations;
mod key;
mod key_file;
mod key_line;
mod known_hosts;
mod private_file;
mod scope;
mod server_key;
#[cfg(test)]
mod skipped;

pub use authorized_keys::{AuthorizedKeys, Refresh};
pub use certificate::NextKey;
pub(crate) use certificate::{announced_key, certificate_key, certificate_name, certificates_from_pem};
pub use identity::Identity;
pub use invitations::{Invitation, Invitations};
pub use key::PublicKey;
pub use key_file::{AuthorizedKey, KeyFile};
pub(crate) use known_hosts::host_key_changed;
pub use known_hosts::{KnownHosts, KnownKey};
pub use scope::{Rights, Scope};
pub use server_key::ServerKey;
pub(crate) use server_key::Stamp;
