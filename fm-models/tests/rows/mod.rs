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

/// `n` rows of [`schema`], or of its first fields, that show every kind of field, with known, unknown, missing and padded values.
pub fn features(schema: &Schema, n: usize) -> Features {
    let encoder = Encoder::new(schema);
    let texts = |row: usize| {
        [
            Some((row % 13).to_string()),
            Some((row * 5 % 10).to_string()),
            (!row.is_multiple_of(4)).then(|| ["0", "1|4", "2|9|3", "4|4|0"][row % 4].to_owned()),
            (!row.is_multiple_of(5)).then(|| (20 + row % 30).to_string()),
            (!row.is_multiple_of(6)).then(|| format!("shop {}", row % 11)),
        ]
    };
    let texts: Vec<[Option<String>; 5]> = (0..n).map(texts).collect();
    let fields = schema.num_fields();
    let rows: Vec<Vec<Option<&str>>> =
        texts.iter().map(|row| row[..fields].iter().map(Option::as_deref).collect()).collect();
    encoder.features(&rows).unwrap()
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
