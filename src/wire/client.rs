//! What a client's messages hold after login, as far as pgveil looks into them; and how they are written anew.
//!
//! Source: PostgreSQL manual, "Message Formats". Bodies are borrowed from the frame. What a message does is
//! the session's business.

use bytes::{BufMut, BytesMut};

use super::message::{MessageFault, Reader, put_count, put_string, put_value, write_frame};

/// Sync, whole.
pub const SYNC: &[u8] = b"S\0\0\0\x04";
/// Flush, whole.
pub const FLUSH: &[u8] = b"H\0\0\0\x04";
/// Terminate, whole.
pub const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// The text of a Query.
///
/// # Errors
/// [`MessageFault`] when it is not one NUL-terminated string and nothing else.
pub fn query(body: &[u8]) -> Result<&[u8], MessageFault> {
    let mut reader = Reader::new(body);
    let text = reader.string()?;
    reader.end()?;
    Ok(text)
}

/// That a message has no body.
///
/// # Errors
/// [`MessageFault::Trailing`].
pub fn empty(body: &[u8]) -> Result<(), MessageFault> {
    Reader::new(body).end()
}

/// Writes a Query.
///
/// # Errors
/// [`MessageFault::TooLong`].
pub fn write_query(out: &mut BytesMut, text: &[u8]) -> Result<(), MessageFault> {
    write_frame(out, b'Q', |out| {
        put_string(out, text);
        Ok(())
    })
}

/// A Parse message.
#[derive(Debug, Clone, Copy)]
pub struct Parse<'a> {
    /// the prepared statement's name; empty for the unnamed one
    pub statement: &'a [u8],
    /// the text
    pub text: &'a [u8],
    oids: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let statement = reader.string()?;
        let text = reader.string()?;
        let count = reader.count()?;
        let oids = reader.bytes(count * 4)?;
        reader.end()?;
        Ok(Self {
            statement,
            text,
            oids,
        })
    }

    /// The parameter types the client declared; 0 leaves one to the server.
    pub fn oids(&self) -> impl Iterator<Item = u32> + 'a {
        self.oids
            .chunks_exact(4)
            .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
    }
}

/// Writes a Parse.
///
/// # Errors
/// [`MessageFault`] when it grows too long.
pub fn write_parse(
    out: &mut BytesMut,
    statement: &[u8],
    text: &[u8],
    oids: &[u32],
) -> Result<(), MessageFault> {
    write_frame(out, b'P', |out| {
        put_string(out, statement);
        put_string(out, text);
        put_count(out, oids.len())?;
        for &oid in oids {
            out.put_u32(oid);
        }
        Ok(())
    })
}

/// The format codes of a Bind: none (all text), one (for all), or one each.
#[derive(Debug, Clone, Copy)]
pub struct Formats<'a>(&'a [u8]);

impl<'a> Formats<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageFault> {
        let count = reader.count()?;
        Ok(Self(reader.bytes(count * 2)?))
    }

    /// How many were given.
    pub fn count(&self) -> usize {
        self.0.len() / 2
    }

    /// All that were given.
    pub fn iter(&self) -> impl Iterator<Item = i16> + 'a {
        self.0
            .chunks_exact(2)
            .map(|c| i16::from_be_bytes([c[0], c[1]]))
    }
}

/// The format at `index` (0 text, 1 binary) of codes given as a Bind gives them; None where they say nothing of it.
pub fn format_at(formats: &[i16], index: usize) -> Option<i16> {
    match formats {
        [] => Some(0),
        [all] => Some(*all),
        each => each.get(index).copied(),
    }
}

/// A Bind message.
#[derive(Debug, Clone, Copy)]
pub struct Bind<'a> {
    /// the portal's name; empty for the unnamed one
    pub portal: &'a [u8],
    /// the prepared statement's name
    pub statement: &'a [u8],
    /// the parameters' format codes
    pub formats: Formats<'a>,
    /// how many parameters follow
    pub value_count: usize,
    values: Reader<'a>,
    /// the result columns' format codes
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// Reads a body, all of it.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let portal = reader.string()?;
        let statement = reader.string()?;
        let formats = Formats::read(&mut reader)?;
        let value_count = reader.count()?;
        let values = reader;
        for _ in 0..value_count {
            reader.value()?;
        }
        let result_formats = Formats::read(&mut reader)?;
        reader.end()?;
        Ok(Self {
            portal,
            statement,
            formats,
            value_count,
            values,
            result_formats,
        })
    }

    /// The names only (portal, statement), for a message that goes on as it is.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn names(body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), MessageFault> {
        let mut reader = Reader::new(body);
        Ok((reader.string()?, reader.string()?))
    }

    /// How many parameters it has, for a message that goes on as it is.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn parameter_count(body: &'a [u8]) -> Result<usize, MessageFault> {
        let mut reader = Reader::new(body);
        reader.string()?;
        reader.string()?;
        Formats::read(&mut reader)?;
        reader.count()
    }

    /// The parameters in order.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> + 'a {
        let mut reader = self.values;
        // `read` walked every one of them already, so none is lost to `ok`.
        (0..self.value_count).filter_map(move |_| reader.value().ok())
    }
}

