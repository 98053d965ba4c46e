//! One database under a policy: its view, read again whenever its catalog may have changed.
//!
//! A view is published whole or not at all: while the catalog cannot be read, the last view stands, and who asks
//! for readiness is told. It knows no session.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;

use super::databases::Databases;
use super::view::View;
use crate::catalog::Snapshot;
use crate::ident::DatabaseName;
use crate::limits::{
    CATALOG_LOAD_MS, CATALOG_PAUSE_MS, CATALOG_POLL_MS, CONTROL_BACKOFF_MAX_MS,
    CONTROL_BACKOFF_MIN_MS,
};
use crate::metrics::Alarm;
use crate::policy::bind::bind;
use crate::upstream::catalog;
use crate::upstream::control::ControlLogin;
use crate::values::Vault;

/// One database under a policy.
pub struct Database {
    name: DatabaseName,
    login: ControlLogin,
    view: ArcSwapOption<View>,
    /// one load at a time
    reader: AsyncMutex<Reader>,
    /// loads asked for so far
    asked: AtomicU64,
    /// why the last load failed
    fault: ArcSwapOption<String>,
    /// somebody wants a load now
    wanted: Arc<Notify>,
    versions: AtomicU64,
    publishing: Mutex<()>,
}

/// Who reads the catalog.
struct Reader {
    /// the connection, kept from one load to the next
    client: Option<Client>,
    /// how many of the loads asked for the last one has answered
    answered: u64,
    /// what came of it
    outcome: Result<(), String>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.name)
    }
}

impl Database {
    /// One that nothing is known of yet.
    pub(super) fn new(name: DatabaseName, login: ControlLogin) -> Self {
        Self {
            name,
            login,
            view: ArcSwapOption::empty(),
            reader: AsyncMutex::new(Reader {
                client: None,
                answered: 0,
                outcome: Ok(()),
            }),
            asked: AtomicU64::new(0),
            fault: ArcSwapOption::empty(),
            wanted: Arc::default(),
            versions: AtomicU64::new(0),
            publishing: Mutex::default(),
        }
    }

    /// What is in force; None until the catalog was read once.
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Asks for the catalog to be read soon.
    pub fn request_refresh(&self) {
        self.wanted.notify_one();
    }

