//! Tests of the configuration: what it takes, what it refuses and where, what the environment overrides.

use super::*;

const WHOLE: &str = r#"
[listen]
address = "127.0.0.1:6432"
tls = { certificate = "server.pem", key = "/etc/tls/server.key", client_ca = "clients.pem", client_cert = "instead_of_password", require = true }
sessions_max = 50
login_timeout = "500ms"
drain_timeout = "1m"
keepalive = "20s"
threads = 3
[upstream]
keepalive = "5s"
tcp_user_timeout = "40s"
address = "db.internal:5433"
tls = { mode = "verify-ca", ca = "ca.pem" }
control = { user = "pgveil", password_file = "control.password" }
owner = { user = "crm_owner" }
login = "auth_file"
auth_file = "users.txt"
pool = { mode = "session" }
[[database]]
name = "crm*"
policy = "policies/crm.yaml"
[[database]]
name = "crm"
policy = "none"
[keyring]
file = "keyring.json"
unlock = { passphrase_env = "PASSPHRASE" }
[audit]
directory = "/var/log/pgveil"
sync = "always"
[http]
address = "127.0.0.1:9643"
[log]
level = "debug"
format = "json"
"#;

const SMALL: &str = r#"[listen]
address = "127.0.0.1:6432"
[upstream]
address = "localhost:5432"
control = { user = "pgveil" }
[[database]]
name = "postgres"
policy = "none"
"#;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse(Path::new("etc/pgveil.toml"), text, environment)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

#[test]
fn the_server_may_be_at_a_unix_socket() {
    for (address, port) in [
        ("/var/run/postgresql", 5432),
        ("/var/run/postgresql:5433", 5433),
    ] {
        let config = parse(&SMALL.replace("localhost:5432", address), &[]).unwrap();
        assert_eq!(config.upstream.host, "/var/run/postgresql");
        assert_eq!(config.upstream.port, port);
        assert_eq!(config.upstream.tls, TlsMode::Disable);
    }
    let tls = "/var/run/postgresql\"\ntls = { mode = \"require\" }\n#\"";
    let faults = parse(&SMALL.replace("localhost:5432", tls), &[]).unwrap_err();
    assert!(
        faults[0].contains("PostgreSQL has no TLS at a Unix socket"),
        "{faults:?}"
    );
}

#[test]
fn every_key_is_taken() {
    let config = parse(WHOLE, &[]).unwrap();
    assert_eq!(config.listen.address, "127.0.0.1:6432".parse().unwrap());
    let tls = config.listen.tls.clone().unwrap();
    assert_eq!(tls.certificate, Path::new("etc/server.pem"));
    assert_eq!(tls.key, Path::new("/etc/tls/server.key"));
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("etc/clients.pem")));
    assert_eq!(tls.client_cert, ClientCert::InsteadOfPassword);
    assert!(tls.require);
    assert_eq!(config.listen.sessions_max, 50);
    assert_eq!(config.listen.login_timeout, Duration::from_millis(500));
    assert_eq!(config.listen.drain_timeout, Duration::from_secs(60));
    assert_eq!(config.listen.keepalive, Duration::from_secs(20));
    assert_eq!(config.listen.threads, 3);
    assert_eq!(config.upstream.keepalive, Duration::from_secs(5));
    let user_timeout = Some(Duration::from_secs(40));
    assert_eq!(config.upstream.tcp_user_timeout, user_timeout);
    assert_eq!(config.upstream.host, "db.internal");
    assert_eq!(config.upstream.port, 5433);
    assert_eq!(config.upstream.tls, TlsMode::VerifyCa);
    assert_eq!(config.upstream.ca.as_deref(), Some(Path::new("etc/ca.pem")));
    assert_eq!(config.upstream.control.user, UserName::new("pgveil"));
    assert_eq!(
        config.upstream.control.password_file.as_deref(),
        Some(Path::new("etc/control.password"))
    );
    assert_eq!(config.upstream.method, Method::AuthFile);
    let auth_file = config.upstream.auth_file.as_deref();
    assert_eq!(auth_file, Some(Path::new("etc/users.txt")));
    assert_eq!(config.upstream.owner.user, UserName::new("crm_owner"));
    let keyring = config.keyring.clone().unwrap();
    assert_eq!(keyring.file, Path::new("etc/keyring.json"));
    assert_eq!(keyring.unlock, Unlock::PassphraseEnv("PASSPHRASE".into()));
    assert_eq!(config.audit.directory, Path::new("/var/log/pgveil"));
    assert_eq!(config.audit.sync, AuditSync::Always);
    assert_eq!(config.http, Some("127.0.0.1:9643".parse().unwrap()));
    assert_eq!(config.log.level.as_str(), "debug");
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn the_first_matching_database_counts() {
    let config = parse(WHOLE, &[]).unwrap();
    let policy = Some(PathBuf::from("etc/policies/crm.yaml"));
    assert_eq!(config.database("crm").unwrap().policy, policy);
    assert_eq!(config.database("crm_test").unwrap().policy, policy);
    assert_eq!(config.database("CRM"), None);
    assert_eq!(config.verifier_database(), Some("crm"));
}

