//! `pgveil apply`: brings each database to its policy, with a bar for each table, and puts it on record.

use std::sync::Mutex;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, miette};

use super::audit::Commands;
use super::site::{LoginAs, Site};
use super::{ConfigArgument, Exit, block_on};
use crate::audit::Kind;
use crate::ident::DatabaseName;
use crate::keyring::Keyring;
use crate::lifecycle::apply::{ApplyFault, Progress, REMAINS, Report, apply};
use crate::policy::Policy;

/// `pgveil apply`
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    config: ConfigArgument,
    /// Only this database
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

impl Apply {
    /// Changes what has to be changed and says what it did.
    ///
    /// # Errors
    /// What stands in the way, by name; then nothing was changed. Or what the server said.
    pub fn run(self) -> miette::Result<Exit> {
        block_on(async {
            let site = Site::read(&self.config)?;
            let mut keyring = site.keyring()?;
            let commands = Commands::open(&site.config, &keyring)?;
            for (name, policy) in site.databases(self.database.as_deref())? {
                one(&site, (&name, &policy), &mut keyring, &commands).await?;
            }
            commands.close().await?;
            Ok(Exit::Done)
        })
    }
}

async fn one(
    site: &Site,
    (name, policy): (&DatabaseName, &Policy),
    keyring: &mut Keyring,
    commands: &Commands,
) -> miette::Result<()> {
    let mut open = site.open(LoginAs::Owner, (name, policy), keyring).await?;
    let user = &site.config.upstream.owner.user;
    let begun = commands.begin(Kind::Apply, Some((user, name))).await?;
    let bars = Bars::default();
    let bound = (&open.bound, open.faults.as_slice());
    let result = apply(&mut open.client, &open.snapshot, bound, keyring, &|step| {
        bars.show(step);
    })
    .await;
    bars.clear();
    commands.end(begun, result.is_ok()).await?;
    match result {
        Ok(report) => {
            print(name, &report);
            Ok(())
        }
        Err(ApplyFault::Hindered(found)) => {
            let lines: Vec<String> = found.iter().map(|h| format!("  {h}")).collect();
            Err(miette!(
                help = "nothing of these tables was changed",
                "database {name}: in the way of apply:\n{}",
                lines.join("\n")
            ))
        }
        Err(fault) => Err(fault).into_diagnostic(),
    }
}

fn print(name: &DatabaseName, report: &Report) {
    if report.tables.is_empty() && report.entries.is_empty() {
        println!("database {name}: nothing to do");
        return;
    }
    println!("database {name}:");
    for entry in &report.entries {
        println!("  {entry}");
    }
    if report.tables.is_empty() {
        return;
    }
    for table in &report.tables {
        println!("  table {}: {} rows", table.table, table.rows);
        for change in &table.changes {
            println!("    {change}");
        }
    }
    for warning in &report.warnings {
        println!("  note: {warning}");
    }
    println!("{REMAINS}");
}

/// A bar on standard error, where that is a terminal.
#[derive(Default)]
struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    fn show(&self, step: Progress<'_>) {
        let Ok(mut slot) = self.0.lock() else { return };
        let bar = slot.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        match step {
            Progress::Try { table, rows } => {
                bar.set_message(format!("trying {table}"));
                bar.set_length(rows);
                bar.set_position(rows);
            }
            Progress::Seal {
                table,
                rows,
                rows_total,
            } => {
                bar.set_message(format!("sealing {table}"));
                bar.set_length(rows_total);
                bar.set_position(rows);
            }
            Progress::Rewrite(table) => bar.set_message(format!("rewriting {table}")),
            Progress::Done(table) => bar.set_message(format!("done {table}")),
        }
    }

    fn clear(&self) {
        if let Ok(Some(bar)) = self.0.lock().map(|mut slot| slot.take()) {
            bar.finish_and_clear();
        }
    }
}
