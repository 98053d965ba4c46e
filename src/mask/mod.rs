//! Masks: one way from a value to what a role may see of it. One mask a file.
//!
//! Each has a Rust form ([`Mask::apply`], over the canonical form), and most an SQL form ([`Mask::sql`]) that gives
//! the same value; a property test against PostgreSQL holds the two equal (`tests/masks_against_postgresql.rs`).
//! `regex` has none, for the server's regular expressions are others; `hash`, `noise` and `fake` have none, for their
//! key would show in the server's log and in EXPLAIN. Masks count characters as PostgreSQL's `char_length` does: Unicode code points, in a database whose encoding is UTF8.
//! What is said of texts holds for text, varchar, char and citext, and what is said of `varchar(n)` for `char(n)`. A char
//! is masked without the spaces at its end, as PostgreSQL casts it to text, and what a mask gives is padded again.
//! NULL stays NULL; a mask that gives NULL is not a mask but [`Show::Null`](crate::policy::decide::Show::Null).
//!
//! The SQL form names every function, operator and type with `pg_catalog`, so that no `search_path` changes it,
//! needs nothing newer than PostgreSQL 13, takes no key, raises no error for any stored value (an error would be
//! an oracle), and has the type, modifier and collation of what it masks.
//!
//! Knows nothing of roles or columns.

mod bank_card;
mod bucket;
mod constant;
mod decimal;
mod email;
mod fake;
mod generalise;
mod hash;
mod id_number;
mod keyed;
mod name;
mod noise;
mod partial;
mod phone;
mod redact;
mod regex;
mod sql;

pub use self::fake::{Fake, FakeKind, FakeLanguage};
pub use self::keyed::MaskKey;
pub use self::noise::Noise;
pub use self::regex::Regex;

use crate::types::{self, LogicalType, TypeClass};

/// How a value is masked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mask {
    /// `***`
    Redact,
    /// Keeps the first and last characters, the rest replaced by `with`; length kept; all of it when first + last ≥ length.
    Partial {
        /// characters kept at the start
        first: u32,
        /// characters kept at the end
        last: u32,
        /// what stands for a hidden character
        with: char,
    },
    /// `a***@example.com`
    Email,
    /// The last digits of a phone number kept.
    Phone,
    /// The first letter of each word, the family name of a Chinese name.
    Name,
    /// Always this text (of the attribute's type).
    Constant(String),
    /// A coarser value of the same type.
    Generalise(Generalise),
    /// The last four characters of a Chinese identity number kept.
    IdNumber,
    /// The last four digits of a card number kept.
    BankCard,
    /// What a regular expression finds replaced.
    Regex(Regex),
    /// A keyed hash.
    Hash,
    /// A number or moment near the value.
    Noise(Noise),
    /// An invented name, company, address, …
    Fake(Fake),
}

/// How coarse a generalised value is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Generalise {
    /// 1 January of its year
    Year,
    /// the first of its month
    Month,
    /// 1 January of its decade's first year
    Decade,
    /// the bucket's lower bound; the bucket's width as decimal text
    Bucket(String),
}

/// Why a value was not masked. Never carries the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MaskFault {
    /// The mask does not fit the type; [`Mask::fits`] says why, and a bound policy has none such.
    #[error("the mask does not fit the type")]
    Misfit,
    /// The mask has a key, and was given none.
    #[error("the mask needs a key")]
    NoKey,
    /// The value is not in the canonical form of the type.
    #[error("the value to mask is not in the canonical form of its type")]
    Malformed,
}

impl Mask {
    /// Whether it has a key: [`Mask::apply`] wants it then.
    pub fn needs_key(&self) -> bool {
        match self {
            Self::Hash | Self::Noise(_) | Self::Fake(_) => true,
            Self::Redact
            | Self::Partial { .. }
            | Self::Email
            | Self::Phone
            | Self::Name
            | Self::Constant(_)
            | Self::Generalise(_)
            | Self::IdNumber
            | Self::BankCard
            | Self::Regex(_) => false,
        }
    }

