//! `DateStyle`: how dates are written, and the order in which numbers of an ambiguous date are read.

use std::fmt;

use crate::ident::SqlState;
use crate::types::ValueFault;

/// The four output styles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `2024-01-31 10:00:00+01`
    Iso,
    /// `01/31/2024 10:00:00 CET`
    Sql,
    /// `Wed Jan 31 10:00:00 2024 CET`
    Postgres,
    /// `31.01.2024 10:00:00 CET`
    German,
}

/// The order of the fields of an ambiguous date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// month, day, year
    Mdy,
    /// day, month, year
    Dmy,
    /// year, month, day
    Ymd,
}

/// A style, and an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) form: Form,
    pub(super) order: Order,
}

/// `DateStyle` as the server reports it, for example `ISO, MDY`: taken apart once, and not for every value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateStyle {
    setting: Box<str>,
    /// None where a word is not known here
    style: Option<Style>,
}

impl DateStyle {
    /// The setting of that text.
    pub fn of(setting: &str) -> Self {
        Self {
            setting: setting.into(),
            style: taken_apart(setting),
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// 0A000 for words it does not know.
    pub(super) fn style(&self) -> Result<Style, ValueFault> {
        self.style.ok_or_else(|| {
            ValueFault::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "the session's DateStyle is not known here: use ISO, SQL, Postgres or German with MDY, DMY or YMD",
            )
        })
    }
}

impl fmt::Display for DateStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.setting)
    }
}

fn taken_apart(setting: &str) -> Option<Style> {
    let mut style = Style {
        form: Form::Iso,
        order: Order::Mdy,
    };
    for word in setting.split(',').map(str::trim) {
        match word.to_ascii_lowercase().as_str() {
            "iso" => style.form = Form::Iso,
            "sql" => style.form = Form::Sql,
            "postgres" => style.form = Form::Postgres,
            "german" => style.form = Form::German,
            "mdy" => style.order = Order::Mdy,
            "dmy" => style.order = Order::Dmy,
            "ymd" => style.order = Order::Ymd,
            _ => return None,
        }
    }
    Some(style)
}
