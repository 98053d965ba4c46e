//! Tests of binding: what is ready, what is not and why, and that nothing not ready is ever left open.

use super::*;
use crate::catalog::{RelationKind, TypeRef};
use crate::ident::{RelationName, RoleName};
use crate::policy::decide::Show;
use crate::policy::load;

const TEXT: TypeRef = TypeRef {
    oid: 25,
    typmod: -1,
};
const BYTEA: TypeRef = TypeRef {
    oid: 17,
    typmod: -1,
};
const INT4: TypeRef = TypeRef {
    oid: 23,
    typmod: -1,
};
const DATE: TypeRef = TypeRef {
    oid: 1082,
    typmod: -1,
};
const JSONB: TypeRef = TypeRef {
    oid: 3802,
    typmod: -1,
};
const INET: TypeRef = TypeRef {
    oid: 603,
    typmod: -1,
};

const FLOATS: TypeRef = TypeRef {
    oid: 1022,
    typmod: -1,
};
const JSONS: TypeRef = TypeRef {
    oid: 199,
    typmod: -1,
};

/// `numeric(8,scale)[]`
fn numerics(scale: i32) -> TypeRef {
    TypeRef {
        oid: 1231,
        typmod: (8 << 16 | scale) + 4,
    }
}

fn plain(name: &str, ty: TypeRef) -> Attribute {
    Attribute {
        name: name.into(),
        attnum: 0,
        logical: ty,
        physical: ty,
        not_null: false,
        stored: Stored::Plain,
        has_prefix_check: false,
        generated: false,
    }
}

fn sealed(name: &str, ty: TypeRef, domain: u32, treatment: &str) -> Attribute {
    Attribute {
        physical: BYTEA,
        stored: Stored::Sealed {
            domain: DomainId(domain),
            version: KeyVersion(1),
            treatment: treatment.into(),
        },
        has_prefix_check: true,
        ..plain(name, ty)
    }
}

fn tokenised(name: &str, domain: u32, treatment: &str) -> Attribute {
    Attribute {
        stored: Stored::Tokenised {
            domain: DomainId(domain),
            version: KeyVersion(1),
            treatment: treatment.into(),
        },
        ..plain(name, TEXT)
    }
}

fn table(mut attributes: Vec<Attribute>) -> Relation {
    for (attnum, attribute) in (1..).zip(&mut attributes) {
        attribute.attnum = attnum;
    }
    Relation {
        oid: 16400,
        name: RelationName::new("public", "t"),
        kind: RelationKind::Table,
        attributes,
        primary_key: Vec::new(),
        reaches: Vec::new(),
        calls: Vec::new(),
    }
}

/// A policy over `public.t` with these columns, bound to that relation; domain `shared` has number 1, `other` 2,
/// a column's own domain 9.
fn bound(columns: &str, relation: Relation) -> (Bound, Vec<BindFault>) {
    let text = format!(
        "version: 1\nroles:\n  - {{ name: app, match: {{ user: a }}, allow: [do_blocks] }}\n  - {{ name: bi, match: {{ user: b }} }}\n\
         domains: {{ shared: {{}}, other: {{}} }}\nfunctions: {{ trust: [public.f] }}\ntables:\n  public.t:\n    columns:\n{columns}"
    );
    let policy = load("f", &text).unwrap_or_else(|f| panic!("{f:?}")).policy;
    let snapshot = Snapshot::new(1, vec![relation], Vec::new());
    bind(&policy, &snapshot, 7, |domain| {
        Some(DomainId(match domain.as_str() {
            "shared" => 1,
            "other" => 2,
            "public.t.lost" => return None,
            _ => 9,
        }))
    })
}

