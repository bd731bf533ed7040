//! Rows that show every kind of field, and parameters that show every part of a model.

use std::collections::BTreeMap;

use fm_core::{Encoder, Features, Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

/// A schema with every kind of field.
pub fn schema(task: Task) -> Schema {
    let field = |name: &str, kind, side, n: usize| {
        Field::new(name, kind, side, (0..n).map(|value| value.to_string()).collect())
    };
    let tags = FieldKind::MultiValued(List::new("|", 3, Weighting::Sqrt));
    let fields = vec![
        field("user", FieldKind::Categorical, Side::User, 12),
        field("item", FieldKind::Categorical, Side::Item, 9),
        field("tags", tags, Side::Item, 5),
        field("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, 0),
        Field { hash_buckets: Some(6), ..field("shop", FieldKind::Categorical, Side::Context, 0) },
    ];
    let label = match task {
        Task::Regression => Label { column: "rating".into(), task, min: 1.0, max: 5.0, mean: 3.5, scale: 1.0 },
        Task::Binary { .. } | Task::Ranking { .. } => {
            Label { column: "click".into(), task, min: 0.0, max: 1.0, mean: 0.5, scale: 1.0 }
        }
    };
    Schema::new(label, fields).unwrap()
}

/// [`schema`], with the items that the user has seen if a model needs this history.
pub fn schema_with(needs_history: bool, task: Task) -> Schema {
    let schema = schema(task);
    if needs_history { with_history(&schema) } else { schema }
}

/// A schema and the items that the user has seen.
pub fn with_history(schema: &Schema) -> Schema {
    let seen = FieldKind::Sequence(List::new("|", 4, Weighting::Sum));
    let seen = Field::new("seen", seen, Side::User, vec![]).sharing("item");
    Schema::new(schema.label().clone(), [schema.fields(), &[seen]].concat()).unwrap()
}

/// `n` rows of [`schema_with`], or of some of its fields, that show every kind of field, with known, unknown, missing and
/// padded values.
pub fn features(schema: &Schema, n: usize) -> Features {
    let text = |row: usize, field: &Field| match field.name.as_str() {
        "user" => Some((row % 13).to_string()),
        "item" => Some((row * 5 % 10).to_string()),
        "tags" => (!row.is_multiple_of(4)).then(|| ["0", "1|4", "2|9|3", "4|4|0"][row % 4].to_owned()),
        "age" => (!row.is_multiple_of(5)).then(|| (20 + row % 30).to_string()),
        "shop" => (!row.is_multiple_of(6)).then(|| format!("shop {}", row % 11)),
        "seen" => {
            let lists = ["3", "8|1|3|2", "5|none such|5", "0|7", "6|6|4|1|0", "2|8"];
            (!row.is_multiple_of(7)).then(|| lists[row % 7 - 1].to_owned())
        }
        other => panic!("there are no values of {other}"),
    };
    let texts: Vec<Vec<Option<String>>> =
        (0..n).map(|row| schema.fields().iter().map(|field| text(row, field)).collect()).collect();
    let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
    Encoder::new(schema).features(&rows).unwrap()
}

/// Moves every parameter and statistic off its first value, so that no part of a model is silent.
pub fn disturb(store: &VarStore) {
    tch::manual_seed(11);
    no_grad(|| {
        let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
        for (name, mut tensor) in variables {
            let noise = tensor.randn_like() * 0.1;
            let _ = tensor.g_add_(&if name.ends_with("variance") { noise.abs() } else { noise });
        }
    });
}
