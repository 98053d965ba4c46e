//! The text form of an array: what stands before the first brace, and what between braces.
//!
//! As PostgreSQL reads it (arrayfuncs.c, array_in). Up to 16 the whole text is looked over before an element is read;
//! from 17 on each element is read before what stands behind it.

use super::super::{ServerVersion, ValueFault, is_space, text};
use super::{Bounded, BoundedElements, Elements, malformed, skip_spaces, unsupported};
use crate::ident::SqlState;

/// What stands before the first brace: `[lower:upper]=`, or `[upper]=`; its lower bound and its length.
type Bounds = Option<(i32, usize)>;

/// What was read of a text, and what stopped it.
pub(in super::super) struct ReadText {
    read: BoundedElements,
    fault: Option<ValueFault>,
}

impl ReadText {
    /// The array, where the text is one.
    pub(super) fn whole(self) -> Result<BoundedElements, ValueFault> {
        self.fault.map_or(Ok(self.read), Err)
    }

    /// The same with every element that is not NULL read, whose fault comes first where the version has it so.
    pub(in super::super) fn try_map(
        self,
        version: ServerVersion,
        one: impl FnMut(&[u8]) -> Result<Vec<u8>, ValueFault>,
    ) -> Result<BoundedElements, ValueFault> {
        if version.reads_arrays_in_order() {
            let mapped = self.read.try_map(one)?;
            self.fault.map_or(Ok(mapped), Err)
        } else {
            self.whole()?.try_map(one)
        }
    }
}

/// Takes an array's text form apart.
pub(in super::super) fn read_text(bytes: &[u8], version: ServerVersion) -> ReadText {
    let mut read = Bounded {
        lower: 1,
        elements: Vec::new(),
    };
    let fault = fill(&mut read, bytes, version).err();
    ReadText { read, fault }
}

fn fill(
    read: &mut BoundedElements,
    bytes: &[u8],
    version: ServerVersion,
) -> Result<(), ValueFault> {
    let trimmed = skip_spaces(text::checked(bytes)?.as_bytes());
    let (bounds, trimmed) = bounds(trimmed, version)?;
    listed(trimmed, &mut read.elements)?;
    match bounds {
        Some((_, length)) if read.elements.len() != length => return Err(malformed()),
        Some((lower, _)) => read.lower = lower,
        None => {}
    }
    Ok(())
}

/// Reads bounds, where there are any; gives back what follows.
fn bounds(text: &[u8], version: ServerVersion) -> Result<(Bounds, &[u8]), ValueFault> {
    let [b'[', rest @ ..] = text else {
        return Ok((None, text));
    };
    let (first, rest) = subscript(rest, version)?;
    let (lower, upper, rest) = match rest {
        [b':', rest @ ..] => {
            let (upper, rest) = subscript(rest, version)?;
            (first, upper, rest)
        }
        _ => (1, first, rest),
    };
    let [b']', rest @ ..] = rest else {
        return Err(malformed());
    };
    let length = length_of(lower, upper, version)?;
    let rest = skip_spaces(rest);
    if rest.starts_with(b"[") {
        return Err(unsupported("an array of more than one dimension"));
    }
    let [b'=', rest @ ..] = rest else {
        return Err(malformed());
    };
    Ok((Some((lower, length)), skip_spaces(rest)))
}

/// How many elements there must be.
fn length_of(lower: i32, upper: i32, version: ServerVersion) -> Result<usize, ValueFault> {
    let in_order = version.reads_arrays_in_order();
    let length = match upper.checked_sub(lower) {
        Some(length) => usize::try_from(length).ok(),
        None if upper < lower => None,
        None if in_order => return Err(out_of_range()),
        // More than there can be.
        None => Some(usize::MAX),
    };
    match length {
        Some(_) if in_order && upper == i32::MAX => Err(out_of_range()),
        Some(length) => Ok(length.saturating_add(1)),
        None => Err(ValueFault::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "upper bound cannot be less than lower bound",
        )),
    }
}

fn out_of_range() -> ValueFault {
    ValueFault::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "array bound is out of integer range",
    )
}

/// A number with a sign: up to 16 as glibc's `atoi` reads one, the low 32 bits of a saturated long.
fn subscript(text: &[u8], version: ServerVersion) -> Result<(i32, &[u8]), ValueFault> {
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
    match i32::try_from(value) {
        Err(_) if version.reads_arrays_in_order() => Err(out_of_range()),
        _ => Ok((value as i32, rest)),
    }
}

/// The elements between braces, as far as they are some.
fn listed(start: &[u8], elements: &mut Elements) -> Result<(), ValueFault> {
    let [b'{', rest @ ..] = start else {
        return Err(malformed());
    };
    let mut rest = skip_spaces(rest);
    if let [b'}', after @ ..] = rest {
        return if after.iter().copied().all(is_space) {
            Ok(())
        } else {
            Err(malformed())
        };
    }
    loop {
        let (element, after) = match rest {
            [b'{', ..] => return Err(unsupported("a nested array")),
            [b'"', quoted @ ..] => quoted_element(quoted)
                .filter(|(_, after)| matches!(skip_spaces(after), [b',' | b'}' | b'{', ..]))
                .ok_or_else(malformed)?,
            _ => bare_element(rest).ok_or_else(malformed)?,
        };
        elements.push(element);
        match skip_spaces(after) {
            [b',', after @ ..] => rest = skip_spaces(after),
            [b'}', after @ ..] if after.iter().copied().all(is_space) => return Ok(()),
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
