//! The session core over frames in memory: a fake server on one side, scripted clients on the other.

pub(crate) mod fake;
mod records;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::ident::{AttributeName, DomainName, RelationName};
use crate::policy::decide::{Show, Store, Treated};
use crate::statement::plan::{Piece, Shape, StatementPlan};
use crate::types::LogicalType;
use crate::wire::client::{FLUSH, SYNC, write_bind, write_parse, write_query};
use crate::wire::frame::{Sender, head};
use crate::wire::message::{put_string, write_frame};
use crate::wire::upstream::Report;
use fake::{Fake, OPENED, SEALED};

/// A veil over the fake server's language: `touched N` becomes `sealed N`, `refused` is refused.
pub(crate) struct Stub {
    pub version: u64,
    /// what `touched` becomes
    pub plan: bool,
}

fn treated() -> Arc<Treated> {
    Arc::new(Treated {
        name: AttributeName::new(RelationName::new("public", "t"), "c"),
        relation_oid: SEALED.0,
        attnum: SEALED.1,
        logical: LogicalType::Text,
        store: Store::Encrypt {
            search: BTreeSet::new(),
        },
        domain: DomainName::new("d"),
        domain_is_own: true,
        not_ready: None,
        sight: BTreeMap::new(),
    })
}

fn plan(text: &str) -> Plan {
    let mut parameters = Vec::new();
    let statements = text.split(';').map(str::trim).map(|part| {
        if part.starts_with("take") {
            parameters = vec![ParameterPlan {
                number: 1,
                attribute: treated(),
                shape: Shape::Value,
                cast: None,
                assigned: true,
                listed: Arc::default(),
                token: None,
            }];
        }
        StatementPlan {
            kind: "SELECT",
            columns: part.starts_with("touched").then(|| {
                vec![ColumnPlan::Open {
                    attribute: treated(),
                    show: Show::Plain,
                }]
            }),
            relations: match part.starts_with("touched") || part.starts_with("take") {
                true => vec![RelationName::new("public", "t")],
                false => Vec::new(),
            },
        }
    });
    Plan {
        statements: statements.collect(),
        pieces: vec![Piece::Text(text.replace("touched", "sealed"))],
        parameters,
        audit_text: "audit".to_owned(),
    }
}

impl Veil for Stub {
    fn version(&self) -> u64 {
        self.version
    }

    fn is_relation(&self, name: &str) -> bool {
        name == "t"
    }

    fn analyse(&self, text: &str, lexing: Lexing) -> (Outcome, Option<u64>) {
        let hidden = text.contains('\\') && !lexing.standard_conforming_strings;
        let planned = text.contains("touched") || text.contains("take") || hidden;
        let outcome = if text.contains("refused") {
            Outcome::Refused(Refusal {
                sqlstate: SqlState("42601"),
                message: "refused".to_owned(),
                hint: String::new(),
                position: None,
                reason: "policy",
            })
        } else if self.plan && planned {
            Outcome::Plan(Arc::new(plan(text)))
        } else {
            Outcome::Untouched
        };
        (outcome, None)
    }

    fn redact(&self, _: &str) -> String {
        "redacted".to_owned()
    }

    fn fill(&self, plan: &Plan, _: &TextSettings) -> Result<String, Refusal> {
        let text = plan.pieces().iter().map(|p| match p {
            Piece::Text(text) => text.as_str(),
            Piece::Slot(_) => "?",
        });
        Ok(text.collect())
    }

    fn fill_parameter(
        &self,
        _: &ParameterPlan,
        given: Given<'_>,
        _: &TextSettings,
    ) -> Result<Filled, Refusal> {
        Ok(Filled {
            format: 1,
            value: given.value.to_ascii_uppercase(),
        })
    }

    fn parameter_types(&self, _: &ParameterPlan, _: &[u32]) -> ParameterTypes {
        ParameterTypes {
            declared: Some(SEALED.2),
            shown: OPENED,
        }
    }

    fn column_type(&self, _: &Treated) -> ShownType {
        ShownType {
            oid: OPENED,
            typlen: -1,
            typmod: -1,
        }
    }

    fn show(
        &self,
        _: &ColumnPlan,
        formats: Formats,
        _: &TextSettings,
        stored: &[u8],
    ) -> Result<Option<Vec<u8>>, ShowFault> {
        let sealed = match formats.stored {
            1 => stored.to_vec(),
            _ => hex::decode(&stored[2..]).unwrap(),
        };
        Ok(Some(sealed.to_ascii_lowercase()))
    }

