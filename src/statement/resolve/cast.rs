//! Casts: which type is named, and exactly which tokens name it (sqlparser gives types no span).

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Expr as SqlExpr, ObjectName,
    ObjectNamePart, TimezoneInfo, ValueWithSpan,
};

use super::Resolver;
use super::scope::Scope;
use crate::statement::lex::TokenKind;
use crate::statement::plan::Refusal;
use crate::statement::tree::{CastType, Expr, Extent, Form};
use crate::types::oid;

/// The modifier of a type with a length or precision n, as `typmodin` makes it: n + 4 for text types.
const VARHDRSZ: i32 = 4;

fn scalar(data_type: &DataType) -> CastType {
    let none = |oid| Some((oid, -1));
    match data_type {
        DataType::Text => none(oid::TEXT),
        // `char` without a length is char(1).
        DataType::Character(length) | DataType::Char(length) => Some((
            oid::BPCHAR,
            character_length(length.as_ref())?.max(VARHDRSZ + 1),
        )),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => Some((oid::VARCHAR, character_length(length.as_ref())?)),
        DataType::SmallInt(None) | DataType::Int2(None) => none(oid::INT2),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => none(oid::INT4),
        DataType::BigInt(None) | DataType::Int8(None) => none(oid::INT8),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Some((oid::NUMERIC, numeric(info)?))
        }
        DataType::Real | DataType::Float4 => none(oid::FLOAT4),
        DataType::DoublePrecision | DataType::Float8 => none(oid::FLOAT8),
        DataType::Bool | DataType::Boolean => none(oid::BOOL),
        DataType::Date => none(oid::DATE),
        DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Some((oid::TIME, precision_of(*precision)?))
        }
        DataType::Time(precision, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            Some((oid::TIMETZ, precision_of(*precision)?))
        }
        DataType::Interval {
            fields: None,
            precision: None,
        } => none(oid::INTERVAL),
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Some((oid::TIMESTAMP, precision_of(*precision)?))
        }
        DataType::Timestamp(precision, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => {
            Some((oid::TIMESTAMPTZ, precision_of(*precision)?))
        }
        DataType::Uuid => none(oid::UUID),
        DataType::Bytea => none(oid::BYTEA),
        DataType::JSON => none(oid::JSON),
        DataType::JSONB => none(oid::JSONB),
        DataType::Custom(name, modifiers) if modifiers.is_empty() && name.0.len() == 1 => {
            custom(&bare(name)?)
        }
        _ => None,
    }
}

/// Types that the parser has no word for, and that are no user's.
fn custom(name: &str) -> CastType {
    match name {
        "inet" => Some((oid::INET, -1)),
        "cidr" => Some((oid::CIDR, -1)),
        "macaddr" => Some((oid::MACADDR, -1)),
        "bpchar" => Some((oid::BPCHAR, -1)),
        _ => None,
    }
}

/// The bare name of a type.
fn bare(name: &ObjectName) -> Option<String> {
    let Some(ObjectNamePart::Identifier(name)) = name.0.last() else {
        return None;
    };
    Some(match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some(_) => name.value.clone(),
    })
}

fn character_length(length: Option<&CharacterLength>) -> Option<i32> {
    match length {
        None => Some(-1),
        Some(CharacterLength::IntegerLength { length, unit: None }) => {
            i32::try_from(*length).ok()?.checked_add(VARHDRSZ)
        }
        Some(_) => None,
    }
}

fn numeric(info: &ExactNumberInfo) -> Option<i32> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Some(-1),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            (*precision, u64::try_from(*scale).ok()?)
        }
    };
    let (precision, scale) = (i32::try_from(precision).ok()?, i32::try_from(scale).ok()?);
    (precision <= 1000 && scale <= 1000).then_some(((precision << 16) | scale) + VARHDRSZ)
}

fn precision_of(precision: Option<u64>) -> Option<i32> {
    match precision {
        None => Some(-1),
        Some(p @ 0..=6) => i32::try_from(p).ok(),
        Some(_) => None,
    }
}

