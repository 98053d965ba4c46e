//! Types that a database defines, and the logical type behind an attribute's: enums, citext, SQL domains, arrays.
//!
//! A domain's values are sealed as its base type's. What a domain promises beyond its base the server can no longer
//! keep once the column is sealed, so a domain with a CHECK, with a default, or with a NOT NULL that the column does
//! not have of its own, is refused by name.

use super::{Attribute, Snapshot, TypeRef};
use crate::types::{ArrayType, LogicalType, NamedType};

/// Domains over domains that are followed.
const DOMAIN_DEPTH_MAX: usize = 16;

/// A type that a database defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeEntry {
    /// schema and name as SQL, quoted where they must be
    pub sql: String,
    /// the bare name
    pub name: String,
    /// the OID of its array type; 0 for none
    pub array_oid: u32,
    /// what it is
    pub kind: TypeKind,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// an enum, with its labels in their order
    Enum(Vec<String>),
    /// the extension's citext
    Citext,
    /// a domain
    Domain {
        /// the type it is over, with its modifier
        base: TypeRef,
        /// it has a CHECK
        has_check: bool,
        /// NOT NULL
        not_null: bool,
        /// it has a default
        has_default: bool,
    },
}

/// Why an attribute's type is not treated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untreatable {
    /// pgveil does not read and print it.
    #[error("columns of this type (OID {}, modifier {}) are not treated", .0.oid, .0.typmod)]
    Unknown(TypeRef),
    /// The server could no longer keep what the domain promises.
    #[error(
        "its type is the domain {domain}, whose {promise} the server cannot keep over sealed values"
    )]
    Domain {
        /// schema and name
        domain: String,
        /// CHECK, default, NOT NULL
        promise: &'static str,
    },
    /// More enums, citext and array types were described than are kept.
    #[error("too many types were created or altered since pgveil started")]
    TooMany,
}

impl Snapshot {
    /// The type of an attribute as clients are shown it.
    ///
    /// # Errors
    /// [`Untreatable`] when its values cannot be treated.
    pub fn logical_type(&self, attribute: &Attribute) -> Result<LogicalType, Untreatable> {
        if let Some(element) = self.element_of(attribute.logical.oid) {
            return self.array(attribute.logical, element);
        }
        self.scalar(attribute.logical, attribute.not_null)
    }

    /// The type with that bare name that a database defines, where there is one only.
    pub fn type_named(&self, name: &str) -> Option<u32> {
        let mut named = self.types.iter().filter(|(_, entry)| entry.name == name);
        match (named.next(), named.next()) {
            (Some((oid, _)), None) => Some(*oid),
            _ => None,
        }
    }

    fn scalar(&self, ty: TypeRef, not_null: bool) -> Result<LogicalType, Untreatable> {
        let mut ty = ty;
        for _ in 0..DOMAIN_DEPTH_MAX {
            let Some(entry) = self.types.get(&ty.oid) else {
                if let Some(element) = LogicalType::element_oid_of(ty.oid) {
                    return self.array(ty, element);
                }
                return LogicalType::from_oid(ty.oid, ty.typmod).ok_or(Untreatable::Unknown(ty));
            };
            let named = |labels: &[String]| {
                let description = NamedType {
                    oid: ty.oid,
                    array_oid: entry.array_oid,
                    sql: entry.sql.clone(),
                    labels: labels.to_vec(),
                };
                description.keep().ok_or(Untreatable::TooMany)
            };
            match &entry.kind {
                TypeKind::Enum(labels) => return named(labels).map(LogicalType::Enum),
                TypeKind::Citext => return named(&[]).map(LogicalType::Citext),
                TypeKind::Domain {
                    base,
                    has_check,
                    not_null: domain_not_null,
                    has_default,
                } => {
                    let promise = match (has_check, has_default, domain_not_null) {
                        (true, _, _) => Some("CHECK"),
                        (_, true, _) => Some("default"),
                        (_, _, true) if !not_null => Some("NOT NULL"),
                        _ => None,
                    };
                    if let Some(promise) = promise {
                        let domain = entry.sql.clone();
                        return Err(Untreatable::Domain { domain, promise });
                    }
                    ty = *base;
                }
            }
        }
        Err(Untreatable::Unknown(ty))
    }

