//! Tests of the policy language. `tests/policies/*.yaml` each begin with the faults that they must give, one
//! `# LINE:COLUMN: message (help)` a line, counted from the line after them; or `# ok`; or `# warning …`.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::decide::{Search, Show, Store};
use super::roles::Caller;
use super::*;
use crate::document::Position;
use crate::ident::{RoleName, UserName};
use crate::mask::{Generalise, Mask};
use crate::token::TokenFormat;
use crate::wire::certificate::Subject;

const CONTRACT: &str = include_str!("../../tests/policies/ok_all_that_is_enforced.yaml");

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 8, "the cases are gone");
    files
}

/// Each case is its name, the expected faults, and the policy itself.
fn split(text: &str) -> Vec<(String, Vec<String>, String)> {
    let mut cases = Vec::new();
    for case in text.split("---- ").skip(1) {
        let (title, case) = case.split_once('\n').unwrap();
        let expected: Vec<String> = case
            .lines()
            .map_while(|l| l.strip_prefix("# "))
            .map(str::to_owned)
            .collect();
        let body: Vec<&str> = case.lines().skip(expected.len()).collect();
        cases.push((title.to_owned(), expected, body.join("\n") + "\n"));
    }
    cases
}

fn told(text: &str) -> Vec<String> {
    let line = |f: &Fault| f.to_string().trim_start_matches("f:").trim().to_owned();
    match load("f", text) {
        Ok(loaded) if loaded.warnings.is_empty() => vec!["ok".to_owned()],
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|w| format!("warning {}", line(w)))
            .collect(),
        Err(faults) => faults.iter().map(line).collect(),
    }
}

#[test]
fn every_case_tells_what_it_must() {
    let update = std::env::var_os("UPDATE_CASES").is_some();
    for file in cases() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("ok_") {
            assert_eq!(told(&text), ["ok"], "{name}");
            continue;
        }
        let mut fresh = String::new();
        for (title, expected, body) in split(&text) {
            let found = told(&body);
            if !update {
                assert_eq!(found, expected, "{name}: {title}");
            }
            fresh.push_str(&format!("---- {title}\n"));
            for line in found {
                fresh.push_str(&format!("# {line}\n"));
            }
            fresh.push_str(&body);
        }
        if update {
            fs::write(&file, fresh).unwrap();
        }
    }
}

fn contract() -> Policy {
    load("f", CONTRACT).unwrap().policy
}

fn show(policy: &Policy, column: &str, role: &str) -> Show {
    let rule = policy.rules().iter().find(|r| r.name.attribute == column);
    rule.unwrap().sight[&RoleName::new(role)].show.clone()
}

#[test]
fn the_demo_s_policy_loads() {
    let loaded = load("crm.yaml", include_str!("../../policies/crm.yaml")).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.policy.roles().len(), 3);
}

#[allow(
    clippy::too_many_lines,
    reason = "a table of words and what becomes of them"
)]
#[test]
fn words_become_decisions() {
    let policy = contract();
    let rule = |column: &str| {
        policy
            .rules()
            .iter()
            .find(|r| r.name.attribute == column)
            .unwrap()
    };
    let email = rule("email");
    assert_eq!(email.name.to_string(), "public.customers.email");
    assert_eq!(
        email.store,
        Store::Encrypt {
            search: [Search::Equal].into()
        }
    );
    assert_eq!(email.domain.as_str(), "contact_email");
    assert!(email.domain_is_named);
    assert_eq!(
        email.sight[&RoleName::new("support")].compare,
        [Search::Equal].into()
    );
    assert_eq!(show(&policy, "email", "app"), Show::Plain);
    assert_eq!(show(&policy, "email", "support"), Show::Mask(Mask::Email));
    assert_eq!(
        show(&policy, "email", "analyst"),
        Show::Token(TokenFormat::Email)
    );
    assert_eq!(show(&policy, "email", "auditor"), Show::Null);

    let birth = rule("birth_date");
    assert_eq!(birth.store, Store::Encrypt { search: [].into() });
    assert_eq!(birth.domain.as_str(), "public.customers.birth_date");
    assert!(!birth.domain_is_named);
    assert_eq!(
        show(&policy, "birth_date", "support"),
        Show::Mask(Mask::Generalise(Generalise::Year))
    );
    assert_eq!(show(&policy, "birth_date", "auditor"), Show::Refuse);

    let phone = TokenFormat::Digits {
        keep_first: 3,
        keep_last: 0,
    };
    assert_eq!(rule("phone").store, Store::Tokenise(phone));
    assert_eq!(
        show(&policy, "phone", "support"),
        Show::Mask(Mask::Partial {
            first: 0,
            last: 4,
            with: '•'
        })
    );
    assert_eq!(show(&policy, "phone", "analyst"), Show::Stored);
    // A token of the shape that is stored is what is stored.
    assert_eq!(show(&policy, "phone", "auditor"), Show::Stored);
    assert_eq!(rule("notes").store, Store::Plain);
    assert_eq!(
        show(&policy, "revenue", "support"),
        Show::Mask(Mask::Generalise(Generalise::Bucket("1000".into())))
    );
    assert_eq!(
        show(&policy, "revenue", "analyst"),
        Show::Mask(Mask::Constant("0".into()))
    );
    assert_eq!(
        show(&policy, "notes", "auditor"),
        Show::Token(TokenFormat::Digits {
            keep_first: 2,
            keep_last: 1
        })
    );
    assert!(
        policy
            .trusted_functions()
            .trusts("public", "normalise_phone")
    );
}