/// Writes a Bind.
///
/// # Errors
/// [`MessageFault`] when it grows too long.
pub fn write_bind<'v>(
    out: &mut BytesMut,
    (portal, statement): (&[u8], &[u8]),
    (formats, values): (&[i16], impl ExactSizeIterator<Item = Option<&'v [u8]>>),
    result_formats: &[i16],
) -> Result<(), MessageFault> {
    write_frame(out, b'B', |out| {
        put_string(out, portal);
        put_string(out, statement);
        put_formats(out, formats)?;
        put_count(out, values.len())?;
        for value in values {
            put_value(out, value)?;
        }
        put_formats(out, result_formats)
    })
}

fn put_formats(out: &mut BytesMut, formats: &[i16]) -> Result<(), MessageFault> {
    put_count(out, formats.len())?;
    for &format in formats {
        out.put_i16(format);
    }
    Ok(())
}

/// What a Describe or a Close names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// the prepared statement of that name
    Statement(&'a [u8]),
    /// the portal of that name
    Portal(&'a [u8]),
}

impl<'a> Target<'a> {
    /// Reads the body of a Describe or a Close.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let kind = reader.u8()?;
        let name = reader.string()?;
        reader.end()?;
        match kind {
            b'S' => Ok(Self::Statement(name)),
            b'P' => Ok(Self::Portal(name)),
            _ => Err(MessageFault::Count),
        }
    }
}

/// Writes a Describe of a portal.
///
/// # Errors
/// [`MessageFault::TooLong`].
pub fn write_describe_portal(out: &mut BytesMut, portal: &[u8]) -> Result<(), MessageFault> {
    write_frame(out, b'D', |out| {
        out.put_u8(b'P');
        put_string(out, portal);
        Ok(())
    })
}

/// An Execute message.
#[derive(Debug, Clone, Copy)]
pub struct Execute<'a> {
    /// the portal's name
    pub portal: &'a [u8],
    /// rows at most; 0 or less for all
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let portal = reader.string()?;
        let rows_max = reader.i32()?;
        reader.end()?;
        Ok(Self { portal, rows_max })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_embedded_nul_does_not_make_two_queries() {
        assert_eq!(query(b"SELECT 1\0"), Ok(&b"SELECT 1"[..]));
        assert_eq!(
            query(b"SELECT 1\0DROP TABLE t\0"),
            Err(MessageFault::Trailing)
        );
        assert_eq!(query(b"SELECT 1"), Err(MessageFault::Truncated));
    }

    #[test]
    fn a_count_that_lies_is_found() {
        assert_eq!(
            Parse::read(b"s\0SELECT $1\0\0\x02\0\0\0\x17").err(),
            Some(MessageFault::Truncated)
        );
        assert_eq!(
            Bind::read(b"\0\0\0\0\0\x01\0\0\0\x05ab\0\0").err(),
            Some(MessageFault::Truncated)
        );
    }

    proptest! {
        #[test]
        fn no_body_makes_a_reader_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = query(&body);
            let _ = Parse::read(&body).map(|p| p.oids().count());
            let _ = Bind::read(&body).map(|b| b.values().count());
            let _ = Bind::names(&body);
            let _ = Target::read(&body);
            let _ = Execute::read(&body);
        }

        #[test]
        fn a_bind_reads_as_it_was_written(
            values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..9),
            formats in prop::collection::vec(0i16..2, 0..9),
        ) {
            let mut out = BytesMut::new();
            let slices: Vec<Option<&[u8]>> = values.iter().map(|v| v.as_deref()).collect();
            write_bind(&mut out, (b"p", b"s"), (&formats, slices.iter().copied()), &[1]).unwrap();
            let bind = Bind::read(&out[5..]).unwrap();
            prop_assert_eq!(bind.portal, b"p");
            prop_assert_eq!(bind.values().collect::<Vec<_>>(), slices);
            prop_assert_eq!(bind.formats.iter().collect::<Vec<_>>(), formats);
            prop_assert_eq!(bind.result_formats.iter().collect::<Vec<_>>(), vec![1]);
        }
    }
}
