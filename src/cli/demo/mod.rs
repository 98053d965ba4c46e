//! `pgveil demo`: a CRM, a database and pgveil, running, with nothing to set up.

pub mod cluster;
mod folder;
pub mod server_programs;

use clap::Args;
use miette::IntoDiagnostic;

use self::cluster::{Cluster, ClusterOptions};
use super::Exit;

/// A CRM, a database and pgveil, running, with nothing to set up.
#[derive(Debug, Args)]
pub struct Demo {
    /// Print the side-by-side and end
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Runs the demo until Ctrl-C, or once.
    ///
    /// # Errors
    /// What the machine refuses: server programs, ports, files.
    pub fn run(self) -> miette::Result<Exit> {
        super::block_on(async move {
            let started = tokio::task::spawn_blocking(|| {
                Cluster::start(&ClusterOptions::default(), &|doing| eprintln!("{doing}"))
            });
            let cluster = started.await.into_diagnostic()?.into_diagnostic()?;
            eprintln!("PostgreSQL listens on {}", cluster.address());
            if !self.once {
                tokio::signal::ctrl_c().await.into_diagnostic()?;
            }
            Ok(Exit::Done)
        })
    }
}
