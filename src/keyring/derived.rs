//! The keys of an instance's own work, derived from the keyring's root: none of them opens a value.

use super::{Keyring, derive};
use crate::secret::Secret;

impl Keyring {
    /// The key that audit chains start from and audit anchors are authenticated with.
    pub fn audit_key(&self) -> Secret<[u8; 32]> {
        derive(self.root.expose(), "pgveil audit hmac-sha-256 1")
    }

    /// The key that the salts of unknown logins come from: the same on every instance with this keyring.
    pub fn decoy_key(&self) -> Secret<[u8; 32]> {
        derive(self.root.expose(), "pgveil login decoy hmac-sha-256 1")
    }
}
