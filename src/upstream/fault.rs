//! What went wrong with the server, reduced to what may be repeated: SQLSTATE and names of objects.
//!
//! A server's message, detail and hint can quote values, so they are never kept here.

use std::error::Error;

/// A fault of the server or of the way to it. Carries no text that could quote a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {}", self.reason())]
pub struct ServerFault {
    /// what pgveil was doing, for example `reading the catalog`
    pub doing: String,
    /// the SQLSTATE, when the server answered at all
    pub sqlstate: Option<String>,
    /// the objects the server named, for example `table contacts, constraint contacts_email_key`
    pub objects: String,
    /// the kind of fault where there is no SQLSTATE: an I/O error's kind, or `connection closed`
    pub transport: Option<String>,
}

impl ServerFault {
    /// Takes from the driver's error what may be repeated.
    pub fn new(doing: impl Into<String>, error: &tokio_postgres::Error) -> Self {
        let database = error.as_db_error();
        let mut objects = Vec::new();
        if let Some(fault) = database {
            let named = [
                ("schema", fault.schema()),
                ("table", fault.table()),
                ("column", fault.column()),
                ("constraint", fault.constraint()),
                ("type", fault.datatype()),
            ];
            for (kind, name) in named {
                if let Some(name) = name {
                    objects.push(format!("{kind} {name}"));
                }
            }
        }
        Self {
            doing: doing.into(),
            sqlstate: database.map(|fault| fault.code().code().to_owned()),
            objects: objects.join(", "),
            transport: database.is_none().then(|| transport(error)),
        }
    }

    fn reason(&self) -> String {
        let mut text = match (&self.sqlstate, &self.transport) {
            (Some(state), _) => format!("the server answered SQLSTATE {state}"),
            (None, Some(kind)) => kind.clone(),
            (None, None) => "no answer".to_owned(),
        };
        if !self.objects.is_empty() {
            text.push_str(" (");
            text.push_str(&self.objects);
            text.push(')');
        }
        text
    }
}

fn transport(error: &tokio_postgres::Error) -> String {
    if error.is_closed() {
        return "the connection is closed".to_owned();
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return format!("the connection failed ({})", io.kind());
        }
        cause = inner.source();
    }
    "the connection failed".to_owned()
}
