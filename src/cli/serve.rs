//! `pgveil serve`: the proxy, until SIGTERM or Ctrl-C.

use clap::Args;
use miette::IntoDiagnostic;
use tracing_subscriber::EnvFilter;

use super::site::Site;
use super::{ConfigArgument, Exit, block_on_threads};
use crate::config::{Log, LogFormat};
use crate::server::serve;

/// `pgveil serve`
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigArgument,
}

impl Serve {
    /// Serves until it is told to end.
    ///
    /// # Errors
    /// What kept it from starting.
    pub fn run(self) -> miette::Result<Exit> {
        let site = Site::read(&self.config)?;
        log(site.config.log);
        block_on_threads(Some(site.config.listen.threads), async {
            serve::run(site.config).await.into_diagnostic()?;
            Ok(Exit::Done)
        })
    }
}

/// Logs to standard error. Only pgveil's own lines: what libraries say of the bytes they carry is not asked for.
fn log(settings: Log) {
    let filter = EnvFilter::new(format!("off,pgveil={}", settings.level.as_str()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A second start in one process keeps the first one's log.
    let _ = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
