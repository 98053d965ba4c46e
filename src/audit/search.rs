//! `audit search`: finds records by who, what, when and how it ended.
//!
//! Knows the keys of a record. Verifies nothing: `audit verify` does.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::{AuditFault, files, io_fault, line};

/// What is sought. Everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// the login
    pub user: Option<String>,
    /// the policy's role
    pub role: Option<String>,
    /// the database
    pub database: Option<String>,
    /// the session's number
    pub session: Option<u64>,
    /// a relation it names, `schema.name`; a name without a schema means any
    pub relation: Option<String>,
    /// not before
    pub from: Option<Timestamp>,
    /// before
    pub until: Option<Timestamp>,
    /// the kind, in any case (`select`, `login`, …)
    pub kind: Option<String>,
    /// how it ended (`begun`, `done`, `failed`, `refused`, `cancelled`, `lost`)
    pub outcome: Option<String>,
    /// the shape of its statement, as another record has it
    pub fingerprint: Option<String>,
    /// a part of the statement's text, in any case
    pub text: Option<String>,
}

/// A record that was sought.
#[derive(Debug, Clone)]
pub struct Found {
    /// its file
    pub file: PathBuf,
    /// its line, from 1
    pub line: u64,
    /// the record, as JSON
    pub record: Value,
}

impl Filter {
    /// Whether a record is sought.
    pub fn matches(&self, record: &Value) -> bool {
        let is = |sought: &Option<String>, key: &str| {
            sought
                .as_ref()
                .is_none_or(|sought| record[key].as_str() == Some(sought))
        };
        let is_in_any_case = |sought: &Option<String>, key: &str| {
            sought.as_ref().is_none_or(|sought| {
                record[key]
                    .as_str()
                    .is_some_and(|text| text.eq_ignore_ascii_case(sought))
            })
        };
        is(&self.user, "user")
            && is(&self.role, "role")
            && is(&self.database, "database")
            && self
                .session
                .is_none_or(|session| record["session"].as_u64() == Some(session))
            && is_in_any_case(&self.fingerprint, "fingerprint")
            && is_in_any_case(&self.kind, "kind")
            && is_in_any_case(&self.outcome, "outcome")
            && self.names_relation(record)
            && self.is_in_time(record)
            && self.has_text(record)
    }

    fn names_relation(&self, record: &Value) -> bool {
        let Some(sought) = &self.relation else {
            return true;
        };
        let names = record["relations"].as_array();
        names.into_iter().flatten().any(|name| {
            name.as_str().is_some_and(|name| {
                name == sought
                    || name
                        .strip_suffix(sought.as_str())
                        .is_some_and(|schema| schema.ends_with('.'))
            })
        })
    }

    fn is_in_time(&self, record: &Value) -> bool {
        if self.from.is_none() && self.until.is_none() {
            return true;
        }
        let time = record["time"].as_str().and_then(|text| text.parse().ok());
        time.is_some_and(|time: Timestamp| {
            self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
        })
    }

    fn has_text(&self, record: &Value) -> bool {
        let Some(sought) = &self.text else {
            return true;
        };
        record["statement"]
            .as_str()
            .is_some_and(|text| text.to_lowercase().contains(&sought.to_lowercase()))
    }
}

/// Gives every record that is sought, in order, until `each` breaks. Lines that are no JSON are passed over.
///
/// # Errors
/// [`AuditFault::Io`].
pub fn search(
    directory: &Path,
    filter: &Filter,
    mut each: impl FnMut(Found) -> ControlFlow<()>,
) -> Result<(), AuditFault> {
    for file in files::list(directory)? {
        let fault = |error: std::io::Error| io_fault("read", &file.path, &error);
        let mut reader = BufReader::new(File::open(&file.path).map_err(fault)?);
        let (mut text, mut number) = (Vec::new(), 0);
        while let line::Read::Line = line::read(&mut reader, &mut text).map_err(fault)? {
            number += 1;
            let Ok(record) = serde_json::from_slice::<Value>(&text) else {
                continue;
            };
            if record["kind"] == "file" && filter.kind.as_deref() != Some("file") {
                continue;
            }
            if filter.matches(&record) {
                let found = Found {
                    file: file.path.clone(),
                    line: number,
                    record,
                };
                if each(found).is_break() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
