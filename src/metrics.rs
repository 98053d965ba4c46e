//! Every metric of pgveil, by name, with label sets that cannot grow without bound.
//!
//! Callers name what happened by type, never by text; names of roles, domains and databases come from the policy and
//! the configuration, and beyond [`METRIC_NAMES_MAX`] of a kind they are counted as `other`. Knows no value, no
//! statement text, and nothing of who calls it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::ident::{DatabaseName, DomainName, RoleName};
use crate::limits::METRIC_NAMES_MAX;

/// The media type of [`Metrics::render`] (Prometheus text exposition format 0.0.4).
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

macro_rules! label {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $type {
            /// Every one of them, so that each is on the page from the start, at zero.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The label's value.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

label!(
    /// What kind of statement.
    Kind {
        /// `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`
        Select = "select",
        /// `INSERT`
        Insert = "insert",
        /// `UPDATE`
        Update = "update",
        /// `DELETE`
        Delete = "delete",
        /// `MERGE`
        Merge = "merge",
        /// `COPY`
        Copy = "copy",
        /// `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, …
        Transaction = "transaction",
        /// several statements in one text
        Several = "several",
        /// anything else, and what was not parsed because it met nothing treated
        Other = "other",
    }
);

impl Kind {
    /// The kind of a command by its first word (`SELECT`, …), in any case.
    pub fn of_command(word: &str) -> Self {
        const WORDS: &[(&str, Kind)] = &[
            ("SELECT", Kind::Select),
            ("VALUES", Kind::Select),
            ("TABLE", Kind::Select),
            ("WITH", Kind::Select),
            ("INSERT", Kind::Insert),
            ("UPDATE", Kind::Update),
            ("DELETE", Kind::Delete),
            ("MERGE", Kind::Merge),
            ("COPY", Kind::Copy),
            ("BEGIN", Kind::Transaction),
            ("START", Kind::Transaction),
            ("COMMIT", Kind::Transaction),
            ("END", Kind::Transaction),
            ("ROLLBACK", Kind::Transaction),
            ("ABORT", Kind::Transaction),
            ("SAVEPOINT", Kind::Transaction),
            ("RELEASE", Kind::Transaction),
        ];
        WORDS
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known))
            .map_or(Self::Other, |(_, kind)| *kind)
    }
}

label!(
    /// Which way a statement went.
    Path {
        /// the client's own bytes, not parsed
        Untouched = "untouched",
        /// sent as its plan says
        Rewritten = "rewritten",
        /// not sent
        Refused = "refused",
    }
);

label!(
    /// How a statement ended.
    Outcome {
        /// completed
        Done = "done",
        /// the server reported an error
        Failed = "failed",
        /// pgveil refused it
        Refused = "refused",
        /// cancelled by a client
        Cancelled = "cancelled",
        /// a connection ended before the answer
        Lost = "lost",
    }
);

label!(
    /// What was done to a value.
    Action {
        /// sealed
        Seal = "seal",
        /// opened
        Open = "open",
        /// made a token
        Tokenise = "tokenise",
        /// brought back from a token
        Detokenise = "detokenise",
        /// masked
        Mask = "mask",
    }
);

label!(
    /// Why a statement was refused.
    Reason {
        /// the policy says no
        Policy = "policy",
        /// not understood, or not computable
        Unsupported = "unsupported",
        /// the text does not parse
        Parse = "parse",
        /// the attribute lacks the search word
        SearchMissing = "search_missing",
        /// the database is not as its policy wants it
        NotReady = "not_ready",
        /// nested too deeply
        TooDeep = "too_deep",
        /// a value that its type does not take
        Value = "value",
        /// the audit cannot write
        Audit = "audit",
        /// a message that the protocol does not allow here
        Protocol = "protocol",
        /// a reason without a word of its own: a defect of ours
        Other = "other",
    }
);

impl Reason {
    /// The reason of a refusal by its word.
    pub fn of_word(word: &str) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == word)
            .unwrap_or(Self::Other)
    }
}

label!(
    /// How a login was tried.
    LoginMethod {
        /// SCRAM-SHA-256
        Scram = "scram_sha_256",
        /// SCRAM-SHA-256-PLUS
        ScramPlus = "scram_sha_256_plus",
        /// md5
        Md5 = "md5",
        /// a clear-text password under TLS
        Cleartext = "cleartext_tls",
        /// a client certificate
        Certificate = "certificate",
        /// ended before a method was chosen
        Unchosen = "none",
    }
);

label!(
    /// How a login ended.
    LoginOutcome {
        /// logged in
        Done = "done",
        /// wrong password or unknown user
        WrongPassword = "wrong_password",
        /// no role of the policy matches
        NoRole = "no_role",
        /// the database is named nowhere
        NoDatabase = "no_database",
        /// too many sessions
        TooMany = "too_many",
        /// the client went away, took too long or broke the protocol
        Broken = "broken",
        /// the server refused or could not be reached
        Upstream = "upstream",
    }
);

label!(
    /// What an operator must look at.
    Alarm {
        /// a reload was refused; the old policy, certificates or keyring stay
        ReloadRefused = "reload_refused",
        /// an attribute does not lie in the database as its policy says
        NotReady = "not_ready",
        /// a stored value did not open
        NotAuthentic = "not_authentic",
        /// the audit cannot write
        Audit = "audit",
        /// a treated attribute in a result that the plan did not expect
        UnexpectedColumn = "unexpected_column",
        /// the control connection is gone
        Control = "control",
    }
);

