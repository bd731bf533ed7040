//! Any table as rows of a sparse file: encoded, with an index for each value of each field.

use std::ops::Range;
use std::path::Path;

use fm_core::{Records, Rows, Schema};
use polars::prelude::*;

use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::format::sparse::{FEATURES, LABEL, SEPARATOR, column_of_field};
use crate::raw_data::RawData;

/// Number of rows of a chunk.
const CHUNK: usize = 1 << 15;

/// The rows of a table as chunks with the columns of a libsvm file, `label` and `features`, or of a libffm file, `label`,
/// `field_0`, `field_1`, …
///
/// The index of a value is its id in a model of these rows plus 1: each field has an index for missing values, and then one
/// for each of its values, the most frequent first. The number of a numeric field is standardised.
pub struct SparseRows {
    schema: Schema,
    rows: Records,
    labels: Vec<f32>,
    has_fields: bool,
    /// How many rows were left out because they cannot be read, in words; `None` if there were none.
    pub skipped: Option<String>,
    /// The next row.
    at: usize,
}

impl SparseRows {
    /// Reads a table, declared by the settings or inferred, and encodes all of its rows.
    ///
    /// # Errors
    /// Those of [`RawData::open`] and [`RawData::fit`]; [`Error::Spec`] for more fields than a libffm file has.
    pub fn open(config: &DataConfig, has_fields: bool) -> Result<SparseRows> {
        // All rows train, so that all values are known.
        let config = DataConfig { split: "random:0:0".into(), ..config.clone() };
        let data = RawData::open_declared(&config, Path::new(""))?;
        let schema = data.fit()?;
        if u16::try_from(schema.num_fields()).is_err() {
            return Err(Error::Spec(format!("{} fields are more than a libffm file can have", schema.num_fields())));
        }
        let all: Vec<u32> = (0..data.labels.len() as u32).collect();
        let rows = data.encode(&schema, &all)?;
        Ok(SparseRows { schema, rows, labels: data.labels, has_fields, skipped: data.skipped, at: 0 })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The indices of each field, and its name.
    pub fn indices(&self) -> impl Iterator<Item = (Range<i64>, &str)> {
        self.schema.fields().iter().enumerate().map(|(at, field)| {
            let ids = self.schema.ids(at);
            (ids.start + 1..ids.end + 1, field.name.as_str())
        })
    }

    fn chunk(&self, rows: Range<usize>) -> Result<DataFrame> {
        let height = rows.len();
        let fields = self.schema.num_fields();
        let names: Vec<String> = match self.has_fields {
            true => (0..fields).map(|field| column_of_field(field as u16)).collect(),
            false => vec![FEATURES.to_owned()],
        };
        let mut columns: Vec<StringChunkedBuilder> =
            names.into_iter().map(|name| StringChunkedBuilder::new(name.into(), height)).collect();
        let mut text = String::new();
        let mut slots = Vec::<(i32, f32)>::new();
        for row in rows.clone() {
            for (field, of_field) in self.rows.row(row).fields().enumerate() {
                slots.extend(of_field.ids().zip(of_field.values()));
                if !self.has_fields && field + 1 < fields {
                    continue;
                }
                // Other programs expect ascending indices. A value may occur several times in a sequence, or in fields that
                // share it: its numbers are added.
                slots.sort_by_key(|(id, _)| *id);
                slots.dedup_by(|next, slot| {
                    let is_same = next.0 == slot.0;
                    slot.1 += if is_same { next.1 } else { 0.0 };
                    is_same
                });
                for (id, value) in slots.drain(..) {
                    if !text.is_empty() {
                        text.push_str(SEPARATOR);
                    }
                    text.push_str(itoa::Buffer::new().format(id + 1));
                    if value != 1.0 {
                        text.push(':');
                        text.push_str(&value.to_string());
                    }
                }
                let column = &mut columns[if self.has_fields { field } else { 0 }];
                column.append_option(Some(&text).filter(|text| !text.is_empty()));
                text.clear();
            }
        }
        let labels = self.labels[rows].iter().map(|label| Some(label.to_string()));
        let labels = StringChunked::from_iter_options(LABEL.into(), labels).into_column();
        let columns = columns.into_iter().map(|column| column.finish().into_column());
        Ok(DataFrame::new(height, std::iter::once(labels).chain(columns).collect())?)
    }
}

impl Iterator for SparseRows {
    type Item = Result<DataFrame>;

    fn next(&mut self) -> Option<Result<DataFrame>> {
        let rows = self.at..self.len().min(self.at + CHUNK);
        self.at = rows.end;
        (!rows.is_empty()).then(|| self.chunk(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{TableWriter, read_table, write_table};

    #[test]
    fn a_table_becomes_indices_that_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let mut table = df!(
            "color" => ["red", "blue", "red", "red"],
            "tags" => ["a|b", "", "b|c", "a|b|b"],
            "price" => ["1.5", "2.5", "", "3.5"],
            "label" => ["1", "0", "2.5", "0"],
        );
        write_table(&path, table.as_mut().unwrap()).unwrap();
        let schema = "label = \"label\"\n[[field]]\nname = \"color\"\nkind = \"categorical\"\n\
                      [[field]]\nname = \"tags\"\nkind = \"multi-valued\"\nweighting = \"sum\"\n\
                      [[field]]\nname = \"price\"\nkind = \"numeric\"\ntransform = \"identity\"\n";
        let config = DataConfig {
            data: Some(path.display().to_string()),
            schema: Some(toml::from_str(schema).unwrap()),
            ..DataConfig::default()
        };
        // color: 1 unknown, 2 red, 3 blue; tags: 4 unknown, 5 b, 6 a, 7 c; price: 8 missing, 9 a number.
        for (name, lines) in [
            ("t.libsvm", "1 2:1 5:1 6:1 9:1.5\n0 3:1 9:2.5\n2.5 2:1 5:1 7:1 8:1\n0 2:1 5:2 6:1 9:3.5\n"),
            (
                "t.libffm",
                "1 0:2:1 1:5:1 1:6:1 2:9:1.5\n0 0:3:1 2:9:2.5\n2.5 0:2:1 1:5:1 1:7:1 2:8:1\n0 0:2:1 1:5:2 1:6:1 2:9:3.5\n",
            ),
        ] {
            let rows = SparseRows::open(&config, name.ends_with("ffm")).unwrap();
            let indices: Vec<_> = rows.indices().map(|(range, name)| (range, name.to_owned())).collect();
            assert_eq!(indices, [(1..4, "color".into()), (4..8, "tags".into()), (8..10, "price".into())]);
            let output = folder.path().join(name);
            let mut writer = TableWriter::create(&output).unwrap();
            rows.for_each(|chunk| writer.write(&mut chunk.unwrap()).unwrap());
            writer.finish().unwrap();
            assert_eq!(std::fs::read_to_string(&output).unwrap(), lines);
            assert_eq!(read_table(&output).unwrap().height(), 4);
        }
    }
}