#[test]
fn little_is_enough_and_the_rest_is_safe() {
    let config = parse(SMALL, &[]).unwrap();
    assert_eq!(config.listen.tls, None);
    assert_eq!(config.listen.sessions_max, 1000);
    assert_eq!(config.listen.login_timeout, Duration::from_secs(10));
    assert_eq!(config.listen.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.listen.keepalive, Duration::from_secs(60));
    assert!(config.listen.threads >= 1);
    assert_eq!(config.upstream.keepalive, Duration::from_secs(30));
    assert_eq!(config.upstream.tcp_user_timeout, None);
    assert_eq!(config.upstream.tls, TlsMode::Disable);
    assert_eq!(config.upstream.owner, config.upstream.control);
    assert_eq!(config.keyring, None);
    assert_eq!(config.http, None);
    assert_eq!(config.audit.directory, Path::new("etc/audit"));
    assert_eq!(config.log, Log::default());
    assert_eq!(config.verifier_database(), Some("postgres"));
    let far = SMALL.replace("localhost", "10.0.0.5");
    assert_eq!(parse(&far, &[]).unwrap().upstream.tls, TlsMode::VerifyFull);
    let near = SMALL.replace("localhost", "[::1]");
    let near = parse(&near, &[]).unwrap().upstream;
    assert_eq!((near.host.as_str(), near.tls), ("::1", TlsMode::Disable));
}

