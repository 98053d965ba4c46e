//! `constant`: every value becomes one and the same, which the policy gives as text and PostgreSQL must accept as
//! a value of the attribute's type (a `varchar(n)` must hold it whole, an enum must have it among its labels).
//!
//! Dates and times in the policy are read as `DateStyle` `ISO, MDY` and `TimeZone` `UTC` read them. What is left:
//! whether there is a value.

use super::{MaskFault, is_text, sql};
use crate::ident::quote_literal;
use crate::types::{self, LogicalType, TextSettings, ValueFault};

pub(super) fn apply(constant: &str, ty: LogicalType) -> Result<Vec<u8>, MaskFault> {
    parse(constant, ty).map_err(|_| MaskFault::Misfit)
}

pub(super) fn sql(constant: &str, ty: LogicalType, column: &str) -> Option<String> {
    let canonical = parse(constant, ty).ok()?;
    // Printed again, so that no setting of the session decides how it is read.
    let text = types::to_text(ty, &canonical, &TextSettings::default()).ok()?;
    let literal = quote_literal(&String::from_utf8(text).ok()?);
    Some(match is_text(ty) {
        true => sql::of_column(&sql::text(column), &format!("{literal}::pg_catalog.text")),
        false => format!(
            "CASE WHEN ({column}) IS NULL THEN NULL ELSE {} END",
            sql::cast(&literal, ty)
        ),
    })
}

pub(super) fn fits(constant: &str, ty: LogicalType) -> Result<(), String> {
    parse(constant, ty).map(drop).map_err(|fault| {
        format!(
            "the mask `constant` must be a value of type {}: {fault}",
            sql::type_name(ty)
        )
    })
}

fn parse(constant: &str, ty: LogicalType) -> Result<Vec<u8>, ValueFault> {
    let canonical = types::from_text(ty, constant.as_bytes(), &TextSettings::default())?;
    types::coerce(ty, canonical, false, TextSettings::default().version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_must_be_of_the_type() {
        assert!(fits("hidden", LogicalType::Text).is_ok());
        assert!(fits("hidden", LogicalType::Varchar(Some(5))).is_err());
        assert!(fits("hidden", LogicalType::Int4).is_err());
        assert_eq!(
            apply("7", LogicalType::Int4).expect("fits"),
            7i64.to_be_bytes()
        );
    }
}
