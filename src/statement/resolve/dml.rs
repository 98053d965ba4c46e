//! INSERT, UPDATE, DELETE.

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, DoUpdate, FromTable, Insert as SqlInsert,
    ObjectName, OnConflict, OnConflictAction, OnInsert, SelectItem, SetExpr,
    TableAliasWithoutColumns, TableFactor, TableObject, TableWithJoins, Update,
    UpdateTableFromKind,
};

use super::Resolver;
use super::absent::absent;
use super::from::Joined;
use super::scope::Scope;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{
    Change, ColumnRef, Expr, Insert, Item, Node, Place, Rows, Source, SourceId,
};

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
        let TableObject::TableName(name) = table else {
            return Err(refuse::unsupported("this target of INSERT", None));
        };
        let target = self.target(name)?;
        if let Some(TableAliasWithoutColumns { explicit: _, alias }) = table_alias {
            let (name, _) = self.name(alias)?;
            self.sources[target.0].name = name;
            self.sources[target.0].aliased = true;
        }
        let columns = self.target_columns(target, columns)?;
        let outer = self.ctes.len();
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
        self.ctes.truncate(outer);
        Ok(Node::Insert(Box::new(bound)))
    }

    fn rows(
        &mut self,
        source: Option<&sqlparser::ast::Query>,
        parent: Option<&Scope<'_>>,
    ) -> Result<Rows, Refusal> {
        let Some(query) = source else {
            return Ok(Rows::Default);
        };
        let bare = query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none()
            && query.locks.is_empty();
        if let (SetExpr::Values(values), true) = (query.body.as_ref(), bare) {
            // WITH stays in sight for ON CONFLICT and RETURNING; the INSERT takes it out.
            self.with(query.with.as_ref(), parent)?;
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
        (selection, returning): (Option<&sqlparser::ast::Expr>, Option<&[SelectItem]>),
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

    fn returning(
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

    fn target(&mut self, name: &ObjectName) -> Result<SourceId, Refusal> {
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

    fn target_column(&mut self, target: SourceId, name: &ObjectName) -> Result<usize, Refusal> {
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

    fn assignments(
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
