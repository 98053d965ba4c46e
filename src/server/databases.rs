//! The databases under a policy: each one's view, kept up with the catalog, the policy and the keys.
//!
//! A view is published whole or not at all: while a database cannot be read, the last view stands, and who asks
//! for readiness is told. It knows no session; sessions are told by the epoch that something changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio_postgres::Client;

use super::admission::{Admission, Denial, Identity};
use super::drive::{Orders, Renewal};
use super::materials::Materials;
use super::view::{RoleView, View};
use crate::catalog::Snapshot;
use crate::config::Config;
use crate::ident::DatabaseName;
use crate::limits::{CATALOG_LOAD_MS, CATALOG_POLL_MS};
use crate::metrics::{Alarm, Metrics};
use crate::policy::bind::bind;
use crate::upstream::catalog;
use crate::upstream::connect::Target;
use crate::upstream::control::ControlLogin;
use crate::values::Vault;

/// One database under a policy.
pub struct Database {
    name: DatabaseName,
    login: ControlLogin,
    view: ArcSwapOption<View>,
    /// the connection the catalog is read over; one load at a time
    client: AsyncMutex<Option<Client>>,
    /// why the last load failed
    fault: ArcSwapOption<String>,
    /// somebody wants a load now
    wanted: Notify,
    versions: AtomicU64,
    publishing: Mutex<()>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({})", self.name)
    }
}

impl Database {
    /// What is in force; None until the catalog was read once.
    pub fn view(&self) -> Option<Arc<View>> {
        self.view.load_full()
    }

    /// Asks for the catalog to be read soon: after DDL through pgveil.
    pub fn request_refresh(&self) {
        self.wanted.notify_one();
    }

    /// Reads the catalog and binds the policy to it. True when what is in force has changed.
    async fn refresh(&self, databases: &Databases) -> Result<bool, String> {
        let mut slot = self.client.lock().await;
        let result = self.load(&mut slot, databases).await;
        if result.is_err() {
            *slot = None;
        }
        self.fault
            .store(result.as_ref().err().cloned().map(Arc::new));
        result
    }

