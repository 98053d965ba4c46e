//! The bytes of a sealed value, format 1:
//!
//! ```text
//! 0xD5 0x56 'v' | 0x01 | domain id u32 | key version u16 | order term | nonce 16 | SIV 16 | ciphertext
//! ```
//!
//! Integers are big-endian. The order term is there with `order` only, which this version does not write yet; the
//! nonce only where neither `equal` nor `order` is. Knows the layout, no key and no value.

use super::SealFault;
use crate::ident::{DomainId, KeyVersion};

/// What every sealed value starts with: no UTF-8 text does.
const MAGIC: [u8; 3] = [0xD5, 0x56, b'v'];

/// The only format there is.
pub(super) const FORMAT: u8 = 1;

/// Bytes of magic, format, domain and key version.
pub(super) const HEADER_BYTES: usize = 10;

/// Bytes of the nonce, where there is one.
pub(super) const NONCE_BYTES: usize = 16;

/// Bytes of the synthetic initialisation vector (RFC 5297), which is the tag.
pub(super) const SIV_BYTES: usize = 16;

/// Bytes at the start of a comparable sealed value (without an order term) that decide equality alone.
pub const HEAD_BYTES: usize = HEADER_BYTES + SIV_BYTES;

/// The first eight bytes of every value sealed in a domain; each sealed column's CHECK asks for them.
pub fn prefix(domain: DomainId) -> [u8; 8] {
    let [a, b, c, d] = domain.0.to_be_bytes();
    let [m, n, o] = MAGIC;
    [m, n, o, FORMAT, a, b, c, d]
}

/// The bytes a canonical value of that length has when sealed.
pub fn sealed_bytes(canonical_bytes: usize, comparable: bool) -> usize {
    let nonce = if comparable { 0 } else { NONCE_BYTES };
    HEADER_BYTES + nonce + SIV_BYTES + canonical_bytes
}

/// What the head of a sealed value says in the clear. Not authenticated: anybody can write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// the domain it claims to be sealed in
    pub domain: DomainId,
    /// the key version it claims
    pub version: KeyVersion,
}

impl Header {
    /// Reads the head.
    ///
    /// # Errors
    /// [`SealFault::NotSealed`], [`SealFault::FormatUnknown`].
    pub fn parse(sealed: &[u8]) -> Result<Self, SealFault> {
        let Some((&[m, n, o, format, a, b, c, d, e, f], _)) =
            sealed.split_first_chunk::<HEADER_BYTES>()
        else {
            return Err(SealFault::NotSealed);
        };
        if [m, n, o] != MAGIC {
            return Err(SealFault::NotSealed);
        }
        if format != FORMAT {
            return Err(SealFault::FormatUnknown(format));
        }
        Ok(Self {
            domain: DomainId(u32::from_be_bytes([a, b, c, d])),
            version: KeyVersion(u16::from_be_bytes([e, f])),
        })
    }
}
