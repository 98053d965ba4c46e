//! The keyring: one random 512-bit data key (DEK) per domain and version, in a file, each wrapped by a key
//! (KEK) that a provider gives. One provider a file; the only one yet is a passphrase.
//!
//! Knows keys, and the numbers and names they go by. Knows nothing of values, roles, policy or statements.
//!
//! # Why it is safe
//!
//! * `KEK = HKDF-SHA-256(Argon2id(passphrase, salt))` (RFC 9106, RFC 5869); the Argon2 parameters are in the
//!   file and bounded on reading, so that a hostile file cannot demand more memory than
//!   [`limits::KDF_MEMORY_KIB_MAX`](crate::limits::KDF_MEMORY_KIB_MAX).
//! * A DEK is wrapped by AES-256-SIV (RFC 5297), deterministic key wrap, bound to keyring, domain and version:
//!   it does not unwrap in another's place.
//! * All fields of the file are under one HMAC: swapping numbers, names or states is found.
//! * Replacing the whole file by an older one is **not** found. Keep it where only the operator writes.

mod derived;
mod file;
mod kek;
mod model;
mod passphrase;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;

use crate::ident::{AttributeId, AttributeName, DomainId, DomainName, KeyVersion};
use crate::secret::Secret;

use kek::Kek;
pub use model::VersionState;
pub use passphrase::{KdfParameters, Passphrase};

/// Bytes of a DEK, and of the keyring's own root.
const DEK_BYTES: usize = 64;

/// HKDF's salt for subkeys. Not the keyring's id: an exported DEK must give the same subkeys elsewhere.
const SUBKEY_SALT: &[u8] = b"pgveil dek 1";

