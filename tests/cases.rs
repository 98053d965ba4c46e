//! The cases of `tests/cases/*.case`: policy, role, statement → what becomes of it.
//!
//! A case is a line `--- name`, a line `role: R`, the statement, a line `=>` and the answer in the form of
//! [`answer`]. The policy is the demo's, or that of the same name beside the file. `UPDATE_CASES=1 cargo test --test cases` writes the answers anew: review the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgveil::catalog::indirect::STORED;
use pgveil::catalog::{Attribute, Function, Relation, RelationKind, Snapshot, Stored, TypeRef};
use pgveil::ident::{DomainId, KeyVersion, RelationName, RoleName};
use pgveil::policy::decide::{Bound, Store};
use pgveil::policy::{Policy, bind, load};
use pgveil::statement::plan::{ColumnPlan, Outcome, Piece, Plan};
use pgveil::statement::{ClientEncoding, Context, PlanCache, Reach, analyse};

const BYTEA: TypeRef = TypeRef {
    oid: 17,
    typmod: -1,
};
const DOMAIN: DomainId = DomainId(1);

fn policy() -> Policy {
    let text = concat!(
        include_str!("../policies/crm.yaml"),
        include_str!("cases/beside.yaml")
    );
    load("crm.yaml", text)
        .expect("the demo's policy loads")
        .policy
}

/// The policy of a case file: the one beside it, of the same name, or the demo's.
fn policy_of(file: &Path) -> Policy {
    match std::fs::read_to_string(file.with_extension("yaml")) {
        Ok(text) => load("beside.yaml", &text).expect("a policy").policy,
        Err(_) => policy(),
    }
}

/// Reads `catalog.txt` and stores each column as the policy says, as `apply` would have left it.
fn snapshot(policy: &Policy) -> Snapshot {
    let mut relations: Vec<Relation> = Vec::new();
    let mut functions = Vec::new();
    let mut oids = BTreeMap::new();
    for line in include_str!("cases/catalog.txt")
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", name] => relations.push(relation(name, RelationKind::Table, &mut oids)),
            ["view", name, "reaches", other] => {
                let mut view = relation(name, RelationKind::View, &mut oids);
                view.reaches = vec![oids[*other]];
                relations.push(view);
            }
            ["view", name, "shows", "stored"] => {
                let mut view = relation(name, RelationKind::View, &mut oids);
                view.reaches = vec![STORED];
                relations.push(view);
            }
            ["view", name, "calls", called] => {
                let mut view = relation(name, RelationKind::View, &mut oids);
                let called = functions.iter().find(|f: &&Function| f.name == *called);
                view.calls = vec![called.expect("a function above").oid];
                relations.push(view);
            }
            ["function", name, body @ ..] => {
                let (schema, name) = name.split_once('.').expect("schema.name");
                functions.push(Function {
                    oid: 32_768 + u32::try_from(functions.len()).expect("few functions"),
                    schema: schema.into(),
                    name: name.into(),
                    body: Some(body.join(" ")),
                });
            }
            [name, oid, typmod] => {
                let relation = relations.last_mut().expect("a table first");
                let logical = TypeRef {
                    oid: oid.parse().expect("an OID"),
                    typmod: typmod.parse().expect("a typmod"),
                };
                let attribute = attribute(policy, relation, name, logical);
                relation.attributes.push(attribute);
            }
            _ => panic!("catalog.txt: {line}"),
        }
    }
    Snapshot::new(1, relations, functions)
}

fn relation(name: &str, kind: RelationKind, oids: &mut BTreeMap<String, u32>) -> Relation {
    let oid = 16384 + u32::try_from(oids.len()).expect("few relations");
    oids.insert(name.to_owned(), oid);
    let (schema, bare) = name.split_once('.').expect("schema.name");
    Relation {
        oid,
        name: RelationName::new(schema, bare),
        kind,
        attributes: Vec::new(),
        primary_key: vec![1],
        reaches: Vec::new(),
        calls: Vec::new(),
    }
}

