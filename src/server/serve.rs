//! A whole pgveil in one process: from a configuration to listening sockets, and back to nothing.
//!
//! `serve` of the command line, the demo and the tests start the same [`Server`]. It puts the parts together and
//! decides nothing.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::RecommendedWatcher;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::accept::Service;
use super::admission::LoginContext;
use super::databases::Databases;
use super::http::{self, Pages};
use super::listener::Listeners;
use super::materials::Materials;
use super::open_files;
use super::reload::{self, settled, watch};
use super::supervisor::{self, State};
use crate::audit::{self, AuditFault, Recorder};
use crate::config::{AuditSync, Config};
use crate::document::Fault;
use crate::limits::READINESS_LOOK_MS;
use crate::metrics::{Alarm, Metrics};
use crate::upstream::connect::Target;

/// Why a server did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeFault {
    /// Files that the configuration names cannot be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files(Vec<Fault>),
    /// The audit cannot be written: nothing runs unrecorded.
    #[error(transparent)]
    Audit(#[from] AuditFault),
    /// A socket cannot be listened on.
    #[error("cannot listen on {address}: {kind}")]
    Listen {
        /// which
        address: SocketAddr,
        /// what the system answered
        kind: std::io::ErrorKind,
    },
    /// A Unix socket cannot be made.
    #[error("cannot listen in {}: {kind}", directory.display())]
    Socket {
        /// where
        directory: PathBuf,
        /// what the system answered
        kind: std::io::ErrorKind,
    },
    /// The system refuses signals or threads.
    #[error("the system refuses {0}")]
    System(&'static str),
}

/// A running pgveil. Dropped, it ends at once; [`Server::stop`] lets sessions end first.
pub struct Server {
    address: SocketAddr,
    http_address: Option<SocketAddr>,
    config: Arc<Config>,
    service: Arc<Service>,
    serving: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    http_stop: Option<oneshot::Sender<()>>,
    _watcher: Option<RecommendedWatcher>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

impl Server {
    /// Reads everything the configuration names, listens, and serves. A database that cannot be read yet keeps
    /// nobody else waiting: it is tried again, and `/readyz` says so.
    ///
    /// # Errors
    /// [`ServeFault`]; nothing runs then.
    pub async fn start(config: Config) -> Result<Self, ServeFault> {
        let config = Arc::new(config);
        let (service, metrics) = put_together(&config).await?;
        let listener = listen(config.listen.address).await?;
        let address = address_of(&listener, config.listen.address)?;
        let directory = config.listen.socket_directory.as_deref();
        let listeners = Listeners::new(listener, directory).await;
        let listeners = listeners.map_err(|error| ServeFault::Socket {
            directory: directory.map(Path::to_owned).unwrap_or_default(),
            kind: error.kind(),
        })?;
        let mut others = Vec::new();
        let (http_stop, stopped) = oneshot::channel();
        let mut http_address = None;
        if let Some(wanted) = config.http {
            let listener = listen(wanted).await?;
            http_address = Some(address_of(&listener, wanted)?);
            let pages = pages(&service, &metrics);
            others.push(tokio::spawn(async move {
                let stop = async {
                    // A dropped sender is a stop too.
                    let _ = stopped.await;
                };
                if let Err(error) = http::serve(listener, pages, stop).await {
                    tracing::error!(kind = ?error.kind(), "the HTTP side has ended");
                }
            }));
        }
        for (name, fault) in service.databases.open_named().await {
            tracing::error!(database = %name, fault, "not ready; it is tried again");
        }
        let changed = Arc::new(Notify::new());
        let watcher = watch(&config, Arc::clone(&changed))
            .inspect_err(
                |error| tracing::warn!(kind = ?error.kind, "files are not watched; use SIGHUP"),
            )
            .ok();
        others.push(tokio::spawn(follow_files(
            Arc::clone(&config),
            Arc::clone(&service),
            changed,
        )));
        others.push(tokio::spawn(look_for_readiness(Arc::clone(&service))));
        let serving = {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.serve(listeners).await })
        };
        instance(&service, audit::Outcome::Begun).await?;
        tracing::info!(%address, "serving");
        Ok(Self {
            address,
            http_address,
            config,
            service,
            serving,
            others,
            http_stop: Some(http_stop),
            _watcher: watcher,
        })
    }

    /// Where clients connect to; the port is the one the system chose when the configuration said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the HTTP side listens.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// What is not ready, one line each, as `/readyz` says it.
    pub fn not_ready(&self) -> Vec<String> {
        not_ready(&self.service)
    }

    /// Reads policies, keyring and certificates again, whole or not at all.
    ///
    /// # Errors
    /// Every fault; what was in force stays.
    pub async fn reload(&self) -> Result<(), Vec<Fault>> {
        reload::reload(&self.config, &self.service).await
    }

    /// Takes no more clients, lets sessions end when they are idle, ends the others when the time to drain is up,
    /// closes the audit.
    ///
    /// # Errors
    /// That records could not be written.
    pub async fn stop(mut self) -> Result<(), ServeFault> {
        self.service.drain();
        // It ends by itself within a named time; that it crashed changes nothing here.
        let _ = (&mut self.serving).await;
        if let Some(stop) = self.http_stop.take() {
            let _ = stop.send(());
        }
        for task in &self.others {
            task.abort();
        }
        instance(&self.service, audit::Outcome::Done).await?;
        if let Some(recorder) = &self.service.recorder {
            recorder.close().await?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.service.databases.drain();
        self.serving.abort();
        for task in &self.others {
            task.abort();
        }
    }
}

/// Serves until SIGTERM or SIGINT, then drains; a second one ends it at once. SIGHUP reads the files again.
///
/// # Errors
/// [`ServeFault`].
pub async fn run(config: Config) -> Result<(), ServeFault> {
    let refused = |_| ServeFault::System("signal handlers");
    let mut hangup = signal(SignalKind::hangup()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    open_files::provide(config.listen.sessions_max);
    let server = Server::start(config).await?;
    supervisor::tell(State::Ready);
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                // What was wrong is told where it was found.
                let _ = server.reload().await;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    supervisor::tell(State::Stopping);
    tracing::info!("draining; a second signal ends it at once");
    let databases = Arc::clone(&server.service.databases);
    let mut stopped = std::pin::pin!(server.stop());
    loop {
        tokio::select! {
            stopped = &mut stopped => return stopped,
            _ = terminate.recv() => databases.end(),
            _ = interrupt.recv() => databases.end(),
        }
    }
}

async fn put_together(config: &Arc<Config>) -> Result<(Arc<Service>, Metrics), ServeFault> {
    let read = {
        let config = Arc::clone(config);
        tokio::task::spawn_blocking(move || Materials::read(&config)).await
    };
    let materials = read
        .map_err(|_| ServeFault::System("a thread"))?
        .map_err(ServeFault::Files)?;
    for warning in &materials.warnings {
        tracing::warn!(%warning, "allowed, and probably not meant");
    }
    let metrics = Metrics::new();
    let file = |fault| ServeFault::Files(vec![fault]);
    let target = Target::configured(&config.upstream).map_err(file)?;
    let databases = Arc::new(Databases::new(
        Arc::clone(config),
        target,
        (materials, metrics.clone()),
    ));
    let materials = databases.materials();
    let recorder = match &materials.keyring {
        None => None,
        Some(keyring) => {
            let mut settings = audit::Settings::new(&config.audit.directory);
            settings.sync = match config.audit.sync {
                AuditSync::Interval => audit::Sync::Interval,
                AuditSync::Always => audit::Sync::Always,
            };
            Some(Recorder::start(settings, keyring, Some(metrics.clone()))?)
        }
    };
    let admit = {
        let databases = Arc::clone(&databases);
        Box::new(move |identity: &_| databases.admit(identity))
    };
    let context = LoginContext::configured(config, materials.keyring.as_ref(), admit)
        .map_err(ServeFault::Files)?;
    let outside = (recorder, metrics.clone());
    let service = Service::new(context, databases, outside, config.listen.clone());
    Ok((Arc::new(service), metrics))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeFault> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeFault::Listen {
            address,
            kind: error.kind(),
        })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, ServeFault> {
    listener.local_addr().map_err(|error| ServeFault::Listen {
        address: asked,
        kind: error.kind(),
    })
}

fn pages(service: &Arc<Service>, metrics: &Metrics) -> Pages {
    let (metrics, service) = (metrics.clone(), Arc::clone(service));
    Pages {
        metrics: Arc::new(move || {
            metrics.tasks(
                tokio::runtime::Handle::current()
                    .metrics()
                    .num_alive_tasks(),
            );
            metrics.render()
        }),
        not_ready: Arc::new(move || not_ready(&service)),
    }
}

fn not_ready(service: &Service) -> Vec<String> {
    let mut lines = service.databases.not_ready();
    if service.databases.is_draining() {
        lines.push("draining".to_owned());
    }
    if let Some(fault) = service.recorder.as_ref().and_then(|r| r.check().err()) {
        lines.push(format!("audit: {fault}"));
    }
    lines
}

async fn instance(service: &Service, outcome: audit::Outcome) -> Result<(), AuditFault> {
    let Some(recorder) = &service.recorder else {
        return Ok(());
    };
    let who = audit::Who::instance();
    let record = audit::Record::new(who, audit::Kind::Instance, outcome);
    recorder.written(record).await.map(|_| ())
}

async fn follow_files(config: Arc<Config>, service: Arc<Service>, changed: Arc<Notify>) {
    loop {
        settled(&changed).await;
        // What was wrong is told where it was found.
        let _ = reload::reload(&config, &service).await;
    }
}

/// Raises an alarm, and says it in the log, whenever something stops being ready.
async fn look_for_readiness(service: Arc<Service>) {
    let mut known: Vec<String> = Vec::new();
    loop {
        let now = not_ready(&service);
        for line in now.iter().filter(|line| !known.contains(line)) {
            service.metrics.alarm(Alarm::NotReady);
            tracing::warn!(what = line, "not ready");
        }
        known = now;
        tokio::time::sleep(Duration::from_millis(READINESS_LOOK_MS)).await;
    }
}
