//! What a statement becomes: text with slots to fill, parameters to seal, columns to open; or a refusal.

use std::sync::Arc;

use crate::ident::{RelationName, SqlState};
use crate::policy::decide::{Show, Treated};
use crate::secret::Secret;
use crate::token::TokenFormat;

/// The answer of the analysis for one text (which may hold several statements).
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Nothing treated can be met: the client's own bytes go upstream.
    Untouched,
    /// The text is sent as the plan says.
    Plan(Arc<Plan>),
    /// Nothing of the text is sent.
    Refused(Refusal),
}

/// Why a text is refused. Never carries a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 42501 policy, 0A000 not understood or not computable, 54001 too deep, 55000 not applied, 22xxx a value
    pub sqlstate: SqlState,
    /// what was refused, with names
    pub message: String,
    /// what the DBA or developer can do
    pub hint: String,
    /// byte offset in the client's text, if there is one
    pub position: Option<usize>,
    /// for metrics: `policy`, `unsupported`, `parse`, `search_missing`, `not_ready`, `too_deep`, `value`
    pub reason: &'static str,
}

/// What a text becomes. Built by the analysis only, after `verify`.
#[derive(Debug, Clone)]
pub struct Plan {
    /// the text to send, in pieces
    pub(crate) pieces: Vec<Piece>,
    /// one entry for each statement of the text, in order
    pub(crate) statements: Vec<StatementPlan>,
    /// parameters that meet treated attributes, by number
    pub(crate) parameters: Vec<ParameterPlan>,
    /// the text with every literal that met a treated attribute replaced by `?`, for the audit
    pub(crate) audit_text: String,
}

/// A piece of the text to send.
#[derive(Debug, Clone)]
pub enum Piece {
    /// text as it is
    Text(String),
    /// a literal to be sealed or tokenised, written as an SQL literal in its place
    Slot(LiteralSlot),
}

/// A literal of the client's that meets a treated attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct LiteralSlot {
    /// the attribute it meets
    pub attribute: Arc<Treated>,
    /// the literal's decoded text (escapes resolved)
    pub text: Secret<String>,
    /// one value or an array literal (`'{…}'`)
    pub shape: Shape,
    /// an explicit type the client gave it (`'x'::varchar(3)`): OID and typmod, checked before the attribute's own
    pub cast: Option<(u32, i32)>,
    /// Whether it is assigned (then the attribute's length limits hold with 22001) or compared.
    pub assigned: bool,
    /// whether it stands in an IN list of several, to whose elements PostgreSQL gives one type: the attribute's
    pub listed: bool,
    /// the format of the token that it is, of a role that is shown tokens of what is sealed; None: a plain value
    pub token: Option<TokenFormat>,
}

/// One value or an array of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// one value
    Value,
    /// a one-dimensional array
    Array,
}

/// A parameter `$n` that meets a treated attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterPlan {
    /// n, from 1
    pub number: u16,
    /// the attribute it meets
    pub attribute: Arc<Treated>,
    /// one value or an array
    pub shape: Shape,
    /// as in [`LiteralSlot`]
    pub cast: Option<(u32, i32)>,
    /// as in [`LiteralSlot`]
    pub assigned: bool,
    /// the parameters of the IN list that it stands in, itself among them, one list for all of them; empty where it stands
    /// alone
    pub listed: Arc<[u16]>,
    /// as in [`LiteralSlot`]
    pub token: Option<TokenFormat>,
}

/// What one statement of the text does.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementPlan {
    /// `SELECT`, `INSERT`, `UPDATE`, `DELETE`, … for audit and metrics
    pub kind: &'static str,
    /// the result columns, for every statement that returns rows and met a treated relation; None when the
    /// statement returns none or met nothing treated
    pub columns: Option<Vec<ColumnPlan>>,
    /// the relations it names that have treated attributes
    pub relations: Vec<RelationName>,
}

/// What happens to one result column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnPlan {
    /// The server's bytes go to the client. If RowDescription says it is a treated attribute that this role
    /// does not see plain from plain storage, the result stops (the net under the rope) — unless
    /// `masked_in_sql` names it.
    Pass,
    /// The column is a treated attribute as stored, shown as `show` says.
    Open {
        /// the attribute
        attribute: Arc<Treated>,
        /// what the role gets
        show: Show,
    },
}

impl Plan {
    /// The text to send, in pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// One entry for each statement of the text, in order.
    pub fn statements(&self) -> &[StatementPlan] {
        &self.statements
    }

    /// The parameters that meet treated attributes.
    pub fn parameters(&self) -> &[ParameterPlan] {
        &self.parameters
    }

    /// The text with every literal that met a treated attribute replaced by `?`.
    pub fn audit_text(&self) -> &str {
        &self.audit_text
    }
}
