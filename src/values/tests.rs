//! Tests of filling and showing over invented attributes, without a server.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::catalog::{Attribute, Relation, RelationKind, TypeRef};
use crate::ident::{DomainName, KeyVersion, RelationName, RoleName, SqlState};
use crate::keyring::{KdfParameters, Passphrase, create_with};
use crate::mask::{Generalise, Mask};
use crate::policy::decide::{Search, Show, Sight, Store};
use crate::policy::trust::TrustedFunctions;
use crate::secret::Secret;
use crate::statement::plan::{ColumnPlan, LiteralSlot, ParameterPlan, Piece, Plan, Shape};
use crate::token::TokenFormat;
use crate::types::{self, LogicalType, TextSettings};

const RELATION: u32 = 7001;

const PHONE: TokenFormat = TokenFormat::Digits {
    keep_first: 3,
    keep_last: 0,
};

/// Attributes `a1`, `a2`, … of one relation, with keys for all of them.
struct World {
    _folder: tempfile::TempDir,
    keyring: Keyring,
    bound: Bound,
    vault: Vault,
}

fn sealed() -> Store {
    Store::Encrypt {
        search: BTreeSet::from([Search::Equal]),
    }
}

fn treated(index: i16, logical: LogicalType, store: Store) -> Treated {
    let relation = RelationName::new("public", "t");
    let name = AttributeName::new(relation, format!("a{index}"));
    let sight = |show| Sight {
        show,
        compare: BTreeSet::new(),
    };
    Treated {
        domain: DomainName::new(name.to_string()),
        name,
        relation_oid: RELATION,
        attnum: index,
        logical,
        store,
        domain_is_own: true,
        not_ready: None,
        sight: BTreeMap::from([
            (RoleName::new("app"), sight(Show::Plain)),
            (
                RoleName::new("analyst"),
                sight(Show::Token(TokenFormat::Email)),
            ),
        ]),
    }
}

fn snapshot(keyring: &Keyring, bound: &Bound) -> Snapshot {
    let attributes = bound.treated().map(|treated| {
        let domain = keyring.domain(&treated.domain).unwrap().id();
        let version = KeyVersion(1);
        let treatment = String::new();
        let ty = TypeRef {
            oid: treated.logical.oid(),
            typmod: treated.logical.typmod(),
        };
        Attribute {
            name: treated.name.attribute.clone(),
            attnum: treated.attnum,
            logical: ty,
            physical: ty,
            not_null: false,
            stored: match treated.store {
                Store::Plain => Stored::Plain,
                Store::Encrypt { .. } => Stored::Sealed {
                    domain,
                    version,
                    treatment,
                },
                Store::Tokenise(_) => Stored::Tokenised {
                    domain,
                    version,
                    treatment,
                },
            },
            has_prefix_check: true,
            generated: false,
        }
    });
    let relation = Relation {
        oid: RELATION,
        name: RelationName::new("public", "t"),
        kind: RelationKind::Table,
        attributes: attributes.collect(),
        primary_key: Vec::new(),
        reaches: Vec::new(),
        calls: Vec::new(),
    };
    Snapshot::new(1, vec![relation], Vec::new())
}

