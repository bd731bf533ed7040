//! Records from values in memory.

use super::layout::{FieldLayout, RecordLayout};
use super::{Records, RecordsBuilder, Slots};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::schema::{FieldKind, List, Schema, Weighting};

/// The value of a field in a row, for [`Records::from_values`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A missing or unknown value.
    Missing,
    /// The position of the value in the vocabulary of the field, or the bucket of a hashed field.
    Index(usize),
    /// The same for each value of a list.
    Indices(&'a [usize]),
    /// The same with a number for each value, in a list whose weighting is [`Given`](crate::Weighting::Given).
    Given(&'a [(usize, f32)]),
    /// A number, before it is standardised or put into a bucket. One that is not finite is missing.
    Number(f64),
}

impl From<usize> for Value<'_> {
    fn from(index: usize) -> Self {
        Value::Index(index)
    }
}

impl<'a> From<&'a [usize]> for Value<'a> {
    fn from(indices: &'a [usize]) -> Self {
        Value::Indices(indices)
    }
}

impl<'a> From<&'a [(usize, f32)]> for Value<'a> {
    fn from(given: &'a [(usize, f32)]) -> Self {
        Value::Given(given)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<f32> for Value<'_> {
    fn from(number: f32) -> Self {
        Value::Number(number.into())
    }
}

impl Records {
    /// Rows of categorical fields, each given by the position of its value in the vocabulary of the field. `labels`
    /// `[N]` are the labels of the rows, before the threshold of the task.
    ///
    /// # Errors
    /// Those of [`Records::from_values`].
    ///
    /// ```
    /// use fm_core::{Field, Label, Records, Rows, Schema, Side, Task};
    ///
    /// let fields = vec![Field::categorical("user", Side::User, 100), Field::categorical("film", Side::Item, 50)];
    /// let ratings = [5.0, 2.0];
    /// let schema = Schema::new(Label::fit("rating", Task::Binary { threshold: 4.0 }, ratings), fields)?;
    /// let rows = Records::from_indices(&schema, &[[0, 7], [99, 49]], &ratings)?;
    /// assert_eq!(rows.labels(), [1.0, 0.0]);
    /// let error = Records::from_indices(&schema, &[[0, 50]], &[5.0]).unwrap_err();
    /// assert_eq!(error.to_string(), "rows: expected a value below 50 of field `film`, found 50 in row 0");
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn from_indices<const FIELDS: usize>(
        schema: &Schema,
        rows: &[[usize; FIELDS]],
        labels: &[f32],
    ) -> Result<Records> {
        let rows: Vec<[Value<'_>; FIELDS]> = rows.iter().map(|row| row.map(Value::Index)).collect();
        Records::from_values(schema, &rows, labels)
    }

    /// Rows of any fields: a value for each field of the schema, in its order. `labels` `[N]` are the labels of the
    /// rows, before the threshold of the task. Add weights or groups with [`Records::with_weights`] and
    /// [`Records::with_groups`].
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has another number of values than the schema has fields, a value is not below the
    /// number of values or buckets of its field or is of another kind, a label is not finite, or the number of labels
    /// is not N.
    ///
    /// ```
    /// use fm_core::{Field, FieldKind, Label, List, Records, Schema, Side, Task, Weighting, rows::Value};
    ///
    /// let tags = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
    /// let tags = Field::new("tags", tags, Side::Item, vec!["new".into(), "sale".into()]);
    /// let price = Field::new("price", FieldKind::Numeric { mean: 10.0, std: 2.0 }, Side::Item, vec![]);
    /// let schema = Schema::new(Label::fit("bought", Task::Binary { threshold: 1.0 }, [1.0, 0.0]), vec![tags, price])?;
    /// let rows = [[Value::Indices(&[0, 1]), Value::Number(14.0)], [Value::Missing, Value::Missing]];
    /// let rows = Records::from_values(&schema, &rows, &[1.0, 0.0])?;
    /// assert!(rows.row(0).field(0).values().eq([0.5, 0.5]));
    /// assert!(rows.row(0).field(1).values().eq([2.0]));
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn from_values<'v>(schema: &Schema, rows: &[impl AsRef<[Value<'v>]>], labels: &[f32]) -> Result<Records> {
        let layout = RecordLayout::new(schema);
        build(schema, rows, labels, |field, &value, slots| {
            let layout = &layout.fields[field];
            let kind = &schema.fields()[field].kind;
            append(layout, kind, value, slots)
                .map_err(|(expected, found)| (format!("{expected} of field `{}`", layout.name), found))
        })
    }

    /// Rows of texts: one for each field of the schema, in its order, or `None` if it is missing. [`Schema::texts`] finds those of
    /// fields that follow from columns. `labels` `[N]` are
    /// the labels of the rows, before the threshold of the task.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has another number of texts than the schema has fields, a label is not finite, or the
    /// number of labels is not N.
    ///
    /// ```
    /// use fm_core::{Field, FieldKind, Label, Records, Schema, Side, Task};
    ///
    /// let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into(), "bob".into()]);
    /// let schema = Schema::new(Label::fit("rating", Task::Regression, [4.0, 2.0]), vec![user])?;
    /// let rows = Records::from_texts(&schema, &[[Some("bob")], [Some("carl")]], &[4.0, 2.0])?;
    /// assert!(rows.ids_of(0).eq([2, 0])); // carl is unknown
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn from_texts<'t>(schema: &Schema, rows: &[impl AsRef<[Option<&'t str>]>], labels: &[f32]) -> Result<Records> {
        let encoder = Encoder::new(schema);
        build(schema, rows, labels, |field, &text, slots| {
            encoder.encode(field, text, slots);
            Ok(())
        })
    }
}

