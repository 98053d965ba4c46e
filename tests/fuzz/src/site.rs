//! What the targets share: a policy, a catalog and keys, as a database would have them after `pgveil apply`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use pgveil::catalog::{Attribute, Function, Relation, RelationKind, Snapshot, Stored, TypeRef};
use pgveil::ident::{DomainName, KeyVersion, RelationName, RoleName};
use pgveil::keyring::{KdfParameters, Keyring, Passphrase, create_with};
use pgveil::metrics::Metrics;
use pgveil::policy::decide::{Bound, Store, Treated};
use pgveil::policy::{Policy, bind, load};
use pgveil::server::materials::InForce;
use pgveil::server::view::{RoleView, View};
use pgveil::values::{AttributeKeys, StoredValue, Vault};

/// Sees everything, sees masks.
pub const ROLES: [&str; 2] = ["app", "clerk"];

/// The treated table's OID.
pub const PEOPLE: u32 = 16_384;

const POLICY: &str = r#"
version: 1
roles:
  - { name: app, match: { user: app } }
  - { name: clerk, match: { user: clerk } }
tables:
  public.people:
    columns:
      email: { store: { encrypt: { search: [equal] } }, show: { app: plain, clerk: { mask: email } } }
      birth: { store: { encrypt: { search: [] } }, show: { app: plain, clerk: null } }
      salary: { store: { encrypt: { search: [] } }, show: { app: plain, clerk: { mask: { generalise: { bucket: 1000 } } } } }
      phone: { store: { tokenise: { format: digits, keep_first: 2 } }, show: { app: plain, clerk: stored } }
      notes: { show: { app: plain, clerk: { mask: redact } } }
"#;

/// Name, `pg_type.oid` and type modifier of the treated table's columns, in order.
const COLUMNS: [(&str, u32, i32); 6] = [
    ("id", 23, -1),
    ("email", 25, -1),
    ("birth", 1082, -1),
    ("salary", 1700, 655_366),
    ("phone", 1043, 34),
    ("notes", 25, -1),
];

/// What a target is run against.
#[derive(Debug)]
pub struct Site {
    /// the policy bound to the catalog, with its keys
    pub view: Arc<View>,
    /// a stored value of each treated column that is not stored plain, by the column's name
    pub stored: BTreeMap<String, Vec<u8>>,
}

/// The one site of the process.
pub static SITE: LazyLock<Site> = LazyLock::new(|| Site::beside(0));

/// The treated columns of a table beside `people`.
const MORE_COLUMNS: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];

impl Site {
    /// With so many other tables beside `people`, `more_0` and on, each of ten sealed columns of text.
    pub fn beside(tables: usize) -> Self {
        let mut text = POLICY.to_owned();
        for table in 0..tables {
            writeln!(text, "  public.more_{table}:\n    columns:").expect("a line");
            for column in MORE_COLUMNS {
                let store = "store: { encrypt: { search: [equal] } }";
                writeln!(
                    text,
                    "      {column}: {{ {store}, show: {{ app: plain, clerk: null }} }}"
                )
                .expect("a line");
            }
        }
        let policy = load("fuzz.yaml", &text).expect("the policy loads").policy;
        let keyring = keyring(&policy);
        let domain = |name: &DomainName| keyring.domain(name).map(|keys| keys.id());
        let snapshot = Arc::new(snapshot(&policy, &keyring, tables));
        let (bound, faults) = bind(&policy, &snapshot, 1, domain);
        assert!(faults.is_empty(), "{faults:?}");
        let vault = Vault::new(&keyring, &bound, &snapshot);
        assert_eq!(vault.faults().count(), 0);
        let stored = bound
            .treated()
            .filter_map(|t| Some((t.name.attribute.clone(), stored(&keyring, t)?)));
        let stored = stored.collect();
        let metrics = Metrics::new();
        let roles = View::roles(&policy, &snapshot, &bound, &metrics);
        let policy = Arc::new(InForce {
            policy,
            version: "fuzz".to_owned(),
        });
        let view = Arc::new(View {
            version: 1,
            counters: View::counters(&bound, &metrics),
            snapshot,
            policy,
            bound,
            vault,
            faults,
            roles,
        });
        Self { view, stored }
    }

    /// The policy bound to the catalog.
    pub fn bound(&self) -> &Bound {
        &self.view.bound
    }

    /// What a session of the role looks through.
    pub fn role(&self, role: &str) -> Arc<RoleView> {
        let view = RoleView::new(Arc::clone(&self.view), RoleName::new(role));
        Arc::new(view.expect("the policy's own role"))
    }
}