impl World {
    fn new(attributes: &[(LogicalType, Store)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = Passphrase::new("p").unwrap();
        let kdf = KdfParameters::new(8, 1, 1).unwrap();
        let mut keyring = create_with(&folder.path().join("k"), &passphrase, kdf).unwrap();
        let mut all = Vec::new();
        for (index, (logical, store)) in (1..).zip(attributes) {
            let treated = treated(index, *logical, store.clone());
            keyring.ensure_domain(&treated.domain).unwrap();
            keyring.ensure_attribute(&treated.name).unwrap();
            all.push(treated);
        }
        let bound = Bound::new(1, all, TrustedFunctions::default(), BTreeSet::new());
        let vault = Vault::new(&keyring, &bound, &snapshot(&keyring, &bound));
        Self {
            _folder: folder,
            keyring,
            bound,
            vault,
        }
    }

    fn one(logical: LogicalType, store: Store) -> Self {
        Self::new(&[(logical, store)])
    }

    fn attribute(&self, attnum: i16) -> Arc<Treated> {
        Arc::clone(self.bound.attribute(RELATION, attnum).unwrap())
    }

    fn slot(&self, text: &str, assigned: bool) -> LiteralSlot {
        LiteralSlot {
            attribute: self.attribute(1),
            text: Secret::new(text.to_owned()),
            shape: Shape::Value,
            cast: None,
            assigned,
            listed: false,
            token: None,
        }
    }

    fn filled(&self, slot: LiteralSlot) -> Result<String, FillFault> {
        let text = |text: &str| Piece::Text(text.to_owned());
        let plan = Plan {
            pieces: vec![text("SELECT"), Piece::Slot(slot), text("AS x")],
            statements: Vec::new(),
            parameters: Vec::new(),
            audit_text: String::new(),
        };
        let ready = self.vault.fill(&plan, &TextSettings::default())?;
        let literal = ready.as_str().strip_prefix("SELECT ").unwrap();
        Ok(literal.strip_suffix(" AS x").unwrap().to_owned())
    }

    fn parameter(&self, shape: Shape, assigned: bool) -> ParameterPlan {
        ParameterPlan {
            number: 1,
            attribute: self.attribute(1),
            shape,
            cast: None,
            assigned,
            listed: Arc::default(),
            token: None,
        }
    }

    fn bind(
        &self,
        plan: &ParameterPlan,
        oid: u32,
        format: i16,
        value: &[u8],
    ) -> Result<Vec<u8>, FillFault> {
        let settings = TextSettings::default();
        let sent = self.vault.fill_parameter(
            plan,
            Given {
                of_domain: false,
                oid,
                format,
                value: Some(value),
                declared: &[],
            },
            &settings,
        )?;
        Ok(sent.expect("not NULL"))
    }

    fn shown(
        &self,
        show: Show,
        formats: (i16, i16),
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, ShowFault> {
        let plan = ColumnPlan::Open {
            attribute: self.attribute(1),
            show,
        };
        let formats = Formats {
            server: formats.0,
            client: formats.1,
        };
        self.vault
            .show(&plan, formats, &TextSettings::default(), Some(value))
    }

    /// What lies in the database for a text.
    fn stored(&self, text: &str) -> Vec<u8> {
        self.bind(&self.parameter(Shape::Value, true), 0, 0, text.as_bytes())
            .expect("stored")
    }
}

fn sealed_bytes(literal: &str) -> Vec<u8> {
    let digits = literal.strip_prefix("E'\\\\x").unwrap();
    hex::decode(digits.strip_suffix("'::pg_catalog.bytea").unwrap()).unwrap()
}

#[test]
fn a_sealed_literal_is_what_a_parameter_is() {
    let world = World::one(LogicalType::Text, sealed());
    let literal = world.filled(world.slot("o'neil\\", true)).unwrap();
    let parameter = world.parameter(Shape::Value, false);
    assert_eq!(
        sealed_bytes(&literal),
        world.bind(&parameter, 25, 1, b"o'neil\\").unwrap()
    );
    assert_eq!(parameter_oid(&parameter), 17);
    assert_eq!(parameter_format(&parameter, 0), 1);
    assert_eq!(
        world
            .shown(Show::Plain, (1, 0), &sealed_bytes(&literal))
            .unwrap()
            .unwrap(),
        b"o'neil\\"
    );
}

#[test]
fn what_is_assigned_is_coerced_and_what_is_compared_is_not() {
    let world = World::one(LogicalType::Varchar(Some(3)), sealed());
    let fault = world.filled(world.slot("long", true)).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::STRING_DATA_RIGHT_TRUNCATION);
    assert!(world.filled(world.slot("long", false)).is_ok());
    assert_eq!(
        world.filled(world.slot("lon  ", true)),
        world.filled(world.slot("lon", true))
    );
    assert_ne!(
        world.filled(world.slot("lon  ", false)),
        world.filled(world.slot("lon", true))
    );

    let money = LogicalType::Numeric {
        precision: 10,
        scale: 2,
    };
    let world = World::one(money, sealed());
    assert_eq!(
        world.filled(world.slot("1.2", false)),
        world.filled(world.slot("1.200", true))
    );
    assert_eq!(
        world.filled(world.slot("1.234", true)),
        world.filled(world.slot("1.23", true))
    );
    assert_ne!(
        world.filled(world.slot("1.234", false)),
        world.filled(world.slot("1.23", true))
    );
    let fault = world.filled(world.slot("123456789", true)).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);

