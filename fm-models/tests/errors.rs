//! What does not fit is an error of one line that names the layer, what it takes and what it was given; nothing panics, and
//! no text of libtorch's comes through. Nothing at all scores as nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors_of_layers;
#[path = "../src/oracle/mod.rs"]
mod oracle;
mod variants;

use fm_core::model::Options;
use fm_core::{Error, Features, Padded, Result, Schema};
use fm_models::layers::*;
use oracle::{Draw, features, schema, schema_with};
use serde_json::json;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use variants::{alone, variants, variants_with};

/// The error's line, which must hold `parts`.
fn assert_says<T>(result: Result<T>, parts: &[&str]) {
    let Err(error) = result else { panic!("this must be refused: {parts:?}") };
    let line = error.to_string();
    let is_ours = matches!(
        error,
        Error::Shape { .. }
            | Error::Setting(_)
            | Error::OutOfRange { .. }
            | Error::Unsupported(_)
            | Error::Model { .. }
    );
    assert!(is_ours && !line.contains('\n') && line.len() < 350, "{line}");
    assert!(parts.iter().all(|part| line.contains(part)), "{line:?} does not say {parts:?}");
}

fn zeros(shape: &[i64], kind: Kind) -> Tensor {
    Tensor::zeros(shape, (kind, Device::Cpu))
}

/// What reads features: the layer whose name is in its errors, the rows of its table (0 if it has none for the first field),
/// and what it computes.
type Reader = (&'static str, i64, Box<dyn Fn(&Features, bool) -> Result<Tensor>>);

/// The layers that read features, and all models.
fn readers(store: &VarStore, schema: &Schema, needs_history: bool) -> Vec<Reader> {
    let (root, config) = (store.root(), EmbeddingConfig::default());
    let linear = Linear::new(&root / "linear", schema).unwrap();
    let embedding = Embedding::new(&root / "embedding", schema, &config).unwrap();
    let fm = Fm::new(&(&root / "fm"), schema, &config).unwrap();
    let ffm = Ffm::new(&(&root / "ffm"), schema, &config, FfmForm::FieldAware).unwrap();
    let over = FmOverEmbeddings::new(&(&root / "over"), schema).unwrap();
    let mut readers: Vec<Reader> = vec![
        ("Linear", schema.num_ids(), Box::new(move |features, train| linear.forward(features, train))),
        ("Embedding", schema.num_ids(), Box::new(move |features, train| embedding.forward(features, train))),
        ("Linear", schema.num_ids(), Box::new(move |features, train| fm.forward(features, train))),
        ("Linear", schema.num_ids(), Box::new(move |features, train| ffm.forward(features, train))),
        ("Linear", schema.num_ids(), Box::new(move |f, train| over.forward(f, &zeros(&[2, 4, 3], Kind::Float), train))),
    ];
    for variant in variants_with(needs_history) {
        let (_, model) = variant.build(schema, 1, Device::Cpu);
        // These look no number up.
        let is_dense = variant.options.get("form").is_some_and(|form| form == "dense-features");
        let is_dense = is_dense || variant.entry.name == "dlrm";
        let rows = if variant.entry.name == "sasrec" { 0 } else { schema.num_ids() - if is_dense { 2 } else { 0 } };
        readers.push(("", rows, Box::new(move |features, train| model.logits(features, train))));
    }
    readers
}

#[test]
fn features_of_another_shape_or_kind_and_ids_outside_the_table_are_refused() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, &[1, 1, 3, 0]);
        let slots = schema.num_slots() as i64;
        let rows = Draw(1).rows(&schema, 2);
        let store = VarStore::new(Device::Cpu);
        for (name, rows_of_table, read) in readers(&store, &schema, needs_history) {
            let Padded { ids, values, .. } = features(&schema, &rows).padded().unwrap();
            let _ = ids.get(0).get(0).fill_(0); // the first id that there is
            let _ = read(&Features::unchecked(ids.shallow_clone(), values.shallow_clone()), true).unwrap();
            let refuses = |ids: Tensor, values: Tensor, expected: &str, found: &str| {
                for train in [false, true] {
                    let features = Features::unchecked(ids.shallow_clone(), values.shallow_clone());
                    assert_says(read(&features, train), &[name, expected, found]);
                }
            };
            let expected = format!("expected ids: Int64 of shape [B, {slots}]");
            for shape in [&[][..], &[slots], &[2, slots - 1], &[2, slots + 1], &[2, 0], &[2, slots, 1], &[slots, 2]] {
                let ids = zeros(shape, Kind::Int64);
                refuses(ids, zeros(shape, Kind::Float), &expected, &format!("found Int64 of shape {shape:?}"));
            }
            for kind in [Kind::Double, Kind::Float, Kind::Int, Kind::Bool] {
                let found = format!("found {kind:?} of shape [2, {slots}]");
                refuses(ids.to_kind(kind), values.shallow_clone(), &expected, &found);
            }
            let expected = format!("expected values: Float of shape [2, {slots}]");
            for kind in [Kind::Double, Kind::Half, Kind::Int64, Kind::Bool] {
                let found = format!("found {kind:?} of shape [2, {slots}]");
                refuses(ids.shallow_clone(), values.to_kind(kind), &expected, &found);
            }
            for shape in [&[][..], &[slots], &[1, slots], &[2, 1], &[2, slots, 1]] {
                let found = format!("found Float of shape {shape:?}");
                refuses(ids.shallow_clone(), zeros(shape, Kind::Float), &expected, &found);
            }
            // It does not look at the first field.
            let looks_at_all = rows_of_table > 0;
            for id in [-1, i64::MIN, schema.num_ids(), 1 << 40, i64::MAX].into_iter().filter(|_| looks_at_all) {
                let other = ids.copy();
                let _ = other.get(1).get(0).fill_(id);
                refuses(
                    other,
                    values.shallow_clone(),
                    &format!("expected ids of 0 to {},", rows_of_table - 1),
                    &format!("found {id}"),
                );
            }
        }
    }
}

