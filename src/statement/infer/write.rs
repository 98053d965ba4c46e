//! What is written: constants and parameters take the form of the attribute they meet; INSERT, UPDATE,
//! DELETE and RETURNING.
//!
//! An attribute is assigned a constant, a parameter or an attribute of its own form, and nothing computed.

use std::sync::Arc;

use super::{Adapted, Inference, Site, Ty, Use, one_form};
use crate::policy::decide::Treated;
use crate::seal::Comparison;
use crate::statement::plan::{Refusal, Shape};
use crate::statement::refuse;
use crate::statement::treatment::{Treatment, treatment};
use crate::statement::tree::{
    Body, CastType, Change, ColumnRef, ConstantKind, Expr, Extent, Form, Insert, Item, Origin,
    QueryId, Rows, SourceId,
};
use crate::types::{LogicalType, TypeClass};

impl Inference<'_> {
    /// Carries an attribute to the constant or parameter it meets.
    pub(super) fn adapt(
        &mut self,
        expr: &Expr,
        attribute: &Arc<Treated>,
        shape: Shape,
        assigned: bool,
    ) -> Result<(), Refusal> {
        let position = self.position(expr.extent());
        let refused = |what| refuse::not_computable(&attribute.name, what, position);
        let what = match attribute.comparison() {
            _ if assigned => Use::Assign,
            Comparison::Heads => Use::CompareHeads,
            Comparison::Bytes | Comparison::Never => Use::Compare,
        };
        self.uses(attribute, what, expr.extent());
        if shape == Shape::Array && attribute.logical.class() == TypeClass::Array {
            return Err(refused("ANY or ALL over arrays"));
        }
        let (inner, cast, extent) = uncast(expr, (shape, assigned), attribute).map_err(refused)?;
        let cast = match inner {
            Expr::Constant {
                kind: ConstantKind::Number,
                extent,
            } if cast.is_none() => number_cast(self.text_of(*extent), attribute, assigned)
                .ok_or_else(|| refused("a comparison with, or assignment of, this number"))?,
            _ => cast,
        };
        let site = match inner {
            Expr::Parameter { number, .. } => Site::Parameter(*number),
            Expr::Constant {
                kind: ConstantKind::Default,
                ..
            } if assigned && cast.is_none() => return Ok(()),
            Expr::Constant { kind, extent }
                if cast.is_some() || constant_fits(*kind, attribute, assigned) =>
            {
                Site::Constant(*kind, *extent)
            }
            _ => {
                return Err(refused(
                    "a comparison with, or assignment of, a value of another type",
                ));
            }
        };
        if cast.is_some_and(|(oid, typmod)| !cast_fits(oid, typmod, attribute)) {
            return Err(refused(
                "a comparison with, or assignment of, a value of another type",
            ));
        }
        // The server compares plain values, and tokens with tokens, itself: the client's own text stays, out of the
        // audit's sight.
        let as_it_lies = attribute.is_compared_as_it_lies(self.role);
        if as_it_lies && matches!(site, Site::Parameter(_)) {
            return Ok(());
        }
        self.found.adapted.insert(
            extent.start,
            Adapted {
                attribute: attribute.clone(),
                extent,
                site,
                shape,
                cast,
                assigned,
                listed: None,
            },
        );
        Ok(())
    }

    /// The text of these tokens, for a constant of one or two tokens.
    fn text_of(&self, extent: Extent) -> &str {
        let tokens = &self.resolved.tokens;
        &self.resolved.text[tokens[extent.start].start..tokens[extent.end - 1].end]
    }

    /// `column = value` of INSERT, UPDATE or DO UPDATE.
    fn assign(&mut self, target: SourceId, column: usize, value: &Expr) -> Result<(), Refusal> {
        let origin = self.resolved.sources[target.0]
            .columns
            .as_ref()
            .and_then(|c| c.get(column))
            .map(|c| c.origin.clone());
        let ty = self.expr(value)?;
        let attribute = match origin {
            Some(Origin::Treated(attribute)) => attribute,
            Some(Origin::Output(..) | Origin::Plain) | None => {
                return match ty {
                    Ty::Held(a) => Err(refuse::not_computable(
                        &a.name,
                        "copying into an attribute of another domain",
                        self.position(value.extent()),
                    )),
                    Ty::Plain | Ty::Constant => Ok(()),
                };
            }
        };
        match (treatment(&attribute, self.role), ty) {
            (Treatment::Denied(refusal), _) => Err(refusal),
            (Treatment::Free, Ty::Plain | Ty::Constant) => Ok(()),
            (Treatment::Masked, _) => {
                self.uses(&attribute, Use::Assign, value.extent());
                Ok(())
            }
            (Treatment::Held, Ty::Constant) => self.adapt(value, &attribute, Shape::Value, true),
            (Treatment::Held, Ty::Held(from))
                if one_form(&from, &attribute) && from.logical == attribute.logical =>
            {
                self.uses(&attribute, Use::Assign, value.extent());
                self.uses(&from, Use::Assign, value.extent());
                Ok(())
            }
            (Treatment::Free, Ty::Held(a)) => Err(refuse::not_computable(
                &a.name,
                "copying into an attribute of another domain",
                self.position(value.extent()),
            )),
            (Treatment::Held, Ty::Plain | Ty::Held(_)) => {
                self.uses(&attribute, Use::Assign, value.extent());
                Err(refuse::not_computable(
                    &attribute.name,
                    "an assignment of an expression",
                    self.position(value.extent()),
                ))
            }
        }
    }

    /// The output columns of an INSERT.
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<Option<Vec<Ty>>, Refusal> {
        match &insert.rows {
            Rows::Default => {}
            Rows::Values(rows) => {
                for row in rows {
                    self.assign_row(insert, row)?;
                }
            }
            Rows::Query(query) => self.assign_query(insert, *query)?,
        }
        match insert.conflict.as_deref() {
            None => {}
            Some([]) => self.conflict_over_all(insert.target),
            Some(columns) => {
                for &column in columns {
                    if let Some(Origin::Treated(attribute)) = self.origin(column).cloned() {
                        self.uses(&attribute, Use::Conflict, None);
                        if matches!(treatment(&attribute, self.role), Treatment::Held) {
                            self.uses(&attribute, Use::Compare, None);
                        }
                    }
                }
            }
        }
        for (column, value) in &insert.assignments {
            self.assign(insert.target, *column, value)?;
        }
        self.all_plain(&insert.conditions, &Form::Named("a condition"))?;
        self.returning(insert.returning.as_deref())
    }

    /// ON CONFLICT without a target compares by every unique constraint: it needs plain sight of all that is treated.
    fn conflict_over_all(&mut self, target: SourceId) {
        let columns = self.resolved.sources[target.0]
            .columns
            .as_deref()
            .unwrap_or_default();
        for column in columns {
            if let Origin::Treated(attribute) = &column.origin {
                self.found
                    .uses
                    .push((attribute.clone(), Use::Conflict, None));
            }
        }
    }

    fn origin(&self, column: ColumnRef) -> Option<&Origin> {
        self.resolved.sources[column.source.0]
            .columns
            .as_ref()?
            .get(column.column)
            .map(|c| &c.origin)
    }

    fn assign_row(&mut self, insert: &Insert, row: &[Expr]) -> Result<(), Refusal> {
        for (value, &column) in row.iter().zip(&insert.columns) {
            self.assign(insert.target, column, value)?;
        }
        self.all_plain(
            row.get(insert.columns.len()..).unwrap_or_default(),
            &Form::Named("VALUES"),
        )
    }

    /// INSERT … SELECT: a select list's own constants are adapted as those of VALUES are.
    fn assign_query(&mut self, insert: &Insert, id: QueryId) -> Result<(), Refusal> {
        let query = &self.resolved.queries[id.0];
        if let Body::Select(select) = &query.body
            && query.outputs.is_some()
            && !select.distinct
        {
            let values: Vec<Expr> = select.items.iter().map(|i| i.expr.clone()).collect();
            return self.assign_row(insert, &values);
        }
        let types = self.types[id.0].clone();
        let mut beyond = types.iter().flatten().skip(insert.columns.len());
        if let Some(Ty::Held(attribute)) = beyond.find(|t| matches!(t, Ty::Held(_))) {
            return Err(refuse::not_computable(
                &attribute.name,
                "INSERT … SELECT into a relation that is not known",
                None,
            ));
        }
        for (index, &column) in insert.columns.iter().enumerate() {
            let held = match types.as_ref().and_then(|t| t.get(index)) {
                Some(Ty::Held(attribute)) => Some(attribute.clone()),
                _ => None,
            };
            let target = match self.origin(ColumnRef {
                source: insert.target,
                column,
            }) {
                Some(Origin::Treated(attribute))
                    if !matches!(treatment(attribute, self.role), Treatment::Free) =>
                {
                    Some(attribute.clone())
                }
                _ => None,
            };
            if let Some(attribute) = target.or(held) {
                return Err(refuse::not_computable(
                    &attribute.name,
                    "INSERT … SELECT of this form",
                    None,
                ));
            }
        }
        Ok(())
    }

    /// The output columns of an UPDATE or DELETE.
    pub(super) fn change(&mut self, change: &Change) -> Result<Option<Vec<Ty>>, Refusal> {
        for (column, value) in &change.assignments {
            self.assign(change.target, *column, value)?;
        }
        for &(left, right) in &change.merged {
            self.merged(left, right)?;
        }
        self.all_plain(&change.conditions, &Form::Named("a condition"))?;
        self.returning(change.returning.as_deref())
    }

    fn returning(&mut self, items: Option<&[Item]>) -> Result<Option<Vec<Ty>>, Refusal> {
        let Some(items) = items else { return Ok(None) };
        let masked = self.found.masked.len();
        let types = self.items(items)?;
        for mention in &mut self.found.masked[masked..] {
            if items.iter().any(|i| i.from_star == Some(mention.extent)) {
                return Err(refuse::unsupported(
                    "RETURNING * of a relation with masked attributes: name the columns; it",
                    None,
                ));
            }
            let bare = |i: &&Item| matches!(&i.expr, Expr::Column { extent, .. } if *extent == mention.extent);
            mention.label = items.iter().find(bare).map(|i| i.name.clone());
        }
        Ok(Some(types))
    }
}

