//! The character before the fraction of a number.

use fm_core::number::number;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::columns::strings;
use crate::error::Result;

/// The character between the whole part of a number and its fraction in the cells of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecimalMark {
    /// `1234.5`
    #[default]
    #[serde(rename = ".")]
    Point,
    /// `1234,5`; a point may divide thousands, as in `1.234,5`.
    #[serde(rename = ",")]
    Comma,
}

impl DecimalMark {
    /// Whether it is the point.
    pub fn is_point(&self) -> bool {
        *self == DecimalMark::Point
    }

    /// The table with the numbers in some columns in the form with a point. Columns that the table lacks are skipped.
    ///
    /// # Errors
    /// As [`strings`].
    pub fn with_points<'a>(self, table: &DataFrame, names: impl IntoIterator<Item = &'a str>) -> Result<DataFrame> {
        let mut table = table.clone();
        if self.is_point() {
            return Ok(table);
        }
        for name in names {
            if table.column(name).is_ok() {
                let cells = strings(&table, name)?;
                let column: StringChunked = cells.iter().map(|cell| cell.map(with_point)).collect();
                table.with_column(column.with_name(name.into()).into_column())?;
            }
        }
        Ok(table)
    }
}

/// A number with a decimal comma in the form with a point. A number with a point that divides no thousands is not a
/// number there: its point becomes a comma. Other texts stay what they are.
pub(crate) fn with_point(text: &str) -> String {
    let (whole, fraction) = text.split_once(',').unwrap_or((text, ""));
    let digits = whole.trim_ascii_start().trim_start_matches(['-', '+']);
    let mut groups = digits.split('.');
    let is_divided = digits.contains('.')
        && groups.next().is_some_and(|first| (1..=3).contains(&first.len()))
        && groups.all(|group| group.len() == 3);
    let whole = if is_divided { whole.replace('.', "") } else { whole.replace('.', ",") };
    let converted = if text.contains(',') { format!("{whole}.{fraction}") } else { whole };
    let is_mixed = text.contains('.') && !is_divided;
    if number(&converted).is_some() || (is_mixed && number(text).is_some()) { converted } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_comma_get_a_point_and_others_are_no_numbers() {
        for (text, number) in [
            ("1,5", Some(1.5)),
            (" -0,25 ", Some(-0.25)),
            ("1.234,5", Some(1234.5)),
            ("-12.345.678", Some(-12_345_678.0)),
            ("1.500", Some(1500.0)),
            ("7", Some(7.0)),
            ("2,5e3", Some(2500.0)),
            ("12.50", None),
            ("1.5", None),
            ("1,234,567", None),
            ("1,234.5", None),
            ("x,y", None),
            ("", None),
        ] {
            assert_eq!(fm_core::number::number(&with_point(text)), number, "{text:?}");
        }
        assert_eq!((with_point("x,y"), with_point("a.b")), ("x,y".into(), "a.b".into()));
    }

    #[test]
    fn only_the_named_columns_change() {
        let table = df!("a" => ["1,5"], "b" => ["1,5"]).unwrap();
        let changed = DecimalMark::Comma.with_points(&table, ["a", "none"]).unwrap();
        assert_eq!(strings(&changed, "a").unwrap().get(0), Some("1.5"));
        assert_eq!(strings(&changed, "b").unwrap().get(0), Some("1,5"));
        let same = DecimalMark::Point.with_points(&table, ["a"]).unwrap();
        assert_eq!(strings(&same, "a").unwrap().get(0), Some("1,5"));
    }
}
