//! AES-256-SIV (RFC 5297) with its two key schedules kept: no lock, no copy of a schedule, nothing keyed anew.
//!
//! The crate `aes-siv` computes its MAC in place (`&mut self`) and keys its cipher at every call, which costs more
//! than a short value. Here the same authors' AES stands behind shared references; what S2V is fed with can be
//! carried from one value to the next, so that associated data that never changes is authenticated once; and a value
//! takes each key up once, for taking it up (15 round keys into wide registers) costs more than a block. A property
//! test holds every output against `aes-siv`. Knows keys and bytes only.
//!
//! # Why it is safe
//!
//! It is RFC 5297 and NIST SP 800-38B to the letter: section numbers stand at the steps. CMAC's and S2V's
//! intermediate blocks are as secret as the key; they have no `Debug` and do not leave `seal`.

use std::fmt;

use aes::Aes256Enc;
use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned as _;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt as _, BlockSizeUser,
    KeyInit as _, ParBlocks,
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::SealFault;
use super::envelope::SIV_BYTES;

/// An AES block.
type Block = [u8; 16];

/// Bytes of a value whose blocks are encrypted one by one: making ready for many at once costs more than these.
const SHORT_BYTES: usize = 256;

/// A key, scheduled once; threads share it.
pub(super) struct Siv {
    /// K1, which authenticates
    authenticating: Aes256Enc,
    /// what CMAC adds to a last block that is whole, and to one that is padded
    subkeys: [Block; 2],
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

/// The round keys overwrite themselves; whoever has the subkeys can forge.
impl Drop for Siv {
    fn drop(&mut self) {
        self.subkeys.zeroize();
        self.zero.zeroize();
        self.empty.zeroize();
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

/// All that is authenticated before the value, in order.
#[derive(Clone, Copy)]
pub(super) struct Associated<'a> {
    /// the strings before those of this value
    pub before: S2v,
    /// the strings of this value alone
    pub strings: &'a [&'a [u8]],
    /// one more that every value has
    pub after: Option<StringMac>,
}

impl Siv {
    /// Schedules the key (section 2.2: the first half authenticates, the second encrypts).
    pub(super) fn new(key: &[u8; 64]) -> Self {
        let (first, second) = key.split_at(32);
        let schedule = |half: &[u8]| {
            Aes256Enc::new_from_slice(half).expect("half of 64 bytes is a key of AES-256")
        };
        let authenticating = schedule(first);
        let mut block = Array([0; 16]);
        authenticating.encrypt_block(&mut block);
        // SP 800-38B, 6.1
        let whole = double(block.0);
        let mut siv = Self {
            authenticating,
            subkeys: [whole, double(whole)],
            encrypting: schedule(second),
            zero: [0; 16],
            empty: [0; 16],
        };
        siv.zero = siv.string(&[0; 16]).0;
        siv.empty = siv.string(&[]).0;
        siv
    }

    /// S2V before its first string.
    pub(super) fn start(&self) -> S2v {
        S2v(self.zero)
    }

    /// Authenticates one string of associated data.
    pub(super) fn string(&self, string: &[u8]) -> StringMac {
        let mut mac = [0; 16];
        self.authenticating.encrypt_with_backend(OneString {
            siv: self,
            string,
            mac: &mut mac,
        });
        StringMac(mac)
    }

    /// Encrypts in place (section 2.6); gives the SIV.
    pub(super) fn encrypt(&self, associated: Associated<'_>, value: &mut [u8]) -> [u8; SIV_BYTES] {
        let siv = self.tag(associated, value);
        self.apply_keystream(siv, value);
        siv
    }

    /// Decrypts in place (section 2.7); when the SIV does not hold, the bytes are ciphertext again.
    pub(super) fn decrypt(
        &self,
        associated: Associated<'_>,
        siv: &[u8; SIV_BYTES],
        value: &mut [u8],
    ) -> Result<(), SealFault> {
        self.apply_keystream(*siv, value);
        let tag = u128::from_be_bytes(self.tag(associated, value));
        if bool::from(tag.ct_eq(&u128::from_be_bytes(*siv))) {
            return Ok(());
        }
        self.apply_keystream(*siv, value);
        Err(SealFault::NotAuthentic)
    }

    fn tag(&self, associated: Associated<'_>, value: &[u8]) -> Block {
        let mut tag = [0; 16];
        self.authenticating.encrypt_with_backend(Tag {
            siv: self,
            associated,
            value,
            tag: &mut tag,
        });
        tag
    }