/// Whether a constant without a cast takes the attribute's type in PostgreSQL.
fn constant_fits(kind: ConstantKind, attribute: &Treated, assigned: bool) -> bool {
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
fn uncast<'e>(
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
fn number_cast(text: &str, attribute: &Treated, assigned: bool) -> Option<CastType> {
    const INT4: u32 = 23;
    const INT8: u32 = 20;
    const NUMERIC: u32 = 1700;
    let compact: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace() && !matches!(c, '(' | ')'))
        .collect();
    let integer = compact.parse::<i64>().ok();
    let integer_type = |integer: i64| match i32::try_from(integer) {
        Ok(_) => INT4,
        Err(_) => INT8,
    };
    match attribute.logical.class() {
        TypeClass::Integer => Some(Some((integer_type(integer?), -1))),
        // Read as what it is: a numeric has no -0.0, and a float4 is compared as a float8.
        TypeClass::Float => Some(Some((integer.map_or(NUMERIC, integer_type), -1))),
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
fn cast_fits(oid: u32, typmod: i32, attribute: &Treated) -> bool {
    const NUMERIC: u32 = 1700;
    let class = attribute.logical.class();
    match LogicalType::from_oid(oid, typmod) {
        Some(to) if to.class() == TypeClass::Integer || (oid, typmod) == (NUMERIC, -1) => {
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