    async fn load(&self, slot: &mut Option<Client>, databases: &Databases) -> Result<bool, String> {
        let open = slot.take().filter(|client| !client.is_closed());
        let client = match open {
            Some(client) => client,
            None => self.login.open().await.map_err(|fault| fault.to_string())?,
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
        let materials = databases.materials.load_full();
        let entry = databases.config.database(self.name.as_str());
        let (Some(policy), Some(keyring)) = (
            entry.and_then(|entry| materials.policy(entry)),
            &materials.keyring,
        ) else {
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
        let metrics = &databases.metrics;
        if let Some(view) = &now {
            metrics.policy(&self.name, &view.policy.version, false);
        }
        metrics.policy(&self.name, &policy.version, true);
        self.view.store(Some(Arc::new(View {
            version,
            reaches: View::reaches(&policy.policy, &snapshot, &bound),
            policy: Arc::clone(policy),
            vault: Vault::new(keyring, &bound, &snapshot),
            snapshot,
            bound,
            faults,
        })));
        Ok(true)
    }

    /// What is not ready in it, one line each.
    fn not_ready(&self) -> Vec<String> {
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

/// All databases under policies, opened as they are first wanted.
pub struct Databases {
    config: Arc<Config>,
    target: Target,
    materials: ArcSwap<Materials>,
    open: Mutex<BTreeMap<DatabaseName, Arc<Database>>>,
    orders: watch::Sender<Orders>,
    metrics: Metrics,
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Databases")
    }
}

impl Databases {
    /// Knows the configuration's databases; opens none yet.
    pub fn new(
        config: Arc<Config>,
        target: Target,
        (materials, metrics): (Materials, Metrics),
    ) -> Self {
        Self {
            config,
            target,
            materials: ArcSwap::from_pointee(materials),
            open: Mutex::default(),
            orders: watch::Sender::new(Orders::default()),
            metrics,
        }
    }

    /// What sessions listen to.
    pub fn orders(&self) -> watch::Receiver<Orders> {
        self.orders.subscribe()
    }

    /// The policies and the keyring in force.
    pub fn materials(&self) -> Arc<Materials> {
        self.materials.load_full()
    }

    /// Tells all sessions to end when they are idle.
    pub fn drain(&self) {
        self.orders.send_modify(|orders| orders.draining = true);
    }

    /// Tells all sessions to end now.
    pub fn end(&self) {
        self.orders.send_modify(|orders| orders.ending = true);
    }

    /// Whether sessions are told to end.
    pub fn is_draining(&self) -> bool {
        self.orders.borrow().draining
    }

    /// How long a session of that role may be idle, by the policy in force.
    pub fn idle_timeout(&self, name: &DatabaseName, admission: &Admission) -> Option<Duration> {
        let entry = self.config.database(name.as_str())?;
        let materials = self.materials.load();
        let policy = materials.policy(entry)?;
        policy.policy.role(admission.role.as_ref()?)?.idle_timeout()
    }

    /// Whether the policy lets a login in, and as what.
    ///
    /// # Errors
    /// [`Denial`].
    pub fn admit(&self, identity: &Identity) -> Result<Admission, Denial> {
        let name = identity.database.as_str();
        let entry = self.config.database(name).ok_or(Denial::NoDatabase)?;
        if entry.policy.is_none() {
            return Ok(Admission::untreated());
        }
        let materials = self.materials.load();
        let policy = materials
            .policy(entry)
            .ok_or_else(|| Denial::NotReady("its policy is not loaded".to_owned()))?;
        Admission::by_policy(&policy.policy, identity)
    }

    /// The database, its catalog read; None where its policy is `none`.
    ///
    /// # Errors
    /// [`Denial`] when it is named nowhere, or its catalog cannot be read.
    pub async fn enter(
        self: &Arc<Self>,
        name: &DatabaseName,
    ) -> Result<Option<Arc<Database>>, Denial> {
        let entry = self.config.database(name.as_str());
        if entry.ok_or(Denial::NoDatabase)?.policy.is_none() {
            return Ok(None);
        }
        let database = self.database(name).map_err(Denial::NotReady)?;
        if database.view().is_none() {
            self.refresh(&database).await.map_err(Denial::NotReady)?;
        }
        Ok(Some(database))
    }

    /// What a session that was admitted looks through.
    ///
    /// # Errors
    /// [`Denial::NotReady`] while the catalog was never read.
    pub fn role_view(
        &self,
        database: Option<&Arc<Database>>,
        admission: &Admission,
    ) -> Result<RoleView, Denial> {
        let (Some(database), Some(role)) = (database, &admission.role) else {
            return match (database, &admission.role) {
                (None, None) => Ok(RoleView::untreated()),
                _ => Err(Denial::NotReady(
                    "a role and its database do not fit".to_owned(),
                )),
            };
        };
        let view = database
            .view()
            .ok_or_else(|| Denial::NotReady("its catalog was never read".to_owned()))?;
        // Bound to another policy than the one that admitted it: the next epoch brings them together.
        RoleView::new(view, role.clone(), self.metrics.clone())
            .ok_or_else(|| Denial::NotReady("its policy has changed".to_owned()))
    }

    /// What becomes of a session now that something changed: it goes on with a new view, or it is cut because
    /// the policy would not let it in again as what it is.
    pub fn renewal(
        &self,
        identity: &Identity,
        admission: &Admission,
        database: Option<&Arc<Database>>,
    ) -> Renewal<RoleView> {
        if self.admit(identity).as_ref() != Ok(admission) {
            return Renewal::Cut;
        }
        match self.role_view(database, admission) {
            Ok(view) => {
                let idle_timeout = self.idle_timeout(&identity.database, admission);
                Renewal::Follow(Arc::new(view), idle_timeout)
            }
            Err(_) => Renewal::Cut,
        }
    }

    /// Opens every database that the configuration names in full; the fault of each that cannot be read.
    pub async fn open_named(self: &Arc<Self>) -> Vec<(DatabaseName, String)> {
        let mut faults = Vec::new();
        for name in super::materials::named_databases(&self.config) {
            if let Err(Denial::NotReady(fault)) = self.enter(&name).await {
                faults.push((name, fault));
            }
        }
        faults
    }

    /// Puts other policies and another keyring in force, in every open database.
    pub fn replace(&self, materials: Materials) {
        self.materials.store(Arc::new(materials));
        let open: Vec<_> = self.lock().values().cloned().collect();
        for database in open {
            // Bound to the snapshot in use, so that it is in force also while the catalog cannot be read.
            if let Err(fault) = database.publish(self, None) {
                database.fault.store(Some(Arc::new(fault)));
            }
            database.request_refresh();
        }
        self.orders.send_modify(|orders| orders.epoch += 1);
    }

    /// What is not ready, one line each, with names.
    pub fn not_ready(&self) -> Vec<String> {
        let open: Vec<_> = self.lock().values().cloned().collect();
        open.iter()
            .flat_map(|database| database.not_ready())
            .collect()
    }

    async fn refresh(&self, database: &Database) -> Result<(), String> {
        if database.refresh(self).await? {
            self.orders.send_modify(|orders| orders.epoch += 1);
        }
        Ok(())
    }

    /// The database's entry, made when it is first asked for, with a task that keeps it up.
    fn database(self: &Arc<Self>, name: &DatabaseName) -> Result<Arc<Database>, String> {
        let mut open = self.lock();
        if let Some(database) = open.get(name) {
            return Ok(Arc::clone(database));
        }
        let control = &self.config.upstream.control;
        let login = ControlLogin::configured(&self.target, control, name.clone())
            .map_err(|fault| fault.to_string())?;
        let database = Arc::new(Database {
            name: name.clone(),
            login,
            view: ArcSwapOption::empty(),
            client: AsyncMutex::default(),
            fault: ArcSwapOption::empty(),
            wanted: Notify::new(),
            versions: AtomicU64::new(0),
            publishing: Mutex::default(),
        });
        open.insert(name.clone(), Arc::clone(&database));
        tokio::spawn(keep_up(Arc::downgrade(self), Arc::downgrade(&database)));
        Ok(database)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatabaseName, Arc<Database>>> {
        // What is under the lock is whole after every step.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a database's catalog again and again, until the server is gone.
async fn keep_up(databases: std::sync::Weak<Databases>, database: std::sync::Weak<Database>) {
    let pause = Duration::from_millis(CATALOG_POLL_MS);
    loop {
        {
            let Some(database) = database.upgrade() else {
                return;
            };
            let wanted = database.wanted.notified();
            // Either is a reason to look.
            let _ = tokio::time::timeout(pause, wanted).await;
        }
        let (Some(databases), Some(database)) = (databases.upgrade(), database.upgrade()) else {
            return;
        };
        if let Err(fault) = databases.refresh(&database).await {
            databases.metrics.alarm(Alarm::Control);
            tracing::warn!(database = %database.name, fault, "the catalog could not be read");
        }
    }
}
