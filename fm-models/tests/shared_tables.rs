//! Fields that share a table, and sequences: each model scores them as fields with equal tables of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod rows;
mod variants;

use fm_core::train::{TrainConfig, Trainer};
use fm_core::{Features, Field, FieldKind, Keep, Label, List, Model, Records, Rows, Schema, Side, Task, Weighting};
use tch::{Device, Tensor, no_grad};
use variants::{variants, variants_with};

const TEXTS: [[Option<&str>; 5]; 6] = [
    [Some("30"), Some("1|4|1"), Some("2"), Some("5"), Some("1")],
    [None, Some("0"), Some("0"), Some("0.5"), Some("0")],
    [Some("41"), None, Some("1"), None, Some("7")],
    [Some("18"), Some("7|7|7|7|new"), Some("unknown"), Some("-3"), Some("2")],
    [Some("25"), Some("2|new|newer"), None, Some("2"), None],
    [Some("36"), Some("1|2|3|4|5"), Some("2"), Some("1"), Some("5")],
];

/// Films seen and a film, with or without one table for both, and numbers before and between them.
fn schema(is_shared: bool) -> Schema {
    let number = |name: &str| Field::new(name, FieldKind::Numeric { mean: 1.0, std: 2.0 }, Side::User, vec![]);
    let film = Field::categorical("film", Side::Item, 8);
    let seen = FieldKind::Sequence(List::new("|", 4, Weighting::Mean).keep(Keep::Last));
    let seen = match is_shared {
        true => Field::new("seen", seen, Side::User, vec![]).sharing("film"),
        false => Field::new("seen", seen, Side::User, film.vocabulary.clone()),
    };
    let fields = vec![number("age"), seen, Field::categorical("user", Side::User, 3), number("hour"), film];
    Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), fields).unwrap()
}

/// The number of rows of a table of a schema without sharing, and the row that each is in the table of the schema that shares:
/// of all fields, or of those that are not numeric.
fn rows_of_tables(all: bool) -> (i64, Vec<i64>) {
    let some = |schema: Schema| {
        let is_numeric = |field: &Field| matches!(field.kind, FieldKind::Numeric { .. });
        let fields = schema.fields().iter().filter(|field| all || !is_numeric(field)).cloned().collect();
        Schema::new(schema.label().clone(), fields).unwrap()
    };
    let (shared, apart) = (some(schema(true)), some(schema(false)));
    (apart.num_ids(), (0..shared.num_fields()).flat_map(|field| shared.ids(field)).collect())
}

fn logits(model: &dyn Model, features: &Features) -> Tensor {
    no_grad(|| model.logits(features, false)).unwrap()
}

#[test]
fn fields_that_share_a_table_score_as_fields_with_equal_tables() {
    let tables = [rows_of_tables(true), rows_of_tables(false)];
    let rows = |schema: &Schema| Records::from_texts(schema, &TEXTS, &[3.0; 6]).unwrap();
    let features = |schema: &Schema| rows(schema).batch(&[0, 1, 2, 3, 4, 5], Device::Cpu).unwrap().features;
    let (shared, apart) = (schema(true), schema(false));
    // A history is one because it shares a table.
    for variant in variants_with(false).filter(|variant| !variant.scores_by_batch()) {
        let (store, model) = variant.build(&shared, 1, Device::Cpu);
        rows::disturb(&store);
        let ragged = logits(model.as_ref(), &features(&shared));
        let padded = logits(model.as_ref(), &features(&shared).padded().unwrap().into());
        assert!(ragged.allclose(&padded, 1e-5, 1e-6, false), "{variant}");

        let (other_store, other) = variant.build(&apart, 2, Device::Cpu);
        let parameters = store.variables();
        for (name, mut tensor) in other_store.variables() {
            let source = &parameters[&name];
            let table = tables.iter().find(|(height, _)| source.size() != tensor.size() && tensor.size()[0] == *height);
            let source = table
                .map_or_else(|| source.shallow_clone(), |(_, rows)| source.index_select(0, &Tensor::from_slice(rows)));
            no_grad(|| tensor.copy_(&source));
        }
        let expected = logits(other.as_ref(), &features(&apart));
        assert!(ragged.allclose(&expected, 1e-5, 1e-6, false), "{variant}: {ragged} {expected}");
        assert!(ragged.std(true).double_value(&[]) > 1e-3, "{variant}");
    }
}

#[test]
fn a_sampler_refuses_sequences_and_shared_tables_in_one_line() {
    let bayesian = variants().find(|variant| variant.entry.name == "bayesian_fm").unwrap();
    let error = |is_shared, sequence: bool| {
        let schema = schema(is_shared);
        let mut fields = schema.fields().to_vec();
        if !sequence {
            fields[1].kind = FieldKind::MultiValued(fields[1].kind.list().unwrap().clone());
        }
        let schema = Schema::new(schema.label().clone(), fields).unwrap();
        let rows = Records::from_texts(&schema, &TEXTS, &[3.0; 6]).unwrap();
        let (store, model) = bayesian.build(&schema, 1, Device::Cpu);
        let config = TrainConfig { epochs: 1, ..TrainConfig::default() };
        let mut trainer = Trainer::new(model.as_ref(), &store, schema.label(), config).unwrap();
        trainer.fit(&rows, &rows, &mut ()).map(|_| ()).map_err(|error| error.to_string())
    };
    let sequence = error(false, true).unwrap_err();
    assert!(sequence.ends_with("field `seen` is a sequence: declare it multi-valued"), "{sequence}");
    let shared = error(true, false).unwrap_err();
    assert!(shared.ends_with("field `seen` shares the table of `film`: leave out `shares`"), "{shared}");
    assert_eq!(error(false, false), Ok(()));
}
