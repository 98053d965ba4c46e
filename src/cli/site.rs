//! What a subcommand reads before it does anything: configuration, keyring, policies, databases.
//!
//! Every fault comes out as one report that names files and places; no secret stands in any.

use crate::catalog::Snapshot;
use crate::config::Config;
use crate::document::Fault;
use crate::ident::DatabaseName;
use crate::keyring::{Keyring, Passphrase};
use crate::policy::bind::BindFault;
use crate::policy::decide::Bound;
use crate::policy::{Policy, bind};
use crate::server::materials::{named_databases, open_keyring, read_policy};
use crate::upstream::catalog;
use crate::upstream::connect::Target;
use crate::upstream::control::ControlLogin;

use super::ConfigArgument;
use miette::{IntoDiagnostic, miette};
use tokio_postgres::Client;

/// The configuration, read and checked.
#[derive(Debug)]
pub struct Site {
    /// what `pgveil.toml` says
    pub config: Config,
}

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginAs {
    /// the login that reads the catalog
    Control,
    /// the login that applies
    Owner,
}

/// A database, its catalog read and its policy bound to it.
#[derive(Debug)]
pub struct OpenDatabase {
    /// the connection
    pub client: Client,
    /// its catalog
    pub snapshot: Snapshot,
    /// the policy bound to it
    pub bound: Bound,
    /// what is not as the policy says
    pub faults: Vec<BindFault>,
}

/// Several faults as one report, a line each.
pub fn report(faults: Vec<Fault>) -> miette::Report {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    miette!("{}", lines.join("\n"))
}

/// One fault as a report.
pub fn report_one(fault: Fault) -> miette::Report {
    report(vec![fault])
}

impl Site {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn read(argument: &ConfigArgument) -> miette::Result<Self> {
        let config = Config::find(argument.config.as_deref()).map_err(report)?;
        Ok(Self { config })
    }

    /// Opens the keyring.
    ///
    /// # Errors
    /// A fault that names the file, or that none is named.
    pub fn keyring(&self) -> miette::Result<Keyring> {
        open_keyring(&self.config)
            .map_err(report_one)?
            .ok_or_else(|| miette!("{}: names no [keyring]", self.config.file.display()))
    }

    /// The passphrase that unlocks, or shall unlock, the keyring.
    ///
    /// # Errors
    /// A fault that names where it should be.
    pub fn passphrase(&self) -> miette::Result<Passphrase> {
        let named = self.config.keyring.as_ref();
        let named =
            named.ok_or_else(|| miette!("{}: names no [keyring]", self.config.file.display()))?;
        let passphrase = named.unlock.passphrase().map_err(report_one)?;
        Passphrase::new(passphrase.expose().as_bytes()).into_diagnostic()
    }

    /// The databases under a policy, with it: the one asked for, else all that are named in full.
    ///
    /// # Errors
    /// A policy's faults; that the one asked for stands under none.
    pub fn databases(&self, only: Option<&str>) -> miette::Result<Vec<(DatabaseName, Policy)>> {
        let names = match only {
            Some(name) => vec![DatabaseName::new(name)],
            None => named_databases(&self.config),
        };
        let mut found = Vec::new();
        for name in names {
            let entry = self.config.database(name.as_str()).ok_or_else(|| {
                miette!(
                    "no [[database]] of {} matches {name}",
                    self.config.file.display()
                )
            })?;
            match &entry.policy {
                Some(file) => {
                    let (read, warnings) = read_policy(file).map_err(report)?;
                    for warning in warnings {
                        eprintln!("warning: {warning}");
                    }
                    found.push((name, read.policy));
                }
                None if only.is_some() => {
                    return Err(miette!("the policy of database {name} is `none`"));
                }
                None => {}
            }
        }
        if found.is_empty() {
            return Err(miette!(
                "no database with a policy is named in full; ask for one with --database"
            ));
        }
        Ok(found)
    }

    /// Logs in to a database, reads its catalog and binds the policy to it.
    ///
    /// # Errors
    /// What the server or the files say.
    pub async fn open(
        &self,
        who: LoginAs,
        (name, policy): (&DatabaseName, &Policy),
        keyring: &Keyring,
    ) -> miette::Result<OpenDatabase> {
        let upstream = &self.config.upstream;
        let target = Target::configured(upstream).map_err(report_one)?;
        let login = match who {
            LoginAs::Control => &upstream.control,
            LoginAs::Owner => &upstream.owner,
        };
        let login = ControlLogin::configured(&target, login, name.clone()).map_err(report_one)?;
        let mut client = login.open().await.into_diagnostic()?;
        let snapshot = catalog::load(&mut client, None).await.into_diagnostic()?;
        let (bound, faults) = bind(policy, &snapshot, 1, |domain| {
            keyring.domain(domain).map(|keys| keys.id())
        });
        Ok(OpenDatabase {
            client,
            snapshot,
            bound,
            faults,
        })
    }
}
