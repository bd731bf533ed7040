//! A row to explain, with a name for each value.

use std::collections::HashMap;
use std::fmt;

use anyhow::Result;
use fm_core::encoder::pieces;
use fm_core::rows::Slots;
use fm_core::tch::Device;
use fm_core::{Encoder, Features, FieldKind, Padded, Schema};
use serde::Serialize;

/// The names that people know items by.
pub struct Titles {
    /// The fields whose values are items' ids.
    pub fields: Vec<String>,
    pub titles: HashMap<String, String>,
}

impl Titles {
    /// The title of an item in one of those fields, if it has one beside its id.
    pub fn get(&self, field: &str, id: &str) -> Option<&str> {
        let is_item = self.fields.iter().any(|name| name == field);
        self.titles.get(id).map(String::as_str).filter(|title| is_item && *title != id)
    }
}

/// What a slot holds.
#[derive(Clone, Debug, Serialize)]
pub struct Value {
    pub field: String,
    /// The text; several of one multi-valued field that share a slot, with a comma between them; none if it is missing.
    pub value: Option<String>,
    pub title: Option<String>,
    /// Whether training has seen it, or may have: that is not known of a hashed value.
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
    /// The slots that are no padding, and what they hold.
    pub values: Vec<(usize, Value)>,
}

impl Row {
    /// Encodes the texts of the schema's fields.
    pub fn new(schema: &Schema, texts: &[Option<String>], titles: &Titles) -> Result<Row> {
        let encoder = Encoder::new(schema);
        let row: Vec<Option<&str>> = texts.iter().map(|text| text.as_deref().filter(|text| !text.is_empty())).collect();
        let features = encoder.features(&[&row])?.padded()?;
        let ids = Vec::<i64>::try_from(features.ids.flatten(0, -1))?;
        let numbers = Vec::<f32>::try_from(features.values.flatten(0, -1))?;
        let mut values = vec![];
        for (position, (field, text)) in schema.fields().iter().zip(&row).enumerate() {
            // The distinct texts of each id.
            let mut of_ids: HashMap<i64, Vec<&str>> = HashMap::new();
            match &field.kind {
                FieldKind::MultiValued { separator, .. } => {
                    let mut slots = Slots::default();
                    for piece in pieces(*text, separator) {
                        slots.clear();
                        encoder.encode(position, Some(piece), &mut slots);
                        for id in slots.ids() {
                            let of_id = of_ids.entry(i64::from(id)).or_default();
                            if !of_id.contains(&piece) {
                                of_id.push(piece);
                            }
                        }
                    }
                }
                FieldKind::Categorical | FieldKind::Numeric { .. } => {
                    of_ids.insert(ids[schema.slots(position).start], text.iter().copied().collect());
                }
            }
            let is_padding = |slot: usize| numbers[slot] == 0.0 && matches!(field.kind, FieldKind::MultiValued { .. });
            for slot in schema.slots(position).filter(|&slot| !is_padding(slot)) {
                let texts = of_ids.get(&ids[slot]).map(Vec::as_slice).unwrap_or_default();
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
