//! `apply` and `check` against a real PostgreSQL: what a table keeps, what is refused by name, what is found.
#![allow(
    clippy::too_many_lines,
    reason = "a table, its change and what it must have kept read best in one piece"
)]

mod support;

use std::collections::BTreeSet;

use pgveil::catalog::{Snapshot, Stored};
use pgveil::ident::{AttributeName, RelationName, UserName};
use pgveil::keyring::{KdfParameters, Keyring, Label, Passphrase, create_with};
use pgveil::lifecycle::apply::{ApplyFault, Report, apply, survey};
use pgveil::lifecycle::check::{CheckReport, DataCount, check, data};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::policy::bind::{BindFault, Obstacle};
use pgveil::policy::decide::Bound;
use pgveil::policy::{Policy, bind, load};
use pgveil::seal::{Binding, Sealer};
use pgveil::token::{TokenFormat, Tokeniser};
use pgveil::types::{TextSettings, to_text};
use tokio_postgres::Client;

/// A database of its own, set up, with a keyring and a policy.
struct Stage {
    client: Client,
    keyring: Keyring,
    policy: Policy,
    _folder: tempfile::TempDir,
}

/// `columns` is YAML under `public.t: columns:`, one flow map a column; everyone sees plain.
fn policy(columns: &[(&str, &str)]) -> Policy {
    let lines: String = columns
        .iter()
        .map(|(name, store)| {
            format!("      \"{name}\": {{ store: {store}, show: {{ \"*\": plain }} }}\n")
        })
        .collect();
    let text = format!(
        "version: 1\nroles:\n  - name: app\n    match: {{ user: app }}\nfunctions: {{ trust: [public.vouched] }}\n\
         tables:\n  public.t:\n    columns:\n{lines}"
    );
    load("test.yaml", &text).expect("a policy").policy
}

async fn stage(sql: &str, columns: &[(&str, &str)]) -> Stage {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let client = support::connect(&cluster.superuser_url(&database)).await;
    let control = SetupLogins::control_only(UserName::new("pgveil_control"));
    {
        // The logins are the cluster's: two scripts at once would both make them.
        static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
        MADE.get_or_init(|| async {
            let made = client
                .batch_execute("CREATE ROLE pgveil_control LOGIN; CREATE ROLE pgveil_owner LOGIN");
            made.await.expect("logins");
        })
        .await;
    }
    client
        .batch_execute(&setup_sql(&control, None))
        .await
        .expect("setup");
    client.batch_execute(sql).await.expect("the table");
    let folder = tempfile::tempdir().expect("a folder");
    let passphrase = Passphrase::new("correct horse").expect("a passphrase");
    let kdf = KdfParameters::new(64, 1, 1).expect("bounds");
    let keyring =
        create_with(&folder.path().join("keyring.json"), &passphrase, kdf).expect("a keyring");
    Stage {
        client,
        keyring,
        policy: policy(columns),
        _folder: folder,
    }
}

impl Stage {
    async fn bound(&mut self) -> (Snapshot, Bound, Vec<BindFault>) {
        let snapshot = pgveil::upstream::catalog::load(&mut self.client, None)
            .await
            .expect("the catalog");
        let (bound, faults) = bind(&self.policy, &snapshot, 1, |domain| {
            self.keyring.domain(domain).map(|keys| keys.id())
        });
        (snapshot, bound, faults)
    }

    async fn apply(&mut self) -> Result<Report, ApplyFault> {
        let (snapshot, bound, faults) = self.bound().await;
        apply(
            &mut self.client,
            &snapshot,
            (&bound, &faults),
            &mut self.keyring,
            &|_| {},
        )
        .await
    }

    async fn check(&mut self) -> (CheckReport, Vec<DataCount>) {
        let (snapshot, bound, faults) = self.bound().await;
        let report = check(
            &mut self.client,
            &snapshot,
            (&bound, &faults),
            &self.keyring,
        )
        .await
        .expect("check");
        let counts = data(&mut self.client, &snapshot, &bound, &self.keyring)
            .await
            .expect("data");
        (report, counts)
    }

