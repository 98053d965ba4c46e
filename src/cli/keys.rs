//! `pgveil keys init|list`: the keyring's making and its content by name, never a key.

use clap::{Args, Subcommand};
use miette::{IntoDiagnostic, miette};

use super::audit::Commands;
use super::site::Site;
use super::{ConfigArgument, Exit, block_on};
use crate::audit::Kind;
use crate::keyring;

/// `pgveil keys`
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// Makes the keyring; never overwrites one
    Init(ConfigArgument),
    /// Lists domains, key versions and numbered attributes
    List(ConfigArgument),
}

/// What losing it means; printed whenever a keyring is made.
const LOSING_IT: &str = "\
Keep a copy of this file AND of what unlocks it, in two places that do not burn together, and apart from the
database's backups. Without both, nothing that was sealed or tokenised can be read again: not by you, not by
PostgreSQL, not by the makers of pgveil. There is no other key. Who has both, and the database, reads everything.
Copy it again after every `pgveil apply`: new domains get new keys.";

impl Keys {
    /// Does what was asked.
    ///
    /// # Errors
    /// What the keyring or its file says.
    pub fn run(self) -> miette::Result<Exit> {
        match self.asked {
            Asked::Init(config) => init(&config),
            Asked::List(config) => list(&config),
        }
    }
}

fn init(config: &ConfigArgument) -> miette::Result<Exit> {
    let site = Site::read(config)?;
    let passphrase = site.passphrase()?;
    let named = site.config.keyring.as_ref();
    let file = &named.ok_or_else(|| miette!("no [keyring] is named"))?.file;
    let keyring = keyring::create(file, &passphrase).into_diagnostic()?;
    println!(
        "keyring {} made at {}\n\n{LOSING_IT}",
        keyring.id(),
        file.display()
    );
    block_on(async {
        let commands = Commands::open(&site.config, &keyring)?;
        let begun = commands.begin(Kind::Keys, None).await?;
        commands.end(begun, true).await?;
        commands.close().await
    })?;
    Ok(Exit::Done)
}

fn list(config: &ConfigArgument) -> miette::Result<Exit> {
    let keyring = Site::read(config)?.keyring()?;
    println!("keyring {} at {}", keyring.id(), keyring.path().display());
    for (name, keys) in keyring.domains() {
        let versions: Vec<String> = keys
            .versions()
            .map(|(version, state)| format!("{} {}", version.0, state.as_str()))
            .collect();
        println!(
            "domain {} {name}: version {}",
            keys.id().0,
            versions.join(", ")
        );
    }
    for (name, id) in keyring.attributes() {
        println!("attribute {} {name}", id.0);
    }
    Ok(Exit::Done)
}
