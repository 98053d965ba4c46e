//! Backslash escapes: of `E'…'` and of `U&'…'` (manual, 4.1.2.2, 4.1.2.3).
//!
//! What makes no UTF-8, no Unicode character or a NUL is a fault.

use super::{LexFault, Lexer};

impl Lexer<'_> {
    /// One escape of `E'…'`, from behind its backslash.
    pub(super) fn escape(&mut self, start: usize, bytes: &mut Vec<u8>) -> Result<(), LexFault> {
        let byte = self.peek(0);
        self.at += 1;
        match byte {
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'0'..=b'7' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    if matches!(self.peek(0), b'0'..=b'7') {
                        value = value * 8 + u32::from(self.peek(0) - b'0');
                        self.at += 1;
                    }
                }
                bytes.push((value & 0xff) as u8);
            }
            b'x' if self.peek(0).is_ascii_hexdigit() => {
                let value = self.hex_digits(1, 2);
                bytes.push((value & 0xff) as u8);
            }
            b'u' | b'U' => {
                let digits = if byte == b'u' { 4 } else { 8 };
                let unit = self.hex_exact(start, digits)?;
                self.push_unit(start, unit, bytes)?;
            }
            _ if self.at > self.bytes.len() => return self.fault(start, "an unterminated string"),
            other => bytes.push(other),
        }
        Ok(())
    }

    /// A `\u` unit; a high surrogate takes the low one that must follow.
    fn push_unit(&mut self, start: usize, unit: u32, bytes: &mut Vec<u8>) -> Result<(), LexFault> {
        let code = if (0xd800..0xdc00).contains(&unit) {
            if self.peek(0) != b'\\' || !matches!(self.peek(1), b'u' | b'U') {
                return self.fault(start, "half a surrogate pair");
            }
            let digits = if self.peek(1) == b'u' { 4 } else { 8 };
            self.at += 2;
            let low = self.hex_exact(start, digits)?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.fault(start, "half a surrogate pair");
            }
            0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
        } else {
            unit
        };
        match char::from_u32(code) {
            Some(c) if c != '\0' => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(())
            }
            _ => self.fault(start, "an invalid Unicode escape"),
        }
    }

    fn hex_digits(&mut self, least: usize, most: usize) -> u32 {
        let mut value = 0;
        for count in 0..most {
            let Some(digit) = (self.peek(0) as char).to_digit(16) else {
                debug_assert!(count >= least);
                break;
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        value
    }

    fn hex_exact(&mut self, start: usize, digits: usize) -> Result<u32, LexFault> {
        if (0..digits).all(|i| self.peek(i).is_ascii_hexdigit()) {
            Ok(self.hex_digits(digits, digits))
        } else {
            self.fault(start, "an invalid Unicode escape")
        }
    }

    /// The text of `U&'…'`, its escapes resolved.
    pub(super) fn unicode_escapes(&self, start: usize, raw: &str) -> Result<String, LexFault> {
        let mut units = Vec::new();
        let mut rest = raw;
        while let Some(at) = rest.find('\\') {
            units.extend(rest[..at].encode_utf16());
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('\\') {
                units.push(u16::from(b'\\'));
                rest = after;
                continue;
            }
            let (digits, skip) = if tail.starts_with('+') {
                (6, 1)
            } else {
                (4, 0)
            };
            let code = tail
                .get(skip..skip + digits)
                .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .filter(|&code| code != 0 && code <= 0x10_ffff);
            let Some(code) = code else {
                return self.fault(start, "an invalid Unicode escape");
            };
            match (u16::try_from(code), char::from_u32(code)) {
                (Ok(unit), _) => units.push(unit),
                (Err(_), Some(c)) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
                (Err(_), None) => return self.fault(start, "an invalid Unicode escape"),
            }
            rest = &tail[skip + digits..];
        }
        units.extend(rest.encode_utf16());
        String::from_utf16(&units).or_else(|_| self.fault(start, "half a surrogate pair"))
    }
}
