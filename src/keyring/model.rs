//! What a keyring's file says, format 1: JSON, every field under one HMAC.
//!
//! Knows how a [`Keyring`] becomes JSON and back, with every key wrapped. Knows nothing of the file system.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::kek::Kek;
use super::{
    DEK_BYTES, DomainKeys, DomainVersion, KdfParameters, Keyring, KeyringFault, Passphrase,
};
use crate::ident::{AttributeId, AttributeName, DomainId, DomainName, KeyVersion, RelationName};
use crate::secret::Secret;

/// The only format there is.
pub(super) const FORMAT: u32 = 1;

/// What a key version may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionState {
    /// seals and opens; exactly one version of a domain
    Active,
    /// opens only
    Readable,
    /// its DEK is gone: what it sealed is lost
    Destroyed,
}

impl VersionState {
    /// Its word in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Readable => "readable",
            Self::Destroyed => "destroyed",
        }
    }
}

/// The file as JSON. The order of fields here is the order of the bytes under the HMAC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    format: u32,
    keyring: String,
    unlock: Unlock,
    root: String,
    next: Next,
    domains: Vec<DomainModel>,
    attributes: Vec<AttributeModel>,
    mac: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Unlock {
    Passphrase(Argon2id),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Argon2id {
    kdf: Kdf,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

#[derive(Serialize, Deserialize)]
enum Kdf {
    #[serde(rename = "argon2id")]
    Argon2id,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    domain: u32,
    attribute: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainModel {
    name: DomainName,
    id: DomainId,
    versions: Vec<VersionModel>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionModel {
    version: KeyVersion,
    state: VersionState,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeModel {
    schema: String,
    relation: String,
    attribute: String,
    id: AttributeId,
}

/// What a wrapped DEK is bound to: keyring, domain, version. Domain 0 is the keyring's own root.
pub(super) fn dek_binding(keyring: &[u8; 16], domain: DomainId, version: KeyVersion) -> Vec<u8> {
    let mut binding = b"pgveil dek 1".to_vec();
    binding.extend_from_slice(keyring);
    binding.extend_from_slice(&domain.0.to_be_bytes());
    binding.extend_from_slice(&version.0.to_be_bytes());
    binding
}

fn root_binding(keyring: &[u8; 16]) -> Vec<u8> {
    dek_binding(keyring, DomainId(0), KeyVersion(0))
}

impl Model {
    /// The model of a keyring, without its authentication code.
    fn of(keyring: &Keyring) -> Self {
        let kdf = &keyring.kdf;
        Self {
            format: FORMAT,
            keyring: hex::encode(keyring.id),
            unlock: Unlock::Passphrase(Argon2id {
                kdf: Kdf::Argon2id,
                memory_kib: kdf.memory_kib,
                passes: kdf.passes,
                lanes: kdf.lanes,
                salt: BASE64.encode(kdf.salt),
            }),
            root: BASE64.encode(
                keyring
                    .kek
                    .wrap(&root_binding(&keyring.id), keyring.root.expose()),
            ),
            next: Next {
                domain: keyring.next_domain,
                attribute: keyring.next_attribute,
            },
            domains: keyring.domains.iter().map(DomainModel::of).collect(),
            attributes: keyring
                .attributes
                .iter()
                .map(|(name, id)| AttributeModel {
                    schema: name.relation.schema.clone(),
                    relation: name.relation.name.clone(),
                    attribute: name.attribute.clone(),
                    id: *id,
                })
                .collect(),
            mac: String::new(),
        }
    }

    /// Every field but the code itself, each text with its length before it, lists with their count: no two
    /// models give the same bytes.
    fn fields(&self) -> Vec<u8> {
        let mut out = b"pgveil keyring file 1".to_vec();
        out.extend_from_slice(&self.format.to_be_bytes());
        text(&mut out, &self.keyring);
        let Unlock::Passphrase(kdf) = &self.unlock;
        text(&mut out, "passphrase argon2id");
        for number in [kdf.memory_kib, kdf.passes, kdf.lanes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        text(&mut out, &kdf.salt);
        text(&mut out, &self.root);
        out.extend_from_slice(&self.next.domain.to_be_bytes());
        out.extend_from_slice(&self.next.attribute.to_be_bytes());
        out.extend_from_slice(&(self.domains.len() as u64).to_be_bytes());
        for domain in &self.domains {
            text(&mut out, domain.name.as_str());
            out.extend_from_slice(&domain.id.0.to_be_bytes());
            out.extend_from_slice(&(domain.versions.len() as u64).to_be_bytes());
            for version in &domain.versions {
                out.extend_from_slice(&version.version.0.to_be_bytes());
                text(&mut out, version.state.as_str());
                text(&mut out, version.wrapped.as_deref().unwrap_or_default());
            }
        }
        out.extend_from_slice(&(self.attributes.len() as u64).to_be_bytes());
        for attribute in &self.attributes {
            text(&mut out, &attribute.schema);
            text(&mut out, &attribute.relation);
            text(&mut out, &attribute.attribute);
            out.extend_from_slice(&attribute.id.0.to_be_bytes());
        }
        out
    }

    /// The authentication code it has.
    pub(super) fn code(&self) -> Result<[u8; 32], KeyringFault> {
        exactly(decode(&self.mac)?, "its code is not 32 bytes")
    }

    fn kdf(&self) -> Result<KdfParameters, KeyringFault> {
        let Unlock::Passphrase(kdf) = &self.unlock;
        let salt = exactly(decode(&kdf.salt)?, "the salt is not 16 bytes")?;
        Ok(KdfParameters {
            memory_kib: kdf.memory_kib,
            passes: kdf.passes,
            lanes: kdf.lanes,
            salt,
        })
    }
}

impl DomainModel {
    fn of((name, keys): (&DomainName, &DomainKeys)) -> Self {
        Self {
            name: name.clone(),
            id: keys.id,
            versions: keys
                .versions
                .iter()
                .map(|(version, v)| VersionModel {
                    version: *version,
                    state: v.state,
                    wrapped: v.wrapped.as_ref().map(|bytes| BASE64.encode(bytes)),
                })
                .collect(),
        }
    }

    /// Unwraps every DEK of the domain.
    fn keys(&self, keyring: &[u8; 16], kek: &Kek) -> Result<DomainKeys, KeyringFault> {
        let mut active = None;
        let mut versions = BTreeMap::new();
        for model in &self.versions {
            let version = model.version;
            let unreadable = || KeyringFault::DekUnreadable {
                domain: self.name.clone(),
                version,
            };
            let (wrapped, dek) = match (&model.wrapped, model.state) {
                (None, VersionState::Destroyed) => (None, None),
                (Some(text), VersionState::Active | VersionState::Readable) => {
                    let wrapped = decode(text)?;
                    let binding = dek_binding(keyring, self.id, version);
                    let dek = kek.unwrap(&binding, &wrapped).ok_or_else(unreadable)?;
                    (Some(wrapped), Some(dek))
                }
                (None, VersionState::Active | VersionState::Readable)
                | (Some(_), VersionState::Destroyed) => return Err(unreadable()),
            };
            if model.state == VersionState::Active && active.replace(version).is_some() {
                return Err(KeyringFault::Inconsistent(
                    "a domain has two active versions",
                ));
            }
            let entry = DomainVersion {
                state: model.state,
                wrapped,
                dek,
            };
            if versions.insert(version, entry).is_some() {
                return Err(KeyringFault::Inconsistent("a version stands twice"));
            }
        }
        let active = active.ok_or(KeyringFault::Inconsistent("a domain has no active version"))?;
        Ok(DomainKeys {
            id: self.id,
            active,
            versions,
        })
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn decode(text: &str) -> Result<Vec<u8>, KeyringFault> {
    BASE64
        .decode(text)
        .map_err(|_| KeyringFault::Inconsistent("a key or code is not base64"))
}

fn exactly<const N: usize>(
    bytes: Vec<u8>,
    otherwise: &'static str,
) -> Result<[u8; N], KeyringFault> {
    bytes
        .try_into()
        .map_err(|_| KeyringFault::Inconsistent(otherwise))
}

/// Unlocks and authenticates. The order matters: the passphrase, then the code over all fields, then
/// the single keys; what the fields say is believed only after the second.
pub(super) fn unlock(
    model: Model,
    path: PathBuf,
    passphrase: &Passphrase,
) -> Result<Keyring, KeyringFault> {
    let kdf = model.kdf()?;
    let id: [u8; 16] = hex::decode(&model.keyring)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyringFault::Inconsistent("its id is not 16 bytes"))?;
    let kek = kdf.derive(passphrase)?;
    let root: Secret<[u8; DEK_BYTES]> = kek
        .unwrap(&root_binding(&id), &decode(&model.root)?)
        .ok_or(KeyringFault::WrongPassphrase)?;
    let mac = model.code()?;
    if !kek.is_authentic(&model.fields(), &mac) {
        return Err(KeyringFault::Tampered);
    }
    let mut domains = BTreeMap::new();
    for domain in &model.domains {
        let keys = domain.keys(&id, &kek)?;
        if domains.insert(domain.name.clone(), keys).is_some() {
            return Err(KeyringFault::Inconsistent("a domain stands twice"));
        }
    }
    let mut attributes = BTreeMap::new();
    for a in model.attributes {
        let name = AttributeName::new(RelationName::new(a.schema, a.relation), a.attribute);
        if attributes.insert(name, a.id).is_some() {
            return Err(KeyringFault::Inconsistent("an attribute stands twice"));
        }
    }
    Ok(Keyring {
        path,
        id,
        kdf,
        kek,
        root,
        domains,
        attributes,
        next_domain: model.next.domain,
        next_attribute: model.next.attribute,
        mac,
    })
}

/// The file's bytes and its authentication code.
pub(super) fn written(keyring: &Keyring) -> (Vec<u8>, [u8; 32]) {
    let mut model = Model::of(keyring);
    let mac = keyring.kek.authenticate(&model.fields());
    model.mac = BASE64.encode(mac);
    let mut json = serde_json::to_vec_pretty(&model)
        .expect("the model has string keys and no map, and writing to a Vec does not fail");
    json.push(b'\n');
    (json, mac)
}
