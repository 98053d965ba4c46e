//! bool: one byte, 0 or 1; text input takes any unambiguous prefix of the words PostgreSQL knows.

use super::{ValueFault, exact, stored, trim_spaces};

/// Reads `true`, `yes`, `on`, `1`, their opposites and their unambiguous prefixes, in any case.
///
/// # Errors
/// 22P02.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, ValueFault> {
    let word = trim_spaces(text).to_ascii_lowercase();
    let begins = |whole: &str, shortest: usize| word.len() >= shortest && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1" {
        Ok(vec![1])
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0" {
        Ok(vec![0])
    } else {
        Err(ValueFault::syntax("boolean"))
    }
}

/// Reads the send format: any byte but zero is true.
///
/// # Errors
/// 08P01 for too few bytes, 22P03 for too many.
pub(super) fn receive(bytes: &[u8]) -> Result<Vec<u8>, ValueFault> {
    let [byte] = exact::<1>(bytes)?;
    Ok(vec![u8::from(byte != 0)])
}

/// Prints `t` or `f`.
pub(super) fn show(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    Ok(vec![if truth(canonical)? { b't' } else { b'f' }])
}

/// Writes the send format.
pub(super) fn send(canonical: &[u8]) -> Result<Vec<u8>, ValueFault> {
    Ok(vec![u8::from(truth(canonical)?)])
}

fn truth(canonical: &[u8]) -> Result<bool, ValueFault> {
    match stored::<1>(canonical, "boolean")? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(ValueFault::not_canonical("boolean")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_prefixes() {
        for text in ["t", "TR", " true\t", "y", "Yes", "on", "1"] {
            assert_eq!(parse(text), Ok(vec![1]), "{text}");
        }
        for text in ["f", "fal", "FALSE ", "n", "no", "of", "off", "0"] {
            assert_eq!(parse(text), Ok(vec![0]), "{text}");
        }
        for text in ["", " ", "o", "truee", "tru e", "2", "01", "ja"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(receive(&[7]), Ok(vec![1]));
        assert!(show(&[2]).is_err());
    }
}
