//! The statement as the analysis sees it: every name bound, every expression one of the few forms that
//! matter to a treated attribute. Extents are ranges of token indexes, never copies of text.
//!
//! Built by `resolve`; read by `infer`, `authorise` and `rewrite`. Knows nothing of roles.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::lex::Token;
use crate::ident::RelationName;
use crate::policy::decide::Treated;

/// Tokens `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// first token
    pub start: usize,
    /// behind the last token
    pub end: usize,
}

/// Index of a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SourceId(pub usize);

/// Index of a [`Query`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct QueryId(pub usize);

/// What a column of a source is.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// an attribute the policy treats
    Treated(Arc<Treated>),
    /// the n-th output column of a query
    Output(QueryId, usize),
    /// anything else
    Plain,
}

/// A column of a source.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// its name in this source
    pub name: String,
    /// what it is
    pub origin: Origin,
}

/// How a source came into the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// in FROM, USING or a join: it can be replaced by a subselect
    From,
    /// the target of INSERT, UPDATE or DELETE: it cannot
    Target,
    /// `excluded` of ON CONFLICT
    Excluded,
}

/// Something in FROM, or a target.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// the name its columns can be qualified with
    pub name: String,
    /// its columns; None where they are not known (a function, a relation made a moment ago)
    pub columns: Option<Vec<Column>>,
    /// how it came into the statement
    pub place: Place,
    /// the relation, if it is one that the catalog knows
    pub relation: Option<NamedRelation>,
    /// the client gave it an alias
    pub aliased: bool,
    /// what the text makes of it
    pub used: Used,
}

/// How a text uses a source, as far as it matters when the source is replaced.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    /// columns that an expression names
    pub columns: BTreeSet<usize>,
    /// its columns are used without being named: `*`, a whole row, a list of column aliases, NATURAL
    pub unnamed: bool,
    /// its system columns that are named
    pub system: BTreeSet<String>,
    /// the tokens of each `schema.` before its name, where it qualifies a column
    pub schemas: Vec<Extent>,
}

/// A relation named in the text.
#[derive(Debug, Clone)]
pub(super) struct NamedRelation {
    /// schema and name
    pub name: RelationName,
    /// the tokens that name it
    pub extent: Extent,
    /// its attributes' own names, in order
    pub attributes: Vec<String>,
    /// the attributes of its primary key, by index; empty without one
    pub primary_key: Vec<usize>,
}

/// A column of a source, referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColumnRef {
    /// the source
    pub source: SourceId,
    /// the column's index in it
    pub column: usize,
}

/// A constant as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConstantKind {
    /// `'…'` in any form
    Text,
    /// a number, with its sign
    Number,
    /// TRUE, FALSE
    Boolean,
    /// NULL
    Null,
    /// DEFAULT in VALUES or SET
    Default,
    /// of a type of its own (`B'…'`, INTERVAL '…')
    Foreign,
}

/// Why an expression form is none of the known ones: decides the hint of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `<`, BETWEEN, greatest …: needs `order`
    Range(&'static str),
    /// LIKE, ~ …: needs `substring`
    Pattern(&'static str),
    /// `lower(x)`, `upper(x)`: equality needs `nocase`
    Case(String),
    /// a function or aggregate
    Function(String),
    /// anything else, named
    Named(&'static str),
}

/// A type named in a cast: OID and modifier, `None` where it is not one the values layer knows.
pub(super) type CastType = Option<(u32, i32)>;

/// An expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    /// a column
    Column { column: ColumnRef, extent: Extent },
    /// a whole row, by the source's name
    WholeRow { source: SourceId, extent: Extent },
    /// a constant
    Constant { kind: ConstantKind, extent: Extent },
    /// `$n`
    Parameter { number: u16, extent: Extent },
    /// `inner::type`, `CAST(inner AS type)`, `type 'text'`; `array` for `type[]`
    Cast {
        inner: Box<Expr>,
        ty: CastType,
        array: bool,
        extent: Extent,
    },
    /// `left = right`, `<>`, `IS [NOT] DISTINCT FROM`
    Compare {
        left: Box<Expr>,
        right: Box<Expr>,
        extent: Extent,
    },
    /// `left [NOT] IN (list)`
    InList {
        left: Box<Expr>,
        list: Vec<Expr>,
        extent: Extent,
    },
    /// `left = ANY (ARRAY[list])`, `<> ALL`
    InArray {
        left: Box<Expr>,
        list: Vec<Expr>,
        extent: Extent,
    },
    /// `left [NOT] IN (query)`, `= ANY (query)`
    InQuery {
        left: Box<Expr>,
        query: QueryId,
        extent: Extent,
    },
    /// `left = ANY (array)`, `<> ALL (array)`
    AnyArray {
        left: Box<Expr>,
        right: Box<Expr>,
        extent: Extent,
    },
    /// `IS [NOT] NULL`
    NullTest { operand: Box<Expr>, extent: Extent },
    /// `count(x)`, `count(DISTINCT x)`
    Count { argument: Box<Expr>, distinct: bool },
    /// a scalar subquery
    Query(QueryId),
    /// EXISTS (query): its columns do not matter
    Exists,
    /// anything else: no operand may be a treated attribute as stored
    Other {
        form: Form,
        operands: Vec<Expr>,
        extent: Option<Extent>,
    },
}

/// An item of a select list or RETURNING.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// the name the output column gets
    pub name: String,
    /// what it is
    pub expr: Expr,
    /// it came out of a `*`
    pub from_star: Option<Extent>,
}