fn attribute(policy: &Policy, relation: &Relation, name: &str, logical: TypeRef) -> Attribute {
    let rule = policy
        .rules()
        .iter()
        .find(|r| r.name.relation == relation.name && r.name.attribute == name);
    let treatment = rule.and_then(|r| r.store.recorded());
    let (version, domain) = (KeyVersion(1), DOMAIN);
    let (stored, physical) = match (rule.map(|r| &r.store), treatment) {
        (Some(Store::Encrypt { .. }), Some(treatment)) => (
            Stored::Sealed {
                domain,
                version,
                treatment,
            },
            BYTEA,
        ),
        (Some(Store::Tokenise(_)), Some(treatment)) => (
            Stored::Tokenised {
                domain,
                version,
                treatment,
            },
            logical,
        ),
        _ => (Stored::Plain, logical),
    };
    let attnum = i16::try_from(relation.attributes.len() + 1).expect("few columns");
    let has_prefix_check = matches!(stored, Stored::Sealed { .. });
    Attribute {
        name: name.into(),
        attnum,
        logical,
        physical,
        not_null: false,
        stored,
        has_prefix_check,
        generated: false,
    }
}

struct Case {
    title: String,
    role: String,
    sql: String,
    answer: String,
}

fn parse(text: &str) -> Vec<Case> {
    text.split("--- ")
        .skip(1)
        .map(|part| {
            let (title, rest) = part.split_once('\n').expect("a statement behind the title");
            let (role, rest) = rest.split_once('\n').expect("a statement behind the role");
            let (sql, answer) = rest.split_once("=>").expect("an answer behind =>");
            Case {
                title: title.trim().to_owned(),
                role: role
                    .strip_prefix("role: ")
                    .expect("role: behind the title")
                    .trim()
                    .to_owned(),
                sql: sql.trim_end().to_owned(),
                answer: answer.trim().to_owned(),
            }
        })
        .collect()
}

/// The answer in words: `untouched`; `refused SQLSTATE reason message`; or the text to send with its slots,
/// then columns and parameters.
fn answer(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Untouched => "untouched".to_owned(),
        Outcome::Refused(refusal) => format!(
            "refused {} {}: {}",
            refusal.sqlstate, refusal.reason, refusal.message
        ),
        Outcome::Plan(plan) => rewritten(plan),
    }
}

fn rewritten(plan: &Plan) -> String {
    let mut text = String::from("rewritten\n");
    for piece in plan.pieces() {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Slot(slot) => {
                let _ = write!(
                    text,
                    "⟨{} {:?}{}⟩",
                    slot.attribute.name.attribute,
                    slot.shape,
                    if slot.assigned { " assigned" } else { "" }
                );
            }
        }
    }
    for columns in plan.statements().iter().filter_map(|s| s.columns.as_ref()) {
        let columns: Vec<String> = columns
            .iter()
            .map(|column| match column {
                ColumnPlan::Pass => "pass".to_owned(),
                ColumnPlan::Open { attribute, show } => {
                    format!("{} {show:?}", attribute.name.attribute)
                }
            })
            .collect();
        let _ = write!(text, "\ncolumns: {}", columns.join(", "));
    }
    for parameter in plan.parameters() {
        let _ = write!(
            text,
            "\nparameter ${}: {} {:?}",
            parameter.number, parameter.attribute.name.attribute, parameter.shape
        );
    }
    text
}

