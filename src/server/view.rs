//! One role's view of one database at one moment: policy, catalog and keys behind the questions a session asks.
//!
//! Immutable and shared. Joins the analysis, which has no keys, with the vault, which has no policy of its own,
//! and turns their faults into refusals; decides nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::materials::InForce;
use crate::catalog::Snapshot;
use crate::ident::{RelationName, RoleName};
use crate::metrics::{Action, Metrics, ValueCounters};
use crate::policy::Policy;
use crate::policy::bind::BindFault;
use crate::policy::decide::{Bound, Show, Store, Treated};
use crate::session::{Filled, Formats, Given, Lexing, ParameterTypes, ShowFault, ShownType, Veil};
use crate::statement::plan::{ColumnPlan, Outcome, ParameterPlan, Piece, Plan, Refusal, Shape};
use crate::statement::{self, Context, PlanCache, Reach};
use crate::types::{LogicalType, TextSettings};
use crate::values::{self, FillFault, Vault};

/// What counts the values of each treated attribute, by its relation and number.
pub type Counters = HashMap<(u32, i16), ValueCounters, foldhash::fast::RandomState>;

/// One database's policy, catalog and keys, which fit each other. Replaced whole.
#[derive(Debug)]
pub struct View {
    /// differs from every other view of this database in this process
    pub version: u64,
    /// the catalog
    pub snapshot: Arc<Snapshot>,
    /// the policy as it was read
    pub policy: Arc<InForce>,
    /// the policy bound to the catalog
    pub bound: Bound,
    /// the keys
    pub vault: Vault,
    /// what is not as the policy says
    pub faults: Vec<BindFault>,
    /// what counts the values of each treated attribute, by its relation and number
    pub counters: Counters,
    /// what each of the policy's roles could reach, and how its texts are rewritten: once for all its sessions
    pub roles: BTreeMap<RoleName, Arc<RoleReach>>,
}

/// What one role could reach, and what is known of the texts it sends.
#[derive(Debug)]
pub struct RoleReach {
    /// the names through which it could reach something treated
    pub reach: Reach,
    /// how texts are rewritten for it
    pub cache: PlanCache,
}

impl View {
    /// What counts the values of each treated attribute.
    pub fn counters(bound: &Bound, metrics: &Metrics) -> Counters {
        let place = |treated: &Arc<Treated>| (treated.relation_oid, treated.attnum);
        let counters = |treated: &Arc<Treated>| metrics.values(&treated.domain);
        bound.treated().map(|t| (place(t), counters(t))).collect()
    }

    /// What each role of a policy could reach; nothing is known of texts yet.
    pub fn roles(
        policy: &Policy,
        snapshot: &Snapshot,
        bound: &Bound,
        metrics: &Metrics,
    ) -> BTreeMap<RoleName, Arc<RoleReach>> {
        let roles = policy.roles().iter().map(|role| role.name());
        let of = |role: &RoleName| {
            let metrics = metrics.clone();
            RoleReach {
                reach: Reach::new(snapshot, bound, role),
                cache: PlanCache::new(move |hit| metrics.plan_cache(hit)),
            }
        };
        roles
            .map(|role| (role.clone(), Arc::new(of(role))))
            .collect()
    }
}

/// What one session looks through.
pub struct RoleView(Kind);

#[allow(clippy::large_enum_variant, reason = "nearly all sessions are treated")]
enum Kind {
    /// the database's policy is `none`: everything passes as it is
    Untreated,
    /// the session's role sees the database so
    Treated {
        view: Arc<View>,
        role: RoleName,
        of_role: Arc<RoleReach>,
    },
}

impl fmt::Debug for RoleView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Untreated => f.write_str("RoleView(untreated)"),
            Kind::Treated { view, role, .. } => write!(f, "RoleView({role}, {})", view.version),
        }
    }
}

impl RoleView {
    /// A view through which everything passes: for a database whose policy is `none`.
    pub fn untreated() -> Self {
        Self(Kind::Untreated)
    }

    /// A role's view; None when the view's policy has no such role.
    pub fn new(view: Arc<View>, role: RoleName) -> Option<Self> {
        let of_role = Arc::clone(view.roles.get(&role)?);
        Some(Self(Kind::Treated {
            view,
            role,
            of_role,
        }))
    }
}

impl Veil for RoleView {
    fn version(&self) -> u64 {
        match &self.0 {
            Kind::Untreated => 0,
            Kind::Treated { view, .. } => view.version,
        }
    }

