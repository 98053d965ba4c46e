//! What an error may say: pgveil's own, and the server's on statements that met treated attributes.
//!
//! Severity, SQLSTATE and the names of objects always stay. Message parts that can carry a value are dropped
//! or replaced. Untouched statements keep the server's bytes and never come here.

use bytes::BytesMut;

use super::rows::Breach;
use crate::ident::SqlState;
use crate::wire::frame::FrameFault;
use crate::wire::message::MessageFault;
use crate::wire::upstream::{Report, write_report};

/// Why a session ends without the client asking for it: a FATAL error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fatal {
    pub sqlstate: SqlState,
    pub message: String,
    pub hint: &'static str,
}

impl Fatal {
    fn new(sqlstate: SqlState, message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            hint,
        }
    }

    /// A client's frame or message that is none.
    pub fn of_client(fault: impl std::fmt::Display) -> Self {
        Self::new(SqlState::PROTOCOL_VIOLATION, fault.to_string(), "")
    }

    /// A message of the server that is none, or is not due.
    pub fn of_upstream() -> Self {
        Self::new(
            SqlState::PROTOCOL_VIOLATION,
            "the server sent a message that breaks the protocol",
            "The connection to the server cannot be trusted any more. Connect again, and look at what \
             answers there.",
        )
    }
}

impl From<FrameFault> for Fatal {
    fn from(fault: FrameFault) -> Self {
        Self::of_client(fault)
    }
}

impl From<MessageFault> for Fatal {
    fn from(fault: MessageFault) -> Self {
        Self::of_client(fault)
    }
}

impl From<Breach> for Fatal {
    fn from(breach: Breach) -> Self {
        match breach {
            Breach::Violation => Self::of_upstream(),
            Breach::Unexpected => Self::new(
                SqlState::INTERNAL_ERROR,
                "the result holds a protected column that the analysis of the statement did not expect",
                "pgveil stopped the result before any row was shown. If the table was altered, \
                 prepare the statement again; otherwise report the statement to pgveil's developers.",
            ),
            Breach::Show(fault) => Self::new(
                fault.sqlstate,
                fault.message,
                "The stored value is not what pgveil sealed for this column. Ask the DBA to run \
                 `pgveil check --data`.",
            ),
        }
    }
}

/// What is known of the statement that an error of the server belongs to.
pub(super) struct Touched<'a> {
    /// what the client sent
    pub text: &'a str,
    /// what was sent in its place
    pub sent: &'a str,
    /// whether the role sees everything plain that the statement names
    pub sees_plain: bool,
}

/// The fields that hold no value: severities, SQLSTATE, the names of objects, places in the server's source.
/// Detail, context, internal query and its position can each quote values.
const KEPT_FIELDS: &[u8] = b"SVCstcdnFLR";

/// Writes the server's report (`tag` `E` or `N`) as the client may see it: a notice that may quote a value not at
/// all.
///
/// # Errors
/// [`MessageFault::TooLong`].
pub(super) fn write_touched(
    report: &Report<'_>,
    tag: u8,
    touched: &Touched<'_>,
    out: &mut BytesMut,
) -> Result<(), MessageFault> {
    let message = report.field(b'M').unwrap_or_default();
    let keeps = match touched.sees_plain {
        true => !holds_sealed(message),
        false => report.names_only(),
    };
    if tag == b'N' && !keeps {
        return Ok(());
    }
    let message = match keeps {
        true => message.to_vec(),
        false => generic_message(report).into_bytes(),
    };
    let position = report
        .field(b'P')
        .and_then(|p| std::str::from_utf8(p).ok()?.parse().ok())
        .and_then(|p| map_position(p, touched))
        .map(|p| p.to_string());
    let shown = |&(code, text): &(u8, &'_ [u8])| {
        let kept = KEPT_FIELDS.contains(&code) || (code == b'H' && keeps && !holds_sealed(text));
        kept || code == b'M' || (code == b'P' && position.is_some())
    };
    let fields: Vec<(u8, &[u8])> = report
        .fields()
        .iter()
        .filter(|field| shown(field))
        .map(|&(code, text)| match (code, &position) {
            (b'M', _) => (code, message.as_slice()),
            (b'P', Some(position)) => (code, position.as_bytes()),
            (code, _) => (code, text),
        })
        .collect();
    write_report(out, tag, &fields)
}

/// Whether a report may quote a row or what code of the server's had at hand, whatever the statement named:
/// integrity violations (class 23), and all that has a context.
pub(super) fn may_quote_rows(report: &Report<'_>) -> bool {
    report.field(b'W').is_some()
        || [b"23", b"P0"]
            .iter()
            .any(|c| report.sqlstate().starts_with(*c))
}

/// Whether a text quotes a sealed value (its first bytes in hex).
fn holds_sealed(text: &[u8]) -> bool {
    text.windows(6).any(|w| w.eq_ignore_ascii_case(b"d55676"))
}

