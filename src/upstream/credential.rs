//! What logs a user in to the server, and what it answers to the server's question.
//!
//! Knows nothing of messages but their contents. A password is proved (SCRAM, md5) and not sent, but for the one
//! that the client itself gave in the clear, so that the server checks it.

use crate::ident::UserName;
use crate::limits::SCRAM_ITERATIONS_DERIVED_MAX;
use crate::secret::Secret;
use crate::wire::md5::{Md5Hash, SALT_BYTES};
use crate::wire::scram::{ClientKeys, ScramFault};

/// What logs a user in.
#[derive(Debug, Clone)]
pub enum Credential {
    /// nothing: only a server that asks for nothing lets in
    Nothing,
    /// the keys that the client's own proof has left
    Keys(ClientKeys),
    /// the md5 hash that the client's own answer has proved, or that stands in the auth_file
    Md5(Md5Hash),
    /// a password of the auth_file
    Password(Secret<String>),
    /// what the client gave for its password: the server says whether it is
    Claimed(Secret<String>),
}

impl Credential {
    /// Whether SCRAM can be answered with it.
    pub(super) fn serves_scram(&self) -> bool {
        match self {
            Self::Keys(_) | Self::Password(_) | Self::Claimed(_) => true,
            Self::Nothing | Self::Md5(_) => false,
        }
    }

    /// The keys for a verifier with that salt.
    ///
    /// # Errors
    /// [`ScramFault::ServerMessage`] when deriving them would take longer than a login may, or nothing is there to
    /// derive them from.
    pub(super) fn keys(self, salt: &[u8], iterations: u32) -> Result<ClientKeys, ScramFault> {
        match self {
            Self::Keys(keys) => Ok(keys),
            Self::Password(password) | Self::Claimed(password)
                if iterations <= SCRAM_ITERATIONS_DERIVED_MAX =>
            {
                Ok(ClientKeys::of_password(&password, salt, iterations))
            }
            Self::Password(_) | Self::Claimed(_) | Self::Nothing | Self::Md5(_) => {
                Err(ScramFault::ServerMessage)
            }
        }
    }

    /// The answer to md5 with that salt; None where there is none.
    pub(super) fn md5(&self, user: &UserName, salt: [u8; SALT_BYTES]) -> Option<Secret<String>> {
        match self {
            Self::Md5(hash) => Some(hash.answer(salt)),
            Self::Password(password) | Self::Claimed(password) => {
                Some(Md5Hash::of_password(password, user).answer(salt))
            }
            Self::Nothing | Self::Keys(_) => None,
        }
    }
}
