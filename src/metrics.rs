//! Every metric of pgveil, by name, with label sets that cannot grow without bound.
//!
//! Callers name what happened by type, never by text; names of roles, domains and databases come from the policy and
//! the configuration, and beyond [`METRIC_NAMES_MAX`] of a kind they are counted as `other`. Knows no value, no
//! statement text, and nothing of who calls it.

mod labels;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::ident::{DatabaseName, DomainName, RoleName};
use crate::limits::METRIC_NAMES_MAX;

pub use labels::{Action, Alarm, Kind, LoginMethod, LoginOutcome, Outcome, Path, Reason};

/// The media type of [`Metrics::render`] (Prometheus text exposition format 0.0.4).
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// The counters of one domain's values, each found once: they are counted up for every value of a result.
pub struct ValueCounters {
    metrics: Metrics,
    domain: String,
    counters: [OnceLock<IntCounter>; Action::ALL.len()],
}

impl fmt::Debug for ValueCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueCounters({})", self.domain)
    }
}

impl ValueCounters {
    /// A value was treated.
    pub fn count(&self, action: Action) {
        let labels = [&*self.domain, action.as_str()];
        self.counters[action as usize]
            .get_or_init(|| self.metrics.0.values.with_label_values(&labels))
            .inc();
    }
}

/// The counters of one session's statements, each found once.
pub struct StatementCounters {
    metrics: Metrics,
    role: String,
    /// few: a session sends a handful of kinds
    counters: Vec<((Kind, Path, Outcome), IntCounter)>,
}

impl StatementCounters {
    /// A statement has ended.
    pub fn count(&mut self, kind: Kind, path: Path, outcome: Outcome) {
        let wanted = (kind, path, outcome);
        let found = self.counters.iter().find(|(labels, _)| *labels == wanted);
        if let Some((_, counter)) = found {
            return counter.inc();
        }
        let labels = [&*self.role, kind.as_str(), path.as_str(), outcome.as_str()];
        let counter = self.metrics.0.statements.with_label_values(&labels);
        counter.inc();
        self.counters.push((wanted, counter));
    }
}

/// All metrics. Cheap to clone: clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    statements: IntCounterVec,
    duration: Histogram,
    added: Histogram,
    upstream: Histogram,
    values: IntCounterVec,
    refusals: IntCounterVec,
    sessions: IntGauge,
    logins: IntCounterVec,
    plan_cache_hits: IntCounter,
    plan_cache_misses: IntCounter,
    audit_lag: IntGauge,
    tasks: IntGauge,
    policy_info: IntGaugeVec,
    alarms: IntCounterVec,
    roles: Names,
    domains: Names,
    databases: Names,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// The names seen of one kind; a label's value is one of them or `other`.
#[derive(Default)]
struct Names(Mutex<HashSet<String>>);

impl Names {
    fn bounded<'n>(&self, name: &'n str) -> &'n str {
        // A set of names is whole after any panic.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(name) {
            return name;
        }
        if seen.len() >= METRIC_NAMES_MAX {
            return "other";
        }
        seen.insert(name.to_owned());
        name
    }
}

/// Seconds, from 5 µs (what a hit in the plan cache adds) to 10 s.
const BUCKETS_SECONDS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("names, labels and buckets are constants of this file");
    registry
        .register(Box::new(collector.clone()))
        .expect("each name stands once in this file");
    collector
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS_SECONDS.to_vec());
    registered(registry, Histogram::with_opts(options))
}

/// A gauge of no labels.
fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help))
}

/// A counter of no labels.
fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(name, help))
}

