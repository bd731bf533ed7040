//! A row to explain, with a label for each value.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use anyhow::Result;
use fm_core::tch::Device;
use fm_core::{Encoder, Features, FieldKind, Padded, Records, Schema};
use serde::Serialize;

use crate::extremes::warn_of_clamped;

/// The titles of items.
pub struct Titles {
    /// The fields whose values are item ids.
    pub fields: Vec<String>,
    pub titles: HashMap<String, String>,
}

impl Titles {
    /// The title of an item in one of those fields, if it has one that differs from its id.
    pub fn get(&self, field: &str, id: &str) -> Option<&str> {
        let is_item = self.fields.iter().any(|name| name == field);
        self.titles.get(id).map(String::as_str).filter(|title| is_item && *title != id)
    }
}

/// The content of a slot.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    pub field: String,
    /// The text, or `None` for a missing value. Several values of a multi-valued field that share a slot are joined by
    /// commas.
    pub value: Option<String>,
    pub title: Option<String>,
    /// Whether the value occurred in training. Always true for a hashed value, of which this is not known.
    pub known: bool,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Value { field, value, title, known } = self;
        match (value, title) {
            (None, _) => write!(f, "{field} missing")?,
            (Some(value), None) => write!(f, "{field}={value}")?,
            (Some(value), Some(title)) => write!(f, "{field}={title} [{value}]")?,
        }
        if value.is_some() && !known { write!(f, " (unknown)") } else { Ok(()) }
    }
}

/// A row to explain.
pub struct Row {
    features: Padded,
    /// The slots that are not padding, and their content.
    pub values: Vec<(usize, Value)>,
}

impl Row {
    /// Encodes one text per field of the schema.
    pub fn new(schema: &Schema, texts: &[Option<String>], titles: &Titles) -> Result<Row> {
        let encoder = Encoder::new(schema);
        let row: Vec<Option<&str>> = texts.iter().map(|text| text.as_deref().filter(|text| !text.is_empty())).collect();
        let features = encoder.features(&[&row])?.padded()?;
        warn_of_clamped(schema, &Records::from_texts(schema, &[&row], &[0.0])?, "row");
        let ids = Vec::<i64>::try_from(features.ids.flatten(0, -1))?;
        let numbers = Vec::<f32>::try_from(features.values.flatten(0, -1))?;
        let mut values = vec![];
        // A value of no text is missing.
        let known = |value: Cow<'_, str>| Some(value.into_owned()).filter(|value| !value.is_empty());
        for (position, (field, text)) in schema.fields().iter().zip(&row).enumerate() {
            let own = schema.slots(position);
            // The texts of each slot: in a multi-valued field, values with the same id share a slot.
            let reading = schema.reading(position);
            let texts: Vec<Vec<String>> = match &field.kind {
                FieldKind::Categorical => {
                    vec![text.and_then(|text| reading.value(text)).map(str::to_owned).into_iter().collect()]
                }
                FieldKind::Numeric { .. } | FieldKind::Transformed(_) => {
                    vec![text.iter().copied().map(str::to_owned).collect()]
                }
                FieldKind::MultiValued(list) => {
                    let mut distinct: Vec<String> = vec![];
                    for value in reading.pieces(*text, list).filter_map(|(value, _)| known(value)) {
                        if !distinct.contains(&value) {
                            distinct.push(value);
                        }
                    }
                    let of_slot = |slot: usize| {
                        let is_here = |value: &&String| encoder.id(position, value) == ids[slot];
                        distinct.iter().filter(is_here).cloned().collect()
                    };
                    own.clone().map(of_slot).collect()
                }
                FieldKind::Sequence(list) => {
                    let values = list.kept(reading.pieces(*text, list));
                    values.map(|(value, _)| known(value).into_iter().collect()).collect()
                }
            };
            let is_padding = |slot: usize| numbers[slot] == 0.0 && field.kind.list().is_some();
            for (at, slot) in own.enumerate().filter(|&(_, slot)| !is_padding(slot)) {
                let texts = texts.get(at).map(Vec::as_slice).unwrap_or_default();
                let title = if let [id] = texts { titles.get(&field.name, id).map(str::to_owned) } else { None };
                let value = (!texts.is_empty()).then(|| texts.join(", "));
                let known = ids[slot] != schema.ids(position).start;
                values.push((slot, Value { field: field.name.clone(), value, title, known }));
            }
        }
        Ok(Row { features, values })
    }

    /// The row as a batch of one.
    pub fn features(&self, device: Device) -> Features {
        self.features.to_device(device).into()
    }
}
