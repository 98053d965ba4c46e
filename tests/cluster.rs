//! The private cluster as the other tests meet it: shared, with databases and logins of a test's own.

mod support;

#[tokio::test]
async fn a_login_reaches_its_database_by_password_only() {
    let cluster = support::cluster();
    let database = support::create_database(cluster).await;
    let login = support::fresh_name("login");
    support::create_login(cluster, &login, "correct", "").await;
    let client = support::connect(&cluster.url(&login, "correct", &database)).await;
    let row = client
        .query_one("SELECT current_user::text", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), login);
    let wrong = cluster.url(&login, "wrong", &database);
    assert!(
        tokio_postgres::connect(&wrong, tokio_postgres::NoTls)
            .await
            .is_err()
    );
}
