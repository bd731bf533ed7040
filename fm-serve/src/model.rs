//! A loaded file.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;
use fm_core::explain::{Shapley, shapley};
use fm_core::script::{Origin, Scorer};
use fm_core::{Features, Padded, Result, Schema, Side};
use tch::{Device, Tensor};

use crate::raw_rows::RawRows;

/// The extra file with the titles of items, by id.
const TITLES: &str = "titles.json";

/// What parsers need to know of a schema.
#[derive(Debug)]
pub struct Columns {
    names: Vec<String>,
    by_name: HashMap<String, usize>,
    /// How lists of each column are written; `None` if no field reads one from it.
    lists: Vec<Option<ListForm>>,
    /// `[S]`: the ids that each slot can have.
    ids: Vec<Range<i64>>,
}

/// How a column's lists are written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListForm {
    pub separator: String,
    /// Only the separator divides a text: JSON in it is a value.
    pub is_exact: bool,
}

impl Columns {
    /// The columns of a schema.
    pub fn new(schema: &Schema) -> Columns {
        let names: Vec<String> = schema.columns().into_iter().map(str::to_owned).collect();
        let form = |name: &String| {
            let fields = schema.fields().iter().enumerate().filter(|(_, field)| field.column() == name);
            let mut lists = fields.filter_map(|(at, field)| {
                let separator = field.kind.list()?.separator.clone();
                Some(ListForm { separator, is_exact: schema.reading(at).is_exact() })
            });
            lists.next()
        };
        Columns {
            by_name: names.iter().cloned().zip(0..).collect(),
            lists: names.iter().map(form).collect(),
            ids: schema.field_of_slots().into_iter().map(|field| schema.ids(field)).collect(),
            names,
        }
    }

    /// The names, in the order of [`RawRows`].
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The position of a name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// How lists of a column are written.
    pub(crate) fn list(&self, column: usize) -> Option<&ListForm> {
        self.lists[column].as_ref()
    }

    /// `[S]`: the ids that each slot can have.
    pub(crate) fn ids(&self) -> &[Range<i64>] {
        &self.ids
    }
}

/// What distinguishes a file from its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// The stamp of a file; `None` if there is none.
    pub fn of(path: &Path) -> Option<Stamp> {
        let file = std::fs::metadata(path).ok()?;
        Some(Stamp { modified: file.modified().ok(), len: file.len(), inode: inode(&file) })
    }
}

