//! `= ANY` and `<> ALL` over arrays: one parameter or constant, and `ARRAY[…]`.

use super::super::plan::{Refusal, Shape};
use super::super::tree::{ConstantKind, Expr, Extent, Form};
use super::{Inference, Ty};
use crate::policy::decide::Treated;
use crate::types::TypeClass;

impl Inference<'_> {
    /// `left = ANY (array)`
    pub(super) fn any_array(
        &mut self,
        left: &Expr,
        right: &Expr,
        extent: Extent,
    ) -> Result<Ty, Refusal> {
        match (self.expr(left)?, self.expr(right)?) {
            (Ty::Held(attribute), Ty::Constant) => {
                self.found.grouped.push(extent);
                self.adapt(right, &attribute, Shape::Array, false)?;
                self.compares(&attribute, Some(left), Some(extent));
            }
            (Ty::Held(a), _) | (_, Ty::Held(a)) => {
                return Err(self.not_for(
                    &a,
                    &Form::Named("ANY or ALL in this form"),
                    Some(extent),
                ));
            }
            _ => {}
        }
        Ok(Ty::Plain)
    }

    /// `left = ANY (ARRAY[list])`: as an IN list, where the array is of the attribute's own type.
    pub(super) fn in_array(
        &mut self,
        left: &Expr,
        list: &[Expr],
        extent: Extent,
    ) -> Result<Ty, Refusal> {
        self.compare_unless(left, list, extent, |attribute| {
            (!is_of_its_type(list, attribute))
                .then_some("ANY or ALL over an array of texts without a cast")
        })?;
        Ok(Ty::Plain)
    }
}

/// Whether an `ARRAY[list]` is of the attribute's type, or PostgreSQL has no operator for what it is.
///
/// Texts without a cast make a `text[]` (manual, 10.5: all unknown resolves as text). Beside one a char or citext
/// becomes text, and blanks or letters' case count, which in an IN list they do not; other types have no such operator.
fn is_of_its_type(list: &[Expr], attribute: &Treated) -> bool {
    let has_type = |element: &Expr, parameter| match element {
        Expr::Constant {
            kind: ConstantKind::Text | ConstantKind::Null,
            ..
        } => false,
        // Of the type that the client declares.
        Expr::Parameter { .. } => parameter,
        _ => true,
    };
    match attribute.logical.class() {
        TypeClass::Text => true,
        TypeClass::Char | TypeClass::Citext => list.iter().all(|one| has_type(one, false)),
        _ => list.iter().any(|one| has_type(one, true)),
    }
}