    fn guards(&self, relation_oid: u32, attnum: i16) -> bool {
        (relation_oid, attnum) == (SEALED.0, SEALED.1)
    }

    fn sees_everything(&self) -> bool {
        true
    }

    fn mentions(&self, _: &str, _: Lexing) -> bool {
        false
    }

    fn sees_plain(&self, _: &[RelationName]) -> bool {
        true
    }
}

/// A session between a script and a fake server.
struct Bench {
    session: Session<Stub>,
    fake: Fake,
    client: BytesMut,
    upstream: BytesMut,
    /// what the client has received
    received: Vec<u8>,
    sent_upstream: Vec<u8>,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        let stub = Stub {
            version: 1,
            plan: true,
        };
        Self {
            session: Session::new(Arc::new(stub), Settings::default(), Allowed::default()),
            fake: Fake::default(),
            client: BytesMut::new(),
            upstream: BytesMut::new(),
            received: Vec::new(),
            sent_upstream: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The client's bytes arrive.
    fn client(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
        self.session.client(&mut self.client, Instant::now());
        self.take();
    }

    /// At most `n` bytes of the server arrive; whether there were any.
    fn server(&mut self, n: usize, input: &mut BytesMut) -> bool {
        let sent = self.session.to_upstream().split();
        self.sent_upstream.extend_from_slice(&sent);
        self.upstream.extend_from_slice(&self.fake.feed(&sent));
        let n = n.min(self.upstream.len());
        input.extend_from_slice(&self.upstream.split_to(n));
        self.session.upstream(input, Instant::now());
        if !self.client.is_empty() {
            self.session.client(&mut self.client, Instant::now());
        }
        self.take();
        n > 0 || !self.session.to_upstream().is_empty()
    }

    fn take(&mut self) {
        let out = self.session.to_client().split();
        self.received.extend_from_slice(&out);
        self.events.append(self.session.events());
    }

    /// Everything runs until nothing moves.
    fn settle(&mut self, chunk: usize) {
        let mut input = BytesMut::new();
        while self.server(chunk, &mut input) {}
        assert!(input.is_empty() || self.session.end().is_some());
    }

    fn run(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.client(bytes);
        self.settle(usize::MAX);
        std::mem::take(&mut self.received)
    }

    fn endings(&self) -> Vec<Ending> {
        let ends = self.events.iter().filter_map(|e| match e {
            Event::End(end) => Some(end.ending),
            Event::Begin(_) => None,
        });
        ends.collect()
    }
}

pub(crate) fn q(text: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_query(&mut out, text.as_bytes()).unwrap();
    out.to_vec()
}

fn p(name: &str, text: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_parse(&mut out, name.as_bytes(), text.as_bytes(), &[]).unwrap();
    out.to_vec()
}

fn b(portal: &str, name: &str, values: &[&str]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let values: Vec<Option<&[u8]>> = values.iter().map(|v| Some(v.as_bytes())).collect();
    let names = (portal.as_bytes(), name.as_bytes());
    write_bind(&mut out, names, (&[], values.into_iter()), &[]).unwrap();
    out.to_vec()
}

fn target(tag: u8, kind: u8, name: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_frame(&mut out, tag, |out| {
        out.put_u8(kind);
        put_string(out, name.as_bytes());
        Ok(())
    })
    .unwrap();
    out.to_vec()
}

fn e(portal: &str, rows: i32) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_frame(&mut out, b'E', |out| {
        put_string(out, portal.as_bytes());
        out.put_i32(rows);
        Ok(())
    })
    .unwrap();
    out.to_vec()
}

pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    write_frame(&mut out, tag, |out| {
        out.put_slice(body);
        Ok(())
    })
    .unwrap();
    out.to_vec()
}

/// The type bytes of the frames in a stream.
pub(crate) fn tags(mut bytes: &[u8]) -> String {
    let mut found = String::new();
    while let Some(head) = head(bytes, Sender::Upstream).unwrap() {
        found.push(char::from(head.tag));
        bytes = &bytes[head.frame_bytes..];
    }
    assert!(bytes.is_empty());
    found
}

pub(crate) fn errors(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(head) = head(bytes, Sender::Upstream).unwrap() {
        if head.tag == b'E' {
            let report = Report::read(&bytes[5..head.frame_bytes]).unwrap();
            let text = |c| String::from_utf8_lossy(report.field(c).unwrap()).into_owned();
            found.push(format!("{} {} {}", text(b'S'), text(b'C'), text(b'M')));
        }
        bytes = &bytes[head.frame_bytes..];
    }
    found
}
