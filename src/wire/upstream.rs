//! What a server's messages hold after login, as far as pgveil looks into them; and how they are written anew.
//!
//! Source: PostgreSQL manual, "Message Formats" and "Error and Notice Message Fields". The server is not
//! trusted: each reader checks counts and lengths to the last byte.

use bytes::{BufMut, BytesMut};

use super::message::{MessageFault, Reader, put_count, put_string, write_frame};
use crate::ident::SqlState;

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// the column's name
    pub name: &'a [u8],
    /// the relation it is a bare column of, or 0
    pub table_oid: u32,
    /// its attribute number there, or 0
    pub attnum: i16,
    /// its type
    pub type_oid: u32,
    /// `pg_type.typlen`
    pub typlen: i16,
    /// the type modifier, -1 for none
    pub typmod: i32,
    /// 0 text, 1 binary
    pub format: i16,
}

/// A RowDescription's columns.
#[derive(Debug, Clone, Copy)]
pub struct RowDescription<'a> {
    /// how many columns
    pub count: usize,
    fields: Reader<'a>,
}

impl<'a> RowDescription<'a> {
    /// Reads a body, all of it.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let count = reader.count()?;
        let fields = reader;
        for _ in 0..count {
            field(&mut reader)?;
        }
        reader.end()?;
        Ok(Self { count, fields })
    }

    /// The columns in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + 'a {
        let mut reader = self.fields;
        // `read` walked every one of them already, so none is lost to `ok`.
        (0..self.count).filter_map(move |_| field(&mut reader).ok())
    }
}

fn field<'a>(reader: &mut Reader<'a>) -> Result<Field<'a>, MessageFault> {
    Ok(Field {
        name: reader.string()?,
        table_oid: reader.u32()?,
        attnum: reader.i16()?,
        type_oid: reader.u32()?,
        typlen: reader.i16()?,
        typmod: reader.i32()?,
        format: reader.i16()?,
    })
}

/// Writes a RowDescription.
///
/// # Errors
/// [`MessageFault`] when it grows too long.
pub fn write_row_description(out: &mut BytesMut, fields: &[Field<'_>]) -> Result<(), MessageFault> {
    write_frame(out, b'T', |out| {
        put_count(out, fields.len())?;
        for field in fields {
            put_string(out, field.name);
            out.put_u32(field.table_oid);
            out.put_i16(field.attnum);
            out.put_u32(field.type_oid);
            out.put_i16(field.typlen);
            out.put_i32(field.typmod);
            out.put_i16(field.format);
        }
        Ok(())
    })
}

/// A DataRow's values.
#[derive(Debug, Clone, Copy)]
pub struct DataRow<'a> {
    /// how many values are announced
    pub count: usize,
    values: Reader<'a>,
}

impl<'a> DataRow<'a> {
    /// Reads the count; the values are checked as they are taken.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        Ok(Self {
            count: reader.count()?,
            values: reader,
        })
    }

    /// The next value.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, MessageFault> {
        self.values.value()
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// [`MessageFault::Trailing`].
    pub fn end(&self) -> Result<(), MessageFault> {
        self.values.end()
    }
}

/// The parameter types of a ParameterDescription.
///
/// # Errors
/// [`MessageFault`].
pub fn parameter_description(body: &[u8]) -> Result<Vec<u32>, MessageFault> {
    let mut reader = Reader::new(body);
    let count = reader.count()?;
    let oids = reader.bytes(count * 4)?;
    reader.end()?;
    Ok(oids
        .chunks_exact(4)
        .map(|c| u32::from_be_bytes([c[0], c[1], c[2], c[3]]))
        .collect())
}

/// Writes a ParameterDescription.
///
/// # Errors
/// [`MessageFault`] when it grows too long.
pub fn write_parameter_description(out: &mut BytesMut, oids: &[u32]) -> Result<(), MessageFault> {
    write_frame(out, b't', |out| {
        put_count(out, oids.len())?;
        oids.iter().for_each(|&oid| out.put_u32(oid));
        Ok(())
    })
}

