//! The type of a constant or parameter that meets an attribute: by itself, or by the casts around it.
//!
//! Knows types and attributes; what is done with the value is `write`'s matter.

use crate::policy::decide::Treated;
use crate::statement::plan::Shape;
use crate::statement::tree::{CastType, ConstantKind, Expr, Extent};
use crate::types::{LogicalType, TypeClass, oid};

/// Whether a constant without a cast takes the attribute's type in PostgreSQL.
pub(super) fn constant_fits(kind: ConstantKind, attribute: &Treated, assigned: bool) -> bool {
    match (kind, attribute.logical.class()) {
        (ConstantKind::Text | ConstantKind::Null, _) => true,
        (ConstantKind::Number, TypeClass::Integer | TypeClass::Numeric | TypeClass::Float) => true,
        (ConstantKind::Number, TypeClass::Text | TypeClass::Char | TypeClass::Citext) => assigned,
        (ConstantKind::Boolean, TypeClass::Bool) => true,
        _ => false,
    }
}

/// What a cast around a constant or parameter is around, the type it names, and the tokens of both; or what is
/// not supported.
pub(super) fn uncast<'e>(
    expr: &'e Expr,
    (shape, assigned): (Shape, bool),
    attribute: &Treated,
) -> Result<(&'e Expr, CastType, Extent), &'static str> {
    match expr {
        Expr::Cast {
            inner,
            ty,
            array,
            extent,
        } => match ty {
            // A cast to the column's own type is what assigning does anyhow.
            Some(cast)
                if assigned
                    && matches!(**inner, Expr::Cast { .. })
                    && is_own(*cast, *array, attribute) =>
            {
                let (inner, cast, _) = uncast(inner, (shape, assigned), attribute)?;
                Ok((inner, cast, *extent))
            }
            Some(cast) if *array == (shape == Shape::Array) => Ok((inner, Some(*cast), *extent)),
            // A list as one value, of the column's own elements or of what is assigned to them.
            Some((element, -1)) => match (attribute.logical, LogicalType::from_oid(*element, -1)) {
                (LogicalType::Array(own), _) if *array && own.element_oid == *element => {
                    Ok((inner, Some((own.oid, -1)), *extent))
                }
                (LogicalType::Array(_), Some(element)) if *array => {
                    Ok((inner, Some((element.array_oid(), -1)), *extent))
                }
                _ => Err("a comparison with this cast"),
            },
            Some(_) | None => Err("a comparison with this cast"),
        },
        other => {
            let extent = other.extent().ok_or("a comparison with this expression")?;
            Ok((other, None, extent))
        }
    }
}

/// Whether a cast names the attribute's own type, without a modifier.
fn is_own((oid, typmod): (u32, i32), array: bool, attribute: &Treated) -> bool {
    let own = match attribute.logical {
        LogicalType::Array(own) if array => own.element_oid,
        logical if !array => logical.oid(),
        _ => return false,
    };
    (oid, typmod) == (own, -1)
}

/// The type PostgreSQL gives a number (manual, 4.1.2.6): int4, int8 or numeric, by its form and size. None where
/// its value in the attribute's type would differ from how it is written.
pub(super) fn number_cast(text: &str, attribute: &Treated, assigned: bool) -> Option<CastType> {
    let compact: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let integer = compact.parse::<i64>().ok();
    let integer_type = |integer: i64| match i32::try_from(integer) {
        Ok(_) => oid::INT4,
        Err(_) => oid::INT8,
    };
    match attribute.logical.class() {
        TypeClass::Integer => Some(Some((integer_type(integer?), -1))),
        // Read as what it is: a numeric has no -0.0, and a float4 is compared as a float8.
        TypeClass::Float => Some(Some((integer.map_or(oid::NUMERIC, integer_type), -1))),
        TypeClass::Text | TypeClass::Char | TypeClass::Citext if assigned => {
            (integer?.to_string() == compact).then_some(None)
        }
        _ => Some(None),
    }
}

/// Whether an array type's elements are of the class of the attribute's.
fn is_list_of_class(oid: u32, logical: LogicalType) -> bool {
    let element = LogicalType::element_oid_of(oid).and_then(|oid| LogicalType::from_oid(oid, -1));
    element.is_some_and(|element| logical.element_class() == Some(element.class()))
}

/// Whether a value of the named type compares with the attribute in the attribute's own class.
pub(super) fn cast_fits(oid: u32, typmod: i32, attribute: &Treated) -> bool {
    let class = attribute.logical.class();
    match LogicalType::from_oid(oid, typmod) {
        Some(to) if to.class() == TypeClass::Integer || (oid, typmod) == (oid::NUMERIC, -1) => {
            // What a number becomes when it meets a float.
            to.class() == class || class == TypeClass::Float
        }
        // Assigned, or compared as the server does: by blanks and letters' case, or not.
        Some(to) if to.class() == TypeClass::Text => {
            matches!(class, TypeClass::Text | TypeClass::Char | TypeClass::Citext)
        }
        Some(to) => to.class() == class,
        None => oid == attribute.logical.oid() || is_list_of_class(oid, attribute.logical),
    }
}
