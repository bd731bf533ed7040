//! The cells of a column as text.

use fm_core::schema::Reading;
use polars::prelude::*;

use super::segment::{Cells, ROWS, Segment};
use crate::table::NO_CODE;

/// The cells of a column as text, wherever they are.
#[derive(Debug)]
pub struct TextColumn<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    Frame(StringChunked),
    Compact { len: usize, segments: Vec<Cells<'a>>, texts: &'a StringChunked },
}

impl<'a> TextColumn<'a> {
    pub(super) fn of(segments: &'a [Segment], texts: &'a StringChunked, len: usize) -> TextColumn<'a> {
        TextColumn(Kind::Compact { len, segments: segments.iter().map(Segment::cells).collect(), texts })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Frame(texts) => texts.len(),
            Kind::Compact { len, .. } => *len,
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a row.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn get(&self, row: usize) -> Option<&str> {
        match &self.0 {
            Kind::Frame(texts) => texts.get(row),
            Kind::Compact { segments, texts, .. } => segments[row / ROWS].get(row % ROWS, texts),
        }
    }

    /// All cells.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// All distinct texts, if each of them has a [code](TextColumn::code).
    pub fn texts(&self) -> Option<&'a StringChunked> {
        let Kind::Compact { segments, texts, .. } = &self.0 else { return None };
        (!segments.iter().any(|cells| matches!(cells, Cells::Texts { .. }))).then_some(*texts)
    }

    /// The position of a row's text among the distinct [texts](TextColumn::texts), if the column has them; `NO_CODE` for null.
    ///
    /// # Panics
    /// If `row` is not below the number of rows.
    #[inline]
    pub fn code(&self, row: usize) -> u32 {
        match &self.0 {
            Kind::Compact { segments, .. } => segments[row / ROWS].code(row % ROWS),
            Kind::Frame(_) => NO_CODE,
        }
    }

    /// Puts the [codes](TextColumn::code) of some rows into `codes`, in their order. Faster than one by one where most rows follow
    /// each other.
    ///
    /// # Panics
    /// If one of `rows` is not below the number of rows.
    pub fn codes_of(&self, rows: &[usize], codes: &mut Vec<u32>) {
        codes.clear();
        let Kind::Compact { segments, .. } = &self.0 else { return codes.resize(rows.len(), NO_CODE) };
        for rows in rows.chunk_by(|a, b| a / ROWS == b / ROWS) {
            segments[rows[0] / ROWS].codes_of(rows.iter().map(|row| row % ROWS), codes);
        }
    }

    /// For each of some rows, a number that is equal for equal values; `NO_CODE` for a missing one.
    ///
    /// # Panics
    /// If one of `rows` is not below the number of rows.
    pub fn codes_of_values(&self, reading: Reading<'_>, rows: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut codes = PlHashMap::<&str, u32>::new();
        let mut of_text = |text| {
            let next = codes.len() as u32;
            reading.value(text).map_or(NO_CODE, |value| *codes.entry(value).or_insert(next))
        };
        match self.texts() {
            Some(texts) => {
                let of_texts: Vec<u32> = texts.iter().flatten().map(of_text).collect();
                rows.map(|row| of_texts.get(self.code(row as usize) as usize).copied().unwrap_or(NO_CODE)).collect()
            }
            None => rows.map(|row| self.get(row as usize).map_or(NO_CODE, &mut of_text)).collect(),
        }
    }

    /// The same cells as a column of a frame.
    pub fn into_strings(self, name: &str) -> StringChunked {
        match self.0 {
            Kind::Frame(texts) => texts.with_name(name.into()),
            Kind::Compact { .. } => StringChunked::from_iter_options(name.into(), self.iter()),
        }
    }
}

impl From<StringChunked> for TextColumn<'_> {
    fn from(texts: StringChunked) -> Self {
        TextColumn(Kind::Frame(texts))
    }
}