    /// The element type of an array type.
    fn element_of(&self, array_oid: u32) -> Option<u32> {
        let mut entries = self.types.iter();
        let own = entries.find(|(_, entry)| entry.array_oid == array_oid && array_oid != 0);
        own.map(|(oid, _)| *oid)
            .or_else(|| LogicalType::element_oid_of(array_oid))
    }

    fn array(&self, ty: TypeRef, element_oid: u32) -> Result<LogicalType, Untreatable> {
        let element = self.scalar(
            TypeRef {
                oid: element_oid,
                typmod: ty.typmod,
            },
            false,
        )?;
        if matches!(element, LogicalType::Array(_)) {
            return Err(Untreatable::Unknown(ty));
        }
        let description = ArrayType {
            oid: ty.oid,
            element_oid,
            element,
        };
        let kept = description.keep().ok_or(Untreatable::TooMany)?;
        Ok(LogicalType::Array(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stored;
    use super::*;

    fn attribute(oid: u32, typmod: i32, not_null: bool) -> Attribute {
        let logical = TypeRef { oid, typmod };
        Attribute {
            name: "c".to_owned(),
            attnum: 1,
            logical,
            physical: logical,
            not_null,
            stored: Stored::Plain,
            has_prefix_check: false,
            generated: false,
        }
    }

    fn snapshot() -> Snapshot {
        let domain = |base: u32, typmod: i32, has_check, not_null| TypeKind::Domain {
            base: TypeRef { oid: base, typmod },
            has_check,
            not_null,
            has_default: false,
        };
        let mut snapshot = Snapshot::new(1, Vec::new(), Vec::new());
        for (oid, name, kind) in [
            (100, "mood", TypeKind::Enum(vec!["ok".to_owned()])),
            (200, "email", domain(1043, 14, false, false)),
            (300, "checked", domain(25, -1, true, false)),
            (400, "filled", domain(200, -1, false, true)),
        ] {
            let entry = TypeEntry {
                sql: format!("public.{name}"),
                name: name.to_owned(),
                array_oid: oid + 1,
                kind,
            };
            snapshot.types.insert(oid, entry);
        }
        snapshot
    }

    #[test]
    fn domains_are_their_base_and_say_what_they_cannot_keep() {
        let snapshot = snapshot();
        let of = |oid, not_null| snapshot.logical_type(&attribute(oid, -1, not_null));
        assert_eq!(of(200, false), Ok(LogicalType::Varchar(Some(10))));
        assert_eq!(of(400, true), Ok(LogicalType::Varchar(Some(10))));
        for (oid, promise) in [(300, "CHECK"), (400, "NOT NULL")] {
            let fault = of(oid, false).expect_err("a promise");
            assert!(fault.to_string().contains(promise), "{fault}");
        }
        assert!(matches!(of(603, false), Err(Untreatable::Unknown(_))));
    }

    #[test]
    fn arrays_know_their_elements() {
        let snapshot = snapshot();
        let of = |oid, typmod| snapshot.logical_type(&attribute(oid, typmod, false));
        let Ok(LogicalType::Array(moods)) = of(101, -1) else {
            panic!("an array of enums");
        };
        assert_eq!(moods.element.sql(), "public.mood");
        let Ok(LogicalType::Array(texts)) = of(1015, 9) else {
            panic!("an array of varchar(5)");
        };
        assert_eq!(texts.element, LogicalType::Varchar(Some(5)));
        let Ok(LogicalType::Array(emails)) = of(201, -1) else {
            panic!("an array of a domain");
        };
        assert_eq!((emails.oid, emails.element_oid), (201, 200));
        assert_eq!(snapshot.type_named("mood"), Some(100));
    }
}
