//! Fragments of the masks' SQL forms, every name qualified with `pg_catalog`.
//!
//! Knows the grammar of expressions; knows no mask. `CASE`, `IS NULL`, `AND`, `GREATEST` and `LEAST` are grammar or
//! use a type's default operator class, so no `search_path` reaches them.

use crate::ident::quote_literal;
use crate::types::LogicalType;

/// The type's name with its modifier, in PostgreSQL's `pg_catalog`.
pub(super) fn type_name(ty: LogicalType) -> String {
    let plain = |name: &str| format!("pg_catalog.{name}");
    match ty {
        LogicalType::Text => plain("text"),
        LogicalType::Varchar(None) => plain("varchar"),
        LogicalType::Varchar(Some(n)) => format!("pg_catalog.varchar({n})"),
        LogicalType::Char(None) => plain("bpchar"),
        LogicalType::Char(Some(n)) => format!("pg_catalog.bpchar({n})"),
        // Named with their schemas by the catalog.
        LogicalType::Citext(_) | LogicalType::Enum(_) => ty.sql(),
        LogicalType::Int2 => plain("int2"),
        LogicalType::Int4 => plain("int4"),
        LogicalType::Int8 => plain("int8"),
        LogicalType::Float4 => plain("float4"),
        LogicalType::Float8 => plain("float8"),
        LogicalType::Numeric { precision, scale } => {
            format!("pg_catalog.numeric({precision},{scale})")
        }
        LogicalType::NumericAny => plain("numeric"),
        LogicalType::Bool => plain("bool"),
        LogicalType::Date => plain("date"),
        LogicalType::Time(None) => plain("time"),
        LogicalType::Time(Some(p)) => format!("pg_catalog.time({p})"),
        LogicalType::Timetz(None) => plain("timetz"),
        LogicalType::Timetz(Some(p)) => format!("pg_catalog.timetz({p})"),
        // Grammar, fields and all.
        LogicalType::Interval(_) => ty.sql(),
        LogicalType::Timestamp(None) => plain("timestamp"),
        LogicalType::Timestamp(Some(p)) => format!("pg_catalog.timestamp({p})"),
        LogicalType::Timestamptz(None) => plain("timestamptz"),
        LogicalType::Timestamptz(Some(p)) => format!("pg_catalog.timestamptz({p})"),
        LogicalType::Inet => plain("inet"),
        LogicalType::Cidr => plain("cidr"),
        LogicalType::Macaddr => plain("macaddr"),
        LogicalType::Uuid => plain("uuid"),
        LogicalType::Bytea => plain("bytea"),
        LogicalType::Json => plain("json"),
        LogicalType::Jsonb => plain("jsonb"),
        LogicalType::Array(array) => format!("{}[]", type_name(array.element)),
    }
}

/// `(expression)::type`
pub(super) fn cast(expression: &str, ty: LogicalType) -> String {
    format!("({expression})::{}", type_name(ty))
}

/// The column as text.
pub(super) fn text(column: &str) -> String {
    format!("({column})::pg_catalog.text")
}

/// A text compared and searched byte by byte. To be used only inside what gives a number or a truth value: there
/// the collation ends, and what the mask gives keeps the collation of the column. (Functions that search refuse
/// nondeterministic collations before PostgreSQL 18.)
pub(super) fn bytewise(text: &str) -> String {
    format!("({text} COLLATE pg_catalog.\"C\")")
}

/// `(a op b)` with PostgreSQL's own operator.
pub(super) fn infix(a: &str, operator: &str, b: &str) -> String {
    format!("({a} OPERATOR(pg_catalog.{operator}) {b})")
}

/// `masked` with the collation of the column's text, and NULL where that is NULL.
pub(super) fn of_column(text: &str, masked: &str) -> String {
    infix(&format!("pg_catalog.\"left\"({text}, 0)"), "||", masked)
}

/// A text literal.
pub(super) fn text_literal(text: &str) -> String {
    format!("{}::pg_catalog.text", quote_literal(text))
}

/// `char_length(text)`
pub(super) fn char_length(text: &str) -> String {
    format!("pg_catalog.char_length({text})")
}

/// A character as PostgreSQL's regular expressions escape it (`\U` and eight hexadecimal digits): ASCII.
pub(super) fn regex_escape(character: char) -> String {
    format!("\\U{:08x}", u32::from(character))
}
