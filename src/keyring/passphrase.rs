//! The passphrase provider: where a passphrase comes from, and the KEK that Argon2id (RFC 9106) makes of it.
//!
//! Knows nothing of what the KEK wraps.

use std::io::Read as _;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};

use super::kek::Kek;
use super::{KeyringFault, file, random};
use crate::limits::{KDF_LANES_MAX, KDF_MEMORY_KIB_MAX, KDF_PASSES_MAX, PASSPHRASE_BYTES_MAX};
use crate::secret::Secret;

/// What unlocks a keyring.
#[derive(Debug, Clone)]
pub struct Passphrase(Secret<Vec<u8>>);

impl Passphrase {
    /// Takes it as given.
    ///
    /// # Errors
    /// [`KeyringFault::PassphraseEmpty`].
    pub fn new(passphrase: impl Into<Vec<u8>>) -> Result<Self, KeyringFault> {
        let passphrase = Secret::new(passphrase.into());
        if passphrase.expose().is_empty() {
            return Err(KeyringFault::PassphraseEmpty);
        }
        Ok(Self(passphrase))
    }

    /// Reads it from a file; one line end at its end is not part of it.
    ///
    /// # Errors
    /// [`KeyringFault::Permissions`] when others may use the file, or the group may and root does not own it
    /// (the rule PostgreSQL has for `ssl_key_file`); [`KeyringFault::TooLong`]; [`KeyringFault::Io`];
    /// [`KeyringFault::PassphraseEmpty`].
    pub fn from_file(path: &Path) -> Result<Self, KeyringFault> {
        let file = file::open_private(path, file::Readers::OwnerOrRootsGroup)?;
        let mut bytes = Vec::new();
        file.take(PASSPHRASE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| file::io("read", path, &error))?;
        if bytes.len() as u64 > PASSPHRASE_BYTES_MAX {
            return Err(KeyringFault::TooLong {
                path: path.to_owned(),
                bytes_max: PASSPHRASE_BYTES_MAX,
            });
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        Self::new(bytes)
    }

    /// Reads it from an environment variable (which other processes of the same user can read: a file is better).
    ///
    /// # Errors
    /// [`KeyringFault::PassphraseUnset`], [`KeyringFault::PassphraseEmpty`].
    pub fn from_env(variable: &str) -> Result<Self, KeyringFault> {
        let passphrase = std::env::var(variable)
            .map_err(|_| KeyringFault::PassphraseUnset(variable.to_owned()))?;
        Self::new(passphrase)
    }
}

/// How dear it is to guess the passphrase (RFC 9106, section 3.1), with the salt. Stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KdfParameters {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
    pub(super) salt: [u8; 16],
}

impl KdfParameters {
    /// RFC 9106, section 4, the second recommended option: 64 MiB, 3 passes, 4 lanes; a random salt.
    ///
    /// # Errors
    /// [`KeyringFault::NoRandomness`].
    pub fn recommended() -> Result<Self, KeyringFault> {
        Self::new(64 * 1024, 3, 4)
    }

    /// Parameters of the caller's choice, and a random salt.
    ///
    /// # Errors
    /// [`KeyringFault::KdfBounds`], [`KeyringFault::NoRandomness`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, KeyringFault> {
        let parameters = Self {
            memory_kib,
            passes,
            lanes,
            salt: *random()?.expose(),
        };
        parameters.bounded()?;
        Ok(parameters)
    }

    /// The parameters as Argon2 takes them, or a fault where they are out of bounds.
    fn bounded(&self) -> Result<Params, KeyringFault> {
        if self.memory_kib > KDF_MEMORY_KIB_MAX
            || self.passes > KDF_PASSES_MAX
            || self.lanes > KDF_LANES_MAX
        {
            return Err(KeyringFault::KdfBounds);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(64))
            .map_err(|_| KeyringFault::KdfBounds)
    }

    /// Derives the KEK. Takes as long as the parameters say.
    ///
    /// # Errors
    /// [`KeyringFault::KdfBounds`], before any memory is taken.
    pub(super) fn derive(&self, passphrase: &Passphrase) -> Result<Kek, KeyringFault> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.bounded()?);
        let mut material = [0; 64];
        argon2
            .hash_password_into(passphrase.0.expose(), &self.salt, &mut material)
            .map_err(|_| KeyringFault::KdfBounds)?;
        let material = Secret::new(material);
        Ok(Kek::new(material.expose()))
    }
}
