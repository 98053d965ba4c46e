//! UPDATE and DELETE, and what INSERT shares with them: targets, assignments, RETURNING.
//!
//! A column of a target that nothing known has is refused where it could be a treated one. Knows no role.

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr as SqlExpr, FromTable, ObjectName, SelectItem,
    TableFactor, TableWithJoins, Update, UpdateTableFromKind,
};

use super::Resolver;
use super::absent::absent;
use super::from::Joined;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{Change, Expr, Item, Node, Place, SourceId};

impl Resolver<'_> {
    /// Binds an UPDATE.
    pub(super) fn update(
        &mut self,
        update: &Update,
        parent: Option<&Scope<'_>>,
    ) -> Result<Node, Refusal> {
        let Update {
            update_token: _,
            optimizer_hints: _,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        absent(&[
            ("OUTPUT", output),
            ("UPDATE OR", or),
            ("ORDER BY in UPDATE", order_by),
            ("LIMIT in UPDATE", limit),
        ])?;
        let target = self.target_factor(table)?;
        let mut scope = self.scope_of(target, parent);
        let mut joined = Joined::default();
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(items)) => {
                self.from(items, &mut scope, &mut joined)?
            }
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                return Err(refuse::unsupported("FROM before SET", None));
            }
        }
        let assignments = self.assignments(assignments, target, &scope)?;
        self.change(
            (target, assignments),
            (selection.as_ref(), returning.as_deref()),
            &scope,
            joined,
        )
    }

    /// Binds a DELETE.
    pub(super) fn delete(
        &mut self,
        delete: &Delete,
        parent: Option<&Scope<'_>>,
    ) -> Result<Node, Refusal> {
        let Delete {
            delete_token: _,
            optimizer_hints: _,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        absent(&[
            ("DELETE of several tables", tables),
            ("OUTPUT", output),
            ("ORDER BY in DELETE", order_by),
            ("LIMIT in DELETE", limit),
        ])?;
        let (FromTable::WithFromKeyword(targets) | FromTable::WithoutKeyword(targets)) = from;
        let [table] = targets.as_slice() else {
            return Err(refuse::unsupported("DELETE of several tables", None));
        };
        let target = self.target_factor(table)?;
        let mut scope = self.scope_of(target, parent);
        let mut joined = Joined::default();
        if let Some(items) = using {
            self.from(items, &mut scope, &mut joined)?;
        }
        self.change(
            (target, Vec::new()),
            (selection.as_ref(), returning.as_deref()),
            &scope,
            joined,
        )
    }

    fn change(
        &mut self,
        (target, assignments): (SourceId, Vec<(usize, Expr)>),
        (selection, returning): (Option<&SqlExpr>, Option<&[SelectItem]>),
        scope: &Scope<'_>,
        joined: Joined,
    ) -> Result<Node, Refusal> {
        let mut conditions = joined.conditions;
        if let Some(condition) = selection {
            conditions.push(self.expr(condition, scope)?);
        }
        let returning = self.returning(returning, scope)?;
        let change = Change {
            target,
            assignments,
            conditions,
            merged: joined.merged,
            returning,
        };
        Ok(Node::Change(Box::new(change)))
    }

    /// Binds RETURNING, every column of which must be known.
    pub(super) fn returning(
        &mut self,
        items: Option<&[SelectItem]>,
        scope: &Scope<'_>,
    ) -> Result<Option<Vec<Item>>, Refusal> {
        let Some(items) = items else { return Ok(None) };
        let (items, known) = self.items(items, scope)?;
        if known {
            Ok(Some(items))
        } else {
            Err(refuse::unsupported(
                "RETURNING * over a source whose columns are not known",
                None,
            ))
        }
    }

    /// Enters the relation to be changed.
    pub(super) fn target(&mut self, name: &ObjectName) -> Result<SourceId, Refusal> {
        let (parts, extent) = self.object_name(name)?;
        self.relation_source(&parts, extent, Place::Target)
    }

    fn target_factor(&mut self, table: &TableWithJoins) -> Result<SourceId, Refusal> {
        let TableWithJoins { relation, joins } = table;
        absent(&[("a join as target", joins)])?;
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = relation
        else {
            return Err(refuse::unsupported("this target", None));
        };
        absent(&[
            ("a function as target", args),
            ("WITH hints", with_hints),
            ("a table version", version),
            ("WITH ORDINALITY", with_ordinality),
            ("PARTITION", partitions),
            ("a JSON path", json_path),
            ("TABLESAMPLE", sample),
            ("index hints", index_hints),
        ])?;
        let target = self.target(name)?;
        self.alias(target, alias.as_ref())?;
        Ok(target)
    }

    /// The index of a column to be changed; `usize::MAX` for one that is plain or not there.
    pub(super) fn target_column(
        &mut self,
        target: SourceId,
        name: &ObjectName,
    ) -> Result<usize, Refusal> {
        let (parts, extent) = self.object_name(name)?;
        let [name] = parts.as_slice() else {
            return Err(refuse::unsupported(
                "a part of a column as target",
                self.position(extent.start),
            ));
        };
        match (
            self.column_of(target, name),
            &self.sources[target.0].columns,
        ) {
            (Some(column), _) => Ok(column.column),
            (None, _) if self.names.reach.is_attribute(name) && self.leads(target) => {
                Err(refuse::unsupported(
                    format!("column {name:?}, which the catalog does not show,"),
                    self.position(extent.start),
                ))
            }
            // Not treated, or an error the server will report: an index that no column has.
            (None, _) => Ok(usize::MAX),
        }
    }

    fn leads(&self, target: SourceId) -> bool {
        let source = &self.sources[target.0];
        source
            .relation
            .as_ref()
            .is_some_and(|r| self.names.reach.mention(&r.name.name).is_some())
    }

    /// Binds the assignments of SET.
    pub(super) fn assignments(
        &mut self,
        assignments: &[Assignment],
        target: SourceId,
        scope: &Scope<'_>,
    ) -> Result<Vec<(usize, Expr)>, Refusal> {
        let mut bound = Vec::with_capacity(assignments.len());
        for Assignment {
            target: place,
            value,
        } in assignments
        {
            let AssignmentTarget::ColumnName(name) = place else {
                return Err(refuse::unsupported("SET (a, b) = …", None));
            };
            let column = self.target_column(target, name)?;
            bound.push((column, self.value(value, scope)?));
        }
        Ok(bound)
    }
}