/// A keyring with a domain for each treated column that needs one; nothing of it stays on the disk.
fn keyring(policy: &Policy) -> Keyring {
    let folder = tempfile::tempdir().expect("a folder");
    let passphrase = Passphrase::new("fuzz").expect("a passphrase");
    let kdf = KdfParameters::new(64, 1, 1).expect("weak parameters");
    let mut keyring =
        create_with(&folder.path().join("keyring.json"), &passphrase, kdf).expect("a keyring");
    for rule in policy.rules() {
        let domain = DomainName::new(rule.name.to_string());
        keyring.ensure_domain(&domain).expect("a domain");
        keyring.ensure_attribute(&rule.name).expect("an attribute");
    }
    keyring
}

/// An attribute as `apply` would have left it.
fn attribute(
    (policy, keyring): (&Policy, &Keyring),
    relation: &RelationName,
    (name, oid, typmod): (&str, u32, i32),
    attnum: i16,
) -> Attribute {
    let mut rules = policy.rules().iter();
    let rule = rules.find(|rule| rule.name.relation == *relation && rule.name.attribute == *name);
    let logical = TypeRef { oid, typmod };
    let treatment = rule.and_then(|rule| rule.store.recorded());
    let mut physical = logical;
    let stored = match rule.zip(treatment) {
        None => Stored::Plain,
        Some((rule, treatment)) => {
            let domain = DomainName::new(rule.name.to_string());
            let domain = keyring.domain(&domain).expect("made above").id();
            let version = KeyVersion(1);
            match rule.store {
                Store::Encrypt { .. } => {
                    physical = TypeRef {
                        oid: 17,
                        typmod: -1,
                    };
                    Stored::Sealed {
                        domain,
                        version,
                        treatment,
                    }
                }
                Store::Tokenise(_) => Stored::Tokenised {
                    domain,
                    version,
                    treatment,
                },
                Store::Plain => Stored::Plain,
            }
        }
    };
    Attribute {
        name: name.into(),
        attnum,
        logical,
        physical,
        not_null: false,
        has_prefix_check: matches!(stored, Stored::Sealed { .. }),
        stored,
        generated: false,
    }
}

fn snapshot(policy: &Policy, keyring: &Keyring, more: usize) -> Snapshot {
    let known = (policy, keyring);
    let attributes = |relation: &str, columns: &[(&str, u32, i32)]| -> Vec<Attribute> {
        let relation = RelationName::new("public", relation);
        let columns = columns.iter().zip(1_i16..);
        columns
            .map(|(column, attnum)| attribute(known, &relation, *column, attnum))
            .collect()
    };
    let table = |oid, name: &str, kind, attributes, reaches| Relation {
        oid,
        name: RelationName::new("public", name),
        kind,
        attributes,
        primary_key: vec![1],
        reaches,
        calls: Vec::new(),
    };
    let people = table(
        PEOPLE,
        "people",
        RelationKind::Table,
        attributes("people", &COLUMNS),
        Vec::new(),
    );
    let mut notes = people.attributes[..1].to_vec();
    notes[0].name = "person".into();
    let mut relations = vec![
        people,
        table(PEOPLE + 1, "orders", RelationKind::Table, notes, Vec::new()),
        table(
            PEOPLE + 2,
            "people_view",
            RelationKind::View,
            Vec::new(),
            vec![PEOPLE],
        ),
    ];
    for (number, oid) in (0..more).zip(PEOPLE + 3..) {
        let name = format!("more_{number}");
        let columns = MORE_COLUMNS.map(|column| (column, 25, -1));
        let columns = attributes(&name, &columns);
        relations.push(table(oid, &name, RelationKind::Table, columns, Vec::new()));
    }
    let function = |oid, name: &str, body: &str| Function {
        oid,
        schema: "public".into(),
        name: name.into(),
        body: Some(body.into()),
    };
    let functions = vec![
        function(1, "reads", "SELECT email FROM people"),
        function(2, "adds", "SELECT $1 + 1"),
    ];
    Snapshot::new(1, relations, functions)
}

/// A value as it lies in the database; None where it lies plain.
fn stored(keyring: &Keyring, treated: &Treated) -> Option<Vec<u8>> {
    let canonical: &[u8] = match treated.name.attribute.as_str() {
        "email" => b"ada@example.com",
        "birth" => &[0, 0, 0, 1],
        "phone" => b"1234567890123",
        _ => return None,
    };
    let keys = AttributeKeys::new(keyring, treated).expect("its keys");
    match keys.store(canonical) {
        Ok(StoredValue::Sealed(bytes)) => Some(bytes),
        Ok(StoredValue::Token(token)) => Some(token),
        Err(_) => None,
    }
}
