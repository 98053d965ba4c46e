//! The place of the attempts: a database with treated columns, a pgveil before it, and logins of three roles.

use std::error::Error;
use std::sync::{Arc, Weak};

use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support;
use crate::support::pgveil::Pgveil;

/// What must be seen by no role but `app`: each stands in a column of `people` and nowhere else.
pub const PLANTED: &[(&str, &str)] = &[
    ("email", "anna@secret.example"),
    ("national", "QQ123456C-planted"),
    ("salary", "1234567"),
    ("born", "1971-08-23"),
    ("phone", "0049151987654321"),
    ("notes", "merger-in-may"),
    ("score", "7654321"),
    ("hidden", "nobody-sees-this"),
    ("remark", "dial-5551717-planted"),
    ("badge", "badge-7171-planted"),
    ("alias", "Annabella Plantagenet-Planted"),
    ("bonus", "1357911"),
];

const SCHEMA: &str = "
CREATE TABLE people (
    id int PRIMARY KEY,
    email text CONSTRAINT people_email_key UNIQUE,
    national varchar(40) NOT NULL DEFAULT 'none',
    salary int4,
    born date,
    phone text,
    notes text CONSTRAINT notes_length CHECK (length(notes) < 40),
    score int4 UNIQUE,
    hidden text,
    remark text,
    badge varchar(40),
    alias text,
    bonus int4
);
CREATE TABLE others (id int PRIMARY KEY, email text, email_too text);
CREATE TABLE untreated (id int, body text, raw bytea, person int);
INSERT INTO people VALUES
    (1, 'anna@secret.example', 'QQ123456C-planted', 1234567, '1971-08-23', '0049151987654321', 'merger-in-may', 7654321, 'nobody-sees-this', 'dial-5551717-planted', 'badge-7171-planted', 'Annabella Plantagenet-Planted', 1357911),
    (2, NULL, 'none', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO others VALUES (1, 'anna@secret.example', 'bob@secret.example');
INSERT INTO untreated VALUES (1, 'body', '\\x00', 1);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT ALL ON SCHEMA public TO PUBLIC;
";

/// The policy of the place.
pub const POLICY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: "app_*" } }
  - { name: support, match: { user: "support_*" } }
  - { name: analyst, match: { user: "analyst_*" } }
tables:
  public.people:
    columns:
      email:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, support: { mask: email }, analyst: { token: email } }
      national:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, support: { mask: { partial: { last: 2 } } }, "*": null }
      salary:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, "*": null }
      born:
        store: { encrypt: { search: [] } }
        show: { app: plain, support: { mask: { generalise: year } }, "*": null }
      phone:
        store: { tokenise: { format: digits, keep_first: 2 } }
        show: { app: plain, support: { mask: { partial: { last: 4 } } }, analyst: stored }
      notes:
        show: { app: plain, "*": { mask: redact } }
      score:
        show: { app: plain, support: null, analyst: { mask: { generalise: { bucket: 1000000 } } } }
      hidden:
        show: { app: plain, "*": refuse }
      remark:
        show: { app: plain, "*": { mask: { regex: { pattern: "[a-z0-9]+", with: "=" } } } }
      badge: { show: { app: plain, "*": { mask: hash } } }
      alias: { show: { app: plain, support: { mask: fake }, analyst: { token: email } } }
      bonus: { show: { app: plain, support: { mask: noise }, analyst: { mask: { noise: { percent: 50 } } } } }
  public.others:
    columns:
      email: { store: { encrypt: { search: [equal] } }, show: { app: plain, "*": null } }
      email_too: { store: { encrypt: { search: [equal] } }, show: { app: plain, "*": null } }
"#;

/// A database, a pgveil before it, and a login for each role.
pub struct Site {
    pub database: String,
    pub pgveil: Pgveil,
    pub app: String,
    pub support: String,
    pub analyst: String,
}

impl Site {
    /// A place of the test's own, for those that change it.
    pub async fn new() -> Self {
        Self::with_policy(POLICY).await
    }

    /// The same under another policy.
    pub async fn with_policy(policy: &str) -> Self {
        let cluster = support::cluster();
        let database = support::create_database(cluster).await;
        let superuser = support::connect(&cluster.superuser_url(&database)).await;
        superuser.batch_execute(SCHEMA).await.expect("the schema");
        let mut names = Vec::new();
        for role in ["app", "support", "analyst"] {
            let name = support::fresh_name(role);
            support::create_login(cluster, &name, "password", "").await;
            names.push(name);
        }
        let pgveil = Pgveil::start(cluster, &database, policy).await;
        let mut names = names.into_iter();
        let mut name = || names.next().expect("three were made");
        Self {
            database,
            pgveil,
            app: name(),
            support: name(),
            analyst: name(),
        }
    }