    let world = World::one(LogicalType::Int4, sealed());
    let parameter = |assigned| world.parameter(Shape::Value, assigned);
    let beyond = 3_000_000_000i64.to_be_bytes();
    assert!(world.bind(&parameter(false), 20, 1, &beyond).is_ok());
    let fault = world.bind(&parameter(true), 20, 1, &beyond).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    assert_eq!(
        world.bind(&parameter(false), 20, 0, b"5"),
        world.bind(&parameter(true), 21, 1, &[0, 5])
    );
}

#[test]
fn a_cast_comes_first() {
    let world = World::one(LogicalType::Text, sealed());
    let cast = |text, cast| {
        world.filled(LiteralSlot {
            cast: Some(cast),
            ..world.slot(text, false)
        })
    };
    assert_eq!(
        cast("abcdef", (1043, 3 + 4)),
        world.filled(world.slot("abc", false))
    );
    assert_eq!(
        cast("abc", (25, -1)),
        world.filled(world.slot("abc", false))
    );
    assert_eq!(
        cast("1", (16, -1)).unwrap_err().sqlstate(),
        SqlState::UNDEFINED_FUNCTION
    );

    let money = LogicalType::Numeric {
        precision: 10,
        scale: 2,
    };
    let world = World::one(money, sealed());
    let cast = |text, cast| {
        world.filled(LiteralSlot {
            cast: Some(cast),
            ..world.slot(text, false)
        })
    };
    let one_digit = ((10 << 16) | 1) + 4;
    let four_digits = ((10 << 16) | 4) + 4;
    assert_eq!(
        cast("1.25", (1700, one_digit)),
        world.filled(world.slot("1.3", true))
    );
    assert_eq!(
        cast("1.5", (1700, four_digits)),
        world.filled(world.slot("1.5", true))
    );
    assert_eq!(
        cast("1.5", (1700, -1)),
        world.filled(world.slot("1.5", true))
    );
    assert_eq!(cast("2", (23, -1)), world.filled(world.slot("2", true)));
}

#[test]
fn a_token_is_a_literal_of_its_own_type() {
    let world = World::one(LogicalType::Text, Store::Tokenise(PHONE));
    let token = world.filled(world.slot("+49 'x\\' 1234567", true)).unwrap();
    assert!(
        token.starts_with(" E'+49 ''x\\\\'' ") && token.ends_with('\''),
        "{token}"
    );
    let parameter = world.parameter(Shape::Value, true);
    assert_eq!(parameter_oid(&parameter), 25);
    assert_eq!(parameter_format(&parameter, 0), 0);
    let stored = world.stored("+49 1234567");
    assert_ne!(stored, b"+49 1234567");
    assert_eq!(
        world.shown(Show::Plain, (0, 1), &stored).unwrap().unwrap(),
        b"+49 1234567"
    );
    assert_eq!(
        world.shown(Show::Stored, (0, 1), &stored).unwrap().unwrap(),
        stored
    );
}

#[test]
fn what_has_no_token_equals_none_and_cannot_be_assigned() {
    let world = World::one(LogicalType::Text, Store::Tokenise(PHONE));
    assert_eq!(
        world
            .filled(world.slot("12345678", false))
            .map(|t| t == "''"),
        Ok(true)
    );
    let fault = world.filled(world.slot("12345678", true)).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
    assert!(fault.to_string().contains("leaves 5 digits"), "{fault}");
    let any = world.parameter(Shape::Array, false);
    assert_eq!(
        world.bind(&any, 0, 0, b"{12,NULL}").unwrap(),
        b"{\"\",NULL}"
    );
}

#[test]
fn a_token_longer_than_its_varchar_is_not_stored() {
    let email = Store::Tokenise(TokenFormat::Email);
    let world = World::one(LogicalType::Varchar(Some(12)), email);
    let fault = world.filled(world.slot("anna@x.org", true)).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::STRING_DATA_RIGHT_TRUNCATION);
    assert!(fault.to_string().contains("14 characters"), "{fault}");
    assert!(world.filled(world.slot("anna@x.org", false)).is_ok());
}

