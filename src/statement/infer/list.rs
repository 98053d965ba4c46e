//! `left = right` and `left IN (list)`: what each element is compared as.
//!
//! SQL: `f IN (0.1, 2)` compares a float4 with two float4, `f = 0.1` compares it with a float8: the elements of a list
//! of several have one type with the left side.

use std::sync::Arc;

use super::{Inference, Ty};
use crate::policy::decide::Treated;
use crate::statement::plan::{Refusal, Shape};
use crate::statement::tree::{Expr, Extent, Form};
use crate::types::LogicalType;

impl Inference<'_> {
    /// `left = right`, `left IN (list)`.
    pub(super) fn compare(
        &mut self,
        left: &Expr,
        list: &[Expr],
        extent: Extent,
    ) -> Result<Ty, Refusal> {
        let left_ty = self.compare_unless(left, list, extent, |attribute| {
            let is_moved = list.len() > 1
                && is_moved_by_lists(attribute.logical)
                && has_one_type(list, attribute.logical).is_none();
            is_moved.then_some("IN over parameters beside constants, or over casts,")
        })?;
        if let Ty::Held(attribute) = &left_ty {
            self.listed(list, attribute.logical);
        }
        Ok(Ty::Plain)
    }

    /// The left side compared with each of the list, and its type; refused where PostgreSQL would compare a treated one
    /// as another type than its own, which `unfit` tells by a name for the form.
    pub(super) fn compare_unless(
        &mut self,
        left: &Expr,
        list: &[Expr],
        extent: Extent,
        unfit: impl FnOnce(&Treated) -> Option<&'static str>,
    ) -> Result<Ty, Refusal> {
        let left_ty = self.expr(left)?;
        if let Ty::Held(attribute) = &left_ty
            && !attribute.is_compared_as_it_lies(self.role)
            && let Some(what) = unfit(attribute)
        {
            return Err(self.not_for(attribute, &Form::Named(what), Some(extent)));
        }
        self.compare_each((left, &left_ty), list, extent)?;
        Ok(left_ty)
    }

    /// Notes of each element of a list that PostgreSQL gives them one type, and which parameters decide it.
    fn listed(&mut self, list: &[Expr], logical: LogicalType) {
        let Some(parameters) = has_one_type(list, logical) else {
            return;
        };
        let parameters: Arc<[u16]> = parameters.into();
        for first in list.iter().filter_map(Expr::extent).map(|e| e.start) {
            if let Some(adapted) = self.found.adapted.get_mut(&first) {
                adapted.listed = Some(Arc::clone(&parameters));
            }
        }
    }

    fn compare_each(
        &mut self,
        (left, left_ty): (&Expr, &Ty),
        list: &[Expr],
        extent: Extent,
    ) -> Result<(), Refusal> {
        let mut met = matches!(left_ty, Ty::Held(_));
        for right in list {
            let right_ty = self.expr(right)?;
            met |= matches!(right_ty, Ty::Held(_));
            match (left_ty, &right_ty) {
                (Ty::Held(attribute), Ty::Constant) => {
                    self.adapt(right, attribute, Shape::Value, false)?;
                    self.compares(attribute, Some(left), Some(extent));
                }
                (Ty::Constant, Ty::Held(attribute)) if list.len() == 1 => {
                    self.adapt(left, attribute, Shape::Value, false)?;
                    self.compares(attribute, Some(right), Some(extent));
                }
                _ => {
                    let sides = ((left_ty, Some(left)), (&right_ty, Some(right)));
                    self.compare_types(sides.0, sides.1, Some(extent))?;
                }
            }
        }
        if met {
            self.found.grouped.push(extent);
        }
        Ok(())
    }
}

/// The parameters of a list whose elements PostgreSQL gives one type, the left side's among them
/// (`select_common_type`), which they alone can move from it; None of other lists.
///
/// Text in a list becomes char(n), a number float4; by itself char(n) becomes text beside a text, and float4 a float8
/// beside a number. Columns do not count, casts do: neither is weighed here.
fn has_one_type(list: &[Expr], logical: LogicalType) -> Option<Vec<u16>> {
    let number = |one: &Expr| match one {
        Expr::Parameter { number, .. } => Some(*number),
        _ => None,
    };
    let parameters: Vec<u16> = list.iter().filter_map(number).collect();
    let is_bare = |one: &Expr| matches!(one, Expr::Constant { .. } | Expr::Parameter { .. });
    let is_decided = match logical {
        // A parameter declared as float8 makes constants float8 too.
        LogicalType::Float4 => parameters.is_empty() || parameters.len() == list.len(),
        _ => true,
    };
    (list.len() > 1 && list.iter().all(is_bare) && is_decided).then_some(parameters)
}

/// Whether the elements of a list count otherwise than one by itself.
fn is_moved_by_lists(logical: LogicalType) -> bool {
    matches!(logical, LogicalType::Char(_) | LogicalType::Float4)
}