/// All metrics. Cheap to clone: clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    statements: IntCounterVec,
    added: Histogram,
    upstream: Histogram,
    values: IntCounterVec,
    refusals: IntCounterVec,
    sessions: IntGauge,
    logins: IntCounterVec,
    plan_cache_hits: IntCounter,
    plan_cache_misses: IntCounter,
    audit_lag: IntGauge,
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

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own, everything at zero.
    pub fn new() -> Self {
        let r = &Registry::new();
        let metrics = Self(Arc::new(Inner {
            registry: r.clone(),
            statements: counters(
                r,
                "pgveil_statements_total",
                "Statements, by role, kind, path and outcome",
                &["role", "kind", "path", "outcome"],
            ),
            added: seconds(
                r,
                "pgveil_added_seconds",
                "Time that pgveil itself added to a statement",
            ),
            upstream: seconds(
                r,
                "pgveil_upstream_seconds",
                "Time from sending a statement upstream to the end of its answer",
            ),
            values: counters(
                r,
                "pgveil_values_total",
                "Values of treated attributes, by domain and what was done to them",
                &["domain", "action"],
            ),
            refusals: counters(
                r,
                "pgveil_refusals_total",
                "Refused statements, by reason",
                &["reason"],
            ),
            sessions: registered(
                r,
                IntGauge::new("pgveil_sessions", "Sessions logged in now"),
            ),
            logins: counters(
                r,
                "pgveil_logins_total",
                "Logins, by method and outcome",
                &["method", "outcome"],
            ),
            plan_cache_hits: registered(
                r,
                IntCounter::new("pgveil_plan_cache_hits_total", "Plans found in the cache"),
            ),
            plan_cache_misses: registered(
                r,
                IntCounter::new("pgveil_plan_cache_misses_total", "Plans made anew"),
            ),
            audit_lag: registered(
                r,
                IntGauge::new(
                    "pgveil_audit_lag_records",
                    "Audit records handed to the writer and not yet written",
                ),
            ),
            policy_info: registered(
                r,
                IntGaugeVec::new(
                    Opts::new(
                        "pgveil_policy_info",
                        "1 for the policy in force of a database",
                    ),
                    &["database", "version"],
                ),
            ),
            alarms: counters(r, "pgveil_alarms_total", "Alarms, by kind", &["kind"]),
            roles: Names::default(),
            domains: Names::default(),
            databases: Names::default(),
        }));
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

    /// A statement has ended.
    pub fn statement(&self, role: &RoleName, kind: Kind, path: Path, outcome: Outcome) {
        let role = self.0.roles.bounded(role.as_str());
        self.0
            .statements
            .with_label_values(&[role, kind.as_str(), path.as_str(), outcome.as_str()])
            .inc();
    }

    /// The time pgveil itself added to a statement.
    pub fn added(&self, time: Duration) {
        self.0.added.observe(time.as_secs_f64());
    }

    /// The time the server took for a statement.
    pub fn upstream(&self, time: Duration) {
        self.0.upstream.observe(time.as_secs_f64());
    }

    /// So many values of a domain were treated.
    pub fn values(&self, domain: &DomainName, action: Action, count: u64) {
        let domain = self.0.domains.bounded(domain.as_str());
        self.0
            .values
            .with_label_values(&[domain, action.as_str()])
            .inc_by(count);
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

    /// A plan was sought in the cache.
    pub fn plan_cache(&self, hit: bool) {
        if hit {
            self.0.plan_cache_hits.inc();
        } else {
            self.0.plan_cache_misses.inc();
        }
    }

    /// The audit has so many records more (or fewer) before its writer.
    pub fn audit_lag(&self, change: i64) {
        self.0.audit_lag.add(change);
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
    fn the_page_has_every_name_of_the_contract() {
        let metrics = Metrics::new();
        let role = RoleName::new("app");
        metrics.statement(
            &role,
            Kind::of_command("select"),
            Path::Rewritten,
            Outcome::Done,
        );
        metrics.added(Duration::from_micros(7));
        metrics.upstream(Duration::from_millis(1));
        metrics.values(&DomainName::new("email"), Action::Open, 12);
        metrics.refusal(Reason::of_word("policy"));
        metrics.login(LoginMethod::Scram, LoginOutcome::Done);
        metrics.plan_cache(true);
        metrics.plan_cache(false);
        metrics.audit_lag(3);
        metrics.policy(&DatabaseName::new("crm"), "1a2b", true);
        metrics.alarm(Alarm::NotAuthentic);
        let session = metrics.session();
        let page = metrics.render();
        for line in [
            "pgveil_statements_total{kind=\"select\",outcome=\"done\",path=\"rewritten\",role=\"app\"} 1",
            "pgveil_added_seconds_count 1",
            "pgveil_upstream_seconds_count 1",
            "pgveil_values_total{action=\"open\",domain=\"email\"} 12",
            "pgveil_refusals_total{reason=\"policy\"} 1",
            "pgveil_refusals_total{reason=\"parse\"} 0",
            "pgveil_sessions 1",
            "pgveil_logins_total{method=\"scram_sha_256\",outcome=\"done\"} 1",
            "pgveil_plan_cache_hits_total 1",
            "pgveil_plan_cache_misses_total 1",
            "pgveil_audit_lag_records 3",
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
            metrics.values(&DomainName::new(format!("d{i}")), Action::Seal, 1);
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