/// Why a keyring cannot be used. Names files, domains and versions, never keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringFault {
    /// The file system said no.
    #[error("cannot {doing} {}: {kind}", path.display())]
    Io {
        /// what was tried
        doing: &'static str,
        /// on which file
        path: PathBuf,
        /// what the system answered
        kind: std::io::ErrorKind,
    },
    /// `create` never overwrites.
    #[error("{} exists already; a keyring is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Someone else can read the file.
    #[error("{} can be used by group or others (mode {mode:04o}); chmod 600 it", path.display())]
    Permissions {
        /// the file
        path: PathBuf,
        /// its permission bits
        mode: u32,
    },
    /// Longer than a keyring or a passphrase can be.
    #[error("{} is longer than {bytes_max} bytes", path.display())]
    TooLong {
        /// the file
        path: PathBuf,
        /// the limit
        bytes_max: u64,
    },
    /// Not the JSON of a keyring.
    #[error("{} is not a keyring: line {line}, column {column}", path.display())]
    Malformed {
        /// the file
        path: PathBuf,
        /// counted from 1
        line: usize,
        /// counted from 1
        column: usize,
    },
    /// A keyring, but what it says cannot be.
    #[error("the keyring contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// Written by another version of pgveil.
    #[error("keyring format {0} is not known to this version")]
    FormatUnknown(u32),
    /// The file asks for more work or memory than any sensible keyring needs, or for less than Argon2 can do.
    #[error("the keyring's key derivation parameters are out of bounds")]
    KdfBounds,
    /// Nothing unwraps under this passphrase.
    #[error(
        "the passphrase does not open this keyring (or its key derivation parameters were altered)"
    )]
    WrongPassphrase,
    /// The file's authentication code does not hold.
    #[error("the keyring was altered: its authentication code does not hold")]
    Tampered,
    /// A DEK does not unwrap in its place.
    #[error("the key of domain {domain} version {version} does not unwrap", version = version.0)]
    DekUnreadable {
        /// the domain
        domain: DomainName,
        /// its key version
        version: KeyVersion,
    },
    /// No usable key of that version: destroyed, or never there.
    #[error("domain {} has no usable key version {}", domain.0, version.0)]
    NoSuchVersion {
        /// the domain
        domain: DomainId,
        /// the key version
        version: KeyVersion,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    /// The named environment variable is not set.
    #[error("the environment variable {0} is not set, or is not UTF-8")]
    PassphraseUnset(String),
    /// Someone else has saved the keyring since it was opened.
    #[error("{} was changed since it was opened; nothing was saved", .0.display())]
    ChangedSince(PathBuf),
    /// No number is left to give.
    #[error("the keyring has no {0} number left")]
    Exhausted(&'static str),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// What a subkey of N bytes is for. Each use has a label of its own; a label is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<const N: usize>(&'static str);

impl Label<64> {
    /// AES-256-SIV of sealed values.
    pub const SEAL: Self = Self("pgveil seal aes-256-siv 1");
}

impl Label<32> {
    /// FF1 with AES-256 of tokens.
    pub const TOKEN: Self = Self("pgveil token ff1-aes-256 1");
    /// Masks that have a key (`hash`, `noise`, `fake`).
    pub const MASK: Self = Self("pgveil mask hmac-sha-256 1");
    /// Comparison terms: HMAC-SHA-256 over the normal form.
    pub const EQUAL: Self = Self("pgveil equality term hmac-sha-256 1");
    /// Terms (`order`, `nocase`, `substring`); reserved.
    pub const TERM: Self = Self("pgveil term prf 1");
}

/// Derives a subkey (RFC 5869): `HKDF-SHA-256(salt, dek)[label]`.
fn derive<const N: usize>(dek: &[u8; DEK_BYTES], label: &str) -> Secret<[u8; N]> {
    let mut out = [0; N];
    Hkdf::<Sha256>::new(Some(SUBKEY_SALT), dek)
        .expand(label.as_bytes(), &mut out)
        .expect("at most 64 bytes are asked for, HKDF-SHA-256 gives 8160");
    Secret::new(out)
}

/// Random bytes of the operating system.
fn random<const N: usize>() -> Result<Secret<[u8; N]>, KeyringFault> {
    let mut out = [0; N];
    SysRng
        .try_fill_bytes(&mut out)
        .map_err(|_| KeyringFault::NoRandomness)?;
    Ok(Secret::new(out))
}

/// One version of a domain's key.
#[derive(Debug, Clone)]
struct DomainVersion {
    state: VersionState,
    /// as it stands in the file; None once destroyed
    wrapped: Option<Vec<u8>>,
    /// None once destroyed
    dek: Option<Secret<[u8; DEK_BYTES]>>,
}

/// The keys of one domain.
#[derive(Debug, Clone)]
pub struct DomainKeys {
    id: DomainId,
    active: KeyVersion,
    versions: BTreeMap<KeyVersion, DomainVersion>,
}

impl DomainKeys {
    /// The domain's number, as it stands in sealed values.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The version that new values are sealed with.
    pub fn active(&self) -> KeyVersion {
        self.active
    }

    /// Every version with its state, in ascending order.
    pub fn versions(&self) -> impl Iterator<Item = (KeyVersion, VersionState)> + '_ {
        self.versions.iter().map(|(version, v)| (*version, v.state))
    }

    /// The subkey of a version for one use.
    ///
    /// # Errors
    /// [`KeyringFault::NoSuchVersion`] when the version is destroyed or was never there.
    pub fn subkey<const N: usize>(
        &self,
        version: KeyVersion,
        label: Label<N>,
    ) -> Result<Secret<[u8; N]>, KeyringFault> {
        let dek = self
            .versions
            .get(&version)
            .and_then(|v| v.dek.as_ref())
            .ok_or(KeyringFault::NoSuchVersion {
                domain: self.id,
                version,
            })?;
        Ok(derive(dek.expose(), label.0))
    }
}

/// An open keyring.
pub struct Keyring {
    path: PathBuf,
    id: [u8; 16],
    kdf: KdfParameters,
    kek: Kek,
    /// the keyring's own secret: what is keyed, but belongs to no domain, comes from it
    root: Secret<[u8; DEK_BYTES]>,
    domains: BTreeMap<DomainName, DomainKeys>,
    attributes: BTreeMap<AttributeName, AttributeId>,
    next_domain: u32,
    next_attribute: u32,
    /// the authentication code of the file this was read from or saved to
    mac: [u8; 32],
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("path", &self.path)
            .field("id", &self.id())
            .field("domains", &self.domains.len())
            .field("attributes", &self.attributes.len())
            .finish_non_exhaustive()
    }
}

/// Creates an empty keyring, mode 0600. Never overwrites.
///
/// # Errors
/// [`KeyringFault::Exists`]; [`KeyringFault::Io`]; [`KeyringFault::NoRandomness`].
pub fn create(path: &Path, passphrase: &Passphrase) -> Result<Keyring, KeyringFault> {
    create_with(path, passphrase, KdfParameters::recommended()?)
}