impl Resolver<'_> {
    /// OID and modifier of a type, if it is one that a treated attribute can have; whether it is an array of it.
    fn cast_type(&self, data_type: &DataType) -> (CastType, bool) {
        let (one, array) = match data_type {
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(element, None)
                | ArrayElemTypeDef::Parenthesis(element)
                | ArrayElemTypeDef::AngleBracket(element),
            ) => (element.as_ref(), true),
            other => (other, false),
        };
        let own = match one {
            DataType::Custom(name, modifiers) if modifiers.is_empty() => bare(name)
                .and_then(|name| self.names.snapshot.type_named(&name))
                .map(|oid| (oid, -1)),
            _ => None,
        };
        (scalar(one).or(own), array)
    }

    /// Binds `inner::type` or `CAST(inner AS type)`.
    pub(super) fn cast(
        &mut self,
        double_colon: bool,
        inner: &SqlExpr,
        data_type: &DataType,
        scope: &Scope<'_>,
    ) -> Result<Expr, Refusal> {
        if let DataType::Custom(name, _) = data_type {
            self.object_name(name)?;
        }
        let inner = self.expr(inner, scope)?;
        let (ty, array) = self.cast_type(data_type);
        let extent = inner.extent().and_then(|e| {
            if double_colon {
                self.double_colon_extent(e)
            } else {
                self.cast_extent(e)
            }
        });
        Ok(match extent {
            Some(extent) => Expr::Cast {
                inner: Box::new(inner),
                ty,
                array,
                extent,
            },
            None => Expr::Other {
                form: Form::Named("this cast"),
                operands: vec![inner],
                extent: None,
            },
        })
    }

    /// Binds `type 'text'`.
    pub(super) fn typed_constant(
        &mut self,
        data_type: &DataType,
        value: &ValueWithSpan,
    ) -> Result<Expr, Refusal> {
        let inner = self.constant(value)?;
        let (ty, array) = self.cast_type(data_type);
        let extent = inner
            .extent()
            .and_then(|e| self.typed_constant_extent(e.start));
        Ok(match extent {
            Some(extent) => Expr::Cast {
                inner: Box::new(inner),
                ty,
                array,
                extent,
            },
            None => Expr::Other {
                form: Form::Named("a typed constant"),
                operands: vec![inner],
                extent: None,
            },
        })
    }

    /// The extent of `inner::type`, when the tokens behind `inner` are exactly that.
    pub(super) fn double_colon_extent(&self, inner: Extent) -> Option<Extent> {
        self.is_symbol(inner.end, "::")
            .then(|| self.type_end(inner.end + 1))
            .flatten()
            .map(|end| Extent {
                start: inner.start,
                end,
            })
    }

    /// The extent of `CAST(inner AS type)`.
    pub(super) fn cast_extent(&self, inner: Extent) -> Option<Extent> {
        let start = inner.start.checked_sub(2)?;
        if !(self.is_word(start, "cast")
            && self.is_symbol(start + 1, "(")
            && self.is_word(inner.end, "as"))
        {
            return None;
        }
        let end = self.type_end(inner.end + 1)?;
        self.is_symbol(end, ")").then_some(Extent {
            start,
            end: end + 1,
        })
    }

    /// The extent of `type 'text'` for a constant at `index`: only types of one word are followed.
    pub(super) fn typed_constant_extent(&self, index: usize) -> Option<Extent> {
        let start = index.checked_sub(1)?;
        let one_word = matches!(
            &self.tokens[start].kind,
            TokenKind::Word { quoted: false, .. }
        ) && self.type_end(start) == Some(index);
        one_word.then_some(Extent {
            start,
            end: index + 1,
        })
    }

    /// Behind the type that begins at `at` (manual, 8.1: the types of more than one word are a closed list).
    fn type_end(&self, at: usize) -> Option<usize> {
        let TokenKind::Word { name, quoted } = &self.tokens.get(at)?.kind else {
            return None;
        };
        let mut at = at + 1;
        while self.is_symbol(at, ".") {
            if !matches!(self.tokens.get(at + 1)?.kind, TokenKind::Word { .. }) {
                return None;
            }
            at += 2;
        }
        if !quoted {
            match name.as_str() {
                "character" | "char" if self.is_word(at, "varying") => at += 1,
                "double" if self.is_word(at, "precision") => at += 1,
                "national" | "bit" => return None,
                // Only without fields and precision.
                "interval" if self.interval_goes_on(at) => return None,
                _ => {}
            }
        }
        at = self.modifier_end(at)?;
        if matches!(name.as_str(), "timestamp" | "time")
            && (self.is_word(at, "with") || self.is_word(at, "without"))
        {
            if !(self.is_word(at + 1, "time") && self.is_word(at + 2, "zone")) {
                return None;
            }
            at += 3;
        }
        if self.is_symbol(at, "[") {
            return self.is_symbol(at + 1, "]").then_some(at + 2);
        }
        Some(at)
    }

    /// Whether fields or a precision follow `interval`.
    fn interval_goes_on(&self, at: usize) -> bool {
        const FIELDS: [&str; 6] = ["year", "month", "day", "hour", "minute", "second"];
        self.is_symbol(at, "(") || FIELDS.iter().any(|field| self.is_word(at, field))
    }

    fn modifier_end(&self, at: usize) -> Option<usize> {
        if !self.is_symbol(at, "(") {
            return Some(at);
        }
        let mut at = at + 1;
        while matches!(self.tokens.get(at)?.kind, TokenKind::Number) || self.is_symbol(at, ",") {
            at += 1;
        }
        self.is_symbol(at, ")").then_some(at + 1)
    }
}
