//! The table the drivers are tried on, made from `attributes.txt`: its SQL, its policy, and what it shows to whom.
//!
//! Through pgveil `every_type` is sealed, tokenised and masked. `twin` has its shape and is plain, and so is
//! `untreated`, on both sides. `shown` and `tokens` hold what the roles `masked` and `tokened` see of `every_type`, as
//! columns of a plain table: [`record`] reads it once and holds it to the data file's conditions.

use std::fmt::Write as _;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::support;

/// The data file, as the drivers' programs read it too.
const ATTRIBUTES: &str = include_str!("attributes.txt");

/// The types that PostgreSQL does not have of its own.
const TYPES: &str = include_str!("types.sql");

/// A text with its digits and letters alike.
const SHAPE: &str = r"CREATE FUNCTION pg_temp.shape(text) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(regexp_replace(regexp_replace($1, '\d', '9', 'g'), '[a-z]', 'a', 'g'), '[A-Z]', 'A', 'g') $$";

/// What a role other than the first is shown of an attribute.
#[derive(Debug)]
pub struct Shown {
    /// the word of the policy
    show: &'static str,
    /// what must be true of it, in SQL
    condition: &'static str,
}

/// One line of the data file; each value is SQL.
#[derive(Debug)]
pub struct Attribute {
    /// its name
    pub name: &'static str,
    /// its type in SQL
    pub ty: &'static str,
    store: &'static str,
    /// ordinary, lowest, highest, beyond
    pub values: [&'static str; 4],
    /// what the role `masked` gets
    pub masked: Shown,
    /// what the role `tokened` gets
    pub tokened: Shown,
    /// whether the role `tokened` may look for a row by that
    pub is_found_by_token: bool,
}

impl Attribute {
    /// Whether the policy lets it be compared.
    pub fn is_compared(&self) -> bool {
        !self.store.contains("search: []")
    }

    /// Whether the role `tokened` is shown the sealed value.
    fn is_shown_sealed(&self) -> bool {
        self.tokened.show == "stored" && self.store.contains("encrypt")
    }
}

/// The attributes of the data file.
pub fn attributes() -> Vec<Attribute> {
    let lines = ATTRIBUTES.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.split(" | ").map(str::trim).collect();
            let [name, ty, store, .., found] = cells[..] else {
                panic!("thirteen cells: {line}");
            };
            assert_eq!(cells.len(), 13, "{line}");
            let shown = |at: usize| Shown {
                show: cells[at],
                condition: cells[at + 1],
            };
            Attribute {
                name,
                ty,
                store,
                values: [cells[3], cells[4], cells[5], cells[6]],
                masked: shown(8),
                tokened: shown(10),
                is_found_by_token: found == "found",
            }
        })
        .collect()
}

/// `id` and the names of the attributes, as a select list.
pub fn select_list() -> String {
    let names = attributes().iter().map(|a| a.name).collect::<Vec<_>>();
    format!("id, {}", names.join(", "))
}

/// The types and the tables, all empty.
pub fn schema() -> String {
    let mut sql = format!("{TYPES}CREATE TABLE every_type (id int PRIMARY KEY");
    for Attribute { name, ty, .. } in &attributes() {
        write!(sql, ", {name} {ty}").expect("into a String");
    }
    sql.push_str(", counter int NOT NULL DEFAULT 7);\n");
    for copy in ["twin", "shown", "tokens", "untreated"] {
        writeln!(sql, "CREATE TABLE {copy} (LIKE every_type INCLUDING ALL);")
            .expect("into a String");
    }
    for Attribute { name, .. } in attributes().iter().filter(|a| a.is_shown_sealed()) {
        writeln!(
            sql,
            "ALTER TABLE tokens ALTER {name} TYPE bytea USING NULL;"
        )
        .expect("into a String");
    }
    sql
}

