//! `hash`: a keyed hash of the value, always the same for the same value of one key domain.
//!
//! On texts it is 32 hexadecimal digits (128 bits); a `varchar(n)` shorter than that keeps n of them, and
//! must hold 16. On bytea it is 32 bytes, on uuid a UUID of version 8 (RFC 9562, section 5.8). It has no SQL form: a
//! key in a statement would show in EXPLAIN and in the server's log.
//!
//! What is left: which values are equal, and how often each occurs. Nobody without the key can try values.

use super::keyed::MaskKey;
use super::{MaskFault, text_of_at_least};
use crate::types::LogicalType;

/// Hexadecimal digits that a `varchar(n)` must hold: 64 bits tell some hundred million values apart.
const DIGITS_MIN: u32 = 16;

/// Bytes of a hash that text shows.
const TEXT_BYTES: usize = 16;

/// What the key is used for.
const USE: &str = "hash";

/// The hash of a text, in hexadecimal digits.
pub(super) fn of_text(key: &MaskKey, text: &str) -> String {
    let hash = key.draws(USE, text.as_bytes()).block();
    hex::encode(&hash[..TEXT_BYTES])
}

/// The hash of a uuid or bytea.
pub(super) fn apply(
    key: &MaskKey,
    ty: LogicalType,
    canonical: &[u8],
) -> Result<Vec<u8>, MaskFault> {
    let hash = key.draws(USE, canonical).block();
    match ty {
        LogicalType::Bytea => Ok(hash.to_vec()),
        LogicalType::Uuid => {
            let mut id = hash[..16].to_vec();
            id[6] = 0x80 | (id[6] & 0x0f);
            id[8] = 0x80 | (id[8] & 0x3f);
            Ok(id)
        }
        _ => Err(MaskFault::Misfit),
    }
}

pub(super) fn fits(ty: LogicalType) -> Result<(), String> {
    match ty {
        LogicalType::Uuid | LogicalType::Bytea => Ok(()),
        _ => text_of_at_least(DIGITS_MIN, "hash", ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash once shown stays: exports and reports are joined by it.
    #[test]
    fn golden_hashes() {
        let key = MaskKey::new(&std::array::from_fn(|i| i as u8));
        assert_eq!(
            of_text(&key, "anna@example.com"),
            "85605a9689719b21af604cf7c02d3a13"
        );
        let id = apply(&key, LogicalType::Uuid, &[7; 16]).expect("a hash");
        assert_eq!(hex::encode(&id), "1b78001eb7af87e3aaf4a08b9d650abc");
        assert_eq!((id[6] >> 4, id[8] >> 6), (8, 2));
        let bytes = apply(&key, LogicalType::Bytea, b"").expect("a hash");
        assert_eq!(
            hex::encode(bytes),
            "8aeb12903037909e056bfa02b86ed40c8c6ef8ea6a6dc00e501eccd6959ff0c6"
        );
    }
}
