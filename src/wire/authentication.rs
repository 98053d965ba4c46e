//! The messages of authentication: what pgveil sends its clients, and reads from the server.
//!
//! Source: PostgreSQL manual, "Message Formats" (Authentication*, SASLInitialResponse, SASLResponse). Pure; it
//! knows nothing of what the mechanisms mean.

use bytes::{BufMut as _, BytesMut};

use super::md5::SALT_BYTES;
use super::message::{MessageFault, Reader, put_string, write_frame};

/// AuthenticationOk, a whole frame.
pub const AUTHENTICATION_OK: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

const OK: u32 = 0;
const CLEARTEXT_PASSWORD: u32 = 3;
const MD5_PASSWORD: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// What a server asks for, or says, about authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// it is satisfied
    Ok,
    /// the password as it is
    Cleartext,
    /// md5 with this salt
    Md5([u8; SALT_BYTES]),
    /// SASL with one of these mechanisms
    Sasl(Vec<&'a [u8]>),
    /// a SASL challenge
    SaslContinue(&'a [u8]),
    /// the SASL outcome
    SaslFinal(&'a [u8]),
    /// a method pgveil cannot serve, by its code
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Reads the body of an `R` message.
    ///
    /// # Errors
    /// [`MessageFault`] when it is not well-formed.
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        match reader.u32()? {
            OK => reader.end().map(|()| Self::Ok),
            CLEARTEXT_PASSWORD => reader.end().map(|()| Self::Cleartext),
            MD5_PASSWORD => {
                let salt = reader.rest().try_into();
                salt.map(Self::Md5).map_err(|_| MessageFault::Truncated)
            }
            SASL => {
                let mut mechanisms = Vec::new();
                loop {
                    match reader.string()? {
                        b"" => return reader.end().map(|()| Self::Sasl(mechanisms)),
                        mechanism => mechanisms.push(mechanism),
                    }
                }
            }
            SASL_CONTINUE => Ok(Self::SaslContinue(reader.rest())),
            SASL_FINAL => Ok(Self::SaslFinal(reader.rest())),
            other => Ok(Self::Other(other)),
        }
    }
}

/// The name of an authentication method by its code, for messages to people.
pub fn method_name(code: u32) -> &'static str {
    match code {
        2 => "Kerberos V5",
        7 | 8 => "GSSAPI",
        9 => "SSPI",
        _ => "unknown",
    }
}

/// Appends AuthenticationCleartextPassword.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_cleartext(out: &mut BytesMut) -> Result<(), MessageFault> {
    write_frame(out, b'R', |out| {
        out.put_u32(CLEARTEXT_PASSWORD);
        Ok(())
    })
}

/// Appends AuthenticationMD5Password.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_md5(out: &mut BytesMut, salt: [u8; SALT_BYTES]) -> Result<(), MessageFault> {
    write_frame(out, b'R', |out| {
        out.put_u32(MD5_PASSWORD);
        out.put_slice(&salt);
        Ok(())
    })
}

/// Reads a PasswordMessage.
///
/// # Errors
/// [`MessageFault`] when it is not one string.
pub fn password(body: &[u8]) -> Result<&[u8], MessageFault> {
    let mut reader = Reader::new(body);
    let found = reader.string()?;
    reader.end().map(|()| found)
}

/// Appends a PasswordMessage.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_password(out: &mut BytesMut, password: &[u8]) -> Result<(), MessageFault> {
    write_frame(out, b'p', |out| {
        put_string(out, password);
        Ok(())
    })
}

/// Appends AuthenticationSASL with these mechanisms, the best one first.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_sasl(out: &mut BytesMut, mechanisms: &[&str]) -> Result<(), MessageFault> {
    write_frame(out, b'R', |out| {
        out.put_u32(SASL);
        for mechanism in mechanisms {
            put_string(out, mechanism.as_bytes());
        }
        out.put_u8(0);
        Ok(())
    })
}

/// Appends AuthenticationSASLContinue.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_sasl_continue(out: &mut BytesMut, data: &[u8]) -> Result<(), MessageFault> {
    put_sasl_data(out, SASL_CONTINUE, data)
}

/// Appends AuthenticationSASLFinal.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_sasl_final(out: &mut BytesMut, data: &[u8]) -> Result<(), MessageFault> {
    put_sasl_data(out, SASL_FINAL, data)
}

fn put_sasl_data(out: &mut BytesMut, code: u32, data: &[u8]) -> Result<(), MessageFault> {
    write_frame(out, b'R', |out| {
        out.put_u32(code);
        out.put_slice(data);
        Ok(())
    })
}

/// Reads a SASLInitialResponse: the mechanism and its first data, None where there is none.
///
/// # Errors
/// [`MessageFault`] when it is not well-formed.
pub fn sasl_initial_response(body: &[u8]) -> Result<(&[u8], Option<&[u8]>), MessageFault> {
    let mut reader = Reader::new(body);
    let found = (reader.string()?, reader.value()?);
    reader.end().map(|()| found)
}

/// Appends a SASLInitialResponse.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_sasl_initial_response(
    out: &mut BytesMut,
    mechanism: &str,
    data: &[u8],
) -> Result<(), MessageFault> {
    write_frame(out, b'p', |out| {
        put_string(out, mechanism.as_bytes());
        super::message::put_value(out, Some(data))
    })
}

/// Appends a SASLResponse.
///
/// # Errors
/// [`MessageFault::TooLong`] never in practice.
pub fn put_sasl_response(out: &mut BytesMut, data: &[u8]) -> Result<(), MessageFault> {
    write_frame(out, b'p', |out| {
        out.put_slice(data);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = BytesMut::new();
        put_sasl(&mut out, &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]).unwrap();
        let read = Authentication::read(&out[5..]).unwrap();
        assert_eq!(
            read,
            Authentication::Sasl(vec![b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256"])
        );
        let mut out = BytesMut::new();
        put_sasl_initial_response(&mut out, "X", b"data").unwrap();
        let read = sasl_initial_response(&out[5..]).unwrap();
        assert_eq!(read, (&b"X"[..], Some(&b"data"[..])));
        assert_eq!(
            Authentication::read(&AUTHENTICATION_OK[5..]),
            Ok(Authentication::Ok)
        );
    }

    #[test]
    fn malformed_messages_are_faults() {
        assert!(Authentication::read(b"\0\0").is_err());
        assert!(Authentication::read(b"\0\0\0\0x").is_err());
        assert!(Authentication::read(b"\0\0\0\x0aSCRAM").is_err());
        assert!(sasl_initial_response(b"X\0\0\0\0\x09a").is_err());
        assert!(sasl_initial_response(b"X").is_err());
        assert_eq!(
            sasl_initial_response(b"X\0\xff\xff\xff\xff"),
            Ok((&b"X"[..], None))
        );
    }
}
