//! The attributes of an exported module: the parts of the schema and the catalogue that its methods use.

use tch::{Kind, Tensor};

use super::Catalogue;
use crate::bridge::{Attribute, TracedModule};
use crate::error::Result;
use crate::number::{Curve, Scale};
use crate::schema::{Field, FieldKind, Keep, Schema, Weighting};

/// ASCII whitespace, which may surround numbers.
const SPACES: &str = " \t\n\r\x0c";

/// The letters after a backslash in the string of a list, and the characters that they stand for.
const ESCAPES: &str = "\"'\\/bfnrt\"'\\/\u{8}\u{c}\n\r\t";

/// Sets the attributes that `methods.py` reads: lists with an entry for each field, but for `_inputs`, which has
/// one for each column that fields read.
pub(super) fn set_attributes(module: &mut TracedModule, schema: &Schema, catalogue: &Catalogue) -> Result<()> {
    use Attribute::{Buffer, Floats, Indexes, Integers, Text, Texts};

    let fields = schema.fields();
    let integers = |of: fn(&Field) -> i64| Integers(fields.iter().map(of).collect());
    let scales =
        |of: fn(Scale) -> f64| Floats(fields.iter().map(|field| field.kind.scale().map_or(f64::NAN, of)).collect());
    let edges: Vec<&[f64]> = fields.iter().map(|field| field.kind.edges().unwrap_or_default()).collect();
    let separators = fields.iter().map(|field| field.kind.list().map_or("", |list| list.separator.as_str())).collect();
    let first_ids = schema.unknown_ids().iter().map(|unknown| unknown + 1);
    let indexes = first_ids.zip(fields.iter().map(|field| field.vocabulary.as_slice())).collect();
    let label_range = schema.label().range().into_iter().flatten().map(f64::from).collect();
    let schema_json = schema.to_json();

    module.set("_schema", &Text(&schema_json))?;
    module.set("_spaces", &Text(SPACES))?;
    module.set("_escapes", &Text(ESCAPES))?;
    module.set("_names", &Texts(fields.iter().map(|field| field.name.as_str()).collect()))?;
    module.set("_columns", &Texts(fields.iter().map(Field::column).collect()))?;
    module.set("_inputs", &Texts(schema.columns()))?;
    module.set("_times", &integers(|field| field.derived.time.map_or(0, |part| 1 + part as i64)))?;
    module.set(
        "_until_columns",
        &Texts(fields.iter().map(|field| field.derived.until_column().unwrap_or("")).collect()),
    )?;
    module
        .set("_until_dates", &Texts(fields.iter().map(|field| field.derived.until_date().unwrap_or("")).collect()))?;
    module.set("_minus", &Text("\u{2212}"))?;
    let parts: Vec<Vec<i64>> =
        fields.iter().map(|field| schema.parts(field).map(|part| part as i64).collect()).collect();
    module.set("_first_parts", &Integers(ends(&parts)))?;
    module.set("_parts", &Integers(parts.concat()))?;
    module.set("_kinds", &integers(kind))?;
    module.set("_widths", &integers(|field| field.num_slots() as i64))?;
    module.set("_unknown_ids", &Integers(schema.unknown_ids().to_vec()))?;
    module.set("_owners", &Integers((0..fields.len()).map(|field| schema.owner(field) as i64).collect()))?;
    module.set("_hash_buckets", &integers(|field| field.hash_buckets.map_or(0, i64::from)))?;
    module.set(
        "_exact",
        &Integers((0..fields.len()).map(|field| i64::from(schema.reading(field).is_exact())).collect()),
    )?;
    module.set("_null_values", &Texts(schema.null_values().iter().map(String::as_str).collect()))?;
    module.set("_indexes", &Indexes(indexes))?;
    module.set("_separators", &Texts(separators))?;
    module.set("_weightings", &integers(weighting))?;
    module.set(
        "_keeps_last",
        &integers(|field| field.kind.list().map_or(0, |list| i64::from(list.keep == Keep::Last))),
    )?;
    module.set("_curves", &integers(|field| field.kind.scale().map_or(0, |scale| curve(scale.curve))))?;
    module.set("_centres", &scales(|scale| scale.centre))?;
    module.set("_units", &scales(|scale| scale.unit))?;
    module.set("_lows", &scales(|scale| scale.limits[0]))?;
    module.set("_highs", &scales(|scale| scale.limits[1]))?;
    module.set("_first_edges", &Integers(ends(&edges)))?;
    module.set("_edges", &Floats(edges.concat()))?;
    module.set("_label_range", &Floats(label_range))?;
    module.set("_label_scale", &Floats(vec![f64::from(schema.label().scale)]))?;

    // Only a schema with an item has a catalogue.
    let item = schema.item().and_then(|item| schema.field_index(item)).unwrap_or(0);
    module.set("_item_field", &Integers(vec![item as i64]))?;
    let slots: Vec<i64> = schema.item_slots().map(|slot| slot as i64).collect();
    let slots = Tensor::from_slice(&slots);
    module.set("_items", &Texts(catalogue.items.iter().map(String::as_str).collect()))?;
    let items = catalogue.features.padded()?;
    module.set("_item_ids", &Buffer(items.ids.index_select(1, &slots).to_kind(Kind::Int)))?;
    module.set("_item_values", &Buffer(items.values.index_select(1, &slots)))?;
    module.set("_item_slots", &Buffer(slots))
}

/// Where each list begins if all follow one another, and where the last one ends.
fn ends<T>(lists: &[impl AsRef<[T]>]) -> Vec<i64> {
    let mut ends = vec![0];
    for list in lists {
        ends.push(ends[ends.len() - 1] + list.as_ref().len() as i64);
    }
    ends
}

fn kind(field: &Field) -> i64 {
    match field.kind {
        FieldKind::Categorical => 0,
        FieldKind::MultiValued(_) => 1,
        FieldKind::Numeric { .. } | FieldKind::Transformed(_) if field.kind.is_dense() => 2,
        FieldKind::Sequence(_) => 3,
        FieldKind::Numeric { .. } | FieldKind::Transformed(_) => 4,
    }
}

fn curve(curve: Curve) -> i64 {
    match curve {
        Curve::Line => 0,
        Curve::Log => 1,
        Curve::Sin => 2,
        Curve::Cos => 3,
    }
}

fn weighting(field: &Field) -> i64 {
    match field.kind.list().map(|list| list.weighting) {
        None | Some(Weighting::Sum) => 0,
        Some(Weighting::Mean) => 1,
        Some(Weighting::Sqrt) => 2,
        Some(Weighting::Given) => 3,
    }
}
