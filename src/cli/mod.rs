//! The command line: what can be asked for, and the exit code of each answer. One subcommand a file.
//!
//! A subcommand says what it found on standard output and what went wrong as its fault; this file alone
//! turns either into an exit code. It knows nothing of what the subcommands do.

pub mod demo;

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
    };
    match ended {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::HasWork) => ExitCode::from(2),
        Err(fault) => {
            eprintln!("pgveil: {fault:?}");
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
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
