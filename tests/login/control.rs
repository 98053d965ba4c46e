//! The control connection: pinned, back after a loss, and closed to everyone else (N08).

use std::time::{Duration, Instant};

use pgveil::ident::{DatabaseName, UserName};
use pgveil::lifecycle::setup::{SetupLogins, setup_sql};
use pgveil::secret::Secret;
use pgveil::session::login::LoginFault;
use pgveil::upstream::control::{Control, StoredLogin};

use crate::gate::*;
use crate::support::{cluster, connect as connect_to, create_database, create_login, fresh_name};

#[tokio::test]
async fn n08_the_control_connections_settings_are_pinned_and_it_comes_back() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    // A login of its own, whose role settings someone has bent.
    let name = fresh_name("pgveil");
    let password = Secret::new(CONTROL_PASSWORD.to_owned());
    let mut login = control(cluster).await;
    login.user = UserName::new(name.clone());
    let logins = SetupLogins::control_only(login.user.clone());
    let sql = setup_sql(&logins, Some(&password));
    superuser.batch_execute(&sql).await.unwrap();
    let bend = format!(
        "CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO {name}; \
         CREATE FUNCTION {name}.verifier(text) RETURNS text LANGUAGE sql AS $$ SELECT 'bent' $$; \
         ALTER ROLE {name} SET search_path = {name}, pg_catalog; \
         ALTER ROLE {name} SET standard_conforming_strings = off; ALTER ROLE {name} SET bytea_output = escape"
    );
    superuser.batch_execute(&bend).await.unwrap();
    let control = Control::new(login);
    let client = control.client().await.expect("a connection");
    for (setting, value) in [
        ("search_path", "pg_catalog"),
        ("standard_conforming_strings", "on"),
        ("bytea_output", "hex"),
        ("TimeZone", "UTC"),
    ] {
        let row = client
            .query_one("SELECT current_setting($1)", &[&setting])
            .await
            .unwrap();
        assert_eq!(row.get::<_, String>(0), value, "{setting}");
    }
    let user = UserName::new(user);
    for round in 0..3 {
        let asked = control.stored_login(&user).await;
        assert!(matches!(asked, Ok(StoredLogin::Scram(_))), "{round}");
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1::text";
        superuser.query_one(end, &[&name]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50 * round)).await;
    }
    // Many at once, over one connection.
    let control = &control;
    let asked = (0..50).map(|_| control.stored_login(&user));
    for answer in futures_util::future::join_all(asked).await {
        assert!(matches!(answer, Ok(StoredLogin::Scram(_))));
    }
    let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1::text";
    let row = superuser.query_one(count, &[&name]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn without_a_control_connection_nobody_comes_in_and_nobody_waits_long() {
    let cluster = cluster();
    let mut login = control(cluster).await;
    login.password = Some(Secret::new("not the password".to_owned()));
    let options = Options {
        control: Some(login),
        ..Options::default()
    };
    let mut gate = Gate::open(cluster, options).await;
    let begun = Instant::now();
    for _ in 0..20 {
        let (code, message) = refusal(&gate.url("anna", "pencil", "postgres")).await;
        assert_eq!(code, "08006");
        assert!(!message.contains("password"));
        assert!(matches!(gate.fault().await, LoginFault::NoVerifier(_)));
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_schema_pgveil_is_closed_to_everyone_else() {
    let cluster = cluster();
    control(cluster).await;
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let client = connect_to(&cluster.url(&user, "pencil", "postgres")).await;
    for sql in [
        "SELECT pgveil.verifier('postgres')",
        "SELECT * FROM pgveil.attribute",
        "DELETE FROM pgveil.attribute",
        "CREATE TABLE pgveil.mine ()",
    ] {
        let error = client.batch_execute(sql).await.unwrap_err();
        let code = error.code().unwrap().code().to_owned();
        assert_eq!(code, "42501", "{sql}");
    }
    // Not a superuser, or a schema that somebody else made: setup stops.
    let database = create_database(cluster).await;
    let superuser = connect_to(&cluster.superuser_url(&database)).await;
    let make = format!("CREATE SCHEMA pgveil AUTHORIZATION {user}");
    superuser.batch_execute(&make).await.unwrap();
    let sql = setup_sql(&SetupLogins::control_only(UserName::new("pgveil")), None);
    assert!(superuser.batch_execute(&sql).await.is_err());
    assert!(client.batch_execute(&sql).await.is_err());
}

#[tokio::test]
async fn an_owner_apart_from_the_control_login_writes_the_records() {
    let cluster = cluster();
    control(cluster).await;
    let owner = fresh_name("owner");
    create_login(cluster, &owner, "pencil", "").await;
    let database = create_database(cluster).await;
    let superuser = connect_to(&cluster.superuser_url(&database)).await;
    let logins = SetupLogins {
        control: UserName::new("pgveil"),
        owner: UserName::new(owner.clone()),
    };
    superuser
        .batch_execute(&setup_sql(&logins, None))
        .await
        .unwrap();
    let client = connect_to(&cluster.url(&owner, "pencil", &database)).await;
    let insert = "INSERT INTO pgveil.attribute VALUES \
        (1, 'public', 'contacts', 'email', 2, 'encrypt equal', 25, -1, 'd', 1, 1, DEFAULT)";
    client.batch_execute(insert).await.unwrap();
    assert!(client.batch_execute(insert).await.is_err(), "UNIQUE");
    let verifier = client
        .batch_execute("SELECT pgveil.verifier('postgres')")
        .await;
    assert!(verifier.is_err());
    let login = control(cluster)
        .await
        .to_database(DatabaseName::new(database));
    let control = login.open().await.unwrap();
    let row = control
        .query_one("SELECT attribute FROM pgveil.attribute", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "email");
    let write = control.batch_execute("DELETE FROM pgveil.attribute").await;
    assert!(write.is_err());
}