    fn analyse(&self, text: &str, lexing: Lexing) -> (Outcome, Option<u64>) {
        match &self.0 {
            Kind::Untreated => (Outcome::Untouched, None),
            Kind::Treated {
                view,
                role,
                of_role,
            } => statement::analyse_and_fingerprint(
                text,
                &Context {
                    snapshot: &view.snapshot,
                    bound: &view.bound,
                    reach: &of_role.reach,
                    role,
                    standard_conforming_strings: lexing.standard_conforming_strings,
                    client_encoding: lexing.client_encoding,
                    cache: Some(&of_role.cache),
                },
            ),
        }
    }

    fn redact(&self, text: &str) -> String {
        statement::redact(text)
    }

    fn fill(&self, plan: &Plan, settings: &TextSettings) -> Result<String, Refusal> {
        let filled = self.vault()?.fill(plan, settings);
        for piece in plan.pieces() {
            if let Piece::Slot(slot) = piece {
                self.count(&slot.attribute, stored_by(&slot.attribute));
            }
        }
        filled
            .map(|ready| ready.as_str().to_owned())
            .map_err(|fault| refusal(&fault))
    }

    fn fill_parameter(
        &self,
        plan: &ParameterPlan,
        given: Given<'_>,
        settings: &TextSettings,
    ) -> Result<Filled, Refusal> {
        // A domain's values are its base type's, and so is how they are read; the domain has given them its modifier.
        let base = plan.attribute.logical.oid();
        let of_domain = given.oid != base && self.declared_type(&plan.attribute) == Some(given.oid);
        let parameter = values::Given {
            oid: if of_domain { base } else { given.oid },
            of_domain,
            format: given.format,
            value: Some(given.value),
            declared: given.declared,
        };
        let filled = self.vault()?.fill_parameter(plan, parameter, settings);
        self.count(&plan.attribute, stored_by(&plan.attribute));
        match filled {
            Ok(Some(value)) => Ok(Filled {
                format: values::parameter_format(plan, given.format),
                value,
            }),
            Ok(None) => Err(impossible("a parameter that is not NULL became NULL")),
            Err(fault) => Err(refusal(&fault)),
        }
    }

    fn parameter_types(&self, plan: &ParameterPlan, declared: &[u32]) -> ParameterTypes {
        let logical = match (values::list_type(plan, declared), plan.attribute.logical) {
            (Some(list), _) => list,
            // varchar has no operators of its own: what it is compared with is text (PostgreSQL manual, 10.2).
            (None, LogicalType::Varchar(_)) if !plan.assigned => LogicalType::Text,
            (None, LogicalType::Cidr) if !plan.assigned => LogicalType::Inet,
            (None, own) => own,
        };
        // What is assigned is of the column's own type, a domain too; a domain has no operators either.
        let column = self.declared_type(&plan.attribute);
        ParameterTypes {
            declared: Some(values::parameter_oid(plan)),
            shown: match (plan.cast, plan.shape, column) {
                // A cast says what the parameter is, whatever it meets.
                (Some((cast, _)), Shape::Value, _) => cast,
                (Some((cast, _)), Shape::Array, _) => {
                    LogicalType::from_oid(cast, -1).map_or(cast, LogicalType::array_oid)
                }
                (None, Shape::Value, Some(column)) if plan.assigned => column,
                (None, Shape::Value, _) => logical.oid(),
                (None, Shape::Array, _) => logical.array_oid(),
            },
        }
    }

    fn column_type(&self, attribute: &Treated) -> ShownType {
        let show = match &self.0 {
            Kind::Untreated => &Show::Refuse,
            Kind::Treated { role, .. } => &attribute.sight(role).show,
        };
        let shown = values::shown_type(attribute, show);
        ShownType {
            oid: shown.oid(),
            typlen: shown.typlen(),
            typmod: shown.typmod(),
        }
    }

    fn show(
        &self,
        column: &ColumnPlan,
        formats: Formats,
        settings: &TextSettings,
        stored: &[u8],
    ) -> Result<Option<Vec<u8>>, ShowFault> {
        let vault = self.vault().map_err(|refusal| ShowFault {
            sqlstate: refusal.sqlstate,
            message: refusal.message,
        })?;
        let formats = values::Formats {
            server: formats.stored,
            client: formats.shown,
        };
        if let ColumnPlan::Open { attribute, show } = column
            && let Some(action) = shown_by(attribute, show)
        {
            self.count(attribute, action);
        }
        vault
            .show(column, formats, settings, Some(stored))
            .map_err(|fault| ShowFault {
                sqlstate: fault.sqlstate(),
                message: fault.to_string(),
            })
    }

