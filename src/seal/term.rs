//! The equality term: a keyed mark of a value's normal form, equal where PostgreSQL calls the values equal.
//!
//! ```text
//! term = first 16 bytes of HMAC-SHA-256[k](domain u32 | key version u16 | type class u8 | attribute | normal form)
//! ```
//!
//! `k` is a subkey of the domain's key version for this use alone; `attribute` is `01 | id u32` in a domain of one
//! attribute, `00 | 00000000` in a shared one. All before the normal form has a fixed length, so no two bindings give
//! the same input. What the term shows is equality; two different values share one with a chance of 2^-128 each pair.
//! Knows keys and bytes only.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Binding;
use super::envelope::TERM_BYTES;
use crate::ident::{DomainId, KeyVersion};

/// A key that has been fed what its terms are bound to.
pub(super) struct TermKey(Hmac<Sha256>);

impl fmt::Debug for TermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TermKey")
    }
}

impl TermKey {
    /// Schedules the key for one domain, version and binding.
    pub(super) fn new(
        key: &[u8; 32],
        domain: DomainId,
        version: KeyVersion,
        binding: &Binding,
    ) -> Self {
        let (bound, attribute) = match binding.attribute {
            Some(attribute) => (1, attribute.0),
            None => (0, 0),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(&domain.0.to_be_bytes());
        mac.update(&version.0.to_be_bytes());
        mac.update(&[binding.class as u8, bound]);
        mac.update(&attribute.to_be_bytes());
        Self(mac)
    }

    /// The term of a normal form.
    pub(super) fn term(&self, normal: &[u8]) -> [u8; TERM_BYTES] {
        let mut mac = self.0.clone();
        mac.update(normal);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        std::array::from_fn(|index| whole[index])
    }
}
