//! The auth_file: logins and their secrets, in pgbouncer's form, so that one file serves both.
//!
//! ```text
//! ; a comment
//! "anna"    "her password"
//! "bert"    "SCRAM-SHA-256$4096:…$…:…"
//! "old_app" "md5…"
//! ```
//!
//! What stands after the second string of a line is ignored; `""` is a quote. Knows nothing of connections. No fault
//! holds anything of the file but a line's number.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::config::read_private_file;
use crate::document::Fault;
use crate::ident::UserName;
use crate::limits::{AUTH_FILE_BYTES_MAX, AUTH_FILE_LOGINS_MAX, NAME_BYTES_MAX};
use crate::secret::Secret;
use crate::session::login::Challenge;
use crate::upstream::credential::Credential;
use crate::wire::md5::Md5Hash;
use crate::wire::scram::Verifier;

/// The logins of an auth_file.
#[derive(Default)]
pub struct AuthFile(BTreeMap<UserName, Entry>);

/// What the file has of a login.
enum Entry {
    /// its password, and the verifier that a client's proof is checked by
    Password(Secret<String>, Verifier),
    /// a verifier: the client's own proof logs it in, to a server with the same one
    Verifier(Verifier),
    /// an md5 hash
    Md5(Md5Hash),
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthFile({} logins)", self.0.len())
    }
}

impl AuthFile {
    /// Reads the file, which must be closed to others. `key` is what decoys are derived from, and the salts of
    /// plain passwords. Takes milliseconds for each of those: not for a thread that serves.
    ///
    /// # Errors
    /// A fault that names the file and the line.
    pub fn read(path: &Path, key: &Secret<[u8; 32]>) -> Result<Self, Fault> {
        let text = read_private_file(path, AUTH_FILE_BYTES_MAX)?;
        Self::parse(text.expose(), key).map_err(|(line, message)| {
            let mut fault = Fault::of_file(&path.display().to_string(), message);
            fault.line = line;
            fault.column = 1;
            fault
        })
    }

    fn parse(text: &str, key: &Secret<[u8; 32]>) -> Result<Self, (u32, &'static str)> {
        let mut logins = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let fault = |message| (number, message);
            let line = line.trim_start();
            if line.is_empty() || line.starts_with(';') {
                continue;
            }
            let two = quoted(line).and_then(|(user, rest)| {
                let (secret, _) = quoted(rest.trim_start())?;
                Some((user, Secret::new(secret)))
            });
            let (user, secret) = two.ok_or(fault("expected `\"user\" \"secret\"`"))?;
            if user.is_empty() || user.len() > NAME_BYTES_MAX {
                return Err(fault("this is no name of a login"));
            }
            let user = UserName::new(user);
            let entry = Entry::new(&user, secret, key).ok_or(fault("the secret is empty"))?;
            if logins.insert(user, entry).is_some() {
                return Err(fault("the login stands in the file twice"));
            }
            if logins.len() > AUTH_FILE_LOGINS_MAX {
                return Err(fault("more logins than an auth_file may have"));
            }
        }
        Ok(Self(logins))
    }

    /// What a login is asked, and what logs it in where its own answer does not; None for an unknown one.
    pub fn challenge(&self, user: &UserName) -> Option<(Challenge, Option<Credential>)> {
        Some(match self.0.get(user)? {
            Entry::Password(password, verifier) => (
                Challenge::Scram(verifier.clone()),
                Some(Credential::Password(password.clone())),
            ),
            Entry::Verifier(verifier) => (Challenge::Scram(verifier.clone()), None),
            Entry::Md5(hash) => (Challenge::Md5(hash.clone()), None),
        })
    }

    /// What logs a user in that was asked for no password; None where the file has nothing that can.
    pub fn credential(&self, user: &UserName) -> Option<Credential> {
        match self.0.get(user)? {
            Entry::Password(password, _) => Some(Credential::Password(password.clone())),
            Entry::Md5(hash) => Some(Credential::Md5(hash.clone())),
            Entry::Verifier(_) => None,
        }
    }
}

impl Entry {
    /// By the form of the secret; None for an empty one, which no login has.
    fn new(user: &UserName, secret: Secret<String>, key: &Secret<[u8; 32]>) -> Option<Self> {
        if secret.expose().is_empty() {
            return None;
        }
        if let Ok(verifier) = Verifier::parse(secret.expose()) {
            return Some(Self::Verifier(verifier));
        }
        if let Some(hash) = Md5Hash::parse(secret.expose()) {
            return Some(Self::Md5(hash));
        }
        let verifier = Verifier::of_name_and_password(key, user, &secret);
        Some(Self::Password(secret, verifier))
    }
}

/// The string in double quotes that a text begins with, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut found = String::with_capacity(rest.len()); // it never grows: no copy of a secret is left behind
    loop {
        let end = rest.find('"')?;
        found.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                found.push('"');
                rest = after;
            }
            None => return Some((found, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuthFile, (u32, &'static str)> {
        AuthFile::parse(text, &Secret::new([1; 32]))
    }

    #[test]
    fn the_form_is_pgbouncers() {
        let verifier = Verifier::of_password(&Secret::new("pencil".to_owned()), b"salt", 1);
        let text = format!(
            "; users\n\n\"anna\" \"pencil \"\"2\"\"\"\n  \"bert\"   \"{}\" \"\" \"more\"\n\
             \"old app\" \"md5a3556571e93b0d20722ba62be61e8c2d\"\n",
            verifier.to_stored().expose()
        );
        let file = parse(&text).unwrap();
        let of = |name: &str| file.challenge(&UserName::new(name));
        match of("anna") {
            Some((Challenge::Scram(_), Some(Credential::Password(password)))) => {
                assert_eq!(password.expose(), "pencil \"2\"");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(of("bert"), Some((Challenge::Scram(_), None))));
        assert!(matches!(of("old app"), Some((Challenge::Md5(_), None))));
        assert!(of("nobody").is_none());
        let logs_in = |name: &str| file.credential(&UserName::new(name)).is_some();
        assert!(logs_in("anna") && logs_in("old app"));
        assert!(!logs_in("bert"), "a verifier alone logs nobody in");
        assert_eq!(format!("{file:?}"), "AuthFile(3 logins)");
    }

    #[test]
    fn faults_name_the_line_and_nothing_else() {
        let form = "expected `\"user\" \"secret\"`";
        for (text, line, message) in [
            ("anna pencil", 1, form),
            ("\n\"anna\"", 2, form),
            ("\"anna\" \"pencil", 1, form),
            ("\"anna\" pencil", 1, form),
            ("\"\" \"pencil\"", 1, "this is no name of a login"),
            ("\"anna\" \"\"", 1, "the secret is empty"),
            (
                "\"a\" \"b\"\n\"a\" \"c\"",
                2,
                "the login stands in the file twice",
            ),
        ] {
            assert_eq!(parse(text).err(), Some((line, message)), "{text}");
        }
        assert!(parse(&format!("\"{}\" \"x\"", "a".repeat(64))).is_err());
    }
}
