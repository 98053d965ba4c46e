//! Results: the net under the rope, the types a client is shown, and rows opened column by column.
//!
//! The net: a bare column that is a treated attribute reaches the client only where the plan opens it. It
//! holds no key: values are shown by the [`Veil`].

use bytes::BytesMut;

use super::{Formats, ShowFault, Veil};
use crate::policy::decide::{Show, Store};
use crate::statement::plan::ColumnPlan;
use crate::types::{LogicalType, TextSettings, oid};
use crate::wire::client::format_at;
use crate::wire::message::{MessageFault, put_count, put_value, write_frame};
use crate::wire::upstream::{DataRow, Field, RowDescription, write_row_description};

/// How the rows of one result become what the client sees.
pub(super) struct RowMap {
    cells: Vec<Cell>,
}

enum Cell {
    Pass,
    Show(ColumnPlan, Formats),
}

/// Why a result stops.
pub(super) enum Breach {
    /// the server sent something no server sends
    Violation,
    /// a treated attribute that the plan did not expect
    Unexpected,
    /// a value that does not open
    Show(ShowFault),
}

impl From<MessageFault> for Breach {
    fn from(_: MessageFault) -> Self {
        Self::Violation
    }
}

/// Whether the stored bytes are what the client gets (`Pass`, or `stored` sight).
fn passes(column: &ColumnPlan) -> bool {
    match column {
        ColumnPlan::Pass => true,
        ColumnPlan::Open { show, .. } => *show == Show::Stored,
    }
}

fn is_sealed(column: &ColumnPlan) -> bool {
    match column {
        ColumnPlan::Pass => false,
        ColumnPlan::Open { attribute, .. } => matches!(attribute.store, Store::Encrypt { .. }),
    }
}

impl RowMap {
    /// How rows of these columns become what the client sees, when it asked for `formats`; None when they pass
    /// as they are. `binary` says whether sealed columns were asked for in binary ([`sent_formats`]).
    pub fn new(columns: &[ColumnPlan], formats: &[i16], binary: bool) -> Option<Self> {
        if columns.iter().all(passes) {
            return None;
        }
        let cells = columns.iter().enumerate().map(|(index, column)| {
            let shown = format_at(formats, index).unwrap_or(0);
            let stored = if binary && is_sealed(column) && !shows_bytea(column) {
                1
            } else {
                shown
            };
            if passes(column) {
                Cell::Pass
            } else {
                Cell::Show(column.clone(), Formats { stored, shown })
            }
        });
        Some(Self {
            cells: cells.collect(),
        })
    }

    /// Writes the row as the client sees it; answers how many values were opened.
    ///
    /// # Errors
    /// [`Breach`]; `out` then holds no part of the row.
    pub fn write<V: Veil>(
        &self,
        body: &[u8],
        veil: &V,
        settings: &TextSettings,
        out: &mut BytesMut,
    ) -> Result<u64, Breach> {
        let mut row = DataRow::read(body)?;
        if row.count != self.cells.len() {
            return Err(MessageFault::Count.into());
        }
        let (mut opened, mut fault) = (0, None);
        let written = write_frame(out, b'D', |out| {
            put_count(out, row.count)?;
            for cell in &self.cells {
                match (cell, row.value()?) {
                    (Cell::Show(column, formats), Some(stored)) => {
                        opened += 1;
                        let escaped = escaped_bytea(column, formats.stored, stored);
                        let shown = match &escaped {
                            Some(bytes) => {
                                let settings = TextSettings {
                                    bytea_escaped: true,
                                    ..settings.clone()
                                };
                                veil.show(column, formats.of_stored(1), &settings, bytes)
                            }
                            None => veil.show(column, *formats, settings, stored),
                        };
                        match shown {
                            Ok(shown) => put_value(out, shown.as_deref())?,
                            Err(found) => {
                                fault = Some(found);
                                return Err(MessageFault::Count);
                            }
                        }
                    }
                    (Cell::Pass, value) | (Cell::Show(..), value @ None) => put_value(out, value)?,
                }
            }
            row.end()
        });
        match (written, fault) {
            (Err(_), Some(fault)) => Err(Breach::Show(fault)),
            (Err(_), None) => Err(Breach::Violation),
            (Ok(()), _) => Ok(opened),
        }
    }
}