fn run(case: &Case, snapshot: &Snapshot, bound: &Bound) -> String {
    let role = RoleName::new(case.role.clone());
    let reach = Reach::new(snapshot, bound, &role);
    let context = Context {
        snapshot,
        bound,
        reach: &reach,
        role: &role,
        standard_conforming_strings: true,
        client_encoding: ClientEncoding::Utf8,
        cache: None,
    };
    answer(&analyse(&case.sql, &context))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "case"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_case_has_its_answer() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        let policy = policy_of(&file);
        let snapshot = snapshot(&policy);
        let (bound, faults) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
        assert!(faults.is_empty(), "{}: {faults:?}", file.display());
        let mut written = String::new();
        for case in parse(&std::fs::read_to_string(&file).expect("a case file")) {
            cases += 1;
            let got = run(&case, &snapshot, &bound).trim_end().to_owned();
            if got != case.answer {
                wrong.push(format!(
                    "{}: {}\nexpected {}\ngot      {got}",
                    file.display(),
                    case.title,
                    case.answer
                ));
            }
            let _ = write!(
                written,
                "--- {}\nrole: {}\n{}\n=> {got}\n\n",
                case.title, case.role, case.sql
            );
        }
        if update {
            std::fs::write(&file, written.trim_end().to_owned() + "\n")
                .expect("the case file is writable");
        }
    }
    println!("{cases} cases");
    assert!(update || wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// All that an outcome says, what its slots are to hold included.
fn whole(outcome: &Outcome) -> String {
    let mut text = format!("{outcome:?}");
    if let Outcome::Plan(plan) = outcome {
        for piece in plan.pieces() {
            if let Piece::Slot(slot) = piece {
                let _ = write!(text, "\nslot {:?}", slot.text.expose());
            }
        }
    }
    text
}

/// The text, and the same with other constants: alike ones, and ones that the server would take for another type.
fn variants(sql: &str) -> Vec<String> {
    const TEXTS: [&str; 6] = [
        "'zz'",
        "''",
        "'it''s'",
        "'2020-02-02'",
        r"E'{a,\\b}'",
        "$$x$$",
    ];
    const NUMBERS: [&str; 6] = [
        "7",
        "02",
        "3000000000",
        "1.5",
        "99999999999999999999",
        "1e5",
    ];
    let text = regex::Regex::new(r"E?'(?:[^']|'')*'").expect("a pattern");
    let number = regex::Regex::new(r"(?<before>^|[^\w$.'])\d+(?:\.\d+)?\b").expect("a pattern");
    let mut found = vec![sql.to_owned(); 3];
    for (other, digits) in TEXTS.iter().zip(NUMBERS) {
        let texts = text.replace_all(sql, regex::NoExpand(other)).into_owned();
        let numbers = format!("${{before}}{digits}");
        found.push(number.replace_all(sql, numbers.as_str()).into_owned());
        found.push(number.replace_all(&texts, numbers.as_str()).into_owned());
        found.push(texts);
    }
    found
}

/// Whatever is known of a text's shape, a text becomes what its own analysis makes of it.
#[test]
fn the_plan_cache_changes_no_answer() {
    let (mut texts, mut wrong) = (0, Vec::new());
    let hits = Arc::new(AtomicUsize::new(0));
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        let policy = policy_of(&file);
        let snapshot = snapshot(&policy);
        let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
        let mut caches = BTreeMap::new();
        for case in parse(&std::fs::read_to_string(&file).expect("a case file")) {
            let role = RoleName::new(case.role.clone());
            let cache = caches.entry(case.role).or_insert_with(|| {
                let hits = Arc::clone(&hits);
                PlanCache::new(move |hit| {
                    hits.fetch_add(usize::from(hit), Ordering::Relaxed);
                })
            });
            let reach = Reach::new(&snapshot, &bound, &role);
            let context = |cache| Context {
                snapshot: &snapshot,
                bound: &bound,
                reach: &reach,
                role: &role,
                standard_conforming_strings: true,
                client_encoding: ClientEncoding::Utf8,
                cache,
            };
            for sql in variants(&case.sql) {
                texts += 1;
                let alone = whole(&analyse(&sql, &context(None)));
                let cached = whole(&analyse(&sql, &context(Some(&*cache))));
                if cached != alone {
                    wrong.push(format!("{sql}\nalone  {alone}\ncached {cached}"));
                }
            }
        }
    }
    let hits = hits.load(Ordering::Relaxed);
    println!("{texts} texts, {hits} known by their shape");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(hits * 8 > texts, "{hits} of {texts}");
}

/// How often a cache knew these texts.
fn hits(texts: &[&str]) -> usize {
    let policy = policy();
    let snapshot = snapshot(&policy);
    let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
    let role = RoleName::new("app");
    let reach = Reach::new(&snapshot, &bound, &role);
    let hits = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&hits);
    let cache = PlanCache::new(move |hit| {
        heard.fetch_add(usize::from(hit), Ordering::Relaxed);
    });
    for text in texts {
        let outcome = analyse(
            text,
            &Context {
                snapshot: &snapshot,
                bound: &bound,
                reach: &reach,
                role: &role,
                standard_conforming_strings: true,
                client_encoding: ClientEncoding::Utf8,
                cache: Some(&cache),
            },
        );
        assert!(matches!(outcome, Outcome::Plan(_)), "{text}");
    }
    hits.load(Ordering::Relaxed)
}

#[test]
fn queries_of_one_shape_are_known_and_texts_with_more_in_them_are_not() {
    let of = |mail: &str| format!("SELECT id, email FROM contacts WHERE email = '{mail}'");
    let texts = ["a@b.c", "d@e.f", "g@h.i", "j@k.l"].map(of);
    assert_eq!(hits(&texts.each_ref().map(String::as_str)), 2);
    let text = "SET work_mem = '4MB'; SELECT email FROM contacts WHERE email = 'a@b.c'";
    assert_eq!(hits(&[text; 4]), 0);
}

