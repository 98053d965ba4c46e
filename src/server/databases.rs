//! The databases under policies, opened as they are first wanted, and what all sessions are told.
//!
//! Joins policy and catalog to what a session may be and see. It knows no session; sessions are told by the epoch
//! that something changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::admission::{Admission, Denial, Identity};
use super::database::{Database, keep_up};
use super::drive::{Orders, Renewal};
use super::materials::{InForce, Materials};
use super::view::RoleView;
use crate::config::Config;
use crate::ident::DatabaseName;
use crate::metrics::Metrics;
use crate::upstream::connect::Target;
use crate::upstream::control::ControlLogin;

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
        let materials = self.materials.load();
        let policy = self.policy(&materials, name)?;
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
            database.refresh(self).await.map_err(Denial::NotReady)?;
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
        RoleView::new(view, role.clone())
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

    /// Has a database's catalog read again; false when it cannot be read. One that passes untreated has none to read.
    pub async fn reread(self: Arc<Self>, database: Option<Arc<Database>>) -> bool {
        match database {
            Some(database) => database.refresh(&self).await.is_ok(),
            None => true,
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
            database.rebind(self);
        }
        self.changed();
    }

    /// What is not ready, one line each, with names.
    pub fn not_ready(&self) -> Vec<String> {
        let open: Vec<_> = self.lock().values().cloned().collect();
        open.iter()
            .flat_map(|database| database.not_ready())
            .collect()
    }

    /// Tells the sessions that policy, catalog or keys have changed.
    pub(super) fn changed(&self) {
        self.orders.send_modify(|orders| orders.epoch += 1);
    }

    /// Where it is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The policy of a database among these.
    pub(super) fn policy<'m>(
        &self,
        materials: &'m Materials,
        name: &DatabaseName,
    ) -> Option<&'m Arc<InForce>> {
        materials.policy(self.config.database(name.as_str())?)
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
        let database = Arc::new(Database::new(name.clone(), login));
        open.insert(name.clone(), Arc::clone(&database));
        tokio::spawn(keep_up(Arc::downgrade(self), Arc::downgrade(&database)));
        Ok(database)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DatabaseName, Arc<Database>>> {
        // What is under the lock is whole after every step.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
