//! AES-256-SIV (RFC 5297) with its two key schedules kept: no lock, no copy of a schedule, nothing keyed anew.
//!
//! The crate `aes-siv` computes its MAC in place (`&mut self`) and keys its cipher at every call, which costs more
//! than a short value. Here the same authors' AES, CMAC and CTR stand behind shared references, and what S2V is fed
//! with can be carried from one value to the next: associated data that never changes is authenticated once. A
//! property test holds every output against `aes-siv`. Knows keys and bytes only.
//!
//! # Why it is safe
//!
//! It is RFC 5297 to the letter: section numbers stand at the steps. CMAC's and S2V's intermediate blocks are as
//! secret as the key; they have no `Debug` and do not leave `seal`.

use std::fmt;

use aes::Aes256Enc;
use aes::cipher::{Array, InnerIvInit as _, StreamCipherCore as _};
use cmac::digest::common::InnerInit as _;
use cmac::{Cmac, KeyInit as _, Mac as _};
use ctr::{CtrCore, flavors};
use subtle::ConstantTimeEq as _;

use super::SealFault;
use super::envelope::SIV_BYTES;

/// An AES block.
type Block = [u8; 16];

/// A key, scheduled once; threads share it.
pub(super) struct Siv {
    /// K1, which authenticates
    authenticating: Aes256Enc,
    /// K2, which encrypts
    encrypting: Aes256Enc,
    /// CMAC of a block of zeros, which S2V starts from
    zero: Block,
    /// CMAC of no bytes
    empty: Block,
}

impl fmt::Debug for Siv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Siv")
    }
}

/// S2V after some of its strings (D of section 2.4).
#[derive(Clone, Copy)]
pub(super) struct S2v(Block);

/// The CMAC of one string of associated data.
#[derive(Clone, Copy)]
pub(super) struct StringMac(Block);

impl fmt::Debug for S2v {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S2v")
    }
}

impl fmt::Debug for StringMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StringMac")
    }
}

impl S2v {
    /// `D = dbl(D) xor CMAC(string)`.
    #[must_use]
    pub(super) fn then(self, string: StringMac) -> Self {
        Self(xor(double(self.0), string.0))
    }
}

impl Siv {
    /// Schedules the key (section 2.2: the first half authenticates, the second encrypts).
    pub(super) fn new(key: &[u8; 64]) -> Self {
        let (first, second) = key.split_at(32);
        let schedule = |half: &[u8]| {
            Aes256Enc::new_from_slice(half).expect("half of 64 bytes is a key of AES-256")
        };
        let authenticating = schedule(first);
        let zero = cmac(&authenticating, &[[0; 16].as_slice()]);
        let empty = cmac(&authenticating, &[]);
        Self {
            encrypting: schedule(second),
            authenticating,
            zero,
            empty,
        }
    }

    /// S2V before its first string.
    pub(super) fn start(&self) -> S2v {
        S2v(self.zero)
    }

    /// Authenticates one string of associated data.
    pub(super) fn string(&self, string: &[u8]) -> StringMac {
        StringMac(match string {
            [] => self.empty,
            bytes => cmac(&self.authenticating, &[bytes]),
        })
    }

    /// Encrypts in place (section 2.6); gives the SIV.
    pub(super) fn encrypt(&self, associated: S2v, value: &mut [u8]) -> [u8; SIV_BYTES] {
        let siv = self.last(associated, value);
        self.apply_keystream(siv, value);
        siv
    }

    /// Decrypts in place (section 2.7); when the SIV does not hold, the bytes are ciphertext again.
    pub(super) fn decrypt(
        &self,
        associated: S2v,
        siv: &[u8; SIV_BYTES],
        value: &mut [u8],
    ) -> Result<(), SealFault> {
        self.apply_keystream(*siv, value);
        if bool::from(self.last(associated, value).ct_eq(siv)) {
            return Ok(());
        }
        self.apply_keystream(*siv, value);
        Err(SealFault::NotAuthentic)
    }

    /// S2V's last string, the value: `CMAC(value xorend D)`, or `CMAC(dbl(D) xor pad(value))` of a short one.
    fn last(&self, S2v(before): S2v, value: &[u8]) -> Block {
        match value.split_last_chunk::<16>() {
            Some((front, end)) => cmac(&self.authenticating, &[front, &xor(*end, before)]),
            None => {
                let mut padded = [0; 16];
                padded[..value.len()].copy_from_slice(value);
                padded[value.len()] = 0x80;
                cmac(&self.authenticating, &[&xor(double(before), padded)])
            }
        }
    }

    /// CTR from the SIV with the top bit of its last two words cleared (section 2.5).
    fn apply_keystream(&self, mut siv: Block, value: &mut [u8]) {
        siv[8] &= 0x7f;
        siv[12] &= 0x7f;
        CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(&self.encrypting, &Array(siv))
            .apply_keystream_partial(value.into());
    }
}

/// AES-CMAC (NIST SP 800-38B) of the pieces, one behind the other.
fn cmac(key: &Aes256Enc, pieces: &[&[u8]]) -> Block {
    let mut mac = Cmac::inner_init(key);
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

/// Multiplication by x in GF(2^128) (section 2.3), in constant time.
fn double(block: Block) -> Block {
    let number = u128::from_be_bytes(block);
    let carry = (number >> 127) * 0x87;
    ((number << 1) ^ carry).to_be_bytes()
}

fn xor(left: Block, right: Block) -> Block {
    (u128::from_be_bytes(left) ^ u128::from_be_bytes(right)).to_be_bytes()
}
