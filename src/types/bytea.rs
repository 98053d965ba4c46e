//! bytea: any bytes; text in hex (`\x…`) or escape form.

use super::{TextSettings, ValueFault};
use crate::ident::SqlState;

/// Reads `\x` and pairs of digits with white space between them, or the escape form.
///
/// # Errors
/// 22023 for malformed hex (as PostgreSQL has it), 22P02 for a malformed escape.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    match bytes.strip_prefix(b"\\x") {
        Some(digits) => from_hex(digits),
        None => from_escapes(bytes),
    }
}

fn from_hex(digits: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let fault = |message| ValueFault::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let nibble = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or_else(|| fault("invalid hexadecimal digit"))
    };
    let mut value = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits.iter().copied();
    while let Some(first) = rest.next() {
        if matches!(first, b' ' | b'\n' | b'\t' | b'\r') {
            continue;
        }
        let high = nibble(first)?;
        let second = rest
            .next()
            .ok_or_else(|| fault("invalid hexadecimal data: odd number of digits"))?;
        value.push(high << 4 | nibble(second)?);
    }
    Ok(value)
}

fn from_escapes(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let mut value = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => {
                value.push(b'\\');
                after
            }
            (
                b'\\',
                [
                    a @ b'0'..=b'3',
                    b @ b'0'..=b'7',
                    c @ b'0'..=b'7',
                    after @ ..,
                ],
            ) => {
                value.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            (b'\\', _) => return Err(ValueFault::syntax("bytea")),
            (plain, after) => {
                value.push(*plain);
                after
            }
        };
    }
    Ok(value)
}

/// Prints `\x` and the digits in lower case, or the escape form (bytea.c, byteaout).
pub(super) fn show(canonical: &[u8], settings: &TextSettings) -> Vec<u8> {
    if settings.bytea_escaped {
        return escaped(canonical);
    }
    let mut shown = b"\\x".to_vec();
    shown.extend_from_slice(hex::encode(canonical).as_bytes());
    shown
}

fn escaped(canonical: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(canonical.len());
    for byte in canonical {
        match byte {
            b'\\' => shown.extend_from_slice(b"\\\\"),
            0x20..=0x7e => shown.push(*byte),
            _ => shown.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<u8>, &'static str> {
        parse(text.as_bytes()).map_err(|fault| fault.sqlstate.0)
    }

    #[test]
    fn hex_and_escapes() {
        assert_eq!(of("\\xDEad Be\tef\n"), Ok(vec![0xde, 0xad, 0xbe, 0xef]));
        assert_eq!(of("\\x"), Ok(vec![]));
        assert_eq!(
            of("a\\\\b\\000\\377é"),
            Ok(b"a\\b\x00\xff\xc3\xa9".to_vec())
        );
        assert_eq!(of("\\xabc"), Err("22023"));
        assert_eq!(of("\\xa b"), Err("22023"));
        assert_eq!(of("\\xzz"), Err("22023"));
        for text in ["\\", "\\400", "\\08", "\\a", "a\\12", "\\X00"] {
            assert_eq!(of(text), Err("22P02"), "{text}");
        }
        let hex = TextSettings::default();
        assert_eq!(show(&[0, 0xab], &hex), b"\\x00ab".to_vec());
        let escape = TextSettings {
            bytea_escaped: true,
            ..hex
        };
        assert_eq!(show(b"a\\\0\xff~", &escape), b"a\\\\\\000\\377~".to_vec());
    }
}
