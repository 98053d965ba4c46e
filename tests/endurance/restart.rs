//! A server that restarts, is lost or stands still: what clients are told, and that pgveil finds back by itself.

use std::time::Duration;

use pgveil::cli::demo::cluster::Cluster;

use crate::site::{Site, eventually, rows};
use crate::support;

const SOON: Duration = Duration::from_secs(30);

/// A cluster that may be stopped and started again; stopped in the end whoever its parent is by then.
struct Restartable(Cluster);

impl Restartable {
    fn new() -> Self {
        Self(support::start(&[]))
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let mut command = self.0.command("pg_ctl");
        command.arg("-D").arg(self.0.data_directory());
        command.arg("-l").arg(self.0.log_file()).args(arguments);
        let output = command.stdout(std::process::Stdio::null()).status();
        output.is_ok_and(|status| status.success())
    }

    /// The server's main process.
    fn postmaster(&self) -> String {
        let file = self.0.data_directory().join("postmaster.pid");
        let text = std::fs::read_to_string(file).expect("it runs");
        text.lines().next().expect("a line").to_owned()
    }
}

impl Drop for Restartable {
    fn drop(&mut self) {
        self.control(&["-m", "immediate", "stop"]);
    }
}

fn signal(name: &str, pids: &[String]) {
    let sent = support::pgveil::signal(name, pids).status();
    assert!(sent.expect("kill").success(), "kill {name} {pids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_told_of_a_restart_and_come_in_again() {
    let cluster = Restartable::new();
    let mut site = Site::in_cluster(&cluster.0).await;
    site.pgveil.serve();
    for mode in ["fast", "immediate"] {
        let app = site.client(&site.app).await;
        let busy = site.client(&site.app).await;
        let running = tokio::spawn(async move { rows(&busy, "SELECT pg_sleep(60)").await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(cluster.control(&["-m", mode, "stop"]), "it stops");
        let told = running.await.expect("an answer").expect_err("no rows");
        // What the server says of its own end is passed on: 57P01, or 57P02 when it is in a hurry.
        assert!(
            ["57P01", "57P02", "08006"].contains(&told.as_str()),
            "{told}"
        );
        assert!(rows(&app, "SELECT 1").await.is_err());
        assert_eq!(site.refusal(&site.app).await.as_deref(), Some("08006"));
        eventually("it is not ready", SOON, async || {
            site.pgveil.page("/readyz").starts_with("HTTP/1.1 503")
        })
        .await;
        assert!(cluster.control(&["-w", "start"]), "it starts");
        eventually("logins work again", SOON, async || {
            site.refusal(&site.app).await.is_none()
        })
        .await;
        let again = site.client(&site.app).await;
        let one = "SELECT email FROM people WHERE id = 1";
        assert_eq!(
            rows(&again, one).await,
            Ok(vec!["ann@example.com".to_owned()])
        );
        eventually("it is ready again", SOON, async || {
            site.pgveil.page("/readyz").starts_with("HTTP/1.1 200")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_keeps_no_login_waiting_for_ever() {
    let cluster = Restartable::new();
    let mut site = Site::in_cluster(&cluster.0).await;
    site.pgveil.set("PGVEIL_LISTEN__LOGIN_TIMEOUT", "30s");
    site.pgveil.serve();
    let app = site.client(&site.app).await;
    let direct = support::connect(&cluster.0.superuser_url(&site.database)).await;
    let pids = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgveil'";
    let mut stopped = rows(&direct, pids).await.expect("the control connections");
    assert!(!stopped.is_empty());
    stopped.push(cluster.postmaster());
    signal("-STOP", &stopped);
    // Nothing answers, though the system still takes what is sent.
    let told = site.refusal(&site.app).await;
    let running = rows(&app, "SELECT 1").await;
    signal("-CONT", &stopped);
    assert_eq!(told.as_deref(), Some("08006"));
    assert_eq!(running, Ok(vec!["1".to_owned()]), "others are served");
    eventually("logins work again", SOON, async || {
        site.refusal(&site.app).await.is_none()
    })
    .await;
}