#[test]
fn the_environment_overrides() {
    let config = parse(
        SMALL,
        &[
            ("PGVEIL_LISTEN__ADDRESS", "127.0.0.2:7000"),
            ("PGVEIL_LISTEN__SESSIONS_MAX", "7"),
            ("PGVEIL_UPSTREAM__TLS__MODE", "require"),
            ("PGVEIL_DATABASE__0__NAME", "other"),
            ("PGVEIL_LOG__LEVEL", "trace"),
            ("PGVEIL_PASSPHRASE", "not a key"),
            ("LISTEN__ADDRESS", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.address, "127.0.0.2:7000".parse().unwrap());
    assert_eq!(config.listen.sessions_max, 7);
    assert_eq!(config.upstream.tls, TlsMode::Require);
    assert_eq!(config.database("other").unwrap().policy, None);
    assert_eq!(config.log.level, LogLevel::Trace);
}

#[test]
fn a_fault_of_the_environment_names_the_variable_and_no_value() {
    for (name, value, expected) in [
        (
            "PGVEIL_LISTEN__ADRESS",
            "hunter2",
            "$PGVEIL_LISTEN__ADRESS: unknown key `adress` (did you mean `address`?)",
        ),
        (
            "PGVEIL_UPSTREAM__CONTROL__PASSWORD",
            "hunter2",
            "$PGVEIL_UPSTREAM__CONTROL__PASSWORD: unknown key `password` (expected one of `user`, `password_file`)",
        ),
        (
            "PGVEIL_LISTEN__SESSIONS_MAX",
            "many",
            "$PGVEIL_LISTEN__SESSIONS_MAX: expected a whole number that is not negative and not too large",
        ),
        (
            "PGVEIL_DATABASE__7__NAME",
            "x",
            "$PGVEIL_DATABASE__7__NAME: nothing can be set at `7`",
        ),
        (
            "PGVEIL_LISTEN__ADDRESS__PORT",
            "x",
            "$PGVEIL_LISTEN__ADDRESS__PORT: nothing can be set at `port`",
        ),
    ] {
        assert_eq!(parse(SMALL, &[(name, value)]).unwrap_err(), [expected]);
    }
}

/// What is replaced in [`SMALL`], by what, and the faults that follow, without the file's name.
const FAULTS: &[(&str, &str, &[&str])] = &[
    (
        "address = \"127.0.0.1:6432\"",
        "adress = \"127.0.0.1:6432\"",
        &[":2:1: unknown key `adress` (did you mean `address`?)"],
    ),
    (
        "127.0.0.1:6432",
        "0.0.0.0:6432",
        &[
            ":2:11: without TLS only loopback may be listened on: passwords and plain values would cross the network (give `listen.tls` a certificate and key, and leave `require` true)",
        ],
    ),
    (
        "\"127.0.0.1:6432\"",
        "\"10.0.0.1:6432\"\ntls = { certificate = \"c\", key = \"k\", require = false }",
        &[
            ":2:11: without TLS only loopback may be listened on: passwords and plain values would cross the network (give `listen.tls` a certificate and key, and leave `require` true)",
        ],
    ),
    (
        "\"127.0.0.1:6432\"",
        "\"127.0.0.1:6432\"\ntls = { certificate = \"c\", key = \"k\", client_cert = \"required\" }",
        &[
            ":3:53: no client's certificate can be verified (write `client_ca`, who signs the certificates)",
        ],
    ),
    (
        "\"127.0.0.1:6432\"",
        "\"6432\"\nsessions_max = 0\nlogin_timeout = \"10\"\nthreads = 0",
        &[
            ":2:11: `6432` is no address and port (expected for example `127.0.0.1:6432` or `[::1]:6432`)",
            ":3:16: `sessions_max` must be at least 1",
            ":4:17: `10` is no duration above zero (expected a whole number and a unit: `500ms`, `10s`, `15m`, `2h`)",
            ":5:11: `threads` must be at least 1",
        ],
    ),
    (
        "localhost:5432",
        "::1:5432",
        &[
            ":4:11: `::1:5432` is no host and port (expected for example `db.internal:5432` or `[::1]:5432`)",
        ],
    ),
    (
        "control = { user = \"pgveil\" }",
        "control = { user = \"pgveil\" }\nlogin = \"auth_file\"",
        &[
            ":6:9: there is no `upstream.auth_file` (write `auth_file = \"users.txt\"`, with lines `\"user\" \"secret\"`)",
        ],
    ),
    (
        "control = { user = \"pgveil\" }",
        "control = { user = \"pgveil\" }\nlogin = \"cleartext_tls\"\npool = { mode = \"transaction\", size = 20 }\ntls = { mode = \"verify_full\" }",
        &[":8:16: `verify_full` is not a word known here (did you mean `verify-full`?)"],
    ),
    (
        "control = { user = \"pgveil\" }",
        "control = { user = \"pgveil\" }\nlogin = \"cleartext_tls\"\npool = { mode = \"transaction\", size = 20 }",
        &[
            ":6:9: passwords in the clear are asked for under TLS only, and there is no `listen.tls` (give `listen.tls` a certificate and key)",
            ":7:17: `transaction` is not supported by this version yet (leave it out)",
            ":7:39: `size` is not supported by this version yet (leave it out)",
        ],
    ),
    (
        "control = { user = \"pgveil\" }",
        "control = \"hunter2\"",
        &[":5:11: expected a mapping, found quoted text"],
    ),
    (
        "name = \"postgres\"\npolicy = \"none\"",
        "name = \"crm_*\"\npolicy = \"crm.yaml\"",
        &[
            ":6:1: at least one database must be named in full (logins are checked there; add for example `name = \"postgres\"`, `policy = \"none\"`)",
            ":6:1: a policy needs a keyring, and none is named (write `[keyring]`, and make the file with `pgveil keys init`)",
        ],
    ),
    (
        "policy = \"none\"",
        "policy = \"\"",
        &[":8:10: expected text, found empty text"],
    ),
    (
        "policy = \"none\"",
        "policy = \"none\"\n[keyring]\nfile = \"k\"\nunlock = { aws_kms = { key = \"x\" } }",
        &[
            ":11:10: exactly one thing unlocks the keyring (write `passphrase_file` or `passphrase_env`)",
            ":11:22: `aws_kms` is not supported by this version yet (leave it out)",
        ],
    ),
    (
        "policy = \"none\"",
        "policy = \"none\"\npolicy = \"none\"",
        &[":9:1: this is not TOML: duplicate key"],
    ),
];

#[test]
fn faults_have_their_place() {
    for (from, to, expected) in FAULTS {
        assert!(SMALL.contains(from), "{from}");
        let faults = parse(&SMALL.replace(from, to), &[]).unwrap_err();
        let faults: Vec<&str> = faults
            .iter()
            .map(|f| f.strip_prefix("etc/pgveil.toml").unwrap())
            .collect();
        assert_eq!(faults, *expected, "{to}");
    }
}

#[test]
fn a_named_file_is_the_one() {
    let here = Path::new("a.toml");
    let env = Path::new("b.toml");
    assert_eq!(locate(Some(here), Some(env)).unwrap(), here);
    assert_eq!(locate(None, Some(env)).unwrap(), env);
    let gone = Config::open(Path::new("/nowhere/pgveil.toml"), []).unwrap_err();
    assert_eq!(
        gone[0].to_string(),
        "/nowhere/pgveil.toml: cannot be read: entity not found"
    );
}
