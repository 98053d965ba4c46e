//! Numbers as `numeric` is printed, in decimal digits: read and written without loss.
//!
//! Knows no mask.

/// A number in decimal notation.
pub(super) struct Decimal {
    /// whether a minus sign stands before it
    pub negative: bool,
    /// its digits, most significant first
    pub digits: Vec<u8>,
    /// how many of them stand behind the point
    pub scale: usize,
}

impl Decimal {
    /// Reads a number; None for what is none in this notation, as NaN.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let unsigned = text.strip_prefix(b"-").unwrap_or(text);
        let point = unsigned.iter().position(|&byte| byte == b'.');
        let digits = unsigned
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != point)
            .map(|(_, byte)| byte.is_ascii_digit().then(|| byte - b'0'))
            .collect::<Option<Vec<u8>>>()?;
        (!digits.is_empty()).then(|| Self {
            negative: unsigned.len() < text.len(),
            scale: point.map_or(0, |point| unsigned.len() - point - 1),
            digits,
        })
    }
}

/// Writes significant digits as a decimal with `scale` of them after the point.
pub(super) fn written(negative: bool, significant: &[u8], scale: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(significant.len() + scale + 3);
    if negative {
        text.push(b'-');
    }
    let zeros = (scale + 1).saturating_sub(significant.len());
    let all = std::iter::repeat_n(0, zeros).chain(significant.iter().copied());
    let whole = zeros + significant.len() - scale;
    for (index, digit) in all.enumerate() {
        if index == whole {
            text.push(b'.');
        }
        text.push(b'0' + digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_it_was_read() {
        for text in [
            "0",
            "-12.50",
            "0.05",
            "1000",
            "-0.00",
            "123456789012345678901234567890.5",
        ] {
            let Decimal {
                negative,
                digits,
                scale,
            } = Decimal::read(text.as_bytes()).expect(text);
            assert_eq!(written(negative, &digits, scale), text.as_bytes());
        }
        for text in ["NaN", "Infinity", "-Infinity", "", "-", ".", "1.2.3", "1e5"] {
            assert!(Decimal::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