#[test]
fn what_is_as_the_policy_says_is_ready() {
    let (bound, faults) = bound(
        "      a: { store: { encrypt: { domain: shared, search: [equal] } }, show: { app: plain, bi: null }, compare: { bi: [equal] } }\n\
         \x20     b: { store: encrypt, show: { app: plain, bi: stored } }\n\
         \x20     c: { store: { tokenise: { format: digits, keep_first: 3 } }, show: { app: plain, bi: stored } }\n\
         \x20     d: { show: { app: plain, bi: { mask: { generalise: year } } } }\n",
        table(vec![
            sealed("a", TEXT, 1, "encrypt equal"),
            sealed("b", JSONB, 9, "encrypt"),
            tokenised("c", 9, "tokenise digits 3 0"),
            plain("d", DATE),
        ]),
    );
    assert_eq!(faults, []);
    assert!(bound.is_ready());
    assert_eq!(bound.version, 7);
    let attribute = |n: i16| bound.attribute(16400, n).unwrap();
    let (app, bi, nobody) = (
        RoleName::new("app"),
        RoleName::new("bi"),
        RoleName::new("nobody"),
    );
    assert!(!attribute(1).domain_is_own);
    assert!(attribute(2).domain_is_own);
    assert_eq!(attribute(1).logical, LogicalType::Text);
    assert!(attribute(1).may_compare_equal(&app));
    assert!(attribute(1).may_compare_equal(&bi));
    assert!(!attribute(1).may_assign(&bi));
    // Without `equal` nothing is computable, whoever asks.
    assert!(!attribute(2).may_compare_equal(&app));
    assert!(attribute(2).may_assign(&app));
    assert!(attribute(3).may_compare_equal(&app));
    assert!(!attribute(3).may_compare_equal(&bi));
    // A role the policy does not speak of gets nothing.
    assert_eq!(attribute(1).sight(&nobody).show, Show::Refuse);
    assert!(!attribute(4).may_assign(&nobody));
    assert!(!attribute(4).may_compare_equal(&nobody));
    assert!(bound.is_restricted(&bi));
    assert!(bound.is_restricted(&nobody));
    assert!(!bound.is_restricted(&app));
    assert!(bound.allow_do_blocks.contains(&app));
    assert!(bound.trusted_functions.trusts("public", "f"));
}

/// Columns of the policy, attributes of the table, and what stands in the way.
struct Case {
    columns: &'static str,
    attributes: Vec<Attribute>,
    expected: &'static [(Obstacle, &'static str)],
}

