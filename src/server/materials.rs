//! What the configuration names, read and opened: the keyring and every policy, all of them or none.
//!
//! Touches files only. A fault names a file and its place, never what is secret in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::config::{Config, Database};
use crate::document::Fault;
use crate::ident::DatabaseName;
use crate::keyring::{Keyring, KeyringFault, Passphrase};
use crate::policy::{Policy, load};

/// Hexadecimal digits of a policy's version: enough to tell the versions of one file apart.
const VERSION_DIGITS: usize = 16;

/// The keyring and the policies of one moment.
#[derive(Debug)]
pub struct Materials {
    /// the keyring; there whenever a database has a policy
    pub keyring: Option<Keyring>,
    /// what is allowed but probably not meant
    pub warnings: Vec<Fault>,
    policies: BTreeMap<PathBuf, Arc<InForce>>,
}

/// A policy and which text it is of.
#[derive(Debug)]
pub struct InForce {
    /// the policy
    pub policy: Policy,
    /// the start of its text's SHA-256, hexadecimal: what `pgveil_policy_info` calls its version
    pub version: String,
}

impl Materials {
    /// Reads everything the configuration names. Takes the time the keyring's Argon2 asks for: not for a thread
    /// that serves.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn read(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut warnings = Vec::new();
        let mut policies = BTreeMap::new();
        for file in config.databases.iter().filter_map(|d| d.policy.as_ref()) {
            if policies.contains_key(file) {
                continue;
            }
            match read_policy(file) {
                Ok((in_force, mut noted)) => {
                    warnings.append(&mut noted);
                    policies.insert(file.clone(), Arc::new(in_force));
                }
                Err(mut found) => faults.append(&mut found),
            }
        }
        let keyring = match open_keyring(config) {
            Ok(keyring) => keyring,
            Err(fault) => {
                faults.push(fault);
                None
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            keyring,
            warnings,
            policies,
        })
    }

    /// The policy of a `[[database]]`; None where it is `none`.
    pub fn policy(&self, database: &Database) -> Option<&Arc<InForce>> {
        self.policies.get(database.policy.as_ref()?)
    }
}

/// Opens the configuration's keyring; None where it names none.
///
/// # Errors
/// A fault that names the keyring's or the passphrase's file.
pub fn open_keyring(config: &Config) -> Result<Option<Keyring>, Fault> {
    let Some(named) = &config.keyring else {
        return Ok(None);
    };
    let place = named.file.display().to_string();
    let fault = |fault: KeyringFault| Fault::of_file(&place, fault.to_string());
    let passphrase = named.unlock.passphrase()?;
    let passphrase = Passphrase::new(passphrase.expose().as_bytes()).map_err(fault)?;
    Keyring::open(&named.file, &passphrase)
        .map(Some)
        .map_err(fault)
}

/// Reads a policy's file.
///
/// # Errors
/// Every fault of the file.
pub fn read_policy(file: &Path) -> Result<(InForce, Vec<Fault>), Vec<Fault>> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| {
        vec![Fault::of_file(
            &name,
            format!("cannot be read: {}", error.kind()),
        )]
    })?;
    let loaded = load(&name, &text)?;
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    let in_force = InForce {
        policy: loaded.policy,
        version: digest.chars().take(VERSION_DIGITS).collect(),
    };
    Ok((in_force, loaded.warnings))
}

/// The databases that the configuration names in full, in its order, with their policies' entries.
pub fn named_databases(config: &Config) -> Vec<DatabaseName> {
    let mut names: Vec<DatabaseName> = Vec::new();
    for database in &config.databases {
        if let Some(name) = database.name.literal()
            && !names.iter().any(|known| known.as_str() == name)
        {
            names.push(DatabaseName::new(name));
        }
    }
    names
}
