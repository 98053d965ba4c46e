//! Rows as a table for a terminal, aligned by the columns a character takes (two for Chinese ones).
//!
//! Knows nothing of where the rows come from.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of the widest cell of a [`Table::new`]; what is longer is cut and ends in `…`.
const CELL_COLUMNS: usize = 26;

/// A head and rows, `None` for NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// the names of the columns
    pub head: Vec<String>,
    /// each as long as the head
    pub rows: Vec<Vec<Option<String>>>,
    /// columns of a terminal that the widest cell may take
    pub cell_columns: usize,
}

impl Table {
    /// A table without rows.
    pub fn new(head: Vec<String>) -> Self {
        Self {
            head,
            rows: Vec::new(),
            cell_columns: CELL_COLUMNS,
        }
    }

    /// The lines of the table, head first, each without blanks at its end.
    pub fn lines(&self) -> Vec<String> {
        let head: Vec<String> = self
            .head
            .iter()
            .map(|name| cut(name, self.cell_columns))
            .collect();
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|value| self.cell(value)).collect())
            .collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|c| c.width()).max().unwrap_or(0);
                widest.max(head[column].width())
            })
            .collect();
        let rule = widths.iter().map(|w| "-".repeat(w + 2)).collect::<Vec<_>>();
        let mut lines = vec![line(&head, &widths), rule.join("+")];
        lines.extend(rows.iter().map(|row| line(row, &widths)));
        lines
    }

    fn cell(&self, value: &Option<String>) -> String {
        match value {
            Some(text) => cut(text, self.cell_columns),
            None => "NULL".to_owned(),
        }
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!(" {cell}{} ", " ".repeat(width.saturating_sub(cell.width()))))
        .collect();
    padded.join("|").trim_end().to_owned()
}

/// The text on one line and in so many columns.
fn cut(text: &str, columns_max: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.width() <= columns_max {
        return text;
    }
    let mut kept = String::new();
    let mut columns = 1;
    for character in text.chars() {
        columns += character.width().unwrap_or(0);
        if columns > columns_max {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_take_two_columns() {
        let text = |value: &str| Some(value.to_owned());
        let mut table = Table::new(vec!["id".to_owned(), "name".to_owned(), "x".to_owned()]);
        table.rows.push(vec![text("1"), text("王小明"), text("a")]);
        table.rows.push(vec![text("2"), text("Anna"), None]);
        let expected = [
            " id | name   | x",
            "----+--------+------",
            " 1  | 王小明 | a",
            " 2  | Anna   | NULL",
        ];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn long_cells_are_cut_by_columns() {
        let long = cut(&"王".repeat(20), 25);
        assert!(long.width() <= 25 && long.ends_with('…'));
        assert_eq!(cut("a\nb", 9), "a b");
    }
}
