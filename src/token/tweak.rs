//! The tweak of FF1: everything besides the key that decides what a text becomes.
//!
//! Layout: `"pgveil token 1"`, format u8, length of the domain's name u32 big-endian, the name, two u32
//! big-endian of the format, what stays of the text. Frozen with the tokens.

use crate::ident::DomainName;

/// What all tweaks begin with.
const PURPOSE: &[u8] = b"pgveil token 1";

/// The part of a tweak that is the same for every text.
pub(super) struct Tweak(Vec<u8>);

impl Tweak {
    /// `format` tells the formats apart, `parameters` the settings of one format.
    pub(super) fn new(format: u8, domain: &DomainName, parameters: [u32; 2]) -> Self {
        let name = domain.as_str().as_bytes();
        let mut bytes = Vec::with_capacity(PURPOSE.len() + name.len() + 13);
        bytes.extend_from_slice(PURPOSE);
        bytes.push(format);
        // Names longer than u32::MAX bytes do not exist; were one to, it would only share its tweak's length field.
        bytes.extend_from_slice(&(name.len() as u32).to_be_bytes());
        bytes.extend_from_slice(name);
        for parameter in parameters {
            bytes.extend_from_slice(&parameter.to_be_bytes());
        }
        Self(bytes)
    }

    /// The tweak of one text.
    pub(super) fn with(&self, kept: &str) -> Vec<u8> {
        let mut tweak = Vec::with_capacity(self.0.len() + kept.len());
        tweak.extend_from_slice(&self.0);
        tweak.extend_from_slice(kept.as_bytes());
        tweak
    }
}