#[test]
fn an_empty_batch_scores_as_nothing() {
    let _turn = alone();
    for fields in [&[1, 1, 3, 0][..], &[1, 1], &[3, 2]] {
        for variant in variants() {
            let schema = schema_with(variant.entry.needs_history, fields);
            let (_store, model) = variant.build(&schema, 1, Device::Cpu);
            for train in [false, true] {
                let logits = model.logits(&features(&schema, &[]), train);
                match train && variant.trains_on_statistics() {
                    true => assert_says(
                        logits,
                        &["BatchNorm: expected at least 2 rows in a training batch (use a larger batch size), found 0"],
                    ),
                    false => assert_eq!(logits.unwrap().size(), [0], "{variant}"),
                }
            }
        }
    }
}

#[test]
fn options_that_models_cannot_have_are_refused_by_name() {
    for variant in variants() {
        let schema = schema_with(variant.entry.needs_history, &[1, 1, 3, 0]);
        let resolved = variant.entry.resolve(&variant.options).unwrap();
        let wrong = [
            (
                "embedding_dim",
                vec![json!(0), json!(-1), json!(65537), json!(1.5), json!("8"), json!(null), json!(1e300)],
            ),
            ("init_std", vec![json!(-0.1), json!("0.1"), json!(null)]),
            ("hidden_units", vec![json!([0]), json!([4, -1]), json!([65537]), json!(64), json!(["64"])]),
            ("activation", vec![json!("swish"), json!(1)]),
            ("dropout", vec![json!(1.0), json!(-0.1), json!(null), json!("0.5")]),
            ("pooling_dropout", vec![json!(1.0), json!(-0.1), json!(null)]),
            ("batch_norm", vec![json!("on"), json!(true)]),
            ("hidden_batch_norm", vec![json!("on"), json!(true)]),
            ("hidden_layer_norm", vec![json!("on"), json!(1)]),
            ("attention_l2", vec![json!(-0.1), json!(null), json!("0.1")]),
            ("attention_dim", vec![json!(0), json!(65537)]),
            ("cin_size", vec![json!([]), json!([0]), json!([4, 65537]), json!(8)]),
            ("cin_activation", vec![json!("swish")]),
            ("members", vec![json!([]), json!("fm"), json!([{ "name": "deepfmm" }]), json!([{ "model": "fm" }])]),
            ("tower_dim", vec![json!(0), json!(65537)]),
            ("normalize", vec![json!("yes"), json!(1)]),
            ("temperature", vec![json!(0.0), json!(-1.0), json!(null), json!("1")]),
            ("form", vec![json!("none")]),
            ("cross_layers", vec![json!(0), json!(65537), json!("3")]),
            ("cross_experts", vec![json!(0), json!(65537)]),
            ("cross_rank", vec![json!(0), json!(65537)]),
            ("cross", vec![json!("vector")]),
            ("structure", vec![json!("serial")]),
            ("attention_layers", vec![json!(0), json!(-1), json!(65537)]),
            ("heads", vec![json!(0), json!(65537)]),
            ("head_dim", vec![json!(0), json!(65537)]),
            ("first_order", vec![json!("none"), json!(true)]),
            ("product", vec![json!("sum")]),
            ("bilinear", vec![json!("none")]),
            ("senet_reduction", vec![json!(0), json!(65537)]),
            ("blocks", vec![json!("stacked")]),
            ("parallel_blocks", vec![json!(0), json!(65537)]),
            ("parallel_units", vec![json!(0), json!(65537)]),
            ("mask_reduction", vec![json!(0), json!(65537)]),
            ("second_hidden_units", vec![json!([0]), json!([4, -1]), json!([65537]), json!(64)]),
            ("logarithmic_neurons", vec![json!(0), json!(65537)]),
            ("log_batch_norm", vec![json!("on"), json!(true)]),
            ("deep_hidden_units", vec![json!([0]), json!([4, -1]), json!(64)]),
            ("residual", vec![json!("none"), json!(true)]),
            ("order", vec![json!(1), json!(6), json!(0), json!("3")]),
            ("wukong_layers", vec![json!(0), json!(65537)]),
            ("fmb_vectors", vec![json!(0), json!(65537)]),
            ("lcb_vectors", vec![json!(0), json!(65537)]),
            ("fmb_rank", vec![json!(0), json!(65537)]),
            ("fmb_units", vec![json!([0]), json!([4, -1]), json!(64)]),
            ("bottom_units", vec![json!([0]), json!([4, -1]), json!(64)]),
            ("bridge", vec![json!("none"), json!(true)]),
            ("gate_norm", vec![json!("on"), json!(1)]),
            ("gate_temperature", vec![json!(0.0), json!(-1), json!(null), json!("1")]),
            ("gates", vec![json!("user"), json!(true)]),
            ("gate_units", vec![json!(0), json!(65537)]),
            ("fusion_heads", vec![json!(0), json!(65537), json!(5)]),
            ("pooling", vec![json!("min")]),
            ("attention_units", vec![json!([0]), json!([4, -1]), json!([65537]), json!(64)]),
            ("transformer_blocks", vec![json!(0), json!(65537)]),
            ("transformer_heads", vec![json!(0), json!(5)]),
            ("transformer_units", vec![json!(0), json!(65537)]),
            ("attention_activation", vec![json!("swish"), json!(1)]),
        ];
        for (option, values) in wrong.iter().filter(|(option, _)| resolved.contains_key(*option)) {
            for value in values {
                let mut options: Options = variant.options.clone();
                options.insert((*option).to_owned(), value.clone());
                let is_unused = match *option {
                    // Neither the attention nor the deep network is there then, nor is what it would refuse.
                    "attention_dim" => resolved["pooling"] != "attention",
                    "dropout" if resolved.get("hidden_units").is_some_and(|units| units == &json!([])) => true,
                    "hidden_units" | "dropout" => resolved.get("form").is_some_and(|form| form == "gmf"),
                    "gate_units" => resolved["gates"] == "off",
                    "cross_experts" | "cross_rank" => resolved["cross"] != "mixture",
                    _ => false,
                };
                let store = VarStore::new(Device::Cpu);
                let model = variant.entry.build(&options, &store.root(), &schema);
                if !(is_unused && model.is_ok()) {
                    // The layer calls the widths of all networks by the same name.
                    let is_width = *option != "hidden_units" && option.ends_with("_units");
                    let said = if is_width && value.is_array() { "hidden_units" } else { option };
                    assert_says(model, &[&format!("model {}: ", variant.entry.name), said]);
                }
            }
        }
    }
}

