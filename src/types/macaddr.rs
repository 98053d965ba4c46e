//! macaddr: six bytes, read in the seven notations of PostgreSQL (mac.c, macaddr_in).

use super::{ValueFault, is_space, stored};
use crate::ident::SqlState;

/// The notations, with C's `scanf` in mind: `x` is any number of hexadecimal digits, `2` at most two.
const NOTATIONS: [&str; 7] = [
    "x:x:x:x:x:x",
    "x-x-x-x-x-x",
    "222:222",
    "222-222",
    "22.22.22",
    "22-22-22",
    "222222",
];

/// Reads an address.
///
/// # Errors
/// 22P02 for what is none, 22003 for a part above 255.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, ValueFault> {
    let parts = NOTATIONS
        .iter()
        .find_map(|notation| read(text.as_bytes(), notation))
        .ok_or_else(|| ValueFault::syntax("macaddr"))?;
    let octets: Result<Vec<u8>, _> = parts.into_iter().map(u8::try_from).collect();
    octets.map_err(|_| {
        ValueFault::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "invalid octet value in \"macaddr\" value",
        )
    })
}

/// The parts, where the text is of the notation and nothing but spaces follows.
fn read(mut rest: &[u8], notation: &str) -> Option<Vec<u32>> {
    let mut parts = Vec::with_capacity(6);
    for mark in notation.bytes() {
        match mark {
            b'x' | b'2' => {
                let digits_max = if mark == b'2' { 2 } else { usize::MAX };
                parts.push(number(&mut rest, digits_max)?);
            }
            mark => rest = rest.strip_prefix(&[mark])?,
        }
    }
    rest.iter().copied().all(is_space).then_some(parts)
}

/// `scanf`'s `%x`: spaces, a sign, `0x`, digits; the sign and the `0x` count among the characters.
fn number(rest: &mut &[u8], most: usize) -> Option<u32> {
    let spaces = rest.iter().take_while(|byte| is_space(**byte)).count();
    let field = &rest[spaces..];
    let field = &field[..field.len().min(most)];
    let sign = usize::from(matches!(field.first(), Some(b'+' | b'-')));
    let prefixed = matches!(field.get(sign..), Some([b'0', b'x' | b'X', ..]));
    let start = sign + if prefixed { 2 } else { 0 };
    let digits = field.get(start..)?;
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    if count == 0 && !prefixed {
        return None;
    }
    let value = digits[..count].iter().fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(16).unwrap_or(0);
        value
            .checked_mul(16)
            .map_or(u64::MAX, |value| value | u64::from(digit))
    });
    *rest = &rest[spaces + start + count..];
    // As `strtoul` and the conversion to an int have it.
    let value = if field.first() == Some(&b'-') {
        value.wrapping_neg()
    } else {
        value
    };
    Some(value as u32)
}

/// Prints six pairs of digits.
///
/// # Errors
/// XX001 when it is not six bytes.
pub(super) fn show(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let octets = stored::<6>(canonical, "macaddr")?.map(|octet| format!("{octet:02x}"));
    Ok(octets.join(":").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_one_address() {
        for text in [
            "08:00:2b:01:02:03",
            "8:0:2b:1:2:3 ",
            "08-00-2b-01-02-03",
            "08002b:010203",
            "08002b-010203",
            "0800.2b01.0203",
            "0800-2b01-0203",
            "08002B010203",
        ] {
            assert_eq!(parse(text), Ok(vec![8, 0, 0x2b, 1, 2, 3]), "{text}");
        }
        for (text, sqlstate) in [
            ("", "22P02"),
            ("08:00:2b:01:02", "22P02"),
            ("08:00:2b:01:02:03:04", "22P02"),
            ("08:00:2b:01:02:0g", "22P02"),
            ("108:00:2b:01:02:03", "22003"),
        ] {
            assert_eq!(
                parse(text).map_err(|f| f.sqlstate.0),
                Err(sqlstate),
                "{text}"
            );
        }
    }
}
