//! `pgveil check`: the configuration and each policy against the live catalog; with `--data` every stored value.

use clap::Args;
use miette::{IntoDiagnostic, miette};

use super::site::{LoginAs, Site};
use super::{ConfigArgument, Exit, block_on};
use crate::lifecycle::check::{self, CheckReport};

/// `pgveil check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Also read every stored value and count those that are not as they should be
    #[arg(long)]
    data: bool,
}

impl Check {
    /// Prints what was found.
    ///
    /// # Errors
    /// That something is not as the policy says, or what kept it from looking.
    pub fn run(self) -> miette::Result<Exit> {
        block_on(async {
            let site = Site::read(&self.config)?;
            let keyring = site.keyring()?;
            let mut clean = true;
            for (name, policy) in site.databases(self.database.as_deref())? {
                let who = if self.data {
                    LoginAs::Owner
                } else {
                    LoginAs::Control
                };
                let mut open = site.open(who, (&name, &policy), &keyring).await?;
                let bound = (&open.bound, open.faults.as_slice());
                let mut report = check::check(&mut open.client, &open.snapshot, bound, &keyring)
                    .await
                    .into_diagnostic()?;
                if who == LoginAs::Control {
                    // Whose tables they are matters to who applies, and this is another login.
                    report
                        .hindrances
                        .retain(|hindrance| hindrance.kind != "owner");
                }
                if self.data {
                    report.counts =
                        check::data(&mut open.client, &open.snapshot, &open.bound, &keyring)
                            .await
                            .into_diagnostic()?;
                }
                println!("database {name}: policy {}", policy.file());
                print(&report);
                clean &= report.is_clean();
            }
            if clean {
                Ok(Exit::Done)
            } else {
                Err(miette!("not everything is as the policy says"))
            }
        })
    }
}

fn print(report: &CheckReport) {
    for fault in &report.faults {
        println!("  not ready: {fault}");
    }
    for hindrance in &report.hindrances {
        println!("  in the way of apply: {hindrance}");
    }
    for notice in &report.notices {
        println!("  note: {notice}");
    }
    for count in &report.counts {
        println!("  data: {}: {} values", count.attribute, count.values);
        for (why, number) in &count.wrong {
            println!("    {number} wrong: {why}");
        }
    }
    if report.is_clean() {
        println!("  ready");
    }
}