#[test]
fn arrays_keep_their_nulls_in_both_formats() {
    let world = World::one(LogicalType::Text, sealed());
    let plan = world.parameter(Shape::Array, false);
    assert_eq!(parameter_oid(&plan), 1001);
    let from_text = world.bind(&plan, 1009, 0, b"{a,NULL,\"b c\"}").unwrap();
    let elements = [Some(b"a".to_vec()), None, Some(b"b c".to_vec())];
    let given = types::array::to_binary(25, &elements).unwrap();
    assert_eq!(world.bind(&plan, 1009, 1, &given).unwrap(), from_text);
    assert_eq!(world.bind(&plan, 0, 1, &given).unwrap(), from_text);
    let (oid, stored) = types::array::elements_from_binary(&from_text).unwrap();
    assert_eq!(oid, 17);
    let a = world
        .bind(&world.parameter(Shape::Value, false), 25, 0, b"a")
        .unwrap();
    assert_eq!(stored[..2], [Some(a.clone()), None]);
    let fault = world.bind(&plan, 1007, 1, &given).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::DATATYPE_MISMATCH);

    for oid in [25, 1009] {
        let cast = ParameterPlan {
            cast: Some((oid, -1)),
            ..plan.clone()
        };
        assert_eq!(world.bind(&cast, 0, 1, &given).unwrap(), from_text);
        assert_eq!(world.bind(&cast, 0, 0, b"{a,NULL,b c}").unwrap(), from_text);
    }

    let literal = LiteralSlot {
        shape: Shape::Array,
        ..world.slot("{a,NULL}", false)
    };
    assert_eq!(
        world.filled(literal).unwrap(),
        format!(
            " E'{{\"\\\\\\\\x{}\",NULL}}'::pg_catalog.bytea[]",
            hex::encode(a)
        )
    );
}

#[test]
fn every_sight_of_a_sealed_value() {
    let world = World::one(LogicalType::Text, sealed());
    let stored = world.stored("anna@example.com");
    let text = format!("\\x{}", hex::encode(&stored)).into_bytes();
    let shown = |show: Show| {
        let all = [
            ((0, 0), &text),
            ((0, 1), &text),
            ((1, 0), &stored),
            ((1, 1), &stored),
        ]
        .map(|(formats, bytes)| world.shown(show.clone(), formats, bytes).unwrap());
        assert_eq!(all[0], all[2]);
        assert_eq!(all[1], all[3]);
        all[1].clone()
    };
    assert_eq!(shown(Show::Plain).unwrap(), b"anna@example.com");
    assert_eq!(shown(Show::Mask(Mask::Email)).unwrap(), b"a***@example.com");
    assert_eq!(shown(Show::Null), None);
    assert_eq!(shown(Show::Stored).unwrap(), stored);
    let token = shown(Show::Token(TokenFormat::Email)).unwrap();
    assert!(token.ends_with(b"@example.com") && !token.starts_with(b"anna"));
    let fault = world.shown(Show::Refuse, (0, 0), &text).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::INSUFFICIENT_PRIVILEGE);
    let attribute = world.attribute(1);
    assert_eq!(shown_type(&attribute, &Show::Stored), LogicalType::Bytea);
    assert_eq!(shown_type(&attribute, &Show::Null), LogicalType::Text);
}

#[test]
fn other_types_are_written_in_the_client_s_format() {
    let world = World::one(LogicalType::Date, sealed());
    let stored = world.stored("2024-12-31");
    assert_eq!(
        world.shown(Show::Plain, (1, 0), &stored).unwrap().unwrap(),
        b"2024-12-31"
    );
    assert_eq!(
        world.shown(Show::Plain, (1, 1), &stored).unwrap().unwrap(),
        9131i32.to_be_bytes()
    );
    let year = Show::Mask(Mask::Generalise(Generalise::Year));
    assert_eq!(
        world.shown(year, (1, 0), &stored).unwrap().unwrap(),
        b"2024-01-01"
    );
    let fault = world.shown(Show::Plain, (1, 2), &stored).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::INVALID_PARAMETER_VALUE);
}

#[test]
fn what_is_stored_plain_can_be_masked_and_tokenised_at_the_output() {
    let world = World::one(LogicalType::Text, Store::Plain);
    let mail = b"anna@example.com";
    assert_eq!(
        world.shown(Show::Plain, (0, 0), mail).unwrap().unwrap(),
        mail
    );
    let masked = world
        .shown(Show::Mask(Mask::Email), (0, 0), mail)
        .unwrap()
        .unwrap();
    assert_eq!(masked, b"a***@example.com");
    assert!(
        world
            .shown(Show::Token(TokenFormat::Email), (0, 0), mail)
            .unwrap()
            .is_some()
    );
    let fault = world.filled(world.slot("x", true)).unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::INTERNAL_ERROR);
}

