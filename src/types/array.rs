//! One-dimensional arrays of values, in text and binary form: what `= ANY($1)` brings, and what is sealed whole.
//!
//! It knows nothing of the elements: it takes their forms apart and puts them together. PostgreSQL's
//! `array_in`, `array_out`, `array_recv` and `array_send` are followed; arrays of more dimensions are refused.

mod read;

pub(super) use read::read_text;

use super::{ServerVersion, ValueFault, is_space, left_over, short_message};
use crate::ident::SqlState;

/// The elements of an array; None is NULL.
pub type Elements = Vec<Option<Vec<u8>>>;

/// Dimensions of a PostgreSQL array (MAXDIM).
const DIMENSIONS_MAX: i32 = 6;

/// An array's elements' text or binary forms, with its bounds.
pub(super) type BoundedElements = Bounded<Option<Vec<u8>>>;

/// Elements and the subscript of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bounded<E> {
    pub(super) lower: i32,
    pub(super) elements: Vec<E>,
}

impl BoundedElements {
    /// The same with every element that is not NULL read or written.
    pub(super) fn try_map(
        &self,
        mut one: impl FnMut(&[u8]) -> Result<Vec<u8>, ValueFault>,
    ) -> Result<Self, ValueFault> {
        let elements = self.elements.iter().map(|element| {
            let element = element.as_deref();
            element.map(&mut one).transpose()
        });
        Ok(Self {
            lower: self.lower,
            elements: elements.collect::<Result<_, _>>()?,
        })
    }
}

/// Takes an array's text form apart into its elements' text forms; bounds are read and left.
///
/// # Errors
/// 22P02 for a malformed array, 2202E and 54000 for bounds that are none, 22021 for a zero byte or invalid UTF-8, 0A000 for
/// a nested array.
pub fn elements_from_text(bytes: &[u8], version: ServerVersion) -> Result<Elements, ValueFault> {
    Ok(read_text(bytes, version).whole()?.elements)
}

fn malformed() -> ValueFault {
    ValueFault::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        "malformed array literal",
    )
}

/// Takes an array's binary form apart: the element type's OID and the elements' binary forms.
///
/// # Errors
/// 08P01 and 22P03 for a malformed array, 54000 for impossible dimensions, 0A000 for more than one dimension.
pub fn elements_from_binary(bytes: &[u8]) -> Result<(u32, Elements), ValueFault> {
    from_binary(bytes).map(|(oid, read)| (oid, read.elements))
}

/// As [`elements_from_binary`], with the lower bound.
pub(super) fn from_binary(bytes: &[u8]) -> Result<(u32, BoundedElements), ValueFault> {
    let malformed = |message| ValueFault::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    let mut rest = bytes;
    let dimensions = word(&mut rest)?;
    if dimensions < 0 {
        return Err(malformed("invalid number of dimensions"));
    }
    if dimensions > DIMENSIONS_MAX {
        return Err(too_large());
    }
    if !matches!(word(&mut rest)?, 0 | 1) {
        return Err(malformed("invalid array flags"));
    }
    let element_oid = u32::from_be_bytes(word(&mut rest)?.to_be_bytes());
    if dimensions > 1 {
        return Err(unsupported("an array of more than one dimension"));
    }
    let mut read = Bounded {
        lower: 1,
        elements: Vec::new(),
    };
    if dimensions == 1 {
        let length = word(&mut rest)?;
        let lower = word(&mut rest)?;
        if length < 0 || lower.checked_add(length).is_none() {
            return Err(too_large());
        }
        for _ in 0..length {
            read.elements.push(take_element(&mut rest)?);
        }
        if length > 0 {
            read.lower = lower;
        }
    }
    if rest.is_empty() {
        Ok((element_oid, read))
    } else {
        Err(left_over())
    }
}