/// Whether bytea is shown: nothing reports `bytea_output`, so a sealed value of it is asked for in the client's own
/// format, and its text form tells how the server writes bytea at this moment.
fn shows_bytea(column: &ColumnPlan) -> bool {
    match column {
        ColumnPlan::Pass => false,
        ColumnPlan::Open { attribute, .. } => match attribute.logical {
            LogicalType::Array(array) => array.element == LogicalType::Bytea,
            logical => logical == LogicalType::Bytea,
        },
    }
}

/// The bytes of a sealed value that the server wrote in its `escape` format (a client may set `bytea_output`);
/// None for the usual `hex`.
fn escaped_bytea(column: &ColumnPlan, format: i16, text: &[u8]) -> Option<Vec<u8>> {
    if format != 0 || !is_sealed(column) || text.starts_with(b"\\x") {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, left) = match (first, tail) {
            (b'\\', [b'\\', left @ ..]) => (b'\\', left),
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', left @ ..]) => {
                ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), left)
            }
            (b'\\', _) => return None,
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = left;
    }
    Some(bytes)
}

/// The result formats to send in a Bind: sealed columns are asked for in binary, whatever the client asked for.
/// None leaves the client's own.
pub(super) fn sent_formats(columns: &[ColumnPlan], asked: &[i16]) -> Option<Vec<i16>> {
    let fits = asked.len() <= 1 || asked.len() == columns.len();
    let sealed = |c: &ColumnPlan| is_sealed(c) && !passes(c) && !shows_bytea(c);
    (fits && columns.iter().any(sealed)).then(|| {
        let format = |(index, column)| match sealed(column) {
            true => 1,
            false => format_at(asked, index).unwrap_or(0),
        };
        columns.iter().enumerate().map(format).collect()
    })
}

/// Checks a RowDescription against the plan's columns (None: nothing treated is expected).
///
/// # Errors
/// [`Breach::Unexpected`] for a treated attribute that the plan does not open, or a column that is not as it
/// should be stored; [`Breach::Violation`].
pub(super) fn check<V: Veil>(
    description: &RowDescription<'_>,
    columns: Option<&[ColumnPlan]>,
    veil: &V,
) -> Result<(), Breach> {
    if columns.is_some_and(|c| c.len() != description.count) {
        return Err(Breach::Unexpected);
    }
    for (index, field) in description.fields().enumerate() {
        let guarded = field.table_oid != 0 && veil.guards(field.table_oid, field.attnum);
        match columns.and_then(|c| c.get(index)) {
            Some(column @ ColumnPlan::Open { attribute, .. }) => {
                let itself =
                    (field.table_oid, field.attnum) == (attribute.relation_oid, attribute.attnum);
                let misplaced = is_sealed(column) && field.type_oid != oid::BYTEA;
                if (guarded && !itself) || misplaced {
                    return Err(Breach::Unexpected);
                }
            }
            Some(ColumnPlan::Pass) | None if guarded => return Err(Breach::Unexpected),
            Some(ColumnPlan::Pass) | None => {}
        }
    }
    Ok(())
}

/// Writes a checked RowDescription as the client sees it: logical types, and the formats it asked for (None:
/// as the server says).
///
/// # Errors
/// [`MessageFault`] when it grows too long.
pub(super) fn write_description<V: Veil>(
    description: &RowDescription<'_>,
    columns: &[ColumnPlan],
    asked: Option<&[i16]>,
    (veil, out): (&V, &mut BytesMut),
) -> Result<(), MessageFault> {
    let mut fields: Vec<Field<'_>> = description.fields().collect();
    for (index, (field, column)) in fields.iter_mut().zip(columns).enumerate() {
        let ColumnPlan::Open { attribute, .. } = column else {
            continue;
        };
        if passes(column) {
            continue;
        }
        let logical = veil.column_type(attribute);
        field.type_oid = logical.oid;
        field.typlen = logical.typlen;
        field.typmod = logical.typmod;
        if let Some(asked) = asked {
            field.format = format_at(asked, index).unwrap_or(0);
        }
    }
    write_row_description(out, &fields)
}
