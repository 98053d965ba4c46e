//! Arrays that are sealed whole: canonical as the lower bound and each element's canonical form.
//!
//! The empty array has no bounds and is the empty canonical form. An array of more than one dimension is refused.

use super::array::{self, Bounded};
use super::{
    ArrayType, Declared, ServerVersion, Target, TextSettings, ValueFault, coerce as coerce_one,
    from_binary, from_text, to_binary, to_text,
};

/// Canonical elements; None is NULL.
type Canonical = Bounded<Option<Vec<u8>>>;

/// Reads an array's text form.
///
/// # Errors
/// As [`array::elements_from_text`], and as the element's own reader.
pub(super) fn parse(
    array: &ArrayType,
    bytes: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let element = array.element.without_fields();
    let read = array::read_text(bytes, settings.version);
    encode(&read.try_map(settings.version, |text| from_text(element, text, settings))?)
}

/// Reads a parameter that was declared as an array of another type: each element is read as a parameter of the
/// declared element type.
///
/// # Errors
/// As [`super::from_wire`] of an element.
pub(super) fn from_wire(
    array: &ArrayType,
    element: Declared,
    bytes: &[u8],
    (assigned, settings): (bool, &TextSettings),
) -> Result<Vec<u8>, ValueFault> {
    let target = Target {
        logical: array.element.without_fields(),
        assigned,
    };
    let one = |one: &[u8]| super::from_wire(element, one, target, settings);
    encode(&match element.format {
        0 => array::read_text(bytes, settings.version).try_map(settings.version, one)?,
        _ => match array::from_binary(bytes)? {
            (oid, read) if oid == element.oid => read.try_map(one)?,
            _ => return Err(array::wrong_element_type()),
        },
    })
}

/// Reads an array's binary form.
///
/// # Errors
/// As [`array::elements_from_binary`], and as the element's own reader; 42804 for elements of another type.
pub(super) fn receive(
    array: &ArrayType,
    bytes: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let (oid, read) = array::from_binary(bytes)?;
    if oid != array.element_oid {
        return Err(array::wrong_element_type());
    }
    encode(&read.try_map(|sent| from_binary(array.element, sent, version))?)
}

/// Writes an array's text form.
///
/// # Errors
/// XX001 when the bytes are no array of such elements.
pub(super) fn show(
    array: &ArrayType,
    canonical: &[u8],
    settings: &TextSettings,
) -> Result<Vec<u8>, ValueFault> {
    let shown = decode(canonical)?.try_map(|one| to_text(array.element, one, settings))?;
    Ok(array::shown(&shown))
}

/// Writes an array's binary form.
///
/// # Errors
/// XX001 when the bytes are no array of such elements.
pub(super) fn send(
    array: &ArrayType,
    canonical: &[u8],
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    let sent = decode(canonical)?.try_map(|one| to_binary(array.element, one, version))?;
    array::sent(array.element_oid, &sent)
}

/// Applies the modifier to each element.
///
/// # Errors
/// As the element's own.
pub(super) fn coerce(
    array: &ArrayType,
    canonical: Vec<u8>,
    explicit_cast: bool,
    version: ServerVersion,
) -> Result<Vec<u8>, ValueFault> {
    if array.element.typmod() == -1 && array.element.typlen() == -1 {
        return Ok(canonical);
    }
    let read = decode(&canonical)?;
    encode(&read.try_map(|one| coerce_one(array.element, one.to_vec(), explicit_cast, version))?)
}

/// A canonical array with each element that is not NULL replaced.
///
/// # Errors
/// XX001 when the bytes are no array; 54000 when an element is too long to be counted.
pub(super) fn with_each(
    canonical: &[u8],
    one: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<Vec<u8>, ValueFault> {
    encode(&decode(canonical)?.try_map(|element| Ok(one(element)))?)
}

/// Canonical elements that were read elsewhere, as one canonical form.
///
/// # Errors
/// 54000 when an element is too long to be counted.
pub(super) fn encode(elements: &Canonical) -> Result<Vec<u8>, ValueFault> {
    let mut canonical = Vec::new();
    if elements.elements.is_empty() {
        return Ok(canonical);
    }
    canonical.extend_from_slice(&elements.lower.to_be_bytes());
    for element in &elements.elements {
        array::push_element(&mut canonical, element.as_deref())?;
    }
    Ok(canonical)
}

fn decode(canonical: &[u8]) -> Result<Canonical, ValueFault> {
    let not_canonical = || ValueFault::not_canonical("array");
    let mut elements = Vec::new();
    let Some((lower, mut rest)) = canonical.split_first_chunk::<4>() else {
        let empty = Bounded { lower: 1, elements };
        return canonical
            .is_empty()
            .then_some(empty)
            .ok_or_else(not_canonical);
    };
    while !rest.is_empty() {
        elements.push(array::take_element(&mut rest).map_err(|_| not_canonical())?);
    }
    Ok(Bounded {
        lower: i32::from_be_bytes(*lower),
        elements,
    })
}

#[cfg(test)]
mod tests {
    use super::super::LogicalType;
    use super::*;

    #[test]
    fn arrays_go_there_and_back_in_both_forms() {
        let array = ArrayType {
            oid: 1007,
            element_oid: 23,
            element: LogicalType::Int4,
        };
        let settings = TextSettings::default();
        for text in ["{}", "{1,NULL,-3}", "[0:1]={4,5}"] {
            let canonical = parse(&array, text.as_bytes(), &settings).expect("an array");
            assert_eq!(
                show(&array, &canonical, &settings),
                Ok(text.as_bytes().to_vec())
            );
            let sent = send(&array, &canonical, settings.version).expect("canonical");
            assert_eq!(receive(&array, &sent, settings.version), Ok(canonical));
        }
        let fault =
            |text: &str| parse(&array, text.as_bytes(), &settings).map_err(|f| f.sqlstate.0);
        assert_eq!(fault("{x}"), Err("22P02"));
        assert_eq!(fault("{5000000000}"), Err("22003"));
        assert_eq!(fault("{{1}}"), Err("0A000"));
    }
}
