//! uuid: 16 bytes; text input takes braces, and a hyphen after any group of four digits.

use super::{ValueFault, stored};

/// Reads 32 hexadecimal digits, with a hyphen allowed after each four, in braces or not; no white space.
///
/// # Errors
/// 22P02.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, ValueFault> {
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}'),
        None => Some(text),
    };
    inner
        .and_then(digits)
        .ok_or_else(|| ValueFault::syntax("uuid"))
}

fn digits(text: &str) -> Option<Vec<u8>> {
    let mut rest = text.bytes().peekable();
    let mut id = Vec::with_capacity(16);
    for position in 0..16 {
        let high = nibble(rest.next()?)?;
        let low = nibble(rest.next()?)?;
        id.push(high << 4 | low);
        if position % 2 == 1 && position < 15 {
            rest.next_if_eq(&b'-');
        }
    }
    rest.next().is_none().then_some(id)
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Prints the usual form: lower case, groups of 8, 4, 4, 4 and 12.
pub(super) fn show(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let id = stored::<16>(canonical, "uuid")?;
    let mut shown = String::with_capacity(36);
    for (position, byte) in id.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            shown.push('-');
        }
        shown.push_str(&hex::encode([*byte]));
    }
    Ok(shown.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_identifier() {
        let shown = b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".to_vec();
        for text in [
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
        ] {
            assert_eq!(
                parse(text).and_then(|id| show(&id)).as_ref(),
                Ok(&shown),
                "{text}"
            );
        }
        for text in [
            "",
            "{}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-",
            "a0e-ebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
