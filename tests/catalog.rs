//! The catalog loader against a real PostgreSQL: what it records, what it notices, what can be reached.
mod support;

use std::time::Duration;

use pgveil::catalog::indirect::STORED;
use pgveil::catalog::{Relation, RelationKind, Snapshot, Stored, TypeRef};
use pgveil::ident::{DomainId, KeyVersion, RelationName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::upstream::catalog::load;
use tokio_postgres::Client;

async fn database() -> Client {
    let cluster = support::cluster();
    let name = support::create_database(cluster).await;
    support::connect(&cluster.superuser_url(&name)).await
}

async fn snapshot(client: &mut Client) -> Snapshot {
    load(client, None).await.expect("the catalog loads")
}

fn relation<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Relation {
    snapshot
        .relation(&RelationName::new("public", name))
        .expect("the relation is there")
}

fn reached<'a>(snapshot: &'a Snapshot, name: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = relation(snapshot, name)
        .reaches
        .iter()
        .filter_map(|oid| snapshot.relation_by_oid(*oid))
        .map(|relation| relation.name.name.as_str())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn relations_come_with_their_attributes() {
    let mut client = database().await;
    client
        .batch_execute(
            r#"CREATE TABLE contacts (id int4 PRIMARY KEY, gone text, email varchar(40) NOT NULL, "Odd name" numeric(10,2));
               ALTER TABLE contacts DROP COLUMN gone;
               ALTER TABLE contacts ADD up text GENERATED ALWAYS AS (upper(email)) STORED;
               CREATE VIEW v AS SELECT id FROM contacts;
               CREATE SCHEMA other; CREATE TABLE other.contacts (x int);
               CREATE TEMPORARY TABLE contacts (secret text); CREATE TEMPORARY TABLE mine (x int)"#,
        )
        .await
        .expect("tables");
    let snapshot = snapshot(&mut client).await;
    let contacts = relation(&snapshot, "contacts");
    assert_eq!(contacts.kind, RelationKind::Table);
    assert_eq!(contacts.primary_key, [1]);
    let names: Vec<(&str, i16)> = contacts
        .attributes
        .iter()
        .map(|attribute| (attribute.name.as_str(), attribute.attnum))
        .collect();
    assert_eq!(names, [("id", 1), ("email", 3), ("Odd name", 4), ("up", 5)]);
    let email = contacts.attribute("email").expect("email");
    assert!(email.not_null && !email.generated);
    assert_eq!(
        email.logical,
        TypeRef {
            oid: 1043,
            typmod: 44
        }
    );
    assert!(contacts.attribute("up").expect("up").generated);
    assert_eq!(relation(&snapshot, "v").kind, RelationKind::View);
    assert_eq!(snapshot.relations_named("contacts").count(), 2);
    assert_eq!(snapshot.relations_named("mine").count(), 0);
    assert!(snapshot.shadowed.contains("contacts") && !snapshot.shadowed.contains("mine"));
    assert_eq!(snapshot.relations_named("pg_class").count(), 0);
}

/// The first server version that has them.
const MULTIRANGES_SINCE: i32 = 140_000;

#[tokio::test]
#[allow(clippy::too_many_lines, reason = "what reaches what is one table")]
async fn what_can_be_reached_is_recorded() {
    let mut client = database().await;
    let version = support::version(&client).await;
    let standard = match support::since("BEGIN ATOMIC") <= version {
        true => "BEGIN ATOMIC SELECT count(*) FROM contacts; END",
        false => "AS 'SELECT count(*) FROM contacts'",
    };
    client
        .batch_execute(
            &"CREATE TABLE contacts (id int PRIMARY KEY, email text);
             CREATE TABLE orders (id int, contact int REFERENCES contacts ON DELETE CASCADE);
             CREATE TABLE log (line text);
             CREATE VIEW v AS SELECT email FROM contacts;
             CREATE VIEW over_v AS SELECT * FROM v;
             CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM contacts;
             CREATE VIEW xml AS SELECT query_to_xml('select 1', true, true, '');
             CREATE FUNCTION lookup(int) RETURNS text LANGUAGE sql AS 'SELECT email FROM public.contacts WHERE id = $1';
             CREATE VIEW by_function AS SELECT lookup(1);
             CREATE FUNCTION same(text, int) RETURNS boolean LANGUAGE sql AS 'SELECT lookup($2) = $1';
             CREATE OPERATOR === (LEFTARG = text, RIGHTARG = int, FUNCTION = same);
             CREATE VIEW by_operator AS SELECT 'x' === 1;
             CREATE VIEW stored AS SELECT attname, most_common_vals::text FROM pg_stats;
             CREATE VIEW pinned AS SELECT starelid FROM pg_statistic;
             CREATE VIEW over_stored AS SELECT attname FROM stored;
             CREATE FUNCTION by_default(x xml DEFAULT query_to_xml('select 1', true, true, '')) RETURNS xml LANGUAGE sql AS 'SELECT $1';
             CREATE TABLE guarded_by_text (a int); ALTER TABLE guarded_by_text ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON guarded_by_text USING (query_to_xml('select 1', true, true, '') IS NOT NULL);
             CREATE FUNCTION standard() RETURNS bigint LANGUAGE sql STANDARD;
             CREATE FUNCTION indirect() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM standard(); RETURN NEW; END';
             CREATE TRIGGER t BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION indirect();
             CREATE TABLE parent (a int) PARTITION BY LIST (a);
             CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
             CREATE TABLE base (a int); CREATE TABLE heir () INHERITS (base);
             CREATE TABLE guarded (a int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
             CREATE POLICY p ON guarded USING (EXISTS (SELECT FROM contacts));
             CREATE TABLE defaulted (a text DEFAULT lookup(1));
             CREATE TABLE ruled (a int); CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO log VALUES ('x');
             CREATE TABLE checked (a int CHECK (lookup(a) IS NOT NULL));
             CREATE TABLE indexed (a int);
             CREATE FUNCTION key(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT email FROM public.contacts WHERE id = $1';
             CREATE INDEX ON indexed (key(a));
             CREATE AGGREGATE agg(int) (SFUNC = int4pl, STYPE = int);
             CREATE TYPE span AS RANGE (SUBTYPE = text);
             CREATE FUNCTION nothing(text) RETURNS int LANGUAGE internal AS 'int4in';
             CREATE FUNCTION alias(text, boolean, boolean, text) RETURNS xml LANGUAGE internal AS 'query_to_xml';"
                .replace("STANDARD", standard),
        )
        .await
        .expect("tables");
    let snapshot = snapshot(&mut client).await;
    assert_eq!(reached(&snapshot, "v"), ["contacts"]);
    assert_eq!(reached(&snapshot, "over_v"), ["v"]);
    assert_eq!(reached(&snapshot, "m"), ["contacts"]);
    let calls = |name: &str| -> Vec<&str> {
        let called = relation(&snapshot, name).calls.iter();
        called
            .filter_map(|oid| snapshot.functions.iter().find(|f| f.oid == *oid))
            .map(|function| function.name.as_str())
            .collect()
    };
    assert_eq!(calls("by_function"), ["lookup"]);
    assert_eq!(calls("by_operator"), ["same"]);
    assert!(calls("checked").is_empty(), "only a view's calls are its");
    for shows_stored in ["stored", "pinned"] {
        assert_eq!(relation(&snapshot, shows_stored).reaches, [STORED]);
    }
    assert_eq!(reached(&snapshot, "over_stored"), ["stored"]);
    assert!(reached(&snapshot, "guarded_by_text").contains(&"contacts"));
    assert_eq!(reached(&snapshot, "log"), ["contacts"]);
    assert_eq!(reached(&snapshot, "parent"), ["child"]);
    assert_eq!(reached(&snapshot, "child"), ["parent"]);
    assert_eq!(reached(&snapshot, "base"), ["heir"]);
    assert_eq!(reached(&snapshot, "heir"), ["base"]);
    assert_eq!(reached(&snapshot, "guarded"), ["contacts"]);
    assert_eq!(reached(&snapshot, "defaulted"), ["contacts"]);
    assert_eq!(reached(&snapshot, "ruled"), ["log"]);
    assert_eq!(reached(&snapshot, "checked"), ["contacts"]);
    assert_eq!(reached(&snapshot, "indexed"), ["contacts"]);
    assert!(reached(&snapshot, "xml").contains(&"contacts"));
    assert!(
        reached(&snapshot, "orders").is_empty(),
        "foreign keys do not count"
    );
    assert!(reached(&snapshot, "contacts").is_empty());
    let body = |name: &str| {
        let mut found = snapshot.functions.iter().filter(|f| f.name == name);
        found.next().expect("the function").body.clone()
    };
    assert!(body("standard").expect("a body").contains("contacts"));
    assert!(body("agg").expect("support functions").contains("int4pl"));
    // What the server made itself to construct a range reaches nothing; what somebody made of its C may.
    assert!(body("span").expect("a constructor").contains("int4range"));
    if version >= MULTIRANGES_SINCE {
        let multirange = body("span_multirange").expect("a constructor");
        assert!(multirange.contains("int4multirange"));
    }
    assert_eq!(body("nothing").as_deref(), Some("int4in"));
    assert_eq!(body("alias").as_deref(), Some("query_to_xml"));
    assert!(body("by_default").expect("a body").contains("query_to_xml"));
    if support::since("BEGIN ATOMIC") <= version {
        client
            .batch_execute(
                "CREATE FUNCTION atomic() RETURNS xml LANGUAGE sql \
                 BEGIN ATOMIC SELECT query_to_xml('select 1', true, true, ''); END",
            )
            .await
            .expect("a function");
        let snapshot = self::snapshot(&mut client).await;
        let mut found = snapshot.functions.iter().filter(|f| f.name == "atomic");
        let body = found.next().expect("the function").body.as_deref();
        assert!(body.expect("a body").contains("query_to_xml"));
    }
}

const PREFIX: &str = "\\xd556760100000007";

async fn recorded(setup: &str) -> (Client, Snapshot) {
    let mut client = database().await;
    let sql = setup_sql(
        &SetupLogins::control_only(UserName::new("pgveil_control")),
        None,
    );
    client.batch_execute(&sql).await.expect("setup");
    client
        .batch_execute(&format!(
            "CREATE TABLE contacts (id int, email bytea, phone text, \"Lo ud\" bytea);
             INSERT INTO pgveil.attribute SELECT a.attrelid, 'public', 'contacts', a.attname, a.attnum,
                    CASE a.attname WHEN 'phone' THEN 'tokenise digits 3 0' ELSE 'encrypt equal' END, 25, -1, 'd', 7, 1
             FROM pg_attribute a WHERE a.attrelid = 'contacts'::regclass AND a.attname IN ('email', 'phone', 'Lo ud');
             ALTER TABLE contacts ADD CHECK (substring(email for 8) = '{PREFIX}');
             ALTER TABLE contacts ADD CHECK (substring(\"Lo ud\" for 8) = '{PREFIX}');
             {setup}"
        ))
        .await
        .expect("a recorded table");
    let snapshot = snapshot(&mut client).await;
    (client, snapshot)
}

fn email(snapshot: &Snapshot) -> &pgveil::catalog::Attribute {
    relation(snapshot, "contacts")
        .attribute("email")
        .expect("email")
}

#[tokio::test]
async fn what_apply_recorded_is_known() {
    let (mut client, first) = recorded("").await;
    assert_eq!(
        email(&first).stored,
        Stored::Sealed {
            domain: DomainId(7),
            version: KeyVersion(1),
            treatment: "encrypt equal".to_owned()
        }
    );
    assert_eq!(
        (email(&first).logical.oid, email(&first).physical.oid),
        (25, 17)
    );
    assert!(email(&first).has_prefix_check);
    let contacts = relation(&first, "contacts");
    assert!(contacts.attribute("Lo ud").expect("it").has_prefix_check);
    let phone = contacts.attribute("phone").expect("phone");
    assert!(
        matches!(&phone.stored, Stored::Tokenised { treatment, .. } if treatment == "tokenise digits 3 0")
    );
    assert!(first.notices.is_empty());

    let same = load(&mut client, Some(&first)).await.expect("it loads");
    assert_eq!(same.version, first.version);
    client
        .batch_execute("ALTER TABLE contacts ADD x int")
        .await
        .expect("DDL");
    let next = load(&mut client, Some(&same)).await.expect("it loads");
    assert_eq!(next.version, first.version + 1);
}

#[tokio::test]
async fn d05_what_changed_since_is_never_trusted() {
    let altered = |snapshot: &Snapshot| match &email(snapshot).stored {
        Stored::Altered { how } => how.clone(),
        other => panic!("{other:?}"),
    };
    let (_c, retyped) = recorded(
        "ALTER TABLE contacts DROP CONSTRAINT contacts_email_check; ALTER TABLE contacts ALTER email TYPE text USING ''",
    )
    .await;
    assert!(altered(&retyped).contains("no longer bytea"));
    let (_c, again) =
        recorded("DROP TABLE contacts; CREATE TABLE contacts (id int, email text)").await;
    assert!(altered(&again).contains("created again"));
    let (_c, renamed) = recorded(
        "ALTER TABLE contacts RENAME email TO mail; ALTER TABLE contacts RENAME phone TO email",
    )
    .await;
    assert!(altered(&renamed).contains("renamed"));
    let (_c, unchecked) =
        recorded("ALTER TABLE contacts DROP CONSTRAINT contacts_email_check").await;
    assert!(!email(&unchecked).has_prefix_check);
    let (_c, weaker) = recorded(&format!(
        "ALTER TABLE contacts DROP CONSTRAINT contacts_email_check;
         ALTER TABLE contacts ADD CHECK (substring(email for 8) = '{PREFIX}' OR id > 0);
         ALTER TABLE contacts ADD CHECK (substring(email for 8) = '{PREFIX}' OR email IS NOT NULL);
         ALTER TABLE contacts ADD CHECK (substring(email for 8) = '\\xd556760100000008');
         ALTER TABLE contacts ADD CHECK (substring(email for 8) = '{PREFIX}') NOT VALID"
    ))
    .await;
    assert!(!email(&weaker).has_prefix_check);
    let (_c, gone) = recorded("ALTER TABLE contacts DROP COLUMN email").await;
    assert_eq!(gone.notices.len(), 1);
    assert!(gone.notices[0].contains("column is gone"));
    let (_c, table_gone) = recorded("DROP TABLE contacts").await;
    assert_eq!(table_gone.notices.len(), 3);
}

#[tokio::test]
async fn a_hostile_search_path_changes_nothing() {
    let mut client = database().await;
    client
        .batch_execute(
            "CREATE TABLE public.contacts (a int); CREATE SCHEMA evil; CREATE TABLE evil.pg_class (oid oid);
             SET search_path = evil, public, pg_catalog; SET bytea_output = escape; SET quote_all_identifiers = on",
        )
        .await
        .expect("traps");
    assert!(
        !relation(&snapshot(&mut client).await, "contacts")
            .attributes
            .is_empty()
    );
}

/// Every character that a text can hold is asked for.
#[tokio::test]
async fn where_lower_is_of_ascii_it_is_told_so() {
    let cluster = support::cluster();
    let sql = "SELECT count(*) FROM pg_catalog.generate_series(1, 1114111) i WHERE i NOT BETWEEN 55296 AND 57343 \
               AND lower(chr(i)) <> CASE WHEN i BETWEEN 65 AND 90 THEN chr(i + 32) ELSE chr(i) END";
    let superuser = support::connect(&cluster.superuser_url("postgres")).await;
    let version = support::version(&superuser).await;
    let mut databases = vec![
        ("", false),
        (support::IN_C, true),
        ("TEMPLATE template0 LC_CTYPE 'POSIX'", true),
        ("TEMPLATE template0 LC_CTYPE 'C.UTF-8'", false),
    ];
    if version >= 150_000 {
        let icu =
            "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LC_COLLATE 'C' LC_CTYPE 'C'";
        databases.push((icu, false));
    }
    if version >= 170_000 {
        databases.push((
            "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C'",
            true,
        ));
        databases.push((
            "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'",
            false,
        ));
    }
    for (options, expected) in databases {
        let name = support::create_database_with(cluster, options).await;
        let mut client = support::connect(&cluster.superuser_url(&name)).await;
        let others: i64 = client.query_one(sql, &[]).await.expect(options).get(0);
        assert_eq!(others == 0, expected, "{options}");
        assert_eq!(
            snapshot(&mut client).await.lower_is_ascii,
            expected,
            "{options}"
        );
    }
}

/// The server's own functions look past a snapshot: what they print may be gone meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_drop_meanwhile_does_not_keep_the_catalog_from_being_read() {
    let cluster = support::cluster();
    let name = support::create_database(cluster).await;
    let url = cluster.superuser_url(&name);
    let mut client = support::connect(&url).await;
    let other = tokio::spawn(async move {
        let other = support::connect(&url).await;
        let views: String = (0..10)
            .map(|n| format!("CREATE VIEW v{n} AS SELECT {n} AS a; "))
            .collect();
        let drops: String = (0..10).map(|n| format!("DROP VIEW v{n}; ")).collect();
        loop {
            other.batch_execute(&views).await.expect("views");
            tokio::time::sleep(Duration::from_millis(10)).await;
            other.batch_execute(&drops).await.expect("no views");
        }
    });
    for _ in 0..60 {
        load(&mut client, None).await.expect("the catalog loads");
    }
    other.abort();
}

/// Whoever holds a relation for an hour keeps nobody from knowing what leads to it.
#[tokio::test]
async fn what_others_have_locked_does_not_keep_the_catalog_waiting() {
    let cluster = support::cluster();
    let name = support::create_database(cluster).await;
    let url = cluster.superuser_url(&name);
    let mut client = support::connect(&url).await;
    client
        .batch_execute(
            "CREATE TABLE contacts (email text CHECK (email <> '')); CREATE VIEW v AS SELECT email FROM contacts;
             CREATE TABLE ruled (a int); CREATE RULE r AS ON INSERT TO ruled DO ALSO INSERT INTO contacts VALUES ('x')",
        )
        .await
        .expect("tables");
    let other = support::connect(&url).await;
    other
        .batch_execute("BEGIN; LOCK TABLE contacts, v, ruled IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locks");
    let loaded = tokio::time::timeout(Duration::from_secs(10), snapshot(&mut client)).await;
    assert_eq!(reached(&loaded.expect("no wait"), "v"), ["contacts"]);
}
