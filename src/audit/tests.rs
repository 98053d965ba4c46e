//! Tests of the audit: what is written verifies, and every edit, move and cut is found (X05, X06).

mod disks;

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use tempfile::TempDir;

use super::search::{Filter, search};
use super::verify::{Defect, Verdict, verify};
use super::*;
use crate::ident::{DatabaseName, RelationName, RoleName, UserName};
use crate::keyring::{KdfParameters, Passphrase, create_with};

/// A keyring and an audit directory.
struct Place {
    folder: TempDir,
    keyring: Keyring,
    settings: Settings,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let keyring = create_with(
        &folder.path().join("keyring.json"),
        &Passphrase::new("p").unwrap(),
        KdfParameters::new(8, 1, 1).unwrap(),
    )
    .unwrap();
    let settings = Settings::new(folder.path().join("audit"));
    Place {
        folder,
        keyring,
        settings,
    }
}

impl Place {
    fn start(&self) -> Recorder {
        Recorder::start(self.settings.clone(), &self.keyring, None).unwrap()
    }

    fn verdict(&self) -> Verdict {
        verify(&self.settings, &self.keyring).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = files::list(&self.settings.directory).unwrap();
        files.into_iter().map(|file| file.path).collect()
    }

    fn lines(&self, file: usize) -> Vec<String> {
        let text = fs::read_to_string(&self.files()[file]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn write_lines(&self, file: usize, lines: &[String]) {
        fs::write(&self.files()[file], lines.join("\n") + "\n").unwrap();
    }

    fn records(&self, filter: &Filter) -> Vec<serde_json::Value> {
        let mut records = Vec::new();
        search(&self.settings.directory, filter, |found| {
            records.push(found.record);
            ControlFlow::Continue(())
        })
        .unwrap();
        records
    }
}

fn who(user: &str) -> Arc<Who> {
    Arc::new(Who {
        session: 7,
        client: "10.0.0.1:50001".to_owned(),
        user: Some(UserName::new(user)),
        role: Some(RoleName::new("app")),
        database: Some(DatabaseName::new("crm")),
        application: "psql".to_owned(),
    })
}

fn select(user: &str, text: &str) -> Record {
    let mut record = Record::new(who(user), Kind::Statement("SELECT"), Outcome::Done);
    record.statement = Some(text.into());
    record.relations = vec![RelationName::new("public", "contacts")];
    record.treatment = Some(Treatment::Rewritten);
    record.parameters = vec![Parameter {
        number: 1,
        type_oid: 25,
        treated: true,
    }];
    record.rows = Some(3);
    record
}

/// A run of n statements, begun and ended.
async fn run(place: &Place, n: usize) {
    let recorder = place.start();
    for i in 0..n {
        let record = select(
            "crm_app",
            &format!("SELECT {i} FROM contacts WHERE email = ?"),
        );
        let seq = recorder.begin(record.clone()).await.unwrap();
        recorder.end(seq, record).await.unwrap();
    }
    recorder.close().await.unwrap();
}

#[tokio::test]
async fn what_is_written_verifies_and_continues_over_runs() {
    let place = place();
    run(&place, 3).await;
    run(&place, 2).await;
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert_eq!((verdict.files, verdict.records), (2, 2 + 6 + 4));
    assert_eq!((verdict.first_seq, verdict.last_seq), (Some(1), Some(12)));
    assert_eq!(verdict.anchored_seq, Some(12));
    assert!(verdict.torn.is_empty());
}

#[tokio::test]
async fn a_record_has_the_keys_of_the_contract_in_order() {
    let place = place();
    run(&place, 1).await;
    let lines = place.lines(0);
    let mut from = 0;
    for key in "seq time session client user role database application kind statement parameters fingerprint \
                relations treatment rows opened outcome sqlstate duration_us upstream_us prev hash"
        .split_whitespace()
    {
        let key = format!("\"{key}\":");
        from += lines[1][from..].find(&key).unwrap_or_else(|| panic!("{key} in {}", lines[1]));
    }
    let begin: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    let end: serde_json::Value = serde_json::from_str(&lines[2]).unwrap();
    assert_eq!(
        (&begin["seq"], &begin["outcome"]),
        (&2.into(), &"begun".into())
    );
    assert_eq!(
        (&end["begin"], &end["outcome"]),
        (&2.into(), &"done".into())
    );
    assert_eq!(
        begin["parameters"][0],
        serde_json::json!({"number": 1, "type": 25, "treated": true})
    );
    assert_eq!(begin["relations"][0], "public.contacts");
}

/// The members of a record, as they stand between its number and the hashes.
fn members(record: &Record, begin: Option<u64>) -> String {
    let time = "2026-12-01T03:04:05.000006Z".parse().unwrap();
    entry::written(record, time, begin, |bytes| {
        String::from_utf8(bytes.to_vec()).unwrap()
    })
}

#[test]
fn a_record_is_written_so() {
    let mut record = select("O\"Neil\n王", "SELECT '\\' \t");
    record.parameters.push(Parameter {
        number: 2,
        type_oid: 0,
        treated: false,
    });
    record
        .relations
        .push(RelationName::new("sales", "or\"ders"));
    record.fingerprint = Some(0xab);
    record.opened = Some(0);
    record.sqlstate = Some("22023".to_owned());
    record.duration_us = Some(12);
    record.upstream_us = Some(7);
    assert_eq!(
        members(&record, Some(41)),
        concat!(
            r#","time":"2026-12-01T03:04:05.000006Z","session":7,"client":"10.0.0.1:50001","user":"O\"Neil\n王","role":"app","#,
            r#""database":"crm","application":"psql","kind":"SELECT","statement":"SELECT '\\' \t","#,
            r#""parameters":[{"number":1,"type":25,"treated":true},{"number":2,"type":0,"treated":false}],"#,
            r#""fingerprint":"00000000000000ab","relations":["public.contacts","sales.or\"ders"],"treatment":"rewritten","#,
            r#""rows":3,"opened":0,"outcome":"done","sqlstate":"22023","duration_us":12,"upstream_us":7,"begin":41"#
        )
    );
    let nothing = Record::new(Who::instance(), Kind::Reload, Outcome::Refused);
    assert_eq!(
        members(&nothing, None),
        concat!(
            r#","time":"2026-12-01T03:04:05.000006Z","session":0,"client":"","user":null,"role":null,"database":null,"#,
            r#""application":"pgveil","kind":"reload","statement":null,"parameters":[],"fingerprint":null,"relations":[],"#,
            r#""treatment":null,"rows":null,"opened":null,"outcome":"refused","sqlstate":null,"duration_us":null,"upstream_us":null"#
        )
    );
}

/// Every byte of a record changed, in every place that matters: `verify` names the record.
#[tokio::test]
async fn x06_an_edited_record_is_named() {
    let place = place();
    run(&place, 3).await;
    let good = place.lines(0);
    for (line, from, to) in [
        (3, "SELECT 1", "SELECT 9"),
        (2, "crm_app", "crm_apq"),
        (4, "\"seq\":5", "\"seq\":6"),
        (5, "\"rows\":3", "\"rows\":0"),
        (0, "\"part\":0", "\"part\":1"),
        (1, "\"hash\":\"", "\"hash\":\"0"),
    ] {
        let mut lines = good.clone();
        assert!(lines[line].contains(from), "{from} in {}", lines[line]);
        lines[line] = lines[line].replacen(from, to, 1);
        place.write_lines(0, &lines);
        let bad = place.verdict().bad.expect("an edit must be found");
        assert_eq!(bad.line, line as u64 + 1, "{from}: {bad:?}");
        assert!(
            matches!(bad.defect, Defect::Altered | Defect::Malformed),
            "{bad:?}"
        );
    }
    let mut lines = good.clone();
    lines[0] = lines[0].replacen("\"kind\":\"file\"", "\"kind\":\"login\"", 1);
    place.write_lines(0, &lines);
    assert_eq!(place.verdict().bad.unwrap().line, 1);
    place.write_lines(0, &good);
    assert!(place.verdict().is_intact(false));
}

#[tokio::test]
async fn x06_reordered_removed_repeated_and_inserted_records_are_named() {
    let place = place();
    run(&place, 3).await;
    let good = place.lines(0);
    let after = |edit: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        edit(&mut lines);
        place.write_lines(0, &lines);
        let bad = place.verdict().bad.expect("it must be found");
        assert_eq!(bad.defect, Defect::Altered);
        bad.line
    };
    assert_eq!(after(&|lines| lines.swap(2, 4)), 3);
    assert_eq!(after(&|lines| drop(lines.remove(3))), 4);
    assert_eq!(after(&|lines| lines.insert(3, lines[2].clone())), 4);
    let forged = good[2].clone().replace("SELECT", "DELETE");
    assert_eq!(after(&|lines| lines.insert(1, forged.clone())), 2);
}

#[tokio::test]
async fn x06_a_cut_tail_is_missed() {
    let place = place();
    run(&place, 3).await;
    let good = place.lines(0);
    for left in 1..good.len() {
        place.write_lines(0, &good[..left]);
        let verdict = place.verdict();
        assert!(!verdict.is_intact(true));
        assert_eq!(verdict.bad, None);
        assert_eq!(
            (verdict.last_seq, verdict.missing_tail),
            (Some(left as u64), Some(7))
        );
    }
    fs::remove_file(&place.files()[0]).unwrap();
    assert_eq!(place.verdict().missing_tail, Some(7));
}

#[tokio::test]
async fn x06_a_cut_or_removed_file_in_the_middle_is_named() {
    let place = place();
    for _ in 0..3 {
        run(&place, 1).await;
    }
    let middle = place.lines(1);
    place.write_lines(1, &middle[..2]);
    let bad = place.verdict().bad.unwrap();
    assert_eq!((bad.line, bad.defect), (3, Defect::Broken));
    // Cut to half a line, as if by a crash: the next file knows better.
    let cut = middle[..2].join("\n") + "\n" + &middle[2][..30];
    fs::write(&place.files()[1], cut).unwrap();
    assert_eq!(place.verdict().bad.unwrap().defect, Defect::Broken);
    let last = place.files()[2].clone();
    fs::remove_file(&place.files()[1]).unwrap();
    let bad = place.verdict().bad.unwrap();
    assert_eq!((bad.file, bad.line, bad.defect), (last, 1, Defect::Gap));
}

#[tokio::test]
async fn x06_a_removed_first_file_is_told_and_may_be_archived() {
    let place = place();
    run(&place, 1).await;
    run(&place, 1).await;
    fs::remove_file(&place.files()[0]).unwrap();
    let verdict = place.verdict();
    assert_eq!(verdict.missing_head, Some(3));
    assert!(!verdict.is_intact(false));
    assert!(verdict.is_intact(true), "{verdict:?}");
}

#[tokio::test]
async fn x06_forged_anchors_are_counted() {
    let place = place();
    run(&place, 2).await;
    let path = place.settings.anchors.join("anchors-00000001.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    let forged = good.replacen("\"seq\":5", "\"seq\":9", 1);
    assert_ne!(good, forged);
    fs::write(&path, forged).unwrap();
    assert_eq!(place.verdict().foreign_anchors, 1);
    fs::write(&path, good.clone() + "{}\n").unwrap();
    assert_eq!(place.verdict().foreign_anchors, 1);
    fs::write(&path, good + "{\"file\":1,\"ru").unwrap();
    assert!(place.verdict().is_intact(false), "a torn anchor is a crash");
}

#[tokio::test]
async fn x06_another_keyring_verifies_nothing() {
    let ours = place();
    run(&ours, 1).await;
    let theirs = place();
    let verdict = verify(&ours.settings, &theirs.keyring).unwrap();
    assert_eq!(verdict.bad.unwrap().defect, Defect::Head);
}

/// A crash in the middle of a record: told apart from tampering, before the next start and after it.
#[tokio::test]
async fn x05_a_torn_line_is_a_crash() {
    let place = place();
    run(&place, 2).await;
    let torn = b"{\"seq\":6,\"time\":\"2026";
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&place.files()[0])
        .unwrap();
    file.write_all(torn).unwrap();
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert_eq!(verdict.torn[0].bytes, torn.len() as u64);
    // And a crash in the first record of a file.
    let second = place
        .settings
        .directory
        .join("audit-00000002-20260101.jsonl");
    fs::write(&second, torn).unwrap();
    run(&place, 1).await;
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert_eq!(verdict.torn.len(), 2);
    assert_eq!((verdict.files, verdict.last_seq), (3, Some(8)));
    // What was torn then may not grow into something else now.
    fs::write(&second, b"").unwrap();
    assert!(place.verdict().is_intact(false));
    let mut lines = place.lines(0);
    lines.pop();
    lines.pop();
    fs::write(&place.files()[0], lines.join("\n")).unwrap();
    assert_eq!(place.verdict().bad.unwrap().defect, Defect::Broken);
}

