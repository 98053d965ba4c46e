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
use crate::server::serve::Server;

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
        let server = Server::start(config).await.into_diagnostic()?;
        let stage = Stage {
            cluster: &cluster,
            state: &state,
            logins: &logins,
        };
        stage.side_by_side().await?;
        if !self.once {
            eprintln!(
                "\nCtrl-C ends it and leaves nothing behind. {}",
                state.hint()
            );
            std::future::pending::<()>().await;
        }
        server.stop().await.into_diagnostic()?;
        Ok(Exit::Done)
    }
}

/// What the demo shows, once everything runs.
struct Stage<'a> {
    cluster: &'a Cluster,
    state: &'a State,
    logins: &'a [crm::Login],
}

impl Stage<'_> {
    /// A login's connection string: straight to the server for the DBA, through pgveil for all others.
    fn url(&self, login: &crm::Login) -> String {
        match login.label {
            "database" => self.cluster.url(login.user, &login.password, crm::DATABASE),
            _ => self.state.url(login.user, &login.password),
        }
    }

    async fn side_by_side(&self) -> miette::Result<()> {
        for login in self.logins {
            println!("{}: {}", login.label, self.url(login));
        }
        println!("metrics: {}", self.state.metrics_url());
        for login in self.logins {
            let rows = show::query(&self.url(login), show::QUERY).await;
            show::section(login.label, &rows.into_diagnostic()?);
        }
        let url = |label: &str| {
            let login = self.logins.iter().find(|login| login.label == label);
            login.map(|login| self.url(login))
        };
        show::day(url).await.into_diagnostic()?;
        let audit = show::audit(&self.state.audit_directory()).into_diagnostic()?;
        show::section("audit", &audit);
        Ok(())
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
