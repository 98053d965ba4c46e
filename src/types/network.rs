//! inet and cidr: one class, canonical as family, bits of the network and the address, without the mark that the
//! send format has of the type, so that comparisons between the two hold.
//!
//! Text is read and printed as PostgreSQL does (inet_net_pton.c, inet_net_ntop.c, network.c), oddities included.

mod six;

use six::{text_6, version_6};

use super::{ValueFault, front, nothing_left};
use crate::ident::SqlState;

/// The families in the send format (PGSQL_AF_INET, PGSQL_AF_INET6).
const FAMILY_4: u8 = 2;
const FAMILY_6: u8 = 3;

/// inet or cidr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// a host in its network
    Inet,
    /// a network: no bits to the right of its mask
    Cidr,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Cidr => "cidr",
        }
    }
}

/// Reads an address with or without a mask.
///
/// # Errors
/// 22P02.
pub(super) fn parse(text: &str, kind: Kind) -> Result<Vec<u8>, ValueFault> {
    let bytes = text.as_bytes();
    let read = match (bytes.contains(&b':'), kind) {
        (true, _) => version_6(bytes),
        (false, Kind::Inet) => host_4(bytes),
        (false, Kind::Cidr) => network_4(bytes),
    };
    read.filter(|(address, bits)| {
        usize::from(*bits) <= address.len() * 8
            && (kind == Kind::Inet || is_network(address, *bits))
    })
    .map(|(address, bits)| canonical(&address, bits))
    .ok_or_else(|| ValueFault::syntax(kind.name()))
}

fn canonical(address: &[u8], bits: u8) -> Vec<u8> {
    let family = if address.len() == 4 {
        FAMILY_4
    } else {
        FAMILY_6
    };
    [&[family, bits], address].concat()
}

/// Whether no bit is set to the right of the mask.
fn is_network(address: &[u8], bits: u8) -> bool {
    masked(address, bits) == address
}

fn masked(address: &[u8], bits: u8) -> Vec<u8> {
    let kept = |place: usize| usize::from(bits).saturating_sub(place * 8).min(8);
    let each = address.iter().enumerate();
    each.map(|(place, octet)| octet & !0xff_u8.checked_shr(kept(place) as u32).unwrap_or(0))
        .collect()
}

/// Takes a decimal number off the front; None without digits or above 255.
fn octet(rest: &mut &[u8]) -> Option<u8> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut value = 0_u16;
    for digit in &rest[..digits] {
        value = value * 10 + u16::from(digit - b'0');
        u8::try_from(value).ok()?;
    }
    *rest = &rest[digits..];
    (digits > 0).then_some(value as u8)
}

/// Reads `/bits` to the end, or nothing where nothing is left.
fn mask_4(rest: &[u8]) -> Option<Option<u8>> {
    let Some((b'/', digits)) = rest.split_first() else {
        return rest.is_empty().then_some(None);
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let bits = digits.iter().fold(0_u32, |bits, digit| {
        bits.saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    });
    u8::try_from(bits).ok().filter(|bits| *bits <= 32).map(Some)
}

/// `a.b.c.d` and a mask, which may leave octets out (inet_net_pton_ipv4).
fn host_4(text: &[u8]) -> Option<(Vec<u8>, u8)> {
    let mut rest = text;
    let mut address = Vec::with_capacity(4);
    while rest.first().is_some_and(u8::is_ascii_digit) {
        let next = octet(&mut rest)?;
        if address.len() == 4 {
            return None;
        }
        address.push(next);
        match rest.first() {
            Some(b'.') => rest = &rest[1..],
            None | Some(b'/') => break,
            Some(_) => return None,
        }
    }
    let bits = match mask_4(rest)? {
        Some(bits) => bits,
        None if address.len() == 4 => 32,
        None => return None,
    };
    if address.is_empty() || usize::from(bits / 8) > address.len() {
        return None;
    }
    address.resize(4, 0);
    Some((address, bits))
}

/// A network of as many octets as are written, its mask by its class where none is (inet_cidr_pton_ipv4).
fn network_4(text: &[u8]) -> Option<(Vec<u8>, u8)> {
    let (mut address, rest) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => octets_in_hex(&text[2..])?,
        _ => octets(text)?,
    };
    let written = u8::try_from(address.len() * 8).ok()?;
    let bits = match mask_4(rest)? {
        Some(bits) => bits,
        None => {
            let class = match address[0] {
                240.. => 32,
                224..240 => 8,
                192..224 => 24,
                128..192 => 16,
                _ => 8,
            };
            match class.max(written) {
                8 if address[0] == 224 => 4,
                bits => bits,
            }
        }
    };
    address.resize(4, 0);
    Some((address, bits))
}

fn octets(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text;
    let mut address = Vec::with_capacity(4);
    loop {
        address.push(octet(&mut rest)?);
        if address.len() > 4 {
            return None;
        }
        match rest.first() {
            Some(b'.') => rest = &rest[1..],
            None | Some(b'/') => return Some((address, rest)),
            Some(_) => return None,
        }
    }
}

fn octets_in_hex(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let count = text
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let (digits, rest) = text.split_at(count);
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0) as u8;
    let address: Vec<u8> = digits
        .chunks(2)
        .map(|pair| nibble(&pair[0]) << 4 | pair.get(1).map_or(0, nibble))
        .collect();
    (address.len() <= 4).then_some((address, rest))
}