#[test]
fn every_role_is_accounted_for() {
    let policy = contract();
    for rule in policy.rules() {
        for role in policy.roles() {
            assert!(rule.sight.contains_key(role.name()), "{}", rule.name);
        }
        assert_eq!(rule.sight.len(), policy.roles().len());
    }
}

#[test]
fn positions_point_at_the_words() {
    let policy = contract();
    let rule = &policy.rules()[0];
    let line = |at: Position| CONTRACT.lines().nth(at.line as usize - 1).unwrap();
    let from = |at: Position| &line(at)[at.column as usize - 1..];
    assert!(from(rule.at).starts_with("email:"));
    assert!(from(rule.store_at).starts_with("{ encrypt:"));
    assert!(from(rule.show_at[&RoleName::new("support")]).starts_with("{ mask: email }"));
}

#[test]
fn the_first_role_that_matches_is_the_roles() {
    let policy = contract();
    let at = |ip: &str| Some(ip.parse::<IpAddr>().unwrap());
    for (user, ip, application, expected) in [
        ("crm_app", at("192.0.2.1"), "", Some("app")),
        ("crm_job_nightly", None, "", Some("app")),
        ("crm_job", None, "", None),
        (
            "support_anna",
            at("10.1.2.3"),
            "helpdesk 2",
            Some("support"),
        ),
        (
            "support_anna",
            at("::ffff:10.1.2.3"),
            "helpdesk 2",
            Some("support"),
        ),
        ("support_anna", at("::1"), "helpdesk", Some("support")),
        ("support_anna", at("::2"), "helpdesk", None),
        ("support_anna", at("11.1.2.3"), "helpdesk", None),
        ("support_anna", None, "helpdesk", None),
        ("support_anna", at("10.1.2.3"), "psql", None),
        ("bi", at("203.0.113.9"), "", Some("analyst")),
        ("BI", at("203.0.113.9"), "", None),
        ("anyone", at("192.168.7.7"), "", Some("auditor")),
    ] {
        let role = policy.role_for(Caller {
            user: &UserName::new(user),
            address: ip,
            application,
            certificate: None,
        });
        let name = role.map(|role| role.name().as_str());
        assert_eq!(name, expected, "{user} {ip:?} {application}");
    }
    let analyst = policy.role(&RoleName::new("analyst")).unwrap();
    assert!(analyst.allows(Allow::Replication));
    assert!(!analyst.allows(Allow::DoBlocks));
    assert_eq!(
        policy.roles_allowed(Allow::FunctionCall),
        [RoleName::new("app")].into()
    );
}

#[test]
fn a_role_may_be_known_by_its_certificates() {
    let text = "version: 1\nroles:\n  - name: certified\n    match: { user: cert, client_cert: \
                ['CN=*.support,O=Example\\, Inc.', 'OU=DBA'] }\ntables: {}\n";
    let policy = load("f", text).unwrap().policy;
    let role = |names: &[(rcgen::DnType, &str)]| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let subject = Subject::of_certificate(&der);
        let role = policy.role_for(Caller {
            user: &UserName::new("cert"),
            address: None,
            application: "",
            certificate: subject.as_ref(),
        });
        role.map(|role| role.name().as_str().to_owned())
    };
    use rcgen::DnType::{CommonName, OrganizationName, OrganizationalUnitName};
    let certified = Some("certified".to_owned());
    let example = (OrganizationName, "Example, Inc.");
    assert_eq!(
        role(&[(CommonName, "anna.support"), example.clone()]),
        certified
    );
    assert_eq!(role(&[(OrganizationalUnitName, "DBA")]), certified);
    assert_eq!(
        role(&[(CommonName, "anna.support")]),
        None,
        "both must hold"
    );
    assert_eq!(role(&[(CommonName, "anna.sales"), example]), None);
    // What stands elsewhere in the subject is no name.
    let elsewhere = (OrganizationName, "CN=anna.support,O=Example, Inc.");
    assert_eq!(role(&[(CommonName, "mallory"), elsewhere]), None);
}

#[test]
fn loading_is_cheap() {
    let mut text = CONTRACT.to_owned();
    for n in 0..1000 {
        text.push_str(&format!(
            "  big.table_{n}:\n    columns:\n      a: {{ store: {{ encrypt: {{ search: [equal] }} }}, show: {{ app: plain, '*': null }} }}\n"
        ));
    }
    let started = std::time::Instant::now();
    let policy = load("f", &text).unwrap().policy;
    assert!(policy.rules().len() > 1000);
    // A bound for a slow, busy machine and an unoptimised build; it takes about 50 ms alone.
    assert!(started.elapsed().as_secs() < 20);
}

proptest::proptest! {
    /// Whatever stands in the file, it is read or refused, and never a panic.
    #[test]
    fn no_text_is_too_strange(at in 0..CONTRACT.len(), text in "[ -~\\n]{0,12}") {
        if let Some((before, after)) = CONTRACT.split_at_checked(at) {
            let _ = load("f", &format!("{before}{text}{after}"));
            let _ = load("f", &format!("{before}{text}"));
        }
    }
}