/// `SELECT E'中\', (SELECT max(notes) FROM contacts) --'`: in GBK the backslash is the second byte of a letter.
#[test]
fn s03_a_text_in_another_encoding_is_not_read_as_utf8() {
    let policy = policy();
    let snapshot = snapshot(&policy);
    let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
    let role = RoleName::new("support");
    let reach = Reach::new(&snapshot, &bound, &role);
    let context = Context {
        snapshot: &snapshot,
        bound: &bound,
        reach: &reach,
        role: &role,
        standard_conforming_strings: true,
        client_encoding: ClientEncoding::Other,
        cache: None,
    };
    let outcome = analyse(
        "SELECT E'\u{4e2d}\\', (SELECT max(notes) FROM contacts) --'",
        &context,
    );
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert!(matches!(analyse("SELECT 1", &context), Outcome::Untouched));
}

/// In encodings of single bytes, what cannot name anything treated passes, whatever its other letters are.
#[test]
fn s03_tokens_are_read_in_encodings_of_single_bytes() {
    let policy = policy();
    let mut relations = snapshot(&policy).relations().to_vec();
    let role = RoleName::new("support");
    let outcome = |relations: &[Relation], text: &str| {
        let snapshot = Snapshot::new(1, relations.to_vec(), Vec::new());
        let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
        let reach = Reach::new(&snapshot, &bound, &role);
        let context = Context {
            snapshot: &snapshot,
            bound: &bound,
            reach: &reach,
            role: &role,
            standard_conforming_strings: true,
            client_encoding: ClientEncoding::named(b"LATIN9"),
            cache: None,
        };
        analyse(text, &context)
    };
    let plain = "SELECT 'caf\u{e9}' AS \"\u{e9}\", $\u{e9}$ $\u{e8}$ FROM contacts $\u{e9}$";
    let block = "DO $$ BEGIN PERFORM '\u{e9}'; END $$";
    let treated = "SELECT $\u{e9}$ x $\u{e8}$ ' $\u{e9}$, notes FROM contacts -- '";
    assert!(matches!(outcome(&relations, plain), Outcome::Untouched));
    assert!(matches!(outcome(&relations, treated), Outcome::Refused(_)));
    match outcome(&relations, block) {
        Outcome::Refused(refusal) => assert_eq!(refusal.sqlstate.0, "42501", "it needs leave"),
        Outcome::Untouched | Outcome::Plan(_) => panic!("a DO block without leave"),
    }
    // Its letters could be the name of a view on a treated relation.
    let contacts = relations.iter().find(|r| r.name.name == "contacts");
    let contacts = contacts.expect("contacts").oid;
    relations.push(Relation {
        oid: 900,
        name: RelationName::new("public", "clientèle"),
        kind: RelationKind::View,
        attributes: Vec::new(),
        primary_key: Vec::new(),
        reaches: vec![contacts],
        calls: Vec::new(),
    });
    assert!(matches!(outcome(&relations, plain), Outcome::Refused(_)));
}

/// A column that the policy names and the table does not have may stand in it under another name: a view of the table
/// may show it.
#[test]
fn p08_a_view_of_a_table_that_lacks_a_treated_column_is_refused() {
    let text = "version: 1\nroles:\n  - { name: support, match: { user: support } }\ntables:\n  \
                public.accounts:\n    columns:\n      gone: { show: { support: { mask: redact } } }\n";
    let policy = load("gone.yaml", text).expect("a policy").policy;
    let mut relations = snapshot(&policy).relations().to_vec();
    let accounts = relations.iter().find(|r| r.name.name == "accounts");
    let accounts = accounts.expect("accounts").oid;
    relations.push(Relation {
        oid: 900,
        name: RelationName::new("public", "accounts_v"),
        kind: RelationKind::View,
        attributes: Vec::new(),
        primary_key: Vec::new(),
        reaches: vec![accounts],
        calls: Vec::new(),
    });
    let snapshot = Snapshot::new(1, relations, Vec::new());
    let (bound, faults) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
    assert_eq!(faults.len(), 1);
    let role = RoleName::new("support");
    let context = Context {
        snapshot: &snapshot,
        bound: &bound,
        reach: &Reach::new(&snapshot, &bound, &role),
        role: &role,
        standard_conforming_strings: true,
        client_encoding: ClientEncoding::Utf8,
        cache: None,
    };
    for text in ["SELECT * FROM accounts", "SELECT * FROM accounts_v"] {
        let outcome = analyse(text, &context);
        assert!(
            matches!(outcome, Outcome::Refused(_)),
            "{text}: {outcome:?}"
        );
    }
}