    /// CTR from the SIV with the top bit of its last two words cleared (section 2.5).
    fn apply_keystream(&self, mut siv: Block, value: &mut [u8]) {
        siv[8] &= 0x7f;
        siv[12] &= 0x7f;
        let counter = u128::from_be_bytes(siv);
        let key = &self.encrypting;
        if value.len() <= SHORT_BYTES {
            key.encrypt_with_backend(Keystream::<false> { counter, value });
        } else {
            key.encrypt_with_backend(Keystream::<true> { counter, value });
        }
    }
}

/// The CMAC of one string.
struct OneString<'a> {
    siv: &'a Siv,
    string: &'a [u8],
    mac: &'a mut Block,
}

impl BlockSizeUser for OneString<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for OneString<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        *self.mac = cmac(backend, &self.siv.subkeys, &[self.string]);
    }
}

/// S2V of all associated data and the value (section 2.4).
struct Tag<'a> {
    siv: &'a Siv,
    associated: Associated<'a>,
    value: &'a [u8],
    tag: &'a mut Block,
}

impl BlockSizeUser for Tag<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Tag<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mac = |pieces: &[&[u8]]| cmac(backend, &self.siv.subkeys, pieces);
        let Associated {
            before,
            strings,
            after,
        } = self.associated;
        let each = strings.iter().map(|string| match string {
            [] => StringMac(self.siv.empty),
            bytes => StringMac(mac(&[bytes])),
        });
        let S2v(before) = each.chain(after).fold(before, S2v::then);
        // The value is the last string: `CMAC(value xorend D)`, or `CMAC(dbl(D) xor pad(value))` of a short one.
        *self.tag = match self.value.split_last_chunk::<16>() {
            Some((front, end)) => mac(&[front, &xor(*end, before)]),
            None => mac(&[&xor(double(before), padded(self.value))]),
        };
    }
}

/// CTR over the value (NIST SP 800-38A, 6.5), the whole block being the counter: `MANY` blocks at once, or one by one.
struct Keystream<'a, const MANY: bool> {
    counter: u128,
    value: &'a mut [u8],
}

impl<const MANY: bool> BlockSizeUser for Keystream<'_, MANY> {
    type BlockSize = U16;
}

impl<const MANY: bool> BlockCipherEncClosure for Keystream<'_, MANY> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let mut next = || {
            let block = Array(self.counter.to_be_bytes());
            self.counter = self.counter.wrapping_add(1);
            block
        };
        if MANY {
            for bytes in self.value.chunks_mut(16 * B::ParBlocksSize::USIZE) {
                let mut blocks = ParBlocks::<B>::from_fn(|_| next());
                backend.encrypt_par_blocks_inplace(&mut blocks);
                let pieces = bytes.chunks_mut(16).zip(&blocks);
                pieces.for_each(|(piece, block)| add(piece, block.0));
            }
        } else {
            for piece in self.value.chunks_mut(16) {
                let mut block = next();
                backend.encrypt_block_inplace(&mut block);
                add(piece, block.0);
            }
        }
    }
}

/// Adds a block of the key stream to at most as many bytes.
#[inline(always)]
fn add(piece: &mut [u8], stream: Block) {
    match <&mut Block>::try_from(&mut *piece) {
        Ok(whole) => *whole = xor(*whole, stream),
        Err(_) => piece
            .iter_mut()
            .zip(stream)
            .for_each(|(byte, s)| *byte ^= s),
    }
}

/// AES-CMAC (SP 800-38B, 6.2) of the pieces, one behind the other.
#[inline(always)]
fn cmac<B>(backend: &B, [whole, partial]: &[Block; 2], pieces: &[&[u8]]) -> Block
where
    B: BlockCipherEncBackend<BlockSize = U16>,
{
    let encrypt = |block: Block| {
        let mut block = Array(block);
        backend.encrypt_block_inplace(&mut block);
        block.0
    };
    // The last block is held back: it alone meets a subkey.
    let (mut state, mut held, mut length) = ([0; 16], [0; 16], 0);
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            if length == 16 {
                state = encrypt(xor(state, held));
                length = 0;
            }
            let (now, later) = piece.split_at(piece.len().min(16 - length));
            held[length..length + now.len()].copy_from_slice(now);
            length += now.len();
            piece = later;
        }
    }
    let last = match length {
        16 => xor(held, *whole),
        _ => xor(padded(&held[..length]), *partial),
    };
    encrypt(xor(state, last))
}

/// Fewer than 16 bytes, a one bit, and zeros.
fn padded(bytes: &[u8]) -> Block {
    let mut block = [0; 16];
    block[..bytes.len()].copy_from_slice(bytes);
    block[bytes.len()] = 0x80;
    block
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
