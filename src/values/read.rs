//! From what a client wrote to canonical values: casts, arrays, and the type modifier where a value is assigned.
//!
//! Knows types; knows no key.

use crate::ident::SqlState;
use crate::policy::decide::Treated;
use crate::secret::Secret;
use crate::statement::plan::{LiteralSlot, ParameterPlan};
use crate::types::{self, Declared, LogicalType, Target, TextSettings, TypeClass, ValueFault, oid};

use super::fill::Given;

/// How one value, or each element of an array, is to be read.
pub(super) struct Reading<'a> {
    target: LogicalType,
    /// what the client declared: an OID, 0 for nothing
    declared_oid: u32,
    /// 0 text, 1 binary
    format: i16,
    /// a literal of the text, and no parameter
    literal: bool,
    cast: Option<(u32, i32)>,
    assigned: bool,
    /// whether the attribute's own modifier has made it what it is
    modified: bool,
    /// the one type of the list that it stands in
    listed: Option<LogicalType>,
    settings: &'a TextSettings,
}

impl<'a> Reading<'a> {
    pub(super) fn of_literal(slot: &LiteralSlot, settings: &'a TextSettings) -> Self {
        Self {
            target: slot.attribute.logical,
            declared_oid: 0,
            format: 0,
            literal: true,
            cast: slot.cast,
            assigned: slot.assigned,
            modified: slot.assigned,
            listed: slot.listed.then_some(slot.attribute.logical),
            settings,
        }
    }

    pub(super) fn of_parameter(
        plan: &ParameterPlan,
        given: Given<'_>,
        settings: &'a TextSettings,
    ) -> Self {
        Self {
            target: plan.attribute.logical,
            declared_oid: given.oid,
            format: given.format,
            literal: false,
            cast: plan.cast,
            assigned: plan.assigned,
            modified: plan.assigned || given.of_domain,
            listed: list_type(plan, given.declared),
            settings,
        }
    }

    /// The canonical form of a value.
    pub(super) fn value(&self, bytes: &[u8]) -> Result<Secret<Vec<u8>>, ValueFault> {
        let declared = match (self.declared_oid, self.cast) {
            (0 | oid::UNKNOWN, Some((cast, _))) => cast,
            // In a list a text is cast to char(n): the spaces at its end do not count.
            (oid::TEXT, _) if matches!(self.listed, Some(LogicalType::Char(_))) => oid::BPCHAR,
            (declared, _) => declared,
        };
        // Beside one char(n) a varchar is compared as one, by which the spaces at its end do not count; in a list, and
        // of a text, it is not.
        let alone = !self.assigned && self.listed.is_none();
        if declared == oid::BPCHAR && alone && matches!(self.target, LogicalType::Varchar(_)) {
            return Err(ValueFault {
                sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
                message:
                    "a char(n) is not compared with varchar: declare it as text or leave its type open"
                        .to_owned(),
            });
        }
        // A list cast to the column's own type: elements are converted at least as they are where one is assigned.
        let is_own =
            self.target.class() == TypeClass::Array && self.cast == Some((self.target.oid(), -1));
        let target = Target {
            logical: self.read_as(declared),
            assigned: self.assigned || is_own,
        };
        let wire = Declared {
            oid: declared,
            format: self.format,
        };
        let version = self.settings.version;
        let mut canonical =
            types::from_wire(wire, bytes, target, self.settings).map_err(|fault| {
                // PostgreSQL has a cast for what it would neither assign nor compare.
                let misfits = [SqlState::DATATYPE_MISMATCH, SqlState::UNDEFINED_FUNCTION];
                match self.cast {
                    Some((cast, _)) if cast != declared && misfits.contains(&fault.sqlstate) => {
                        self.cast_unsupported()
                    }
                    _ => fault,
                }
            })?;
        if let Some((oid, typmod)) = self.cast.filter(|_| !is_own) {
            canonical = self.cast_to(oid, typmod, declared, canonical)?;
        }
        if self.modified {
            canonical = types::coerce(self.target, canonical, false, version)?;
        }
        Ok(Secret::new(canonical))
    }

    /// The type that a value's form is read as. The fields of an interval count for a literal that gets them; a float4
    /// is compared as a float8 with whatever is of another type.
    fn read_as(&self, declared: u32) -> LogicalType {
        use LogicalType::{Float4, Int2, Int4};
        if let (Float4 | Int2 | Int4, Some(list)) = (self.target, self.listed) {
            return list;
        }
        match self.target {
            LogicalType::Interval(_) if self.literal => match self.cast {
                Some((oid, typmod)) => LogicalType::from_oid(oid, typmod)
                    .filter(|cast| cast.class() == TypeClass::Interval)
                    .unwrap_or(self.target.without_fields()),
                None if self.assigned => self.target,
                None => self.target.without_fields(),
            },
            LogicalType::Float4
                if !self.assigned && !matches!(declared, 0 | oid::UNKNOWN | oid::FLOAT4) =>
            {
                LogicalType::Float8
            }
            // A cidr has no operators of its own: what it is compared with is an inet (PostgreSQL manual, 9.12).
            LogicalType::Cidr if !self.assigned && matches!(declared, 0 | oid::UNKNOWN) => {
                LogicalType::Inet
            }
            target => target.without_fields(),
        }
    }

