//! A server in memory that keeps PostgreSQL's order of replies: skipping until Sync, names, row limits, COPY.
//!
//! Texts are its own small language: `rows N`, `sealed N`, `fail`, `late`, `copyin`, `copyout`, `off`, `take $1`,
//! `commit` (a notice and an error that quote a value).

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use crate::wire::client::{self, Bind, Execute, Parse, Target};
use crate::wire::frame::{Sender, head};
use crate::wire::message::{put_string, put_value, write_frame};
use crate::wire::upstream::{Field, put_ready_for_query, write_report, write_row_description};

/// How sealed values look: the value's letters, upper case.
pub const SEALED: (u32, i16, u32) = (100, 1, 17);
/// How they look opened.
pub const OPENED: u32 = 25;

#[derive(Default)]
pub struct Fake {
    input: BytesMut,
    held: BytesMut,
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, (String, u64)>,
    skipping: bool,
    pub in_transaction: bool,
    copying: Option<bool>,
    failed: bool,
    pub texts: Vec<String>,
    pub values: Vec<Vec<u8>>,
    /// answers as a database without seals would: `touched` and `refused` texts are known
    pub plain: bool,
    scs_off: bool,
    scs_reported: bool,
}

type Reply = Result<(), &'static str>;

impl Fake {
    /// A database without seals.
    pub fn plain() -> Self {
        Self {
            plain: true,
            ..Self::default()
        }
    }

