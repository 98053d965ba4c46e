//! What a session's `client_encoding` means for reading a text: pgveil reads UTF-8 only.
//!
//! Source: PostgreSQL manual, 24.3.1 "Supported Character Sets", and `pg_enc` in the server's `pg_wchar.h`. It knows
//! no letters: no text is converted.

/// How far a text in a `client_encoding` can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEncoding {
    /// UTF8: in full
    Utf8,
    /// ASCII, and a letter for each other byte: tokens and ASCII names can be read, as long as different bytes are read
    /// as different letters (which decides where a dollar quote ends)
    SingleByte,
    /// A byte of a letter may look like a quote or a backslash, or two letters become one: nothing but ASCII can be read.
    Other,
}

/// SQL_ASCII is none: the server then takes the bytes as they come.
const SINGLE_BYTE: &[&str] = &[
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "KOI8R",
    "KOI8U",
    "LATIN1",
    "LATIN10",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "SQL_ASCII",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1256",
    "WIN1257",
    "WIN1258",
    "WIN866",
    "WIN874",
];

impl ClientEncoding {
    /// By the name the server reports.
    pub fn named(name: &[u8]) -> Self {
        match name {
            b"UTF8" => Self::Utf8,
            _ if SINGLE_BYTE.iter().any(|safe| safe.as_bytes() == name) => Self::SingleByte,
            _ => Self::Other,
        }
    }
}
