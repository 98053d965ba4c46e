//! Words of masks, tokens and searches → decisions; those that wait for a later version are faults.
//!
//! Knows no column and no role.

use super::decide::Search;
use super::load::Notes;
use super::model;
use crate::document::Position;
use crate::document::shapes::At;
use crate::mask::{Fake, FakeKind, FakeLanguage, Generalise, Mask, Noise, Regex};
use crate::token::TokenFormat;

/// A search word; a fault for one that waits.
pub(super) fn search_word(written: &At<model::Search>, notes: &mut Notes<'_>) -> Option<Search> {
    let word = match written.value {
        model::Search::Equal => return Some(Search::Equal),
        model::Search::Order(_) => "order",
        model::Search::Nocase => "nocase",
        model::Search::Substring => "substring",
    };
    notes.not_enforced(written.at, word);
    None
}

/// A token's format; a fault where it is told to keep what it does not keep.
pub(super) fn token_format(written: &model::Token, notes: &mut Notes<'_>) -> TokenFormat {
    let model::Token {
        format,
        keep_first,
        keep_last,
        domain: _,
    } = written;
    let kept = |written: &Option<At<u32>>| written.as_ref().map_or(0, |n| n.value);
    let (keeps_first, keeps_last) = (kept(keep_first), kept(keep_last));
    let (settled, kept_by_itself) = match format.value {
        model::TokenWord::Digits => {
            return TokenFormat::Digits {
                keep_first: keeps_first,
                keep_last: keeps_last,
            };
        }
        model::TokenWord::Alphanumeric => {
            return TokenFormat::Alphanumeric {
                keep_first: keeps_first,
                keep_last: keeps_last,
            };
        }
        model::TokenWord::BankCard => {
            return TokenFormat::BankCard {
                keep_first: keeps_first,
                keep_last: keeps_last,
            };
        }
        model::TokenWord::Email => (
            TokenFormat::Email,
            "an `email` token keeps the domain part and nothing else",
        ),
        model::TokenWord::IdNumber => (
            TokenFormat::IdNumber,
            "an `id_number` token keeps the region and nothing else",
        ),
        model::TokenWord::Uuid => (
            TokenFormat::Uuid,
            "a `uuid` token keeps version and variant and nothing else",
        ),
        model::TokenWord::Integer => (
            TokenFormat::Integer,
            "an `integer` token keeps the sign and nothing else",
        ),
        model::TokenWord::Date => (TokenFormat::Date, "a `date` token keeps nothing"),
    };
    for keep in [keep_first, keep_last].into_iter().flatten() {
        notes.fault(keep.at, kept_by_itself);
    }
    settled
}

/// A mask; a fault for one that says too little.
pub(super) fn mask(written: &At<model::Mask>, notes: &mut Notes<'_>) -> Option<Mask> {
    let at = written.at;
    match &written.value {
        model::Mask::Redact => Some(Mask::Redact),
        model::Mask::Email => Some(Mask::Email),
        model::Mask::Phone => Some(Mask::Phone),
        model::Mask::Name => Some(Mask::Name),
        model::Mask::Partial(partial) => self::partial(partial, at, notes),
        model::Mask::Constant(text) => Some(Mask::Constant(text.value.clone())),
        model::Mask::Generalise(how) => generalise(&how.value, notes).map(Mask::Generalise),
        model::Mask::Hash => Some(Mask::Hash),
        model::Mask::Noise(written) => noise(written, notes).map(Mask::Noise),
        model::Mask::Fake(written) => Some(Mask::Fake(fake(&written.0))),
        model::Mask::Regex(written) => regex(written, notes),
        model::Mask::IdNumber => Some(Mask::IdNumber),
        model::Mask::BankCard => Some(Mask::BankCard),
    }
}

fn noise(written: &At<model::Noise>, notes: &mut Notes<'_>) -> Option<Noise> {
    let model::Noise { percent, days } = &written.value;
    match (percent, days) {
        (None, None) => Some(Noise::Default),
        (Some(percent), None) => Some(Noise::Percent(percent.value)),
        (None, Some(days)) => Some(Noise::Days(days.value)),
        (Some(_), Some(days)) => {
            notes.fault(
                days.at,
                "`noise` moves by `percent` or by `days`, not by both",
            );
            None
        }
    }
}

fn fake(written: &model::Fake) -> Fake {
    let model::Fake { kind, language } = written;
    Fake {
        kind: match kind {
            None | Some(model::FakeKind::Name) => FakeKind::Name,
            Some(model::FakeKind::Company) => FakeKind::Company,
            Some(model::FakeKind::Address) => FakeKind::Address,
            Some(model::FakeKind::Phone) => FakeKind::Phone,
            Some(model::FakeKind::Email) => FakeKind::Email,
        },
        language: language.map(|language| match language {
            model::FakeLanguage::English => FakeLanguage::English,
            model::FakeLanguage::Chinese => FakeLanguage::Chinese,
        }),
    }
}

fn partial(written: &model::Partial, at: Position, notes: &mut Notes<'_>) -> Option<Mask> {
    let model::Partial { first, last, with } = written;
    if first.is_none() && last.is_none() {
        let help = "for example `{ partial: { last: 4 } }`; to hide all, write `redact`";
        notes.fault_with(
            at,
            "`partial` does not say what it keeps",
            Some(help.to_owned()),
        );
        return None;
    }
    let with = match with {
        None => '*',
        Some(text) => {
            let mut characters = text.value.chars();
            match (characters.next(), characters.next()) {
                (Some(c), None) if !c.is_control() => c,
                _ => {
                    notes.fault(text.at, "`with` must be one printable character");
                    return None;
                }
            }
        }
    };
    let kept = |written: &Option<At<u32>>| written.as_ref().map_or(0, |n| n.value);
    Some(Mask::Partial {
        first: kept(first),
        last: kept(last),
        with,
    })
}

fn regex(written: &At<model::Regex>, notes: &mut Notes<'_>) -> Option<Mask> {
    let model::Regex {
        pattern,
        with,
        unmatched,
    } = &written.value;
    let keeps_unmatched = *unmatched == Some(model::Unmatched::Keep);
    match Regex::new(pattern, with, keeps_unmatched) {
        Ok(regex) => Some(Mask::Regex(regex)),
        Err(why) => {
            notes.fault(written.at, why);
            None
        }
    }
}

fn generalise(written: &model::Generalise, notes: &mut Notes<'_>) -> Option<Generalise> {
    Some(match written {
        model::Generalise::Year => Generalise::Year,
        model::Generalise::Month => Generalise::Month,
        model::Generalise::Decade => Generalise::Decade,
        model::Generalise::Bucket(width) => {
            let text = width.value.as_str();
            let decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                && text.bytes().filter(|b| *b == b'.').count() <= 1
                && text.bytes().any(|b| matches!(b, b'1'..=b'9'))
                && !text.starts_with('.')
                && !text.ends_with('.');
            if !decimal {
                notes.fault_with(
                    width.at,
                    "a bucket's width must be a number greater than 0",
                    Some("for example `{ generalise: { bucket: 1000 } }`".to_owned()),
                );
                return None;
            }
            Generalise::Bucket(text.to_owned())
        }
    })
}