    /// Masks a value: the canonical form of `ty` in, the canonical form of `ty` out.
    ///
    /// # Errors
    /// [`MaskFault`] when the mask does not fit the type, lacks its key, or the bytes are no value of the type.
    pub fn apply(
        &self,
        ty: LogicalType,
        canonical: &[u8],
        key: Option<&MaskKey>,
    ) -> Result<Vec<u8>, MaskFault> {
        let keyed = || key.ok_or(MaskFault::NoKey);
        match self {
            Self::Hash => {
                let key = keyed()?;
                match is_text(ty) {
                    true => on_text(ty, canonical, |text| hash::of_text(key, text)),
                    false => hash::apply(key, ty, canonical),
                }
            }
            Self::Noise(noise) => noise::apply(*noise, keyed()?, ty, canonical),
            Self::Fake(fake) => {
                let key = keyed()?;
                on_text(ty, canonical, |text| fake::apply(*fake, key, text))
            }
            Self::Redact => on_text(ty, canonical, |_| redact::apply()),
            Self::Partial { first, last, with } => on_text(ty, canonical, |text| {
                partial::apply(*first, *last, *with, text)
            }),
            Self::Email => on_text(ty, canonical, email::apply),
            Self::Phone => on_text(ty, canonical, phone::apply),
            Self::Name => on_text(ty, canonical, name::apply),
            Self::Constant(constant) => constant::apply(constant, ty),
            Self::Generalise(Generalise::Bucket(width)) => bucket::apply(width, ty, canonical),
            Self::Generalise(unit) => generalise::apply(unit, ty, canonical),
            Self::IdNumber => on_text(ty, canonical, id_number::apply),
            Self::BankCard => on_text(ty, canonical, bank_card::apply),
            Self::Regex(regex) => on_text(ty, canonical, |text| regex.apply(text)),
        }
    }

    /// The SQL expression that masks `column_sql`, itself an expression of type `ty`; None where the mask does not
    /// fit the type, or has no SQL form: then its values are masked in the result only.
    ///
    /// `column_sql` stands in it more than once: it is to be a column reference, not an expression with effects.
    pub fn sql(&self, ty: LogicalType, column_sql: &str) -> Option<String> {
        self.fits(ty).ok()?;
        Some(match self {
            Self::Redact => sql::cast(&redact::sql(column_sql), ty),
            Self::Partial { first, last, with } => {
                sql::cast(&partial::sql(*first, *last, *with, column_sql), ty)
            }
            Self::Email => sql::cast(&email::sql(column_sql), ty),
            Self::Phone => sql::cast(&phone::sql(column_sql), ty),
            Self::Name => sql::cast(&name::sql(column_sql), ty),
            Self::Constant(constant) => sql::cast(&constant::sql(constant, ty, column_sql)?, ty),
            Self::Generalise(Generalise::Bucket(width)) => {
                sql::cast(&bucket::sql(width, ty, column_sql)?, ty)
            }
            Self::Generalise(unit) => sql::cast(&generalise::sql(unit, ty, column_sql)?, ty),
            Self::IdNumber => sql::cast(&id_number::sql(column_sql), ty),
            Self::BankCard => sql::cast(&bank_card::sql(column_sql), ty),
            Self::Regex(_) | Self::Hash | Self::Noise(_) | Self::Fake(_) => return None,
        })
    }

    /// Whether the mask fits the type.
    ///
    /// # Errors
    /// Why it does not, as a fault of the policy.
    pub fn fits(&self, ty: LogicalType) -> Result<(), String> {
        if matches!(ty, LogicalType::Enum(_)) && !matches!(self, Self::Constant(_)) {
            return Err(format!(
                "a mask of the enum {} has to give one of its labels: only `constant` can",
                ty.sql()
            ));
        }
        match self {
            Self::Redact => text_of_at_least(redact::MASKED_CHARACTERS, "redact", ty),
            Self::Partial { first, last, with } => {
                text_of_at_least(0, "partial", ty)?;
                partial::fits(*first, *last, *with)
            }
            Self::Email => text_of_at_least(redact::MASKED_CHARACTERS, "email", ty),
            Self::Phone => text_of_at_least(0, "phone", ty),
            Self::Name => text_of_at_least(0, "name", ty),
            Self::Constant(constant) => constant::fits(constant, ty),
            Self::Generalise(Generalise::Bucket(width)) => bucket::fits(width, ty),
            Self::Generalise(unit) => generalise::fits(unit, ty),
            Self::IdNumber => text_of_at_least(redact::MASKED_CHARACTERS, "id_number", ty),
            Self::BankCard => text_of_at_least(redact::MASKED_CHARACTERS, "bank_card", ty),
            Self::Regex(_) => text_of_at_least(redact::MASKED_CHARACTERS, "regex", ty),
            Self::Hash => hash::fits(ty),
            Self::Noise(noise) => noise::fits(*noise, ty),
            Self::Fake(fake) => fake::fits(*fake, ty),
        }
    }
}

