//! INSERT: its target and columns, its rows, ON CONFLICT.
//!
//! Where PostgreSQL could compare more columns than the text names, it is taken to compare all. Knows no role.

use sqlparser::ast::{
    ConflictTarget, DoUpdate, Insert as SqlInsert, ObjectName, OnConflict, OnConflictAction,
    OnInsert, Query as SqlQuery, SetExpr, TableAliasWithoutColumns, TableObject,
};

use super::Resolver;
use super::absent::absent;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{ColumnRef, Insert, Node, Place, Rows, Source, SourceId, Used};

impl Resolver<'_> {
    /// Binds an INSERT.
    pub(super) fn insert(
        &mut self,
        insert: &SqlInsert,
        parent: Option<&Scope<'_>>,
    ) -> Result<Node, Refusal> {
        let SqlInsert {
            insert_token: _,
            optimizer_hints: _,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        absent(&[
            ("INSERT OR", or),
            ("INSERT IGNORE", ignore),
            ("OVERWRITE", overwrite),
            ("INSERT … SET", assignments),
            ("PARTITION", partitioned),
            ("columns behind PARTITION", after_columns),
            ("INSERT INTO TABLE", has_table_keyword),
            ("OUTPUT", output),
            ("REPLACE", replace_into),
            ("a priority", priority),
            ("a row alias", insert_alias),
            ("SETTINGS", settings),
            ("FORMAT", format_clause),
            ("INSERT ALL", multi_table_insert_type),
            ("INSERT ALL", multi_table_into_clauses),
            ("INSERT ALL", multi_table_when_clauses),
            ("INSERT ALL", multi_table_else_clause),
        ])?;
        let target = self.insert_target(table, table_alias.as_ref())?;
        let columns = self.target_columns(target, columns)?;
        let rows = self.rows(source.as_deref(), parent)?;
        let scope = self.scope_of(target, parent);
        let mut bound = Insert {
            target,
            columns,
            rows,
            conflict: None,
            assignments: Vec::new(),
            conditions: Vec::new(),
            returning: None,
        };
        self.on_conflict(on.as_ref(), &mut bound, &scope)?;
        bound.returning = self.returning(returning.as_deref(), &scope)?;
        Ok(Node::Insert(Box::new(bound)))
    }

    fn insert_target(
        &mut self,
        table: &TableObject,
        alias: Option<&TableAliasWithoutColumns>,
    ) -> Result<SourceId, Refusal> {
        let TableObject::TableName(name) = table else {
            return Err(refuse::unsupported("this target of INSERT", None));
        };
        let target = self.target(name)?;
        if let Some(TableAliasWithoutColumns { explicit: _, alias }) = alias {
            let (name, _) = self.name(alias)?;
            self.sources[target.0].name = name;
            self.sources[target.0].aliased = true;
        }
        Ok(target)
    }

    /// The columns an INSERT names, or all of them.
    fn target_columns(
        &mut self,
        target: SourceId,
        columns: &[ObjectName],
    ) -> Result<Vec<usize>, Refusal> {
        if columns.is_empty() {
            return match &self.sources[target.0].columns {
                Some(columns) => Ok((0..columns.len()).collect()),
                None => Ok(Vec::new()),
            };
        }
        columns
            .iter()
            .map(|name| self.target_column(target, name))
            .collect()
    }

    fn rows(
        &mut self,
        source: Option<&SqlQuery>,
        parent: Option<&Scope<'_>>,
    ) -> Result<Rows, Refusal> {
        let Some(query) = source else {
            return Ok(Rows::Default);
        };
        let bare = query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
            && query.locks.is_empty();
        if let (SetExpr::Values(values), true) = (query.body.as_ref(), bare) {
            let scope = Scope::inside(parent);
            let mut rows = Vec::with_capacity(values.rows.len());
            for row in &values.rows {
                rows.push(
                    row.content
                        .iter()
                        .map(|e| self.value(e, &scope))
                        .collect::<Result<Vec<_>, _>>()?,
                );
            }
            return Ok(Rows::Values(rows));
        }
        Ok(Rows::Query(self.query(query, parent)?))
    }

    fn on_conflict(
        &mut self,
        on: Option<&OnInsert>,
        insert: &mut Insert,
        scope: &Scope<'_>,
    ) -> Result<(), Refusal> {
        let Some(on) = on else { return Ok(()) };
        let OnInsert::OnConflict(OnConflict {
            conflict_target,
            action,
        }) = on
        else {
            return Err(refuse::unsupported("ON DUPLICATE KEY", None));
        };
        insert.conflict = Some(match conflict_target {
            None => Vec::new(),
            Some(ConflictTarget::Columns(columns)) => {
                let mut bound = Vec::new();
                for column in columns {
                    let (name, index) = self.name(column)?;
                    let column = self.column_of(insert.target, &name);
                    bound.push(column.ok_or_else(|| {
                        refuse::unsupported(format!("ON CONFLICT ({name})"), self.position(index))
                    })?);
                }
                bound
            }
            // Which columns a constraint compares is not known here: take it for all of them.
            Some(ConflictTarget::OnConstraint(name)) => {
                self.object_name(name)?;
                let width = self.sources[insert.target.0]
                    .columns
                    .as_ref()
                    .map_or(0, Vec::len);
                (0..width)
                    .map(|column| ColumnRef {
                        source: insert.target,
                        column,
                    })
                    .collect()
            }
        });
        let OnConflictAction::DoUpdate(DoUpdate {
            assignments,
            selection,
        }) = action
        else {
            return Ok(());
        };
        let target = &self.sources[insert.target.0];
        let excluded = Source {
            name: "excluded".to_owned(),
            columns: target.columns.clone(),
            place: Place::Excluded,
            relation: None,
            aliased: true,
            used: Used::default(),
        };
        let excluded = self.add_source(excluded);
        // `excluded` is in sight by its name only: bare names mean the target.
        let mut scope = scope.clone();
        scope.sources.push(excluded);
        insert.assignments = self.assignments(assignments, insert.target, &scope)?;
        if let Some(condition) = selection {
            let condition = self.expr(condition, &scope)?;
            insert.conditions.push(condition);
        }
        Ok(())
    }
}