    async fn text(&self, sql: &str) -> String {
        let rows = self.client.simple_query(sql).await.expect("a query");
        rows.iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).unwrap_or("NULL").to_owned())
                        .collect::<Vec<_>>()
                        .join("|"),
                ),
                _ => None,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The values of a sealed column as PostgreSQL would print them, in the rows' physical order.
    async fn opened(&mut self, column: &str) -> Vec<Option<String>> {
        let (_, bound, _) = self.bound().await;
        let treated = bound
            .named(&RelationName::new("public", "t"), column)
            .expect("treated");
        let keys = self.keyring.domain(&treated.domain).expect("a domain");
        let binding = Binding {
            class: treated.logical.class(),
            element: treated.logical.element_class(),
            attribute: treated
                .domain_is_own
                .then(|| self.keyring.attribute_id(&treated.name).expect("a number")),
            comparison: treated.comparison(),
        };
        let sealer = Sealer::new(keys, binding).expect("a key");
        let rows = self
            .client
            .query(&format!("SELECT \"{column}\" FROM t ORDER BY ctid"), &[])
            .await
            .expect("rows");
        rows.iter()
            .map(|row| {
                let sealed: Option<Vec<u8>> = row.get(0);
                sealed.map(|sealed| {
                    let canonical = sealer.open(&sealed).expect("it opens");
                    let shown = to_text(
                        treated.logical,
                        canonical.expose(),
                        &TextSettings::default(),
                    );
                    String::from_utf8(shown.expect("text")).expect("UTF-8")
                })
            })
            .collect()
    }
}

const EQUAL: &str = "{ encrypt: { search: [equal] } }";
const SEALED: &str = "{ encrypt: { search: [] } }";
const DIGITS: &str = "{ tokenise: { format: digits, keep_first: 3 } }";

#[tokio::test]
async fn every_type_keeps_its_values() {
    let columns = [
        ("a", "text", "'', 'x', 'Ünï 中文 ''q'' \\', NULL"),
        ("b", "varchar(10)", "'', 'ten chars.', 'z', NULL"),
        ("c", "int4", "0, -2147483648, 2147483647, NULL"),
        (
            "d",
            "int8",
            "0, -9223372036854775808, 9223372036854775807, NULL",
        ),
        ("e", "numeric(12,2)", "0, -1.5, 9999999999.99, NULL"),
        ("f", "bool", "true, false, true, NULL"),
        (
            "g",
            "date",
            "'2000-01-01', '0001-01-01', '2024-02-29', NULL",
        ),
        (
            "h",
            "timestamp",
            "'2000-01-01', '1969-12-31 23:59:59.999999', '2024-02-29 12:00:00', NULL",
        ),
        (
            "i",
            "timestamptz(3)",
            "'2000-01-01 00:00+00', '1969-12-31 23:59:59.999+00', '2024-02-29 12:00:00+05', NULL",
        ),
        (
            "j",
            "uuid",
            "'00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff', NULL",
        ),
        ("k", "bytea", "'\\x', '\\x00ff', '\\xd55676', NULL"),
        (
            "l",
            "jsonb",
            "'{}', '{\"b\": [1, null, \"x\"], \"a\": 1.50}', '\"s\"', NULL",
        ),
    ];
    let mut sql = String::from("SET TimeZone = 'UTC'; CREATE TABLE t (id int4);");
    for (name, kind, _) in &columns {
        sql.push_str(&format!("ALTER TABLE t ADD {name} {kind};"));
    }
    let values: Vec<String> = columns
        .iter()
        .map(|(_, kind, values)| {
            format!(
                "unnest(ARRAY[{values}]::{}[])",
                kind.split('(').next().unwrap()
            )
        })
        .collect();
    sql.push_str(&format!(
        "INSERT INTO t SELECT generate_series(1, 4), {}",
        values.join(", ")
    ));
    let treated: Vec<(&str, &str)> = columns.iter().map(|(name, _, _)| (*name, EQUAL)).collect();
    let mut stage = stage(&sql, &treated).await;
    let mut before = Vec::new();
    for (name, _, _) in &columns {
        before.push(
            stage
                .text(&format!("SELECT {name} FROM t ORDER BY ctid"))
                .await,
        );
    }
    let report = stage.apply().await.expect("apply");
    assert_eq!(
        (report.tables[0].rows, report.tables[0].changes.len()),
        (4, 12)
    );
    for ((name, _, _), before) in columns.iter().zip(&before) {
        let now: Vec<String> = stage
            .opened(name)
            .await
            .into_iter()
            .map(|value| value.unwrap_or("NULL".to_owned()))
            .collect();
        let short = |text: &str| text.replace("+00\n", "\n");
        assert_eq!(short(&now.join("\n")), short(before), "{name}");
    }
    let (report, counts) = stage.check().await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(counts.len(), 12);
    assert!(
        counts
            .iter()
            .all(|count| count.values == 3 && count.wrong.is_empty()),
        "{counts:?}"
    );
}

