//! What the demo prints: the same query through each login, side by side, and what the audit has of it.
//!
//! Ordinary clients of tokio-postgres through ordinary connection strings: what they are shown, any client is.

use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::table::Table;

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
    let mut table = Table::default();
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
