//! The policy language as it is written: one struct a mapping, one enum a choice of words.
//!
//! The doc comments here are the text of `policies/REFERENCE.md` and of the JSON Schema. What a policy means is
//! settled in [`mod@super::load`]; a word that says "Not enforced by this version yet" is refused there.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::document::shapes::{At, Named, OneOrMany, Short};

mod mask;
mod token;

pub use mask::{Fake, FakeKind, FakeLanguage, Generalise, Mask, Noise, Partial, Regex, Unmatched};
pub use token::{Token, TokenWord};

/// A policy: who is who, and what becomes of which column.
///
/// One file serves one database, or several that are alike. Unknown keys and empty values are errors, and so is
/// a treated column that does not say what every role gets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The version of this language. Only `1` exists.
    pub version: At<u32>,
    /// The roles, tried in order; the first that matches a login is the session's role, fixed at login. A login
    /// that matches none is refused (28000).
    pub roles: At<Vec<Role>>,
    /// What is known of functions.
    #[serde(default)]
    pub functions: Option<Functions>,
    /// Key domains that several columns share, by name. A column that names none has a domain of its own, called
    /// `schema.table.column`. Columns of one domain may be compared and joined; they must have the same kind of
    /// type, the same `store` and the same `show`. Example: `domains: { contact_email: {} }`.
    #[serde(default)]
    pub domains: Named<Domain>,
    /// The tables with treated columns, as `schema.table`, each part as the catalog has it; a part with a dot in
    /// it stands in double quotes.
    #[serde(default)]
    pub tables: Named<Table>,
}

/// A role: a group of logins that is shown the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The name by which `show`, `compare` and the audit speak of it. Not a role of PostgreSQL.
    pub name: At<String>,
    /// Which logins are of this role.
    #[serde(rename = "match")]
    pub matches: At<Match>,
    /// What the role may do beyond ordinary statements. Example: `allow: [replication]`.
    #[serde(default)]
    pub allow: Vec<At<Allow>>,
    /// Budgets of the role. Not enforced by this version yet.
    #[serde(default)]
    pub limits: Option<At<Limits>>,
    /// How long a session may stand idle, outside a transaction, before it is cut (57P05), for example `15m`.
    #[serde(default)]
    pub idle_timeout: Option<At<String>>,
    /// Whether the role may only read. Not enforced by this version yet.
    #[serde(default)]
    pub read_only: Option<At<bool>>,
}

/// What a login must have to be of a role. All keys given must hold; of a list, one element.
///
/// `*` in a text stands for any characters, `?` for one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The login's name. Example: `user: [crm_app, "crm_job_*"]`.
    #[serde(default)]
    pub user: Option<OneOrMany<At<String>>>,
    /// The network the client is in, as an address or a CIDR block. A client at a Unix socket is in none.
    /// Example: `network: [10.0.0.0/8, "::1/128"]`.
    #[serde(default)]
    pub network: Option<OneOrMany<At<String>>>,
    /// The `application_name` of the startup packet. The client sets it, so it is no evidence by itself: as the
    /// only key it is a warning.
    #[serde(default)]
    pub application: Option<OneOrMany<At<String>>>,
    /// The subject of the client's certificate, which a CA of `listen.tls.client_ca` has signed: attributes of it,
    /// separated by commas, each of which must be there; one that the subject has several times must match each
    /// time. Example: `client_cert: ["CN=*.support,O=Example", "OU=DBA"]`.
    #[serde(default)]
    pub client_cert: Option<OneOrMany<At<String>>>,
}

/// Something no role may do unless it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// The FunctionCall message of the protocol (the fast path), whose arguments and results nothing analyses.
    FunctionCall,
    /// A replication connection, which delivers what lies in the database, unmasked.
    Replication,
    /// `DO` blocks, whose code nothing analyses.
    DoBlocks,
}

/// Budgets of a role. Not enforced by this version yet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Rows one statement may return.
    #[serde(default)]
    pub rows_per_statement: Option<u64>,
    /// Sealed values that may be opened in an hour, by each login.
    #[serde(default)]
    pub opened_per_hour: Option<u64>,
    /// Rows pgveil may fetch in order to test a condition again.
    #[serde(default)]
    pub recheck_rows: Option<u64>,
}

/// What is known of functions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Functions {
    /// Functions whose bodies a DBA vouches for, as `schema.name`, or `schema.*` for all of a schema: they neither show
    /// nor change a treated column in a way the policy would not. Who may create functions in such a schema is trusted
    /// too. Example: `functions: { trust: [public.normalise_phone, reports.*] }`.
    #[serde(default)]
    pub trust: Vec<At<String>>,
}

/// A key domain. It has no keys of its own yet: `{}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {}

