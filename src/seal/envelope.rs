//! The bytes of a sealed value, format 1:
//!
//! ```text
//! 0xD5 0x56 'v' | 0x01 | domain id u32 | key version u16 | term | nonce 16 | SIV 16 | ciphertext
//! ```
//!
//! Integers are big-endian. Which of term and nonce are there follows from how the attribute is compared, and is
//! bound by the SIV:
//!
//! - not at all: a nonce;
//! - by equal bytes: neither;
//! - by an equality term (16 bytes, where PostgreSQL's equality is coarser than identity): both;
//! - by order: an order term of the type's length, no nonce. This version does not write it yet.
//!
//! Knows the layout, no key and no value.

use super::{Comparison, SealFault};
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

/// Bytes of the equality term, where there is one.
pub(super) const TERM_BYTES: usize = 16;

/// Bytes at the start of a sealed value that decide equality alone: with the term, or with the SIV of a value that
/// has neither term nor nonce.
pub const HEAD_BYTES: usize = HEADER_BYTES + TERM_BYTES;

/// Comparison has the same length of head, whatever decides it.
const _: () = assert!(TERM_BYTES == SIV_BYTES);

/// The first eight bytes of every value sealed in a domain; each sealed column's CHECK asks for them.
pub fn prefix(domain: DomainId) -> [u8; 8] {
    let [a, b, c, d] = domain.0.to_be_bytes();
    let [m, n, o] = MAGIC;
    [m, n, o, FORMAT, a, b, c, d]
}

/// The bytes a canonical value of that length has when sealed.
pub fn sealed_bytes(canonical_bytes: usize, comparison: Comparison) -> usize {
    let (term, nonce) = parts(comparison);
    HEADER_BYTES + term + nonce + SIV_BYTES + canonical_bytes
}

/// Bytes of the term and of the nonce.
pub(super) fn parts(comparison: Comparison) -> (usize, usize) {
    match comparison {
        Comparison::Never => (0, NONCE_BYTES),
        Comparison::Bytes => (0, 0),
        Comparison::Heads => (TERM_BYTES, NONCE_BYTES),
    }
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