#[tokio::test]
async fn a_table_keeps_what_it_had() {
    let sql = "CREATE TABLE t (id serial PRIMARY KEY, gone int, email varchar(60) COLLATE \"C\" NOT NULL UNIQUE DEFAULT 'it''s@x',
                  phone text COLLATE \"POSIX\" DEFAULT '555-0001-000', born date, note text DEFAULT NULL, plain text DEFAULT 'p', touched int DEFAULT 0);
               ALTER TABLE t DROP COLUMN gone;
               INSERT INTO t (email, phone, born, plain) SELECT 'u' || g || '@example.com', '555-' || (1000000 + g), date '2000-01-01' + g, g::text
                      FROM generate_series(1, 3000) g;
               DELETE FROM t WHERE id % 7 = 0; UPDATE t SET plain = 'moved' WHERE id % 100 = 1; UPDATE t SET phone = NULL WHERE id % 50 = 1;
               CREATE INDEX by_phone ON t (phone); CREATE INDEX by_two ON t (plain, email DESC) INCLUDE (born);
               CREATE INDEX partly ON t (email) WHERE id > 10; CREATE INDEX hashed ON t USING hash (born);
               CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END';
               CREATE TRIGGER touch BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();
               COMMENT ON COLUMN t.email IS 'where to write'; GRANT SELECT (email) ON t TO pgveil_control;
               ALTER TABLE t CLUSTER ON t_pkey; UPDATE t SET touched = 0; ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES t (id);";
    let mut stage = stage(
        sql,
        &[
            ("email", EQUAL),
            ("phone", DIGITS),
            ("born", EQUAL),
            ("note", SEALED),
        ],
    )
    .await;
    let order = "SELECT id, plain, touched FROM t ORDER BY ctid";
    let emails = "SELECT email FROM t ORDER BY ctid";
    let indexes = "SELECT indexname, replace(indexdef, ' COLLATE \"C\"', '') FROM pg_indexes WHERE tablename = 't' ORDER BY 1";
    let (rows, values, indexed) = (
        stage.text(order).await,
        stage.text(emails).await,
        stage.text(indexes).await,
    );
    let file = stage.text("SELECT pg_relation_filepath('t')").await;
    stage.apply().await.expect("apply");

    assert_eq!(stage.text(order).await, rows);
    let opened: Vec<String> = stage.opened("email").await.into_iter().flatten().collect();
    assert_eq!(opened.join("\n"), values);
    assert_eq!(stage.text(indexes).await, indexed);
    assert_ne!(stage.text("SELECT pg_relation_filepath('t')").await, file);
    let columns = stage
        .text(
            "SELECT attname, format_type(atttypid, atttypmod), attnum, attnotnull, attstorage, collname, col_description(attrelid, attnum), attacl
             FROM pg_attribute LEFT JOIN pg_collation k ON k.oid = attcollation
             WHERE attrelid = 't'::regclass AND attname IN ('email', 'phone', 'born') ORDER BY attnum",
        )
        .await;
    assert_eq!(
        columns,
        "email|bytea|3|t|e|NULL|where to write|{pgveil_control=r/postgres}\nphone|text|4|f|x|POSIX|NULL|NULL\nborn|bytea|5|f|e|NULL|NULL|NULL"
    );
    let duplicate = "INSERT INTO t (email) SELECT email FROM t LIMIT 1";
    let refused = stage
        .client
        .batch_execute(duplicate)
        .await
        .expect_err("unique");
    assert_eq!(refused.code().expect("a code").code(), "23505");
    let plain = "INSERT INTO t (email) VALUES ('plain@example.com')";
    let refused = stage
        .client
        .batch_execute(plain)
        .await
        .expect_err("the CHECK");
    assert_eq!(refused.code().expect("a code").code(), "23514");

    stage
        .client
        .batch_execute("INSERT INTO t DEFAULT VALUES")
        .await
        .expect("defaults");
    let opened = stage.opened("email").await;
    assert_eq!(opened.last().expect("a row").as_deref(), Some("it's@x"));
    let defaulted = stage
        .text("SELECT phone FROM t ORDER BY ctid DESC LIMIT 1")
        .await;
    let keys = stage
        .keyring
        .domain(&pgveil::ident::DomainName::new("public.t.phone"))
        .expect("keys");
    let key = keys.subkey(keys.active(), Label::TOKEN).expect("a key");
    let format = TokenFormat::Digits {
        keep_first: 3,
        keep_last: 0,
    };
    let tokeniser = Tokeniser::new(
        key.expose(),
        &pgveil::ident::DomainName::new("public.t.phone"),
        format,
        pgveil::types::LogicalType::Text,
    );
    assert_ne!(defaulted, "555-0001-000");
    assert_eq!(
        tokeniser.detokenise(defaulted.as_bytes()).expect("a token"),
        b"555-0001-000"
    );

    let again = stage.apply().await.expect("a second apply");
    assert!(again.tables.is_empty());
    assert!(stage.check().await.0.is_clean());
}