/// Builds rows whose values `append` turns into slots. For a value that it cannot take, it returns what it expected and
/// found.
fn build<V>(
    schema: &Schema,
    rows: &[impl AsRef<[V]>],
    labels: &[f32],
    append: impl Fn(usize, &V, &mut Slots) -> Result<(), (String, String)>,
) -> Result<Records> {
    if rows.len() != labels.len() {
        return Err(Error::shape("rows", format!("a label for each of {} rows", rows.len()), labels.len().to_string()));
    }
    let mut builder = RecordsBuilder::new(schema);
    let mut slots = Slots::default();
    for (number, (row, &label)) in rows.iter().zip(labels).enumerate() {
        let values = row.as_ref();
        let invalid =
            |(expected, found): (String, String)| Error::shape("rows", expected, format!("{found} in row {number}"));
        if values.len() != schema.num_fields() {
            let expected = format!("a value for each of {} fields", schema.num_fields());
            return Err(invalid((expected, values.len().to_string())));
        }
        slots.clear();
        for (field, value) in values.iter().enumerate() {
            append(field, value, &mut slots).map_err(invalid)?;
        }
        builder.push(&slots, schema.label().target(label), None)?;
    }
    Ok(builder.finish())
}

/// Appends the slots of a value. For one that it cannot take, it returns what it expected and found.
fn append(field: &FieldLayout, kind: &FieldKind, value: Value<'_>, slots: &mut Slots) -> Result<(), (String, String)> {
    let known = (field.end - field.unknown - 1) as usize;
    let id = |index: usize| match index {
        index if index < known => Ok(field.unknown + 1 + index as u32),
        index => Err((format!("a value below {known}"), index.to_string())),
    };
    match (kind, value) {
        (FieldKind::Categorical, Value::Missing) => slots.push(field.unknown),
        (FieldKind::Categorical, Value::Index(index)) => slots.push(id(index)?),
        (FieldKind::Categorical, _) => return Err(("one value".into(), format!("{value:?}"))),
        (FieldKind::MultiValued(list), _) => {
            slots.push_distinct(list.ordered(listed(list, value, id)?.into_iter()), list);
        }
        (FieldKind::Sequence(list), _) => slots.push_sequence(list.kept(listed(list, value, id)?.into_iter()), list),
        (FieldKind::Numeric { .. } | FieldKind::Transformed(_), Value::Missing) => slots.push(field.unknown),
        (FieldKind::Numeric { .. } | FieldKind::Transformed(_), Value::Number(number)) => {
            slots.push_numeric(field.unknown, Some(number), kind);
        }
        (FieldKind::Numeric { .. } | FieldKind::Transformed(_), _) => {
            return Err(("a number".into(), format!("{value:?}")));
        }
    }
    Ok(())
}

/// The ids of a list, each with its number; or what was expected and found.
fn listed(
    list: &List,
    value: Value<'_>,
    id: impl Fn(usize) -> Result<u32, (String, String)>,
) -> Result<Vec<(u32, f64)>, (String, String)> {
    match value {
        Value::Missing => Ok(vec![]),
        Value::Index(index) => Ok(vec![(id(index)?, 1.0)]),
        Value::Indices(indices) => indices.iter().map(|&index| Ok((id(index)?, 1.0))).collect(),
        Value::Given(given) if list.weighting == Weighting::Given => {
            let finite = |x: f32| match x.is_finite() {
                true => Ok(f64::from(x)),
                false => Err(("finite numbers".into(), x.to_string())),
            };
            given.iter().map(|&(index, x)| Ok((id(index)?, finite(x)?))).collect()
        }
        Value::Given(_) | Value::Number(_) => Err(("values".into(), format!("{value:?}"))),
    }
}