/// Reads the send format.
///
/// # Errors
/// 22P03 for another family, length or mask, and a cidr with bits right of its mask; 08P01 for too few bytes.
pub(super) fn receive(bytes: &[u8], kind: Kind) -> Result<Vec<u8>, ValueFault> {
    let malformed = |what: &str| {
        ValueFault::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid {what} in external \"{}\" value", kind.name()),
        )
    };
    let ([family], rest) = front::<1>(bytes)?;
    let size = match family {
        FAMILY_4 => 4,
        FAMILY_6 => 16,
        _ => return Err(malformed("address family")),
    };
    let ([bits], rest) = front::<1>(rest)?;
    if usize::from(bits) > size * 8 {
        return Err(malformed("bits"));
    }
    let ([_mark, length], rest) = front::<2>(rest)?;
    if usize::from(length) != size {
        return Err(malformed("length"));
    }
    let (address, rest) = rest
        .split_at_checked(size)
        .ok_or_else(super::short_message)?;
    if kind == Kind::Cidr && !is_network(address, bits) {
        return Err(malformed("mask"));
    }
    nothing_left(rest).map(|()| canonical(address, bits))
}

/// An inet as a network: the bits right of its mask are cleared, as the assignment cast does (network.c, inet_to_cidr).
///
/// # Errors
/// XX001 when the bytes are no address.
pub(super) fn as_cidr(stored: Vec<u8>) -> Result<Vec<u8>, ValueFault> {
    let (address, bits) = taken_apart(&stored, Kind::Cidr)?;
    Ok(canonical(&masked(address, bits), bits))
}

/// Writes the send format.
///
/// # Errors
/// XX001 when the bytes are no address.
pub(super) fn send(canonical: &[u8], kind: Kind) -> Result<Vec<u8>, ValueFault> {
    let (address, bits) = taken_apart(canonical, kind)?;
    let family = if address.len() == 4 {
        FAMILY_4
    } else {
        FAMILY_6
    };
    let length = address.len() as u8;
    Ok([
        &[family, bits, u8::from(kind == Kind::Cidr), length],
        address,
    ]
    .concat())
}

/// Prints the address; the mask where it is not all of it, and always of a cidr.
///
/// # Errors
/// XX001 when the bytes are no address.
pub(super) fn show(canonical: &[u8], kind: Kind) -> Result<Vec<u8>, ValueFault> {
    let (address, bits) = taken_apart(canonical, kind)?;
    let mut text = match <[u8; 4]>::try_from(address) {
        Ok(address) => address.map(|octet| octet.to_string()).join("."),
        Err(_) => text_6(address),
    };
    if kind == Kind::Cidr || usize::from(bits) != address.len() * 8 {
        text.push_str(&format!("/{bits}"));
    }
    Ok(text.into_bytes())
}

fn taken_apart(canonical: &[u8], kind: Kind) -> Result<(&[u8], u8), ValueFault> {
    match canonical {
        [FAMILY_4, bits @ 0..=32, address @ ..] if address.len() == 4 => Ok((address, *bits)),
        [FAMILY_6, bits @ 0..=128, address @ ..] if address.len() == 16 => Ok((address, *bits)),
        _ => Err(ValueFault::not_canonical(kind.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, kind: Kind) -> String {
        parse(text, kind)
            .and_then(|address| show(&address, kind))
            .map_or_else(
                |fault| fault.sqlstate.0.to_owned(),
                |text| String::from_utf8_lossy(&text).into_owned(),
            )
    }

    #[test]
    fn addresses_are_printed_as_postgresql_prints_them() {
        for (text, inet, cidr) in [
            ("10.1.2.3", "10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/8", "10.1.2.3/8", "22P02"),
            ("10", "22P02", "10.0.0.0/8"),
            ("10.1/16", "10.1.0.0/16", "10.1.0.0/16"),
            ("192.168.1", "22P02", "192.168.1.0/24"),
            ("::1", "::1", "::1/128"),
            ("::", "::", "::/128"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4", "::ffff:1.2.3.4/128"),
            (
                "2001:DB8:0:0:1::/80",
                "2001:db8:0:0:1::/80",
                "2001:db8:0:0:1::/80",
            ),
            ("1:2:3:4:5:6:7:8:9", "22P02", "22P02"),
            ("1::2::3", "22P02", "22P02"),
            ("10.0.0.256", "22P02", "22P02"),
            ("10.0.0.1/33", "22P02", "22P02"),
            ("", "22P02", "22P02"),
        ] {
            assert_eq!(shown(text, Kind::Inet), inet, "{text}");
            assert_eq!(shown(text, Kind::Cidr), cidr, "{text}");
        }
    }

    #[test]
    fn inet_and_cidr_have_one_canonical_form() {
        let network = parse("10.1.0.0/16", Kind::Cidr).expect("a network");
        assert_eq!(parse("10.1.0.0/16", Kind::Inet), Ok(network.clone()));
        let host = parse("10.1.2.3/16", Kind::Inet).expect("a host");
        assert_eq!(as_cidr(host.clone()), Ok(network.clone()));
        let sent = send(&host, Kind::Inet).expect("canonical");
        assert_eq!(receive(&sent, Kind::Inet), Ok(host));
        assert_eq!(
            receive(&sent, Kind::Cidr).map_err(|f| f.sqlstate.0),
            Err("22P03")
        );
        assert_eq!(
            send(&network, Kind::Cidr),
            Ok(vec![2, 16, 1, 4, 10, 1, 0, 0])
        );
    }
}