/// Where equality lies in a term, indexes are built again over heads, with all they had.
#[tokio::test]
async fn indexes_over_terms_keep_what_they_had() {
    let sql = "CREATE TABLE t (id int PRIMARY KEY, doc jsonb DEFAULT '1.00', mail text, \"Odd \"\"name\" text, CONSTRAINT \"one of each\" UNIQUE (doc));
               INSERT INTO t SELECT g, jsonb_build_object('n', g + 0.50), 'm' || g, 'o' FROM generate_series(1, 500) g;
               INSERT INTO t VALUES (1000, to_jsonb(repeat('x', 5000))), (1001, NULL), (1002, NULL); UPDATE t SET mail = 'n' || id WHERE id > 999;
               CREATE INDEX by_two ON t (mail DESC NULLS LAST, doc, \"Odd \"\"name\" text_pattern_ops) INCLUDE (id) WITH (fillfactor = 70) WHERE id > 10;
               CREATE INDEX hashed ON t USING hash (doc); COMMENT ON INDEX hashed IS 'of it''s own';
               CREATE UNIQUE INDEX every ON t (mail, lower(\"Odd \"\"name\"), doc DESC) NULLS NOT DISTINCT;
               CREATE INDEX untouched ON t (id, mail)";
    let cluster = support::cluster();
    let superuser = support::connect(&cluster.superuser_url("postgres")).await;
    // NULLS NOT DISTINCT is of PostgreSQL 15.
    let has_nulls = support::version(&superuser).await >= 150_000;
    let here = |text: &str| match has_nulls {
        true => text.to_owned(),
        false => text.replace(" NULLS NOT DISTINCT", ""),
    };
    let mut stage = stage(&here(sql), &[("doc", EQUAL), ("mail", EQUAL)]).await;
    let documents = stage.text("SELECT doc FROM t ORDER BY ctid").await;
    let report = stage.apply().await.expect("apply");
    assert!(
        report
            .warnings
            .iter()
            .any(|w| w.contains("one of each becomes a unique index"))
    );
    let opened: Vec<String> = stage
        .opened("doc")
        .await
        .into_iter()
        .map(|document| document.unwrap_or("NULL".to_owned()))
        .collect();
    assert_eq!(opened.join("\n"), documents);
    let indexes = stage
        .text("SELECT indexdef FROM pg_indexes WHERE tablename = 't' ORDER BY indexname COLLATE \"C\"")
        .await;
    let expected = "CREATE INDEX by_two ON public.t USING btree (mail DESC NULLS LAST, \"substring\"(doc, 1, 26), \"Odd \"\"name\" text_pattern_ops) INCLUDE (id) WITH (fillfactor='70') WHERE (id > 10)\n\
         CREATE UNIQUE INDEX every ON public.t USING btree (mail, lower(\"Odd \"\"name\"), \"substring\"(doc, 1, 26) DESC) NULLS NOT DISTINCT\n\
         CREATE INDEX hashed ON public.t USING hash (\"substring\"(doc, 1, 26))\n\
         CREATE UNIQUE INDEX \"one of each\" ON public.t USING btree (\"substring\"(doc, 1, 26))\n\
         CREATE UNIQUE INDEX t_pkey ON public.t USING btree (id)\n\
         CREATE INDEX untouched ON public.t USING btree (id, mail)";
    assert_eq!(indexes, here(expected));
    let comment = "SELECT obj_description('hashed'::regclass, 'pg_class')";
    assert_eq!(stage.text(comment).await, "of it's own");

    // A value of another nonce and the same term is the same value to the unique index.
    let stored = stage.text("SELECT doc FROM t WHERE id = 7").await;
    let alike = format!("{}{}", &stored[..2 + 52], "00".repeat(60));
    let duplicate = format!("INSERT INTO t (id, doc) VALUES (7000, '{alike}')");
    let refused = stage.client.batch_execute(&duplicate).await;
    assert_eq!(
        refused
            .expect_err("a duplicate")
            .code()
            .expect("a code")
            .code(),
        "23505"
    );
    let plan = format!(
        "SET enable_seqscan = off; EXPLAIN SELECT 1 FROM t WHERE pg_catalog.substring(doc, 1, 26) = '{}'",
        &stored[..2 + 52]
    );
    let plan = stage.text(&plan).await;
    assert!(
        plan.contains("hashed") || plan.contains("one of each"),
        "{plan}"
    );

    let again = stage.apply().await.expect("a second apply");
    assert!(again.tables.is_empty());
    let (report, counts) = stage.check().await;
    assert!(report.is_clean(), "{report:?}");
    assert!(counts.iter().all(|count| count.wrong.is_empty()));
}

#[tokio::test]
async fn what_no_index_over_terms_can_keep_is_named() {
    for (sql, kind) in [
        ("CREATE TABLE t (a jsonb PRIMARY KEY)", "index"),
        ("CREATE TABLE t (a jsonb UNIQUE DEFERRABLE)", "index"),
        (
            "CREATE TABLE t (a jsonb NOT NULL UNIQUE); ALTER TABLE t REPLICA IDENTITY USING INDEX t_a_key",
            "index",
        ),
        (
            "CREATE TABLE t (a jsonb UNIQUE); CLUSTER t USING t_a_key",
            "index",
        ),
        (
            "CREATE TABLE t (id int, a jsonb); CREATE INDEX ON t (id) INCLUDE (a)",
            "index",
        ),
        (
            "CREATE TABLE t (a jsonb UNIQUE); CREATE TABLE u (a jsonb REFERENCES t (a))",
            "foreign_key",
        ),
        (
            "CREATE TABLE u (a jsonb UNIQUE); CREATE TABLE t (a jsonb REFERENCES u (a))",
            "foreign_key",
        ),
        (
            "CREATE TABLE t (a jsonb); CREATE INDEX ON t USING gin (a)",
            "index",
        ),
    ] {
        let found = hindered(sql, &[("a", EQUAL)]).await;
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("public.t.a".to_owned(), kind)],
            "{sql}"
        );
    }
}

/// What stands in the way, by kind, and that nothing was changed.
async fn hindered(sql: &str, columns: &[(&str, &str)]) -> BTreeSet<(String, &'static str)> {
    let mut stage = stage(sql, columns).await;
    let before = stage
        .text("SELECT * FROM pg_attribute WHERE attrelid = 't'::regclass ORDER BY attnum")
        .await;
    let rows = stage.text("SELECT t FROM t").await;
    let fault = stage.apply().await.expect_err("it is refused");
    assert_eq!(
        stage
            .text("SELECT * FROM pg_attribute WHERE attrelid = 't'::regclass ORDER BY attnum")
            .await,
        before
    );
    assert_eq!(stage.text("SELECT t FROM t").await, rows);
    match fault {
        ApplyFault::Hindered(found) => found.into_iter().map(|h| (h.on, h.kind)).collect(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_thing_it_cannot_carry_is_named() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, a text, b text);";
    let cases: &[(&str, &str, &'static str)] = &[
        ("CREATE VIEW v AS SELECT a FROM t", "public.t.a", "view"),
        ("CREATE VIEW v AS SELECT t FROM t", "public.t", "view"),
        ("CREATE MATERIALIZED VIEW m AS SELECT upper(a) FROM t", "public.t.a", "view"),
        ("CREATE RULE r AS ON UPDATE TO t WHERE OLD.a = 'x' DO INSTEAD NOTHING", "public.t.a", "view"),
        ("CREATE TABLE u (a text UNIQUE); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (a)", "public.t.a", "foreign_key"),
        ("ALTER TABLE t ADD UNIQUE (a); CREATE TABLE u (a text REFERENCES t (a))", "public.t.a", "foreign_key"),
        ("CREATE INDEX ON t (a text_pattern_ops)", "public.t.a", "index"),
        ("CREATE INDEX ON t (a COLLATE \"C\")", "public.t.a", "index"),
        ("CREATE INDEX ON t (lower(a))", "public.t.a", "index"),
        ("CREATE INDEX ON t (id) WHERE a IS NOT NULL", "public.t.a", "index"),
        ("CREATE INDEX ON t USING gin (to_tsvector('simple', a))", "public.t.a", "index"),
        ("CREATE INDEX ON t USING brin (a)", "public.t.a", "index"),
        ("CREATE INDEX ON t (b)", "public.t.b", "index"),
        ("ALTER TABLE t ADD EXCLUDE USING btree (a WITH =)", "public.t.a", "exclusion"),
        ("ALTER TABLE t ADD g text GENERATED ALWAYS AS (upper(a)) STORED", "public.t.a", "generated"),
        ("ALTER TABLE t ALTER a SET DEFAULT upper('x')", "public.t.a", "default"),
        ("ALTER TABLE t ALTER a SET DEFAULT current_user", "public.t.a", "default"),
        ("ALTER TABLE t ADD CHECK (length(a) > 1)", "public.t.a", "check"),
        ("ALTER TABLE t ADD CHECK (t IS NOT NULL)", "public.t", "check"),
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := 1; RETURN NEW; END';
          CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "public.t.a", "trigger"),
        ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
          CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()", "public.t.a", "trigger"),
        ("ALTER TABLE t ADD s tsvector; CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW
          EXECUTE FUNCTION tsvector_update_trigger(s, 'pg_catalog.simple', a)", "public.t.a", "trigger"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (a = current_user)", "public.t.a", "policy"),
        ("CREATE PUBLICATION pub FOR TABLE t (id, a)", "public.t.a", "publication"),
        ("CREATE PUBLICATION pub FOR TABLE t WHERE (a = 'x') WITH (publish = 'insert')", "public.t.a", "publication"),
        ("CREATE STATISTICS s ON a, b FROM t", "public.t.a", "statistics"),
        ("CREATE TABLE child () INHERITS (t)", "public.t", "inheritance"),
        ("CREATE TABLE holder (r t)", "public.t", "row_type"),
        ("CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT a FROM t; END", "public.t.a", "function"),
        ("INSERT INTO t VALUES (1, repeat('x', 2600)); CREATE INDEX ON t (a)", "public.t.a", "value"),
        ("ALTER TABLE t ALTER a TYPE varchar(3); ALTER TABLE t ALTER a SET DEFAULT 'toolong'", "public.t.a", "default"),
    ];
    let version = support::version(&stage(table, &[("a", SEALED)]).await.client).await;
    let known = cases
        .iter()
        .filter(|(sql, _, _)| support::since(sql) <= version);
    for (sql, on, kind) in known {
        let sql = format!("{table} {sql}");
        let found = hindered(&sql, &[("a", EQUAL), ("b", SEALED)]).await;
        assert!(
            found.contains(&((*on).to_owned(), kind)),
            "{sql}: {found:?}"
        );
    }
}

#[tokio::test]
async fn what_a_column_itself_forbids_is_named() {
    let cases: &[(&str, &str)] = &[
        (
            "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY)",
            "identity",
        ),
        ("CREATE TABLE t (a serial)", "serial"),
        (
            "CREATE TABLE t (b text, a text GENERATED ALWAYS AS (b) STORED)",
            "policy",
        ),
        (
            "CREATE DOMAIN d AS text CHECK (VALUE <> ''); CREATE TABLE t (a d)",
            "policy",
        ),
        ("CREATE TABLE t (a money)", "policy"),
        ("CREATE TABLE t (a point)", "policy"),
        ("CREATE TABLE t (a json)", "policy"),
        ("CREATE TABLE t (b int)", "policy"),
        ("CREATE TABLE t (a text) PARTITION BY LIST (a)", "kind"),
        (
            "CREATE TABLE base (a text); CREATE VIEW t AS SELECT a FROM base",
            "policy",
        ),
        (
            "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE t (a text COLLATE ci)",
            "collation",
        ),
    ];
    for (sql, kind) in cases {
        let found = hindered(sql, &[("a", EQUAL)]).await;
        assert!(
            found.iter().any(|(_, found)| found == kind),
            "{sql}: {found:?}"
        );
    }
}

#[tokio::test]
async fn values_without_a_stored_form_are_counted_and_never_quoted() {
    let sql = "CREATE TABLE t (phone text); INSERT INTO t VALUES ('555-1234567'), ('555-12'), (NULL), ('short'), ('555-77')";
    let mut stage = stage(sql, &[("phone", DIGITS)]).await;
    let Err(ApplyFault::Hindered(found)) = stage.apply().await else {
        panic!("it is refused")
    };
    let text: String = found.iter().map(|h| format!("{h}\n")).collect();
    assert!(
        text.contains("(0,2)") && text.contains("(0,4)") && text.contains("(0,5)"),
        "{text}"
    );
    assert!(!text.contains("555-") && !text.contains("short"), "{text}");
}

#[tokio::test]
async fn a_trigger_the_dba_vouches_for_is_no_hindrance() {
    let sql = "CREATE TABLE t (a text); CREATE FUNCTION vouched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.a := NEW.a; RETURN NEW; END';
               CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION public.vouched(); INSERT INTO t VALUES ('x')";
    let mut stage = stage(sql, &[("a", EQUAL)]).await;
    let report = stage.apply().await.expect("apply");
    assert_eq!(report.tables.len(), 1);
}

#[tokio::test]
async fn an_owner_with_no_more_rights_than_needed_applies() {
    let mut stage = stage(
        "CREATE TABLE t (a text); INSERT INTO t VALUES ('x'), (NULL); ALTER TABLE t OWNER TO pgveil_owner;",
        &[("a", EQUAL)],
    )
    .await;
    stage
        .client
        .batch_execute("SET SESSION AUTHORIZATION pgveil_owner")
        .await
        .expect("it");
    let unreadable = pgveil::upstream::catalog::load(&mut stage.client, None).await;
    assert!(unreadable.is_err(), "the record is not readable to it yet");
    stage.client.batch_execute("RESET SESSION AUTHORIZATION; GRANT USAGE ON SCHEMA pgveil TO pgveil_owner; GRANT SELECT ON pgveil.attribute TO pgveil_owner; SET SESSION AUTHORIZATION pgveil_owner").await.expect("grants");
    assert_eq!(stage.apply().await, Err(ApplyFault::NotSetUp));
    stage.client.batch_execute("RESET SESSION AUTHORIZATION; GRANT INSERT, UPDATE, DELETE ON pgveil.attribute TO pgveil_owner; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; SET SESSION AUTHORIZATION pgveil_owner").await.expect("grants");
    match stage.apply().await {
        Err(ApplyFault::Server(fault)) => assert_eq!(fault.sqlstate.as_deref(), Some("42501")),
        other => panic!("rows could have been lost: {other:?}"),
    }
    stage
        .client
        .batch_execute("ALTER TABLE t NO FORCE ROW LEVEL SECURITY")
        .await
        .expect("owner");
    stage.apply().await.expect("apply");
    assert_eq!(stage.opened("a").await, [Some("x".to_owned()), None]);
    stage.client.batch_execute("RESET SESSION AUTHORIZATION; ALTER TABLE t OWNER TO postgres; ALTER TABLE t DROP CONSTRAINT pgveil_sealed_1; SET SESSION AUTHORIZATION pgveil_owner").await.expect("back");
    let Err(ApplyFault::Hindered(found)) = stage.apply().await else {
        panic!("not the owner")
    };
    assert!(found.iter().any(|h| h.kind == "owner"));
}

#[tokio::test]
async fn check_finds_what_is_not_as_the_policy_says() {
    let mut stage = stage(
        "CREATE TABLE t (a text, b text); INSERT INTO t VALUES ('x', '5551234567')",
        &[("a", EQUAL), ("b", DIGITS)],
    )
    .await;
    let (report, counts) = stage.check().await;
    assert_eq!(report.faults.len(), 2, "{report:?}");
    assert!(
        counts
            .iter()
            .all(|count| count.wrong.values().sum::<u64>() == 1)
    );
    let (snapshot, bound, faults) = stage.bound().await;
    let (work, found) = survey(
        &mut stage.client,
        &snapshot,
        (&bound, &faults),
        &stage.keyring,
    )
    .await
    .expect("survey");
    assert_eq!(
        (work.tables[0].changes.len(), found.hindrances.len()),
        (2, 0)
    );
    stage.apply().await.expect("apply");
    assert!(stage.check().await.0.is_clean());

    // The CHECK is dropped, plain text slips in: found, and apply puts the CHECK back only when it is gone.
    stage
        .client
        .batch_execute(
            "ALTER TABLE t DROP CONSTRAINT pgveil_sealed_1; INSERT INTO t VALUES ('plain', NULL)",
        )
        .await
        .expect("tampering");
    let (report, counts) = stage.check().await;
    assert_eq!(report.faults.len(), 1);
    assert_eq!(counts[0].wrong.values().sum::<u64>(), 1);
    match stage.apply().await {
        Err(ApplyFault::Server(fault)) => assert_eq!(fault.sqlstate.as_deref(), Some("23514")),
        other => panic!("{other:?}"),
    }
    stage
        .client
        .batch_execute("DELETE FROM t WHERE a = 'plain'")
        .await
        .expect("mending");
    let report = stage.apply().await.expect("apply");
    assert!(report.tables[0].changes[0].contains("CHECK"));
    assert!(stage.check().await.0.is_clean());

    // A flipped bit does not open.
    stage
        .client
        .batch_execute(
            "UPDATE t SET a = set_byte(a, length(a) - 1, get_byte(a, length(a) - 1) # 1)",
        )
        .await
        .expect("tampering");
    let (report, counts) = stage.check().await;
    assert!(report.is_clean());
    assert_eq!(counts[0].wrong.len(), 1);

    // Another hand changed the type: never trusted, and apply does not touch it.
    stage.client.batch_execute("ALTER TABLE t DROP CONSTRAINT pgveil_sealed_1; ALTER TABLE t ALTER a TYPE text USING 'x'").await.expect("tampering");
    let (snapshot, bound, _) = stage.bound().await;
    let name = AttributeName::new(RelationName::new("public", "t"), "a");
    assert!(
        bound
            .named(&name.relation, "a")
            .expect("bound")
            .not_ready
            .is_some()
    );
    let stored = &snapshot
        .relation(&name.relation)
        .expect("t")
        .attribute("a")
        .expect("a")
        .stored;
    assert!(matches!(stored, Stored::Altered { .. }));
    assert!(matches!(stage.apply().await, Err(ApplyFault::Hindered(_))));
}

#[tokio::test]
async fn d05_what_is_only_masked_is_put_on_record_and_known_when_renamed() {
    let mut stage = stage(
        "CREATE TABLE t (a text, b text); INSERT INTO t VALUES ('x', 'y')",
        &[("a", "plain")],
    )
    .await;
    let report = stage.apply().await.expect("apply");
    assert_eq!(report.tables, []);
    assert_eq!(report.entries.len(), 1);
    assert!(report.entries[0].starts_with("record public.t.a "));
    let again = stage.apply().await.expect("apply again");
    assert_eq!(again, Report::default());
    assert!(stage.check().await.0.is_clean());

    for (change, name, is_there) in [
        ("ALTER TABLE t RENAME a TO c", "public.t.c", false),
        ("ALTER TABLE t RENAME b TO a", "public.t.c", true),
        ("ALTER TABLE t RENAME TO u", "public.u.c", false),
        ("CREATE TABLE t (a text)", "public.u.c", true),
    ] {
        stage.client.batch_execute(change).await.expect("DDL");
        let (_, bound, faults) = stage.bound().await;
        let renamed = faults.iter().find(|f| f.obstacle == Obstacle::Renamed);
        assert_eq!(renamed.expect(change).attribute.to_string(), name);
        let missing = faults.iter().any(|f| f.obstacle == Obstacle::Missing);
        assert_eq!(missing, !is_there, "{change}");
        assert!(!bound.is_ready());
        // Whoever runs apply in that state is told, and does not settle it by that.
        assert!(matches!(stage.apply().await, Err(ApplyFault::Hindered(_))));
    }

    // Called so again: as it was. Sealed later, it is on record as sealed.
    let back = "DROP TABLE t; ALTER TABLE u RENAME TO t; ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME c TO a";
    stage.client.batch_execute(back).await.expect("DDL");
    assert_eq!(stage.apply().await.expect("apply"), Report::default());
    stage.policy = policy(&[("a", EQUAL)]);
    stage.apply().await.expect("apply");
    let records = stage
        .text("SELECT name, attribute, treatment FROM pgveil.attribute")
        .await;
    assert_eq!(records, "t|a|encrypt equal");
    assert!(stage.check().await.0.is_clean());
}

#[tokio::test]
async fn large_values_and_many_rows_go_in_bounded_batches() {
    let sql = "CREATE TABLE t (id int, a text); INSERT INTO t SELECT g, repeat(chr(65 + g % 26), 300000) FROM generate_series(1, 40) g;
               INSERT INTO t SELECT g, 'v' || g FROM generate_series(41, 9000) g";
    let mut stage = stage(sql, &[("a", SEALED)]).await;
    let rows = stage.apply().await.expect("apply").tables[0].rows;
    assert_eq!(rows, 9000);
    let opened = stage.opened("a").await;
    assert_eq!(opened[3].as_ref().expect("a value").len(), 300_000);
    assert_eq!(opened[8999].as_deref(), Some("v9000"));
}

#[tokio::test]
async fn d01_no_plain_value_is_in_the_log_or_the_table_files() {
    let cluster = support::start(&[
        ("log_statement", "all"),
        ("log_min_messages", "debug1"),
        ("log_parameter_max_length", "-1"),
        ("logging_collector", "on"),
        ("log_directory", "log"),
    ]);
    let client = support::connect(&cluster.superuser_url("postgres")).await;
    let sql = setup_sql(
        &SetupLogins::control_only(UserName::new("pgveil_control")),
        None,
    );
    client.batch_execute(&sql).await.expect("setup");
    // Written as bytes, so that the test's own statements do not plant it in the log.
    client
        .batch_execute("CREATE TABLE t (a text); INSERT INTO t SELECT convert_from(decode('43414e4152592d', 'hex'), 'UTF8') || (1000000 + g)::text FROM generate_series(1, 500) g")
        .await
        .expect("rows");
    let folder = tempfile::tempdir().expect("a folder");
    let kdf = KdfParameters::new(64, 1, 1).expect("bounds");
    let keyring = create_with(
        &folder.path().join("k"),
        &Passphrase::new("p").expect("p"),
        kdf,
    )
    .expect("a keyring");
    let mut stage = Stage {
        client,
        keyring,
        policy: policy(&[("a", EQUAL)]),
        _folder: folder,
    };
    stage.apply().await.expect("apply");
    stage
        .client
        .batch_execute("CHECKPOINT")
        .await
        .expect("a checkpoint");
    let data = stage.text("SHOW data_directory").await;
    let table = stage.text("SELECT pg_relation_filepath('t')").await;
    let table = std::fs::read(format!("{data}/{table}")).expect("the table's file");
    let holds = |bytes: &[u8]| bytes.windows(7).any(|window| window == b"CANARY-");
    assert!(!holds(&table) && !table.is_empty());
    let mut logged = 0;
    for entry in std::fs::read_dir(format!("{data}/log")).expect("the log") {
        let text = std::fs::read(entry.expect("an entry").path()).expect("a log file");
        logged += text.len();
        assert!(!holds(&text));
    }
    assert!(logged > 1000, "the log is there");
}