/// Every metric: name, help, labels.
impl Inner {
    fn new(r: Registry) -> Self {
        Self {
            statements: counters(
                &r,
                "pgveil_statements_total",
                STATEMENTS,
                &["role", "kind", "path", "outcome"],
            ),
            duration: seconds(&r, "pgveil_statement_seconds", DURATION),
            added: seconds(&r, "pgveil_added_seconds", ADDED),
            upstream: seconds(&r, "pgveil_upstream_seconds", UPSTREAM),
            values: counters(&r, "pgveil_values_total", VALUES, &["domain", "action"]),
            refusals: counters(&r, "pgveil_refusals_total", REFUSALS, &["reason"]),
            sessions: gauge(&r, "pgveil_sessions", "Sessions logged in now"),
            logins: counters(&r, "pgveil_logins_total", LOGINS, &["method", "outcome"]),
            plan_cache_hits: counter(&r, "pgveil_plan_cache_hits_total", HITS),
            plan_cache_misses: counter(&r, "pgveil_plan_cache_misses_total", MISSES),
            audit_lag: gauge(&r, "pgveil_audit_lag_records", AUDIT_LAG),
            tasks: gauge(&r, "pgveil_tasks", TASKS),
            policy_info: registered(
                &r,
                IntGaugeVec::new(
                    Opts::new("pgveil_policy_info", POLICY_INFO),
                    &["database", "version"],
                ),
            ),
            alarms: counters(&r, "pgveil_alarms_total", "Alarms, by kind", &["kind"]),
            roles: Names::default(),
            domains: Names::default(),
            databases: Names::default(),
            registry: r,
        }
    }
}

const STATEMENTS: &str = "Statements, by role, kind, path and outcome";
const DURATION: &str = "Time from a client's message to the end of its answer";
const ADDED: &str = "Time from a client's message until it was handed to the server: analysis, sealing, the audit's \
                     begin record";
const UPSTREAM: &str = "Time from when the server had a statement, and had answered what came before it, to the end \
                        of its answer";
const VALUES: &str = "Values of treated attributes, by domain and what was done to them";
const REFUSALS: &str = "Refused statements, by reason";
const LOGINS: &str = "Logins, by method and outcome";
const HITS: &str = "Texts naming something treated whose rewriting the plan cache had";
const MISSES: &str = "Texts naming something treated that were analysed";
const AUDIT_LAG: &str = "Audit records handed to the writer and not yet written";
const TASKS: &str =
    "Tasks of the runtime: one a client, those that look after databases, files and the audit";
const POLICY_INFO: &str = "1 for the policy in force of a database";

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own, everything at zero.
    pub fn new() -> Self {
        let metrics = Self(Arc::new(Inner::new(Registry::new())));
        metrics.start_at_zero();
        metrics
    }

    /// Makes what an alert rule watches present before it first happens.
    fn start_at_zero(&self) {
        for reason in Reason::ALL {
            self.0.refusals.with_label_values(&[reason.as_str()]);
        }
        for kind in Alarm::ALL {
            self.0.alarms.with_label_values(&[kind.as_str()]);
        }
    }

    /// What counts the statements of a role.
    pub fn statements(&self, role: &RoleName) -> StatementCounters {
        StatementCounters {
            metrics: self.clone(),
            role: self.0.roles.bounded(role.as_str()).to_owned(),
            counters: Vec::new(),
        }
    }

    /// The times of a statement: from the client's message to the end of its answer, and of that what passed before
    /// the server had it, and what the server took; None where the server never had it.
    pub fn times(&self, whole: Duration, added: Option<Duration>, upstream: Option<Duration>) {
        self.0.duration.observe(whole.as_secs_f64());
        if let Some(added) = added {
            self.0.added.observe(added.as_secs_f64());
        }
        if let Some(upstream) = upstream {
            self.0.upstream.observe(upstream.as_secs_f64());
        }
    }

    /// What counts the values of a domain.
    pub fn values(&self, domain: &DomainName) -> ValueCounters {
        ValueCounters {
            metrics: self.clone(),
            domain: self.0.domains.bounded(domain.as_str()).to_owned(),
            counters: Default::default(),
        }
    }

    /// The plan cache was asked for a text that names something treated.
    pub fn plan_cache(&self, hit: bool) {
        match hit {
            true => self.0.plan_cache_hits.inc(),
            false => self.0.plan_cache_misses.inc(),
        }
    }

    /// A statement was refused.
    pub fn refusal(&self, reason: Reason) {
        self.0.refusals.with_label_values(&[reason.as_str()]).inc();
    }

    /// A session is logged in, until what this gives is dropped.
    pub fn session(&self) -> SessionCounted {
        self.0.sessions.inc();
        SessionCounted(self.clone())
    }

    /// A login was tried.
    pub fn login(&self, method: LoginMethod, outcome: LoginOutcome) {
        self.0
            .logins
            .with_label_values(&[method.as_str(), outcome.as_str()])
            .inc();
    }

    /// The audit has so many records more (or fewer) before its writer.
    pub fn audit_lag(&self, change: i64) {
        self.0.audit_lag.add(change);
    }

    /// So many tasks of the runtime live.
    pub fn tasks(&self, alive: usize) {
        self.0.tasks.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    /// This version (a digest of its text, say) of a policy is in force for the database.
    pub fn policy(&self, database: &DatabaseName, version: &str, in_force: bool) {
        let database = self.0.databases.bounded(database.as_str());
        if in_force {
            self.0
                .policy_info
                .with_label_values(&[database, version])
                .set(1);
        } else {
            // Not there is as good as removed.
            let _ = self.0.policy_info.remove_label_values(&[database, version]);
        }
    }

    /// Something an operator must look at.
    pub fn alarm(&self, kind: Alarm) {
        self.0.alarms.with_label_values(&[kind.as_str()]).inc();
    }

    /// The page for `/metrics`, of [`MEDIA_TYPE`].
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.0.registry.gather())
            .expect("writing to a String does not fail, and every family has a name and a metric")
    }
}

