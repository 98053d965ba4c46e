//! A whole pgveil before a real PostgreSQL, from the command line's subcommands to a served, reloaded, ended one.
#![allow(clippy::too_many_lines, reason = "what each role sees is one story")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use pgveil::config::Config;
use pgveil::server::serve::Server;
use support::{connect, create_database};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const POLICY: &str = "\
version: 1
roles:
  - { name: app, match: { user: \"life_app*\" } }
  - { name: support, match: { user: \"life_support*\" } }
tables:
  public.people:
    columns:
      email:
        store: { encrypt: { search: [equal] } }
        show: { app: plain, support: { mask: email } }
      phone:
        store: { tokenise: { format: digits } }
        show: { app: plain, support: stored }
      note:
        show: { app: plain, support: { mask: redact } }
";

/// A database with plain values, and beside it everything pgveil needs to know.
struct Place {
    folder: tempfile::TempDir,
    database: String,
    app: String,
    support: String,
}

impl Place {
    async fn new() -> Self {
        let cluster = support::cluster();
        let database = create_database(cluster).await;
        let (app, support) = (
            support::fresh_name("life_app"),
            support::fresh_name("life_support"),
        );
        let superuser = connect(&cluster.superuser_url(&database)).await;
        superuser
            .batch_execute(&format!(
                "CREATE TABLE people (id int PRIMARY KEY, email varchar(80) UNIQUE, phone text, note text);
                 INSERT INTO people VALUES (1, 'ann@example.com', '555-0100-2345', 'likes tea'), (2, 'bob@example.com', NULL, NULL);
                 CREATE ROLE {app} LOGIN PASSWORD 'app secret'; CREATE ROLE {support} LOGIN PASSWORD 'support secret';
                 GRANT ALL ON people TO {app}, {support}; GRANT CREATE ON SCHEMA public TO {app};"
            ))
            .await
            .expect("the plain database");
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self {
            folder,
            database,
            app,
            support,
        };
        place.write("crm.yaml", POLICY);
        place.write("passphrase", "correct horse battery staple");
        place.write("password", cluster.superuser_password());
        let config = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\n[upstream]\naddress = \"{}\"\n\
             control = {{ user = \"postgres\", password_file = \"password\" }}\n\
             [[database]]\nname = \"{}\"\npolicy = \"crm.yaml\"\n[[database]]\nname = \"postgres\"\npolicy = \"none\"\n\
             [keyring]\nfile = \"keyring.json\"\nunlock = {{ passphrase_file = \"passphrase\" }}\n\
             [http]\naddress = \"127.0.0.1:0\"\n",
            cluster.address(),
            place.database
        );
        place.write("pgveil.toml", &config);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(self.path(name), text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), mode).expect("its mode");
    }

    /// Runs a subcommand; its exit code, standard output and standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::cargo_bin("pgveil").expect("the program");
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("pgveil.toml"));
        let output = command.output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().expect("it ends by itself"),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    async fn set_up(&self) {
        let (code, sql, _) = self.run(&["setup"]);
        assert_eq!(code, 0);
        let superuser = connect(&support::cluster().superuser_url(&self.database)).await;
        superuser.batch_execute(&sql).await.expect("setup");
        superuser.batch_execute(&sql).await.expect("setup again");
        let (code, told, fault) = self.run(&["keys", "init"]);
        assert_eq!(code, 0, "{fault}");
        assert!(told.contains("nothing that was sealed or tokenised can be read again"));
    }

    async fn serve(&self) -> Server {
        let config = Config::open(&self.path("pgveil.toml"), []).expect("a configuration");
        Server::start(config).await.expect("a server")
    }

    fn url(&self, server: &Server, user: &str) -> String {
        let password = if user == self.app {
            "app%20secret"
        } else {
            "support%20secret"
        };
        format!(
            "postgresql://{user}:{password}@{}/{}",
            server.address(),
            self.database
        )
    }
}

async fn fetch(server: &Server, path: &str) -> String {
    let address = server.http_address().expect("an HTTP side");
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

async fn rows(client: &tokio_postgres::Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = client.simple_query(sql).await.map_err(|error| {
        let code = error.code().map_or("none", |code| code.code());
        code.to_owned()
    })?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|n| row.get(n).unwrap_or("NULL"));
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subcommands_bring_a_database_to_its_policy() {
    let place = Place::new().await;
    place.set_up().await;
    let (code, _, fault) = place.run(&["keys", "init"]);
    assert!(code == 1 && fault.contains("exists already"), "{fault}");
    let (code, told, _) = place.run(&["check", "--data"]);
    assert!(
        code == 1 && told.contains("2 wrong: the value lies plain"),
        "{told}"
    );
    let (code, told, fault) = place.run(&["plan"]);
    assert_eq!(code, 2, "{told}{fault}");
    assert!(
        told.contains("seal public.people.email") && told.contains("tokenise public.people.phone"),
        "{told}"
    );
    let (code, told, fault) = place.run(&["apply"]);
    assert_eq!(code, 0, "{told}{fault}");
    assert!(
        told.contains("2 rows") && told.contains("write-ahead log"),
        "{told}"
    );
    assert!(place.run(&["apply"]).1.contains("nothing to do"));
    assert_eq!(place.run(&["plan"]).0, 0);
    let (code, told, fault) = place.run(&["check", "--data"]);
    assert_eq!(code, 0, "{told}{fault}");
    let listed = place.run(&["keys", "list"]).1;
    assert!(
        listed.contains("domain 1 public.people.email: version 1 active"),
        "{listed}"
    );

    let explain = |role: &str, sql: &str, format: &str| {
        place.run(&["explain", "--role", role, "--format", format, sql])
    };
    let (code, told, _) = explain(
        "app",
        "SELECT id FROM people WHERE email = 'ann@example.com'",
        "text",
    );
    assert_eq!(code, 0);
    assert!(
        told.contains("decision: rewritten")
            && told.contains("sealed, compared with public.people.email"),
        "{told}"
    );
    assert!(!told.contains("ann@"), "{told}");
    let (code, told, _) = explain("support", "UPDATE people SET email = 'x'", "json");
    assert!(code == 0 && told.contains("refused 42501"), "{told}");
    assert_eq!(
        explain("app", "SELECT 1", "case").1,
        "--- a title\nrole: app\nSELECT 1\n=> untouched\n"
    );
    assert_eq!(explain("nobody", "SELECT 1", "text").0, 1);

    let (code, told, fault) = place.run(&["audit", "verify"]);
    assert_eq!(code, 0, "{told}{fault}");
    let found = place.run(&["audit", "search", "--kind", "apply"]).1;
    assert_eq!(
        found
            .lines()
            .filter(|line| line.contains("\"done\""))
            .count(),
        2,
        "{found}"
    );
    for entry in std::fs::read_dir(place.path("audit.commands")).expect("the audit") {
        let file = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&file).expect("records");
        std::fs::write(&file, text.replacen("\"apply\"", "\"APPLY\"", 1)).expect("tampering");
    }
    assert_eq!(place.run(&["audit", "verify"]).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_see_what_the_policy_says() {
    let place = Place::new().await;
    place.set_up().await;
    assert_eq!(place.run(&["apply"]).0, 0);
    let server = place.serve().await;
    assert_eq!(server.not_ready(), Vec::<String>::new());
    let app = connect(&place.url(&server, &place.app)).await;
    let all = "SELECT id, email, phone, note FROM people ORDER BY id";
    assert_eq!(
        rows(&app, all).await.expect("rows"),
        [
            "1|ann@example.com|555-0100-2345|likes tea",
            "2|bob@example.com|NULL|NULL"
        ]
    );
    assert_eq!(
        rows(
            &app,
            "SELECT id FROM people WHERE email = 'bob@example.com'"
        )
        .await
        .expect("rows"),
        ["2"]
    );
    let prepared = app
        .query(
            "SELECT id, email FROM people WHERE email = $1",
            &[&"ann@example.com"],
        )
        .await
        .expect("a row");
    assert_eq!(
        (prepared[0].get::<_, i32>(0), prepared[0].get::<_, &str>(1)),
        (1, "ann@example.com")
    );
    app.execute(
        "INSERT INTO people VALUES ($1, $2, $3, $4)",
        &[&3, &"eve@example.com", &"5550100999", &"new"],
    )
    .await
    .expect("an insert");

    let support = connect(&place.url(&server, &place.support)).await;
    let seen = rows(&support, all).await.expect("rows");
    assert!(
        seen[0].starts_with("1|a***@example.com|") && seen[0].ends_with("|***"),
        "{seen:?}"
    );
    assert!(!seen[0].contains("555-0100-2345"));
    assert_eq!(
        rows(&support, "UPDATE people SET email = 'x'").await,
        Err("42501".to_owned())
    );

    let raw = connect(&support::cluster().superuser_url(&place.database)).await;
    assert!(
        !rows(&raw, all)
            .await
            .expect("rows")
            .join("")
            .contains("example.com")
    );

    assert!(fetch(&server, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = fetch(&server, "/metrics").await;
    assert!(
        metrics.contains("pgveil_statements_total") && metrics.contains("role=\"support\""),
        "{metrics}"
    );
    assert!(metrics.contains("pgveil_policy_info{"), "{metrics}");
    for name in ["pgveil_added_seconds", "pgveil_upstream_seconds"] {
        let none = format!("{name}_count 0\n");
        assert!(metrics.contains(name) && !metrics.contains(&none), "{name}");
    }
    let by_id = "SELECT email FROM people WHERE email = $1 AND id = $2";
    let found = app.query(by_id, &[&"ann@example.com", &1]).await;
    assert_eq!(found.expect("a row").len(), 1);
    drop((app, support));
    server.stop().await.expect("it ends");
    let (code, told, fault) = place.run(&["audit", "verify"]);
    assert_eq!(code, 0, "{told}{fault}");
    let found = place.run(&["audit", "search", "--user", &place.app]).1;
    let executed = found.lines().map(|line| line.parse::<serde_json::Value>());
    let executed = executed
        .map(|record| record.expect("JSON"))
        .find(|record| record["outcome"] == "done" && record["statement"].as_str() == Some(by_id));
    let executed = executed.expect("the Execute is on record");
    let parameters = serde_json::json!([
        { "number": 1, "type": 0, "treated": true }, { "number": 2, "type": 0, "treated": false }
    ]);
    assert_eq!(executed["parameters"], parameters, "{executed}");
    assert!(
        executed["fingerprint"].is_string() && executed["upstream_us"].is_number(),
        "{executed}"
    );
    assert!(!found.contains("ann@example.com"));
    let found = place
        .run(&[
            "audit",
            "search",
            "--user",
            &place.support,
            "--outcome",
            "refused",
        ])
        .1;
    assert!(found.contains("UPDATE people SET email = ?"), "{found}");
}

/// What the server knows of a relation holds for the subselect in its place too.
#[tokio::test(flavor = "multi_thread")]
async fn a_masked_relation_keeps_its_key_its_schema_and_its_grants() {
    let place = Place::new().await;
    place.set_up().await;
    assert_eq!(place.run(&["apply"]).0, 0);
    let superuser = connect(&support::cluster().superuser_url(&place.database)).await;
    let grants = format!(
        "REVOKE ALL ON people FROM {0}; GRANT SELECT (id, note) ON people TO {0}",
        place.support
    );
    superuser.batch_execute(&grants).await.expect("grants");
    let server = place.serve().await;
    let support = connect(&place.url(&server, &place.support)).await;
    for (sql, expected) in [
        (
            "SELECT p.id, p.note, count(*) FROM people p JOIN people q ON q.id = p.id GROUP BY p.id ORDER BY p.note",
            Ok(vec!["1|***|1", "2|NULL|1"]),
        ),
        (
            "SELECT public.people.note FROM public.people WHERE public.people.id = 1",
            Ok(vec!["***"]),
        ),
        ("SELECT id FROM people WHERE id = 1", Ok(vec!["1"])),
        ("SELECT count(*) FROM people", Ok(vec!["2"])),
        ("SELECT note, phone FROM people", Err("42501")),
        (
            "SELECT id, count(note) FROM people GROUP BY note",
            Err("42803"),
        ),
    ] {
        let expected = expected
            .map(|rows| rows.into_iter().map(str::to_owned).collect::<Vec<_>>())
            .map_err(str::to_owned);
        assert_eq!(rows(&support, sql).await, expected, "{sql}");
    }
    // System columns are granted with the whole table only.
    let by_place = "SELECT note FROM people WHERE people.ctid = '(0,1)'";
    assert_eq!(rows(&support, by_place).await, Err("42501".to_owned()));
    let grant = format!("GRANT SELECT ON people TO {}", place.support);
    superuser.batch_execute(&grant).await.expect("a grant");
    assert_eq!(rows(&support, by_place).await, Ok(vec!["***".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_applied_is_refused_and_named() {
    let place = Place::new().await;
    place.set_up().await;
    let server = place.serve().await;
    let page = fetch(&server, "/readyz").await;
    assert!(
        page.starts_with("HTTP/1.1 503") && page.contains("public.people.email"),
        "{page}"
    );
    let app = connect(&place.url(&server, &place.app)).await;
    assert_eq!(
        rows(&app, "SELECT email FROM people").await,
        Err("55000".to_owned())
    );
    assert_eq!(rows(&app, "SELECT 1").await.expect("a row"), ["1"]);
    // apply makes keys and changes the table; the running server takes both over by itself.
    assert_eq!(place.run(&["apply"]).0, 0);
    eventually(async || server.not_ready().is_empty()).await;
    eventually(async || {
        rows(&app, "SELECT email FROM people WHERE id = 1").await
            == Ok(vec!["ann@example.com".to_owned()])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_login_the_policy_no_longer_admits_is_cut_and_a_broken_policy_changes_nothing() {
    let place = Place::new().await;
    place.set_up().await;
    assert_eq!(place.run(&["apply"]).0, 0);
    let server = place.serve().await;
    let app = connect(&place.url(&server, &place.app)).await;
    let support = connect(&place.url(&server, &place.support)).await;
    place.write("crm.yaml", &POLICY.replace("version: 1", "version: one"));
    assert!(server.reload().await.is_err());
    let seen = "SELECT email FROM people WHERE id = 1";
    assert_eq!(
        rows(&support, seen).await.expect("rows"),
        ["a***@example.com"]
    );
    place.write("crm.yaml", &POLICY.replace("mask: email", "mask: redact"));
    eventually(async || rows(&support, seen).await == Ok(vec!["***".to_owned()])).await;
    place.write(
        "crm.yaml",
        &POLICY.replace("life_support*", "somebody_else"),
    );
    // Idle as it is, without a statement of its own.
    eventually(async || support.is_closed()).await;
    assert_eq!(rows(&app, seen).await.expect("rows"), ["ann@example.com"]);
    let again =
        tokio_postgres::connect(&place.url(&server, &place.support), tokio_postgres::NoTls).await;
    let refused = again.err().expect("no role");
    assert_eq!(refused.code().expect("a code").code(), "28000");

    let other = place.path("other.json");
    let passphrase = pgveil::keyring::Passphrase::new("correct horse battery staple").expect("one");
    pgveil::keyring::create(&other, &passphrase).expect("another keyring");
    std::fs::rename(&other, place.path("keyring.json")).expect("a swap");
    let faults = server.reload().await.expect_err("another keyring");
    assert!(
        faults[0].to_string().contains("another keyring"),
        "{faults:?}"
    );
    assert_eq!(rows(&app, seen).await.expect("rows"), ["ann@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_stand_under_their_own_policies() {
    let place = Place::new().await;
    place.set_up().await;
    let server = place.serve().await;
    let url = place.url(&server, &place.app);
    let untreated = connect(&url.replace(&format!("/{}", place.database), "/postgres")).await;
    assert_eq!(
        rows(&untreated, "SELECT current_database()")
            .await
            .expect("a row"),
        ["postgres"]
    );
    let nowhere = url.replace(&format!("/{}", place.database), "/template1");
    let refused = tokio_postgres::connect(&nowhere, tokio_postgres::NoTls)
        .await
        .err()
        .expect("no database");
    assert_eq!(refused.code().expect("a code").code(), "3D000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_changed_beside_pgveil_is_noticed() {
    let place = Place::new().await;
    place.set_up().await;
    assert_eq!(place.run(&["apply"]).0, 0);
    let server = place.serve().await;
    let app = connect(&place.url(&server, &place.app)).await;
    assert!(rows(&app, "SELECT email FROM people").await.is_ok());
    let dba = connect(&support::cluster().superuser_url(&place.database)).await;
    // The control connection is lost unnoticed first: the next look opens another.
    dba.batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgveil' AND datname = current_database()")
        .await
        .expect("a lost connection");
    dba.batch_execute("ALTER TABLE people DROP CONSTRAINT pgveil_sealed_2; ALTER TABLE people ALTER email TYPE text USING id::text")
        .await
        .expect("tampering");
    // Until it is noticed, what does not open ends the session that met it: nothing of it is shown.
    eventually(async || {
        let lines = server.not_ready();
        lines
            .iter()
            .any(|line| line.contains("public.people.email"))
    })
    .await;
    assert_eq!(
        rows(&app, "SELECT email FROM people").await,
        Err("55000".to_owned())
    );
}

/// Waits until something holds; the catalog is looked at every few seconds.
async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..150 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not come about in 15 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_right_does_not_start() {
    let place = Place::new().await;
    let start = async |place: &Place| {
        let config = Config::open(&place.path("pgveil.toml"), []).expect("a configuration");
        Server::start(config)
            .await
            .map(|_| ())
            .expect_err("it does not start")
            .to_string()
    };
    assert!(start(&place).await.contains("keyring.json"));
    place.set_up().await;
    place.write("crm.yaml", "version: 2\n");
    assert!(start(&place).await.contains("crm.yaml:1:"));
    assert!(Path::new(&place.path("keyring.json")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_serves_until_it_is_told_to_end() {
    use std::io::BufRead;
    let place = Place::new().await;
    place.set_up().await;
    assert_eq!(place.run(&["apply"]).0, 0);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_pgveil"))
        .args(["serve", "--config"])
        .arg(place.path("pgveil.toml"))
        .env("PGVEIL_LOG__LEVEL", "trace")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufReader::new(child.stderr.take().expect("its log")).lines();
    let mut log = String::new();
    let address = loop {
        let line = lines.next().expect("it lives").expect("a line");
        log.push_str(&line);
        if let Some((_, address)) = line.split_once("serving address=") {
            break address.trim().to_owned();
        }
    };
    let url = format!(
        "postgresql://{}:app%20secret@{address}/{}",
        place.app, place.database
    );
    let app = connect(&url).await;
    let one = "SELECT phone FROM people WHERE email = 'ann@example.com'";
    assert_eq!(rows(&app, one).await.expect("a row"), ["555-0100-2345"]);
    let signal = |name: &str| {
        let kill = support::pgveil::signal(name, [&child.id().to_string()]).status();
        assert!(kill.expect("a signal").success());
    };
    signal("-HUP");
    assert_eq!(rows(&app, one).await.expect("a row"), ["555-0100-2345"]);
    signal("-TERM");
    eventually(async || rows(&app, "SELECT 1").await.is_err()).await;
    assert!(child.wait().expect("it ends").success());
    for line in lines {
        log.push_str(&line.expect("a line"));
    }
    assert!(log.contains("draining"), "{log}");
    for planted in ["ann@", "555-0100", "app secret", "correct horse"] {
        assert!(!log.contains(planted), "{log}");
    }
    assert_eq!(place.run(&["audit", "verify"]).0, 0);
    let found = place.run(&["audit", "search", "--kind", "reload"]).1;
    assert!(found.contains("\"done\""), "{found}");
}