/// Whether it is a text to the masks: what PostgreSQL makes text of without a loss.
fn is_text(ty: LogicalType) -> bool {
    matches!(
        ty.class(),
        TypeClass::Text | TypeClass::Char | TypeClass::Citext
    )
}

/// Runs a mask over text, and cuts what it gives to the type's length as an explicit cast to it would.
fn on_text(
    ty: LogicalType,
    canonical: &[u8],
    mask: impl FnOnce(&str) -> String,
) -> Result<Vec<u8>, MaskFault> {
    if !is_text(ty) {
        return Err(MaskFault::Misfit);
    }
    let text = std::str::from_utf8(canonical).map_err(|_| MaskFault::Malformed)?;
    // Cast to text, a char has no spaces at its end (varchar.c, rtrim1).
    let text = match ty.class() {
        TypeClass::Char => text.trim_end_matches(' '),
        _ => text,
    };
    types::coerce(
        ty,
        mask(text).into_bytes(),
        true,
        types::ServerVersion::default(),
    )
    .map_err(|_| MaskFault::Malformed)
}

/// Refuses types that are not text, and a length too short for what the mask gives.
fn text_of_at_least(characters: u32, mask: &str, ty: LogicalType) -> Result<(), String> {
    match ty {
        LogicalType::Varchar(Some(n)) | LogicalType::Char(Some(n)) if n < characters => {
            Err(format!(
                "the mask `{mask}` gives {characters} characters, which {} cannot hold",
                ty.sql()
            ))
        }
        _ if is_text(ty) => Ok(()),
        _ => Err(format!(
            "the mask `{mask}` is for texts; this attribute is {}",
            sql::type_name(ty)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_does_not_outgrow_its_type() {
        let ty = LogicalType::Varchar(Some(4));
        assert_eq!(
            Mask::Email
                .apply(ty, b"a@bc", None)
                .expect("fits")
                .as_slice(),
            b"a***"
        );
    }

    #[test]
    fn a_char_is_masked_without_what_pads_it() {
        let of = |limit, text: &str| {
            let mask = Mask::Partial {
                first: 1,
                last: 1,
                with: '*',
            };
            mask.apply(LogicalType::Char(limit), text.as_bytes(), None)
        };
        assert_eq!(of(Some(9), "Anna"), Ok(b"A**a".to_vec()));
        assert_eq!(of(None, "Anna  "), Ok(b"A**a".to_vec()));
        let ty = LogicalType::Char(Some(4));
        assert_eq!(Mask::Email.apply(ty, b"a@b", None), Ok(b"a***".to_vec()));
    }

    #[test]
    fn of_an_enum_only_a_label_is_a_mask() {
        let mood = crate::types::NamedType {
            oid: 1,
            array_oid: 2,
            sql: "public.mood".to_owned(),
            labels: vec!["ok".to_owned(), "bad".to_owned()],
        };
        let mood = LogicalType::Enum(mood.keep().expect("few types"));
        let constant = |label: &str| Mask::Constant(label.to_owned());
        assert_eq!(constant("ok").fits(mood), Ok(()));
        assert_eq!(
            constant("ok").sql(mood, "c").as_deref(),
            Some("(CASE WHEN (c) IS NULL THEN NULL ELSE ('ok')::public.mood END)::public.mood")
        );
        assert_eq!(
            constant("OK").fits(mood).unwrap_err(),
            "the mask `constant` must be a value of type public.mood: invalid input value for enum public.mood"
        );
        assert_eq!(
            Mask::Redact.fits(mood).unwrap_err(),
            "a mask of the enum public.mood has to give one of its labels: only `constant` can"
        );
        for mask in [Mask::Redact, Mask::Hash, Mask::Phone] {
            assert!(mask.fits(mood).is_err());
            assert_eq!(mask.sql(mood, "c"), None);
        }
    }

    #[test]
    fn a_misfit_is_said_and_has_no_form() {
        for ty in [
            LogicalType::Int4,
            LogicalType::Jsonb,
            LogicalType::Varchar(Some(2)),
            LogicalType::Char(Some(2)),
        ] {
            assert!(Mask::Redact.fits(ty).is_err());
            assert_eq!(Mask::Redact.sql(ty, "c"), None);
        }
        assert_eq!(
            Mask::Redact.apply(LogicalType::Int4, &[0; 8], None),
            Err(MaskFault::Misfit)
        );
        assert_eq!(
            Mask::Phone.apply(LogicalType::Text, &[0xff], None),
            Err(MaskFault::Malformed)
        );
    }
}