/// A message that names objects and no value.
fn generic_message(report: &Report<'_>) -> String {
    let name = |code| {
        let name = report.field(code).unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    let (table, column, constraint) = (name(b't'), name(b'c'), name(b'n'));
    match &report.sqlstate() {
        b"23505" => format!("duplicate key value violates unique constraint \"{constraint}\""),
        b"23503" => format!(
            "insert, update or delete on table \"{table}\" violates foreign key constraint \"{constraint}\""
        ),
        b"23502" => format!(
            "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
        ),
        b"23514" => {
            format!("new row for relation \"{table}\" violates check constraint \"{constraint}\"")
        }
        b"22001" => "value too long for its type".to_owned(),
        b"22003" => "value out of range".to_owned(),
        b"22012" => "division by zero".to_owned(),
        b"22P02" => "invalid input syntax".to_owned(),
        b"P0001" => "a function raised an error".to_owned(),
        other => format!(
            "the statement failed (SQLSTATE {}); its message is withheld because it may hold protected values",
            String::from_utf8_lossy(other)
        ),
    }
}

/// A position (characters, from 1) in the text sent, as one in the client's text: exact before the first
/// replaced span and after the last, unknown between.
fn map_position(position: usize, touched: &Touched<'_>) -> Option<usize> {
    let index = position.checked_sub(1)?;
    let pairs = touched.sent.chars().zip(touched.text.chars());
    let head = pairs.take_while(|(a, b)| a == b).count();
    if index < head {
        return Some(position);
    }
    let (sent, text) = (touched.sent.chars().count(), touched.text.chars().count());
    let backwards = touched.sent.chars().rev().zip(touched.text.chars().rev());
    let tail = backwards.take_while(|(a, b)| a == b).count();
    let tail = tail.min(sent.min(text) - head);
    (index >= sent - tail && index <= sent).then(|| position + text - sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fields: &[(u8, &[u8])], sees_plain: bool) -> Vec<(u8, Vec<u8>)> {
        let (mut server, mut client) = (BytesMut::new(), BytesMut::new());
        write_report(&mut server, b'E', fields).unwrap();
        let touched = Touched {
            text: "INSERT INTO t VALUES ('x') RETURNING y",
            sent: "INSERT INTO t VALUES ('\\xd55676'::bytea) RETURNING y",
            sees_plain,
        };
        let report = Report::read(&server[5..]).unwrap();
        write_touched(&report, b'E', &touched, &mut client).unwrap();
        let report = Report::read(&client[5..]).unwrap();
        report
            .fields()
            .iter()
            .map(|(c, t)| (*c, t.to_vec()))
            .collect()
    }

    #[test]
    fn p14_values_leave_the_errors_of_touched_statements() {
        let fields: &[(u8, &[u8])] = &[
            (b'S', b"ERROR"),
            (b'C', b"23505"),
            (
                b'M',
                b"duplicate key value violates unique constraint \"t_y_key\"",
            ),
            (b'D', b"Key (y)=(secret) already exists."),
            (b'W', b"PL/pgSQL function secret"),
            (b'q', b"select secret"),
            (b'n', b"t_y_key"),
        ];
        for sees_plain in [true, false] {
            let fields = shown(fields, sees_plain);
            assert!(
                !fields
                    .iter()
                    .any(|f| f.1.windows(6).any(|w| w == b"secret"))
            );
            assert!(fields.contains(&(b'C', b"23505".to_vec())));
            assert!(fields.contains(&(b'n', b"t_y_key".to_vec())));
        }
    }

    #[test]
    fn p14_messages_that_may_quote_a_value_are_replaced_for_restricted_sight() {
        let fields: &[(u8, &[u8])] = &[
            (b'S', b"ERROR"),
            (b'C', b"22P02"),
            (b'M', b"invalid input syntax for type integer: \"secret\""),
        ];
        let message = |plain| {
            shown(fields, plain)
                .into_iter()
                .find(|f| f.0 == b'M')
                .unwrap()
                .1
        };
        assert_eq!(message(false), b"invalid input syntax");
        assert_eq!(
            message(true),
            b"invalid input syntax for type integer: \"secret\""
        );
    }

    #[test]
    fn positions_are_mapped_around_what_was_replaced() {
        let touched = Touched {
            text: "SELECT a FROM é WHERE b = 'x' AND c",
            sent: "SELECT a FROM é WHERE b = '\\xabcdef'::bytea AND c",
            sees_plain: true,
        };
        assert_eq!(map_position(15, &touched), Some(15));
        assert_eq!(map_position(30, &touched), None);
        let at = touched.sent.chars().count();
        assert_eq!(
            map_position(at, &touched),
            Some(touched.text.chars().count())
        );
    }
}