/// The tag of a CommandComplete, for example `INSERT 0 1`.
///
/// # Errors
/// [`MessageFault`].
pub fn command_complete(body: &[u8]) -> Result<&[u8], MessageFault> {
    let mut reader = Reader::new(body);
    let tag = reader.string()?;
    reader.end()?;
    Ok(tag)
}

/// The rows a command tag counts (its last word), 0 where it counts none.
pub fn rows_of(tag: &[u8]) -> u64 {
    let digits = tag.rsplit(|&b| b == b' ').next().unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse().ok())
        .unwrap_or(0)
}

/// The transaction status of a ReadyForQuery: `I` idle, `T` in a transaction, `E` in a failed one.
///
/// # Errors
/// [`MessageFault`].
pub fn ready_for_query(body: &[u8]) -> Result<u8, MessageFault> {
    match body {
        [status @ (b'I' | b'T' | b'E')] => Ok(*status),
        [_] => Err(MessageFault::Count),
        [] => Err(MessageFault::Truncated),
        _ => Err(MessageFault::Trailing),
    }
}

/// The name and the value of a ParameterStatus.
///
/// # Errors
/// [`MessageFault`].
pub fn parameter_status(body: &[u8]) -> Result<(&[u8], &[u8]), MessageFault> {
    let mut reader = Reader::new(body);
    let found = (reader.string()?, reader.string()?);
    reader.end()?;
    Ok(found)
}

/// The process number and the secret key of a BackendKeyData (4 bytes in protocol 3.0, up to 256 in 3.2).
///
/// # Errors
/// [`MessageFault`].
pub fn backend_key_data(body: &[u8]) -> Result<(u32, &[u8]), MessageFault> {
    let mut reader = Reader::new(body);
    let process = reader.u32()?;
    match reader.rest() {
        key if (4..=256).contains(&key.len()) => Ok((process, key)),
        _ => Err(MessageFault::Count),
    }
}

/// Writes a BackendKeyData.
///
/// # Errors
/// [`MessageFault::TooLong`].
pub fn write_backend_key_data(
    out: &mut BytesMut,
    process: u32,
    key: &[u8],
) -> Result<(), MessageFault> {
    write_frame(out, b'K', |out| {
        out.put_u32(process);
        out.put_slice(key);
        Ok(())
    })
}

/// Writes a ReadyForQuery of that transaction status.
pub fn put_ready_for_query(out: &mut BytesMut, status: u8) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// The fields of an ErrorResponse or NoticeResponse: a code letter and a text each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report<'a> {
    fields: Vec<(u8, &'a [u8])>,
}

impl<'a> Report<'a> {
    /// Reads a body, all of it.
    ///
    /// # Errors
    /// [`MessageFault`].
    pub fn read(body: &'a [u8]) -> Result<Self, MessageFault> {
        let mut reader = Reader::new(body);
        let mut fields = Vec::with_capacity(8);
        loop {
            match reader.u8()? {
                0 => break,
                code => fields.push((code, reader.string()?)),
            }
        }
        reader.end()?;
        Ok(Self { fields })
    }