/// Takes a length and an element off the front; a negative length is NULL.
pub(super) fn take_element(rest: &mut &[u8]) -> Result<Option<Vec<u8>>, ValueFault> {
    let Ok(size) = usize::try_from(word(rest)?) else {
        return Ok(None);
    };
    let (element, after) = rest.split_at_checked(size).ok_or_else(|| {
        ValueFault::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            "insufficient data left in message",
        )
    })?;
    *rest = after;
    Ok(Some(element.to_vec()))
}

/// Writes a length and an element; the length of NULL is -1.
pub(super) fn push_element(out: &mut Vec<u8>, element: Option<&[u8]>) -> Result<(), ValueFault> {
    match element {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(element) => {
            out.extend_from_slice(&count(element.len())?.to_be_bytes());
            out.extend_from_slice(element);
        }
    }
    Ok(())
}

fn count(length: usize) -> Result<i32, ValueFault> {
    i32::try_from(length).map_err(|_| too_large())
}

fn too_large() -> ValueFault {
    ValueFault::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "array size exceeds the maximum allowed",
    )
}

/// 42804 for an array of elements of another type than its own.
pub fn wrong_element_type() -> ValueFault {
    ValueFault::new(SqlState::DATATYPE_MISMATCH, "wrong element type")
}

/// Writes an array's text form from its elements' text forms, as `array_out` does.
pub fn to_text(elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut text = Vec::new();
    write_list(elements, &mut text);
    text
}

/// As [`to_text`], with bounds where the lower one is not 1.
pub(super) fn shown(array: &BoundedElements) -> Vec<u8> {
    let mut text = Vec::new();
    if array.lower != 1 && !array.elements.is_empty() {
        let last = i64::from(array.lower) + array.elements.len() as i64 - 1;
        text.extend_from_slice(format!("[{}:{last}]=", array.lower).as_bytes());
    }
    write_list(&array.elements, &mut text);
    text
}

