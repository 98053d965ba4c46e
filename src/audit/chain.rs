//! The chain: each record is under a key that is gone once the next one is written.
//!
//! Knows keys and bytes. Knows nothing of what a record says.
//!
//! # Why it is safe
//!
//! ```text
//! w₀     = HMAC[audit key](‘run’ ‖ run id)            a run is one start of one instance
//! start  = HMAC[wᵢ](‘start’)    wᵢ₊₁ = HMAC[wᵢ](‘next’)   a pair for each file of the run
//! k₀     = start                kₙ₊₁ = HMAC[kₙ](‘next’)
//! hashₙ  = HMAC[kₙ](line up to ‘,"hash":’)
//! ```
//!
//! Old keys are erased (HMAC-SHA-256 is one way), so that who takes the process over at record n cannot change a
//! record before n unnoticed (Bellare and Yee, *Forward integrity for secure audit logs*, 1997). The owner of the
//! keyring recomputes everything from the run id, which stands in the first record of each file. Who has keyring
//! **and** passphrase can forge all: keep anchors where that person does not write.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::limits::{AUDIT_FILE_RECORDS_MAX, AUDIT_RUN_FILES_MAX};
use crate::secret::Secret;

/// Bytes of a key, a hash, a code.
pub(super) const HASH_BYTES: usize = 32;

fn hmac(key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut hmac =
        Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)");
    hmac.update(bytes);
    hmac
}

fn code(key: &[u8; 32], bytes: &[u8]) -> [u8; HASH_BYTES] {
    hmac(key, bytes).finalize().into_bytes().into()
}

/// The keys of one run: a pair for each file.
#[derive(Debug, Clone)]
pub(super) struct RunKeys {
    key: Secret<[u8; 32]>,
    part: u64,
}

impl RunKeys {
    /// The keys of a run, from the keyring's audit key.
    pub(super) fn new(audit_key: &Secret<[u8; 32]>, run: &[u8; 16]) -> Self {
        let mut label = b"run".to_vec();
        label.extend_from_slice(run);
        Self {
            key: Secret::new(code(audit_key.expose(), &label)),
            part: 0,
        }
    }

    /// The number of the run's next file, from 0.
    pub(super) fn part(&self) -> u64 {
        self.part
    }

    /// The chain of the next file; its key is gone from here afterwards.
    pub(super) fn next_file(&mut self) -> Chain {
        let start = code(self.key.expose(), b"start");
        self.key = Secret::new(code(self.key.expose(), b"next"));
        self.part += 1;
        Chain {
            key: Secret::new(start),
            position: 0,
        }
    }

    /// The chain of a file by its number in the run; None beyond [`AUDIT_RUN_FILES_MAX`].
    pub(super) fn file(mut self, part: u64) -> Option<Chain> {
        if part > AUDIT_RUN_FILES_MAX {
            return None;
        }
        loop {
            let at = self.part;
            let chain = self.next_file();
            if at == part {
                return Some(chain);
            }
        }
    }
}

/// Where the chain of a file stands.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    key: Secret<[u8; 32]>,
    position: u64,
}

impl Chain {
    /// Records of the file so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The hash of the next record; the chain moves on.
    pub(super) fn next(&mut self, line: &[u8]) -> [u8; HASH_BYTES] {
        let hash = code(self.key.expose(), line);
        self.advance();
        hash
    }

    /// Whether that is the next record's hash, in constant time; the chain moves on only if so.
    pub(super) fn holds(&mut self, line: &[u8], hash: &[u8; HASH_BYTES]) -> bool {
        let holds = hmac(self.key.expose(), line).verify_slice(hash).is_ok();
        if holds {
            self.advance();
        }
        holds
    }

    fn advance(&mut self) {
        self.key = Secret::new(code(self.key.expose(), b"next"));
        self.position += 1;
    }

    /// Moves on to a position that an anchor names; None backwards or beyond [`AUDIT_FILE_RECORDS_MAX`].
    pub(super) fn at(mut self, position: u64) -> Option<Self> {
        if position < self.position || position > AUDIT_FILE_RECORDS_MAX {
            return None;
        }
        while self.position < position {
            self.advance();
        }
        Some(self)
    }

    /// Signs an anchor at this position. The key is the position's own: later keys do not give it.
    pub(super) fn sign_anchor(&self, line: &[u8]) -> [u8; HASH_BYTES] {
        code(&code(self.key.expose(), b"anchor"), line)
    }

    /// Whether an anchor was signed at this position.
    pub(super) fn signed_anchor(&self, line: &[u8], signature: &[u8; HASH_BYTES]) -> bool {
        hmac(&code(self.key.expose(), b"anchor"), line)
            .verify_slice(signature)
            .is_ok()
    }
}