#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn cases() -> Vec<Case> {
    use Obstacle::{Altered, AppliedOtherwise, Missing, NotApplied, NotReverted, Unfit};
    let case = |columns, attributes, expected| Case {
        columns,
        attributes,
        expected,
    };
    let mut unchecked = sealed("a", TEXT, 9, "encrypt");
    unchecked.has_prefix_check = false;
    let mut retyped = sealed("a", TEXT, 9, "encrypt");
    retyped.physical = TEXT;
    let mut token_retyped = tokenised("a", 9, "tokenise email");
    token_retyped.physical = TypeRef {
        oid: 1043,
        typmod: 24,
    };
    let altered = Attribute {
        stored: Stored::Altered {
            how: "it was called `b`".into(),
        },
        ..plain("a", TEXT)
    };
    let generated = Attribute {
        generated: true,
        ..plain("a", TEXT)
    };
    let mut newer = sealed("b", TEXT, 1, "encrypt equal");
    if let Stored::Sealed { version, .. } = &mut newer.stored {
        *version = KeyVersion(2);
    }
    vec![
        case(
            "      emial: { show: { '*': plain } }\n",
            vec![plain("email", TEXT)],
            &[(
                Missing,
                "f:10:7: public.t.emial: the table has no column `emial` (did you mean `email`?)",
            )],
        ),
        case(
            "      a: { store: encrypt, show: { '*': plain } }\n",
            vec![plain("a", TEXT)],
            &[(
                NotApplied,
                "f:10:19: public.t.a: the policy seals or tokenises it, the database holds it plain (run `pgveil apply`)",
            )],
        ),
        case(
            "      a: { show: { '*': plain } }\n",
            vec![sealed("a", TEXT, 9, "encrypt")],
            &[(
                NotReverted,
                "f:10:7: public.t.a: the policy stores it plain, the database holds it sealed or tokenised (run `pgveil revert`, or write how it is stored)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { search: [equal] } }, show: { '*': plain } }\n",
            vec![sealed("a", TEXT, 9, "encrypt")],
            &[(
                AppliedOtherwise,
                "f:10:19: public.t.a: the policy says `encrypt equal`, apply left `encrypt` (run `pgveil revert` with the policy it was applied by, then `pgveil apply`)",
            )],
        ),
        case(
            "      a: { store: { tokenise: email }, show: { '*': plain } }\n",
            vec![tokenised("a", 9, "tokenise digits 3 0")],
            &[(
                AppliedOtherwise,
                "f:10:19: public.t.a: the policy says `tokenise email`, apply left `tokenise digits 3 0` (run `pgveil revert` with the policy it was applied by, then `pgveil apply`)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { domain: other } }, show: { '*': plain } }\n",
            vec![sealed("a", TEXT, 1, "encrypt")],
            &[(
                AppliedOtherwise,
                "f:10:19: public.t.a: it was applied under another key domain than `other` (name the domain it was applied under, or revert and apply)",
            )],
        ),
        case(
            "      lost: { store: encrypt, show: { '*': plain } }\n",
            vec![sealed("lost", TEXT, 1, "encrypt")],
            &[(
                AppliedOtherwise,
                "f:10:22: public.t.lost: the keyring has no domain `public.t.lost` (use the keyring it was applied with)",
            )],
        ),
        case(
            "      a: { store: encrypt, show: { '*': plain } }\n",
            vec![unchecked],
            &[(
                Altered,
                "f:10:19: public.t.a: the CHECK that keeps plain values out of it is missing (run `pgveil revert` with the policy it was applied by, then `pgveil apply`)",
            )],
        ),
        case(
            "      a: { store: encrypt, show: { '*': plain } }\n",
            vec![retyped],
            &[(
                Altered,
                "f:10:19: public.t.a: it is sealed, and its physical type is no longer bytea (restore the column)",
            )],
        ),
        case(
            "      a: { store: { tokenise: email }, show: { '*': plain } }\n",
            vec![token_retyped],
            &[(
                Altered,
                "f:10:19: public.t.a: it holds tokens, and its type was changed since (run `pgveil revert` with the policy it was applied by, then `pgveil apply`)",
            )],
        ),
        case(
            "      a: { show: { '*': plain } }\n",
            vec![altered],
            &[(
                Altered,
                "f:10:7: public.t.a: it was called `b` (bring it back to what apply left, or restore the column)",
            )],
        ),
        case(
            "      a: { store: encrypt, show: { '*': plain } }\n",
            vec![generated],
            &[
                (
                    Unfit,
                    "f:10:19: public.t.a: a generated column is computed by the server and cannot be sealed or tokenised (drop the expression, or mask the column where it is shown)",
                ),
                (
                    NotApplied,
                    "f:10:19: public.t.a: the policy seals or tokenises it, the database holds it plain (run `pgveil apply`)",
                ),
            ],
        ),
        case(
            "      a: { show: { '*': null } }\n",
            vec![plain("a", INET)],
            &[(
                Unfit,
                "f:10:7: public.t.a: columns of this type (OID 603, modifier -1) are not treated (policies/REFERENCE.md lists the types that are treated)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { search: [equal] } }, show: { '*': plain } }\n",
            vec![sealed("a", JSONB, 9, "encrypt equal")],
            &[],
        ),
        case(
            "      a: { store: { tokenise: digits }, show: { app: plain, bi: stored } }\n      b: { show: { app: plain, bi: { token: digits } } }\n",
            vec![
                Attribute {
                    logical: INT4,
                    physical: INT4,
                    ..tokenised("a", 9, "tokenise digits 0 0")
                },
                plain("b", INT4),
            ],
            &[
                (
                    Unfit,
                    "f:10:19: public.t.a: `digits` tokens are for text and varchar, the column is integer (choose a format that fits the type, or `encrypt`)",
                ),
                (
                    Unfit,
                    "f:11:36: public.t.b: `digits` tokens are for text and varchar, the column is integer (choose a format that fits the type, or a mask, or `null`)",
                ),
            ],
        ),
        case(
            "      a: { store: { encrypt: { domain: shared } }, show: { '*': plain } }\n      b: { store: { encrypt: { domain: shared } }, show: { '*': plain } }\n",
            vec![
                sealed("a", TEXT, 1, "encrypt"),
                sealed("b", INT4, 1, "encrypt"),
            ],
            &[(
                Unfit,
                "f:11:7: public.t.b: in the domain `shared`, public.t.a has another kind of type (columns of one domain have one kind of type: text and varchar, int4 and int8, numerics of one scale, …)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { domain: shared, search: [equal] } }, show: { '*': plain } }\n      b: { store: { encrypt: { domain: shared, search: [equal] } }, show: { '*': plain } }\n",
            vec![
                sealed("a", numerics(2), 1, "encrypt equal"),
                sealed("b", numerics(3), 1, "encrypt equal"),
            ],
            &[(
                Unfit,
                "f:11:7: public.t.b: in the domain `shared`, public.t.a has another kind of type (columns of one domain have one kind of type: text and varchar, int4 and int8, numerics of one scale, …)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { search: [equal] } }, show: { '*': plain } }\n      b: { store: { encrypt: { search: [equal] } }, show: { '*': plain } }\n",
            vec![
                sealed("a", FLOATS, 9, "encrypt equal"),
                sealed("b", JSONS, 9, "encrypt equal"),
            ],
            &[(
                Unfit,
                "f:11:19: public.t.b: `equal` on json[] has no meaning: PostgreSQL has no equality for it (write `search: []`)",
            )],
        ),
        case(
            "      a: { store: { encrypt: { domain: shared, search: [equal] } }, show: { '*': plain } }\n      b: { store: { encrypt: { domain: shared, search: [equal] } }, show: { '*': plain } }\n",
            vec![sealed("a", TEXT, 1, "encrypt equal"), newer],
            &[(
                AppliedOtherwise,
                "f:11:19: public.t.b: public.t.a of its domain holds another key version (run `pgveil revert`, then `pgveil apply`)",
            )],
        ),
        case(
            "      b: { show: { '*': plain } }\n",
            vec![sealed("a", TEXT, 1, "encrypt"), plain("b", TEXT)],
            &[(
                NotReverted,
                "f: public.t.a: the database holds it sealed or tokenised, and the policy does not name it (name it in the policy, or run `pgveil revert` with the policy it was applied by)",
            )],
        ),
    ]
}

#[test]
fn what_is_not_as_the_policy_says_is_told_and_not_ready() {
    for Case {
        columns,
        attributes,
        expected,
    } in cases()
    {
        let (bound, faults) = bound(columns, table(attributes));
        let told: Vec<(Obstacle, String)> = faults
            .iter()
            .map(|f| (f.obstacle, f.fault.to_string()))
            .collect();
        let expected: Vec<(Obstacle, String)> =
            expected.iter().map(|(o, t)| (*o, (*t).into())).collect();
        assert_eq!(told, expected, "{columns}");
        for fault in faults.iter().filter(|f| f.obstacle != Obstacle::Missing) {
            let name = &fault.attribute;
            let treated = bound.named(&name.relation, &name.attribute).unwrap();
            assert!(treated.not_ready.is_some(), "{name}");
            assert!(!bound.is_ready());
        }
    }
}

#[test]
fn a_policy_treats_tables() {
    for (kind, what) in [
        (RelationKind::View, "a view"),
        (RelationKind::MaterialisedView, "a materialised view"),
        (RelationKind::ForeignTable, "a foreign table"),
        (RelationKind::Other, "no table"),
    ] {
        let mut relation = table(vec![plain("a", TEXT)]);
        relation.kind = kind;
        let (bound, faults) = bound("      a: { show: { '*': null } }\n", relation);
        assert_eq!(faults[0].obstacle, Obstacle::Unfit);
        assert!(faults[0].fault.message.ends_with(what));
        assert!(!bound.is_ready());
    }
}

/// The table with a column `b` that is on record as `recorded`, and the policy's only column `a` beside it.
fn on_record(recorded: (&str, &str)) -> Relation {
    let (relation, attribute) = recorded;
    let mut other = plain("b", TEXT);
    other.stored = Stored::OnRecord {
        name: AttributeName::new(RelationName::new("public", relation), attribute),
    };
    table(vec![plain("a", TEXT), other])
}

#[test]
fn what_was_shown_masked_is_known_under_another_name() {
    let policy = "      a: { show: { app: plain, '*': { mask: redact } } }\n";
    let (bound, faults) = bound(policy, on_record(("t", "a")));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].obstacle, Obstacle::Renamed);
    assert_eq!(faults[0].attribute.to_string(), "public.t.b");
    assert!(bound.attribute(16400, 2).unwrap().not_ready.is_some());
    assert!(!bound.is_ready());
}

#[test]
fn a_record_of_what_the_policy_does_not_name_says_nothing() {
    let policy = "      a: { show: { app: plain, '*': { mask: redact } } }\n";
    let (bound, faults) = bound(policy, on_record(("t", "c")));
    assert_eq!(faults, []);
    assert!(bound.attribute(16400, 2).is_none());
}

#[test]
fn what_was_renamed_and_is_named_anew_is_ready() {
    let policy = "      a: { show: { app: plain, '*': null } }\n      b: { show: { app: plain, '*': null } }\n";
    let (bound, faults) = bound(policy, on_record(("t", "a")));
    assert_eq!(faults, []);
    assert!(bound.is_ready());
}

#[test]
fn a_missing_table_is_told_with_the_nearest() {
    let mut relation = table(vec![plain("a", TEXT)]);
    relation.name = RelationName::new("public", "T");
    let (bound, faults) = bound("      a: { show: { '*': null } }\n", relation);
    assert_eq!(bound.treated().count(), 0);
    assert_eq!(
        faults[0].fault.to_string(),
        "f:10:7: public.t.a: the database has no table public.t (did you mean `public.T`?)"
    );
}

#[test]
fn a_mask_fits_its_type() {
    let (bound, faults) = bound(
        "      a: { show: { app: plain, bi: { mask: redact } } }\n      b: { show: { app: plain, bi: { mask: { generalise: year } } } }\n",
        table(vec![plain("a", INT4), plain("b", DATE)]),
    );
    let why = crate::mask::Mask::Redact
        .fits(LogicalType::Int4)
        .unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].obstacle, Obstacle::Unfit);
    assert_eq!(faults[0].fault.message, format!("public.t.a: {why}"));
    assert_eq!((faults[0].fault.line, faults[0].fault.column), (10, 36));
    assert!(bound.attribute(16400, 1).unwrap().not_ready.is_some());
    assert_eq!(bound.attribute(16400, 2).unwrap().not_ready, None);
}

/// A dump may be restored into a database where lower() is another: then nothing is compared, rather than missed.
#[test]
fn citext_is_compared_only_where_lower_is_of_ascii() {
    use crate::catalog::{TypeEntry, TypeKind};
    let columns = "      a: { store: { encrypt: { search: [equal] } }, show: { app: plain, bi: null } }\n      b: { store: { encrypt: { search: [equal] } }, show: { app: plain, bi: null } }\n      c: { store: encrypt, show: { app: plain, bi: { mask: email } } }\n";
    let of = |oid| TypeRef { oid, typmod: -1 };
    let relation = || {
        table(vec![
            sealed("a", of(70_000), 9, "encrypt equal"),
            sealed("b", of(70_001), 9, "encrypt equal"),
            sealed("c", of(70_000), 9, "encrypt"),
        ])
    };
    for lower_is_ascii in [true, false] {
        let mut snapshot = Snapshot::new(1, vec![relation()], Vec::new());
        snapshot.lower_is_ascii = lower_is_ascii;
        let citext = TypeEntry {
            sql: "public.citext".into(),
            name: "citext".into(),
            array_oid: 70_001,
            kind: TypeKind::Citext,
        };
        snapshot.types.insert(70_000, citext);
        let text = format!(
            "version: 1\nroles:\n  - {{ name: app, match: {{ user: a }} }}\n  - {{ name: bi, match: {{ user: b }} }}\ntables:\n  public.t:\n    columns:\n{columns}"
        );
        let policy = load("f", &text).unwrap_or_else(|f| panic!("{f:?}")).policy;
        let (bound, faults) = bind(&policy, &snapshot, 7, |_| Some(DomainId(9)));
        let told: Vec<&str> = faults.iter().map(|f| f.fault.message.as_str()).collect();
        let expected = "`equal` on citext needs a database whose LC_CTYPE is C: elsewhere lower() changes with the system";
        let expected = ["a", "b"].map(|name| format!("public.t.{name}: {expected}"));
        assert_eq!(told.is_empty(), lower_is_ascii, "{told:?}");
        assert!(lower_is_ascii || told == expected, "{told:?}");
        let ready = |n| bound.attribute(16400, n).unwrap().not_ready.is_none();
        assert_eq!([1, 2, 3].map(ready), [lower_is_ascii, lower_is_ascii, true]);
    }
}
