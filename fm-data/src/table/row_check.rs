//! Finds the rows whose label, weight or timestamp cannot be read, so that they can be left out.

use polars::prelude::*;

use super::columns::{LABEL, WEIGHT, is_not, narrow, strings, truth, weight};
use super::origin::Origin;
use super::times::fault_of_timestamp;
use crate::error::Result;
use crate::format::BadRows;

/// The columns in which a row must have a value of a certain form, in all tables of a data set.
pub(crate) struct RowCheck {
    columns: Vec<(String, Form)>,
}

/// What a column holds.
enum Form {
    Labels(Labels),
    Weights,
    /// Whether they are numbers, as soon as that is known.
    Timestamps(Option<bool>),
}

/// What the labels are.
#[derive(Default)]
struct Labels {
    /// Whether they are 0 and 1, or -1 and 1.
    are_binary: bool,
    /// The other label of binary ones, as soon as that is known.
    negative: Option<f32>,
    /// Whether some of them are words such as `true`, and whether some are numbers other than 0 and 1.
    has_words: bool,
    has_numbers: bool,
}

impl RowCheck {
    /// The column of the labels, which are any numbers, or two if they `are_binary`.
    pub fn of_labels(name: &str, are_binary: bool) -> RowCheck {
        RowCheck { columns: vec![(name.to_owned(), Form::Labels(Labels { are_binary, ..Labels::default() }))] }
    }

    /// Also the columns of the weights and timestamps.
    pub fn with(mut self, weight: Option<&str>, timestamp: Option<&str>) -> RowCheck {
        self.columns.extend(weight.map(|name| (name.to_owned(), Form::Weights)));
        self.columns.extend(timestamp.map(|name| (name.to_owned(), Form::Timestamps(None))));
        self
    }

    /// The rows of a chunk without those that cannot be read, which are skipped. If they are not, nothing is checked:
    /// that is done once all rows are known. `first` is the number of the first row in `origin`.
    ///
    /// # Errors
    /// As [`strings`].
    pub fn apply(&mut self, chunk: DataFrame, first: usize, origin: &Origin, bad_rows: &BadRows) -> Result<DataFrame> {
        if !bad_rows.are_skipped() {
            return Ok(chunk);
        }
        let columns = self.columns.iter_mut().map(|(name, form)| Ok((strings(&chunk, name)?, name, form)));
        let mut columns = columns.collect::<Result<Vec<_>>>()?;
        let mut is_good = vec![true; chunk.height()];
        for (row, is_good) in is_good.iter_mut().enumerate() {
            let reason = columns.iter_mut().find_map(|(cells, name, form)| form.fault(cells.get(row), name));
            if let Some(reason) = reason {
                *is_good = false;
                bad_rows.reject(|| origin.error(first + row, &reason))?;
            }
        }
        if is_good.iter().all(|is_good| *is_good) {
            return Ok(chunk);
        }
        Ok(chunk.filter(&BooleanChunked::from_slice("".into(), &is_good))?)
    }
}

impl Form {
    /// What is wrong with a cell; `None` if nothing is.
    fn fault(&mut self, cell: Option<&str>, name: &str) -> Option<String> {
        match self {
            Form::Labels(labels) => labels.fault(cell, name),
            Form::Weights => cell.and_then(weight).is_none().then(|| is_not(cell, name, WEIGHT)),
            Form::Timestamps(are_numbers) => fault_of_timestamp(cell, name, are_numbers),
        }
    }
}

impl Labels {
    fn fault(&mut self, cell: Option<&str>, name: &str) -> Option<String> {
        let number = cell.and_then(narrow);
        let Some(label) = number.or_else(|| cell.and_then(truth).map(f32::from)) else {
            return Some(is_not(cell, name, LABEL));
        };
        if self.are_binary && label != 1.0 {
            let negative = self.negative.or([0.0, -1.0].contains(&label).then_some(label));
            if negative != Some(label) {
                return Some(is_not(cell, name, &format!("{} or 1", self.negative.unwrap_or(0.0))));
            }
            self.negative = negative;
        }
        // Words stand for 0 and 1, and have no place beside other numbers.
        let (is_word, is_number) = (number.is_none(), ![0.0, 1.0].contains(&label));
        if (is_word && self.has_numbers) || (is_number && self.has_words) {
            return Some(is_not(cell, name, if is_word { "a number" } else { "0 or 1, or a word for them" }));
        }
        self.has_words |= is_word;
        self.has_numbers |= is_number;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(form: Form, cells: &[&str]) -> Vec<String> {
        let mut form = form;
        cells.iter().filter_map(|cell| form.fault(Some(cell).filter(|cell| !cell.is_empty()).copied(), "y")).collect()
    }

    #[test]
    fn labels_of_one_kind_can_be_read_and_others_are_bad() {
        let labels = |are_binary, cells: &[&str]| {
            faults(Form::Labels(Labels { are_binary, ..Labels::default() }), cells).join("; ")
        };
        assert_eq!(labels(false, &["1", "0", "true", "no", "1.0"]), "");
        assert_eq!(labels(false, &["4.5", "3", "-1", "yes"]), "`yes` in column `y` is not a number");
        assert_eq!(labels(false, &["yes", "3", "1"]), "`3` in column `y` is not 0 or 1, or a word for them");
        let not_read = "is not a number, `true`, `false`, `yes` or `no`";
        assert_eq!(labels(false, &["", "x", "inf"]).matches(not_read).count(), 3);
        assert_eq!(labels(true, &["1", "-1", "1"]), "");
        assert_eq!(labels(true, &["1", "-1", "0", "2"]).matches("is not -1 or 1").count(), 2);
        assert_eq!(labels(true, &["2", "0", "-1"]).matches("is not 0 or 1").count(), 2);
    }

    #[test]
    fn weights_and_timestamps_are_checked() {
        assert_eq!(faults(Form::Weights, &["1", "0", "-1", "x", "nan"]).len(), 3);
        let times = ["1700001688", "1.5", "2023-11-14", "noon", ""];
        assert_eq!(faults(Form::Timestamps(None), &times).len(), 3);
    }
}