    /// The canonical forms of an array's elements; None is NULL.
    pub(super) fn elements(
        &self,
        bytes: &[u8],
    ) -> Result<Vec<Option<Secret<Vec<u8>>>>, ValueFault> {
        let (header_oid, elements) = match self.format {
            0 => (
                None,
                types::array::elements_from_text(bytes, self.settings.version)?,
            ),
            1 => {
                let (oid, elements) = types::array::elements_from_binary(bytes)?;
                (Some(oid), elements)
            }
            _ => return Err(unsupported_format()),
        };
        let declared = match self.declared_oid {
            0 | oid::UNKNOWN => header_oid.unwrap_or(0),
            array if array == self.target.array_oid() => self.target.oid(),
            array => element_of(array)?,
        };
        if header_oid.is_some_and(|oid| oid != declared) {
            return Err(ValueFault {
                sqlstate: SqlState::DATATYPE_MISMATCH,
                message: "wrong element type".to_owned(),
            });
        }
        // A cast names the array's type or its elements'.
        let cast = self
            .cast
            .map(|(oid, typmod)| (element_of(oid).unwrap_or(oid), typmod));
        let one = Reading {
            declared_oid: declared,
            cast,
            ..*self
        };
        elements
            .into_iter()
            .map(|element| {
                element
                    .map(|e| one.value(Secret::new(e).expose()))
                    .transpose()
            })
            .collect()
    }

    /// Applies a cast the client wrote, after the value was read as `declared`.
    fn cast_to(
        &self,
        oid: u32,
        typmod: i32,
        declared: u32,
        canonical: Vec<u8>,
    ) -> Result<Vec<u8>, ValueFault> {
        let version = self.settings.version;
        match LogicalType::from_oid(oid, typmod) {
            Some(cast) if cast.class() == self.target.class() => {
                let canonical = types::coerce(cast, canonical, true, version)?;
                if cast.class() != TypeClass::Numeric {
                    return Ok(canonical);
                }
                // Equal numerics are equal bytes only with the digits that the attribute's scale asks for.
                let sent = types::to_binary(cast, &canonical, version)?;
                types::from_binary(self.target, &sent, version)
            }
            _ if oid == oid::NUMERIC && typmod < 0 && self.target.class() == TypeClass::Numeric => {
                Ok(canonical)
            }
            // Reading it as that type was the cast.
            _ if oid == declared && typmod < 0 => Ok(canonical),
            _ => Err(self.cast_unsupported()),
        }
    }

    fn cast_unsupported(&self) -> ValueFault {
        let name = self.target.sql();
        ValueFault {
            sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
            message: format!("this cast does not go with a treated attribute of type {name}"),
        }
    }
}

/// What a stored or plain value of an attribute is, read as the server sent it.
pub(super) fn from_server(
    treated: &Treated,
    format: i16,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Secret<Vec<u8>>, ValueFault> {
    match format {
        0 => types::from_text(treated.logical, bytes, settings),
        1 => types::from_binary(treated.logical, bytes, settings.version),
        _ => Err(unsupported_format()),
    }
    .map(Secret::new)
}

/// What PostgreSQL says of a format code that is neither 0 nor 1.
pub(super) fn unsupported_format() -> ValueFault {
    ValueFault {
        sqlstate: SqlState::INVALID_PARAMETER_VALUE,
        message: "unsupported format code".to_owned(),
    }
}

/// The type that PostgreSQL gives the elements of a list with a parameter in it: the column's, unless one of them is of a
/// wider one, which a float4 or an integer gives way to (`select_common_type`). None for a parameter that stands alone.
pub fn list_type(plan: &ParameterPlan, declared: &[u32]) -> Option<LogicalType> {
    let has = |oid: u32| {
        let of = |number: &u16| declared.get(usize::from(*number).saturating_sub(1));
        // Asked for every parameter of a list: where none at all is of the type, the list is not looked through.
        declared.contains(&oid) && plan.listed.iter().any(|number| of(number) == Some(&oid))
    };
    match plan.attribute.logical {
        _ if plan.listed.is_empty() => None,
        LogicalType::Float4 if has(oid::FLOAT8) => Some(LogicalType::Float8),
        LogicalType::Int2 | LogicalType::Int4 if has(oid::INT8) => Some(LogicalType::Int8),
        LogicalType::Int2 if has(oid::INT4) => Some(LogicalType::Int4),
        logical => Some(logical),
    }
}

fn element_of(array_oid: u32) -> Result<u32, ValueFault> {
    LogicalType::element_oid_of(array_oid).ok_or_else(|| ValueFault {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: "this array type does not go with a treated attribute".to_owned(),
    })
}
