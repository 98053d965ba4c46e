//! One AES-256-SIV key, scheduled once for each of a few stripes, so that threads seldom wait for each other.
//!
//! `aes_siv::siv::Aes256Siv` computes its MAC in place (`&mut self`) and cannot be cloned; keying it anew for each
//! value costs more than the value. Knows keys and bytes only.

use std::cell::Cell;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aes_siv::KeyInit as _;
use aes_siv::siv::Aes256Siv;

use super::SealFault;
use super::envelope::SIV_BYTES;
use crate::limits::SEAL_STRIPES_MAX;

thread_local! {
    /// The thread's own number, from which its stripe follows.
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The number given to the next thread that seals or opens.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

fn thread_number() -> usize {
    THREAD.with(|thread| {
        if thread.get() == usize::MAX {
            thread.set(NEXT_THREAD.fetch_add(1, Ordering::Relaxed) % SEAL_STRIPES_MAX);
        }
        thread.get()
    })
}

/// A key, ready on as many stripes as there are processors, up to [`SEAL_STRIPES_MAX`].
pub(super) struct StripedSiv {
    stripes: Vec<Mutex<Aes256Siv>>,
}

impl fmt::Debug for StripedSiv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StripedSiv")
    }
}

impl StripedSiv {
    /// Schedules the key (RFC 5297, section 2.2: the first half authenticates, the second encrypts).
    pub(super) fn new(key: &[u8; 64]) -> Self {
        let stripes = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(SEAL_STRIPES_MAX);
        Self {
            stripes: (0..stripes)
                .map(|_| Mutex::new(Aes256Siv::new(key.into())))
                .collect(),
        }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Aes256Siv) -> T) -> Result<T, SealFault> {
        let stripe = &self.stripes[thread_number() % self.stripes.len()];
        // A panic inside would leave a half-fed MAC behind: a wrong tag could be written. Never use it again.
        let mut siv = stripe.lock().map_err(|_| SealFault::Unusable)?;
        Ok(run(&mut siv))
    }

    /// Encrypts in place (section 2.6); gives the SIV.
    pub(super) fn encrypt(
        &self,
        associated: &[&[u8]],
        value: &mut [u8],
    ) -> Result<[u8; SIV_BYTES], SealFault> {
        self.with(|siv| siv.encrypt_inout_detached(associated, value.into()))?
            .map(Into::into)
            .map_err(|_| SealFault::Unusable)
    }

    /// Decrypts in place (section 2.7); when the SIV does not hold, the bytes are ciphertext again.
    pub(super) fn decrypt(
        &self,
        associated: &[&[u8]],
        siv: &[u8; SIV_BYTES],
        value: &mut [u8],
    ) -> Result<(), SealFault> {
        self.with(|cipher| cipher.decrypt_inout_detached(associated, value.into(), siv.into()))?
            .map_err(|_| SealFault::NotAuthentic)
    }
}