/// A table with treated columns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The treated columns, by name.
    #[serde(default)]
    pub columns: Named<Column>,
    /// Which rows a role may see, as a boolean expression of PostgreSQL. Example:
    /// `rows: { support: "region = 'east'" }`. Not enforced by this version yet.
    #[serde(default)]
    pub rows: Named<At<String>>,
}

/// A treated column.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// How its values lie in the database.
    #[serde(default)]
    pub store: At<Store>,
    /// What each role gets, by the role's name; `"*"` stands for the roles not named.
    pub show: At<Named<At<Show>>>,
    /// Operators that a role without plain sight may still use on the column, by the role's name: a subset of
    /// what it is stored with. The role's literal is compared as plain; of a role that is shown a `token`, as a
    /// token. Example: `compare: { support: [equal] }`.
    #[serde(default)]
    pub compare: Named<Vec<At<Search>>>,
}

/// How values lie in the database.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = encrypt_may_stand_alone)]
pub enum Store {
    /// As the client sent them (the default). Leaks everything to whoever reads the database.
    #[default]
    Plain,
    /// Sealed with AES-256-SIV, as `bytea`. Leaks NULLs, lengths, when and which rows change, and what the
    /// `search` words say. Values move between rows, and between columns of one domain, unnoticed.
    Encrypt(Encrypt),
    /// Replaced by tokens of the same type and shape. Leaks, besides NULLs and changes, equality, the
    /// characters kept, and the shape; there is no seal, so that a changed token is a plausible wrong value.
    Tokenise(Short<Token>),
}

/// How a column is sealed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encrypt {
    /// The key domain it shares with other columns.
    #[serde(default)]
    pub domain: Option<At<String>>,
    /// What the server can compute on it; nothing when left out or `[]`.
    #[serde(default)]
    pub search: Vec<At<Search>>,
}

/// What can be computed on sealed values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = order_may_stand_alone)]
pub enum Search {
    /// `=`, `<>`, `IN`, `JOIN`, `GROUP BY`, `DISTINCT`, `UNIQUE`, foreign keys. Leaks which values of the domain
    /// are equal, and so how often each occurs. On `numeric` without a scale, `float4`, `float8`, `interval`, `bpchar`
    /// and `jsonb` without `GROUP BY`, `DISTINCT`, `USING`, `ON CONFLICT` and keys. Not for `citext` and `json`.
    Equal,
    /// Ranges and sorting; includes `equal`. Leaks the order, and of two values the first bit in which they
    /// differ. Not enforced by this version yet.
    Order(Order),
    /// Comparison without regard to case. Leaks which values are equal without case. Not enforced by this version
    /// yet.
    Nocase,
    /// `LIKE '%…%'`. Leaks which values share a run of characters. Not enforced by this version yet.
    Substring,
}

/// How much of a text is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Bytes of the collation's sort key; 8 when left out.
    #[serde(default)]
    pub bytes: Option<u32>,
}

/// What a role gets of a column.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = null_is_null)]
pub enum Show {
    /// The value. Only who has this may assign the column.
    Plain,
    /// A mask of it. Example: `{ mask: email }`.
    Mask(At<Mask>),
    /// A token of it, always the same for the same value. Example: `{ token: email }`.
    Token(Short<Token>),
    /// NULL, whatever is stored.
    Null,
    /// What lies in the database: a token, or `bytea` of a sealed column; read only.
    Stored,
    /// Nothing: a statement that mentions the column is refused (42501).
    Refuse,
}

/// The word that marks, in a doc comment, what is refused as not enforced.
pub const NOT_ENFORCED: &str = "Not enforced by this version yet.";

fn null_is_null(schema: &mut Schema) {
    for choice in choices(schema) {
        if choice.get("const").and_then(|c| c.as_str()) == Some("null") {
            choice.remove("const");
            choice.insert("type".to_owned(), "null".into());
        }
    }
}

fn encrypt_may_stand_alone(schema: &mut Schema) {
    may_stand_alone(schema, "encrypt");
}

fn order_may_stand_alone(schema: &mut Schema) {
    may_stand_alone(schema, "order");
}

fn masks_may_stand_alone(schema: &mut Schema) {
    may_stand_alone(schema, "noise");
    may_stand_alone(schema, "fake");
}

fn may_stand_alone(schema: &mut Schema, word: &str) {
    let alone = serde_json::json!({ "type": "string", "const": word });
    if let Some(choices) = schema.get_mut("oneOf").and_then(|c| c.as_array_mut()) {
        choices.push(alone);
    }
}

fn choices(
    schema: &mut Schema,
) -> impl Iterator<Item = &mut serde_json::Map<String, serde_json::Value>> {
    schema
        .get_mut("oneOf")
        .and_then(|c| c.as_array_mut())
        .into_iter()
        .flatten()
        .filter_map(|c| c.as_object_mut())
}
