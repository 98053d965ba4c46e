//! What is written: constants and parameters take the form of the attribute they meet; INSERT, UPDATE,
//! DELETE and RETURNING.
//!
//! An attribute is assigned a constant, a parameter or an attribute of its own form, and nothing computed.

use std::sync::Arc;

use super::cast::{cast_fits, constant_fits, number_cast, uncast};
use super::{Adapted, Inference, Site, Ty, Use, one_form};
use crate::policy::decide::Treated;
use crate::seal::Comparison;
use crate::statement::plan::{Refusal, Shape};
use crate::statement::refuse;
use crate::statement::treatment::{Treatment, treatment};
use crate::statement::tree::{
    Body, Change, ColumnRef, ConstantKind, Expr, Extent, Form, Insert, Item, Origin, QueryId, Rows,
    SourceId,
};
use crate::types::TypeClass;

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
