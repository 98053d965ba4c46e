//! `pgveil demo`: a CRM, a database and pgveil, running, with nothing to set up.
//!
//! Nothing here is special to the demo but the data: the cluster is PostgreSQL, the steps are those of
//! `keys init`, `setup`, `apply` and `serve`, the clients are ordinary ones.

pub mod cluster;
pub mod crm;
mod folder;
mod people;
mod prepare;
mod progress;
pub mod server_programs;
mod show;
mod state;
mod table;

use clap::Args;
use miette::IntoDiagnostic;
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::NoTls;

use self::cluster::{Cluster, ClusterOptions};
use self::progress::Step;
use self::state::State;
use super::Exit;

/// A CRM, a database and pgveil, running, with nothing to set up.
#[derive(Debug, Args)]
pub struct Demo {
    /// Print the side-by-side and end
    #[arg(long)]
    once: bool,
}

impl Demo {
    /// Runs the demo until Ctrl-C, or once. Leaves nothing behind either way.
    ///
    /// # Errors
    /// What the machine refuses: server programs, ports, files.
    pub fn run(self) -> miette::Result<Exit> {
        super::block_on(async move {
            tokio::select! {
                ended = self.stages() => ended,
                interrupted = interrupted() => interrupted,
            }
        })
    }

    async fn stages(self) -> miette::Result<Exit> {
        let cluster = start_cluster().await?;
        let logins = crm::logins();
        fill_database(&cluster, &logins).await?;
        let state = State::write(&cluster).into_diagnostic()?;
        let config = prepare::prepare(&cluster, &state).await?;
        for login in &logins {
            let url = cluster.url(login.user, &login.password, crm::DATABASE);
            println!("{}: {url}", login.label);
            let _ = &config;
        }
        for login in &logins {
            let url = cluster.url(login.user, &login.password, crm::DATABASE);
            let rows = show::query(&url, show::QUERY).await.into_diagnostic()?;
            show::section(login.label, &rows);
        }
        if !self.once {
            eprintln!("Ctrl-C ends it and leaves nothing behind.");
            std::future::pending::<()>().await;
        }
        Ok(Exit::Done)
    }
}

/// Waits for Ctrl-C, a closed terminal, or a service manager's word.
async fn interrupted() -> miette::Result<Exit> {
    let mut hangup = signal(SignalKind::hangup()).into_diagnostic()?;
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    let mut interrupt = signal(SignalKind::interrupt()).into_diagnostic()?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    eprintln!("ending: the server is stopped and its files are removed");
    Ok(Exit::Done)
}

async fn start_cluster() -> miette::Result<Cluster> {
    let started = tokio::task::spawn_blocking(|| {
        let step = Step::begin("starting a private PostgreSQL");
        let cluster = Cluster::start(&ClusterOptions::default(), &|doing| step.note(doing));
        step.done();
        cluster
    });
    started.await.into_diagnostic()?.into_diagnostic()
}

async fn fill_database(cluster: &Cluster, logins: &[crm::Login]) -> miette::Result<()> {
    let superuser = connect(&cluster.superuser_url("postgres")).await?;
    let create = format!("CREATE DATABASE {}", crm::DATABASE);
    superuser.batch_execute(&create).await.into_diagnostic()?;
    let owner = connect(&cluster.superuser_url(crm::DATABASE)).await?;
    crm::install(&owner, logins).await.into_diagnostic()?;
    let step = Step::of("filling the CRM", crm::ROWS);
    crm::fill(&owner, &|rows| step.at(rows))
        .await
        .into_diagnostic()?;
    step.done();
    Ok(())
}

async fn connect(url: &str) -> miette::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .into_diagnostic()?;
    tokio::spawn(connection);
    Ok(client)
}