/// As [`create`], with the cost of guessing the passphrase chosen by the caller.
///
/// # Errors
/// As [`create`], and [`KeyringFault::KdfBounds`].
pub fn create_with(
    path: &Path,
    passphrase: &Passphrase,
    kdf: KdfParameters,
) -> Result<Keyring, KeyringFault> {
    let mut keyring = Keyring {
        path: path.to_owned(),
        id: *random()?.expose(),
        kek: kdf.derive(passphrase)?,
        kdf,
        root: random()?,
        domains: BTreeMap::new(),
        attributes: BTreeMap::new(),
        next_domain: 1,
        next_attribute: 1,
        mac: [0; 32],
    };
    let mac = file::create(path, &keyring)?;
    keyring.mac = mac;
    keyring.path = file::resolve(path)?;
    Ok(keyring)
}

impl Keyring {
    /// Opens a keyring: every key that is not destroyed is unwrapped, everything is authenticated.
    ///
    /// Takes the time its Argon2 parameters ask for (about 0.2 s as created).
    ///
    /// # Errors
    /// Any [`KeyringFault`] that says what is wrong with the file, its mode or the passphrase.
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self, KeyringFault> {
        let path = file::resolve(path)?;
        file::open(path, passphrase)
    }

    /// The keyring's id, hexadecimal; not secret.
    pub fn id(&self) -> String {
        hex::encode(self.id)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of a domain.
    pub fn domain(&self, name: &DomainName) -> Option<&DomainKeys> {
        self.domains.get(name)
    }

    /// Every domain, by name.
    pub fn domains(&self) -> impl Iterator<Item = (&DomainName, &DomainKeys)> {
        self.domains.iter()
    }

    /// The number of an attribute.
    pub fn attribute_id(&self, name: &AttributeName) -> Option<AttributeId> {
        self.attributes.get(name).copied()
    }

    /// Every numbered attribute, by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&AttributeName, AttributeId)> {
        self.attributes.iter().map(|(name, id)| (name, *id))
    }

    /// The domain's number; a new domain gets a number and a random key. Call [`Keyring::save`] before the key
    /// is used.
    ///
    /// # Errors
    /// [`KeyringFault::Exhausted`], [`KeyringFault::NoRandomness`].
    pub fn ensure_domain(&mut self, name: &DomainName) -> Result<DomainId, KeyringFault> {
        if let Some(domain) = self.domains.get(name) {
            return Ok(domain.id);
        }
        let id = DomainId(self.next_domain);
        let next = self
            .next_domain
            .checked_add(1)
            .ok_or(KeyringFault::Exhausted("domain"))?;
        let version = KeyVersion(1);
        let dek = random::<DEK_BYTES>()?;
        let wrapped = self
            .kek
            .wrap(&model::dek_binding(&self.id, id, version), dek.expose());
        let domain = DomainKeys {
            id,
            active: version,
            versions: BTreeMap::from([(
                version,
                DomainVersion {
                    state: VersionState::Active,
                    wrapped: Some(wrapped),
                    dek: Some(dek),
                },
            )]),
        };
        self.next_domain = next;
        self.domains.insert(name.clone(), domain);
        Ok(id)
    }

    /// The attribute's number; a new attribute gets one. Call [`Keyring::save`] before it is used.
    ///
    /// # Errors
    /// [`KeyringFault::Exhausted`].
    pub fn ensure_attribute(&mut self, name: &AttributeName) -> Result<AttributeId, KeyringFault> {
        if let Some(id) = self.attributes.get(name) {
            return Ok(*id);
        }
        let id = AttributeId(self.next_attribute);
        self.next_attribute = self
            .next_attribute
            .checked_add(1)
            .ok_or(KeyringFault::Exhausted("attribute"))?;
        self.attributes.insert(name.clone(), id);
        Ok(id)
    }

    /// Replaces the file by what this keyring holds, atomically: after a crash there is the old one or the
    /// new one, whole.
    ///
    /// # Errors
    /// [`KeyringFault::ChangedSince`] when another process saved it in between (open it again, repeat);
    /// [`KeyringFault::Io`].
    pub fn save(&mut self) -> Result<(), KeyringFault> {
        self.mac = file::replace(self)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
