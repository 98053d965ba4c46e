//! The text form of an array: what stands before the first brace, and what between braces.
//!
//! As PostgreSQL 15 reads it (arrayfuncs.c, array_in).

use super::super::{ValueFault, is_space};
use super::{Elements, malformed, skip_spaces, unsupported};
use crate::ident::SqlState;

/// What stands before the first brace: `[lower:upper]=`, or `[upper]=`; its lower bound and its length.
pub(super) type Bounds = Option<(i32, usize)>;

/// Reads bounds, where there are any; gives back what follows.
pub(super) fn bounds(text: &[u8]) -> Result<(Bounds, &[u8]), ValueFault> {
    let [b'[', rest @ ..] = text else {
        return Ok((None, text));
    };
    let (first, rest) = subscript(rest)?;
    let (lower, upper, rest) = match rest {
        [b':', rest @ ..] => {
            let (upper, rest) = subscript(rest)?;
            (first, upper, rest)
        }
        _ => (1, first, rest),
    };
    let [b']', rest @ ..] = rest else {
        return Err(malformed());
    };
    let rest = skip_spaces(rest);
    if rest.starts_with(b"[") {
        return Err(unsupported("an array of more than one dimension"));
    }
    let [b'=', rest @ ..] = rest else {
        return Err(malformed());
    };
    let Some(length) = upper.checked_sub(lower).filter(|length| *length >= 0) else {
        return Err(ValueFault::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "upper bound cannot be less than lower bound",
        ));
    };
    let length = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    Ok((Some((lower, length)), skip_spaces(rest)))
}

/// A number with a sign, as glibc's `atoi` reads one: the low 32 bits of a saturated long.
fn subscript(text: &[u8]) -> Result<(i32, &[u8]), ValueFault> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text[sign..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let (number, rest) = text.split_at(sign + digits);
    if digits == 0 {
        return Err(malformed());
    }
    let minus = number.first() == Some(&b'-');
    let value = number[sign..].iter().fold(0_i64, |value, digit| {
        let digit = i64::from(digit - b'0');
        let digit = if minus { -digit } else { digit };
        value.saturating_mul(10).saturating_add(digit)
    });
    Ok((value as i32, rest))
}

/// The elements between braces.
pub(super) fn listed(start: &[u8]) -> Result<Elements, ValueFault> {
    let [b'{', rest @ ..] = start else {
        return Err(malformed());
    };
    let mut rest = skip_spaces(rest);
    let mut elements = Vec::new();
    if let [b'}', after @ ..] = rest {
        return if after.iter().copied().all(is_space) {
            Ok(elements)
        } else {
            Err(malformed())
        };
    }
    loop {
        let (element, after) = match rest {
            [b'{', ..] => return Err(unsupported("a nested array")),
            [b'"', quoted @ ..] => quoted_element(quoted).ok_or_else(malformed)?,
            _ => bare_element(rest).ok_or_else(malformed)?,
        };
        elements.push(element);
        match skip_spaces(after) {
            [b',', after @ ..] => rest = skip_spaces(after),
            [b'}', after @ ..] if after.iter().copied().all(is_space) => return Ok(elements),
            _ => return Err(malformed()),
        }
    }
}

/// Reads to the closing quote.
fn quoted_element(mut rest: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    let mut element = Vec::new();
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some((Some(element), after)),
            [b'\\', escaped, after @ ..] => {
                element.push(*escaped);
                after
            }
            [plain, after @ ..] if *plain != b'\\' => {
                element.push(*plain);
                after
            }
            _ => return None,
        };
    }
}

/// Reads to the next delimiter; spaces at the end do not count, NULL in any case is NULL.
fn bare_element(mut rest: &[u8]) -> Option<(Option<Vec<u8>>, &[u8])> {
    let mut element = Vec::new();
    // Bytes of `element` up to the last one that is no space, or was escaped.
    let mut kept = 0;
    let mut escapes = false;
    loop {
        rest = match rest {
            [b',' | b'}', ..] => break,
            [b'"' | b'{', ..] | [] | [b'\\'] => return None,
            [b'\\', escaped, after @ ..] => {
                escapes = true;
                element.push(*escaped);
                kept = element.len();
                after
            }
            [plain, after @ ..] => {
                element.push(*plain);
                if !is_space(*plain) {
                    kept = element.len();
                }
                after
            }
        };
    }
    element.truncate(kept);
    if element.is_empty() {
        return None;
    }
    let null = !escapes && element.eq_ignore_ascii_case(b"null");
    Some(((!null).then_some(element), rest))
}