/// Counts one session while it lives.
#[derive(Debug)]
pub struct SessionCounted(Metrics);

impl Drop for SessionCounted {
    fn drop(&mut self) {
        self.0.0.sessions.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_name() {
        let metrics = Metrics::new();
        let role = RoleName::new("app");
        let mut statements = metrics.statements(&role);
        for path in [Path::Rewritten, Path::Untouched, Path::Rewritten] {
            statements.count(Kind::of_command("select"), path, Outcome::Done);
        }
        metrics.times(
            Duration::from_micros(7),
            Some(Duration::from_micros(2)),
            None,
        );
        let values = metrics.values(&DomainName::new("email"));
        (0..12).for_each(|_| values.count(Action::Open));
        metrics.refusal(Reason::of_word("policy"));
        metrics.login(LoginMethod::Scram, LoginOutcome::Done);
        metrics.audit_lag(3);
        metrics.tasks(9);
        metrics.policy(&DatabaseName::new("crm"), "1a2b", true);
        metrics.alarm(Alarm::NotAuthentic);
        let session = metrics.session();
        let page = metrics.render();
        for line in [
            "pgveil_statements_total{kind=\"select\",outcome=\"done\",path=\"rewritten\",role=\"app\"} 2",
            "pgveil_statement_seconds_count 1",
            "pgveil_added_seconds_count 1",
            "pgveil_upstream_seconds_count 0",
            "pgveil_values_total{action=\"open\",domain=\"email\"} 12",
            "pgveil_refusals_total{reason=\"policy\"} 1",
            "pgveil_refusals_total{reason=\"parse\"} 0",
            "pgveil_sessions 1",
            "pgveil_logins_total{method=\"scram_sha_256\",outcome=\"done\"} 1",
            "pgveil_audit_lag_records 3",
            "pgveil_tasks 9",
            "pgveil_policy_info{database=\"crm\",version=\"1a2b\"} 1",
            "pgveil_alarms_total{kind=\"not_authentic\"} 1",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        drop(session);
        metrics.policy(&DatabaseName::new("crm"), "1a2b", false);
        let page = metrics.render();
        assert!(page.contains("pgveil_sessions 0"));
        assert!(!page.contains("1a2b"));
    }

    #[test]
    fn names_are_bounded() {
        let metrics = Metrics::new();
        for i in 0..METRIC_NAMES_MAX + 10 {
            let domain = DomainName::new(format!("d{i}"));
            metrics.values(&domain).count(Action::Seal);
        }
        let page = metrics.render();
        let series = page.matches("pgveil_values_total{").count();
        assert_eq!(series, METRIC_NAMES_MAX + 1);
        assert!(page.contains("domain=\"other\"} 10"));
    }

    #[test]
    fn an_unknown_word_is_counted_and_not_a_label() {
        assert_eq!(Reason::of_word("something new"), Reason::Other);
        assert_eq!(Kind::of_command("VACUUM"), Kind::Other);
    }
}
