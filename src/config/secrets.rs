//! Passwords and passphrases, read when they are needed, from files that only their owner can read.
//!
//! Never in the configuration itself, never in a fault.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Login, Unlock};
use crate::document::Fault;
use crate::limits::SECRET_BYTES_MAX;
use crate::secret::Secret;

impl Login {
    /// Its password; None when the configuration names no file.
    ///
    /// # Errors
    /// A fault that names the file: it cannot be read, others can read it, or it is empty, too long or no text.
    pub fn password(&self) -> Result<Option<Secret<String>>, Fault> {
        self.password_file
            .as_deref()
            .map(read_secret_file)
            .transpose()
    }
}

impl Unlock {
    /// The keyring's passphrase.
    ///
    /// # Errors
    /// A fault that names the file or the variable, as for [`Login::password`].
    pub fn passphrase(&self) -> Result<Secret<String>, Fault> {
        match self {
            Self::PassphraseFile(file) => read_secret_file(file),
            Self::PassphraseEnv(name) => match std::env::var(name) {
                Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
                _ => Err(Fault::of_file(
                    &format!("${name}"),
                    "holds no passphrase, or one that is no text",
                )),
            },
        }
    }
}

/// Reads a text from a file that must be closed to others, as PostgreSQL wants of a private key: 0600, or 0640 where
/// root owns it.
///
/// # Errors
/// A fault that names the file and holds nothing of what is in it.
pub fn read_private_file(path: &Path, bytes_max: usize) -> Result<Secret<String>, Fault> {
    let fault = |message: String| Fault::of_file(&path.display().to_string(), message);
    let unreadable = |error: std::io::Error| fault(format!("cannot be read: {}", error.kind()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(
            fault(format!("others can read it (its mode is {mode:03o})"))
                .with_help(format!("chmod 600 {}", path.display())),
        );
    }
    // Room for all of it at once: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0u8; bytes_max + 1]);
    let length = fill(file, &mut bytes).map_err(unreadable)?;
    if length > bytes_max {
        return Err(fault(format!("longer than {bytes_max} bytes")));
    }
    match std::str::from_utf8(bytes.get(..length).unwrap_or_default()) {
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(fault("is no UTF-8 text".to_owned())),
    }
}

/// Reads a secret from a file; one line end after it is not part of it.
///
/// # Errors
/// As [`read_private_file`], and for a file that is empty.
pub fn read_secret_file(path: &Path) -> Result<Secret<String>, Fault> {
    let text = read_private_file(path, SECRET_BYTES_MAX)?;
    let secret = text.expose().as_str();
    let secret = secret.strip_suffix('\n').unwrap_or(secret);
    match secret.strip_suffix('\r').unwrap_or(secret) {
        "" => Err(Fault::of_file(&path.display().to_string(), "is empty")),
        secret => Ok(Secret::new(secret.to_owned())),
    }
}

fn fill(mut file: impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest)? {
            0 => break,
            n => length += n,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(text: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_is_read_without_its_line_end() {
        for text in ["hunter2 ", "hunter2 \n", "hunter2 \r\n"] {
            let file = written(text.as_bytes(), 0o600);
            assert_eq!(read_secret_file(file.path()).unwrap().expose(), "hunter2 ");
        }
    }

    #[test]
    fn what_others_can_read_is_refused_and_nothing_is_told() {
        for (text, mode, expected) in [
            (
                &b"hunter2"[..],
                0o644,
                "others can read it (its mode is 644)",
            ),
            (b"hunter2", 0o604, "others can read it (its mode is 604)"),
            (b"hunter2", 0o620, "others can read it (its mode is 620)"),
            (b"\n", 0o600, "is empty"),
            (b"hunter2\xff", 0o600, "is no UTF-8 text"),
            (
                &[b'x'; SECRET_BYTES_MAX + 1],
                0o600,
                "longer than 4096 bytes",
            ),
        ] {
            let file = written(text, mode);
            let fault = read_secret_file(file.path()).unwrap_err();
            assert_eq!(fault.message, expected);
            assert!(!fault.to_string().contains("hunter2"));
        }
        let gone = read_secret_file(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(gone.message, "cannot be read: entity not found");
    }
}