    /// The place that tests share which leave it as it was; it ends with the last of them.
    pub async fn shared() -> Arc<Self> {
        static SHARED: tokio::sync::Mutex<Weak<Site>> = tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(site) = shared.upgrade() {
            return site;
        }
        let site = Arc::new(Self::new().await);
        *shared = Arc::downgrade(&site);
        site
    }

    /// A connection through pgveil.
    pub async fn login(&self, name: &str) -> Client {
        support::connect(&self.pgveil.url(name, "password", &self.database)).await
    }

    /// The two logins with restricted sight.
    pub async fn restricted(&self) -> [Client; 2] {
        [
            self.login(&self.support).await,
            self.login(&self.analyst).await,
        ]
    }

    /// A connection past pgveil, with every right.
    pub async fn superuser(&self) -> Client {
        support::connect(&support::cluster().superuser_url(&self.database)).await
    }

    /// Waits until the text of `/readyz` fits: what runs beside pgveil is noticed within its poll.
    pub async fn until_ready(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(40);
        loop {
            let page = self.pgveil.page("/readyz");
            if fits(&page) {
                return page;
            }
            assert!(std::time::Instant::now() < deadline, "{what}: {page}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// the rows; values as they were on the wire
    Rows(Vec<Vec<Option<Vec<u8>>>>),
    /// SQLSTATE, and everything else the error said
    Fault(String, String),
}

impl Answer {
    /// The SQLSTATE; empty when there was none.
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Rows(_) => "",
            Self::Fault(sqlstate, _) => sqlstate,
        }
    }

    /// The rows as text.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        let Self::Rows(rows) = self else {
            panic!("no rows: {self:?}")
        };
        let text = |value: &Option<Vec<u8>>| {
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            value.as_ref().map(text)
        };
        rows.iter()
            .map(|row| row.iter().map(text).collect())
            .collect()
    }

    /// The first value of the first row, as text.
    pub fn value(&self) -> Option<String> {
        self.rows().first().and_then(|row| row[0].clone())
    }

    /// All that a client sees of it, values behind each other.
    pub fn everything(&self) -> String {
        match self {
            Self::Rows(rows) => rows
                .iter()
                .flatten()
                .flatten()
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .collect::<Vec<_>>()
                .join("|"),
            Self::Fault(sqlstate, said) => format!("{sqlstate} {said}"),
        }
    }

    /// The planted value that is seen in it, as text, in hex, or as a binary integer or date.
    pub fn leak(&self) -> Option<&'static str> {
        let said = self.everything().to_lowercase();
        let seen = PLANTED
            .iter()
            .map(|(_, planted)| *planted)
            .find(|planted| shows(&said, planted));
        let binary = |value: &[u8]| {
            [1_234_567_i32, 7_654_321, 1_357_911]
                .iter()
                .any(|n| value == n.to_be_bytes())
        };
        match self {
            Self::Rows(rows) if rows.iter().flatten().flatten().any(|v| binary(v)) => {
                Some("an integer")
            }
            _ => seen,
        }
    }
}

fn shows(said: &str, planted: &str) -> bool {
    let planted = planted.to_lowercase();
    let reversed: String = planted.chars().rev().collect();
    let hex: String = planted.bytes().map(|b| format!("{b:02x}")).collect();
    [planted, reversed, hex]
        .iter()
        .any(|form| said.contains(form))
}

/// A value as it is on the wire, whatever its type.
struct Wire(Vec<u8>);

impl<'a> FromSql<'a> for Wire {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn fault(error: &tokio_postgres::Error) -> Answer {
    match error.as_db_error() {
        Some(said) => Answer::Fault(said.code().code().to_owned(), format!("{said:?}")),
        None => Answer::Fault(String::new(), error.to_string()),
    }
}

/// Runs a text as one Query message.
pub async fn simple(client: &Client, text: &str) -> Answer {
    match client.simple_query(text).await {
        Err(error) => fault(&error),
        Ok(messages) => {
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            let value = |row: &tokio_postgres::SimpleQueryRow, i| {
                row.get(i).map(|text: &str| text.as_bytes().to_vec())
            };
            Answer::Rows(
                rows.map(|row| (0..row.len()).map(|i| value(row, i)).collect())
                    .collect(),
            )
        }
    }
}

/// Prepares a statement and runs it; results in binary.
pub async fn extended(client: &Client, text: &str) -> Answer {
    let statement = match client.prepare(text).await {
        Ok(statement) => statement,
        Err(error) => return fault(&error),
    };
    match client.query(&statement, &[]).await {
        Err(error) => fault(&error),
        Ok(rows) => {
            let value =
                |row: &tokio_postgres::Row, i| row.get::<_, Option<Wire>>(i).map(|wire| wire.0);
            Answer::Rows(
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| value(row, i)).collect())
                    .collect(),
            )
        }
    }
}

/// Runs a statement both ways.
pub async fn both(client: &Client, text: &str) -> [Answer; 2] {
    [simple(client, text).await, extended(client, text).await]
}
