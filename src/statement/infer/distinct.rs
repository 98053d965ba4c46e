//! DISTINCT: which output columns are compared as they are, and which by their heads.

use super::super::tree::{ColumnRef, Expr, Select};
use super::{DistinctHeads, Inference, Ty, Use};
use crate::seal::Comparison;

impl Inference<'_> {
    /// Notes what a DISTINCT compares.
    pub(super) fn distinct(&mut self, select: &Select, types: &[Ty]) {
        let mut keys = Vec::with_capacity(types.len());
        for (ty, item) in types.iter().zip(&select.items) {
            let key = match ty {
                Ty::Held(a) if a.comparison() == Comparison::Heads => self.nameable(&item.expr),
                Ty::Held(_) | Ty::Plain | Ty::Constant => None,
            };
            let by_head = key.is_some() && select.distinct_word.is_some();
            if let Ty::Held(attribute) = ty {
                let what = match by_head {
                    true => Use::CompareHeads,
                    false => Use::Compare,
                };
                self.uses(attribute, what, item.expr.extent());
            }
            keys.push(key);
        }
        if let Some(word) = select.distinct_word
            && keys.iter().any(Option::is_some)
        {
            self.found.distinct.push(DistinctHeads { word, keys });
        }
    }

    /// The column that an expression is, casts left out, where its source has a name to call it by.
    fn nameable(&self, expr: &Expr) -> Option<ColumnRef> {
        match expr {
            Expr::Column { column, .. } => {
                let source = &self.resolved.sources[column.source.0];
                (!source.name.is_empty()).then_some(*column)
            }
            Expr::Cast { inner, .. } => self.nameable(inner),
            _ => None,
        }
    }
}
