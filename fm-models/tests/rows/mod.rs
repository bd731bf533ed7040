//! Rows that show every kind of field, and parameters that show every part of a model.

use std::collections::BTreeMap;

use fm_core::{Encoder, Features, Field, FieldKind, Label, Schema, Side, Task, Weighting};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

/// A schema with every kind of field.
pub fn schema(task: Task) -> Schema {
    let field = |name: &str, kind, side, n: usize| {
        Field::new(name, kind, side, (0..n).map(|value| value.to_string()).collect())
    };
    let tags = FieldKind::MultiValued { separator: "|".into(), max_len: 3, weighting: Weighting::Sqrt };
    let fields = vec![
        field("user", FieldKind::Categorical, Side::User, 12),
        field("item", FieldKind::Categorical, Side::Item, 9),
        field("tags", tags, Side::Item, 5),
        field("age", FieldKind::Numeric { mean: 30.0, std: 10.0 }, Side::User, 0),
        Field { hash_buckets: Some(6), ..field("shop", FieldKind::Categorical, Side::Context, 0) },
    ];
    let label = match task {
        Task::Regression => Label { column: "rating".into(), task, min: 1.0, max: 5.0, mean: 3.5 },
        Task::Binary { .. } | Task::Ranking { .. } => {
            Label { column: "click".into(), task, min: 0.0, max: 1.0, mean: 0.5 }
        }
    };
    Schema::new(label, fields).unwrap()
}

/// `n` rows of [`schema`], or of its first fields, that show every kind of field, with known, unknown, missing and padded values.
pub fn features(schema: &Schema, n: usize) -> Features {
    let encoder = Encoder::new(schema);
    let slots = schema.num_slots();
    let (mut ids, mut values) = (vec![0i32; n * slots], vec![0f32; n * slots]);
    for row in 0..n {
        let raw = [
            Some((row % 13).to_string()),
            Some((row * 5 % 10).to_string()),
            (row % 4 > 0).then(|| ["0", "1|4", "2|9|3", "4|4|0"][row % 4].to_owned()),
            (row % 5 > 0).then(|| (20 + row % 30).to_string()),
            (row % 6 > 0).then(|| format!("shop {}", row % 11)),
        ];
        for (field, raw) in raw.iter().enumerate().take(schema.num_fields()) {
            let at = schema.slots(field);
            let at = row * slots + at.start..row * slots + at.end;
            encoder.encode(field, raw.as_deref(), &mut ids[at.clone()], &mut values[at]);
        }
    }
    let ids: Vec<i64> = ids.into_iter().map(i64::from).collect();
    let shape = [n as i64, slots as i64];
    let tensors = (Tensor::from_slice(&ids).view(shape), Tensor::from_slice(&values).view(shape));
    Features::new(schema, tensors.0, tensors.1).unwrap()
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