#[test]
fn d03_what_was_altered_is_not_shown() {
    let world = World::one(LogicalType::Text, sealed());
    let mut stored = world.stored("anna");
    for show in [
        Show::Plain,
        Show::Mask(Mask::Redact),
        Show::Token(TokenFormat::Email),
    ] {
        *stored.last_mut().unwrap() ^= 1;
        let fault = world.shown(show.clone(), (1, 1), &stored).unwrap_err();
        assert_eq!(fault.sqlstate(), SqlState::DATA_CORRUPTED);
        let fault = world.shown(show, (0, 0), b"plain text").unwrap_err();
        assert_eq!(fault.sqlstate(), SqlState::DATA_CORRUPTED);
        *stored.last_mut().unwrap() ^= 1;
    }
    let world = World::one(LogicalType::Text, Store::Tokenise(TokenFormat::Email));
    let fault = world
        .shown(Show::Plain, (0, 0), b"anna@example.com")
        .unwrap_err();
    assert_eq!(fault.sqlstate(), SqlState::DATA_CORRUPTED);
}

#[test]
fn keys_are_used_for_what_they_were_made_for_only() {
    let world = World::one(LogicalType::Text, sealed());
    // The database was treated under another keyring.
    let snapshot = snapshot(&world.keyring, &world.bound);
    let other = World::new(&[(LogicalType::Text, sealed()), (LogicalType::Text, sealed())]);
    let second = other.attribute(2);
    let mut moved = (*second).clone();
    moved.attnum = 1;
    let bound = Bound::new(2, vec![moved], TrustedFunctions::default(), BTreeSet::new());
    let vault = Vault::new(&other.keyring, &bound, &snapshot);
    let faults: Vec<_> = vault.faults().map(|(_, fault)| fault.clone()).collect();
    assert!(
        matches!(faults[..], [KeyFault::OtherDomain { .. }]),
        "{faults:?}"
    );
    // Nothing is recorded.
    let vault = Vault::new(&world.keyring, &world.bound, &Snapshot::default());
    assert_eq!(
        vault.faults().map(|(_, f)| f.sqlstate()).next(),
        Some(SqlState::NOT_IN_PREREQUISITE_STATE)
    );
    // A plan that says something else of the attribute.
    let mut planned = (*world.attribute(1)).clone();
    planned.store = Store::Encrypt {
        search: BTreeSet::new(),
    };
    let slot = LiteralSlot {
        attribute: Arc::new(planned),
        ..world.slot("x", true)
    };
    assert_eq!(
        world.filled(slot).unwrap_err().sqlstate(),
        SqlState::INTERNAL_ERROR
    );
}

#[test]
fn a_text_is_ready_only_when_nothing_treated_is_met() {
    use crate::statement::plan::{Outcome, Refusal};
    assert!(Ready::untouched(&Outcome::Untouched, "SELECT 1").is_some());
    let refusal = Refusal {
        sqlstate: SqlState::FEATURE_NOT_SUPPORTED,
        message: String::new(),
        hint: String::new(),
        position: None,
        reason: "parse",
    };
    assert_eq!(
        Ready::untouched(&Outcome::Refused(refusal), "SELECT 1"),
        None
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A fault carries no value, whatever the value is and wherever it fails.
    #[test]
    fn no_fault_carries_a_value(text in "canary[a-z0-9é'\\\\]{0,12}") {
        let types = [
            LogicalType::Varchar(Some(3)),
            LogicalType::Int4,
            LogicalType::Numeric { precision: 3, scale: 1 },
            LogicalType::Date,
            LogicalType::Uuid,
            LogicalType::Jsonb,
        ];
        for ty in types {
            let world = World::one(ty, sealed());
            let fault = world.filled(world.slot(&text, true)).unwrap_err();
            let told = format!("{fault} {fault:?}");
            prop_assert!(!told.contains("canary"), "{}", told);
        }
        let world = World::one(LogicalType::Text, Store::Tokenise(PHONE));
        let fault = world.filled(world.slot(&text, true)).unwrap_err();
        let told = format!("{fault} {fault:?}");
        prop_assert!(!told.contains("canary"));
        let fault = world.shown(Show::Plain, (0, 0), text.as_bytes()).unwrap_err();
        let told = format!("{fault} {fault:?}");
        prop_assert!(!told.contains("canary"));
    }
}
