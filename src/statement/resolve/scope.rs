//! Which columns an unqualified or qualified name can mean at a place (manual, 7.2 and 7.2.1.2).

use super::Resolver;
use crate::statement::plan::Refusal;
use crate::statement::refuse;
use crate::statement::tree::{ColumnRef, Origin, SourceId};

/// A column that `*` shows and that a bare name can mean.
#[derive(Debug, Clone)]
pub(super) struct Visible {
    /// the name
    pub name: String,
    /// the column; of a USING pair the left one
    pub column: ColumnRef,
}

/// The sources in sight of an expression.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope<'s> {
    /// the scope of the enclosing query
    pub parent: Option<&'s Scope<'s>>,
    /// the sources, for qualified names
    pub sources: Vec<SourceId>,
    /// the columns for bare names and `*`, in order
    pub visible: Vec<Visible>,
    /// some source's columns are not known
    pub unknown: bool,
}

/// What a name was found to mean.
pub(super) enum Found {
    /// a column
    Column(ColumnRef),
    /// a whole row
    WholeRow(SourceId),
    /// nothing known here: a system column, a column of an unknown source, or an error the server will report
    Nothing,
}

impl<'s> Scope<'s> {
    /// An empty scope inside another.
    pub fn inside(parent: Option<&'s Scope<'s>>) -> Self {
        Self {
            parent,
            ..Self::default()
        }
    }
}

impl Resolver<'_> {
    /// A scope that has one source.
    pub(super) fn scope_of<'s>(
        &self,
        source: SourceId,
        parent: Option<&'s Scope<'s>>,
    ) -> Scope<'s> {
        let mut scope = Scope::inside(parent);
        self.enter(&mut scope, source);
        scope
    }

    /// Puts a source with all its columns in sight.
    pub(super) fn enter(&self, scope: &mut Scope<'_>, source: SourceId) {
        scope.sources.push(source);
        match &self.sources[source.0].columns {
            Some(columns) => scope
                .visible
                .extend(columns.iter().enumerate().map(|(column, c)| Visible {
                    name: c.name.clone(),
                    column: ColumnRef { source, column },
                })),
            None => scope.unknown = true,
        }
    }

    /// A bare name: the innermost scope that has a column of that name; else a source's whole row.
    pub(super) fn find(
        &self,
        scope: &Scope<'_>,
        name: &str,
        index: usize,
    ) -> Result<Found, Refusal> {
        let mut at = Some(scope);
        while let Some(here) = at {
            let mut hits = here.visible.iter().filter(|v| v.name == name);
            if let Some(hit) = hits.next() {
                if hits.next().is_some() {
                    // The server reports the ambiguity unless the tree misled us: only it may decide on plain columns.
                    return self.ambiguous(here, name, index);
                }
                return Ok(Found::Column(hit.column));
            }
            if here.unknown && self.outer_has_treated(here.parent, name) {
                return Err(refuse::unsupported(
                    format!("the name {name:?}, whose source is not known,"),
                    self.position(index),
                ));
            }
            at = here.parent;
        }
        Ok(self
            .source_named(scope, name)
            .map_or(Found::Nothing, Found::WholeRow))
    }

    fn ambiguous(&self, scope: &Scope<'_>, name: &str, index: usize) -> Result<Found, Refusal> {
        let treated = scope
            .visible
            .iter()
            .filter(|v| v.name == name)
            .any(|v| !matches!(self.origin(v.column), Origin::Plain));
        if treated {
            Err(refuse::unsupported(
                format!("the ambiguous name {name:?}"),
                self.position(index),
            ))
        } else {
            Ok(Found::Nothing)
        }
    }

    fn outer_has_treated(&self, mut at: Option<&Scope<'_>>, name: &str) -> bool {
        while let Some(here) = at {
            if here
                .visible
                .iter()
                .any(|v| v.name == name && !matches!(self.origin(v.column), Origin::Plain))
            {
                return true;
            }
            at = here.parent;
        }
        false
    }

    /// The innermost source of that name.
    pub(super) fn source_named(&self, scope: &Scope<'_>, name: &str) -> Option<SourceId> {
        let mut at = Some(scope);
        while let Some(here) = at {
            if let Some(&source) = here.sources.iter().find(|s| self.sources[s.0].name == name) {
                return Some(source);
            }
            at = here.parent;
        }
        None
    }

    /// The column of that name in a source.
    pub(super) fn column_of(&self, source: SourceId, name: &str) -> Option<ColumnRef> {
        let columns = self.sources[source.0].columns.as_ref()?;
        columns
            .iter()
            .position(|c| c.name == name)
            .map(|column| ColumnRef { source, column })
    }

    /// What a column is.
    pub(super) fn origin(&self, column: ColumnRef) -> &Origin {
        self.sources[column.source.0]
            .columns
            .as_ref()
            .and_then(|columns| columns.get(column.column))
            .map_or(&Origin::Plain, |c| &c.origin)
    }
}
