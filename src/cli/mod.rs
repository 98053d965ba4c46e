//! The command line: what can be asked for, and the exit code of each answer. One subcommand a file.
//!
//! A subcommand says what it found on standard output and what went wrong as its fault; this file alone
//! turns either into an exit code. It knows nothing of what the subcommands do.

pub mod apply;
pub mod audit;
pub mod check;
pub mod demo;
pub mod explain;
pub mod health;
pub mod keys;
pub mod plan;
pub mod serve;
pub mod setup;
pub mod site;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// How a subcommand ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done: 0.
    Done,
    /// `plan` found work to do: 2.
    HasWork,
}

/// The exit code of a fault.
const FAULT: u8 = 1;

/// The exit code of wrong usage (`EX_USAGE` of sysexits(3)).
const WRONG_USAGE: u8 = 64;

/// A transparent encrypting proxy for PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "pgveil", version, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    subcommand: Asked,
}

#[derive(Debug, Subcommand)]
enum Asked {
    /// A CRM, a database and pgveil, running, with nothing to set up
    Demo(demo::Demo),
    /// Prints the SQL a superuser runs once in each database
    Setup(setup::Setup),
    /// Serves clients until it is told to end
    Serve(serve::Serve),
    /// Asks the instance that serves whether it is ready
    Health(health::Health),
    /// Holds the policy against the live catalog
    Check(check::Check),
    /// Shows what apply would do; exit code 2 when there is work
    Plan(plan::Plan),
    /// Brings the database to its policy
    Apply(apply::Apply),
    /// Shows what becomes of a statement for a role, and what it leaks
    Explain(explain::Explain),
    /// Makes and lists keys
    Keys(keys::Keys),
    /// Verifies and searches the audit
    Audit(audit::Audit),
}

/// Where the configuration is, for every subcommand that reads it.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgument {
    /// The configuration file; else $PGVEIL_CONFIG, ./pgveil.toml, /etc/pgveil/pgveil.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Reads the command line, does what it asks, and answers with the exit code: 0 done, 1 a fault,
/// 2 `plan` has work, 64 wrong usage.
pub fn run() -> ExitCode {
    let asked = match CommandLine::try_parse() {
        Ok(line) => line.subcommand,
        Err(answer) => return usage(&answer),
    };
    let ended = match asked {
        Asked::Demo(demo) => demo.run(),
        Asked::Setup(setup) => setup.run(),
        Asked::Serve(serve) => serve.run(),
        Asked::Health(health) => health.run(),
        Asked::Check(check) => check.run(),
        Asked::Plan(plan) => plan.run(),
        Asked::Apply(apply) => apply.run(),
        Asked::Explain(explain) => explain.run(),
        Asked::Keys(keys) => keys.run(),
        Asked::Audit(audit) => audit.run(),
    };
    match ended {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::HasWork) => ExitCode::from(2),
        Err(fault) => {
            eprintln!("pgveil: {fault}");
            for cause in fault.chain().skip(1) {
                eprintln!("  {cause}");
            }
            ExitCode::from(FAULT)
        }
    }
}

/// Prints clap's answer: help and version are answers, all else is wrong usage.
fn usage(answer: &clap::Error) -> ExitCode {
    // A closed standard output leaves nothing to say it on.
    let _ = answer.print();
    match answer.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(WRONG_USAGE),
    }
}

/// Runs a subcommand's future on a runtime of its own, with every core.
///
/// # Errors
/// The future's own, and that of a runtime that the machine refuses.
pub fn block_on<T>(future: impl Future<Output = miette::Result<T>>) -> miette::Result<T> {
    block_on_threads(None, future)
}

/// The same on so many threads; None for as many as there are cores.
fn block_on_threads<T>(
    threads: Option<usize>,
    future: impl Future<Output = miette::Result<T>>,
) -> miette::Result<T> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|fault| miette::miette!("starting the runtime: {fault}"))?;
    runtime.block_on(future)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }
}
