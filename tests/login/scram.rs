//! SCRAM-SHA-256 and -PLUS: who comes in and as whom, and what the others are told (N03, N05).

use std::time::{Duration, Instant};

use pgveil::ident::UserName;
use pgveil::session::login::LoginFault;
use pgveil::upstream::control::{Control, StoredLogin};
use tokio::io::AsyncWriteExt;
use tokio_postgres::NoTls;

use crate::gate::*;
use crate::support::{cluster, connect as connect_to, create_database, create_login, fresh_name};

#[tokio::test]
async fn a_user_comes_in_as_itself_with_its_own_settings() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let database = create_database(cluster).await;
    let gate = Gate::open(cluster, Options::default()).await;
    let mut config: tokio_postgres::Config = gate.url(&user, "pencil", &database).parse().unwrap();
    config
        .application_name("helpdesk 7")
        .options("-c work_mem=1234kB -c search_path=elsewhere");
    let (client, connection) = config.connect(NoTls).await.expect("a session");
    tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT session_user::text, current_user::text, current_database()::text, \
             current_setting('work_mem'), current_setting('search_path'), application_name, usename::text \
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    let found: Vec<String> = (0..7).map(|i| row.get(i)).collect();
    let (user, database) = (user.as_str(), database.as_str());
    assert_eq!(
        found,
        [
            user,
            user,
            database,
            "1234kB",
            "elsewhere",
            "helpdesk 7",
            user
        ]
    );
}

#[tokio::test]
async fn n03_a_wrong_password_ends_the_connection() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let mut gate = Gate::open(cluster, Options::default()).await;
    let (code, message) = refusal(&gate.url(&user, "pencils", "postgres")).await;
    assert_eq!(code, "28P01");
    assert_eq!(
        message,
        format!("password authentication failed for user \"{user}\"")
    );
    let failure = gate.failure().await;
    assert_eq!(failure.fault, LoginFault::Password);
    assert_eq!(failure.sqlstate.as_deref(), Some("28P01"));
    let (named, _) = failure.named.expect("a name");
    assert_eq!(named.as_str(), user);
}

#[tokio::test]
async fn n03_bad_nonce_binding_mechanism_or_message_ends_the_connection() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let mut gate = Gate::open(cluster, Options::default()).await;
    let hello = startup(3 << 16, &[("user", &user), ("database", "postgres")]);
    let query = b"Q\0\0\0\x0dSELECT 1\0";
    let attempts: Vec<(Vec<u8>, &str)> = vec![
        (sasl_initial("SCRAM-SHA-256-PLUS", "n,,n=,r=abc"), "08P01"),
        (
            sasl_initial("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"),
            "08P01",
        ),
        (sasl_initial("SCRAM-SHA-256", "n,,n=,r="), "08P01"),
        (sasl_message(b"no mechanism"), "08P01"),
        (query.to_vec(), "08P01"),
        (
            [vec![b'p', 0x7f, 0xff, 0xff, 0xff], vec![0; 64]].concat(),
            "08P01",
        ),
    ];
    for (attempt, code) in attempts {
        let mut stream = gate.raw(&hello).await;
        assert_eq!(frame(&mut stream).await.0, b'R');
        stream.write_all(&attempt).await.unwrap();
        stream.write_all(query).await.ok();
        let said = rest(&mut stream).await;
        assert!(holds_error(&said, code), "{attempt:?}: {said:?}");
        let length = u32::from_be_bytes(said[1..5].try_into().unwrap()) as usize;
        assert_eq!(
            said.len(),
            length + 1,
            "one error, and no answer to the query"
        );
        gate.fault().await;
    }
    // An honest first message, then another nonce, then a proof of nothing; then talking on.
    for client_final in [
        "c=biws,r=other,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "c=eSws,r=abc,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        let mut stream = gate.raw(&hello).await;
        frame(&mut stream).await;
        let first = sasl_initial("SCRAM-SHA-256", "y,,n=,r=abc");
        stream.write_all(&first).await.unwrap();
        assert_eq!(frame(&mut stream).await.0, b'R');
        let last = sasl_message(client_final.as_bytes());
        stream.write_all(&last).await.unwrap();
        stream.write_all(query).await.ok();
        let said = rest(&mut stream).await;
        assert!(
            holds_error(&said, "28P01") || holds_error(&said, "08P01"),
            "{said:?}"
        );
        gate.fault().await;
    }
}

