//! The md5 method, for logins whose stored verifier is md5: PostgreSQL's old form, `md5` and md5(password, user).
//!
//! *What it is worth.* Who holds the hash can log in with it, and guess the password quickly: PostgreSQL calls the
//! method deprecated, and it is served only where the server itself has nothing better. Source: PostgreSQL manual,
//! "Password Authentication"; `md5_crypt_verify`.

use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::ident::UserName;
use crate::secret::Secret;

/// Bytes of the salt of a challenge.
pub const SALT_BYTES: usize = 4;

/// An md5 hash of a password and its user, in hexadecimal: as good as the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Md5Hash(Secret<String>);

impl Md5Hash {
    /// Reads the stored form; None for anything else.
    pub fn parse(stored: &str) -> Option<Self> {
        let hash = stored.strip_prefix("md5").filter(|hash| hash.len() == 32)?;
        hash.bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            .then(|| Self(Secret::new(hash.to_owned())))
    }

    /// Of a password and its user.
    pub fn of_password(password: &Secret<String>, user: &UserName) -> Self {
        let parts = [password.expose().as_bytes(), user.as_str().as_bytes()];
        Self(Secret::new(hash(&parts)))
    }

    /// What answers a challenge with that salt.
    pub fn answer(&self, salt: [u8; SALT_BYTES]) -> Secret<String> {
        let mut hashed = hash(&[self.0.expose().as_bytes(), &salt]);
        let answer = Secret::new(format!("md5{hashed}"));
        hashed.zeroize();
        answer
    }

    /// Whether that answers the challenge, in a time that does not depend on where it differs.
    pub fn is_answered(&self, salt: [u8; SALT_BYTES], answer: &[u8]) -> bool {
        bool::from(self.answer(salt).expose().as_bytes().ct_eq(answer))
    }
}

fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Md5::new();
    for part in parts {
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_postgresqls() {
        // SELECT 'md5' || md5('pencil' || 'anna')
        let stored = format!("md5{}", hash(&[b"pencilanna"]));
        let read = Md5Hash::parse(&stored).unwrap();
        let password = Secret::new("pencil".to_owned());
        assert_eq!(
            read,
            Md5Hash::of_password(&password, &UserName::new("anna"))
        );
        assert_ne!(
            read,
            Md5Hash::of_password(&password, &UserName::new("bert"))
        );
        for none in [
            "md5",
            "",
            "pencil",
            &stored.to_uppercase(),
            &stored[..34],
            &format!("{stored}0"),
        ] {
            assert_eq!(Md5Hash::parse(none), None, "{none}");
        }
        assert!(!format!("{read:?}").contains(&stored[3..]));
    }

    #[test]
    fn an_answer_holds_for_its_salt_only() {
        let hash = Md5Hash::of_password(&Secret::new("pencil".to_owned()), &UserName::new("anna"));
        let answer = hash.answer([1, 2, 3, 4]);
        assert!(hash.is_answered([1, 2, 3, 4], answer.expose().as_bytes()));
        assert!(!hash.is_answered([1, 2, 3, 5], answer.expose().as_bytes()));
        assert!(!hash.is_answered([1, 2, 3, 4], b""));
        assert_eq!(answer.expose().len(), 35);
    }

    #[test]
    fn rfc_1321() {
        assert_eq!(
            hash(&[b"message ", b"digest"]),
            "f96b697d7cb7938d525a2f31aaf161d0"
        );
    }
}
