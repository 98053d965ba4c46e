//! Stored verifiers, `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` as in `pg_authid.rolpassword`.
//!
//! Knows nothing of exchanges.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ScramFault, decode_key, hash, hmac, salted_password};
use crate::ident::UserName;
use crate::limits::SCRAM_ITERATIONS_MAX;
use crate::secret::Secret;

/// The iteration count PostgreSQL gives new verifiers by default, and unknown users get (manual, `scram_iterations`).
pub const ITERATIONS_DEFAULT: u32 = 4096;

/// Bytes of a salt PostgreSQL makes (source: `SCRAM_DEFAULT_SALT_LEN`), and of the salt of an unknown user.
const SALT_BYTES: usize = 16;

/// A stored verifier.
#[derive(Clone)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: [u8; 32],
    pub(super) server_key: Secret<[u8; 32]>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Reads a verifier from its stored form.
    ///
    /// # Errors
    /// [`ScramFault::NotAVerifier`] for anything else, an md5 hash among it.
    pub fn parse(stored: &str) -> Result<Self, ScramFault> {
        Self::parts(stored).ok_or(ScramFault::NotAVerifier)
    }

    fn parts(stored: &str) -> Option<Self> {
        let rest = stored.strip_prefix("SCRAM-SHA-256$")?;
        let (iterations_and_salt, keys) = rest.split_once('$')?;
        let (iterations, salt) = iterations_and_salt.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations = iterations.parse().ok()?;
        if iterations == 0 || iterations > SCRAM_ITERATIONS_MAX {
            return None;
        }
        Some(Self {
            iterations,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: decode_key(stored_key)?,
            server_key: Secret::new(decode_key(server_key)?),
        })
    }

    /// Makes the verifier PostgreSQL would store for a password (SASLprep, then PBKDF2; RFC 5802 section 3).
    pub fn of_password(password: &Secret<String>, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = Secret::new(hmac(salted.expose(), &[b"Client Key"]));
        Self {
            iterations: iterations.max(1),
            salt: salt.to_vec(),
            stored_key: hash(client_key.expose()),
            server_key: Secret::new(hmac(salted.expose(), &[b"Server Key"])),
        }
    }

    /// Makes a new verifier for a password, with a random salt.
    pub fn new(password: &Secret<String>) -> Self {
        let salt: [u8; SALT_BYTES] = rand::random();
        Self::of_password(password, &salt, ITERATIONS_DEFAULT)
    }

    /// Makes the verifier of a password that no server has stored, with the salt that [`Verifier::decoy`] gives the
    /// name: whether the name is known does not show in it.
    pub fn of_name_and_password(
        key: &Secret<[u8; 32]>,
        user: &UserName,
        password: &Secret<String>,
    ) -> Self {
        let salt = derive(key, b"salt", user);
        Self::of_password(password, &salt[..SALT_BYTES], ITERATIONS_DEFAULT)
    }

    /// The verifier of a user that does not exist or has no usable password: stable for a name, so that nobody
    /// can tell it from a real one by asking twice, and one that no proof fits.
    ///
    /// *Why it is safe.* Its `StoredKey` is a PRF output; a proof would need a preimage of it under SHA-256.
    pub fn decoy(key: &Secret<[u8; 32]>, user: &UserName) -> Self {
        Self {
            iterations: ITERATIONS_DEFAULT,
            salt: derive(key, b"salt", user)[..SALT_BYTES].to_vec(),
            stored_key: derive(key, b"stored key", user),
            server_key: Secret::new(derive(key, b"server key", user)),
        }
    }

    /// The stored form, for `CREATE ROLE … PASSWORD '…'`: so a plain password never stands in SQL.
    pub fn to_stored(&self) -> Secret<String> {
        Secret::new(format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key.expose())
        ))
    }
}

fn derive(key: &Secret<[u8; 32]>, label: &[u8], user: &UserName) -> [u8; 32] {
    hmac(key.expose(), &[label, b"\0", user.as_str().as_bytes()])
}