/// What a query computes.
#[derive(Debug, Clone)]
pub(super) enum Body {
    /// SELECT
    Select(Box<Select>),
    /// UNION, INTERSECT, EXCEPT; `all` does not compare rows
    Set {
        left: QueryId,
        right: QueryId,
        all: bool,
        extent: Option<Extent>,
    },
    /// VALUES
    Values(Vec<Vec<Expr>>),
    /// `(query)` with clauses of its own, or a query in WITH's body
    Nested(QueryId),
    /// a data-modifying statement in WITH
    Statement(Box<Node>),
}

/// A SELECT.
#[derive(Debug, Clone)]
pub(super) struct Select {
    /// DISTINCT
    pub distinct: bool,
    /// the word, where it stands right behind SELECT
    pub distinct_word: Option<Extent>,
    /// DISTINCT ON
    pub distinct_on: Vec<Expr>,
    /// the select list, `*` expanded
    pub items: Vec<Item>,
    /// columns that USING and NATURAL compare
    pub merged: Vec<(ColumnRef, ColumnRef)>,
    /// everything that is evaluated and not shown: WHERE, ON, HAVING, window definitions
    pub conditions: Vec<Expr>,
    /// GROUP BY, ordinals and aliases resolved
    pub group_by: Vec<Expr>,
    /// the keys of GROUP BY that are columns and stand by themselves, with the tokens that name them there
    pub group_columns: Vec<(ColumnRef, Extent)>,
}

/// A query with its ORDER BY.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// what it computes
    pub body: Body,
    /// the names of its output columns; None where they are not known
    pub outputs: Option<Vec<String>>,
    /// ORDER BY: expressions over the sources
    pub order_by: Vec<Expr>,
    /// ORDER BY an output column, by index
    pub order_by_outputs: Vec<usize>,
    /// LIMIT, OFFSET, FETCH
    pub limits: Vec<Expr>,
    /// FOR UPDATE and its like
    pub locks: bool,
    /// the sources of its FROM
    pub sources: Vec<SourceId>,
}

/// What an INSERT takes its rows from.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    /// DEFAULT VALUES
    Default,
    /// VALUES
    Values(Vec<Vec<Expr>>),
    /// a query
    Query(QueryId),
}

/// A statement.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// SELECT, VALUES, WITH …
    Query(QueryId),
    /// INSERT
    Insert(Box<Insert>),
    /// UPDATE and DELETE
    Change(Box<Change>),
    /// a statement that meets nothing treated
    Untouched,
}

/// An INSERT.
#[derive(Debug, Clone)]
pub(super) struct Insert {
    /// where the rows go
    pub target: SourceId,
    /// the columns they go to, as indexes in the target; all of them when the text names none
    pub columns: Vec<usize>,
    /// the rows
    pub rows: Rows,
    /// ON CONFLICT: columns of the target that it compares; Some also without any
    pub conflict: Option<Vec<ColumnRef>>,
    /// DO UPDATE SET
    pub assignments: Vec<(usize, Expr)>,
    /// DO UPDATE … WHERE
    pub conditions: Vec<Expr>,
    /// RETURNING
    pub returning: Option<Vec<Item>>,
}

/// An UPDATE or DELETE.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// the changed relation
    pub target: SourceId,
    /// SET: column index in the target, value
    pub assignments: Vec<(usize, Expr)>,
    /// WHERE and ON
    pub conditions: Vec<Expr>,
    /// USING columns of joins in FROM
    pub merged: Vec<(ColumnRef, ColumnRef)>,
    /// RETURNING
    pub returning: Option<Vec<Item>>,
}

/// The text with every name bound. Only `resolve` makes one.
#[derive(Debug)]
pub(super) struct Resolved {
    /// the client's text
    pub text: String,
    /// how its strings were read
    pub standard_conforming_strings: bool,
    /// its tokens
    pub tokens: Vec<Token>,
    /// its statements, in order, with the word they begin with
    pub statements: Vec<(Node, &'static str)>,
    /// every source of every statement
    pub sources: Vec<Source>,
    /// every query of every statement
    pub queries: Vec<Query>,
    /// the words of analysed statements that were understood as no name, by token index
    pub unaccounted: Vec<usize>,
    /// every word of the text, as a name would be looked up
    pub words: HashSet<String>,
}

impl Resolved {
    /// Whether the text may use an attribute of the source: it names it somewhere, or uses columns without naming them.
    pub(super) fn may_use(&self, source: &Source, attribute: &str) -> bool {
        source.used.unnamed || self.words.contains(attribute)
    }
}

impl Expr {
    /// The tokens it stands in, where that is known exactly.
    pub(super) fn extent(&self) -> Option<Extent> {
        match self {
            Expr::Column { extent, .. }
            | Expr::WholeRow { extent, .. }
            | Expr::Constant { extent, .. }
            | Expr::Parameter { extent, .. }
            | Expr::Cast { extent, .. }
            | Expr::Compare { extent, .. }
            | Expr::InList { extent, .. }
            | Expr::InArray { extent, .. }
            | Expr::InQuery { extent, .. }
            | Expr::AnyArray { extent, .. }
            | Expr::NullTest { extent, .. } => Some(*extent),
            Expr::Other { extent, .. } => *extent,
            Expr::Count { .. } | Expr::Query(_) | Expr::Exists => None,
        }
    }
}
