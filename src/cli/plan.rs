//! `pgveil plan`: what `apply` would do, and what stands in its way. Changes nothing.

use clap::Args;
use miette::{IntoDiagnostic, miette};

use super::site::{LoginAs, Site};
use super::{ConfigArgument, Exit, block_on};
use crate::lifecycle::apply::survey;

/// `pgveil plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

impl Plan {
    /// Prints the work of each database; [`Exit::HasWork`] when there is any.
    ///
    /// # Errors
    /// That something stands in the way, or what kept it from looking.
    pub fn run(self) -> miette::Result<Exit> {
        block_on(async {
            let site = Site::read(&self.config)?;
            let keyring = site.keyring()?;
            let (mut has_work, mut hindered) = (false, false);
            for (name, policy) in site.databases(self.database.as_deref())? {
                let mut open = site
                    .open(LoginAs::Owner, (&name, &policy), &keyring)
                    .await?;
                let bound = (&open.bound, open.faults.as_slice());
                let (work, found) = survey(&mut open.client, &open.snapshot, bound, &keyring)
                    .await
                    .into_diagnostic()?;
                println!("database {name}: policy {}", policy.file());
                for key in &work.keys {
                    println!("  make a key for {key}");
                }
                for entry in &work.entries {
                    println!("  {entry}");
                }
                for table in &work.tables {
                    println!("  table {}", table.name);
                    for change in &table.changes {
                        println!("    {change}");
                    }
                }
                for hindrance in &found.hindrances {
                    println!("  in the way: {hindrance}");
                }
                for warning in &found.warnings {
                    println!("  note: {warning}");
                }
                if work.is_empty() {
                    println!("  nothing to do");
                }
                has_work |= !work.is_empty();
                hindered |= !found.hindrances.is_empty();
            }
            match (hindered, has_work) {
                (true, _) => Err(miette!("apply would refuse; nothing would be changed")),
                (false, true) => Ok(Exit::HasWork),
                (false, false) => Ok(Exit::Done),
            }
        })
    }
}