#[test]
fn schemas_that_a_model_cannot_take_are_refused() {
    let build = |model: &str, options: serde_json::Value, fields: &[usize]| {
        let store = VarStore::new(Device::Cpu);
        let options: Options = serde_json::from_value(options).unwrap();
        fm_models::find(model).unwrap().build(&options, &store.root(), &schema(fields)).map(|_| ())
    };
    // The first field of a schema here is the user's, the second the item's.
    assert_says(
        build("afm", json!({}), &[3]),
        &["model afm: it pairs fields, so it needs at least 2: the schema has 1"],
    );
    for form in ["gmf", "mlp", "neumf"] {
        assert_says(
            build("ncf", json!({ "form": form }), &[1]),
            &["model ncf: no field is on the item's side", "schema"],
        );
    }
    assert_says(
        build("two_tower", json!({}), &[1]),
        &["model two_tower: TwoTower: no field describes the item: set its `side` in the schema"],
    );
    let numeric = build("deepfm", json!({ "form": "dense-features" }), &[0, 0]);
    assert_says(numeric, &["model deepfm: the form dense-features requires a field that is not numeric"]);
    assert_says(
        build("finalmlp", json!({ "gates": "sides" }), &[1]),
        &["model finalmlp: no field is on the item's side", "schema"],
    );
    assert_says(
        build("masknet", json!({ "hidden_batch_norm": "standard" }), &[1, 1]),
        &["model masknet: MaskNet: hidden_batch_norm and hidden_layer_norm must be off for serial blocks"],
    );
    assert_says(
        build("dnn", json!({ "hidden_batch_norm": "standard", "hidden_layer_norm": true }), &[1, 1]),
        &["model dnn: hidden_layer_norm and hidden_batch_norm are both on: turn one of them off"],
    );
    assert_says(
        build("finalnet", json!({ "hidden_units": [4, 3] }), &[1, 1]),
        &["model finalnet: FactorizedInteraction: hidden_units contains 3: an odd number of units has no halves"],
    );
    assert_says(build("fibinet", json!({}), &[3]), &["model fibinet: it pairs fields, so it needs at least 2"]);
    assert_says(
        build("din", json!({}), &[1, 1, 3]),
        &["model din: no field is a sequence of earlier items: add one with kind = \"sequence\", history = true"],
    );
    for model in fm_models::MODELS {
        let takes_one_field = !["afm", "ncf", "fibinet", "two_tower"].contains(&model.name) && !model.needs_history;
        assert_eq!(build(model.name, json!({}), &[0]).is_ok(), takes_one_field, "{}", model.name);
    }
}