#[tokio::test]
async fn x05_a_removed_directory_refuses() {
    let place = place();
    let recorder = place.start();
    recorder.begin(select("a", "before")).await.unwrap();
    fs::remove_dir_all(&place.settings.directory).unwrap();
    let mut refused = false;
    for _ in 0..40 {
        refused = recorder.begin(select("a", "nowhere")).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused);
    // And goes on to: what was written there nobody would find.
    for _ in 0..30 {
        assert!(recorder.begin(select("a", "nowhere")).await.is_err());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(place.folder.path().exists());
}

/// What `begin` acknowledged is in the file at once: a kill loses nothing of it.
#[tokio::test]
async fn x05_what_is_acknowledged_is_written() {
    for sync in [Sync::Interval, Sync::Always] {
        let mut place = place();
        place.settings.sync = sync;
        let recorder = place.start();
        let seq = recorder.begin(select("a", "SELECT")).await.unwrap();
        let record: serde_json::Value = serde_json::from_str(&place.lines(0)[1]).unwrap();
        assert_eq!(record["seq"], seq);
        recorder.close().await.unwrap();
        let closed = recorder.begin(select("a", "SELECT")).await;
        assert_eq!(closed, Err(AuditFault::Closed));
    }
}

#[tokio::test]
async fn one_instance_writes_a_directory() {
    let place = place();
    let recorder = place.start();
    let second = Recorder::start(place.settings.clone(), &place.keyring, None).err();
    assert_eq!(
        second,
        Some(AuditFault::Locked(place.settings.directory.clone()))
    );
    recorder.close().await.unwrap();
    place.start().close().await.unwrap();
}

#[tokio::test]
async fn files_end_at_their_size_and_chain_on() {
    let mut place = place();
    place.settings.file_bytes = 3000;
    run(&place, 10).await;
    run(&place, 5).await;
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert!(verdict.files > 4, "{verdict:?}");
    assert_eq!(verdict.last_seq, Some(verdict.records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_sessions_record_at_once() {
    let place = place();
    let recorder = place.start();
    let mut sessions = Vec::new();
    for session in 0..20 {
        let recorder = recorder.clone();
        sessions.push(tokio::spawn(async move {
            for i in 0..50 {
                let record = select(&format!("u{session}"), &"x".repeat(i * 100));
                let seq = recorder.begin(record.clone()).await.unwrap();
                recorder.end(seq, record).await.unwrap();
            }
        }));
    }
    for session in sessions {
        session.await.unwrap();
    }
    recorder.close().await.unwrap();
    let verdict = place.verdict();
    assert!(verdict.is_intact(false), "{verdict:?}");
    assert_eq!(verdict.records, 1 + 20 * 50 * 2);
    let filter = Filter {
        user: Some("u7".to_owned()),
        outcome: Some("begun".to_owned()),
        ..Filter::default()
    };
    assert_eq!(place.records(&filter).len(), 50);
}

#[tokio::test]
async fn a_long_statement_is_cut_and_says_so() {
    let place = place();
    let recorder = place.start();
    let long = "é".repeat(crate::limits::AUDIT_STATEMENT_BYTES_MAX);
    recorder.record(select("a", &long)).await.unwrap();
    recorder.close().await.unwrap();
    let records = place.records(&Filter::default());
    let text = records[0]["statement"].as_str().unwrap();
    assert!(text.len() < crate::limits::AUDIT_STATEMENT_BYTES_MAX + 200);
    assert!(text.ends_with(']') && text.contains("2097152 bytes in all, SHA-256 "));
    assert!(place.verdict().is_intact(false));
}

#[tokio::test]
async fn search_finds_by_everything_it_names() {
    let place = place();
    let recorder = place.start();
    recorder
        .record(select("ann", "SELECT Name FROM contacts"))
        .await
        .unwrap();
    let mut refused = select("bob", "DELETE FROM contacts");
    refused.kind = Kind::Statement("DELETE");
    refused.outcome = Outcome::Refused;
    refused.relations = vec![RelationName::new("sales", "orders")];
    recorder.record(refused).await.unwrap();
    let login = Record::new(who("ann"), Kind::Login, Outcome::Done);
    recorder.record(login).await.unwrap();
    recorder.close().await.unwrap();

    let count = |edit: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        edit(&mut filter);
        place.records(&filter).len()
    };
    let some = |text: &str| Some(text.to_owned());
    let now = Timestamp::now();
    assert_eq!(count(&|_| {}), 3);
    assert_eq!(count(&|f| f.user = some("ann")), 2);
    assert_eq!(count(&|f| f.role = some("app")), 3);
    assert_eq!(count(&|f| f.session = Some(8)), 0);
    assert_eq!(count(&|f| f.kind = some("delete")), 1);
    assert_eq!(count(&|f| f.kind = some("login")), 1);
    assert_eq!(count(&|f| f.outcome = some("refused")), 1);
    assert_eq!(count(&|f| f.relation = some("orders")), 1);
    assert_eq!(count(&|f| f.relation = some("sales.orders")), 1);
    assert_eq!(count(&|f| f.relation = some("rders")), 0);
    assert_eq!(count(&|f| f.text = some("name from")), 1);
    assert_eq!(count(&|f| f.until = Some(now)), 3);
    assert_eq!(count(&|f| f.from = Some(now)), 0);
}

#[tokio::test]
async fn anchors_lie_outside() {
    let mut place = place();
    place.settings.anchors = place.settings.directory.join("anchors");
    let fault = Recorder::start(place.settings.clone(), &place.keyring, None).err();
    assert!(matches!(fault, Some(AuditFault::AnchorsInside(_))));
}
