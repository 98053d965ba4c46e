//! `redact`: every value becomes `***`, an empty one too.
//!
//! For texts; a `varchar(n)` must hold three characters. What is left: whether there is a value.

use super::sql;

/// Characters of what the mask gives.
pub(super) const MASKED_CHARACTERS: u32 = 3;

/// What stands for what is hidden.
pub(super) const MASKED: &str = "***";

pub(super) fn apply() -> String {
    MASKED.to_owned()
}

pub(super) fn sql(column: &str) -> String {
    sql::of_column(&sql::text(column), &sql::text_literal(MASKED))
}

#[cfg(test)]
mod tests {
    use crate::mask::Mask;
    use crate::types::LogicalType;

    #[test]
    fn the_sql_form_is_qualified_throughout() {
        assert_eq!(
            Mask::Redact
                .sql(LogicalType::Varchar(Some(9)), "t.c")
                .as_deref(),
            Some(
                "((pg_catalog.\"left\"((t.c)::pg_catalog.text, 0) OPERATOR(pg_catalog.||) '***'::pg_catalog.text))::pg_catalog.varchar(9)"
            )
        );
    }
}