    /// Takes bytes, answers bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> BytesMut {
        self.input.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while let Some(head) = head(&self.input, Sender::Client).unwrap() {
            if self.input.len() < head.frame_bytes {
                break;
            }
            let frame = self.input.split_to(head.frame_bytes);
            self.frame(head.tag, &frame[5..], &mut out);
            if std::mem::take(&mut self.failed) {
                // An error is sent at once (`send_message_to_frontend` in elog.c).
                out.extend_from_slice(&self.held.split());
            }
        }
        out
    }

    fn frame(&mut self, tag: u8, body: &[u8], out: &mut BytesMut) {
        if let Some(simple) = self.copying {
            match tag {
                b'd' | b'S' | b'H' => return,
                b'c' => {
                    self.copying = None;
                    self.complete("COPY 1");
                    if simple {
                        self.ready(out);
                    }
                    return;
                }
                _ => {
                    self.copying = None;
                    self.report("57014", "copy failed");
                    if simple {
                        self.ready(out);
                    } else {
                        self.skipping = true;
                    }
                    return;
                }
            }
        }
        if tag == b'S' {
            self.skipping = false;
            self.ready(out);
            return;
        }
        if self.skipping || matches!(tag, b'd' | b'c' | b'f' | b'X') {
            return;
        }
        if tag == b'H' {
            out.extend_from_slice(&self.held.split());
            return;
        }
        if tag == b'Q' {
            self.statements.remove(&b""[..]);
            self.portals.remove(&b""[..]);
            self.query(body, out);
            return;
        }
        let done = match tag {
            b'P' => self.parse(body),
            b'B' => self.bind(body),
            b'D' => self.describe(body),
            b'E' => self.execute(body, out),
            b'C' => {
                match Target::read(body).unwrap() {
                    Target::Statement(name) => self.statements.remove(name).map(|_| ()),
                    Target::Portal(name) => self.portals.remove(name).map(|_| ()),
                };
                self.put(b'3', b"");
                Ok(())
            }
            other => panic!("message {other}"),
        };
        if let Err(message) = done {
            self.report("42601", message);
            self.skipping = true;
        }
    }

    fn put(&mut self, tag: u8, body: &[u8]) {
        write_frame(&mut self.held, tag, |out| {
            out.put_slice(body);
            Ok(())
        })
        .unwrap();
    }

    fn report(&mut self, code: &str, message: &str) {
        let fields: &[(u8, &[u8])] = &[
            (b'S', b"ERROR"),
            (b'V', b"ERROR"),
            (b'C', code.as_bytes()),
            (b'M', message.as_bytes()),
        ];
        write_report(&mut self.held, b'E', fields).unwrap();
        self.failed = true;
    }

    fn ready(&mut self, out: &mut BytesMut) {
        if self.scs_off != self.scs_reported {
            self.scs_reported = self.scs_off;
            write_frame(&mut self.held, b'S', |out| {
                put_string(out, b"standard_conforming_strings");
                put_string(out, if self.scs_off { b"off" } else { b"on" });
                Ok(())
            })
            .unwrap();
        }
        self.portals.clear();
        put_ready_for_query(
            &mut self.held,
            if self.in_transaction { b'T' } else { b'I' },
        );
        out.extend_from_slice(&self.held.split());
    }

    fn complete(&mut self, tag: &str) {
        self.put(b'C', format!("{tag}\0").as_bytes());
    }

    fn query(&mut self, body: &[u8], out: &mut BytesMut) {
        let text = String::from_utf8(client::query(body).unwrap().to_vec()).unwrap();
        self.texts.push(text.clone());
        if text.trim().is_empty() {
            self.put(b'I', b"");
            self.ready(out);
            return;
        }
        if self.plain && text.contains("refused") {
            self.report("42601", "refused");
            self.ready(out);
            return;
        }
        for statement in text.split(';').map(str::trim) {
            let ran = self.check(statement).and_then(|()| {
                self.describe_text(statement, 0, true);
                self.run(statement, 0, (0, 0), out)
            });
            match ran {
                Ok(_) if self.copying.is_some() => {
                    self.copying = Some(true);
                    return;
                }
                Ok(_) => {}
                Err(message) => {
                    self.report("42601", message);
                    break;
                }
            }
        }
        self.ready(out);
    }

    /// Faults that the parser finds.
    fn check(&mut self, text: &str) -> Reply {
        let word = text.split(' ').next().unwrap_or_default();
        match word {
            "refused" if self.plain => Err("refused"),
            "touched" if self.plain => Ok(()),
            "rows" | "sealed" | "late" | "copyin" | "copyout" | "off" | "take" | "commit" | "" => {
                Ok(())
            }
            "fail" => Err("fail"),
            _ => Err("syntax error"),
        }
    }

    fn parse(&mut self, body: &[u8]) -> Reply {
        let parse = Parse::read(body).unwrap();
        let text = String::from_utf8(parse.text.to_vec()).unwrap();
        self.texts.push(text.clone());
        if parse.statement.is_empty() {
            self.statements.remove(&b""[..]);
        }
        self.check(&text)?;
        if self.statements.contains_key(parse.statement) {
            return Err("prepared statement already exists");
        }
        self.statements.insert(parse.statement.to_vec(), text);
        self.put(b'1', b"");
        Ok(())
    }

    fn bind(&mut self, body: &[u8]) -> Reply {
        let bind = Bind::read(body).unwrap();
        let text = self.statements.get(bind.statement).cloned();
        let text = text.ok_or("no such statement")?;
        self.values
            .extend(bind.values().flatten().map(<[u8]>::to_vec));
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err("portal exists");
        }
        self.portals.insert(bind.portal.to_vec(), (text, 0));
        self.put(b'2', b"");
        Ok(())
    }

    fn describe(&mut self, body: &[u8]) -> Reply {
        match Target::read(body).unwrap() {
            Target::Statement(name) => {
                let text = self
                    .statements
                    .get(name)
                    .cloned()
                    .ok_or("no such statement")?;
                self.put(b't', &[0, 0]);
                self.describe_text(&text, 0, false);
            }
            Target::Portal(name) => {
                let (text, _) = self.portals.get(name).cloned().ok_or("no such portal")?;
                let format = i16::from(text.starts_with("sealed"));
                self.describe_text(&text, format, false);
            }
        }
        Ok(())
    }

    fn describe_text(&mut self, text: &str, format: i16, simple: bool) {
        let mut field = Field {
            name: b"c",
            table_oid: 0,
            attnum: 0,
            type_oid: OPENED,
            typlen: -1,
            typmod: -1,
            format,
        };
        match text.split(' ').next().unwrap_or_default() {
            "sealed" => {
                (field.table_oid, field.attnum, field.type_oid) = SEALED;
            }
            "touched" => (field.table_oid, field.attnum) = (SEALED.0, SEALED.1),
            "rows" | "late" => {}
            _ if simple => return,
            _ => return self.put(b'n', b""),
        }
        write_row_description(&mut self.held, &[field]).unwrap();
    }

    fn execute(&mut self, body: &[u8], out: &mut BytesMut) -> Reply {
        let execute = Execute::read(body).unwrap();
        let (text, at) = self
            .portals
            .get(execute.portal)
            .cloned()
            .ok_or("no such portal")?;
        let limit = u64::try_from(execute.rows_max).unwrap_or(0);
        let format = i16::from(text.starts_with("sealed"));
        let at = self.run(&text, format, (at, limit), out)?;
        self.portals.insert(execute.portal.to_vec(), (text, at));
        Ok(())
    }

    /// Runs a text; answers the row it stopped at.
    fn run(
        &mut self,
        text: &str,
        format: i16,
        (from, limit): (u64, u64),
        out: &mut BytesMut,
    ) -> Result<u64, &'static str> {
        let mut words = text.split(' ');
        let word = words.next().unwrap_or_default();
        let count: u64 = words.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        match word {
            "rows" | "sealed" | "touched" => {
                let end = if limit == 0 {
                    count
                } else {
                    count.min(from + limit)
                };
                for row in from..end {
                    self.row(word, row, format);
                }
                if limit > 0 && end - from == limit {
                    self.put(b's', b"");
                } else {
                    self.complete(&format!("SELECT {}", end - from));
                }
                return Ok(end);
            }
            "late" => {
                self.row("rows", 0, 0);
                return Err("late");
            }
            "copyin" => {
                self.put(b'G', &[0, 0, 0]);
                out.extend_from_slice(&self.held.split());
                self.copying = Some(false);
            }
            "copyout" => {
                self.put(b'H', &[0, 0, 0]);
                self.put(b'd', b"line\n");
                self.put(b'c', b"");
                self.complete("COPY 1");
            }
            "off" => {
                self.scs_off = true;
                self.complete("SET");
            }
            "" => self.put(b'I', b""),
            "commit" => {
                let fields: &[(u8, &[u8])] = &[
                    (b'S', b"ERROR"),
                    (b'C', b"23505"),
                    (
                        b'M',
                        b"duplicate key value violates unique constraint \"k\"",
                    ),
                    (b'D', b"Key (c)=(secret) already exists."),
                    (b'n', b"k"),
                ];
                write_report(&mut self.held, b'N', fields).unwrap();
                write_report(&mut self.held, b'E', fields).unwrap();
                self.failed = true;
            }
            _ => self.complete("INSERT 0 1"),
        }
        Ok(0)
    }

    fn row(&mut self, word: &str, row: u64, format: i16) {
        let plain = format!("value{row}");
        let stored = match (word, format) {
            ("sealed", 1) => plain.to_uppercase().into_bytes(),
            ("sealed", _) => format!("\\x{}", hex::encode(plain.to_uppercase())).into_bytes(),
            _ => plain.into_bytes(),
        };
        write_frame(&mut self.held, b'D', |out| {
            out.put_u16(1);
            put_value(out, Some(&stored))
        })
        .unwrap();
    }
}
