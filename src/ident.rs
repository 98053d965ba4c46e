//! Names and numbers that more than one layer speaks of: relations, attributes, roles, domains, SQLSTATEs.
//!
//! Knows nothing of policy, catalog or bytes on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// Takes the name as it stands, already folded as PostgreSQL would fold it.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A role of the policy (not a role of PostgreSQL, which is a [`UserName`]).
    RoleName
);
name!(
    /// A key domain of the policy.
    DomainName
);
name!(
    /// A login of PostgreSQL.
    UserName
);
name!(
    /// A database of the cluster.
    DatabaseName
);

/// A schema-qualified relation name, both parts already folded and unquoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema, for example `public`.
    pub schema: String,
    /// The relation, for example `contacts`.
    pub name: String,
}

impl RelationName {
    /// Joins a schema and a relation name.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// The name as SQL, each part quoted where PostgreSQL's `quote_ident` would quote it.
    pub fn to_sql(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A fully qualified attribute: `schema.relation.attribute`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeName {
    /// The relation that has the attribute.
    pub relation: RelationName,
    /// The attribute's own name.
    pub attribute: String,
}

impl AttributeName {
    /// Joins a relation name and an attribute name.
    pub fn new(relation: RelationName, attribute: impl Into<String>) -> Self {
        Self {
            relation,
            attribute: attribute.into(),
        }
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.relation, self.attribute)
    }
}

/// The number of a key domain, as it stands in every sealed value (u32, big-endian there).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainId(pub u32);

/// The number the keyring gave an attribute; associated data of what is sealed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttributeId(pub u32);

/// The version of a domain's key, as it stands in every sealed value (u16, big-endian there).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyVersion(pub u16);

/// A five-character SQLSTATE (PostgreSQL manual, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

impl SqlState {
    /// 0A000 `feature_not_supported`: not understood, or not computable over what is stored.
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// 08006 `connection_failure`.
    pub const CONNECTION_FAILURE: Self = Self("08006");
    /// 08P01 `protocol_violation`.
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// 22001 `string_data_right_truncation`.
    pub const STRING_DATA_RIGHT_TRUNCATION: Self = Self("22001");
    /// 22003 `numeric_value_out_of_range`.
    pub const NUMERIC_VALUE_OUT_OF_RANGE: Self = Self("22003");
    /// 22007 `invalid_datetime_format`.
    pub const INVALID_DATETIME_FORMAT: Self = Self("22007");
    /// 22008 `datetime_field_overflow`.
    pub const DATETIME_FIELD_OVERFLOW: Self = Self("22008");
    /// 22009 `invalid_time_zone_displacement_value`.
    pub const INVALID_TIME_ZONE_DISPLACEMENT: Self = Self("22009");
    /// 22015 `interval_field_overflow`.
    pub const INTERVAL_FIELD_OVERFLOW: Self = Self("22015");
    /// 22021 `character_not_in_repertoire`.
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    /// 22023 `invalid_parameter_value`.
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    /// 2202E `array_subscript_error`.
    pub const ARRAY_SUBSCRIPT_ERROR: Self = Self("2202E");
    /// 22P02 `invalid_text_representation`.
    pub const INVALID_TEXT_REPRESENTATION: Self = Self("22P02");
    /// 22P03 `invalid_binary_representation`.
    pub const INVALID_BINARY_REPRESENTATION: Self = Self("22P03");
    /// 22P05 `untranslatable_character`.
    pub const UNTRANSLATABLE_CHARACTER: Self = Self("22P05");
    /// 26000 `invalid_sql_statement_name`.
    pub const INVALID_SQL_STATEMENT_NAME: Self = Self("26000");
    /// 28000 `invalid_authorization_specification`.
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// 28P01 `invalid_password`.
    pub const INVALID_PASSWORD: Self = Self("28P01");
    /// 3D000 `invalid_catalog_name`.
    pub const INVALID_CATALOG_NAME: Self = Self("3D000");
    /// 42501 `insufficient_privilege`: the policy says no.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    /// 42622 `name_too_long`.
    pub const NAME_TOO_LONG: Self = Self("42622");
    /// 42804 `datatype_mismatch`.
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    /// 42883 `undefined_function`: an operator that does not exist, too.
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    /// 53300 `too_many_connections`.
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    /// 54000 `program_limit_exceeded`.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    /// 54001 `statement_too_complex`.
    pub const STATEMENT_TOO_COMPLEX: Self = Self("54001");
    /// 55000 `object_not_in_prerequisite_state`: the database is not as its policy wants it.
    pub const NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    /// 58030 `io_error`: the audit cannot be written.
    pub const IO_ERROR: Self = Self("58030");
    /// 57P01 `admin_shutdown`.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// 57P05 `idle_session_timeout`.
    pub const IDLE_SESSION_TIMEOUT: Self = Self("57P05");
    /// XX000 `internal_error`: our bug.
    pub const INTERNAL_ERROR: Self = Self("XX000");
    /// XX001 `data_corrupted`: an authentication tag did not hold.
    pub const DATA_CORRUPTED: Self = Self("XX001");
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Quotes an identifier for SQL unless it is plainly safe (lower case, digits, `_`).
///
/// Keywords are quoted too: everything that is not safe by its letters alone, and a short list of
/// reserved words, so that the output never depends on a keyword table being current.
pub fn quote_ident(name: &str) -> String {
    let plain = name
        .bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_lowercase() || b == b'_' || (i > 0 && b.is_ascii_digit()));
    if plain && !name.is_empty() && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// Quotes a text as an SQL literal that reads alike whatever `standard_conforming_strings` is, as PostgreSQL's
/// `quote_literal` does: with a backslash in it, it becomes ` E'…'` (the space keeps it off a word before it).
///
/// The text must hold no NUL; PostgreSQL's text cannot.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// Whether PostgreSQL takes the unquoted word for a keyword where a relation or column name is expected.
pub fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

/// PostgreSQL's reserved words (manual, appendix C: "reserved" and "reserved (can be function or type)").
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "least",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_read_alike_under_either_string_setting() {
        assert_eq!(quote_literal("a'b"), "'a''b'");
        assert_eq!(quote_literal("a\\'b"), " E'a\\\\''b'");
    }

    #[test]
    fn identifiers_are_quoted_where_postgresql_would() {
        assert_eq!(quote_ident("contacts"), "contacts");
        assert_eq!(quote_ident("Contacts"), "\"Contacts\"");
        assert_eq!(quote_ident("user"), "\"user\"");
        assert_eq!(quote_ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_ident(""), "\"\"");
        assert_eq!(quote_ident("1a"), "\"1a\"");
    }
}
