//! Addresses of IP version 6, as text.
//!
//! As PostgreSQL reads and prints them (inet_net_pton.c, inet_net_ntop.c), oddities included.

use super::octet;

/// Eight words, one run of zeros left out, perhaps an address of version 4 at the end, and a mask (inet_cidr_pton_ipv6).
pub(super) fn version_6(text: &[u8]) -> Option<(Vec<u8>, u8)> {
    let mut rest = match text {
        [b':', b':', ..] => &text[1..],
        [b':', ..] => return None,
        _ => text,
    };
    let mut address: Vec<u8> = Vec::with_capacity(16);
    let mut gap = None;
    let mut bits = 128;
    loop {
        let digits = rest
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        if digits > 4 {
            return None;
        }
        let (word, after) = rest.split_at(digits);
        match (after.split_first(), digits) {
            (Some((b':', after)), 0) => {
                if gap.replace(address.len()).is_some() {
                    return None;
                }
                rest = after;
            }
            (Some((b':', after)), _) => {
                if after.is_empty() {
                    return None;
                }
                push_word(&mut address, word)?;
                rest = after;
            }
            (Some((b'.', _)), _) => {
                let (octets, mask) = version_4_inside(rest)?;
                if address.len() > 12 {
                    return None;
                }
                address.extend(octets);
                bits = mask.unwrap_or(bits);
                break;
            }
            (Some((b'/', digits_of_mask)), _) => {
                bits = mask_6(digits_of_mask)?;
                if digits > 0 {
                    push_word(&mut address, word)?;
                }
                break;
            }
            (None, _) => {
                if digits > 0 {
                    push_word(&mut address, word)?;
                }
                break;
            }
            (Some(_), _) => return None,
        }
    }
    if let Some(gap) = gap {
        if address.len() == 16 {
            return None;
        }
        let zeros = vec![0; 16 - address.len()];
        address.splice(gap..gap, zeros);
    }
    (address.len() == 16).then_some((address, bits))
}

fn push_word(address: &mut Vec<u8>, digits: &[u8]) -> Option<()> {
    if address.len() > 14 {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    address.extend(u16::from_str_radix(digits, 16).ok()?.to_be_bytes());
    Some(())
}

/// Up to four octets without leading zeros, perhaps a mask; one without digits is 0, and so are those left out, but
/// not the last one written where no mask follows (getv4).
fn version_4_inside(text: &[u8]) -> Option<(Vec<u8>, Option<u8>)> {
    let (octets, mask) = match text.iter().position(|byte| *byte == b'/') {
        Some(mark) => (&text[..mark], Some(mask_6(&text[mark + 1..])?)),
        None => (text, None),
    };
    if mask.is_none() && octets.ends_with(b".") {
        return None;
    }
    let parts = octets.split(|byte| *byte == b'.').map(|part| {
        let mut rest = part;
        if part.is_empty() {
            return Some(0);
        }
        let value = octet(&mut rest)?;
        (rest.is_empty() && !has_leading_zero(part)).then_some(value)
    });
    let mut parts: Vec<u8> = parts.collect::<Option<_>>()?;
    if parts.len() > 4 {
        return None;
    }
    parts.resize(4, 0);
    Some((parts, mask))
}

/// Bits of a mask, 0 to 128, without leading zeros (getbits).
fn mask_6(digits: &[u8]) -> Option<u8> {
    let mut rest = digits;
    let bits = octet(&mut rest)?;
    (rest.is_empty() && bits <= 128 && !has_leading_zero(digits)).then_some(bits)
}

fn has_leading_zero(digits: &[u8]) -> bool {
    digits.len() > 1 && digits[0] == b'0'
}

/// Words in hexadecimal, the first longest run of zeros as `::`, an address of version 4 inside in its own form.
pub(super) fn text_6(address: &[u8]) -> String {
    let (pairs, _) = address.as_chunks::<2>();
    let words: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    let run_at = |start: usize| words[start..].iter().take_while(|word| **word == 0).count();
    let (mut base, mut length) = (0, 0);
    for start in 0..words.len() {
        if run_at(start) > length {
            (base, length) = (start, run_at(start));
        }
    }
    if length < 2 {
        length = 0;
    }
    let holds_version_4 = base == 0
        && (length == 6
            || (length == 7 && words.get(7) != Some(&1))
            || (length == 5 && words.get(5) == Some(&0xffff)));
    let mut text = String::new();
    for (place, word) in words.iter().enumerate() {
        if length > 0 && (base..base + length).contains(&place) {
            if place == base {
                text.push(':');
            }
            continue;
        }
        if place != 0 {
            text.push(':');
        }
        if place == 6 && holds_version_4 {
            let octets: Vec<String> = address[12..].iter().map(u8::to_string).collect();
            text.push_str(&octets.join("."));
            break;
        }
        text.push_str(&format!("{word:x}"));
    }
    if length > 0 && base + length == words.len() {
        text.push(':');
    }
    text
}