    fn guards(&self, relation_oid: u32, attnum: i16) -> bool {
        match &self.0 {
            Kind::Untreated => false,
            Kind::Treated { view, role, .. } => view
                .bound
                .attribute(relation_oid, attnum)
                .is_some_and(|treated| treated.store != Store::Plain || !treated.is_plain_to(role)),
        }
    }

    fn sees_everything(&self) -> bool {
        match &self.0 {
            Kind::Untreated => true,
            Kind::Treated { view, role, .. } => !view.bound.is_restricted(role),
        }
    }

    fn is_relation(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Untreated => false,
            Kind::Treated { view, .. } => {
                let mut relations = view.snapshot.relations().iter();
                relations.any(|relation| relation.name.name.eq_ignore_ascii_case(name))
            }
        }
    }

    fn mentions(&self, text: &str, lexing: Lexing) -> bool {
        match &self.0 {
            Kind::Untreated => false,
            Kind::Treated { of_role, .. } => {
                let conforming = lexing.standard_conforming_strings;
                statement::mentions(text, &of_role.reach, conforming)
            }
        }
    }

    fn sees_plain(&self, relations: &[RelationName]) -> bool {
        match &self.0 {
            Kind::Untreated => true,
            Kind::Treated { view, role, .. } => view
                .bound
                .treated()
                .filter(|treated| relations.contains(&treated.name.relation))
                .all(|treated| treated.is_plain_to(role)),
        }
    }
}

/// What is done to a value on its way into the database.
fn stored_by(attribute: &Treated) -> Action {
    match attribute.store {
        Store::Tokenise(_) => Action::Tokenise,
        Store::Plain | Store::Encrypt { .. } => Action::Seal,
    }
}

/// What is done to a value on its way to the role; None when it is shown as it lies, or not at all.
fn shown_by(attribute: &Treated, show: &Show) -> Option<Action> {
    match (show, &attribute.store) {
        (Show::Null | Show::Stored | Show::Refuse, _) | (Show::Plain, Store::Plain) => None,
        (Show::Mask(_), _) => Some(Action::Mask),
        (Show::Token(_), _) => Some(Action::Tokenise),
        (Show::Plain, Store::Encrypt { .. }) => Some(Action::Open),
        (Show::Plain, Store::Tokenise(_)) => Some(Action::Detokenise),
    }
}

impl RoleView {
    /// The type that the column was declared with: a domain, where [`Treated::logical`] is its base type.
    fn declared_type(&self, attribute: &Treated) -> Option<u32> {
        let Kind::Treated { view, .. } = &self.0 else {
            return None;
        };
        let relation = view.snapshot.relation_by_oid(attribute.relation_oid)?;
        let mut columns = relation.attributes.iter();
        let column = columns.find(|column| column.attnum == attribute.attnum)?;
        Some(column.logical.oid)
    }

    fn count(&self, attribute: &Treated, action: Action) {
        if let Kind::Treated { view, .. } = &self.0
            && let Some(counters) = view
                .counters
                .get(&(attribute.relation_oid, attribute.attnum))
        {
            counters.count(action);
        }
    }

    fn vault(&self) -> Result<&Vault, Refusal> {
        match &self.0 {
            Kind::Untreated => Err(impossible("a plan in a database without a policy")),
            Kind::Treated { view, .. } => Ok(&view.vault),
        }
    }
}

/// A fault of a literal or parameter, for the client.
fn refusal(fault: &FillFault) -> Refusal {
    let (hint, reason) = match fault {
        FillFault::Value { .. } | FillFault::TokenTooLong { .. } => (String::new(), "value"),
        FillFault::Token { .. } => (
            "The policy stores a token of this value, and a token needs more to replace."
                .to_owned(),
            "value",
        ),
        FillFault::Key { .. } => (
            "Run `pgveil check`, then `pgveil apply`.".to_owned(),
            "not_ready",
        ),
        FillFault::Seal { .. } | FillFault::StoredPlain { .. } => (String::new(), "unsupported"),
    };
    Refusal {
        sqlstate: fault.sqlstate(),
        message: fault.to_string(),
        hint,
        position: None,
        reason,
    }
}

/// Something that cannot be, told instead of sent.
fn impossible(what: &str) -> Refusal {
    Refusal {
        sqlstate: crate::ident::SqlState::INTERNAL_ERROR,
        message: format!("this is a defect of pgveil: {what}"),
        hint: "Report it with the statement's shape.".to_owned(),
        position: None,
        reason: "unsupported",
    }
}