/// The exchange up to server-first, and the time it took.
async fn challenge(gate: &Gate, user: &str) -> (String, Duration) {
    let begun = Instant::now();
    let hello = startup(3 << 16, &[("user", user), ("database", "postgres")]);
    let mut stream = gate.raw(&hello).await;
    assert_eq!(
        frame(&mut stream).await.1[4..],
        b"SCRAM-SHA-256\0\0"[..],
        "the mechanisms"
    );
    let first = sasl_initial("SCRAM-SHA-256", "n,,n=,r=abc");
    stream.write_all(&first).await.expect("it holds");
    let (_, body) = frame(&mut stream).await;
    let text = String::from_utf8(body[4..].to_vec()).expect("it holds");
    (text, begun.elapsed())
}

#[tokio::test]
async fn n05_users_that_exist_and_ones_that_do_not_are_met_alike() {
    let cluster = cluster();
    let user = fresh_name("anna");
    create_login(cluster, &user, "pencil", "").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let salt = |first: &str| first.split(",s=").nth(1).unwrap().to_owned();
    let (mut there, mut not_there) = (Vec::new(), Vec::new());
    for _ in 0..25 {
        there.push(challenge(&gate, &user).await);
        not_there.push(challenge(&gate, "nobody_at_all").await);
    }
    for found in [&there, &not_there] {
        let salts: Vec<_> = found.iter().map(|(first, _)| salt(first)).collect();
        assert!(salts.iter().all(|s| *s == salts[0]), "stable");
        assert_eq!(salts[0].len(), "W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".len());
        assert!(salts[0].ends_with(",i=4096"));
    }
    assert_ne!(salt(&there[0].0), salt(&challenge(&gate, "nobody").await.0));
    let median = |found: &mut Vec<(String, Duration)>| {
        found.sort_by_key(|(_, took)| *took);
        found[found.len() / 2].1
    };
    let (there, not_there) = (median(&mut there), median(&mut not_there));
    let ratio = there.as_secs_f64() / not_there.as_secs_f64();
    assert!(
        (0.2..5.0).contains(&ratio),
        "{there:?} against {not_there:?}"
    );
    let (code, message) = refusal(&gate.url("nobody_at_all", "pencil", "postgres")).await;
    assert_eq!(code, "28P01");
    assert_eq!(
        message,
        "password authentication failed for user \"nobody_at_all\""
    );
}

#[tokio::test]
async fn logins_the_server_would_not_take_are_unknown() {
    let cluster = cluster();
    let superuser = connect_to(&cluster.superuser_url("postgres")).await;
    let (expired, barred, md5) = (fresh_name("old"), fresh_name("group"), fresh_name("md"));
    let sql = format!(
        "CREATE ROLE {expired} LOGIN PASSWORD 'pencil' VALID UNTIL '2020-01-01'; \
         CREATE ROLE {barred} NOLOGIN PASSWORD 'pencil'; \
         SET password_encryption = md5; CREATE ROLE {md5} LOGIN PASSWORD 'pencil'"
    );
    superuser.batch_execute(&sql).await.unwrap();
    let gate = Gate::open(cluster, Options::default()).await;
    for user in [&expired, &barred] {
        let (code, _) = refusal(&gate.url(user, "pencil", "postgres")).await;
        assert_eq!(code, "28P01", "{user}");
    }
    let control = Control::new(control(cluster).await);
    let md5 = control.stored_login(&UserName::new(md5)).await.unwrap();
    assert!(matches!(md5, StoredLogin::Md5(_)));
    let expired = control.stored_login(&UserName::new(expired)).await.unwrap();
    assert!(matches!(expired, StoredLogin::Unknown));
}

#[tokio::test]
async fn no_role_no_database_and_replication_are_refused_after_the_password() {
    let cluster = cluster();
    let (stranger, user) = (fresh_name("stranger"), fresh_name("anna"));
    create_login(cluster, &stranger, "pencil", "").await;
    create_login(cluster, &user, "pencil", "").await;
    let gate = Gate::open(cluster, Options::default()).await;
    let wrong = refusal(&gate.url(&stranger, "wrong", "postgres")).await;
    assert_eq!(wrong.0, "28P01");
    let right = refusal(&gate.url(&stranger, "pencil", "postgres")).await;
    assert_eq!(right.0, "28000");
    let nowhere = refusal(&gate.url(&user, "wrong", "nowhere")).await;
    assert_eq!(nowhere.0, "28P01");
    let nowhere = refusal(&gate.url(&user, "pencil", "nowhere")).await;
    assert_eq!(nowhere.0, "3D000");
}