    /// Returns once what is in force is what the catalog held when this was called, or later. Who asks while another
    /// reads waits for one load more, however many ask.
    ///
    /// # Errors
    /// Why the catalog cannot be read.
    pub(super) async fn refresh(&self, databases: &Databases) -> Result<(), String> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut reader = self.reader.lock().await;
        if reader.answered >= asked {
            return reader.outcome.clone();
        }
        let answers = self.asked.load(Ordering::SeqCst);
        let outcome = self.load(&mut reader.client, databases).await;
        if outcome.is_err() {
            reader.client = None;
        }
        self.fault
            .store(outcome.as_ref().err().cloned().map(Arc::new));
        // Told before anybody goes on who waited for it.
        if outcome == Ok(true) {
            databases.changed();
        }
        reader.answered = answers;
        reader.outcome = outcome.map(|_| ());
        reader.outcome.clone()
    }

    /// True when what is in force has changed.
    async fn load(&self, slot: &mut Option<Client>, databases: &Databases) -> Result<bool, String> {
        let open = slot.take().filter(|client| !client.is_closed());
        let client = match open {
            Some(client) => client,
            None => {
                let opened = self.login.open_listening(Arc::clone(&self.wanted)).await;
                opened.map_err(|fault| fault.to_string())?
            }
        };
        let client = slot.insert(client);
        let now = self.view();
        let known = now.as_deref().map(|view| &*view.snapshot);
        let read = catalog::load(client, known);
        let limit = Duration::from_millis(CATALOG_LOAD_MS);
        let snapshot = tokio::time::timeout(limit, read)
            .await
            .map_err(|_| "reading the catalog: the server did not answer in time".to_owned())?
            .map_err(|fault| fault.to_string())?;
        self.publish(databases, Some(snapshot))
    }

    /// Binds the policy in force to a snapshot, or anew to the one in use. True when what is in force has changed.
    fn publish(&self, databases: &Databases, read: Option<Snapshot>) -> Result<bool, String> {
        // One at a time, and policy and snapshot are taken inside: the last to publish has the latest of both.
        let _one = self.publishing.lock();
        let now = self.view();
        let materials = databases.materials();
        let policy = databases.policy(&materials, &self.name);
        let (Some(policy), Some(keyring)) = (policy, &materials.keyring) else {
            return Err("no policy and keyring for it".to_owned());
        };
        let changed = read.filter(|read| {
            now.as_ref()
                .is_none_or(|view| view.snapshot.version != read.version)
        });
        let snapshot = match (changed, &now) {
            (Some(snapshot), _) => Arc::new(snapshot),
            (None, None) => return Ok(false),
            (None, Some(view)) if Arc::ptr_eq(&view.policy, policy) => return Ok(false),
            (None, Some(view)) => Arc::clone(&view.snapshot),
        };
        let version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let (bound, faults) = bind(&policy.policy, &snapshot, version, |domain| {
            keyring.domain(domain).map(|keys| keys.id())
        });
        let metrics = databases.metrics();
        if let Some(view) = &now {
            metrics.policy(&self.name, &view.policy.version, false);
        }
        metrics.policy(&self.name, &policy.version, true);
        self.view.store(Some(Arc::new(View {
            version,
            counters: View::counters(&bound, metrics),
            roles: View::roles(&policy.policy, &snapshot, &bound, metrics),
            policy: Arc::clone(policy),
            vault: Vault::new(keyring, &bound, &snapshot),
            snapshot,
            bound,
            faults,
        })));
        Ok(true)
    }

    /// Binds another policy to the snapshot in use, so that it is in force also while the catalog cannot be read.
    pub(super) fn rebind(&self, databases: &Databases) {
        if let Err(fault) = self.publish(databases, None) {
            self.fault.store(Some(Arc::new(fault)));
        }
        self.request_refresh();
    }

    /// What is not ready in it, one line each.
    pub(super) fn not_ready(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(fault) = self.fault.load_full() {
            lines.push(format!("database {}: {fault}", self.name));
        }
        match self.view() {
            None => lines.push(format!(
                "database {}: its catalog was never read",
                self.name
            )),
            Some(view) => {
                let database = &self.name;
                for fault in &view.faults {
                    lines.push(format!("database {database}: {}", fault.fault));
                }
                for (attribute, fault) in view.vault.faults() {
                    if view
                        .faults
                        .iter()
                        .all(|known| known.attribute != *attribute)
                    {
                        lines.push(format!("database {database}: {attribute}: {fault}"));
                    }
                }
            }
        }
        lines
    }
}

/// Reads a database's catalog again and again, until the server is gone: when something said that it changed, and
/// every few seconds. After a failure it waits, longer each time.
pub(super) async fn keep_up(databases: Weak<Databases>, database: Weak<Database>) {
    let mut backoff_ms = None;
    loop {
        match backoff_ms {
            Some(ms) => sleep(Duration::from_millis(ms)).await,
            None => {
                let Some(wanted) = database.upgrade().map(|it| Arc::clone(&it.wanted)) else {
                    return;
                };
                // Either is a reason to look.
                let _ = timeout(Duration::from_millis(CATALOG_POLL_MS), wanted.notified()).await;
            }
        }
        let (Some(databases), Some(database)) = (databases.upgrade(), database.upgrade()) else {
            return;
        };
        match database.refresh(&databases).await {
            Ok(()) => {
                backoff_ms = None;
                // Whoever may NOTIFY must not keep the server busy with it.
                sleep(Duration::from_millis(CATALOG_PAUSE_MS)).await;
            }
            Err(fault) => {
                databases.metrics().alarm(Alarm::Control);
                tracing::warn!(database = %database.name, fault, "the catalog could not be read");
                let next = backoff_ms.map_or(CONTROL_BACKOFF_MIN_MS, |ms| ms * 2);
                backoff_ms = Some(next.min(CONTROL_BACKOFF_MAX_MS));
            }
        }
    }
}
