//! What the demo prints: the same query through each login, side by side, and what the audit has of it.
//!
//! Ordinary clients of tokio-postgres through ordinary connection strings: what they are shown, any client is.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::table::Table;
use crate::audit::AuditFault;
use crate::audit::search::{Filter, Found, search};

/// The keys of an audit record that the demo shows.
const AUDIT_KEYS: &[&str] = &[
    "seq",
    "user",
    "role",
    "kind",
    "treatment",
    "outcome",
    "sqlstate",
    "rows",
    "opened",
    "statement",
];

/// The audit's statements are long; so much of each is shown.
const AUDIT_CELL_COLUMNS: usize = 72;

/// The query every login runs.
pub const QUERY: &str = "SELECT id, full_name, email, phone, national_id, birth_date, revenue, notes \
                         FROM contacts WHERE id <= 6 ORDER BY id";

/// Runs one statement over the simple protocol and gathers its rows as text.
///
/// # Errors
/// What the other side says.
pub async fn query(url: &str, statement: &str) -> Result<Table, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let messages = client.simple_query(statement).await;
    drop(client);
    // The connection ends with its client; its own fault would be the query's too.
    let _ = connection.await;
    let mut table = Table::new(Vec::new());
    for message in messages? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                table.head = columns.iter().map(|c| c.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                let value = |i| row.get(i).map(str::to_owned);
                table.rows.push((0..row.len()).map(value).collect());
            }
            _ => {}
        }
    }
    Ok(table)
}

/// Prints a section: `== name ==`, then the table.
pub fn section(name: &str, table: &Table) {
    println!("\n== {name} ==");
    for line in table.lines() {
        println!("{line}");
    }
}

/// What the audit has, as a table.
///
/// # Errors
/// [`AuditFault`] when it cannot be read.
pub fn audit(directory: &Path) -> Result<Table, AuditFault> {
    let head = AUDIT_KEYS.iter().map(|key| (*key).to_owned()).collect();
    let mut table = Table::new(head);
    table.cell_columns = AUDIT_CELL_COLUMNS;
    search(directory, &Filter::default(), &mut |found: Found| {
        let value = |key: &&str| match &found.record[*key] {
            Value::Null => Some(String::new()),
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        table.rows.push(AUDIT_KEYS.iter().map(value).collect());
        ControlFlow::Continue(())
    })?;
    Ok(table)
}
