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

/// What logins of the CRM do in a day, for the audit to have: some of it works, some is refused.
const DAY: &[(&str, &str)] = &[
    (
        "app",
        "INSERT INTO contacts (full_name, email, phone, national_id, birth_date, revenue, notes) \
         VALUES ('Grace Lindqvist', 'grace@example.org', '+44 7700 900456', 'QQ 12 34 56 C', '1984-02-29', 1250.5, NULL)",
    ),
    (
        "app",
        "SELECT id, full_name FROM contacts WHERE phone = '+44 7700 900456'",
    ),
    (
        "app",
        "SELECT c.full_name, l.stage FROM contacts c JOIN leads l ON l.email = c.email WHERE c.email = 'grace@example.org'",
    ),
    (
        "support",
        "SELECT id, full_name, phone FROM contacts WHERE national_id = 'QQ 12 34 56 C'",
    ),
    (
        "support",
        "UPDATE contacts SET email = 'mine@example.org' WHERE id = 1",
    ),
    (
        "analyst",
        "SELECT id FROM contacts WHERE national_id = 'QQ 12 34 56 C'",
    ),
    ("analyst", "COPY contacts TO STDOUT"),
];

/// Runs [`DAY`] by the connection strings that `url` gives for each label. Refusals are part of the day.
///
/// # Errors
/// When a connection cannot be made.
pub async fn day(url: impl Fn(&str) -> Option<String>) -> Result<(), tokio_postgres::Error> {
    for (label, statement) in DAY {
        let Some(url) = url(label) else { continue };
        match query(&url, statement).await {
            Err(fault) if fault.as_db_error().is_none() => return Err(fault),
            Ok(_) | Err(_) => {}
        }
    }
    let Some(url) = url("app") else { return Ok(()) };
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let by_email = "SELECT id, full_name FROM contacts WHERE email = $1";
    client.query(by_email, &[&"grace@example.org"]).await?;
    Ok(())
}

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