/// Names that are no lower-case words are found in a function's body too.
#[test]
fn p10_a_function_that_reads_a_relation_with_an_odd_name_reaches_it() {
    let policy = policy();
    let mut relations = snapshot(&policy).relations().to_vec();
    let contacts = relations
        .iter()
        .find(|r| r.name.name == "contacts")
        .expect("contacts")
        .oid;
    let body = |oid: u32, name: &str, body: &str| Function {
        oid,
        schema: "public".into(),
        name: name.into(),
        body: Some(body.into()),
    };
    for (oid, name) in [(900, "My Contacts"), (901, "Contacts_V")] {
        relations.push(Relation {
            oid,
            name: RelationName::new("public", name),
            kind: RelationKind::View,
            attributes: Vec::new(),
            primary_key: Vec::new(),
            reaches: vec![contacts],
            calls: Vec::new(),
        });
    }
    let functions = vec![
        body(1, "f1", r#"SELECT 1 FROM "My Contacts""#),
        body(2, "f2", r#"SELECT 1 FROM "Contacts_V""#),
        body(3, "f3", r#"SELECT 1 FROM U&"c\006Fntacts""#),
        body(4, "f4", "SELECT 1 FROM users"),
    ];
    let snapshot = Snapshot::new(1, relations, functions);
    let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
    let role = RoleName::new("support");
    let reach = Reach::new(&snapshot, &bound, &role);
    let context = Context {
        snapshot: &snapshot,
        bound: &bound,
        reach: &reach,
        role: &role,
        standard_conforming_strings: true,
        client_encoding: ClientEncoding::Utf8,
        cache: None,
    };
    let refused = |sql: &str| matches!(analyse(sql, &context), Outcome::Refused(_));
    assert!(refused("SELECT f1()") && refused("SELECT f2()") && refused("SELECT f3()"));
    assert!(!refused("SELECT f4()"));
}

/// A generator of numbers that are the same in every run (Marsaglia's xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).expect("64 bits")).expect("64 bits")
    }
}

/// Words of one statement put into another, dropped, doubled, swapped: whatever comes of it, it comes, and soon.
#[test]
fn mutated_statements_get_an_answer() {
    let policy = policy();
    let snapshot = snapshot(&policy);
    let (bound, _) = bind(&policy, &snapshot, 1, |_| Some(DOMAIN));
    let mut cases = Vec::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")) {
        cases.extend(parse(&std::fs::read_to_string(file).expect("a case file")));
    }
    let pieces: Vec<Vec<&str>> = cases
        .iter()
        .map(|c| {
            c.sql
                .split_inclusive([' ', '(', ')', ',', '.', '\'', '=', '[', ']'])
                .collect()
        })
        .collect();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let rounds = std::env::var("MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2_000);
    for _ in 0..rounds {
        let mut words = pieces[numbers.below(pieces.len())].clone();
        for _ in 0..=numbers.below(4) {
            let other = &pieces[numbers.below(pieces.len())];
            let at = numbers.below(words.len());
            match numbers.below(5) {
                0 => words.insert(at, other[numbers.below(other.len())]),
                1 if !words.is_empty() => drop(words.remove(at)),
                2 if !words.is_empty() => words[at] = other[numbers.below(other.len())],
                3 => {
                    let from = numbers.below(other.len());
                    words.splice(at..at, other[from..].iter().copied());
                }
                _ => {
                    let with = numbers.below(words.len());
                    if !words.is_empty() {
                        words.swap(at, with);
                    }
                }
            }
        }
        let sql = words.concat();
        let role = ["app", "support", "analyst"][numbers.below(3)].to_owned();
        let case = Case {
            title: String::new(),
            role,
            sql: sql.clone(),
            answer: String::new(),
        };
        let began = std::time::Instant::now();
        let answer = std::panic::catch_unwind(|| run(&case, &snapshot, &bound));
        assert!(answer.is_ok(), "panic: {sql}");
        assert!(began.elapsed().as_secs() < 2, "slow: {sql}");
    }
}