#[cfg(unix)]
fn inode(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// A loaded file, which has answered warm-up requests.
#[derive(Debug)]
pub(crate) struct Model {
    pub columns: Columns,
    /// The number of items that it can recommend; 0 if the file has no catalogue.
    pub items: usize,
    /// The titles of items, by id.
    pub titles: HashMap<String, String>,
    /// Where the file comes from.
    pub origin: Option<Origin>,
    /// When it was loaded.
    pub loaded: SystemTime,
    /// The answer to requests for the schema, once there was one.
    pub description: OnceLock<Bytes>,
    scorer: Scorer,
}

impl Model {
    /// Loads a file and warms it up. It calls libtorch, so it takes a second.
    ///
    /// # Errors
    /// Those of [`Scorer::load`], and of a file that fails on a row.
    pub fn load(path: &Path) -> Result<Model> {
        let scorer = Scorer::load(path, Device::Cpu)?;
        let file = |file: &str| scorer.extra_file(file).ok();
        let titles = file(TITLES).and_then(|text| serde_json::from_str::<BTreeMap<String, String>>(&text).ok());
        let origin = file(Origin::FILE).and_then(|text| serde_json::from_str(&text).ok());
        let mut model = Model {
            columns: Columns::new(scorer.schema()),
            items: 0,
            titles: titles.unwrap_or_default().into_iter().collect(),
            origin,
            loaded: SystemTime::now(),
            description: OnceLock::new(),
            scorer,
        };
        model.warm_up()?;
        Ok(model)
    }

    /// The first calls are slow: libtorch profiles one and optimises in the next, possibly again for other sizes.
    fn warm_up(&mut self) -> Result<()> {
        for rows in [1, 2, 64] {
            let rows = RawRows::missing(rows, self.columns.names().len());
            for _ in 0..3 {
                self.predict(&self.features([&rows])?)?;
            }
        }
        for _ in 0..2 {
            self.items = match self.scorer.recommend([], usize::MAX, &[]) {
                Ok(best) => best.len(),
                Err(fm_core::Error::NoCatalogue { .. }) => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        self.scorer.schema()
    }

    /// The rows of several requests, encoded together.
    pub fn features<'r>(&self, requests: impl IntoIterator<Item = &'r RawRows>) -> Result<Features> {
        let mut texts = vec![];
        for rows in requests {
            texts.extend((0..rows.len()).map(|row| {
                self.schema().texts(|column| self.columns.position(column).and_then(|column| rows.get(row, column)))
            }));
        }
        let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        self.scorer.encoder().features(&rows)
    }

    /// Rows that are encoded already, which the caller has compared with [`Columns::ids`].
    pub fn encoded(&self, ids: &[i64], values: &[f32]) -> Result<Features> {
        let size = [-1, self.schema().num_slots() as i64];
        Ok(Features::unchecked(Tensor::f_from_slice(ids)?.f_view(size)?, Tensor::f_from_slice(values)?.f_view(size)?))
    }

    /// The prediction of each row.
    pub fn predict(&self, features: &Features) -> Result<Vec<f32>> {
        self.scorer.predict(features)
    }

    /// `[B][F]`: whether a row has no value in a field that training knows. In a hashed field, every value counts as
    /// known.
    pub fn unknown(&self, features: &Features) -> Result<Vec<Vec<bool>>> {
        let Padded { ids, .. } = features.padded()?;
        let ids = Vec::<i64>::try_from(ids.f_reshape([-1])?)?;
        let schema = self.schema();
        let fields: Vec<(Range<usize>, i64)> =
            (0..schema.num_fields()).map(|field| (schema.slots(field), schema.unknown_ids()[field])).collect();
        let of_row = |row: &[i64]| {
            let is_unknown = |(slots, unknown): &(Range<usize>, i64)| row[slots.clone()].iter().all(|id| id == unknown);
            fields.iter().map(is_unknown).collect()
        };
        Ok(ids.chunks(schema.num_slots().max(1)).map(of_row).collect())
    }

    /// The best `k` items for a user, each with its prediction.
    pub fn recommend(&self, user: &[(String, String)], k: usize, exclude: &[String]) -> Result<Vec<(String, f32)>> {
        let user = user.iter().map(|(column, text)| (column.as_str(), text.as_str()));
        let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
        self.scorer.recommend(user, k, &exclude)
    }

    /// The prediction of a row, and what each field adds to its logit, in the unit of the label where it has one.
    pub fn explain(&self, row: &RawRows) -> Result<(f32, Shapley)> {
        let features = self.features([row])?;
        let prediction = self.predict(&features)?.first().copied().unwrap_or(f32::NAN);
        let shapley = shapley(self.schema(), &features, |features| self.scorer.logits(features))?;
        Ok((prediction, shapley.times(f64::from(self.schema().label().scale))))
    }

    /// Whether training knows the value of a field; `None` if the field is hashed.
    pub fn knows(&self, field: usize, text: &str) -> Option<bool> {
        let schema = self.schema();
        let is_known = || self.scorer.encoder().id(field, text) != schema.unknown_ids()[field];
        schema.hash_buckets(field).is_none().then(is_known)
    }

    /// The position of the field of the user, if the schema has one.
    pub fn user(&self) -> Option<usize> {
        self.schema().user().and_then(|user| self.schema().field_index(user))
    }

    /// The column of the user's id, if the schema has a user.
    pub fn user_column(&self) -> Option<&str> {
        self.user().map(|field| self.schema().fields()[field].column())
    }

    /// Whether a column describes only the item, so that a recommendation takes it from the catalogue.
    pub fn is_of_item(&self, column: &str) -> bool {
        let schema = self.schema();
        let mut fields = schema.fields().iter().filter(|field| field.columns().any(|name| name == column)).peekable();
        fields.peek().is_some()
            && fields.all(|field| field.side == Side::Item || schema.item() == Some(field.name.as_str()))
    }
}