    /// The text of that field.
    pub fn field(&self, code: u8) -> Option<&'a [u8]> {
        self.fields.iter().find(|f| f.0 == code).map(|f| f.1)
    }

    /// Whether the server ends the connection with it.
    pub fn is_fatal(&self) -> bool {
        // `V` is never localised; servers before 9.6 do not send it.
        let severity = self.field(b'V').or_else(|| self.field(b'S'));
        matches!(severity, Some(b"FATAL" | b"PANIC"))
    }

    /// The SQLSTATE, `XX000` where it is not five ASCII letters and digits.
    pub fn sqlstate(&self) -> [u8; 5] {
        self.field(b'C')
            .and_then(|c| <[u8; 5]>::try_from(c).ok())
            .filter(|c| c.iter().all(u8::is_ascii_alphanumeric))
            .unwrap_or(*b"XX000")
    }

    /// Whether its message can only quote names and the client's own words: by its SQLSTATE's class, and only
    /// without a context (`W`), which means that code ran whose errors may quote anything.
    pub fn names_only(&self) -> bool {
        const CLASSES: &[&[u8; 2]] = &[
            b"08", b"0A", b"25", b"26", b"34", b"3D", b"3F", b"40", b"42", b"53", b"54", b"55",
            b"57",
        ];
        let sqlstate = self.sqlstate();
        self.field(b'W').is_none() && CLASSES.iter().any(|class| sqlstate.starts_with(*class))
    }

    /// The fields in order.
    pub fn fields(&self) -> &[(u8, &'a [u8])] {
        &self.fields
    }
}

/// Writes an ErrorResponse (`tag` `E`) or NoticeResponse (`N`) of those fields.
///
/// # Errors
/// [`MessageFault::TooLong`].
pub fn write_report(
    out: &mut BytesMut,
    tag: u8,
    fields: &[(u8, &[u8])],
) -> Result<(), MessageFault> {
    write_frame(out, tag, |out| {
        for (code, text) in fields {
            out.put_u8(*code);
            put_string(out, text);
        }
        out.put_u8(0);
        Ok(())
    })
}

/// Appends an ErrorResponse of pgveil's own. `severity` is `ERROR` or `FATAL`; empty texts are left out.
pub fn put_error(
    out: &mut BytesMut,
    severity: &'static str,
    sqlstate: SqlState,
    (message, hint): (&str, &str),
    position: Option<usize>,
) {
    let position = position.map(|p| p.to_string());
    let mut fields: Vec<(u8, &[u8])> = vec![
        (b'S', severity.as_bytes()),
        (b'V', severity.as_bytes()),
        (b'C', sqlstate.0.as_bytes()),
        (b'M', message.as_bytes()),
    ];
    if !hint.is_empty() {
        fields.push((b'H', hint.as_bytes()));
    }
    if let Some(position) = &position {
        fields.push((b'P', position.as_bytes()));
    }
    if write_report(out, b'E', &fields).is_err() {
        // Only texts beyond a gigabyte come here; the client still learns that it failed, and how.
        out.put_slice(b"E\0\0\0\x24SERROR\0VERROR\0CXX000\0Mtoo long\0\0");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_report_is_read_and_written() {
        let mut out = BytesMut::new();
        put_error(
            &mut out,
            "FATAL",
            SqlState::PROTOCOL_VIOLATION,
            ("broken", "mend it"),
            Some(7),
        );
        let report = Report::read(&out[5..]).unwrap();
        assert!(report.is_fatal());
        assert_eq!(&report.sqlstate(), b"08P01");
        assert_eq!(report.field(b'H'), Some(&b"mend it"[..]));
        assert_eq!(report.field(b'P'), Some(&b"7"[..]));
    }

    #[test]
    fn rows_are_the_last_word_of_a_tag() {
        assert_eq!(rows_of(b"INSERT 0 12"), 12);
        assert_eq!(rows_of(b"SELECT 3"), 3);
        assert_eq!(rows_of(b"CREATE TABLE"), 0);
    }

    proptest! {
        #[test]
        fn no_body_makes_a_reader_panic(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = RowDescription::read(&body).map(|r| r.fields().count());
            if let Ok(mut row) = DataRow::read(&body) {
                while row.value().is_ok() {}
            }
            let _ = parameter_description(&body);
            let _ = command_complete(&body);
            let _ = ready_for_query(&body);
            let _ = parameter_status(&body);
            let _ = backend_key_data(&body);
            let _ = Report::read(&body).map(|r| r.sqlstate());
        }
    }
}