fn write_list(elements: &[Option<Vec<u8>>], text: &mut Vec<u8>) {
    text.push(b'{');
    for (position, element) in elements.iter().enumerate() {
        if position > 0 {
            text.push(b',');
        }
        match element {
            None => text.extend_from_slice(b"NULL"),
            Some(element) if needs_quotes(element) => {
                text.push(b'"');
                for byte in element {
                    if matches!(byte, b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(*byte);
                }
                text.push(b'"');
            }
            Some(element) => text.extend_from_slice(element),
        }
    }
    text.push(b'}');
}

/// Writes an array's binary form from its elements' binary forms, as `array_send` does.
///
/// # Errors
/// 54000 when there are more elements, or longer ones, than the format can count.
pub fn to_binary(element_oid: u32, elements: &[Option<Vec<u8>>]) -> Result<Vec<u8>, ValueFault> {
    sent(
        element_oid,
        &Bounded {
            lower: 1,
            elements: elements.to_vec(),
        },
    )
}

/// As [`to_binary`], with the lower bound.
pub(super) fn sent(element_oid: u32, array: &BoundedElements) -> Result<Vec<u8>, ValueFault> {
    let elements = &array.elements;
    let mut sent = Vec::new();
    sent.extend_from_slice(&i32::from(!elements.is_empty()).to_be_bytes());
    let nulls = elements.iter().any(Option::is_none);
    sent.extend_from_slice(&i32::from(nulls).to_be_bytes());
    sent.extend_from_slice(&element_oid.to_be_bytes());
    if !elements.is_empty() {
        sent.extend_from_slice(&count(elements.len())?.to_be_bytes());
        sent.extend_from_slice(&array.lower.to_be_bytes());
    }
    for element in elements {
        push_element(&mut sent, element.as_deref())?;
    }
    Ok(sent)
}

fn needs_quotes(element: &[u8]) -> bool {
    element.is_empty()
        || element.eq_ignore_ascii_case(b"null")
        || element
            .iter()
            .any(|byte| is_space(*byte) || matches!(byte, b'"' | b'\\' | b'{' | b'}' | b','))
}

fn skip_spaces(mut rest: &[u8]) -> &[u8] {
    while let [first, after @ ..] = rest
        && is_space(*first)
    {
        rest = after;
    }
    rest
}

/// Takes a big-endian word off the front.
fn word(rest: &mut &[u8]) -> Result<i32, ValueFault> {
    let (first, after) = rest.split_first_chunk::<4>().ok_or_else(short_message)?;
    *rest = after;
    Ok(i32::from_be_bytes(*first))
}

fn unsupported(what: &str) -> ValueFault {
    ValueFault::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what} does not go with a treated attribute: send a list of one dimension"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn text_form_is_taken_apart_as_array_in_does() {
        let cases: [(&str, Elements); 8] = [
            (" {} ", vec![]),
            ("{ }", vec![]),
            (
                "{a,b c , \"d,e\" }",
                vec![some("a"), some("b c"), some("d,e")],
            ),
            ("{NULL,null,\"NULL\"}", vec![None, None, some("NULL")]),
            ("{\\NULL,a\\,b}", vec![some("NULL"), some("a,b")]),
            ("{\"\",\"\\\"\\\\\"}", vec![some(""), some("\"\\")]),
            ("{a\\ }", vec![some("a ")]),
            ("{王,é}", vec![some("王"), some("é")]),
        ];
        for (text, elements) in cases {
            assert_eq!(
                elements_from_text(text.as_bytes(), ServerVersion::default()),
                Ok(elements),
                "{text}"
            );
        }
        for (text, sqlstate) in [
            ("", "22P02"),
            ("a", "22P02"),
            ("{a", "22P02"),
            ("{a,}", "22P02"),
            ("{,a}", "22P02"),
            ("{a}b", "22P02"),
            ("{a\"b\"}", "22P02"),
            ("{\"a\"b}", "22P02"),
            ("{\"a}", "22P02"),
            ("{a\\", "22P02"),
            ("{{a}}", "0A000"),
            ("[2:3]={a}", "22P02"),
            ("[2:1]={a}", "2202E"),
            ("[1:1][1:1]={{a}}", "0A000"),
        ] {
            let found = elements_from_text(text.as_bytes(), ServerVersion::default())
                .map_err(|fault| fault.sqlstate.0);
            assert_eq!(found, Err(sqlstate), "{text}");
        }
    }

    #[test]
    fn both_forms_go_there_and_back() {
        let elements = vec![some("a\"b\\c"), None, some(""), some(" "), some("null")];
        assert_eq!(
            elements_from_text(&to_text(&elements), ServerVersion::default()),
            Ok(elements.clone())
        );
        let sent = to_binary(17, &elements).unwrap_or_default();
        assert_eq!(elements_from_binary(&sent), Ok((17, elements)));
        let empty = to_binary(25, &[]).unwrap_or_default();
        assert_eq!(empty.len(), 12);
        assert_eq!(elements_from_binary(&empty), Ok((25, vec![])));
    }

    #[test]
    fn malformed_binary_forms_are_refused() {
        let words = |words: &[i32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        for (bytes, sqlstate) in [
            (words(&[]), "08P01"),
            (words(&[-1, 0, 25]), "22P03"),
            (words(&[7, 0, 25]), "54000"),
            (words(&[1, 2, 25]), "22P03"),
            (words(&[2, 0, 25, 1, 1, 1, 1]), "0A000"),
            (words(&[1, 0, 25, -5, 1]), "54000"),
            (words(&[1, 0, 25, 1, i32::MAX]), "54000"),
            (words(&[1, 0, 25, i32::MAX, 0]), "08P01"),
            (words(&[1, 0, 25, 1, 1, 9]), "22P03"),
            (words(&[0, 0, 25, 1]), "22P03"),
        ] {
            let found = elements_from_binary(&bytes).map_err(|fault| fault.sqlstate.0);
            assert_eq!(found, Err(sqlstate), "{bytes:?}");
        }
    }
}