/// The policy: the role `driver` sees everything, the others what the data file says. They may compare: `masked` with
/// plain values, `tokened` with tokens.
pub fn policy() -> String {
    let mut yaml = String::from("version: 1\nroles:\n");
    for role in ["driver", "masked", "tokened"] {
        writeln!(
            yaml,
            "  - {{ name: {role}, match: {{ user: \"{role}*\" }} }}"
        )
        .expect("into a String");
    }
    yaml.push_str("tables:\n  public.every_type:\n    columns:\n");
    for attribute in attributes() {
        let Attribute { name, store, .. } = attribute;
        let mask = match attribute.masked.show {
            "null" => "null".to_owned(),
            mask => format!("{{ mask: {mask} }}"),
        };
        let token = attribute.tokened.show;
        let compare = match (attribute.is_compared(), attribute.is_found_by_token) {
            (false, _) => "{}",
            (true, false) => "{ masked: [equal] }",
            (true, true) => "{ masked: [equal], tokened: [equal] }",
        };
        writeln!(
            yaml,
            "      {name}:\n        store: {store}\n        \
             show: {{ driver: plain, masked: {mask}, tokened: {token} }}\n        compare: {compare}"
        )
        .expect("into a String");
    }
    yaml
}

/// Writes the rows 1 (ordinary), 2 (lowest), 3 (highest) and 4 (NULL) through pgveil, and records in `shown` and
/// `tokens` what the other roles see of them, once it is what the data file says. The other tables are left empty.
pub async fn record(superuser: &Client, through: &str, masked: &str, tokened: &str) {
    let attributes = attributes();
    let through = support::connect(through).await;
    for row in 0..3 {
        let values = attributes
            .iter()
            .map(|a| format!("CAST({} AS {})", a.values[row], a.ty));
        let values = values.collect::<Vec<_>>().join(", ");
        let insert = format!(
            "INSERT INTO twin ({}) VALUES ({}, {values})",
            select_list(),
            row + 1
        );
        superuser.batch_execute(&insert).await.expect(&insert);
    }
    for table in ["twin", "every_type"] {
        let null = format!("INSERT INTO {table} (id) VALUES (4)");
        through.batch_execute(&null).await.expect("a row of NULLs");
    }
    write_literals(superuser, "twin", &through, "every_type").await;
    superuser.batch_execute(SHAPE).await.expect("a function");
    for (login, table) in [(masked, "shown"), (tokened, "tokens")] {
        let login = support::connect(login).await;
        let null = format!("INSERT INTO {table} (id) VALUES (4)");
        superuser
            .batch_execute(&null)
            .await
            .expect("a row of NULLs");
        write_literals(&login, "every_type", superuser, table).await;
        for attribute in &attributes {
            let Attribute { name, .. } = attribute;
            let shown = match table {
                "shown" => &attribute.masked,
                _ => &attribute.tokened,
            };
            let condition = shown.condition.replace("shape(", "pg_temp.shape(");
            let count = format!(
                "SELECT id, p, s FROM (SELECT id, twin.{name} AS p, {table}.{name} AS s FROM twin JOIN {table} USING (id)) x \
                 WHERE CASE WHEN p IS NULL THEN s IS NULL ELSE {condition} END IS NOT TRUE"
            );
            let untrue = lines(superuser, &count).await;
            assert!(untrue.is_empty(), "{name}: not {condition}: {untrue:?}");
        }
    }
    for (client, table) in [(&through, "every_type"), (superuser, "twin")] {
        let delete = format!("DELETE FROM {table}");
        client.batch_execute(&delete).await.expect("an empty table");
    }
}

/// Writes what a client reads of a table's first three rows into another table, as quoted texts.
async fn write_literals(from: &Client, source: &str, to: &Client, target: &str) {
    let list = select_list();
    let read = format!("SELECT {list} FROM {source} WHERE id < 4 ORDER BY id");
    let rows = lines(from, &read).await;
    assert_eq!(rows.len(), 3, "{read}");
    for row in rows {
        let literal = |value: Option<String>| match value {
            Some(value) => ::pgveil::ident::quote_literal(&value),
            None => "NULL".to_owned(),
        };
        let values = row.into_iter().map(literal).collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO {target} ({list}) VALUES ({values})");
        to.batch_execute(&insert)
            .await
            .unwrap_or_else(|fault| panic!("{insert}: {fault}"));
    }
}

/// What the simple protocol answers: the rows, as texts.
pub async fn lines(client: &Client, statement: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(statement).await;
    let messages = messages.unwrap_or_else(|e| panic!("{statement}: {e:?}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let value = |row: &SimpleQueryRow, i| row.get(i).map(str::to_owned);
    rows.map(|row| (0..row.len()).map(|i| value(row, i)).collect())
        .collect()
}
